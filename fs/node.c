/* fs/node: see the header. */
#include "fs/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define FIRST_BUCKETS 256
#define ROOT_INO      1

bool node_unlisted(enum node_kind kind)
{
    return kind == NODE_GROWING || kind == NODE_FROZEN || kind == NODE_STREAM ||
           kind == NODE_LINK || kind == NODE_MERGED;
}

bool node_private(enum node_kind kind)
{
    return kind == NODE_PUBLISH;
}

/* splitmix64's finisher: every input bit reaches every output bit. */
static uint64_t mix(uint64_t v)
{
    v ^= v >> 30;
    v *= 0xbf58476d1ce4e5b9U;
    v ^= v >> 27;
    v *= 0x94d049bb133111ebU;
    return v ^ v >> 31;
}

static uint64_t add(uint64_t hash, uint64_t v)
{
    return mix(hash + 0x9e3779b97f4a7c15U + mix(v));
}

/* The numbers are part of what users see across restarts and versions: do not
 * change this function (tests/unit/check_node.c has some of its values). */
uint64_t node_ino(const struct node_key *key)
{
    uint64_t hash = 0;

    if (key->kind == NODE_ROOT)
        return ROOT_INO;
    hash = add(hash, key->topic ? topic_number(key->topic) : 0);
    hash = add(hash, (uint64_t)key->partition);
    hash = add(hash, (uint64_t)key->kind);
    hash = add(hash, key->start);
    hash = add(hash, key->end);
    for (const char *p = key->word; p && *p; p++)
        hash = add(hash, (unsigned char)*p);
    /* 0 is no inode number, 1 is the root. */
    return hash > ROOT_INO ? hash : hash + 2;
}

static bool same(const struct node_key *a, const struct node_key *b)
{
    return a->kind == b->kind && a->topic == b->topic && a->partition == b->partition &&
           a->start == b->start && a->end == b->end && !a->word == !b->word &&
           (!a->word || strcmp(a->word, b->word) == 0);
}

/* -- the list of idle ones; nodes.lock is held -- */

static void idle_remove(struct nodes *nodes, struct node *node)
{
    *(node->idle_prev ? &node->idle_prev->idle_next : &nodes->idle_head) = node->idle_next;
    *(node->idle_next ? &node->idle_next->idle_prev : &nodes->idle_tail) = node->idle_prev;
    node->idle_prev = node->idle_next = NULL;
    nodes->idle_count--;
}

static void idle_append(struct nodes *nodes, struct node *node)
{
    node->idle_prev = nodes->idle_tail;
    *(nodes->idle_tail ? &nodes->idle_tail->idle_next : &nodes->idle_head) = node;
    nodes->idle_tail = node;
    nodes->idle_count++;
}

/* -- the table; nodes.lock is held -- */

static struct node **bucket_of(struct nodes *nodes, uint64_t hash)
{
    return &nodes->table[hash & (nodes->buckets - 1)];
}

/* A larger table if there is memory for one; else chains grow. */
static void table_grow(struct nodes *nodes)
{
    size_t old = nodes->buckets;
    struct node **from = nodes->table;
    struct node **to = calloc(old * 2, sizeof(*to));

    if (!to)
        return;
    nodes->table = to;
    nodes->buckets = old * 2;
    for (size_t i = 0; i < old; i++)
        for (struct node *n = from[i], *next; n; n = next) {
            struct node **bucket = bucket_of(nodes, n->hash);

            next = n->hash_next;
            n->hash_next = *bucket;
            *bucket = n;
        }
    free(from);
}

static struct node *table_find(struct nodes *nodes, const struct node_key *key, uint64_t ino)
{
    for (struct node *n = *bucket_of(nodes, ino); n; n = n->hash_next)
        if (n->ino == ino && same(&n->key, key))
            return n;
    return NULL;
}

static void table_add(struct nodes *nodes, struct node *node)
{
    struct node **bucket;

    if (nodes->count >= nodes->buckets)
        table_grow(nodes);
    bucket = bucket_of(nodes, node->hash);
    node->hash_next = *bucket;
    *bucket = node;
    nodes->count++;
    if (node_unlisted(node->key.kind))
        idle_append(nodes, node);
}

static void table_remove(struct nodes *nodes, struct node *node)
{
    struct node **at = bucket_of(nodes, node->hash);

    while (*at != node)
        at = &(*at)->hash_next;
    *at = node->hash_next;
    nodes->count--;
    if (node_unlisted(node->key.kind))
        idle_remove(nodes, node);
}

/* -- making and freeing -- */

static void node_free(struct node *node)
{
    if (node->key.topic)
        topic_put(node->key.topic);
    free((char *)node->key.word);
    free(node);
}

static struct node *node_make(const struct node_key *key, uint64_t ino)
{
    struct node *node = calloc(1, sizeof(*node));

    if (!node)
        return NULL;
    node->key = *key;
    node->ino = ino;
    node->hash = node_private(key->kind) ? mix((uint64_t)(uintptr_t)node) : ino;
    if (key->topic)
        topic_get(key->topic);
    if (key->word) {
        node->key.word = strdup(key->word);
        if (!node->key.word) {
            node_free(node);
            return NULL;
        }
    }
    if (key->topic && key->partition >= 0)
        node->part = topic_partition(key->topic, (uint32_t)key->partition);
    return node;
}

