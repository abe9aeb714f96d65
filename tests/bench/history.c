/*
 * tests/bench/history: a store with a long past.
 *
 *     history DIR SEGMENTS
 *
 * Makes a partition of SEGMENTS segments of 512 MiB, which are holes
 * (tests/support/history.h), and prints a line for each step: its figure, its
 * unit, its name. Times are those of the library, with the disk's names and
 * indexes in the cache, as after a restart of the daemon. A look-up is the
 * median of LOOKUPS, each of another place in the past.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tests/support/history.h"
#include "tests/support/measure.h"

#define SEGMENT_BYTES ((uint64_t)512 << 20)
#define MESSAGES      16u
#define LOOKUPS       1000u
#define READ_BYTES    ((uint64_t)1 << 20)

struct work {
    const char *dir;
    struct bench_store b;
    struct history past;
};

static double ms_since(uint64_t begin)
{
    return (double)(now_ns() - begin) / 1e6;
}

static void make(struct work *w)
{
    struct store_options options = {.name = "bench"};
    char path[4096];
    struct err err;
    uint64_t begin = now_ns();
    int rc;

    snprintf(path, sizeof path, "%s/store", w->dir);
    if (mkdir(path, 0700) < 0)
        die(path, -errno);
    rc = fileio_open(&options.io, path, &err);
    if (rc == 0)
        rc = history_make(&options, "t", &w->past, &err);
    if (rc < 0)
        die(err.text, rc);
    fileio_release(options.io);
    printf("%.0f\tms\tmade\n", ms_since(begin));
}

static void start(struct work *w, const char *label)
{
    uint64_t begin = now_ns();

    bench_store_open(&w->b, w->dir);
    printf("%.1f\tms\t%s\n", ms_since(begin), label);
}

static void stop(struct work *w)
{
    uint64_t begin = now_ns();

    bench_store_end(&w->b);
    printf("%.1f\tms\tclean stop\n", ms_since(begin));
}

static uint64_t end_number(const struct work *w)
{
    return w->past.segments * MESSAGES;
}

static int by_offset(struct partition *part, const struct work *w, uint64_t n)
{
    (void)w;
    return partition_find(part, n * (SEGMENT_BYTES / MESSAGES));
}

static int by_number(struct partition *part, const struct work *w, uint64_t n)
{
    uint64_t offset;

    (void)w;
    return partition_find_number(part, n, &offset);
}

static int by_time(struct partition *part, const struct work *w, uint64_t n)
{
    uint64_t offset;

    return partition_find_time(part, w->past.begin_ms + n, &offset);
}

static int read_there(struct partition *part, const struct work *w, uint64_t n)
{
    static char to[READ_BYTES];
    struct range r;
    int rc = partition_range(part, n * (SEGMENT_BYTES / MESSAGES), READ_BYTES, &r);

    if (rc == 0)
        rc = fileio_read_all(w->b.io, r.fd, to, r.len, r.pos);
    range_release(&r);
    return rc;
}

static void look_up(struct work *w, int (*fn)(struct partition *, const struct work *, uint64_t),
                    const char *label)
{
    static double us[LOOKUPS];
    struct partition *part = topic_partition(w->b.topic, 0);
    uint64_t random = 42;

    for (unsigned i = 0; i < LOOKUPS; i++) {
        uint64_t begin;
        int rc;

        random = random * 6364136223846793005u + 1442695040888963407u;
        begin = now_ns();
        rc = fn(part, w, (random >> 33) % end_number(w));
        if (rc < 0)
            die(label, rc);
        us[i] = (double)(now_ns() - begin) / 1e3;
    }
    printf("%.1f\tµs\t%s\n", percentile(us, LOOKUPS, 50), label);
}

int main(int argc, char **argv)
{
    struct work w = {0};
    uint64_t begin;

    if (argc != 3)
        die("history DIR SEGMENTS", -EINVAL);
    w.dir = argv[1];
    w.past = (struct history){strtoull(argv[2], NULL, 10), SEGMENT_BYTES, MESSAGES, 0};
    w.past.begin_ms = clock_wall_ms() - end_number(&w);
    setvbuf(stdout, NULL, _IOLBF, 0);
    make(&w);
    start(&w, "start that makes the links of sealed/");
    topic_put(w.b.topic);
    store_abandon(w.b.store);
    fileio_release(w.b.io);
    start(&w, "start after a kill");
    stop(&w);
    start(&w, "start after a clean stop");
    begin = now_ns();
    if (by_offset(topic_partition(w.b.topic, 0), &w, 1) < 0)
        die("the first use", -EIO);
    printf("%.1f\tms\tfirst use of the partition\n", ms_since(begin));
    look_up(&w, by_offset, "find an offset");
    look_up(&w, by_number, "find a number");
    look_up(&w, by_time, "find a time");
    look_up(&w, read_there, "read a MiB anywhere");
    stop(&w);
    return EXIT_SUCCESS;
}
