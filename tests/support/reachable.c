/* tests/support/reachable: see reachable.h. */
#include "tests/support/reachable.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/powercut_inside.h"

#define GROUP_MAX     14u /* operations: 2^14 combinations */
#define TRUNCATES_MAX 10u
#define NONE          SIZE_MAX

struct slot {
    uint32_t dir;
    const char *name; /* interned */
};

/* Pending operations on names that hang together. */
struct group {
    size_t ops[GROUP_MAX];
    size_t op_count;
    struct slot slots[2 * GROUP_MAX];
    size_t slot_count;
};

/* An answer that was found out already. */
struct known {
    uint32_t ino, found;
    bool same;
};

struct search {
    const struct powercut *cut;
    const struct memtree *found;
    struct group *groups;
    size_t group_count, group_room;
    struct known *known;
    size_t known_count, known_room;
    char *why; /* the first and innermost reason stays */
    size_t why_room;
};

__attribute__((format(printf, 2, 3))) static bool no(struct search *s, const char *fmt, ...)
{
    va_list ap;

    if (s->why[0])
        return false;
    va_start(ap, fmt);
    vsnprintf(s->why, s->why_room, fmt, ap);
    va_end(ap);
    return false;
}

static bool is_name(const struct memop *op)
{
    return op->kind <= MEMOP_RENAME;
}

/* -- bytes -- */

/* The pending operations on one file's bytes. */
struct writes {
    const struct memop **op;
    size_t count, room;
    size_t last;   /* the one whose size is kept last; NONE: the durable size */
    unsigned kept; /* bit i: truncation i (of those before `last`) has its size kept */
    uint64_t size;
};

static bool shrinks(const struct memop *op)
{
    return op->kind == MEMOP_TRUNCATE && op->size_after < op->size_before;
}

/* What the operation can have done to its sector number i. */
enum effect { EFFECT_NONE, EFFECT_MAYBE, EFFECT_SURELY };

static enum effect effect_of(const struct writes *w, size_t k, size_t i, unsigned truncation)
{
    const struct memop *op = w->op[k];
    bool size_kept;

    if (op->kind == MEMOP_ALLOCATE)
        return EFFECT_NONE;
    if (op->kind == MEMOP_WRITE)
        return EFFECT_MAYBE;
    if (w->last == NONE || k > w->last)
        size_kept = false;
    else
        size_kept = k == w->last || (w->kept >> truncation & 1);
    if (op->size_after % MEM_BLOCK != 0 && op->sector_from / 8 == (op->sector_from + i) / 8)
        return EFFECT_MAYBE; /* the rest of the last block is data */
    return size_kept ? EFFECT_SURELY : EFFECT_NONE;
}

static bool same_bytes(const struct memsector *a, const struct memsector *b, size_t len)
{
    static const uint8_t zeros[MEM_SECTOR];

    return a == b || memcmp(a ? a->bytes : zeros, b ? b->bytes : zeros, len) == 0;
}

/* Can the sector hold this, given w->last and w->kept? */
static bool sector_can(const struct writes *w, const struct memsector *durable,
                       const struct memsector *is, size_t sector, size_t len)
{
    unsigned truncation = 0;
    unsigned numbers[64];

    for (size_t k = 0; k < w->count && k < 64; k++)
        numbers[k] = shrinks(w->op[k]) ? truncation++ : 0;
    for (size_t k = w->count; k-- > 0;) {
        const struct memop *op = w->op[k];
        enum effect effect;

        if (sector < op->sector_from || sector >= op->sector_from + op->sector_count)
            continue;
        effect = effect_of(w, k, sector - op->sector_from, numbers[k < 64 ? k : 0]);
        if (effect != EFFECT_NONE &&
            same_bytes(op->sectors ? op->sectors[sector - op->sector_from] : NULL, is, len))
            return true;
        if (effect == EFFECT_SURELY)
            return false;
    }
    return same_bytes(durable, is, len);
}

/* The first sector that can not be so; NONE: all can. */
static size_t first_bad(const struct search *s, const struct writes *w, uint32_t ino,
                        uint32_t found)
{
    size_t count = (size_t)((w->size + MEM_SECTOR - 1) / MEM_SECTOR);

    for (size_t i = 0; i < count; i++) {
        uint64_t left = w->size - i * MEM_SECTOR;

        if (!sector_can(w, memtree_sector(&s->cut->durable, ino, i),
                        memtree_sector(s->found, found, i), i,
                        left < MEM_SECTOR ? (size_t)left : MEM_SECTOR))
            return i;
    }
    return NONE;
}

