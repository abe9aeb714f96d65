/*
 * tests/kill/verify: compares what a topic has with what was acknowledged.
 *
 *     verify TOPIC_DIR LEDGER_DIR STATE PARTITIONS WRITER...
 *
 * Reads TOPIC_DIR/<p>/0- of each partition and LEDGER_DIR/<writer> of each
 * writer. Objects to
 *   - a line that is torn or mixed, a set that is not whole;
 *   - an acknowledged line that is lost, or is there twice;
 *   - a writer's lines out of order within a partition;
 *   - bytes seen by an earlier run that are not there any more as they were,
 *     so an offset that means something else now. STATE remembers, for each
 *     partition, how many bytes were seen and their CRC.
 * Prints each objection (the first hundred) and last `N acknowledged, L lost`;
 * exit status 1 where there was any.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/kill/line.h"

#define WRITERS_MAX    64u
#define PARTITIONS_MAX 64u

struct writer {
    uint16_t *acknowledged; /* in which cycle, + 1; by sequence */
    uint8_t *found;
    uint64_t count; /* sequences 0 .. count - 1 are in the ledger */
};

struct seen {
    uint64_t len;
    uint32_t crc;
};

static struct writer writers[WRITERS_MAX];
static uint64_t objections;

__attribute__((format(printf, 1, 2))) static void object(const char *fmt, ...)
{
    va_list args;

    if (objections++ >= 100)
        return;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "verify: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* -- the ledgers -- */

static void grow(struct writer *w, uint64_t count)
{
    w->acknowledged = realloc(w->acknowledged, count * sizeof *w->acknowledged);
    w->found = realloc(w->found, count);
    if (!w->acknowledged || !w->found)
        give_up("memory");
    memset(w->acknowledged + w->count, 0, (count - w->count) * sizeof *w->acknowledged);
    memset(w->found + w->count, 0, count - w->count);
    w->count = count;
}

static void read_ledger(const char *dir, unsigned id)
{
    struct writer *w = &writers[id];
    char path[4096];
    uint64_t first, last;
    unsigned cycle;
    FILE *f;

    snprintf(path, sizeof path, "%s/%u", dir, id);
    f = fopen(path, "re");
    if (!f)
        give_up(path);
    while (fscanf(f, "%u %" SCNu64 " %" SCNu64, &cycle, &first, &last) == 3) {
        if (last >= w->count)
            grow(w, last + 1);
        for (uint64_t s = first; s <= last; s++)
            w->acknowledged[s] = (uint16_t)(cycle + 1);
    }
    fclose(f);
}

/* -- the log -- */

static char *read_log(const char *topic, unsigned partition, size_t *len)
{
    char path[4096];
    size_t room = 1 << 20;
    char *data = malloc(room);
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/%u/0-", topic, partition);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !data)
        give_up(path);
    *len = 0;
    while ((n = read(fd, data + *len, room - *len)) > 0) {
        *len += (size_t)n;
        if (*len == room) {
            char *grown = realloc(data, room *= 2);

            if (!grown)
                give_up(path);
            data = grown;
        }
    }
    if (n < 0)
        give_up(path);
    close(fd);
    return data;
}

static void judge_line(unsigned partition, uint64_t offset, const struct line *l,
                       const struct line *before, struct line *newest)
{
    struct writer *w = &writers[l->writer];
    struct line *last = &newest[l->writer];
    bool same_set = before->set > 0 && before->place + 1 < before->set;

    if (same_set && (l->writer != before->writer || l->cycle != before->cycle ||
                     l->sequence != before->sequence + 1 || l->place != before->place + 1))
        object("partition %u, offset %" PRIu64 ": a set is not whole", partition, offset);
    if (!same_set && l->place != 0)
        object("partition %u, offset %" PRIu64 ": a set lacks its beginning", partition, offset);
    if (last->set > 0 &&
        (l->cycle < last->cycle || (l->cycle == last->cycle && l->sequence <= last->sequence)))
        object("partition %u, offset %" PRIu64 ": writer %u: s%" PRIu64
               " of cycle %u after s%" PRIu64 " of cycle %u",
               partition, offset, l->writer, l->sequence, l->cycle, last->sequence, last->cycle);
    *last = *l;
    if (l->sequence >= w->count)
        return;
    if (l->cycle + 1 == w->acknowledged[l->sequence])
        w->found[l->sequence]++;
    else if (l->cycle + 1 > w->acknowledged[l->sequence])
        object("partition %u, offset %" PRIu64 ": writer %u: s%" PRIu64 " came again", partition,
               offset, l->writer, l->sequence);
}

static void judge_log(unsigned partition, const char *data, size_t len)
{
    struct line newest[WRITERS_MAX] = {0};
    struct line before = {0};
    const char *at = data;

    while (at < data + len) {
        const char *nl = memchr(at, '\n', (size_t)(data + len - at));
        uint64_t offset = (uint64_t)(at - data);
        struct line l;

        if (!nl) {
            object("partition %u, offset %" PRIu64 ": half a line", partition, offset);
            return;
        }
        if (!line_read(&l, at, (size_t)(nl - at)) || l.writer >= WRITERS_MAX) {
            object("partition %u, offset %" PRIu64 ": not as it was written: %.60s", partition,
                   offset, at);
        } else {
            judge_line(partition, offset, &l, &before, newest);
            before = l;
        }
        at = nl + 1;
    }
    if (before.place + 1 < before.set)
        object("partition %u: the last set is not whole", partition);
}

/* -- what was seen before -- */

static void read_state(const char *path, struct seen *seen, unsigned partitions)
{
    FILE *f = fopen(path, "re");

    for (unsigned p = 0; f && p < partitions; p++)
        if (fscanf(f, "%" SCNu64 " %" SCNx32, &seen[p].len, &seen[p].crc) != 2)
            give_up(path);
    if (f)
        fclose(f);
}

static void write_state(const char *path, const struct seen *seen, unsigned partitions)
{
    FILE *f = fopen(path, "we");

    for (unsigned p = 0; f && p < partitions; p++)
        fprintf(f, "%" PRIu64 " %" PRIx32 "\n", seen[p].len, seen[p].crc);
    if (!f || fclose(f) != 0)
        give_up(path);
}

static void judge_partition(const char *topic, unsigned partition, struct seen *seen)
{
    size_t len;
    char *data = read_log(topic, partition, &len);

    if (len < seen->len)
        object("partition %u: %" PRIu64 " bytes were seen, %zu are there", partition, seen->len,
               len);
    else if (crc32c_extend(0, data, seen->len) != seen->crc)
        object("partition %u: the first %" PRIu64 " bytes are not those seen before", partition,
               seen->len);
    judge_log(partition, data, len);
    seen->len = len;
    seen->crc = crc32c_extend(0, data, len);
    free(data);
}

static uint64_t judge_writer(unsigned id, uint64_t *acknowledged)
{
    const struct writer *w = &writers[id];
    uint64_t lost = 0;

    for (uint64_t s = 0; s < w->count; s++) {
        lost += w->found[s] == 0;
        if (w->found[s] != 1)
            object("writer %u: s%" PRIu64 ", acknowledged in cycle %u, is there %u times", id, s,
                   w->acknowledged[s] - 1u, w->found[s]);
    }
    *acknowledged += w->count;
    return lost;
}

int main(int argc, char **argv)
{
    struct seen seen[PARTITIONS_MAX] = {0};
    uint64_t acknowledged = 0, lost = 0;
    unsigned partitions;

    if (argc < 6 || (partitions = (unsigned)strtoul(argv[4], NULL, 10)) > PARTITIONS_MAX) {
        fprintf(stderr, "verify TOPIC_DIR LEDGER_DIR STATE PARTITIONS WRITER...\n");
        return 2;
    }
    for (int i = 5; i < argc; i++)
        read_ledger(argv[2], (unsigned)strtoul(argv[i], NULL, 10) % WRITERS_MAX);
    read_state(argv[3], seen, partitions);
    for (unsigned p = 0; p < partitions; p++)
        judge_partition(argv[1], p, &seen[p]);
    write_state(argv[3], seen, partitions);
    for (int i = 5; i < argc; i++)
        lost += judge_writer((unsigned)strtoul(argv[i], NULL, 10) % WRITERS_MAX, &acknowledged);
    printf("%" PRIu64 " acknowledged, %" PRIu64 " lost\n", acknowledged, lost);
    return objections > 0;
}
