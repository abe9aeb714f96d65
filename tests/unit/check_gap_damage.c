/* store: the flag "gap before" as a start finds it, and damage beside a gap. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "tests/support/suite.h"
#include "tests/unit/gap_fixture.h"

static void set_flag(const char *path, uint32_t flags)
{
    size_t len;
    char *bytes = file_read(&f, path, &len);
    uint8_t *h = (uint8_t *)bytes;

    put_le32(h + 32, flags);
    put_le32(h + 36, crc32c_extend(0, h, 36));
    file_write(&f, path, bytes, len);
    free(bytes);
}

static void open_changed(void)
{
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
}

static void expect_damage(uint64_t offset, const char *text, uint64_t skipped)
{
    struct partition_stat st;

    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.damaged_runs, 1);
    ck_assert_int_eq(partition_find(part, offset), 0);
    fixture_expect_messages(&f, part, text, skipped);
}

START_TEST(without_the_flag_it_is_damage)
{
    leave_gap();
    fixture_append(part, "d\n");
    fixture_close_unclean(&f);
    set_flag(GAP_IDX, 0);
    open_changed();
    expect_damage(9, "a\nbb\nccc\nd\n", 47);
    ck_assert(!partition_failed(part));
}
END_TEST

START_TEST(the_flag_without_a_gap_is_none)
{
    struct partition_stat st;
    struct segment_stat stats[10];
    struct gap gap;
    char path[64];

    fixture_fill(&f, part);
    ck_assert_uint_gt(fixture_segments(part, stats, 10), 2);
    fixture_close_unclean(&f);
    snprintf(path, sizeof path, "t/0/%020d.idx", (int)stats[1].base);
    set_flag(path, 1);
    open_changed();
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.damaged_runs, 0);
    ck_assert_uint_eq(st.messages, 30);
    ck_assert_int_eq(partition_gap_next(part, 0, &gap), -ENOENT);
    ck_assert_int_eq(range_at(stats[1].base), 0);
}
END_TEST

START_TEST(bytes_lost_before_it_are_damage)
{
    leave_gap();
    fixture_append(part, "d\n");
    fixture_close_unclean(&f);
    file_cut(&f, SEG0_LOG, 6);
    open_changed();
    expect_damage(5, "a\nbb\nd\n", 0);
    ck_assert_int_eq(range_at(9), ERR_GONE);
}
END_TEST

/* Entries too: only the slot knows then. */
START_TEST(messages_lost_before_it_are_damage)
{
    struct gap gap;

    leave_gap();
    fixture_append(part, "d\n");
    fixture_close_unclean(&f);
    file_cut(&f, SEG0_LOG, 5);
    file_cut(&f, SEG0_IDX, ENTRY_AT(2));
    open_changed();
    expect_damage(5, "a\nbb\nd\n", 0);
    ck_assert_int_eq(partition_gap_next(part, 0, &gap), 0);
    ck_assert_uint_eq(gap.offset, 9);
}
END_TEST

START_TEST(entries_lost_before_it_are_damage)
{
    leave_gap();
    fixture_append(part, "d\n");
    fixture_close_unclean(&f);
    file_cut(&f, SEG0_IDX, ENTRY_AT(2));
    open_changed();
    expect_damage(5, "a\nbb\nd\n", 0);
}
END_TEST

START_TEST(more_bytes_than_before_it_are_damage)
{
    struct partition_stat st;
    struct gap gap;

    leave_gap();
    fixture_append(part, "d\n");
    fixture_close_unclean(&f);
    file_append(&f, SEG0_LOG, "xxxxx", 5);
    open_changed();
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.damaged_runs, 1);
    ck_assert_int_eq(partition_gap_next(part, 0, &gap), 0);
    ck_assert_uint_eq(gap.offset, 14);
}
END_TEST

START_TEST(an_index_lost_before_it_is_damage)
{
    struct partition_stat st;

    leave_gap();
    fixture_append(part, "d\n");
    fixture_close_unclean(&f);
    file_remove(&f, SEG0_IDX);
    open_changed();
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert(st.failed);
    ck_assert_int_eq(range_at(0), 0); /* its bytes can be read */
}
END_TEST

/* The base of an empty newest segment is all that says where the gap ends. */
START_TEST(its_log_is_made_again)
{
    leave_gap();
    fixture_close_unclean(&f);
    file_remove(&f, GAP_LOG);
    open_changed();
    ck_assert(file_exists(&f, GAP_LOG));
    expect_gap("", 0);
}
END_TEST

START_TEST(its_damaged_header_makes_it_read_only)
{
    struct partition_stat st;

    leave_gap();
    fixture_close_unclean(&f);
    file_flip(&f, GAP_IDX, 20);
    open_changed();
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert(st.failed);
    ck_assert(file_exists(&f, GAP_LOG) && file_exists(&f, GAP_IDX));
}
END_TEST

/* A power cut in the making: no name yet for the .idx. */
START_TEST(half_made_it_was_not_made)
{
    fixture_append(part, "a\nbb\nccc\n");
    fixture_flush(&f, part);
    fixture_kill(&f);
    file_write(&f, GAP_LOG, "", 0);
    open_changed();
    ck_assert(!file_exists(&f, GAP_LOG));
    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(partition_end(part), 9);
}
END_TEST

static void add_finding(TCase *tc)
{
    tcase_add_test(tc, without_the_flag_it_is_damage);
    tcase_add_test(tc, the_flag_without_a_gap_is_none);
    tcase_add_test(tc, bytes_lost_before_it_are_damage);
    tcase_add_test(tc, messages_lost_before_it_are_damage);
    tcase_add_test(tc, entries_lost_before_it_are_damage);
    tcase_add_test(tc, more_bytes_than_before_it_are_damage);
    tcase_add_test(tc, an_index_lost_before_it_is_damage);
    tcase_add_test(tc, its_log_is_made_again);
    tcase_add_test(tc, its_damaged_header_makes_it_read_only);
    tcase_add_test(tc, half_made_it_was_not_made);
}

int main(void)
{
    Suite *suite = suite_create("gap_damage");
    TCase *tc = tcase_create("gap");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add_finding(tc);
    return suite_run(suite);
}
