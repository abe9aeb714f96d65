/*
 * Reading while a call fails: every question that a reader may ask is answered as it is without
 * the failure, or with the error; and rightly once nothing fails any more.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define MESSAGES      1700 /* "0000\n" and so on: three segments, longer than a bisection's last step */
#define MESSAGE_BYTES 5
#define BEGIN_MS      1000000

static struct fixture f;
static struct memtree left; /* the disk that every question begins with */

/* -- the states of the store -- */

static void killed(void)
{
    fixture_kill(&f);
}

/* The next start lists no segments before somebody asks. */
static void stopped(void)
{
    fixture_close(&f);
}

/* Readers of messages skip the end of the first segment. */
static void damaged(void)
{
    fixture_close_unclean(&f);
    file_cut(&f, SEG0_IDX, ENTRY_AT(700));
}

/* The first segment's bytes can be read, and no more. */
static void unindexed(void)
{
    fixture_close_unclean(&f);
    file_remove(&f, SEG0_IDX);
}

static void (*const states[])(void) = {killed, stopped, damaged, unindexed};

static void setup_state(void (*leave)(void))
{
    struct partition *part;

    fixture_mem(&f);
    fixture_open(&f);
    part =
        fixture_topic(&f, "t", "segment.bytes=16384\nset.max.bytes=4096\nmessage.max.bytes=4000\n");
    for (int i = 0; i < MESSAGES; i++) {
        char line[16];

        f.clock.now_ms = BEGIN_MS + (uint64_t)i * 10;
        snprintf(line, sizeof line, "%04d\n", i);
        fixture_append(part, line);
    }
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    leave();
    memtree_copy(&left, &f.disk->tree);
}

static struct partition *start(void)
{
    if (f.store)
        fixture_kill(&f);
    memdisk_free(f.disk);
    f.disk = memdisk_from(&left);
    f.io = f.options.io = &f.disk->io;
    fixture_open(&f);
    return fixture_part(&f, "t", 0);
}

/* -- the questions -- */

/* A range's place and bytes as one number. */
static int hash_range(struct range *r, int rc, uint64_t *answer)
{
    char bytes[256];
    size_t len;

    if (rc < 0)
        return rc;
    len = r->len < sizeof bytes ? (size_t)r->len : sizeof bytes;
    rc = fileio_read_all(f.io, r->fd, bytes, len, r->pos);
    if (rc == 0)
        *answer = (r->offset << 32) + r->len + crc32c_extend(0, bytes, len);
    range_release(r);
    return rc;
}

static int ask_find(struct partition *part, uint64_t at, uint64_t *answer)
{
    (void)answer;
    return partition_find(part, at);
}

static int ask_number(struct partition *part, uint64_t at, uint64_t *answer)
{
    return partition_find_number(part, at / MESSAGE_BYTES, answer);
}

static int ask_time(struct partition *part, uint64_t at, uint64_t *answer)
{
    return partition_find_time(part, BEGIN_MS + at * 2, answer);
}

static int ask_time_of(struct partition *part, uint64_t at, uint64_t *answer)
{
    return partition_time_of(part, at, answer);
}

static int ask_range(struct partition *part, uint64_t at, uint64_t *answer)
{
    struct range r;

    return hash_range(&r, partition_range(part, at, 100, &r), answer);
}

static int ask_messages(struct partition *part, uint64_t at, uint64_t *answer)
{
    uint64_t skipped = 0;
    struct range r;
    int rc = hash_range(&r, partition_messages(part, at, 100, &r, &skipped), answer);

    if (rc == 0)
        *answer += skipped << 16;
    return rc;
}

static int ask_long_message(struct partition *part, uint64_t at, uint64_t *answer)
{
    uint64_t skipped = 0;
    struct range r;

    return hash_range(&r, partition_messages(part, at, 1, &r, &skipped), answer);
}

