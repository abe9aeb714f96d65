/*
 * store/flush_files: letting go of files when too many are open. See flush.h.
 *
 * Files that have something not durable stay open: the kernel tells of a failed
 * write-back those who have the file open, and a close could lose that. With
 * flush.sync=disk a checkpoint ends it; with flush.sync=os nothing does but a
 * roll, an fsync(2) or the stop. So those partitions are listed by age, and the
 * oldest are flushed direct when their descriptors are needed.
 */
#include <time.h>

#include "base/clock.h"
#include "store/inside.h"

#define FILES_WAIT_US ((uint64_t)5000000)
#define OS_STEP       256u /* partitions at once: one syncfs */

void flush_list_os(struct flusher *fl, struct partition *part)
{
    if (part->flush.os_listed)
        return;
    part->flush.os_listed = true;
    part->flush.os_next = NULL;
    part->flush.os_prev = fl->os_tail;
    *(fl->os_tail ? &fl->os_tail->flush.os_next : &fl->os_head) = part;
    fl->os_tail = part;
}

void flush_unlist_os(struct flusher *fl, struct partition *part)
{
    struct flush_state *f = &part->flush;

    if (!f->os_listed)
        return;
    f->os_listed = false;
    *(f->os_prev ? &f->os_prev->flush.os_next : &fl->os_head) = f->os_next;
    *(f->os_next ? &f->os_next->flush.os_prev : &fl->os_tail) = f->os_prev;
}

void flush_let_go(struct flusher *fl, struct partition *part)
{
    flush_unlist_os(fl, part);
    fl->let_go++;
    part->store->pinned_segments--;
    pthread_cond_broadcast(&fl->idle);
}

void flusher_want_files(struct flusher *fl)
{
    pthread_mutex_lock(&fl->lock);
    fl->store->journal.want_turn = fl->all_due = true;
    for (unsigned n = 0; n < OS_STEP && fl->os_head; n++) {
        struct partition *part = fl->os_head;

        flush_unlist_os(fl, part);
        part->flush.want_durable = true;
        if (!part->flush.busy)
            flush_schedule(fl, part);
    }
    pthread_cond_signal(&fl->due);
    pthread_mutex_unlock(&fl->lock);
}

bool flusher_wait_for_files(struct flusher *fl)
{
    uint64_t until_us = clock_mono_us() + FILES_WAIT_US;
    struct timespec ts = {(time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000};
    uint64_t before;
    bool any;
    int rc = 0;

    pthread_mutex_lock(&fl->lock);
    before = fl->let_go;
    pthread_mutex_unlock(&fl->lock);
    flusher_want_files(fl);
    pthread_mutex_lock(&fl->lock);
    while (fl->threads > 0 && !fl->stop && fl->let_go == before && rc == 0)
        rc = pthread_cond_timedwait(&fl->idle, &fl->lock, &ts);
    any = fl->let_go != before;
    pthread_mutex_unlock(&fl->lock);
    return any;
}
