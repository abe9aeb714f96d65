/*
 * fs/notify: what the kernel is told on our own account.
 *
 * It remembers names and attributes. A thread of its own, once a second and
 * when asked, tells it to drop what it should not keep:
 *
 *   - unlisted names (0-, 17-523) that nobody used for a while: without this,
 *     a million stats would leave a million nodes here and inodes there;
 *   - the attributes of a topic's files, after its access was changed;
 *   - the name of a topic that was deleted, and those of segments that retention
 *     has removed.
 *
 * It is a thread of its own because the kernel takes locks for this that a
 * process may hold which waits for one of our workers.
 *
 * The same thread has the streams look for new partitions.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include <stddef.h>

#include "base/err.h"

struct fs;
struct fuse_req;
struct notify;
struct topic;

int notify_new(struct notify **out, struct fs *fs) MUST_CHECK;

/* Modes, owner or partitions of the topic have changed. */
void notify_access(struct notify *n, struct topic *topic);

/* The topic was removed: has the kernel forget its name, and answers req then, as
 * notify_answer(). Who made it wait finds the name free. */
void notify_removed(struct notify *n, struct topic *topic, struct fuse_req *req, size_t count);

/* Answers a WRITE of `count` bytes, or with 0 a request without a result. */
void notify_answer(struct fuse_req *req, size_t count);

/* Ends the thread. The mount must still be served: the kernel may keep the
 * thread waiting until some lookup is answered. What comes later is answered
 * without it. */
void notify_stop(struct notify *n);
/* After notify_stop(), when nobody calls anything of it any more. */
void notify_free(struct notify *n);

#endif
