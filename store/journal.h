/*
 * store/journal: the commit journal, .journal.0 and .journal.1.
 *
 * One fdatasync of the journal makes sets of any number of partitions durable.
 * The two files take turns: a turn is a run of records with one salt. Before
 * a file gets a new turn, every partition its last one speaks of has been
 * flushed direct and its durable slot, on disk, says so (the checkpoint).
 *
 * Each record begins at a block of 4096 bytes, so no sector that an earlier
 * record of the turn lies in is ever written again. The file is grown a MiB
 * at a time by writing zeros ahead: fdatasync of bytes overwritten in place
 * is a third faster than of appended ones, and fallocate does not help.
 *
 * Threads: the flush thread (or recovery, or store_work) alone writes; the
 * fields that the checkpoint reads are under flusher.lock.
 * Format: docs/on-disk-format.md.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/format.h"

struct mark;
struct partition;
struct store;

#define JOURNAL_RECORD_MAX ((size_t)4 << 20)

struct journal_file {
    int fd;         /* -1: not open */
    uint64_t size;  /* zeros are written up to here */
    uint64_t pos;   /* where the next record goes */
    uint64_t salt;  /* of this turn */
    uint64_t first; /* sequence of the turn's first record; 0 = no turn */
    uint64_t begun_us;
    /* flusher.lock: the partitions this turn speaks of, until its checkpoint. */
    struct partition **parts;
    size_t part_count, part_room;
    bool free; /* nothing of its last turn is needed any more */
};

struct journal {
    struct store *store;
    struct journal_file file[2];
    int current;
    uint64_t file_max;
    uint64_t sequence; /* of the last record written */
    _Atomic bool dead; /* given up until the next start */
    bool damaged;      /* it was, when it was read at the start */
    struct buf record; /* being built */
    uint32_t record_parts;
    _Atomic bool want_turn; /* a checkpoint is wanted soon: too many files are open */
    _Atomic uint64_t turns;
};

/* Looks at both files' headers and touches nothing. ERR_NEWER_FORMAT. */
int journal_look(struct store *store, struct err *err) MUST_CHECK;

/* Opens both files, making those that are missing or not this store's anew. */
int journal_open(struct journal *j, struct store *store, struct err *err) MUST_CHECK;
void journal_close(struct journal *j);

/* Where the last record stands. Where there is none: 0, and as if it stood in 1. */
struct journal_last {
    uint64_t sequence;
    int file;
};

/* Begins a new turn behind the last record, where nothing is needed any more:
 * everything is flushed direct. In the other file, so that the last record stands,
 * with its `from`, until the first one of the turn is on disk. For the start, and
 * for the clean stop. */
void journal_begin(struct journal *j, const struct journal_last *last);

/* Can a record be written at all now? Turns to the other file where it must. */
bool journal_ready(struct journal *j, size_t bytes);

/* Is a turn wanted, and would it end anything? flusher.lock held. */
bool journal_may_turn(const struct journal *j);

/* Builds a record: start, add parts, write. A part is the bytes between two
 * marks of the partition's newest segment; each message is checked against its
 * CRC as it is read back. ERR_DAMAGED: one did not agree. -E2BIG: the record is
 * full without it. */
void journal_start(struct journal *j);
int journal_add(struct journal *j, struct partition *part, const struct mark *from,
                const struct mark *to, struct err *err) MUST_CHECK;
/* Writes and fdatasyncs it. -ENOSPC: no room to grow, nothing changed; other
 * failures: the journal is dead. */
int journal_write(struct journal *j, struct err *err) MUST_CHECK;

/* The size a part would have in the record. */
uint64_t journal_part_size(const struct mark *from, const struct mark *to);

#endif