static int ask_segment_stat(struct partition *part, uint64_t at, uint64_t *answer)
{
    struct segment_stat st;
    int rc = partition_segment_next(part, at, &st);

    if (rc == 0)
        *answer = st.base + st.visible_bytes * 3 + st.last_ms * 5 + st.sealed;
    return rc;
}

static int ask_held_segment(struct partition *part, uint64_t at, uint64_t *answer)
{
    struct segment_stat st = {0};
    struct segment *seg;
    struct range r;
    uint64_t hash = 0;
    int rc = partition_segment_next(part, at, &st);

    if (rc == 0)
        rc = partition_segment_hold(part, st.base, &seg);
    if (rc < 0)
        return rc;
    rc = segment_get_stat(seg, &st);
    if (rc == 0)
        rc = hash_range(&r, segment_range(seg, 5, 20, &r), &hash);
    if (rc == 0)
        *answer = hash + st.visible_bytes;
    segment_release(seg);
    return rc;
}

static int ask_partition_stat(struct partition *part, uint64_t at, uint64_t *answer)
{
    struct partition_stat st;
    int rc = partition_stat(part, &st);

    (void)at;
    if (st.failed)
        st.messages = 0; /* nobody knows how many a broken one has */
    if (rc == 0)
        *answer = st.first + st.sealed_end * 3 + st.visible_end * 5 + st.messages * 7 +
                  st.last_ms * 11 + st.damaged_messages * 13;
    return rc;
}

typedef int question_fn(struct partition *part, uint64_t at, uint64_t *answer);
static question_fn *const questions[] = {
    ask_find,     ask_number,       ask_time,         ask_time_of,      ask_range,
    ask_messages, ask_long_message, ask_segment_stat, ask_held_segment, ask_partition_stat,
};

/* In each of the segments; on a boundary and not; at the ends; too far. */
static const uint64_t places[] = {0, 5, 7, 1500, 3500, 3838, 3840, 4000, 7690, 8495, 8500, 9000};

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

/* -- failing -- */

static const struct {
    unsigned calls;
    int error; /* 0: short */
} faults[] = {
    {MEMCALL_BIT(MEMCALL_OPEN) | MEMCALL_BIT(MEMCALL_PREAD) | MEMCALL_BIT(MEMCALL_SIZE) |
         MEMCALL_BIT(MEMCALL_LIST),
     -EIO},
    {MEMCALL_BIT(MEMCALL_OPEN), -EMFILE},
    {MEMCALL_BIT(MEMCALL_PREAD), 0},
};

/* How often a fault was met. */
static uint64_t ask_with(question_fn *ask, uint64_t at, int fault)
{
    uint64_t want = 0;
    int want_rc = ask(start(), at, &want);
    uint64_t nth = 0;
    bool met = true;

    while (met) {
        struct partition *part = start();
        uint64_t got = 0;
        int rc;

        fixture_fail_calls(&f, faults[fault].calls, NULL, ++nth, false, faults[fault].error);
        rc = ask(part, at, &got);
        met = f.disk->fault_hits > 0;
        fixture_no_faults(&f);
        if (rc == want_rc)
            ck_assert_uint_eq(got, want);
        else
            ck_assert_msg(met && rc == faults[fault].error, "at %d, call %d: %d, not %d", (int)at,
                          (int)nth, rc, want_rc);
        got = 0;
        ck_assert_int_eq(ask(part, at, &got), want_rc);
        ck_assert_uint_eq(got, want);
    }
    return nth - 1;
}

START_TEST(a_call_fails_while_a_reader_asks)
{
    int fault = _i / COUNT(states);
    uint64_t met = 0;

    setup_state(states[_i % COUNT(states)]);
    for (int q = 0; q < COUNT(questions); q++)
        for (int p = 0; p < COUNT(places); p++)
            met += ask_with(questions[q], places[p], fault);
    ck_assert_uint_gt(met, 50);
    memtree_release(&left);
    fixture_end(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("read_faults");
    TCase *tc = tcase_create("read_faults");

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_call_fails_while_a_reader_asks, 0, COUNT(states) * COUNT(faults));
    return suite_run(suite);
}
