/*
 * store/topic_remove: a topic that is deleted with its messages: who uses it is
 * told, nothing of it is taken for another topic's, its files go.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct topic *topic; /* t, held */
static struct partition *part;

static void make_topic(void)
{
    part = fixture_topic(&f, "t", SMALL_SEGMENTS "partitions=2\n");
    topic = topic_get(partition_topic(part));
}

static void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
    make_topic();
    fixture_fill(&f, part);
}

static void teardown(void)
{
    if (topic)
        topic_put(topic);
    fixture_end(&f);
}

static int configure(const char *text)
{
    return topic_configure(topic, text, strlen(text), &f.err);
}

static int delete (void)
{
    char text[80];

    snprintf(text, sizeof text, "delete=%s\n", topic_id(topic));
    return configure(text);
}

static bool is_there(const char *name)
{
    struct topic *found = store_topic_find(f.store, name);

    if (found)
        topic_put(found);
    return found != NULL;
}

/* -- the word for it -- */

START_TEST(only_the_id_alone_deletes)
{
    static const char *const around[][2] = {{"delete=", "\nflush.ms=7\n"},
                                            {"flush.ms=7\ndelete=", "\n"},
                                            {"delete=", "x\n"},
                                            {"delete=x", "\n"},
                                            {"delete=\ndelete=", "\n"},
                                            {"\ndelete=", ""}};
    static const char longer[] =
        "delete=000000000000000000000000000000000000000000000000000000000000000000000000\n";
    static const char *const wrong[] = {"delete=\n",
                                        "delete=",
                                        "delete=t\n",
                                        "delete=16\n",
                                        "delete=00000000-0000-0000-0000-000000000000\n",
                                        longer};
    char text[200];

    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        snprintf(text, sizeof text, "%s%s%s", around[i][0], topic_id(topic), around[i][1]);
        ck_assert_int_eq(configure(text), -EINVAL);
        ck_assert_ptr_nonnull(strstr(f.err.text, "t/.config: delete="));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_int_eq(configure(wrong[i]), -EINVAL);
    ck_assert(!topic_removed(topic));
    ck_assert_uint_eq(topic_config(topic)->flush_ms, 100);
    snprintf(text, sizeof text, "delete=%s", topic_id(topic)); /* as close(2) applies it */
    ck_assert_int_eq(configure(text), 0);
    ck_assert(topic_removed(topic));
}
END_TEST

START_TEST(its_files_go_and_its_name_is_free)
{
    char id[40];
    uint32_t number = topic_number(topic);

    snprintf(id, sizeof id, "%s", topic_id(topic));
    ck_assert_int_eq(delete (), 0);
    ck_assert(!is_there("t"));
    ck_assert(!file_exists(&f, "t"));
    ck_assert(!file_exists(&f, ".del.16"));
    topic_put(topic);
    make_topic();
    ck_assert_str_ne(topic_id(topic), id);
    ck_assert_uint_gt(topic_number(topic), number);
    ck_assert_uint_eq(fixture_append(part, "new\n"), 0);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    topic_put(topic);
    topic = NULL;
    fixture_kill_reopen(&f);
    part = fixture_part(&f, "t", 0);
    fixture_expect(&f, part, "new\n");
}
END_TEST

/* -- who uses it -- */

START_TEST(appends_and_changes_find_no_topic)
{
    uint64_t offset;

    ck_assert_int_eq(delete (), 0);
    ck_assert_int_eq(fixture_try_append(part, "x\n", &offset, &f.err), -ENOENT);
    ck_assert_int_eq(configure("flush.ms=7\n"), -ENOENT);
    ck_assert_int_eq(delete (), -ENOENT);
    ck_assert_int_eq(topic_set_access(topic, 0700, -1, -1, &f.err), -ENOENT);
    ck_assert_int_eq(store_topic_remove(f.store, "t", &f.err), -ENOENT);
}
END_TEST

