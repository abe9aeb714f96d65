/*
 * tests/support/explore: goes through the crash states of a history.
 *
 * At every operation of the recorded history there is one state a kill leaves,
 * and many that a power cut leaves (tests/support/powercut.h). Where a later
 * point's states include an earlier one's, with the same or stricter promises,
 * only the later one is gone through. Where the pending operations allow no
 * more than `budget` states, all of them are; otherwise some are chosen: the
 * regular ones (all kept, all lost, every tail lost, every head lost) and
 * `budget` others by chance, no choice twice.
 *
 * Each state is built, recovered and judged, but for one whose names and bytes
 * are those of a state that was, while the ledger said the same: what comes of
 * it is known. Those that differ are counted as distinct. What a recovery left
 * is recovered once more, unless an equal one was. Some states are also stopped
 * cleanly and opened, and some (all of those after a kill) lived on, appended
 * to, and their own states gone through, which are those of a crash inside
 * recovery.
 *
 * States are numbered in the order in which they are come by; states of a
 * state's life are numbered behind a dot. Nothing but the history, the seed and
 * the budgets decides which states there are, and what is done with each.
 */
#ifndef TESTS_SUPPORT_EXPLORE_H
#define TESTS_SUPPORT_EXPLORE_H

#include "tests/support/world.h"

struct exploration {
    const char *name;
    uint64_t seed;
    size_t budget;       /* of a point */
    size_t life_every;   /* lives on in one of so many states; 0 = never */
    size_t life_budget;  /* of a point of such a life */
    uint64_t only;       /* UINT64_MAX, or the only state to do, telling what it does */
    uint64_t only_inner; /* likewise behind the dot */
    size_t losses_max;   /* stop after so many; 0 = never */
    bool quiet;          /* tell no losses */

    size_t from; /* operations before this are not crashed at */

    uint64_t number;   /* the next state */
    uint64_t states;   /* done, inner ones included */
    uint64_t distinct; /* recovered: no two are alike */
    uint64_t losses;
    bool inner; /* inside: a life's */
    uint64_t outer_number;
};

/* Goes through the states of w's trace, against w's ledger. */
void explore(struct exploration *x, const struct world *w);

#endif
