/*
 * tests/cuts/load: a worker. It opens the store, compares it with the record,
 * and appends until it is told to stop, or killed, or its disk is cut: four
 * appenders that wait for flushes of their own and of each other, a reader that
 * follows all partitions, and topics made and removed.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/diag.h"
#include "tests/cuts/cuts.h"
#include "tests/kill/line.h"
#include "tests/support/powercut.h"

#define APPENDERS    4u
#define SET_MAX      100u
#define UNWAITED_MAX 4u
#define READ_BYTES   65536u
#define GENTLE_SETS  6u

struct crew {
    const struct load *load;
    struct record *record;
    struct fileio *io;
    struct store *store;
    struct topic *topics[RECORD_PARTS];
    struct partition *parts[RECORD_PARTS];
    _Atomic bool over; /* the reader shall end */
};

struct appender {
    struct crew *crew;
    uint64_t random;
    struct line line;
    struct set set;
    char text[SET_MAX * LINE_MAX_BYTES];
    /* Appended to one partition, not waited for. */
    struct record_set unwaited[UNWAITED_MAX];
    size_t unwaited_count;
    uint64_t sets;
};

/* A call failed: to be expected once the disk is cut, and only then. */
static void failed(const struct crew *crew, const char *what, int rc)
{
    if (!crew->record->cut && rc != ERR_STOPPING)
        record_object(crew->record, "%s: %d", what, rc);
}

/* -- appending -- */

static unsigned set_size(uint64_t *random)
{
    switch (mem_below(random, 16)) {
    case 0: return SET_MAX;
    case 1:
    case 2: return 1 + (unsigned)mem_below(random, 40);
    default: return 1 + (unsigned)mem_below(random, 3);
    }
}

/* Fills a->set; returns its bytes' CRC as they will stand in the log. */
static uint32_t make_set(struct appender *a, bool keyed)
{
    size_t len = 0;
    size_t taken;
    int rc = 0;

    set_clear(&a->set);
    a->line.set = set_size(&a->random);
    for (a->line.place = 0; a->line.place < a->line.set && rc == 0; a->line.place++) {
        size_t pad = mem_below(&a->random, mem_below(&a->random, 8) ? 150 : 400);
        size_t n = line_print(a->text + len, &a->line, (unsigned)pad);
        struct header header = {"trace", 5, a->text + len, 5};
        struct message m = {.value = a->text + len,
                            .value_len = (uint32_t)n - 1,
                            .key = a->text + len,
                            .key_len = (uint32_t)(a->line.sequence % 7),
                            .headers = &header,
                            .header_count = (uint32_t)(a->line.sequence % 2)};

        if (keyed)
            rc = set_add_message(&a->set, &m);
        len += n;
        a->line.sequence++;
    }
    if (!keyed)
        rc = set_add_lines(&a->set, a->text, len, &taken);
    if (rc != 0)
        record_object(a->crew->record, "a set can not be made: %d", rc);
    return crc32c_extend(0, a->text, len);
}

struct wait {
    struct waiter w; /* first */
    sem_t done;
};

static void waited(struct waiter *w, int rc)
{
    w->rc = rc;
    sem_post(&((struct wait *)w)->done);
}

static int wait_for(struct partition *part, uint64_t end, enum wait_for what)
{
    struct wait wait = {.w.done = waited};

    sem_init(&wait.done, 0, 0);
    partition_wait(part, end, what, &wait.w);
    while (sem_wait(&wait.done) < 0)
        continue;
    sem_destroy(&wait.done);
    return wait.w.rc;
}

/* Waits for what was appended to partition i, and promises it. */
static int wait_and_promise(struct appender *a, size_t i)
{
    struct record *r = a->crew->record;
    const struct record_set *last = &a->unwaited[a->unwaited_count - 1];
    bool durable = record_where[i].os || mem_below(&a->random, 4) == 0;
    int rc = wait_for(a->crew->parts[i], last->offset + last->len,
                      durable ? WAIT_DURABLE : WAIT_VISIBLE);

    if (rc == 0 && !r->cut) { /* see record.cut */
        for (size_t k = 0; k < a->unwaited_count; k++)
            record_add_set(&r->parts[i], a->unwaited[k].offset, a->unwaited[k].len,
                           a->unwaited[k].crc);
        record_acknowledge(r, a->unwaited_count);
    } else if (rc < 0) {
        failed(a->crew, "wait", rc);
    }
    a->unwaited_count = 0;
    return rc;
}