/* Can the operation have set this size: its own, or up to a sector inside it? */
static bool sets_size(const struct memop *op, uint64_t size)
{
    uint64_t first = op->sector_from * (uint64_t)MEM_SECTOR;

    if (op->size_before == op->size_after)
        return false;
    return op->size_after == size ||
           (op->kind == MEMOP_WRITE && size % MEM_SECTOR == 0 && size > first &&
            size > op->size_before && size < op->size_after);
}

/* With that one's size kept last: is there a choice for the others? */
static size_t bad_with(const struct search *s, struct writes *w, uint32_t ino, uint32_t found)
{
    unsigned truncations = 0;
    size_t bad = NONE;

    for (size_t k = 0; w->last != NONE && k <= w->last; k++)
        truncations += shrinks(w->op[k]);
    if (truncations > TRUNCATES_MAX)
        truncations = TRUNCATES_MAX;
    for (w->kept = 0; w->kept < 1u << truncations; w->kept++) {
        bad = first_bad(s, w, ino, found);
        if (bad == NONE)
            return NONE;
    }
    return bad;
}

static bool same_file(struct search *s, uint32_t ino, uint32_t found, const char *name)
{
    struct writes w = {.size = s->found->nodes[found]->size};
    bool size_can = false;
    size_t bad = NONE;
    bool same = false;

    for (size_t i = 0; i < s->cut->count; i++)
        if (!is_name(s->cut->pending[i].op) && s->cut->pending[i].op->ino == ino) {
            w.op = mem_grow(w.op, w.count + 1, &w.room, sizeof *w.op);
            w.op[w.count++] = s->cut->pending[i].op;
        }
    for (size_t k = 0; k <= w.count && !same; k++) {
        w.last = k == 0 ? NONE : k - 1;
        if (k == 0 ? s->cut->durable.nodes[ino]->size != w.size : !sets_size(w.op[k - 1], w.size))
            continue;
        size_can = true;
        bad = bad_with(s, &w, ino, found);
        same = bad == NONE;
    }
    free(w.op);
    if (!size_can)
        return no(s, "%s can not have %" PRIu64 " bytes", name, w.size);
    if (!same)
        return no(s, "%s, of %" PRIu64 " bytes, can not have these in sector %zu", name, w.size,
                  bad);
    return true;
}

/* -- names -- */

static bool same_node(struct search *s, uint32_t ino, uint32_t found, const char *name);

static size_t find_slot(const struct group *g, uint32_t dir, const char *name)
{
    for (size_t i = 0; i < g->slot_count; i++)
        if (g->slots[i].dir == dir && g->slots[i].name == name)
            return i;
    return NONE;
}

static struct group *group_of(const struct search *s, uint32_t dir, const char *name)
{
    for (size_t i = 0; i < s->group_count; i++)
        if (find_slot(&s->groups[i], dir, name) != NONE)
            return &s->groups[i];
    return NULL;
}

static bool group_add(struct search *s, struct group *g, size_t i)
{
    const struct memop *op = s->cut->pending[i].op;

    if (g->op_count == GROUP_MAX)
        return no(s, "%s: more operations on names than are tried out", op->name);
    g->ops[g->op_count++] = i;
    if (find_slot(g, op->dir, op->name) == NONE)
        g->slots[g->slot_count++] = (struct slot){op->dir, op->name};
    if (op->kind == MEMOP_RENAME && find_slot(g, op->dir_to, op->name_to) == NONE)
        g->slots[g->slot_count++] = (struct slot){op->dir_to, op->name_to};
    return true;
}

/* Two groups become one, in the order of operations. */
static bool group_join(struct search *s, struct group *to, struct group *from)
{
    struct group both = {0};
    size_t a = 0;
    size_t b = 0;

    while (a < to->op_count || b < from->op_count) {
        bool take_b = a == to->op_count || (b < from->op_count && from->ops[b] < to->ops[a]);

        if (!group_add(s, &both, take_b ? from->ops[b++] : to->ops[a++]))
            return false;
    }
    *to = both;
    *from = s->groups[--s->group_count];
    return true;
}

