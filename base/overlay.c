/*
 * base/overlay: an I/O table that keeps changes in memory. See overlay.h.
 *
 * A name that was opened, changed, made or removed has an entry in a table, by
 * its path (overlay_table.h); any other is the disk's below. An entry leads to
 * a file (overlay_file.h), or to none: then the name is gone.
 */
#include "base/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/overlay_table.h"

struct descriptor {
    struct overlay_file *file; /* NULL: free */
    bool writable;
};

struct overlay {
    struct fileio io; /* first */
    struct fileio *below;
    struct overlay_table names;
    struct descriptor *fds;
    size_t fd_room;
};

static struct overlay *of(struct fileio *io)
{
    return (struct overlay *)io;
}

/* -- names -- */

static void parent_of(const char *path, char parent[OVERLAY_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    memmove(parent, path, len);
    parent[len] = '\0';
}

/* Is a directory above this path gone, or made here, so that the disk below has
 * nothing to say of the path? 1, 0, -ENOTDIR, -ENAMETOOLONG. */
static int is_cut_off(const struct overlay *o, const char *path)
{
    char parent[OVERLAY_PATH_MAX];

    if (strlen(path) >= OVERLAY_PATH_MAX)
        return -ENAMETOOLONG;
    for (parent_of(path, parent); *parent; parent_of(parent, parent)) {
        const struct overlay_entry *e = overlay_table_find(&o->names, parent);

        if (e)
            return e->file && !e->file->dir ? -ENOTDIR : 1;
    }
    return 0;
}

static int overlay_stat(struct fileio *io, const char *path, struct fileio_stat *st)
{
    struct overlay *o = of(io);
    const struct overlay_entry *e = overlay_table_find(&o->names, path);
    int rc = is_cut_off(o, path);

    if (rc < 0)
        return rc;
    if (e && e->file) {
        st->kind = e->file->dir ? FILEIO_DIR : FILEIO_FILE;
        st->size_bytes = st->disk_bytes = e->file->size;
        st->inode = (uintptr_t)e->file;
        return 0;
    }
    return e || rc ? -ENOENT : o->below->ops->stat(o->below, path, st);
}

static int overlay_stat_names(struct fileio *io, const char *dir, const char *const *names, int n,
                              struct fileio_stat *st)
{
    struct fileio_stat self = {.kind = FILEIO_DIR};
    char path[OVERLAY_PATH_MAX];
    int rc = *dir ? overlay_stat(io, dir, &self) : 0;

    if (rc == 0 && self.kind != FILEIO_DIR)
        rc = -ENOTDIR;
    for (int i = 0; rc == 0 && i < n; i++) {
        st[i] = (struct fileio_stat){.kind = FILEIO_NONE};
        if (snprintf(path, sizeof path, "%s%s%s", dir, *dir ? "/" : "", names[i]) >=
            (int)sizeof path)
            return -ENAMETOOLONG;
        rc = overlay_stat(io, path, &st[i]);
        if (rc == -ENOENT)
            rc = 0;
    }
    return rc;
}

static int need_parent(struct fileio *io, const char *path)
{
    struct fileio_stat st = {.kind = FILEIO_DIR};
    char parent[OVERLAY_PATH_MAX];
    int rc = 0;

    parent_of(path, parent);
    if (*parent)
        rc = overlay_stat(io, parent, &st);
    return rc < 0 ? rc : st.kind == FILEIO_DIR ? 0 : -ENOTDIR;
}

/* The entry of a file that is there, made where it has none yet. */
static int materialize(struct overlay *o, const char *path, struct overlay_entry **out)
{
    struct overlay_entry *e = overlay_table_find(&o->names, path);
    struct fileio_stat st;
    struct overlay_file *file;
    int fd;
    int rc;

    if (e && e->file) {
        *out = e;
        return 0;
    }
    rc = overlay_stat(&o->io, path, &st);
    if (rc == 0 && st.kind == FILEIO_DIR)
        rc = -EISDIR;
    if (rc < 0)
        return rc;
    fd = o->below->ops->open(o->below, path, FILEIO_READ); /* or the right refusal */
    if (fd < 0)
        return fd;
    o->below->ops->close(o->below, fd);
    file = overlay_file_new(path, st.size_bytes);
    *out = file ? overlay_table_add(&o->names, path, file, false) : NULL;
    return *out ? 0 : -ENOMEM;
}

/* Gives a name that is free to a file, whose reference it takes over. */
static int name_give(struct overlay *o, const char *path, struct overlay_file *file)
{
    struct overlay_entry *e = overlay_table_find(&o->names, path);
    struct fileio_stat st;

    file->changed = true;
    if (e) {
        e->file = file;
        return 0;
    }
    return overlay_table_add(&o->names, path, file,
                             is_cut_off(o, path) || o->below->ops->stat(o->below, path, &st) < 0)
               ? 0
               : -ENOMEM;
}

/* The name is no more. */
static int name_take(struct overlay *o, const char *path)
{
    struct overlay_entry *e = overlay_table_find(&o->names, path);

    if (!e)
        return overlay_table_add(&o->names, path, NULL, false) ? 0 : -ENOMEM;
    if (e->added) {
        overlay_table_drop(&o->names, e);
    } else {
        overlay_file_put(e->file, o->below);
        e->file = NULL;
    }
    return 0;
}

static int overlay_mkdir(struct fileio *io, const char *path)
{
    struct fileio_stat st;
    struct overlay_file *file;
    int rc = need_parent(io, path);

    if (rc == 0) {
        rc = overlay_stat(io, path, &st);
        rc = rc == 0 ? -EEXIST : rc == -ENOENT ? 0 : rc;
    }
    if (rc < 0)
        return rc;
    file = overlay_file_new("", 0);
    if (!file)
        return -ENOMEM;
    file->dir = true;
    return name_give(of(io), path, file);
}

static int find_any(void *arg, const char *name, enum fileio_kind kind)
{
    (void)arg;
    (void)name;
    (void)kind;
    return 1;
}

static int overlay_rmdir(struct fileio *io, const char *path)
{
    int rc = io->ops->list(io, path, find_any, NULL);

    return rc < 0 ? rc : rc > 0 ? -ENOTEMPTY : name_take(of(io), path);
}

static int overlay_unlink(struct fileio *io, const char *path)
{
    struct fileio_stat st;
    int rc = overlay_stat(io, path, &st);

    return rc < 0 ? rc : st.kind == FILEIO_DIR ? -EISDIR : name_take(of(io), path);
}

static int overlay_link(struct fileio *io, const char *from, const char *to)
{
    struct fileio_stat st;
    struct overlay_entry *e = NULL;
    int rc = materialize(of(io), from, &e);

    if (rc == -EISDIR || (rc == 0 && e->file->dir))
        return -EPERM;
    if (rc == 0)
        rc = need_parent(io, to);
    if (rc == 0) {
        rc = overlay_stat(io, to, &st);
        rc = rc == 0 ? -EEXIST : rc == -ENOENT ? 0 : rc;
    }
    if (rc < 0)
        return rc;
    e->file->refs++;
    e->file->changed = true;
    return name_give(of(io), to, e->file);
}

static int overlay_rename(struct fileio *io, const char *from, const char *to)
{
    struct overlay *o = of(io);
    struct fileio_stat st;
    struct overlay_entry *e = NULL;
    struct overlay_entry *there;
    struct overlay_file *file;
    int rc = materialize(o, from, &e);

    if (rc == -EISDIR || (rc == 0 && e->file->dir))
        return -EXDEV;
    if (rc == 0)
        rc = need_parent(io, to);
    if (rc < 0)
        return rc;
    file = e->file;
    there = overlay_table_find(&o->names, to);
    if (there && there->file == file)
        return 0; /* two names of one file: nothing happens */
    file->refs++;
    if (overlay_stat(io, to, &st) == 0)
        rc = overlay_unlink(io, to);
    if (rc < 0) {
        overlay_file_put(file, o->below);
        return rc;
    }
    rc = name_give(o, to, file);
    return rc == 0 ? name_take(o, from) : rc;
}

struct listing {
    struct overlay *o;
    const char *path;
    fileio_list_fn *fn;
    void *arg;
};

static int list_below(void *arg, const char *name, enum fileio_kind kind)
{
    const struct listing *l = arg;
    char path[OVERLAY_PATH_MAX];
    const struct overlay_entry *e = NULL;

    if (snprintf(path, sizeof path, "%s%s%s", l->path, *l->path ? "/" : "", name) <
        (int)sizeof path)
        e = overlay_table_find(&l->o->names, path);
    return e && !e->file ? 0 : l->fn(l->arg, name, kind);
}

static int overlay_list(struct fileio *io, const char *path, fileio_list_fn *fn, void *arg)
{
    struct overlay *o = of(io);
    struct listing l = {o, path, fn, arg};
    const struct overlay_entry *dir = *path ? overlay_table_find(&o->names, path) : NULL;
    int rc = is_cut_off(o, path);

    if (rc < 0 || (dir && !dir->file) || (rc && !dir))
        return rc < 0 ? rc : -ENOENT;
    if (dir && !dir->file->dir)
        return -ENOTDIR;
    rc = dir ? 0 : o->below->ops->list(o->below, path, list_below, &l);
    for (const struct overlay_entry *e = o->names.added, *next; rc == 0 && e; e = next) {
        char parent[OVERLAY_PATH_MAX];

        next = e->next_added; /* fn may remove what it is told */
        parent_of(e->path, parent);
        if (e->file && strcmp(parent, path) == 0)
            rc = fn(arg, e->path + (*parent ? strlen(parent) + 1 : 0),
                    e->file->dir ? FILEIO_DIR : FILEIO_FILE);
    }
    return rc;
}

/* -- descriptors -- */

static int descriptor_new(struct overlay *o)
{
    size_t room = o->fd_room ? o->fd_room * 2 : 16;
    struct descriptor *grown;

    for (size_t i = 0; i < o->fd_room; i++)
        if (!o->fds[i].file)
            return (int)i;
    grown = realloc(o->fds, room * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + o->fd_room, 0, (room - o->fd_room) * sizeof *grown);
    o->fds = grown;
    o->fd_room = room;
    return (int)(room / 2 < 16 ? 0 : room / 2);
}

static int open_dir(struct overlay *o, const char *path, int fd)
{
    struct fileio_stat st = {.kind = FILEIO_DIR};
    struct overlay_file *file;
    int rc = *path ? overlay_stat(&o->io, path, &st) : 0;

    if (rc < 0 || st.kind != FILEIO_DIR)
        return rc < 0 ? rc : -ENOTDIR;
    file = overlay_file_new("", 0);
    if (!file)
        return -ENOMEM;
    file->dir = true;
    file->opens = 1;
    o->fds[fd] = (struct descriptor){file, false};
    return fd;
}

static int make_file(struct overlay *o, const char *path, struct overlay_entry **e)
{
    struct overlay_file *file;
    int rc = need_parent(&o->io, path);

    if (rc < 0)
        return rc;
    file = overlay_file_new("", 0);
    if (!file)
        return -ENOMEM;
    rc = name_give(o, path, file);
    *e = overlay_table_find(&o->names, path);
    return rc;
}

static int overlay_open(struct fileio *io, const char *path, int flags)
{
    struct overlay *o = of(io);
    struct overlay_entry *e = NULL;
    int fd = descriptor_new(o);
    int rc;

    if (fd < 0)
        return fd;
    if (flags & FILEIO_DIRECTORY)
        return open_dir(o, path, fd);
    rc = *path ? materialize(o, path, &e) : -EISDIR;
    if ((rc == -EISDIR || (rc == 0 && e->file->dir)) && !(flags & (FILEIO_WRITE | FILEIO_CREATE)))
        return open_dir(o, path, fd);
    if (rc == 0 && flags & FILEIO_EXCLUSIVE)
        return -EEXIST;
    if (rc == -ENOENT && flags & FILEIO_CREATE)
        rc = make_file(o, path, &e);
    if (rc == 0 && e->file->dir)
        rc = -EISDIR;
    if (rc == 0 && e->file->opens == 0 && *e->file->below) {
        rc = o->below->ops->open(o->below, e->file->below, FILEIO_READ);
        if (rc >= 0)
            e->file->fd_below = rc;
    }
    if (rc < 0)
        return rc;
    e->file->opens++;
    e->file->refs++;
    o->fds[fd] = (struct descriptor){e->file, flags & FILEIO_WRITE};
    return fd;
}

/* The last descriptor of a file closes: below too. Where nothing of it was
 * changed, its entry goes; nobody need look for it. */
static void last_close(struct overlay *o, struct overlay_file *file)
{
    struct overlay_entry *e = *file->below ? overlay_table_find(&o->names, file->below) : NULL;

    if (file->fd_below >= 0)
        o->below->ops->close(o->below, file->fd_below);
    file->fd_below = -1;
    if (e && e->file == file && !file->changed)
        overlay_table_drop(&o->names, e);
}

static int overlay_close(struct fileio *io, int fd)
{
    struct overlay *o = of(io);
    struct overlay_file *file = fd >= 0 && (size_t)fd < o->fd_room ? o->fds[fd].file : NULL;

    if (!file)
        return -EBADF;
    o->fds[fd] = (struct descriptor){0};
    if (file->locked == fd + 1)
        file->locked = 0;
    if (--file->opens == 0)
        last_close(o, file);
    overlay_file_put(file, o->below);
    return 0;
}

static struct overlay_file *file_of(struct fileio *io, int fd)
{
    return of(io)->fds[fd].file;
}

static int overlay_size(struct fileio *io, int fd, uint64_t *bytes)
{
    *bytes = file_of(io, fd)->size;
    return 0;
}

/* -- bytes -- */

static ssize_t overlay_pread(struct fileio *io, int fd, void *to, size_t len, uint64_t pos)
{
    const struct overlay_file *file = file_of(io, fd);
    int rc;

    if (file->dir)
        return -EISDIR;
    if (pos >= file->size)
        return 0;
    if (len > file->size - pos)
        len = file->size - pos;
    rc = overlay_file_read(file, of(io)->below, to, len, pos);
    return rc < 0 ? rc : (ssize_t)len;
}

static ssize_t overlay_pwritev(struct fileio *io, int fd, const struct iovec *iov, int n,
                               uint64_t pos)
{
    struct overlay_file *file = file_of(io, fd);
    uint64_t at = pos;

    if (!of(io)->fds[fd].writable)
        return -EBADF;
    for (int i = 0; i < n; i++)
        for (size_t done = 0; done < iov[i].iov_len;) {
            size_t len =
                iov[i].iov_len - done < OVERLAY_CHUNK ? iov[i].iov_len - done : OVERLAY_CHUNK;
            int rc = overlay_file_write(file, of(io)->below,
                                        (const uint8_t *)iov[i].iov_base + done, len, at);

            if (rc < 0)
                return rc;
            done += len;
            at += len;
        }
    return (ssize_t)(at - pos);
}

static int overlay_truncate(struct fileio *io, int fd, uint64_t size)
{
    if (!of(io)->fds[fd].writable)
        return -EINVAL;
    overlay_file_resize(file_of(io, fd), size);
    return 0;
}

static int overlay_fallocate(struct fileio *io, int fd, uint64_t pos, uint64_t len)
{
    if (!of(io)->fds[fd].writable)
        return -EBADF;
    if (len == 0)
        return -EINVAL;
    return pos + len > file_of(io, fd)->size ? overlay_truncate(io, fd, pos + len) : 0;
}

/* -- syncs, which do nothing -- */

static int overlay_fdatasync(struct fileio *io, int fd)
{
    (void)io;
    (void)fd;
    return 0;
}

static int overlay_start_writeback(struct fileio *io, int fd, uint64_t pos, uint64_t len)
{
    (void)pos;
    (void)len;
    return overlay_fdatasync(io, fd);
}

static void overlay_read_once(struct fileio *io, int fd)
{
    (void)io;
    (void)fd;
}

static int overlay_sync_dir(struct fileio *io, const char *path)
{
    struct fileio_stat st = {.kind = FILEIO_DIR};
    int rc = *path ? overlay_stat(io, path, &st) : 0;

    return rc < 0 ? rc : st.kind == FILEIO_DIR ? 0 : -ENOTDIR;
}

static int overlay_lock(struct fileio *io, int fd)
{
    struct overlay *o = of(io);
    struct overlay_file *file = file_of(io, fd);
    int rc = 0;

    if (file->locked && file->locked != fd + 1)
        return -EWOULDBLOCK;
    if (!file->locked && file->fd_below >= 0)
        rc = o->below->ops->lock(o->below, file->fd_below);
    if (rc == 0)
        file->locked = fd + 1;
    return rc;
}

static void *overlay_map(struct fileio *io, int fd, size_t len)
{
    (void)io;
    (void)fd;
    (void)len;
    return NULL;
}

static void overlay_unmap(struct fileio *io, void *at, size_t len)
{
    (void)io;
    (void)at;
    (void)len;
}

static void overlay_release(struct fileio *io)
{
    struct overlay *o = of(io);

    for (size_t i = 0; i < o->fd_room; i++)
        if (o->fds[i].file)
            overlay_close(io, (int)i);
    overlay_table_release(&o->names);
    free(o->fds);
    free(o);
}

static const struct fileio_ops overlay_ops = {
    .open = overlay_open,
    .close = overlay_close,
    .size = overlay_size,
    .stat = overlay_stat,
    .stat_names = overlay_stat_names,
    .pwritev = overlay_pwritev,
    .pread = overlay_pread,
    .fdatasync = overlay_fdatasync,
    .start_writeback = overlay_start_writeback,
    .read_once = overlay_read_once,
    .syncfs = overlay_fdatasync,
    .sync_dir = overlay_sync_dir,
    .mkdir = overlay_mkdir,
    .rmdir = overlay_rmdir,
    .rename = overlay_rename,
    .link = overlay_link,
    .unlink = overlay_unlink,
    .truncate = overlay_truncate,
    .fallocate = overlay_fallocate,
    .list = overlay_list,
    .lock = overlay_lock,
    .map = overlay_map,
    .unmap = overlay_unmap,
    .release = overlay_release,
};

struct fileio *overlay_new(struct fileio *below)
{
    struct overlay *o = calloc(1, sizeof *o);

    if (!o)
        return NULL;
    o->io.ops = &overlay_ops;
    o->below = o->names.below = below;
    return &o->io;
}
