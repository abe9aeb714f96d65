/* fs/stream: see the header. */
#include "fs/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define BUCKETS     1024 /* of hubs; a power of two */
#define THREADS_MAX 16
#define AT_ONCE_MAX 4 /* so many waits are told by the thread that raised the end */

/* The watch of one partition for one hub. */
struct hub_watch {
    struct waiter waiter; /* first: the store gives it back */
    struct stream_hub *hub;
    struct partition *part;
    bool armed; /* streams.lock; the store has it, or is just calling back */
    int rc;     /* streams.lock; it failed: not armed again */
};

struct stream_hub {
    struct streams *streams;
    struct topic *topic; /* held */
    int64_t partition;
    struct hub_watch **watches; /* streams.lock; the watches themselves stay put */
    uint32_t count;
    struct stream_wait *head, *tail;
    uint32_t pins; /* threads that use it without the lock */
    bool fired;    /* in the list of those to be looked at */
    bool idle;     /* nobody waited at the last tick */
    struct stream_hub *hash_next, *fired_next;
};

struct streams {
    pthread_mutex_t lock;
    pthread_cond_t work;   /* for the threads */
    pthread_cond_t change; /* for streams_stop(): what all_quiet() asks has changed */
    struct stream_hub *hubs[BUCKETS];
    struct stream_hub *fired_head, *fired_tail;
    struct stream_wait *ready_head, *ready_tail;
    unsigned waiting;
    unsigned telling; /* ready() calls under way */
    bool stopping, ending;
    unsigned threads;
    pthread_t thread[THREADS_MAX];
};

/* -- lists; streams.lock is held -- */

static void hub_add(struct stream_hub *hub, struct stream_wait *w)
{
    w->state = STREAM_WAITING;
    w->hub = hub;
    w->next = NULL;
    w->prev = hub->tail;
    *(hub->tail ? &hub->tail->next : &hub->head) = w;
    hub->tail = w;
    hub->idle = false;
    hub->streams->waiting++;
}

static void hub_remove(struct stream_hub *hub, struct stream_wait *w)
{
    *(w->prev ? &w->prev->next : &hub->head) = w->next;
    *(w->next ? &w->next->prev : &hub->tail) = w->prev;
    w->next = w->prev = NULL;
    w->hub = NULL;
    hub->streams->waiting--;
}

static void make_ready(struct streams *s, struct stream_wait *w, int rc)
{
    w->state = STREAM_READY;
    w->rc = rc;
    w->next = NULL;
    *(s->ready_tail ? &s->ready_tail->next : &s->ready_head) = w;
    s->ready_tail = w;
}

static void make_ready_for_threads(struct streams *s, struct stream_wait *w, int rc)
{
    make_ready(s, w, rc);
    pthread_cond_signal(&s->work);
}

static void hub_fire(struct stream_hub *hub)
{
    struct streams *s = hub->streams;

    if (hub->fired)
        return;
    hub->fired = true;
    hub->fired_next = NULL;
    *(s->fired_tail ? &s->fired_tail->fired_next : &s->fired_head) = hub;
    s->fired_tail = hub;
    pthread_cond_signal(&s->work);
}

/* -- hubs; streams.lock is held -- */

static struct stream_hub **bucket_of(struct streams *s, const struct topic *topic, int64_t part)
{
    uint64_t h = (uint64_t)topic_number(topic) * 0x9e3779b97f4a7c15U + (uint64_t)part;

    h *= 0xbf58476d1ce4e5b9U;
    return &s->hubs[h >> 54 & (BUCKETS - 1)];
}

static struct stream_hub *hub_find(struct streams *s, const struct topic *topic, int64_t part)
{
    for (struct stream_hub *h = *bucket_of(s, topic, part); h; h = h->hash_next)
        if (h->topic == topic && h->partition == part)
            return h;
    return NULL;
}

static void watch_fired(struct waiter *waiter, int rc);

