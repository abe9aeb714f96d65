/*
 * store: gaps, what a partition leaves out on purpose (partition_skip_to): leaving
 * them, and what is on both sides. What may be wrong about them: check_gap_damage.
 * Crash states of a gap are in tests/crash; faults in check_store_faults.
 */
#include "tests/support/suite.h"
#include "tests/unit/gap_fixture.h"

/* -- leaving one -- */

START_TEST(nothing_is_behind_it_yet)
{
    leave_gap();
    expect_gap("", 0);
    for (size_t i = 0; i < RESTARTS; i++) {
        stop_and_start(restarts[i]);
        expect_gap("", 0);
    }
    ck_assert(file_exists(&f, GAP_LOG) && file_exists(&f, GAP_IDX));
    ck_assert(file_exists(&f, "t/sealed/0-00000000000000000000.log"));
}
END_TEST

START_TEST(messages_are_behind_it)
{
    leave_gap();
    ck_assert_uint_eq(fixture_append(part, "dd\neee\n"), 1000);
    fixture_flush(&f, part);
    expect_gap("dd\neee\n", 2);
    for (size_t i = 0; i < RESTARTS; i++) {
        stop_and_start(restarts[i]);
        expect_gap("dd\neee\n", 2);
    }
    ck_assert_uint_eq(fixture_append(part, "f\n"), 1007);
    fixture_flush(&f, part);
    expect_gap("dd\neee\nf\n", 3);
}
END_TEST

/* Above the slot, in the journal only: a kill and a start replay behind the gap. */
START_TEST(what_is_behind_it_is_replayed)
{
    leave_gap();
    fixture_append(part, "dd\n");
    fixture_flush(&f, part);
    fixture_append(part, "torn\n");
    fixture_kill(&f);
    file_cut(&f, GAP_LOG, 0);
    file_cut(&f, GAP_IDX, IDX_HEADER_BYTES);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_gt(fixture_status_number(&f, "replayed at start"), 0);
    expect_gap("dd\n", 1);
}
END_TEST

START_TEST(what_is_torn_behind_it_is_cut)
{
    leave_gap();
    fixture_append(part, "dd\n");
    fixture_kill(&f);
    file_cut(&f, GAP_LOG, 1);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    expect_gap("", 0);
}
END_TEST

START_TEST(os_flushes_too)
{
    part = fixture_topic(&f, "o", "flush.sync=os\n");
    fixture_append(part, "a\nbb\nccc\n");
    ck_assert_int_eq(skip_to(1000, 50), 0);
    expect_gap("", 0);
    fixture_append(part, "d\n");
    expect_gap("d\n", 1);
}
END_TEST

START_TEST(refused_where_messages_are)
{
    char *before;

    fixture_append(part, "a\nbb\nccc\n");
    fixture_flush(&f, part);
    before = tree_text(&f);
    ck_assert_int_eq(skip_to(8, 3), -EEXIST);
    ck_assert_int_eq(skip_to(0, 0), -EEXIST);
    ck_assert_int_eq(skip_to(1000, 2), -EINVAL);       /* there is a message 2 */
    ck_assert_int_eq(skip_to(1000, 3 + 992), -EINVAL); /* more messages than bytes */
    ck_assert_int_eq(skip_to(9, 4), -EINVAL);          /* a message without bytes */
    ck_assert_int_eq(skip_to((uint64_t)INT64_MAX + 1, 3), -EINVAL);
    ck_assert_int_eq(skip_to(9, 3), 0); /* no gap */
    tree_unchanged(&f, before);
    ck_assert_int_eq(skip_to(1000, 3 + 991), 0);
}
END_TEST

