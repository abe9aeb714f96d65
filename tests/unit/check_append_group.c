/*
 * store/append and store/flush with threads: many writers, one leader; what
 * fails in a group fails alone; closing, rolling, switching under load. Run it
 * under TSan too: `make tsan`.
 */
#include <check.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define WRITERS 8

static struct fixture f;
static struct partition *part;

static void setup(void)
{
    fixture_real(&f);
    f.options.threads = true;
    f.options.wall_ms = NULL;
    f.options.journal_bytes = (uint64_t)64 << 10;
}

static void teardown(void)
{
    fixture_end(&f);
}

static void start(void)
{
    fixture_open(&f);
    part = fixture_topic(&f, "t",
                         "segment.bytes=8192\nset.max.bytes=4096\n"
                         "message.max.bytes=4096\nflush.ms=1\n");
}

/* -- writers that keep a ledger -- */

struct writer {
    pthread_t thread;
    int id;
    int sets;
    bool keys, flush;
    int appended, refused; /* sets */
    uint64_t *offset;      /* of each set; UINT64_MAX = refused */
};

static int append_one(struct writer *w, int i, uint64_t *offset)
{
    struct err err = {0};
    char line[100];
    struct set set;
    size_t taken;
    int rc;

    set_init(&set);
    if (w->keys && i % 3 == 0) {
        struct message m = {.value = line, .key = "key", .key_len = 3};

        m.value_len = (uint32_t)snprintf(line, sizeof line, "%d %d k", w->id, i);
        rc = set_add_message(&set, &m);
    } else {
        int n = snprintf(line, sizeof line, "%d %d a\n%d %d b\n", w->id, i, w->id, i);

        rc = set_add_lines(&set, line, (size_t)n, &taken);
    }
    ck_assert_int_eq(rc, 0);
    rc = partition_append(part, &set, offset, &err);
    set_release(&set);
    return rc;
}

static void *write_sets(void *arg)
{
    struct writer *w = arg;

    for (int i = 0; i < w->sets; i++) {
        int rc = append_one(w, i, &w->offset[i]);

        if (rc < 0) {
            w->offset[i] = UINT64_MAX;
            w->refused++;
            continue;
        }
        w->appended++;
        if (w->flush && i % 16 == 0) {
            struct waiting wait;

            waiting_init(&wait);
            partition_wait(part, w->offset[i] + 1, WAIT_VISIBLE, &wait.w);
            ck_assert_int_eq(waiting_for(&wait), 0);
            ck_assert_uint_gt(partition_visible_end(part), w->offset[i]);
        }
    }
    return NULL;
}

static void run_writers(struct writer *w, int sets, bool keys, bool flush)
{
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){.id = i, .sets = sets, .keys = keys, .flush = flush};
        w[i].offset = calloc((size_t)sets, sizeof *w[i].offset);
        ck_assert_int_eq(pthread_create(&w[i].thread, NULL, write_sets, &w[i]), 0);
    }
}

static void join_writers(struct writer *w)
{
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_join(w[i].thread, NULL), 0);
}

/* Each set that was answered with an offset stands there, whole; and nothing
 * else does. */
static void check_ledger(struct writer *w)
{
    char *text;
    size_t bytes = 0;

    ck_assert_int_eq(fixture_flush(&f, part), 0);
    text = fixture_text(&f, part);
    for (int i = 0; i < WRITERS; i++) {
        for (int s = 0; s < w[i].sets; s++) {
            char want[100];
            int n;

            if (w[i].offset[s] == UINT64_MAX)
                continue;
            if (w[i].keys && s % 3 == 0)
                n = snprintf(want, sizeof want, "%d %d k\n", i, s);
            else
                n = snprintf(want, sizeof want, "%d %d a\n%d %d b\n", i, s, i, s);
            ck_assert_mem_eq(text + w[i].offset[s], want, (size_t)n);
            bytes += (size_t)n;
        }
        free(w[i].offset);
    }
    ck_assert_uint_eq(strlen(text), bytes);
    free(text);
}

START_TEST(every_writer_finds_its_sets_where_it_was_told)
{
    struct writer w[WRITERS];

    start();
    run_writers(w, 400, true, true);
    join_writers(w);
    check_ledger(w);
}
END_TEST

/* -- readers beside them -- */

static atomic_bool reading_ends;

