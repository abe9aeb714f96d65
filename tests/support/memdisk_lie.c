/*
 * tests/support/memdisk_lie: an in-memory disk that says calls worked which
 * did not. See struct memlie.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/memdisk.h"
#include "tests/support/memdisk_inside.h"

bool memdisk_path_matches(const char *pattern, const char *path)
{
    return !pattern || fnmatch(pattern, path, 0) == 0;
}

static bool is_sync(const struct memop *op)
{
    return op->kind == MEMOP_DATASYNC || op->kind == MEMOP_SYNCFS || op->kind == MEMOP_SYNC_DIR;
}

static bool is_name(const struct memop *op)
{
    return op->kind <= MEMOP_RENAME;
}

/* Was what changed that file, or the names in that directory, last as the lie
 * wants it? */
static bool changed_so(const struct memdisk *disk, uint32_t ino)
{
    const struct memlie *lie = &disk->lie;
    bool is_dir = disk->tree.nodes[ino]->is_dir;

    if (lie->after == 0)
        return true;
    for (size_t i = memdisk_at(disk); i-- > 0;) {
        const struct memop *op = disk->trace->ops[i];

        if (is_sync(op) || is_dir != is_name(op) || (is_dir ? op->dir : op->ino) != ino)
            continue;
        return (lie->after & MEMOP_BIT(op->kind)) &&
               (!is_dir || memdisk_path_matches(lie->after_name, op->name));
    }
    return false;
}

bool memdisk_lies(struct memdisk *disk, enum memcall call, const char *path, uint32_t ino)
{
    const struct memlie *lie = &disk->lie;

    if (!(lie->calls & MEMCALL_BIT(call)) || (lie->phases && !(lie->phases & disk->phase)) ||
        !memdisk_path_matches(lie->path, path) || !changed_so(disk, ino))
        return false;
    disk->lies++;
    return true;
}

/* The bytes of a write in one piece. */
static uint8_t *flat(const struct iovec *iov, int n, uint64_t want)
{
    uint8_t *bytes = mem_alloc((size_t)want);
    size_t at = 0;

    for (int i = 0; i < n && at < want; i++) {
        size_t piece = iov[i].iov_len < want - at ? iov[i].iov_len : (size_t)want - at;

        memcpy(bytes + at, iov[i].iov_base, piece);
        at += piece;
    }
    return bytes;
}

ssize_t memdisk_lie_write(struct memdisk *disk, uint32_t ino, const struct iovec *iov, int n,
                          uint64_t pos, uint64_t want)
{
    const struct memlie *lie = &disk->lie;
    uint8_t *bytes = flat(iov, n, want);
    uint8_t *there = mem_alloc((size_t)want);
    struct iovec one = {bytes, (size_t)want};
    ssize_t got = (ssize_t)want;
    bool same = memtree_read(&disk->tree, ino, there, (size_t)want, pos) == want &&
                memcmp(there, bytes, (size_t)want) == 0;

    if (lie->tamper)
        lie->tamper(bytes, (size_t)want, pos);
    if (lie->tamper || (lie->same && !same))
        got = memdisk_write(disk, ino, &one, 1, pos, want);
    free(there);
    free(bytes);
    return got;
}

void memdisk_lie_sync(struct memdisk *disk, struct memop op)
{
    if (!disk->lie.until)
        return;
    if (disk->is_late) /* one at a time */
        memdisk_note(disk, disk->late, 0, 0);
    disk->late = op;
    disk->is_late = true;
}

void memdisk_catch_up(struct memdisk *disk, const char *path)
{
    if (!disk->is_late || !memdisk_path_matches(disk->lie.until, path))
        return;
    disk->is_late = false;
    memdisk_note(disk, disk->late, 0, 0);
}
