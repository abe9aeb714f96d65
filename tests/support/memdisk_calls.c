/*
 * tests/support/memdisk_calls: the in-memory disk's side of the I/O table.
 * Every call enters through memdisk_enter(), which counts it and lets it fail.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/memdisk.h"
#include "tests/support/memdisk_inside.h"

static const char *const call_names[MEMCALL_COUNT] = {
    "open",      "close",    "size",  "stat",  "pwritev", "pread", "fdatasync", "start_writeback",
    "syncfs",    "sync_dir", "mkdir", "rmdir", "rename",  "link",  "unlink",    "truncate",
    "fallocate", "list",     "lock",
};

const char *memcall_name(enum memcall call)
{
    return call_names[call];
}

/* Counts a call. 0: go on; 1: go on, but not all the way; else fail so. */
static int count_call(struct memdisk *disk, enum memcall call, const char *path)
{
    const struct memfault *f = &disk->fault;

    disk->calls[call]++;
    if (!(f->calls & MEMCALL_BIT(call)) || !memdisk_path_matches(f->path, path))
        return 0;
    disk->fault_calls++;
    if (f->for_ever ? disk->fault_calls < f->nth : disk->fault_calls != f->nth)
        return 0;
    disk->fault_hits++;
    return f->error ? f->error : 1;
}

int memdisk_enter(struct fileio *io, enum memcall call, const char *path)
{
    struct memdisk *disk = (struct memdisk *)io;

    pthread_mutex_lock(disk->lock);
    return count_call(disk, call, path);
}

int memdisk_enter_fd(struct fileio *io, enum memcall call, int fd, struct memfd **out)
{
    struct memdisk *disk = (struct memdisk *)io;

    pthread_mutex_lock(disk->lock);
    *out = memdisk_fd(disk, fd);
    return *out ? count_call(disk, call, (*out)->path) : -EBADF;
}

int memdisk_leave(struct fileio *io, int rc)
{
    pthread_mutex_unlock(((struct memdisk *)io)->lock);
    return rc;
}

/* Sectors of a file that hold [from, to). */
static void note_bytes(struct memdisk *disk, struct memop op, uint64_t from, uint64_t to)
{
    uint64_t first = from / MEM_SECTOR;

    memdisk_note(disk, op, (size_t)first,
                 (size_t)(to > from ? (to + MEM_SECTOR - 1) / MEM_SECTOR - first : 0));
}

/* -- descriptors -- */

static int fd_new(struct memdisk *disk, uint32_t ino, const char *path, int flags)
{
    size_t i;

    for (i = 0; i < disk->fd_count && disk->fds[i].ino != MEM_NONE; i++)
        continue;
    if (i == disk->fd_count) {
        disk->fds = mem_grow(disk->fds, i + 1, &disk->fd_room, sizeof *disk->fds);
        disk->fd_count++;
    }
    disk->fds[i] =
        (struct memfd){ino, (flags & FILEIO_WRITE) != 0, memtree_intern(path, strlen(path))};
    return (int)i + MEMDISK_FIRST_FD;
}

static int file_create(struct memdisk *disk, uint32_t dir, const char *name, uint32_t *ino)
{
    *ino = memtree_add(&disk->tree, false);
    memtree_set(&disk->tree, dir, name, *ino);
    memdisk_note(disk, (struct memop){.kind = MEMOP_CREATE, .ino = *ino, .dir = dir, .name = name},
                 0, 0);
    return 0;
}

static int open_at(struct memdisk *disk, const char *path, int flags, uint32_t *ino)
{
    bool wants_dir = flags & FILEIO_DIRECTORY;
    const char *name;
    uint32_t dir;
    int rc = memdisk_resolve(disk, path, &dir, &name);

    if (rc < 0)
        return rc;
    if (wants_dir && (flags & FILEIO_CREATE))
        return -EINVAL;
    *ino = name ? memtree_find(&disk->tree, dir, name) : MEM_ROOT;
    if (*ino == MEM_NONE)
        return flags & FILEIO_CREATE ? file_create(disk, dir, name, ino) : -ENOENT;
    if ((flags & FILEIO_CREATE) && (flags & FILEIO_EXCLUSIVE))
        return -EEXIST;
    if (disk->tree.nodes[*ino]->is_dir)
        return flags & (FILEIO_WRITE | FILEIO_CREATE) ? -EISDIR : 0;
    return wants_dir ? -ENOTDIR : 0;
}

