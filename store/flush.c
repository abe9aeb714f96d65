/*
 * store/flush: what is due, and flushing it through the journal. See flush.h.
 *
 * A partition with something to flush is in exactly one place: in the heap (by
 * the time it is due), or busy in a flush. When a flush of it ends, what was
 * appended or asked for meanwhile decides where it goes.
 */
#include "store/flush.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"
#include "store/inside.h"

#define NAP_US     ((uint64_t)50000)
#define BULK_BYTES ((uint64_t)8 << 20) /* so much is due at once: direct flushes go in such steps */

/* -- the heap (flusher.lock) -- */

static void heap_put(struct flusher *fl, size_t at, struct partition *part)
{
    fl->heap[at] = part;
    part->flush.heap_at = at;
}

static void heap_up(struct flusher *fl, size_t at, struct partition *part)
{
    while (at > 0 && fl->heap[(at - 1) / 2]->flush.due_us > part->flush.due_us) {
        heap_put(fl, at, fl->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(fl, at, part);
}

static void heap_down(struct flusher *fl, size_t at, struct partition *part)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= fl->heap_count)
            break;
        if (child + 1 < fl->heap_count &&
            fl->heap[child + 1]->flush.due_us < fl->heap[child]->flush.due_us)
            child++;
        if (fl->heap[child]->flush.due_us >= part->flush.due_us)
            break;
        heap_put(fl, at, fl->heap[child]);
        at = child;
    }
    heap_put(fl, at, part);
}

/* Wakes the flush thread, if something is due sooner than it looks by itself. */
static void wake_if_due(struct flusher *fl)
{
    if (fl->heap_count > 0 && fl->heap[0]->flush.due_us < fl->wakes_us) {
        fl->wakes_us = 0; /* once is enough */
        pthread_cond_signal(&fl->due);
    }
}

/* There is room for every partition: see topic_add_partitions(). Who is at a
 * record, or about to help, looks again after it: then nobody is woken. */
void flush_due(struct flusher *fl, struct partition *part, uint64_t due_us)
{
    if (part->flush.due_us != NOT_DUE && part->flush.due_us <= due_us)
        return;
    if (part->flush.due_us == NOT_DUE)
        part->flush.heap_at = fl->heap_count++;
    part->flush.due_us = due_us;
    heap_up(fl, part->flush.heap_at, part);
    if (!fl->in_round && fl->helpers == 0)
        wake_if_due(fl);
}

void flush_not_due(struct flusher *fl, struct partition *part)
{
    size_t at = part->flush.heap_at;
    struct partition *last;

    if (part->flush.due_us == NOT_DUE)
        return;
    part->flush.due_us = NOT_DUE;
    last = fl->heap[--fl->heap_count];
    if (last == part)
        return;
    if (at > 0 && fl->heap[(at - 1) / 2]->flush.due_us > last->flush.due_us)
        heap_up(fl, at, last);
    else
        heap_down(fl, at, last);
}

void flush_schedule(struct flusher *fl, struct partition *part)
{
    const struct topic_config *conf = topic_config(part->topic);
    uint64_t messages = part->appended.number - part->visible.number;

    if (atomic_load(&part->failed) || topic_removed(part->topic))
        return;
    if (part->flush.want_durable || flush_hurried(part)) {
        flush_due(fl, part, clock_mono_us());
    } else if (messages > 0) {
        bool now = messages >= conf->flush_messages ||
                   part->appended.offset - part->visible.offset >= BULK_BYTES;

        if (now || part->flush.due_us == NOT_DUE)
            flush_due(fl, part, clock_mono_us() + (now ? 0 : conf->flush_ms * 1000));
    }
}

/* -- the marks (flusher.lock) -- */

