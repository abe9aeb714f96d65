/*
 * fs/stream: readers that wait for messages to come.
 *
 * A read at the end of a stream is answered when the visible end has risen.
 * Ten thousand of them cost ten thousand small structures: who waits for the
 * same partition (or for any partition of a topic) is in one list, a hub, and
 * a hub has one watch per partition in the store, however many wait. When a
 * watch fires, a hub's waits are asked what each wants (check), and those that
 * have it are handed to two or three threads of this module that call
 * `ready`; where few wait, the thread that raised the visible end does so itself,
 * which costs it less than waking another. No FUSE in here: fs/ops_stream answers
 * the requests.
 *
 *     streams_wait()          check true           a stream thread
 *     --------------> waiting ----------> ready --------------------> ready(w, 0)
 *                        |                  ^
 *                        +-- stream_interrupt, streams_stop, partition failed
 *
 * Locks: streams.lock, a leaf but for what check() takes. `ready` is called
 * with no lock held.
 */
#ifndef FS_STREAM_H
#define FS_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct streams;
struct stream_hub;

struct stream_wait {
    /* True if what it waits for is there. Called with streams.lock held: no
     * blocking, no call back into this module. */
    bool (*check)(struct stream_wait *w);
    /* Called once, from a stream thread or a store's. rc: 0; -EINTR; -EIO (the partition
     * failed); ERR_STOPPING; -ENOMEM. The memory is the caller's again. */
    void (*ready)(struct stream_wait *w, int rc);

    /* inside: streams.lock */
    enum { STREAM_NEW, STREAM_WAITING, STREAM_READY } state;
    bool interrupted;
    int rc;
    struct streams *streams;
    struct stream_hub *hub;
    struct stream_wait *next, *prev;
};

int streams_new(struct streams **out, unsigned threads) MUST_CHECK;

/* All waits are readied with ERR_STOPPING, later ones at once. Returns when
 * every one of them has been told and no watch is left in the store. To be called
 * again when no later ones can come any more: these may not have been told. */
void streams_stop(struct streams *s);
/* After streams_stop(). */
void streams_free(struct streams *s);

/* Before streams_wait(), and before anybody may interrupt it. */
void stream_wait_init(struct streams *s, struct stream_wait *w, bool (*check)(struct stream_wait *),
                      void (*ready)(struct stream_wait *, int rc));

/*
 * Waits for the partition, or with partition -1 for any of the topic's.
 * False: what it waits for is there already: it is not waiting, ready() will
 * not be called. True: ready() will be or has been called.
 */
bool streams_wait(struct streams *s, struct stream_wait *w, struct topic *topic,
                  int64_t partition) MUST_CHECK;

/* Readies it with -EINTR; one that does not wait yet, as soon as it does. */
void stream_interrupt(struct stream_wait *w);

/* Takes it back: true if ready() has not been and will not be called. */
bool stream_cancel(struct stream_wait *w);

/* Asks all that wait there again: check() may have changed its mind for another
 * reason than the visible end. */
void streams_kick(struct streams *s, struct topic *topic, int64_t partition);

/* To be called about every second: picks up partitions that were added, drops
 * watches that nobody waits for any more. */
void streams_tick(struct streams *s);

/* How many wait now. */
unsigned streams_waiting(struct streams *s);

#endif
