/*
 * tests/support/producing: the sets of producers in a ledger, and whether a
 * recovered store knows them.
 *
 * Of each producer, after any crash: its last sets that are in the log, sent
 * again, are answered with where they stand; the first one that is not there is
 * appended, once. Every .prod is whole. And no producer's id is given again.
 */
#ifndef TESTS_SUPPORT_PRODUCING_H
#define TESTS_SUPPORT_PRODUCING_H

#include "store/store.h"
#include "tests/support/judge.h"
#include "tests/support/ledger.h"

bool producing_is(const struct ledger_set *s, int64_t id);
/* Its last set that counts at k; NULL. */
const struct ledger_set *producing_last(const struct ledger_part *p, int64_t id, size_t k);
/* What the set that follows this one has. */
struct producer producing_after(const struct ledger_set *s);
/* Is set i the first one of its producer? */
bool producing_first(const struct ledger_part *p, size_t i);
/* The set as it was sent, to be released. */
void producing_set(struct set *set, const struct ledger_set *s);

/* Judges a store that has been judged and found good. Appends to it. */
void judge_producers(struct store *store, struct memdisk *disk, const struct ledger *ledger,
                     size_t k, struct verdict *v);

#endif
