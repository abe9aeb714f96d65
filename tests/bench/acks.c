/*
 * tests/bench/acks: how many single messages a second are acknowledged, with
 * so many waiting at once, against a plain file.
 *
 *     acks DIR ROUNDS library WRITERS PARTITIONS [OTHER]   each writer a thread
 *     acks DIR ROUNDS async OUTSTANDING PARTITIONS [OTHER] one thread, completions
 *     acks DIR ROUNDS mount WRITERS TOPIC [OTHER]          write + fsync, each on an
 *                                               open of TOPIC/publish of its own
 *
 * Compared with one fdatasync for each message on a plain file, with one for
 * as many messages as there are writers, and with the same over so many OTHER
 * partitions, or in another topic. TOPIC is a directory in a mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/measure.h"

#define ROUND_NS    500000000u
#define STACK_BYTES ((size_t)128 << 10)

struct work {
    struct bench_store b;
    void *(*writer)(void *arg);
    char *line;
    int *fds; /* mount: one for each writer */
    uint32_t partitions;
    size_t writers;
    _Atomic uint64_t until_ns;
    atomic_uint turn;
    _Atomic uint64_t acknowledged;
};

struct plain {
    char name[32];
    int fd;
    unsigned group;
    char *lines;
};

/* -- one thread to a writer -- */

struct slot {
    struct waiter w;
    struct work *work;
    struct set set;
    sem_t done;
    sem_t *many; /* async: posted instead, after */
    struct slot *_Atomic *free_slots;
    struct slot *next;
};

static void waited(struct waiter *w, int rc)
{
    if (rc < 0)
        die("wait", rc);
    sem_post(&((struct slot *)w)->done);
}

static void append_one(struct slot *s)
{
    struct work *w = s->work;
    struct partition *part =
        topic_partition(w->b.topic, atomic_fetch_add(&w->turn, 1) % w->partitions);
    uint64_t offset = 0;
    size_t taken;
    int rc;

    set_clear(&s->set);
    rc = set_add_lines(&s->set, w->line, LINE_BYTES, &taken);
    if (rc == 0)
        rc = partition_append(part, &s->set, &offset, NULL);
    if (rc < 0)
        die("append", rc);
    partition_wait(part, offset + LINE_BYTES, WAIT_VISIBLE, &s->w);
}

static void *library_writer(void *arg)
{
    struct work *w = arg;
    struct slot s = {.w.done = waited, .work = w};
    uint64_t n = 0;

    set_init(&s.set);
    sem_init(&s.done, 0, 0);
    for (; now_ns() < atomic_load(&w->until_ns); n++) {
        append_one(&s);
        while (sem_wait(&s.done) < 0)
            ;
    }
    atomic_fetch_add(&w->acknowledged, n);
    sem_destroy(&s.done);
    set_release(&s.set);
    return NULL;
}

static void *mount_writer(void *arg)
{
    struct work *w = arg;
    int fd = w->fds[atomic_fetch_add(&w->turn, 1) % w->writers];
    uint64_t n = 0;

    for (; now_ns() < atomic_load(&w->until_ns); n++) {
        write_all(fd, w->line, LINE_BYTES);
        if (fsync(fd) < 0)
            die("fsync", -errno);
    }
    atomic_fetch_add(&w->acknowledged, n);
    return NULL;
}

static double rate_since(struct work *w, uint64_t begin)
{
    return (double)atomic_exchange(&w->acknowledged, 0) / ((double)(now_ns() - begin) / 1e9);
}

static double run_threads(void *arg)
{
    struct work *w = arg;
    pthread_t *threads = calloc(w->writers, sizeof *threads);
    uint64_t begin = now_ns();
    pthread_attr_t attr;

    if (!threads)
        die("threads", -ENOMEM);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    atomic_store(&w->until_ns, begin + ROUND_NS);
    for (size_t i = 0; i < w->writers; i++) {
        int rc = pthread_create(&threads[i], &attr, w->writer, w);

        if (rc != 0)
            die("a thread", -rc);
    }
    for (size_t i = 0; i < w->writers; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attr);
    free(threads);
    return rate_since(w, begin);
}

/* -- many outstanding from one thread -- */

static void completed(struct waiter *w, int rc)
{
    struct slot *s = (struct slot *)w;
    struct slot *head = atomic_load(s->free_slots);

    if (rc < 0)
        die("wait", rc);
    do
        s->next = head;
    while (!atomic_compare_exchange_weak(s->free_slots, &head, s));
    sem_post(s->many);
}

