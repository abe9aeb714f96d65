/*
 * store/partition: one log of messages.
 *
 * The rest of the program reaches it through five calls: append, wait, find,
 * range, watch. Offsets are absolute byte positions in the log; a message's
 * offset is that of its first byte; numbers count messages from 0.
 *
 * The visible end is the one rule of reading: every reader stops there, it
 * only rises, and bytes below it never change and can not be taken back by a
 * power cut (with flush.sync=os: by a kill).
 *
 * A partition's memory lives as long as its topic is held. Callbacks run in
 * the thread that raised the visible end (an appender, a flusher, the
 * notifier) with no lock held; they may call anything here, must not block and
 * should be short.
 */
#ifndef STORE_PARTITION_H
#define STORE_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/set.h"

struct partition;
struct segment;
struct topic;

/* -- append -- */

/*
 * Appends one set, all of it or nothing; returns when it is in the log, which
 * is not yet when it is visible (but with flush.sync=os). *offset: where the
 * set begins. Blocks on disk I/O only.
 *
 * -ENOSPC, -EDQUOT: nothing was appended, the partition goes on.
 * -EMSGSIZE: a message or the set is over its limit. -EINVAL: a value with a
 * newline and values=lines. -EIO: this append failed; it was undone, or the
 * partition has failed with it and a start may find the set whole.
 * ERR_FAILED: the partition had failed before. ERR_STOPPING.
 */
int partition_append(struct partition *part, struct set *set, uint64_t *offset,
                     struct err *err) MUST_CHECK;

#define APPENDED_UNKNOWN UINT64_MAX

/* Where a set is. */
struct appended {
    uint64_t offset; /* of its first byte */
    uint64_t end;    /* partition_wait() for this before saying that it is appended */
    uint64_t number; /* of its first message */
    bool duplicate;  /* it was appended before, not now */
};

/*
 * The same, and says all that is known of where; for sets with a producer.
 *
 * A set that its producer sends again is not appended again: 0, and *at says
 * where it is, as `duplicate`. For one older than the producer's last five only
 * `end` is known, offset and number are APPENDED_UNKNOWN. Either may not be
 * visible yet, and a crash may take it as long as it is not: nobody may be told
 * of a duplicate, as of any set, before the visible end has reached `end`.
 *
 * Nothing was appended: ERR_BAD_SEQUENCE: sets before this one are missing.
 * ERR_OLD_EPOCH: the producer has begun a newer epoch. ERR_NO_PRODUCER:
 * its sequence is not 0, and nothing is known of the producer, who never
 * appended here or was forgotten (a week without a set; thousands of others
 * came after it; damage): it has to begin anew, with another id or epoch.
 */
int partition_append_at(struct partition *part, struct set *set, struct appended *at,
                        struct err *err) MUST_CHECK;

/*
 * Leaves a gap: the next message will have this offset and this number. For a
 * mirror whose source has the bytes between no more, and for a repair that gives
 * up what is lost. All that was appended before is flushed; returns when the gap
 * is on disk and readers may go on behind it. Without a gap (offset is the end,
 * number the next) it does nothing.
 *
 * -EEXIST: offset is below the end. -EINVAL: number is below the next one, or
 * more messages than bytes would be left out. Else as partition_append().
 */
int partition_skip_to(struct partition *part, uint64_t offset, uint64_t number,
                      struct err *err) MUST_CHECK;

/* -- wait and watch -- */

struct waiter {
    /* Called once. rc: 0; -EIO (the partition failed); -ENOENT (the topic was
     * removed); ERR_STOPPING. The waiter is the caller's again when this is called. */
    void (*done)(struct waiter *w, int rc);
    uint64_t end;
    uint64_t since_us; /* inside: when the wait began (CLOCK_MONOTONIC) */
    int rc;
    bool durable; /* inside: until the disk has it, not only readers */
    bool hurried; /* inside: a wait, not a watch */
    bool queued;  /* inside */
    struct waiter *next, *prev;
};

enum wait_for {
    WAIT_VISIBLE, /* what close(2) waits for */
    WAIT_DURABLE, /* what fsync(2) waits for: with flush.sync=os too */
};

/* Has everything below `end` flushed now, and calls w->done then (maybe before
 * this returns). w->done must be set. */
void partition_wait(struct partition *part, uint64_t end, enum wait_for what, struct waiter *w);

/* Calls w->done once the visible end is >= end, without hastening any flush. */
void partition_watch(struct partition *part, uint64_t end, struct waiter *w);

/* Takes back a wait or watch. True: w->done has not been and will not be
 * called. False: it was, or is just being. */
bool partition_cancel(struct partition *part, struct waiter *w);

/* -- where things are -- */

uint64_t partition_end(const struct partition *part);         /* appended */
uint64_t partition_visible_end(const struct partition *part); /* readable */
uint64_t partition_first(struct partition *part);             /* oldest kept offset */
uint32_t partition_index(const struct partition *part);
struct topic *partition_topic(const struct partition *part);
bool partition_failed(const struct partition *part);

