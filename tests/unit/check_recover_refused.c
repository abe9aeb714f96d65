/*
 * store/recover: stores that a start refuses, one test per state: a newer
 * version's, another program's, copied by hand. What is refused is refused
 * before anything in it was touched. And topics and partitions that it leaves
 * out or as they are, while the others go on.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
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

static void expect_refused(int code, const char *says)
{
    char *tree = tree_text(&f);
    int rc = fixture_try_open(&f);

    ck_assert_int_eq(rc, code);
    ck_assert_ptr_null(f.store);
    ck_assert_msg(strstr(f.err.text, says) != NULL, "%s", f.err.text);
    tree_unchanged(&f, tree);
}

/* The topic is left out; its files stay as they are, and its name is not given
 * to another. */
static void expect_left_out(const char *name)
{
    struct fileio_stat before;
    struct fileio_stat after;
    char path[300];
    struct err err;

    snprintf(path, sizeof path, "%s/.config", name);
    if (f.io->ops->stat(f.io, path, &before) < 0)
        before.size_bytes = 0;
    fixture_open(&f);
    ck_assert_ptr_null(store_topic_find(f.store, name));
    ck_assert_uint_eq(fixture_status_number(&f, "topics left out"), 1);
    ck_assert_int_eq(store_topic_create(f.store, name, NULL, NULL, &err), -EEXIST);
    fixture_append(fixture_topic(&f, "another", ""), "fine\n");
    fixture_kill(&f);
    ck_assert(file_exists(&f, path) == (before.size_bytes > 0));
    if (before.size_bytes > 0) {
        ck_assert_int_eq(f.io->ops->stat(f.io, path, &after), 0);
        ck_assert_uint_eq(after.size_bytes, before.size_bytes);
    }
}

/* The partition is read-only, and what stands in its place is left alone. */
static void expect_only_read(const char *why)
{
    struct partition_stat st;

    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert(partition_failed(part));
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_msg(strstr(st.why, why) != NULL, "%s", st.why);
    fixture_append(fixture_topic(&f, "another", ""), "fine\n");
}

/* -- a newer version's -- */

START_TEST(open_format_of_a_newer_version)
{
    size_t len;
    char *text;

    left_store_kill(&f, part);
    text = file_read(&f, ".format", &len);
    text[8] = '2';
    file_write(&f, ".format", text, len);
    free(text);
    expect_refused(ERR_NEWER_FORMAT, ".format: version 2");
}
END_TEST

static const char *const unknown_names[] = {
    "t/0/00000000000000000000.timeidx", "t/0/00000000000000008000.producers",
    "t/0/00000000000000000001.x",       "t/0/00000000000000000000.log.gz",
    "t/0/99999999999999999.log",
};

START_TEST(open_unknown_suffix_of_a_20_digit_name)
{
    left_store_kill(&f, part);
    file_write(&f, unknown_names[_i], "?", 1);
    if (_i < 4)
        expect_refused(ERR_NEWER_FORMAT, unknown_names[_i]);
    else
        part = left_store_expect_fine(&f); /* 17 digits: not ours */
}
END_TEST

static void write_header(const char *path, uint16_t version, uint32_t flags)
{
    uint8_t header[IDX_HEADER_BYTES];
    size_t len;
    char *idx = file_read(&f, path, &len);

    memcpy(header, idx, sizeof header);
    free(idx);
    put_le16(header + 6, version);
    put_le32(header + 32, flags);
    put_le32(header + 36, crc32c_extend(0, header, 36));
    file_write_at(&f, path, 0, header, 40);
}

START_TEST(open_idx_header_of_a_newer_version_in_a_sealed_segment)
{
    left_store_kill(&f, part);
    write_header(SEG0_IDX, 2, 0);
    expect_refused(ERR_NEWER_FORMAT, SEG0_IDX);
}
END_TEST

START_TEST(open_idx_header_of_a_newer_version_in_the_last_segment)
{
    left_store_kill(&f, part);
    write_header(LEFT_LAST ".idx", 2, 0);
    expect_refused(ERR_NEWER_FORMAT, LEFT_LAST ".idx");
}
END_TEST

