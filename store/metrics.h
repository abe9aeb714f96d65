/*
 * store/metrics: what a store counts while it runs, and its text for Prometheus
 * (.metrics of the mount).
 *
 * A new counter: a name in enum count, its row in the table of metrics.c, and
 * metrics_add() where it happens; docs/metrics.md says what it means. Count per
 * set, per flush, per segment, not per message and not per byte, best where a
 * lock is held anyway: a counter is one word that all threads share.
 * What is there already (open segments, who waits) is not counted but looked at
 * when somebody asks: metrics_text() in metrics.c.
 *
 * Nothing here takes time that grows with the number of partitions or segments:
 * totals are kept where they change. Topics have series of their own, the oldest
 * METRICS_TOPICS of them.
 */
#ifndef STORE_METRICS_H
#define STORE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/exposition.h"

struct store;

enum count {
    COUNT_SETS_APPENDED,
    COUNT_MESSAGES_APPENDED,
    COUNT_BYTES_APPENDED,
    COUNT_MESSAGES_VISIBLE,
    COUNT_BYTES_VISIBLE,
    COUNT_JOURNAL_BYTES,
    COUNT_SEGMENTS_BEGUN,
    COUNT_ALL,
};

#define METRICS_TOPICS 1000u

struct metrics {
    _Atomic uint64_t count[COUNT_ALL];
    struct histogram journal_flush, direct_flush;
    /* Now, of what is in memory. */
    _Atomic uint64_t partitions, failed_partitions, damaged_runs, damaged_messages;
};

static inline void metrics_add(struct metrics *m, enum count which, uint64_t n)
{
    atomic_fetch_add_explicit(&m->count[which], n, memory_order_relaxed);
}

#endif
