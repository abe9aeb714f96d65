/*
 * store/partition and store/read: find, range, messages, segments, over the
 * borders of segments. Appending is in check_partition.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/one_partition.h"

static void flush(void)
{
    ck_assert_int_eq(fixture_flush(&f, part), 0);
}

/* -- find -- */

START_TEST(find_boundaries_over_segments)
{
    fixture_fill(&f, part);
    for (uint64_t i = 0; i <= 30; i++)
        ck_assert_int_eq(partition_find(part, i * 1000), 0);
    for (uint64_t i = 0; i < 30; i++) {
        ck_assert_int_eq(partition_find(part, i * 1000 + 1), ERR_NOT_A_BOUNDARY);
        ck_assert_int_eq(partition_find(part, i * 1000 + 999), ERR_NOT_A_BOUNDARY);
    }
    ck_assert_int_eq(partition_find(part, 30001), ERR_OUT_OF_RANGE);
    ck_assert_int_eq(partition_find(part, UINT64_MAX), ERR_OUT_OF_RANGE);
}
END_TEST

START_TEST(find_stops_at_the_visible_end)
{
    fixture_fill(&f, part);
    fixture_append(part, "more\n");
    ck_assert_int_eq(partition_find(part, 30000), 0);
    ck_assert_int_eq(partition_find(part, 30005), ERR_OUT_OF_RANGE);
    flush();
    ck_assert_int_eq(partition_find(part, 30005), 0);
}
END_TEST

START_TEST(number_and_offset_agree)
{
    uint64_t offset;

    fixture_fill(&f, part);
    for (uint64_t i = 0; i <= 30; i++) {
        ck_assert_int_eq(partition_find_number(part, i, &offset), 0);
        ck_assert_uint_eq(offset, i * 1000);
    }
    ck_assert_int_eq(partition_find_number(part, 31, &offset), ERR_OUT_OF_RANGE);
    ck_assert_uint_eq(offset, 30000); /* untouched */
}
END_TEST

START_TEST(time_and_offset_agree)
{
    uint64_t offset;

    fixture_fill(&f, part);
    for (uint64_t i = 0; i < 30; i++) {
        ck_assert_int_eq(partition_find_time(part, 1000000 + i * 1000, &offset), 0);
        ck_assert_uint_eq(offset, i * 1000);
        ck_assert_int_eq(partition_find_time(part, 1000000 + i * 1000 + 1, &offset), 0);
        ck_assert_uint_eq(offset, (i + 1) * 1000);
    }
    ck_assert_int_eq(partition_find_time(part, 0, &offset), 0);
    ck_assert_uint_eq(offset, 0);
    ck_assert_int_eq(partition_find_time(part, UINT64_MAX, &offset), 0);
    ck_assert_uint_eq(offset, 30000);
}
END_TEST

/* What finding costs does not grow with the number of segments. */
START_TEST(number_and_time_open_few_segments)
{
    uint64_t offset;
    uint64_t before;

    for (int i = 0; i < 800; i++) {
        f.clock.now_ms += 1000;
        fixture_append_bytes(part, 999, 'x');
    }
    flush();
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_int_eq(partition_find(part, 0), 0); /* loads the list of 100 */
    before = f.disk->calls[MEMCALL_OPEN];
    ck_assert_int_eq(partition_find_number(part, 777, &offset), 0);
    ck_assert_uint_eq(offset, 777000);
    ck_assert_uint_le(f.disk->calls[MEMCALL_OPEN] - before, 3 * 8);
    ck_assert_int_eq(partition_find_time(part, 1000000 + 778000, &offset), 0);
    ck_assert_uint_eq(offset, 777000);
    before = f.disk->calls[MEMCALL_PREAD]; /* times are known by now */
    ck_assert_int_eq(partition_find_time(part, 1000000 + 770000, &offset), 0);
    ck_assert_uint_eq(offset, 769000);
    ck_assert_uint_le(f.disk->calls[MEMCALL_PREAD] - before, 4);
    for (uint64_t i = 0; i <= 800; i += 7) {
        ck_assert_int_eq(partition_find_number(part, i, &offset), 0);
        ck_assert_uint_eq(offset, i * 1000);
    }
}
END_TEST

