/*
 * tests/support/powercut_build: a crash state from the fates of what was
 * pending. The rules are in powercut.h.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/powercut.h"
#include "tests/support/powercut_inside.h"

uint64_t mem_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

size_t mem_below(uint64_t *state, size_t n)
{
    return (size_t)(mem_random(state) >> 32) % n;
}

const char *memfate_name(enum memfate fate)
{
    static const char *const names[] = {
        "kept", "lost",        "garbage",     "size only", "data only",
        "head", "head, short", "size, short", "tail",      "mixed",
    };

    return names[fate];
}

/* -- which fates there are -- */

/* Where a write of n sectors may be torn: everywhere, or at three places. */
static size_t tears(size_t n, uint32_t at[4])
{
    size_t count = 0;

    if (n <= 5) {
        for (size_t k = 1; k < n; k++)
            at[count++] = (uint32_t)k;
    } else {
        at[count++] = 1;
        at[count++] = (uint32_t)(n / 2);
        at[count++] = (uint32_t)(n - 1);
    }
    return count;
}

static size_t write_fates(const struct memop *op, struct memchoice *fates)
{
    bool grows = op->size_after > op->size_before;
    size_t count = 2;
    uint32_t at[4];
    size_t torn = tears(op->sector_count, at);
    /* Of the sizes inside it, the first: where its first sector ends that makes the file longer. */
    size_t first = (size_t)(op->size_before / MEM_SECTOR) + 1 - op->sector_from;

    fates[count++].fate = MEMFATE_GARBAGE;
    if (grows) {
        fates[count++].fate = MEMFATE_SIZE_ONLY;
        fates[count++].fate = MEMFATE_DATA_ONLY;
    }
    for (size_t i = 0; i < torn; i++) {
        fates[count++] = (struct memchoice){MEMFATE_HEAD, at[i]};
        fates[count++] = (struct memchoice){MEMFATE_TAIL, at[i]};
        if (grows && (op->sector_from + at[i]) * MEM_SECTOR > op->size_before)
            fates[count++] = (struct memchoice){MEMFATE_HEAD_SHORT, at[i]};
    }
    if (op->sector_count > 1)
        fates[count++].fate = MEMFATE_MIXED;
    if (grows && first > 0 && first < op->sector_count)
        fates[count++] = (struct memchoice){MEMFATE_SIZE_SHORT, (uint32_t)first};
    return count;
}

size_t powercut_fates(const struct powercut *cut, size_t i, struct memchoice fates[MEMFATES_MAX])
{
    const struct memop *op = cut->pending[i].op;

    memset(fates, 0, MEMFATES_MAX * sizeof *fates);
    fates[0].fate = MEMFATE_KEPT;
    fates[1].fate = MEMFATE_LOST;
    if (op->kind == MEMOP_WRITE)
        return write_fates(op, fates);
    if (op->kind != MEMOP_TRUNCATE || op->size_after > op->size_before ||
        op->size_after % MEM_BLOCK == 0)
        return 2;
    fates[2].fate = MEMFATE_SIZE_ONLY;
    fates[3].fate = MEMFATE_DATA_ONLY;
    return 4;
}

/* -- garbage -- */

static void garbage_bytes(const struct memtree *t, const struct memop *op, uint8_t *to, size_t len,
                          uint64_t *random)
{
    size_t flavour = mem_below(random, 4);
    uint64_t size = t->nodes[op->ino]->size;

    if (flavour == 0) {
        memset(to, 0xff, len);
    } else if (flavour == 1) { /* nearly right: one bit */
        to[mem_below(random, len)] ^= (uint8_t)(1u << mem_below(random, 8));
    } else if (flavour == 2 && size > 0) { /* other bytes of the file */
        size_t got = memtree_read(t, op->ino, to, len, mem_below(random, (size_t)size));

        memset(to + got, 0, len - got);
    } else {
        for (size_t i = 0; i < len; i++)
            to[i] = (uint8_t)mem_random(random);
    }
}

/* The bytes of a write inside its sector number i become garbage, but for those
 * that are written as they durably are. */
static void garbage_sector(struct memtree *t, const struct memtree *durable, const struct memop *op,
                           size_t i, uint64_t *random)
{
    const struct memsector *was = memtree_sector(durable, op->ino, op->sector_from + i);
    uint64_t was_end = durable->nodes[op->ino]->size;
    uint64_t start = (op->sector_from + i) * MEM_SECTOR;
    uint64_t from = start > op->pos ? start : op->pos;
    uint64_t end = op->pos + op->len;
    uint8_t right[MEM_SECTOR] = {0};
    uint8_t bytes[MEM_SECTOR];
    size_t len;

    end = end < start + MEM_SECTOR ? end : start + MEM_SECTOR;
    len = (size_t)(end - from);
    if (mem_below(random, 2)) /* earlier writes came along, or not */
        powercut_put(t, op, i);
    if (op->sectors && op->sectors[i])
        memcpy(right, op->sectors[i]->bytes + (from - start), len);
    memcpy(bytes, right, len);
    garbage_bytes(t, op, bytes, len, random);
    for (size_t k = 0; k < len && from + k < was_end; k++)
        if (right[k] == (was ? was->bytes[from - start + k] : 0))
            bytes[k] = right[k];
    memtree_poke(t, op->ino, bytes, len, from);
}

