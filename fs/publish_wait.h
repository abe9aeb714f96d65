/*
 * fs/publish_wait: somebody who waits for a flush of one partition or many.
 *
 * A close(2) or fsync(2) of a publish file is answered when the flush it waits
 * for has ended. A struct publish_wait joins the waits on all partitions
 * concerned into one answer. What is waited for is decided in fs/publish and by
 * publish_sync() here.
 *
 * Threads: any. A wait holds its topic, so neither the publisher nor the node
 * behind it needs to outlive it.
 */
#ifndef FS_PUBLISH_WAIT_H
#define FS_PUBLISH_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct publish_wait;

/* One partition's share of a wait. */
struct publish_part {
    struct waiter waiter;
    struct publish_wait *wait;
    struct partition *part;
    uint64_t end;
};

/*
 * publish_wait_init() it and pass it to one of the calls that wait. The memory
 * belongs to this module until done is called or publish_cancel() returned true,
 * then to the caller again (done may free it, if no publish_cancel() of it is running).
 *
 * done: called exactly once, before the call that was given it returns or
 * later in a thread of the store, with no lock held; must not block. rc: 0,
 * -EIO, ERR_STOPPING (see publish_cancel), -ENOMEM, -ENOENT.
 */
struct publish_wait {
    void (*done)(struct publish_wait *w, int rc);
    /* inside */
    pthread_mutex_t lock; /* of the parts: made, handed to the store, taken back */
    struct topic *topic;
    struct publish_part *parts; /* &one, or allocated */
    struct publish_part one;
    size_t count, room;
    _Atomic size_t left; /* parts not done, and one while they are handed over */
    _Atomic int rc;      /* the first failure */
};

void publish_wait_init(struct publish_wait *w, void (*done)(struct publish_wait *w, int rc));

/* Waits until everything published to the topic (partition -1) or to that
 * partition so far, by anyone, is durable. -EIO for as long as any of it could
 * not be flushed. */
void publish_sync(struct topic *topic, int64_t partition, struct publish_wait *w);

/*
 * Takes a wait back, for a stop. True: done has not been and will not be
 * called. False: it was called, or is just being or about to be, with
 * ERR_STOPPING unless it had its answer; or it is only being begun: nothing has
 * happened. May run beside the call that begins the wait and before it, not
 * after done gave the memory back.
 */
bool publish_cancel(struct publish_wait *w);

/* The pieces it is made of: begin, add what is not flushed yet, start. `rc` of
 * start is that of the adds: a failure is the answer, nothing is waited for. */
void publish_wait_begin(struct publish_wait *w, struct topic *topic);
int publish_wait_add(struct publish_wait *w, struct partition *part, uint64_t end) MUST_CHECK;
void publish_wait_start(struct publish_wait *w, enum wait_for what, int rc);

#endif
