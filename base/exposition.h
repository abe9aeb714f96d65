/*
 * base/exposition: numbers as Prometheus reads them (text format 0.0.4).
 *
 * A family is a name, its type and help, then a line per value. Names end in
 * _total where they only rise (and begin again with 0 at a start); units are
 * seconds and bytes. Counters that belong together are rows of a table; who
 * counts adds to an array beside it, in any thread.
 *
 * The first failure to write sticks in struct exposition, so that nobody has to
 * look at every line.
 */
#ifndef BASE_EXPOSITION_H
#define BASE_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct exposition {
    struct buf *out;
    int rc; /* 0, or what buf_printf() failed with first */
};

/* type: counter, gauge, histogram. help: one line, without backslashes. */
void exposition_family(struct exposition *e, const char *name, const char *type, const char *help);
/* labels: as they stand between the braces, `kind="direct"`; NULL or "" = none. */
void exposition_value(struct exposition *e, const char *name, const char *labels, uint64_t value);

/* A family of one value. The name says which: a counter's ends in _total. */
void exposition_one(struct exposition *e, const char *name, const char *help, uint64_t value);
/* The same, a time: microseconds, printed as seconds. */
void exposition_seconds(struct exposition *e, const char *name, const char *help, uint64_t us);

struct counter_row {
    const char *name, *labels, *help; /* rows of one name stand together, the first has its help */
};
void exposition_counters(struct exposition *e, const struct counter_row *rows, size_t n,
                         const _Atomic uint64_t *values);

/* How long something took, from 0.1 ms to 10 s. Any thread may add. */
#define HISTOGRAM_BUCKETS 16
struct histogram {
    _Atomic uint64_t bucket[HISTOGRAM_BUCKETS + 1]; /* the last: longer than all */
    _Atomic uint64_t sum_us;
};
void histogram_add(struct histogram *h, uint64_t us);
/* The values of one histogram; its family comes before. */
void exposition_histogram(struct exposition *e, const char *name, const char *labels,
                          const struct histogram *h);

#endif