void flush_raise_visible(struct partition *part, const struct mark *to)
{
    struct flusher *fl = &part->store->flusher;
    struct metrics *m = &part->store->metrics;
    uint64_t bytes = to->offset - part->visible.offset;

    metrics_add(m, COUNT_MESSAGES_VISIBLE, to->number - part->visible.number);
    metrics_add(m, COUNT_BYTES_VISIBLE, bytes);
    fl->unflushed_bytes -= bytes;
    fl->undurable_bytes += bytes;
    part->visible = *to;
    atomic_store_explicit(&part->visible_end, to->offset, memory_order_release);
}

void flush_raise_durable(struct partition *part, const struct mark *to)
{
    part->store->flusher.undurable_bytes -= to->offset - part->durable.offset;
    part->durable = *to;
}

static void raise_appended(struct partition *part, const struct mark *to, uint64_t sets)
{
    struct topic *topic = part->topic;
    struct metrics *m = &part->store->metrics;
    uint64_t messages = to->number - part->appended.number;
    uint64_t bytes = to->offset - part->appended.offset;

    metrics_add(m, COUNT_SETS_APPENDED, sets);
    metrics_add(m, COUNT_MESSAGES_APPENDED, messages);
    metrics_add(m, COUNT_BYTES_APPENDED, bytes);
    atomic_fetch_add_explicit(&topic->messages_appended, messages, memory_order_relaxed);
    atomic_fetch_add_explicit(&topic->bytes_appended, bytes, memory_order_relaxed);
    part->store->flusher.unflushed_bytes += bytes;
    part->appended = *to;
    atomic_store_explicit(&part->end, to->offset, memory_order_release);
}

void flusher_count(struct flusher *fl, struct partition *part)
{
    pthread_mutex_lock(&fl->lock);
    fl->unflushed_bytes += part->appended.offset - part->visible.offset;
    fl->undurable_bytes += part->visible.offset - part->durable.offset;
    pthread_mutex_unlock(&fl->lock);
}

void flusher_forget(struct partition *part)
{
    struct flusher *fl = &part->store->flusher;

    pthread_mutex_lock(&fl->lock);
    fl->unflushed_bytes -= part->appended.offset - part->visible.offset;
    fl->undurable_bytes -= part->visible.offset - part->durable.offset;
    flush_unlist_os(fl, part);
    pthread_mutex_unlock(&fl->lock);
}

void flusher_appended(struct partition *part, const struct mark *at, uint64_t sets)
{
    struct flusher *fl = &part->store->flusher;
    struct waiter *list = NULL;

    pthread_mutex_lock(&fl->lock);
    raise_appended(part, at, sets);
    if (topic_config(part->topic)->flush_os) {
        flush_raise_visible(part, at);
        if (part->flush.waiters)
            flush_take_waiters(part, 0, &list);
        flush_list_os(fl, part);
        if (!part->flush.busy && flush_hurried(part))
            flush_schedule(fl, part); /* an fsync that waited for this append */
    } else if (!part->flush.busy) {
        flush_schedule(fl, part);
    }
    pthread_mutex_unlock(&fl->lock);
    flush_tell(fl, list);
}

bool flush_job_add(struct flush_jobs *jobs, struct partition *part)
{
    if (jobs->count == jobs->room) {
        size_t room = jobs->room ? jobs->room * 2 : 64;
        struct flush_job *job = realloc(jobs->job, room * sizeof *job);

        if (!job)
            return false;
        jobs->job = job;
        jobs->room = room;
    }
    jobs->job[jobs->count++] = (struct flush_job){
        .part = part,
        .from = part->visible,
        .to = part->appended,
        .new_names = part->new_names,
    };
    part->new_names = false;
    return true;
}

void flush_finish(struct flusher *fl, struct flush_job *job, size_t n, bool direct)
{
    struct waiter *list = NULL;

    pthread_mutex_lock(&fl->lock);
    for (size_t i = 0; i < n; i++) {
        struct partition *part = job[i].part;

        part->flush.busy = part->flush.claimed = false;
        if (job[i].rc == 0 && !atomic_load(&part->failed)) {
            if (part->visible.offset <= job[i].to.offset)
                flush_raise_visible(part, &job[i].to);
            if (direct && part->durable.offset <= job[i].to.offset)
                flush_raise_durable(part, &job[i].to);
            flush_take_waiters(part, 0, &list);
            flush_schedule(fl, part);
        } else {
            flush_take_waiters(part, -EIO, &list);
        }
    }
    pthread_cond_broadcast(&fl->idle);
    pthread_mutex_unlock(&fl->lock);
    flush_tell(fl, list);
}

