/*
 * store/segment: one segment: its .log, .idx and, if any message has one, .meta.
 *
 * A segment only ever changes at its end, and shrinks only by segment_cut().
 * Positions count from the segment's first byte, entries from 0. What is
 * appended, flushed and visible of the newest segment is its partition's
 * knowledge (marks in inside.h); a sealed one is all visible and its facts
 * never change.
 *
 * Memory and files are counted apart. segment_get/put hold the memory.
 * segment_use/unuse hold the files open (and the memory): a bounded number of
 * segments that nobody uses stays open, the longest unused are closed first.
 *
 * Threads: use/unuse and the mapping are guarded by store.files_lock. One
 * writer at a time (the partition's appender, or recovery); any number of
 * readers, below what their partition told them.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/format.h"

struct partition;

struct segment {
    struct partition *part;
    uint64_t base; /* offset of the first byte */
    atomic_uint refs;

    /* store.files_lock */
    unsigned uses;
    _Atomic int fd[SUFFIX_COUNT]; /* -1: closed, or no .meta (made while readers look) */
    char *map;
    size_t map_bytes;
    struct segment *idle_next, *idle_prev;

    uint64_t base_number; /* where number_known, from the beginning */
    bool number_known;
    /* Set when the files are first opened, constant after. */
    uint64_t base_time_ms;
    bool gap_before; /* its header's flag */
    bool read_only;  /* a file could be opened for reading only */
    bool no_index;   /* a sealed one without a valid .idx: its bytes can be read, no more */

    /* Set before it is in its partition's list: what is missing on purpose between
     * the segment before it and this one. */
    uint64_t gap_bytes, gap_messages;

    /* Where the durable slot stands; the flush that holds the partition. */
    struct idx_slot slot;

    /* Under partition.lock, constant once sealed. */
    bool sealed;
    bool facts_known; /* count and last_ms of a sealed one */
    uint64_t end;     /* offset just past the last byte, when sealed */
    uint64_t count;
    uint64_t last_ms;
    /* For retention.bytes: of all its files; while it is the newest, of those that
     * do not grow. */
    uint64_t file_bytes;
};

/* Memory only; refs = 1. */
struct segment *segment_new(struct partition *part, uint64_t base);
struct segment *segment_get(struct segment *seg);
void segment_put(struct segment *seg);

/* Makes the files of a new, empty segment and fsyncs the directory; leaves it
 * used once. h->base_offset is the segment's base; prod: the bytes of its .prod,
 * none where there is none. On failure nothing of it is left, durably, or
 * *left_over is true. */
int segment_create(struct segment *seg, const struct idx_header *h, const struct buf *prod,
                   bool *left_over, struct err *err) MUST_CHECK;

/* Opens the files where they are not open. ERR_TORN: no valid .idx header or a
 * wrong base in it; ERR_NEWER_FORMAT; -errno. */
int segment_use(struct segment *seg, struct err *err) MUST_CHECK;
void segment_unuse(struct segment *seg);

/* Closes the files, if they are open and nobody uses them. */
void segment_close_unused(struct segment *seg);

/* Closes unused segments until at most `keep` stay open. */
struct store;
void segments_close_idle(struct store *store, unsigned keep);

/* While used: */

/* Makes the .meta. The directory is not fsynced. */
int segment_make_meta(struct segment *seg) MUST_CHECK;

/* Reads entries [first, first+n) as they stand on disk. */
int segment_read_entries(struct segment *seg, uint64_t first, uint32_t n, uint8_t *out) MUST_CHECK;
int segment_read_entry(struct segment *seg, uint64_t i, struct idx_entry *e) MUST_CHECK;
/* Where message i begins in .log and .meta: the end of i-1. */
int segment_entry_start(struct segment *seg, uint64_t i, uint32_t *log_pos,
                        uint32_t *meta_pos) MUST_CHECK;

/* Cuts back to these sizes, and fdatasyncs each file that was cut, and the .idx. */
int segment_cut(struct segment *seg, uint64_t log_bytes, uint64_t count,
                uint64_t meta_bytes) MUST_CHECK;

/* Writes the next durable slot, without flushing it. */
int segment_write_slot(struct segment *seg, uint64_t end) MUST_CHECK;

/* The first entry of [0, count) whose end is > pos: the message that holds the
 * byte at pos. count where there is none. */
int segment_entry_holding(struct segment *seg, uint64_t count, uint64_t pos,
                          uint64_t *entry) MUST_CHECK;
/* The first entry of [0, count) with time >= time_ms (after the base time). */
int segment_entry_at_time(struct segment *seg, uint64_t count, uint64_t time_ms,
                          uint64_t *entry) MUST_CHECK;

/* The .log from its first byte, mapped so that at least `bytes` are inside;
 * NULL where that cannot be. */
const char *segment_map(struct segment *seg, uint64_t bytes);

#endif
