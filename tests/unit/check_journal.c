/*
 * store/journal and store/replay: turns, checkpoints, growth, and the states
 * of the journal's files that a start finds.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/findings.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;

static void setup_with(uint64_t journal_bytes)
{
    fixture_mem(&f);
    f.options.journal_bytes = journal_bytes;
    fixture_open(&f);
    part = fixture_topic(&f, "t", "");
}

static void setup(void)
{
    setup_with((uint64_t)64 << 10); /* 32 KiB each: a header and seven records */
}

static void teardown(void)
{
    fixture_end(&f);
}

static void append_flushed(struct partition *p, size_t bytes, char letter)
{
    fixture_append_bytes(p, bytes, letter);
    ck_assert_int_eq(fixture_flush(&f, p), 0);
}

/* The records of a file as they stand, however many turns old. */
struct records {
    struct journal_record r[64];
    size_t count;
};

static void read_records(const char *name, struct records *out)
{
    size_t len;
    char *data = file_read(&f, name, &len);

    out->count = 0;
    for (size_t at = JOURNAL_BLOCK; at + JOURNAL_RECORD_BYTES <= len; at += JOURNAL_BLOCK) {
        struct journal_record *r = &out->r[out->count];

        if (!journal_record_decode((uint8_t *)data + at, r) || r->length > len - at)
            continue;
        ck_assert_uint_eq(journal_record_crc((uint8_t *)data + at, r->length), r->crc);
        out->count++;
    }
    free(data);
}

/* -- writing -- */

START_TEST(record_has_the_bytes_of_the_message)
{
    struct journal_record r;
    struct journal_part p;
    size_t len;
    char *data;

    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append_key(part, "key", "two");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    data = file_read(&f, ".journal.0", &len);
    ck_assert(journal_record_decode((uint8_t *)data + 8192, &r));
    ck_assert_uint_eq(r.sequence, 2);
    ck_assert_uint_eq(r.from, 1);
    ck_assert_uint_eq(r.parts, 1);
    ck_assert_uint_eq(r.length, 40 + 40 + 16 + 4 + 5 + 7); /* padded to 8 */
    journal_part_decode((uint8_t *)data + 8192 + 40, &p);
    ck_assert_uint_eq(p.topic, 16);
    ck_assert_uint_eq(p.partition, 0);
    ck_assert_uint_eq(p.segment_base, 0);
    ck_assert_uint_eq(p.first_entry, 1);
    ck_assert_uint_eq(p.entries, 1);
    ck_assert_uint_eq(p.log_pos, 4);
    ck_assert_uint_eq(p.log_bytes, 4);
    ck_assert_uint_eq(p.meta_pos, 0);
    ck_assert_uint_eq(p.meta_bytes, 5);
    ck_assert_mem_eq(data + 8192 + 40 + 40 + 16, "two\n\2\3key", 9);
    free(data);
}
END_TEST

START_TEST(two_partitions_share_a_record)
{
    struct partition *other = fixture_topic(&f, "other", "");
    struct records all;

    fixture_append(part, "one\n");
    fixture_append(other, "two\n");
    ck_assert(store_work(f.store, true));
    ck_assert_uint_eq(partition_visible_end(part), 4);
    ck_assert_uint_eq(partition_visible_end(other), 4);
    read_records(".journal.0", &all);
    ck_assert_uint_eq(all.count, 1);
    ck_assert_uint_eq(all.r[0].parts, 2);
}
END_TEST

START_TEST(files_take_turns_and_checkpoints_free_them)
{
    for (int i = 0; i < 100; i++)
        append_flushed(part, 2999, (char)('a' + i % 26));
    ck_assert_uint_ge(fixture_status_number(&f, "journal turns"), 14);
    ck_assert_uint_ge(fixture_status_number(&f, "checkpoints"), 13);
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 100);
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 0);
    ck_assert_uint_le(file_size(&f, ".journal.0"), 32 << 10);
    ck_assert_uint_le(file_size(&f, ".journal.1"), 32 << 10);
    ck_assert_uint_gt(idx_slot_end(&f, SEG0_IDX, 0), 200000); /* by the checkpoints */
}
END_TEST

START_TEST(sequence_rises_over_both_files_and_salt_changes_with_the_turn)
{
    struct records a;
    struct records b;

    for (int i = 0; i < 10; i++) /* 1 to 7 in the first, 8 to 10 in the second */
        append_flushed(part, 99, 'x');
    read_records(".journal.0", &a);
    read_records(".journal.1", &b);
    ck_assert_uint_eq(a.count, 7);
    ck_assert_uint_eq(b.count, 3);
    for (size_t i = 0; i < 7; i++) {
        ck_assert_uint_eq(a.r[i].sequence, i + 1);
        ck_assert_uint_eq(a.r[i].salt, a.r[0].salt);
        ck_assert_uint_eq(a.r[i].from, 1);
    }
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(b.r[i].sequence, i + 8);
        ck_assert_uint_eq(b.r[i].salt, b.r[0].salt);
    }
    ck_assert_uint_ne(a.r[0].salt, b.r[0].salt);
    /* The checkpoint came after the turn's first record. */
    ck_assert_uint_eq(b.r[0].from, 1);
    ck_assert_uint_eq(b.r[2].from, 8);
}
END_TEST

