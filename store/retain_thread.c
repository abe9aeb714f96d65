/*
 * store/retain_thread: when retention is looked after, and the unlinking of
 * removed topics. See retain.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "store/inside.h"

/* -- a check of all -- */

static bool check_all(struct retainer *r)
{
    uint64_t now_ms = store_wall_ms(r->store);
    struct topic *topic;
    uint32_t after = 0;
    bool any = false;

    while (!atomic_load(&r->stop) && (topic = store_topic_next(r->store, after))) {
        after = topic_number(topic);
        for (uint32_t p = 0; p < topic_partition_count(topic); p++)
            any |= retain_check(topic_partition(topic, p), now_ms);
        topic_put(topic);
    }
    return any;
}

/* -- the files of removed topics -- */

struct grave {
    uint32_t number;
    bool said;
    struct grave *next;
};

static int unlink_topic(struct store *store, uint32_t number)
{
    char dir[STORE_PATH_MAX];

    snprintf(dir, sizeof dir, ".del.%" PRIu32, number);
    return store_remove_tree(store, dir);
}

/* True: something was removed. What fails stays for the next check. */
static bool unlink_topics(struct retainer *r)
{
    struct grave *list;
    struct grave *left = NULL;
    struct grave **end = &left;
    bool any = false;

    pthread_mutex_lock(&r->lock);
    list = r->graves;
    r->graves = NULL;
    r->fresh = false;
    pthread_mutex_unlock(&r->lock);
    while (list) {
        struct grave *grave = list;
        int rc = atomic_load(&r->stop) ? ERR_STOPPING : unlink_topic(r->store, grave->number);

        list = grave->next;
        if (rc == 0) {
            any = true;
            free(grave);
            continue;
        }
        if (rc != ERR_STOPPING && !grave->said)
            diag_say("%s: .del.%" PRIu32 ": %s: tried again at each check, and at the next start",
                     r->store->name, grave->number, err_sentence(rc));
        grave->said = true;
        grave->next = NULL;
        *end = grave;
        end = &grave->next;
    }
    pthread_mutex_lock(&r->lock);
    *end = r->graves;
    r->graves = left;
    pthread_mutex_unlock(&r->lock);
    return any;
}

void retain_bury(struct retainer *r, uint32_t number)
{
    struct grave *grave = calloc(1, sizeof *grave);

    if (!grave) {
        diag_say("%s: .del.%" PRIu32 " is removed at the next start", r->store->name, number);
        return;
    }
    grave->number = number;
    pthread_mutex_lock(&r->lock);
    grave->next = r->graves;
    r->graves = grave;
    r->fresh = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    if (r->started && !r->running)
        (void)unlink_topics(r);
}

/* -- the thread -- */

/* Until the time, an end, or something new to unlink; lock held. */
static void rest(struct retainer *r, uint64_t until_us)
{
    struct timespec ts = {(time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000};
    int rc = 0;

    while (rc == 0 && !atomic_load(&r->stop) && !r->fresh)
        rc = pthread_cond_timedwait(&r->wake, &r->lock, &ts);
}

static void *retain_thread(void *arg)
{
    struct retainer *r = arg;
    uint64_t every_us = r->store->options.retention_check_ms * 1000;
    uint64_t next_us = clock_mono_us() + every_us;

    pthread_mutex_lock(&r->lock);
    while (!atomic_load(&r->stop)) {
        pthread_mutex_unlock(&r->lock);
        (void)unlink_topics(r);
        if (clock_mono_us() >= next_us) {
            (void)check_all(r);
            next_us = clock_mono_us() + every_us;
        }
        pthread_mutex_lock(&r->lock);
        rest(r, next_us);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

bool retain_work(struct retainer *r)
{
    uint64_t every_ms = r->store->options.retention_check_ms;
    uint64_t now_ms = store_wall_ms(r->store);
    bool any;

    /* next_ms may be far ahead where the clock stepped back. */
    if (now_ms < r->next_ms && r->next_ms - now_ms <= every_ms)
        return false;
    r->next_ms = now_ms + every_ms;
    any = unlink_topics(r);
    return any | check_all(r);
}

void retainer_init(struct retainer *r, struct store *store)
{
    pthread_condattr_t attr;

    r->store = store;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
}

int retainer_start(struct retainer *r, struct err *err)
{
    int rc;

    if (!r->store->options.threads) {
        r->next_ms = store_wall_ms(r->store) + r->store->options.retention_check_ms;
        r->started = true;
        (void)unlink_topics(r);
        return 0;
    }
    rc = pthread_create(&r->thread, NULL, retain_thread, r);
    if (rc != 0)
        return err_set(err, -rc, "cannot start a thread: %s", strerror(rc));
    pthread_setname_np(r->thread, "retain");
    r->started = r->running = true;
    return 0;
}

void retainer_stop(struct retainer *r)
{
    if (!r->running)
        return;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->stop, true);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    r->running = false;
}

void retainer_release(struct retainer *r)
{
    while (r->graves) {
        struct grave *next = r->graves->next;

        free(r->graves);
        r->graves = next;
    }
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
}
