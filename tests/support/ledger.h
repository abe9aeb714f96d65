/*
 * tests/support/ledger: what a store was asked and what it answered, kept
 * outside it.
 *
 * Everything is noted with its position: how many operations the disk had
 * done by then. For a crash after operation k, what counts is what was noted
 * at positions <= k: it happened before operation k + 1 was begun.
 *
 *   begun > k                 was not asked for yet: must not be there
 *   begun <= k < done         in flight: may be there, whole, or not
 *   done <= k                 appended: likewise, until a mark covers it
 *   a mark <= k covers it     seen or acknowledged: must be there, the same
 *   gone <= k                 refused, or cut by a recovery: must not be there
 *
 * A partition's log is its sets in the order in which they were begun, those
 * left out that were gone; recovery may end it at any set that no mark covers.
 *
 * Ledgers are copied when a crash state is lived on. The bytes of the sets
 * are borrowed. Single-threaded.
 */
#ifndef TESTS_SUPPORT_LEDGER_H
#define TESTS_SUPPORT_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/set.h"

#define LEDGER_NEVER      SIZE_MAX
#define LEDGER_TOPICS     16
#define LEDGER_PARTITIONS 40
#define LEDGER_CONFIGS    16
#define LEDGER_IDS        8

struct ledger_set {
    size_t begun, done, gone;
    uint64_t offset; /* where the append said it is; known once done */
    uint32_t messages;
    bool gap;          /* a gap of so many messages and bytes, of which there are none */
    const char *bytes; /* of .log, then of .meta; not the ledger's own */
    size_t len, meta_len;
    bool produced; /* by `producer` */
    struct producer producer;
};

struct ledger_mark {
    size_t at;
    uint64_t end;
    bool durable; /* a power cut may not take it; else: a kill may not */
};

/* Retention had its turn: the log began at `first` afterwards. */
struct ledger_removal {
    size_t begun, done;
    uint64_t first;
};

struct ledger_part {
    struct ledger_set *sets;
    size_t set_count, set_room;
    struct ledger_mark *marks;
    size_t mark_count, mark_room;
    struct ledger_removal *removals;
    size_t removal_count, removal_room;
};

/* What of a topic's settings is looked at. */
struct ledger_config {
    size_t begun, done;
    uint64_t flush_ms;
    uint32_t partitions;
    bool os; /* flush.sync=os */
};

/* A topic from its making to its removal. */
struct ledger_topic {
    const char *name;
    bool os;             /* flush.sync=os; as of the last change that was done */
    uint32_t partitions; /* likewise */
    size_t begun, made, removing, removed;
    /* configs[0] is how it was made. */
    struct ledger_config configs[LEDGER_CONFIGS];
    size_t config_count;
    struct ledger_part parts[LEDGER_PARTITIONS];
};

struct ledger {
    struct ledger_topic topics[LEDGER_TOPICS];
    size_t count;
    struct {
        size_t at;
        int64_t id;
    } ids[LEDGER_IDS]; /* that producers were given */
    size_t id_count;
    bool producers; /* some set has one, or an id was given */
};

void ledger_release(struct ledger *l);
/* What is known at position k. Anew: after a power cut there; positions count
 * from 0 again, and what it may have taken is no longer marked as seen. */
void ledger_copy(struct ledger *to, const struct ledger *from, size_t k, bool anew);

struct ledger_topic *ledger_add_topic(struct ledger *l, const char *name, size_t at);
/* The youngest topic of that name; NULL. */
struct ledger_topic *ledger_topic(const struct ledger *l, const char *name);
struct ledger_set *ledger_add_set(struct ledger_part *p, const char *bytes, size_t len,
                                  size_t meta_len, uint32_t messages, size_t at);
void ledger_add_mark(struct ledger_part *p, size_t at, uint64_t end, bool durable);

void ledger_add_removal(struct ledger_part *p, size_t begun, size_t done, uint64_t first);
/* Where the log begins at least and at most after a crash at k. */
uint64_t ledger_first_least(const struct ledger_part *p, size_t k);
uint64_t ledger_first_most(const struct ledger_part *p, size_t k);

/* A number that two positions share where the ledger says the same at both. */
size_t ledger_stage(const struct ledger *l, size_t k);

/* May a topic that is there at k have these settings? */
bool ledger_config_may_be(const struct ledger_topic *t, const struct ledger_config *found,
                          size_t k);
/* A change is done (at `begun`, not yet done, it is only noted). */
void ledger_add_config(struct ledger_topic *t, struct ledger_config config);
void ledger_config_done(struct ledger_topic *t, size_t at);
/* After a recovery at `at` found it to be so. */
void ledger_settle_topic(struct ledger_topic *t, size_t at, struct ledger_config found);

/* The end below which everything must be there after a crash at k. */
uint64_t ledger_must(const struct ledger_part *p, size_t k, bool power_cut);
/* May (or must) the set be part of the log at k? */
bool ledger_counts(const struct ledger_set *s, size_t k);
/* The number of the message that would follow at k. */
uint64_t ledger_next_number(const struct ledger_part *p, size_t k);
/* After a recovery at position `at` found the log to end at `end`: what is
 * behind is gone, what is before has been seen, or is even durable. */
void ledger_settle(struct ledger_part *p, size_t at, uint64_t end, bool durable);

#endif
