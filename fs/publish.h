/*
 * fs/publish: an open publish file. Lines in, append sets out.
 *
 * A struct publisher is what stands behind one open(2) of a publish file: it
 * holds the line that is not ended yet and remembers what was appended and may
 * not be flushed yet. No FUSE in here: fs/ops puts it behind a file handle.
 *
 * What a write does
 *   Its complete lines become one append set (several only above
 *   set.max.bytes), the set goes to the handle's partition or to the next one
 *   in turn. The unfinished rest is copied and waits for its '\n'; only
 *   publisher_publish_rest() and publisher_release() end it.
 *   Returns how much was taken: `len`, or less: what was taken is then to be
 *   written from there on, as after any short write(2), and the next call says
 *   what is wrong. Or a negative code: nothing was taken, and what had been
 *   held back before is still held: the same write may be tried again. No
 *   line is lost or doubled by trying on.
 *
 * A line that is too long (message.max.bytes, '\n' counted)
 *   The write ends short before it, the next one fails with -EMSGSIZE. The
 *   line is swallowed up to its '\n', in that write or in later ones, and the
 *   handle goes on behind it. Where its beginning was held from an earlier
 *   write, the write that makes it too long may end short inside it: publish.c
 *   tells why.
 *
 * Threads: any; a lock in each publisher makes writes of several threads or
 * processes take turns. Nothing blocks but on disk I/O: waiting for a flush is
 * done with a struct publish_wait, answered later.
 */
#ifndef FS_PUBLISH_H
#define FS_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "fs/publish_wait.h"
#include "store/store.h"

struct publisher;
/* partition -1: the topic's own publish file. Holds the topic.
 * -ENOENT: no such partition. -ENOMEM. */
int publisher_open(struct publisher **out, struct topic *topic, int64_t partition) MUST_CHECK;

/* The last close: publishes the rest, a failure is logged; frees. Waits that
 * are under way go on: they hold the topic, not the publisher. */
void publisher_release(struct publisher *p);

/* See above. -EMSGSIZE, -ENOSPC, -EDQUOT, -EIO, ERR_FAILED, ERR_STOPPING, -ENOMEM. */
ssize_t publisher_write(struct publisher *p, const void *data, size_t len) MUST_CHECK;

/* True: this topic's writers want a write that took anything to be answered
 * only after a publisher_flush() (ack=write). */
bool publisher_ack_write(const struct publisher *p);

/* For close(2): waits until what this handle wrote is visible; 0 at once where
 * all of it is. A failure is told again by every later flush. */
void publisher_flush(struct publisher *p, struct publish_wait *w);

/* For fsync(2): waits until everything that anyone had published to this file
 * is durable; of a topic's file: in all its partitions. -EIO for as long as
 * any of it could not be flushed. publish_sync() is the same for a handle opened
 * for reading only. */
void publisher_sync(struct publisher *p, struct publish_wait *w);

/* Publishes the unfinished rest as a message of its own (at SIGTERM). The
 * handle goes on. On failure the rest is still held. -ECANCELED: it is known
 * to be half a line, because the last write was refused. */
int publisher_publish_rest(struct publisher *p, struct err *err) MUST_CHECK;

#endif
