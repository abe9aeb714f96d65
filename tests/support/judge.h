/*
 * tests/support/judge: does a recovered store keep what the ledger says?
 *
 * For a crash at position k: topics made are there, topics removed are not,
 * settings hold; every partition's log is the ledger's sets, byte for byte,
 * ended at a set, at or behind the last mark; message numbers lead to the
 * sets' offsets; the .idx and .meta files say the same; nothing is damaged,
 * nothing has failed.
 */
#ifndef TESTS_SUPPORT_JUDGE_H
#define TESTS_SUPPORT_JUDGE_H

#include "store/store.h"
#include "tests/support/ledger.h"
#include "tests/support/memdisk.h"

struct verdict {
    uint64_t hash; /* of all names, ends and bytes that a reader sees */
    char why[700]; /* "" = all is well */
};

void judge(struct store *store, struct memdisk *disk, const struct ledger *ledger, size_t k,
           bool power_cut, struct verdict *v);

#endif