static bool make_groups(struct search *s)
{
    for (size_t i = 0; i < s->cut->count; i++) {
        const struct memop *op = s->cut->pending[i].op;
        struct group *g;
        struct group *other = NULL;

        if (s->cut->pending[i].clean)
            return no(s, "a sync failed: not provided for");
        if (!is_name(op))
            continue;
        if (op->kind == MEMOP_RENAME && op->dir != op->dir_to)
            return no(s, "%s: a rename to another directory: not provided for", op->name);
        g = group_of(s, op->dir, op->name);
        if (op->kind == MEMOP_RENAME)
            other = group_of(s, op->dir_to, op->name_to);
        if (!g && other) {
            g = other;
        } else if (!g) {
            s->groups = mem_grow(s->groups, s->group_count + 1, &s->group_room, sizeof *s->groups);
            g = &s->groups[s->group_count++];
            *g = (struct group){0};
        } else if (other && other != g) {
            struct group *low = g < other ? g : other;

            if (!group_join(s, low, g < other ? other : g))
                return false;
            g = low;
        }
        if (!group_add(s, g, i))
            return false;
    }
    return true;
}

/* Do the names of the group, where these operations are kept, stand as found? */
static bool group_fits(struct search *s, const struct group *g, unsigned kept, uint32_t dir)
{
    struct memtree t;
    bool fits = true;

    memtree_copy(&t, &s->cut->durable);
    for (size_t i = 0; i < g->op_count; i++)
        if (kept >> i & 1)
            powercut_do_name(&t, s->cut->pending[g->ops[i]].op);
    for (size_t i = 0; i < g->slot_count && fits; i++) {
        uint32_t ino = memtree_find(&t, g->slots[i].dir, g->slots[i].name);
        uint32_t found = memtree_find(s->found, dir, g->slots[i].name);

        fits = (ino == MEM_NONE) == (found == MEM_NONE);
        if (fits && ino != MEM_NONE)
            fits = same_node(s, ino, found, g->slots[i].name);
    }
    memtree_release(&t);
    return fits;
}

static bool group_can(struct search *s, const struct group *g, uint32_t found)
{
    for (unsigned kept = 0; kept < 1u << g->op_count; kept++)
        if (group_fits(s, g, kept, found))
            return true;
    return no(s, "%s can not be as it is, there or not", g->slots[0].name);
}

static bool same_dir(struct search *s, uint32_t ino, uint32_t found)
{
    const struct memnode *was = s->cut->durable.nodes[ino];
    const struct memnode *is = s->found->nodes[found];

    for (size_t i = 0; i < was->entry_count; i++) {
        const char *name = was->entries[i].name;
        uint32_t child = memtree_find(s->found, found, name);

        if (group_of(s, ino, name))
            continue;
        if (child == MEM_NONE)
            return no(s, "%s is missing", name);
        if (!same_node(s, was->entries[i].ino, child, name))
            return false;
    }
    for (size_t i = 0; i < is->entry_count; i++)
        if (!group_of(s, ino, is->entries[i].name) &&
            memtree_find(&s->cut->durable, ino, is->entries[i].name) == MEM_NONE)
            return no(s, "%s is more", is->entries[i].name);
    for (size_t i = 0; i < s->group_count; i++)
        if (s->groups[i].slots[0].dir == ino && !group_can(s, &s->groups[i], found))
            return false;
    return true;
}

static bool same_node(struct search *s, uint32_t ino, uint32_t found, const char *name)
{
    bool is_dir = s->cut->durable.nodes[ino]->is_dir;
    bool same;

    for (size_t i = 0; i < s->known_count; i++)
        if (s->known[i].ino == ino && s->known[i].found == found)
            return s->known[i].same;
    if (is_dir != s->found->nodes[found]->is_dir)
        same = no(s, "%s is of another kind", name);
    else
        same = is_dir ? same_dir(s, ino, found) : same_file(s, ino, found, name);
    s->known = mem_grow(s->known, s->known_count + 1, &s->known_room, sizeof *s->known);
    s->known[s->known_count++] = (struct known){ino, found, same};
    return same;
}

bool reachable(const struct powercut *cut, const struct memtree *found, char *why, size_t room)
{
    struct search s = {.cut = cut, .found = found, .why = why, .why_room = room};
    bool can;

    why[0] = '\0';
    can = make_groups(&s) && same_dir(&s, MEM_ROOT, MEM_ROOT);
    free(s.groups);
    free(s.known);
    if (can)
        why[0] = '\0'; /* of a choice that did not fit */
    return can;
}
