/*
 * store/recover: one test per state found on disk: what stands there, what the
 * start makes of it. Torn tails and what the journal vouches for; damage is in
 * check_recover_damage, names and left-overs in check_recover_names, .clean in
 * check_clean, the journal's own states in check_journal.
 *
 * Three ways to stand in the last segment:
 *   torn     appended, never flushed: nobody was told; goes where it is not whole
 *   vouched  in the journal, above the durable slot: stays, comes back
 *   slot     below the durable slot: stays; where it does not agree, damage
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;

static void setup(void)
{
    fixture_real(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", "");
}

static void teardown(void)
{
    fixture_end(&f);
}

/* "one\n" is below the slot; "two\n" and "three\n" (a set each) are torn. */
static void leave_torn(void)
{
    fixture_append(part, "one\n");
    fixture_close_unclean(&f);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    fixture_append(part, "two\n");
    fixture_append(part, "three\n");
    fixture_kill(&f);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 4);
    ck_assert_uint_eq(file_size(&f, SEG0_LOG), 14);
    ck_assert_uint_eq(file_size(&f, SEG0_IDX), ENTRY_AT(3));
}

/* The same, with "two\n" and "three\n" in the journal. */
static void leave_vouched(void)
{
    fixture_append(part, "one\n");
    fixture_close_unclean(&f);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    fixture_append(part, "two\n");
    fixture_append(part, "three\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 4);
}

/* All three below the slot. */
static void leave_slot(void)
{
    fixture_append(part, "one\n");
    fixture_append(part, "two\n");
    fixture_append(part, "three\n");
    fixture_close_unclean(&f);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 14);
}

/* Recovers to this text, takes an append, stays so over another recovery, and
 * everything stands behind a slot afterwards. */
static void recovers_to(const char *text)
{
    char more[256];
    char *tree;

    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert(!partition_failed(part));
    fixture_expect(&f, part, text);
    ck_assert_uint_eq(file_size(&f, SEG0_LOG), strlen(text));
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), strlen(text));
    fixture_kill(&f);
    tree = tree_text(&f);
    fixture_open(&f);
    tree_unchanged(&f, tree);
    part = fixture_part(&f, "t", 0);
    fixture_expect(&f, part, text);
    ck_assert_uint_eq(fixture_append(part, "more\n"), strlen(text));
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    snprintf(more, sizeof more, "%smore\n", text);
    fixture_expect(&f, part, more);
    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    fixture_expect(&f, part, more);
}

/* -- nothing wrong -- */

START_TEST(open_after_kill_keeps_what_was_appended_whole)
{
    leave_torn();
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_after_kill_of_an_empty_partition)
{
    fixture_kill(&f);
    recovers_to("");
}
END_TEST

START_TEST(open_twice_after_kill_changes_nothing_more)
{
    char *tree;

    leave_vouched();
    fixture_open(&f);
    fixture_kill(&f);
    tree = tree_text(&f);
    for (int i = 0; i < 3; i++) {
        fixture_open(&f);
        fixture_kill(&f);
    }
    tree_unchanged(&f, tree);
}
END_TEST

/* -- torn tails -- */

START_TEST(open_idx_ahead_of_log_after_power_cut)
{
    leave_torn();
    file_cut(&f, SEG0_LOG, 8);
    recovers_to("one\ntwo\n");
}
END_TEST

START_TEST(open_idx_ahead_of_log_within_a_message)
{
    leave_torn();
    file_cut(&f, SEG0_LOG, 13);
    recovers_to("one\ntwo\n");
}
END_TEST

START_TEST(open_log_ahead_of_idx_after_power_cut)
{
    leave_torn();
    file_cut(&f, SEG0_IDX, ENTRY_AT(2));
    recovers_to("one\ntwo\n");
}
END_TEST

START_TEST(open_half_an_entry_after_power_cut)
{
    leave_torn();
    file_cut(&f, SEG0_IDX, ENTRY_AT(2) + 7);
    recovers_to("one\ntwo\n");
}
END_TEST