/* -- a flush through the journal -- */

static bool must_go_direct(const struct flusher *fl, const struct partition *part, uint64_t size)
{
    return part->flush.want_durable || fl->store->journal.dead ||
           topic_config(part->topic)->flush_os || size > fl->store->options.journal_part_bytes ||
           size > JOURNAL_RECORD_MAX - JOURNAL_RECORD_BYTES;
}

/* Takes what is due out of the heap: into the batch, at most a record full, or
 * to the direct thread. Returns the bytes of the batch. */
static size_t collect(struct flusher *fl, uint64_t now_us, bool *any)
{
    size_t bytes = JOURNAL_RECORD_BYTES;

    fl->batch.count = 0;
    while (fl->heap_count > 0 && fl->heap[0]->flush.due_us <= now_us) {
        struct partition *part = fl->heap[0];
        uint64_t size = journal_part_size(&part->visible, &part->appended);

        if (must_go_direct(fl, part, size)) {
            flush_not_due(fl, part);
            part->flush.busy = true;
            flush_push_direct(fl, part);
            *any = true;
            continue;
        }
        if (part->appended.offset > part->visible.offset) {
            if (bytes + size > JOURNAL_RECORD_MAX || !flush_job_add(&fl->batch, part))
                break;
            bytes += size;
            part->flush.busy = true;
            *any = true;
        }
        flush_not_due(fl, part);
    }
    return bytes;
}

static void go_direct(struct flusher *fl, const struct flush_job *job, size_t n)
{
    pthread_mutex_lock(&fl->lock);
    for (size_t i = 0; i < n; i++) {
        job[i].part->new_names |= job[i].new_names;
        flush_push_direct(fl, job[i].part);
    }
    pthread_mutex_unlock(&fl->lock);
}

/* A partition whose bytes could not be read back has failed, one that there is no
 * memory for goes direct; the rest of the batch goes on without it. */
static void build_record(struct flusher *fl)
{
    struct journal *j = &fl->store->journal;
    size_t kept = 0;

    journal_start(j);
    for (size_t i = 0; i < fl->batch.count; i++) {
        struct flush_job *job = &fl->batch.job[i];
        struct err err;

        job->rc = flush_sync_names(job);
        if (job->rc < 0)
            err_set(&err, job->rc, "fsync of its directory: %s", err_sentence(job->rc));
        else
            job->rc = journal_add(j, job->part, &job->from, &job->to, &err);
        if (job->rc == -ENOMEM) { /* its files need none */
            go_direct(fl, job, 1);
        } else if (job->rc < 0) {
            partition_fail(job->part, job->rc, "flush: %s", err.text);
            flush_finish(fl, job, 1, false);
        } else {
            fl->batch.job[kept++] = *job;
        }
    }
    fl->batch.count = kept;
}

/* One round of the flush thread. True if there was anything to do. */
static bool journal_round(struct flusher *fl, uint64_t now_us)
{
    struct journal *j = &fl->store->journal;
    uint64_t begun_us;
    struct err err;
    bool any = false;
    size_t bytes;
    int rc;

    pthread_mutex_lock(&fl->lock);
    bytes = collect(fl, fl->all_due ? NOT_DUE - 1 : now_us, &any);
    fl->all_due = false;
    pthread_mutex_unlock(&fl->lock);
    if (fl->batch.count == 0)
        return any;
    if (!journal_ready(j, bytes)) {
        go_direct(fl, fl->batch.job, fl->batch.count);
        return true;
    }
    begun_us = clock_mono_us();
    build_record(fl);
    if (fl->batch.count == 0)
        return true;
    rc = journal_write(j, &err);
    if (rc < 0) {
        if (rc != -ENOSPC && rc != -EDQUOT)
            diag_say("%s; flushing without it until the next start", err.text);
        go_direct(fl, fl->batch.job, fl->batch.count);
        return true;
    }
    fl->journal_flushes++;
    histogram_add(&fl->store->metrics.journal_flush, clock_mono_us() - begun_us);
    flush_finish(fl, fl->batch.job, fl->batch.count, false);
    return true;
}

