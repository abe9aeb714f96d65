/*
 * store/roll: sealing a partition's newest segment and beginning the next.
 *
 * Order, and what a power cut after each step leaves:
 *   1. flush direct, write the slot   - the old segment, all of it visible
 *   2. make the new .idx and .log     - an empty successor, or none of it
 *   3. fsync the directory            - the successor for good
 *   4. link sealed/<p>-<base>.log     - rebuilt at the next start if missing
 * So a segment with a successor is complete, and nothing that is not durable
 * is ever in any but the newest.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "store/inside.h"

int partition_seal_link(struct partition *part, struct segment *seg)
{
    struct fileio *io = part->store->io;
    char from[STORE_PATH_MAX];
    char to[STORE_PATH_MAX];
    int rc;

    path_of_segment(from, part->topic->name, part->index, seg->base, SUFFIX_LOG);
    path_of_sealed(to, part->topic->name, part->index, seg->base);
    rc = io->ops->link(io, from, to);
    return rc == -EEXIST ? 0 : rc;
}

static void begin_next(struct partition *part, struct segment *old)
{
    struct flusher *fl = &part->store->flusher;

    pthread_mutex_lock(&part->lock);
    old->end = part->appended.offset;
    old->count = part->appended.number - old->base_number;
    old->last_ms = old->count > 0 ? part->appended.time_ms : old->base_time_ms;
    old->facts_known = true;
    old->sealed = true;
    pthread_mutex_lock(&fl->lock);
    part->appended.meta_end = part->visible.meta_end = part->durable.meta_end = 0;
    pthread_mutex_unlock(&fl->lock);
    pthread_mutex_unlock(&part->lock);
    segment_unuse(old); /* the pin moves on to the next one, which was made used */
}

/* A new .idx under a temporary name, on disk: its descriptor. On failure nothing
 * of it is left (or goes at the next start). */
static int make_idx(struct partition *part, const char *tmp, const struct idx_header *h)
{
    struct fileio *io = part->store->io;
    uint8_t header[IDX_HEADER_BYTES];
    int fd;
    int rc = io->ops->unlink(io, tmp);

    if (rc < 0 && rc != -ENOENT)
        return rc;
    fd = io->ops->open(io, tmp, FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE);
    if (fd < 0)
        return fd;
    idx_header_encode(header, h);
    rc = fileio_write_bytes(io, fd, header, sizeof header, 0);
    if (rc == 0)
        rc = io->ops->fdatasync(io, fd);
    if (rc == 0)
        return fd;
    io->ops->close(io, fd);
    (void)!io->ops->unlink(io, tmp);
    return rc;
}

/* An empty segment has nothing to seal: its .idx is replaced by one with the
 * base time of now. If the rename or its fsync fails, nobody knows which of the
 * two a restart would find: the partition fails. */
static int renew_empty(struct partition *part, struct segment *seg, struct err *err)
{
    struct idx_header h = {seg->base, seg->base_number, store_wall_ms(part->store)};
    struct fileio *io = part->store->io;
    char dir[STORE_PATH_MAX];
    char name[STORE_PATH_MAX];
    char tmp[STORE_PATH_MAX];
    int fd;
    int rc;

    path_of_partition(dir, part->topic->name, part->index);
    path_of_segment(name, part->topic->name, part->index, seg->base, SUFFIX_IDX);
    snprintf(tmp, sizeof tmp, "%.260s/.%020" PRIu64 ".idx.tmp", dir, seg->base);
    fd = make_idx(part, tmp, &h);
    if (fd < 0)
        return err_set(err, fd, "%s: %s", name, err_sentence(fd));
    rc = io->ops->rename(io, tmp, name);
    if (rc == 0)
        rc = io->ops->sync_dir(io, dir);
    if (rc < 0) {
        io->ops->close(io, fd);
        partition_fail(part, rc, "renewing %s: %s", name, err_sentence(rc));
        return err_set(err, -EIO, "%s: %s", name, err_sentence(rc));
    }
    pthread_mutex_lock(&part->store->files_lock);
    io->ops->close(io, seg->fd[SUFFIX_IDX]);
    seg->fd[SUFFIX_IDX] = fd;
    pthread_mutex_unlock(&part->store->files_lock);
    pthread_mutex_lock(&part->lock);
    seg->base_time_ms = h.base_time_ms;
    seg->slot = (struct idx_slot){seg->base, 0};
    pthread_mutex_unlock(&part->lock);
    return 0;
}

static int make_next(struct partition *part, struct segment *old, struct err *err)
{
    struct segment *next = segment_new(part, part->appended.offset);
    bool left_over;
    int rc;

    if (!next)
        return err_set(err, -ENOMEM, "no memory for a segment");
    rc = segment_create(next, part->appended.number, store_wall_ms(part->store), &left_over, err);
    if (rc < 0 && left_over)
        partition_fail(part, rc, "a new segment could be neither made nor unmade: %s",
                       err_sentence(rc));
    if (rc == 0) {
        pthread_mutex_lock(&part->lock);
        rc = partition_add_segment(part, next);
        pthread_mutex_unlock(&part->lock);
        if (rc < 0) {
            /* It is on disk already: a later roll would find its name taken. */
            partition_fail(part, rc, "no memory for a segment");
            segment_unuse(next);
        }
    }
    if (rc < 0) {
        segment_put(next);
        return rc;
    }
    begin_next(part, old);
    return 0;
}

int partition_roll(struct partition *part, struct err *err)
{
    struct segment *old = partition_newest(part);
    int rc;

    flusher_claim(part);
    if (part->appended.offset == old->base) {
        rc = renew_empty(part, old, err);
    } else {
        rc = flusher_flush_claimed(part, err);
        if (rc == 0)
            rc = make_next(part, old, err);
        if (rc == 0 && partition_seal_link(part, old) < 0)
            diag_say("%s/sealed: cannot link %" PRIu32 "-%020" PRIu64 ".log: it will be there "
                     "after the next start",
                     part->topic->name, part->index, old->base);
    }
    flusher_unclaim(part);
    return rc;
}
