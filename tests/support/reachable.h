/*
 * tests/support/reachable: is this disk one that the crash model enumerates?
 *
 * For a point of a trace (tests/support/powercut.h) and a tree of files found
 * somewhere else, on a real file system say: true where the pending operations
 * can have fates that make the one into the other. The rules are those of
 * powercut.h, without its garbage: a sector holds what it durably held or what
 * a pending operation left in it; each sector for itself, so also combinations
 * that powercut_fates() only has by chance.
 *
 * Names are tried out in groups: pending operations on the same name, and
 * renames that join two names, have all their combinations of fates tried by
 * powercut_do_name() itself. Names of one group are in one directory, or it is
 * refused as not provided for, as is a trace with failed syncs.
 *
 * Threads: one.
 */
#ifndef TESTS_SUPPORT_REACHABLE_H
#define TESTS_SUPPORT_REACHABLE_H

#include "tests/support/powercut.h"

/* False: `why` says what of it can not be. */
bool reachable(const struct powercut *cut, const struct memtree *found, char *why, size_t room);

#endif
