/*
 * tests/support/powercut: which operations are durable, which are pending.
 * How a crash state is built from them is in powercut_build.c. The rules are
 * in powercut.h.
 */
#include "tests/support/powercut.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/powercut_inside.h"

static bool is_data(const struct memop *op)
{
    return op->kind == MEMOP_WRITE || op->kind == MEMOP_TRUNCATE || op->kind == MEMOP_ALLOCATE;
}

bool powercut_changes_size(const struct memop *op)
{
    return op->size_before != op->size_after;
}

/* -- doing an operation wholly -- */

void powercut_put(struct memtree *t, const struct memop *op, size_t i)
{
    struct memsector *s = op->sectors ? op->sectors[i] : NULL;

    memtree_put_sector(t, op->ino, op->sector_from + i, s);
}

/* Sectors of op that are worth a look: zeros over nothing are nothing. */
size_t powercut_sectors(const struct memtree *t, const struct memop *op)
{
    size_t there = t->nodes[op->ino]->sector_count;

    if (op->sectors)
        return op->sector_count;
    if (there <= op->sector_from)
        return 0;
    return there - op->sector_from < op->sector_count ? there - op->sector_from : op->sector_count;
}

void powercut_do_name(struct memtree *t, const struct memop *op)
{
    uint32_t old = memtree_find(t, op->dir, op->name);

    if (op->kind == MEMOP_UNLINK && old != MEM_NONE)
        memtree_set(t, op->dir, op->name, MEM_NONE);
    if (op->kind == MEMOP_CREATE || op->kind == MEMOP_MKDIR || op->kind == MEMOP_LINK)
        memtree_set(t, op->dir, op->name, op->ino);
    if (op->kind != MEMOP_RENAME)
        return;
    if (old == op->ino) /* not where its making was lost, or another took the name */
        memtree_set(t, op->dir, op->name, MEM_NONE);
    memtree_set(t, op->dir_to, op->name_to, op->ino);
    if (t->nodes[op->ino]->is_dir)
        memtree_only_name(t, op->ino, op->dir_to, op->name_to);
}

static void do_data(struct memtree *t, const struct memop *op)
{
    size_t count = powercut_sectors(t, op);

    for (size_t i = 0; i < count; i++)
        powercut_put(t, op, i);
    if (powercut_changes_size(op))
        memtree_set_size(t, op->ino, op->size_after);
}

/* -- pending -- */

static void pending_add(struct powercut *cut, const struct memop *op)
{
    cut->pending = mem_grow(cut->pending, cut->count + 1, &cut->room, sizeof *cut->pending);
    cut->pending[cut->count++] = (struct mempending){.op = op};
}

/* The sectors of `op` are durable: clean writes before it are overwritten. */
static void overwrite_clean(struct powercut *cut, size_t before, const struct memop *op)
{
    for (size_t i = 0; i < before; i++) {
        struct mempending *p = &cut->pending[i];

        if (!p->clean || p->op->ino != op->ino)
            continue;
        for (size_t s = 0; s < p->op->sector_count; s++) {
            size_t sector = p->op->sector_from + s;

            if (sector < op->sector_from || sector >= op->sector_from + op->sector_count)
                continue;
            if (!p->over)
                p->over = mem_alloc(p->op->sector_count);
            p->over[s] = 1;
        }
    }
}

/* A sync of the data of p's file succeeded. True: p is durable now. */
static bool settle_data(struct powercut *cut, size_t i)
{
    struct mempending *p = &cut->pending[i];

    if (p->clean) {
        if (!p->size_done && powercut_changes_size(p->op))
            memtree_set_size(&cut->durable, p->op->ino, p->op->size_after);
        p->size_done = true;
        return false;
    }
    do_data(&cut->durable, p->op);
    overwrite_clean(cut, i, p->op);
    return true;
}

static void settle(struct powercut *cut,
                   bool (*covers)(const struct powercut *cut, const struct memop *op, uint32_t ino),
                   uint32_t ino)
{
    size_t kept = 0;

    for (size_t i = 0; i < cut->count; i++) {
        const struct memop *op = cut->pending[i].op;
        bool durable = false;

        if (covers(cut, op, ino) && is_data(op)) {
            durable = settle_data(cut, i);
        } else if (covers(cut, op, ino)) {
            powercut_do_name(&cut->durable, op);
            durable = true;
        }
        cut->pending[i].durable = durable;
    }
    /* Only now: settle_data() looks back at the ones before. */
    for (size_t i = 0; i < cut->count; i++)
        if (!cut->pending[i].durable)
            cut->pending[kept++] = cut->pending[i];
    cut->count = kept;
}

