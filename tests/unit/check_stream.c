/* fs/stream: thousands who wait for one partition, and who comes in between. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fs/stream.h"
#include "tests/support/suite.h"

#define PARTS_MAX 8

/* -- a store that has watches and nothing else -- */

struct partition {
    pthread_mutex_t lock;
    _Atomic uint64_t visible;
    int failed;
    struct waiter *watches;
    unsigned armed_ever;
};

struct topic {
    struct partition parts[PARTS_MAX];
    _Atomic uint32_t count;
    atomic_int refs;
};

uint32_t topic_number(const struct topic *topic)
{
    (void)topic;
    return 16;
}

struct topic *topic_get(struct topic *topic)
{
    topic->refs++;
    return topic;
}

void topic_put(struct topic *topic)
{
    ck_assert_int_gt(topic->refs--, 1);
}

uint32_t topic_partition_count(const struct topic *topic)
{
    return topic->count;
}

struct partition *topic_partition(const struct topic *topic, uint32_t index)
{
    return (struct partition *)(uintptr_t)&topic->parts[index];
}

uint64_t partition_visible_end(const struct partition *part)
{
    return part->visible;
}

typedef void hook(void);

/* Each runs once, between the store and who asked it. */
static hook *_Atomic while_watched;
static hook *_Atomic while_cancelled;

static void run_once(hook *_Atomic *meanwhile)
{
    hook *run = atomic_exchange(meanwhile, NULL);

    if (run)
        run();
}

void partition_watch(struct partition *part, uint64_t end, struct waiter *w)
{
    int rc;
    bool now;

    run_once(&while_watched);
    pthread_mutex_lock(&part->lock);
    part->armed_ever++;
    rc = part->failed;
    now = rc < 0 || part->visible >= end;
    if (!now) {
        w->end = end;
        w->next = part->watches;
        part->watches = w;
    }
    pthread_mutex_unlock(&part->lock);
    if (now)
        w->done(w, rc);
}

static bool unlink_watch(struct partition *part, struct waiter *w)
{
    for (struct waiter **at = &part->watches; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            return true;
        }
    return false;
}

bool partition_cancel(struct partition *part, struct waiter *w)
{
    bool was;

    pthread_mutex_lock(&part->lock);
    was = unlink_watch(part, w);
    pthread_mutex_unlock(&part->lock);
    run_once(&while_cancelled);
    return was;
}

/* The visible end rises, or with rc the partition fails. */
static void raise_end(struct partition *part, uint64_t by, int rc)
{
    struct waiter *fire = NULL;

    pthread_mutex_lock(&part->lock);
    part->visible += by;
    part->failed = rc;
    for (struct waiter **at = &part->watches; *at;) {
        struct waiter *w = *at;

        if (rc < 0 || w->end <= part->visible) {
            *at = w->next;
            w->next = fire;
            fire = w;
        } else {
            at = &w->next;
        }
    }
    pthread_mutex_unlock(&part->lock);
    for (struct waiter *next; fire; fire = next) {
        next = fire->next;
        fire->done(fire, rc);
    }
}

/* -- who waits: a reader at an offset of partition 0, or for any end -- */

struct reader {
    struct stream_wait wait;
    uint64_t at; /* sum of the visible ends of its partitions */
    int64_t partition;
    _Atomic int told; /* how often */
    _Atomic int rc;
};

static struct topic topic;
static struct streams *streams;

static bool check(struct stream_wait *w)
{
    struct reader *r = (struct reader *)w;
    uint64_t sum = 0;

    if (r->partition >= 0)
        return topic.parts[r->partition].visible > r->at;
    for (uint32_t i = 0; i < topic.count; i++)
        sum += topic.parts[i].visible;
    return sum > r->at;
}

static void ready(struct stream_wait *w, int rc)
{
    struct reader *r = (struct reader *)w;

    r->rc = rc;
    r->told++;
}

static void start(void)
{
    topic.count = 1;
    topic.refs = 1;
    for (int i = 0; i < PARTS_MAX; i++) {
        topic.parts[i] = (struct partition){.visible = 0};
        pthread_mutex_init(&topic.parts[i].lock, NULL);
    }
    ck_assert_int_eq(streams_new(&streams, 2), 0);
}

static void finish(void)
{
    streams_stop(streams);
    streams_free(streams);
    ck_assert_int_eq(topic.refs, 1);
    for (int i = 0; i < PARTS_MAX; i++)
        ck_assert_ptr_null(topic.parts[i].watches);
}

static bool begin(struct reader *r, int64_t partition, uint64_t at)
{
    *r = (struct reader){.partition = partition, .at = at};
    stream_wait_init(streams, &r->wait, check, ready);
    return streams_wait(streams, &r->wait, &topic, partition);
}

static int told(struct reader *r)
{
    while (r->told == 0)
        sched_yield();
    ck_assert_int_eq(r->told, 1);
    return r->rc;
}

