/*
 * store/flush and store/append where the disk fails, and flush.sync=os; without
 * threads.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;

static void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", "flush.ms=86400000\n");
}

static void teardown(void)
{
    fixture_end(&f);
}

/* -- failure -- */

START_TEST(directory_that_does_not_sync_fails_the_partition)
{
    fixture_append_key(part, "k", "v");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_SYNC_DIR), "t/0", 1, false, -EIO);
    ck_assert_int_eq(fixture_flush(&f, part), -EIO);
    ck_assert(partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), 0);
}
END_TEST

START_TEST(failed_fdatasync_is_final)
{
    struct waiting w[3];
    struct partition *other = fixture_topic(&f, "other", "");
    struct partition_stat st;
    struct err err = {0};
    uint64_t offset;

    fixture_configure(&f, "t", "flush.sync=os\n");
    fixture_append(part, "one\n");
    for (int i = 0; i < 3; i++) {
        waiting_init(&w[i]);
        partition_wait(part, 4, WAIT_DURABLE, &w[i].w);
    }
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), "t/0/*.log", 1, false,
                       _i ? -EIO : -ENOSPC);
    fixture_work(&f);
    fixture_no_faults(&f); /* the kernel would say OK from here on */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(waiting_for(&w[i]), -EIO);
    ck_assert(partition_failed(part));
    ck_assert_int_eq(fixture_fsync(&f, part), -EIO);
    ck_assert_int_eq(fixture_try_append(part, "x\n", &offset, &err), ERR_FAILED);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_ptr_nonnull(st.why);
    fixture_append(other, "fine\n");
    ck_assert_int_eq(fixture_flush(&f, other), 0);
    ck_assert_int_lt(store_close(f.store, &f.err), 0);
    f.store = NULL;
    ck_assert(!file_exists(&f, ".clean")); /* not a clean stop */
    fixture_open(&f);
    ck_assert(!partition_failed(fixture_part(&f, "t", 0)));
}
END_TEST

START_TEST(failed_flush_when_rolling)
{
    char line[400];
    struct err err = {0};
    uint64_t offset = 77;

    fixture_configure(&f, "t", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4096\n");
    fixture_append_bytes(part, 3999, 'a');
    fixture_append_bytes(part, 3999, 'b');
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), "t/0/*.log", 1, false,
                       _i ? -EIO : -ENOSPC);
    snprintf(line, sizeof line, "%0300d\n", 0);
    ck_assert_int_eq(fixture_try_append(part, line, &offset, &err), -EIO);
    ck_assert_uint_eq(offset, 77);
    ck_assert(partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), 0);
}
END_TEST

START_TEST(append_that_fails_is_cut_and_the_partition_goes_on)
{
    static const int errors[] = {-ENOSPC, -EDQUOT, -EIO};
    struct err err = {0};
    uint64_t offset = 77;

    fixture_append(part, "one\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_PWRITEV), "t/0/*", (uint64_t)_i % 2 + 1, false,
                       errors[_i / 2]);
    ck_assert_int_eq(fixture_try_append(part, "two\n", &offset, &err), errors[_i / 2]);
    ck_assert_uint_eq(offset, 77);
    ck_assert_ptr_nonnull(strstr(err.text, "t/0: "));
    fixture_no_faults(&f);
    ck_assert_uint_eq(file_size(&f, SEG0_LOG), 4);
    ck_assert_uint_eq(file_size(&f, SEG0_IDX), ENTRY_AT(1));
    ck_assert_uint_eq(fixture_append(part, "three\n"), 4);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_expect(&f, part, "one\nthree\n");
}
END_TEST

START_TEST(append_cut_short_goes_on_where_the_write_stopped)
{
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_PWRITEV), "t/0/*", (uint64_t)_i, false, 0);
    fixture_append(part, "one\ntwo\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_expect(&f, part, "one\ntwo\n");
}
END_TEST

START_TEST(append_that_cannot_be_undone_fails_the_partition)
{
    struct err err = {0};
    uint64_t offset = 77;

    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_fail_calls(&f,
                       MEMCALL_BIT(MEMCALL_PWRITEV) | MEMCALL_BIT(MEMCALL_TRUNCATE) |
                           MEMCALL_BIT(MEMCALL_FDATASYNC),
                       "t/0/*.idx", 1, true, -EIO);
    ck_assert_int_eq(fixture_try_append(part, "two\n", &offset, &err), -EIO);
    ck_assert_uint_eq(offset, 77);
    fixture_no_faults(&f);
    ck_assert(partition_failed(part));
    ck_assert_int_eq(fixture_try_append(part, "two\n", &offset, &err), ERR_FAILED);
    fixture_expect(&f, part, "one\n");
}
END_TEST

/* -- flush.sync=os -- */

START_TEST(os_is_visible_at_once_and_never_in_the_journal)
{
    fixture_configure(&f, "t", "flush.sync=os\n");
    fixture_append(part, "one\n");
    ck_assert_uint_eq(partition_visible_end(part), 4);
    fixture_work(&f);
    store_work(f.store, true);
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 0);
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 0);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 0);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 0);
}
END_TEST