static bool covers_file(const struct powercut *cut, const struct memop *op, uint32_t ino)
{
    (void)cut;
    return is_data(op) && op->ino == ino;
}

static bool covers_all(const struct powercut *cut, const struct memop *op, uint32_t ino)
{
    (void)cut;
    (void)op;
    (void)ino;
    return true;
}

static bool touches(const struct memop *op, uint32_t dir)
{
    return !is_data(op) && (op->dir == dir || (op->kind == MEMOP_RENAME && op->dir_to == dir));
}

/* The other side of a pending rename into or out of the directory is settled
 * with it, and then all that came before there: names have one order. */
static bool covers_dir(const struct powercut *cut, const struct memop *op, uint32_t dir)
{
    if (touches(op, dir))
        return true;
    for (size_t i = 0; i < cut->count; i++) {
        const struct memop *r = cut->pending[i].op;

        if (r->kind == MEMOP_RENAME && r->dir != r->dir_to && touches(r, dir) &&
            touches(op, r->dir == dir ? r->dir_to : r->dir))
            return true;
    }
    return false;
}

/* Rule 11. ino MEM_NONE: every file. */
static void mark_clean(struct powercut *cut, uint32_t ino)
{
    for (size_t i = 0; i < cut->count; i++) {
        const struct memop *op = cut->pending[i].op;

        if (is_data(op) && op->kind != MEMOP_ALLOCATE && (ino == MEM_NONE || op->ino == ino))
            cut->pending[i].clean = true;
    }
}

static void sync_step(struct powercut *cut, const struct memop *op)
{
    if (op->failed) {
        if (op->kind != MEMOP_SYNC_DIR)
            mark_clean(cut, op->kind == MEMOP_SYNCFS ? MEM_NONE : op->ino);
    } else if (op->kind == MEMOP_SYNCFS) {
        settle(cut, covers_all, 0);
    } else {
        settle(cut, op->kind == MEMOP_DATASYNC ? covers_file : covers_dir, op->ino);
    }
}

static bool is_sync(const struct memop *op)
{
    return op->kind == MEMOP_DATASYNC || op->kind == MEMOP_SYNCFS || op->kind == MEMOP_SYNC_DIR;
}

/* -- walking -- */

void powercut_init(struct powercut *cut, const struct memtrace *trace)
{
    *cut = (struct powercut){.trace = trace};
    memtree_copy(&cut->durable, &trace->before);
    memtree_copy(&cut->view, &trace->before);
}

void powercut_release(struct powercut *cut)
{
    for (size_t i = 0; i < cut->count; i++)
        free(cut->pending[i].over);
    free(cut->pending);
    memtree_release(&cut->durable);
    memtree_release(&cut->view);
}

bool powercut_step(struct powercut *cut)
{
    const struct memop *op;

    if (cut->at == cut->trace->count)
        return false;
    op = cut->trace->ops[cut->at++];
    if (is_sync(op)) {
        sync_step(cut, op);
        return true;
    }
    if (op->kind == MEMOP_CREATE || op->kind == MEMOP_MKDIR) {
        memtree_make(&cut->durable, op->ino, op->kind == MEMOP_MKDIR);
        memtree_make(&cut->view, op->ino, op->kind == MEMOP_MKDIR);
    }
    if (is_data(op))
        do_data(&cut->view, op);
    else
        powercut_do_name(&cut->view, op);
    pending_add(cut, op);
    return true;
}

bool powercut_next_has_more(const struct powercut *cut)
{
    return cut->at < cut->trace->count && !is_sync(cut->trace->ops[cut->at]);
}

struct memdisk *powercut_kill(const struct powercut *cut, bool record)
{
    struct memdisk *disk;
    struct memtree t;

    memtree_copy(&t, &cut->view);
    powercut_drop_unreachable(&t);
    disk = memdisk_of(t);
    if (record)
        memdisk_record_on(disk, memtrace_copy(cut->trace, cut->at));
    return disk;
}