/* A watch for each partition that has none yet. */
static int hub_grow(struct stream_hub *hub)
{
    uint32_t want = hub->partition >= 0 ? 1 : topic_partition_count(hub->topic);
    struct hub_watch **watches;

    if (hub->count >= want)
        return 0;
    watches = realloc(hub->watches, want * sizeof(*watches));
    if (!watches)
        return -ENOMEM;
    hub->watches = watches;
    for (; hub->count < want; hub->count++) {
        struct hub_watch *watch = calloc(1, sizeof(*watch));

        if (!watch)
            return -ENOMEM;
        watch->waiter.done = watch_fired;
        watch->hub = hub;
        watch->part = topic_partition(hub->topic,
                                      hub->partition >= 0 ? (uint32_t)hub->partition : hub->count);
        watches[hub->count] = watch;
    }
    return 0;
}

static void hub_free(struct stream_hub *hub)
{
    for (uint32_t i = 0; i < hub->count; i++)
        free(hub->watches[i]);
    free(hub->watches);
    topic_put(hub->topic);
    free(hub);
}

static struct stream_hub *hub_get(struct streams *s, struct topic *topic, int64_t partition)
{
    struct stream_hub *hub = hub_find(s, topic, partition);
    struct stream_hub **bucket = bucket_of(s, topic, partition);

    if (hub)
        return hub_grow(hub) == 0 ? hub : NULL;
    hub = calloc(1, sizeof(*hub));
    if (!hub)
        return NULL;
    hub->streams = s;
    hub->topic = topic_get(topic);
    hub->partition = partition;
    if (hub_grow(hub) < 0) {
        hub_free(hub);
        return NULL;
    }
    hub->hash_next = *bucket;
    *bucket = hub;
    return hub;
}

/* The code to end all waits with, when no partition can bring anything more. */
static int hub_failed(const struct stream_hub *hub)
{
    for (uint32_t i = 0; i < hub->count; i++)
        if (hub->watches[i]->rc == 0)
            return 0;
    return hub->count ? hub->watches[0]->rc : 0;
}

static void hub_unpin(struct stream_hub *hub)
{
    hub->pins--;
    if (hub->streams->stopping)
        pthread_cond_broadcast(&hub->streams->change);
}

static bool hub_armed(const struct stream_hub *hub)
{
    for (uint32_t i = 0; i < hub->count; i++)
        if (!hub->watches[i]->armed && hub->watches[i]->rc == 0)
            return false;
    return true;
}

/* Takes a watch back; the lock is let go meanwhile. */
static void watch_disarm(struct hub_watch *watch)
{
    struct streams *s = watch->hub->streams;
    bool taken;

    pthread_mutex_unlock(&s->lock);
    taken = partition_cancel(watch->part, &watch->waiter);
    pthread_mutex_lock(&s->lock);
    if (taken)
        watch->armed = false; /* else it calls back, or has, or is only being armed */
}

/* Arms the watches that are not. The lock is let go meanwhile, as the store may
 * call back at once. A stop that comes then finds nothing to take back yet. */
static void hub_arm(struct stream_hub *hub)
{
    struct streams *s = hub->streams;

    hub->pins++;
    for (uint32_t i = 0; i < hub->count && !s->stopping; i++) {
        struct hub_watch *watch = hub->watches[i];
        uint64_t end = partition_visible_end(watch->part);

        if (watch->armed || watch->rc < 0)
            continue;
        watch->armed = true;
        pthread_mutex_unlock(&s->lock);
        partition_watch(watch->part, end + 1, &watch->waiter);
        pthread_mutex_lock(&s->lock);
        if (s->stopping && watch->armed)
            watch_disarm(watch);
    }
    hub_unpin(hub);
}

/* Readies those whose wait is over. The thread that looks tells them, so the
 * others are called only where there is more than one. */
static void hub_look(struct stream_hub *hub, bool all, int rc)
{
    struct streams *s = hub->streams;

    for (struct stream_wait *w = hub->head, *next; w; w = next) {
        next = w->next;
        if (all || w->check(w)) {
            hub_remove(hub, w);
            make_ready(s, w, all ? rc : 0);
            if (s->ready_head != w)
                pthread_cond_signal(&s->work);
        }
    }
}

