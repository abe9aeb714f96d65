/*
 * fs/ops: requests that are answered when a flush has ended.
 *
 * FLUSH (close), FSYNC, and WRITE with ack=write. The worker runs that flush
 * itself if none is under way; else it returns at once, and who runs the next
 * one replies. They are not interruptible, as on any disk: fsync(2) that fails
 * with EINTR because a child ended would be a false alarm.
 *
 * All are in fs.waits, so that a stop can wait for them, and end them.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "fs/ops.h"

struct publish_answer {
    struct publish_wait wait; /* first: the store gives it back */
    struct fs *fs;
    fuse_req_t req;
    size_t count; /* > 0: a WRITE of so many bytes */
    bool cancelling;
    struct publish_answer *next, *prev;
};

static void leave(struct publish_answer *a)
{
    struct fs *fs = a->fs;

    pthread_mutex_lock(&fs->waits_lock);
    /* The drain is just looking at it, with the lock let go. */
    while (a->cancelling)
        pthread_cond_wait(&fs->waits_change, &fs->waits_lock);
    *(a->prev ? &a->prev->next : &fs->waits) = a->next;
    if (a->next)
        a->next->prev = a->prev;
    pthread_cond_broadcast(&fs->waits_change);
    pthread_mutex_unlock(&fs->waits_lock);
}

static void answer(struct publish_answer *a, int rc)
{
    if (rc < 0) {
        fs_metrics_publish_failed(&a->fs->metrics, rc);
        ops_reply_code(a->req, rc);
    } else if (a->count > 0) {
        fuse_reply_write(a->req, a->count);
    } else {
        fuse_reply_err(a->req, 0);
    }
}

static void done(struct publish_wait *wait, int rc)
{
    struct publish_answer *a = (struct publish_answer *)wait;

    answer(a, rc);
    leave(a);
    free(a);
}

static struct publish_answer *begin(fuse_req_t req, size_t count)
{
    struct fs *fs = ops_fs(req);
    struct publish_answer *a = calloc(1, sizeof(*a));

    if (!a) {
        fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    publish_wait_init(&a->wait, done);
    a->fs = fs;
    a->req = req;
    a->count = count;
    pthread_mutex_lock(&fs->waits_lock);
    a->next = fs->waits;
    if (a->next)
        a->next->prev = a;
    fs->waits = a;
    pthread_mutex_unlock(&fs->waits_lock);
    return a;
}

void ops_answer_flush(fuse_req_t req, struct publisher *p)
{
    struct store *store = ops_fs(req)->tree.store; /* req may be answered soon */
    struct publish_answer *a = begin(req, 0);

    store_will_help(store);
    if (a)
        publisher_flush(p, &a->wait);
    store_help_flush(store);
}

void ops_answer_write(fuse_req_t req, struct publisher *p, size_t count)
{
    struct store *store = ops_fs(req)->tree.store;
    struct publish_answer *a = begin(req, count);

    store_will_help(store);
    if (a)
        publisher_flush(p, &a->wait);
    store_help_flush(store);
}

void ops_answer_sync(fuse_req_t req, const struct handle *h)
{
    struct store *store = ops_fs(req)->tree.store;
    struct publish_answer *a = begin(req, 0);

    store_will_help(store);
    if (a && h->publisher)
        publisher_sync(h->publisher, &a->wait);
    else if (a)
        publish_sync(h->node->key.topic, h->node->key.partition, &a->wait);
    store_help_flush(store);
}

/* Takes one back that nobody has answered; waits_lock is held and let go.
 * False: it is just being answered, or only begun. */
static bool cancel(struct fs *fs, struct publish_answer *a)
{
    bool taken;

    a->cancelling = true;
    pthread_mutex_unlock(&fs->waits_lock);
    taken = publish_cancel(&a->wait);
    pthread_mutex_lock(&fs->waits_lock);
    a->cancelling = false;
    pthread_cond_broadcast(&fs->waits_change);
    if (!taken)
        return false;
    pthread_mutex_unlock(&fs->waits_lock);
    done(&a->wait, ERR_STOPPING);
    pthread_mutex_lock(&fs->waits_lock);
    return true;
}

void ops_answers_drain(struct fs *fs, uint64_t until_ms)
{
    pthread_mutex_lock(&fs->waits_lock);
    while (fs->waits) {
        uint64_t now = clock_mono_us() / 1000;
        uint64_t next = now + 10;
        struct timespec at = {(time_t)(next / 1000), (long)(next % 1000) * 1000000};

        if ((now < until_ms && !atomic_load(&fs->hurry)) || !cancel(fs, fs->waits))
            pthread_cond_timedwait(&fs->waits_change, &fs->waits_lock, &at);
    }
    pthread_mutex_unlock(&fs->waits_lock);
}
