/*
 * store/flush: what makes a message visible, and who waits for it; without
 * threads, so that what happens when is the test's.
 */
#include <check.h>
#include <errno.h>
#include <sched.h>

#include "store/inside.h"
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

/* -- when -- */

START_TEST(nothing_is_visible_before_a_flush)
{
    fixture_append(part, "one\n");
    fixture_work(&f);
    ck_assert_uint_eq(partition_end(part), 4);
    ck_assert_uint_eq(partition_visible_end(part), 0);
    ck_assert(store_work(f.store, true));
    ck_assert_uint_eq(partition_visible_end(part), 4);
    ck_assert(!store_work(f.store, true));
}
END_TEST

START_TEST(visible_end_stays_while_the_flush_fails)
{
    fixture_append(part, "one\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), NULL, 1, true, -EIO);
    store_work(f.store, true);
    ck_assert_uint_eq(partition_visible_end(part), 0);
    ck_assert(partition_failed(part));
}
END_TEST

START_TEST(flush_messages_makes_due)
{
    fixture_configure(&f, "t", "flush.messages=3\n");
    fixture_append(part, "one\n");
    fixture_append(part, "two\n");
    fixture_work(&f);
    ck_assert_uint_eq(partition_visible_end(part), 0);
    fixture_append(part, "three\n");
    fixture_work(&f);
    ck_assert_uint_eq(partition_visible_end(part), 14);
}
END_TEST

START_TEST(flush_ms_makes_due)
{
    fixture_configure(&f, "t", "flush.ms=0\n");
    fixture_append(part, "one\n");
    fixture_work(&f);
    ck_assert_uint_eq(partition_visible_end(part), 4);
}
END_TEST

START_TEST(a_wait_makes_due)
{
    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_uint_eq(partition_visible_end(part), 4);
}
END_TEST

START_TEST(a_watch_does_not)
{
    struct waiting w;

    waiting_init(&w);
    fixture_append(part, "one\n");
    partition_watch(part, 4, &w.w);
    fixture_work(&f);
    ck_assert(!waiting_told(&w));
    ck_assert_uint_eq(partition_visible_end(part), 0);
    store_work(f.store, true);
    ck_assert(waiting_told(&w));
    ck_assert_int_eq(w.rc, 0);
}
END_TEST

START_TEST(eight_mib_are_due_at_once_and_go_direct)
{
    for (int i = 0; i < 8; i++) {
        fixture_work(&f);
        ck_assert_uint_eq(partition_visible_end(part), 0);
        fixture_append_bytes(part, (1 << 20) - 1, 'x');
    }
    fixture_work(&f);
    ck_assert_uint_eq(partition_visible_end(part), 8 << 20);
    ck_assert_uint_eq(fixture_status_number(&f, "direct flushes"), 1);
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 0);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 8 << 20);
}
END_TEST

/* What is appended while a flush runs is the next one's: here between the
 * waiter's call and the flush's end. */
static void append_more(struct waiter *w, int rc)
{
    ck_assert_int_eq(rc, 0);
    fixture_append(part, "from the callback\n");
    w->done = NULL;
}

START_TEST(callbacks_may_append)
{
    struct waiter w = {.done = append_more};

    fixture_append(part, "one\n");
    partition_wait(part, 4, WAIT_VISIBLE, &w);
    fixture_work(&f);
    ck_assert_ptr_null(w.done);
    ck_assert_uint_eq(partition_visible_end(part), 4);
    ck_assert_uint_eq(partition_end(part), 22);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_uint_eq(partition_visible_end(part), 22);
}
END_TEST

/* -- waiters -- */

START_TEST(wait_for_what_is_visible_is_told_at_once)
{
    struct waiting w;

    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    for (uint64_t end = 0; end <= 4; end++) {
        waiting_init(&w);
        partition_wait(part, end, WAIT_VISIBLE, &w.w);
        ck_assert(waiting_told(&w));
        waiting_init(&w);
        partition_watch(part, end, &w.w);
        ck_assert(waiting_told(&w));
        ck_assert_int_eq(w.rc, 0);
        ck_assert(!partition_cancel(part, &w.w));
    }
}
END_TEST

