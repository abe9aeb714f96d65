/*
 * tests/support/measure: two ways of doing the same work, measured in turn.
 *
 * A bench program names its sides; each is run once to warm up and then
 * `rounds` times, one after the other, so that what the machine does meanwhile
 * meets both. Printed is a line for each comparison of the first side with
 * another one:
 *
 *     OURS LOW HIGH <TAB> OTHER LOW HIGH <TAB> RATIO LOW HIGH <TAB> NAME
 *
 * medians with the least and the greatest; the ratio's are those of the ratios
 * of each round. With one side the columns after the first are "-".
 * tests/bench/bench.sh makes the table of these lines.
 *
 * Single-threaded but where it says otherwise. die() ends the program: this is
 * for benches only.
 */
#ifndef TESTS_SUPPORT_MEASURE_H
#define TESTS_SUPPORT_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

#define LINE_BYTES 200u /* every message of every bench, its newline counted */

/* A rate, in whatever unit, of one round. */
struct side {
    const char *name;
    double (*run)(void *arg);
    void *arg;
};

void measure(const struct side *sides, size_t count, unsigned rounds);

/* The p-th percentile (0..100) of n values, which it sorts. */
double percentile(double *values, size_t n, double p);

uint64_t now_ns(void);
_Noreturn void die(const char *what, int code) __attribute__((cold));

/* `count` lines of LINE_BYTES each, different from one another; to be freed.
 * Aligned to a page, as the buffers of cp and dd are: FUSE then takes a MiB as
 * one request. */
char *make_lines(size_t count);

/* A fresh store in `dir`/store with a topic `t`; settings as in .config. */
struct bench_store {
    struct fileio *io;
    struct store *store;
    struct topic *topic;
};
void bench_store_make(struct bench_store *b, const char *dir, const char *settings);
void bench_store_open(struct bench_store *b, const char *dir);
void bench_store_end(struct bench_store *b); /* a clean stop */

/* Opens for appending, made empty; and the calls that may not fail. */
int plain_open(const char *dir, const char *name);
void write_all(int fd, const void *data, size_t len);
void sync_data(int fd);

#endif
