/*
 * store: what does not grow with what is stored. Counted in calls of the
 * in-memory disk, so that no clock decides.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define SEGMENTS 4u /* that fixture_fill() makes */

static struct fixture f;

static void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
}

static void teardown(void)
{
    fixture_end(&f);
}

static uint64_t calls(unsigned set)
{
    uint64_t n = 0;

    for (int i = 0; i < MEMCALL_COUNT; i++)
        if (set & MEMCALL_BIT(i))
            n += f.disk->calls[i];
    return n;
}

#define OPENS MEMCALL_BIT(MEMCALL_OPEN)
#define LOOKS (OPENS | MEMCALL_BIT(MEMCALL_LIST) | MEMCALL_BIT(MEMCALL_STAT))
#define SYNCS \
    (MEMCALL_BIT(MEMCALL_FDATASYNC) | MEMCALL_BIT(MEMCALL_SYNCFS) | MEMCALL_BIT(MEMCALL_SYNC_DIR))

/* How many such calls the start of a store takes whose topic has so many partitions. */
static uint64_t calls_of_start(unsigned set, unsigned partitions, bool clean)
{
    char settings[32];
    uint64_t before;

    fixture_kill(&f);
    fixture_end(&f);
    setup();
    snprintf(settings, sizeof settings, "partitions=%u\n", partitions);
    fixture_topic(&f, "t", settings);
    if (clean)
        fixture_close(&f);
    else
        fixture_kill(&f);
    before = calls(set);
    fixture_open(&f);
    return calls(set) - before;
}

START_TEST(a_clean_start_opens_nothing_of_a_partition)
{
    ck_assert_uint_eq(calls_of_start(OPENS, 300, true), calls_of_start(OPENS, 3, true));
}
END_TEST

START_TEST(a_start_after_a_kill_opens_one_file_of_a_partition)
{
    ck_assert_uint_eq(calls_of_start(OPENS, 300, false) - calls_of_start(OPENS, 100, false), 200);
}
END_TEST

START_TEST(a_stop_opens_nothing_of_what_was_not_written_to)
{
    uint64_t before;

    fixture_topic(&f, "t", "partitions=300\n");
    before = calls(OPENS);
    fixture_close(&f);
    ck_assert_uint_lt(calls(OPENS) - before, 10);
}
END_TEST

/* As ls and readdir do it. */
static size_t list_segments(struct partition *part)
{
    uint64_t base;
    bool sealed;
    size_t n = 0;

    for (uint64_t from = 0; partition_segment_after(part, from, &base, &sealed) == 0;
         from = base + 1)
        n++;
    return n;
}

START_TEST(listing_segments_looks_at_no_file)
{
    struct partition *part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    uint64_t before;

    fixture_fill(&f, part);
    if (_i == 1) {
        fixture_kill_reopen(&f);
        part = fixture_part(&f, "t", 0);
    }
    before = calls(LOOKS);
    ck_assert_uint_eq(list_segments(part), SEGMENTS);
    ck_assert_uint_eq(calls(LOOKS), before);
}
END_TEST

/* ls -l: a stat of each .log; sealed ones are known from the start. */
START_TEST(attributes_of_segments_open_no_sealed_one)
{
    struct partition *part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    struct segment_stat before[SEGMENTS];
    struct segment_stat after[SEGMENTS];
    uint64_t opens;

    fixture_fill(&f, part);
    ck_assert_uint_eq(fixture_segments(part, before, SEGMENTS), SEGMENTS);
    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    opens = calls(OPENS);
    ck_assert_uint_eq(fixture_segments(part, after, SEGMENTS), SEGMENTS);
    ck_assert_uint_le(calls(OPENS) - opens, SUFFIX_COUNT); /* the newest */
    for (size_t i = 0; i < SEGMENTS; i++) {
        ck_assert_uint_eq(after[i].base, before[i].base);
        ck_assert_uint_eq(after[i].visible_bytes, before[i].visible_bytes);
        ck_assert_uint_eq(after[i].last_ms, before[i].last_ms);
        ck_assert_int_eq(after[i].sealed, before[i].sealed);
    }
}
END_TEST

/* After a clean start nothing is known but what .clean says. */
START_TEST(listing_after_a_clean_start_loads_no_partition)
{
    struct topic *topic;
    uint64_t before;

    fixture_topic(&f, "t", "partitions=50\n");
    for (uint32_t i = 0; i < 50; i++)
        fixture_append(fixture_part(&f, "t", i), "a\n");
    fixture_reopen(&f);
    before = calls(LOOKS);
    topic = store_topic_next(f.store, 0);
    for (uint32_t i = 0; i < 50; i++)
        ck_assert_uint_eq(list_segments(topic_partition(topic, i)), 1);
    topic_put(topic);
    ck_assert_uint_eq(calls(LOOKS), before);
    fixture_expect(&f, fixture_part(&f, "t", 7), "a\n");
}
END_TEST

START_TEST(a_topic_of_many_partitions_is_made_by_few_syncs)
{
    uint64_t before = calls(SYNCS);

    fixture_topic(&f, "t", "partitions=300\n");
    ck_assert_uint_lt(calls(SYNCS) - before, 12);
    before = calls(SYNCS);
    fixture_configure(&f, "t", "partitions=600\n");
    ck_assert_uint_lt(calls(SYNCS) - before, 12);
    fixture_kill_reopen(&f);
    ck_assert_uint_eq(list_segments(fixture_part(&f, "t", 599)), 1);
}
END_TEST

/* A syncfs that fails is no success: each file is asked. */
START_TEST(a_topic_whose_syncfs_fails_is_made_file_by_file)
{
    uint64_t before = calls(SYNCS);

    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_SYNCFS), NULL, 1, false, -EIO);
    fixture_topic(&f, "t", "partitions=40\n");
    fixture_no_faults(&f);
    ck_assert_uint_gt(calls(SYNCS) - before, 80);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scale");
    TCase *tc = tcase_create("calls");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_clean_start_opens_nothing_of_a_partition);
    tcase_add_test(tc, a_start_after_a_kill_opens_one_file_of_a_partition);
    tcase_add_test(tc, a_stop_opens_nothing_of_what_was_not_written_to);
    tcase_add_loop_test(tc, listing_segments_looks_at_no_file, 0, 2);
    tcase_add_test(tc, attributes_of_segments_open_no_sealed_one);
    tcase_add_test(tc, listing_after_a_clean_start_loads_no_partition);
    tcase_add_test(tc, a_topic_of_many_partitions_is_made_by_few_syncs);
    tcase_add_test(tc, a_topic_whose_syncfs_fails_is_made_file_by_file);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