START_TEST(what_is_there_is_not_waited_for)
{
    struct reader r;

    raise_end(&topic.parts[0], 10, 0);
    ck_assert(!begin(&r, 0, 9));
    ck_assert(begin(&r, 0, 10));
    ck_assert_uint_eq(streams_waiting(streams), 1);
    raise_end(&topic.parts[0], 1, 0);
    ck_assert_int_eq(told(&r), 0);
}
END_TEST

#define CROWD 10000

/* One watch in the store for all of them. */
START_TEST(a_crowd_shares_one_watch)
{
    struct reader *crowd = calloc(CROWD, sizeof(*crowd));

    ck_assert_ptr_nonnull(crowd);
    for (size_t i = 0; i < CROWD; i++)
        ck_assert(begin(&crowd[i], 0, i % 2));
    ck_assert_uint_eq(topic.parts[0].armed_ever, 1);
    raise_end(&topic.parts[0], 1, 0);
    for (size_t i = 0; i < CROWD; i += 2)
        ck_assert_int_eq(told(&crowd[i]), 0);
    ck_assert_uint_eq(streams_waiting(streams), CROWD / 2);
    raise_end(&topic.parts[0], 1, 0);
    for (size_t i = 1; i < CROWD; i += 2)
        ck_assert_int_eq(told(&crowd[i]), 0);
    ck_assert_uint_le(topic.parts[0].armed_ever, 3);
    free(crowd);
}
END_TEST

START_TEST(an_interrupted_one_is_told_so)
{
    struct reader a, b, early = {.partition = 0};

    ck_assert(begin(&a, 0, 0));
    ck_assert(begin(&b, 0, 0));
    stream_interrupt(&a.wait);
    stream_interrupt(&a.wait);
    ck_assert_int_eq(told(&a), -EINTR);
    stream_wait_init(streams, &early.wait, check, ready);
    stream_interrupt(&early.wait);
    ck_assert(streams_wait(streams, &early.wait, &topic, 0));
    ck_assert_int_eq(told(&early), -EINTR);
    raise_end(&topic.parts[0], 1, 0);
    ck_assert_int_eq(told(&b), 0);
}
END_TEST

START_TEST(one_that_is_taken_back_is_not_told)
{
    struct reader a;

    ck_assert(begin(&a, 0, 0));
    ck_assert(stream_cancel(&a.wait));
    ck_assert(!stream_cancel(&a.wait));
    raise_end(&topic.parts[0], 1, 0);
    ck_assert(begin(&a, 0, 1));
    raise_end(&topic.parts[0], 1, 0);
    ck_assert_int_eq(told(&a), 0);
    ck_assert(!stream_cancel(&a.wait));
}
END_TEST

START_TEST(a_failed_partition_ends_the_wait)
{
    struct reader a, b;

    ck_assert(begin(&a, 0, 0));
    raise_end(&topic.parts[0], 0, -EIO);
    ck_assert_int_eq(told(&a), -EIO);
    ck_assert(begin(&b, 0, 0));
    ck_assert_int_eq(told(&b), -EIO);
}
END_TEST

/* Of many partitions, only when all have failed. */
START_TEST(the_others_go_on)
{
    struct reader r;

    topic.count = 3;
    ck_assert(begin(&r, -1, 0));
    raise_end(&topic.parts[0], 0, -EIO);
    raise_end(&topic.parts[1], 1, 0);
    ck_assert_int_eq(told(&r), 0);
    ck_assert(begin(&r, -1, 1));
    raise_end(&topic.parts[1], 0, -EIO);
    raise_end(&topic.parts[2], 0, -EIO);
    ck_assert_int_eq(told(&r), -EIO);
}
END_TEST

START_TEST(partitions_that_are_added_are_watched)
{
    struct reader r;

    ck_assert(begin(&r, -1, 0));
    topic.count = 2;
    streams_tick(streams);
    raise_end(&topic.parts[1], 1, 0);
    ck_assert_int_eq(told(&r), 0);
}
END_TEST

START_TEST(a_kick_asks_again)
{
    struct reader r;

    raise_end(&topic.parts[0], 5, 0);
    ck_assert(begin(&r, 0, 5));
    r.at = 4; /* its mind was changed by something else */
    streams_kick(streams, &topic, 0);
    ck_assert_int_eq(told(&r), 0);
    streams_kick(streams, &topic, -1); /* nobody there */
}
END_TEST

/* Watches that nobody waits for go, and with them what holds the topic. */
START_TEST(unused_watches_are_dropped)
{
    struct reader r;

    ck_assert(begin(&r, 0, 0));
    ck_assert(stream_cancel(&r.wait));
    ck_assert_int_eq(topic.refs, 2);
    for (int i = 0; i < 3; i++)
        streams_tick(streams);
    while (topic.refs > 1)
        streams_tick(streams);
    ck_assert_ptr_null(topic.parts[0].watches);
}
END_TEST

static struct reader comer;

static void late_comes(void)
{
    ck_assert(begin(&comer, -1, 0));
}

