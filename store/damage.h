/*
 * store/damage: which messages of a partition are known to be damaged, and the
 * .damaged beside a segment, in which a repair notes them. Not for others.
 *
 * A .damaged is text: a line "NUMBER OFFSET BYTES MESSAGES" for each run of
 * damaged messages, with the number and the offset of the first, then "crc32c "
 * and 8 hex digits over all before. It is replaced as a whole.
 *
 * Threads: partition.lock, or the one that opens the partition.
 */
#ifndef STORE_DAMAGE_H
#define STORE_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct partition;
struct pass_at;

/* Messages that are known to be damaged: the bytes [offset, end). */
struct damage {
    uint64_t offset, end;
    uint64_t number;   /* of the first */
    uint64_t messages; /* 0 = unknown: the .idx says nothing about them */
    bool noted;        /* a .damaged says so */
    bool seen;         /* it was found since the partition was opened */
};

/* What a pass over the segment at `base`, whose first message is `number`, has just
 * found between two of its places. */
struct damage damage_between(uint64_t base, uint64_t number, const struct pass_at *from,
                             const struct pass_at *to);

/* Adds what was found; a run that touches or covers others of its segment becomes
 * one with them. *known: all of it had been noted or added before. -ENOMEM. */
int damage_add(struct partition *part, const struct damage *d, bool *known) MUST_CHECK;
/* Forgets runs that lie in [offset, end) and were not noted. */
void damage_forget(struct partition *part, uint64_t offset, uint64_t end);

/* Everything below `first` is gone. */
void damage_below_gone(struct partition *part, uint64_t first);
void damage_clear(struct partition *part); /* forgets all */

/* Takes over what the .damaged of the segment at `base` says of the bytes below
 * `end`. What cannot be read is said, and nothing of it is taken. -ENOMEM. */
int damage_read(struct partition *part, uint64_t base, uint64_t end) MUST_CHECK;
/* Has a .damaged of that segment been taken over? */
bool damage_is_noted(const struct partition *part, uint64_t base, uint64_t end);
/* Makes the .damaged of the segment say what is known of [base, end), durably;
 * where nothing is, there is none. *changed: it said something else. */
int damage_write(struct partition *part, uint64_t base, uint64_t end, bool *changed,
                 struct err *err) MUST_CHECK;

#endif
