/*
 * base/overlay_table: the names of an overlay that are not simply those of the
 * disk below. Not for others; see overlay.h.
 */
#ifndef BASE_OVERLAY_TABLE_H
#define BASE_OVERLAY_TABLE_H

#include "base/overlay_file.h"

struct overlay_entry {
    struct overlay_entry *next; /* of its bucket */
    struct overlay_entry *next_added;
    char path[OVERLAY_PATH_MAX];
    struct overlay_file *file; /* NULL: there is no such name */
    bool added;                /* the disk below has no such name */
};

struct overlay_table {
    struct fileio *below;
    struct overlay_entry **bucket;
    size_t buckets, entries;
    struct overlay_entry *added; /* those that a listing of the disk below does not have */
};

struct overlay_entry *overlay_table_find(const struct overlay_table *t, const char *path);
/* Adds an entry for the path, which has none; takes over a reference of file.
 * NULL without memory. */
struct overlay_entry *overlay_table_add(struct overlay_table *t, const char *path,
                                        struct overlay_file *file, bool added);
void overlay_table_drop(struct overlay_table *t, struct overlay_entry *e);
void overlay_table_release(struct overlay_table *t);

#endif