static int mem_open(struct fileio *io, const char *path, int flags)
{
    struct memdisk *disk = (struct memdisk *)io;
    int rc = memdisk_enter(io, MEMCALL_OPEN, path);
    uint32_t ino;

    if (rc >= 0)
        rc = open_at(disk, path, flags, &ino);
    return memdisk_leave(io, rc < 0 ? rc : fd_new(disk, ino, path, flags));
}

static int mem_close(struct fileio *io, int fd)
{
    struct memfd *f;
    int rc = memdisk_enter_fd(io, MEMCALL_CLOSE, fd, &f);

    if (f)
        memdisk_close_fd((struct memdisk *)io, f);
    return memdisk_leave(io, rc < 0 ? rc : 0);
}

static int mem_size(struct fileio *io, int fd, uint64_t *bytes)
{
    struct memfd *f;
    int rc = memdisk_enter_fd(io, MEMCALL_SIZE, fd, &f);

    if (rc >= 0)
        *bytes = ((struct memdisk *)io)->tree.nodes[f->ino]->size;
    return memdisk_leave(io, rc < 0 ? rc : 0);
}

static int mem_stat(struct fileio *io, const char *path, struct fileio_stat *st)
{
    struct memdisk *disk = (struct memdisk *)io;
    int rc = memdisk_enter(io, MEMCALL_STAT, path);
    uint32_t ino;

    if (rc >= 0)
        rc = memdisk_find(disk, path, &ino);
    if (rc >= 0) {
        const struct memnode *n = disk->tree.nodes[ino];

        st->kind = n->is_dir ? FILEIO_DIR : FILEIO_FILE;
        st->size_bytes = n->size;
        st->disk_bytes = (n->size + MEM_BLOCK - 1) / MEM_BLOCK * MEM_BLOCK;
        st->inode = ino;
    }
    return memdisk_leave(io, rc < 0 ? rc : 0);
}

static int mem_stat_names(struct fileio *io, const char *dir, const char *const *names, int n,
                          struct fileio_stat *st)
{
    struct fileio_stat self = {0};
    int rc = mem_stat(io, dir, &self);

    if (rc == 0 && self.kind != FILEIO_DIR)
        rc = -ENOTDIR;
    for (int i = 0; rc == 0 && i < n; i++) {
        char path[PATH_MAX];

        snprintf(path, sizeof path, "%s%s%s", dir, *dir ? "/" : "", names[i]);
        rc = mem_stat(io, path, &st[i]);
        if (rc == -ENOENT) {
            st[i] = (struct fileio_stat){.kind = FILEIO_NONE};
            rc = 0;
        }
    }
    return rc;
}

static void mem_read_once(struct fileio *io, int fd)
{
    (void)io;
    (void)fd;
}

static int mem_lock(struct fileio *io, int fd)
{
    struct memdisk *disk = (struct memdisk *)io;
    struct memfd *f;
    int rc = memdisk_enter_fd(io, MEMCALL_LOCK, fd, &f);

    if (rc >= 0 && disk->locked_ino == f->ino && disk->locked_fd != f - disk->fds)
        rc = -EWOULDBLOCK;
    if (rc >= 0) {
        disk->locked_ino = f->ino;
        disk->locked_fd = (int)(f - disk->fds);
    }
    return memdisk_leave(io, rc < 0 ? rc : 0);
}

/* -- bytes -- */

/* How much a file may grow to where it shall grow to `size`. */
static uint64_t size_allowed(const struct memdisk *disk, uint64_t now, uint64_t size)
{
    uint64_t used;
    uint64_t most;

    if (disk->room_bytes == 0 || size <= now)
        return size;
    used = memdisk_used_bytes(disk);
    most = (now + MEM_BLOCK - 1) / MEM_BLOCK * MEM_BLOCK;
    if (used < disk->room_bytes)
        most += (disk->room_bytes - used) / MEM_BLOCK * MEM_BLOCK;
    return size < most ? size : most;
}

