/* fs/ops: open, read, write, close. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>

#include "fs/notify.h"
#include "fs/ops.h"

int ops_reply_gather(fuse_req_t req, struct gather *g)
{
    struct fs_metrics *m = &ops_fs(req)->metrics;
    uint64_t len = g->len;
    int rc = g->count == 1 ? fuse_reply_buf(req, g->iov[0].iov_base, g->iov[0].iov_len)
                           : fuse_reply_iov(req, g->iov, g->count);

    gather_release(g);
    fs_metrics_add(m, FS_COUNT_READS, 1);
    fs_metrics_add(m, FS_COUNT_READ_BYTES, len);
    return rc;
}

/* libfuse 3.14 has neither the flag for streams nor passthrough, so the reply
 * is written out. */
static void open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    static const uint32_t flags[] = {
        [WAY_DIRECT] = FOPEN_DIRECT_IO,
        [WAY_CACHED] = 0,
        [WAY_CACHED_KEEP] = FOPEN_KEEP_CACHE,
        [WAY_PASSTHROUGH] = 0, /* the kernel (FOPEN_PASSTHROUGH_MASK) refuses FOPEN_KEEP_CACHE */
        [WAY_STREAM] = FOPEN_DIRECT_IO | FOPEN_STREAM,
    };
    char reply[PASSTHROUGH_OPEN_BYTES];
    struct handle *h;
    int rc = handle_open(&ops_fs(req)->handles, ops_node(req, ino), fi->flags, &h);

    if (rc < 0) {
        ops_reply_code(req, rc);
        return;
    }
    passthrough_open_reply(reply, (uint64_t)(uintptr_t)h, flags[h->way], h->backing_id);
    if (fuse_reply_buf(req, reply, sizeof reply) != 0)
        handle_close(h); /* whoever opened it is gone: there will be no RELEASE */
}

static void read_file(fuse_req_t req, fuse_ino_t ino, size_t size, off_t pos,
                      struct fuse_file_info *fi)
{
    struct handle *h = ops_handle(fi);
    struct gather g;
    int rc;

    (void)ino;
    if (handle_is_stream(h)) {
        ops_stream_read(req, h, (uint64_t)pos, size, fi->flags & O_NONBLOCK);
        return;
    }
    g.count = 0;
    g.len = 0;
    handle_get(h); /* for its text, until the reply is out */
    rc = handle_read(h, (uint64_t)pos, size, &g);
    if (rc < 0) {
        gather_release(&g);
        ops_reply_code(req, rc);
    } else {
        (void)ops_reply_gather(req, &g);
    }
    handle_put(h);
}

/* An acknowledged write is answered by the flush of what it wrote. */
static void publish(fuse_req_t req, struct publisher *p, const char *data, size_t len)
{
    struct fs_metrics *m = &ops_fs(req)->metrics;
    ssize_t n = publisher_write(p, data, len);

    fs_metrics_add(m, FS_COUNT_WRITES, 1);
    fs_metrics_add(m, FS_COUNT_WRITTEN_BYTES, n > 0 ? (uint64_t)n : 0);
    if (n < 0) {
        fs_metrics_publish_failed(m, (int)n);
        ops_reply_code(req, (int)n);
    } else if (n > 0 && publisher_ack_write(p)) {
        ops_answer_write(req, p, (size_t)n);
    } else {
        fuse_reply_write(req, (size_t)n);
    }
}

/* What was written to .config holds: answers, a WRITE of `count` bytes or, with 0,
 * a FLUSH. The deletion of a topic is answered when its name is free. */
static void control_changed(fuse_req_t req, const struct handle *h, size_t count)
{
    struct fs *fs = ops_fs(req);
    struct topic *topic = h->node->key.topic;

    if (topic_removed(topic)) {
        atomic_store(&fs->tree.changed_ms, store_wall_ms(fs->tree.store));
        notify_removed(fs->notify, topic, req, count);
        return;
    }
    notify_access(fs->notify, topic);
    notify_answer(req, count);
}

static void write_file(fuse_req_t req, fuse_ino_t ino, const char *data, size_t len, off_t pos,
                       struct fuse_file_info *fi)
{
    struct handle *h = ops_handle(fi);

    (void)ino, (void)pos; /* the kernel's idea of the position means nothing here */
    if (h->publisher) {
        publish(req, h->publisher, data, len);
    } else if (h->control) {
        ssize_t n = control_write(h->control, data, len);

        if (n < 0) {
            ops_reply_code(req, (int)n);
            return;
        }
        control_changed(req, h, (size_t)n);
    } else {
        fuse_reply_err(req, EBADF);
    }
}

static void flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *h = ops_handle(fi);

    (void)ino;
    if (h->publisher) {
        ops_answer_flush(req, h->publisher);
    } else if (h->control) {
        int rc = control_flush(h->control);

        if (rc == 0)
            control_changed(req, h, 0);
        else
            ops_reply_code(req, rc);
    } else {
        fuse_reply_err(req, 0);
    }
}

static void sync_file(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    struct handle *h = ops_handle(fi);

    (void)ino, (void)data_only;
    if (h->node->key.kind == NODE_PUBLISH)
        ops_answer_sync(req, h);
    else
        fuse_reply_err(req, 0); /* what can be read is on disk */
}

static void sync_dir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    (void)ino, (void)data_only, (void)fi;
    fuse_reply_err(req, 0); /* mkdir and rmdir return when they are durable */
}

static void release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *h = ops_handle(fi);

    (void)ino;
    ops_poll_forget(ops_fs(req), h);
    handle_close(h);
    fuse_reply_err(req, 0);
}

/* Refused, glibc's posix_fallocate would write a zero byte into each block. */
static void allocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t pos, off_t len,
                     struct fuse_file_info *fi)
{
    (void)mode, (void)pos, (void)len, (void)fi;
    fuse_reply_err(req, ops_node(req, ino)->key.kind == NODE_PUBLISH ? 0 : EPERM);
}

/* isatty(3) asks. */
static void control(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
                    struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
                    size_t out_size)
{
    (void)ino, (void)cmd, (void)arg, (void)fi, (void)flags, (void)in, (void)in_size, (void)out_size;
    fuse_reply_err(req, ENOTTY);
}

void ops_file_fill(struct fuse_lowlevel_ops *ops)
{
    ops->open = open_file;
    ops->read = read_file;
    ops->write = write_file;
    ops->flush = flush;
    ops->fsync = sync_file;
    ops->fsyncdir = sync_dir;
    ops->release = release;
    ops->fallocate = allocate;
    ops->ioctl = control;
    ops->poll = ops_poll;
}