START_TEST(open_log_longer_than_idx_by_garbage)
{
    leave_torn();
    file_append(&f, SEG0_LOG, "garbage", 7);
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_idx_longer_than_log_by_zeros)
{
    const uint8_t zeros[4096] = {0};

    leave_torn();
    file_append(&f, SEG0_IDX, zeros, sizeof zeros);
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_log_and_idx_longer_by_zeros)
{
    const uint8_t zeros[4096] = {0};

    leave_torn();
    file_append(&f, SEG0_IDX, zeros, sizeof zeros);
    file_append(&f, SEG0_LOG, zeros, sizeof zeros);
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_bad_crc_above_the_slot)
{
    leave_torn();
    file_flip(&f, SEG0_LOG, 5);
    recovers_to("one\n"); /* what follows a torn entry goes, good or not */
}
END_TEST

START_TEST(open_every_flipped_bit_of_a_torn_entry)
{
    leave_torn();
    file_flip(&f, SEG0_IDX, ENTRY_AT(2) + (uint64_t)_i);
    recovers_to("one\ntwo\n");
}
END_TEST

START_TEST(open_incomplete_set_after_power_cut)
{
    fixture_append(part, "one\n");
    fixture_append(part, "a1\na2\na3\n");
    fixture_kill(&f);
    file_cut(&f, SEG0_IDX, ENTRY_AT(3));
    recovers_to("one\n");
}
END_TEST

START_TEST(open_last_message_of_a_set_torn)
{
    fixture_append(part, "one\n");
    fixture_append(part, "a1\na2\na3\n");
    fixture_kill(&f);
    file_flip(&f, SEG0_LOG, 11);
    recovers_to("one\n");
}
END_TEST

START_TEST(open_first_set_incomplete)
{
    fixture_append(part, "a1\na2\na3\n");
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 8);
    recovers_to("");
}
END_TEST

START_TEST(open_log_empty_and_idx_full_after_power_cut)
{
    fixture_append(part, "one\n");
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 0);
    recovers_to("");
}
END_TEST

START_TEST(open_meta_shorter_than_idx_says_after_power_cut)
{
    fixture_append(part, "one\n");
    fixture_append_key(part, "key", "two");
    fixture_kill(&f);
    file_cut(&f, SEG0_META, 4);
    recovers_to("one\n");
}
END_TEST

START_TEST(open_meta_missing_after_power_cut)
{
    fixture_append(part, "one\n");
    fixture_append_key(part, "key", "two");
    fixture_kill(&f);
    file_remove(&f, SEG0_META);
    recovers_to("one\n");
}
END_TEST

START_TEST(open_meta_longer_than_idx_says)
{
    fixture_append(part, "one\n");
    fixture_append_key(part, "key", "two");
    fixture_kill(&f);
    file_append(&f, SEG0_META, "garbage", 7);
    recovers_to("one\ntwo\n");
    ck_assert_uint_eq(file_size(&f, SEG0_META), 5);
}
END_TEST

START_TEST(open_flipped_meta_above_the_slot)
{
    fixture_append(part, "one\n");
    fixture_append_key(part, "key", "two");
    fixture_kill(&f);
    file_flip(&f, SEG0_META, 3);
    recovers_to("one\n");
}
END_TEST

START_TEST(open_tells_how_many_messages_were_cut)
{
    char value[64];

    leave_torn();
    file_cut(&f, SEG0_LOG, 5);
    fixture_open(&f);
    ck_assert_str_eq(fixture_status(&f, "cut at start", value, sizeof value), "2 messages");
}
END_TEST

/* An entry whose time is below that of the one before: not as we write them. */
START_TEST(open_time_falls_above_the_slot)
{
    uint8_t bytes[IDX_ENTRY_BYTES];
    struct idx_entry e;
    size_t len;
    char *idx;

    f.clock.now_ms += 5000;
    leave_torn();
    idx = file_read(&f, SEG0_IDX, &len);
    e = idx_entry_decode((uint8_t *)idx + ENTRY_AT(2));
    ck_assert_uint_eq(e.time_ms, 5000);
    e.time_ms = 4999;
    idx_entry_encode(bytes, &e, crc32c_extend(0, "three\n", 6), 0);
    file_write_at(&f, SEG0_IDX, ENTRY_AT(2), bytes, sizeof bytes);
    free(idx);
    recovers_to("one\ntwo\n");
}
END_TEST