static double run_async(void *arg)
{
    struct work *w = arg;
    struct slot *slots = calloc(w->writers, sizeof *slots);
    struct slot *_Atomic free_slots = NULL;
    struct slot *mine = NULL;
    uint64_t begin = now_ns();
    uint64_t n = 0;
    sem_t many;

    if (!slots)
        die("slots", -ENOMEM);
    sem_init(&many, 0, (unsigned)w->writers);
    for (size_t i = 0; i < w->writers; i++) {
        slots[i] = (struct slot){.w.done = completed, .work = w, .many = &many, .next = mine};
        slots[i].free_slots = &free_slots;
        set_init(&slots[i].set);
        mine = &slots[i];
    }
    while (now_ns() < begin + ROUND_NS) {
        struct slot *s;

        while (sem_wait(&many) < 0)
            ;
        if (!mine)
            mine = atomic_exchange(&free_slots, NULL);
        s = mine;
        mine = s->next;
        append_one(s);
        n++;
    }
    for (size_t i = 0; i < w->writers; i++)
        while (sem_wait(&many) < 0)
            ;
    for (size_t i = 0; i < w->writers; i++)
        set_release(&slots[i].set);
    free(slots);
    sem_destroy(&many);
    atomic_store(&w->acknowledged, n);
    return rate_since(w, begin);
}

/* -- the plain file -- */

static double run_plain(void *arg)
{
    struct plain *p = arg;
    uint64_t begin = now_ns();
    uint64_t n = 0;

    for (; now_ns() < begin + ROUND_NS; n += p->group) {
        write_all(p->fd, p->lines, (size_t)p->group * LINE_BYTES);
        sync_data(p->fd);
    }
    return (double)n / ((double)(now_ns() - begin) / 1e9);
}

/* -- what is compared -- */

/* Before the clock starts, as the plain file is. */
static void open_each(struct work *w, const char *topic)
{
    char path[4096];

    w->fds = calloc(w->writers, sizeof *w->fds);
    if (!w->fds)
        die("files", -ENOMEM);
    snprintf(path, sizeof path, "%s/publish", topic);
    for (size_t i = 0; i < w->writers; i++) {
        w->fds[i] = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (w->fds[i] < 0)
            die(path, -errno);
    }
}

static void prepare(struct work *w, struct side *side, const char *name, char **argv,
                    const char *where)
{
    const char *how = argv[3];
    char dir[4096], settings[64];

    w->writers = strtoul(argv[4], NULL, 10);
    w->line = make_lines(1);
    *side = (struct side){name, run_threads, w};
    if (strcmp(how, "mount") == 0) {
        open_each(w, where);
        w->writer = mount_writer;
        return;
    }
    w->partitions = (uint32_t)strtoul(where, NULL, 10);
    w->writer = library_writer;
    if (strcmp(how, "async") == 0)
        side->run = run_async;
    snprintf(settings, sizeof settings, "partitions=%u\n", w->partitions);
    snprintf(dir, sizeof dir, "%s/%s", argv[1], name);
    if (mkdir(dir, 0700) < 0)
        die(dir, -errno);
    bench_store_make(&w->b, dir, settings);
}

static void end(struct work *w)
{
    if (w->b.store)
        bench_store_end(&w->b);
    for (size_t i = 0; w->fds && i < w->writers; i++)
        close(w->fds[i]);
    free(w->fds);
    free(w->line);
}

static void prepare_plain(struct plain *p, struct side *side, const char *dir, unsigned group)
{
    snprintf(p->name, sizeof p->name, group == 1 ? "a fdatasync each" : "a fdatasync for %u",
             group);
    p->group = group;
    p->fd = plain_open(dir, p->name);
    p->lines = make_lines(group);
    *side = (struct side){p->name, run_plain, p};
}

int main(int argc, char **argv)
{
    struct plain plain[2];
    struct work w = {0}, other = {0};
    struct side sides[4];
    size_t n = 1, plains = 0;

    if (argc != 6 && argc != 7)
        die("acks DIR ROUNDS library|async|mount N PARTITIONS|TOPIC [OTHER]", -EINVAL);
    prepare(&w, &sides[0], "ours", argv, argv[5]);
    prepare_plain(&plain[plains++], &sides[n++], argv[1], 1);
    if (w.writers > 1)
        prepare_plain(&plain[plains++], &sides[n++], argv[1], (unsigned)w.writers);
    if (argc == 7)
        prepare(&other, &sides[n++], "one partition", argv, argv[6]);
    measure(sides, n, (unsigned)strtoul(argv[2], NULL, 10));
    end(&w);
    end(&other);
    for (size_t i = 0; i < plains; i++)
        close(plain[i].fd);
    return EXIT_SUCCESS;
}
