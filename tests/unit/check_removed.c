/*
 * store/check, store/repair: what somebody removed between a clean stop and the
 * next start. .clean says what was there, and nothing was written since.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/check.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;
static char report[16384];

#define BASE0 "00000000000000000000"
#define BASE1 "00000000000000006000"

/* A sealed segment of two messages, and another with one; a topic beside it. */
static void setup(void)
{
    fixture_real(&f);
    fixture_open(&f);
    fixture_append(fixture_topic(&f, "other", ""), "one\n");
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    for (char c = 'a'; c <= 'c'; c++)
        fixture_append_bytes(part, 2999, c);
    fixture_close(&f);
    ck_assert_uint_eq(file_size(&f, "t/0/" BASE0 ".log"), 6000);
}

static void teardown(void)
{
    fixture_end(&f);
}

static void removed(const char *base)
{
    char path[64];

    snprintf(path, sizeof path, "t/0/%s.log", base);
    file_remove(&f, path);
    snprintf(path, sizeof path, "t/0/%s.idx", base);
    file_remove(&f, path);
}

static void write_down(void *arg, enum finding kind, const char *text)
{
    size_t len = strlen(report);

    (void)arg;
    snprintf(report + len, sizeof report - len, "%s: %s\n", text, finding_advice(kind));
}

static void look(int (*fn)(const struct check_options *, struct check_result *, struct err *),
                 enum finding_weight worst)
{
    struct check_options options = {
        .io = f.io, .name = "test", .finder = {write_down, NULL}, .boot_id = "boot-1"};
    struct check_result result;
    struct err err;
    int rc;

    report[0] = '\0';
    rc = fn(&options, &result, &err);
    ck_assert_msg(rc == 0, "%d: %s", rc, err.text);
    ck_assert_msg(result.worst == worst, "%d, not %d:\n%s", result.worst, worst, report);
}

static void says(const char *text)
{
    ck_assert_msg(strstr(report, text) != NULL, "no `%s` in:\n%s", text, report);
}

static void expect(const char *letters)
{
    uint64_t skipped;
    char *got, *at;

    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_int_eq(partition_find(part, 6000), 0);
    got = at = fixture_messages(&f, part, &skipped);
    for (; *at; at = strchr(at, '\n') + 1)
        ck_assert_int_eq(*at, *letters++);
    ck_assert_int_eq(*letters, '\0');
    free(got);
}

START_TEST(the_newest_segment)
{
    removed(BASE1);
    look(store_check, FOUND_DAMAGE);
    says("its files end at 6000, and it had been flushed to 9000");
    look(store_repair, FOUND_DAMAGE);
    look(store_check, FOUND_NOTE);
    expect("ab");
    ck_assert_uint_eq(fixture_append(part, "more\n"), 9000);
}
END_TEST

START_TEST(the_first_segment)
{
    removed(BASE0);
    look(store_check, FOUND_DAMAGE);
    says("t/0: begins at 6000, and began at 0 when topicfs was stopped");
    says("t/sealed/0-" BASE0 ".log: its segment is not there: it has the messages still");
    expect("c");
    ck_assert(!partition_failed(part));
    fixture_append(part, "more\n");
    fixture_close(&f);
    look(store_check, FOUND_NOTE);
}
END_TEST

/* As the report says. */
START_TEST(the_first_segment_is_linked_again)
{
    removed(BASE0);
    ck_assert_int_eq(f.io->ops->link(f.io, "t/sealed/0-" BASE0 ".log", "t/0/" BASE0 ".log"), 0);
    look(store_repair, FOUND_DAMAGE);
    look(store_check, FOUND_NOTE);
    expect("abc");
}
END_TEST

START_TEST(a_topic)
{
    char command[400];

    snprintf(command, sizeof command, "rm -r '%s/other'", f.dir);
    ck_assert_int_eq(system(command), 0);
    look(store_check, FOUND_DAMAGE);
    says("the topic with number 16, which had messages, is not there");
    expect("abc");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("removed");
    TCase *tc = tcase_create("removed");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_newest_segment);
    tcase_add_test(tc, the_first_segment);
    tcase_add_test(tc, the_first_segment_is_linked_again);
    tcase_add_test(tc, a_topic);
    return suite_run(suite);
}
