/*
 * tests/crash/faults: what the store could do wrong, and must not go unnoticed.
 *
 * Each entry is a store that forgets something, made by a disk that lies about
 * calls (struct memlie) or by a world that does something else (struct
 * world_fault), and the history in which some crash state is lost by it. If
 * none is, the entry fails: the histories, the crash model or the judge do not
 * see what they are there to see.
 *
 * To add one: an entry in faults.c. `crash FAULT HISTORY` tells whether another
 * history than its own catches it.
 */
#ifndef TESTS_CRASH_FAULTS_H
#define TESTS_CRASH_FAULTS_H

#include "tests/support/world.h"

struct fault {
    const char *name;    /* what the store does wrong */
    const char *history; /* that catches it */
    struct world_fault fault;
};

extern const struct fault faults[];
extern const size_t fault_count;

#endif
