/*
 * store/producers: what the producers of one partition appended last, so that a
 * set sent again is found and not appended twice. Not for others.
 *
 * A producer numbers its messages in each partition, from 0 in each epoch; a
 * set has the number (sequence) of its first. Of each producer the last
 * PRODUCER_SETS sets are known; a client never has more on their way. What does
 * not follow the last one and is none of them is refused: an answer "appended"
 * to a set that is not there would lose it.
 *
 * Bounded and expiring: beyond PRODUCERS_MAX the one that was longest without a
 * set is forgotten, and each PRODUCER_EXPIRES_MS after its last set. Who is
 * forgotten is unknown, and has to begin with sequence 0: with another id, or
 * another epoch.
 *
 * On disk this is in the .meta records of the sets themselves, and for what
 * stands in sealed segments in the newest one's .prod, written with it
 * (docs/on-disk-format.md). So a set that was cut is forgotten here too: in
 * memory it is noted once its group is written, and on disk it goes with its
 * bytes. Nothing is read before the first set with a producer, or the first
 * roll (producers_load.c).
 *
 * Threads: the partition's append leader; no lock.
 */
#ifndef STORE_PRODUCERS_H
#define STORE_PRODUCERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/set.h"

struct appended;
struct partition;
struct producers;

#define PRODUCER_SETS       5u
#define PRODUCERS_MAX       4096u              /* of a partition: less than 1 MiB */
#define PROD_MAX            ((size_t)16 << 20) /* bytes of a .prod: far above what those need */
#define PRODUCER_EXPIRES_MS ((uint64_t)7 * 24 * 3600 * 1000)

/* One set of a producer. */
struct produced_set {
    int32_t sequence;
    uint32_t messages;
    uint64_t offset, number; /* of its first message */
    uint64_t end;            /* not below its end; all below it is visible if that is */
};

struct producers *producers_new(void); /* NULL: no memory */
void producers_free(struct producers *all);
/* Forgets all. */
void producers_clear(struct producers *all);
size_t producers_count(const struct producers *all);

/* -- appending -- */

enum producer_verdict {
    PRODUCER_NEXT = 1, /* to be appended */
    PRODUCER_AGAIN,    /* is there already: *at says where */
    PRODUCER_LATER,    /* depends on a set of this group: ask again when that is written */
};

/* Begins a group: what was found PRODUCER_NEXT and not noted is forgotten. */
void producers_begin_group(struct producers *all);

/* May the set be appended behind those of this group that were asked before?
 * A verdict, or ERR_BAD_SEQUENCE, ERR_OLD_EPOCH, ERR_NO_PRODUCER,
 * -ENOMEM with a sentence. */
int producers_ask(struct producers *all, const struct set *set, uint64_t now_ms,
                  struct appended *at, struct err *err) MUST_CHECK;

/* Notes a set that has been appended; it was PRODUCER_NEXT in this group. */
void producers_appended(struct producers *all, const struct set *set, const struct appended *at,
                        uint64_t time_ms);

/* Notes a set found on disk, whatever was known before. -ENOMEM. */
int producers_note(struct producers *all, const struct producer *p, const struct produced_set *set,
                   uint64_t time_ms) MUST_CHECK;

/* -- .prod -- */

/* Adds the bytes of a .prod: who has not expired, longest without a set first.
 * Nothing where that is nobody. */
int producers_encode(const struct producers *all, uint64_t now_ms, struct buf *out) MUST_CHECK;

/* Takes over what the .prod of the segment at `base` says, which begins with
 * message `number`. ERR_TORN: not valid; ERR_NEWER_FORMAT; -ENOMEM. On failure
 * nothing is known. */
int producers_decode(struct producers *all, const void *data, size_t len, uint64_t base,
                     uint64_t number) MUST_CHECK;

/* -- producers_load.c -- */

/* Reads the state of a partition where that has not been done, from .prod and
 * .meta; what is damaged is said, and those whom it concerns are forgotten. The
 * newest segment is used by the caller. -EIO and others: it may be tried again. */
int producers_load(struct partition *part, struct err *err) MUST_CHECK;

/* The bytes of the .prod of the next segment, none where nobody is known. What
 * cannot be read is said and forgotten: no payload is refused for it. -ENOMEM
 * and the like. */
int producers_for_roll(struct partition *part, struct buf *out, struct err *err) MUST_CHECK;

#endif
