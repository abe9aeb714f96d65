/*
 * tests/support/damaged_store: a small store with a bit of everything, to be
 * damaged, checked, repaired and started; and what has to hold of it then.
 *
 * Its topic t has two segments, the first ending at DAMAGED_SEG1_AT: lines, a
 * key, sets of a producer, a .prod. One such store was stopped cleanly, one
 * killed. All on in-memory disks, of which a copy costs next to nothing.
 *
 * Threads: one.
 */
#ifndef TESTS_SUPPORT_DAMAGED_STORE_H
#define TESTS_SUPPORT_DAMAGED_STORE_H

#include "store/check.h"
#include "tests/support/memdisk.h"

#define DAMAGED_LOG_MAX 256u
#define DAMAGED_SEG1_AT 18u
#define DAMAGED_SEG1    "t/0/00000000000000000018"

/* The store before it was damaged, and what readers saw. */
struct original {
    struct memdisk *disk;
    char text[DAMAGED_LOG_MAX];
    uint64_t end; /* acknowledged */
};

struct damage_case {
    const struct original *o;
    const char *path; /* what was damaged */
    char what[64];    /* how */
    struct memdisk *disk;
    char report[8192];
};

/* Makes them; to be released with originals_release(). */
void originals_make(struct original *clean, struct original *killed);
void originals_release(struct original *clean, struct original *killed);

/* A case on a copy of the original's disk; damage_done() frees that. */
void damage_begin(struct damage_case *c, const struct original *o, const char *path,
                  const char *what);
void damage_done(struct damage_case *c);

/* Each asserts, and tells the case where it does not hold. */

/* A start does not crash, and gives no offset twice. */
void damage_start_holds(struct damage_case *c);
/* A check changes nothing; where it finds no damage, readers get everything. Its answer. */
int damage_check_holds(struct damage_case *c, struct check_result *result);
/* A repair of the case's disk leaves what damage_repaired_holds() says; checked,
 * before: what a check has said. */
void damage_repair_holds(struct damage_case *c, int checked, const struct check_result *before);
/* Repairs without a word about how that goes: the disk may fail, or end. */
int damage_repair(struct damage_case *c, struct check_result *result);
/* After a repair: repairing again changes nothing, a check finds nothing new, readers
 * get no wrong byte, and all of the segments that were not damaged. */
void damage_repaired_holds(struct damage_case *c);

#endif