/* Some sets to one partition; most often their flush is waited for. */
static int append_some(struct appender *a)
{
    size_t i = mem_below(&a->random, RECORD_PARTS);
    size_t count = 1 + mem_below(&a->random, UNWAITED_MAX);
    bool waits = mem_below(&a->random, 8) > 0;
    int rc;

    for (; count > 0; count--) {
        struct record_set *s = &a->unwaited[a->unwaited_count];

        s->crc = make_set(a, record_where[i].keyed);
        s->len = a->set.log_bytes;
        rc = partition_append(a->crew->parts[i], &a->set, &s->offset, NULL);
        if (rc < 0) {
            failed(a->crew, "append", rc);
            return rc;
        }
        a->unwaited_count++;
        a->sets++;
    }
    if (waits)
        return wait_and_promise(a, i);
    a->unwaited_count = 0;
    return 0;
}

static void *appender(void *arg)
{
    struct appender *a = arg;
    struct record *r = a->crew->record;
    bool gentle = a->crew->load->gentle;
    int rc = 0;

    while (rc == 0 && !r->stop && !(gentle && a->sets >= GENTLE_SETS))
        rc = append_some(a);
    if (rc == 0)
        record_await_order(r); /* to stop, or the cut */
    return NULL;
}

/* -- reading -- */

struct follower {
    struct waiter w; /* first */
    sem_t *news;     /* posted once for each watch that ends */
    _Atomic bool armed;
    struct record_seen seen;
};

static void news(struct waiter *w, int rc)
{
    struct follower *f = (struct follower *)w;

    (void)rc;
    f->armed = false;
    sem_post(f->news);
}

/* Reads what is visible of partition i, and remembers it. */
static int follow(struct crew *crew, size_t i, struct follower *f)
{
    static char bytes[READ_BYTES];
    struct record_part *p = &crew->record->parts[i];

    while (f->seen.end < partition_visible_end(crew->parts[i])) {
        struct range r;
        bool cut;
        int rc = partition_range(crew->parts[i], f->seen.end, sizeof bytes, &r);

        if (rc == ERR_GONE) { /* retention was faster */
            f->seen.from = f->seen.end = partition_first(crew->parts[i]);
            f->seen.crc = 0;
            continue;
        }
        if (rc < 0)
            return rc;
        cut = crew->record->cut; /* after the range was found visible */
        rc = fileio_read_all(crew->io, r.fd, bytes, r.len, r.pos);
        f->seen.crc = crc32c_extend(f->seen.crc, bytes, r.len);
        f->seen.end += r.len;
        range_release(&r);
        if (rc < 0)
            return rc;
        if (!cut)
            record_put_seen(p->seen, &p->seen_turn, f->seen);
    }
    return 0;
}

static void *reader(void *arg)
{
    struct crew *crew = arg;
    struct follower followers[RECORD_PARTS] = {0};
    unsigned watches = 0; /* whose end was not waited for yet */
    sem_t any;
    int rc = 0;

    sem_init(&any, 0, 0);
    while (!crew->over && rc == 0) {
        for (size_t i = 0; i < RECORD_PARTS && rc == 0; i++) {
            struct follower *f = &followers[i];

            if (f->armed)
                continue;
            rc = follow(crew, i, f);
            f->w.done = news;
            f->news = &any;
            f->armed = true;
            watches++;
            partition_watch(crew->parts[i], f->seen.end + 1, &f->w);
        }
        while (sem_wait(&any) < 0)
            continue;
        watches--;
    }
    if (rc < 0)
        failed(crew, "read", rc);
    for (size_t i = 0; i < RECORD_PARTS; i++)
        if (followers[i].armed && partition_cancel(crew->parts[i], &followers[i].w))
            watches--;
    while (watches > 0) /* they are about to be told */
        if (sem_wait(&any) == 0)
            watches--;
    sem_destroy(&any);
    return NULL;
}

/* -- topics -- */

static int make_topic(const struct crew *crew, const char *name, const char *settings)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};
    int rc = topic_config_parse(&conf, &topic_config_default, settings, strlen(settings),
                                "settings", &err);

    if (rc == 0)
        rc = store_topic_create(crew->store, name, &conf, NULL, &err);
    if (rc < 0 && !crew->record->cut)
        record_object(crew->record, "topic %s: %d: %s", name, rc, err.text);
    return rc;
}

