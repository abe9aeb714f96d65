/*
 * store: topics, status, loading after a clean stop and renewing, from many
 * threads at once. What these find, they find under TSan: `make tsan`.
 */
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "store/inside.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define THREADS 6

static struct fixture f;
static atomic_int appended; /* messages */

static void setup(void)
{
    fixture_real(&f);
    f.options.threads = true;
    f.options.wall_ms = NULL;
    f.options.journal_bytes = (uint64_t)64 << 10;
    fixture_open(&f);
}

static void teardown(void)
{
    fixture_end(&f);
}

static void run(void *(*body)(void *))
{
    pthread_t thread[THREADS];

    for (intptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
}

static void look_around(void)
{
    struct buf text = {0};
    struct topic *topic;
    uint32_t at = 0;

    ck_assert_int_eq(store_status(f.store, &text), 0);
    buf_release(&text);
    while ((topic = store_topic_next(f.store, at))) {
        ck_assert_uint_gt(topic_number(topic), at);
        at = topic_number(topic);
        for (uint32_t p = 0; p < topic_partition_count(topic); p++)
            (void)partition_visible_end(topic_partition(topic, p));
        topic_put(topic);
    }
}

static int append_one(struct topic *topic)
{
    struct err err;
    uint64_t offset;

    return fixture_try_append(topic_partition(topic, 0), "x\n", &offset, &err);
}

/* -- gaps -- */

/* Every message is two bytes, and so is what a gap leaves out of each: message n
 * is at 2n. Some append, some leave gaps, some read meanwhile. */
static void *append_or_leave_a_gap(void *arg)
{
    struct partition *part = fixture_part(&f, "t", 0);
    struct range r;
    struct err err;

    for (int i = 0; i < 60; i++) {
        uint64_t end = partition_end(part);
        uint64_t skipped = 0;
        uint64_t offset = 0;
        int rc = 0;

        if ((intptr_t)arg % 3 == 0)
            rc = fixture_try_append(part, "x\n", &offset, &err);
        else if ((intptr_t)arg % 3 == 1)
            rc = partition_skip_to(part, end + 20, end / 2 + 10, &err);
        for (end = partition_visible_end(part); offset < end; offset = r.offset + r.len) {
            ck_assert_int_eq(partition_messages(part, offset, 64, &r, &skipped), 0);
            ck_assert(r.len % 2 == 0 && r.offset + r.len > offset);
            range_release(&r);
        }
        ck_assert_uint_eq(skipped, 0);
        ck_assert_msg(rc == 0 || rc == -EEXIST, "%d %s", rc, err.text);
        if (rc == 0 && (intptr_t)arg % 3 == 0)
            atomic_fetch_add(&appended, 1);
    }
    return NULL;
}

START_TEST(gaps_left_while_others_append_and_read)
{
    struct partition *part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    struct partition_stat st;

    fixture_append(part, "x\n"); /* else a gap would move the beginning */
    atomic_store(&appended, 1);
    run(append_or_leave_a_gap);
    for (int i = 0; i < 2; i++) {
        part = fixture_part(&f, "t", 0);
        fixture_flush(&f, part);
        ck_assert_int_eq(partition_stat(part, &st), 0);
        ck_assert_uint_eq(st.messages, (uint64_t)atomic_load(&appended));
        ck_assert_uint_eq(st.damaged_runs, 0);
        fixture_reopen(&f);
    }
}
END_TEST

/* -- retention -- */

/* As above with messages of 1,000 bytes, while retention takes the segments away
 * from the list that the appending ones end. */
static void *append_while_some_goes(void *arg)
{
    struct partition *part = fixture_part(&f, "t", 0);
    char line[1001];
    struct err err;

    memset(line, 'x', 999);
    strcpy(line + 999, "\n");
    for (int i = 0; i < 150; i++) {
        bool gap = (intptr_t)arg == 0 && i % 10 == 9;
        uint64_t end = partition_end(part);
        uint64_t offset = 0;
        int rc;

        if (gap)
            rc = partition_skip_to(part, end + 1000, end / 1000 + 1, &err);
        else
            rc = fixture_try_append(part, line, &offset, &err);
        ck_assert_msg(rc == 0 || rc == -EEXIST, "%d %s", rc, err.text);
        ck_assert_uint_eq(offset % 1000, 0);
        if (rc == 0 && !gap)
            atomic_fetch_add(&appended, 1);
    }
    return NULL;
}

START_TEST(retention_while_others_append)
{
    struct partition_stat st;
    struct partition *part;
    struct range r;

    fixture_close(&f);
    f.options.retention_check_ms = 1;
    fixture_open(&f);
    fixture_topic(&f, "t", SMALL_SEGMENTS "retention.bytes=1\n");
    atomic_store(&appended, 0);
    run(append_while_some_goes);
    append_while_some_goes((void *)1); /* what is last is no gap */
    ck_assert_uint_gt(f.store->retainer.segments_removed, 0);
    for (int i = 0; i < 2; i++) {
        part = fixture_part(&f, "t", 0);
        fixture_flush(&f, part);
        ck_assert_int_eq(partition_stat(part, &st), 0);
        ck_assert_uint_ge(st.visible_end, 1000 * (uint64_t)atomic_load(&appended));
        ck_assert_uint_le(st.visible_end, 1000 * (uint64_t)(atomic_load(&appended) + 15));
        ck_assert_uint_eq(st.damaged_runs, 0);
        ck_assert_int_eq(partition_range(part, st.visible_end - 1000, 1000, &r), 0);
        range_release(&r);
        fixture_reopen(&f);
    }
}
END_TEST

/* -- topics -- */

static void *make_and_remove(void *arg)
{
    for (int i = 0; i < 40; i++) {
        struct topic *topic = NULL;
        struct err err;
        char name[16];
        int rc;

        snprintf(name, sizeof name, "t%d", (i + (int)(intptr_t)arg) % 4); /* others make it too */
        rc = store_topic_create(f.store, name, NULL, &topic, &err);
        ck_assert_msg(rc == 0 || rc == -EEXIST, "%s", err.text);
        if (topic && i % 5 == 0)
            append_one(topic);
        if (topic)
            topic_put(topic);
        look_around();
        rc = store_topic_remove(f.store, name, &err);
        ck_assert_msg(rc == 0 || rc == -ENOENT || rc == -ENOTEMPTY, "%s", err.text);
    }
    return NULL;
}

START_TEST(topics_made_and_removed_by_many)
{
    uint32_t count;

    run(make_and_remove);
    count = store_topic_count(f.store);
    ck_assert_uint_le(count, 4);
    fixture_reopen(&f);
    ck_assert_uint_eq(store_topic_count(f.store), count);
}
END_TEST

/* Appends to a topic that another thread is removing: to the log, or ENOENT. */
static void *append_or_remove(void *arg)
{
    for (int i = 0; i < 100; i++) {
        struct topic *topic = store_topic_find(f.store, "t");
        struct err err;
        int rc;

        if ((intptr_t)arg % 2 && topic) {
            rc = append_one(topic);
            ck_assert(rc == 0 || rc == -ENOENT);
            if (rc == 0)
                atomic_fetch_add(&appended, 1);
        } else if (atomic_load(&appended) == 0) {
            rc = store_topic_remove(f.store, "t", &err);
            ck_assert(rc == 0 || rc == -ENOENT || rc == -ENOTEMPTY);
            rc = store_topic_create(f.store, "t", NULL, NULL, &err);
            ck_assert(rc == 0 || rc == -EEXIST);
        }
        if (topic)
            topic_put(topic);
    }
    return NULL;
}

START_TEST(topic_removed_while_others_append)
{
    fixture_topic(&f, "t", "");
    atomic_store(&appended, 0);
    run(append_or_remove);
    if (atomic_load(&appended) > 0)
        ck_assert_uint_eq(partition_end(fixture_part(&f, "t", 0)),
                          2 * (uint64_t)atomic_load(&appended));
    fixture_reopen(&f);
}
END_TEST

static void *configure_and_grow(void *arg)
{
    struct topic *topic = store_topic_find(f.store, "t");

    for (int i = 0; i < 20; i++) {
        struct err err;
        char text[64];
        int rc;

        snprintf(text, sizeof text, "flush.ms=%d\n", i);
        ck_assert_int_eq(topic_configure(topic, text, strlen(text), &err), 0);
        snprintf(text, sizeof text, "partitions=%d\n", i + 1);
        rc = topic_configure(topic, text, strlen(text), &err);
        ck_assert(rc == 0 || rc == -EINVAL); /* somebody was faster */
        ck_assert_int_eq(topic_set_access(topic, 0700 + (int)(intptr_t)arg, -1, -1, &err), 0);
        ck_assert_uint_gt(topic_partition_count(topic), (uint32_t)i);
        ck_assert_ptr_nonnull(topic_partition(topic, (uint32_t)i));
        ck_assert_ptr_nonnull(topic_partition_in_turn(topic));
        append_one(topic);
    }
    topic_put(topic);
    return NULL;
}

START_TEST(settings_changed_by_many)
{
    fixture_topic(&f, "t", "");
    run(configure_and_grow);
    fixture_reopen(&f);
    ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "t", 0)), THREADS * 20 * 2);
    fixture_part(&f, "t", 19);
}
END_TEST

