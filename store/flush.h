/*
 * store/flush: what makes a message visible.
 *
 * A flush covers what was appended to a partition up to a mark E, and then
 * raises the visible end to E. It is due when flush.messages gathered, when
 * flush.ms passed since the first of them, or when somebody waits. Everything
 * that is due goes into one record of the commit journal and one fdatasync:
 * group commit for the whole store. A partition with much to flush, or with
 * flush.sync=os, or while the journal cannot take it, goes direct: fdatasync
 * of its own files, in another thread, then its durable slot.
 *
 * A partition is in at most one flush at a time (`busy`); who else wants one
 * (a roll) waits for flusher.idle. What is appended meanwhile is the next
 * flush's.
 *
 * Files: flush.c (what is due, the journal's flushes, the threads),
 * flush_direct.c (direct flushes and checkpoints), flush_wait.c (waiters),
 * flush_files.c (when too many files are open).
 *
 * Threads: flush (journal), direct (direct flushes and checkpoints), notify
 * (completes waiters in bulk). Without threads flusher_work() does one round.
 */
#ifndef STORE_FLUSH_H
#define STORE_FLUSH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/partition.h"

struct store;

/* The end of a set. */
struct mark {
    uint64_t offset;
    uint64_t number;
    uint64_t time_ms;  /* of the last message before it; 0 = none */
    uint32_t meta_end; /* position in the newest segment's .meta */
};

#define NOT_DUE UINT64_MAX

/* Per partition; all under flusher.lock. */
struct flush_state {
    uint64_t due_us;       /* when; NOT_DUE = not in the heap */
    size_t heap_at;        /* its place there */
    bool busy;             /* a flush or a roll has it: it is not in the heap */
    bool claimed;          /* busy, by a roll */
    bool want_durable;     /* the next flush must be direct */
    bool checkpointing;    /* its files are being flushed for a checkpoint */
    uint64_t journaled[2]; /* journal file i speaks of it up to this offset; 0 = not */
    struct partition *direct_next;
    struct waiter *waiters;
    uint64_t hurried_end; /* the first end that one of them waits to be flushed to; UINT64_MAX */
    /* Of those with flush.sync=os and something not durable: by the age of that. */
    bool os_listed;
    struct partition *os_next, *os_prev;
};

/* One partition in a flush. */
struct flush_job {
    struct partition *part;
    struct segment *seg;
    struct mark from, to;
    bool new_names; /* the directory has to be fsynced first */
    int rc;
};

struct flush_jobs {
    struct flush_job *job;
    size_t count, room;
};

struct flusher {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t due;      /* the heap's top may be due now */
    uint64_t wakes_us;       /* when the flush thread looks by itself; 0 = it is awake */
    pthread_cond_t direct;   /* work for the direct thread */
    pthread_cond_t idle;     /* some partition is not busy any more */
    pthread_cond_t notices;  /* work for the notifier */
    struct partition **heap; /* by due_us */
    size_t heap_count, heap_room;
    size_t heap_places; /* partitions that may need one */
    struct partition *direct_head, *direct_tail;
    struct partition *os_head, *os_tail;      /* oldest first */
    uint64_t let_go;                          /* how often files were let go of */
    struct waiter *notice_head, *notice_tail; /* completed, not told yet */
    bool all_due;         /* files are wanted: the next round takes what is not due yet, too */
    bool in_round;        /* the flush thread, or one that helps, is at a record */
    bool waits_for_round; /* the flush thread, until one that helps has done it */
    unsigned helpers;     /* between store_will_help() and store_help_flush() */
    bool stop;
    bool refuse;              /* waits end with ERR_STOPPING */
    _Atomic unsigned threads; /* running */
    pthread_t thread[3];
    int checkpoint; /* the journal file whose turn has ended and is still needed, or -1 */
    struct flush_jobs batch, jobs; /* of the flush thread, of the direct thread */
    _Atomic uint64_t journal_flushes, direct_flushes, checkpoints; /* for .status */
    /* For .metrics, of all partitions: appended and not visible, visible and not
     * durable; those who wait for a flush, for messages. */
    uint64_t unflushed_bytes, undurable_bytes;
    uint64_t waiting, watching;
};

void flusher_init(struct flusher *fl, struct store *store);
int flusher_start(struct flusher *fl, struct err *err) MUST_CHECK;
/* Ends the threads without flushing. */
void flusher_stop(struct flusher *fl);
void flusher_release(struct flusher *fl);