/* -- the journal vouches above the slot -- */

START_TEST(open_vouched_and_all_there)
{
    leave_vouched();
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_vouched_and_the_bytes_are_missing)
{
    leave_vouched();
    file_cut(&f, SEG0_LOG, 4);
    file_cut(&f, SEG0_IDX, ENTRY_AT(1));
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_vouched_and_only_the_log_is_missing)
{
    leave_vouched();
    file_cut(&f, SEG0_LOG, 4);
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_vouched_and_only_the_idx_is_missing)
{
    leave_vouched();
    file_cut(&f, SEG0_IDX, ENTRY_AT(1));
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_vouched_and_the_bytes_are_garbage)
{
    leave_vouched();
    file_write_at(&f, SEG0_LOG, 4, "##########", 10);
    file_write_at(&f, SEG0_IDX, ENTRY_AT(1), "################################", 32);
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_vouched_with_a_torn_tail_above)
{
    leave_vouched();
    file_append(&f, SEG0_LOG, "torn\n", 5);
    file_append(&f, SEG0_IDX, "torn", 4);
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_vouched_meta_comes_back)
{
    fixture_append_key(part, "k1", "one");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append_key(part, "k2", "two");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    file_cut(&f, SEG0_META, 0);
    file_cut(&f, SEG0_LOG, 0);
    file_cut(&f, SEG0_IDX, ENTRY_AT(0));
    recovers_to("one\ntwo\n");
    ck_assert_uint_eq(file_size(&f, SEG0_META), 8);
}
END_TEST

START_TEST(open_vouched_in_many_records)
{
    char want[2000] = "";

    for (int i = 0; i < 100; i++) {
        char line[24];

        snprintf(line, sizeof line, "line-%d\n", i);
        fixture_append(part, line);
        ck_assert_int_eq(fixture_flush(&f, part), 0);
        strcat(want, line);
    }
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 0);
    file_cut(&f, SEG0_IDX, ENTRY_AT(0));
    fixture_open(&f);
    fixture_expect(&f, fixture_part(&f, "t", 0), want);
}
END_TEST

START_TEST(open_vouched_below_the_slot_is_not_written_again)
{
    char value[64];

    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    idx_set_slot(&f, SEG0_IDX, 0, 4);
    fixture_open(&f);
    ck_assert_str_eq(fixture_status(&f, "replayed at start", value, sizeof value), "0 parts");
}
END_TEST

START_TEST(open_slot_torn_falls_back_to_the_older_one)
{
    leave_slot();
    idx_set_slot(&f, SEG0_IDX, 0, 4);
    file_write_at(&f, SEG0_IDX, IDX_SLOT_AT(0), "torn torn torn torn ", IDX_SLOT_BYTES);
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

START_TEST(open_both_slots_torn_verifies_from_the_base)
{
    leave_slot();
    for (int i = 0; i < 2; i++)
        file_write_at(&f, SEG0_IDX, IDX_SLOT_AT(i), "torn torn torn torn ", IDX_SLOT_BYTES);
    recovers_to("one\ntwo\nthree\n");
}
END_TEST

/* -- more than a window of entries or bytes -- */

START_TEST(open_ten_thousand_entries_with_a_torn_end)
{
    for (int i = 0; i < 10000; i++)
        fixture_append(part, "0123456789abcde\n");
    fixture_append_bytes(part, 900000, 'x');
    fixture_append_bytes(part, 900000, 'y');
    fixture_kill(&f);
    file_flip(&f, SEG0_LOG, 160000 + 900001 + 500000);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), 160000 + 900001);
    ck_assert_uint_eq(file_size(&f, SEG0_IDX), ENTRY_AT(10001));
}
END_TEST

/* -- flush.sync=os -- */

