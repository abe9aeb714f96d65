/*
 * tests/cuts: the store on real disks that lose their power.
 *
 * The parts of the program, by file:
 *   main.c    which of them is asked for
 *   record.c  what the store has promised
 *   load.c    a worker: recovers, verifies, appends until it is stopped
 *   verify.c  a recovered store against the record
 *   power.c   cycles of load and power cut
 *   script.c  a run to be killed at each system call
 *   onreal.c  recorded operations on a real file system
 *   model.c   the crash model held against it
 */
#ifndef TESTS_CUTS_CUTS_H
#define TESTS_CUTS_CUTS_H

#include "store/store.h"
#include "tests/cuts/record.h"

struct load {
    const char *dir; /* of the store */
    struct record *record;
    uint64_t seed;
    bool gentle; /* a few sets, then it only reads */
};

/* The life of a worker, which is a process of its own. Returns its exit
 * status: 0 after a clean stop, 1 where calls failed after a cut. */
int load_run(const struct load *load);

/* Compares everything; what is found is from now on promised. `dir`: where the
 * store's files are. False: a call failed because of a cut. */
bool verify_store(struct record *r, struct store *store, struct fileio *io);

/* cuts power FS [SEED [CYCLES]]: exit status. Prints `cuts: N cycles, L lost`. */
int power_main(const char *fs, uint64_t seed, unsigned cycles);

/* cuts script|judge STORE RECORD: exit status; 3 where a call failed. */
int script_main(const char *dir, const char *record);
int script_judge(const char *dir, const char *record);

/* cuts model FS [HISTORY]: likewise. only NULL: all histories. points_max: of
 * each history so many points; 0 = all. */
int model_main(const char *fs, const char *only, uint64_t seed, size_t points_max);

#endif