/* The tick has taken the first watch back, and the hub looks armed still. */
START_TEST(one_who_comes_while_watches_are_dropped)
{
    struct reader r;

    topic.count = 1 + (uint32_t)_i;
    ck_assert(begin(&r, -1, 0));
    ck_assert(stream_cancel(&r.wait));
    streams_tick(streams);
    while_cancelled = late_comes;
    streams_tick(streams);
    ck_assert_ptr_null(while_cancelled);
    raise_end(&topic.parts[_i], 1, 0);
    ck_assert_int_eq(told(&comer), 0);
}
END_TEST

START_TEST(a_stop_tells_all)
{
    struct reader a, b, late;

    topic.count = 2;
    ck_assert(begin(&a, 0, 0));
    ck_assert(begin(&b, -1, 0));
    streams_stop(streams);
    ck_assert_int_eq(a.rc, ERR_STOPPING);
    ck_assert_int_eq(b.rc, ERR_STOPPING);
    ck_assert(begin(&late, 0, 0));
    streams_stop(streams);
    ck_assert_int_eq(late.told, 1);
    ck_assert_int_eq(late.rc, ERR_STOPPING);
}
END_TEST

static pthread_t stopper;
static _Atomic bool stop_was_here;

static void *stop(void *arg)
{
    (void)arg;
    streams_stop(streams);
    return NULL;
}

static void stop_looks(void)
{
    stop_was_here = true;
}

static void stop_comes(void)
{
    while_cancelled = stop_looks;
    pthread_create(&stopper, NULL, stop, NULL);
    while (!stop_was_here)
        sched_yield();
}

/* It takes back what the store does not have yet. */
START_TEST(a_stop_while_a_watch_is_being_armed)
{
    struct reader r;

    while_watched = stop_comes;
    ck_assert(begin(&r, 0, 0));
    ck_assert_int_eq(told(&r), ERR_STOPPING);
    pthread_join(stopper, NULL);
    ck_assert_ptr_null(topic.parts[0].watches);
}
END_TEST

/* -- all at once -- */

static _Atomic bool over;
static _Atomic unsigned raised;

static void *keep_raising(void *arg)
{
    (void)arg;
    while (!over) {
        raise_end(&topic.parts[rand() % 2], 1, 0);
        raised++;
        sched_yield();
    }
    return NULL;
}

static void *keep_ticking(void *arg)
{
    unsigned seen = 0;

    (void)arg;
    while (!over) { /* once a raise: it would keep the lock from all others */
        if (raised != seen)
            streams_tick(streams);
        seen = raised;
        sched_yield();
    }
    return NULL;
}

/* Readers who wait for the next byte again and again: a wake-up that is lost
 * hangs here. */
static void *keep_reading(void *arg)
{
    struct reader r;
    int64_t partition = (int64_t)(uintptr_t)arg % 3 - 1;
    uint64_t at = 0;

    for (int i = 0; i < 3000; i++) {
        if (partition >= 0) {
            at = topic.parts[partition].visible;
        } else {
            at = topic.parts[0].visible;
            at += topic.parts[1].visible;
        }
        if (!begin(&r, partition, at))
            continue;
        if (i % 16 == 0)
            stream_interrupt(&r.wait);
        ck_assert_int_le(told(&r), 0);
    }
    return NULL;
}

START_TEST(no_wake_up_is_lost)
{
    pthread_t readers[6], raiser, ticker;

    topic.count = 2;
    over = false;
    pthread_create(&raiser, NULL, keep_raising, NULL);
    pthread_create(&ticker, NULL, keep_ticking, NULL);
    for (size_t i = 0; i < 6; i++)
        pthread_create(&readers[i], NULL, keep_reading, (void *)(uintptr_t)i);
    for (size_t i = 0; i < 6; i++)
        pthread_join(readers[i], NULL);
    over = true;
    pthread_join(raiser, NULL);
    pthread_join(ticker, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs/stream");
    TCase *tc = tcase_create("waiting");

    tcase_add_checked_fixture(tc, start, finish);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, what_is_there_is_not_waited_for);
    tcase_add_test(tc, a_crowd_shares_one_watch);
    tcase_add_test(tc, an_interrupted_one_is_told_so);
    tcase_add_test(tc, one_that_is_taken_back_is_not_told);
    tcase_add_test(tc, a_failed_partition_ends_the_wait);
    tcase_add_test(tc, the_others_go_on);
    tcase_add_test(tc, partitions_that_are_added_are_watched);
    tcase_add_test(tc, a_kick_asks_again);
    tcase_add_test(tc, unused_watches_are_dropped);
    tcase_add_loop_test(tc, one_who_comes_while_watches_are_dropped, 0, 3);
    tcase_add_test(tc, a_stop_tells_all);
    tcase_add_test(tc, a_stop_while_a_watch_is_being_armed);
    tcase_add_test(tc, no_wake_up_is_lost);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
