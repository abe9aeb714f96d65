/*
 * tests/cuts/onreal: recorded operations done on a real directory, and a real
 * directory read as a tree of files.
 *
 * A replay keeps each file and directory that it made open, under the inode
 * number of the trace. Between its calls it may do what a kernel does at any
 * time by itself: write back some pages, commit the file system's log.
 *
 * What fails ends the program. Threads: one.
 */
#ifndef TESTS_CUTS_ONREAL_H
#define TESTS_CUTS_ONREAL_H

#include "tests/support/memdisk.h"

/* Does the first `count` operations of the trace, which began on an empty disk,
 * in `dir`. noise: a seed for what the kernel does by itself; 0 = nothing. */
void onreal_replay(const struct memtrace *trace, size_t count, const char *dir, uint64_t noise);

/* The files below `dir`. */
void onreal_load(struct memtree *t, const char *dir);

#endif
