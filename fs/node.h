/*
 * fs/node: what the kernel has looked up.
 *
 * A node is a name bound to what it means: a topic (by its number, not its
 * name), a partition, a kind, START and END. The kernel knows it by its
 * address (the FUSE nodeid; the root is 1) and counts its look-ups; it lives
 * until they are forgotten and nothing in here holds it any more.
 *
 * st_ino is a 64-bit hash of the same things, never of an address or of
 * anything that a restart changes: `tail -F` prints a whole log again when the
 * inode number of its file changes, and the kernel forgets idle nodes often.
 * Two names that mean two things have two numbers but for a chance of 2^-64.
 *
 * Nodes of publish files are not shared: every look-up makes one. The kernel
 * holds a node's lock through FSYNC and direct writes, so writers on one
 * shared node would flush one after another. All have the same st_ino.
 *
 * Names that are not listed (START- and its kind) could be looked up without
 * end, and the kernel keeps what it looked up. So idle ones are kept in order
 * of their last use, and fs/notify asks the kernel to drop the oldest.
 *
 * Threads: any. nodes.lock protects the table and the counts; it is a leaf
 * (nothing else is taken under it). What a node is bound to never changes.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/* Part of st_ino: never change a number, never reuse one. */
enum node_kind {
    NODE_ROOT = 1,
    NODE_STATUS = 2,
    NODE_TOPIC = 3,
    NODE_PARTITION = 4,
    NODE_PUBLISH = 5, /* partition -1: the topic's own */
    NODE_CONFIG = 6,
    NODE_OFFSETS = 7,
    NODE_SEALED = 8,          /* the directory */
    NODE_SEGMENT = 9,         /* start: its base */
    NODE_SEALED_SEGMENT = 10, /* the same in sealed/ */
    NODE_GROWING = 11,        /* START- */
    NODE_FROZEN = 12,         /* START-END */
    NODE_STREAM = 13,         /* START+ */
    NODE_LINK = 14,           /* a name with a word, in a partition */
    NODE_MERGED = 15,         /* a stream over all partitions */
    NODE_METRICS = 16,
};

/* What a node is. Two equal keys are one node (but for publish files). */
struct node_key {
    enum node_kind kind;
    struct topic *topic; /* NULL: the root and its files */
    int64_t partition;   /* -1: none */
    uint64_t start, end;
    const char *word; /* NODE_LINK, NODE_MERGED: the name; else NULL */
};

struct node {
    /* Fixed; topic and parent are held, word is the node's own. */
    struct node_key key;
    struct partition *part; /* that of the key, if any */
    struct node *parent;    /* NULL: the root */
    uint64_t ino;
    uint64_t hash; /* ino, or of its own where every look-up makes a node */

    /* nodes.lock */
    uint64_t lookups; /* by the kernel */
    uint32_t holds;   /* children, open files, work under way */
    struct node *hash_next;
    struct node *idle_prev, *idle_next; /* unlisted names, see nodes_idle() */
    _Atomic uint64_t used_ms;           /* monotonic; only hints */

    /* How a sealed segment is read: fs/handle.lock. All opens of one node use
     * one way at a time. */
    struct {
        uint32_t opens;     /* that use it */
        int32_t backing_id; /* > 0: passthrough */
        bool cached_before; /* pages in the kernel's cache are of the sealed file */
    } sealed;
};

struct nodes {
    pthread_mutex_t lock;
    struct node **table;
    size_t buckets; /* a power of two */
    size_t count;
    struct node *idle_head, *idle_tail;
    size_t idle_count;
    struct node *root;
};

int nodes_init(struct nodes *nodes) MUST_CHECK;
/* Frees all of them, whatever the kernel thinks: the mount has ended. */
void nodes_release(struct nodes *nodes);

/* The node of a key under a parent, with one look-up counted more. key->word
 * is copied. -ENOMEM. */
int nodes_look_up(struct nodes *nodes, const struct node_key *key, struct node *parent,
                  struct node **out) MUST_CHECK;
/* Takes look-ups back. The node may be gone then. */
void nodes_forget(struct nodes *nodes, struct node *node, uint64_t count);

/* Keeps a node that somebody else holds or looked up. */
struct node *nodes_hold(struct nodes *nodes, struct node *node);
void nodes_unhold(struct nodes *nodes, struct node *node);

/* It has been used now. Cheap. */
void node_used(struct node *node);

/* True for names that readdir does not show and can be many. */
bool node_unlisted(enum node_kind kind);
/* True where every look-up gives a node of its own. */
bool node_private(enum node_kind kind);

uint64_t node_ino(const struct node_key *key);

/*
 * Up to `max` unlisted nodes that were not used for idle_ms, nor are open,
 * each held; each counts as used now. Returns how many.
 */
size_t nodes_idle(struct nodes *nodes, uint64_t idle_ms, struct node **out, size_t max);

/* Up to max nodes of a topic, each held, from *cursor on (start with 0);
 * *cursor is raised. 0: no more. */
size_t nodes_of_topic(struct nodes *nodes, const struct topic *topic, size_t *cursor,
                      struct node **out, size_t max);
/* Likewise those of segments, under both of their names, of all topics. */
size_t nodes_of_segments(struct nodes *nodes, size_t *cursor, struct node **out, size_t max);

#endif