START_TEST(time_of_a_message)
{
    uint64_t time_ms = 77;

    ck_assert_int_eq(partition_time_of(part, 0, &time_ms), ERR_OUT_OF_RANGE);
    fixture_fill(&f, part);
    for (uint64_t i = 0; i < 30; i++) {
        ck_assert_int_eq(partition_time_of(part, i * 1000, &time_ms), 0);
        ck_assert_uint_eq(time_ms, 1000000 + i * 1000);
    }
    time_ms = 77;
    ck_assert_int_eq(partition_time_of(part, 30000, &time_ms), ERR_OUT_OF_RANGE);
    ck_assert_int_eq(partition_time_of(part, 30001, &time_ms), ERR_OUT_OF_RANGE);
    ck_assert_uint_eq(time_ms, 77);
}
END_TEST

START_TEST(find_in_an_empty_partition)
{
    uint64_t offset = 77;

    ck_assert_int_eq(partition_find(part, 0), 0);
    ck_assert_int_eq(partition_find(part, 1), ERR_OUT_OF_RANGE);
    ck_assert_int_eq(partition_find_number(part, 0, &offset), 0);
    ck_assert_uint_eq(offset, 0);
    ck_assert_int_eq(partition_find_time(part, 0, &offset), 0);
    ck_assert_uint_eq(offset, 0);
}
END_TEST

START_TEST(find_survives_restart_and_recovery)
{
    uint64_t offset;

    fixture_fill(&f, part);
    for (int round = 0; round < 2; round++) {
        if (round)
            fixture_kill_reopen(&f);
        else
            fixture_reopen(&f);
        part = fixture_part(&f, "t", 0);
        for (uint64_t i = 0; i < 30; i++) {
            ck_assert_int_eq(partition_find_number(part, i, &offset), 0);
            ck_assert_uint_eq(offset, i * 1000);
            ck_assert_int_eq(partition_find_time(part, 1000000 + i * 1000, &offset), 0);
            ck_assert_uint_eq(offset, i * 1000);
        }
        struct segment_stat st[8];
        ck_assert_uint_eq(fixture_segments(part, st, 8), 4);
    }
}
END_TEST

/* -- range and messages -- */

static void expect_range(uint64_t offset, uint64_t max, uint64_t len)
{
    struct range r;

    ck_assert_int_eq(partition_range(part, offset, max, &r), 0);
    ck_assert_uint_eq(r.offset, offset);
    ck_assert_uint_eq(r.len, len);
    range_release(&r);
}

START_TEST(range_ends_with_its_segment_and_the_visible_end)
{
    struct range r;

    fixture_fill(&f, part);
    fixture_append(part, "unseen\n");
    expect_range(0, UINT64_MAX, 8000);
    expect_range(1, UINT64_MAX, 7999);
    expect_range(1, 10, 10);
    expect_range(7999, 10, 1);
    expect_range(8000, 10, 10);
    expect_range(24000, UINT64_MAX, 6000);
    expect_range(29999, UINT64_MAX, 1);
    expect_range(30000, UINT64_MAX, 0);
    expect_range(0, 0, 0);
    ck_assert_int_eq(partition_range(part, 30001, 1, &r), ERR_OUT_OF_RANGE);
}
END_TEST

static void expect_messages(uint64_t offset, uint64_t max, uint64_t len)
{
    struct range r;
    uint64_t skipped = 0;

    ck_assert_int_eq(partition_messages(part, offset, max, &r, &skipped), 0);
    ck_assert_uint_eq(r.offset, offset);
    ck_assert_uint_eq(r.len, len);
    ck_assert_uint_eq(skipped, 0);
    range_release(&r);
}

START_TEST(messages_are_whole_and_at_least_one)
{
    struct range r;
    uint64_t skipped = 0;

    fixture_fill(&f, part);
    expect_messages(0, 0, 1000);
    expect_messages(0, 1, 1000);
    expect_messages(0, 999, 1000);
    expect_messages(0, 1000, 1000);
    expect_messages(0, 1999, 1000);
    expect_messages(0, 2000, 2000);
    expect_messages(1000, 2500, 2000);
    expect_messages(7000, 5000, 1000); /* the segment ends */
    expect_messages(8000, 5000, 5000);
    expect_messages(29000, 5000, 1000);
    expect_messages(30000, 5000, 0);
    expect_messages(0, UINT64_MAX, 8000);
    expect_messages(1000, UINT64_MAX, 7000);
    ck_assert_int_eq(partition_messages(part, 30001, 1, &r, &skipped), ERR_OUT_OF_RANGE);
}
END_TEST