static void *read_along(void *arg)
{
    uint64_t at = 0;
    uint64_t skipped = 0;
    unsigned char *text = malloc(1 << 16);

    (void)arg;
    for (;;) {
        bool last = atomic_load(&reading_ends);
        uint64_t visible = partition_visible_end(part);
        struct partition_stat st;
        struct segment_stat seg;
        struct range r;
        uint64_t offset;

        ck_assert_int_eq(partition_messages(part, at, 1 << 16, &r, &skipped), 0);
        ck_assert_uint_eq(r.offset, at);
        if (r.len > 0) {
            ck_assert_int_eq(fileio_read_all(f.io, r.fd, text, r.len, r.pos), 0);
            ck_assert_int_eq(text[r.len - 1], '\n');
        }
        at += r.len;
        range_release(&r);
        ck_assert_int_eq(partition_find(part, at), 0);
        ck_assert_int_eq(partition_stat(part, &st), 0);
        ck_assert_uint_ge(st.visible_end, visible);
        ck_assert_int_eq(partition_find_number(part, st.messages, &offset), 0);
        ck_assert_int_eq(partition_find_time(part, st.last_ms, &offset), 0);
        ck_assert_int_eq(partition_segment_next(part, 0, &seg), 0);
        if (last && at == visible)
            break;
    }
    free(text);
    return NULL;
}

START_TEST(readers_see_whole_messages_up_to_the_visible_end)
{
    struct writer w[WRITERS];
    pthread_t reader[2];

    start();
    atomic_store(&reading_ends, false);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&reader[i], NULL, read_along, NULL), 0);
    run_writers(w, 300, true, true);
    join_writers(w);
    atomic_store(&reading_ends, true);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_join(reader[i], NULL), 0);
    check_ledger(w);
}
END_TEST

/* -- failures in a group -- */

static void on_memory(void)
{
    fixture_end(&f);
    fixture_mem(&f);
    f.options.threads = true;
    f.options.wall_ms = NULL;
    f.options.journal_bytes = (uint64_t)64 << 10;
}

START_TEST(no_room_for_one_write_of_many)
{
    struct writer w[WRITERS];
    int refused = 0;

    on_memory();
    start();
    memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PWRITEV),
                                                .path = _i ? "t/0/*.log" : "t/0/*.idx",
                                                .nth = 50,
                                                .error = -ENOSPC});
    run_writers(w, 200, false, false);
    join_writers(w);
    for (int i = 0; i < WRITERS; i++)
        refused += w[i].refused;
    ck_assert_int_le(refused, 1); /* a group is tried again, each set alone */
    ck_assert(!partition_failed(part));
    check_ledger(w);
}
END_TEST

