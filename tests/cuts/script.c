/*
 * tests/cuts/script: a run that makes the same system calls every time, to be
 * killed at each of them (tests/cuts/cuts.sh, with strace).
 *
 * One thread. The record is a file in memory, mapped, outside the store: what
 * was acknowledged before the kill stands there. script_judge() is the start
 * afterwards: compares, goes on with the store, stops, and compares again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/diag.h"
#include "tests/cuts/cuts.h"
#include "tests/kill/line.h"

#define SET_MAX 60u

struct script {
    struct record *record;
    struct fileio *io;
    struct store *store;
    struct line line;
};

static _Noreturn void give_up(const char *what, int code, const char *why)
{
    printf("# script: %s: %d %s\n", what, code, why);
    fflush(stdout);
    _exit(3);
}

static struct record *map_record(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *at = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(struct record)) == 0)
        at = mmap(NULL, sizeof(struct record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        give_up(path, errno, "");
    close(fd);
    return at;
}

static void start(struct script *s, const char *dir)
{
    struct store_options options = {
        .name = "store", .journal_bytes = 96 << 10, .journal_part_bytes = 16 << 10};
    struct err err = {0};
    int rc;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        give_up(dir, errno, "");
    rc = fileio_open(&s->io, dir, &err);
    options.io = s->io;
    if (rc == 0)
        rc = store_open(&s->store, &options, &err);
    if (rc < 0)
        give_up("start", rc, err.text);
    s->record->run++;
    s->line = (struct line){.writer = 1, .cycle = s->record->run};
    verify_store(s->record, s->store, s->io);
}

static void stop(struct script *s)
{
    struct err err = {0};
    int rc = store_close(s->store, &err);

    if (rc < 0)
        give_up("stop", rc, err.text);
    fileio_release(s->io);
}

static void make_topic(struct script *s, const char *name, const char *settings)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};
    int rc = topic_config_parse(&conf, &topic_config_default, settings, strlen(settings),
                                "settings", &err);

    if (rc == 0)
        rc = store_topic_create(s->store, name, &conf, NULL, &err);
    if (rc < 0)
        give_up(name, rc, err.text);
}

static void make_topics(struct script *s)
{
    for (size_t i = 0; i < RECORD_PARTS; i++) {
        struct topic *topic = store_topic_find(s->store, record_where[i].topic);

        if (topic)
            topic_put(topic);
        else
            make_topic(s, record_where[i].topic, record_where[i].settings);
    }
}

static void waited(struct waiter *w, int rc)
{
    w->rc = rc;
    w->end = 0; /* it was called */
}

static int wait_for(struct script *s, struct partition *part, enum wait_for what)
{
    struct waiter w = {.done = waited};

    partition_wait(part, partition_end(part), what, &w);
    while (w.end > 0)
        store_work(s->store, true);
    return w.rc;
}

/* One set of `count` lines, so much padded; waits for it, or not. */
static void append(struct script *s, size_t i, unsigned count, unsigned pad, bool waits)
{
    static char text[SET_MAX * LINE_MAX_BYTES];
    const struct record_where *where = &record_where[i];
    struct topic *topic = store_topic_find(s->store, where->topic);
    struct partition *part = topic_partition(topic, where->partition);
    struct set set;
    struct err err = {0};
    uint64_t offset;
    size_t len = 0;
    size_t taken;
    int rc = 0;

    set_init(&set);
    s->line.set = count;
    for (s->line.place = 0; s->line.place < count && rc == 0; s->line.place++) {
        size_t n = line_print(text + len, &s->line, pad);
        struct message m = {
            .value = text + len, .value_len = (uint32_t)n - 1, .key = "key", .key_len = 3};

        if (where->keyed)
            rc = set_add_message(&set, &m);
        len += n;
        s->line.sequence++;
    }
    if (!where->keyed)
        rc = set_add_lines(&set, text, len, &taken);
    if (rc == 0)
        rc = partition_append(part, &set, &offset, &err);
    if (rc == 0 && waits)
        rc = wait_for(s, part, where->os ? WAIT_DURABLE : WAIT_VISIBLE);
    if (rc < 0)
        give_up("append", rc, err.text);
    if (waits)
        record_add_set(&s->record->parts[i], offset, (uint32_t)len, crc32c_extend(0, text, len));
    set_release(&set);
    topic_put(topic);
}

/* A topic is made, and removed again. */
static void change_topics(struct script *s, uint32_t i)
{
    _Atomic uint32_t *state = &s->record->topics[i];
    char name[16];

    snprintf(name, sizeof name, "n%u", i);
    s->record->topic_count = i + 1;
    *state = TOPIC_MAKING;
    make_topic(s, name, "partitions=2");
    *state = TOPIC_MADE;
    if (i % 2)
        return;
    *state = TOPIC_REMOVING;
    if (store_topic_remove(s->store, name, NULL) < 0)
        give_up(name, 0, "it can not be removed");
    *state = TOPIC_REMOVED;
}

int script_main(const char *dir, const char *record)
{
    struct script s = {.record = map_record(record)};

    diag_silence(true);
    start(&s, dir);
    make_topics(&s);
    for (unsigned i = 0; i < 7; i++) {
        append(&s, i % RECORD_PARTS, 3, 100, true);
        append(&s, 0, 50, 300, i % 3 == 0); /* some roll, some go direct */
        append(&s, 3, 30, 500, i % 2 == 0);
        append(&s, 5, 40, 400, i % 3 == 1);
    }
    change_topics(&s, 0);
    stop(&s);
    start(&s, dir);
    append(&s, 1, 2, 50, true);
    change_topics(&s, 1);
    for (unsigned i = 0; i < 6; i++) /* the journal's files take turns */
        append(&s, i % 3, 8, 700, true);
    stop(&s);
    return 0;
}

int script_judge(const char *dir, const char *record)
{
    struct script s = {.record = map_record(record)};

    diag_silence(true);
    for (int times = 0; times < 2; times++) {
        start(&s, dir);
        make_topics(&s);
        for (size_t i = 0; i < RECORD_PARTS; i++)
            append(&s, i, 2, 60, true);
        if (times > 0)
            verify_store(s.record, s.store, s.io);
        stop(&s);
    }
    printf("cuts: 1 cycles, %u lost\n", (unsigned)s.record->lost);
    return s.record->lost > 0;
}