/* -- claims -- */

void flusher_claim(struct partition *part)
{
    struct flusher *fl = &part->store->flusher;

    pthread_mutex_lock(&fl->lock);
    while (part->flush.busy || part->flush.checkpointing)
        pthread_cond_wait(&fl->idle, &fl->lock);
    flush_not_due(fl, part);
    part->flush.busy = part->flush.claimed = true;
    pthread_mutex_unlock(&fl->lock);
}

void flusher_unclaim(struct partition *part)
{
    struct flusher *fl = &part->store->flusher;

    pthread_mutex_lock(&fl->lock);
    part->flush.busy = part->flush.claimed = false;
    flush_schedule(fl, part);
    pthread_cond_broadcast(&fl->idle);
    pthread_mutex_unlock(&fl->lock);
}

/* -- threads -- */

/* Waits until something may be due. After some work it looks once more after a
 * nap, though nothing is due: what is appended meanwhile is mostly due later
 * than that, and then the appender need not wake this thread. */
static void wait_until_due(struct flusher *fl, uint64_t due_us, bool *worked)
{
    struct timespec ts;

    if (due_us == NOT_DUE && *worked) {
        due_us = clock_mono_us() + NAP_US;
        *worked = false;
    }
    fl->wakes_us = due_us;
    ts = (struct timespec){(time_t)(due_us / 1000000), (long)(due_us % 1000000) * 1000};
    if (due_us == NOT_DUE)
        pthread_cond_wait(&fl->due, &fl->lock);
    else
        pthread_cond_timedwait(&fl->due, &fl->lock, &ts);
    fl->wakes_us = 0;
}

/* One round at a time; lock held, let go meanwhile. */
static bool exclusive_round(struct flusher *fl)
{
    bool any;

    fl->in_round = true;
    pthread_mutex_unlock(&fl->lock);
    any = journal_round(fl, clock_mono_us());
    pthread_mutex_lock(&fl->lock);
    fl->in_round = false;
    return any;
}

void store_will_help(struct store *store)
{
    struct flusher *fl = &store->flusher;

    pthread_mutex_lock(&fl->lock);
    fl->helpers++;
    pthread_mutex_unlock(&fl->lock);
}

void store_help_flush(struct store *store)
{
    struct flusher *fl = &store->flusher;

    pthread_mutex_lock(&fl->lock);
    fl->helpers--;
    if (fl->threads > 0 && !fl->stop && !fl->in_round && fl->heap_count > 0 &&
        fl->heap[0]->flush.due_us <= clock_mono_us())
        exclusive_round(fl);
    /* What is left, or has come meanwhile, is the flush thread's. */
    if (!fl->in_round && (fl->waits_for_round || journal_may_turn(&store->journal)))
        pthread_cond_signal(&fl->due);
    else if (!fl->in_round)
        wake_if_due(fl);
    pthread_mutex_unlock(&fl->lock);
}

static void *flush_thread(void *arg)
{
    struct flusher *fl = arg;
    bool worked = false;

    pthread_mutex_lock(&fl->lock);
    while (!fl->stop) {
        uint64_t due_us = fl->heap_count > 0 ? fl->heap[0]->flush.due_us : NOT_DUE;

        if (fl->all_due && fl->heap_count > 0)
            due_us = 0;
        if (fl->in_round) {
            fl->waits_for_round = true;
            pthread_cond_wait(&fl->due, &fl->lock);
            fl->waits_for_round = false;
        } else if (due_us > clock_mono_us() && journal_may_turn(&fl->store->journal)) {
            fl->in_round = true;
            pthread_mutex_unlock(&fl->lock);
            (void)journal_ready(&fl->store->journal, JOURNAL_RECORD_BYTES);
            pthread_mutex_lock(&fl->lock);
            fl->in_round = false;
        } else if (due_us > clock_mono_us()) {
            wait_until_due(fl, due_us, &worked);
        } else {
            worked |= exclusive_round(fl);
        }
    }
    pthread_mutex_unlock(&fl->lock);
    return NULL;
}

