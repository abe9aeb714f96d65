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

/* scenarios_retain.c */
void segments_go_while_others_come(struct world *w);
void idle_partitions_expire(struct world *w);
void idle_partitions_of_os_expire(struct world *w);
void so_many_bytes_are_kept(struct world *w);
void segments_go_after_clean_stops(struct world *w);
void steps_of_retention_fail(struct world *w);
void gaps_go(struct world *w);
void topics_deleted_with_their_messages(struct world *w);
void topics_deleted_between_turns_of_the_journal(struct world *w);

/* The next write to a file of that pattern finds no room. */
void no_room_to_write(struct world *w, const char *path);

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* -- scenarios_producer.c -- */
void producers_without_an_answer(struct world *w);
void producers_across_rolls(struct world *w);
void producers_across_starts(struct world *w);
void producers_without_room(struct world *w);
void producers_across_gaps(struct world *w);
void producers_outlive_their_segments(struct world *w);
void producers_ids(struct world *w);

/* -- scenarios_topics.c -- */
void partitions_added(struct world *w);
void sync_changed_to_disk_and_to_os(struct world *w);
void no_room_after_a_crash(struct world *w);
void topics_made_together(struct world *w);
void topics_made_by_a_syncfs(struct world *w);

/* A random history: epochs of actions, each ended by a crash and gone through. */
void random_history(struct exploration *x, uint64_t seed, const struct world_fault *fault);

#endif
