/*
 * store/check, store/repair: what a check finds in a store that has been
 * damaged in one way, what a repair makes of it, and how the store is used
 * then. Every byte in turn: check_damage.c.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/check.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;
static struct check_result result;
static char report[16384];
static uint64_t bytes_done, bytes_total; /* as it was told last */

#define SEG2_BASE 6000u
#define SEG2_LOG  "t/0/00000000000000006000.log"
#define SEG2_IDX  "t/0/00000000000000006000.idx"
#define NOTE0     "t/0/00000000000000000000.damaged"

static void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
}

static void teardown(void)
{
    fixture_end(&f);
}

/* -- checks -- */

static void write_down(void *arg, enum finding kind, const char *text)
{
    size_t len = strlen(report);

    (void)arg;
    snprintf(report + len, sizeof report - len, "%s: %s\n", text, finding_advice(kind));
}

static void progress(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    bytes_done = done;
    bytes_total = total;
}

static struct check_options options(void)
{
    report[0] = '\0';
    return (struct check_options){.io = f.io,
                                  .name = "test",
                                  .finder = {write_down, NULL},
                                  .progress = progress,
                                  .boot_id = "boot-1"};
}

/* Checks, and asserts the verdict and that nothing changed. */
static void check(enum finding_weight worst)
{
    struct check_options o = options();
    char *tree = tree_text(&f);
    struct err err;
    int rc = store_check(&o, &result, &err);

    ck_assert_msg(rc == 0, "%d: %s", rc, err.text);
    ck_assert_msg(result.worst == worst, "%d, not %d:\n%s", result.worst, worst, report);
    tree_unchanged(&f, tree);
}

static void expect(enum finding kind, const char *text)
{
    ck_assert_msg(result.findings[kind] == 1, "%d: %lu times:\n%s", kind,
                  (unsigned long)result.findings[kind], report);
    ck_assert_msg(strstr(report, text) != NULL, "no `%s` in:\n%s", text, report);
}

/* Repairs; after that a check finds nothing new, and a second repair changes
 * nothing. The store is open then. */
static void repair(void)
{
    struct check_options o = options();
    struct check_result again;
    struct err err;
    char *tree;
    int rc = store_repair(&o, &result, &err);

    ck_assert_msg(rc == 0, "%d: %s", rc, err.text);
    ck_assert_msg(result.repaired, "not repaired:\n%s", report);
    tree = tree_text(&f);
    o.finder.found = write_down;
    rc = store_repair(&o, &again, &err);
    ck_assert_msg(rc == 0 && again.repaired, "%d: %s\n%s", rc, err.text, report);
    tree_unchanged(&f, tree);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
}

/* It takes messages, from `end` on. */
static void expect_goes_on_at(uint64_t end)
{
    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(fixture_append(part, "more\n"), end);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_close(&f);
    check(FOUND_NOTE);
}

/* -- stores -- */

/* "one\n", "two\n", "three\n", stopped cleanly. */
static void leave_three(void)
{
    fixture_append(part, "one\n");
    fixture_append(part, "two\n");
    fixture_append(part, "three\n");
    fixture_close(&f);
}

/* A sealed segment of six messages of 1,000 bytes, a to f, and another with g and
 * "last\n". */
static void leave_sealed(void)
{
    for (char c = 'a'; c <= 'f'; c++)
        fixture_append_bytes(part, 999, c);
    fixture_append_bytes(part, 2999, 'g');
    fixture_append(part, "last\n");
    fixture_close(&f);
    ck_assert_uint_eq(file_size(&f, SEG0_LOG), SEG2_BASE);
}

/* -- clean and killed -- */

START_TEST(a_clean_store)
{
    leave_sealed();
    check(FOUND_NOTE);
    ck_assert_str_eq(report, "");
    ck_assert_uint_eq(result.messages, 8);
    ck_assert_uint_eq(result.bytes, 9005);
    ck_assert_uint_eq(result.segments, 2);
}
END_TEST

