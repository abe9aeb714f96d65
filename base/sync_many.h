/*
 * base/sync_many: fsyncs of many descriptors at the same time.
 *
 * One after another, each fsync waits for the disk's cache to be flushed, and
 * for a commit of the file system's journal; at the same time they share both.
 * It is the kernel's asynchronous I/O (io_submit(2)), which has fsyncs since
 * Linux 4.18; where there is none, or none is left (fs.aio-max-nr), they are
 * done one after another.
 *
 * Threads: any; one at a time is served.
 */
#ifndef BASE_SYNC_MANY_H
#define BASE_SYNC_MANY_H

#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

#define SYNC_MANY_MAX 32

struct sync_many {
    pthread_mutex_t lock;
    aio_context_t context; /* lock; made when it is first wanted */
    bool refused;          /* lock: the kernel has none for us */
};

void sync_many_init(struct sync_many *s);
void sync_many_release(struct sync_many *s);

/* An fsync of each of n <= SYNC_MANY_MAX descriptors, or an fdatasync where data_only[i].
 * -errno: one failed; the others were synced, or have failed too. */
int sync_many(struct sync_many *s, const int *fd, const bool *data_only, int n) MUST_CHECK;

#endif
