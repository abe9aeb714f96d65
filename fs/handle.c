/* fs/handle: see the header. */
#include "fs/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/diag.h"

void handles_init(struct handles *handles, struct tree *tree, struct passthrough *passthrough)
{
    pthread_condattr_t attr;

    *handles = (struct handles){.tree = tree, .passthrough = passthrough};
    pthread_mutex_init(&handles->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&handles->none, &attr);
    pthread_condattr_destroy(&attr);
}

void handles_release(struct handles *handles)
{
    pthread_cond_destroy(&handles->none);
    pthread_mutex_destroy(&handles->lock);
}

/* -- how a segment is served -- */

/* handles.lock is held; the segment is sealed. */
static void choose_way(struct handle *h)
{
    struct node *node = h->node;

    if (node->sealed.opens == 0) {
        int32_t id = passthrough_register(h->handles->passthrough, segment_log_fd(h->seg));

        node->sealed.backing_id = id > 0 ? id : 0;
    }
    node->sealed.opens++;
    h->backing_id = node->sealed.backing_id;
    if (h->backing_id > 0) {
        h->way = WAY_PASSTHROUGH;
        return;
    }
    /* Pages from before it was sealed (a private mapping makes some) may lack
     * what came later. */
    h->way = node->sealed.cached_before ? WAY_CACHED_KEEP : WAY_CACHED;
    node->sealed.cached_before = true;
}

static void leave_way(struct handle *h)
{
    struct node *node = h->node;
    int32_t id = 0;

    pthread_mutex_lock(&h->handles->lock);
    if (--node->sealed.opens == 0) {
        id = node->sealed.backing_id;
        node->sealed.backing_id = 0;
    }
    pthread_mutex_unlock(&h->handles->lock);
    if (id > 0)
        passthrough_unregister(h->handles->passthrough, id);
}

static int open_segment(struct handle *h)
{
    struct segment_stat st;
    int rc = partition_segment_hold(h->node->part, h->node->key.start, &h->seg);

    if (rc < 0) {
        h->seg = NULL;
        return rc == -ENOENT ? -ESTALE : rc;
    }
    rc = segment_get_stat(h->seg, &st);
    if (rc < 0 || !st.sealed)
        return rc;
    pthread_mutex_lock(&h->handles->lock);
    choose_way(h);
    pthread_mutex_unlock(&h->handles->lock);
    return 0;
}

/* Reads end short before a gap, and a short read of a file in the page cache is
 * its end: cat would say nothing. So one with a gap is not cached, at any time. */
static int open_frozen(struct handle *h)
{
    struct gap gap;
    int rc = partition_gap_next(h->node->part, h->node->key.start, &gap);

    if (rc == -ENOENT || (rc == 0 && gap.offset >= h->node->key.end))
        h->way = WAY_CACHED_KEEP;
    return rc == -ENOENT ? 0 : rc;
}

static int open_merged(struct handle *h)
{
    struct name name;

    if (!name_parse(IN_TOPIC, h->node->key.word, &name) || name.kind != NAME_MERGED)
        return -ENOENT;
    h->way = WAY_STREAM;
    return merged_new(&h->merged, h->node->key.topic, &name.start);
}

/* What is behind the file; on failure what was got so far stays in h. */
static int open_kind(struct handle *h)
{
    struct node *node = h->node;

    switch (node->key.kind) {
    case NODE_PUBLISH:
        return h->writable ? publisher_open(&h->publisher, node->key.topic, node->key.partition)
                           : 0;
    case NODE_CONFIG:
        if (h->writable) {
            int rc = control_open(&h->control, node->key.topic);

            if (rc < 0)
                return rc;
        }
        return tree_text(h->handles->tree, node, &h->text);
    case NODE_OFFSETS:
    case NODE_STATUS:
    case NODE_METRICS: return tree_text(h->handles->tree, node, &h->text);
    case NODE_SEGMENT:
    case NODE_SEALED_SEGMENT: return open_segment(h);
    case NODE_FROZEN: return open_frozen(h);
    case NODE_MERGED: return open_merged(h);
    case NODE_GROWING:
    case NODE_STREAM: return 0;
    default: return -EISDIR;
    }
}

/* Everything but what handle_put() frees. */
static void give_back(struct handle *h)
{
    if (h->publisher)
        publisher_release(h->publisher);
    if (h->control)
        control_release(h->control);
    if (h->seg && h->way != WAY_DIRECT)
        leave_way(h);
    if (h->seg)
        segment_release(h->seg);
    h->publisher = NULL;
    h->control = NULL;
    h->seg = NULL;
}

