/*
 * fs/metrics: what a mount counts, and its part of .metrics: see store/metrics.h,
 * where a new counter is made in the same way.
 *
 * Threads: any. What is looked at when somebody asks is the mount's own and the
 * process's; nothing of it takes time that grows with what is stored.
 */
#ifndef FS_METRICS_H
#define FS_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/exposition.h"

struct fs;

enum fs_count {
    FS_COUNT_READS,
    FS_COUNT_READ_BYTES,
    FS_COUNT_WRITES,
    FS_COUNT_WRITTEN_BYTES,
    FS_COUNT_ERRORS, /* of publish files, by errno: the table has the order */
    FS_COUNT_ERRORS_LAST = FS_COUNT_ERRORS + 6,
    FS_COUNT_ALL,
};

struct fs_metrics {
    _Atomic uint64_t count[FS_COUNT_ALL];
};

static inline void fs_metrics_add(struct fs_metrics *m, enum fs_count which, uint64_t n)
{
    atomic_fetch_add_explicit(&m->count[which], n, memory_order_relaxed);
}

/* A write, close or fsync of a publish file was answered with this code, < 0. */
void fs_metrics_publish_failed(struct fs_metrics *m, int code);

/* Adds the text of the mount and its process. */
int fs_metrics_text(struct fs *fs, struct buf *out) MUST_CHECK;

#endif
