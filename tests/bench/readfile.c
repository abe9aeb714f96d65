/*
 * tests/bench/readfile: reading a file of a mount, against a plain file.
 *
 *     readfile ROUNDS FILE PLAIN BLOCK|mmap TIMES
 *
 * Megabytes a second: the whole file from its beginning to its end, TIMES
 * over in a round, by read(2) in blocks or by summing a mapping. Both are in
 * the page cache after the first round, which does not count.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/measure.h"

struct work {
    const char *path;
    size_t block; /* 0 = mmap */
    unsigned times;
    char *buffer;
    volatile uint64_t sum;
};

static uint64_t read_through(int fd, const struct work *w)
{
    uint64_t bytes = 0;
    ssize_t n;

    while ((n = read(fd, w->buffer, w->block)) > 0)
        bytes += (uint64_t)n;
    if (n < 0)
        die(w->path, -errno);
    return bytes;
}

static uint64_t map_through(int fd, struct work *w)
{
    const uint64_t *words;
    struct stat st;
    uint64_t sum = 0;

    if (fstat(fd, &st) < 0)
        die(w->path, -errno);
    words = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (words == MAP_FAILED)
        die(w->path, -errno);
    for (size_t i = 0; i < (size_t)st.st_size / sizeof *words; i++)
        sum += words[i];
    w->sum = sum;
    munmap((void *)(uintptr_t)words, (size_t)st.st_size);
    return (uint64_t)st.st_size;
}

static double run(void *arg)
{
    struct work *w = arg;
    uint64_t begin = now_ns();
    uint64_t bytes = 0;

    for (unsigned i = 0; i < w->times; i++) {
        int fd = open(w->path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
            die(w->path, -errno);
        bytes += w->block > 0 ? read_through(fd, w) : map_through(fd, w);
        close(fd);
    }
    return (double)bytes / 1e6 / ((double)(now_ns() - begin) / 1e9);
}

int main(int argc, char **argv)
{
    struct work mount = {0}, plain;
    struct side sides[] = {{"mount", run, &mount}, {"plain file", run, &plain}};

    if (argc != 6)
        die("readfile ROUNDS FILE PLAIN BLOCK|mmap TIMES", -EINVAL);
    mount.block = strcmp(argv[4], "mmap") == 0 ? 0 : strtoul(argv[4], NULL, 10);
    mount.times = (unsigned)strtoul(argv[5], NULL, 10);
    mount.buffer = malloc(mount.block + 1);
    if (!mount.buffer)
        die("buffer", -ENOMEM);
    plain = mount;
    mount.path = argv[2];
    plain.path = argv[3];
    measure(sides, 2, (unsigned)strtoul(argv[1], NULL, 10));
    free(mount.buffer);
    return EXIT_SUCCESS;
}
