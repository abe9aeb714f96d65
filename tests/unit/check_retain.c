/*
 * store/retain: what retention removes, what it keeps, and what it costs. That a
 * power cut leaves a suffix of the segments is shown by tests/crash.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/retain_fixture.h"

static unsigned segments(void)
{
    struct segment_stat stats[8];

    return (unsigned)fixture_segments(part, stats, 8);
}

/* The names in the partition and in sealed/, a line each, sorted by tree_text(). */
static void expect_files(const char *want)
{
    char got[2000] = "";
    char *tree = tree_text(&f);

    for (char *line = strtok(tree, "\n"); line; line = strtok(NULL, "\n")) {
        line[strcspn(line, " ")] = '\0';
        if (strstr(line, ".log") || strstr(line, ".idx") || strstr(line, ".meta")) {
            strcat(got, line);
            strcat(got, "\n");
        }
    }
    free(tree);
    ck_assert_str_eq(got, want);
}

/* -- by time -- */

START_TEST(segments_go_whose_last_message_is_too_old)
{
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(17000); /* message 7, the last of the first segment, is 10 seconds old */
    ck_assert_uint_eq(first(), 0);
    check_at(17001);
    ck_assert_uint_eq(first(), 8000);
    ck_assert_uint_eq(segments(), 3);
    check_at(33001);
    ck_assert_uint_eq(first(), 24000);
    ck_assert_uint_eq(fixture_status_number(&f, "removed by retention"), 3);
}
END_TEST

START_TEST(nothing_goes_where_retention_is_off)
{
    fixture_configure(&f, "t", "retention.ms=off\n");
    check_at(1u << 30);
    ck_assert_uint_eq(first(), 0);
    ck_assert_uint_eq(segments(), 4);
}
END_TEST

START_TEST(checks_are_as_far_apart_as_set)
{
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(17000);
    f.clock.now_ms = BEGUN_MS + 17999;
    fixture_work(&f);
    ck_assert_uint_eq(first(), 0);
    f.clock.now_ms = BEGUN_MS + 18000;
    fixture_work(&f);
    ck_assert_uint_eq(first(), 8000);
}
END_TEST

START_TEST(all_files_of_a_segment_go_and_its_link)
{
    fixture_configure(&f, "t", TEN_SECONDS);
    file_write(&f, "t/0/00000000000000008000.prod", "p", 1);
    file_write(&f, "t/0/00000000000000008000.damaged", "d", 1);
    check_at(33001);
    expect_files("t/0/00000000000000024000.idx\n"
                 "t/0/00000000000000024000.log\n");
    ck_assert(!file_exists(&f, "t/0/00000000000000008000.prod"));
    ck_assert(!file_exists(&f, "t/0/00000000000000008000.damaged"));
}
END_TEST

START_TEST(the_newest_segment_of_an_idle_partition_is_rolled_and_goes)
{
    uint64_t offset;

    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(39000);
    ck_assert_uint_eq(first(), 24000);
    check_at(39001); /* message 29 was the last */
    ck_assert_uint_eq(first(), 30000);
    expect_files("t/0/00000000000000030000.idx\n"
                 "t/0/00000000000000030000.log\n");
    /* offsets and numbers go on */
    ck_assert_uint_eq(fixture_append(part, "next\n"), 30000);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_int_eq(partition_find_number(part, 30, &offset), 0);
    ck_assert_uint_eq(offset, 30000);
    ck_assert_int_eq(partition_find_number(part, 29, &offset), ERR_GONE);
    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(first(), 30000);
    fixture_expect(&f, part, "next\n");
}
END_TEST

/* What nobody has flushed is flushed by the roll before it goes. */
START_TEST(an_idle_partition_with_unflushed_messages)
{
    struct partition *u = fixture_topic(&f, "u", "flush.ms=86400000\n" TEN_SECONDS);

    fixture_append(u, "never flushed\n");
    ck_assert_uint_eq(partition_visible_end(u), 0);
    f.clock.now_ms += 10001;
    f.store->retainer.next_ms = 0;
    store_work(f.store, false);
    ck_assert_uint_eq(partition_first(u), 14);
    ck_assert_uint_eq(partition_visible_end(u), 14);
}
END_TEST

