/*
 * store/partition: append, its limits, rolling, and time, without threads.
 * Reading is in check_partition_read, waiting in check_flush.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/powercut.h" /* mem_below() */
#include "tests/support/suite.h"
#include "tests/unit/one_partition.h"

static void flush(void)
{
    ck_assert_int_eq(fixture_flush(&f, part), 0);
}

static size_t count_segments(void)
{
    struct segment_stat stats[64];

    return fixture_segments(part, stats, 64);
}

/* -- append and its limits -- */

START_TEST(append_says_where_the_set_begins)
{
    ck_assert_uint_eq(fixture_append(part, "one\n"), 0);
    ck_assert_uint_eq(fixture_append(part, "two\nthree\n"), 4);
    ck_assert_uint_eq(fixture_append(part, "\n"), 14);
    ck_assert_uint_eq(partition_end(part), 15);
    ck_assert_uint_eq(partition_visible_end(part), 0);
    flush();
    fixture_expect(&f, part, "one\ntwo\nthree\n\n");
}
END_TEST

static void expect_refused(struct set *set, int code, const char *says)
{
    uint64_t offset = 77;
    struct err err = {0};
    int rc = partition_append(part, set, &offset, &err);

    ck_assert_int_eq(rc, code);
    ck_assert_uint_eq(offset, 77);
    ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
    ck_assert_uint_eq(partition_end(part), 0);
    set_release(set);
}

START_TEST(append_message_of_the_limit_and_one_more)
{
    char line[4100];
    struct set set;
    size_t taken;

    memset(line, 'x', sizeof line);
    line[4000] = '\n';
    set_init(&set);
    ck_assert_int_eq(set_add_lines(&set, line, 4001, &taken), 0);
    expect_refused(&set, -EMSGSIZE, "message.max.bytes=4000");
    fixture_append_bytes(part, 3999, 'y');
}
END_TEST

START_TEST(append_message_whose_key_passes_the_limit)
{
    char key[4000];
    struct message m = {.value = "12", .value_len = 2, .key = key, .key_len = 3998};
    struct set set;

    memset(key, 'k', sizeof key);
    set_init(&set);
    ck_assert_int_eq(set_add_message(&set, &m), 0);
    expect_refused(&set, -EMSGSIZE, "message.max.bytes=4000");
}
END_TEST

START_TEST(append_set_over_the_limit)
{
    char lines[4097];
    struct set set;
    size_t taken;

    memset(lines, '\n', sizeof lines);
    set_init(&set);
    ck_assert_int_eq(set_add_lines(&set, lines, 4097, &taken), 0);
    expect_refused(&set, -EMSGSIZE, "set.max.bytes=4096");
}
END_TEST

START_TEST(append_newline_in_a_value)
{
    struct message m = {.value = "a\nb", .value_len = 3};
    struct partition *any = fixture_topic(&f, "any", "values=any\n");
    struct err err;
    struct set set;
    uint64_t offset;

    set_init(&set);
    ck_assert_int_eq(set_add_message(&set, &m), 0);
    ck_assert_int_eq(partition_append(any, &set, &offset, &err), 0);
    expect_refused(&set, -EINVAL, "values=lines");
    ck_assert_int_eq(fixture_flush(&f, any), 0);
    ck_assert_int_eq(partition_find(any, 2), ERR_NOT_A_BOUNDARY);
    fixture_expect(&f, any, "a\nb\n");
}
END_TEST

START_TEST(append_nothing_or_an_open_line)
{
    struct set set;
    size_t taken;

    set_init(&set);
    expect_refused(&set, -EINVAL, "without a whole message");
    set_init(&set);
    ck_assert_int_eq(set_add_lines(&set, "one\nopen", 8, &taken), 0);
    expect_refused(&set, -EINVAL, "without a whole message");
}
END_TEST

/* So many tiny messages that their entries alone pass segment.bytes. */
START_TEST(append_set_whose_entries_no_segment_holds)
{
    char lines[1000];
    struct set set;
    size_t taken;

    memset(lines, '\n', sizeof lines);
    for (int i = 0; i < 3; i++) {
        set_init(&set);
        ck_assert_int_eq(set_add_lines(&set, lines, sizeof lines, &taken), 0);
        expect_refused(&set, -EMSGSIZE, "no segment holds");
    }
    fixture_append(part, "one\n");
    ck_assert_uint_eq(count_segments(), 1);
}
END_TEST

/* -- rolling -- */

