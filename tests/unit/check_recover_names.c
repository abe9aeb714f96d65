/*
 * store/recover: names found on disk, one test per state: what a crash left
 * half made, and what is not ours. Stores that are refused are in
 * check_recover_refused.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/left_store.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;

static void setup(void)
{
    part = left_store_begin(&f);
}

static void teardown(void)
{
    fixture_end(&f);
}

START_TEST(open_empty_directory_makes_a_store)
{
    fixture_kill(&f);
    fixture_end(&f);
    fixture_real(&f);
    dir_make(&f, "lost+found");
    fixture_open(&f);
    ck_assert(file_exists(&f, ".format"));
    ck_assert_uint_eq(store_topic_count(f.store), 0);
    fixture_reopen(&f);
}
END_TEST

START_TEST(open_foreign_files_are_left_alone)
{
    static const char *const files[] = {
        "t/notes.txt",   "t/0/notes.txt", "t/0/0.log", "t/0/.hidden",
        "t/.config.bak", ".profile",      "README",    "t/0/0000000000000000000x.log",
        "t/0/.swap.tmp", "t/7.tmp",
    };
    static const char *const dirs[] = {
        "lost+found", "t/lost+found", "t/0/lost+found", "t/0/old.tmp", "t/0/.old.tmp", ".old.tmp",
        "t/.old.tmp", "t/17",         "backup",         "-dash",       "white space",
    };

    left_store_kill(&f, part);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        char inside[300];

        dir_make(&f, dirs[i]);
        snprintf(inside, sizeof inside, "%s/precious", dirs[i]);
        file_write(&f, inside, "precious", 8);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        file_write(&f, files[i], "precious", 8);
    part = left_store_expect_fine(&f);
    ck_assert_uint_eq(store_topic_count(f.store), 1);
    fixture_reopen(&f);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        ck_assert_msg(file_exists(&f, files[i]), "%s", files[i]);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        char inside[300];

        snprintf(inside, sizeof inside, "%s/precious", dirs[i]);
        ck_assert_msg(file_exists(&f, inside), "%s", inside);
    }
}
END_TEST

/* -- what a crash left half made -- */

START_TEST(open_left_overs_are_removed)
{
    static const char *const gone[] = {
        ".format.tmp",   ".clean.tmp", ".journal.0.tmp",
        ".new.x",        ".new.y",     ".del.17",
        "t/.config.tmp", "t/.new.1",   "t/0/.00000000000000009000.idx.tmp",
    };

    left_store_kill(&f, part);
    file_write(&f, ".clean.tmp", "x", 1);
    file_write(&f, ".journal.0.tmp", "x", 1);
    file_write(&f, "t/.config.tmp", "x", 1);
    file_write(&f, "t/0/.00000000000000009000.idx.tmp", "x", 1);
    for (int i = 0; i < 3; i++) {
        static const char *const dirs[] = {".new.y", ".del.17", "t/.new.1"};
        char path[100];

        dir_make(&f, dirs[i]);
        snprintf(path, sizeof path, "%s/0", dirs[i]);
        dir_make(&f, path);
        snprintf(path, sizeof path, "%s/0/00000000000000000000.log", dirs[i]);
        file_write(&f, path, "x", 1);
    }
    part = left_store_expect_fine(&f);
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        ck_assert_msg(!file_exists(&f, gone[i]), "%s", gone[i]);
}
END_TEST

START_TEST(open_left_overs_in_a_topic_with_the_longest_name)
{
    char name[TOPIC_NAME_MAX + 1];
    char path[300];

    memset(name, 'n', TOPIC_NAME_MAX);
    name[TOPIC_NAME_MAX] = '\0';
    fixture_topic(&f, name, "");
    fixture_kill(&f);
    snprintf(path, sizeof path, "%s/.new.1", name);
    dir_make(&f, path);
    fixture_open(&f);
    ck_assert(!file_exists(&f, path));
}
END_TEST

/* A roll that the power cut: the successor's files in every state of making. */
START_TEST(open_empty_last_log_without_idx)
{
    left_store_kill(&f, part);
    file_write(&f, "t/0/00000000000000008302.log", "", 0);
    part = left_store_expect_fine(&f);
    ck_assert(!file_exists(&f, "t/0/00000000000000008302.log"));
}
END_TEST

START_TEST(open_empty_last_log_with_an_idx_that_has_no_valid_header)
{
    left_store_kill(&f, part);
    file_write(&f, "t/0/00000000000000008302.log", "", 0);
    file_write(&f, "t/0/00000000000000008302.idx", "TFSIDX", 6);
    part = left_store_expect_fine(&f);
    ck_assert(!file_exists(&f, "t/0/00000000000000008302.log"));
    ck_assert(!file_exists(&f, "t/0/00000000000000008302.idx"));
}
END_TEST