START_TEST(an_empty_partition_is_left_as_it_is)
{
    char *before;

    fixture_topic(&f, "empty", "partitions=3\n" TEN_SECONDS);
    before = tree_text(&f);
    check_at(60000); /* t's own retention is a week */
    tree_unchanged(&f, before);
}
END_TEST

/* Files that nobody appends to stay closed: only what was rolled was opened. */
START_TEST(an_idle_partition_keeps_no_file_open)
{
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(39001);
    ck_assert_uint_eq(first(), 30000);
    ck_assert(!part->pinned);
    segments_close_idle(f.store, 0);
    ck_assert_uint_eq(fixture_status_number(&f, "open segments"), 0);
}
END_TEST

/* -- by bytes -- */

/* A full segment's files have 12,224 bytes, the newest's 10,192. */
START_TEST(so_many_bytes_are_kept)
{
    fixture_configure(&f, "t", "retention.bytes=34641\n");
    check_at(30000);
    ck_assert_uint_eq(first(), 0);
    fixture_configure(&f, "t", "retention.bytes=34640\n");
    check_at(31000);
    ck_assert_uint_eq(first(), 8000);
    check_at(32000);
    ck_assert_uint_eq(first(), 8000);
    fixture_configure(&f, "t", "retention.bytes=1\n");
    check_at(33000);
    ck_assert_uint_eq(first(), 24000); /* the newest never goes for its bytes */
}
END_TEST

START_TEST(bytes_are_counted_as_segments_are_rolled)
{
    fixture_configure(&f, "t", "retention.bytes=34640\n");
    for (int i = 0; i < 40; i++) {
        fixture_append_bytes(part, 999, 'x');
        check_at((uint64_t)30000 + (uint64_t)i * 1000);
        ck_assert_uint_ge(part->retention.sealed_bytes + 12224, 34640);
        ck_assert_uint_le(segments(), 4);
    }
    ck_assert_uint_eq(first(), 48000);
}
END_TEST

/* The sizes of segments that a start finds are the same as those that were rolled. */
START_TEST(bytes_are_counted_again_at_a_start)
{
    uint64_t bytes = part->retention.sealed_bytes;

    ck_assert_uint_eq(bytes, 36672);
    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(part->retention.sealed_bytes, bytes);
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    fixture_configure(&f, "t", "retention.bytes=34640\n");
    check_at(30000); /* loads it */
    ck_assert_uint_eq(first(), 8000);
    ck_assert_uint_eq(part->retention.sealed_bytes, bytes - 12224);
}
END_TEST

/* -- who reads -- */

START_TEST(a_held_segment_reads_on)
{
    struct segment *seg;
    struct segment_stat st;
    struct range r;

    ck_assert_int_eq(partition_segment_hold(part, 8000, &seg), 0);
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(39001);
    ck_assert_int_eq(segment_get_stat(seg, &st), 0);
    ck_assert_uint_eq(st.visible_bytes, 8000);
    ck_assert(st.sealed);
    ck_assert_uint_eq(st.last_ms, BEGUN_MS + 15000);
    ck_assert_int_eq(segment_range(seg, 1000, 5000, &r), 0);
    ck_assert_uint_eq(r.len, 5000);
    range_release(&r);
    segment_release(seg);
    ck_assert_int_eq(partition_segment_hold(part, 8000, &seg), -ENOENT);
}
END_TEST

START_TEST(what_was_removed_is_gone_for_all_others)
{
    struct partition_stat st;
    uint64_t at;
    uint64_t skipped = 0;
    struct range r;

    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(17001);
    ck_assert_int_eq(partition_find(part, 7000), ERR_GONE);
    ck_assert_int_eq(partition_find(part, 8000), 0);
    ck_assert_int_eq(partition_range(part, 7999, 10, &r), ERR_GONE);
    ck_assert_int_eq(partition_messages(part, 0, 10, &r, &skipped), ERR_GONE);
    ck_assert_int_eq(partition_time_of(part, 0, &at), ERR_GONE);
    ck_assert_int_eq(partition_find_number(part, 7, &at), ERR_GONE);
    ck_assert_int_eq(partition_find_number(part, 8, &at), 0);
    ck_assert_uint_eq(at, 8000);
    ck_assert_int_eq(partition_find_time(part, BEGUN_MS, &at), 0);
    ck_assert_uint_eq(at, 8000);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.first, 8000);
    ck_assert_uint_eq(st.messages, 22);
}
END_TEST

