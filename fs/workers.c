/* fs/workers: see the header. */
#include "fs/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define LOOK_MS    2u
#define CALM_LOOKS 50u /* without need for one more: then one goes back into reserve */

struct worker {
    struct workers *crew;
    pthread_t thread;
    bool takes;            /* its own */
    _Atomic unsigned step; /* odd: at a request */
    unsigned seen;         /* the watch's: the step at the last look */
};

struct workers {
    void (*body)(struct worker *me, void *arg);
    void *arg;
    unsigned at_once, look_ms;
    pthread_mutex_t lock;
    pthread_cond_t reserve;   /* more are allowed */
    pthread_cond_t look;      /* for the watch */
    _Atomic unsigned allowed; /* to take requests; written under the lock */
    _Atomic unsigned taking;  /* written under the lock */
    _Atomic unsigned busy;    /* at a request */
    _Atomic bool watching;    /* the watch is awake */
    bool ending;              /* lock */
    bool watched;             /* there is a watch */
    pthread_t watch;
    unsigned gone; /* lock: have given up */
    unsigned count;
    struct worker worker[];
};

/* -- a worker -- */

bool worker_may_take(struct worker *me)
{
    struct workers *w = me->crew;

    if (me->takes && atomic_load(&w->taking) <= atomic_load(&w->allowed))
        return true;
    pthread_mutex_lock(&w->lock);
    if (me->takes)
        w->taking--;
    while (!w->ending && w->taking >= w->allowed)
        pthread_cond_wait(&w->reserve, &w->lock);
    me->takes = !w->ending;
    if (me->takes)
        w->taking++;
    pthread_mutex_unlock(&w->lock);
    return me->takes;
}

/* The watch sleeps as long as somebody is free. It says that it is going to before
 * it looks at `busy` once more, so one of the two sees the other. */
void worker_begins(struct worker *me)
{
    struct workers *w = me->crew;

    atomic_fetch_add(&me->step, 1);
    if (atomic_fetch_add(&w->busy, 1) + 1 < atomic_load(&w->allowed) || atomic_load(&w->watching))
        return;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->watching, true);
    pthread_cond_signal(&w->look);
    pthread_mutex_unlock(&w->lock);
}

void worker_done(struct worker *me)
{
    atomic_fetch_sub(&me->crew->busy, 1);
    atomic_fetch_add(&me->step, 1);
}

bool worker_gives_up(struct worker *me)
{
    struct workers *w = me->crew;
    bool last;

    pthread_mutex_lock(&w->lock);
    if (me->takes)
        w->taking--;
    me->takes = false;
    last = ++w->gone == w->count;
    pthread_cond_broadcast(&w->reserve);
    pthread_mutex_unlock(&w->lock);
    return last;
}

static void *work(void *arg)
{
    struct worker *me = arg;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    me->crew->body(me, me->crew->arg);
    return NULL;
}

/* -- the watch -- */

/* How many are at the request at which they were at the last look. */
static unsigned held_up(struct workers *w)
{
    unsigned held = 0;

    for (unsigned i = 0; i < w->count; i++) {
        unsigned step = atomic_load(&w->worker[i].step);

        held += step % 2 == 1 && step == w->worker[i].seen;
        w->worker[i].seen = step;
    }
    return held;
}

/* Lock held, let go meanwhile. */
static void pause_a_look(struct workers *w)
{
    uint64_t until_us = clock_mono_us() + (uint64_t)w->look_ms * 1000;
    struct timespec ts = {(time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000};

    while (!w->ending && pthread_cond_timedwait(&w->look, &w->lock, &ts) == 0)
        ;
}

static void *watch(void *arg)
{
    struct workers *w = arg;
    unsigned calm = 0;

    pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        unsigned want;

        if (!w->watching) {
            pthread_cond_wait(&w->look, &w->lock);
            continue;
        }
        want = w->at_once + held_up(w);
        if (want > w->allowed) {
            w->allowed = want;
            calm = 0;
            pthread_cond_broadcast(&w->reserve);
        } else if (w->allowed > w->at_once && ++calm == CALM_LOOKS) {
            w->allowed--;
            calm = 0;
        }
        pause_a_look(w);
        atomic_store(&w->watching, false);
        if (w->allowed > w->at_once || w->busy >= w->allowed)
            atomic_store(&w->watching, true);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* -- the whole -- */

static void init(struct workers *w)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->reserve, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->look, &attr);
    pthread_condattr_destroy(&attr);
}

int workers_new(struct workers **out, unsigned most, unsigned at_once, unsigned look_ms,
                void (*body)(struct worker *me, void *arg), void *arg)
{
    struct workers *w = calloc(1, sizeof *w + most * sizeof w->worker[0]);
    int rc = 0;

    if (!w)
        return -ENOMEM;
    w->body = body;
    w->arg = arg;
    w->look_ms = look_ms ? look_ms : LOOK_MS;
    w->at_once = at_once;
    w->allowed = at_once;
    init(w);
    /* The workers come and are counted under the lock, which the watch takes first. */
    pthread_mutex_lock(&w->lock);
    w->watched = at_once < most && pthread_create(&w->watch, NULL, watch, w) == 0;
    if (!w->watched)
        w->allowed = most; /* nobody could let them in */
    for (; w->count < most && rc == 0; w->count += rc == 0) {
        w->worker[w->count].crew = w;
        rc = pthread_create(&w->worker[w->count].thread, NULL, work, &w->worker[w->count]);
    }
    rc = w->count > 0 ? 0 : -rc;
    pthread_mutex_unlock(&w->lock);
    if (rc < 0)
        workers_end(w);
    else
        *out = w;
    return rc;
}

void workers_end(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->reserve);
    pthread_cond_broadcast(&w->look);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->count; i++)
        pthread_cancel(w->worker[i].thread);
    for (unsigned i = 0; i < w->count; i++)
        pthread_join(w->worker[i].thread, NULL);
    if (w->watched)
        pthread_join(w->watch, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->reserve);
    pthread_cond_destroy(&w->look);
    free(w);
}

unsigned workers_taking(struct workers *w)
{
    return atomic_load(&w->taking);
}
