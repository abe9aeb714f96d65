/*
 * tests/crash/scenarios: the histories that are crashed.
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

/* A random history: epochs of actions, each ended by a crash and gone through. */
void random_history(struct exploration *x, uint64_t seed, const struct world_fault *fault);

#endif