START_TEST(open_os_topic_after_kill_keeps_all)
{
    struct partition *os = fixture_topic(&f, "os", "flush.sync=os\n");

    fixture_append(os, "one\ntwo\n");
    fixture_kill_reopen(&f);
    fixture_expect(&f, fixture_part(&f, "os", 0), "one\ntwo\n");
}
END_TEST

START_TEST(open_os_topic_with_a_torn_tail_in_another_boot)
{
    struct partition *os = fixture_topic(&f, "os", "flush.sync=os\n");

    fixture_append(os, "one\n");
    fixture_append(os, "two\n");
    fixture_kill(&f);
    file_cut(&f, "os/0/00000000000000000000.log", 6);
    f.options.boot_id = "boot-2";
    fixture_open(&f);
    os = fixture_part(&f, "os", 0);
    fixture_expect(&f, os, "one\n");
    ck_assert_uint_eq(fixture_append(os, "new\n"), 4);
    fixture_expect(&f, os, "one\nnew\n");
}
END_TEST

static void add_torn(TCase *tc)
{
    tcase_add_test(tc, open_after_kill_keeps_what_was_appended_whole);
    tcase_add_test(tc, open_after_kill_of_an_empty_partition);
    tcase_add_test(tc, open_twice_after_kill_changes_nothing_more);
    tcase_add_test(tc, open_idx_ahead_of_log_after_power_cut);
    tcase_add_test(tc, open_idx_ahead_of_log_within_a_message);
    tcase_add_test(tc, open_log_ahead_of_idx_after_power_cut);
    tcase_add_test(tc, open_half_an_entry_after_power_cut);
    tcase_add_test(tc, open_log_longer_than_idx_by_garbage);
    tcase_add_test(tc, open_idx_longer_than_log_by_zeros);
    tcase_add_test(tc, open_log_and_idx_longer_by_zeros);
    tcase_add_test(tc, open_bad_crc_above_the_slot);
    tcase_add_loop_test(tc, open_every_flipped_bit_of_a_torn_entry, 0, 16);
    tcase_add_test(tc, open_incomplete_set_after_power_cut);
    tcase_add_test(tc, open_last_message_of_a_set_torn);
    tcase_add_test(tc, open_first_set_incomplete);
    tcase_add_test(tc, open_log_empty_and_idx_full_after_power_cut);
    tcase_add_test(tc, open_meta_shorter_than_idx_says_after_power_cut);
    tcase_add_test(tc, open_meta_missing_after_power_cut);
    tcase_add_test(tc, open_meta_longer_than_idx_says);
    tcase_add_test(tc, open_flipped_meta_above_the_slot);
    tcase_add_test(tc, open_tells_how_many_messages_were_cut);
    tcase_add_test(tc, open_time_falls_above_the_slot);
}

static void add_vouched(TCase *tc)
{
    tcase_add_test(tc, open_vouched_and_all_there);
    tcase_add_test(tc, open_vouched_and_the_bytes_are_missing);
    tcase_add_test(tc, open_vouched_and_only_the_log_is_missing);
    tcase_add_test(tc, open_vouched_and_only_the_idx_is_missing);
    tcase_add_test(tc, open_vouched_and_the_bytes_are_garbage);
    tcase_add_test(tc, open_vouched_with_a_torn_tail_above);
    tcase_add_test(tc, open_vouched_meta_comes_back);
    tcase_add_test(tc, open_vouched_in_many_records);
    tcase_add_test(tc, open_vouched_below_the_slot_is_not_written_again);
    tcase_add_test(tc, open_slot_torn_falls_back_to_the_older_one);
    tcase_add_test(tc, open_both_slots_torn_verifies_from_the_base);
    tcase_add_test(tc, open_ten_thousand_entries_with_a_torn_end);
    tcase_add_test(tc, open_os_topic_after_kill_keeps_all);
    tcase_add_test(tc, open_os_topic_with_a_torn_tail_in_another_boot);
}

int main(void)
{
    Suite *suite = suite_create("recover");
    TCase *tc = tcase_create("recover");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_torn(tc);
    add_vouched(tc);
    return suite_run(suite);
}
