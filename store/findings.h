/*
 * store/findings: all that a start or a check may find wrong with a store.
 *
 * A start says each finding in the log as it comes. A check is handed them, and
 * adds what it means and what to do, which depends on the kind alone.
 *
 * Threads: those of a start or a check: one. The scrubber's say theirs in the
 * log only.
 */
#ifndef STORE_FINDINGS_H
#define STORE_FINDINGS_H

#include <stdbool.h>

struct store;

enum finding {
    /* Nothing need be done. */
    FOUND_FOREIGN,      /* a name that is none of a store's */
    FOUND_LEFT_OVER,    /* what a crash interrupted */
    FOUND_KNOWN_DAMAGE, /* noted by a repair */
    FOUND_EXTRA_BYTES,  /* that no message speaks of */
    FOUND_STALE_NOTE,   /* noted by a repair, and good */
    FOUND_SEALED_ALONE, /* a link whose segment is gone */
    FOUND_NO_LOCK_FILE,
    FOUND_MADE_LOG, /* what a repair did */
    FOUND_MADE_INDEX,
    FOUND_MADE_SEGMENT,
    FOUND_MADE_NOTE,
    /* The next start mends it; nothing that was acknowledged is lost. */
    FOUND_NOT_CLEAN,
    FOUND_CLEAN_MISTAKEN, /* .clean does not agree with the files */
    FOUND_TORN_TAIL,
    FOUND_SEALED_MISSING,
    FOUND_JOURNAL_HEADER,
    FOUND_JOURNAL_MISSING,
    FOUND_JOURNAL_FIRST, /* a turn's first record, or what it is written over: torn or damaged */
    FOUND_JOURNAL_OLD,   /* a record that is not needed any more */
    FOUND_NO_ROOM,
    /* Damage. */
    FOUND_JOURNAL_RECORDS,
    FOUND_MESSAGES,
    FOUND_SHORT_SEGMENT,
    FOUND_NO_INDEX,
    FOUND_READ_ONLY,
    FOUND_TOPIC,
    FOUND_TOPIC_GONE,
    FOUND_BEGINS_LATER,
    FOUND_SEALED_WRONG,
    FOUND_PRODUCERS,
    FOUND_DAMAGED_FILE,
    FOUND_NO_REPAIR,
    FOUND_KINDS,
};

enum finding_weight { FOUND_NOTE, FOUND_MENDED, FOUND_DAMAGE };

enum finding_weight finding_weight(enum finding kind);
/* "What it means: what to do." */
const char *finding_advice(enum finding kind);

/* Who is handed what is found. */
struct finder {
    /* text: "PLACE: what is wrong". */
    void (*found)(void *arg, enum finding kind, const char *text);
    void *arg;
};

/* Hands it to the store's finder; without one says it in the log. */
void found_say(struct store *store, enum finding kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