/* Arms first, asks then: a watch that fires in between has the hub served
 * again, so nobody is left out. */
static void hub_serve(struct stream_hub *hub)
{
    int rc = hub->streams->stopping ? ERR_STOPPING : hub_failed(hub);

    hub->pins++;
    if (rc == 0) {
        if (hub->head)
            hub_arm(hub);
        hub_look(hub, false, 0);
    } else {
        hub_look(hub, false, 0); /* what is there is read before the failure is told */
        hub_look(hub, true, rc);
    }
    hub_unpin(hub);
}

/* Tells the first of those who are ready; the lock is let go meanwhile. */
static void tell_one(struct streams *s)
{
    struct stream_wait *w = s->ready_head;
    int rc = w->rc;

    s->ready_head = w->next;
    if (!s->ready_head)
        s->ready_tail = NULL;
    s->telling++;
    pthread_mutex_unlock(&s->lock);
    w->ready(w, rc);
    pthread_mutex_lock(&s->lock);
    s->telling--;
    if (s->stopping)
        pthread_cond_broadcast(&s->change);
}

/* Few wait, and no thread has anything to do with them: waking one would take
 * longer than telling them. */
static bool few_wait(const struct stream_hub *hub)
{
    const struct streams *s = hub->streams;
    const struct stream_wait *w = hub->head;

    for (unsigned n = 0; w && n < AT_ONCE_MAX; n++)
        w = w->next;
    return !w && !s->stopping && !s->fired_head && !s->ready_head && hub->pins == 0;
}

/* Store thread, maybe from within hub_arm(); no lock held. Where nobody waits
 * just now there is nothing to do: who comes next arms the watch again. */
static void watch_fired(struct waiter *waiter, int rc)
{
    struct hub_watch *watch = (struct hub_watch *)waiter;
    struct stream_hub *hub = watch->hub;
    struct streams *s = hub->streams;

    pthread_mutex_lock(&s->lock);
    watch->armed = false;
    watch->rc = rc;
    if (hub->head && few_wait(hub)) {
        hub_serve(hub);
        for (unsigned n = 0; s->ready_head && n < AT_ONCE_MAX; n++)
            tell_one(s);
        if (s->ready_head)
            pthread_cond_signal(&s->work);
    } else if (hub->head || s->stopping) {
        hub_fire(hub);
    }
    if (s->stopping)
        pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
}

/* -- the threads -- */