static void write_new_idx(const char *path, uint64_t base, uint64_t number)
{
    uint8_t header[IDX_HEADER_BYTES];
    struct idx_header h = {.base_offset = base, .base_number = number, .base_time_ms = 1000000};

    idx_header_encode(header, &h);
    file_write(&f, path, header, sizeof header);
}

START_TEST(open_last_idx_without_log_and_without_entries)
{
    left_store_kill(&f, part);
    write_new_idx("t/0/00000000000000008302.idx", 8302, 4);
    part = left_store_expect_fine(&f);
    ck_assert(!file_exists(&f, "t/0/00000000000000008302.idx"));
}
END_TEST

START_TEST(open_empty_last_segment_with_a_valid_idx_is_kept)
{
    struct segment_stat st;

    left_store_kill(&f, part);
    file_write(&f, "t/0/00000000000000008302.log", "", 0);
    write_new_idx("t/0/00000000000000008302.idx", 8302, 4);
    part = left_store_expect_fine(&f);
    ck_assert_uint_eq(file_size(&f, "t/0/00000000000000008302.log"), 5);
    ck_assert_int_eq(partition_segment_next(part, 8000, &st), 0);
    ck_assert(st.sealed);
    ck_assert_uint_eq(st.visible_bytes, 302);
}
END_TEST

/* Retention unlinks .log first: what it left of the oldest goes. */
/* As a removal that was interrupted leaves it: the link in sealed/ goes before the .log. */
START_TEST(open_first_segment_without_log)
{
    left_store_kill(&f, part);
    file_remove(&f, "t/sealed/0-00000000000000000000.log");
    file_remove(&f, SEG0_LOG);
    part = left_store_expect_fine(&f);
    ck_assert(!file_exists(&f, SEG0_IDX));
    ck_assert_uint_eq(partition_first(part), 8000);
    ck_assert_int_eq(partition_find(part, 0), ERR_GONE);
}
END_TEST

START_TEST(open_sealed_links_are_made_again)
{
    left_store_kill(&f, part);
    file_remove(&f, "t/sealed/0-00000000000000000000.log");
    part = left_store_expect_fine(&f);
    ck_assert_uint_eq(file_size(&f, "t/sealed/0-00000000000000000000.log"), 8000);
    fixture_kill(&f);
    file_remove(&f, "t/sealed/0-00000000000000000000.log");
    ck_assert_int_eq(f.io->ops->rmdir(f.io, "t/sealed"), 0);
    fixture_open(&f);
    ck_assert_uint_eq(file_size(&f, "t/sealed/0-00000000000000000000.log"), 8000);
}
END_TEST

START_TEST(open_reserve_missing_is_made_again)
{
    left_store_kill(&f, part);
    file_remove(&f, ".reserve");
    part = left_store_expect_fine(&f);
    ck_assert_uint_ge(file_size(&f, ".reserve"), 8 << 20);
}
END_TEST

/* -- files that may only be read -- */

START_TEST(open_read_only_files)
{
    char command[600];
    uint64_t offset;
    struct err err = {0};
    int rc;

    left_store_kill(&f, part);
    fixture_open(&f);
    fixture_close(&f);
    file_remove(&f, ".clean");
    snprintf(command, sizeof command, "chmod 0444 '%s'/t/0/* && chown -R 65534:65534 '%s'", f.dir,
             f.dir);
    ck_assert_int_eq(system(command), 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(setegid(65534), 0);
        ck_assert_int_eq(seteuid(65534), 0);
    }
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), 8302);
    free(fixture_text(&f, part));
    rc = fixture_try_append(part, "more\n", &offset, &err);
    ck_assert_msg(rc == -EROFS || rc == -EACCES || rc == ERR_FAILED, "%d: %s", rc, err.text);
    ck_assert_uint_eq(partition_end(part), 8302);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

static void add_fine(TCase *tc)
{
    tcase_add_test(tc, open_empty_directory_makes_a_store);
    tcase_add_test(tc, open_foreign_files_are_left_alone);
    tcase_add_test(tc, open_left_overs_are_removed);
    tcase_add_test(tc, open_left_overs_in_a_topic_with_the_longest_name);
    tcase_add_test(tc, open_empty_last_log_without_idx);
    tcase_add_test(tc, open_empty_last_log_with_an_idx_that_has_no_valid_header);
    tcase_add_test(tc, open_last_idx_without_log_and_without_entries);
    tcase_add_test(tc, open_empty_last_segment_with_a_valid_idx_is_kept);
    tcase_add_test(tc, open_first_segment_without_log);
    tcase_add_test(tc, open_sealed_links_are_made_again);
    tcase_add_test(tc, open_reserve_missing_is_made_again);
    tcase_add_test(tc, open_read_only_files);
}

int main(void)
{
    Suite *suite = suite_create("recover_names");
    TCase *tc = tcase_create("recover_names");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_fine(tc);
    return suite_run(suite);
}