START_TEST(damage_below_the_first_is_forgotten)
{
    struct partition_stat st;

    fixture_kill(&f);
    file_cut(&f, "t/0/00000000000000000000.log", 5000);
    file_cut(&f, "t/0/00000000000000008000.log", 5000);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.damaged_runs, 2);
    ck_assert_uint_eq(st.damaged_messages, 6);
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(17001);
    ck_assert_uint_eq(first(), 8000);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.damaged_runs, 1);
    ck_assert_uint_eq(st.damaged_messages, 3);
}
END_TEST

/* -- the clock -- */

START_TEST(the_clock_steps_back_and_nothing_goes_too_early)
{
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(17001);
    f.clock.now_ms = 5000; /* long before all messages */
    f.store->retainer.next_ms = 0;
    fixture_work(&f);
    ck_assert_uint_eq(first(), 8000);
    /* what is appended now is not older than it is, whatever stands before it */
    fixture_append_bytes(part, 999, 'x');
    for (uint64_t s = 1; s <= 20; s++) {
        f.clock.now_ms = 5000 + s * 1000;
        fixture_work(&f);
    }
    ck_assert_uint_eq(first(), 8000);
    check_at(39001);
    ck_assert_uint_eq(first(), 31000); /* now all is */
}
END_TEST

/* Without a step of the store's own, the next check is at most one interval away. */
START_TEST(the_clock_steps_back_and_checks_go_on)
{
    fixture_configure(&f, "t", TEN_SECONDS);
    f.clock.now_ms = BEGUN_MS + 16000;
    fixture_work(&f);
    f.store->retainer.next_ms += 3600000; /* as if the clock had been an hour ahead */
    f.clock.now_ms = BEGUN_MS + 17001;
    fixture_work(&f);
    ck_assert_uint_eq(first(), 8000);
}
END_TEST

