/*
 * tests/bench/topics: topics made per second, each durable when its maker is told.
 *
 *     topics DIR ROUNDS library|mount MAKERS [MOUNT]
 *
 * MAKERS threads each make one topic after another, by the library in a store
 * of its own, or by mkdir(2) in MOUNT. Beside it one thread that makes plain
 * directories, and fsyncs the directory they are in after each.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/measure.h"

#define ROUND_NS   1000000000u
#define MAKERS_MAX 128u

struct work {
    struct bench_store b;
    unsigned makers;
    int dir; /* the mount, or the plain directory; -1: the library */
    bool sync;
    _Atomic unsigned made;
    uint64_t until_ns;
};

/* Names are never used twice: directories outlive rounds, and topics the program. */
static void make_one(struct work *w)
{
    static _Atomic unsigned number;
    char name[32];
    int rc = 0;

    snprintf(name, sizeof name, "t%d-%u", (int)getpid(), atomic_fetch_add(&number, 1));
    if (w->dir < 0)
        rc = store_topic_create(w->b.store, name, NULL, NULL, NULL);
    else if (mkdirat(w->dir, name, 0755) < 0 || (w->sync && fsync(w->dir) < 0))
        rc = -errno;
    if (rc < 0)
        die(name, rc);
    atomic_fetch_add(&w->made, 1);
}

static void *make_some(void *arg)
{
    struct work *w = arg;

    do
        make_one(w);
    while (now_ns() < w->until_ns);
    return NULL;
}

static double run(void *arg)
{
    struct work *w = arg;
    pthread_t threads[MAKERS_MAX];
    uint64_t begin = now_ns();

    w->until_ns = begin + ROUND_NS;
    for (unsigned i = 0; i < w->makers; i++) {
        int rc = pthread_create(&threads[i], NULL, make_some, w);

        if (rc != 0)
            die("a thread", -rc);
    }
    for (unsigned i = 0; i < w->makers; i++)
        pthread_join(threads[i], NULL);
    return atomic_exchange(&w->made, 0) / ((double)(now_ns() - begin) / 1e9);
}

static int open_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        die(path, -errno);
    return fd;
}

int main(int argc, char **argv)
{
    struct work ours = {.dir = -1}, plain = {.makers = 1, .sync = true};
    struct side sides[2] = {{"ours", run, &ours}, {"mkdir, fsync", run, &plain}};
    bool mount = argc == 6 && strcmp(argv[3], "mount") == 0;
    char path[4096];

    if (argc != (mount ? 6 : 5))
        die("topics DIR ROUNDS library|mount MAKERS [MOUNT]", -EINVAL);
    ours.makers = (unsigned)strtoul(argv[4], NULL, 10);
    if (ours.makers < 1 || ours.makers > MAKERS_MAX)
        die("MAKERS", -EINVAL);
    snprintf(path, sizeof path, "%s/plain", argv[1]);
    if (mkdir(path, 0700) < 0)
        die(path, -errno);
    plain.dir = open_dir(path);
    if (mount)
        ours.dir = open_dir(argv[5]);
    else
        bench_store_make(&ours.b, argv[1], "");
    measure(sides, 2, (unsigned)strtoul(argv[2], NULL, 10));
    if (mount)
        close(ours.dir);
    else
        bench_store_end(&ours.b);
    close(plain.dir);
    return EXIT_SUCCESS;
}
