/* tests/support/memtrace: what calls did to an in-memory disk. See memdisk.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/memdisk.h"

struct memtrace *memtrace_new(const struct memtree *before)
{
    struct memtrace *trace = mem_alloc(sizeof *trace);

    memtree_copy(&trace->before, before);
    return trace;
}

struct memtrace *memtrace_copy(const struct memtrace *trace, size_t count)
{
    struct memtrace *copy = memtrace_new(&trace->before);

    copy->ops = mem_grow(NULL, count, &copy->room, sizeof *copy->ops);
    for (; copy->count < count; copy->count++) {
        copy->ops[copy->count] = trace->ops[copy->count];
        copy->ops[copy->count]->refs++;
    }
    return copy;
}

static void memop_put(struct memop *op)
{
    if (--op->refs > 0)
        return;
    for (size_t i = 0; op->sectors && i < op->sector_count; i++)
        memsector_put(op->sectors[i]);
    free(op->sectors);
    free(op);
}

void memtrace_free(struct memtrace *trace)
{
    if (!trace)
        return;
    for (size_t i = 0; i < trace->count; i++)
        memop_put(trace->ops[i]);
    free(trace->ops);
    memtree_release(&trace->before);
    free(trace);
}

const char *memop_text(const struct memop *op, char *text, size_t room)
{
    switch (op->kind) {
    case MEMOP_CREATE:
    case MEMOP_MKDIR:
        snprintf(text, room, "%s %" PRIu32 "/%s -> %" PRIu32,
                 op->kind == MEMOP_CREATE ? "create" : "mkdir", op->dir, op->name, op->ino);
        break;
    case MEMOP_LINK:
        snprintf(text, room, "link %" PRIu32 "/%s -> %" PRIu32, op->dir, op->name, op->ino);
        break;
    case MEMOP_UNLINK: snprintf(text, room, "unlink %" PRIu32 "/%s", op->dir, op->name); break;
    case MEMOP_RENAME:
        snprintf(text, room, "rename %" PRIu32 "/%s to %" PRIu32 "/%s", op->dir, op->name,
                 op->dir_to, op->name_to);
        break;
    case MEMOP_WRITE:
        snprintf(text, room, "write %" PRIu32 " at %" PRIu64 " len %" PRIu64, op->ino, op->pos,
                 op->len);
        break;
    case MEMOP_TRUNCATE:
    case MEMOP_ALLOCATE:
        snprintf(text, room, "%s %" PRIu32 " %" PRIu64 " -> %" PRIu64,
                 op->kind == MEMOP_TRUNCATE ? "truncate" : "allocate", op->ino, op->size_before,
                 op->size_after);
        break;
    case MEMOP_DATASYNC:
        snprintf(text, room, "fdatasync %" PRIu32 "%s", op->ino, op->failed ? " failed" : "");
        break;
    case MEMOP_SYNCFS: snprintf(text, room, "syncfs%s", op->failed ? " failed" : ""); break;
    case MEMOP_SYNC_DIR:
        snprintf(text, room, "sync_dir %" PRIu32 "%s", op->ino, op->failed ? " failed" : "");
        break;
    }
    return text;
}
