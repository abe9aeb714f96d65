/*
 * store/sealed: what a start makes of TOPIC/sealed: exactly the sealed segments,
 * each by a link to its own file.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define LINK0 "t/sealed/0-00000000000000000000.log"
#define LINK1 "t/sealed/0-00000000000000008000.log"
#define LINK2 "t/sealed/0-00000000000000016000.log"
#define LINK3 "t/sealed/0-00000000000000024000.log" /* of the newest: none */

static struct fixture f;
static struct partition *part;

static void setup(void)
{
    if (f.store)
        abort();
    fixture_real(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    fixture_fill(&f, part);
}

static void teardown(void)
{
    fixture_end(&f);
    f.store = NULL;
}

static bool same_file(const char *a, const char *b)
{
    struct fileio_stat x, y;

    return f.io->ops->stat(f.io, a, &x) == 0 && f.io->ops->stat(f.io, b, &y) == 0 &&
           x.inode == y.inode;
}

static void expect_links(void)
{
    ck_assert(same_file(LINK0, SEG0_LOG));
    ck_assert(same_file(LINK1, "t/0/00000000000000008000.log"));
    ck_assert(same_file(LINK2, "t/0/00000000000000016000.log"));
    ck_assert(!file_exists(&f, LINK3));
}

START_TEST(links_that_are_missing_are_made)
{
    expect_links();
    fixture_kill(&f);
    file_remove(&f, LINK0);
    file_remove(&f, LINK2);
    fixture_open(&f);
    expect_links();
}
END_TEST

START_TEST(the_directory_is_made_where_it_is_missing)
{
    fixture_kill(&f);
    file_remove(&f, LINK0);
    file_remove(&f, LINK1);
    file_remove(&f, LINK2);
    ck_assert_int_eq(f.io->ops->rmdir(f.io, "t/sealed"), 0);
    fixture_open(&f);
    expect_links();
}
END_TEST

/* As a program leaves it that copies a store and knows no hard links. */
START_TEST(copies_are_replaced)
{
    size_t len;
    char *text;

    fixture_kill(&f);
    text = file_read(&f, LINK1, &len);
    file_remove(&f, LINK1);
    file_write(&f, LINK1, text, len);
    free(text);
    ck_assert(!same_file(LINK1, "t/0/00000000000000008000.log"));
    fixture_open(&f);
    expect_links();
}
END_TEST

/* A power cut took the unlink of a link, not those of its segment. */
START_TEST(links_of_removed_segments_go)
{
    fixture_kill(&f);
    file_remove(&f, SEG0_LOG);
    file_remove(&f, SEG0_IDX);
    fixture_open(&f);
    ck_assert_uint_eq(partition_first(fixture_part(&f, "t", 0)), 8000);
    ck_assert(!file_exists(&f, LINK0));
    ck_assert(same_file(LINK1, "t/0/00000000000000008000.log"));
}
END_TEST

START_TEST(a_link_of_the_newest_segment_goes)
{
    fixture_kill(&f);
    ck_assert_int_eq(f.io->ops->link(f.io, "t/0/00000000000000024000.log", LINK3), 0);
    fixture_open(&f);
    expect_links();
}
END_TEST

/* It is the last name of the bytes; the other links are made nevertheless. */
START_TEST(the_link_of_a_segment_that_lost_its_log_stays)
{
    fixture_kill(&f);
    file_remove(&f, "t/0/00000000000000008000.log");
    file_remove(&f, LINK2);
    fixture_open(&f);
    ck_assert_uint_eq(file_size(&f, LINK1), 8000);
    ck_assert(same_file(LINK2, "t/0/00000000000000016000.log"));
    ck_assert(same_file(LINK0, SEG0_LOG));
}
END_TEST

START_TEST(links_of_a_hole_or_a_failed_partition_stay)
{
    fixture_kill(&f);
    file_remove(&f, "t/0/00000000000000008000.log");
    file_remove(&f, "t/0/00000000000000008000.idx");
    if (_i == 1) {
        file_remove(&f, "t/0/00000000000000024000.log");
        file_remove(&f, LINK0);
    }
    fixture_open(&f);
    ck_assert_uint_eq(file_size(&f, LINK1), 8000);
    ck_assert_uint_eq(file_size(&f, LINK2), 8000);
    ck_assert_int_eq(partition_failed(fixture_part(&f, "t", 0)), _i);
}
END_TEST

START_TEST(foreign_names_are_left_alone)
{
    static const char *const names[] = {
        "t/sealed/README",
        "t/sealed/7-00000000000000000000.log", /* no such partition */
        "t/sealed/0-00000000000000000000.idx",
        "t/sealed/00-00000000000000000000.log",
        "t/sealed/x-00000000000000000000.log",
        "t/sealed/-00000000000000000000.log",
    };

    fixture_kill(&f);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        file_write(&f, names[i], "x", 1);
    fixture_open(&f);
    expect_links();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert(file_exists(&f, names[i]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sealed");
    TCase *tc = tcase_create("sealed");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, links_that_are_missing_are_made);
    tcase_add_test(tc, the_directory_is_made_where_it_is_missing);
    tcase_add_test(tc, copies_are_replaced);
    tcase_add_test(tc, links_of_removed_segments_go);
    tcase_add_test(tc, a_link_of_the_newest_segment_goes);
    tcase_add_test(tc, the_link_of_a_segment_that_lost_its_log_stays);
    tcase_add_loop_test(tc, links_of_a_hole_or_a_failed_partition_stay, 0, 2);
    tcase_add_test(tc, foreign_names_are_left_alone);
    return suite_run(suite);
}
