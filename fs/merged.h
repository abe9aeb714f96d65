/*
 * fs/merged: the position of one reader in all partitions of a topic.
 *
 * Whole messages of one partition after another in turn. A message that is
 * larger than the reader's buffer is handed out in pieces before another
 * partition has its turn. Known damage is skipped and what retention removed
 * is passed over; partitions that are added are read from their beginning. No
 * FUSE in here.
 *
 * A read takes, is answered, and then says whether that arrived: until then no
 * other read of the same handle takes anything, so nothing is lost or told
 * twice where a reader is killed.
 *
 * Threads: any. merged.lock is a leaf.
 */
#ifndef FS_MERGED_H
#define FS_MERGED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "fs/names.h"
#include "store/store.h"

struct merged;

/* From a place in each of the topic's partitions. Holds
 * the topic. */
int merged_new(struct merged **out, struct topic *topic, const struct place *from) MUST_CHECK;
void merged_free(struct merged *m);

/* True if merged_take() would find something: nobody is taking, and there is
 * something to take. */
bool merged_more(struct merged *m);

/*
 * The next bytes, at most size, into *out (to be released by the caller).
 * 1: they are there, and merged_taken() must follow. 0: nothing now.
 * -EIO: a partition cannot be read. ERR_GONE: the topic was removed.
 */
int merged_take(struct merged *m, uint64_t size, struct range *out) MUST_CHECK;

/* delivered: false, and the same bytes are given to the next read. */
void merged_taken(struct merged *m, const struct range *range, bool delivered);

#endif
