/*
 * fs/handle: open files.
 *
 * One struct handle per open(2) that the kernel tells us of; it knows how the
 * file is served and keeps what that takes. No FUSE in here.
 *
 *   publish            direct; a struct publisher, or nothing where it is only
 *                      read (it reads as empty)
 *   .config .offsets   direct; the text as it was when opened
 *   .status .metrics
 *   segments           sealed: passthrough, or the kernel's page cache where
 *                      that is not to be had; the newest: direct. Held: they
 *                      stay readable after retention removed them.
 *   START-             direct
 *   START-END          page cache, kept; direct with a gap in it
 *   START+             direct, reads wait
 *   latest+ ...        direct, without positions, reads wait
 *
 * Of a sealed segment all opens of one node are served in one way at a time:
 * the kernel refuses (EIO) an open that is not passthrough while another is.
 * So the way of the handles that are open is kept, with their backing id, and
 * only the first one decides. Opens from before it was sealed are direct and
 * get along with both.
 *
 * Threads: any. handles.lock protects the list, the nodes' `sealed` and
 * nothing else; only the registering of a backing file happens under it.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "fs/control.h"
#include "fs/merged.h"
#include "fs/passthrough.h"
#include "fs/publish.h"
#include "fs/read.h"
#include "fs/tree.h"

struct handles {
    struct tree *tree;
    struct passthrough *passthrough;
    pthread_mutex_t lock;
    pthread_cond_t none; /* the last one was closed */
    struct handle *head;
    unsigned count;
};

enum handle_way {
    WAY_DIRECT,
    WAY_CACHED,      /* pages that are there already are dropped */
    WAY_CACHED_KEEP, /* they are kept */
    WAY_PASSTHROUGH,
    WAY_STREAM, /* no positions */
};

struct poll_wait; /* fs/ops_stream */

struct handle {
    struct handles *handles;
    struct node *node; /* held */
    enum handle_way way;
    int32_t backing_id; /* WAY_PASSTHROUGH */
    bool writable;
    atomic_uint refs;

    struct segment *seg;
    struct publisher *publisher;
    struct control *control;
    struct merged *merged;
    struct buf text;

    atomic_uint waiting;    /* reads of a stream */
    _Atomic uint64_t pos;   /* just past the last read; for poll(2) */
    _Atomic bool ended;     /* of a stream: nothing more can come */
    struct poll_wait *poll; /* fs.poll_lock */
    struct handle *next, *prev;
};

void handles_init(struct handles *handles, struct tree *tree, struct passthrough *passthrough);
void handles_release(struct handles *handles);

/* flags: of open(2). -EPERM: to be written is not what this file is for. */
int handle_open(struct handles *handles, struct node *node, int flags,
                struct handle **out) MUST_CHECK;

/* The last close: publishes and applies what is left, gives everything back. */
void handle_close(struct handle *h);

/* The structure, its node, text and merged stream stay until the last reference
 * is put; open counts as one. Once a request is replied to, the kernel may close
 * the file: whoever needs the handle after that takes a reference before. */
struct handle *handle_get(struct handle *h);
void handle_put(struct handle *h);

/* True for START+ and its merged kind: reads at the end wait. */
bool handle_is_stream(const struct handle *h);

/* What read(2) gives at a position; nothing at the end. Not for merged ones. */
int handle_read(struct handle *h, uint64_t pos, uint64_t size, struct gather *out) MUST_CHECK;

/* tree_attr() of a segment's node, where the segment is removed and some open
 * file holds it. -ESTALE: none does. */
int handles_attr(struct handles *handles, const struct node *node,
                 struct tree_attr *out) MUST_CHECK;

/* Waits until none is open, at most until the deadline (CLOCK_MONOTONIC ms). */
void handles_drain(struct handles *handles, uint64_t until_ms, const _Atomic bool *hurry);

/* The ends of a stop: unfinished lines of all open publish files become
 * messages. */
void handles_publish_rest(struct handles *handles);

#endif