ssize_t memdisk_write(struct memdisk *disk, uint32_t ino, const struct iovec *iov, int n,
                      uint64_t pos, uint64_t want)
{
    uint64_t before = disk->tree.nodes[ino]->size;
    uint64_t allowed = size_allowed(disk, before, pos + want);
    uint64_t at = pos;

    if (want > 0 && allowed <= pos)
        return -ENOSPC;
    want = allowed - pos < want ? allowed - pos : want;
    for (int i = 0; i < n && at < pos + want; i++) {
        uint64_t left = pos + want - at;
        size_t piece = iov[i].iov_len < left ? iov[i].iov_len : (size_t)left;

        memtree_write(&disk->tree, ino, iov[i].iov_base, piece, at);
        at += piece;
    }
    if (want > 0)
        note_bytes(disk,
                   (struct memop){.kind = MEMOP_WRITE,
                                  .ino = ino,
                                  .pos = pos,
                                  .len = want,
                                  .size_before = before,
                                  .size_after = disk->tree.nodes[ino]->size},
                   pos, pos + want);
    return (ssize_t)want;
}

static ssize_t mem_pwritev(struct fileio *io, int fd, const struct iovec *iov, int n, uint64_t pos)
{
    struct memdisk *disk = (struct memdisk *)io;
    struct memfd *f;
    int rc = memdisk_enter_fd(io, MEMCALL_PWRITEV, fd, &f);
    uint64_t want = 0;
    ssize_t got = rc;

    for (int i = 0; i < n; i++)
        want += iov[i].iov_len;
    if (rc == 1 && want > 1)
        want /= 2;
    if (rc >= 0 && !f->writable)
        got = -EBADF;
    else if (rc >= 0 && memdisk_lies(disk, MEMCALL_PWRITEV, f->path, f->ino))
        got = memdisk_lie_write(disk, f->ino, iov, n, pos, want);
    else if (rc >= 0)
        got = memdisk_write(disk, f->ino, iov, n, pos, want);
    if (got >= 0)
        memdisk_catch_up(disk, f->path);
    memdisk_leave(io, 0);
    return got;
}

static ssize_t mem_pread(struct fileio *io, int fd, void *to, size_t len, uint64_t pos)
{
    struct memdisk *disk = (struct memdisk *)io;
    struct memfd *f;
    int rc = memdisk_enter_fd(io, MEMCALL_PREAD, fd, &f);
    ssize_t got = rc;

    if (rc == 1 && len > 1)
        len /= 2;
    if (rc >= 0 && disk->tree.nodes[f->ino]->is_dir)
        got = -EISDIR;
    else if (rc >= 0)
        got = (ssize_t)memtree_read(&disk->tree, f->ino, to, len, pos);
    memdisk_leave(io, 0);
    return got;
}

static int mem_truncate(struct fileio *io, int fd, uint64_t size)
{
    struct memdisk *disk = (struct memdisk *)io;
    struct memfd *f;
    int rc = memdisk_enter_fd(io, MEMCALL_TRUNCATE, fd, &f);
    uint64_t before;

    if (rc < 0)
        return memdisk_leave(io, rc);
    if (!f->writable)
        return memdisk_leave(io, -EINVAL);
    if (memdisk_lies(disk, MEMCALL_TRUNCATE, f->path, f->ino))
        return memdisk_leave(io, 0);
    before = disk->tree.nodes[f->ino]->size;
    memtree_resize(&disk->tree, f->ino, size);
    if (size != before)
        note_bytes(
            disk,
            (struct memop){
                .kind = MEMOP_TRUNCATE, .ino = f->ino, .size_before = before, .size_after = size},
            size, before);
    return memdisk_leave(io, 0);
}

static int mem_fallocate(struct fileio *io, int fd, uint64_t pos, uint64_t len)
{
    struct memdisk *disk = (struct memdisk *)io;
    struct memfd *f;
    int rc = memdisk_enter_fd(io, MEMCALL_FALLOCATE, fd, &f);
    uint64_t before;

    if (rc < 0)
        return memdisk_leave(io, rc);
    if (!f->writable)
        return memdisk_leave(io, -EBADF);
    if (len == 0)
        return memdisk_leave(io, -EINVAL);
    if (memdisk_lies(disk, MEMCALL_FALLOCATE, f->path, f->ino))
        return memdisk_leave(io, 0);
    before = disk->tree.nodes[f->ino]->size;
    if (size_allowed(disk, before, pos + len) < pos + len)
        return memdisk_leave(io, -ENOSPC);
    if (pos + len > before) {
        memtree_set_size(&disk->tree, f->ino, pos + len);
        memdisk_note(disk,
                     (struct memop){.kind = MEMOP_ALLOCATE,
                                    .ino = f->ino,
                                    .size_before = before,
                                    .size_after = pos + len},
                     0, 0);
    }
    return memdisk_leave(io, 0);
}