START_TEST(sequence_goes_on_over_restarts)
{
    struct records all;
    uint64_t last = 0;

    /* After a start the turn begins in the file that has not the last record. */
    for (int round = 0; round < 6; round++) {
        append_flushed(part, 99, 'x');
        if (round % 2)
            fixture_reopen(&f);
        else
            fixture_kill_reopen(&f);
        part = fixture_part(&f, "t", 0);
        append_flushed(part, 99, 'y');
        read_records(round % 2 ? ".journal.0" : ".journal.1", &all);
        ck_assert_uint_gt(all.count, 0);
        ck_assert_uint_gt(all.r[0].sequence, last);
        last = all.r[0].sequence;
    }
}
END_TEST

START_TEST(journal_grows_a_mib_at_a_time_up_to_its_half)
{
    fixture_end(&f);
    setup_with((uint64_t)5 << 20);
    ck_assert_uint_eq(file_size(&f, ".journal.0"), 4096);
    append_flushed(part, 99, 'x');
    ck_assert_uint_eq(file_size(&f, ".journal.0"), 1 << 20);
    for (int i = 0; i < 12; i++)
        append_flushed(part, 200000, 'x');
    ck_assert_uint_eq(file_size(&f, ".journal.0"), (5 << 20) / 2);
    ck_assert_uint_ge(file_size(&f, ".reserve"), 2 * (5 << 20) / 2);
}
END_TEST

START_TEST(part_above_its_limit_goes_direct)
{
    f.options.journal_part_bytes = 0;
    append_flushed(part, (256 << 10) + 1, 'x');
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 1);
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 0);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), (256 << 10) + 2);
}
END_TEST

START_TEST(record_that_no_file_holds_goes_direct)
{
    append_flushed(part, 40000, 'x');
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 1);
    append_flushed(part, 99, 'x');
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 1);
}
END_TEST

START_TEST(journal_without_room_goes_direct_and_comes_back)
{
    uint64_t offset;

    fixture_append(part, "one\n");
    f.disk->room_bytes = memdisk_used_bytes(f.disk);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 1);
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 0);
    f.disk->room_bytes = 0;
    offset = fixture_append(part, "two\n");
    ck_assert_uint_eq(offset, 4);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 1);
}
END_TEST

START_TEST(journal_that_fails_is_given_up_and_flushes_go_direct)
{
    char value[64];

    memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_FDATASYNC),
                                                .path = ".journal.*",
                                                .nth = 1,
                                                .error = _i ? -EIO : -ENOSPC});
    append_flushed(part, 99, 'x');
    ck_assert_uint_eq(partition_visible_end(part), 100);
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 1);
    ck_assert_str_eq(fixture_status(&f, "journal", value, sizeof value),
                     "given up until the next start");
    append_flushed(part, 99, 'y'); /* a second fdatasync would say OK: it is not asked */
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 0);
    fixture_reopen(&f);
    append_flushed(fixture_part(&f, "t", 0), 99, 'z');
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 1);
}
END_TEST

/* A partition that cannot be checkpointed holds its turn: when both files are
 * held, flushes go direct, and nothing of what was promised is written over. */
START_TEST(turn_of_a_failed_partition_is_kept)
{
    struct partition *bad = fixture_topic(&f, "bad", "");

    append_flushed(bad, 99, 'b');
    memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_FDATASYNC),
                                                .path = "bad/0/*",
                                                .nth = 1,
                                                .for_ever = true,
                                                .error = -EIO});
    for (int i = 0; i < 50; i++)
        append_flushed(part, 2999, 'x');
    ck_assert(partition_failed(bad));
    ck_assert_uint_gt(fixture_status_number(&f, "direct flushes"), 30);
    memdisk_set_fault(f.disk, (struct memfault){0});
    fixture_kill(&f);
    file_cut(&f, "bad/0/00000000000000000000.log", 0); /* as the failed write-back left it */
    file_cut(&f, "bad/0/00000000000000000000.idx", 4096);
    fixture_open(&f);
    bad = fixture_part(&f, "bad", 0);
    ck_assert(!partition_failed(bad));
    ck_assert_uint_eq(partition_visible_end(bad), 100);
    ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "t", 0)), 150000);
}
END_TEST