START_TEST(roll_by_size_of_log)
{
    struct segment_stat st[8];

    fixture_fill(&f, part);
    ck_assert_uint_eq(fixture_segments(part, st, 8), 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(st[i].base, i * 8000);
        ck_assert_uint_eq(st[i].visible_bytes, i < 3 ? 8000 : 6000);
        ck_assert_int_eq(st[i].sealed, i < 3);
        ck_assert_uint_eq(st[i].last_ms, 1000000 + (i < 3 ? i * 8 + 7 : 29) * 1000);
    }
    ck_assert(file_exists(&f, "t/sealed/0-00000000000000016000.log"));
    ck_assert(!file_exists(&f, "t/sealed/0-00000000000000024000.log"));
}
END_TEST

START_TEST(roll_exactly_full)
{
    fixture_append_bytes(part, 3999, 'a');
    fixture_append_bytes(part, 3999, 'b');
    fixture_append_bytes(part, 191, 'c'); /* 8192 */
    ck_assert_uint_eq(count_segments(), 1);
    fixture_append(part, "\n");
    ck_assert_uint_eq(count_segments(), 2);
}
END_TEST

START_TEST(roll_by_size_of_idx)
{
    for (int i = 0; i < 256; i++) /* 4096 + 256 * 16 = 8192 */
        fixture_append(part, "\n");
    ck_assert_uint_eq(count_segments(), 1);
    fixture_append(part, "\n");
    ck_assert_uint_eq(count_segments(), 2);
    ck_assert_uint_eq(file_size(&f, SEG0_IDX), 8192);
}
END_TEST

START_TEST(roll_by_size_of_meta)
{
    char key[3000];

    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    for (int i = 0; i < 3; i++)
        fixture_append_key(part, key, "v");
    ck_assert_uint_eq(count_segments(), 2);
    ck_assert_uint_eq(file_size(&f, SEG0_META), 6004);
    flush();
    fixture_expect(&f, part, "v\nv\nv\n");
    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    fixture_expect(&f, part, "v\nv\nv\n");
}
END_TEST

START_TEST(roll_never_splits_a_set)
{
    struct segment_stat st[8];

    fixture_append_bytes(part, 3999, 'a');
    fixture_append_bytes(part, 3999, 'b');
    fixture_append(part, "1\n2\n3\n4\n");
    fixture_append_bytes(part, 180, 'c'); /* 4 bytes short of full */
    fixture_append(part, "12\n12\n");
    ck_assert_uint_eq(fixture_segments(part, st, 8), 2);
    ck_assert_uint_eq(st[1].base, 8189);
}
END_TEST

START_TEST(roll_by_age)
{
    struct topic *topic = store_topic_find(f.store, "t");

    ck_assert_int_eq(topic_configure(topic, "segment.ms=60000\n", 17, &f.err), 0);
    topic_put(topic);
    fixture_append(part, "one\n");
    f.clock.now_ms += 59999;
    fixture_append(part, "two\n");
    ck_assert_uint_eq(count_segments(), 1);
    f.clock.now_ms += 1;
    fixture_append(part, "three\n");
    ck_assert_uint_eq(count_segments(), 2);
    flush();
    fixture_expect(&f, part, "one\ntwo\nthree\n");
}
END_TEST

static uint64_t base_time(const char *path)
{
    struct idx_header h;
    size_t len;
    char *idx = file_read(&f, path, &len);

    ck_assert_int_eq(idx_header_decode((uint8_t *)idx, &h), 0);
    free(idx);
    return h.base_time_ms;
}

START_TEST(empty_segment_never_rolls_it_is_renewed)
{
    uint64_t offset;

    f.clock.now_ms += 700000000; /* more than segment.ms */
    fixture_append(part, "one\n");
    ck_assert_uint_eq(count_segments(), 1);
    ck_assert_uint_eq(base_time(SEG0_IDX), 1000000 + 700000000);
    flush();
    ck_assert_int_eq(partition_find_time(part, 1000000 + 700000000, &offset), 0);
    ck_assert_uint_eq(offset, 0);
    fixture_kill_reopen(&f);
    fixture_expect(&f, fixture_part(&f, "t", 0), "one\n");
}
END_TEST

/* The renewal fails at every step; what is appended after it is kept. */
START_TEST(empty_segment_whose_renewal_fails)
{
    uint64_t offset;
    struct err err;

    memdisk_set_fault(
        f.disk, (struct memfault){
                    .calls = MEMCALL_CHANGES, .path = "t/0*", .nth = (uint64_t)_i, .error = -EIO});
    f.clock.now_ms += 700000000;
    fixture_try_append(part, "lost\n", &offset, &err);
    memdisk_set_fault(f.disk, (struct memfault){0});
    f.clock.now_ms -= 700000000; /* the clock was wrong: no renewal is needed now */
    if (fixture_try_append(part, "kept\n", &offset, &err) == 0) {
        flush();
        fixture_reopen(&f);
        part = fixture_part(&f, "t", 0);
        ck_assert_uint_eq(partition_visible_end(part), offset + 5);
        ck_assert_int_eq(partition_find(part, offset), 0);
    }
}
END_TEST

