/*
 * tests/support/memdisk: making, copying, looking into in-memory disks. The
 * calls of the I/O table are in memdisk_calls.c.
 */
#include "tests/support/memdisk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/memdisk_inside.h"

/* -- paths and descriptors -- */

int memdisk_resolve(const struct memdisk *disk, const char *path, uint32_t *dir, const char **name)
{
    uint32_t at = MEM_ROOT;

    *dir = MEM_ROOT;
    *name = NULL;
    while (*path) {
        size_t len = 0;

        while (path[len] && path[len] != '/')
            len++;

        if (*name) { /* the name before was not the last */
            at = memtree_find(&disk->tree, *dir, *name);
            if (at == MEM_NONE)
                return -ENOENT;
            if (!disk->tree.nodes[at]->is_dir)
                return -ENOTDIR;
        }
        if (len > 255)
            return -ENAMETOOLONG;
        if (len == 2 && memcmp(path, "..", 2) == 0)
            return -EXDEV;
        *dir = at;
        *name = memtree_intern(path, len);
        path += len;
        while (*path == '/')
            path++;
    }
    return 0;
}

int memdisk_find(const struct memdisk *disk, const char *path, uint32_t *ino)
{
    const char *name;
    uint32_t dir;
    int rc = memdisk_resolve(disk, path, &dir, &name);

    if (rc < 0)
        return rc;
    *ino = name ? memtree_find(&disk->tree, dir, name) : MEM_ROOT;
    return *ino == MEM_NONE ? -ENOENT : 0;
}

struct memfd *memdisk_fd(struct memdisk *disk, int fd)
{
    int i = fd - MEMDISK_FIRST_FD;

    if (i < 0 || (size_t)i >= disk->fd_count || disk->fds[i].ino == MEM_NONE)
        return NULL;
    return &disk->fds[i];
}

void memdisk_forget(struct memdisk *disk, uint32_t ino)
{
    if (ino == MEM_ROOT || memtree_names(&disk->tree, ino) > 0)
        return;
    for (size_t i = 0; i < disk->fd_count; i++)
        if (disk->fds[i].ino == ino) {
            disk->nameless = true;
            return;
        }
    memtree_drop(&disk->tree, ino);
}

void memdisk_close_fd(struct memdisk *disk, struct memfd *fd)
{
    uint32_t ino = fd->ino;

    if (disk->locked_ino != MEM_NONE && fd - disk->fds == disk->locked_fd)
        disk->locked_ino = MEM_NONE;
    fd->ino = MEM_NONE;
    if (disk->nameless)
        memdisk_forget(disk, ino);
}

/* -- disks -- */

struct memdisk *memdisk_of(struct memtree tree)
{
    struct memdisk *disk = mem_alloc(sizeof *disk);

    disk->io.ops = &memdisk_ops;
    disk->locked_ino = MEM_NONE;
    disk->tree = tree;
    disk->lock = mem_alloc(sizeof *disk->lock);
    pthread_mutex_init(disk->lock, NULL);
    return disk;
}

struct memdisk *memdisk_from(const struct memtree *tree)
{
    struct memtree copy;

    memtree_copy(&copy, tree);
    return memdisk_of(copy);
}

struct memdisk *memdisk_new(void)
{
    struct memtree empty;

    memtree_init(&empty);
    return memdisk_of(empty);
}

void memdisk_free(struct memdisk *disk)
{
    if (!disk)
        return;
    memtrace_free(disk->trace);
    memtree_release(&disk->tree);
    free(disk->fds);
    pthread_mutex_destroy(disk->lock);
    free(disk->lock);
    free(disk);
}

void memdisk_record(struct memdisk *disk)
{
    memtrace_free(disk->trace);
    disk->trace = memtrace_new(&disk->tree);
}

void memdisk_record_on(struct memdisk *disk, struct memtrace *trace)
{
    memtrace_free(disk->trace);
    disk->trace = trace;
}

size_t memdisk_at(const struct memdisk *disk)
{
    return disk->trace ? disk->trace->count : 0;
}

