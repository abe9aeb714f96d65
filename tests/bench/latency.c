/*
 * tests/bench/latency: from publishing to a reader that waits for it.
 *
 *     latency TOPIC RATE COUNT fsync|write
 *
 * RATE messages a second go to TOPIC/0/publish, one write(2) each, followed by
 * fsync(2) if so told; another thread is blocked on TOPIC/0/END+. What counts
 * is the time from before write(2) until the reader's read(2) has returned with
 * the message. The first tenth is warming up. Prints p50, p99 and the greatest, in
 * microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/measure.h"

struct work {
    int reader, writer;
    size_t count;
    bool sync;
    uint64_t period_ns;
    _Atomic uint64_t *sent;
    double *took_us;
};

static void *read_all(void *arg)
{
    struct work *w = arg;
    char buffer[64 * LINE_BYTES];
    size_t bytes = 0;

    for (size_t seen = 0; seen < w->count;) {
        ssize_t n = read(w->reader, buffer, sizeof buffer);
        uint64_t now = now_ns();

        if (n <= 0)
            die("read", n < 0 ? -errno : -EPIPE);
        bytes += (size_t)n;
        for (; seen < bytes / LINE_BYTES; seen++)
            w->took_us[seen] = (double)(now - atomic_load(&w->sent[seen])) / 1e3;
    }
    return NULL;
}

static void write_one(struct work *w, const char *line, size_t i)
{
    atomic_store(&w->sent[i], now_ns());
    write_all(w->writer, line, LINE_BYTES);
    if (w->sync && fsync(w->writer) < 0)
        die("fsync", -errno);
}

static void write_paced(struct work *w)
{
    char *line = make_lines(1);
    uint64_t next = now_ns();

    for (size_t i = 0; i < w->count; i++, next += w->period_ns) {
        struct timespec at = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        write_one(w, line, i);
    }
    free(line);
}

static void open_both(struct work *w, const char *topic)
{
    char path[4096], end[64];
    ssize_t n;

    snprintf(path, sizeof path, "%s/0/publish", topic);
    w->writer = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (w->writer < 0 || fsync(w->writer) < 0)
        die(path, -errno);
    snprintf(path, sizeof path, "%s/0/latest-", topic);
    n = readlink(path, end, sizeof end - 1);
    if (n < 2)
        die(path, -errno);
    end[n - 1] = '\0'; /* its "-" */
    snprintf(path, sizeof path, "%s/0/%s+", topic, end);
    w->reader = open(path, O_RDONLY | O_CLOEXEC);
    if (w->reader < 0)
        die(path, -errno);
}

int main(int argc, char **argv)
{
    struct work w = {0};
    pthread_t thread;
    size_t warm;

    if (argc != 5)
        die("latency TOPIC RATE COUNT fsync|write", -EINVAL);
    w.period_ns = 1000000000u / strtoul(argv[2], NULL, 10);
    w.count = strtoul(argv[3], NULL, 10);
    w.sync = strcmp(argv[4], "fsync") == 0;
    w.sent = calloc(w.count, sizeof *w.sent);
    w.took_us = calloc(w.count, sizeof *w.took_us);
    if (!w.sent || !w.took_us)
        die("times", -ENOMEM);
    open_both(&w, argv[1]);
    if (pthread_create(&thread, NULL, read_all, &w) != 0)
        die("a thread", -EAGAIN);
    write_paced(&w);
    pthread_join(thread, NULL);
    warm = w.count / 10;
    printf("%.4g", percentile(w.took_us + warm, w.count - warm, 50));
    printf(" %.4g", percentile(w.took_us + warm, w.count - warm, 99));
    printf(" %.4g\n", w.took_us[w.count - 1]);
    close(w.reader);
    close(w.writer);
    free(w.sent);
    free(w.took_us);
    return EXIT_SUCCESS;
}
