/*
 * store/topic_make: topics that several threads want at the same time are made
 * together. One maker is held up in the fsync that ends its work until all the
 * others have said what they want.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "store/inside.h"
#include "store/topic_make.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define MAKERS_MAX 12

static struct fixture f;
static const struct fileio_ops *open_ops;
static struct fileio_ops gated;

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_shut, at_gate; /* gate_lock */
static unsigned root_syncs;     /* gate_lock */

static int sync_dir_through_gate(struct fileio *io, const char *path)
{
    pthread_mutex_lock(&gate_lock);
    root_syncs += *path == '\0';
    at_gate = true;
    pthread_cond_broadcast(&gate_changed);
    while (*path == '\0' && gate_shut)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
    return open_ops->sync_dir(io, path);
}

static void set_gate(bool shut)
{
    pthread_mutex_lock(&gate_lock);
    gate_shut = shut;
    at_gate = false;
    root_syncs = 0;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static void wait_at_gate(void)
{
    pthread_mutex_lock(&gate_lock);
    while (!at_gate)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static void setup(void)
{
    fixture_mem(&f);
    open_ops = f.disk->io.ops;
    gated = *open_ops;
    gated.sync_dir = sync_dir_through_gate;
    f.disk->io.ops = &gated;
    gate_shut = false;
    fixture_open(&f);
    fixture_topic(&f, "before", ""); /* the numbers are reserved, .clean is gone */
}

static void teardown(void)
{
    f.disk->io.ops = open_ops;
    fixture_end(&f);
}

struct maker {
    pthread_t thread;
    const char *name;
    struct topic *topic;
    int rc;
};

static void *make(void *arg)
{
    struct maker *m = arg;

    m->rc = store_topic_create(f.store, m->name, NULL, &m->topic, NULL);
    return NULL;
}

static unsigned wanted(void)
{
    unsigned n = 0;

    pthread_mutex_lock(&f.store->wanted_lock);
    for (const struct making *m = f.store->wanted; m; m = m->next)
        n++;
    pthread_mutex_unlock(&f.store->wanted_lock);
    return n;
}

static void begin(struct maker *m, const char *name)
{
    *m = (struct maker){.name = name, .rc = 1};
    ck_assert_int_eq(pthread_create(&m->thread, NULL, make, m), 0);
}

/* Those of `names` together, behind a topic "first". */
static unsigned make_all(struct maker *makers, const char *const *names)
{
    struct maker first;
    unsigned n = 0;

    set_gate(true);
    begin(&first, "first");
    wait_at_gate();
    for (; n < MAKERS_MAX && names[n]; n++) {
        begin(&makers[n], names[n]);
        while (wanted() <= n) /* one by one: they are in their order */
            sched_yield();
    }
    set_gate(false);
    pthread_join(first.thread, NULL);
    ck_assert_int_eq(first.rc, 0);
    topic_put(first.topic);
    for (unsigned i = 0; i < n; i++)
        pthread_join(makers[i].thread, NULL);
    return n;
}

static bool there(const char *name)
{
    struct topic *topic = store_topic_find(f.store, name);

    if (topic)
        topic_put(topic);
    return topic;
}

#define CALL(name) MEMCALL_BIT(MEMCALL_##name)

static const struct together {
    const char *what;
    const char *names[MAKERS_MAX + 1];
    int expect[MAKERS_MAX];
    unsigned root_syncs, syncfs; /* that it takes; 0: whatever */
    struct memfault fault;
} cases[] = {
    {"three topics share the sync of their names", {"a", "b", "c"}, {0}, 1, 0, {0}},
    {"one name twice: the second one is refused, once the first is there",
     {"a", "a", "b"},
     {0, -EEXIST, 0},
     2,
     0,
     {0}},
    {"one is there already", {"first", "b"}, {-EEXIST, 0}, 1, 0, {0}},
    {"nine topics: one syncfs", {"a", "b", "c", "d", "e", "f", "g", "h", "i"}, {0}, 1, 1, {0}},
    {"the syncfs fails: each by itself",
     {"a", "b", "c", "d", "e", "f", "g", "h", "i"},
     {0},
     0,
     1,
     {CALL(SYNCFS), NULL, 1, false, -EIO}},
    {"no room for a file of one",
     {"a", "b", "c"},
     {0, -ENOSPC, 0},
     0,
     0,
     {CALL(OPEN), ".new.b/0/*.idx", 1, false, -ENOSPC}},
    {"no room for the directory of one",
     {"a", "b", "c"},
     {0, -ENOSPC, 0},
     0,
     0,
     {CALL(MKDIR), ".new.b", 1, false, -ENOSPC}},
    {"an fsync fails: each once more by itself",
     {"a", "b", "c"},
     {0},
     0,
     0,
     {CALL(FDATASYNC), ".new.b/*", 1, false, -EIO}},
    {"an fsync fails again",
     {"a", "b", "c"},
     {0, -EIO, 0},
     0,
     0,
     {CALL(FDATASYNC), ".new.b/*", 1, true, -EIO}},
    {"an fsync of a directory fails again",
     {"a", "b", "c"},
     {0, 0, -EIO},
     0,
     0,
     {CALL(SYNC_DIR), ".new.c", 1, true, -EIO}},
    {"one alone, and its fsync fails",
     {"a"},
     {-EIO},
     0,
     0,
     {CALL(FDATASYNC), ".new.a/*", 1, false, -EIO}},
    {"a rename fails", {"a", "b", "c"}, {0, -EIO, 0}, 0, 0, {CALL(RENAME), "b", 1, false, -EIO}},
    {"the sync of the names fails: none is made",
     {"a", "b", "c"},
     {-EIO, -EIO, -EIO},
     0,
     0,
     {CALL(SYNC_DIR), "", 2, false, -EIO}}, /* the first one is of "first" */
};

START_TEST(topics_wanted_at_the_same_time)
{
    const struct together *c = &cases[_i];
    struct maker makers[MAKERS_MAX];
    uint64_t syncfs = f.disk->calls[MEMCALL_SYNCFS];
    unsigned n;

    memdisk_set_fault(f.disk, c->fault);
    n = make_all(makers, c->names);
    memdisk_set_fault(f.disk, (struct memfault){0});
    if (c->root_syncs)
        ck_assert_uint_eq(root_syncs, c->root_syncs);
    ck_assert_uint_eq(f.disk->calls[MEMCALL_SYNCFS] - syncfs, c->syncfs);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_msg(makers[i].rc == c->expect[i], "%s: %s: %d", c->what, c->names[i],
                      makers[i].rc);
        if (makers[i].rc < 0)
            continue;
        ck_assert_str_eq(topic_name(makers[i].topic), c->names[i]);
        topic_put(makers[i].topic);
    }
    fixture_kill_reopen(&f);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_int_eq(there(c->names[i]), c->expect[i] == 0 || c->expect[i] == -EEXIST);
        if (c->expect[i] == 0)
            fixture_append(fixture_part(&f, c->names[i], 0), "one\n");
        else if (c->expect[i] != -EEXIST) /* the name is free */
            ck_assert_int_eq(store_topic_create(f.store, c->names[i], NULL, NULL, &f.err), 0);
    }
}
END_TEST

