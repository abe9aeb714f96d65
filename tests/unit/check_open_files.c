/*
 * store: few descriptors and many partitions. What only the journal has on disk
 * keeps its files open; a checkpoint, asked for in time, lets go of them.
 */
#include <check.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define PARTITIONS 200

static struct fixture f;
static struct rlimit before;

static void setup(void)
{
    struct rlimit few = {128, 128};

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

static void publish_to_each(const char *line)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct partition *part = fixture_part(&f, "t", i);

        fixture_append(part, line);
        ck_assert_int_eq(fixture_flush(&f, part), 0);
    }
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
    for (uint32_t i = 0; i < PARTITIONS; i++)
        fixture_expect(&f, fixture_part(&f, "t", i), "a\nb\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("open_files");
    TCase *tc = tcase_create("few descriptors");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, more_partitions_than_descriptors, 0, 2);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
