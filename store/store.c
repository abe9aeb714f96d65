/*
 * store/store: opening and closing a store, and the table of its topics.
 * What is in the root besides topics (.format, .lock, .reserve) is in root.c.
 */
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/diag.h"
#include "store/findings.h"
#include "store/inside.h"
#include "store/recover.h"
#include "store/root.h"

#define JOURNAL_BYTES              ((uint64_t)128 << 20)
#define JOURNAL_PART_BYTES_DEFAULT ((uint64_t)256 << 10)
#define RETENTION_CHECK_MS         60000u
#define IDLE_SEGMENTS              256u

uint64_t store_wall_ms(struct store *store)
{
    return store->options.wall_ms ? store->options.wall_ms(store->options.clock_arg)
                                  : clock_wall_ms();
}

/* -- the tables of topics -- */

static size_t bucket_of(const struct store *store, const char *name)
{
    uint64_t h = 14695981039346656037u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return (size_t)(h ^ h >> 32) & (store->buckets - 1);
}

static void rehash(struct store *store, struct topic **table, size_t buckets)
{
    free(store->by_name);
    store->by_name = table;
    store->buckets = buckets;
    for (size_t i = 0; i < store->topic_count; i++) {
        struct topic *topic = store->by_number[i];
        size_t b = bucket_of(store, topic->name);

        topic->hash_next = table[b];
        table[b] = topic;
    }
}

static int tables_room(struct store *store)
{
    if (store->topic_count == store->topic_room) {
        size_t room = store->topic_room ? store->topic_room * 2 : 16;
        struct topic **grown = realloc(store->by_number, room * sizeof(struct topic *));

        if (!grown)
            return -ENOMEM;
        store->by_number = grown;
        store->topic_room = room;
    }
    if (store->topic_count >= store->buckets) {
        size_t buckets = store->buckets ? store->buckets * 2 : 16;
        struct topic **table = calloc(buckets, sizeof(struct topic *));

        if (!table)
            return -ENOMEM;
        rehash(store, table, buckets);
    }
    return 0;
}

