/*
 * store/damage: what a start takes over from a .damaged, line by line.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;

/* Four segments, the first ones [0, 8000) and [8000, 16000). */
static void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
    fixture_fill(&f, fixture_topic(&f, "t", SMALL_SEGMENTS));
    fixture_kill(&f);
}

static void teardown(void)
{
    fixture_end(&f);
}

static void write_damaged(unsigned base, const char *lines, bool crc_holds)
{
    struct buf text = {.cap = 1000};
    char path[64];

    snprintf(path, sizeof path, "t/0/%020u.damaged", base);
    ck_assert_int_eq(buf_printf(&text, "%s", lines), 0);
    ck_assert_int_eq(crc_line_add(&text), 0);
    if (!crc_holds)
        text.data[0] = '2';
    file_write(&f, path, text.data, text.len);
    buf_release(&text);
}

static struct partition_stat stat_after_start(void)
{
    struct partition_stat st;

    fixture_open(&f);
    ck_assert_int_eq(partition_stat(fixture_part(&f, "t", 0), &st), 0);
    return st;
}

static const struct {
    const char *lines;
    uint32_t runs;
    uint64_t messages;
} good[] = {
    {"1 1000 1000 1\n", 1, 1},
    {"1 1000 1000 1\n2 2000 1000 1\n", 1, 2},
    {"2 2000 1000 1\n1 1000 1000 1\n", 1, 2},
    {"1 1000 2000 2\n2 2000 2000 2\n", 1, 2}, /* how many there are in both is not known */
    {"2 2000 2000 2\n1 1000 2000 3\n", 1, 3},
    {"3 3000 1000 1\n1 1000 1000 1\n", 2, 2},
    {"0 0 8000 8\n", 1, 8},
};

START_TEST(lines_that_are_taken_over)
{
    struct partition_stat st;

    write_damaged(0, good[_i].lines, true);
    st = stat_after_start();
    ck_assert_uint_eq(st.damaged_runs, good[_i].runs);
    ck_assert_uint_eq(st.damaged_messages, good[_i].messages);
}
END_TEST

/* Each as if beside [8000, 16000). */
static const char *const bad[] = {
    "9 9000 1000 1",
    "9 9000 1000\n",
    "9 9000 1000 1 1\n",
    "9 9000  1000 1\n",
    "9 9000 1000 -1\n",
    "7 7000 1000 1\n",
    "9 16001 0 1\n",
    "15 15000 1001 1\n",
    "9 9000 18446744073709551615 1\n",
    "9 18446744073709551615 1 1\n",
    "\n",
};

START_TEST(lines_that_say_nothing)
{
    struct partition_stat st;

    write_damaged(8000, bad[_i], true);
    st = stat_after_start();
    ck_assert_uint_eq(st.damaged_runs, 0);
    ck_assert(!st.failed);
}
END_TEST

START_TEST(text_whose_crc_does_not_hold)
{
    write_damaged(0, "1 1000 1000 1\n", false);
    ck_assert_uint_eq(stat_after_start().damaged_runs, 0);
}
END_TEST

/* Those of two segments stay two, though they touch. */
START_TEST(runs_that_touch_at_a_segments_end)
{
    struct partition_stat st;

    write_damaged(0, "7 7000 1000 1\n", true);
    write_damaged(8000, "8 8000 1000 1\n", true);
    st = stat_after_start();
    ck_assert_uint_eq(st.damaged_runs, 2);
    ck_assert_uint_eq(st.damaged_messages, 2);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void)
{
    Suite *suite = suite_create("damaged_file");
    TCase *tc = tcase_create("damaged_file");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, lines_that_are_taken_over, 0, COUNT(good));
    tcase_add_loop_test(tc, lines_that_say_nothing, 0, COUNT(bad));
    tcase_add_test(tc, text_whose_crc_does_not_hold);
    tcase_add_test(tc, runs_that_touch_at_a_segments_end);
    return suite_run(suite);
}