#define GARBAGE_SECTORS 32 /* 16 KiB */

static void garbage(struct memtree *t, const struct memtree *durable, const struct mempending *p,
                    uint64_t *random)
{
    const struct memop *op = p->op;
    size_t n = op->sector_count;

    for (size_t k = 0; k < n && k < GARBAGE_SECTORS; k++) {
        size_t i = n <= GARBAGE_SECTORS ? k : k < 8 ? k : mem_below(random, n);

        if (!p->over || !p->over[i])
            garbage_sector(t, durable, op, i, random);
    }
}

/* -- applying a fate -- */

static bool sector_survives(const struct memop *op, struct memchoice c, size_t i)
{
    switch (c.fate) {
    case MEMFATE_KEPT: return true;
    case MEMFATE_HEAD:
    case MEMFATE_HEAD_SHORT: return i < c.at;
    case MEMFATE_TAIL: return i >= c.at;
    case MEMFATE_DATA_ONLY:
        /* Of a truncation only the rest of its last block is data. */
        return op->kind == MEMOP_WRITE || op->sector_from / 8 == (op->sector_from + i) / 8;
    case MEMFATE_SIZE_ONLY:
        return op->kind == MEMOP_TRUNCATE && op->sector_from / 8 != (op->sector_from + i) / 8;
    default: return false;
    }
}

static void mixed(struct memtree *t, const struct memtree *durable, const struct mempending *p,
                  uint64_t *random)
{
    size_t n = powercut_sectors(t, p->op);

    for (size_t i = 0; i < n; i++) {
        size_t fate = mem_below(random, 5);

        if (p->over && p->over[i])
            continue;
        if (fate < 2)
            powercut_put(t, p->op, i);
        else if (fate == 2)
            garbage_sector(t, durable, p->op, i, random);
    }
}

static void apply_data(struct memtree *t, const struct memtree *durable, const struct mempending *p,
                       struct memchoice c, uint64_t *random)
{
    const struct memop *op = p->op;
    size_t n = powercut_sectors(t, op);

    if (c.fate == MEMFATE_GARBAGE)
        garbage(t, durable, p, random);
    else if (c.fate == MEMFATE_MIXED)
        mixed(t, durable, p, random);
    else
        for (size_t i = 0; i < n; i++)
            if (sector_survives(op, c, i) && !(p->over && p->over[i]))
                powercut_put(t, op, i);
    if (!powercut_changes_size(op) || p->size_done || c.fate == MEMFATE_LOST ||
        c.fate == MEMFATE_DATA_ONLY)
        return;
    if (c.fate == MEMFATE_HEAD_SHORT || c.fate == MEMFATE_SIZE_SHORT)
        memtree_set_size(t, op->ino, (op->sector_from + c.at) * MEM_SECTOR);
    else
        memtree_set_size(t, op->ino, op->size_after);
}

static void mark(const struct memtree *t, uint32_t ino, uint8_t *reached)
{
    const struct memnode *n = t->nodes[ino];

    if (reached[ino])
        return;
    reached[ino] = 1;
    for (size_t i = 0; n->is_dir && i < n->entry_count; i++)
        mark(t, n->entries[i].ino, reached);
}

void powercut_drop_unreachable(struct memtree *t)
{
    uint8_t *reached = mem_alloc(t->count);

    mark(t, MEM_ROOT, reached);
    for (uint32_t i = 0; i < t->count; i++)
        if (t->nodes[i] && !reached[i])
            memtree_drop(t, i);
    free(reached);
}

struct memdisk *powercut_build(const struct powercut *cut, const struct memchoice *choices,
                               uint64_t seed)
{
    struct memtree t;

    memtree_copy(&t, &cut->durable);
    for (size_t i = 0; i < cut->count; i++) {
        const struct mempending *p = &cut->pending[i];

        if (p->op->kind == MEMOP_WRITE || p->op->kind == MEMOP_TRUNCATE ||
            p->op->kind == MEMOP_ALLOCATE)
            apply_data(&t, &cut->durable, p, choices[i], &seed);
        else if (choices[i].fate == MEMFATE_KEPT)
            powercut_do_name(&t, p->op);
    }
    for (size_t i = 0; i < cut->count; i++)
        if (cut->pending[i].op->kind == MEMOP_WRITE || cut->pending[i].op->kind == MEMOP_TRUNCATE)
            memtree_trim(&t, cut->pending[i].op->ino);
    powercut_drop_unreachable(&t);
    return memdisk_of(t);
}