/* Its maker has his reference although it was removed before he could take it. */
START_TEST(topic_removed_as_soon_as_it_is_made)
{
    struct topic *topic;

    ck_assert_int_eq(store_topic_create(f.store, "t", NULL, &topic, &f.err), 0);
    ck_assert_int_eq(store_topic_remove(f.store, "t", &f.err), 0);
    ck_assert(topic_removed(topic));
    ck_assert_str_eq(topic_name(topic), "t");
    topic_put(topic);
}
END_TEST

/* Threads that make and remove on the real disk, as they come. */
static void *make_and_remove(void *arg)
{
    unsigned me = *(unsigned *)arg;

    for (unsigned i = 0; i < 20; i++) {
        char name[32];
        struct topic *topic;
        int rc;

        snprintf(name, sizeof name, "t%u-%u", me, i);
        rc = store_topic_create(f.store, name, NULL, &topic, NULL);
        if (rc < 0)
            ck_abort_msg("%s: %d", name, rc);
        topic_put(topic);
        rc = store_topic_create(f.store, "same", NULL, NULL, NULL);
        if (rc < 0 && rc != -EEXIST)
            ck_abort_msg("same: %d", rc);
        if (i % 2 && store_topic_remove(f.store, name, NULL) < 0)
            ck_abort_msg("%s: cannot be removed", name);
    }
    return NULL;
}

START_TEST(many_threads_on_the_real_disk)
{
    pthread_t threads[6];
    unsigned number[6];

    teardown();
    fixture_real(&f);
    fixture_open(&f);
    for (unsigned i = 0; i < 6; i++) {
        number[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, make_and_remove, &number[i]), 0);
    }
    for (unsigned i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(store_topic_count(f.store), 6 * 10 + 1);
    fixture_kill_reopen(&f);
    ck_assert_uint_eq(store_topic_count(f.store), 6 * 10 + 1);
    fixture_end(&f);
    setup();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("topic_together");
    TCase *tc = tcase_create("topic_together");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, topics_wanted_at_the_same_time, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, topic_removed_as_soon_as_it_is_made);
    tcase_add_test(tc, many_threads_on_the_real_disk);
    return suite_run(suite);
}