START_TEST(refused_by_one_that_can_not_append)
{
    fixture_append(part, "a\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), "*.idx", 1, false, -EIO);
    ck_assert_int_eq(skip_to(1000, 50), -EIO);
    fixture_no_faults(&f);
    ck_assert(partition_failed(part));
    ck_assert_int_eq(skip_to(1000, 50), ERR_FAILED);
    ck_assert_uint_eq(partition_end(part), 2);
    ck_assert(!file_exists(&f, GAP_IDX));

    part = fixture_topic(&f, "u", "");
    store_stop_waiting(f.store);
    ck_assert_int_eq(skip_to(1000, 50), ERR_STOPPING);
}
END_TEST

START_TEST(no_room_changes_nothing)
{
    fixture_append(part, "a\nbb\nccc\n");
    ck_assert_int_eq(fixture_fsync(&f, part), 0);
    f.disk->room_bytes = 1;
    ck_assert_int_eq(skip_to(1000, 50), -ENOSPC);
    ck_assert_uint_eq(partition_visible_end(part), 9);
    ck_assert(!file_exists(&f, GAP_IDX) && !file_exists(&f, GAP_LOG));
    f.disk->room_bytes = 0;
    ck_assert_int_eq(skip_to(1000, 50), 0);
    expect_gap("", 0);
}
END_TEST

START_TEST(who_waits_is_told)
{
    struct waiting near, far;

    waiting_init(&near);
    waiting_init(&far);
    fixture_append(part, "a\nbb\nccc\n");
    partition_watch(part, 10, &near.w);
    partition_watch(part, 1001, &far.w);
    ck_assert_int_eq(skip_to(1000, 50), 0);
    ck_assert(waiting_told(&near));
    ck_assert_int_eq(near.rc, 0);
    ck_assert(!waiting_told(&far));
    fixture_append(part, "d\n");
    fixture_flush(&f, part);
    ck_assert(waiting_told(&far));
}
END_TEST

/* -- in the place of an empty segment -- */

/* A mirror of a partition that begins further on. */
START_TEST(a_partition_that_begins_with_one)
{
    struct gap gap;
    struct partition_stat st;

    ck_assert_int_eq(skip_to(1000, 50), 0);
    for (size_t i = 0; i <= RESTARTS; i++) {
        ck_assert(!file_exists(&f, SEG0_LOG) && !file_exists(&f, SEG0_IDX));
        ck_assert_int_eq(partition_stat(part, &st), 0);
        ck_assert_uint_eq(st.first, 1000);
        ck_assert_uint_eq(st.sealed_end, 1000);
        ck_assert_uint_eq(st.visible_end, 1000);
        ck_assert_uint_eq(st.messages, 0);
        ck_assert_int_eq(partition_find(part, 0), ERR_GONE);
        ck_assert_int_eq(partition_find(part, 1000), 0);
        ck_assert_int_eq(partition_gap_next(part, 0, &gap), -ENOENT);
        if (i < RESTARTS)
            stop_and_start(restarts[i]);
    }
    ck_assert_uint_eq(fixture_append(part, "d\n"), 1000);
    fixture_flush(&f, part);
    fixture_expect(&f, part, "d\n");
}
END_TEST

START_TEST(one_behind_another)
{
    fixture_append(part, "a\nbb\nccc\n");
    ck_assert_int_eq(skip_to(100, 10), 0);
    ck_assert_int_eq(skip_to(500, 10), 0);
    ck_assert_int_eq(skip_to(1000, 50), 0);
    ck_assert(!file_exists(&f, "t/0/00000000000000000100.log"));
    ck_assert(!file_exists(&f, "t/0/00000000000000000100.idx"));
    ck_assert(!file_exists(&f, "t/0/00000000000000000500.idx"));
    for (size_t i = 0; i < RESTARTS; i++) {
        expect_gap("", 0);
        stop_and_start(restarts[i]);
    }
    fixture_append(part, "d\n");
    ck_assert_int_eq(skip_to(2000, 51), 0);
    fixture_append(part, "e\n");
    fixture_flush(&f, part);
    for (size_t i = 0; i < RESTARTS; i++) {
        struct partition_stat st;
        struct gap gap;

        ck_assert_int_eq(partition_stat(part, &st), 0);
        ck_assert_uint_eq(st.messages, 5);
        ck_assert_uint_eq(st.damaged_runs, 0);
        ck_assert_int_eq(partition_gap_next(part, 1000, &gap), 0);
        ck_assert_uint_eq(gap.offset, 1002);
        ck_assert_uint_eq(gap.end, 2000);
        ck_assert_uint_eq(gap.messages, 0);
        stop_and_start(restarts[i]);
    }
}
END_TEST

/* A power cut may leave any of the files of what a gap has replaced. */
START_TEST(what_it_replaced_goes_at_the_next_start)
{
    static const char *const names[] = {"t/0/00000000000000000009.log",
                                        "t/0/00000000000000000009.idx",
                                        "t/0/00000000000000000009.meta"};
    uint8_t header[IDX_HEADER_BYTES];
    struct idx_header h = {.base_offset = 9, .base_number = 3, .base_time_ms = 5};

    idx_header_encode(header, &h);
    leave_gap();
    for (unsigned set = 1; set < 8; set++) {
        fixture_kill(&f);
        for (unsigned i = 0; i < 3; i++)
            if (set >> i & 1)
                file_write(&f, names[i], header, i == 1 ? sizeof header : 0);
        fixture_open(&f);
        part = fixture_part(&f, "t", 0);
        for (unsigned i = 0; i < 3; i++)
            ck_assert(!file_exists(&f, names[i]));
        expect_gap("", 0);
    }
}
END_TEST

START_TEST(what_it_replaced_can_not_be_unlinked)
{
    static const char old[] = "t/0/00000000000000000100.idx";

    fixture_append(part, "a\nbb\nccc\n");
    ck_assert_int_eq(skip_to(100, 10), 0);
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_UNLINK), old, 1, false, -EIO);
    ck_assert_int_eq(skip_to(1000, 50), 0);
    ck_assert(file_exists(&f, old));
    expect_gap("", 0);
    stop_and_start(fixture_kill_reopen);
    ck_assert(!file_exists(&f, old));
    expect_gap("", 0);
}
END_TEST