int handle_open(struct handles *handles, struct node *node, int flags, struct handle **out)
{
    bool writable = (flags & O_ACCMODE) != O_RDONLY;
    bool changes = writable || (flags & O_TRUNC);
    struct handle *h;
    int rc;

    /* default_permissions lets root do anything. */
    if (changes && node->key.kind != NODE_PUBLISH && node->key.kind != NODE_CONFIG)
        return -EPERM;
    h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->handles = handles;
    h->writable = writable;
    h->node = nodes_hold(&handles->tree->nodes, node);
    atomic_init(&h->refs, 1);
    rc = open_kind(h);
    if (rc < 0) {
        give_back(h);
        handle_put(h);
        return rc;
    }
    pthread_mutex_lock(&handles->lock);
    h->next = handles->head;
    if (h->next)
        h->next->prev = h;
    handles->head = h;
    handles->count++;
    pthread_mutex_unlock(&handles->lock);
    *out = h;
    return 0;
}

void handle_close(struct handle *h)
{
    struct handles *handles = h->handles;

    /* Off the list first: handles_publish_rest() goes along it. */
    pthread_mutex_lock(&handles->lock);
    *(h->prev ? &h->prev->next : &handles->head) = h->next;
    if (h->next)
        h->next->prev = h->prev;
    pthread_mutex_unlock(&handles->lock);
    give_back(h);
    pthread_mutex_lock(&handles->lock);
    if (--handles->count == 0)
        pthread_cond_broadcast(&handles->none);
    pthread_mutex_unlock(&handles->lock);
    handle_put(h);
}

struct handle *handle_get(struct handle *h)
{
    atomic_fetch_add(&h->refs, 1);
    return h;
}

void handle_put(struct handle *h)
{
    if (atomic_fetch_sub(&h->refs, 1) > 1)
        return;
    if (h->merged)
        merged_free(h->merged);
    buf_release(&h->text);
    nodes_unhold(&h->handles->tree->nodes, h->node);
    free(h);
}

bool handle_is_stream(const struct handle *h)
{
    return h->node->key.kind == NODE_STREAM || h->node->key.kind == NODE_MERGED;
}

static int read_text(struct handle *h, uint64_t pos, uint64_t size, struct gather *out)
{
    uint64_t left = pos < h->text.len ? h->text.len - pos : 0;

    if (left > 0)
        gather_borrow(out, h->text.data + pos, left < size ? left : size);
    return 0;
}

int handle_read(struct handle *h, uint64_t pos, uint64_t size, struct gather *out)
{
    const struct node_key *key = &h->node->key;
    uint64_t offset = key->start + pos;

    if (pos > INT64_MAX || offset < pos)
        return -EINVAL;
    switch (key->kind) {
    case NODE_CONFIG:
    case NODE_OFFSETS:
    case NODE_STATUS:
    case NODE_METRICS: return read_text(h, pos, size, out);
    case NODE_SEGMENT:
    case NODE_SEALED_SEGMENT: return gather_segment(out, h->seg, pos, size);
    case NODE_FROZEN: return gather_partition(out, h->node->part, offset, key->end, size);
    case NODE_GROWING:
    case NODE_STREAM: return gather_partition(out, h->node->part, offset, UINT64_MAX, size);
    default: return 0; /* publish reads as empty */
    }
}

int handles_attr(struct handles *handles, const struct node *node, struct tree_attr *out)
{
    int rc = -ESTALE;

    pthread_mutex_lock(&handles->lock);
    for (struct handle *h = handles->head; h && rc == -ESTALE; h = h->next)
        if (h->node == node && h->seg)
            rc = tree_attr(handles->tree, node, h->seg, out);
    pthread_mutex_unlock(&handles->lock);
    return rc;
}

void handles_drain(struct handles *handles, uint64_t until_ms, const _Atomic bool *hurry)
{
    pthread_mutex_lock(&handles->lock);
    while (handles->count > 0 && !atomic_load(hurry)) {
        uint64_t now = clock_mono_us() / 1000;
        uint64_t next = now + 50 < until_ms ? now + 50 : until_ms;
        struct timespec at = {(time_t)(next / 1000), (long)(next % 1000) * 1000000};

        if (now >= until_ms)
            break;
        pthread_cond_timedwait(&handles->none, &handles->lock, &at);
    }
    pthread_mutex_unlock(&handles->lock);
}

void handles_publish_rest(struct handles *handles)
{
    pthread_mutex_lock(&handles->lock);
    for (struct handle *h = handles->head; h; h = h->next) {
        struct err err;

        if (h->publisher && publisher_publish_rest(h->publisher, &err) < 0)
            diag_say("an unfinished line of an open file: %s", err.text);
    }
    pthread_mutex_unlock(&handles->lock);
}
