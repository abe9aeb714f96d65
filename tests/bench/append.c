/*
 * tests/bench/append: lines appended through a mount, against the same writes
 * to a plain file.
 *
 *     append DIR ROUNDS PUBLISH BLOCK BYTES SYNC_EVERY
 *
 * Megabytes a second, written in pieces of BLOCK bytes (a block's last line is
 * cut, as a program with a buffer cuts it, and goes on in the next block).
 * BYTES a round. SYNC_EVERY 0: no one waits for the disk. Else the plain file is
 * fdatasynced every so many bytes and at the end of the round; the topic
 * flushes as it is told to, and the round ends with an fsync.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/measure.h"

struct work {
    int fd;
    const char *data;
    size_t block, bytes;
    size_t sync_every; /* of the plain file; 0 = never */
    bool sync_at_end;
};

static double run(void *arg)
{
    struct work *w = arg;
    uint64_t begin = now_ns();
    size_t since = 0;

    for (size_t at = 0; at < w->bytes; at += w->block) {
        size_t n = w->bytes - at < w->block ? w->bytes - at : w->block;

        write_all(w->fd, w->data + at, n);
        since += n;
        if (w->sync_every > 0 && since >= w->sync_every) {
            sync_data(w->fd);
            since = 0;
        }
    }
    if (w->sync_at_end)
        sync_data(w->fd);
    return (double)w->bytes / 1e6 / ((double)(now_ns() - begin) / 1e9);
}

int main(int argc, char **argv)
{
    struct work mount = {0}, plain;
    struct side sides[] = {{"mount", run, &mount}, {"plain file", run, &plain}};
    size_t sync_every;
    char *data;

    if (argc != 7)
        die("append DIR ROUNDS PUBLISH BLOCK BYTES SYNC_EVERY", -EINVAL);
    mount.block = strtoul(argv[4], NULL, 10);
    mount.bytes = strtoul(argv[5], NULL, 10) / LINE_BYTES * LINE_BYTES;
    mount.data = data = make_lines(mount.bytes / LINE_BYTES);
    sync_every = strtoul(argv[6], NULL, 10);
    mount.sync_at_end = sync_every > 0;
    plain = mount;
    plain.sync_every = sync_every;
    plain.fd = plain_open(argv[1], "plain");
    mount.fd = open(argv[3], O_WRONLY | O_APPEND | O_CLOEXEC);
    if (mount.fd < 0)
        die(argv[3], -errno);
    measure(sides, 2, (unsigned)strtoul(argv[2], NULL, 10));
    if (close(mount.fd) < 0)
        die(argv[3], -errno);
    close(plain.fd);
    free(data);
    return EXIT_SUCCESS;
}