START_TEST(a_killed_store_whose_bytes_only_the_journal_has)
{
    fixture_append(part, "one\ntwo\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 3);
    file_cut(&f, SEG0_IDX, ENTRY_AT(0));
    check(FOUND_MENDED);
    expect(FOUND_NOT_CLEAN, "not stopped cleanly");
    ck_assert_uint_eq(result.messages, 2);
}
END_TEST

START_TEST(a_repair_of_a_clean_store_changes_nothing)
{
    char *tree;

    leave_sealed();
    tree = tree_text(&f);
    repair();
    fixture_close(&f);
    tree_unchanged(&f, tree);
}
END_TEST

START_TEST(a_locked_store)
{
    struct check_options o = options();
    struct err err;

    fixture_append(part, "one\n");
    ck_assert_int_eq(store_check(&o, &result, &err), ERR_LOCKED);
    ck_assert_int_eq(store_repair(&o, &result, &err), ERR_LOCKED);
    ck_assert_str_eq(report, "");
}
END_TEST

/* -- messages -- */

START_TEST(a_flipped_byte_is_noted_and_skipped)
{
    struct partition_stat st;

    leave_three();
    file_flip(&f, SEG0_LOG, 5);
    check(FOUND_DAMAGE);
    expect(FOUND_MESSAGES, "1 message, number 1 and on, from 4 to 8");
    ck_assert_uint_gt(bytes_done, 0);
    ck_assert_uint_eq(bytes_done, bytes_total);
    repair();
    expect(FOUND_MADE_NOTE, NOTE0);
    fixture_expect_messages(&f, part, "one\nthree\n", 1);
    fixture_expect(&f, part, "one\nt7o\nthree\n"); /* raw readers see what is there */
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.damaged_messages, 1);
    expect_goes_on_at(14);
    expect(FOUND_KNOWN_DAMAGE, "from 4 to 8");
}
END_TEST

START_TEST(the_last_entry_flipped)
{
    leave_three();
    file_flip(&f, SEG0_IDX, ENTRY_AT(2)); /* its end */
    check(FOUND_DAMAGE);
    repair();
    fixture_expect_messages(&f, part, "one\ntwo\n", 1);
    expect_goes_on_at(14);
}
END_TEST

START_TEST(what_is_noted_and_was_restored_is_good_again)
{
    leave_three();
    file_flip(&f, SEG0_LOG, 5);
    repair();
    fixture_close(&f);
    file_flip(&f, SEG0_LOG, 5);
    check(FOUND_NOTE);
    expect(FOUND_STALE_NOTE, "from 4 to 8");
    repair();
    ck_assert(!file_exists(&f, NOTE0));
    fixture_expect_messages(&f, part, "one\ntwo\nthree\n", 0);
    expect_goes_on_at(14);
}
END_TEST

START_TEST(a_note_that_is_damaged_itself)
{
    leave_three();
    file_flip(&f, SEG0_LOG, 5);
    repair();
    fixture_close(&f);
    file_flip(&f, NOTE0, 3);
    check(FOUND_DAMAGE);
    expect(FOUND_DAMAGED_FILE, NOTE0);
    repair();
    fixture_expect_messages(&f, part, "one\nthree\n", 1);
    expect_goes_on_at(14);
}
END_TEST

START_TEST(a_sealed_log_that_is_too_short)
{
    leave_sealed();
    file_cut(&f, SEG0_LOG, 2500);
    check(FOUND_DAMAGE);
    expect(FOUND_SHORT_SEGMENT, "of 6000 bytes, 2000 with 2 messages are there");
    repair();
    fixture_expect_letters(&f, part, "abgl");
    expect_goes_on_at(9005);
}
END_TEST

START_TEST(a_sealed_index_that_is_too_short)
{
    leave_sealed();
    file_cut(&f, SEG0_IDX, ENTRY_AT(4));
    check(FOUND_DAMAGE);
    repair();
    fixture_expect_letters(&f, part, "abcdgl");
    expect_goes_on_at(9005);
}
END_TEST

START_TEST(the_newest_log_is_too_short)
{
    leave_three();
    file_cut(&f, SEG0_LOG, 6);
    check(FOUND_DAMAGE);
    expect(FOUND_READ_ONLY, "its files end at 4, and it had been flushed to 14");
    repair();
    expect(FOUND_MADE_SEGMENT, "t/0/00000000000000000014.log");
    fixture_expect_messages(&f, part, "one\n", 2);
    expect_goes_on_at(14);
}
END_TEST

START_TEST(the_newest_log_is_missing)
{
    leave_sealed();
    file_remove(&f, SEG2_LOG);
    check(FOUND_DAMAGE);
    repair();
    fixture_expect_letters(&f, part, "abcdef");
    expect_goes_on_at(9005);
}
END_TEST

START_TEST(the_newest_log_is_missing_with_os)
{
    fixture_configure(&f, "t", "flush.sync=os");
    fixture_append(part, "seen\n");
    fixture_kill(&f);
    file_remove(&f, SEG0_LOG);
    check(FOUND_DAMAGE);
    repair();
    fixture_expect_messages(&f, part, "", 1);
    expect_goes_on_at(5);
}
END_TEST

