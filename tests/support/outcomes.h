/*
 * tests/support/outcomes: for tests of the crash model, all that a power cut at
 * the end of a short trace may leave, in words.
 *
 * A disk is told as "name=bytes" per file and "name{...}" per directory, in
 * order of names; a zero is a dot, a run of more than four equal bytes its
 * count and the byte. Garbage is left out: it has no end of outcomes.
 */
#ifndef TESTS_SUPPORT_OUTCOMES_H
#define TESTS_SUPPORT_OUTCOMES_H

#include "tests/support/memdisk.h"

/* A disk with a durable file "f" that holds text; recording begins behind it. */
struct memdisk *outcome_disk(const char *text, int *fd);
/* Opens or makes a file. */
int outcome_file(struct memdisk *disk, const char *path);
void outcome_put(struct memdisk *disk, int fd, const char *text, uint64_t pos);
void outcome_fill(struct memdisk *disk, int fd, char c, size_t len, uint64_t pos);
void outcome_datasync(struct memdisk *disk, int fd);

/* The outcomes are these (up to NULL), and no others. Frees the disk. */
void check_outcomes(struct memdisk *disk, const char *const *want);

#define CHECK_OUTCOMES(disk, ...) check_outcomes(disk, (const char *const[]){__VA_ARGS__, NULL})

#endif