/* -- found by a start -- */

#define OTHER_LOG "other/0/00000000000000000000.log"
#define OTHER_IDX "other/0/00000000000000000000.idx"

/* Six records, of t and other in turn; the files themselves hold nothing. */
static void leave_only_the_journal(void)
{
    struct partition *other = fixture_topic(&f, "other", "");

    for (int i = 0; i < 3; i++) {
        append_flushed(part, 99, (char)('a' + i));
        append_flushed(other, 99, (char)('A' + i));
    }
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 0);
    file_cut(&f, SEG0_IDX, 4096);
    file_cut(&f, OTHER_LOG, 0);
    file_cut(&f, OTHER_IDX, 4096);
}

static void expect_ends(uint64_t t, uint64_t other)
{
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), t);
    ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "other", 0)), other);
}

START_TEST(open_with_all_in_the_journal)
{
    leave_only_the_journal();
    expect_ends(300, 300);
    ck_assert_uint_eq(fixture_status_number(&f, "replayed at start"), 6);
}
END_TEST

START_TEST(open_with_the_last_record_torn)
{
    leave_only_the_journal();
    file_flip(&f, ".journal.0", 4096 * 6 + 60);
    expect_ends(300, 200);
    ck_assert(!partition_failed(fixture_part(&f, "other", 0)));
}
END_TEST

START_TEST(open_with_a_damaged_record_in_the_middle)
{
    char value[100];

    leave_only_the_journal();
    file_flip(&f, ".journal.0", 4096 * 3 + 60); /* t's second */
    expect_ends(100, 300);
    ck_assert_ptr_nonnull(strstr(fixture_status(&f, "journal", value, sizeof value), "damaged"));
    ck_assert(partition_failed(part)); /* its third has nothing to stand on */
    ck_assert(!partition_failed(fixture_part(&f, "other", 0)));
}
END_TEST

/* What a part lost is still in the files: after a kill nothing is missing. */
START_TEST(open_with_a_damaged_record_and_the_files_whole)
{
    for (int i = 0; i < 5; i++)
        append_flushed(part, 99, 'x');
    fixture_kill(&f);
    file_flip(&f, ".journal.0", 4096 * 3 + 60);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), 500);
    ck_assert(!partition_failed(part));
}
END_TEST

START_TEST(open_with_the_first_record_damaged)
{
    leave_only_the_journal();
    file_flip(&f, ".journal.0", 4096 + 60);
    expect_ends(0, 300);
    ck_assert(partition_failed(part));
}
END_TEST

static void count_missing(void *arg, enum finding kind, const char *text)
{
    if (kind == FOUND_JOURNAL_MISSING) {
        ck_assert_ptr_nonnull(strstr(text, ": missing; made anew"));
        ++*(unsigned *)arg;
    }
}

/* Said where they might have had something. */
START_TEST(open_with_both_journal_files_missing)
{
    unsigned missing = 0;
    const struct finder finder = {count_missing, &missing};

    f.options.finder = &finder;
    append_flushed(part, 99, 'x');
    fixture_close(&f);
    file_remove(&f, ".journal.1");
    fixture_open(&f);
    ck_assert_uint_eq(missing, 0);
    append_flushed(fixture_part(&f, "t", 0), 99, 'x');
    fixture_kill(&f);
    file_remove(&f, ".journal.0");
    file_remove(&f, ".journal.1");
    fixture_open(&f);
    ck_assert_uint_eq(missing, 2);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), 200);
    append_flushed(part, 99, 'y');
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 1);
}
END_TEST

static const struct {
    const char *what;
    uint64_t cut; /* to this size; 0 = flip instead */
} broken_headers[] = {{"empty", 1}, {"half a header", 20}, {"flipped", 0}};

START_TEST(open_with_a_journal_header_that_is_not_valid)
{
    append_flushed(part, 99, 'x');
    fixture_kill(&f);
    if (broken_headers[_i].cut)
        file_cut(&f, ".journal.0", broken_headers[_i].cut);
    else
        file_flip(&f, ".journal.0", 10);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), 100);
    append_flushed(part, 99, 'y');
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 1);
    fixture_kill_reopen(&f);
    ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "t", 0)), 200);
}
END_TEST

START_TEST(open_with_the_journal_of_another_store)
{
    struct fixture g = f;
    size_t len;
    char *journal;

    append_flushed(part, 99, 'x');
    fixture_kill(&f);
    journal = file_read(&f, ".journal.0", &len);
    setup();
    append_flushed(part, 49, 'y');
    fixture_kill(&f);
    file_write(&f, ".journal.0", journal, len);
    free(journal);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), 50);
    ck_assert_uint_eq(fixture_status_number(&f, "replayed at start"), 0);
    g.store = NULL;
    fixture_end(&g);
}
END_TEST