START_TEST(an_empty_one_behind_it_is_renewed)
{
    leave_gap();
    f.clock.now_ms += 8 * 86400000u; /* above segment.ms */
    fixture_append(part, "d\n");
    fixture_flush(&f, part);
    expect_gap("d\n", 1);
    stop_and_start(fixture_kill_reopen);
    expect_gap("d\n", 1);
}
END_TEST

START_TEST(segments_follow_behind_it)
{
    struct segment_stat stats[10];
    size_t n;

    leave_gap();
    fixture_fill(&f, part);
    for (size_t i = 0; i < RESTARTS; i++) {
        struct partition_stat st;

        n = fixture_segments(part, stats, 10);
        ck_assert_uint_gt(n, 4);
        ck_assert_uint_eq(stats[0].base, 0);
        ck_assert_uint_eq(stats[0].visible_bytes, 9);
        ck_assert(stats[0].sealed);
        ck_assert_uint_eq(stats[1].base, 1000);
        ck_assert_uint_eq(stats[2].base, stats[1].base + stats[1].visible_bytes);
        ck_assert_int_eq(partition_stat(part, &st), 0);
        ck_assert_uint_eq(st.messages, 33);
        ck_assert_uint_eq(st.damaged_runs, 0);
        stop_and_start(restarts[i]);
    }
}
END_TEST

