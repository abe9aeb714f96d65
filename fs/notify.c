/* fs/notify: see the header. */
#include "fs/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/ops.h"

#define BATCH         256
#define IDLE_MS       10000
#define CROWDED_NODES 20000 /* above this idle ones go sooner */
#define CROWDED_MS    1000

struct changed_topic {
    struct topic *topic;  /* held */
    struct fuse_req *req; /* to be answered when this is done, or NULL */
    size_t count;
    struct changed_topic *next;
};

struct notify {
    struct fs *fs;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct changed_topic *changed; /* lock */
    bool ending;                   /* lock */
    uint64_t removed;              /* segments, when it was looked last */
};

static void drop_name(struct fs *fs, const struct node *node)
{
    static const enum name_kind kinds[] = {
        [NODE_GROWING] = NAME_GROWING,
        [NODE_FROZEN] = NAME_FROZEN,
        [NODE_STREAM] = NAME_STREAM,
    };
    char text[NAME_ROOM];
    const char *name = node->key.word;

    if (!name) {
        name_of_range(text, kinds[node->key.kind], node->key.start, node->key.end);
        name = text;
    }
    /* Failures are none: it has forgotten the name already. */
    (void)fuse_lowlevel_notify_inval_entry(fs->session, ops_ino(node->parent), name, strlen(name));
}

static void drop_segment(struct fs *fs, const struct node *node)
{
    char name[NAME_ROOM];

    if (node->key.start >= partition_first(node->part))
        return;
    if (node->key.kind == NODE_SEGMENT)
        name_of_segment(name, node->key.start);
    else
        name_of_sealed(name, (uint32_t)node->key.partition, node->key.start);
    (void)fuse_lowlevel_notify_inval_entry(fs->session, ops_ino(node->parent), name, strlen(name));
}

/* Names of segments that retention has removed since it was looked last. */
static void drop_removed(struct notify *n)
{
    struct nodes *nodes = &n->fs->tree.nodes;
    uint64_t removed = store_segments_removed(n->fs->tree.store);
    struct node *batch[BATCH];
    size_t cursor = 0, count;

    if (removed == n->removed)
        return;
    n->removed = removed;
    while ((count = nodes_of_segments(nodes, &cursor, batch, BATCH)) > 0)
        for (size_t i = 0; i < count; i++) {
            drop_segment(n->fs, batch[i]);
            nodes_unhold(nodes, batch[i]);
        }
}

static void drop_idle(struct fs *fs)
{
    struct nodes *nodes = &fs->tree.nodes;
    struct node *batch[BATCH];
    size_t n;

    do {
        pthread_mutex_lock(&nodes->lock);
        n = nodes->idle_count;
        pthread_mutex_unlock(&nodes->lock);
        n = nodes_idle(nodes, n > CROWDED_NODES ? CROWDED_MS : IDLE_MS, batch, BATCH);
        for (size_t i = 0; i < n; i++) {
            drop_name(fs, batch[i]);
            nodes_unhold(nodes, batch[i]);
        }
    } while (n == BATCH);
}

static void drop_attributes(struct fs *fs, const struct topic *topic)
{
    struct node *batch[BATCH];
    size_t cursor = 0, n;

    while ((n = nodes_of_topic(&fs->tree.nodes, topic, &cursor, batch, BATCH)) > 0)
        for (size_t i = 0; i < n; i++) {
            (void)fuse_lowlevel_notify_inval_inode(fs->session, ops_ino(batch[i]), -1, 0);
            nodes_unhold(&fs->tree.nodes, batch[i]);
        }
}

static void drop_changed(struct fs *fs, struct changed_topic *list)
{
    for (struct changed_topic *c = list, *next; c; c = next) {
        next = c->next;
        if (topic_removed(c->topic)) {
            const char *name = topic_name(c->topic);

            (void)fuse_lowlevel_notify_inval_entry(fs->session, FUSE_ROOT_ID, name, strlen(name));
        } else {
            drop_attributes(fs, c->topic);
        }
        if (c->req)
            notify_answer(c->req, c->count);
        topic_put(c->topic);
        free(c);
    }
}

static void *notify_thread(void *arg)
{
    struct notify *n = arg;

    pthread_mutex_lock(&n->lock);
    while (!n->ending) {
        struct changed_topic *list = n->changed;
        struct timespec at;

        n->changed = NULL;
        pthread_mutex_unlock(&n->lock);
        drop_changed(n->fs, list);
        drop_removed(n);
        streams_tick(n->fs->streams);
        drop_idle(n->fs);
        pthread_mutex_lock(&n->lock);
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec++;
        while (!n->ending && !n->changed)
            if (pthread_cond_timedwait(&n->wake, &n->lock, &at) == ETIMEDOUT)
                break;
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

int notify_new(struct notify **out, struct fs *fs)
{
    struct notify *n = calloc(1, sizeof(*n));
    pthread_condattr_t attr;
    int rc;

    if (!n)
        return -ENOMEM;
    n->fs = fs;
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&n->wake, &attr);
    pthread_condattr_destroy(&attr);
    rc = pthread_create(&n->thread, NULL, notify_thread, n);
    if (rc != 0) {
        pthread_cond_destroy(&n->wake);
        pthread_mutex_destroy(&n->lock);
        free(n);
        return -rc;
    }
    *out = n;
    return 0;
}

/* False: not queued. */
static bool queue(struct notify *n, struct topic *topic, struct fuse_req *req, size_t count)
{
    struct changed_topic *c = malloc(sizeof(*c));
    bool ending;

    if (!c)
        return false;
    *c = (struct changed_topic){.topic = topic_get(topic), .req = req, .count = count};
    pthread_mutex_lock(&n->lock);
    ending = n->ending;
    if (!ending) {
        c->next = n->changed;
        n->changed = c;
        pthread_cond_signal(&n->wake);
    }
    pthread_mutex_unlock(&n->lock);
    if (ending) {
        topic_put(c->topic);
        free(c);
    }
    return !ending;
}

void notify_access(struct notify *n, struct topic *topic)
{
    (void)queue(n, topic, NULL, 0); /* else the kernel asks again in an hour */
}

void notify_removed(struct notify *n, struct topic *topic, struct fuse_req *req, size_t count)
{
    if (!queue(n, topic, req, count))
        notify_answer(req, count); /* the kernel asks again in a second */
}

void notify_answer(struct fuse_req *req, size_t count)
{
    if (count > 0)
        fuse_reply_write(req, count);
    else
        fuse_reply_err(req, 0);
}

void notify_stop(struct notify *n)
{
    pthread_mutex_lock(&n->lock);
    n->ending = true;
    pthread_cond_signal(&n->wake);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->thread, NULL);
    drop_changed(n->fs, n->changed);
    n->changed = NULL;
}

void notify_free(struct notify *n)
{
    pthread_cond_destroy(&n->wake);
    pthread_mutex_destroy(&n->lock);
    free(n);
}