START_TEST(cancelled_waiter_is_not_told)
{
    struct waiting w[3];

    fixture_append(part, "one\n");
    for (int i = 0; i < 3; i++) {
        waiting_init(&w[i]);
        partition_wait(part, 4, WAIT_VISIBLE, &w[i].w);
    }
    ck_assert(partition_cancel(part, &w[_i].w));
    ck_assert(!partition_cancel(part, &w[_i].w));
    fixture_work(&f);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(waiting_told(&w[i]), i != _i);
}
END_TEST

START_TEST(each_waiter_is_told_at_its_own_end)
{
    struct waiting w[4];

    for (uint64_t i = 0; i < 4; i++) {
        waiting_init(&w[i]);
        partition_watch(part, (i + 1) * 2, &w[i].w);
    }
    for (uint64_t n = 1; n <= 4; n++) {
        fixture_append(part, "x\n");
        store_work(f.store, true);
        for (uint64_t i = 0; i < 4; i++)
            ck_assert_int_eq(waiting_told(&w[i]), i < n);
    }
}
END_TEST

START_TEST(wait_for_what_is_not_appended_yet)
{
    struct waiting w;

    waiting_init(&w);
    partition_wait(part, 8, WAIT_VISIBLE, &w.w);
    fixture_work(&f);
    fixture_append(part, "one\n");
    fixture_work(&f);
    ck_assert(!waiting_told(&w));
    fixture_append(part, "two\n");
    fixture_work(&f);
    ck_assert(waiting_told(&w)); /* it hastened this flush */
}
END_TEST

START_TEST(stop_ends_all_waits)
{
    struct waiting w[20];
    struct waiting late;
    struct err err = {0};
    uint64_t offset;

    fixture_append(part, "one\n");
    for (int i = 0; i < 20; i++) {
        waiting_init(&w[i]);
        if (i % 2)
            partition_wait(part, 4, WAIT_VISIBLE, &w[i].w);
        else
            partition_watch(part, 9, &w[i].w);
    }
    store_stop_waiting(f.store);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(waiting_for(&w[i]), ERR_STOPPING);
    waiting_init(&late);
    partition_wait(part, 4, WAIT_VISIBLE, &late.w);
    ck_assert_int_eq(waiting_for(&late), ERR_STOPPING);
    ck_assert_int_eq(fixture_try_append(part, "x\n", &offset, &err), ERR_STOPPING);
}
END_TEST

/* -- group commit -- */

START_TEST(n_waiters_one_fdatasync)
{
    struct partition *parts[20];
    struct waiting w[100];
    uint64_t before;

    part = fixture_topic(&f, "many", "partitions=20\nflush.ms=86400000\n");
    fixture_append(part, "the journal grows\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    for (uint32_t p = 0; p < 20; p++)
        parts[p] = fixture_part(&f, "many", p);
    for (uint32_t i = 0; i < 100; i++) {
        fixture_append(parts[i % 20], "x\n");
        waiting_init(&w[i]);
        partition_wait(parts[i % 20], partition_end(parts[i % 20]), WAIT_VISIBLE, &w[i].w);
    }
    before = f.disk->calls[MEMCALL_FDATASYNC];
    fixture_work(&f);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(waiting_for(&w[i]), 0);
    ck_assert_uint_eq(f.disk->calls[MEMCALL_FDATASYNC] - before, 1);
}
END_TEST

START_TEST(many_partitions_direct_are_one_syncfs)
{
    uint64_t before;

    fixture_kill(&f);
    f.options.journal_part_bytes = 1;
    fixture_open(&f);
    fixture_topic(&f, "many", "partitions=40\n");
    for (uint32_t p = 0; p < 40; p++)
        fixture_append(fixture_part(&f, "many", p), "one\n");
    before = f.disk->calls[MEMCALL_SYNCFS];
    if (_i == 1) /* syncfs says only that something failed; then each is asked */
        fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_SYNCFS), NULL, 1, false, -EIO);
    if (_i == 2)
        fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_SYNCFS) | MEMCALL_BIT(MEMCALL_FDATASYNC),
                           "many/7/*.log", 1, false, -EIO);
    store_work(f.store, true);
    fixture_no_faults(&f);
    ck_assert_uint_eq(f.disk->calls[MEMCALL_SYNCFS] - before, 1);
    for (uint32_t p = 0; p < 40; p++)
        ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "many", p)), 4);
}
END_TEST

