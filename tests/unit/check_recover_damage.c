/*
 * store/recover: damage found on disk, one test per state. Damage is what
 * stands below the durable slot, or in a sealed segment, or was vouched for by
 * the journal, and does not agree. It stays as it is, readers of messages skip
 * it, raw readers see the bytes; where appending could reuse offsets, the
 * partition is read-only.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;

#define SEG2_BASE 6000u
#define SEG2_LOG  "t/0/00000000000000006000.log"
#define SEG2_IDX  "t/0/00000000000000006000.idx"

static void setup(void)
{
    fixture_real(&f);
    fixture_open(&f);
    part =
        fixture_topic(&f, "t", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4096\n");
}

static void teardown(void)
{
    fixture_end(&f);
}

static void reopen(void)
{
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
}

/* "one\n", "two\n", "three\n": all below the slot. */
static void leave_slot(void)
{
    fixture_append(part, "one\n");
    fixture_append(part, "two\n");
    fixture_append(part, "three\n");
    fixture_close_unclean(&f);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 14);
}

/* The same, of which the journal alone vouches for all. */
static void leave_vouched(void)
{
    fixture_append(part, "one\n");
    fixture_append(part, "two\n");
    fixture_append(part, "three\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 0);
}

/* A sealed segment of six messages of 1,000 bytes, a to f, and "last\n". */
static void leave_sealed(void)
{
    for (char c = 'a'; c <= 'f'; c++)
        fixture_append_bytes(part, 999, c);
    fixture_append_bytes(part, 2999, 'g');
    fixture_append(part, "last\n");
    fixture_close_unclean(&f);
    ck_assert_uint_eq(file_size(&f, SEG0_LOG), SEG2_BASE);
    ck_assert(file_exists(&f, SEG2_LOG));
}

static void expect_read_only(void)
{
    uint64_t offset = 77;
    struct err err = {0};
    struct partition_stat st;

    ck_assert(partition_failed(part));
    ck_assert_int_eq(fixture_try_append(part, "more\n", &offset, &err), ERR_FAILED);
    ck_assert_uint_eq(offset, 77);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert(st.failed);
    ck_assert_ptr_nonnull(st.why);
}

/* A start makes the partition read-only and leaves all files as they are. Readers get the
 * text, and readers of messages lines that begin with the letters, where these are given. */
static void opens_read_only_as_it_is(const char *text, const char *letters)
{
    char *tree = tree_text(&f);

    reopen();
    if (text)
        fixture_expect(&f, part, text);
    expect_read_only();
    if (letters)
        fixture_expect_letters(&f, part, letters);
    fixture_kill(&f);
    tree_unchanged(&f, tree);
}

static void expect_writable(void)
{
    uint64_t end = partition_end(part);

    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(fixture_append(part, "more\n"), end);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
}

/* -- below the slot of the last segment -- */

START_TEST(open_idx_ahead_of_log_below_slot)
{
    leave_slot();
    file_cut(&f, SEG0_LOG, 8);
    opens_read_only_as_it_is("one\ntwo\n", NULL);
}
END_TEST

START_TEST(open_log_ahead_of_idx_below_slot)
{
    leave_slot();
    file_cut(&f, SEG0_IDX, ENTRY_AT(2));
    opens_read_only_as_it_is("one\ntwo\n", NULL);
}
END_TEST

START_TEST(open_log_empty_below_slot)
{
    leave_slot();
    file_cut(&f, SEG0_LOG, 0);
    reopen();
    fixture_expect(&f, part, "");
    expect_read_only();
}
END_TEST

/* The entry at the slot is lost in a segment of which the rest is good. */
START_TEST(open_flipped_entry_at_the_slot)
{
    leave_slot();
    file_flip(&f, SEG0_IDX, ENTRY_AT(2));
    reopen();
    fixture_expect(&f, part, "one\ntwo\n");
    expect_read_only();
}
END_TEST

/* What a bisection for the slot's entry looks at first. */
/* The time of the slot's own entry, which nothing verifies: what follows it, and is good, stays. */
START_TEST(open_flipped_time_at_the_slot)
{
    fixture_configure(&f, "t", "flush.sync=os");
    leave_slot();
    reopen();
    fixture_append(part, "four\n");
    fixture_kill(&f);
    file_flip(&f, SEG0_IDX, ENTRY_AT(2) + 10);
    reopen();
    fixture_expect(&f, part, "one\ntwo\nthree\nfour\n");
    expect_writable();
}
END_TEST

START_TEST(open_garbage_entries_below_slot_do_not_hide_the_rest)
{
    for (int i = 0; i < 600; i++)
        fixture_append(part, "1234567\n");
    fixture_close_unclean(&f);
    for (int i = 0; i < 4; i++)
        file_write_at(&f, "t/0/00000000000000002040.idx", ENTRY_AT(i * 50), "\377\377\377\177", 4);
    reopen();
    ck_assert_uint_eq(partition_visible_end(part), 4800);
    expect_writable();
}
END_TEST

START_TEST(open_zeros_behind_the_slot)
{
    const uint8_t zeros[8192] = {0};

    leave_slot();
    file_append(&f, SEG0_IDX, zeros, sizeof zeros);
    reopen();
    fixture_expect(&f, part, "one\ntwo\nthree\n");
    expect_writable();
}
END_TEST

/* Below the slot nothing is verified at a start: readers see the bytes. */
START_TEST(open_bad_crc_below_the_slot)
{
    leave_slot();
    file_flip(&f, SEG0_LOG, 5);
    reopen();
    expect_writable();
    ck_assert_uint_eq(partition_visible_end(part), 19);
}
END_TEST

/* -- vouched for by the journal, which cannot bring it back -- */

/* The journal's bytes are written over what stands there, so damage is left
 * only where its record is lost. */
START_TEST(open_bad_crc_above_the_slot_vouched_for_is_mended)
{
    leave_vouched();
    file_flip(&f, SEG0_LOG, 5);
    reopen();
    fixture_expect(&f, part, "one\ntwo\nthree\n");
    fixture_expect_messages(&f, part, "one\ntwo\nthree\n", 0);
    expect_writable();
}
END_TEST

/* A slot that says more than one record: a bad entry between the older slot
 * and a record behind it. */
START_TEST(open_bad_message_between_slot_and_vouched_end)
{
    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append(part, "two\n");
    fixture_append(part, "three\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    file_flip(&f, ".journal.0", 4096 + 41); /* the first record */
    file_write_at(&f, SEG0_LOG, 1, ".", 1);
    reopen();
    fixture_expect(&f, part, "o.e\ntwo\nthree\n");
    fixture_expect_messages(&f, part, "two\nthree\n", 1);
    expect_writable();
}
END_TEST

START_TEST(open_journal_says_more_than_the_log_has_before_it)
{
    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append(part, "two\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    file_flip(&f, ".journal.0", 4096 + 41);
    file_cut(&f, SEG0_LOG, 0);
    file_cut(&f, SEG0_IDX, ENTRY_AT(0));
    reopen();
    expect_read_only();
    fixture_expect(&f, part, "");
}
END_TEST

/* The .idx alone: the record's entries would stand behind a hole, of whatever size. */
START_TEST(open_journal_says_more_than_the_index_has_before_it)
{
    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append(part, "two\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    file_flip(&f, ".journal.0", 4096 + 41);
    file_cut(&f, SEG0_IDX, ENTRY_AT(0));
    reopen();
    expect_read_only();
    ck_assert_uint_eq(file_size(&f, SEG0_IDX), ENTRY_AT(0));
    ck_assert_uint_eq(file_size(&f, SEG0_LOG), 8);
}
END_TEST

START_TEST(open_journal_speaks_of_a_segment_that_is_missing)
{
    leave_vouched();
    file_remove(&f, SEG0_LOG);
    file_remove(&f, SEG0_IDX);
    reopen();
    expect_read_only();
}
END_TEST

/* -- sealed segments -- */

START_TEST(open_sealed_segments_without_damage)
{
    leave_sealed();
    reopen();
    fixture_expect_letters(&f, part, "abcdefgl");
    expect_writable();
    fixture_expect_letters(&f, part, "abcdefglm");
}
END_TEST

START_TEST(open_sealed_log_shorter_than_its_successor_says)
{
    struct partition_stat st;

    leave_sealed();
    file_cut(&f, SEG0_LOG, 2500);
    reopen();
    fixture_expect_letters(&f, part, "abgl");
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.damaged_runs, 1);
    ck_assert(!st.failed);
    expect_writable();
}
END_TEST

START_TEST(open_sealed_log_empty)
{
    leave_sealed();
    file_cut(&f, SEG0_LOG, 0);
    reopen();
    fixture_expect_letters(&f, part, "gl");
    expect_writable();
}
END_TEST

START_TEST(open_sealed_idx_shorter_than_its_log)
{
    leave_sealed();
    file_cut(&f, SEG0_IDX, ENTRY_AT(4));
    reopen();
    fixture_expect_letters(&f, part, "abcdgl");
    free(fixture_text(&f, part)); /* raw readers see all the bytes */
    expect_writable();
}
END_TEST

START_TEST(open_sealed_idx_with_half_an_entry)
{
    leave_sealed();
    file_cut(&f, SEG0_IDX, ENTRY_AT(4) + 3);
    reopen();
    fixture_expect_letters(&f, part, "abcdgl");
}
END_TEST

static void missing_idx_is_read_only(void)
{
    char *tree = tree_text(&f);
    struct partition_stat st;
    uint64_t offset;

    reopen();
    expect_read_only();
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_int_eq(partition_find_number(part, 6, &offset), 0);
    ck_assert_uint_eq(offset, SEG2_BASE);
    fixture_kill(&f);
    tree_unchanged(&f, tree);
}

START_TEST(open_sealed_idx_missing)
{
    leave_sealed();
    file_remove(&f, SEG0_IDX);
    missing_idx_is_read_only();
    reopen();
    fixture_expect_letters(&f, part, "gl");
}
END_TEST

START_TEST(open_sealed_idx_header_flipped)
{
    leave_sealed();
    file_flip(&f, SEG0_IDX, 9);
    missing_idx_is_read_only();
}
END_TEST

START_TEST(open_sealed_idx_of_another_base)
{
    uint8_t header[IDX_HEADER_BYTES];
    struct idx_header h = {.base_offset = 4096, .base_time_ms = 1000000};

    leave_sealed();
    idx_header_encode(header, &h);
    file_write_at(&f, SEG0_IDX, 0, header, 512);
    missing_idx_is_read_only();
}
END_TEST

START_TEST(open_sealed_log_missing_in_the_middle)
{
    char *tree;

    for (char c = 'a'; c <= 'i'; c++)
        fixture_append_bytes(part, 2999, c);
    fixture_close_unclean(&f);
    file_remove(&f, SEG2_LOG);
    tree = tree_text(&f);
    reopen();
    fixture_expect_letters(&f, part, "abefghi");
    expect_writable();
    fixture_kill(&f);
    free(tree);
    ck_assert(file_exists(&f, SEG2_IDX));
}
END_TEST

/* -- the last segment's .idx -- */

START_TEST(open_last_idx_missing)
{
    leave_slot();
    file_remove(&f, SEG0_IDX);
    /* payload is never deleted for an index's sake */
    opens_read_only_as_it_is(NULL, NULL);
}
END_TEST

START_TEST(open_last_idx_header_flipped)
{
    leave_slot();
    file_flip(&f, SEG0_IDX, 8);
    opens_read_only_as_it_is(NULL, NULL);
}
END_TEST

START_TEST(open_last_idx_missing_behind_a_sealed_segment)
{
    leave_sealed();
    file_remove(&f, SEG2_IDX);
    opens_read_only_as_it_is(NULL, "abcdef");
}
END_TEST

START_TEST(open_last_log_missing_with_entries_in_its_idx)
{
    leave_sealed();
    file_remove(&f, SEG2_LOG);
    opens_read_only_as_it_is(NULL, "abcdef");
}
END_TEST

/* -- a topic is not removed, and not empty, because it is broken -- */

START_TEST(remove_a_topic_whose_partition_is_broken)
{
    struct err err;

    leave_slot();
    file_remove(&f, SEG0_IDX);
    reopen();
    ck_assert_int_eq(store_topic_remove(f.store, "t", &err), -ENOTEMPTY);
    ck_assert(file_exists(&f, SEG0_LOG));
}
END_TEST

START_TEST(open_partition_directory_missing)
{
    leave_slot();
    file_remove(&f, SEG0_IDX);
    file_remove(&f, SEG0_LOG);
    ck_assert_int_eq(f.io->ops->rmdir(f.io, "t/0"), 0);
    reopen();
    expect_read_only();
    ck_assert(!file_exists(&f, "t/0"));
}
END_TEST

START_TEST(open_broken_partition_does_not_hold_up_the_others)
{
    struct partition *other = fixture_topic(&f, "other", "");

    fixture_append(other, "fine\n");
    leave_slot();
    file_remove(&f, SEG0_IDX);
    reopen();
    other = fixture_part(&f, "other", 0);
    fixture_append(other, "still\n");
    ck_assert_int_eq(fixture_flush(&f, other), 0);
    fixture_expect(&f, other, "fine\nstill\n");
}
END_TEST

/* The journal has nothing of it: the others are flushed through the journal. */
START_TEST(open_broken_partition_leaves_the_journal_in_use)
{
    char value[64];

    leave_slot();
    file_remove(&f, SEG0_IDX);
    reopen();
    ck_assert_str_eq(fixture_status(&f, "journal", value, sizeof value), "in use");
}
END_TEST

/* What it has of it is kept, and is there when the partition can be used again. */
START_TEST(open_broken_partition_keeps_what_the_journal_has_of_it)
{
    char value[64];
    char *idx;
    size_t len;

    leave_vouched();
    idx = file_read(&f, SEG0_IDX, &len);
    file_remove(&f, SEG0_IDX);
    file_cut(&f, SEG0_LOG, 6);
    reopen();
    expect_read_only();
    ck_assert_str_eq(fixture_status(&f, "journal", value, sizeof value),
                     "given up until the next start");
    fixture_kill(&f);
    file_write(&f, SEG0_IDX, idx, len);
    reopen();
    fixture_expect(&f, part, "one\ntwo\nthree\n");
    expect_writable();
    free(idx);
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_test(tc, open_idx_ahead_of_log_below_slot);
    tcase_add_test(tc, open_log_ahead_of_idx_below_slot);
    tcase_add_test(tc, open_log_empty_below_slot);
    tcase_add_test(tc, open_flipped_entry_at_the_slot);
    tcase_add_test(tc, open_flipped_time_at_the_slot);
    tcase_add_test(tc, open_garbage_entries_below_slot_do_not_hide_the_rest);
    tcase_add_test(tc, open_zeros_behind_the_slot);
    tcase_add_test(tc, open_bad_crc_below_the_slot);
    tcase_add_test(tc, open_bad_crc_above_the_slot_vouched_for_is_mended);
    tcase_add_test(tc, open_bad_message_between_slot_and_vouched_end);
    tcase_add_test(tc, open_journal_says_more_than_the_log_has_before_it);
    tcase_add_test(tc, open_journal_says_more_than_the_index_has_before_it);
    tcase_add_test(tc, open_journal_speaks_of_a_segment_that_is_missing);
    tcase_add_test(tc, open_sealed_segments_without_damage);
    tcase_add_test(tc, open_sealed_log_shorter_than_its_successor_says);
    tcase_add_test(tc, open_sealed_log_empty);
    tcase_add_test(tc, open_sealed_idx_shorter_than_its_log);
    tcase_add_test(tc, open_sealed_idx_with_half_an_entry);
    tcase_add_test(tc, open_sealed_idx_missing);
    tcase_add_test(tc, open_sealed_idx_header_flipped);
    tcase_add_test(tc, open_sealed_idx_of_another_base);
    tcase_add_test(tc, open_sealed_log_missing_in_the_middle);
    tcase_add_test(tc, open_last_idx_missing);
    tcase_add_test(tc, open_last_idx_header_flipped);
    tcase_add_test(tc, open_last_idx_missing_behind_a_sealed_segment);
    tcase_add_test(tc, open_last_log_missing_with_entries_in_its_idx);
    tcase_add_test(tc, remove_a_topic_whose_partition_is_broken);
    tcase_add_test(tc, open_partition_directory_missing);
    tcase_add_test(tc, open_broken_partition_does_not_hold_up_the_others);
    tcase_add_test(tc, open_broken_partition_leaves_the_journal_in_use);
    tcase_add_test(tc, open_broken_partition_keeps_what_the_journal_has_of_it);
}

int main(void)
{
    Suite *suite = suite_create("recover_damage");
    TCase *tc = tcase_create("recover_damage");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_tests(tc);
    return suite_run(suite);
}
