/*
 * store/flush_direct: direct flushes, durable slots, checkpoints. See flush.h.
 *
 * A direct flush makes a partition's own files durable: the directory where a
 * name in it is new, then .log, .meta and .idx. Write-back is started for all
 * files of all partitions before any is waited for. From SYNCFS_AT partitions
 * on one syncfs costs less than their fdatasyncs. Then the visible end rises,
 * and the slot is written, without waiting for it.
 *
 * A checkpoint does the same for all that a journal's ended turn speaks of, and
 * does wait for the slots: after it, the turn's records are not needed. It
 * takes no partition away from the journal's flushes: those write to another
 * file. Only a roll has to wait for it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"
#include "store/inside.h"

#define CHECKPOINT_STEP 256u /* partitions at once: bounds how long a roll waits */

/* -- making files durable -- */

/* It fails where pages can not be written (the file system is corrupt, say). ext4
 * drops them then, tells nobody else, and the fdatasync behind it finds nothing
 * to do: so this is the flush that failed. */
static int start_writeback(struct store *store, const struct flush_job *job)
{
    const struct segment *seg = job->seg;
    int rc = 0;

    if (job->to.offset > job->from.offset)
        rc = store->io->ops->start_writeback(store->io, seg->fd[SUFFIX_LOG],
                                             job->from.offset - seg->base,
                                             job->to.offset - job->from.offset);
    if (rc == 0)
        rc = store->io->ops->start_writeback(store->io, seg->fd[SUFFIX_IDX], 0, 0);
    if (rc == 0 && seg->fd[SUFFIX_META] >= 0)
        rc = store->io->ops->start_writeback(store->io, seg->fd[SUFFIX_META], 0, 0);
    return rc;
}

static int sync_files(struct store *store, const struct segment *seg)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < SUFFIX_COUNT; i++)
        if (seg->fd[i] >= 0)
            rc = store->io->ops->fdatasync(store->io, seg->fd[i]);
    return rc;
}

/* syncfs reports an error once for a descriptor, whosever file it was. Who hears
 * it asks each of his own; others, whose files may be meant, would not hear it
 * any more: so after one error nobody relies on syncfs until the next start.
 * xfs sends no flush to the device when its log is clean: the journal's does. */
int store_sync_everything(struct store *store)
{
    int rc = -EIO;

    pthread_mutex_lock(&store->syncfs_lock);
    if (!store->syncfs_failed)
        rc = store->io->ops->syncfs(store->io, store->root_fd);
    store->syncfs_failed = rc < 0;
    pthread_mutex_unlock(&store->syncfs_lock);
    if (rc == 0)
        rc = store->io->ops->fdatasync(store->io, store->journal.file[0].fd);
    return rc;
}

int flush_sync_names(const struct flush_job *job)
{
    struct fileio *io = job->part->store->io;
    char dir[STORE_PATH_MAX];

    if (!job->new_names)
        return 0;
    path_of_partition(dir, job->part->topic->name, job->part->index);
    return io->ops->sync_dir(io, dir);
}

static void sync_job(struct store *store, struct flush_job *job)
{
    if (job->rc == 0)
        job->rc = flush_sync_names(job);
    if (job->rc == 0)
        job->rc = sync_files(store, job->seg);
}

