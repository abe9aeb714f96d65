/* base/overlay_table: a hash table of paths. See overlay_table.h. */
#include "base/overlay_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t bucket_of(const struct overlay_table *t, const char *path)
{
    uint64_t h = 14695981039346656037u;

    for (; *path; path++)
        h = (h ^ (unsigned char)*path) * 1099511628211u;
    return (size_t)(h ^ h >> 32) & (t->buckets - 1);
}

struct overlay_entry *overlay_table_find(const struct overlay_table *t, const char *path)
{
    struct overlay_entry *e = t->buckets > 0 ? t->bucket[bucket_of(t, path)] : NULL;

    while (e && strcmp(e->path, path) != 0)
        e = e->next;
    return e;
}

static bool grow(struct overlay_table *t)
{
    size_t old = t->buckets;
    size_t buckets = old ? old * 2 : 64;
    struct overlay_entry **table = calloc(buckets, sizeof(struct overlay_entry *));
    struct overlay_entry **before = t->bucket;

    if (!table)
        return false;
    t->bucket = table;
    t->buckets = buckets;
    for (size_t i = 0; i < old; i++)
        for (struct overlay_entry *e = before[i], *next; e; e = next) {
            size_t b = bucket_of(t, e->path);

            next = e->next;
            e->next = table[b];
            table[b] = e;
        }
    free(before);
    return true;
}

struct overlay_entry *overlay_table_add(struct overlay_table *t, const char *path,
                                        struct overlay_file *file, bool added)
{
    struct overlay_entry *e = NULL;
    size_t b;

    if (t->entries < t->buckets || grow(t))
        e = calloc(1, sizeof *e);
    if (!e) {
        overlay_file_put(file, t->below);
        return NULL;
    }
    snprintf(e->path, sizeof e->path, "%s", path);
    e->file = file;
    e->added = added;
    b = bucket_of(t, path);
    e->next = t->bucket[b];
    t->bucket[b] = e;
    t->entries++;
    if (added) {
        e->next_added = t->added;
        t->added = e;
    }
    return e;
}

void overlay_table_drop(struct overlay_table *t, struct overlay_entry *e)
{
    struct overlay_entry **link = &t->bucket[bucket_of(t, e->path)];

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    if (e->added) {
        link = &t->added;
        while (*link != e)
            link = &(*link)->next_added;
        *link = e->next_added;
    }
    t->entries--;
    overlay_file_put(e->file, t->below);
    free(e);
}

void overlay_table_release(struct overlay_table *t)
{
    for (size_t i = 0; i < t->buckets; i++)
        while (t->bucket[i])
            overlay_table_drop(t, t->bucket[i]);
    free(t->bucket);
}
