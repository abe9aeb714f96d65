/*
 * store/flush_wait: who waits for a visible end, and telling them.
 *
 * A waiter is on its partition's list until the mark it waits for is reached,
 * it is cancelled, the partition fails or the store stops. Taking it off the
 * list (under flusher.lock) decides which of these it was; telling it comes
 * after, without the lock. The first few of a flush are told by the thread
 * that did it; the rest by the notifier, so that 10,000 waking readers do not
 * keep the flusher from the next flush.
 */
#include <errno.h>

#include "base/clock.h"
#include "store/inside.h"

#define TELL_INLINE 8

/* Of those who wait for a flush, or for messages. Lock held. */
static uint64_t *queue_length(struct partition *part, const struct waiter *w)
{
    struct flusher *fl = &part->store->flusher;

    return w->hurried ? &fl->waiting : &fl->watching;
}

static void unlink_waiter(struct partition *part, struct waiter *w)
{
    --*queue_length(part, w);
    if (w->prev)
        w->prev->next = w->next;
    else
        part->flush.waiters = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->next = w->prev = NULL;
    w->queued = false;
}

static bool reached(const struct partition *part, const struct waiter *w)
{
    return (w->durable ? part->durable.offset : part->visible.offset) >= w->end;
}

bool flush_hurried(const struct partition *part)
{
    return part->flush.hurried_end <= part->appended.offset;
}

/* After waiters left. Lock held. */
static void look_who_hurries(struct partition *part)
{
    part->flush.hurried_end = UINT64_MAX;
    for (const struct waiter *w = part->flush.waiters; w; w = w->next)
        if (w->hurried && w->end < part->flush.hurried_end)
            part->flush.hurried_end = w->end;
}

void flush_take_waiters(struct partition *part, int rc, struct waiter **list)
{
    struct waiter *next;

    for (struct waiter *w = part->flush.waiters; w; w = next) {
        next = w->next;
        if (rc == 0 && !reached(part, w))
            continue;
        unlink_waiter(part, w);
        w->rc = rc;
        w->next = *list;
        *list = w;
    }
    look_who_hurries(part);
}

static void tell(struct waiter *list)
{
    while (list) {
        struct waiter *next = list->next;

        list->next = NULL;
        list->done(list, list->rc);
        list = next;
    }
}

void flush_tell(struct flusher *fl, struct waiter *list)
{
    struct waiter *rest = list;
    struct waiter *last;

    if (!list)
        return;
    for (int n = 1; n < TELL_INLINE && rest->next; n++)
        rest = rest->next;
    last = rest;
    rest = rest->next;
    if (rest && fl->threads > 0) {
        last->next = NULL;
        for (last = rest; last->next; last = last->next)
            ;
        pthread_mutex_lock(&fl->lock);
        if (fl->notice_tail)
            fl->notice_tail->next = rest;
        else
            fl->notice_head = rest;
        fl->notice_tail = last;
        pthread_cond_signal(&fl->notices);
        pthread_mutex_unlock(&fl->lock);
    }
    tell(list);
}

bool flush_notify_round(struct flusher *fl)
{
    struct waiter *list;

    pthread_mutex_lock(&fl->lock);
    list = fl->notice_head;
    fl->notice_head = fl->notice_tail = NULL;
    pthread_mutex_unlock(&fl->lock);
    tell(list);
    return list != NULL;
}

uint64_t flusher_waits_since(struct partition *part)
{
    struct flusher *fl = &part->store->flusher;
    uint64_t since = UINT64_MAX;

    pthread_mutex_lock(&fl->lock);
    for (const struct waiter *w = part->flush.waiters; w; w = w->next)
        if (w->hurried && w->since_us < since)
            since = w->since_us;
    pthread_mutex_unlock(&fl->lock);
    return since;
}

void flusher_fail_waiters(struct partition *part, int rc)
{
    struct flusher *fl = &part->store->flusher;
    struct waiter *list = NULL;

    pthread_mutex_lock(&fl->lock);
    flush_take_waiters(part, rc, &list);
    pthread_mutex_unlock(&fl->lock);
    flush_tell(fl, list);
}

void flusher_refuse(struct flusher *fl, struct partition **parts, size_t n)
{
    struct waiter *list = NULL;

    pthread_mutex_lock(&fl->lock);
    fl->refuse = true;
    for (size_t i = 0; i < n; i++)
        flush_take_waiters(parts[i], ERR_STOPPING, &list);
    pthread_mutex_unlock(&fl->lock);
    flush_tell(fl, list);
}

/* Queues w unless it is satisfied or can not be; then returns its result. */
static bool enqueue(struct partition *part, struct waiter *w, int *rc)
{
    struct flusher *fl = &part->store->flusher;

    *rc = 0;
    w->next = w->prev = NULL;
    w->queued = false;
    if (reached(part, w))
        return false;
    if (topic_removed(part->topic))
        *rc = -ENOENT;
    else if (atomic_load(&part->failed) && w->hurried)
        *rc = -EIO;
    else if (fl->refuse)
        *rc = ERR_STOPPING;
    if (*rc < 0)
        return false;
    w->next = part->flush.waiters;
    if (w->next)
        w->next->prev = w;
    part->flush.waiters = w;
    ++*queue_length(part, w);
    if (w->hurried && w->end < part->flush.hurried_end)
        part->flush.hurried_end = w->end;
    w->queued = true;
    return true;
}

void partition_wait(struct partition *part, uint64_t end, enum wait_for what, struct waiter *w)
{
    struct flusher *fl = &part->store->flusher;
    bool queued;
    int rc;

    w->end = end;
    w->since_us = clock_mono_us();
    w->hurried = true;
    w->durable = what == WAIT_DURABLE && topic_config(part->topic)->flush_os;
    pthread_mutex_lock(&fl->lock);
    queued = enqueue(part, w, &rc);
    if (queued && w->durable)
        part->flush.want_durable = true;
    if (queued && end <= part->appended.offset && !part->flush.busy)
        flush_due(fl, part, w->since_us);
    pthread_mutex_unlock(&fl->lock);
    if (!queued)
        w->done(w, rc);
}

void partition_watch(struct partition *part, uint64_t end, struct waiter *w)
{
    struct flusher *fl = &part->store->flusher;
    bool queued;
    int rc;

    w->end = end;
    w->hurried = w->durable = false;
    pthread_mutex_lock(&fl->lock);
    queued = enqueue(part, w, &rc);
    pthread_mutex_unlock(&fl->lock);
    if (!queued)
        w->done(w, rc);
}

bool partition_cancel(struct partition *part, struct waiter *w)
{
    struct flusher *fl = &part->store->flusher;
    bool taken;

    pthread_mutex_lock(&fl->lock);
    taken = w->queued;
    if (taken) {
        unlink_waiter(part, w);
        if (w->hurried && w->end == part->flush.hurried_end)
            look_who_hurries(part);
    }
    pthread_mutex_unlock(&fl->lock);
    return taken;
}
