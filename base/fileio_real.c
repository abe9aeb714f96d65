/*
 * base/fileio_real: the I/O table over the kernel's calls.
 *
 * Paths are resolved with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), so
 * that a link planted in a store leads nowhere. Calls that take a name in a
 * directory (rename, link, unlink, mkdir) open the parent that way first.
 */
#include "base/fileio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sync_many.h"

struct real {
    struct fileio io;
    int root;
    struct sync_many syncs;
};

_Static_assert(FILEIO_SYNCS_MAX <= SYNC_MANY_MAX, "they go in one piece");

static int real_resolve(struct fileio *io, const char *path, uint64_t flags, uint64_t mode)
{
    struct real *r = (struct real *)io;
    struct open_how how = {
        .flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    long fd;

    do
        fd = syscall(SYS_openat2, r->root, *path ? path : ".", &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd < 0 ? -errno : (int)fd;
}

/* The parent of `path` as a descriptor to close with parent_close(). */
static int parent_open(struct fileio *io, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX];

    if (!slash) {
        *name = path;
        return ((struct real *)io)->root;
    }
    *name = slash + 1;
    if ((size_t)(slash - path) >= sizeof dir)
        return -ENAMETOOLONG;
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    return real_resolve(io, dir, O_PATH | O_DIRECTORY, 0);
}

static void parent_close(struct fileio *io, int fd)
{
    if (fd >= 0 && fd != ((struct real *)io)->root)
        close(fd);
}

static int real_open(struct fileio *io, const char *path, int flags)
{
    uint64_t how = flags & FILEIO_WRITE ? O_RDWR : O_RDONLY;

    if (flags & FILEIO_CREATE)
        how |= O_CREAT;
    if (flags & FILEIO_EXCLUSIVE)
        how |= O_EXCL;
    if (flags & FILEIO_DIRECTORY)
        how |= O_DIRECTORY;
    /* A pipe planted in a store is opened at once, and cannot be read. */
    return real_resolve(io, path, how | O_NONBLOCK, flags & FILEIO_CREATE ? 0600 : 0);
}

static int real_close(struct fileio *io, int fd)
{
    (void)io;
    return close(fd) < 0 ? -errno : 0;
}

static int real_size(struct fileio *io, int fd, uint64_t *bytes)
{
    struct stat st;

    (void)io;
    if (fstat(fd, &st) < 0)
        return -errno;
    *bytes = (uint64_t)st.st_size;
    return 0;
}

static int stat_in(int dir, const char *name, struct fileio_stat *out)
{
    struct stat st;

    if (fstatat(dir, *name ? name : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    out->kind = S_ISREG(st.st_mode) ? FILEIO_FILE : S_ISDIR(st.st_mode) ? FILEIO_DIR : FILEIO_OTHER;
    out->size_bytes = (uint64_t)st.st_size;
    out->disk_bytes = (uint64_t)st.st_blocks * 512;
    out->inode = st.st_ino;
    return 0;
}

static int real_stat(struct fileio *io, const char *path, struct fileio_stat *out)
{
    const char *name;
    int dir = parent_open(io, path, &name);
    int rc = dir < 0 ? dir : stat_in(dir, name, out);

    parent_close(io, dir);
    return rc;
}

static int real_stat_names(struct fileio *io, const char *dir, const char *const *names, int n,
                           struct fileio_stat *st)
{
    int fd = real_resolve(io, dir, O_PATH | O_DIRECTORY, 0);
    int rc = fd < 0 ? fd : 0;

    for (int i = 0; rc == 0 && i < n; i++) {
        rc = stat_in(fd, names[i], &st[i]);
        if (rc == -ENOENT) {
            st[i] = (struct fileio_stat){.kind = FILEIO_NONE};
            rc = 0;
        }
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

static ssize_t real_pwritev(struct fileio *io, int fd, const struct iovec *iov, int n, uint64_t pos)
{
    ssize_t got;

    (void)io;
    do
        got = pwritev(fd, iov, n, (off_t)pos);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static ssize_t real_pread(struct fileio *io, int fd, void *to, size_t len, uint64_t pos)
{
    ssize_t got;

    (void)io;
    do
        got = pread(fd, to, len, (off_t)pos);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static int real_fdatasync(struct fileio *io, int fd)
{
    int rc;

    (void)io;
    do
        rc = fdatasync(fd);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int real_start_writeback(struct fileio *io, int fd, uint64_t pos, uint64_t len)
{
    int rc;

    (void)io;
    do
        rc = sync_file_range(fd, (off_t)pos, (off_t)len, SYNC_FILE_RANGE_WRITE);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static void real_read_once(struct fileio *io, int fd)
{
    (void)io;
    (void)!posix_fadvise(fd, 0, 0, POSIX_FADV_NOREUSE);
}

static int real_syncfs(struct fileio *io, int fd)
{
    (void)io;
    return syncfs(fd) < 0 ? -errno : 0;
}

static int real_sync_dir(struct fileio *io, const char *path)
{
    int fd = real_resolve(io, path, O_RDONLY | O_DIRECTORY, 0);
    int rc = 0;

    if (fd < 0)
        return fd;
    if (fsync(fd) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int real_sync_all(struct fileio *io, const struct fileio_sync *what, int n)
{
    bool data_only[FILEIO_SYNCS_MAX] = {false};
    int fd[FILEIO_SYNCS_MAX] = {0};
    int opened = 0;
    int rc = 0;

    for (; rc == 0 && opened < n; opened++) {
        const struct fileio_sync *w = &what[opened];

        data_only[opened] = w->fd >= 0;
        fd[opened] = w->fd >= 0 ? w->fd : real_resolve(io, w->dir, O_RDONLY | O_DIRECTORY, 0);
        rc = fd[opened] < 0 ? fd[opened] : 0;
    }
    if (rc == 0)
        rc = sync_many(&((struct real *)io)->syncs, fd, data_only, n);
    for (int i = 0; i < opened; i++)
        if (what[i].fd < 0 && fd[i] >= 0)
            close(fd[i]);
    return rc;
}

static int real_mkdir(struct fileio *io, const char *path)
{
    const char *name;
    int dir = parent_open(io, path, &name);
    int rc = dir < 0 ? dir : mkdirat(dir, name, 0700) < 0 ? -errno : 0;

    parent_close(io, dir);
    return rc;
}

static int real_remove(struct fileio *io, const char *path, int flags)
{
    const char *name;
    int dir = parent_open(io, path, &name);
    int rc = dir < 0 ? dir : unlinkat(dir, name, flags) < 0 ? -errno : 0;

    parent_close(io, dir);
    return rc;
}

static int real_rmdir(struct fileio *io, const char *path)
{
    return real_remove(io, path, AT_REMOVEDIR);
}

static int real_unlink(struct fileio *io, const char *path)
{
    return real_remove(io, path, 0);
}

static int real_rename(struct fileio *io, const char *from, const char *to)
{
    const char *from_name;
    const char *to_name;
    int from_dir = parent_open(io, from, &from_name);
    int to_dir = parent_open(io, to, &to_name);
    int rc = from_dir < 0 ? from_dir : to_dir < 0 ? to_dir : 0;

    if (rc == 0 && renameat(from_dir, from_name, to_dir, to_name) < 0)
        rc = -errno;
    parent_close(io, from_dir);
    parent_close(io, to_dir);
    return rc;
}

static int real_link(struct fileio *io, const char *from, const char *to)
{
    const char *from_name;
    const char *to_name;
    int from_dir = parent_open(io, from, &from_name);
    int to_dir = parent_open(io, to, &to_name);
    int rc = from_dir < 0 ? from_dir : to_dir < 0 ? to_dir : 0;

    if (rc == 0 && linkat(from_dir, from_name, to_dir, to_name, 0) < 0)
        rc = -errno;
    parent_close(io, from_dir);
    parent_close(io, to_dir);
    return rc;
}

static int real_truncate(struct fileio *io, int fd, uint64_t size)
{
    int rc;

    (void)io;
    do
        rc = ftruncate(fd, (off_t)size);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int real_fallocate(struct fileio *io, int fd, uint64_t pos, uint64_t len)
{
    int rc;

    (void)io;
    do
        rc = fallocate(fd, 0, (off_t)pos, (off_t)len);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static enum fileio_kind kind_of(int dir, const struct dirent64 *d)
{
    struct stat st;

    if (d->d_type == DT_REG)
        return FILEIO_FILE;
    if (d->d_type == DT_DIR)
        return FILEIO_DIR;
    if (d->d_type != DT_UNKNOWN)
        return FILEIO_OTHER;
    if (fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return FILEIO_OTHER;
    return S_ISREG(st.st_mode) ? FILEIO_FILE : S_ISDIR(st.st_mode) ? FILEIO_DIR : FILEIO_OTHER;
}

/* The names that one getdents64(2) brought. */
static int list_some(int dir, const char *some, size_t len, fileio_list_fn *fn, void *arg)
{
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < len;) {
        const struct dirent64 *d = (const void *)(some + at);

        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            rc = fn(arg, d->d_name, kind_of(dir, d));
        at += d->d_reclen;
    }
    return rc;
}

/* Without readdir(3), whose fdopendir(3) makes three more calls: a start lists
 * every directory of the store. */
static int real_list(struct fileio *io, const char *path, fileio_list_fn *fn, void *arg)
{
    _Alignas(struct dirent64) char some[16384];
    int fd = real_resolve(io, path, O_RDONLY | O_DIRECTORY, 0);
    ssize_t got = 0;
    int rc = 0;

    if (fd < 0)
        return fd;
    while (rc == 0 && (got = getdents64(fd, some, sizeof some)) > 0)
        rc = list_some(fd, some, (size_t)got, fn, arg);
    if (got < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int real_lock(struct fileio *io, int fd)
{
    (void)io;
    return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static void *real_map(struct fileio *io, int fd, size_t len)
{
    void *at = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

    (void)io;
    return at == MAP_FAILED ? NULL : at;
}

static void real_unmap(struct fileio *io, void *at, size_t len)
{
    (void)io;
    munmap(at, len);
}

static void real_release(struct fileio *io)
{
    struct real *r = (struct real *)io;

    sync_many_release(&r->syncs);
    close(r->root);
    free(r);
}

static const struct fileio_ops real_ops = {
    .open = real_open,
    .close = real_close,
    .size = real_size,
    .stat = real_stat,
    .stat_names = real_stat_names,
    .pwritev = real_pwritev,
    .pread = real_pread,
    .fdatasync = real_fdatasync,
    .start_writeback = real_start_writeback,
    .read_once = real_read_once,
    .syncfs = real_syncfs,
    .sync_dir = real_sync_dir,
    .sync_all = real_sync_all,
    .mkdir = real_mkdir,
    .rmdir = real_rmdir,
    .rename = real_rename,
    .link = real_link,
    .unlink = real_unlink,
    .truncate = real_truncate,
    .fallocate = real_fallocate,
    .list = real_list,
    .lock = real_lock,
    .map = real_map,
    .unmap = real_unmap,
    .release = real_release,
};

int fileio_open(struct fileio **out, const char *path, struct err *err)
{
    struct real *r = calloc(1, sizeof *r);
    int rc;

    if (!r)
        return err_set(err, -ENOMEM, "%s: out of memory", path);
    r->io.ops = &real_ops;
    sync_many_init(&r->syncs);
    r->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->root < 0) {
        rc = -errno;
        sync_many_release(&r->syncs);
        free(r);
        return err_set(err, rc, "%s: %s", path, err_sentence(rc));
    }
    *out = &r->io;
    return 0;
}