static void *stream_thread(void *arg)
{
    struct streams *s = arg;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        if (s->fired_head) {
            struct stream_hub *hub = s->fired_head;

            s->fired_head = hub->fired_next;
            if (!s->fired_head)
                s->fired_tail = NULL;
            hub->fired = false;
            hub_serve(hub);
        } else if (s->ready_head) {
            tell_one(s);
        } else if (s->ending) {
            break;
        } else {
            pthread_cond_wait(&s->work, &s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int streams_new(struct streams **out, unsigned threads)
{
    struct streams *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->change, NULL);
    for (; s->threads < threads && s->threads < THREADS_MAX; s->threads++) {
        int rc = pthread_create(&s->thread[s->threads], NULL, stream_thread, s);

        if (rc != 0 && s->threads == 0) {
            streams_free(s);
            return -rc;
        }
        if (rc != 0)
            break;
    }
    *out = s;
    return 0;
}

void stream_wait_init(struct streams *s, struct stream_wait *w, bool (*check)(struct stream_wait *),
                      void (*ready)(struct stream_wait *, int rc))
{
    *w = (struct stream_wait){.check = check, .ready = ready, .streams = s};
}

/*
 * A wait may only join a hub all of whose watches are armed at that moment:
 * each was armed with an end that had been seen before, so whatever rises
 * after check() said no makes one of them fire.
 */
bool streams_wait(struct streams *s, struct stream_wait *w, struct topic *topic, int64_t partition)
{
    struct stream_hub *hub = NULL;
    bool there = false;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    while (rc == 0) {
        there = w->check(w);
        if (there)
            break;
        hub = hub_get(s, topic, partition);
        if (!hub)
            rc = -ENOMEM;
        else if (s->stopping)
            rc = ERR_STOPPING;
        else if (w->interrupted)
            rc = -EINTR;
        else if ((rc = hub_failed(hub)) == 0) {
            if (hub_armed(hub))
                break;
            hub_arm(hub);
        }
    }
    if (rc < 0)
        make_ready_for_threads(s, w, rc);
    else if (!there)
        hub_add(hub, w);
    pthread_mutex_unlock(&s->lock);
    return !there;
}

void stream_interrupt(struct stream_wait *w)
{
    pthread_mutex_lock(&w->streams->lock);
    w->interrupted = true;
    if (w->state == STREAM_WAITING) {
        hub_remove(w->hub, w);
        make_ready_for_threads(w->streams, w, -EINTR);
    }
    pthread_mutex_unlock(&w->streams->lock);
}

bool stream_cancel(struct stream_wait *w)
{
    bool was;

    pthread_mutex_lock(&w->streams->lock);
    was = w->state == STREAM_WAITING;
    if (was) {
        hub_remove(w->hub, w);
        w->state = STREAM_NEW;
    }
    pthread_mutex_unlock(&w->streams->lock);
    return was;
}

void streams_kick(struct streams *s, struct topic *topic, int64_t partition)
{
    struct stream_hub *hub;

    pthread_mutex_lock(&s->lock);
    hub = hub_find(s, topic, partition);
    if (hub)
        hub_fire(hub);
    pthread_mutex_unlock(&s->lock);
}

/* Takes the watches of a hub back; the lock is let go meanwhile. Who joined the
 * hub then, because its watches looked armed still, has it served, and armed. */
static void hub_disarm(struct stream_hub *hub)
{
    hub->pins++;
    for (uint32_t i = 0; i < hub->count; i++)
        if (hub->watches[i]->armed)
            watch_disarm(hub->watches[i]);
    if (hub->head)
        hub_fire(hub);
    hub_unpin(hub);
}

static bool hub_unused(const struct stream_hub *hub)
{
    if (hub->head || hub->fired || hub->pins > 0)
        return false;
    for (uint32_t i = 0; i < hub->count; i++)
        if (hub->watches[i]->armed)
            return false;
    return true;
}

/* One hub at a visit; *at is the link to it and stays valid: hubs are made at
 * the front of a chain and freed only here, in one thread. */
static struct stream_hub **tick_hub(struct stream_hub **at)
{
    struct stream_hub *hub = *at;

    if (hub->head) {
        uint32_t before = hub->count;

        if (hub_grow(hub) == 0 && hub->count > before)
            hub_fire(hub);
    } else if (!hub->idle) {
        hub->idle = true;
    } else {
        hub_disarm(hub);
    }
    return &hub->hash_next;
}

void streams_tick(struct streams *s)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct stream_hub **at = &s->hubs[i]; *at;)
            at = tick_hub(at);
        for (struct stream_hub **at = &s->hubs[i]; *at;) {
            struct stream_hub *hub = *at;

            if (hub->idle && hub_unused(hub)) {
                *at = hub->hash_next;
                hub_free(hub);
            } else {
                at = &hub->hash_next;
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
}

unsigned streams_waiting(struct streams *s)
{
    unsigned n;

    pthread_mutex_lock(&s->lock);
    n = s->waiting;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static bool all_quiet(const struct streams *s)
{
    if (s->fired_head || s->ready_head || s->telling > 0)
        return false;
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct stream_hub *h = s->hubs[i]; h; h = h->hash_next)
            if (!hub_unused(h))
                return false;
    return true;
}

void streams_stop(struct streams *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct stream_hub *h = s->hubs[i]; h; h = h->hash_next) {
            hub_disarm(h);
            hub_fire(h);
        }
    while (!all_quiet(s))
        pthread_cond_wait(&s->change, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void streams_free(struct streams *s)
{
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->threads; i++)
        pthread_join(s->thread[i], NULL);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct stream_hub *h = s->hubs[i], *next; h; h = next) {
            next = h->hash_next;
            hub_free(h);
        }
    pthread_cond_destroy(&s->change);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
