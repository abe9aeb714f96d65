/* tests/support/produce: see produce.h. */
#include "tests/support/produce.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 48u

/* Message i of such a set, without its newline. */
static uint32_t line(char to[LINE_MAX_BYTES], const struct producer *p, uint32_t i)
{
    uint32_t sequence = ((uint32_t)p->sequence + i) & INT32_MAX;

    return (uint32_t)snprintf(to, LINE_MAX_BYTES, "%" PRId64 " %d %" PRIu32, p->id, p->epoch,
                              sequence);
}

int produce(struct partition *part, const struct producer *p, uint32_t messages,
            struct appended *at, struct err *err)
{
    char *text = malloc((size_t)messages * LINE_MAX_BYTES);
    struct set set;
    int rc;

    ck_assert_ptr_nonnull(text);
    set_init(&set);
    ck_assert_int_eq(set_producer(&set, p), 0);
    for (uint32_t i = 0; i < messages; i++) {
        char *to = text + (size_t)i * LINE_MAX_BYTES;
        struct message m = {.value = to, .value_len = line(to, p, i)};

        ck_assert_int_eq(set_add_message(&set, &m), 0);
    }
    rc = partition_append_at(part, &set, at, err);
    set_release(&set);
    free(text);
    return rc;
}

void produce_expect_there(struct fixture *f, struct partition *part, const struct producer *p,
                          uint32_t messages, const struct appended *at)
{
    uint64_t pos = at->offset;
    uint64_t offset;
    char *text;

    ck_assert_int_eq(fixture_flush(f, part), 0);
    ck_assert_int_eq(partition_find_number(part, at->number, &offset), 0);
    ck_assert_uint_eq(offset, at->offset);
    text = fixture_text(f, part);
    for (uint32_t i = 0; i < messages; i++) {
        char want[LINE_MAX_BYTES];
        uint32_t len = line(want, p, i);

        ck_assert_mem_eq(text + pos, want, len);
        ck_assert_int_eq(text[pos + len], '\n');
        pos += len + 1;
    }
    ck_assert_uint_le(pos, at->end);
    ck_assert_uint_le(at->end, partition_end(part));
    free(text);
}

char *produce_where(const char *name, const char *between, int step, int rc, const struct err *err)
{
    char *text = NULL;

    ck_assert_int_gt(asprintf(&text, "%s; %s between; step %d: %d %s", name, between, step, rc,
                              rc < 0 ? err->text : ""),
                     0);
    return text;
}