START_TEST(the_newest_log_is_missing_and_the_journal_has_it)
{
    fixture_append(part, "one\ntwo\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    file_remove(&f, SEG0_LOG);
    repair();
    fixture_expect_messages(&f, part, "one\ntwo\n", 0);
    expect_goes_on_at(8);
}
END_TEST

/* -- lost indexes -- */

static void index_comes_back(const char *path, const char *letters)
{
    check(FOUND_DAMAGE);
    ck_assert_ptr_nonnull(strstr(report, "has no valid .idx"));
    repair();
    expect(FOUND_MADE_INDEX, path);
    fixture_expect_letters(&f, part, letters);
    expect_goes_on_at(9005);
}

START_TEST(a_sealed_index_is_made_from_lines)
{
    uint64_t offset;

    leave_sealed();
    file_remove(&f, SEG0_IDX);
    index_comes_back(SEG0_IDX, "abcdefgl");
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_int_eq(partition_find_number(part, 4, &offset), 0);
    ck_assert_uint_eq(offset, 4000);
}
END_TEST

START_TEST(the_newest_index_is_made_from_lines)
{
    leave_sealed();
    file_remove(&f, SEG2_IDX);
    index_comes_back(SEG2_IDX, "abcdefgl");
}
END_TEST

START_TEST(the_only_index_is_made_from_lines)
{
    leave_three();
    file_remove(&f, SEG0_IDX);
    repair();
    fixture_expect_messages(&f, part, "one\ntwo\nthree\n", 0);
    expect_goes_on_at(14);
}
END_TEST

/* One bit: the header is as it was. */
START_TEST(a_flipped_header_is_put_back)
{
    char *before;
    char *after;
    size_t len;

    leave_sealed();
    before = file_read(&f, SEG0_IDX, &len);
    file_flip(&f, SEG0_IDX, 25); /* in the base time */
    index_comes_back(SEG0_IDX, "abcdefgl");
    after = file_read(&f, SEG0_IDX, &len);
    ck_assert_mem_eq(before, after, len);
    free(before);
    free(after);
}
END_TEST

/* More than one: numbers come from the segments beside it, entries are kept. */
START_TEST(a_header_of_garbage_is_made_anew_and_keys_stay)
{
    leave_sealed();
    file_write_at(&f, SEG0_IDX, 0, "garbagegarbagegarbagegarbage", 28);
    index_comes_back(SEG0_IDX, "abcdefgl");
}
END_TEST

START_TEST(an_index_whose_messages_have_keys_cannot_be_made)
{
    struct check_options o = options();
    struct err err;

    fixture_append_key(part, "key", "value");
    fixture_close(&f);
    file_remove(&f, SEG0_IDX);
    ck_assert_int_eq(store_repair(&o, &result, &err), 0);
    ck_assert(!result.repaired);
    expect(FOUND_NO_REPAIR, "which message has which .meta record nobody knows");
    ck_assert(!file_exists(&f, SEG0_IDX));
}
END_TEST

START_TEST(an_index_of_any_values_cannot_be_made)
{
    struct check_options o = options();
    struct err err;

    fixture_configure(&f, "t", "values=any");
    leave_three();
    file_remove(&f, SEG0_IDX);
    ck_assert_int_eq(store_repair(&o, &result, &err), 0);
    ck_assert(!result.repaired);
    expect(FOUND_NO_REPAIR, "with values=any a newline does not end a message");
}
END_TEST

START_TEST(a_missing_partition)
{
    struct check_options o = options();
    struct err err;

    leave_three();
    file_remove(&f, SEG0_IDX);
    file_remove(&f, SEG0_LOG);
    ck_assert_int_eq(f.io->ops->rmdir(f.io, "t/0"), 0);
    check(FOUND_DAMAGE);
    ck_assert_int_eq(store_repair(&o, &result, &err), 0);
    ck_assert(!result.repaired);
    ck_assert_uint_eq(result.findings[FOUND_NO_REPAIR], 1);
}
END_TEST

/* -- names -- */

START_TEST(a_link_in_sealed_that_is_another_file)
{
    leave_sealed();
    file_remove(&f, "t/sealed/0-00000000000000000000.log");
    check(FOUND_MENDED);
    expect(FOUND_SEALED_MISSING, "t/sealed/0-00000000000000000000.log: not there");
    file_write(&f, "t/sealed/0-00000000000000000000.log", "other\n", 6);
    check(FOUND_DAMAGE);
    expect(FOUND_SEALED_WRONG, "not a link to the segment");
    repair();
    fixture_close(&f);
    check(FOUND_NOTE);
}

/* Its link is the last name of its bytes. */
START_TEST(the_first_log_is_missing)
{
    leave_sealed();
    file_remove(&f, SEG0_LOG);
    check(FOUND_DAMAGE);
    repair();
    expect(FOUND_MADE_LOG, SEG0_LOG);
    fixture_expect_letters(&f, part, "abcdefgl");
    expect_goes_on_at(9005);
}
END_TEST

START_TEST(the_first_log_and_its_link_are_missing)
{
    leave_sealed();
    file_remove(&f, SEG0_LOG);
    file_remove(&f, "t/sealed/0-00000000000000000000.log");
    repair(); /* as retention leaves it */
    fixture_expect_letters(&f, part, "gl");
    ck_assert_uint_eq(partition_first(part), SEG2_BASE);
}
END_TEST

/* -- symbolic links, which only the real disk has -- */

static void setup_real(void)
{
    fixture_real(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
}

static const char *const linked[] = {SEG0_LOG,    SEG0_IDX,   SEG2_LOG,  SEG2_IDX,    "t/0",
                                     "t/.config", "t/sealed", ".format", ".journal.0"};

#define LINKED ((int)(sizeof linked / sizeof *linked))

/* What a link leads to is neither read nor written, also by a repair. */
START_TEST(a_symbolic_link_in_place_of)
{
    struct check_options o;
    struct stat before;
    struct stat after;
    char from[600];
    char to[600];
    struct err err;
    int rc;

    leave_sealed();
    snprintf(from, sizeof from, "%s/%s", f.dir, linked[_i]);
    snprintf(to, sizeof to, "%s/lost+found", f.dir);
    ck_assert_int_eq(mkdir(to, 0700), 0);
    strcat(to, "/elsewhere");
    ck_assert_int_eq(rename(from, to), 0);
    ck_assert_int_eq(symlink(to, from), 0);
    ck_assert_int_eq(stat(to, &before), 0);
    o = options();
    rc = store_check(&o, &result, &err);
    ck_assert_msg(rc < 0 || result.worst == FOUND_DAMAGE || strcmp(linked[_i], "t/sealed") == 0,
                  "%s: %d\n%s", linked[_i], rc, report);
    o = options();
    ck_assert_int_eq(store_repair(&o, &result, &err), rc);
    ck_assert_int_eq(stat(to, &after), 0);
    ck_assert(before.st_size == after.st_size && before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
              before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_test(tc, a_clean_store);
    tcase_add_test(tc, a_killed_store_whose_bytes_only_the_journal_has);
    tcase_add_test(tc, a_repair_of_a_clean_store_changes_nothing);
    tcase_add_test(tc, a_locked_store);
    tcase_add_test(tc, a_flipped_byte_is_noted_and_skipped);
    tcase_add_test(tc, the_last_entry_flipped);
    tcase_add_test(tc, what_is_noted_and_was_restored_is_good_again);
    tcase_add_test(tc, a_note_that_is_damaged_itself);
    tcase_add_test(tc, a_sealed_log_that_is_too_short);
    tcase_add_test(tc, a_sealed_index_that_is_too_short);
    tcase_add_test(tc, the_newest_log_is_too_short);
    tcase_add_test(tc, the_newest_log_is_missing);
    tcase_add_test(tc, the_newest_log_is_missing_with_os);
    tcase_add_test(tc, the_newest_log_is_missing_and_the_journal_has_it);
    tcase_add_test(tc, a_sealed_index_is_made_from_lines);
    tcase_add_test(tc, the_newest_index_is_made_from_lines);
    tcase_add_test(tc, the_only_index_is_made_from_lines);
    tcase_add_test(tc, a_flipped_header_is_put_back);
    tcase_add_test(tc, a_header_of_garbage_is_made_anew_and_keys_stay);
    tcase_add_test(tc, an_index_whose_messages_have_keys_cannot_be_made);
    tcase_add_test(tc, an_index_of_any_values_cannot_be_made);
    tcase_add_test(tc, a_missing_partition);
    tcase_add_test(tc, a_link_in_sealed_that_is_another_file);
    tcase_add_test(tc, the_first_log_is_missing);
    tcase_add_test(tc, the_first_log_and_its_link_are_missing);
}

int main(void)
{
    Suite *suite = suite_create("repair");
    TCase *tc = tcase_create("repair");
    TCase *real = tcase_create("repair_links");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_tests(tc);
    suite_add_tcase(suite, real);
    tcase_add_checked_fixture(real, setup_real, teardown);
    tcase_add_loop_test(real, a_symbolic_link_in_place_of, 0, LINKED);
    return suite_run(suite);
}
