/*
 * store: few descriptors and many partitions. Files with something not durable
 * stay open; when they become too many, flushes let go of them in time.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define PARTITIONS  200u
#define DESCRIPTORS 128u

static struct fixture f;
static struct rlimit before;

static void setup(void)
{
    struct rlimit few = {DESCRIPTORS, DESCRIPTORS};

    fixture_real(&f);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
}

static void teardown(void)
{
    fixture_end(&f);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static unsigned descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* ".", "..", its own */
}

static void append_to_each(const char *line)
{
    for (uint32_t i = 0; i < PARTITIONS; i++)
        fixture_append(fixture_part(&f, "t", i), line);
}

static void publish_to_each(const char *line)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct partition *part = fixture_part(&f, "t", i);

        fixture_append(part, line);
        ck_assert_int_eq(fixture_flush(&f, part), 0);
    }
}

static void expect_in_each(const char *text)
{
    for (uint32_t i = 0; i < PARTITIONS; i++)
        fixture_expect(&f, fixture_part(&f, "t", i), text);
}

START_TEST(more_partitions_than_descriptors)
{
    f.options.threads = _i == 1;
    fixture_open(&f);
    fixture_topic(&f, "t", "partitions=200\nflush.ms=1\n");
    publish_to_each("a\n");
    publish_to_each("b\n");
    fixture_close(&f);
    ck_assert(file_exists(&f, ".clean"));
    fixture_open(&f);
    expect_in_each("a\nb\n");
}
END_TEST

/* Nobody waits, and nothing flushes but what needs the descriptors. */
START_TEST(os_partitions_are_flushed_for_their_descriptors)
{
    f.options.threads = true;
    fixture_open(&f);
    fixture_topic(&f, "t", "partitions=200\nflush.sync=os\n");
    append_to_each("a\n");
    append_to_each("b\n");
    ck_assert_uint_gt(fixture_status_number(&f, "direct flushes"), 0);
    expect_in_each("a\nb\n");
    fixture_kill_reopen(&f);
    expect_in_each("a\nb\n");
}
END_TEST

/* What lets go of the files is a flush: their slots have risen. */
START_TEST(os_files_close_only_flushed)
{
    unsigned flushed = 0;

    fixture_open(&f);
    fixture_topic(&f, "t", "partitions=200\nflush.sync=os\n");
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        fixture_append(fixture_part(&f, "t", i), "a\n");
        ck_assert_uint_lt(descriptors(), DESCRIPTORS);
        fixture_work(&f);
    }
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        char path[64];

        snprintf(path, sizeof path, "t/%u/00000000000000000000.idx", i);
        flushed += idx_slot_end(&f, path, 0) == 2;
    }
    /* Those that are not are open still. */
    ck_assert_uint_gt(flushed, PARTITIONS - DESCRIPTORS / 2);
    ck_assert_uint_lt(flushed, PARTITIONS);
}
END_TEST

/* All of them wait for one record: more than there are descriptors. */
START_TEST(one_flush_of_all)
{
    f.options.threads = true;
    fixture_open(&f);
    fixture_topic(&f, "t",
                  _i == 0 ? "partitions=200\nflush.ms=60000\n" : "partitions=200\nflush.sync=os\n");
    append_to_each("a\n");
    for (uint32_t i = 0; i < PARTITIONS; i++)
        ck_assert_int_eq(fixture_fsync(&f, fixture_part(&f, "t", i)), 0);
    ck_assert_uint_lt(descriptors(), DESCRIPTORS);
    expect_in_each("a\n");
}
END_TEST

/* A recovery has many partitions to write again and flush. */
START_TEST(recovery_within_the_descriptors)
{
    struct rlimit few = {DESCRIPTORS, before.rlim_max};

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    fixture_open(&f);
    fixture_topic(&f, "t", _i == 0 ? "partitions=200\n" : "partitions=200\nflush.sync=os\n");
    append_to_each("a\n");
    fixture_kill(&f);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    fixture_open(&f);
    expect_in_each("a\n");
    ck_assert_uint_lt(descriptors(), DESCRIPTORS);
}
END_TEST

/* After a clean start the first append also looks for the segments. */
START_TEST(a_partition_that_cannot_be_loaded_waits_for_files)
{
    fixture_end(&f);
    fixture_mem(&f);
    f.options.threads = true;
    fixture_open(&f);
    fixture_topic(&f, "t", "partitions=2\nflush.ms=1\n");
    fixture_close(&f);
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_OPEN), "t/1/*", 1, false, -EMFILE);
    fixture_open(&f);
    fixture_append(fixture_part(&f, "t", 0), "a\n"); /* whose files can be let go of */
    fixture_append(fixture_part(&f, "t", 1), "b\n");
    ck_assert_uint_eq(f.disk->fault_hits, 1);
    ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", 1)), 0);
    fixture_expect(&f, fixture_part(&f, "t", 1), "b\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("open_files");
    TCase *tc = tcase_create("few descriptors");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, more_partitions_than_descriptors, 0, 2);
    tcase_add_test(tc, os_partitions_are_flushed_for_their_descriptors);
    tcase_add_test(tc, os_files_close_only_flushed);
    tcase_add_loop_test(tc, one_flush_of_all, 0, 2);
    tcase_add_loop_test(tc, recovery_within_the_descriptors, 0, 2);
    tcase_add_test(tc, a_partition_that_cannot_be_loaded_waits_for_files);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
