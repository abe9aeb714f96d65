/*
 * tests/crash/scenarios: the histories that are crashed, and the faults that
 * the checker must catch.
 */
#ifndef TESTS_CRASH_SCENARIOS_H
#define TESTS_CRASH_SCENARIOS_H

#include "tests/support/explore.h"

struct scenario {
    const char *name; /* the state of the world that it reaches */
    void (*run)(struct world *w);
    size_t budget; /* states of a point; 0 = the usual */
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* The store on a disk that leaves out a sync it should do. */
struct mutant {
    const char *name;
    struct memignore ignore;
    void (*run)(struct world *w);
};

extern const struct mutant mutants[];
extern const size_t mutant_count;

/* A random history: epochs of actions, each ended by a crash and gone through. */
void random_history(struct exploration *x, uint64_t seed);

#endif
