/*
 * fs/inside: the mount as its own files see it. Not for others.
 *
 * What runs where
 *   workers      read requests from the kernel and do the operations; never
 *                wait for anything but disk I/O; how many at a time: fs/workers
 *   streams      answer reads that waited, wake poll(2)
 *   store        its flushers answer FLUSH, FSYNC and acknowledged writes
 *   notify       talks to the kernel's caches, never from within an operation
 *
 * Locks: handles.lock, then nodes.lock. ops_stream's poll lock, workers.lock,
 * streams.lock and waits.lock are taken alone, but for streams.lock then merged.lock. No
 * reply is sent and no store call that may call back is made under any of
 * them.
 */
#ifndef FS_INSIDE_H
#define FS_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fs/handle.h"
#include "fs/metrics.h"
#include "fs/mount.h"
#include "fs/passthrough.h"
#include "fs/stream.h"
#include "fs/tree.h"

struct fuse_session;
struct notify;
struct workers;
struct publish_answer; /* fs/ops_publish */

struct fs {
    struct fs_options options;
    char *store_path, *mountpoint; /* copies */
    struct tree tree;
    struct handles handles;
    struct streams *streams;
    struct passthrough passthrough;
    struct notify *notify;
    struct fuse_session *session;
    struct fs_metrics metrics;
    uint64_t mounted_ms;

    pthread_mutex_t poll_lock; /* every handle's `poll` */

    /* Answers that wait for a flush. */
    pthread_mutex_t waits_lock;
    pthread_cond_t waits_change;
    struct publish_answer *waits;

    struct workers *workers;
    _Atomic bool told; /* options.ended was called, or shall not be */
    _Atomic bool hurry;
};

#endif