int nodes_init(struct nodes *nodes)
{
    struct node_key key = {.kind = NODE_ROOT, .partition = -1};

    *nodes = (struct nodes){.buckets = FIRST_BUCKETS};
    nodes->table = calloc(nodes->buckets, sizeof(*nodes->table));
    nodes->root = nodes->table ? node_make(&key, ROOT_INO) : NULL;
    if (!nodes->root) {
        free(nodes->table);
        return -ENOMEM;
    }
    pthread_mutex_init(&nodes->lock, NULL);
    nodes->root->holds = 1;
    table_add(nodes, nodes->root);
    return 0;
}

void nodes_release(struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->buckets; i++)
        for (struct node *n = nodes->table[i], *next; n; n = next) {
            next = n->hash_next;
            node_free(n);
        }
    free(nodes->table);
    pthread_mutex_destroy(&nodes->lock);
}

int nodes_look_up(struct nodes *nodes, const struct node_key *key, struct node *parent,
                  struct node **out)
{
    uint64_t ino = node_ino(key);
    struct node *spare = NULL, *node = NULL;

    if (!node_private(key->kind)) {
        pthread_mutex_lock(&nodes->lock);
        node = table_find(nodes, key, ino);
        if (node)
            node->lookups++;
        pthread_mutex_unlock(&nodes->lock);
    }
    if (!node) {
        spare = node_make(key, ino);
        if (!spare)
            return -ENOMEM;
        pthread_mutex_lock(&nodes->lock);
        /* Another thread may have made it meanwhile. */
        node = node_private(key->kind) ? NULL : table_find(nodes, key, ino);
        if (!node) {
            node = spare;
            spare = NULL;
            node->parent = parent;
            parent->holds++;
            table_add(nodes, node);
        }
        node->lookups++;
        pthread_mutex_unlock(&nodes->lock);
        if (spare)
            node_free(spare);
    }
    node_used(node);
    *out = node;
    return 0;
}

/* Frees what nobody wants any more, from the node upwards. nodes.lock is held
 * and is let go: freeing a topic's last reference is not done under it. */
static void release_unused(struct nodes *nodes, struct node *node)
{
    struct node *gone = NULL;

    while (node && node->lookups == 0 && node->holds == 0) {
        struct node *parent = node->parent;

        table_remove(nodes, node);
        node->hash_next = gone;
        gone = node;
        if (parent)
            parent->holds--;
        node = parent;
    }
    pthread_mutex_unlock(&nodes->lock);
    for (struct node *next; gone; gone = next) {
        next = gone->hash_next;
        node_free(gone);
    }
}

void nodes_forget(struct nodes *nodes, struct node *node, uint64_t count)
{
    pthread_mutex_lock(&nodes->lock);
    node->lookups -= count < node->lookups ? count : node->lookups;
    release_unused(nodes, node);
}

struct node *nodes_hold(struct nodes *nodes, struct node *node)
{
    pthread_mutex_lock(&nodes->lock);
    node->holds++;
    pthread_mutex_unlock(&nodes->lock);
    return node;
}

void nodes_unhold(struct nodes *nodes, struct node *node)
{
    pthread_mutex_lock(&nodes->lock);
    node->holds--;
    release_unused(nodes, node);
}

void node_used(struct node *node)
{
    atomic_store_explicit(&node->used_ms, clock_mono_us() / 1000, memory_order_relaxed);
}

/* Goes round the list once; who was visited goes to its end, so that a call
 * that stops at `max` is gone on with by the next. */
size_t nodes_idle(struct nodes *nodes, uint64_t idle_ms, struct node **out, size_t max)
{
    uint64_t now = clock_mono_us() / 1000;
    size_t n = 0;

    pthread_mutex_lock(&nodes->lock);
    for (size_t left = nodes->idle_count; left > 0 && n < max; left--) {
        struct node *node = nodes->idle_head;
        uint64_t used = atomic_load_explicit(&node->used_ms, memory_order_relaxed);

        idle_remove(nodes, node);
        idle_append(nodes, node);
        if (used + idle_ms > now || node->holds > 0)
            continue;
        atomic_store_explicit(&node->used_ms, now, memory_order_relaxed);
        node->holds++;
        out[n++] = node;
    }
    pthread_mutex_unlock(&nodes->lock);
    return n;
}

static bool is_segment(const struct node *node)
{
    return node->key.kind == NODE_SEGMENT || node->key.kind == NODE_SEALED_SEGMENT;
}

/* topic NULL: segments of all topics. */
static size_t nodes_some(struct nodes *nodes, const struct topic *topic, size_t *cursor,
                         struct node **out, size_t max)
{
    size_t n = 0;

    pthread_mutex_lock(&nodes->lock);
    /* A bucket that does not fit is begun again by the next call, unless it
     * alone is larger than max: then its rest is left out. */
    while (*cursor < nodes->buckets) {
        size_t before = n;
        struct node *node = nodes->table[*cursor];

        for (; node && n < max; node = node->hash_next)
            if (topic ? node->key.topic == topic : is_segment(node))
                out[n++] = node;
        if (node && before > 0) {
            n = before;
            break;
        }
        ++*cursor;
    }
    for (size_t i = 0; i < n; i++)
        out[i]->holds++;
    pthread_mutex_unlock(&nodes->lock);
    return n;
}

size_t nodes_of_topic(struct nodes *nodes, const struct topic *topic, size_t *cursor,
                      struct node **out, size_t max)
{
    return nodes_some(nodes, topic, cursor, out, max);
}

size_t nodes_of_segments(struct nodes *nodes, size_t *cursor, struct node **out, size_t max)
{
    return nodes_some(nodes, NULL, cursor, out, max);
}
