/*
 * store/retain: what a check opens, and that it runs beside everything else.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "tests/support/suite.h"
#include "tests/unit/retain_fixture.h"

static uint64_t opens(void)
{
    return f.disk->calls[MEMCALL_OPEN] + f.disk->calls[MEMCALL_LIST] + f.disk->calls[MEMCALL_STAT];
}

START_TEST(after_a_clean_stop_only_what_goes_is_opened)
{
    uint64_t before;

    for (int i = 0; i < 20; i++) {
        char name[16];

        snprintf(name, sizeof name, "n%d", i);
        fixture_append(fixture_topic(&f, name, TEN_SECONDS), "x\n");
    }
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(15000); /* learns how old the oldest is */
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    before = opens();
    check_at(17000);
    ck_assert_uint_eq(opens(), before);
    ck_assert(file_exists(&f, ".clean"));
    ck_assert_ptr_nonnull(part->clean);
    check_at(17001);
    ck_assert_uint_eq(first(), 8000);
    ck_assert(!file_exists(&f, ".clean"));
    ck_assert_ptr_nonnull(fixture_part(&f, "n7", 0)->clean);
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(first(), 8000);
    ck_assert_uint_eq(fixture_append(part, "goes on\n"), 30000);
}
END_TEST

/* Where it is not known how old the oldest is, it is looked up once. */
START_TEST(after_a_kill_each_partition_is_opened_once)
{
    uint64_t before;

    fixture_configure(&f, "t", TEN_SECONDS);
    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    segments_close_idle(f.store, 0);
    before = opens();
    check_at(15000);
    ck_assert_uint_gt(opens(), before);
    segments_close_idle(f.store, 0);
    before = opens();
    check_at(16000);
    ck_assert_uint_eq(opens(), before);
    fixture_reopen(&f); /* and is in .clean then */
    part = fixture_part(&f, "t", 0);
    before = opens();
    check_at(17000);
    ck_assert_uint_eq(opens(), before);
}
END_TEST

START_TEST(segments_that_are_not_to_go_are_not_opened)
{
    uint64_t before;

    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(16000);
    segments_close_idle(f.store, 0);
    before = f.disk->calls[MEMCALL_OPEN];
    check_at(17001); /* the first: opened to be read while it goes; the second: how old is it? */
    ck_assert_uint_eq(first(), 8000);
    ck_assert_uint_le(f.disk->calls[MEMCALL_OPEN], before + 6);
}
END_TEST

START_TEST(after_a_clean_stop_what_cannot_go_is_not_opened)
{
    uint64_t before;

    fixture_topic(&f, "empty", "retention.ms=1\nretention.bytes=1\n");
    fixture_append(fixture_topic(&f, "single", "retention.ms=off\nretention.bytes=1\n"), "x\n");
    fixture_append(fixture_topic(&f, "off", "retention.ms=off\n"), "x\n");
    fixture_configure(&f, "t", "retention.ms=off\n");
    fixture_reopen(&f);
    before = opens();
    check_at(86400000);
    ck_assert_uint_eq(opens(), before);
    ck_assert(file_exists(&f, ".clean"));
}
END_TEST

/* Somebody wrote to it after the clean stop: it is left alone, others go on. */
START_TEST(a_partition_that_is_not_as_the_clean_stop_left_it)
{
    struct partition *u = fixture_topic(&f, "u", TEN_SECONDS);

    fixture_append(u, "x\n");
    fixture_configure(&f, "t", TEN_SECONDS);
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    u = fixture_part(&f, "u", 0);
    file_append(&f, "t/0/00000000000000024000.log", "y", 1);
    check_at(60000);
    ck_assert(part->retention.said);
    ck_assert_uint_eq(first(), 0);
    ck_assert(file_exists(&f, SEG0_LOG));
    ck_assert_uint_eq(partition_first(u), 2);
}
END_TEST

/* No sealed segment says how old it is: nothing goes for its age. */
START_TEST(no_index_says_how_old_anything_is)
{
    fixture_kill(&f);
    for (uint64_t base = 0; base < 24000; base += 8000) {
        char path[64];

        snprintf(path, sizeof path, "t/0/%020d.idx", (int)base);
        file_cut(&f, path, ENTRY_AT(1));
    }
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert(!partition_failed(part));
    fixture_configure(&f, "t", TEN_SECONDS);
    check_at(86400000);
    ck_assert_uint_eq(first(), 0);
    fixture_configure(&f, "t", "retention.bytes=1\n");
    check_at(86500000);
    ck_assert_uint_eq(first(), 30000); /* for their bytes; then the newest for its age */
}
END_TEST

