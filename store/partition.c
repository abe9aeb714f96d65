/*
 * store/partition: a partition's memory, its segments' list, its marks.
 * Appending is in append.c, reading in read.c, what makes visible in flush.c.
 */
#include "store/partition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "store/findings.h"
#include "store/inside.h"
#include "store/recover.h"

struct partition *partition_new(struct topic *topic, uint32_t index)
{
    struct partition *part = calloc(1, sizeof *part);

    if (!part)
        return NULL;
    part->store = topic->store;
    part->topic = topic;
    part->index = index;
    part->flush.due_us = NOT_DUE;
    part->flush.hurried_end = UINT64_MAX;
    pthread_mutex_init(&part->append_lock, NULL);
    pthread_cond_init(&part->append_turn, NULL);
    pthread_mutex_init(&part->lock, NULL);
    return part;
}

void partition_free(struct partition *part)
{
    struct metrics *m;

    if (!part)
        return;
    m = &part->store->metrics;
    if (atomic_load(&part->failed))
        atomic_fetch_sub(&m->failed_partitions, 1);
    damage_clear(part);
    flusher_forget(part);
    if (part->pinned) {
        segment_unuse(partition_newest(part));
        part->store->pinned_segments--;
    }
    if (part->retention.going_used)
        segment_unuse(part->retention.going);
    for (size_t i = 0; i < part->segment_count; i++)
        segment_put(part->segments[i]);
    producers_free(part->producers);
    free(part->segments);
    free(part->damages);
    scan_forget(part);
    free(part->clean);
    free(part->why);
    pthread_mutex_destroy(&part->append_lock);
    pthread_cond_destroy(&part->append_turn);
    pthread_mutex_destroy(&part->lock);
    free(part);
}

int partition_make_files(struct store *store, const char *dir, struct unsynced *u, struct err *err)
{
    struct idx_header h = {.base_time_ms = store_wall_ms(store)};
    uint8_t header[IDX_HEADER_BYTES];
    char name[STORE_PATH_MAX];
    struct fileio *io = store->io;
    int rc = io->ops->mkdir(io, dir);
    int fd;

    snprintf(name, sizeof name, "%.400s/%020d.log", dir, 0);
    if (rc == 0) {
        fd = io->ops->open(io, name, FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE);
        rc = fd < 0 ? fd : io->ops->close(io, fd); /* without a byte: its name is all of it */
    }
    if (rc == 0) {
        snprintf(name, sizeof name, "%.400s/%020d.idx", dir, 0);
        idx_header_encode(header, &h);
        rc = unsynced_make(u, name, header, sizeof header);
    }
    if (rc == 0)
        unsynced_dir(u, dir);
    return rc < 0 ? err_set(err, rc, "%s: %s", dir, err_sentence(rc)) : 0;
}

int partition_fail(struct partition *part, int code, const char *fmt, ...)
{
    char why[256];
    va_list ap;
    bool first = false;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&part->lock);
    if (!atomic_load(&part->failed) && !part->why) {
        part->why = strdup(why);
        part->fail_code = code;
        first = true;
        atomic_store(&part->failed, true);
        atomic_fetch_add(&part->store->metrics.failed_partitions, 1);
    }
    pthread_mutex_unlock(&part->lock);
    if (first)
        found_say(part->store, FOUND_READ_ONLY, "%s/%" PRIu32 ": read-only from now on: %s",
                  part->topic->name, part->index, why);
    flusher_fail_waiters(part, -EIO);
    return ERR_FAILED;
}

struct segment *partition_newest(struct partition *part)
{
    return part->segment_count > 0 ? part->segments[part->segment_count - 1] : NULL;
}

struct segment *partition_newest_led(struct partition *part)
{
    struct segment *seg;

    pthread_mutex_lock(&part->lock);
    seg = partition_newest(part);
    pthread_mutex_unlock(&part->lock);
    return seg;
}

int partition_add_segment(struct partition *part, struct segment *seg)
{
    if (part->segment_count == part->segment_room) {
        size_t room = part->segment_room ? part->segment_room * 2 : 2;
        struct segment **segments = realloc(part->segments, room * sizeof(struct segment *));

        if (!segments)
            return -ENOMEM;
        part->segments = segments;
        part->segment_room = room;
    }
    part->segments[part->segment_count++] = seg;
    part->gaps |= seg->gap_bytes > 0;
    return 0;
}

/* The descriptors that may be held so are counted: others need some too. */
static int pin_newest(struct partition *part, struct err *err)
{
    struct store *store = part->store;
    struct segment *seg = partition_newest(part);
    int rc;

    if (atomic_fetch_add(&store->pinned_segments, 1) >= store->pinned_max)
        rc = err_set(err, -EMFILE, "%s/%" PRIu32 ": too many partitions with something to flush",
                     part->topic->name, part->index);
    else
        rc = segment_use(seg, err);
    if (rc == 0 && seg->read_only) {
        segment_unuse(seg);
        rc = err_set(err, -EROFS, "%s/%" PRIu32 ": its files may only be read", part->topic->name,
                     part->index);
    }
    if (rc < 0)
        store->pinned_segments--;
    return rc;
}

