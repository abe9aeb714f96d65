/*
 * fs/ops: reads that wait for messages, and poll(2).
 *
 * A read that finds nothing leaves its request in a struct stream_read and
 * returns the worker; a thread of fs/stream answers it. A reader that is
 * interrupted (any signal, kill -9 too) makes the kernel send INTERRUPT, for
 * which libfuse calls interrupted(), holding the request's own lock:
 *
 *   - it only marks the wait; the reply comes from a stream thread as always,
 *     so a request is answered in one place, and never under that lock;
 *   - before a stream thread replies, it takes the callback off the request,
 *     which waits for one that is just running: so the wait is not freed under
 *     it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "fs/ops.h"

struct stream_read {
    struct stream_wait wait; /* first */
    struct fs *fs;
    fuse_req_t req;
    struct handle *h;
    uint64_t pos, size;
};

/* poll(2) on a stream that has nothing: who wants to be told. Two references:
 * the handle's and the wait's. */
struct poll_wait {
    struct stream_wait wait; /* first */
    struct fs *fs;
    struct handle *h; /* held */
    struct fuse_pollhandle *ph;
    atomic_uint refs;
};

static bool more_at(const struct handle *h, uint64_t pos)
{
    if (h->merged)
        return merged_more(h->merged);
    return partition_visible_end(h->node->part) > h->node->key.start + pos;
}

/* -- reading -- */

/* True: answered, one way or another. */
static bool try_merged(fuse_req_t req, struct handle *h, uint64_t size)
{
    struct fs *fs = ops_fs(req);
    struct gather g = {.count = 0};
    struct range range, taken;
    int rc = merged_take(h->merged, size, &range);

    if (rc == 0)
        return false;
    if (rc < 0) {
        ops_reply_code(req, rc);
        return true;
    }
    taken = range;
    handle_get(h); /* the reply may be the end of it */
    rc = gather_add(&g, &range);
    if (rc < 0) {
        merged_taken(h->merged, &taken, false);
        ops_reply_code(req, rc);
    } else {
        rc = ops_reply_gather(req, &g);
        merged_taken(h->merged, &taken, rc == 0);
    }
    /* Others who read the same open file may have found it taken. One that
     * counts itself after this look finds it free. */
    if (atomic_load(&h->waiting) > 0)
        streams_kick(fs->streams, h->node->key.topic, -1);
    handle_put(h);
    return true;
}

static bool try_partition(fuse_req_t req, struct handle *h, uint64_t pos, uint64_t size)
{
    struct gather g;
    int rc;

    g.count = 0;
    g.len = 0;
    rc = handle_read(h, pos, size, &g);
    if (rc < 0) {
        gather_release(&g);
        ops_reply_code(req, rc);
        return true;
    }
    if (g.len == 0)
        return false;
    atomic_store_explicit(&h->pos, pos + g.len, memory_order_relaxed);
    (void)ops_reply_gather(req, &g);
    return true;
}

static bool try_read(fuse_req_t req, struct handle *h, uint64_t pos, uint64_t size)
{
    if (h->merged)
        return try_merged(req, h, size);
    return try_partition(req, h, pos, size);
}

static bool read_check(struct stream_wait *wait)
{
    struct stream_read *r = (struct stream_read *)wait;

    return more_at(r->h, r->pos);
}

static void interrupted(fuse_req_t req, void *arg)
{
    struct stream_read *r = arg;

    (void)req;
    stream_interrupt(&r->wait);
}

/* Waits, or answers where there is something by now. */
static void wait_or_read(struct stream_read *r)
{
    const struct node_key *key = &r->h->node->key;

    for (;;) {
        atomic_fetch_add(&r->h->waiting, 1);
        fuse_req_interrupt_func(r->req, interrupted, r);
        if (streams_wait(r->fs->streams, &r->wait, key->topic, key->partition))
            return;
        fuse_req_interrupt_func(r->req, NULL, NULL);
        atomic_fetch_sub(&r->h->waiting, 1);
        if (try_read(r->req, r->h, r->pos, r->size))
            break;
    }
    free(r);
}

static void read_ready(struct stream_wait *wait, int rc)
{
    struct stream_read *r = (struct stream_read *)wait;

    fuse_req_interrupt_func(r->req, NULL, NULL);
    atomic_fetch_sub(&r->h->waiting, 1);
    if (rc < 0) {
        /* The topic was removed: as its bytes read, for who does not wait. */
        ops_reply_code(r->req, rc == -ENOENT ? ERR_GONE : rc);
        free(r);
    } else if (try_read(r->req, r->h, r->pos, r->size)) {
        free(r);
    } else { /* another reader of the same open file was faster */
        stream_wait_init(r->fs->streams, &r->wait, read_check, read_ready);
        wait_or_read(r);
    }
}

