/*
 * store/scrub: what a pass over the sealed segments finds, step by step, and by
 * its own thread.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;

/* Four segments, 30 messages of 1,000 bytes; segment 0 has the first eight. */
static void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    fixture_fill(&f, part);
    fixture_close(&f);
    f.options.scrub_bytes_per_second = 1;
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
}

static void teardown(void)
{
    fixture_end(&f);
}

static void one_pass(void)
{
    uint64_t passes = f.store->scrubber.passes;

    for (int i = 0; i < 100 && scrub_work(&f.store->scrubber); i++)
        ;
    ck_assert_uint_eq(f.store->scrubber.passes, passes + 1);
}

static void expect_skipped(uint64_t messages)
{
    uint64_t skipped;

    free(fixture_messages(&f, part, &skipped));
    ck_assert_uint_eq(skipped, messages);
}

START_TEST(a_pass_reads_what_is_sealed)
{
    struct segment_stat st[8];
    size_t n = fixture_segments(part, st, 8);

    one_pass();
    ck_assert_uint_eq(f.store->scrubber.bytes, st[n - 1].base);
    ck_assert_uint_eq(f.store->scrubber.damaged_messages, 0);
    one_pass();
    ck_assert_uint_eq(f.store->scrubber.bytes, 2 * st[n - 1].base);
    expect_skipped(0);
}
END_TEST

START_TEST(damage_is_found_once_and_skipped)
{
    file_flip(&f, SEG0_LOG, 2500);
    expect_skipped(0); /* nobody knows */
    one_pass();
    ck_assert_uint_eq(f.store->scrubber.damaged_messages, 1);
    expect_skipped(1);
    ck_assert_uint_eq(fixture_status_number(&f, "damaged messages"), 1);
    one_pass();
    ck_assert_uint_eq(f.store->scrubber.damaged_messages, 1);
    expect_skipped(1);
}
END_TEST

START_TEST(a_run_at_the_end_of_a_segment)
{
    uint64_t bytes = file_size(&f, SEG0_LOG);

    for (uint64_t at = 2500; at < bytes; at += 500)
        file_flip(&f, SEG0_LOG, at);
    one_pass();
    expect_skipped(bytes / 1000 - 2);
}
END_TEST

START_TEST(a_header_that_does_not_read_back)
{
    char *got;
    uint64_t skipped;

    file_flip(&f, SEG0_IDX, 9);
    one_pass();
    got = fixture_messages(&f, part, &skipped);
    ck_assert_uint_eq(strlen(got), 30000 - file_size(&f, SEG0_LOG));
    free(got);
}
END_TEST

START_TEST(a_segment_that_cannot_be_read_is_left)
{
    memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PREAD),
                                                .path = "*.log",
                                                .nth = 1,
                                                .for_ever = true,
                                                .error = -EIO});
    one_pass();
    fixture_no_faults(&f);
    ck_assert_uint_eq(f.store->scrubber.bytes, 0);
    one_pass();
    ck_assert_uint_gt(f.store->scrubber.bytes, 0);
    expect_skipped(0);
}
END_TEST

START_TEST(a_segment_that_is_gone_is_passed_over)
{
    expect_skipped(0); /* its segments are listed */
    file_remove(&f, SEG0_LOG);
    one_pass();
    ck_assert_uint_eq(f.store->scrubber.damaged_messages, 0);
    ck_assert_uint_gt(f.store->scrubber.bytes, 0);
    fixture_kill(&f);
    ck_assert_uint_eq(memdisk_kill(f.disk), 0); /* no descriptor is left */
}
END_TEST

START_TEST(a_stop_in_the_middle_leaves_nothing_open)
{
    ck_assert(scrub_work(&f.store->scrubber));
    fixture_close(&f);
    ck_assert_uint_eq(memdisk_kill(f.disk), 0);
}
END_TEST

/* What .clean vouches for is loaded only where something of it is sealed. */
START_TEST(after_a_clean_stop)
{
    struct partition *one = fixture_topic(&f, "u", "");

    file_flip(&f, SEG0_LOG, 2500);
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    one = fixture_part(&f, "u", 0);
    one_pass();
    ck_assert_uint_eq(f.store->scrubber.damaged_messages, 1);
    ck_assert_ptr_null(part->clean);
    ck_assert_ptr_nonnull(one->clean);
}
END_TEST

START_TEST(without_a_rate_nothing_is_read)
{
    fixture_close(&f);
    f.options.scrub_bytes_per_second = 0;
    fixture_open(&f);
    ck_assert(!scrub_work(&f.store->scrubber));
    ck_assert_uint_eq(f.store->scrubber.passes, 0);
}
END_TEST

/* The thread finds it by itself, and a stop does not wait for its rate. */
START_TEST(a_thread_of_its_own)
{
    file_flip(&f, SEG0_LOG, 2500);
    fixture_close(&f);
    f.options.threads = true;
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    while (atomic_load(&f.store->scrubber.damaged_messages) == 0)
        sched_yield();
    fixture_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scrub");
    TCase *tc = tcase_create("scrub");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_pass_reads_what_is_sealed);
    tcase_add_test(tc, damage_is_found_once_and_skipped);
    tcase_add_test(tc, a_run_at_the_end_of_a_segment);
    tcase_add_test(tc, a_header_that_does_not_read_back);
    tcase_add_test(tc, a_segment_that_cannot_be_read_is_left);
    tcase_add_test(tc, a_segment_that_is_gone_is_passed_over);
    tcase_add_test(tc, a_stop_in_the_middle_leaves_nothing_open);
    tcase_add_test(tc, after_a_clean_stop);
    tcase_add_test(tc, without_a_rate_nothing_is_read);
    tcase_add_test(tc, a_thread_of_its_own);
    return suite_run(suite);
}