/* -- syncs -- */

/* A sync of this kind, which a fault lets fail where rc < 0. */
static int sync_note(struct memdisk *disk, enum memcall call, const char *path, struct memop op,
                     int rc)
{
    op.failed = rc < 0;
    if (memdisk_lies(disk, call, path, op.ino))
        memdisk_lie_sync(disk, op);
    else
        memdisk_note(disk, op, 0, 0);
    return memdisk_leave(&disk->io, rc < 0 ? rc : 0);
}

static int sync_fd(struct fileio *io, enum memcall call, int fd, enum memop_kind kind)
{
    struct memfd *f;
    int rc = memdisk_enter_fd(io, call, fd, &f);

    if (!f)
        return memdisk_leave(io, rc);
    return sync_note((struct memdisk *)io, call, f->path,
                     (struct memop){.kind = kind, .ino = f->ino}, rc);
}

static int mem_fdatasync(struct fileio *io, int fd)
{
    return sync_fd(io, MEMCALL_FDATASYNC, fd, MEMOP_DATASYNC);
}

/* Where it fails the pages are dropped, as by a failed fdatasync, and no later call tells (seen on
 * ext4). */
static int mem_start_writeback(struct fileio *io, int fd, uint64_t pos, uint64_t len)
{
    struct memfd *f;
    int rc = memdisk_enter_fd(io, MEMCALL_START_WRITEBACK, fd, &f);

    (void)pos;
    (void)len;
    if (f && rc < 0)
        memdisk_note((struct memdisk *)io,
                     (struct memop){.kind = MEMOP_DATASYNC, .ino = f->ino, .failed = true}, 0, 0);
    return memdisk_leave(io, rc < 0 ? rc : 0);
}

static int mem_syncfs(struct fileio *io, int fd)
{
    return sync_fd(io, MEMCALL_SYNCFS, fd, MEMOP_SYNCFS);
}

static int mem_sync_dir(struct fileio *io, const char *path)
{
    struct memdisk *disk = (struct memdisk *)io;
    int rc = memdisk_enter(io, MEMCALL_SYNC_DIR, path);
    uint32_t ino;
    int found = memdisk_find(disk, path, &ino);

    if (found == 0 && !disk->tree.nodes[ino]->is_dir)
        found = -ENOTDIR;
    if (found < 0)
        return memdisk_leave(io, found);
    return sync_note(disk, MEMCALL_SYNC_DIR, path,
                     (struct memop){.kind = MEMOP_SYNC_DIR, .ino = ino}, rc);
}

/* -- the table -- */

static void *mem_map(struct fileio *io, int fd, size_t len)
{
    (void)io;
    (void)fd;
    (void)len;
    return NULL;
}

static void mem_unmap(struct fileio *io, void *at, size_t len)
{
    (void)io;
    (void)at;
    (void)len;
}

static void mem_release(struct fileio *io)
{
    memdisk_free((struct memdisk *)io);
}

const struct fileio_ops memdisk_ops = {
    .open = mem_open,
    .close = mem_close,
    .size = mem_size,
    .stat = mem_stat,
    .stat_names = mem_stat_names,
    .read_once = mem_read_once,
    .pwritev = mem_pwritev,
    .pread = mem_pread,
    .fdatasync = mem_fdatasync,
    .start_writeback = mem_start_writeback,
    .syncfs = mem_syncfs,
    .sync_dir = mem_sync_dir,
    .mkdir = memdisk_mkdir,
    .rmdir = memdisk_rmdir,
    .rename = memdisk_rename,
    .link = memdisk_link,
    .unlink = memdisk_unlink,
    .truncate = mem_truncate,
    .fallocate = mem_fallocate,
    .list = memdisk_list,
    .lock = mem_lock,
    .map = mem_map,
    .unmap = mem_unmap,
    .release = mem_release,
};