START_TEST(the_clock_steps_forward_and_what_is_too_old_then_goes)
{
    fixture_configure(&f, "t", "retention.ms=604800000\n");
    check_at((uint64_t)86400 * 365 * 1000);
    ck_assert_uint_eq(first(), 30000);
    /* back again: what is appended stays for a week of the clock as it is then */
    f.clock.now_ms = BEGUN_MS + 30000;
    fixture_append(part, "after\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    check_at(604000000);
    fixture_expect(&f, part, "after\n");
}
END_TEST

/* -- what is not known, what is broken -- */

/* Entry counts and times are taken from an index only where it agrees with its
 * neighbours; one that says nothing makes its segment wait for the next. */
START_TEST(a_segment_whose_index_does_not_say_goes_with_the_next)
{
    fixture_kill(&f);
    if (_i == 0)
        file_flip(&f, "t/0/00000000000000000000.idx", 8); /* the header */
    else
        file_cut(&f, "t/0/00000000000000000000.idx", ENTRY_AT(1)); /* 7 entries are gone */
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    if (partition_failed(part)) { /* then it is evidence */
        fixture_configure(&f, "t", TEN_SECONDS);
        check_at(39001);
        ck_assert_uint_eq(first(), 0);
        return;
    }
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(25000);
    ck_assert_uint_eq(first(), 0);
    check_at(25001);
    ck_assert_uint_eq(first(), 16000);
}
END_TEST

START_TEST(a_failed_partition_is_left_alone)
{
    fixture_append(part, "x\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), "*.log", 1, false, -EIO);
    ck_assert_int_eq(fixture_fsync(&f, part), 0); /* by the journal */
    partition_fail(part, -EIO, "for this test");
    fixture_no_faults(&f);
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(60000);
    ck_assert_uint_eq(first(), 0);
}
END_TEST

/* -- failures -- */

static const struct {
    unsigned call;
    const char *path;
    bool half; /* it has begun to go */
} failures[] = {
    {MEMCALL_UNLINK, "t/sealed/*", false},   {MEMCALL_SYNC_DIR, "t/sealed", false},
    {MEMCALL_UNLINK, "t/0/*.log", true},     {MEMCALL_SYNC_DIR, "t/0", true},
    {MEMCALL_UNLINK, "t/0/*.meta", true},    {MEMCALL_UNLINK, "t/0/*.idx", true},
    {MEMCALL_OPEN, "t/0/*00000.log", false},
};

/* A step fails: the segment can be read still, the partition goes on, and the
 * next check does it. */
START_TEST(a_step_that_fails_is_done_at_the_next_check)
{
    struct range r;

    fixture_configure(&f, "t", TEN_SECONDS);
    segments_close_idle(f.store, 0);
    fixture_fail_calls(&f, MEMCALL_BIT(failures[_i].call), failures[_i].path, 1, true, -EIO);
    check_at(17001);
    ck_assert_uint_gt(f.disk->fault_hits, 0);
    fixture_no_faults(&f);
    ck_assert_uint_eq(first(), 0);
    ck_assert_int_eq(partition_range(part, 500, 10, &r), 0);
    ck_assert_uint_eq(r.len, 10);
    range_release(&r);
    ck_assert_uint_eq(fixture_append(part, "goes on\n"), 30000);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_int_eq(retain_unfinished(part), failures[_i].half);
    check_at(18001);
    ck_assert_uint_eq(first(), 8000);
    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(first(), 8000);
}
END_TEST

/* .clean would say what is not so: the next start recovers. */
START_TEST(a_clean_stop_with_a_half_removed_segment)
{
    fixture_configure(&f, "t", TEN_SECONDS);
    fixture_fail_calls(&f, MEMCALL_BIT(failures[_i].call), failures[_i].path, 1, true, -EIO);
    check_at(17001);
    fixture_no_faults(&f);
    ck_assert_int_eq(store_close(f.store, &f.err), failures[_i].half ? -EIO : 0);
    f.store = NULL;
    ck_assert_int_eq(file_exists(&f, ".clean"), !failures[_i].half);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    check_at(18001);
    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(first(), 8000);
    ck_assert_uint_eq(fixture_append(part, "goes on\n"), 30000);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
}
END_TEST

START_TEST(no_room_for_the_successor_of_an_idle_segment)
{
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(33001);
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_OPEN), "*.idx.tmp", 1, true, -ENOSPC);
    check_at(39001);
    fixture_no_faults(&f);
    ck_assert_uint_eq(first(), 24000);
    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), 30000);
    check_at(40001);
    ck_assert_uint_eq(first(), 30000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retain");
    TCase *tc = tcase_create("retain");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, segments_go_whose_last_message_is_too_old);
    tcase_add_test(tc, nothing_goes_where_retention_is_off);
    tcase_add_test(tc, checks_are_as_far_apart_as_set);
    tcase_add_test(tc, all_files_of_a_segment_go_and_its_link);
    tcase_add_test(tc, the_newest_segment_of_an_idle_partition_is_rolled_and_goes);
    tcase_add_test(tc, an_idle_partition_with_unflushed_messages);
    tcase_add_test(tc, an_empty_partition_is_left_as_it_is);
    tcase_add_test(tc, an_idle_partition_keeps_no_file_open);
    tcase_add_test(tc, so_many_bytes_are_kept);
    tcase_add_test(tc, bytes_are_counted_as_segments_are_rolled);
    tcase_add_test(tc, bytes_are_counted_again_at_a_start);
    tcase_add_test(tc, a_held_segment_reads_on);
    tcase_add_test(tc, what_was_removed_is_gone_for_all_others);
    tcase_add_test(tc, damage_below_the_first_is_forgotten);
    tcase_add_test(tc, the_clock_steps_back_and_nothing_goes_too_early);
    tcase_add_test(tc, the_clock_steps_back_and_checks_go_on);
    tcase_add_test(tc, the_clock_steps_forward_and_what_is_too_old_then_goes);
    tcase_add_loop_test(tc, a_segment_whose_index_does_not_say_goes_with_the_next, 0, 2);
    tcase_add_test(tc, a_failed_partition_is_left_alone);
    tcase_add_loop_test(tc, a_step_that_fails_is_done_at_the_next_check, 0, 7);
    tcase_add_loop_test(tc, a_clean_stop_with_a_half_removed_segment, 0, 7);
    tcase_add_test(tc, no_room_for_the_successor_of_an_idle_segment);
    return suite_run(suite);
}