void memdisk_note(struct memdisk *disk, struct memop op, size_t sector_from, size_t sector_count)
{
    struct memtrace *trace = disk->trace;
    struct memop *kept;

    if (!trace)
        return;
    kept = mem_alloc(sizeof *kept);
    *kept = op;
    kept->refs = 1;
    kept->sector_from = sector_from;
    kept->sector_count = sector_count;
    for (size_t i = 0; i < sector_count; i++) {
        struct memsector *s = memtree_sector(&disk->tree, op.ino, sector_from + i);

        if (s && !kept->sectors)
            kept->sectors = mem_alloc(sector_count * sizeof(struct memsector *));
        if (s)
            kept->sectors[i] = memsector_get(s);
    }
    trace->ops = mem_grow(trace->ops, trace->count + 1, &trace->room, sizeof *trace->ops);
    trace->ops[trace->count++] = kept;
}

void memdisk_set_fault(struct memdisk *disk, struct memfault fault)
{
    disk->fault = fault;
    disk->fault_calls = disk->fault_hits = 0;
}

size_t memdisk_kill(struct memdisk *disk)
{
    size_t open = 0;

    for (size_t i = 0; i < disk->fd_count; i++)
        if (disk->fds[i].ino != MEM_NONE) {
            open++;
            memdisk_close_fd(disk, &disk->fds[i]);
        }
    return open;
}

uint64_t memdisk_used_bytes(const struct memdisk *disk)
{
    uint64_t used = 0;

    for (uint32_t i = 0; i < disk->tree.count; i++) {
        const struct memnode *n = disk->tree.nodes[i];

        if (n && !n->is_dir)
            used += (n->size + MEM_BLOCK - 1) / MEM_BLOCK * MEM_BLOCK;
    }
    return used;
}

/* -- looking inside -- */

uint32_t memdisk_lookup(const struct memdisk *disk, const char *path)
{
    uint32_t ino;

    return memdisk_find(disk, path, &ino) < 0 ? MEM_NONE : ino;
}

char *memdisk_file(const struct memdisk *disk, const char *path, size_t *len)
{
    uint32_t ino = memdisk_lookup(disk, path);
    const struct memnode *n = ino == MEM_NONE ? NULL : disk->tree.nodes[ino];
    char *bytes;

    if (!n || n->is_dir)
        return NULL;
    bytes = mem_alloc((size_t)n->size + 1);
    *len = memtree_read(&disk->tree, ino, bytes, (size_t)n->size, 0);
    return bytes;
}

static bool same_file(const struct memtree *a, const struct memnode *na, const struct memtree *b,
                      uint32_t ia, uint32_t ib)
{
    uint8_t block_a[MEM_SECTOR];
    uint8_t block_b[MEM_SECTOR];

    if (na->size != b->nodes[ib]->size)
        return false;
    for (size_t i = 0; i < na->sector_count || i < b->nodes[ib]->sector_count; i++) {
        size_t len;

        if (memtree_sector(a, ia, i) == memtree_sector(b, ib, i))
            continue;
        len = memtree_read(a, ia, block_a, MEM_SECTOR, i * MEM_SECTOR);
        if (memtree_read(b, ib, block_b, MEM_SECTOR, i * MEM_SECTOR) != len ||
            memcmp(block_a, block_b, len) != 0)
            return false;
    }
    return true;
}

static bool same_node(const struct memtree *a, uint32_t ia, const struct memtree *b, uint32_t ib,
                      char *why, size_t room)
{
    const struct memnode *na = a->nodes[ia];
    const struct memnode *nb = b->nodes[ib];

    if (na->is_dir != nb->is_dir)
        return snprintf(why, room, " is of another kind"), false;
    if (!na->is_dir) {
        if (!same_file(a, na, b, ia, ib))
            return snprintf(why, room, " has other bytes"), false;
        return true;
    }
    for (size_t i = 0; i < nb->entry_count; i++)
        if (memtree_find(a, ia, nb->entries[i].name) == MEM_NONE)
            return snprintf(why, room, "/%s is more", nb->entries[i].name), false;
    for (size_t i = 0; i < na->entry_count; i++) {
        const char *name = na->entries[i].name;
        uint32_t other = memtree_find(b, ib, name);
        char inner[400];

        if (other == MEM_NONE)
            return snprintf(why, room, "/%s is missing", name), false;
        if (!same_node(a, na->entries[i].ino, b, other, inner, sizeof inner))
            return snprintf(why, room, "/%s%s", name, inner), false;
    }
    return true;
}

bool memdisk_same(const struct memdisk *a, const struct memdisk *b, char *why, size_t room)
{
    return same_node(&a->tree, MEM_ROOT, &b->tree, MEM_ROOT, why, room);
}

uint64_t memclock_wall_ms(void *arg)
{
    struct memclock *clock = arg;

    clock->now_ms += clock->step_ms;
    return clock->now_ms;
}
