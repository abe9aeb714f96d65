/* base/exposition: the text, letter by letter; that a failure sticks. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exposition.h"
#include "tests/support/suite.h"

static struct buf text;
static struct exposition e;

static void setup(void)
{
    e = (struct exposition){.out = &text};
}

static void teardown(void)
{
    buf_release(&text);
}

static void expect(const char *want)
{
    ck_assert_int_eq(e.rc, 0);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    ck_assert_str_eq(text.data, want);
}

START_TEST(gauges_and_counters)
{
    exposition_one(&e, "open_files", "Open.", 7);
    exposition_one(&e, "reads_total", "Reads.", UINT64_MAX);
    exposition_one(&e, "_total", "No name before it.", 1);
    exposition_seconds(&e, "took_seconds", "Time.", 12000345);
    expect("# HELP open_files Open.\n# TYPE open_files gauge\nopen_files 7\n"
           "# HELP reads_total Reads.\n# TYPE reads_total counter\n"
           "reads_total 18446744073709551615\n"
           "# HELP _total No name before it.\n# TYPE _total gauge\n_total 1\n"
           "# HELP took_seconds Time.\n# TYPE took_seconds gauge\ntook_seconds 12.000345\n");
}
END_TEST

START_TEST(rows_of_one_name_are_one_family)
{
    static const struct counter_row rows[] = {
        {"a_total", "", "A."},
        {"b_total", "kind=\"x\"", "B."},
        {"b_total", "kind=\"y\"", NULL},
    };
    const _Atomic uint64_t values[3] = {1, 2, 3};

    exposition_counters(&e, rows, 3, values);
    expect("# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"
           "# HELP b_total B.\n# TYPE b_total counter\n"
           "b_total{kind=\"x\"} 2\nb_total{kind=\"y\"} 3\n");
}
END_TEST

/* The line of a bucket; how many are in it and all below. */
static unsigned bucket(const char *le)
{
    char line[64];
    const char *at;
    unsigned n = 99;

    snprintf(line, sizeof line, "h_bucket{k=\"v\",le=\"%s\"} ", le);
    at = strstr(text.data, line);
    ck_assert_msg(at != NULL, "%s", le);
    ck_assert_int_eq(sscanf(at + strlen(line), "%u", &n), 1);
    return n;
}

START_TEST(histograms_add_up)
{
    static struct histogram h;

    histogram_add(&h, 0);
    histogram_add(&h, 100); /* a bound is in its bucket */
    histogram_add(&h, 101);
    histogram_add(&h, 10000000);
    histogram_add(&h, 10000001);
    exposition_histogram(&e, "h", "k=\"v\"", &h);
    ck_assert_int_eq(e.rc, 0);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    ck_assert_uint_eq(bucket("0.0001"), 2);
    ck_assert_uint_eq(bucket("0.00025"), 3);
    ck_assert_uint_eq(bucket("5"), 3);
    ck_assert_uint_eq(bucket("10"), 4);
    ck_assert_uint_eq(bucket("+Inf"), 5);
    ck_assert_ptr_nonnull(strstr(text.data, "\nh_sum{k=\"v\"} 20.000202\nh_count{k=\"v\"} 5\n"));
}
END_TEST

START_TEST(the_first_failure_sticks)
{
    text.cap = 100;
    for (int i = 0; i < 10; i++)
        exposition_one(&e, "open_files", "Open.", 7);
    ck_assert_int_eq(e.rc, -EMSGSIZE);
    ck_assert_uint_le(text.len, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/exposition");
    TCase *tc = tcase_create("exposition");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, gauges_and_counters);
    tcase_add_test(tc, rows_of_one_name_are_one_family);
    tcase_add_test(tc, histograms_add_up);
    tcase_add_test(tc, the_first_failure_sticks);
    return suite_run(suite);
}
