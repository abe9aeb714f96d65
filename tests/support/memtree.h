/*
 * tests/support/memtree: the files and directories of an in-memory disk.
 *
 * A tree is an array of nodes, indexed by inode number; a directory's entries
 * name inode numbers. Numbers are never used again, so that a record of
 * operations can speak of them. Contents are 512-byte sectors (what a disk
 * writes as a unit); a missing sector is zeros, so a fallocate or a megabyte
 * of zeros costs nothing.
 *
 * Copying is what this is made for: nodes and sectors are counted and copied
 * when they are written while shared. A copy of a tree costs one pointer per
 * node; a crash state costs only what it changes.
 *
 * Threads: none of this is locked, and the counts are shared between copies.
 * Out of memory ends the process: this is for tests.
 */
#ifndef TESTS_SUPPORT_MEMTREE_H
#define TESTS_SUPPORT_MEMTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEM_SECTOR 512u
#define MEM_BLOCK  4096u /* what a file system allocates: 8 sectors */
#define MEM_ROOT   0u
#define MEM_NONE   UINT32_MAX

struct memsector {
    unsigned refs;
    uint64_t hash; /* of the bytes; 0 = not known, or all are zero */
    uint8_t bytes[MEM_SECTOR];
};

struct mementry {
    const char *name; /* interned: lives for ever, equal names are equal pointers */
    uint32_t ino;
};

struct memnode {
    unsigned refs;
    bool is_dir;
    /* A file: bytes from size on are zeros in every sector. */
    uint64_t size;
    uint64_t hash; /* 0 = not known */
    struct memsector **sectors;
    size_t sector_count, sector_room;
    /* A directory. */
    struct mementry *entries;
    size_t entry_count, entry_room;
};

struct memtree {
    struct memnode **nodes; /* NULL: not any more */
    uint32_t count, room;
};

/* -- trees -- */

void memtree_init(struct memtree *t); /* with an empty root */
void memtree_copy(struct memtree *to, const struct memtree *from);
void memtree_release(struct memtree *t);
/* Of all names, sizes and bytes that names lead to. Equal trees have equal
 * hashes, whatever their inode numbers are, within this process. */
uint64_t memtree_hash(const struct memtree *t);

/* Makes node `ino` (empty) where the tree has none yet. */
void memtree_make(struct memtree *t, uint32_t ino, bool is_dir);
/* A new node, with no name. */
uint32_t memtree_add(struct memtree *t, bool is_dir);
void memtree_drop(struct memtree *t, uint32_t ino);
const struct memnode *memtree_node(const struct memtree *t, uint32_t ino);

/* -- names -- */

const char *memtree_intern(const char *name, size_t len);
/* Both take an interned name. MEM_NONE: no such name, to take it away. */
uint32_t memtree_find(const struct memtree *t, uint32_t dir, const char *name);
void memtree_set(struct memtree *t, uint32_t dir, const char *name, uint32_t ino);
/* How many names a node has. */
size_t memtree_names(const struct memtree *t, uint32_t ino);
/* Takes all names away from a node but dir/name. */
void memtree_only_name(struct memtree *t, uint32_t ino, uint32_t dir, const char *name);

/* -- contents -- */

void memtree_write(struct memtree *t, uint32_t ino, const void *data, size_t len, uint64_t pos);
size_t memtree_read(const struct memtree *t, uint32_t ino, void *to, size_t len, uint64_t pos);
void memtree_resize(struct memtree *t, uint32_t ino, uint64_t size); /* what is cut is zeroed */
/* The size alone: what lies behind it stays, until memtree_trim(). */
void memtree_set_size(struct memtree *t, uint32_t ino, uint64_t size);
void memtree_trim(struct memtree *t, uint32_t ino);
/* One sector, NULL = zeros; the tree takes a reference of its own. */
struct memsector *memtree_sector(const struct memtree *t, uint32_t ino, size_t index);
void memtree_put_sector(struct memtree *t, uint32_t ino, size_t index, struct memsector *s);
/* Bytes inside sectors, whatever the size is. */
void memtree_poke(struct memtree *t, uint32_t ino, const void *data, size_t len, uint64_t pos);

struct memsector *memsector_get(struct memsector *s);
void memsector_put(struct memsector *s);

/* Memory or the end of the process. */
void *mem_alloc(size_t bytes); /* zeroed */
void *mem_grow(void *p, size_t count, size_t *room, size_t item);

#endif