/* File 0 has one record of its third turn, and behind it those of its first. */
START_TEST(open_records_of_an_older_turn_do_not_pass)
{
    for (int i = 0; i < 15; i++)
        append_flushed(part, 99, 'x');
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 0);
    file_cut(&f, SEG0_IDX, 4096);
    fixture_open(&f); /* with them, the beginning would come back */
    part = fixture_part(&f, "t", 0);
    ck_assert(partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), 0);
    ck_assert_uint_eq(file_size(&f, SEG0_LOG), 0);
}
END_TEST

/* The same with the files as they should be: `from` leaves the old ones out. */
START_TEST(open_replays_only_from_from_on)
{
    for (int i = 0; i < 15; i++)
        append_flushed(part, 99, 'x');
    fixture_kill(&f);
    idx_set_slot(&f, SEG0_IDX, 0, 0);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), 1500);
    /* the turns of 8 to 14, and 15 */
    ck_assert_uint_le(fixture_status_number(&f, "replayed at start"), 8);
}
END_TEST

START_TEST(open_parts_of_a_topic_that_is_gone_are_passed_over)
{
    leave_only_the_journal();
    file_remove(&f, OTHER_LOG);
    file_remove(&f, OTHER_IDX);
    f.io->ops->rmdir(f.io, "other/0");
    f.io->ops->rmdir(f.io, "other/sealed");
    file_remove(&f, "other/.config");
    f.io->ops->rmdir(f.io, "other");
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_visible_end(part), 300);
    ck_assert(!partition_failed(part));
}
END_TEST

/* -- no room to replay -- */

START_TEST(open_with_no_room_but_the_reserve)
{
    leave_only_the_journal();
    f.disk->room_bytes = memdisk_used_bytes(f.disk);
    expect_ends(300, 300);
    ck_assert(!partition_failed(part));
}
END_TEST

START_TEST(open_with_no_room_and_no_reserve)
{
    char *journal;
    char *after;
    size_t len;

    append_flushed(part, 99, 'z');
    fixture_close_unclean(&f);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    append_flushed(part, 5999, 'x');
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 100);
    file_cut(&f, SEG0_IDX, ENTRY_AT(1));
    file_remove(&f, ".reserve");
    journal = file_read(&f, ".journal.0", &len);
    f.disk->room_bytes = memdisk_used_bytes(f.disk);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert(partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), 100); /* what was there can be read */
    free(fixture_text(&f, part));
    fixture_kill(&f);
    after = file_read(&f, ".journal.0", &len);
    ck_assert_mem_eq(after, journal, len);
    free(after);
    free(journal);
    f.disk->room_bytes = 0; /* somebody made room */
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), 6100);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static void add_tests(TCase *tc)
{
    tcase_add_test(tc, record_has_the_bytes_of_the_message);
    tcase_add_test(tc, two_partitions_share_a_record);
    tcase_add_test(tc, files_take_turns_and_checkpoints_free_them);
    tcase_add_test(tc, sequence_rises_over_both_files_and_salt_changes_with_the_turn);
    tcase_add_test(tc, sequence_goes_on_over_restarts);
    tcase_add_test(tc, journal_grows_a_mib_at_a_time_up_to_its_half);
    tcase_add_test(tc, part_above_its_limit_goes_direct);
    tcase_add_test(tc, record_that_no_file_holds_goes_direct);
    tcase_add_test(tc, journal_without_room_goes_direct_and_comes_back);
    tcase_add_loop_test(tc, journal_that_fails_is_given_up_and_flushes_go_direct, 0, 2);
    tcase_add_test(tc, turn_of_a_failed_partition_is_kept);
    tcase_add_test(tc, open_with_all_in_the_journal);
    tcase_add_test(tc, open_with_the_last_record_torn);
    tcase_add_test(tc, open_with_a_damaged_record_in_the_middle);
    tcase_add_test(tc, open_with_a_damaged_record_and_the_files_whole);
    tcase_add_test(tc, open_with_the_first_record_damaged);
    tcase_add_test(tc, open_with_both_journal_files_missing);
    tcase_add_loop_test(tc, open_with_a_journal_header_that_is_not_valid, 0, COUNT(broken_headers));
    tcase_add_test(tc, open_with_the_journal_of_another_store);
    tcase_add_test(tc, open_records_of_an_older_turn_do_not_pass);
    tcase_add_test(tc, open_replays_only_from_from_on);
    tcase_add_test(tc, open_parts_of_a_topic_that_is_gone_are_passed_over);
    tcase_add_test(tc, open_with_no_room_but_the_reserve);
    tcase_add_test(tc, open_with_no_room_and_no_reserve);
}

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_tests(tc);
    return suite_run(suite);
}
