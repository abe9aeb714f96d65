/*
 * fs/publish_wait: many waiters joined into one answer. See publish_wait.h.
 *
 * `left` counts what the answer still depends on. While the parts are being
 * handed over it is one too high, so that parts which are done at once cannot
 * finish the wait under the hands of whoever is handing over; taking a wait
 * back subtracts the parts taken back. Whoever brings it to 0 owns the answer.
 */
#include "fs/publish_wait.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void publish_wait_init(struct publish_wait *w, void (*done)(struct publish_wait *w, int rc))
{
    *w = (struct publish_wait){.done = done};
    pthread_mutex_init(&w->lock, NULL);
}

void publish_wait_begin(struct publish_wait *w, struct topic *topic)
{
    pthread_mutex_lock(&w->lock);
    w->topic = topic_get(topic);
    w->parts = &w->one;
    w->room = 1;
    atomic_store(&w->left, 1);
    pthread_mutex_unlock(&w->lock);
}

/* w->lock is held. */
static int add(struct publish_wait *w, struct partition *part, uint64_t end)
{
    if (w->count == w->room) {
        size_t room = w->room * 4;
        struct publish_part *parts =
            reallocarray(w->parts == &w->one ? NULL : w->parts, room, sizeof *parts);

        if (!parts)
            return -ENOMEM;
        if (w->parts == &w->one)
            parts[0] = w->one;
        w->parts = parts;
        w->room = room;
    }
    w->parts[w->count++] = (struct publish_part){.wait = w, .part = part, .end = end};
    return 0;
}

int publish_wait_add(struct publish_wait *w, struct partition *part, uint64_t end)
{
    int rc;

    pthread_mutex_lock(&w->lock);
    rc = add(w, part, end);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

/* The wait is the caller's again. A publish_cancel() that comes too late finds
 * it empty. */
static void give_back(struct publish_wait *w)
{
    pthread_mutex_lock(&w->lock);
    if (w->parts != &w->one)
        free(w->parts);
    w->parts = &w->one;
    w->count = 0;
    pthread_mutex_unlock(&w->lock);
    topic_put(w->topic);
}

static void finish(struct publish_wait *w)
{
    int rc = atomic_load(&w->rc);

    give_back(w);
    w->done(w, rc);
}

static void note_failure(struct publish_wait *w, int rc)
{
    int none = 0;

    if (rc < 0)
        atomic_compare_exchange_strong(&w->rc, &none, rc);
}

static void part_done(struct waiter *waiter, int rc)
{
    struct publish_part *part =
        (struct publish_part *)(void *)((char *)waiter - offsetof(struct publish_part, waiter));
    struct publish_wait *w = part->wait;

    note_failure(w, rc);
    if (atomic_fetch_sub(&w->left, 1) == 1)
        finish(w);
}

void publish_wait_start(struct publish_wait *w, enum wait_for what, int rc)
{
    note_failure(w, rc);
    if (rc == 0) {
        /* Under the lock: publish_cancel() then finds all of them or none. A
         * part that is done at once needs no lock, so cannot meet this one. */
        pthread_mutex_lock(&w->lock);
        atomic_fetch_add(&w->left, w->count);
        for (size_t i = 0; i < w->count; i++) {
            struct publish_part *part = &w->parts[i];

            part->waiter.done = part_done;
            partition_wait(part->part, part->end, what, &part->waiter);
        }
        pthread_mutex_unlock(&w->lock);
    }
    if (atomic_fetch_sub(&w->left, 1) == 1)
        finish(w);
}

bool publish_cancel(struct publish_wait *w)
{
    size_t taken = 0;
    bool ours;

    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->count; i++)
        if (w->parts[i].waiter.done && partition_cancel(w->parts[i].part, &w->parts[i].waiter))
            taken++;
    if (taken > 0)
        note_failure(w, ERR_STOPPING);
    pthread_mutex_unlock(&w->lock);
    /* With nothing taken another thread has the answer, and maybe the memory. */
    ours = taken > 0 && atomic_fetch_sub(&w->left, taken) == taken;
    if (ours)
        give_back(w);
    return ours;
}

/* With flush.sync=os what is visible may not be durable: the store must say. */
static int add_unflushed(struct publish_wait *w, struct partition *part, bool os)
{
    uint64_t end = partition_end(part);

    return os || partition_visible_end(part) < end ? publish_wait_add(w, part, end) : 0;
}

void publish_sync(struct topic *topic, int64_t partition, struct publish_wait *w)
{
    bool os = topic_config(topic)->flush_os != 0;
    uint32_t count = topic_partition_count(topic);
    int rc = 0;

    publish_wait_begin(w, topic);
    if (partition >= (int64_t)count)
        rc = -ENOENT;
    else if (partition >= 0)
        rc = add_unflushed(w, topic_partition(topic, (uint32_t)partition), os);
    else
        for (uint32_t i = 0; rc == 0 && i < count; i++)
            rc = add_unflushed(w, topic_partition(topic, i), os);
    publish_wait_start(w, WAIT_DURABLE, rc);
}
