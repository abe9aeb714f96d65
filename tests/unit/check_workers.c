/*
 * fs/workers: how many take requests, and who comes in when they are held up.
 *
 * The kernel is a pipe here: each byte is a request. A 'h' is held up until the
 * test lets it go, at a 'g' its worker gives up.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fs/workers.h"
#include "tests/support/suite.h"

#define MOST    6u
#define AT_ONCE 2u
#define NEVER   3600000u /* ms */

static int requests[2]; /* the ends of the pipe */
static sem_t held, let_go, served, gave_up;
static _Atomic bool last_gave_up;
static atomic_uint threads_seen;
static struct workers *workers;

static void serve_one(struct worker *me, char what)
{
    static _Thread_local bool seen;

    threads_seen += !seen;
    seen = true;
    worker_begins(me);
    if (what == 'h') {
        sem_post(&held);
        while (sem_wait(&let_go) < 0)
            ;
    }
    worker_done(me);
    sem_post(&served);
}

static void serve(struct worker *me, void *arg)
{
    /* Not on the stack: AddressSanitizer does not see that a cancelled thread leaves that. */
    static _Thread_local char what;

    (void)arg;
    while (worker_may_take(me)) {
        ssize_t n;

        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        n = read(requests[0], &what, 1);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        if (n <= 0)
            break;
        if (what == 'g') {
            last_gave_up = worker_gives_up(me);
            sem_post(&gave_up);
            break;
        }
        serve_one(me, what);
    }
}

static void start(unsigned at_once, unsigned look_ms)
{
    ck_assert_int_eq(workers_new(&workers, MOST, at_once, look_ms, serve, NULL), 0);
}

static void setup(void)
{
    ck_assert_int_eq(pipe(requests), 0);
    sem_init(&held, 0, 0);
    sem_init(&let_go, 0, 0);
    sem_init(&served, 0, 0);
    sem_init(&gave_up, 0, 0);
}

static void teardown(void)
{
    workers_end(workers);
    close(requests[0]);
    if (requests[1] >= 0)
        close(requests[1]);
    sem_destroy(&held);
    sem_destroy(&let_go);
    sem_destroy(&served);
    sem_destroy(&gave_up);
}

static void request(char what)
{
    ck_assert_int_eq(write(requests[1], &what, 1), 1);
}

static void wait_for(sem_t *sem)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    ck_assert_int_eq(sem_timedwait(sem, &until), 0);
}

static void be_served(void)
{
    request('x');
    wait_for(&served);
}

START_TEST(only_so_many_take_requests)
{
    start(AT_ONCE, NEVER);
    for (int i = 0; i < 2000; i++)
        request('x');
    for (int i = 0; i < 2000; i++)
        wait_for(&served);
    ck_assert_uint_le(threads_seen, AT_ONCE);
    while (workers_taking(workers) < AT_ONCE)
        sched_yield();
}
END_TEST

START_TEST(who_is_held_up_is_stood_in_for)
{
    start(AT_ONCE, 1);
    for (unsigned i = 1; i < MOST; i++) {
        request('h');
        wait_for(&held);
    }
    be_served();
    request('h');
    wait_for(&held);
    ck_assert_uint_eq(workers_taking(workers), MOST);
    for (unsigned i = 0; i < MOST; i++)
        sem_post(&let_go);
    for (unsigned i = 0; i < MOST; i++)
        wait_for(&served);
}
END_TEST

START_TEST(who_gives_up_is_stood_in_for)
{
    start(AT_ONCE, NEVER);
    for (unsigned i = 1; i <= MOST; i++) {
        be_served();
        request('g');
        wait_for(&gave_up);
        ck_assert_int_eq(last_gave_up, i == MOST);
    }
}
END_TEST

START_TEST(who_stood_in_goes_back)
{
    start(AT_ONCE, 1);
    for (unsigned i = 0; i < MOST; i++) {
        request('h');
        wait_for(&held);
    }
    for (unsigned i = 0; i < MOST; i++) {
        sem_post(&let_go);
        wait_for(&served);
    }
    while (workers_taking(workers) > AT_ONCE)
        be_served();
    be_served();
}
END_TEST

START_TEST(all_take_requests_where_there_is_no_reserve)
{
    start(MOST, NEVER);
    for (unsigned i = 0; i < MOST; i++) {
        request('h');
        wait_for(&held);
    }
    for (unsigned i = 0; i < MOST; i++)
        sem_post(&let_go);
}
END_TEST

/* As when the mount ends from outside: who takes requests goes, the others wait
 * for the end. */
START_TEST(bodies_may_return)
{
    start(AT_ONCE, 1);
    be_served();
    close(requests[1]);
    requests[1] = -1;
}
END_TEST

/* In any state of any of the threads: the teardown hangs, or does not. */
START_TEST(end_at_any_time)
{
    start(AT_ONCE, 1);
    for (int i = 0; i < _i % 8; i++)
        request('x');
    if (_i % 16 < 8)
        be_served();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs/workers");
    TCase *tc = tcase_create("workers");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, only_so_many_take_requests);
    tcase_add_test(tc, who_is_held_up_is_stood_in_for);
    tcase_add_test(tc, who_gives_up_is_stood_in_for);
    tcase_add_test(tc, who_stood_in_goes_back);
    tcase_add_test(tc, all_take_requests_where_there_is_no_reserve);
    tcase_add_test(tc, bodies_may_return);
    tcase_add_loop_test(tc, end_at_any_time, 0, 64);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
