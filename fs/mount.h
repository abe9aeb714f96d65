/*
 * fs/mount: the mounted tree as a whole: set-up, threads, stop.
 *
 * One struct fs per mount. fs_mount() returns when the mount answers (INIT is
 * done, the worker threads run); after that nothing here needs the caller's
 * thread. Fork, if at all, before the store is opened and before fs_mount():
 * both have threads.
 *
 * Signals: block them in every thread before fs_mount() (its threads inherit
 * the mask); no handler is installed here.
 *
 * Order of a stop: fs_stop(), fs_free(), store_close(). Between the first two
 * every reference to topics and segments is given back. The store must not be
 * told store_stop_waiting() before fs_stop() returned: the unfinished lines of
 * open publish handles are published there.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct fs;

struct fs_options {
    struct store *store;    /* open, with threads; outlives the fs */
    const char *store_path; /* its directory: what statfs tells */
    const char *mountpoint;
    const char *version;       /* of topicfs, for .metrics; outlives the fs; NULL = none */
    const char *mount_options; /* more for -o ("ro,noatime"); NULL = none */
    bool allow_other;          /* other users than the daemon's */
    uint32_t root_mode;        /* 0 = 0755 */
    unsigned worker_threads;   /* at most; 0 = the default. See fs/workers.h. */
    bool no_passthrough;       /* serve sealed segments from the page cache */

    /* What mkdir makes a topic with; mode, uid, gid are the caller's instead. */
    struct topic_config topic_default;

    /* Called once, from a thread of the fs, when the mount ended from outside
     * (umount, an abort of the connection): rc 0; or when no worker is left that
     * can take requests (-ENOMEM). Must not block, nor call fs_stop() itself:
     * tell the main thread. May be NULL. */
    void (*ended)(void *arg, int rc);
    void *arg;
};

/*
 * Mounts. A dead mount left behind by a killed process is detached first,
 * with a line on stderr.
 *
 * -ENOENT, -ENOTDIR: no such mount point. -EBUSY. -EACCES, -EPERM, -ENOENT: no
 * use of /dev/fuse. err has the sentence.
 */
int fs_mount(struct fs **out, const struct fs_options *options, struct err *err) MUST_CHECK;

/*
 * Ends the mount: waiting readers get ESHUTDOWN at once, open files are served
 * for up to grace_ms more (1000 is right) or until they are closed, unfinished
 * lines are published, then it is unmounted and the threads end. Also right
 * after `ended` was called. Call once.
 */
void fs_stop(struct fs *fs, unsigned grace_ms);

/* From another thread while fs_stop() runs: the grace is over now. */
void fs_hurry(struct fs *fs);

/* After fs_stop(). */
void fs_free(struct fs *fs);

/* True if sealed segments are read through the kernel's passthrough. */
bool fs_has_passthrough(const struct fs *fs);

#endif