START_TEST(time_never_falls_in_a_segment)
{
    uint64_t offset;

    f.clock.now_ms = 1100000;
    fixture_append(part, "one\n");
    f.clock.now_ms = 1040000; /* a minute back: not more */
    fixture_append(part, "two\n");
    ck_assert_uint_eq(count_segments(), 1);
    flush();
    ck_assert_int_eq(partition_find_time(part, 1100000, &offset), 0);
    ck_assert_uint_eq(offset, 0);
    ck_assert_int_eq(partition_find_time(part, 1100001, &offset), 0);
    ck_assert_uint_eq(offset, 8); /* both have the same time */
}
END_TEST

START_TEST(clock_stepped_back_by_more_than_a_minute_rolls)
{
    struct segment_stat st[8];
    uint64_t offset;

    f.clock.now_ms = 1100000;
    fixture_append(part, "one\n");
    f.clock.now_ms = 1039999;
    fixture_append(part, "two\n");
    fixture_append(part, "three\n");
    ck_assert_uint_eq(fixture_segments(part, st, 8), 2);
    flush();
    ck_assert_uint_eq(base_time("t/0/00000000000000000004.idx"), 1039999);
    ck_assert_int_eq(partition_find_time(part, 1039999, &offset), 0);
    ck_assert_uint_eq(offset, 0); /* segments by their maximum: one is not older */
    ck_assert_int_eq(partition_find_time(part, 1100001, &offset), 0);
    ck_assert_uint_eq(offset, 14);
    fixture_kill_reopen(&f);
    fixture_expect(&f, fixture_part(&f, "t", 0), "one\ntwo\nthree\n");
}
END_TEST

/* The clock jumps about at random; times in a segment never fall. */
START_TEST(clock_that_steps_at_random)
{
    uint64_t rng = (uint64_t)_i + 1;

    for (int i = 0; i < 500; i++) {
        f.clock.now_ms = 1000000 + mem_below(&rng, 300000);
        fixture_append(part, "a line of some length, so that it also rolls\n");
    }
    flush();
    fixture_kill_reopen(&f); /* recovery refuses entries whose time falls */
    part = fixture_part(&f, "t", 0);
    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), 500 * 45);
}
END_TEST

START_TEST(roll_of_a_topic_with_the_longest_name)
{
    char name[TOPIC_NAME_MAX + 1];

    memset(name, 'n', TOPIC_NAME_MAX);
    name[TOPIC_NAME_MAX] = '\0';
    part = fixture_topic(&f, name, SMALL_SEGMENTS);
    fixture_fill(&f, part);
    ck_assert_uint_eq(count_segments(), 4);
    f.clock.now_ms += 700000000;
    fixture_append(part, "one\n");
    ck_assert_uint_eq(count_segments(), 5);
}
END_TEST

static void add_append(TCase *tc)
{
    tcase_add_test(tc, append_says_where_the_set_begins);
    tcase_add_test(tc, append_message_of_the_limit_and_one_more);
    tcase_add_test(tc, append_message_whose_key_passes_the_limit);
    tcase_add_test(tc, append_set_over_the_limit);
    tcase_add_test(tc, append_newline_in_a_value);
    tcase_add_test(tc, append_nothing_or_an_open_line);
    tcase_add_test(tc, append_set_whose_entries_no_segment_holds);
    tcase_add_test(tc, roll_by_size_of_log);
    tcase_add_test(tc, roll_exactly_full);
    tcase_add_test(tc, roll_by_size_of_idx);
    tcase_add_test(tc, roll_by_size_of_meta);
    tcase_add_test(tc, roll_never_splits_a_set);
    tcase_add_test(tc, roll_by_age);
    tcase_add_test(tc, empty_segment_never_rolls_it_is_renewed);
    tcase_add_loop_test(tc, empty_segment_whose_renewal_fails, 1, 10);
    tcase_add_test(tc, time_never_falls_in_a_segment);
    tcase_add_test(tc, clock_stepped_back_by_more_than_a_minute_rolls);
    tcase_add_loop_test(tc, clock_that_steps_at_random, 0, 5);
    tcase_add_test(tc, roll_of_a_topic_with_the_longest_name);
}

int main(void)
{
    Suite *suite = suite_create("partition");
    TCase *tc = tcase_create("partition");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_append(tc);
    return suite_run(suite);
}
