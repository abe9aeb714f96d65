/*
 * A partition of the store on the in-memory disk, in which a gap can be left: the
 * fixture of the programs that test gaps. Most tests: "a", "bb", "ccc", then a gap
 * from 9 to 1000, where message 50 is.
 */
#ifndef TESTS_UNIT_GAP_FIXTURE_H
#define TESTS_UNIT_GAP_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/store_fixture.h"

#define GAP_IDX "t/0/00000000000000001000.idx"
#define GAP_LOG "t/0/00000000000000001000.log"

static struct fixture f;
static struct partition *part;

static inline void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS "retention.ms=off\n");
}

static inline void teardown(void)
{
    fixture_end(&f);
}

static inline int skip_to(uint64_t offset, uint64_t number)
{
    return partition_skip_to(part, offset, number, &f.err);
}

/* Appends three messages and leaves the gap. */
static inline void leave_gap(void)
{
    fixture_append(part, "a\nbb\nccc\n");
    ck_assert_int_eq(skip_to(1000, 50), 0);
}

static inline void stop_and_start(void (*how)(struct fixture *))
{
    if (how == fixture_close_unclean) {
        fixture_close_unclean(&f);
        fixture_open(&f);
    } else {
        how(&f);
    }
    part = fixture_part(&f, "t", 0);
}

/* Every way to stop and start. */
static void (*const restarts[])(struct fixture *) = {fixture_reopen, fixture_kill_reopen,
                                                     fixture_close_unclean, fixture_reopen};
#define RESTARTS (sizeof restarts / sizeof *restarts)

static inline int range_at(uint64_t offset)
{
    struct range r;
    int rc = partition_range(part, offset, 100, &r);

    if (rc == 0)
        range_release(&r);
    return rc;
}

/* The state after leave_gap() and `more` behind it. */
static inline void expect_gap(const char *more, uint64_t messages)
{
    uint64_t end = 1000 + strlen(more);
    struct partition_stat st;
    struct gap gap;
    uint64_t offset = 0;
    uint64_t time_ms;
    char want[200];

    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert(!st.failed);
    ck_assert_uint_eq(st.damaged_runs, 0);
    ck_assert_uint_eq(st.first, 0);
    ck_assert_uint_eq(st.sealed_end, 9);
    ck_assert_uint_eq(st.visible_end, end);
    ck_assert_uint_eq(partition_end(part), end);
    ck_assert_uint_eq(st.messages, 3 + messages);

    ck_assert_int_eq(partition_gap_next(part, 0, &gap), 0);
    ck_assert_uint_eq(gap.offset, 9);
    ck_assert_uint_eq(gap.end, 1000);
    ck_assert_uint_eq(gap.messages, 47);
    ck_assert_int_eq(partition_gap_next(part, 999, &gap), 0);
    ck_assert_int_eq(partition_gap_next(part, 1000, &gap), -ENOENT);

    ck_assert_int_eq(partition_find(part, 5), 0);
    ck_assert_int_eq(partition_find(part, 6), ERR_NOT_A_BOUNDARY);
    ck_assert_int_eq(partition_find(part, 9), 0);
    ck_assert_int_eq(partition_find(part, 10), ERR_GONE);
    ck_assert_int_eq(partition_find(part, 999), ERR_GONE);
    ck_assert_int_eq(partition_find(part, 1000), 0);
    ck_assert_int_eq(partition_find(part, end), 0);
    ck_assert_int_eq(partition_find(part, end + 1), ERR_OUT_OF_RANGE);

    ck_assert_int_eq(range_at(8), 0);
    ck_assert_int_eq(range_at(9), ERR_GONE);
    ck_assert_int_eq(range_at(500), ERR_GONE);
    ck_assert_int_eq(range_at(1000), 0);
    ck_assert_int_eq(partition_time_of(part, 8, &time_ms), 0);
    ck_assert_int_eq(partition_time_of(part, 9, &time_ms), ERR_GONE);
    ck_assert_int_eq(partition_time_of(part, 999, &time_ms), ERR_GONE);

    ck_assert_int_eq(partition_find_number(part, 2, &offset), 0);
    ck_assert_uint_eq(offset, 5);
    ck_assert_int_eq(partition_find_number(part, 3, &offset), ERR_GONE);
    ck_assert_int_eq(partition_find_number(part, 49, &offset), ERR_GONE);
    ck_assert_int_eq(partition_find_number(part, 50, &offset), 0);
    ck_assert_uint_eq(offset, 1000);
    ck_assert_int_eq(partition_find_number(part, 50 + messages, &offset), 0);
    ck_assert_uint_eq(offset, end);
    ck_assert_int_eq(partition_find_number(part, 51 + messages, &offset), ERR_OUT_OF_RANGE);

    snprintf(want, sizeof want, "a\nbb\nccc\n%s", more);
    fixture_expect_messages(&f, part, want, 0);
}

#endif