/* -- after a clean stop, everybody comes at once -- */

static void *use_at_once(void *arg)
{
    struct partition *part = fixture_part(&f, "t", 0);
    struct partition_stat st;
    uint64_t offset;
    struct range r;

    look_around();
    if ((intptr_t)arg % 2)
        fixture_append(part, "x\n");
    ck_assert_int_eq(partition_find(part, 6000), 0);
    ck_assert_int_eq(partition_find_number(part, 3, &offset), 0);
    ck_assert_uint_eq(offset, 9000);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_int_eq(partition_range(part, partition_first(part), 100, &r), 0);
    range_release(&r);
    return NULL;
}

START_TEST(loaded_by_many_at_once_after_a_clean_stop)
{
    struct partition *part =
        fixture_topic(&f, "t", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4096\n");

    for (int i = 0; i < 5; i++)
        fixture_append_bytes(part, 2999, 'x');
    for (int round = 0; round < 10; round++) {
        fixture_reopen(&f);
        run(use_at_once);
    }
    fixture_reopen(&f);
    ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "t", 0)), 15000 + 10 * 3 * 2);
}
END_TEST

/* -- an empty segment is renewed while it is looked at -- */

static _Atomic uint64_t now_ms;

static uint64_t tell_time(void *arg)
{
    (void)arg;
    return atomic_load(&now_ms);
}

