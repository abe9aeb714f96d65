/*
 * A store in memory whose every answer the test decides: which append fails
 * and how, and when a flush has ended. It takes the place of the real one in
 * the program that includes it.
 */
#ifndef TESTS_UNIT_FAKE_STORE_H
#define TESTS_UNIT_FAKE_STORE_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

#define FAKE_PARTITIONS_MAX 1000

struct partition {
    struct topic *topic;
    uint32_t index;
    struct buf log;
    _Atomic uint64_t visible;
    int fail_next;        /* the next append fails so, once */
    bool failed;          /* ERR_FAILED from now on */
    unsigned sets;        /* appended */
    pthread_mutex_t lock; /* of waiters */
    struct waiter waiters;
};

struct topic {
    struct topic_config conf;
    struct partition parts[FAKE_PARTITIONS_MAX];
    uint32_t count;
    uint32_t turn;
    _Atomic int refs;
    int fail_next;       /* as a partition's, of any of them ... */
    unsigned fail_after; /* ... after so many that succeed */
};

bool topic_removed(const struct topic *topic)
{
    (void)topic;
    return false;
}

static inline struct topic *fake_topic(uint32_t partitions)
{
    struct topic *topic = calloc(1, sizeof *topic);

    ck_assert_ptr_nonnull(topic);
    topic->conf = topic_config_default;
    topic->count = partitions;
    topic->refs = 1;
    for (uint32_t i = 0; i < partitions; i++) {
        struct partition *part = &topic->parts[i];

        part->topic = topic;
        part->index = i;
        pthread_mutex_init(&part->lock, NULL);
        part->waiters.next = part->waiters.prev = &part->waiters;
    }
    return topic;
}

static inline void fake_free(struct topic *topic)
{
    ck_assert_int_eq(topic->refs, 1);
    for (uint32_t i = 0; i < topic->count; i++) {
        ck_assert_ptr_eq(topic->parts[i].waiters.next, &topic->parts[i].waiters);
        buf_release(&topic->parts[i].log);
    }
    free(topic);
}

/* The flush of a partition ends: well (0), or with a failure. */
static inline void fake_flush(struct partition *part, int rc)
{
    if (rc == 0)
        atomic_store(&part->visible, part->log.len);
    for (;;) {
        struct waiter *w;

        pthread_mutex_lock(&part->lock);
        w = part->waiters.next;
        if (w != &part->waiters) {
            w->prev->next = w->next;
            w->next->prev = w->prev;
            w->queued = false;
        }
        pthread_mutex_unlock(&part->lock);
        if (w == &part->waiters)
            return;
        w->done(w, rc);
    }
}

static inline void fake_flush_all(struct topic *topic)
{
    for (uint32_t i = 0; i < topic->count; i++)
        fake_flush(&topic->parts[i], 0);
}

/* -- what of store.h and partition.h is used by who is tested -- */

struct topic *topic_get(struct topic *topic)
{
    atomic_fetch_add(&topic->refs, 1);
    return topic;
}

void topic_put(struct topic *topic)
{
    ck_assert_int_gt(atomic_fetch_sub(&topic->refs, 1), 1);
}

const char *topic_name(const struct topic *topic)
{
    (void)topic;
    return "t";
}

const struct topic_config *topic_config(const struct topic *topic)
{
    return &topic->conf;
}

uint32_t topic_partition_count(const struct topic *topic)
{
    return topic->count;
}

struct partition *topic_partition(const struct topic *topic, uint32_t index)
{
    return index < topic->count ? (struct partition *)(uintptr_t)&topic->parts[index] : NULL;
}

struct partition *topic_partition_in_turn(struct topic *topic)
{
    for (uint32_t i = 0; i < topic->count; i++) {
        struct partition *part = &topic->parts[topic->turn++ % topic->count];

        if (!part->failed)
            return part;
    }
    return NULL;
}

uint32_t partition_index(const struct partition *part)
{
    return part->index;
}

uint64_t partition_end(const struct partition *part)
{
    return part->log.len;
}

uint64_t partition_visible_end(const struct partition *part)
{
    return atomic_load(&part->visible);
}

int partition_append(struct partition *part, struct set *set, uint64_t *offset, struct err *err)
{
    struct topic *topic = part->topic;
    int rc = 0;

    ck_assert_uint_eq(set->open_bytes, 0);
    ck_assert_uint_gt(set->count, 0);
    if (topic->fail_after > 0) {
        topic->fail_after--;
    } else {
        rc = part->fail_next ? part->fail_next : topic->fail_next;
        part->fail_next = topic->fail_next = 0;
    }
    if (part->failed)
        rc = ERR_FAILED;
    if (rc == ERR_FAILED)
        part->failed = true;
    if (rc < 0)
        return err_set(err, rc, "t/%u: %s", part->index, err_sentence(rc));
    *offset = part->log.len;
    for (size_t i = 0; i < set->iov_count; i++)
        ck_assert_int_eq(buf_add(&part->log, set->iov[i].iov_base, set->iov[i].iov_len), 0);
    ck_assert_uint_eq(part->log.len, *offset + set->log_bytes);
    part->sets++;
    if (part->topic->conf.flush_os)
        atomic_store(&part->visible, part->log.len);
    return 0;
}

void partition_wait(struct partition *part, uint64_t end, enum wait_for what, struct waiter *w)
{
    bool now;

    pthread_mutex_lock(&part->lock);
    w->end = end;
    w->durable = what == WAIT_DURABLE && part->topic->conf.flush_os;
    now = part->failed || (atomic_load(&part->visible) >= end && !w->durable);
    if (!now) {
        w->queued = true;
        w->prev = part->waiters.prev;
        w->next = &part->waiters;
        w->prev->next = w->next->prev = w;
    }
    pthread_mutex_unlock(&part->lock);
    if (now)
        w->done(w, atomic_load(&part->visible) >= end ? 0 : -EIO);
}

bool partition_cancel(struct partition *part, struct waiter *w)
{
    bool queued;

    pthread_mutex_lock(&part->lock);
    queued = w->queued;
    if (queued) {
        w->prev->next = w->next;
        w->next->prev = w->prev;
        w->queued = false;
    }
    pthread_mutex_unlock(&part->lock);
    return queued;
}

#endif
