/*
 * store/check: verifies a store that no daemon uses, all of it, and repairs it.
 *
 * A check does what a start would do, on an overlay (base/overlay.h): so it
 * judges a store that was not stopped cleanly as it will be after its recovery,
 * by the same code, and changes nothing. Then it reads every message of every
 * segment against its checksum, and every name in the store.
 *
 * Threads: one. The store's lock is held meanwhile.
 */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/fileio.h"
#include "store/findings.h"

struct check_options {
    struct fileio *io;    /* borrowed */
    const char *name;     /* of the store, for sentences */
    struct finder finder; /* is handed each finding as it comes */
    /* Bytes verified so far, of so many; called now and then. May be NULL. */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *progress_arg;
    const char *boot_id; /* tests; NULL = the kernel's */
};

struct check_result {
    enum finding_weight worst;
    uint64_t findings[FOUND_KINDS];
    uint64_t topics, partitions, segments;
    uint64_t messages, bytes; /* verified, and good */
    uint64_t damaged;         /* messages, as far as that is known */
    bool repaired;            /* all that was damaged is repaired or noted now */
};

/*
 * 0: it was checked to its end, *result says what came of it. Negative: it was
 * not, and err says why: ERR_LOCKED, ERR_NOT_A_STORE, ERR_NEWER_FORMAT,
 * ERR_DAMAGED (.format), -errno.
 */
int store_check(const struct check_options *options, struct check_result *result,
                struct err *err) MUST_CHECK;

/*
 * The same, and repairs what is found, on the disk: recovers the store as a
 * start would; makes what a damaged partition needs to be used again (repair.h);
 * notes damaged messages in .damaged; stops the store cleanly. Never changes a
 * message. Doing it again changes nothing.
 */
int store_repair(const struct check_options *options, struct check_result *result,
                 struct err *err) MUST_CHECK;

#endif
