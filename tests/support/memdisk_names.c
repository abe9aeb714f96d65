/*
 * tests/support/memdisk_names: the in-memory disk's calls that make, move and
 * take away names. Errors in the order in which Linux finds them.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/support/memdisk.h"
#include "tests/support/memdisk_inside.h"

int memdisk_mkdir(struct fileio *io, const char *path)
{
    struct memdisk *disk = (struct memdisk *)io;
    int rc = memdisk_enter(io, MEMCALL_MKDIR, path);
    const char *name;
    uint32_t dir;
    uint32_t ino;

    if (rc >= 0)
        rc = memdisk_resolve(disk, path, &dir, &name);
    if (rc >= 0 && (!name || memtree_find(&disk->tree, dir, name) != MEM_NONE))
        rc = -EEXIST;
    if (rc < 0)
        return memdisk_leave(io, rc);
    ino = memtree_add(&disk->tree, true);
    memtree_set(&disk->tree, dir, name, ino);
    memdisk_note(disk, (struct memop){.kind = MEMOP_MKDIR, .ino = ino, .dir = dir, .name = name}, 0,
                 0);
    return memdisk_leave(io, 0);
}

static int remove_name(struct fileio *io, const char *path, bool is_dir)
{
    struct memdisk *disk = (struct memdisk *)io;
    int rc = memdisk_enter(io, is_dir ? MEMCALL_RMDIR : MEMCALL_UNLINK, path);
    const struct memnode *n;
    const char *name;
    uint32_t dir;
    uint32_t ino;

    if (rc >= 0)
        rc = memdisk_resolve(disk, path, &dir, &name);
    if (rc < 0)
        return memdisk_leave(io, rc);
    ino = name ? memtree_find(&disk->tree, dir, name) : MEM_NONE;
    if (ino == MEM_NONE)
        return memdisk_leave(io, -ENOENT);
    n = disk->tree.nodes[ino];
    if (n->is_dir != is_dir)
        return memdisk_leave(io, is_dir ? -ENOTDIR : -EISDIR);
    if (is_dir && n->entry_count > 0)
        return memdisk_leave(io, -ENOTEMPTY);
    if (!is_dir && memdisk_lies(disk, MEMCALL_UNLINK, path, ino))
        return memdisk_leave(io, 0);
    memtree_set(&disk->tree, dir, name, MEM_NONE);
    memdisk_note(disk, (struct memop){.kind = MEMOP_UNLINK, .ino = ino, .dir = dir, .name = name},
                 0, 0);
    memdisk_forget(disk, ino);
    return memdisk_leave(io, 0);
}

int memdisk_rmdir(struct fileio *io, const char *path)
{
    return remove_name(io, path, true);
}

int memdisk_unlink(struct fileio *io, const char *path)
{
    return remove_name(io, path, false);
}

/* May `ino` take the place of `target`? 1: nothing is to be done. */
static int may_replace(const struct memdisk *disk, uint32_t ino, uint32_t target)
{
    bool is_dir = disk->tree.nodes[ino]->is_dir;

    if (target == ino)
        return 1;
    if (target == MEM_NONE)
        return 0;
    if (is_dir != disk->tree.nodes[target]->is_dir)
        return is_dir ? -ENOTDIR : -EISDIR;
    return is_dir && disk->tree.nodes[target]->entry_count > 0 ? -ENOTEMPTY : 0;
}

static int rename_at(struct memdisk *disk, const char *from, const char *to)
{
    struct memop op = {.kind = MEMOP_RENAME};
    uint32_t target;
    int rc = memdisk_resolve(disk, from, &op.dir, &op.name);

    if (rc == 0)
        rc = memdisk_resolve(disk, to, &op.dir_to, &op.name_to);
    if (rc < 0)
        return rc;
    if (!op.name || !op.name_to)
        return -EBUSY;
    op.ino = memtree_find(&disk->tree, op.dir, op.name);
    if (op.ino == MEM_NONE)
        return -ENOENT;
    target = memtree_find(&disk->tree, op.dir_to, op.name_to);
    rc = may_replace(disk, op.ino, target);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    memtree_set(&disk->tree, op.dir, op.name, MEM_NONE);
    memtree_set(&disk->tree, op.dir_to, op.name_to, op.ino);
    memdisk_note(disk, op, 0, 0);
    if (target != MEM_NONE)
        memdisk_forget(disk, target);
    return 0;
}

int memdisk_rename(struct fileio *io, const char *from, const char *to)
{
    int rc = memdisk_enter(io, MEMCALL_RENAME, to);

    return memdisk_leave(io, rc < 0 ? rc : rename_at((struct memdisk *)io, from, to));
}

static int link_at(struct memdisk *disk, const char *from, const char *to)
{
    struct memop op = {.kind = MEMOP_LINK};
    int rc = memdisk_find(disk, from, &op.ino);

    if (rc == 0)
        rc = memdisk_resolve(disk, to, &op.dir, &op.name);
    if (rc < 0)
        return rc;
    if (!op.name || memtree_find(&disk->tree, op.dir, op.name) != MEM_NONE)
        return -EEXIST;
    if (disk->tree.nodes[op.ino]->is_dir)
        return -EPERM;
    memtree_set(&disk->tree, op.dir, op.name, op.ino);
    memdisk_note(disk, op, 0, 0);
    return 0;
}

int memdisk_link(struct fileio *io, const char *from, const char *to)
{
    int rc = memdisk_enter(io, MEMCALL_LINK, to);

    return memdisk_leave(io, rc < 0 ? rc : link_at((struct memdisk *)io, from, to));
}

/* The names are taken down first: fn may call back. */
int memdisk_list(struct fileio *io, const char *path, fileio_list_fn *fn, void *arg)
{
    struct memdisk *disk = (struct memdisk *)io;
    int rc = memdisk_enter(io, MEMCALL_LIST, path);
    struct mementry *entries = NULL;
    size_t count = 0;
    size_t room = 0;
    uint32_t ino;

    if (rc >= 0)
        rc = memdisk_find(disk, path, &ino);
    if (rc >= 0 && !disk->tree.nodes[ino]->is_dir)
        rc = -ENOTDIR;
    if (rc < 0)
        return memdisk_leave(io, rc);
    count = disk->tree.nodes[ino]->entry_count;
    entries = mem_grow(NULL, count, &room, sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        entries[i] = disk->tree.nodes[ino]->entries[i];
        entries[i].ino = disk->tree.nodes[entries[i].ino]->is_dir; /* its kind is what is asked */
    }
    memdisk_leave(io, 0);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = fn(arg, entries[i].name, entries[i].ino ? FILEIO_DIR : FILEIO_FILE);
    free(entries);
    return rc;
}
