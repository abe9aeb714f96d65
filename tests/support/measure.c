/* tests/support/measure: see measure.h. */
#include "tests/support/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void die(const char *what, int code)
{
    fprintf(stderr, "bench: %s: %s\n", what, err_sentence(code));
    exit(EXIT_FAILURE);
}

/* -- statistics -- */

static int compare(const void *a, const void *b)
{
    double x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

double percentile(double *values, size_t n, double p)
{
    double at = p / 100 * (double)(n - 1);
    size_t low = (size_t)at;

    qsort(values, n, sizeof *values, compare);
    if (low + 1 >= n)
        return values[n - 1];
    return values[low] + (at - (double)low) * (values[low + 1] - values[low]);
}

static void print_three(double *values, size_t n, char after)
{
    double middle = percentile(values, n, 50);

    printf("%.3f %.3f %.3f%c", middle, values[0], values[n - 1], after);
}

void measure(const struct side *sides, size_t count, unsigned rounds)
{
    double *rate = calloc(count * rounds, sizeof *rate);
    double *row = calloc(rounds, sizeof *row);

    if (!rate || !row)
        die("measure", -ENOMEM);
    for (size_t s = 0; s < count; s++)
        sides[s].run(sides[s].arg);
    for (unsigned r = 0; r < rounds; r++)
        for (size_t s = 0; s < count; s++)
            rate[s * rounds + r] = sides[s].run(sides[s].arg);
    for (size_t s = count > 1 ? 1 : 0; s < count; s++) {
        memcpy(row, rate, rounds * sizeof *row);
        print_three(row, rounds, '\t');
        if (s == 0) {
            printf("-\t-\t-\n");
            break;
        }
        memcpy(row, rate + s * rounds, rounds * sizeof *row);
        print_three(row, rounds, '\t');
        for (unsigned r = 0; r < rounds; r++)
            row[r] = rate[r] / rate[s * rounds + r];
        print_three(row, rounds, '\t');
        printf("%s\n", sides[s].name);
    }
    free(rate);
    free(row);
}

/* -- what is written -- */

char *make_lines(size_t count)
{
    char *lines = aligned_alloc(4096, (count * LINE_BYTES + 4096) & ~(size_t)4095);
    uint64_t x = 88172645463325252u;

    if (!lines)
        die("lines", -ENOMEM);
    for (size_t i = 0; i < count * LINE_BYTES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        lines[i] = (i + 1) % LINE_BYTES == 0 ? '\n' : (char)('a' + x % 26);
    }
    lines[count * LINE_BYTES] = '\0';
    return lines;
}

int plain_open(const char *dir, const char *name)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        die(path, -errno);
    return fd;
}

void write_all(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0)
            die("write", -errno);
        at += n;
        len -= (size_t)n;
    }
}

void sync_data(int fd)
{
    if (fdatasync(fd) < 0)
        die("fdatasync", -errno);
}

/* -- stores -- */

void bench_store_open(struct bench_store *b, const char *dir)
{
    struct store_options options = {.name = "bench", .threads = true};
    char path[4096];
    struct err err;
    int rc;

    snprintf(path, sizeof path, "%s/store", dir);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        die(path, -errno);
    rc = fileio_open(&b->io, path, &err);
    options.io = b->io;
    if (rc == 0)
        rc = store_open(&b->store, &options, &err);
    if (rc < 0)
        die(err.text, rc);
    b->topic = store_topic_find(b->store, "t");
}

void bench_store_make(struct bench_store *b, const char *dir, const char *settings)
{
    struct topic_config conf = topic_config_default;
    struct err err;
    int rc;

    bench_store_open(b, dir);
    if (b->topic)
        die("the store is not a fresh one", -EEXIST);
    rc = topic_config_parse(&conf, &topic_config_default, settings, strlen(settings), "settings",
                            &err);
    if (rc == 0)
        rc = store_topic_create(b->store, "t", &conf, &b->topic, &err);
    if (rc < 0)
        die(err.text, rc);
}

void bench_store_end(struct bench_store *b)
{
    struct err err;
    int rc;

    if (b->topic)
        topic_put(b->topic);
    rc = store_close(b->store, &err);
    if (rc < 0)
        die(err.text, rc);
    fileio_release(b->io);
}
