/*
 * store/recover: from files as a crash may have left them to a store that can
 * be used. Not for others.
 *
 * Three passes, so that a store written by a newer version is refused before
 * anything in it was touched, and no visible end rises before what is below it
 * is on disk:
 *
 *   scan    (scan.c)    read-only: which segments there are, do they join up
 *   replay  (replay.c)  the journal's records, above each durable slot
 *   settle  (verify.c)  verify from the slot on; cut a torn tail, keep damage;
 *                       write again what is kept above the slot; flush; slot
 *
 * Torn tail: a bad entry above everything that slot or journal vouch for. It
 * was never acknowledged and goes. Damage: anything else that does not agree.
 * It stays as it is, is known in memory, and readers of messages skip it;
 * where appending could reuse offsets, the partition is read-only.
 *
 * Everything here runs in one thread, before the store's own start, except
 * recover_load_clean().
 */
#ifndef STORE_RECOVER_H
#define STORE_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/flush.h"
#include "store/segment.h"

struct journal_last;
struct partition;
struct store;
struct topic;

/* A segment as found: files by their suffix. */
struct found_segment {
    uint64_t base;
    bool has[SUFFIX_KNOWN];
    uint64_t bytes[SUFFIX_KNOWN];
    bool header_valid;
    bool gap_before;
    uint64_t number, base_time_ms;
    uint64_t slot_end;     /* offset; the base where it has no slot */
    bool tail_valid;       /* its last entries are in order; the last one is: */
    struct idx_entry last; /* all zero where there are none */
    bool left_over;        /* goes: see scan.c */
};

struct found {
    struct found_segment *seg;
    size_t count, room;
    bool temporaries; /* left-over temporaries are there too */
};

/* Lists a partition's directory. ERR_NEWER_FORMAT: refuse the store. */
int scan_partition(struct partition *part, struct found *found, struct err *err) MUST_CHECK;
void scan_release(struct found *found);
void scan_forget(struct partition *part); /* frees part->found, if any */
/* Is the newest segment, by what was found alone, as a flush of all of it left
 * it? Then *at is its end: what verify_partition() would find. */
bool scan_settled(const struct partition *part, const struct found *found, struct mark *at);
/* Deletes what is left over, durably; makes the empty .log that a segment behind
 * a gap lacks. */
int scan_clean_up(struct partition *part, struct found *found) MUST_CHECK;
/* Makes the list of segments; notes where they do not join up. */
int scan_adopt(struct partition *part, const struct found *found, struct err *err) MUST_CHECK;

/* The whole of it, for a store that was not stopped cleanly. */
int recover_store(struct store *store, struct err *err) MUST_CHECK;

/* Lists the segments of a partition that .clean vouches for. partition.lock
 * held. ERR_DAMAGED: somebody changed them since. 0 with *broken set: a sealed one
 * is damaged, and the partition to be failed. */
int recover_load_clean(struct partition *part, struct err *broken, struct err *err) MUST_CHECK;

/* Reads the journals of a store that was stopped cleanly, of which nothing is
 * needed, and says what does not read back. */
int replay_look(struct store *store, struct err *err) MUST_CHECK;

/* Finds the last record of the journals, without replaying them. */
int replay_last(struct store *store, struct journal_last *last) MUST_CHECK;
/* Replays, and finds the last record; raises part->vouched. *keep: a part could not
 * be written for want of room, so the journal must stay as it is. */
int replay_journals(struct store *store, struct journal_last *last, bool *keep,
                    struct err *err) MUST_CHECK;

/* Verifies the newest segment from its durable slot on and sets the marks to
 * what is kept. *slot: where the slot stands; what is above it has to be
 * written again and flushed. */
int verify_partition(struct partition *part, struct mark *slot, struct err *err) MUST_CHECK;
/* Writes [slot, appended) of the newest segment again, byte for byte. */
int verify_rewrite(struct partition *part, const struct mark *slot) MUST_CHECK;

/* Makes the topic's sealed/ the sealed segments as they are now. */
int sealed_rebuild(struct topic *topic) MUST_CHECK;

/* .clean: reads it into the partitions; false: there is none to believe. */
bool clean_read(struct store *store);
int clean_write(struct store *store, struct err *err) MUST_CHECK;
int clean_remove(struct store *store) MUST_CHECK;

#endif