START_TEST(open_idx_header_with_an_unknown_flag)
{
    left_store_kill(&f, part);
    write_header(LEFT_LAST ".idx", 1, 2);
    expect_refused(ERR_NEWER_FORMAT, LEFT_LAST ".idx");
}
END_TEST

static void newer_journal(int i)
{
    uint8_t header[JOURNAL_HEADER_BYTES];
    const char *name = i ? ".journal.1" : ".journal.0";
    size_t len;
    char *journal = file_read(&f, name, &len);

    memcpy(header, journal, sizeof header);
    free(journal);
    put_le16(header + 6, 2);
    put_le32(header + 24, crc32c_extend(0, header, 24));
    file_write_at(&f, name, 0, header, sizeof header);
}

START_TEST(open_journal_of_a_newer_version)
{
    left_store_kill(&f, part);
    newer_journal(_i);
    expect_refused(ERR_NEWER_FORMAT, _i ? ".journal.1" : ".journal.0");
}
END_TEST

/* Not even the journal file that is missing is made. */
START_TEST(open_second_journal_newer_and_the_first_missing)
{
    left_store_kill(&f, part);
    newer_journal(1);
    file_remove(&f, ".journal.0");
    expect_refused(ERR_NEWER_FORMAT, ".journal.1");
}
END_TEST

START_TEST(open_journal_of_a_newer_version_after_a_clean_stop)
{
    fixture_append(part, "one\n");
    fixture_close(&f);
    newer_journal(1);
    file_remove(&f, ".journal.0");
    expect_refused(ERR_NEWER_FORMAT, ".journal.1");
}
END_TEST

START_TEST(open_config_with_a_setting_it_does_not_know)
{
    left_store_kill(&f, part);
    file_append(&f, "t/.config", "compression=zstd\n", 17);
    expect_left_out("t");
}
END_TEST

START_TEST(open_config_that_is_none)
{
    left_store_kill(&f, part);
    file_write(&f, "t/.config", "hello\n", 6);
    expect_left_out("t");
}
END_TEST

START_TEST(open_config_missing)
{
    left_store_kill(&f, part);
    file_remove(&f, "t/.config");
    expect_left_out("t");
}
END_TEST

/* What stands in the journal alone waits there for the topic to come back, however
 * much is flushed meanwhile. */
