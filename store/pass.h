/*
 * store/pass: one pass over a segment's entries and the bytes they speak of.
 *
 * Recovery, `topicfs check` and the scrubber all verify with this. An entry
 * holds if its positions are in order, inside the files, and its CRC agrees;
 * its message begins where the one before it ends. What is read goes through
 * windows, at the speed of the CRC; the files are not changed.
 *
 * Threads: a pass belongs to one. It borrows the descriptors, holds no lock,
 * and may be continued at any later time, as the files only grow.
 *
 * Every call may fail with -ENOMEM, or with the -errno of a read.
 */
#ifndef STORE_PASS_H
#define STORE_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fileio.h"
#include "store/format.h"

/* A place between two messages. */
struct pass_at {
    uint64_t entry;     /* the next one */
    uint32_t log, meta; /* where its message and its record begin */
    uint32_t time_ms;   /* of the one before, after the base time */
};

/* A window on one file, read with pread. */
struct pass_window {
    int fd; /* -1: no such file, which is as an empty one */
    uint64_t size;
    uint8_t *data;
    uint64_t pos, len;
};

struct pass {
    struct fileio *io;
    uint64_t base; /* offset of the segment */
    int idx;
    struct pass_window log, meta;
    uint64_t count;      /* whole entries in .idx */
    struct pass_at at;   /* all before it was passed */
    struct pass_at kept; /* the last end of a set */
    uint8_t *entries;    /* [entries_at, entries_at + entries_len) of them */
    uint64_t entries_at, entries_len;
};

/* Begins at the first entry. Descriptors of .log, .idx (which has a header) and
 * .meta; log and meta may be -1. To be closed in any case. */
int pass_open(struct pass *p, struct fileio *io, int log, int idx, int meta,
              uint64_t base) MUST_CHECK;
void pass_close(struct pass *p);

/* Goes on at `at`, which is the end of a set. */
void pass_seek(struct pass *p, const struct pass_at *at);

/* Passes entries until at.log >= limit or there are no more: 0. 1: the entry at
 * hand does not hold. */
int pass_run(struct pass *p, uint64_t limit) MUST_CHECK;

/* Entry i as it stands, unverified. */
int pass_entry(struct pass *p, uint64_t i, struct idx_entry *e) MUST_CHECK;

/* The first bytes, few, of a .meta record as they stand, unverified;
 * valid until the next call. ERR_TORN: the file ends before. */
int pass_record(struct pass *p, uint64_t pos, uint64_t len, const uint8_t **bytes) MUST_CHECK;

/* From an entry that does not hold to the next that does: 1, and what lies
 * between *from and at is damage. 0: there is none, and nothing moved. */
int pass_skip(struct pass *p, struct pass_at *from) MUST_CHECK;

/* What one step has come to. */
struct pass_step {
    uint64_t messages;       /* that hold */
    uint64_t log_bytes;      /* of .log, which they are */
    uint64_t bytes;          /* of .log and .meta, likewise */
    bool damaged;            /* the run of messages [from, to) does not hold */
    struct pass_at from, to; /* set where damaged */
};

/* One step of verifying the messages that end at position `end`: passes entries
 * that come to `bytes` of .log or a little more; at one that does not hold it ends,
 * at the next that does. 1: there is more. 0: the end is reached, or nothing up to
 * it holds any more. *step is told on failure too: what held before. */
int pass_step(struct pass *p, uint64_t bytes, uint64_t end, struct pass_step *step) MUST_CHECK;

#endif
