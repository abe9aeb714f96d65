/*
 * tests/kill/writer: publishes lines until the daemon is killed, and keeps the
 * ledger of what was acknowledged.
 *
 *     writer PUBLISH LEDGER WRITER CYCLE fsync|close|write
 *
 * Appends sets of lines (line.h) with one write(2) each; a set is acknowledged
 * when fsync(2), close(2), or write(2) itself (a topic with ack=write) said 0.
 * Then `CYCLE FIRST LAST` goes into the ledger. Begins behind the last line of
 * the ledger. Ends with status 0 when the mount is gone (ENOTCONN,
 * ECONNABORTED and their like), with 1 on any other failure.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/kill/line.h"

#define SET_MAX 160u

static uint64_t random_state;

static unsigned draw(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 20) % below;
}

static uint64_t first_not_acknowledged(FILE *ledger)
{
    uint64_t first, last, next = 0;
    unsigned cycle;

    while (fscanf(ledger, "%u %" SCNu64 " %" SCNu64, &cycle, &first, &last) == 3)
        next = last + 1;
    return next;
}

/* Mostly single lines and short sets, now and then one that goes direct. */
static unsigned set_size(void)
{
    switch (draw(16)) {
    case 0: return SET_MAX;
    case 1:
    case 2: return 1 + draw(40);
    default: return 1 + draw(3);
    }
}

static size_t make_set(char *out, struct line *l, unsigned count)
{
    size_t len = 0;

    l->set = count;
    for (l->place = 0; l->place < count; l->place++) {
        len += line_print(out + len, l, draw(draw(8) == 0 ? 800 : 150));
        l->sequence++;
    }
    return len;
}

/* 0: acknowledged. */
static int publish(const char *path, int *fd, const char *data, size_t len, char how)
{
    ssize_t n;
    int fd_then;

    if (*fd < 0)
        *fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (*fd < 0)
        return errno;
    n = write(*fd, data, len);
    if (n < 0)
        return errno;
    if ((size_t)n != len)
        return EPROTO; /* no set of ours is too long for one request */
    if (how == 'f')
        return fsync(*fd) < 0 ? errno : 0;
    if (how == 'w')
        return 0;
    fd_then = *fd;
    *fd = -1;
    return close(fd_then) < 0 ? errno : 0;
}

/* A daemon that is killed while it fetches a request makes the kernel say EIO:
 * whether it was that is told by an open(2), which needs an answer. */
static bool is_gone(const char *path, int error)
{
    int fd = -1;

    if (error == EIO)
        fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd >= 0)
        return false;
    if (error == EIO)
        error = errno;
    return error == ENOTCONN || error == ECONNABORTED;
}

int main(int argc, char **argv)
{
    static char set[SET_MAX * LINE_MAX_BYTES];
    struct line l = {0};
    FILE *ledger;
    int fd = -1;
    int error;

    if (argc != 6 || !(ledger = fopen(argv[2], "a+e"))) {
        fprintf(stderr, "writer PUBLISH LEDGER WRITER CYCLE fsync|close|write\n");
        return 2;
    }
    setvbuf(ledger, NULL, _IOLBF, BUFSIZ);
    l.writer = (unsigned)strtoul(argv[3], NULL, 10);
    l.cycle = (unsigned)strtoul(argv[4], NULL, 10);
    l.sequence = first_not_acknowledged(ledger);
    random_state = 0x9e3779b97f4a7c15u * (l.cycle * 64 + l.writer + 1);
    for (;;) {
        uint64_t first = l.sequence;

        error = publish(argv[1], &fd, set, make_set(set, &l, set_size()), argv[5][0]);
        if (error != 0)
            break;
        fprintf(ledger, "%u %" PRIu64 " %" PRIu64 "\n", l.cycle, first, l.sequence - 1);
    }
    if (is_gone(argv[1], error))
        return 0;
    fprintf(stderr, "writer %s: %s: %s\n", argv[3], argv[1], strerror(error));
    return 1;
}