START_TEST(who_waits_is_told)
{
    struct waiting flush, watch, later;

    fixture_append(part, "not flushed\n");
    waiting_init(&flush);
    waiting_init(&watch);
    waiting_init(&later);
    partition_wait(part, partition_end(part), WAIT_VISIBLE, &flush.w);
    partition_watch(part, partition_end(part) + 1, &watch.w);
    ck_assert(!waiting_told(&flush));
    ck_assert_int_eq(delete (), 0);
    ck_assert_int_eq(waiting_for(&flush), -ENOENT);
    ck_assert_int_eq(waiting_for(&watch), -ENOENT);
    partition_wait(part, partition_end(part), WAIT_DURABLE, &later.w);
    ck_assert_int_eq(waiting_for(&later), -ENOENT);
    ck_assert(!store_work(f.store, true)); /* nothing of it is flushed any more */
}
END_TEST

/* A topic of the same name, with segments of the same names, is none of its. */
START_TEST(nothing_of_it_is_read_from_another_topics_files)
{
    struct segment *held;
    struct segment_stat st;
    struct partition_stat stat;
    struct topic *old = topic;
    struct partition *old_part = part;
    struct range r;
    uint64_t at;
    uint64_t skipped = 0;
    char byte;

    ck_assert_int_eq(partition_segment_hold(part, 8000, &held), 0);
    ck_assert_int_eq(delete (), 0);
    make_topic();
    fixture_fill(&f, part);
    ck_assert_int_eq(partition_range(old_part, 0, 10, &r), ERR_GONE);
    ck_assert_int_eq(partition_messages(old_part, 0, 10, &r, &skipped), ERR_GONE);
    ck_assert_int_eq(partition_find(old_part, 1000), ERR_GONE);
    ck_assert_int_eq(partition_find_number(old_part, 1, &at), ERR_GONE);
    ck_assert_int_eq(partition_find_time(old_part, 1, &at), ERR_GONE);
    ck_assert_int_eq(partition_stat(old_part, &stat), ERR_GONE);
    ck_assert_int_eq(partition_segment_next(old_part, 0, &st), -ENOENT);
    ck_assert_int_eq(segment_use(old_part->segments[0], &f.err), -ESTALE);
    /* but what was held is read on */
    ck_assert_int_eq(segment_get_stat(held, &st), 0);
    ck_assert_uint_eq(st.visible_bytes, 8000);
    ck_assert_uint_eq(st.disk_bytes, 8000);
    ck_assert_int_eq(segment_range(held, 1000, 1, &r), 0);
    ck_assert_int_eq(fileio_read_all(f.io, r.fd, &byte, 1, r.pos), 0);
    ck_assert_int_eq(byte, 'A' + 9);
    range_release(&r);
    segment_release(held);
    topic_put(old);
}
END_TEST

START_TEST(no_file_of_it_stays_open)
{
    fixture_append(part, "not flushed\n");
    ck_assert_uint_gt(fixture_status_number(&f, "open segments"), 0);
    ck_assert_int_eq(delete (), 0);
    ck_assert_uint_eq(fixture_status_number(&f, "open segments"), 0);
}
END_TEST

/* Partitions that .clean vouched for were never loaded. */
START_TEST(deleted_after_a_clean_start)
{
    struct range r;

    topic_put(topic);
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    topic = topic_get(partition_topic(part));
    ck_assert_ptr_nonnull(part->clean);
    ck_assert_int_eq(delete (), 0);
    ck_assert_int_eq(partition_range(part, 0, 10, &r), ERR_GONE);
    ck_assert_int_eq(partition_load(part, &f.err), ERR_GONE);
    topic_put(topic);
    topic = NULL;
    fixture_kill_reopen(&f);
    ck_assert(!is_there("t"));
}
END_TEST

/* Making and deleting leaves nothing behind in the flusher's heap. */
START_TEST(a_name_used_again_and_again)
{
    size_t places = f.store->flusher.heap_places;

    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(delete (), 0);
        topic_put(topic);
        make_topic();
        fixture_append(part, "x\n");
    }
    ck_assert_uint_eq(f.store->flusher.heap_places, places);
    ck_assert_uint_le(f.store->flusher.heap_count, places);
}
END_TEST

/* -- failures -- */

START_TEST(the_rename_fails_and_all_is_as_before)
{
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_RENAME), NULL, 1, false, -EIO);
    ck_assert_int_eq(delete (), -EIO);
    fixture_no_faults(&f);
    ck_assert(!topic_removed(topic));
    ck_assert_uint_eq(fixture_append(part, "goes on\n"), 30000);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_int_eq(delete (), 0);
}
END_TEST