void ops_stream_read(fuse_req_t req, struct handle *h, uint64_t pos, uint64_t size, bool nonblock)
{
    struct fs *fs = ops_fs(req);
    struct stream_read *r;

    if (try_read(req, h, pos, size))
        return;
    atomic_store_explicit(&h->pos, pos, memory_order_relaxed);
    r = nonblock ? NULL : malloc(sizeof(*r));
    if (!r) {
        fuse_reply_err(req, nonblock ? EAGAIN : ENOMEM);
        return;
    }
    r->fs = fs;
    r->req = req;
    r->h = h;
    r->pos = pos;
    r->size = size;
    stream_wait_init(fs->streams, &r->wait, read_check, read_ready);
    wait_or_read(r);
}

/* -- poll -- */

static void poll_wait_put(struct poll_wait *w)
{
    if (atomic_fetch_sub(&w->refs, 1) > 1)
        return;
    fuse_pollhandle_destroy(w->ph);
    handle_put(w->h);
    free(w);
}

static bool poll_check(struct stream_wait *wait)
{
    struct poll_wait *w = (struct poll_wait *)wait;

    return more_at(w->h, atomic_load_explicit(&w->h->pos, memory_order_relaxed));
}

/* Whatever happened, poll(2) shall look again: a read will tell. Where nothing
 * more can come, it finds the file ready from now on. */
static void poll_ready(struct stream_wait *wait, int rc)
{
    struct poll_wait *w = (struct poll_wait *)wait;
    bool mine;

    if (rc < 0 && rc != -EINTR && rc != -ENOMEM)
        atomic_store(&w->h->ended, true);
    pthread_mutex_lock(&w->fs->poll_lock);
    mine = w->h->poll == w;
    if (mine)
        w->h->poll = NULL;
    pthread_mutex_unlock(&w->fs->poll_lock);
    fuse_lowlevel_notify_poll(w->ph);
    if (mine)
        poll_wait_put(w);
    poll_wait_put(w);
}

/* Takes `old` out of the handle's place for it, where it is there; NULL:
 * whatever is there. Puts w in. */
static void poll_replace(struct fs *fs, struct handle *h, struct poll_wait *old,
                         struct poll_wait *w)
{
    pthread_mutex_lock(&fs->poll_lock);
    if (!old)
        old = h->poll;
    else if (h->poll != old)
        old = NULL;
    if (old || !h->poll)
        h->poll = w;
    pthread_mutex_unlock(&fs->poll_lock);
    if (!old)
        return;
    if (stream_cancel(&old->wait))
        poll_wait_put(old);
    poll_wait_put(old);
}

void ops_poll_forget(struct fs *fs, struct handle *h)
{
    poll_replace(fs, h, NULL, NULL);
}

static struct poll_wait *poll_wait_new(struct fs *fs, struct handle *h, struct fuse_pollhandle *ph)
{
    struct poll_wait *w = malloc(sizeof(*w));

    if (!w)
        return NULL;
    stream_wait_init(fs->streams, &w->wait, poll_check, poll_ready);
    w->fs = fs;
    w->h = handle_get(h);
    w->ph = ph;
    atomic_init(&w->refs, 2);
    return w;
}

/* Everything but a stream is always ready. */
void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
    struct fs *fs = ops_fs(req);
    struct handle *h = ops_handle(fi);
    const struct node_key *key = &h->node->key;
    struct poll_wait *w;

    (void)ino;
    if (!handle_is_stream(h) || !ph || atomic_load(&h->ended)) {
        bool ready =
            !handle_is_stream(h) || atomic_load(&h->ended) || more_at(h, atomic_load(&h->pos));

        if (ph)
            fuse_pollhandle_destroy(ph);
        fuse_reply_poll(req,
                        ready ? POLLIN | POLLRDNORM | (h->writable ? POLLOUT | POLLWRNORM : 0) : 0);
        return;
    }
    w = poll_wait_new(fs, h, ph);
    if (!w) {
        fuse_pollhandle_destroy(ph);
        fuse_reply_err(req, ENOMEM);
        return;
    }
    poll_replace(fs, h, NULL, w);
    if (streams_wait(fs->streams, &w->wait, key->topic, key->partition)) {
        fuse_reply_poll(req, 0);
        return;
    }
    poll_replace(fs, h, w, NULL);
    poll_wait_put(w); /* the wait's: it does not wait */
    fuse_reply_poll(req, POLLIN | POLLRDNORM);
}
