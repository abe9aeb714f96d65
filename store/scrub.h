/*
 * store/scrub: sealed segments are verified again and again while the store is
 * used, so that damage is found before its messages are wanted. Not for others.
 *
 * A pass goes through all sealed segments, in the order of topics, partitions
 * and offsets, at no more than options.scrub_bytes_per_second; the next one
 * begins an hour after it began, or when it is done. What is found is known
 * damage from then on: said once, in .status, skipped by readers of messages. A
 * repair would note it for good; the scrubber writes nothing.
 *
 * It reads through descriptors of its own, which tell the kernel that what is
 * read is not read again: pages that others use are not pushed out by it, on a
 * kernel that listens (Linux 6.3). No lock is held while it reads.
 *
 * Threads: one of its own. Without threads scrub_work() does a step.
 */
#ifndef STORE_SCRUB_H
#define STORE_SCRUB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/pass.h"

struct segment;
struct store;
struct topic;

struct scrubber {
    struct store *store;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic bool stop;

    /* The thread's own, or scrub_work()'s: where the pass is. */
    uint32_t topic_number, index; /* the next segment is of this partition, or a later one */
    uint64_t from;                /* ... and begins here, or later */
    struct topic *topic;          /* held: of the segment at hand */
    struct segment *seg;          /* held; NULL: none is at hand */
    uint64_t end;                 /* position: where it ends */
    uint64_t number;              /* of its first message */
    int fd[SUFFIX_COUNT];
    struct pass pass;

    _Atomic uint64_t bytes, passes, damaged_messages;
};

void scrub_init(struct scrubber *s, struct store *store);
/* With options.threads, and a rate: begins. */
int scrub_start(struct scrubber *s, struct err *err) MUST_CHECK;
/* Returns when the thread has ended, which waits for one read at most. */
void scrub_stop(struct scrubber *s);
void scrub_release(struct scrubber *s);

/* One step: a MiB or so. False: a pass has come to its end, or there is no rate. */
bool scrub_work(struct scrubber *s);

#endif