START_TEST(a_log_that_somebody_unlinked_goes_with_the_next)
{
    fixture_kill_reopen(&f); /* how old the oldest is has to be learned */
    part = fixture_part(&f, "t", 0);
    fixture_configure(&f, "t", TEN_SECONDS);
    segments_close_idle(f.store, 0);
    file_remove(&f, SEG0_LOG);
    check_at(25000);
    ck_assert_uint_eq(first(), 0);
    check_at(25001);
    ck_assert_uint_eq(first(), 16000);
    ck_assert(!file_exists(&f, SEG0_IDX));
}
END_TEST

/* Records of the journal that speak of a removed segment mean nothing. */
START_TEST(the_journal_speaks_of_a_removed_segment)
{
    struct partition *u = fixture_topic(&f, "u", TEN_SECONDS);

    fixture_append(u, "one\n");
    ck_assert_int_eq(fixture_flush(&f, u), 0);
    f.clock.now_ms += 10001;
    f.store->retainer.next_ms = 0;
    fixture_work(&f);
    ck_assert_uint_eq(partition_first(u), 4);
    fixture_append(u, "two\n");
    ck_assert_int_eq(fixture_flush(&f, u), 0);
    fixture_kill_reopen(&f);
    u = fixture_part(&f, "u", 0);
    ck_assert(!partition_failed(u));
    fixture_expect(&f, u, "two\n");
}
END_TEST

/* -- with threads -- */

static void append_and_flush(struct partition *p, struct waiting *w)
{
    fixture_append_bytes(p, 999, 'y');
    waiting_init(w);
    partition_wait(p, partition_end(p), WAIT_VISIBLE, &w->w);
    ck_assert_int_eq(waiting_for(w), 0);
}

/* Appends, reads, look-ups by number and time run while everything above a few
 * milliseconds of age goes. */
START_TEST(retention_beside_appends_and_reads)
{
    struct partition *p;
    struct waiting w;
    uint64_t removed = 0;

    fixture_end(&f);
    fixture_real(&f);
    f.options.wall_ms = NULL;
    f.options.threads = true;
    f.options.retention_check_ms = 1;
    fixture_open(&f);
    p = fixture_topic(&f, "t", SMALL_SEGMENTS "retention.ms=20\n");
    for (int i = 0; removed < 30; i++) {
        uint64_t end, offset, skipped = 0;
        struct partition_stat st;
        struct range r;
        int rc;

        append_and_flush(p, &w);
        end = partition_visible_end(p);
        ck_assert_uint_eq(end, ((uint64_t)i + 1) * 1000);
        rc = partition_range(p, end - 1000, 1000, &r);
        ck_assert_msg(rc == 0 || rc == ERR_GONE, "%d", rc);
        if (rc == 0)
            range_release(&r);
        rc = partition_messages(p, partition_first(p), 5000, &r, &skipped);
        ck_assert_msg(rc == 0 || rc == ERR_GONE, "%d", rc);
        if (rc == 0)
            range_release(&r);
        ck_assert_int_eq(partition_stat(p, &st), 0);
        ck_assert_uint_eq(st.messages * 1000, st.visible_end - st.first);
        rc = partition_find_number(p, (uint64_t)i, &offset);
        ck_assert_msg(rc == 0 || rc == ERR_GONE, "%d", rc);
        ck_assert_int_eq(partition_find_time(p, store_wall_ms(f.store) - 10, &offset), 0);
        removed = f.store->retainer.segments_removed;
    }
    ck_assert(!partition_failed(p));
    fixture_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retain_cost");
    TCase *tc = tcase_create("retain_cost");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, after_a_clean_stop_only_what_goes_is_opened);
    tcase_add_test(tc, after_a_kill_each_partition_is_opened_once);
    tcase_add_test(tc, segments_that_are_not_to_go_are_not_opened);
    tcase_add_test(tc, after_a_clean_stop_what_cannot_go_is_not_opened);
    tcase_add_test(tc, a_partition_that_is_not_as_the_clean_stop_left_it);
    tcase_add_test(tc, no_index_says_how_old_anything_is);
    tcase_add_test(tc, a_log_that_somebody_unlinked_goes_with_the_next);
    tcase_add_test(tc, the_journal_speaks_of_a_removed_segment);
    tcase_add_test(tc, retention_beside_appends_and_reads);
    return suite_run(suite);
}
