/* tests/support/memtree: see memtree.h. */
#include "tests/support/memtree.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);

    if (!p)
        abort();
    return p;
}

void *mem_grow(void *p, size_t count, size_t *room, size_t item)
{
    size_t want = *room ? *room : 4;

    if (count <= *room)
        return p;
    while (want < count)
        want += want / 2 + 1;
    p = realloc(p, want * item);
    if (!p)
        abort();
    *room = want;
    return p;
}

/* -- sectors -- */

struct memsector *memsector_get(struct memsector *s)
{
    if (s)
        s->refs++;
    return s;
}

void memsector_put(struct memsector *s)
{
    if (s && --s->refs == 0)
        free(s);
}

static struct memsector *sector_new(const struct memsector *copy)
{
    struct memsector *s = malloc(sizeof *s);

    if (!s)
        abort();
    if (copy)
        memcpy(s->bytes, copy->bytes, MEM_SECTOR);
    else
        memset(s->bytes, 0, MEM_SECTOR);
    s->refs = 1;
    s->hash = 0;
    return s;
}

/* -- nodes -- */

static void node_put(struct memnode *n)
{
    if (!n || --n->refs > 0)
        return;
    for (size_t i = 0; i < n->sector_count; i++)
        memsector_put(n->sectors[i]);
    free(n->sectors);
    free(n->entries);
    free(n);
}

static struct memnode *node_copy(const struct memnode *from)
{
    struct memnode *n = mem_alloc(sizeof *n);

    *n = *from;
    n->refs = 1;
    n->sector_room = n->sector_count;
    n->sectors = NULL;
    if (n->sector_count > 0)
        n->sectors = mem_alloc(n->sector_count * sizeof *n->sectors);
    for (size_t i = 0; i < n->sector_count; i++)
        n->sectors[i] = memsector_get(from->sectors[i]);
    n->entry_room = n->entry_count;
    n->entries = NULL;
    if (n->entry_count > 0) {
        n->entries = mem_alloc(n->entry_count * sizeof *n->entries);
        memcpy(n->entries, from->entries, n->entry_count * sizeof *n->entries);
    }
    return n;
}

/* The node, not shared with another tree; it is about to change. */
static struct memnode *node_own(struct memtree *t, uint32_t ino)
{
    struct memnode *n = t->nodes[ino];

    if (n->refs > 1) {
        t->nodes[ino] = node_copy(n);
        n->refs--;
    }
    t->nodes[ino]->hash = 0;
    return t->nodes[ino];
}

/* -- trees -- */

void memtree_init(struct memtree *t)
{
    *t = (struct memtree){0};
    memtree_make(t, MEM_ROOT, true);
}

void memtree_copy(struct memtree *to, const struct memtree *from)
{
    to->nodes = mem_alloc(from->count * sizeof *to->nodes);
    to->count = to->room = from->count;
    for (uint32_t i = 0; i < from->count; i++) {
        to->nodes[i] = from->nodes[i];
        if (to->nodes[i])
            to->nodes[i]->refs++;
    }
}

void memtree_release(struct memtree *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        node_put(t->nodes[i]);
    free(t->nodes);
    *t = (struct memtree){0};
}

void memtree_make(struct memtree *t, uint32_t ino, bool is_dir)
{
    size_t room = t->room;

    if (ino >= t->count) {
        t->nodes = mem_grow(t->nodes, (size_t)ino + 1, &room, sizeof *t->nodes);
        t->room = (uint32_t)room;
        memset(t->nodes + t->count, 0, (ino + 1 - t->count) * sizeof *t->nodes);
        t->count = ino + 1;
    }
    if (!t->nodes[ino]) {
        t->nodes[ino] = mem_alloc(sizeof **t->nodes);
        t->nodes[ino]->refs = 1;
        t->nodes[ino]->is_dir = is_dir;
    }
}

uint32_t memtree_add(struct memtree *t, bool is_dir)
{
    memtree_make(t, t->count, is_dir);
    return t->count - 1;
}

void memtree_drop(struct memtree *t, uint32_t ino)
{
    node_put(t->nodes[ino]);
    t->nodes[ino] = NULL;
}