static void *renew_or_look(void *arg)
{
    for (int i = 0; i < 20; i++) {
        char name[16];
        struct segment_stat st;
        struct partition_stat stat;
        uint64_t offset;

        snprintf(name, sizeof name, "t%d", i);
        if (arg == NULL) {
            atomic_fetch_add(&now_ms, 700000000);
            fixture_append(fixture_part(&f, name, 0), "x\n");
            continue;
        }
        ck_assert_int_eq(partition_segment_next(fixture_part(&f, name, 0), 0, &st), 0);
        ck_assert_int_eq(partition_stat(fixture_part(&f, name, 0), &stat), 0);
        ck_assert_int_eq(partition_find_time(fixture_part(&f, name, 0), 1, &offset), 0);
    }
    return NULL;
}

START_TEST(empty_segment_renewed_while_others_look)
{
    atomic_store(&now_ms, 1000000);
    fixture_close(&f);
    f.options.wall_ms = tell_time;
    fixture_open(&f);
    for (int i = 0; i < 20; i++) {
        char name[16];

        snprintf(name, sizeof name, "t%d", i);
        fixture_topic(&f, name, "flush.sync=os\n");
    }
    run(renew_or_look);
    ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "t19", 0)), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_threads");
    TCase *tc = tcase_create("store_threads");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, gaps_left_while_others_append_and_read);
    tcase_add_test(tc, retention_while_others_append);
    tcase_add_test(tc, topics_made_and_removed_by_many);
    tcase_add_test(tc, topic_removed_while_others_append);
    tcase_add_test(tc, settings_changed_by_many);
    tcase_add_test(tc, loaded_by_many_at_once_after_a_clean_stop);
    tcase_add_test(tc, empty_segment_renewed_while_others_look);
    return suite_run(suite);
}