/* The error of a syncfs is told once, and may be meant for files of others than
 * who asked: later flushes do not rely on it. */
START_TEST(after_a_failed_syncfs_each_file_is_asked)
{
    uint64_t before;

    fixture_kill(&f);
    f.options.journal_part_bytes = 1;
    fixture_open(&f);
    fixture_topic(&f, "many", "partitions=80\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_SYNCFS), NULL, 1, false, -EIO);
    before = f.disk->calls[MEMCALL_SYNCFS];
    for (uint32_t p = 0; p < 40; p++)
        fixture_append(fixture_part(&f, "many", p), "one\n");
    store_work(f.store, true);
    fixture_no_faults(&f);
    for (uint32_t p = 40; p < 80; p++)
        fixture_append(fixture_part(&f, "many", p), "one\n");
    store_work(f.store, true);
    ck_assert_uint_eq(f.disk->calls[MEMCALL_SYNCFS] - before, 1);
    for (uint32_t p = 0; p < 80; p++)
        ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "many", p)), 4);
}
END_TEST

START_TEST(a_thousand_partitions_are_one_record_and_one_fdatasync)
{
    uint64_t before;

    fixture_topic(&f, "many", "partitions=1000\n");
    for (uint32_t p = 0; p < 1000; p++)
        fixture_append(fixture_part(&f, "many", p), "one\n");
    before = f.disk->calls[MEMCALL_FDATASYNC];
    store_work(f.store, true);
    ck_assert_uint_eq(f.disk->calls[MEMCALL_FDATASYNC] - before, 1);
    ck_assert_uint_eq(fixture_status_number(&f, "journal flushes"), 1);
    for (uint32_t p = 0; p < 1000; p++)
        ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "many", p)), 4);
}
END_TEST

/* -- a new name is on disk before the journal speaks of it -- */

START_TEST(directory_of_a_new_meta_is_synced_first)
{
    uint64_t before;

    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    before = f.disk->calls[MEMCALL_SYNC_DIR];
    fixture_append_key(part, "k", "v");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_uint_eq(f.disk->calls[MEMCALL_SYNC_DIR] - before, 1);
    fixture_append_key(part, "k", "v");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_uint_eq(f.disk->calls[MEMCALL_SYNC_DIR] - before, 1);
}
END_TEST

/* A checkpoint runs beside the journal's flushes: it must not take from them
 * the word that a directory is to be synced first. */
START_TEST(checkpoint_leaves_new_names_to_the_next_flush)
{
    fixture_append(part, "one\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append_key(part, "k", "v");
    ck_assert(part->new_names);
    f.store->flusher.checkpoint = 0; /* as the end of a turn does */
    ck_assert(flush_checkpoint_round(&f.store->flusher));
    ck_assert(part->new_names);
}
END_TEST

/* -- helping: a caller that has nothing else to do runs the flush -- */

START_TEST(help_without_threads_does_nothing)
{
    struct waiting w;

    fixture_append(part, "one\n");
    waiting_init(&w);
    store_will_help(f.store);
    partition_wait(part, 4, WAIT_VISIBLE, &w.w);
    store_help_flush(f.store);
    ck_assert_uint_eq(partition_visible_end(part), 0);
    ck_assert(partition_cancel(part, &w.w));
}
END_TEST

static void with_threads(void)
{
    f.options.threads = true;
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
}

static void help(void)
{
    store_will_help(f.store);
    store_help_flush(f.store);
}

START_TEST(help_flushes_what_somebody_waits_for_and_no_more)
{
    with_threads();
    help(); /* there is nothing */
    fixture_append(part, "one\n");
    help(); /* not due for a day */
    ck_assert_uint_eq(partition_visible_end(part), 0);
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t end = partition_end(part);
        struct waiting w;

        waiting_init(&w);
        store_will_help(f.store);
        partition_wait(part, end, WAIT_VISIBLE, &w.w);
        store_help_flush(f.store);
        ck_assert_int_eq(waiting_for(&w), 0);
        ck_assert_uint_eq(partition_visible_end(part), end);
        fixture_append(part, "more\n");
    }
}
END_TEST