START_TEST(text_is_the_same_through_every_door)
{
    uint64_t skipped;
    char *raw;
    char *messages;

    fixture_fill(&f, part);
    raw = fixture_text(&f, part);
    messages = fixture_messages(&f, part, &skipped);
    ck_assert_str_eq(raw, messages);
    ck_assert_uint_eq(strlen(raw), 30000);
    free(raw);
    free(messages);
}
END_TEST

START_TEST(stat_counts)
{
    struct partition_stat st;

    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.messages, 0);
    ck_assert_uint_eq(st.last_ms, 0);
    fixture_fill(&f, part);
    fixture_append(part, "unseen\n");
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.first, 0);
    ck_assert_uint_eq(st.sealed_end, 24000);
    ck_assert_uint_eq(st.visible_end, 30000);
    ck_assert_uint_eq(st.messages, 30);
    ck_assert_uint_eq(st.last_ms, 1029000);
    ck_assert_uint_eq(st.damaged_runs, 0);
    ck_assert(!st.failed);
}
END_TEST

/* -- segments -- */

START_TEST(segment_held_by_its_base)
{
    struct segment *seg;
    struct segment_stat st;
    struct range r;

    fixture_fill(&f, part);
    ck_assert_int_eq(partition_segment_hold(part, 8001, &seg), -ENOENT);
    ck_assert_int_eq(partition_segment_hold(part, 40000, &seg), -ENOENT);
    ck_assert_int_eq(partition_segment_hold(part, 8000, &seg), 0);
    ck_assert_int_eq(segment_get_stat(seg, &st), 0);
    ck_assert_uint_eq(st.base, 8000);
    ck_assert_uint_eq(st.visible_bytes, 8000);
    ck_assert(st.sealed);
    ck_assert_int_ge(segment_log_fd(seg), 0);
    ck_assert_int_eq(segment_range(seg, 100, UINT64_MAX, &r), 0);
    ck_assert_uint_eq(r.offset, 8100);
    ck_assert_uint_eq(r.len, 7900);
    range_release(&r);
    ck_assert_int_eq(segment_range(seg, 8000, 1, &r), 0);
    ck_assert_uint_eq(r.len, 0);
    range_release(&r);
    ck_assert_int_eq(segment_range(seg, 9000, 1, &r), 0);
    ck_assert_uint_eq(r.len, 0);
    range_release(&r);
    segment_release(seg);
    ck_assert_int_eq(partition_segment_next(part, 24001, &st), -ENOENT);
}
END_TEST

START_TEST(newest_segment_held_over_its_roll)
{
    struct segment *seg;
    struct segment_stat st;

    fixture_append(part, "one\n");
    flush();
    ck_assert_int_eq(partition_segment_hold(part, 0, &seg), 0);
    ck_assert_int_eq(segment_get_stat(seg, &st), 0);
    ck_assert_uint_eq(st.visible_bytes, 4);
    ck_assert(!st.sealed);
    fixture_append(part, "two\n");
    ck_assert_int_eq(segment_get_stat(seg, &st), 0);
    ck_assert_uint_eq(st.visible_bytes, 4);
    for (int i = 0; i < 3; i++)
        fixture_append_bytes(part, 3999, 'x');
    ck_assert_int_eq(segment_get_stat(seg, &st), 0);
    ck_assert_uint_eq(st.visible_bytes, 8008);
    ck_assert(st.sealed);
    segment_release(seg);
}
END_TEST

static void add_read(TCase *tc)
{
    tcase_add_test(tc, find_boundaries_over_segments);
    tcase_add_test(tc, find_stops_at_the_visible_end);
    tcase_add_test(tc, number_and_offset_agree);
    tcase_add_test(tc, time_and_offset_agree);
    tcase_add_test(tc, number_and_time_open_few_segments);
    tcase_add_test(tc, time_of_a_message);
    tcase_add_test(tc, find_in_an_empty_partition);
    tcase_add_test(tc, find_survives_restart_and_recovery);
    tcase_add_test(tc, range_ends_with_its_segment_and_the_visible_end);
    tcase_add_test(tc, messages_are_whole_and_at_least_one);
    tcase_add_test(tc, text_is_the_same_through_every_door);
    tcase_add_test(tc, stat_counts);
    tcase_add_test(tc, segment_held_by_its_base);
    tcase_add_test(tc, newest_segment_held_over_its_roll);
}

int main(void)
{
    Suite *suite = suite_create("partition_read");
    TCase *tc = tcase_create("partition_read");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_read(tc);
    return suite_run(suite);
}