static void *direct_thread(void *arg)
{
    struct flusher *fl = arg;

    pthread_mutex_lock(&fl->lock);
    while (!fl->stop) {
        pthread_mutex_unlock(&fl->lock);
        bool any = flush_direct_round(fl) || flush_checkpoint_round(fl);
        pthread_mutex_lock(&fl->lock);
        if (!any && !fl->stop && !fl->direct_head && fl->checkpoint < 0)
            pthread_cond_wait(&fl->direct, &fl->lock);
        else if (!any && !fl->stop && !fl->direct_head)
            pthread_cond_wait(&fl->idle, &fl->lock); /* a roll holds what is left */
    }
    pthread_mutex_unlock(&fl->lock);
    return NULL;
}

static void *notify_thread(void *arg)
{
    struct flusher *fl = arg;

    pthread_mutex_lock(&fl->lock);
    while (!fl->stop || fl->notice_head) {
        if (!fl->notice_head) {
            pthread_cond_wait(&fl->notices, &fl->lock);
            continue;
        }
        pthread_mutex_unlock(&fl->lock);
        flush_notify_round(fl);
        pthread_mutex_lock(&fl->lock);
    }
    pthread_mutex_unlock(&fl->lock);
    return NULL;
}

bool flusher_work(struct flusher *fl, bool now)
{
    bool any = journal_round(fl, now ? NOT_DUE - 1 : clock_mono_us());

    any |= flush_direct_round(fl);
    any |= flush_checkpoint_round(fl);
    return any | flush_notify_round(fl);
}

void flusher_init(struct flusher *fl, struct store *store)
{
    pthread_condattr_t attr;

    fl->store = store;
    fl->checkpoint = -1;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&fl->lock, NULL);
    pthread_cond_init(&fl->due, &attr);
    pthread_cond_init(&fl->direct, &attr);
    pthread_cond_init(&fl->idle, &attr);
    pthread_cond_init(&fl->notices, &attr);
    pthread_condattr_destroy(&attr);
}

int flusher_start(struct flusher *fl, struct err *err)
{
    static void *(*const body[3])(void *) = {flush_thread, direct_thread, notify_thread};
    static const char *const name[3] = {"flush", "direct", "notify"};

    for (int i = 0; i < 3; i++) {
        int rc = pthread_create(&fl->thread[i], NULL, body[i], fl);

        if (rc != 0)
            return err_set(err, -rc, "cannot start a thread: %s", strerror(rc));
        pthread_setname_np(fl->thread[i], name[i]);
        fl->threads++;
    }
    return 0;
}

void flusher_stop(struct flusher *fl)
{
    unsigned threads = fl->threads;

    pthread_mutex_lock(&fl->lock);
    fl->stop = true;
    pthread_cond_broadcast(&fl->due);
    pthread_cond_broadcast(&fl->direct);
    pthread_cond_broadcast(&fl->idle);
    pthread_cond_broadcast(&fl->notices);
    pthread_mutex_unlock(&fl->lock);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(fl->thread[i], NULL);
    fl->threads = 0;
}

void flusher_release(struct flusher *fl)
{
    pthread_mutex_destroy(&fl->lock);
    pthread_cond_destroy(&fl->due);
    pthread_cond_destroy(&fl->direct);
    pthread_cond_destroy(&fl->idle);
    pthread_cond_destroy(&fl->notices);
    free(fl->heap);
    free(fl->batch.job);
    free(fl->jobs.job);
}
