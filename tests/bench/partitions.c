/*
 * tests/bench/partitions: a store of very many partitions.
 *
 *     partitions DIR TOPICS PARTITIONS os|disk
 *
 * Makes TOPICS topics of PARTITIONS each, publishes a line to every tenth
 * partition, chosen at random, stops cleanly, starts, publishes again, starts
 * as after a kill. Prints a line for each step: its figure, its unit, its name.
 * Times are those of the library, in one process that has the disk's names in
 * its cache, as after a restart of the daemon.
 *
 * Only the first topics are made durably, for the rate of that; one syncfs does
 * it for the others.
 */
#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/measure.h"

#define DURABLE_TOPICS 300u

struct work {
    struct bench_store b;
    uint32_t topics, partitions;
    bool os;
    uint64_t random;
};

struct wait {
    struct waiter w;
    sem_t *done;
};

static void waited(struct waiter *w, int rc)
{
    if (rc < 0)
        die("wait", rc);
    sem_post(((struct wait *)w)->done);
}

static double ms_since(uint64_t begin)
{
    return (double)(now_ns() - begin) / 1e6;
}

static double processor_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* KiB of this process's own memory. */
static double own_kib(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    char line[128];
    double kib = 0;

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "Private_Dirty:", 14) == 0)
            kib = strtod(line + 14, NULL);
    if (f)
        fclose(f);
    return kib;
}

static unsigned descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void make_topics(struct work *w, uint32_t from, uint32_t to)
{
    struct topic_config conf = topic_config_default;

    conf.partitions = w->partitions;
    conf.flush_os = w->os;
    for (uint32_t i = from; i < to; i++) {
        char name[16];
        struct err err;
        int rc;

        snprintf(name, sizeof name, "t%06u", i);
        rc = store_topic_create(w->b.store, name, &conf, NULL, &err);
        if (rc < 0)
            die(err.text, rc);
    }
}

static int no_sync(struct fileio *io, int fd)
{
    (void)io, (void)fd;
    return 0;
}

static int no_sync_dir(struct fileio *io, const char *path)
{
    (void)io, (void)path;
    return 0;
}

static void make(struct work *w)
{
    const struct fileio_ops *durable = w->b.io->ops;
    struct fileio_ops quick = *durable;
    uint32_t first = w->topics < DURABLE_TOPICS ? w->topics : DURABLE_TOPICS;
    double before = own_kib();
    uint64_t begin = now_ns();

    make_topics(w, 0, first);
    printf("%.0f\t/s\ttopics made, each durable\n", first / ms_since(begin) * 1e3);
    quick.fdatasync = quick.syncfs = no_sync;
    quick.sync_dir = no_sync_dir;
    w->b.io->ops = &quick;
    make_topics(w, first, w->topics);
    w->b.io->ops = durable;
    sync();
    printf("%.0f\tB\tmemory for each partition made\n",
           (own_kib() - before) * 1024 / w->topics / w->partitions);
}

static struct partition *any_partition(struct work *w, struct topic **topic)
{
    char name[16];

    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    snprintf(name, sizeof name, "t%06u", (unsigned)((w->random >> 33) % w->topics));
    *topic = store_topic_find(w->b.store, name);
    if (!*topic)
        die(name, -ENOENT);
    return topic_partition(*topic, (uint32_t)(w->random >> 12) % w->partitions);
}

static void publish(struct work *w, const char *label)
{
    uint32_t n = w->topics * w->partitions / 10;
    struct wait *waits = calloc(n, sizeof *waits);
    char *line = make_lines(1);
    unsigned most = 0;
    struct set set;
    size_t taken;
    sem_t done;
    uint64_t begin = now_ns();
    int rc;

    if (!waits || sem_init(&done, 0, 0) < 0)
        die("publish", -ENOMEM);
    set_init(&set);
    for (uint32_t i = 0; i < n; i++) {
        struct topic *topic;
        struct partition *part = any_partition(w, &topic);
        uint64_t offset;

        set_clear(&set);
        rc = set_add_lines(&set, line, LINE_BYTES, &taken);
        if (rc == 0)
            rc = partition_append(part, &set, &offset, NULL);
        if (rc < 0)
            die("append", rc);
        waits[i] = (struct wait){.w = {.done = waited}, .done = &done};
        partition_wait(part, offset + LINE_BYTES, WAIT_VISIBLE, &waits[i].w);
        topic_put(topic);
        if (i % 1000 == 999 && descriptors() > most)
            most = descriptors();
    }
    for (uint32_t i = 0; i < n; i++)
        while (sem_wait(&done) < 0)
            ;
    printf("%.0f\t/s\t%s\n", n / ms_since(begin) * 1e3, label);
    printf("%u\topen\tdescriptors at most\n", most);
    set_release(&set);
    free(line);
    free(waits);
    sem_destroy(&done);
}

/* Has each message that was acknowledged its bytes? */
static void expect_rounds(struct work *w, uint64_t rounds)
{
    uint64_t want = rounds * (w->topics * w->partitions / 10) * LINE_BYTES;
    struct topic *topic;
    uint64_t bytes = 0;

    for (uint32_t after = 0; (topic = store_topic_next(w->b.store, after)) != NULL;) {
        for (uint32_t p = 0; p < topic_partition_count(topic); p++)
            bytes += partition_visible_end(topic_partition(topic, p));
        after = topic_number(topic);
        topic_put(topic);
    }
    if (bytes != want)
        die("messages that were acknowledged are missing", -EIO);
}

static void start(struct work *w, const char *dir, const char *label)
{
    double before = own_kib();
    double processor = processor_ms();
    uint64_t begin = now_ns();

    bench_store_open(&w->b, dir);
    printf("%.0f\tms\t%s\n", ms_since(begin), label);
    printf("%.0f\tms\tof the processor\n", processor_ms() - processor);
    printf("%.0f\tB\tmemory for each partition started\n",
           (own_kib() - before) * 1024 / w->topics / w->partitions);
}

int main(int argc, char **argv)
{
    struct work w = {.random = 42};
    uint64_t begin;

    if (argc != 5)
        die("partitions DIR TOPICS PARTITIONS os|disk", -EINVAL);
    w.topics = (uint32_t)strtoul(argv[2], NULL, 10);
    w.partitions = (uint32_t)strtoul(argv[3], NULL, 10);
    w.os = strcmp(argv[4], "os") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_store_open(&w.b, argv[1]);
    make(&w);
    publish(&w, "published, each to another partition");
    begin = now_ns();
    bench_store_end(&w.b);
    printf("%.0f\tms\tclean stop\n", ms_since(begin));
    start(&w, argv[1], "start after a clean stop");
    expect_rounds(&w, 1);
    publish(&w, "published after it");
    store_abandon(w.b.store);
    fileio_release(w.b.io);
    start(&w, argv[1], "start after a kill");
    expect_rounds(&w, 2);
    begin = now_ns();
    bench_store_end(&w.b);
    printf("%.0f\tms\tclean stop after it\n", ms_since(begin));
    return EXIT_SUCCESS;
}
