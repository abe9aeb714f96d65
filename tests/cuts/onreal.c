/* tests/cuts/onreal: see onreal.h. */
#include "tests/cuts/onreal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/powercut.h"

struct replay {
    const struct memtrace *trace;
    int *fd; /* by inode number; -1 */
    bool *is_dir;
    uint32_t count;
    int root;
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "onreal: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void must(bool ok, const struct memop *op)
{
    char text[300];

    if (!ok)
        give_up(memop_text(op, text, sizeof text));
}

/* -- replaying -- */

static bool do_write(const struct replay *r, const struct memop *op)
{
    char *bytes = mem_alloc(op->sector_count * MEM_SECTOR);
    size_t skip = (size_t)(op->pos - op->sector_from * MEM_SECTOR);
    ssize_t n;

    for (size_t i = 0; op->sectors && i < op->sector_count; i++)
        if (op->sectors[i])
            memcpy(bytes + i * MEM_SECTOR, op->sectors[i]->bytes, MEM_SECTOR);
    n = pwrite(r->fd[op->ino], bytes + skip, (size_t)op->len, (off_t)op->pos);
    free(bytes);
    return n == (ssize_t)op->len;
}

static bool do_link(const struct replay *r, const struct memop *op)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", r->fd[op->ino]);
    return linkat(AT_FDCWD, path, r->fd[op->dir], op->name, AT_SYMLINK_FOLLOW) == 0;
}

static bool do_make(struct replay *r, const struct memop *op)
{
    int dir = r->fd[op->dir];
    bool is_dir = op->kind == MEMOP_MKDIR;

    if (is_dir && mkdirat(dir, op->name, 0700) < 0)
        return false;
    r->is_dir[op->ino] = is_dir;
    r->fd[op->ino] = openat(
        dir, op->name,
        is_dir ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return r->fd[op->ino] >= 0;
}

static bool do_op(struct replay *r, const struct memop *op)
{
    switch (op->kind) {
    case MEMOP_CREATE:
    case MEMOP_MKDIR: return do_make(r, op);
    case MEMOP_LINK: return do_link(r, op);
    case MEMOP_UNLINK:
        return unlinkat(r->fd[op->dir], op->name, r->is_dir[op->ino] ? AT_REMOVEDIR : 0) == 0;
    case MEMOP_RENAME:
        return renameat(r->fd[op->dir], op->name, r->fd[op->dir_to], op->name_to) == 0;
    case MEMOP_WRITE: return do_write(r, op);
    case MEMOP_TRUNCATE: return ftruncate(r->fd[op->ino], (off_t)op->size_after) == 0;
    case MEMOP_ALLOCATE:
        return fallocate(r->fd[op->ino], 0, (off_t)op->size_before,
                         (off_t)(op->size_after - op->size_before)) == 0;
    case MEMOP_DATASYNC: return fdatasync(r->fd[op->ino]) == 0;
    case MEMOP_SYNCFS: return syncfs(r->root) == 0;
    case MEMOP_SYNC_DIR: return fsync(r->fd[op->ino]) == 0;
    }
    return false;
}

/* Some file's pages are written back, or the log is committed for some other
 * file's sake. */
static void do_noise(const struct replay *r, uint64_t *random)
{
    uint32_t ino = (uint32_t)mem_below(random, r->count);
    size_t what = mem_below(random, 12);
    int fd;

    if (what < 3 && r->fd[ino] >= 0 && !r->is_dir[ino] &&
        sync_file_range(r->fd[ino], 0, 0,
                        SYNC_FILE_RANGE_WRITE | (what ? SYNC_FILE_RANGE_WAIT_AFTER : 0)) < 0)
        give_up("write-back");
    if (what != 3)
        return;
    fd = openat(r->root, "../other", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0)
        give_up("../other");
    close(fd);
}

void onreal_replay(const struct memtrace *trace, size_t count, const char *dir, uint64_t noise)
{
    struct replay r = {.trace = trace, .count = 1, .root = -1};

    for (size_t i = 0; i < count; i++)
        if (trace->ops[i]->ino >= r.count)
            r.count = trace->ops[i]->ino + 1;
    r.fd = mem_alloc(r.count * sizeof *r.fd);
    r.is_dir = mem_alloc(r.count * sizeof *r.is_dir);
    for (uint32_t i = 0; i < r.count; i++)
        r.fd[i] = -1;
    r.root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r.root < 0)
        give_up(dir);
    r.fd[MEM_ROOT] = r.root;
    r.is_dir[MEM_ROOT] = true;
    for (size_t i = 0; i < count; i++) {
        must(!trace->ops[i]->failed && do_op(&r, trace->ops[i]), trace->ops[i]);
        if (noise)
            do_noise(&r, &noise);
    }
    for (uint32_t i = 0; i < r.count; i++)
        if (r.fd[i] >= 0)
            close(r.fd[i]);
    free(r.fd);
    free(r.is_dir);
}

