/*
 * store/flush: bytes that have changed between the append and the flush, as a page does whose
 * write-back failed and that is read again. They must not become durable as if they were right.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;

#define BEFORE 10 /* bytes and one message that were flushed before */

static void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", "flush.ms=86400000\n");
    fixture_append(part, "flushed..\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append(part, "one\ntwo\n");
    fixture_append_key(part, "key", "value");
}

static void teardown(void)
{
    fixture_end(&f);
}

/* The waiter hears of it, and no reader sees it. */
static void expect_refused(const char *path, uint64_t pos)
{
    ck_assert_msg(fixture_flush(&f, part) == -EIO, "%s, byte %d: flushed", path, (int)pos);
    ck_assert(partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), BEFORE);
}

/* The next start takes away from the changed message on: nobody was told that it is safe. */
static void expect_cut(const char *path, uint64_t pos)
{
    static const char all[] = "flushed..\none\ntwo\nvalue\n";
    char *text;

    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert(!partition_failed(part));
    text = fixture_text(&f, part);
    ck_assert_msg(strlen(text) >= BEFORE && strlen(text) < strlen(all) &&
                      strncmp(text, all, strlen(text)) == 0,
                  "%s, byte %d: shows `%s`", path, (int)pos, text);
    free(text);
}

static void each_byte(const char *path, uint64_t from)
{
    uint64_t size = file_size(&f, path);

    ck_assert_uint_gt(size, from);
    for (uint64_t pos = from; pos < size; pos++) {
        file_flip(&f, path, pos);
        expect_refused(path, pos);
        expect_cut(path, pos);
        teardown();
        setup();
    }
}

START_TEST(a_byte_of_the_log_has_changed)
{
    each_byte(SEG0_LOG, BEFORE);
}
END_TEST

START_TEST(a_byte_of_the_idx_has_changed)
{
    each_byte(SEG0_IDX, ENTRY_AT(1));
}
END_TEST

START_TEST(a_byte_of_the_meta_has_changed)
{
    each_byte(SEG0_META, 0);
}
END_TEST

/* The last entry leaves out a byte of the log, or of the meta, and its checksum holds. */
START_TEST(the_last_entry_ends_too_early)
{
    size_t log_len;
    size_t meta_len;
    size_t idx_len;
    char *log = file_read(&f, SEG0_LOG, &log_len);
    char *meta = file_read(&f, SEG0_META, &meta_len);
    char *idx = file_read(&f, SEG0_IDX, &idx_len);
    uint8_t *bytes = (uint8_t *)idx + ENTRY_AT(3);
    struct idx_entry e = idx_entry_decode(bytes);
    uint32_t crc;

    ck_assert_uint_eq(idx_len, ENTRY_AT(4));
    e.end -= _i == 0;
    e.meta_end -= _i == 1;
    crc = crc32c_extend(0, meta, e.meta_end);
    crc = crc32c_extend(crc, log + BEFORE + 8, e.end - (BEFORE + 8));
    idx_entry_encode(bytes, &e, crc, 0);
    file_write_at(&f, SEG0_IDX, ENTRY_AT(3), bytes, IDX_ENTRY_BYTES);
    expect_refused(SEG0_IDX, ENTRY_AT(3));
    free(log);
    free(meta);
    free(idx);
}
END_TEST

/* One file cannot be read back at all. */
START_TEST(what_was_appended_cannot_be_read_back)
{
    static const char *const paths[] = {SEG0_LOG, SEG0_IDX, SEG0_META};

    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_PREAD), paths[_i], 1, true, -EIO);
    expect_refused(paths[_i], 0);
    fixture_no_faults(&f);
    fixture_kill_reopen(&f); /* nothing was wrong with what it has */
    fixture_expect(&f, fixture_part(&f, "t", 0), "flushed..\none\ntwo\nvalue\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flush_damage");
    TCase *tc = tcase_create("flush_damage");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_byte_of_the_log_has_changed);
    tcase_add_test(tc, a_byte_of_the_idx_has_changed);
    tcase_add_test(tc, a_byte_of_the_meta_has_changed);
    tcase_add_loop_test(tc, the_last_entry_ends_too_early, 0, 2);
    tcase_add_loop_test(tc, what_was_appended_cannot_be_read_back, 0, 3);
    return suite_run(suite);
}