/* Tells of an append of `sets` sets that ended at `at`. */
void flusher_appended(struct partition *part, const struct mark *at, uint64_t sets);

/* Sets the totals for .metrics, when a store has been opened; and takes a
 * partition out of them that goes. */
void flusher_count(struct flusher *fl, struct partition *part);
void flusher_forget(struct partition *part);

/* A roll's way in: waits until no flush has the partition, and takes it. */
void flusher_claim(struct partition *part);
void flusher_unclaim(struct partition *part);
/* Flushes a claimed partition direct, up to what is appended now. */
int flusher_flush_claimed(struct partition *part, struct err *err) MUST_CHECK;

/* Flushes these direct, with their slots, and returns when that is done: for
 * recovery, the clean stop, and the change from os to disk. `claimed`, if
 * given, is called once no other flush has any of them and before it is
 * settled what is flushed. -EIO: one has failed. */
int flusher_flush_all(struct store *store, struct partition **parts, size_t n,
                      void (*claimed)(void *arg), void *arg) MUST_CHECK;

/* Too many files are open. Those stay open that have something not durable: a
 * close could lose the news of a write-back that failed. So what is to be flushed
 * is due now; the journal's turn ends, and its checkpoint lets go of what only the
 * journal has on disk; and of the partitions with flush.sync=os, which nothing
 * else makes durable, those that have waited longest are flushed direct. */
void flusher_want_files(struct flusher *fl);
/* The same, and waits until one was let go of; false: none within 5 s. */
bool flusher_wait_for_files(struct flusher *fl);

/* When the first wait for a flush began that has not ended (CLOCK_MONOTONIC, us);
 * UINT64_MAX: nobody waits. */
uint64_t flusher_waits_since(struct partition *part);

/* Completes everything that waits on the partition: it has failed. */
void flusher_fail_waiters(struct partition *part, int rc);

/* Waits and watches end with ERR_STOPPING from now on. */
void flusher_refuse(struct flusher *fl, struct partition **parts, size_t n);

/* One round without threads; `now`: as if all that is not due yet were. */
bool flusher_work(struct flusher *fl, bool now);

/* -- between the files of flush -- */

/* A partition's files need not stay open any more; partition.lock and flusher.lock
 * held. */
void flush_let_go(struct flusher *fl, struct partition *part);
/* What flusher_want_files() looks at: partitions with flush.sync=os that have
 * something not durable; flusher.lock held. */
void flush_list_os(struct flusher *fl, struct partition *part);
void flush_unlist_os(struct flusher *fl, struct partition *part);
/* Says when the partition is due next; it is not busy; flusher.lock held. */
void flush_schedule(struct flusher *fl, struct partition *part);
/* Puts the partition into the heap, or moves it up; lock held, not busy. */
void flush_due(struct flusher *fl, struct partition *part, uint64_t due_us);
void flush_not_due(struct flusher *fl, struct partition *part);
/* Raise a mark of the partition; lock held. */
void flush_raise_visible(struct partition *part, const struct mark *to);
void flush_raise_durable(struct partition *part, const struct mark *to);
/* The flush up to job->to ended with job->rc; for `n` jobs under one lock. */
void flush_finish(struct flusher *fl, struct flush_job *job, size_t n, bool direct);
/* Queues a busy partition for the direct thread; lock held. */
void flush_push_direct(struct flusher *fl, struct partition *part);
/* Fsyncs the directory where a name in it is new: neither a record nor a slot
 * may speak of a file whose name a power cut could take. */
int flush_sync_names(const struct flush_job *job) MUST_CHECK;
/* Adds a job; lock held. False: no memory, try again later. */
bool flush_job_add(struct flush_jobs *jobs, struct partition *part);

/* One round of the direct thread; false: nothing to do. Lock not held. */
bool flush_direct_round(struct flusher *fl);
bool flush_checkpoint_round(struct flusher *fl);

/* Waiters: takes those that are satisfied (rc 0) or all (rc < 0) off the
 * partition onto *list; lock held. */
void flush_take_waiters(struct partition *part, int rc, struct waiter **list);
/* Tells them; lock not held. */
void flush_tell(struct flusher *fl, struct waiter *list);
bool flush_notify_round(struct flusher *fl);
/* Is somebody waiting for what is appended already? Lock held. */
bool flush_hurried(const struct partition *part);

#endif