/* -- reading -- */

static void load_file(struct memtree *t, uint32_t ino, int fd)
{
    static const uint8_t zeros[MEM_SECTOR];
    static uint8_t bytes[256 * MEM_SECTOR];
    uint64_t pos = 0;
    ssize_t n;

    while ((n = pread(fd, bytes, sizeof bytes, (off_t)pos)) > 0) {
        for (ssize_t at = 0; at < n; at += MEM_SECTOR) {
            size_t len = n - at < (ssize_t)MEM_SECTOR ? (size_t)(n - at) : MEM_SECTOR;

            if (memcmp(bytes + at, zeros, len) != 0)
                memtree_write(t, ino, bytes + at, len, pos + (uint64_t)at);
        }
        pos += (uint64_t)n;
    }
    if (n < 0)
        give_up("read");
    memtree_set_size(t, ino, pos);
}

/* Files of several names, by the real inode number. */
struct linked {
    uint64_t real;
    uint32_t ino;
};

struct links {
    struct linked *one;
    size_t count, room;
};

/* The node of a file that has been seen under another name; MEM_NONE: none has. */
static uint32_t seen_before(const struct links *links, uint64_t real)
{
    for (size_t i = 0; i < links->count; i++)
        if (links->one[i].real == real)
            return links->one[i].ino;
    return MEM_NONE;
}

static uint32_t new_node(struct memtree *t, const struct stat *st, struct links *links)
{
    uint32_t ino = memtree_add(t, S_ISDIR(st->st_mode));

    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
        links->one = mem_grow(links->one, links->count + 1, &links->room, sizeof *links->one);
        links->one[links->count++] = (struct linked){st->st_ino, ino};
    }
    return ino;
}

static void load_dir(struct memtree *t, uint32_t ino, int fd, struct links *links)
{
    DIR *dir = fdopendir(fd);
    struct dirent *d;

    if (!dir)
        give_up("directory");
    while ((errno = 0, d = readdir(dir))) {
        struct stat st;
        uint32_t child;
        bool again;
        int at;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        at = openat(fd, d->d_name, O_RDONLY | O_CLOEXEC);
        if (at < 0 || fstat(at, &st) < 0)
            give_up(d->d_name);
        child = seen_before(links, st.st_ino);
        again = child != MEM_NONE;
        if (!again)
            child = new_node(t, &st, links);
        memtree_set(t, ino, memtree_intern(d->d_name, strlen(d->d_name)), child);
        if (S_ISDIR(st.st_mode)) {
            load_dir(t, child, at, links);
        } else {
            if (!again)
                load_file(t, child, at);
            close(at);
        }
    }
    if (errno)
        give_up("directory");
    closedir(dir);
}

void onreal_load(struct memtree *t, const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct links links = {0};

    if (fd < 0)
        give_up(dir);
    memtree_init(t);
    load_dir(t, MEM_ROOT, fd, &links);
    free(links.one);
}