/* It says when it looks by itself as long as it sleeps, and until somebody wakes it. */
static bool flush_thread_sleeps(void)
{
    struct flusher *fl = &f.store->flusher;
    bool sleeps;

    pthread_mutex_lock(&fl->lock);
    sleeps = fl->wakes_us != 0;
    pthread_mutex_unlock(&fl->lock);
    return sleeps;
}

START_TEST(who_is_about_to_help_wakes_nobody)
{
    struct waiting w;

    with_threads();
    fixture_append(part, "one\n");
    waiting_init(&w);
    while (!flush_thread_sleeps())
        sched_yield();
    store_will_help(f.store);
    partition_wait(part, 4, WAIT_VISIBLE, &w.w);
    ck_assert(flush_thread_sleeps());
    store_help_flush(f.store);
    ck_assert(waiting_told(&w));
}
END_TEST

static struct waiting of_the_next_round;

static void wait_for_more(struct waiter *w, int rc)
{
    (void)w;
    ck_assert_int_eq(rc, 0);
    fixture_append(part, "two\n");
    waiting_init(&of_the_next_round);
    partition_wait(part, 8, WAIT_VISIBLE, &of_the_next_round.w);
}

/* Here it becomes due while the round of the one who helps has not ended. */
START_TEST(what_help_leaves_is_flushed)
{
    struct waiter w = {.done = wait_for_more};

    with_threads();
    fixture_append(part, "one\n");
    while (!flush_thread_sleeps())
        sched_yield();
    store_will_help(f.store);
    partition_wait(part, 4, WAIT_VISIBLE, &w);
    store_help_flush(f.store);
    ck_assert_int_eq(waiting_for(&of_the_next_round), 0);
    ck_assert_uint_eq(partition_visible_end(part), 8);
}
END_TEST

static void add_when(TCase *tc)
{
    tcase_add_test(tc, nothing_is_visible_before_a_flush);
    tcase_add_test(tc, visible_end_stays_while_the_flush_fails);
    tcase_add_test(tc, flush_messages_makes_due);
    tcase_add_test(tc, flush_ms_makes_due);
    tcase_add_test(tc, a_wait_makes_due);
    tcase_add_test(tc, a_watch_does_not);
    tcase_add_test(tc, eight_mib_are_due_at_once_and_go_direct);
    tcase_add_test(tc, callbacks_may_append);
    tcase_add_test(tc, wait_for_what_is_visible_is_told_at_once);
    tcase_add_loop_test(tc, cancelled_waiter_is_not_told, 0, 3);
    tcase_add_test(tc, each_waiter_is_told_at_its_own_end);
    tcase_add_test(tc, wait_for_what_is_not_appended_yet);
    tcase_add_test(tc, stop_ends_all_waits);
    tcase_add_test(tc, n_waiters_one_fdatasync);
    tcase_add_loop_test(tc, many_partitions_direct_are_one_syncfs, 0, 3);
    tcase_add_test(tc, after_a_failed_syncfs_each_file_is_asked);
    tcase_add_test(tc, a_thousand_partitions_are_one_record_and_one_fdatasync);
    tcase_add_test(tc, directory_of_a_new_meta_is_synced_first);
    tcase_add_test(tc, checkpoint_leaves_new_names_to_the_next_flush);
    tcase_add_test(tc, help_without_threads_does_nothing);
    tcase_add_test(tc, help_flushes_what_somebody_waits_for_and_no_more);
    tcase_add_test(tc, who_is_about_to_help_wakes_nobody);
    tcase_add_test(tc, what_help_leaves_is_flushed);
}

int main(void)
{
    Suite *suite = suite_create("flush");
    TCase *tc = tcase_create("flush");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    add_when(tc);
    return suite_run(suite);
}
