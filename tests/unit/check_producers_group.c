/*
 * store/append with producers and threads: several sets of a producer in one
 * group, in their order; what fails in it; a retry over a second connection. Run
 * it under TSan too: `make tsan`.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"
#include "tests/support/produce.h"
#include "tests/support/suite.h"

#define SENDERS_MAX 10

static struct fixture f;
static struct partition *part;

/* -- a disk that keeps the writes to .log waiting, and fails some -- */

static struct fileio_ops gated;
static const struct fileio_ops *open_ops;
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_shut, at_gate;
static unsigned writes_to_log; /* since the gate was passed, that one not counted */
static unsigned failing;       /* bit i: write i fails */

static bool is_log(int fd)
{
    return part && part->segments[0]->fd[SUFFIX_LOG] == fd;
}

static ssize_t write_through_gate(struct fileio *io, int fd, const struct iovec *iov, int n,
                                  uint64_t pos)
{
    bool fails = false;

    pthread_mutex_lock(&gate_lock);
    if (is_log(fd)) {
        if (gate_shut) {
            at_gate = true;
            pthread_cond_broadcast(&gate_changed);
            while (gate_shut)
                pthread_cond_wait(&gate_changed, &gate_lock);
            writes_to_log = 0;
        } else {
            fails = failing >> writes_to_log++ & 1;
        }
    }
    pthread_mutex_unlock(&gate_lock);
    return fails ? -ENOSPC : open_ops->pwritev(io, fd, iov, n, pos);
}

static void shut_gate(void)
{
    gate_shut = true;
    at_gate = false;
    failing = 0;
}

