/*
 * store/roll: sealing a partition's newest segment and beginning the next, where
 * it ends or, behind a gap, further on.
 *
 * Order, and what a power cut after each step leaves:
 *   1. flush direct, write the slot   - the old segment, all of it visible
 *   2. make the new .prod, its name durable, where producers are known
 *                                     - a .prod by itself, which is a left-over
 *      make the new .idx and .log     - an empty successor, or none of it
 *   3. fsync the directory            - the successor for good
 *   4. link sealed/<p>-<base>.log     - rebuilt at the next start if missing
 * So a segment with a successor is complete, and nothing that is not durable
 * is ever in any but the newest.
 *
 * Before a gap the slot of 1. is flushed too, or the emptiness of the old segment.
 * The successor's base does not say where the old segment ends, and the next start
 * has to know whether all of it is there.
 *
 * An empty segment has nothing to seal. A roll gives its .idx a new base time. A
 * gap takes its place: 5. its files are unlinked, which a start makes good that
 * finds something empty before a gap.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "store/inside.h"

/* `next` is the newest from now on; all three marks stand at its base. Lock held,
 * but not the flusher's. *list: who waited for what the gap has passed. */
static void begin_next(struct partition *part, struct segment *old, const struct segment *next,
                       struct waiter **list)
{
    struct flusher *fl = &part->store->flusher;
    bool gap = next->base > part->appended.offset;

    old->end = part->appended.offset;
    old->count = part->appended.number - old->base_number;
    old->last_ms = old->count > 0 ? part->appended.time_ms : old->base_time_ms;
    old->facts_known = true;
    old->sealed = true;
    old->file_bytes += old->end - old->base + IDX_HEADER_BYTES + old->count * IDX_ENTRY_BYTES +
                       part->appended.meta_end;
    pthread_mutex_lock(&fl->lock);
    part->appended.offset = next->base;
    part->appended.number = next->base_number;
    part->appended.meta_end = 0;
    partition_set_marks(part, &part->appended);
    if (gap)
        flush_take_waiters(part, 0, list);
    pthread_mutex_unlock(&fl->lock);
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
    struct idx_header h = {seg->base, seg->base_number, store_wall_ms(part->store),
                           seg->gap_before};
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

/* What was replaced is empty: what stays of it goes at the next start. */
static void unlink_empty(struct partition *part, const struct segment *seg)
{
    struct fileio *io = part->store->io;
    char name[STORE_PATH_MAX];
    int rc = 0;

    for (int i = 0; rc == 0 && i < SUFFIX_KNOWN; i++) {
        path_of_segment(name, part->topic->name, part->index, seg->base, (enum suffix)i);
        rc = io->ops->unlink(io, name);
        if (rc == -ENOENT)
            rc = 0;
    }
    if (rc < 0)
        diag_say("%s: %s: it will be removed at the next start", name, err_sentence(rc));
}

/* Puts `next` at the end of the list; in the place of `old` where that is empty
 * and there is a gap between them. */
static int replace_newest(struct partition *part, struct segment *old, struct segment *next,
                          bool replace)
{
    struct waiter *list = NULL;
    int rc = 0;

    pthread_mutex_lock(&part->lock);
    if (replace) {
        part->segments[part->segment_count - 1] = next;
        part->gaps |= next->gap_bytes > 0;
    } else {
        rc = partition_add_segment(part, next);
    }
    if (rc == 0)
        begin_next(part, old, next, &list);
    if (rc == 0 && !replace)
        part->retention.sealed_bytes += old->file_bytes;
    pthread_mutex_unlock(&part->lock);
    if (rc < 0)
        return rc;
    segment_unuse(old); /* the pin moves on to the next one, which was made used */
    flush_tell(&part->store->flusher, list);
    metrics_add(&part->store->metrics, COUNT_SEGMENTS_BEGUN, 1);
    return 0;
}

static bool is_first(struct partition *part, const struct segment *seg)
{
    bool first;

    pthread_mutex_lock(&part->lock);
    first = part->segments[0] == seg;
    pthread_mutex_unlock(&part->lock);
    return first;
}

/* Makes the segment that h describes, behind `old`, which is flushed or empty. */
static int make_next(struct partition *part, struct segment *old, const struct idx_header *h,
                     struct err *err)
{
    bool replace = h->gap_before && part->appended.offset == old->base;
    struct segment *next = segment_new(part, h->base_offset);
    struct buf prod = {0};
    bool left_over = false;
    int rc;