/* The place of the first topic with a number >= number. */
static size_t place_of(const struct store *store, uint32_t number)
{
    size_t low = 0;
    size_t high = store->topic_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (store->by_number[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int store_add_topic(struct store *store, struct topic *topic)
{
    size_t at;
    size_t b;
    int rc;

    pthread_rwlock_wrlock(&store->topics_lock);
    rc = tables_room(store);
    if (rc == 0) {
        at = store->loading ? store->topic_count : place_of(store, topic->number);
        memmove(store->by_number + at + 1, store->by_number + at,
                (store->topic_count - at) * sizeof(struct topic *));
        store->by_number[at] = topic;
        store->topic_count++;
        b = bucket_of(store, topic->name);
        topic->hash_next = store->by_name[b];
        store->by_name[b] = topic;
    }
    pthread_rwlock_unlock(&store->topics_lock);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    const struct topic *x = *(struct topic *const *)a;
    const struct topic *y = *(struct topic *const *)b;

    return x->number < y->number ? -1 : x->number > y->number;
}

int store_end_loading(struct store *store, struct err *err)
{
    store->loading = false;
    if (store->topic_count > 0)
        qsort(store->by_number, store->topic_count, sizeof(struct topic *), by_number);
    for (size_t i = 1; i < store->topic_count; i++) {
        const struct topic *a = store->by_number[i - 1];
        const struct topic *b = store->by_number[i];

        if (a->number == b->number) /* which is the right one, nobody knows */
            return err_set(err, -EEXIST,
                           "%s/.config: its number %" PRIu32 " is another topic's, %s: a copy made "
                           "by hand? Move it out of the store",
                           b->name, b->number, a->name);
    }
    return 0;
}

void store_drop_topic(struct store *store, struct topic *topic)
{
    size_t at = place_of(store, topic->number);
    struct topic **link = &store->by_name[bucket_of(store, topic->name)];

    while (*link != topic)
        link = &(*link)->hash_next;
    *link = topic->hash_next;
    store->topic_count--;
    memmove(store->by_number + at, store->by_number + at + 1,
            (store->topic_count - at) * sizeof(struct topic *));
}

struct topic *store_topic_by_number(struct store *store, uint32_t number)
{
    size_t at = place_of(store, number);

    return at < store->topic_count && store->by_number[at]->number == number ? store->by_number[at]
                                                                             : NULL;
}

struct topic *store_topic_find(struct store *store, const char *name)
{
    struct topic *topic = NULL;

    pthread_rwlock_rdlock(&store->topics_lock);
    if (store->buckets > 0)
        for (topic = store->by_name[bucket_of(store, name)]; topic; topic = topic->hash_next)
            if (strcmp(topic->name, name) == 0)
                break;
    if (topic)
        topic_get(topic);
    pthread_rwlock_unlock(&store->topics_lock);
    return topic;
}

struct topic *store_topic_next(struct store *store, uint32_t after)
{
    struct topic *topic = NULL;
    size_t at;

    pthread_rwlock_rdlock(&store->topics_lock);
    at = after == UINT32_MAX ? store->topic_count : place_of(store, after + 1);
    if (at < store->topic_count)
        topic = topic_get(store->by_number[at]);
    pthread_rwlock_unlock(&store->topics_lock);
    return topic;
}

uint32_t store_topic_count(struct store *store)
{
    uint32_t n;

    pthread_rwlock_rdlock(&store->topics_lock);
    n = (uint32_t)store->topic_count;
    pthread_rwlock_unlock(&store->topics_lock);
    return n;
}

/* -- the clean mark -- */

int store_unclean(struct store *store, struct err *err)
{
    int rc = 0;

    if (!atomic_load(&store->clean))
        return 0;
    pthread_mutex_lock(&store->clean_lock);
    if (atomic_load(&store->clean)) {
        rc = clean_remove(store);
        if (rc == 0)
            atomic_store(&store->clean, false);
        else
            err_set(err, rc, "%s: removing .clean: %s", store->name, err_sentence(rc));
    }
    pthread_mutex_unlock(&store->clean_lock);
    return rc;
}

/* -- opening -- */

/* Descriptors: a segment has up to three, and others of the process need some. */
static void set_file_budget(struct store *store)
{
    struct rlimit limit = {0};
    uint64_t segments;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > UINT32_MAX)
        limit.rlim_cur = UINT32_MAX;
    segments = (limit.rlim_cur - limit.rlim_cur / 8) / 3;
    store->open_segments_max = (unsigned)segments;
    store->open_segments_high = (unsigned)(segments - segments / 4);
    store->pinned_max = (unsigned)(segments - segments / 8);
    store->idle_max = segments / 4 < IDLE_SEGMENTS ? (unsigned)(segments / 4) : IDLE_SEGMENTS;
}

static void set_options(struct store *store, const struct store_options *options)
{
    static const struct topic_config none;
    struct store_options *o = &store->options;

    *o = *options;
    if (o->broker == 0)
        o->broker = 1;
    if (o->journal_bytes == 0)
        o->journal_bytes = JOURNAL_BYTES;
    if (o->journal_part_bytes == 0)
        o->journal_part_bytes = JOURNAL_PART_BYTES_DEFAULT;
    if (o->retention_check_ms == 0)
        o->retention_check_ms = RETENTION_CHECK_MS;
    if (memcmp(&o->topic_default, &none, sizeof none) == 0)
        o->topic_default = topic_config_default;
    store->io = options->io;
    store->rng = options->random_seed;
    set_file_budget(store);
    store->lock_fd = store->root_fd = -1;
}

static struct store *store_new(const struct store_options *options)
{
    struct store *store = calloc(1, sizeof *store);

    if (!store)
        return NULL;
    set_options(store, options);
    store->name = strdup(options->name);
    pthread_mutex_init(&store->make_lock, NULL);
    pthread_mutex_init(&store->wanted_lock, NULL);
    pthread_rwlock_init(&store->topics_lock, NULL);
    pthread_mutex_init(&store->files_lock, NULL);
    pthread_mutex_init(&store->clean_lock, NULL);
    pthread_mutex_init(&store->syncfs_lock, NULL);
    store->journal.file[0].fd = store->journal.file[1].fd = -1;
    retainer_init(&store->retainer, store);
    scrub_init(&store->scrubber, store);
    flusher_init(&store->flusher, store);
    if (!store->name) {
        free(store);
        return NULL;
    }
    return store;
}

static void store_free(struct store *store)
{
    struct fileio *io = store->io;

    journal_close(&store->journal);
    for (size_t i = 0; i < store->topic_count; i++)
        topic_put(store->by_number[i]);
    segments_close_idle(store, 0);
    if (store->root_fd >= 0)
        io->ops->close(io, store->root_fd);
    if (store->lock_fd >= 0)
        io->ops->close(io, store->lock_fd);
    flusher_release(&store->flusher);
    retainer_release(&store->retainer);
    scrub_release(&store->scrubber);
    pthread_mutex_destroy(&store->make_lock);
    pthread_mutex_destroy(&store->wanted_lock);
    pthread_rwlock_destroy(&store->topics_lock);
    pthread_mutex_destroy(&store->files_lock);
    pthread_mutex_destroy(&store->clean_lock);
    pthread_mutex_destroy(&store->syncfs_lock);
    free(store->by_number);
    free(store->by_name);
    free(store->name);
    free(store);
}

/* After a clean stop nothing is read but the last record's header. */
static int open_clean(struct store *store, struct err *err)
{
    struct journal_last last;
    int rc = journal_open(&store->journal, store, err);

    if (rc == 0)
        rc = replay_last(store, &last);
    if (rc < 0)
        return err_set(err, rc, "reading the journal: %s", err_sentence(rc));
    journal_begin(&store->journal, &last);
    return 0;
}

static int open_files(struct store *store, struct err *err)
{
    bool fresh = false;
    int rc = root_open(store, &fresh, err);

    if (rc == 0)
        rc = journal_look(store, err);
    if (rc == 0)
        rc = root_load_topics(store, err);
    if (rc < 0)
        return rc;
    store->clean = !fresh && clean_read(store);
    rc = store->clean ? open_clean(store, err) : recover_store(store, err);
    if (rc < 0)
        return rc;
    rc = store_reserve(store, 0);
    if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT)
        return err_set(err, rc, ".reserve: %s", err_sentence(rc));
    if (rc < 0)
        found_say(
            store, FOUND_NO_ROOM,
            "no room for .reserve: a crash now may need room freed before all can be written again");
    return 0;
}

/* What .metrics counts begins with the end of the start. */
static void begin_counting(struct store *store, uint64_t begun_us)
{
    for (int i = 0; i < COUNT_ALL; i++)
        atomic_store(&store->metrics.count[i], 0);
    store->flusher.unflushed_bytes = store->flusher.undurable_bytes = 0;
    for (size_t i = 0; i < store->topic_count; i++)
        for (uint32_t p = 0; p < topic_partition_count(store->by_number[i]); p++)
            flusher_count(&store->flusher, topic_partition(store->by_number[i], p));
    store->open_us = clock_mono_us() - begun_us;
}

int store_open(struct store **out, const struct store_options *options, struct err *err)
{
    struct store *store = store_new(options);
    uint64_t begun_us = clock_mono_us();
    struct err local;
    int rc;

    if (!err)
        err = &local;
    if (!store)
        return err_set(err, -ENOMEM, "out of memory");
    rc = open_files(store, err);
    if (rc == 0)
        begin_counting(store, begun_us);
    if (rc == 0 && options->threads)
        rc = flusher_start(&store->flusher, err);
    if (rc == 0)
        rc = retainer_start(&store->retainer, err);
    if (rc == 0)
        rc = scrub_start(&store->scrubber, err);
    if (rc < 0) {
        retainer_stop(&store->retainer);
        flusher_stop(&store->flusher);
        store_free(store);
        return err_prefix(err, "store %s", options->name), rc;
    }
    *out = store;
    return 0;
}

/* -- closing -- */

/* All partitions of all topics; NULL only without memory. */
static struct partition **all_partitions(struct store *store, size_t *n)
{
    struct partition **parts;
    size_t room = 0;

    for (size_t i = 0; i < store->topic_count; i++)
        room += topic_partition_count(store->by_number[i]);
    parts = malloc((room ? room : 1) * sizeof(struct partition *));
    *n = 0;
    for (size_t i = 0; parts && i < store->topic_count; i++)
        for (uint32_t p = 0; p < topic_partition_count(store->by_number[i]); p++)
            parts[(*n)++] = topic_partition(store->by_number[i], p);
    return parts;
}

void store_stop_waiting(struct store *store)
{
    struct partition **parts;
    size_t n;

    atomic_store(&store->stopping, true);
    pthread_rwlock_rdlock(&store->topics_lock);
    parts = all_partitions(store, &n);
    pthread_rwlock_unlock(&store->topics_lock);
    if (parts)
        flusher_refuse(&store->flusher, parts, n);
    free(parts);
}

/* Says in the journal that nothing of it is needed, so that the next start
 * does not read it. Without room, the next start reads it. */
static void end_journal(struct store *store)
{
    struct journal *j = &store->journal;
    struct err err;

    if (j->dead || j->sequence + 1 == j->file[j->current].first)
        return; /* given up, or nothing was written since it began */
    j->file[0].free = j->file[1].free = true;
    store->flusher.batch.count = 0;
    journal_begin(j, &(struct journal_last){j->sequence, j->current});
    journal_start(j);
    if (journal_write(j, &err) < 0)
        diag_say("%s: %s; the next start reads it all", store->name, err.text);
}

/* What .clean vouches for without naming it. A link that could not be made would
 * not be made by a clean start either. */
static int sync_links(struct store *store, struct err *err)
{
    for (size_t i = 0; i < store->topic_count; i++) {
        int rc = atomic_load(&store->links_missing) ? sealed_rebuild(store->by_number[i]) : 0;

        if (rc == 0)
            rc = sealed_sync(store->by_number[i]);
        if (rc < 0)
            return err_set(err, rc, "%s/sealed: %s", store->by_number[i]->name, err_sentence(rc));
    }
    return 0;
}

static int stop_clean(struct store *store, struct err *err)
{
    struct partition **parts;
    size_t n;
    int rc;

    if (atomic_load(&store->clean))
        return 0; /* nothing was written: .clean still holds */
    parts = all_partitions(store, &n);
    if (!parts)
        return err_set(err, -ENOMEM, "out of memory");
    while (flush_direct_round(&store->flusher))
        ; /* what the direct thread did not come to is busy, and could not be claimed */
    rc = flusher_flush_all(store, parts, n, NULL, NULL);
    if (rc < 0)
        err_set(err, rc, "a partition could not be flushed; the next start recovers");
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (retain_unfinished(parts[i]))
            rc = err_set(err, -EIO, "a segment could not be removed; the next start recovers");
    free(parts);
    if (rc == 0)
        rc = sync_links(store, err);
    if (rc < 0)
        return rc;
    if (store->left_out > 0)
        return 0; /* the journal may have something of it: the next start looks there again */
    end_journal(store);
    segments_close_idle(store, 0); /* .clean needs a descriptor */
    return clean_write(store, err);
}

int store_close(struct store *store, struct err *err)
{
    struct err local;
    int rc;

    if (!err)
        err = &local;
    store_stop_waiting(store);
    scrub_stop(&store->scrubber);
    retainer_stop(&store->retainer);
    flusher_stop(&store->flusher);
    rc = stop_clean(store, err);
    if (rc < 0)
        err_prefix(err, "store %s: clean stop", store->name);
    while (flush_notify_round(&store->flusher))
        ;
    store_free(store);
    return rc;
}

void store_abandon(struct store *store)
{
    store_stop_waiting(store);
    scrub_stop(&store->scrubber);
    retainer_stop(&store->retainer);
    flusher_stop(&store->flusher);
    store_free(store);
}

bool store_work(struct store *store, bool now)
{
    bool any = flusher_work(&store->flusher, now);

    any |= retain_work(&store->retainer);
    return any | scrub_work(&store->scrubber);
}

uint64_t store_segments_removed(struct store *store)
{
    return atomic_load(&store->retainer.segments_removed);
}
