/* store/status: what somebody reads who wants to know what is wrong. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/one_partition.h"

static const char *status(const char *key)
{
    static char value[500];

    return fixture_status(&f, key, value, sizeof value);
}

START_TEST(nothing_is_wrong)
{
    fixture_append(part, "a\nbb\n");
    ck_assert_str_eq(status("topics"), "1");
    ck_assert_str_eq(status("partitions"), "1");
    ck_assert_str_eq(status("failed partitions"), "0");
    ck_assert_str_eq(status("damaged messages"), "0");
    ck_assert_str_eq(status("not flushed yet"), "5 bytes");
    ck_assert_str_eq(status("waiting for a flush"), "0");
    ck_assert_str_eq(status("reserve"), "8 MiB of the disk, for a recovery");
    ck_assert_str_eq(status("partition t/0"), "");
}
END_TEST

START_TEST(who_waits_for_longest)
{
    struct waiting wait[3];
    unsigned count;
    unsigned ms;

    for (int i = 0; i < 3; i++) {
        waiting_init(&wait[i]);
        wait[i].w.end = 2;
    }
    fixture_append(part, "a\n");
    partition_watch(part, 100, &wait[0].w); /* for messages: nobody waits for a flush */
    ck_assert_str_eq(status("waiting for a flush"), "0");
    partition_wait(part, 2, WAIT_VISIBLE, &wait[1].w);
    partition_wait(part, 2, WAIT_VISIBLE, &wait[2].w);
    wait[1].w.since_us -= 7000000;
    ck_assert_int_eq(sscanf(status("waiting for a flush"), "%u, the first for %u ms", &count, &ms),
                     2);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_ge(ms, 7000);
    ck_assert_uint_lt(ms, 7000 + 60000);
    fixture_work(&f);
    ck_assert_str_eq(status("waiting for a flush"), "0");
    ck_assert(partition_cancel(part, &wait[0].w));
}
END_TEST

/* A flush that fails with it; what to do. */
static const struct {
    int error;
    const char *says;
} failures[] = {
    {-EIO, "look after the disk, then restart topicfs"},
    {-ENOSPC, "free room on the disk, then restart topicfs"},
    {-EDQUOT, "free room on the disk, then restart topicfs"},
    {-EROFS, "make its files writable, then restart topicfs"},
    {-EACCES, "make its files writable, then restart topicfs"},
    {-EPERM, "make its files writable, then restart topicfs"},
    {-EMFILE, "raise the limit of open files, then restart topicfs"},
    {-ENFILE, "raise the limit of open files, then restart topicfs"},
    {-ENOMEM, "restart topicfs"},
};

START_TEST(a_failed_partition_says_why_and_what_to_do)
{
    char want[300];

    fixture_append(part, "a\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), "*.log", 1, false, failures[_i].error);
    ck_assert_int_lt(partition_skip_to(part, 100, 1, &f.err), 0);
    snprintf(want, sizeof want, "read-only: flush of its files: %s; %s",
             err_sentence(failures[_i].error), failures[_i].says);
    ck_assert_str_eq(status("partition t/0"), want);
    ck_assert_str_eq(status("failed partitions"), "1");
}
END_TEST

START_TEST(damage_says_how_much)
{
    fixture_fill(&f, part);
    fixture_close_unclean(&f);
    file_cut(&f, SEG0_LOG, 1500);
    fixture_open(&f);
    ck_assert_ptr_nonnull(strstr(status("partition t/0"), "damaged: "));
    ck_assert_ptr_nonnull(strstr(status("partition t/0"), " messages in 1 run; "));
    ck_assert_ptr_nonnull(strstr(status("partition t/0"), "topicfs check"));
    ck_assert_uint_gt(fixture_status_number(&f, "damaged messages"), 1);
}
END_TEST

START_TEST(damage_that_makes_read_only)
{
    fixture_fill(&f, part);
    fixture_close_unclean(&f);
    file_remove(&f, SEG0_IDX);
    fixture_open(&f);
    ck_assert_ptr_nonnull(strstr(status("partition t/0"), "read-only: damaged: "));
    ck_assert_ptr_nonnull(strstr(status("partition t/0"), "stop topicfs and see what"));
}
END_TEST

/* However many there are, a page of them is enough. */
START_TEST(many_failed_ones_are_counted)
{
    fixture_topic(&f, "many", "partitions=120\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), "many/*.log", 1, true, -EIO);
    for (uint32_t i = 0; i < 120; i++) {
        struct partition *one = fixture_part(&f, "many", i);

        fixture_append(one, "a\n");
        ck_assert_int_lt(partition_skip_to(one, 100, 1, &f.err), 0);
    }
    fixture_no_faults(&f);
    ck_assert_str_eq(status("failed partitions"), "120");
    ck_assert_str_ne(status("partition many/99"), "");
    ck_assert_str_eq(status("partition many/100"), "");
    ck_assert_str_eq(status("partitions with more of that"), "20");
}
END_TEST

/* A buffer that is too small, by whatever length, is an error and no more. */
START_TEST(no_memory_for_the_text)
{
    struct buf whole = {0};
    struct waiting wait;

    fixture_fill(&f, part);
    fixture_close_unclean(&f);
    file_remove(&f, SEG0_IDX);
    fixture_open(&f);
    part = fixture_topic(&f, "u", "");
    waiting_init(&wait);
    partition_wait(part, 2, WAIT_VISIBLE, &wait.w);
    ck_assert_int_eq(store_status(f.store, &whole), 0);
    for (size_t cap = 1; cap < whole.len - 4; cap++) { /* the wait's milliseconds grow */
        struct buf text = {.cap = cap};

        ck_assert_int_eq(store_status(f.store, &text), -EMSGSIZE);
        ck_assert_uint_le(text.len, cap);
        buf_release(&text);
    }
    buf_release(&whole);
    ck_assert(partition_cancel(part, &wait.w));
}
END_TEST

START_TEST(no_room_for_the_reserve)
{
    fixture_kill(&f);
    file_remove(&f, ".reserve");
    f.disk->room_bytes = memdisk_used_bytes(f.disk) + 65536;
    fixture_open(&f);
    ck_assert_ptr_nonnull(strstr(status("reserve"), "none"));
    f.disk->room_bytes = 0;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("status");
    TCase *tc = tcase_create("status");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_is_wrong);
    tcase_add_test(tc, who_waits_for_longest);
    tcase_add_loop_test(tc, a_failed_partition_says_why_and_what_to_do, 0,
                        sizeof failures / sizeof *failures);
    tcase_add_test(tc, damage_says_how_much);
    tcase_add_test(tc, damage_that_makes_read_only);
    tcase_add_test(tc, many_failed_ones_are_counted);
    tcase_add_test(tc, no_memory_for_the_text);
    tcase_add_test(tc, no_room_for_the_reserve);
    return suite_run(suite);
}