    if (!next)
        return err_set(err, -ENOMEM, "no memory for a segment");
    if (h->gap_before && (!replace || !is_first(part, old))) {
        next->gap_bytes = h->base_offset - part->appended.offset;
        next->gap_messages = h->base_number - part->appended.number;
        if (replace) { /* and what was missing before it */
            next->gap_bytes += old->gap_bytes;
            next->gap_messages += old->gap_messages;
        }
    }
    rc = producers_for_roll(part, &prod, err);
    if (rc == 0)
        rc = segment_create(next, h, &prod, &left_over, err);
    next->file_bytes = prod.len;
    buf_release(&prod);
    if (rc < 0 && left_over)
        partition_fail(part, rc, "a new segment could be neither made nor unmade: %s",
                       err_sentence(rc));
    if (rc == 0) {
        rc = replace_newest(part, old, next, replace);
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
    if (replace) {
        unlink_empty(part, old);
        segment_put(old);
    }
    return 0;
}

static void link_sealed(struct partition *part, struct segment *seg)
{
    int rc = partition_seal_link(part, seg);

    if (rc == 0)
        return;
    part->store->links_missing |= rc != -EPERM && rc != -EOPNOTSUPP; /* or it has none at all */
    diag_say("%s/sealed: cannot link %" PRIu32 "-%020" PRIu64 ".log: it will be there "
             "after the next start",
             part->topic->name, part->index, seg->base);
}

int partition_roll(struct partition *part, struct err *err)
{
    struct segment *old = partition_newest_led(part);
    int rc;

    flusher_claim(part);
    if (part->appended.offset == old->base) {
        rc = renew_empty(part, old, err);
    } else {
        struct idx_header h = {part->appended.offset, part->appended.number,
                               store_wall_ms(part->store), false};

        rc = flusher_flush_claimed(part, err);
        if (rc == 0)
            rc = make_next(part, old, &h, err);
        if (rc == 0)
            link_sealed(part, old);
    }
    flusher_unclaim(part);
    return rc;
}

/* -- gaps -- */

static int check_skip(const struct partition *part, uint64_t offset, uint64_t number,
                      struct err *err)
{
    const struct mark *end = &part->appended;
    const char *topic = part->topic->name;

    if (offset < end->offset)
        return err_set(err, -EEXIST,
                       "%s/%" PRIu32 ": a gap up to %" PRIu64 ": there are messages up to %" PRIu64,
                       topic, part->index, offset, end->offset);
    if (offset > INT64_MAX)
        return err_set(err, -EINVAL, "%s/%" PRIu32 ": a gap up to %" PRIu64 ": no file is so long",
                       topic, part->index, offset);
    /* A message has at least one byte. */
    if (number < end->number || number - end->number > offset - end->offset)
        return err_set(err, -EINVAL,
                       "%s/%" PRIu32 ": a gap from %" PRIu64 " to %" PRIu64
                       " cannot go on at message %" PRIu64 ": the next one is %" PRIu64,
                       topic, part->index, end->offset, offset, number, end->number);
    return 0;
}

/* On disk: the slot that the flush has written; of an empty segment, that it is
 * empty. What was cut from its .log may come back after a crash else, and would
 * stand before the gap. */
static int sync_end(struct partition *part, struct segment *seg, bool empty, struct err *err)
{
    struct fileio *io = part->store->io;
    int rc = 0;

    for (int i = 0; rc == 0 && i < SUFFIX_COUNT; i++)
        if (seg->fd[i] >= 0 && (empty || i == SUFFIX_IDX))
            rc = io->ops->fdatasync(io, seg->fd[i]);
    if (rc < 0) {
        partition_fail(part, rc, "flush of its files: %s", err_sentence(rc));
        err_set(err, -EIO, "flush: %s", err_sentence(rc));
        rc = -EIO;
    }
    return rc;
}

/* The caller leads. */
static int skip(struct partition *part, uint64_t offset, uint64_t number, struct err *err)
{
    struct segment *old = partition_newest_led(part);
    struct idx_header h = {offset, number, store_wall_ms(part->store), true};
    bool empty = part->appended.offset == old->base;
    int rc = check_skip(part, offset, number, err);

    if (rc < 0 || offset == part->appended.offset)
        return rc;
    flusher_claim(part);
    if (!empty)
        rc = flusher_flush_claimed(part, err);
    if (rc == 0)
        rc = sync_end(part, old, empty, err);
    if (rc == 0)
        rc = make_next(part, old, &h, err);
    if (rc == 0 && !empty)
        link_sealed(part, old);
    flusher_unclaim(part);
    return rc;
}

int partition_skip_to(struct partition *part, uint64_t offset, uint64_t number, struct err *err)
{
    int rc = partition_lead(part, err);

    if (rc < 0)
        return rc;
    rc = skip(part, offset, number, err);
    partition_unlead(part);
    return rc;
}