int partition_pin(struct partition *part, struct err *err)
{
    bool crowded = false;
    int rc = 0;

    pthread_mutex_lock(&part->lock);
    if (!part->pinned) {
        rc = pin_newest(part, err);
        part->pinned = rc == 0;
        crowded = part->store->open_segments > part->store->open_segments_high;
    }
    part->appending = rc == 0;
    pthread_mutex_unlock(&part->lock);
    if (crowded)
        flusher_want_files(&part->store->flusher);
    return rc;
}

void partition_unpin(struct partition *part)
{
    struct flusher *fl = &part->store->flusher;
    struct segment *seg = NULL;

    pthread_mutex_lock(&part->lock);
    pthread_mutex_lock(&fl->lock);
    if (part->pinned && !part->appending && part->durable.offset == part->appended.offset) {
        part->pinned = false;
        seg = partition_newest(part);
        flush_let_go(fl, part);
    }
    pthread_mutex_unlock(&fl->lock);
    pthread_mutex_unlock(&part->lock);
    if (seg)
        segment_unuse(seg);
}

void partition_let_go(struct partition *part)
{
    struct segment *going = NULL;
    struct segment *newest = NULL;

    pthread_mutex_lock(&part->lock);
    if (part->pinned) {
        newest = partition_newest(part);
        pthread_mutex_lock(&part->store->flusher.lock);
        flush_let_go(&part->store->flusher, part);
        pthread_mutex_unlock(&part->store->flusher.lock);
    }
    if (part->retention.going_used)
        going = part->retention.going;
    part->pinned = part->retention.going_used = false;
    pthread_mutex_unlock(&part->lock);
    if (newest)
        segment_unuse(newest);
    if (going)
        segment_unuse(going);
    pthread_mutex_lock(&part->lock);
    for (size_t i = 0; i < part->segment_count; i++)
        segment_close_unused(part->segments[i]);
    pthread_mutex_unlock(&part->lock);
}

void partition_set_marks(struct partition *part, const struct mark *at)
{
    part->appended = part->visible = part->durable = *at;
    atomic_store(&part->end, at->offset);
    atomic_store(&part->visible_end, at->offset);
}

/* What a clean start took on trust does not hold: the next one, without .clean,
 * recovers. A check does so by itself. */
static void mistrust(struct partition *part, const struct err *why)
{
    struct store *store = part->store;
    struct err err;

    if (store->options.finder || atomic_load(&part->failed))
        return;
    partition_fail(part, why->code, "%s; the next start reads everything", why->text);
    if (store_unclean(store, &err) < 0)
        diag_say("%s", err.text);
}

/* The oldest segments were removed while the store was not in use. It is said
 * once: the next .clean has what is there now. */
static void begins_later(struct partition *part, uint64_t first, uint64_t before)
{
    struct err err;

    found_say(part->store, FOUND_BEGINS_LATER,
              "%s/%" PRIu32 ": begins at %" PRIu64 ", and began at %" PRIu64
              " when topicfs was stopped",
              part->topic->name, part->index, first, before);
    if (store_unclean(part->store, &err) < 0)
        diag_say("%s", err.text);
}

int partition_load(struct partition *part, struct err *err)
{
    struct err broken = {0};
    uint64_t before = UINT64_MAX;
    uint64_t first = 0;
    int rc = 0;

    pthread_mutex_lock(&part->lock);
    if (part->clean)
        before = part->clean->first;
    if (part->clean && topic_removed(part->topic))
        rc = err_set(err, ERR_GONE, "%s: was removed", part->topic->name);
    else if (part->clean)
        rc = recover_load_clean(part, &broken, err);
    if (rc == 0 && before != UINT64_MAX)
        first = part->segments[0]->base;
    pthread_mutex_unlock(&part->lock);
    if (first > before)
        begins_later(part, first, before);
    if (rc == 0 && broken.code < 0)
        partition_fail(part, broken.code, "damaged: %s", broken.text);
    if (rc == ERR_DAMAGED)
        mistrust(part, err);
    return rc;
}

uint64_t partition_end(const struct partition *part)
{
    return atomic_load_explicit(&part->end, memory_order_acquire);
}

uint64_t partition_visible_end(const struct partition *part)
{
    return atomic_load_explicit(&part->visible_end, memory_order_acquire);
}

uint64_t partition_first(struct partition *part)
{
    uint64_t first;

    pthread_mutex_lock(&part->lock);
    first = part->clean ? part->clean->first : part->segments[0]->base;
    pthread_mutex_unlock(&part->lock);
    return first;
}

uint32_t partition_index(const struct partition *part)
{
    return part->index;
}

struct topic *partition_topic(const struct partition *part)
{
    return part->topic;
}

bool partition_failed(const struct partition *part)
{
    return atomic_load(&part->failed);
}