START_TEST(open_config_that_comes_back)
{
    size_t len;
    char *config;
    char *text;

    fixture_append(part, "only the journal has it\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    text = fixture_text(&f, part);
    fixture_kill(&f);
    config = file_read(&f, "t/.config", &len);
    file_cut(&f, SEG0_LOG, file_size(&f, SEG0_LOG) - 5);
    file_cut(&f, "t/.config", 20);
    fixture_open(&f);
    part = fixture_topic(&f, "another", "");
    for (int i = 0; i < 50; i++) {
        fixture_append_bytes(part, 30000, 'x');
        ck_assert_int_eq(fixture_flush(&f, part), 0);
    }
    fixture_reopen(&f);
    part = fixture_part(&f, "another", 0);
    fixture_append(part, "more\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_close(&f);
    file_write(&f, "t/.config", config, len);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    fixture_expect(&f, part, text);
    ck_assert(!partition_failed(part));
    free(config);
    free(text);
}
END_TEST

/* -- not a store, or somebody else's -- */

START_TEST(open_directory_with_other_things_in_it)
{
    fixture_kill(&f);
    fixture_end(&f);
    fixture_real(&f);
    file_write(&f, "thesis.tex", "important", 9);
    expect_refused(ERR_NOT_A_STORE, "thesis.tex");
    ck_assert(!file_exists(&f, ".lock"));
}
END_TEST

START_TEST(open_format_that_is_none)
{
    left_store_kill(&f, part);
    file_write(&f, ".format", "something else\n", 15);
    expect_refused(ERR_NOT_A_STORE, ".format");
}
END_TEST

START_TEST(open_format_empty)
{
    left_store_kill(&f, part);
    file_cut(&f, ".format", 0);
    expect_refused(ERR_NOT_A_STORE, ".format");
}
END_TEST

START_TEST(open_format_cut_short)
{
    left_store_kill(&f, part);
    file_cut(&f, ".format", 60);
    expect_refused(ERR_DAMAGED, ".format");
}
END_TEST

static const struct {
    const char *line, *instead;
    int rc;
} format_lines[] = {
    {"topicfs 1\n", "topicfs 4294967297\n", ERR_NOT_A_STORE},
    {"topicfs 1\n", "topicfs 01\n", ERR_NOT_A_STORE},
    {"store ", "store-", ERR_DAMAGED},
    {"store ", "store A", ERR_DAMAGED},
    {"store ", "store 0123456789abcdef0123456789abcdef0\nwas ", ERR_DAMAGED},
    {"cluster ", "cluster 0123456789012345678901234567890123456", ERR_DAMAGED},
    {"broker 1\n", "broker 4294967297\n", ERR_DAMAGED},
    {"broker 1\n", "broker\n", ERR_DAMAGED},
    {"incarnation ", "incarnation 99999999999999999999", ERR_DAMAGED},
    {"incarnation ", "incarnation -", ERR_DAMAGED},
    {"incarnation ", "incarnation 1\n", ERR_DAMAGED},
    {"incarnation ", "incarnation 1 0123456789abcdef0", ERR_DAMAGED},
    {"registry local\n", "registry remote\n", ERR_DAMAGED},
    {"registry local\n", "", ERR_DAMAGED},
    {"topics ", "topics -", ERR_DAMAGED},
    {"topics ", "topics 15\nwas ", ERR_DAMAGED}, /* below the first */
    {"producers ", "producers -", ERR_DAMAGED},
};

START_TEST(open_format_with_a_line_that_is_not_right)
{
    const char *line = format_lines[_i].line;
    const char *instead = format_lines[_i].instead;
    char text[600];
    size_t len;
    char *was;
    const char *at;

    left_store_kill(&f, part);
    was = file_read(&f, ".format", &len);
    at = strstr(was, line);
    ck_assert_ptr_nonnull(at);
    len = (size_t)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - was), was, instead,
                           at + strlen(line));
    file_write(&f, ".format", text, len);
    free(was);
    expect_refused(format_lines[_i].rc, ".format");
}
END_TEST

START_TEST(open_store_of_another_broker)
{
    left_store_kill(&f, part);
    f.options.broker = 7;
    expect_refused(-EINVAL, "--broker 1");
}
END_TEST

START_TEST(open_locked_store)
{
    struct store *first = f.store;
    struct fileio *io = f.io;
    char *tree;
    size_t len;
    char *lock = file_read(&f, ".lock", &len);

    fixture_append(part, "one\n");
    tree = tree_text(&f);
    ck_assert_int_eq(fileio_open(&f.options.io, f.dir, &f.err), 0);
    f.store = NULL;
    ck_assert_int_eq(fixture_try_open(&f), ERR_LOCKED);
    ck_assert_ptr_nonnull(strstr(f.err.text, "locked by process "));
    tree_unchanged(&f, tree);
    fileio_release(f.options.io);
    f.options.io = io;
    f.store = first;
    tree = file_read(&f, ".lock", &len);
    ck_assert_str_eq(tree, lock); /* tree_text() leaves it out */
    free(tree);
    free(lock);
    fixture_append(part, "two\n");
}
END_TEST

/* -- links, directories and strangers among our names -- */

/* Its .lock speaks of a process that is not there, as where another machine has it. */
START_TEST(open_store_locked_by_who_is_not_to_be_seen)
{
    struct store *first = f.store;
    struct fileio *io = f.io;

    ck_assert_int_eq(fileio_open(&f.options.io, f.dir, &f.err), 0);
    file_write(&f, ".lock", "999999999 boot\n", 15);
    f.store = NULL;
    ck_assert_int_eq(fixture_try_open(&f), ERR_LOCKED);
    ck_assert_str_eq(f.err.text, "store test: locked by process 999999999");
    fileio_release(f.options.io);
    f.options.io = io;
    f.store = first;
}
END_TEST

START_TEST(open_symlink_in_place_of_a_file)
{
    static const char *const names[] = {SEG0_LOG, SEG0_IDX, LEFT_LAST ".log", LEFT_LAST ".idx"};
    char from[600];
    char to[600];

    left_store_kill(&f, part);
    snprintf(from, sizeof from, "%s/%s", f.dir, names[_i]);
    snprintf(to, sizeof to, "%s/elsewhere", f.dir);
    ck_assert_int_eq(rename(from, to), 0);
    ck_assert_int_eq(symlink("../../elsewhere", from), 0);
    expect_only_read(names[_i]);
}
END_TEST