static void wait_at_gate(void)
{
    pthread_mutex_lock(&gate_lock);
    while (!at_gate)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static void open_gate(unsigned fail)
{
    pthread_mutex_lock(&gate_lock);
    failing = fail;
    gate_shut = false;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static void setup(void)
{
    fixture_mem(&f);
    f.options.threads = true;
    f.options.wall_ms = NULL;
    gate_shut = false;
    failing = 0;
    part = NULL;
    open_ops = f.disk->io.ops;
    gated = *open_ops;
    gated.pwritev = write_through_gate;
    f.disk->io.ops = &gated;
    fixture_open(&f);
    part = fixture_topic(&f, "t", "");
}

static void teardown(void)
{
    if (f.disk)
        f.disk->io.ops = open_ops;
    fixture_end(&f);
}

/* -- senders in a queue -- */

struct sender {
    pthread_t thread;
    struct producer p; /* id -1: a plain line */
    uint32_t messages;
    int rc;
    struct appended at;
};

static void *send_set(void *arg)
{
    struct sender *s = arg;

    if (s->p.id < 0)
        s->rc = fixture_try_append(part, "line\n", &s->at.offset, NULL);
    else
        s->rc = produce(part, &s->p, s->messages, &s->at, NULL);
    return NULL;
}

static struct append_request *queue_tail(void)
{
    struct append_request *tail;

    pthread_mutex_lock(&part->append_lock);
    tail = part->queue_tail;
    pthread_mutex_unlock(&part->append_lock);
    return tail;
}

/* Starts them one by one: the queue has them in their order. */
static void queue_up(struct sender *s, int n)
{
    for (int i = 0; i < n; i++) {
        struct append_request *before = queue_tail();

        ck_assert_int_eq(pthread_create(&s[i].thread, NULL, send_set, &s[i]), 0);
        while (queue_tail() == before)
            sched_yield();
    }
}

static const struct {
    const char *name;
    unsigned failing; /* of the writes for the queue: bit 0 is the group's */
    struct {
        int64_t id;
        int32_t sequence;
        int expect; /* 0: appended; 1: a duplicate; or an error */
    } set[SENDERS_MAX];
    const char *text; /* in the end */
} queues[] = {
    {"a group of many",
     0,
     {{7, 0, 0}, {7, 1, 0}, {-1, 0, 0}, {8, 0, 0}, {7, 2, 0}, {8, 1, 0}},
     "7 0 0\n7 0 1\nline\n8 0 0\n7 0 2\n8 0 1\n"},
    {"a duplicate of a set of the same group",
     0,
     {{7, 0, 0}, {7, 1, 0}, {7, 0, 1}, {7, 1, 1}, {-1, 0, 0}, {7, 2, 0}},
     "7 0 0\n7 0 1\nline\n7 0 2\n"},
    {"a gap behind a set of the same group",
     0,
     {{7, 0, 0}, {7, 2, ERR_BAD_SEQUENCE}, {7, 1, 0}, {8, 1, ERR_NO_PRODUCER}, {-1, 0, 0}},
     "7 0 0\n7 0 1\nline\n"},
    {"a line leads", 0, {{-1, 0, 0}, {7, 0, 0}, {7, 0, 1}, {7, 1, 0}}, "line\n7 0 0\n7 0 1\n"},
    {"the group fails, and each alone does not",
     1,
     {{7, 0, 0}, {7, 1, 0}, {-1, 0, 0}, {7, 0, 1}, {7, 2, 0}},
     "7 0 0\n7 0 1\nline\n7 0 2\n"},
    {"the group fails, and its first set alone: what comes after it is refused",
     3,
     {{7, 0, -ENOSPC}, {7, 1, ERR_NO_PRODUCER}, {-1, 0, 0}, {7, 0, 0}, {7, 1, 0}},
     "line\n7 0 0\n7 0 1\n"},
    {"the group fails, and its second set alone",
     5,
     {{7, 0, 0}, {7, 1, -ENOSPC}, {7, 2, ERR_BAD_SEQUENCE}, {7, 1, 0}, {7, 1, 1}},
     "7 0 0\n7 0 1\n"},
};

START_TEST(sets_of_a_queue_in_their_order)
{
    struct sender line = {.p.id = -1};
    struct sender s[SENDERS_MAX];
    char want[200];
    int n = 0;

    for (; n < SENDERS_MAX && (n == 0 || queues[_i].set[n].id); n++)
        s[n] = (struct sender){.p = {queues[_i].set[n].id, 0, queues[_i].set[n].sequence},
                               .messages = 1};
    shut_gate();
    ck_assert_int_eq(pthread_create(&line.thread, NULL, send_set, &line), 0);
    wait_at_gate();
    queue_up(s, n);
    open_gate(queues[_i].failing);
    pthread_join(line.thread, NULL);
    ck_assert_int_eq(line.rc, 0);
    for (int i = 0; i < n; i++) {
        int expect = queues[_i].set[i].expect;

        pthread_join(s[i].thread, NULL);
        ck_assert_msg(s[i].rc == (expect < 0 ? expect : 0), "%s: set %d: %d", queues[_i].name, i,
                      s[i].rc);
        if (s[i].p.id >= 0 && expect >= 0) {
            ck_assert_int_eq(s[i].at.duplicate, expect);
            produce_expect_there(&f, part, &s[i].p, 1, &s[i].at);
        }
    }
    snprintf(want, sizeof want, "line\n%s", queues[_i].text);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_expect(&f, part, want);
}
END_TEST

/* -- many threads -- */

#define CONNECTIONS 2
#define PRODUCERS   4
#define SETS        150

struct connection {
    pthread_t thread;
    int64_t id;
    unsigned appended;
    uint64_t place[SETS]; /* of each set, by whomever; APPENDED_UNKNOWN */
};

/* Sends all sets of a producer, each again right away; so does another
 * connection at the same time. */
static void *send_all(void *arg)
{
    struct connection *c = arg;

    for (int32_t i = 0; i < SETS; i++) {
        struct producer p = {c->id, 0, i};
        struct appended first;
        struct appended again;

        ck_assert_int_eq(produce(part, &p, 1, &first, NULL), 0);
        ck_assert_int_eq(produce(part, &p, 1, &again, NULL), 0);
        ck_assert(again.duplicate);
        if (first.offset != APPENDED_UNKNOWN && again.offset != APPENDED_UNKNOWN)
            ck_assert_uint_eq(first.offset, again.offset);
        c->appended += !first.duplicate;
        c->place[i] = first.offset;
    }
    return NULL;
}

START_TEST(two_connections_of_each_producer)
{
    struct connection c[PRODUCERS][CONNECTIONS] = {0};
    struct partition_stat st;

    fixture_end(&f);
    fixture_real(&f);
    f.options.threads = true;
    f.options.wall_ms = NULL;
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS "flush.ms=1\n");
    for (int i = 0; i < PRODUCERS * CONNECTIONS; i++) {
        c[i / CONNECTIONS][i % CONNECTIONS].id = i / CONNECTIONS;
        ck_assert_int_eq(pthread_create(&c[i / CONNECTIONS][i % CONNECTIONS].thread, NULL, send_all,
                                        &c[i / CONNECTIONS][i % CONNECTIONS]),
                         0);
    }
    for (int i = 0; i < PRODUCERS * CONNECTIONS; i++)
        ck_assert_int_eq(pthread_join(c[i / CONNECTIONS][i % CONNECTIONS].thread, NULL), 0);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.messages, PRODUCERS * SETS);
    for (int p = 0; p < PRODUCERS; p++) {
        ck_assert_uint_eq(c[p][0].appended + c[p][1].appended, SETS);
        for (int i = 0; i < SETS; i++)
            if (c[p][0].place[i] != APPENDED_UNKNOWN && c[p][1].place[i] != APPENDED_UNKNOWN)
                ck_assert_uint_eq(c[p][0].place[i], c[p][1].place[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers_group");
    TCase *tc = tcase_create("producers_group");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, sets_of_a_queue_in_their_order, 0,
                        (int)(sizeof queues / sizeof *queues));
    tcase_add_test(tc, two_connections_of_each_producer);
    return suite_run(suite);
}
