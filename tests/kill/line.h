/*
 * tests/kill/line: a message that tells where it belongs.
 *
 *     w<writer> c<cycle> s<sequence> <place>/<lines of its set> <padding> <CRC-32C>
 *
 * The CRC is over all before the space in front of it. A writer's sequence
 * goes on behind what was acknowledged before the kill, so a line that was not
 * may come again: in a later cycle.
 */
#ifndef TESTS_KILL_LINE_H
#define TESTS_KILL_LINE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"

#define LINE_MAX_BYTES 1024

struct line {
    unsigned writer, cycle;
    uint64_t sequence;
    unsigned place, set; /* of `set` lines, counted from 0 */
};

/* Returns its length, the newline counted; pad < 900. */
static inline size_t line_print(char out[LINE_MAX_BYTES], const struct line *l, unsigned pad)
{
    int n = snprintf(out, LINE_MAX_BYTES, "w%u c%u s%" PRIu64 " %u/%u ", l->writer, l->cycle,
                     l->sequence, l->place, l->set);

    memset(out + n, 'a' + (int)(l->sequence % 26), pad);
    n += (int)pad;
    n += snprintf(out + n, LINE_MAX_BYTES - (size_t)n, " %08" PRIx32 "\n",
                  crc32c_extend(0, out, (size_t)n));
    return (size_t)n;
}

/* False: torn, mixed, or none of ours. `len` without the newline. */
static inline bool line_read(struct line *l, const char *text, size_t len)
{
    char copy[LINE_MAX_BYTES];
    uint32_t crc;

    if (len < 20 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return sscanf(copy, "w%u c%u s%" SCNu64 " %u/%u ", &l->writer, &l->cycle, &l->sequence,
                  &l->place, &l->set) == 5 &&
           sscanf(copy + len - 9, " %8" SCNx32, &crc) == 1 &&
           crc == crc32c_extend(0, copy, len - 9);
}

#endif
