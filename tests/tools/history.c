/*
 * tests/tools/history: makes a topic with a long past (tests/support/history.h)
 * in a store that nobody uses.
 *
 *     history STORE TOPIC SEGMENTS SEGMENT_BYTES MESSAGES
 *
 * MESSAGES: in each segment. The last one of all was appended just now.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "tests/support/history.h"

int main(int argc, char **argv)
{
    struct store_options options = {.name = argc > 1 ? argv[1] : ""};
    struct history h = {0};
    struct err err = {0};
    int rc;

    if (argc != 6) {
        fprintf(stderr, "usage: history STORE TOPIC SEGMENTS SEGMENT_BYTES MESSAGES\n");
        return 2;
    }
    h.segments = strtoull(argv[3], NULL, 10);
    h.segment_bytes = strtoull(argv[4], NULL, 10);
    h.messages = (uint32_t)strtoul(argv[5], NULL, 10);
    if (h.messages == 0 || h.segment_bytes % h.messages != 0) {
        fprintf(stderr, "history: SEGMENT_BYTES is no multiple of MESSAGES\n");
        return 2;
    }
    h.begin_ms = clock_wall_ms() - h.segments * h.messages;
    rc = fileio_open(&options.io, argv[1], &err);
    if (rc == 0) {
        rc = history_make(&options, argv[2], &h, &err);
        fileio_release(options.io);
    }
    if (rc < 0)
        fprintf(stderr, "history: %s\n", err.text);
    return rc < 0 ? 1 : 0;
}