/* Ensures: each job with rc 0 has its files on disk up to `to`. */
static void sync_jobs(struct store *store, struct flush_job *job, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (job[i].rc == 0)
            job[i].rc = start_writeback(store, &job[i]);
    if (n >= SYNCFS_AT && store_sync_everything(store) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        sync_job(store, &job[i]);
}

static void write_slots(struct flush_job *job, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (job[i].rc == 0)
            job[i].rc = segment_write_slot(job[i].seg, job[i].to.offset);
}

/* Ensures: the slots just written are on disk. */
static void sync_slots(struct store *store, struct flush_job *job, size_t n)
{
    if (n >= SYNCFS_AT && store_sync_everything(store) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (job[i].rc == 0)
            job[i].rc = store->io->ops->fdatasync(store->io, job[i].seg->fd[SUFFIX_IDX]);
}

/* -- jobs -- */

/* Holds the newest segment open for the flush. */
static void job_open(struct flush_job *job)
{
    struct err err;

    pthread_mutex_lock(&job->part->lock);
    job->seg = partition_newest(job->part);
    job->rc = segment_use(job->seg, &err);
    pthread_mutex_unlock(&job->part->lock);
    if (job->rc < 0)
        job->seg = NULL;
}

static void job_close(struct flush_job *job)
{
    if (job->rc < 0)
        partition_fail(job->part, job->rc, "flush of its files: %s", err_sentence(job->rc));
    if (job->seg)
        segment_unuse(job->seg);
    partition_unpin(job->part);
}

/* What is to be flushed is settled. Lock held. */
static void job_settle(struct flush_job *job, const struct mark *to)
{
    job->from = job->part->durable;
    job->to = *to;
    job->rc = atomic_load(&job->part->failed) ? -EIO : 0;
}

/* -- the direct thread's work -- */

void flush_push_direct(struct flusher *fl, struct partition *part)
{
    part->flush.direct_next = NULL;
    if (fl->direct_tail)
        fl->direct_tail->flush.direct_next = part;
    else
        fl->direct_head = part;
    fl->direct_tail = part;
    pthread_cond_signal(&fl->direct);
    if (fl->checkpoint >= 0) /* the direct thread may be waiting for a roll to end */
        pthread_cond_broadcast(&fl->idle);
}

static void take_direct(struct flusher *fl)
{
    fl->jobs.count = 0;
    while (fl->direct_head && flush_job_add(&fl->jobs, fl->direct_head)) {
        struct partition *part = fl->direct_head;

        fl->direct_head = part->flush.direct_next;
        part->flush.want_durable = false;
        job_settle(&fl->jobs.job[fl->jobs.count - 1], &part->appended);
    }
    if (!fl->direct_head)
        fl->direct_tail = NULL;
}

static void flush_jobs(struct store *store, struct flush_job *job, size_t n)
{
    uint64_t begun_us = clock_mono_us();

    for (size_t i = 0; i < n; i++)
        if (job[i].rc == 0)
            job_open(&job[i]);
    sync_jobs(store, job, n);
    if (n > 0)
        histogram_add(&store->metrics.direct_flush, clock_mono_us() - begun_us);
}

bool flush_direct_round(struct flusher *fl)
{
    struct flush_job *job;
    size_t n;

    pthread_mutex_lock(&fl->lock);
    take_direct(fl);
    pthread_mutex_unlock(&fl->lock);
    n = fl->jobs.count;
    if (n == 0)
        return false;
    job = fl->jobs.job;
    flush_jobs(fl->store, job, n);
    for (size_t i = 0; i < n; i++)
        if (job[i].rc < 0)
            partition_fail(job[i].part, job[i].rc, "flush of its files: %s",
                           err_sentence(job[i].rc));
    /* The slot before the partition is let go: the next flush or a roll may
     * write the next one as soon as it is. */
    write_slots(job, n);
    fl->direct_flushes++;
    flush_finish(fl, job, n, true);
    for (size_t i = 0; i < n; i++)
        job_close(&job[i]);
    return true;
}

int flusher_flush_claimed(struct partition *part, struct err *err)
{
    struct flusher *fl = &part->store->flusher;
    struct flush_job job = {.part = part, .new_names = false};
    struct waiter *list = NULL;

    pthread_mutex_lock(&fl->lock);
    part->flush.want_durable = false;
    job_settle(&job, &part->appended);
    job.new_names = part->new_names;
    part->new_names = false;
    pthread_mutex_unlock(&fl->lock);
    flush_jobs(part->store, &job, 1);
    write_slots(&job, 1);
    if (job.rc == 0) {
        pthread_mutex_lock(&fl->lock);
        flush_raise_visible(part, &job.to);
        flush_raise_durable(part, &job.to);
        flush_take_waiters(part, 0, &list);
        fl->direct_flushes++;
        pthread_mutex_unlock(&fl->lock);
        flush_tell(fl, list);
    } else {
        err_set(err, job.rc, "flush: %s", err_sentence(job.rc));
    }
    job_close(&job);
    return job.rc;
}

/* -- checkpoints -- */

/* Takes up to a step of the partitions whose own files do not have yet what
 * the turn says of them. *left: there are some that a roll holds just now. */
static void take_checkpoint(struct flusher *fl, int file, bool *left)
{
    struct journal_file *jf = &fl->store->journal.file[file];

    fl->jobs.count = 0;
    for (size_t i = 0; i < jf->part_count && fl->jobs.count < CHECKPOINT_STEP; i++) {
        struct partition *part = jf->parts[i];

        if (topic_removed(part->topic))
            part->flush.journaled[file] = 0; /* what is said of it is not needed */
        if (part->flush.journaled[file] == 0)
            continue;
        if (part->flush.claimed || !flush_job_add(&fl->jobs, part)) {
            *left = true;
            continue;
        }
        part->flush.checkpointing = true;
        /* A flush through the journal may run beside this, and be done first. */
        part->new_names = fl->jobs.job[fl->jobs.count - 1].new_names;
        job_settle(&fl->jobs.job[fl->jobs.count - 1], &part->visible);
    }
}

static void end_checkpoint_step(struct flusher *fl, int file)
{
    pthread_mutex_lock(&fl->lock);
    for (size_t i = 0; i < fl->jobs.count; i++) {
        struct flush_job *job = &fl->jobs.job[i];

        job->part->flush.checkpointing = false;
        job->part->flush.journaled[file] = 0; /* or it has failed: see turn_is_stuck() */
        if (job->rc == 0 && job->part->durable.offset < job->to.offset)
            flush_raise_durable(job->part, &job->to);
    }
    pthread_cond_broadcast(&fl->idle);
    pthread_mutex_unlock(&fl->lock);
    for (size_t i = 0; i < fl->jobs.count; i++)
        job_close(&fl->jobs.job[i]);
}

/* A failed partition can not be flushed: its turn is needed until the next
 * start, and this journal file with it. */
static bool turn_is_stuck(const struct journal_file *jf)
{
    for (size_t i = 0; i < jf->part_count; i++)
        if (atomic_load(&jf->parts[i]->failed) && !topic_removed(jf->parts[i]->topic))
            return true;
    return false;
}

static void end_checkpoint(struct flusher *fl, int file)
{
    struct journal_file *jf = &fl->store->journal.file[file];
    struct partition **parts = NULL;
    size_t count = 0;
    bool stuck;

    pthread_mutex_lock(&fl->lock);
    stuck = turn_is_stuck(jf);
    fl->checkpoint = -1;
    if (!stuck) {
        parts = jf->parts;
        count = jf->part_count;
        jf->parts = NULL;
        jf->part_count = jf->part_room = 0;
        jf->free = true;
        fl->checkpoints++;
        pthread_cond_signal(&fl->due); /* the next turn may be wanted already */
        pthread_cond_broadcast(&fl->idle);
    }
    pthread_mutex_unlock(&fl->lock);
    for (size_t i = 0; i < count; i++)
        topic_put(parts[i]->topic); /* without the lock: a removed one's partitions go with it */
    free(parts);
    if (stuck)
        diag_say("%s: .journal.%d: kept for a partition that has failed; flushing without it "
                 "until the next start",
                 fl->store->name, file);
}

bool flush_checkpoint_round(struct flusher *fl)
{
    bool left = false;
    int file;

    pthread_mutex_lock(&fl->lock);
    file = fl->checkpoint;
    if (file >= 0)
        take_checkpoint(fl, file, &left);
    pthread_mutex_unlock(&fl->lock);
    if (file < 0)
        return false;
    if (fl->jobs.count == 0 && left)
        return false;
    flush_jobs(fl->store, fl->jobs.job, fl->jobs.count);
    write_slots(fl->jobs.job, fl->jobs.count);
    sync_slots(fl->store, fl->jobs.job, fl->jobs.count);
    end_checkpoint_step(fl, file);
    if (fl->jobs.count < CHECKPOINT_STEP && !left)
        end_checkpoint(fl, file);
    return true;
}

/* -- all at once -- */

/* Of claimed partitions: jobs for those with something to flush, the others
 * are let go. */
static int settle_each(struct flusher *fl, struct flush_jobs *jobs, struct partition **parts,
                       size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        bool job;

        pthread_mutex_lock(&fl->lock);
        job = parts[i]->durable.offset < parts[i]->appended.offset;
        if (job && !flush_job_add(jobs, parts[i])) {
            job = false;
            rc = -ENOMEM;
        }
        if (job)
            job_settle(&jobs->job[jobs->count - 1], &parts[i]->appended);
        pthread_mutex_unlock(&fl->lock);
        if (!job)
            flusher_unclaim(parts[i]);
    }
    return rc;
}

int flusher_flush_all(struct store *store, struct partition **parts, size_t n,
                      void (*claimed)(void *arg), void *arg)
{
    struct flusher *fl = &store->flusher;
    struct flush_jobs jobs = {0};
    int rc;

    for (size_t i = 0; i < n; i++)
        flusher_claim(parts[i]);
    if (claimed)
        claimed(arg);
    rc = settle_each(fl, &jobs, parts, n);
    flush_jobs(store, jobs.job, jobs.count);
    write_slots(jobs.job, jobs.count);
    sync_slots(store, jobs.job, jobs.count);
    flush_finish(fl, jobs.job, jobs.count, true);
    for (size_t i = 0; i < jobs.count; i++)
        job_close(&jobs.job[i]);
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&parts[i]->failed))
            rc = -EIO;
    free(jobs.job);
    return rc;
}
