/*
 * base/fileio: the table of functions through which store/ touches the disk.
 *
 * A struct fileio is bound to one directory; every path is relative to it,
 * slashes between names, "" the directory itself. No path leaves it: a
 * symbolic link anywhere on the way is -ELOOP, ".." is refused.
 *
 * The real one (fileio_open) calls the kernel. The one of the tests
 * (tests/support/memdisk) is an in-memory disk that records every operation
 * and can fail each of them. So nothing below knows which it talks to, and a
 * new kind of disk access is a new entry here.
 *
 * Every call returns 0 (or what it says) or -errno, handles EINTR itself, and
 * may be made from any thread. pwritev and pread may be short, as the kernel's;
 * fileio_write_all() and fileio_read_all() are not.
 */
#ifndef BASE_FILEIO_H
#define BASE_FILEIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

struct fileio;

enum fileio_flags {
    FILEIO_READ = 0,
    FILEIO_WRITE = 1,     /* read and write */
    FILEIO_CREATE = 2,    /* make it (mode 0600) where it is missing */
    FILEIO_EXCLUSIVE = 4, /* with CREATE: -EEXIST where it is there */
    FILEIO_DIRECTORY = 8, /* for syncfs */
};

enum fileio_kind { FILEIO_FILE, FILEIO_DIR, FILEIO_OTHER, FILEIO_NONE };

struct fileio_stat {
    enum fileio_kind kind;
    uint64_t size_bytes;
    uint64_t disk_bytes; /* allocated */
    uint64_t inode;      /* equal: names of one file */
};

/* Called once per name, without "." and "..", in no order. Stops on non-zero. */
typedef int fileio_list_fn(void *arg, const char *name, enum fileio_kind kind);

/* Something to sync: a file's descriptor, or where that is < 0 a directory's path. */
struct fileio_sync {
    int fd;
    const char *dir;
};
#define FILEIO_SYNCS_MAX 32 /* at a time */

struct fileio_ops {
    int (*open)(struct fileio *io, const char *path, int flags); /* a descriptor */
    int (*close)(struct fileio *io, int fd);
    int (*size)(struct fileio *io, int fd, uint64_t *bytes);
    int (*stat)(struct fileio *io, const char *path, struct fileio_stat *st);
    /* The same for n names in one directory, which is found once. A name that
     * is not there has kind FILEIO_NONE and size 0. */
    int (*stat_names)(struct fileio *io, const char *dir, const char *const *names, int n,
                      struct fileio_stat *st);
    ssize_t (*pwritev)(struct fileio *io, int fd, const struct iovec *iov, int n, uint64_t pos);
    ssize_t (*pread)(struct fileio *io, int fd, void *to, size_t len, uint64_t pos);
    int (*fdatasync)(struct fileio *io, int fd);
    /* Starts write-back of [pos, pos+len) without waiting for it. If it fails, what it
     * was to write may be lost, and fdatasync need not say so. */
    int (*start_writeback)(struct fileio *io, int fd, uint64_t pos, uint64_t len);
    /* What is read from this descriptor will not be wanted again: a hint. */
    void (*read_once)(struct fileio *io, int fd);
    int (*syncfs)(struct fileio *io, int fd);
    int (*sync_dir)(struct fileio *io, const char *path);
    /* Syncs n <= FILEIO_SYNCS_MAX of them at the same time: fdatasync of files, fsync
     * of directories. NULL where this disk does one at a time: fileio_sync_all(). */
    int (*sync_all)(struct fileio *io, const struct fileio_sync *what, int n);
    int (*mkdir)(struct fileio *io, const char *path);
    int (*rmdir)(struct fileio *io, const char *path);
    int (*rename)(struct fileio *io, const char *from, const char *to); /* replaces */
    int (*link)(struct fileio *io, const char *from, const char *to);   /* -EEXIST */
    int (*unlink)(struct fileio *io, const char *path);
    int (*truncate)(struct fileio *io, int fd, uint64_t size);
    int (*fallocate)(struct fileio *io, int fd, uint64_t pos, uint64_t len);
    int (*list)(struct fileio *io, const char *path, fileio_list_fn *fn, void *arg);
    int (*lock)(struct fileio *io, int fd); /* exclusive flock; -EWOULDBLOCK */
    /* Maps [0, len) for reading; len may pass the end of the file. NULL where
     * this disk has no mappings: callers fall back to pread. */
    void *(*map)(struct fileio *io, int fd, size_t len);
    void (*unmap)(struct fileio *io, void *at, size_t len);
    void (*release)(struct fileio *io);
};

struct fileio {
    const struct fileio_ops *ops;
};

/* The real disk, bound to directory `path`, which must exist. */
int fileio_open(struct fileio **out, const char *path, struct err *err) MUST_CHECK;
void fileio_release(struct fileio *io);

/* All of it or -errno; a short count that cannot go on is the error that ended
 * it. *done says how much was written, also on failure (may be NULL).
 * The iovecs are used up. */
int fileio_write_all(struct fileio *io, int fd, struct iovec *iov, int n, uint64_t pos,
                     uint64_t *done) MUST_CHECK;
int fileio_write_bytes(struct fileio *io, int fd, const void *data, size_t len,
                       uint64_t pos) MUST_CHECK;
/* sync_all, or what it does one after another. Which of them are on disk is not
 * known where it fails. */
int fileio_sync_all(struct fileio *io, const struct fileio_sync *what, int n) MUST_CHECK;
/* Exactly len bytes; -ENODATA where the file ends before. */
int fileio_read_all(struct fileio *io, int fd, void *to, size_t len, uint64_t pos) MUST_CHECK;

/* The whole of a small file (at most cap bytes) into *data, NUL-terminated,
 * to be freed by the caller. -ENOENT; -EFBIG above cap. */
int fileio_read_file(struct fileio *io, const char *path, size_t cap, char **data,
                     size_t *len) MUST_CHECK;

/* Replaces `dir/name` for good: dir/.name.tmp (a leading dot of name is not
 * doubled), fdatasync, rename, fsync of dir. dir "" is the bound directory. */
int fileio_replace_file(struct fileio *io, const char *dir, const char *name, const void *data,
                        size_t len) MUST_CHECK;

#endif
