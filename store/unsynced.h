/*
 * store/unsynced: what has been made and must be on disk before it is used.
 *
 * Files and directories are noted as they are made, and synced together: few
 * of them by an fsync each, all at the same time, many by one syncfs. Few,
 * because a syncfs also waits for whatever else the file system has not
 * written yet: beside a program that writes 500 MB/s it took a second.
 *
 * One thread at a time. Zeroed but for `store` it is empty.
 */
#ifndef STORE_UNSYNCED_H
#define STORE_UNSYNCED_H

#include "base/err.h"
#include "base/fileio.h"
#include "store/format.h"

struct store;

struct unsynced {
    struct store *store;
    unsigned count; /* may pass the room there is: then it is one syncfs */
    struct fileio_sync what[FILEIO_SYNCS_MAX];
    char dir[FILEIO_SYNCS_MAX][STORE_PATH_MAX];
};

/* Makes a file of these bytes. -EEXIST. */
int unsynced_make(struct unsynced *u, const char *path, const void *data, size_t len) MUST_CHECK;
/* The names in a directory. */
void unsynced_dir(struct unsynced *u, const char *path);
/* Forgets what was noted after the first `count`: it is to be removed. */
void unsynced_cut(struct unsynced *u, unsigned count);
/* Are they too many for an fsync each? Where a syncfs fails, which of them is not
 * on disk nobody knows. */
bool unsynced_many(const struct unsynced *u);
/* Syncs all of it and forgets it, also on failure. */
int unsynced_sync(struct unsynced *u) MUST_CHECK;

#endif
