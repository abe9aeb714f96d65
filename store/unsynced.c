/* store/unsynced: see unsynced.h. */
#include "store/unsynced.h"

#include <stdio.h>

#include "store/inside.h"

_Static_assert(FILEIO_SYNCS_MAX <= SYNCFS_AT, "fewer are synced one by one");

int unsynced_make(struct unsynced *u, const char *path, const void *data, size_t len)
{
    struct fileio *io = u->store->io;
    int fd = io->ops->open(io, path, FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE);
    int rc = fd < 0 ? fd : fileio_write_bytes(io, fd, data, len, 0);

    /* A file that has its fsync coming stays open, so that it hears of a write-back
     * that failed; a syncfs hears of those of closed ones too. */
    if (rc == 0 && u->count < FILEIO_SYNCS_MAX)
        u->what[u->count] = (struct fileio_sync){.fd = fd};
    else if (fd >= 0)
        io->ops->close(io, fd);
    if (rc == 0)
        u->count++;
    return rc;
}

void unsynced_dir(struct unsynced *u, const char *path)
{
    if (u->count < FILEIO_SYNCS_MAX) {
        snprintf(u->dir[u->count], STORE_PATH_MAX, "%s", path);
        u->what[u->count] = (struct fileio_sync){.fd = -1, .dir = u->dir[u->count]};
    }
    u->count++;
}

void unsynced_cut(struct unsynced *u, unsigned count)
{
    for (unsigned i = count; i < u->count && i < FILEIO_SYNCS_MAX; i++)
        if (u->what[i].fd >= 0)
            u->store->io->ops->close(u->store->io, u->what[i].fd);
    if (u->count > count)
        u->count = count;
}

bool unsynced_many(const struct unsynced *u)
{
    return u->count > FILEIO_SYNCS_MAX;
}

int unsynced_sync(struct unsynced *u)
{
    int rc = unsynced_many(u) ? store_sync_everything(u->store)
                              : fileio_sync_all(u->store->io, u->what, (int)u->count);

    unsynced_cut(u, 0);
    return rc;
}