/* What retention leaves begins behind the gap; then nothing is left but its end. */
START_TEST(retention_passes_it)
{
    struct partition_stat st;
    struct gap gap;

    leave_gap();
    fixture_configure(&f, "t", "retention.ms=100000000\n");
    f.clock.now_ms += 90000000;
    fixture_append(part, "d\n");
    fixture_flush(&f, part);
    f.clock.now_ms += 90000000;
    fixture_work(&f);
    for (size_t i = 0; i <= RESTARTS; i++) {
        ck_assert_int_eq(partition_stat(part, &st), 0);
        ck_assert_uint_eq(st.first, 1000);
        ck_assert_uint_eq(st.sealed_end, 1000);
        ck_assert_uint_eq(st.messages, 1);
        ck_assert_int_eq(partition_gap_next(part, 0, &gap), -ENOENT);
        ck_assert_int_eq(partition_find(part, 9), ERR_GONE);
        if (i < RESTARTS)
            stop_and_start(restarts[i]);
    }
    ck_assert_int_eq(skip_to(2000, 51), 0);
    f.clock.now_ms += 200000000;
    fixture_work(&f);
    for (size_t i = 0; i <= RESTARTS; i++) {
        ck_assert_int_eq(partition_stat(part, &st), 0);
        ck_assert_uint_eq(st.first, 2000);
        ck_assert_uint_eq(st.visible_end, 2000);
        ck_assert_uint_eq(st.messages, 0);
        if (i < RESTARTS)
            stop_and_start(restarts[i]);
    }
}
END_TEST

START_TEST(a_removed_topic_has_none)
{
    struct topic *topic = topic_get(partition_topic(part));

    ck_assert_int_eq(store_topic_remove(f.store, "t", &f.err), 0);
    ck_assert_int_eq(skip_to(1000, 50), -ENOENT);
    topic_put(topic);
}
END_TEST

START_TEST(times_are_found_on_both_sides)
{
    uint64_t offset;

    f.clock.now_ms = 1000000;
    f.clock.step_ms = 0;
    fixture_append(part, "a\nbb\nccc\n");
    f.clock.now_ms = 2000000;
    ck_assert_int_eq(skip_to(1000, 50), 0);
    f.clock.now_ms = 3000000;
    fixture_append(part, "d\n");
    fixture_flush(&f, part);
    for (size_t i = 0; i < RESTARTS; i++) {
        ck_assert_int_eq(partition_find_time(part, 1000000, &offset), 0);
        ck_assert_uint_eq(offset, 0);
        ck_assert_int_eq(partition_find_time(part, 1000001, &offset), 0);
        ck_assert_uint_eq(offset, 1000);
        ck_assert_int_eq(partition_find_time(part, 3000000, &offset), 0);
        ck_assert_uint_eq(offset, 1000);
        ck_assert_int_eq(partition_find_time(part, 3000001, &offset), 0);
        ck_assert_uint_eq(offset, 1002);
        stop_and_start(restarts[i]);
    }
}
END_TEST

static void add_leaving(TCase *tc)
{
    tcase_add_test(tc, nothing_is_behind_it_yet);
    tcase_add_test(tc, messages_are_behind_it);
    tcase_add_test(tc, what_is_behind_it_is_replayed);
    tcase_add_test(tc, what_is_torn_behind_it_is_cut);
    tcase_add_test(tc, os_flushes_too);
    tcase_add_test(tc, refused_where_messages_are);
    tcase_add_test(tc, refused_by_one_that_can_not_append);
    tcase_add_test(tc, no_room_changes_nothing);
    tcase_add_test(tc, who_waits_is_told);
    tcase_add_test(tc, a_partition_that_begins_with_one);
    tcase_add_test(tc, one_behind_another);
    tcase_add_test(tc, what_it_replaced_goes_at_the_next_start);
    tcase_add_test(tc, what_it_replaced_can_not_be_unlinked);
    tcase_add_test(tc, an_empty_one_behind_it_is_renewed);
    tcase_add_test(tc, segments_follow_behind_it);
    tcase_add_test(tc, retention_passes_it);
    tcase_add_test(tc, a_removed_topic_has_none);
    tcase_add_test(tc, times_are_found_on_both_sides);
}

int main(void)
{
    Suite *suite = suite_create("gap");
    TCase *tc = tcase_create("gap");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add_leaving(tc);
    return suite_run(suite);
}
