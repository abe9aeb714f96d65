/*
 * tests/support/memdisk_inside: what memdisk.c, memdisk_calls.c,
 * memdisk_names.c and memdisk_lie.c share.
 */
#ifndef TESTS_SUPPORT_MEMDISK_INSIDE_H
#define TESTS_SUPPORT_MEMDISK_INSIDE_H

#include "tests/support/memdisk.h"

extern const struct fileio_ops memdisk_ops;

#define MEMDISK_FIRST_FD 3

/* The directory and last name of a path. 0; -ENOENT, -ENOTDIR, -ENAMETOOLONG,
 * -EXDEV. For "" the name is NULL and *dir the root. */
int memdisk_resolve(const struct memdisk *disk, const char *path, uint32_t *dir, const char **name);
/* The inode of a path, which must be there. */
int memdisk_find(const struct memdisk *disk, const char *path, uint32_t *ino);
struct memfd *memdisk_fd(struct memdisk *disk, int fd);
void memdisk_close_fd(struct memdisk *disk, struct memfd *fd);
/* Frees a node that has neither name nor descriptor. */
void memdisk_forget(struct memdisk *disk, uint32_t ino);

/* Adds an operation to the trace, if there is one. The trace takes `op`'s
 * fields; sectors [from, from + count) of op.ino are held as they are now. */
void memdisk_note(struct memdisk *disk, struct memop op, size_t sector_from, size_t sector_count);

/* Locks the disk and counts a call. 0: go on; 1: go on, but not all the way
 * (a short count); else fail so. memdisk_leave() must follow in any case; it
 * returns rc. *out NULL: no such descriptor. */
int memdisk_enter(struct fileio *io, enum memcall call, const char *path);
int memdisk_enter_fd(struct fileio *io, enum memcall call, int fd, struct memfd **out);
int memdisk_leave(struct fileio *io, int rc);

/* -- lies -- */

bool memdisk_path_matches(const char *pattern, const char *path);
/* Is the disk to lie about this call, which is about file or directory `ino`? */
bool memdisk_lies(struct memdisk *disk, enum memcall call, const char *path, uint32_t ino);
/* A write that is lied about. */
ssize_t memdisk_lie_write(struct memdisk *disk, uint32_t ino, const struct iovec *iov, int n,
                          uint64_t pos, uint64_t want);
/* A sync that is lied about: left out, or put off. */
void memdisk_lie_sync(struct memdisk *disk, struct memop op);
/* A write to that path was done: does what was put off until then. */
void memdisk_catch_up(struct memdisk *disk, const char *path);

ssize_t memdisk_write(struct memdisk *disk, uint32_t ino, const struct iovec *iov, int n,
                      uint64_t pos, uint64_t want);
int memdisk_mkdir(struct fileio *io, const char *path);
int memdisk_rmdir(struct fileio *io, const char *path);
int memdisk_rename(struct fileio *io, const char *from, const char *to);
int memdisk_link(struct fileio *io, const char *from, const char *to);
int memdisk_unlink(struct fileio *io, const char *path);
int memdisk_list(struct fileio *io, const char *path, fileio_list_fn *fn, void *arg);

#endif