START_TEST(disk_full_while_many_write)
{
    struct writer w[WRITERS];
    int refused = 0;

    on_memory();
    start();
    fixture_append(part, "x\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill(&f);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    f.disk->room_bytes = memdisk_used_bytes(f.disk) + 20000;
    run_writers(w, 500, false, false);
    join_writers(w);
    for (int i = 0; i < WRITERS; i++) {
        refused += w[i].refused;
        for (int s = 0; s < w[i].sets; s++)
            if (w[i].offset[s] != UINT64_MAX)
                ck_assert_uint_ge(w[i].offset[s], 2);
        free(w[i].offset);
    }
    ck_assert_int_gt(refused, 0);
    ck_assert(!partition_failed(part));
    f.disk->room_bytes = 0;
    fixture_append(part, "room again\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
}
END_TEST

START_TEST(big_set_does_not_fit_where_small_ones_do)
{
    struct err err = {0};
    uint64_t offset;
    char *big = malloc(4000);

    on_memory();
    start();
    fixture_append(part, "x\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    memset(big, 'b', 3998);
    memcpy(big + 3998, "\n", 2);
    fixture_append_bytes(part, 2000, 'y');
    f.disk->room_bytes = memdisk_used_bytes(f.disk);
    ck_assert_int_eq(fixture_try_append(part, big, &offset, &err), -ENOSPC);
    fixture_append(part, "small\n");
    free(big);
}
END_TEST

/* -- closing under load -- */

/* What is on its way to the direct thread when the threads are ended must not
 * keep the clean stop waiting. */
START_TEST(close_right_after_bulk)
{
    on_memory();
    start();
    fixture_topic(&f, "bulk", "flush.ms=0\n");
    for (int round = 0; round < 100; round++) {
        fixture_append_bytes(fixture_part(&f, "bulk", 0), 300 << 10, 'x');
        fixture_append(part = fixture_part(&f, "t", 0), "x\n");
        fixture_reopen(&f);
    }
    ck_assert_uint_eq(partition_visible_end(fixture_part(&f, "bulk", 0)), 100 * (300 * 1024 + 1));
}
END_TEST

START_TEST(stop_waiting_under_load)
{
    struct writer w[WRITERS];

    start();
    run_writers(w, 500, false, false);
    store_stop_waiting(f.store);
    join_writers(w);
    for (int i = 0; i < WRITERS; i++)
        free(w[i].offset);
    fixture_reopen(&f);
}
END_TEST

/* -- everything at once -- */

struct switcher {
    pthread_t thread;
    struct topic *topic;
};

static void *switch_sync(void *arg)
{
    struct switcher *s = arg;
    struct err err = {0};

    for (int i = 0; i < 40; i++) {
        const char *text = i % 2 ? "flush.sync=disk\n" : "flush.sync=os\n";
        int rc = topic_configure(s->topic, text, strlen(text), &err);

        ck_assert_msg(rc == 0, "%s", err.text);
    }
    return NULL;
}

static void *write_anywhere(void *arg)
{
    struct topic *topic = arg;

    for (int i = 0; i < 500; i++) {
        struct partition *p = topic_partition_in_turn(topic);

        fixture_append_bytes(p, 500, 'x');
        if (i % 8 == 0) {
            struct waiting w;

            waiting_init(&w);
            partition_wait(p, partition_end(p), i % 16 ? WAIT_VISIBLE : WAIT_DURABLE, &w.w);
            ck_assert_int_eq(waiting_for(&w), 0);
        }
    }
    return NULL;
}

/* A journal of a few records, so that turns and checkpoints run all the time,
 * segments that roll, and a topic that goes from os to disk and back. */
START_TEST(turns_rolls_and_switches_at_once)
{
    struct switcher s;
    pthread_t writers[4];
    struct buf text = {0};

    f.options.journal_part_bytes = 4000;
    start();
    fixture_topic(&f, "many",
                  "partitions=12\nsegment.bytes=8192\nset.max.bytes=4096\n"
                  "message.max.bytes=4096\nflush.ms=0\n");
    s.topic = store_topic_find(f.store, "many");
    ck_assert_int_eq(pthread_create(&s.thread, NULL, switch_sync, &s), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&writers[i], NULL, write_anywhere, s.topic), 0);
    for (int i = 0; i < 200; i++) {
        buf_clear(&text);
        ck_assert_int_eq(store_status(f.store, &text), 0);
    }
    buf_release(&text);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(writers[i], NULL), 0);
    ck_assert_int_eq(pthread_join(s.thread, NULL), 0);
    topic_put(s.topic);
    fixture_reopen(&f);
    for (uint32_t p = 0; p < 12; p++)
        ck_assert(!partition_failed(fixture_part(&f, "many", p)));
}
END_TEST

/* -- waiters in bulk, cancelled while they are told -- */

static void *watch_and_cancel(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        struct waiting w[12];

        for (int k = 0; k < 12; k++) {
            waiting_init(&w[k]);
            partition_watch(part, partition_end(part) + (uint64_t)k, &w[k].w);
        }
        for (int k = 0; k < 12; k++)
            if (!partition_cancel(part, &w[k].w))
                ck_assert_int_eq(waiting_for(&w[k]), 0);
    }
    return NULL;
}

START_TEST(watchers_are_told_or_cancelled_never_both)
{
    struct writer w[WRITERS];
    pthread_t watcher[2];

    start();
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&watcher[i], NULL, watch_and_cancel, NULL), 0);
    run_writers(w, 200, false, true);
    join_writers(w);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_join(watcher[i], NULL), 0);
    check_ledger(w);
}
END_TEST

/* More than the flusher tells itself: the notifier tells the rest. */
START_TEST(waiters_in_bulk)
{
    static struct waiting w[2000];

    start();
    fixture_append(part, "one\n");
    for (int i = 0; i < 2000; i++) {
        waiting_init(&w[i]);
        partition_watch(part, (uint64_t)(i % 2 ? 4 : 8), &w[i].w);
    }
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    for (int i = 1; i < 2000; i += 2)
        ck_assert_int_eq(waiting_for(&w[i]), 0);
    if (_i) { /* the others: by the next flush, or by the stop */
        fixture_append(part, "two\n");
        ck_assert_int_eq(fixture_flush(&f, part), 0);
    } else {
        store_stop_waiting(f.store);
    }
    for (int i = 0; i < 2000; i += 2)
        ck_assert_int_eq(waiting_for(&w[i]), _i ? 0 : ERR_STOPPING);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("append_group");
    TCase *tc = tcase_create("append_group");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_writer_finds_its_sets_where_it_was_told);
    tcase_add_test(tc, readers_see_whole_messages_up_to_the_visible_end);
    tcase_add_loop_test(tc, no_room_for_one_write_of_many, 0, 2);
    tcase_add_test(tc, disk_full_while_many_write);
    tcase_add_test(tc, big_set_does_not_fit_where_small_ones_do);
    tcase_add_test(tc, close_right_after_bulk);
    tcase_add_test(tc, stop_waiting_under_load);
    tcase_add_test(tc, turns_rolls_and_switches_at_once);
    tcase_add_loop_test(tc, waiters_in_bulk, 0, 2);
    tcase_add_test(tc, watchers_are_told_or_cancelled_never_both);
    return suite_run(suite);
}
