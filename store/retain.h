/*
 * store/retain: what goes: segments that retention removes, and the files of
 * topics that were removed. Not for others.
 *
 * Whole segments go, from the old end: one whose last message was appended more
 * than retention.ms ago, and one without which the partition still has
 * retention.bytes, all files counted. Time is what the append was told by the
 * store's clock, never an mtime. The newest segment of a partition that nobody
 * appends to any more is rolled when its time has come, and goes as the others
 * do; for its bytes alone it never goes.
 *
 * Order, and what a power cut after each step leaves:
 *   1. unlink sealed/<p>-<base>.log, fsync   - the segment, without its link
 *   2. unlink the .log, fsync                - what is left over of it at the
 *                                              head: the next start deletes it
 *   3. unlink its other files, fsync         - nothing of it
 *   4. the partition's first offset rises
 * The next segment is touched only then. So what a power cut leaves is a suffix
 * of the segments, and a first offset that was seen never falls. A step that
 * fails is said once and done again at the next check.
 *
 * A check costs a few compares for each partition: partition.retention knows
 * when the oldest segment was last appended to, and .clean says that of those
 * that are not loaded. Only what is about to go is opened.
 *
 * A removed topic is renamed .del.<number> (topic_remove.c). Unlinking what is in
 * there can take long, and is done here too.
 *
 * Threads: one of its own, because a roll waits for flushes. Without threads
 * retain_work() does both, by the store's clock.
 */
#ifndef STORE_RETAIN_H
#define STORE_RETAIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct partition;
struct segment;
struct store;
struct grave;

/* Per partition; partition.lock. */
struct retention {
    uint64_t oldest_ms;    /* last append in the oldest segment, when sealed; 0 = not known */
    uint64_t sealed_bytes; /* of all sealed segments' files */
    struct segment *going; /* the oldest: its .log may be gone already */
    bool going_used;       /* ... and is kept open for who reads it */
    bool said;             /* the retainer's own: that it failed */
};

struct retainer {
    struct store *store;
    pthread_t thread;
    bool started, running; /* running: the thread */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic bool stop;
    struct grave *graves; /* lock; directories to be unlinked */
    bool fresh;           /* lock; there is one that was not tried yet */
    uint64_t next_ms;     /* without threads: when the next check is */
    _Atomic uint64_t segments_removed, bytes_removed; /* for .status */
};

void retainer_init(struct retainer *r, struct store *store);
void retainer_release(struct retainer *r);

/* Once the store is open. */
int retainer_start(struct retainer *r, struct err *err) MUST_CHECK;
/* Ends the thread after the step it is at. Before flusher_stop(). */
void retainer_stop(struct retainer *r);

/* Without threads: what is due. True if there was anything to do. */
bool retain_work(struct retainer *r);

/* Unlinks STORE/.del.<number> and what is in it, some time. */
void retain_bury(struct retainer *r, uint32_t number);

/* Looks at one partition: rolls and removes what has to go at `now_ms`. True:
 * something was done. Only one thread at a time. */
bool retain_check(struct partition *part, uint64_t now_ms);

/* True: a segment is half removed, and .clean must not be written. */
bool retain_unfinished(struct partition *part);

#endif