const struct memnode *memtree_node(const struct memtree *t, uint32_t ino)
{
    return ino < t->count ? t->nodes[ino] : NULL;
}

/* -- names -- */

/* Looked up without a lock: a name that is once in a chain stays as it is. */
struct interned {
    struct interned *next;
    size_t len;
    uint32_t hash;
    char text[];
};

static _Atomic(struct interned *) interned_names[1024];
static pthread_mutex_t interned_lock = PTHREAD_MUTEX_INITIALIZER;

static struct interned *interned_find(uint32_t hash, const char *name, size_t len)
{
    struct interned *n = atomic_load_explicit(&interned_names[hash % 1024], memory_order_acquire);

    while (n && (n->hash != hash || n->len != len || memcmp(n->text, name, len) != 0))
        n = n->next;
    return n;
}

static struct interned *interned_add(uint32_t hash, const char *name, size_t len)
{
    struct interned *n;

    pthread_mutex_lock(&interned_lock);
    n = interned_find(hash, name, len);
    if (!n) {
        n = mem_alloc(sizeof *n + len + 1);
        n->len = len;
        n->hash = hash;
        memcpy(n->text, name, len);
        n->next = atomic_load_explicit(&interned_names[hash % 1024], memory_order_relaxed);
        atomic_store_explicit(&interned_names[hash % 1024], n, memory_order_release);
    }
    pthread_mutex_unlock(&interned_lock);
    return n;
}

const char *memtree_intern(const char *name, size_t len)
{
    uint32_t hash = (uint32_t)len;
    struct interned *n;
    size_t i = 0;
    uint32_t word;

    for (; i + 4 <= len; i += 4) {
        memcpy(&word, name + i, 4);
        hash = (hash ^ word) * 0x9e3779b1u;
        hash ^= hash >> 15;
    }
    for (; i < len; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    hash ^= hash >> 13;
    n = interned_find(hash, name, len);
    return n ? n->text : interned_add(hash, name, len)->text;
}

uint32_t memtree_find(const struct memtree *t, uint32_t dir, const char *name)
{
    const struct memnode *d = t->nodes[dir];

    for (size_t i = 0; i < d->entry_count; i++)
        if (d->entries[i].name == name)
            return d->entries[i].ino;
    return MEM_NONE;
}

void memtree_set(struct memtree *t, uint32_t dir, const char *name, uint32_t ino)
{
    struct memnode *d;
    size_t i;

    if (memtree_find(t, dir, name) == ino)
        return;
    d = node_own(t, dir);
    for (i = 0; i < d->entry_count && d->entries[i].name != name; i++)
        continue;
    if (ino == MEM_NONE) {
        d->entries[i] = d->entries[--d->entry_count];
        return;
    }
    if (i == d->entry_count) {
        d->entries = mem_grow(d->entries, i + 1, &d->entry_room, sizeof *d->entries);
        d->entry_count++;
    }
    d->entries[i] = (struct mementry){name, ino};
}

size_t memtree_names(const struct memtree *t, uint32_t ino)
{
    size_t names = 0;

    for (uint32_t i = 0; i < t->count; i++)
        if (t->nodes[i] && t->nodes[i]->is_dir)
            for (size_t k = 0; k < t->nodes[i]->entry_count; k++)
                names += t->nodes[i]->entries[k].ino == ino;
    return names;
}

void memtree_only_name(struct memtree *t, uint32_t ino, uint32_t dir, const char *name)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (!t->nodes[i] || !t->nodes[i]->is_dir)
            continue;
        for (size_t k = t->nodes[i]->entry_count; k-- > 0;) {
            const struct mementry *e = &t->nodes[i]->entries[k];

            if (e->ino == ino && (i != dir || e->name != name))
                memtree_set(t, i, e->name, MEM_NONE);
        }
    }
}

/* -- contents -- */

static bool all_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

struct memsector *memtree_sector(const struct memtree *t, uint32_t ino, size_t index)
{
    const struct memnode *n = t->nodes[ino];

    return index < n->sector_count ? n->sectors[index] : NULL;
}

