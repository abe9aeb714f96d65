/*
 * tests/bench/library: sets appended by the store library alone, against the
 * same bytes written to a plain file.
 *
 *     library DIR ROUNDS SET os|disk [PARTITIONS [STORED_MB]]
 *
 * Messages a second, SET of them to an append set and to a write(2). With
 * `disk` each side has flushed all of its round before the clock stops: the
 * library as it does by itself and at the end, the plain file by a fdatasync
 * every flush.messages and one at the end. STORED_MB: so much is in the store
 * before it begins.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/measure.h"

#define SYNC_EVERY 10000u /* messages: flush.messages */

struct work {
    struct bench_store b;
    struct set set;
    char *lines;
    size_t per_set, sets;
    uint32_t partitions, turn;
    bool disk;
    int plain;
};

struct wait {
    struct waiter w;
    sem_t done;
};

static void waited(struct waiter *w, int rc)
{
    if (rc < 0)
        die("wait", rc);
    sem_post(&((struct wait *)w)->done);
}

static void wait_for(struct partition *part)
{
    struct wait wait = {.w.done = waited};

    sem_init(&wait.done, 0, 0);
    partition_wait(part, partition_end(part), WAIT_VISIBLE, &wait.w);
    while (sem_wait(&wait.done) < 0)
        ;
    sem_destroy(&wait.done);
}

static void append_sets(struct work *w, size_t sets)
{
    uint64_t offset;
    size_t taken;
    int rc;

    for (size_t i = 0; i < sets; i++) {
        struct partition *part = topic_partition(w->b.topic, w->turn++ % w->partitions);

        set_clear(&w->set);
        rc = set_add_lines(&w->set, w->lines, w->per_set * LINE_BYTES, &taken);
        if (rc == 0)
            rc = partition_append(part, &w->set, &offset, NULL);
        if (rc < 0)
            die("append", rc);
    }
}

static double rate(const struct work *w, uint64_t begin)
{
    return (double)(w->sets * w->per_set) / ((double)(now_ns() - begin) / 1e9);
}

static double run_library(void *arg)
{
    struct work *w = arg;
    uint64_t begin = now_ns();

    append_sets(w, w->sets);
    for (uint32_t p = 0; w->disk && p < w->partitions; p++)
        wait_for(topic_partition(w->b.topic, p));
    return rate(w, begin);
}

static double run_plain(void *arg)
{
    struct work *w = arg;
    uint64_t begin = now_ns();
    size_t since = 0;

    for (size_t i = 0; i < w->sets; i++) {
        write_all(w->plain, w->lines, w->per_set * LINE_BYTES);
        since += w->per_set;
        if (w->disk && since >= SYNC_EVERY) {
            sync_data(w->plain);
            since = 0;
        }
    }
    if (w->disk)
        sync_data(w->plain);
    return rate(w, begin);
}

/* What is there before it begins, in large sets. */
static void fill(struct work *w, size_t bytes)
{
    size_t per_set = w->per_set;

    w->per_set = 5000;
    append_sets(w, bytes / LINE_BYTES / w->per_set);
    w->per_set = per_set;
    for (uint32_t p = 0; p < w->partitions; p++)
        wait_for(topic_partition(w->b.topic, p));
}

int main(int argc, char **argv)
{
    struct work w = {.partitions = 1};
    struct side sides[] = {{"library", run_library, &w}, {"plain file", run_plain, &w}};
    char settings[128];
    size_t messages;

    if (argc < 5)
        die("library DIR ROUNDS SET os|disk [PARTITIONS [STORED_MB]]", -EINVAL);
    w.per_set = strtoul(argv[3], NULL, 10);
    w.disk = strcmp(argv[4], "disk") == 0;
    if (argc > 5)
        w.partitions = (uint32_t)strtoul(argv[5], NULL, 10);
    messages = w.per_set == 1 ? 40000 : 100000; /* 8 and 20 MB a round */
    w.sets = messages / w.per_set;
    w.lines = make_lines(5000);
    set_init(&w.set);
    w.plain = plain_open(argv[1], "plain");
    snprintf(settings, sizeof settings, "partitions=%u\nflush.sync=%s\n", w.partitions,
             w.disk ? "disk" : "os");
    bench_store_make(&w.b, argv[1], settings);
    if (argc > 6)
        fill(&w, strtoul(argv[6], NULL, 10) * 1000000);
    measure(sides, 2, (unsigned)strtoul(argv[2], NULL, 10));
    bench_store_end(&w.b);
    close(w.plain);
    set_release(&w.set);
    free(w.lines);
    return EXIT_SUCCESS;
}
