/*
 * store/checking: what the files of a check share. Not for others.
 *
 * Threads: the one that checks; the store has none of its own meanwhile.
 */
#ifndef STORE_CHECKING_H
#define STORE_CHECKING_H

#include "store/check.h"
#include "store/inside.h"

struct check {
    const struct check_options *options;
    struct check_result *result;
    bool repair;
    struct buf said;       /* repair: every text, NUL-ended */
    uint64_t unrepaired;   /* partitions */
    struct fileio *raw;    /* the disk as it is */
    struct finder counter; /* what is found is counted, and handed on */
    struct store *store;   /* as a start would have it, on the overlay */
    uint64_t done, total;  /* bytes, for progress */
};

/* Reports "PLACE: what is wrong". */
void check_found(struct check *c, enum finding kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* -- check_names.c -- */
/* Reports every name in the store that is none of a store's. */
int check_names(struct check *c, struct err *err) MUST_CHECK;

/* -- check_segment.c -- */
/* Every message of segment i of the partition against its checksum. */
int check_segment(struct check *c, struct partition *part, size_t i, struct err *err) MUST_CHECK;

#endif
