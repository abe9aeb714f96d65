/* base/exposition: see the header. */
#include "base/exposition.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define PUT(e, ...)                                      \
    do {                                                 \
        if ((e)->rc == 0)                                \
            (e)->rc = buf_printf((e)->out, __VA_ARGS__); \
    } while (0)

void exposition_family(struct exposition *e, const char *name, const char *type, const char *help)
{
    PUT(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void exposition_value(struct exposition *e, const char *name, const char *labels, uint64_t value)
{
    if (labels && *labels)
        PUT(e, "%s{%s} %" PRIu64 "\n", name, labels, value);
    else
        PUT(e, "%s %" PRIu64 "\n", name, value);
}

static const char *type_of(const char *name)
{
    size_t len = strlen(name);

    return len > 6 && strcmp(name + len - 6, "_total") == 0 ? "counter" : "gauge";
}

void exposition_one(struct exposition *e, const char *name, const char *help, uint64_t value)
{
    exposition_family(e, name, type_of(name), help);
    exposition_value(e, name, NULL, value);
}

void exposition_seconds(struct exposition *e, const char *name, const char *help, uint64_t us)
{
    exposition_family(e, name, type_of(name), help);
    PUT(e, "%s %" PRIu64 ".%06" PRIu64 "\n", name, us / 1000000, us % 1000000);
}

void exposition_counters(struct exposition *e, const struct counter_row *rows, size_t n,
                         const _Atomic uint64_t *values)
{
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
            exposition_family(e, rows[i].name, type_of(rows[i].name), rows[i].help);
        exposition_value(e, rows[i].name, rows[i].labels,
                         atomic_load_explicit(&values[i], memory_order_relaxed));
    }
}

/* -- histograms -- */

static const struct {
    uint64_t us;
    const char *le; /* the same in seconds */
} bounds[HISTOGRAM_BUCKETS] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},
    {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"},
    {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"},
};

void histogram_add(struct histogram *h, uint64_t us)
{
    size_t i = 0;

    while (i < HISTOGRAM_BUCKETS && us > bounds[i].us)
        i++;
    atomic_fetch_add_explicit(&h->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
}

void exposition_histogram(struct exposition *e, const char *name, const char *labels,
                          const struct histogram *h)
{
    const char *comma = *labels ? "," : "";
    uint64_t sum_us = atomic_load_explicit(&h->sum_us, memory_order_relaxed);
    uint64_t count = 0;

    for (size_t i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        count += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        PUT(e, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma,
            i < HISTOGRAM_BUCKETS ? bounds[i].le : "+Inf", count);
    }
    PUT(e, "%s_sum{%s} %" PRIu64 ".%06" PRIu64 "\n%s_count{%s} %" PRIu64 "\n", name, labels,
        sum_us / 1000000, sum_us % 1000000, name, labels, count);
}