struct partition_stat {
    uint64_t first, sealed_end, visible_end; /* offsets */
    uint64_t messages;                       /* that are there, from first to visible_end */
    uint64_t last_ms;                        /* last visible append; 0 = none */
    uint64_t damaged_messages;               /* known damage, as runs and messages */
    uint32_t damaged_runs;
    bool failed;
    const char *why; /* it failed; a sentence that lives as long as the topic */
};
int partition_stat(struct partition *part, struct partition_stat *st) MUST_CHECK;

/* What was left out on purpose: partition_skip_to(). Between two segments, so not
 * before the first offset. */
struct gap {
    uint64_t offset, end; /* the bytes [offset, end) */
    uint64_t messages;    /* as the numbers of those around it say */
};
/* The first gap that ends above `offset`; -ENOENT. */
int partition_gap_next(struct partition *part, uint64_t offset, struct gap *g) MUST_CHECK;

/* 0: `offset` begins a message or a gap, or is the visible end. ERR_NOT_A_BOUNDARY,
 * ERR_OUT_OF_RANGE (above the visible end), ERR_GONE (below the first, or inside
 * a gap), -EIO. */
int partition_find(struct partition *part, uint64_t offset) MUST_CHECK;
/* The offset of message `number`; ERR_OUT_OF_RANGE, ERR_GONE. */
int partition_find_number(struct partition *part, uint64_t number, uint64_t *offset) MUST_CHECK;
/* The first message appended at or after time_ms; the visible end where all
 * are older. */
int partition_find_time(struct partition *part, uint64_t time_ms, uint64_t *offset) MUST_CHECK;

/* When the message that holds the byte at `offset` was appended. ERR_OUT_OF_RANGE,
 * ERR_GONE (a gap has no bytes), ERR_DAMAGED. */
int partition_time_of(struct partition *part, uint64_t offset, uint64_t *time_ms) MUST_CHECK;

/* -- reading -- */

/* Bytes of one segment. Holds the segment (and, if removed, its disk space)
 * until range_release(). */
struct range {
    struct segment *seg;
    uint64_t offset;   /* of the first byte */
    uint64_t len;      /* 0 = nothing visible there (yet) */
    int fd;            /* of its .log ... */
    uint64_t pos;      /* ... where the bytes stand */
    const char *bytes; /* the same, mapped; NULL where this disk has no mapping.
                        * Only for writev(2) (EFAULT -> EIO), never to be read
                        * by the program itself: a truncated file is SIGBUS. */
};
void range_release(struct range *r);

/* The visible bytes from `offset`, at most max_bytes and to the end of the
 * segment that holds them. Any offset goes, message boundary or not. ERR_GONE
 * below the first and in a gap, from its first byte on; ERR_OUT_OF_RANGE above
 * the visible end. */
int partition_range(struct partition *part, uint64_t offset, uint64_t max_bytes,
                    struct range *out) MUST_CHECK;

/* Whole messages from the boundary `offset` on, for readers of messages:
 * known damage is skipped (out->offset is then above `offset`) and counted in
 * *skipped; so are gaps, which are not counted. About max_bytes, but at least one message where one is visible.
 * out->len 0: nothing more is visible; out->offset is where to go on. */
int partition_messages(struct partition *part, uint64_t offset, uint64_t max_bytes,
                       struct range *out, uint64_t *skipped) MUST_CHECK;

/* -- segments -- */

struct segment_stat {
    uint64_t base;          /* offset of its first byte: its name */
    uint64_t visible_bytes; /* its size, for readers */
    uint64_t disk_bytes;    /* allocated for .log */
    uint64_t last_ms;       /* last visible append in it; its making if none */
    bool sealed;            /* has a successor: never changes again */
};

/* The first segment with base >= from. -ENOENT: there is none. */
int partition_segment_next(struct partition *part, uint64_t from,
                           struct segment_stat *st) MUST_CHECK;

/* Its name alone: opens nothing, and loads nothing where .clean says enough. */
int partition_segment_after(struct partition *part, uint64_t from, uint64_t *base,
                            bool *sealed) MUST_CHECK;

/* The segment with that base, held: it stays readable after retention removed
 * it, until segment_release(). -ENOENT. */
int partition_segment_hold(struct partition *part, uint64_t base, struct segment **seg) MUST_CHECK;
void segment_release(struct segment *seg);
int segment_get_stat(struct segment *seg, struct segment_stat *st) MUST_CHECK;
int segment_log_fd(const struct segment *seg); /* read-write; while held */
/* As partition_range, positions counted from the segment's first byte; beyond
 * what is visible: len 0. */
int segment_range(struct segment *seg, uint64_t pos, uint64_t max_bytes,
                  struct range *out) MUST_CHECK;

#endif