/* Finds the partitions; makes them where the store is new. */
static int find_partitions(struct crew *crew)
{
    for (size_t i = 0; i < RECORD_PARTS; i++) {
        const struct record_where *where = &record_where[i];
        int rc = 0;

        crew->topics[i] = store_topic_find(crew->store, where->topic);
        if (!crew->topics[i])
            rc = make_topic(crew, where->topic, where->settings);
        if (rc == 0 && !crew->topics[i])
            crew->topics[i] = store_topic_find(crew->store, where->topic);
        if (rc < 0)
            return rc;
        crew->parts[i] = topic_partition(crew->topics[i], where->partition);
    }
    return 0;
}

/* One that never had a message, or as if it might have had some. */
static int remove_topic(const struct crew *crew, const char *name, bool deletes)
{
    struct topic *topic;
    int rc;

    if (!deletes)
        return store_topic_remove(crew->store, name, NULL);
    topic = store_topic_find(crew->store, name);
    rc = store_topic_delete(topic, NULL);
    topic_put(topic);
    return rc;
}

/* Makes a topic, and sometimes removes one. */
static void change_topics(const struct crew *crew, uint64_t *random)
{
    struct record *r = crew->record;
    uint32_t i = r->topic_count;
    char name[16];
    int rc;

    if (i >= RECORD_MADE)
        return;
    r->topics[i] = TOPIC_MAKING;
    r->topic_count = i + 1;
    snprintf(name, sizeof name, "n%u", i);
    if (make_topic(crew, name, "partitions=2") < 0 || r->cut)
        return;
    r->topics[i] = TOPIC_MADE;
    i = (uint32_t)mem_below(random, i + 1);
    if (r->topics[i] != TOPIC_MADE)
        return;
    r->topics[i] = TOPIC_REMOVING;
    snprintf(name, sizeof name, "n%u", i);
    rc = remove_topic(crew, name, mem_below(random, 2));
    if (rc < 0)
        failed(crew, name, rc);
    else if (!r->cut)
        r->topics[i] = TOPIC_REMOVED;
}

/* -- the worker -- */

/* How often the journal's files have taken turns. */
static void count_turns(const struct crew *crew)
{
    struct buf text = {0};
    const char *at;

    if (store_status(crew->store, &text) == 0 && buf_add(&text, "", 1) == 0 &&
        (at = strstr((const char *)text.data, "journal turns: ")))
        crew->record->turns += strtoull(at + 15, NULL, 10);
    buf_release(&text);
}

static void work(struct crew *crew)
{
    static struct appender appenders[APPENDERS];
    unsigned count = crew->load->gentle ? 1 : APPENDERS;
    uint64_t random = crew->load->seed;
    pthread_t threads[APPENDERS + 1];

    pthread_create(&threads[APPENDERS], NULL, reader, crew);
    for (unsigned i = 0; i < count; i++) {
        appenders[i].crew = crew;
        appenders[i].random = mem_random(&random);
        appenders[i].line = (struct line){.writer = i, .cycle = crew->record->run};
        set_init(&appenders[i].set);
        pthread_create(&threads[i], NULL, appender, &appenders[i]);
    }
    if (!crew->load->gentle && mem_below(&random, 2))
        change_topics(crew, &random);
    record_reach(crew->record, PHASE_LOADED);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        set_release(&appenders[i].set);
    }
    count_turns(crew);
    record_reach(crew->record, PHASE_STOPPING);
    crew->over = true;
    store_stop_waiting(crew->store);
    pthread_join(threads[APPENDERS], NULL);
}

int load_run(const struct load *load)
{
    struct crew crew = {.load = load, .record = load->record};
    struct store_options options = {.name = "store",
                                    .threads = true,
                                    .journal_bytes = 768 << 10,
                                    .journal_part_bytes = 16 << 10,
                                    .retention_check_ms = 15};
    struct err err = {0};
    int rc = fileio_open(&crew.io, load->dir, &err);

    diag_silence(getenv("CUTS_KEEP") == NULL); /* then it says what it does */
    options.io = crew.io;
    if (rc == 0)
        rc = store_open(&crew.store, &options, &err);
    if (rc < 0) {
        if (!load->record->cut)
            record_object(load->record, "start: %d: %s", rc, err.text);
        return 1;
    }
    if (verify_store(load->record, crew.store, crew.io))
        record_reach(load->record, PHASE_VERIFIED);
    if (!load->record->lost && find_partitions(&crew) == 0)
        work(&crew);
    for (size_t i = 0; i < RECORD_PARTS; i++)
        if (crew.topics[i])
            topic_put(crew.topics[i]);
    rc = store_close(crew.store, &err);
    if (rc < 0 && !load->record->cut)
        record_object(load->record, "stop: %d: %s", rc, err.text);
    fileio_release(crew.io);
    record_reach(load->record, PHASE_STOPPED);
    return rc < 0;
}
