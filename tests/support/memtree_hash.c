/*
 * tests/support/memtree_hash: a number that two trees share where their names
 * and bytes are the same. Sectors and files remember theirs, so that the hash
 * of a tree costs little more than what was changed in it.
 */
#include <string.h>

#include "tests/support/hashes.h"
#include "tests/support/memtree.h"

/* 0 for a sector of zeros, which is the same as none. */
static uint64_t sector_hash(struct memsector *s)
{
    uint64_t lane[4] = {0};
    uint64_t h = 0;

    if (!s || s->hash)
        return s ? s->hash : 0;
    for (size_t i = 0; i < MEM_SECTOR; i += sizeof lane)
        for (size_t k = 0; k < 4; k++) {
            uint64_t word;

            memcpy(&word, s->bytes + i + k * sizeof word, sizeof word);
            lane[k] = hash_word(lane[k], word);
        }
    for (size_t k = 0; k < 4; k++)
        h = hash_word(h, lane[k]);
    return s->hash = h;
}

static uint64_t file_hash(struct memnode *n)
{
    uint64_t h = hash_word(1, n->size);

    if (n->hash)
        return n->hash;
    for (size_t i = 0; i < n->sector_count; i++) {
        uint64_t sector = sector_hash(n->sectors[i]);

        if (sector)
            h = hash_word(hash_word(h, i), sector);
    }
    return n->hash = h;
}

/* Names in any order: what a directory lists first says nothing. */
static uint64_t node_hash(const struct memtree *t, uint32_t ino)
{
    struct memnode *n = t->nodes[ino];
    uint64_t sum = 2;

    if (!n->is_dir)
        return file_hash(n);
    for (size_t i = 0; i < n->entry_count; i++) {
        const struct mementry *e = &n->entries[i];

        sum += hash_word(
            hash_word(hash_word(3, (uint64_t)(uintptr_t)e->name), node_hash(t, e->ino)), 5);
    }
    return hash_word(4, sum);
}

uint64_t memtree_hash(const struct memtree *t)
{
    return node_hash(t, MEM_ROOT);
}