START_TEST(open_symlink_in_place_of_a_partition)
{
    char from[600];
    char to[600];

    left_store_kill(&f, part);
    snprintf(from, sizeof from, "%s/t/0", f.dir);
    snprintf(to, sizeof to, "%s/elsewhere", f.dir);
    ck_assert_int_eq(rename(from, to), 0);
    ck_assert_int_eq(symlink("../elsewhere", from), 0);
    expect_only_read("t/0");
}
END_TEST

START_TEST(open_directory_in_place_of_a_file)
{
    left_store_kill(&f, part);
    dir_make(&f, "t/0/00000000000000009999.log");
    expect_only_read("00000000000000009999.log");
}
END_TEST

/* -- topics copied by hand -- */

static void copy_topic(const char *to, const char *number)
{
    char command[900];

    snprintf(command, sizeof command,
             "cp -r '%s/t' '%s/%s' && sed -i 's/^number=.*/number=%s/' '%s/%s/.config'", f.dir,
             f.dir, to, number, f.dir, to);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(open_topic_directory_copied_by_hand)
{
    left_store_kill(&f, part);
    copy_topic("copy", "16");
    expect_refused(-EEXIST, "/.config: its number 16");
}
END_TEST

/* From another store, whose numbers went further: some day this store would
 * give the number to another topic. */
START_TEST(open_topic_directory_from_another_store)
{
    left_store_kill(&f, part);
    copy_topic("copy", "5000");
    expect_left_out("copy");
}
END_TEST

START_TEST(open_topic_with_a_number_that_is_kept_for_the_program)
{
    left_store_kill(&f, part);
    copy_topic("copy", "15");
    expect_left_out("copy");
}
END_TEST

static void add_refused(TCase *tc)
{
    tcase_add_test(tc, open_format_of_a_newer_version);
    tcase_add_loop_test(tc, open_unknown_suffix_of_a_20_digit_name, 0, 5);
    tcase_add_test(tc, open_idx_header_of_a_newer_version_in_a_sealed_segment);
    tcase_add_test(tc, open_idx_header_of_a_newer_version_in_the_last_segment);
    tcase_add_test(tc, open_idx_header_with_an_unknown_flag);
    tcase_add_loop_test(tc, open_journal_of_a_newer_version, 0, 2);
    tcase_add_test(tc, open_second_journal_newer_and_the_first_missing);
    tcase_add_test(tc, open_journal_of_a_newer_version_after_a_clean_stop);
    tcase_add_test(tc, open_config_with_a_setting_it_does_not_know);
    tcase_add_test(tc, open_config_that_is_none);
    tcase_add_test(tc, open_config_missing);
    tcase_add_test(tc, open_config_that_comes_back);
    tcase_add_test(tc, open_directory_with_other_things_in_it);
    tcase_add_test(tc, open_format_that_is_none);
    tcase_add_test(tc, open_format_empty);
    tcase_add_test(tc, open_format_cut_short);
    tcase_add_loop_test(tc, open_format_with_a_line_that_is_not_right, 0,
                        (int)(sizeof format_lines / sizeof *format_lines));
    tcase_add_test(tc, open_store_of_another_broker);
    tcase_add_test(tc, open_locked_store);
    tcase_add_test(tc, open_store_locked_by_who_is_not_to_be_seen);
    tcase_add_loop_test(tc, open_symlink_in_place_of_a_file, 0, 4);
    tcase_add_test(tc, open_symlink_in_place_of_a_partition);
    tcase_add_test(tc, open_directory_in_place_of_a_file);
    tcase_add_test(tc, open_topic_directory_copied_by_hand);
    tcase_add_test(tc, open_topic_directory_from_another_store);
    tcase_add_test(tc, open_topic_with_a_number_that_is_kept_for_the_program);
}

int main(void)
{
    Suite *suite = suite_create("recover_refused");
    TCase *tc = tcase_create("recover_refused");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_refused(tc);
    return suite_run(suite);
}
