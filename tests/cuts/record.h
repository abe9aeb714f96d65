/*
 * tests/cuts/record: what a store has promised, kept where no power cut of its
 * disk reaches.
 *
 * One struct in memory that the processes share. Workers (load.c) write into
 * it as the store answers them; the next worker compares the recovered store
 * with it (verify.c). A worker may be killed at any instruction: an entry
 * counts once its `ready` is set, a pair once its turn has come.
 */
#ifndef TESTS_CUTS_RECORD_H
#define TESTS_CUTS_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RECORD_SETS  (1u << 16)
#define RECORD_PARTS 7u
#define RECORD_MADE  1024u

/* A set whose flush was waited for. */
struct record_set {
    uint64_t offset;
    uint32_t len, crc;
    _Atomic uint32_t ready;
};

/* The log's bytes [from, end), as somebody read them. Not from its beginning
 * where retention was faster: what it removed is back after a power cut. */
struct record_seen {
    uint64_t from, end;
    uint32_t crc;
};

struct record_part {
    struct record_set sets[RECORD_SETS];
    _Atomic uint32_t set_count;
    struct record_seen seen[2]; /* by a reader under load: [seen_turn % 2] */
    _Atomic uint32_t seen_turn;
    struct record_seen recovered[2]; /* by a worker after recovery, likewise */
    _Atomic uint32_t recovered_turn;
};

/* Of topic "n<i>": what was asked for and answered. */
enum record_topic { TOPIC_NONE, TOPIC_MAKING, TOPIC_MADE, TOPIC_REMOVING, TOPIC_REMOVED };

/* How far a worker is. */
enum phase { PHASE_BEGUN, PHASE_VERIFIED, PHASE_LOADED, PHASE_STOPPING, PHASE_STOPPED };

struct record {
    /* of a store's life */
    struct record_part parts[RECORD_PARTS];
    _Atomic uint32_t topics[RECORD_MADE]; /* enum record_topic */
    _Atomic uint32_t topic_count;
    /* of a worker's; what is set here is set by the calls below */
    int news;             /* eventfd: it has come further */
    int orders;           /* eventfd, readable: it is to stop, or its disk is cut */
    _Atomic uint32_t run; /* raised with each worker */
    _Atomic uint32_t phase;
    _Atomic bool stop; /* it shall stop cleanly */
    /* From now on calls may fail, and nothing more is promised, neither an
     * answer nor what a start found: while a file system is being shut down an
     * fdatasync of ext4, an fsync of a directory of xfs may return 0 that did
     * nothing, which none does before the power goes. Set before the cut,
     * looked at after the call. */
    _Atomic bool cut;
    /* of the program's */
    _Atomic uint64_t acknowledged; /* sets */
    _Atomic uint64_t lost;         /* whatever is not as it should be */
    _Atomic uint64_t rolls;        /* sealed segments that were verified, each time anew */
    _Atomic uint64_t turns; /* the journal's files took turns, in workers that came to an end */
};

struct record_where {
    const char *topic, *settings;
    uint32_t partition;
    bool keyed; /* messages with keys and headers */
    bool os;    /* flush.sync=os: readers see what a power cut may take */
    bool goes;  /* retention removes what is old */
};
extern const struct record_where record_where[RECORD_PARTS];

/* In memory that children share. */
struct record *record_new(void);
/* For a fresh store. */
void record_clear(struct record *r);

/* Before a worker is begun: what was said to the last one is forgotten. */
void record_begin(struct record *r);
/* The worker says how far it is, and that so many sets more are acknowledged. */
void record_reach(struct record *r, enum phase phase);
void record_acknowledge(struct record *r, uint64_t sets);
/* Waits until the worker says something, or ends; or until ms have passed. False:
 * it has ended, or time is up. worker: a pidfd. */
bool record_listen(struct record *r, int worker, int ms);
/* The worker is told to stop; or that its disk is being cut. */
void record_order_stop(struct record *r);
void record_order_cut(struct record *r);
/* Waits until it is told one of them. */
void record_await_order(const struct record *r);

void record_add_set(struct record_part *p, uint64_t offset, uint32_t len, uint32_t crc);
/* Replaces a pair so that a kill leaves the old or the new one. */
void record_put_seen(struct record_seen pair[2], _Atomic uint32_t *turn, struct record_seen seen);

/* Says what is wrong and counts it. */
__attribute__((format(printf, 2, 3))) void record_object(struct record *r, const char *fmt, ...);

#endif