static void sectors_reach(struct memnode *n, size_t count)
{
    if (count <= n->sector_count)
        return;
    n->sectors = mem_grow(n->sectors, count, &n->sector_room, sizeof *n->sectors);
    memset(n->sectors + n->sector_count, 0, (count - n->sector_count) * sizeof *n->sectors);
    n->sector_count = count;
}

void memtree_put_sector(struct memtree *t, uint32_t ino, size_t index, struct memsector *s)
{
    struct memnode *n;

    if (memtree_sector(t, ino, index) == s)
        return;
    n = node_own(t, ino);
    sectors_reach(n, index + 1);
    memsector_get(s);
    memsector_put(n->sectors[index]);
    n->sectors[index] = s;
}

/* A sector of an owned node, not shared with anybody. */
static struct memsector *sector_own(struct memnode *n, size_t index)
{
    struct memsector *s;

    sectors_reach(n, index + 1);
    s = n->sectors[index];
    if (!s) {
        n->sectors[index] = sector_new(NULL);
    } else if (s->refs > 1) {
        n->sectors[index] = sector_new(s);
        s->refs--;
    } else {
        s->hash = 0;
    }
    return n->sectors[index];
}

void memtree_poke(struct memtree *t, uint32_t ino, const void *data, size_t len, uint64_t pos)
{
    const uint8_t *from = data;
    struct memnode *n = len ? node_own(t, ino) : NULL;

    while (len > 0) {
        size_t index = (size_t)(pos / MEM_SECTOR);
        size_t at = (size_t)(pos % MEM_SECTOR);
        size_t piece = MEM_SECTOR - at < len ? MEM_SECTOR - at : len;
        bool hole = index >= n->sector_count || !n->sectors[index];

        if (!hole || !all_zero(from, piece))
            memcpy(sector_own(n, index)->bytes + at, from, piece);
        from += piece;
        pos += piece;
        len -= piece;
    }
}

void memtree_write(struct memtree *t, uint32_t ino, const void *data, size_t len, uint64_t pos)
{
    if (len == 0)
        return;
    memtree_poke(t, ino, data, len, pos);
    if (pos + len > t->nodes[ino]->size)
        node_own(t, ino)->size = pos + len;
}

size_t memtree_read(const struct memtree *t, uint32_t ino, void *to, size_t len, uint64_t pos)
{
    const struct memnode *n = t->nodes[ino];
    uint8_t *at = to;
    size_t left;

    if (pos >= n->size)
        return 0;
    if (len > n->size - pos)
        len = (size_t)(n->size - pos);
    for (left = len; left > 0;) {
        size_t index = (size_t)(pos / MEM_SECTOR);
        size_t skip = (size_t)(pos % MEM_SECTOR);
        size_t piece = MEM_SECTOR - skip < left ? MEM_SECTOR - skip : left;

        if (index >= n->sector_count)
            piece = left; /* zeros to the end */
        if (index < n->sector_count && n->sectors[index])
            memcpy(at, n->sectors[index]->bytes + skip, piece);
        else
            memset(at, 0, piece);
        at += piece;
        pos += piece;
        left -= piece;
    }
    return len;
}

void memtree_set_size(struct memtree *t, uint32_t ino, uint64_t size)
{
    if (t->nodes[ino]->size != size)
        node_own(t, ino)->size = size;
}

void memtree_trim(struct memtree *t, uint32_t ino)
{
    struct memnode *n = t->nodes[ino];
    size_t keep = (size_t)((n->size + MEM_SECTOR - 1) / MEM_SECTOR);
    size_t tail = (size_t)(n->size % MEM_SECTOR);

    if (n->sector_count > keep) {
        n = node_own(t, ino);
        while (n->sector_count > keep)
            memsector_put(n->sectors[--n->sector_count]);
    }
    if (tail > 0 && keep == n->sector_count && n->sectors[keep - 1] &&
        !all_zero(n->sectors[keep - 1]->bytes + tail, MEM_SECTOR - tail)) {
        n = node_own(t, ino);
        memset(sector_own(n, keep - 1)->bytes + tail, 0, MEM_SECTOR - tail);
    }
}

void memtree_resize(struct memtree *t, uint32_t ino, uint64_t size)
{
    memtree_set_size(t, ino, size);
    memtree_trim(t, ino);
}
