/*
 * tests/support/world: a store on an in-memory disk, and a ledger beside it.
 *
 * The vocabulary of histories. Every call does something to the store and
 * notes in the ledger what was asked and what was answered, with positions.
 * The store runs without threads, so that a history is the same every time.
 *
 * A call that fails where the history did not provide for it (world.lenient)
 * is noted in world.wrong: the first sentence stays.
 */
#ifndef TESTS_SUPPORT_WORLD_H
#define TESTS_SUPPORT_WORLD_H

#include "store/store.h"
#include "tests/support/ledger.h"
#include "tests/support/memdisk.h"

/* What a world does wrong on purpose. Zeroed = nothing. */
struct world_fault {
    struct memlie lie; /* told by the disk */
    bool hasty;        /* a duplicate counts as acknowledged before it is visible */
    bool remembers;    /* a set that was cut counts as a duplicate */
    bool same_random;  /* every start draws the same numbers */
    void (*before_start)(struct memdisk *disk); /* done to the disk then */
};

struct world_bytes {
    struct world_bytes *next;
    char bytes[];
};

struct world {
    struct memdisk *disk;
    struct memclock clock;
    struct store_options options;
    struct store *store; /* NULL: not running */
    struct ledger ledger;
    struct world_fault fault;
    bool lenient;              /* calls may fail: what they were for is then unknown */
    size_t full_from;          /* crash states from that operation on have no room; 0 = none */
    uint64_t lines;            /* so far: every line is another */
    struct world_bytes *bytes; /* what the ledger's sets consist of */
    char wrong[600];
};

/* An empty disk, recording; nothing runs. fault: NULL = none. */
void world_init(struct world *w, const struct world_fault *fault);
void world_release(struct world *w);
/* Goes on with another disk, of which all is durable, and with what is known
 * of it; takes both over. */
void world_move(struct world *w, struct memdisk *disk, const struct ledger *ledger);

/* Starts the store; recovers. False (and wrong is set) where it can not. */
bool world_start(struct world *w);
/* After a recovery: reads where the logs end and settles the ledger. */
void world_settle(struct world *w);
void world_stop(struct world *w); /* clean */
void world_kill(struct world *w);
void world_kill_and_start(struct world *w); /* and settles */

/* conf: lines of settings. */
void world_topic(struct world *w, const char *name, const char *conf);
/* n of them, as when so many threads want one each at the same time. */
void world_topics(struct world *w, const char *const *names, size_t n, const char *conf);
#define WORLD_TOGETHER 16
/* Was made, and not removed since. A start whose calls fail may leave it out. */
bool world_made(const struct world *w, const char *name);
/* It is there, to be used. */
bool world_has(const struct world *w, const char *name);
void world_remove(struct world *w, const char *name);
void world_configure(struct world *w, const char *name, const char *conf);

/* The topic goes with all its messages. */
void world_delete(struct world *w, const char *name);
/* So much later: retention has its turn. */
void world_retain(struct world *w, uint64_t later_ms);

/* One set of `messages` lines, about `bytes` each. True: appended. */
bool world_append(struct world *w, const char *topic, uint32_t part, uint32_t messages,
                  uint32_t bytes);
/* One set of messages with keys, headers and times. */
bool world_append_keyed(struct world *w, const char *topic, uint32_t part, uint32_t messages,
                        uint32_t bytes);
/* Leaves a gap of so many bytes and messages. True: it is there. */
bool world_gap(struct world *w, const char *topic, uint32_t part, uint32_t bytes,
               uint32_t messages);
/* -- world_produce.c: producers -- */

/* The next set of a producer. True: appended. */
bool world_produce(struct world *w, const char *topic, uint32_t part, int64_t id, uint32_t messages,
                   uint32_t bytes);
/* It begins a new epoch, with a set. */
bool world_produce_anew(struct world *w, const char *topic, uint32_t part, int64_t id);
/* It had no answer: it sends again its last set that is in the log, and all
 * behind it that are not, and waits for each as it was told. The log must have
 * each once. True: all are acknowledged. */
bool world_send_again(struct world *w, const char *topic, uint32_t part, int64_t id);
/* All producers do so. */
bool world_send_all_again(struct world *w);
/* Some producer is given an id. */
void world_producer_id(struct world *w);

/* -- waiting -- */

/* Waits until all that was appended is visible (or: durable). True: it is. */
bool world_wait(struct world *w, const char *topic, uint32_t part);
bool world_wait_durable(struct world *w, const char *topic, uint32_t part);
/* Rounds of the store's own work. now: as if every flush.ms had passed. */
void world_work(struct world *w, bool now);

/* -- between the files of world -- */

__attribute__((format(printf, 2, 3))) void world_wrong(struct world *w, const char *fmt, ...);
/* What the ledger keeps of a topic's settings. */
struct ledger_config world_looked_at(const struct topic_config *config, uint64_t partitions);
/* A line that is like no other, without its '\n'; its length. */
size_t world_line(struct world *w, char *to, size_t room, uint32_t bytes);
/* Notes in the ledger that the set is asked for. */
struct ledger_set *world_note_set(struct world *w, const char *topic, uint32_t part,
                                  const struct set *set);
/* Appends a set that is ready, and notes it. */
bool world_append_set(struct world *w, const char *topic, uint32_t part, struct set *set);
/* Waits until the visible end is at `end`; then all below `mark` is promised. */
bool world_wait_end(struct world *w, const char *topic, uint32_t part, uint64_t end, uint64_t mark);

#endif
