/*
 * fs/ops: the operations of FUSE's low-level interface, thin: each turns its
 * request into a call of fs/tree, fs/handle, fs/stream or fs/publish and the
 * answer into a reply. Codes become errnos here and nowhere else.
 *
 *   ops.c          names, attributes, directories
 *   ops_file.c     open, read, write, close
 *   ops_publish.c  what is answered when a flush has ended
 *   ops_stream.c   reads that wait, poll
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include <fuse_lowlevel.h>

#include "fs/inside.h"

/* Each adds its operations to the table. */
void ops_tree_fill(struct fuse_lowlevel_ops *ops);
void ops_file_fill(struct fuse_lowlevel_ops *ops);

static inline struct fs *ops_fs(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static inline struct node *ops_node(fuse_req_t req, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? ops_fs(req)->tree.nodes.root : (struct node *)(uintptr_t)ino;
}

static inline fuse_ino_t ops_ino(const struct node *node)
{
    return node->key.kind == NODE_ROOT ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)node;
}

static inline struct handle *ops_handle(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}

/* -EIO and the like as the errno they are for the caller; 0 for 0. */
static inline void ops_reply_code(fuse_req_t req, int code)
{
    fuse_reply_err(req, err_errno(code));
}

/* Replies to a READ, and releases. 0, or -ENOENT: the reader is gone. */
int ops_reply_gather(fuse_req_t req, struct gather *g);

/* -- ops_stream.c -- */
void ops_stream_read(fuse_req_t req, struct handle *h, uint64_t pos, uint64_t size, bool nonblock);
void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
              struct fuse_pollhandle *ph);
/* Before a handle is closed. */
void ops_poll_forget(struct fs *fs, struct handle *h);

/* -- ops_publish.c -- */
/* A FLUSH of, or a WRITE of `count` bytes to, a publish file (ack=write). */
void ops_answer_flush(fuse_req_t req, struct publisher *p);
void ops_answer_write(fuse_req_t req, struct publisher *p, size_t count);
/* An FSYNC; p NULL: the file is open for reading only. */
void ops_answer_sync(fuse_req_t req, const struct handle *h);
/* For a stop: ends what still waits after the deadline (CLOCK_MONOTONIC ms)
 * with ESHUTDOWN, and returns when none is left. */
void ops_answers_drain(struct fs *fs, uint64_t until_ms);

#endif