START_TEST(os_tells_watchers_in_the_append)
{
    struct waiting w;

    fixture_configure(&f, "t", "flush.sync=os\n");
    waiting_init(&w);
    partition_watch(part, 4, &w.w);
    fixture_append(part, "one\n");
    ck_assert(waiting_told(&w));
}
END_TEST

START_TEST(os_fsync_flushes_direct)
{
    fixture_configure(&f, "t", "flush.sync=os\n");
    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_fsync(&f, part), 0);
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 1);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 4);
}
END_TEST

START_TEST(os_fsync_of_what_is_not_appended_yet)
{
    struct waiting w;

    fixture_configure(&f, "t", "flush.sync=os\n");
    waiting_init(&w);
    partition_wait(part, 4, WAIT_DURABLE, &w.w);
    fixture_work(&f);
    ck_assert(!waiting_told(&w));
    fixture_append(part, "one\n");
    fixture_work(&f);
    ck_assert(waiting_told(&w));
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 4);
}
END_TEST

START_TEST(os_to_disk_flushes_all_of_it_first)
{
    fixture_configure(&f, "t", "flush.sync=os\n");
    fixture_append(part, "one\n");
    fixture_configure(&f, "t", "flush.sync=disk\n");
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 4);
    fixture_append(part, "two\n");
    ck_assert_uint_eq(partition_visible_end(part), 4);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 1);
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 4);
    file_cut(&f, SEG0_IDX, ENTRY_AT(1));
    fixture_open(&f);
    fixture_expect(&f, fixture_part(&f, "t", 0), "one\ntwo\n");
}
END_TEST

START_TEST(os_to_disk_that_cannot_flush_says_so)
{
    fixture_configure(&f, "t", "flush.sync=os\n");
    fixture_append(part, "one\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), "t/0/*", 1, false, -EIO);
    ck_assert_int_lt(topic_configure(partition_topic(part), "flush.sync=disk\n", 16, &f.err), 0);
    ck_assert(partition_failed(part));
}
END_TEST

START_TEST(disk_to_os_with_a_waiter)
{
    struct waiting w;

    fixture_append(part, "one\n");
    waiting_init(&w);
    partition_wait(part, 4, WAIT_VISIBLE, &w.w);
    fixture_configure(&f, "t", "flush.sync=os\n");
    fixture_work(&f);
    ck_assert(waiting_told(&w));
    ck_assert_int_eq(w.rc, 0);
    ck_assert_uint_eq(partition_visible_end(part), 4);
}
END_TEST

static void add_failure(TCase *tc)
{
    tcase_add_test(tc, directory_that_does_not_sync_fails_the_partition);
    tcase_add_loop_test(tc, failed_fdatasync_is_final, 0, 2);
    tcase_add_loop_test(tc, failed_flush_when_rolling, 0, 2);
    tcase_add_loop_test(tc, append_that_fails_is_cut_and_the_partition_goes_on, 0, 6);
    tcase_add_loop_test(tc, append_cut_short_goes_on_where_the_write_stopped, 1, 4);
    tcase_add_test(tc, append_that_cannot_be_undone_fails_the_partition);
    tcase_add_test(tc, os_is_visible_at_once_and_never_in_the_journal);
    tcase_add_test(tc, os_tells_watchers_in_the_append);
    tcase_add_test(tc, os_fsync_flushes_direct);
    tcase_add_test(tc, os_fsync_of_what_is_not_appended_yet);
    tcase_add_test(tc, os_to_disk_flushes_all_of_it_first);
    tcase_add_test(tc, os_to_disk_that_cannot_flush_says_so);
    tcase_add_test(tc, disk_to_os_with_a_waiter);
}

int main(void)
{
    Suite *suite = suite_create("flush_failure");
    TCase *tc = tcase_create("flush_failure");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_failure(tc);
    return suite_run(suite);
}