/* Nobody knows what a power cut would leave: the files must stay whole. */
START_TEST(the_fsync_fails_and_its_files_stay_until_the_next_start)
{
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_SYNC_DIR), "", 1, false, -EIO);
    ck_assert_int_eq(delete (), -EIO);
    fixture_no_faults(&f);
    ck_assert(topic_removed(topic));
    ck_assert(!is_there("t"));
    ck_assert(file_exists(&f, ".del.16/0/00000000000000000000.log"));
    topic_put(topic);
    topic = NULL;
    fixture_kill_reopen(&f);
    ck_assert(!file_exists(&f, ".del.16"));
}
END_TEST

START_TEST(files_that_cannot_be_unlinked_yet)
{
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_UNLINK), ".del.16/*", 3, true, -EIO);
    ck_assert_int_eq(delete (), 0);
    ck_assert(file_exists(&f, ".del.16"));
    fixture_no_faults(&f);
    if (_i == 0) {
        f.clock.now_ms += 60000; /* at the next check */
        fixture_work(&f);
    } else {
        topic_put(topic);
        topic = NULL;
        if (_i == 1)
            fixture_reopen(&f);
        else
            fixture_kill_reopen(&f);
    }
    ck_assert(!file_exists(&f, ".del.16"));
}
END_TEST

/* -- with threads -- */

static _Atomic unsigned appended;

static void *append_until_removed(void *arg)
{
    struct partition *p = arg;
    uint64_t offset;
    int rc = 0;

    while (rc == 0) {
        struct waiting w;
        struct range r;
        struct set set;
        size_t taken;

        set_init(&set);
        ck_assert_int_eq(set_add_lines(&set, "some line or other\n", 19, &taken), 0);
        rc = partition_append(p, &set, &offset, NULL);
        set_release(&set);
        if (rc < 0)
            break;
        appended++;
        waiting_init(&w);
        partition_wait(p, offset + 19, WAIT_VISIBLE, &w.w);
        rc = waiting_for(&w);
        if (rc == 0 && partition_range(p, offset, 19, &r) == 0)
            range_release(&r);
    }
    ck_assert_int_eq(rc, -ENOENT);
    return NULL;
}

/* Deleted beside appends, flushes and retention, and made again at once. */
START_TEST(deleted_beside_writers_and_retention)
{
    teardown();
    fixture_real(&f);
    f.options.threads = true;
    f.options.wall_ms = NULL;
    f.options.retention_check_ms = 1;
    fixture_open(&f);
    for (int round = 0; round < 20; round++) {
        pthread_t thread[4];
        unsigned before = appended;

        part = fixture_topic(&f, "t", SMALL_SEGMENTS "partitions=2\nretention.ms=1\n");
        topic = topic_get(partition_topic(part));
        for (uint32_t i = 0; i < 4; i++)
            ck_assert_int_eq(pthread_create(&thread[i], NULL, append_until_removed,
                                            topic_partition(topic, i % 2)),
                             0);
        while (appended < before + 50)
            sched_yield();
        ck_assert_int_eq(delete (), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(thread[i], NULL);
        topic_put(topic);
    }
    topic = NULL;
    fixture_close(&f);
    fixture_open(&f);
    while (file_exists(&f, ".del.16") || file_exists(&f, ".del.35"))
        sched_yield();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("topic_delete");
    TCase *tc = tcase_create("topic_delete");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, only_the_id_alone_deletes);
    tcase_add_test(tc, its_files_go_and_its_name_is_free);
    tcase_add_test(tc, appends_and_changes_find_no_topic);
    tcase_add_test(tc, who_waits_is_told);
    tcase_add_test(tc, nothing_of_it_is_read_from_another_topics_files);
    tcase_add_test(tc, no_file_of_it_stays_open);
    tcase_add_test(tc, deleted_after_a_clean_start);
    tcase_add_test(tc, a_name_used_again_and_again);
    tcase_add_test(tc, the_rename_fails_and_all_is_as_before);
    tcase_add_test(tc, the_fsync_fails_and_its_files_stay_until_the_next_start);
    tcase_add_loop_test(tc, files_that_cannot_be_unlinked_yet, 0, 3);
    tcase_add_test(tc, deleted_beside_writers_and_retention);
    return suite_run(suite);
}
