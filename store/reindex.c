/*
 * store/repair: a new .idx for a segment that has lost its own. See repair.h.
 *
 * Where only the header is bad, the entries are kept: they verify without it.
 * Else the messages are told apart by their newlines, which goes where no value
 * can have one and no message has a .meta record. What a header says that the
 * entries do not is taken from the segments beside it: numbers join up, and no
 * message is younger than the next segment's making. When each message was
 * appended, nobody knows any more: they get the latest time that can be, so that
 * retention does not take them too early.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/plural.h"
#include "store/pass.h"
#include "store/repair.h"

#define WINDOW_BYTES ((size_t)1 << 20)
#define ENTRIES_ROOM ((size_t)4096) /* before they are written */

struct reindex {
    struct partition *part;
    struct fileio *io;
    const struct found_segment *seg;
    int log, old, fd; /* .log; what is left of the .idx, or -1; the new one */
    uint64_t log_bytes;
    bool kept; /* entries and slots are those of the old one */
    struct idx_header header;
    uint64_t count;   /* entries in the new one */
    uint32_t last_ms; /* time of its last entry */
    uint8_t *entries; /* not yet written */
    size_t waiting;
    char tmp[STORE_PATH_MAX];
};

static void path_of(const struct reindex *r, enum suffix suffix, char path[STORE_PATH_MAX])
{
    path_of_segment(path, r->part->topic->name, r->part->index, r->seg->base, suffix);
}

/* -- entries -- */

static int entries_write(struct reindex *r)
{
    int rc = fileio_write_bytes(r->io, r->fd, r->entries, r->waiting * IDX_ENTRY_BYTES,
                                IDX_HEADER_BYTES + (r->count - r->waiting) * IDX_ENTRY_BYTES);

    r->waiting = 0;
    return rc;
}

static int entry_add(struct reindex *r, uint64_t end, uint32_t crc)
{
    struct idx_entry e = {.end = (uint32_t)end};

    idx_entry_encode(r->entries + r->waiting * IDX_ENTRY_BYTES, &e, crc, r->seg->base);
    r->waiting++;
    r->count++;
    return r->waiting == ENTRIES_ROOM ? entries_write(r) : 0;
}

/* An entry for each line of the .log. */
static int entries_of_lines(struct reindex *r)
{
    uint8_t *window = malloc(WINDOW_BYTES);
    uint32_t crc = 0; /* of the line so far */
    int rc = window ? 0 : -ENOMEM;

    for (uint64_t pos = 0; rc == 0 && pos < r->log_bytes;) {
        size_t n = r->log_bytes - pos < WINDOW_BYTES ? (size_t)(r->log_bytes - pos) : WINDOW_BYTES;

        rc = fileio_read_all(r->io, r->log, window, n, pos);
        for (size_t at = 0; rc == 0 && at < n;) {
            const uint8_t *nl = memchr(window + at, '\n', n - at);
            size_t end = nl ? (size_t)(nl - window) + 1 : n;

            crc = crc32c_extend(crc, window + at, end - at);
            if (nl) {
                rc = entry_add(r, pos + end, crc);
                crc = 0;
            }
            at = end;
        }
        pos += n;
    }
    if (rc == 0 && r->waiting > 0)
        rc = entries_write(r);
    free(window);
    return rc;
}

/* The entries that are left, and the slots, as they stand. */
static int entries_copy(struct reindex *r, uint64_t bytes)
{
    uint8_t *window = malloc(WINDOW_BYTES);
    int rc = window ? 0 : -ENOMEM;

    for (uint64_t pos = 0; rc == 0 && pos < bytes;) {
        size_t n = bytes - pos < WINDOW_BYTES ? (size_t)(bytes - pos) : WINDOW_BYTES;

        rc = fileio_read_all(r->io, r->old, window, n, pos);
        if (rc == 0)
            rc = fileio_write_bytes(r->io, r->fd, window, n, pos);
        pos += n;
    }
    free(window);
    return rc;
}

/* Do entries of the old .idx verify? 1: *count of them stand there, the last at
 * *last_ms; they are worth keeping. */
static int old_entries(struct reindex *r, uint64_t *bytes)
{
    struct pass pass;
    struct pass_at from;
    char path[STORE_PATH_MAX];
    int meta;
    int rc;

    *bytes = 0;
    if (r->old < 0)
        return 0;
    path_of(r, SUFFIX_META, path);
    meta = r->io->ops->open(r->io, path, FILEIO_READ);
    rc = pass_open(&pass, r->io, r->log, r->old, meta, r->seg->base);
    if (rc == 0)
        rc = pass_run(&pass, UINT64_MAX);
    if (rc == 1 && pass.at.entry == 0)
        rc = pass_skip(&pass, &from); /* the first may be a bad one */
    if (rc >= 0)
        rc = pass.at.entry > 0;
    if (rc == 1) {
        r->count = pass.count;
        r->last_ms = pass.at.time_ms;
        *bytes = IDX_HEADER_BYTES + pass.count * IDX_ENTRY_BYTES;
    }
    pass_close(&pass);
    if (meta >= 0)
        r->io->ops->close(r->io, meta);
    return rc;
}

/* -- the header -- */

/* One flipped bit is put back: the checksum says which. */
static bool header_mend(const struct reindex *r, struct idx_header *h)
{
    uint8_t bytes[IDX_HEADER_BYTES] = {0};

    if (r->old < 0 || fileio_read_all(r->io, r->old, bytes, sizeof bytes, 0) < 0)
        return false;
    for (unsigned bit = 0; bit < 40u * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (idx_header_decode(bytes, h) == 0 && h->base_offset == r->seg->base)
            return true;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return false;
}

static uint64_t entries_of(const struct found_segment *s)
{
    return s->bytes[SUFFIX_IDX] < IDX_HEADER_BYTES
               ? 0
               : (s->bytes[SUFFIX_IDX] - IDX_HEADER_BYTES) / IDX_ENTRY_BYTES;
}

/* The base offset where nobody knows: no partition has more messages than bytes. */
static uint64_t base_number(const struct reindex *r, const struct found_segment *before,
                            const struct found_segment *next)
{
    if (next && next->header_valid && next->number >= r->count)
        return next->number - r->count;
    if (before && before->header_valid)
        return before->number + entries_of(before);
    return r->seg->base;
}

/* A segment that ended below this one on purpose has a slot that says so. */
static bool had_gap(const struct reindex *r, const struct found_segment *before)
{
    uint64_t end = before ? before->base + before->bytes[SUFFIX_LOG] : r->seg->base;

    return before && before->header_valid && end < r->seg->base && before->slot_end == end;
}

static void header_guess(struct reindex *r, const struct found_segment *before,
                         const struct found_segment *next)
{
    uint64_t latest =
        next && next->header_valid ? next->base_time_ms : store_wall_ms(r->part->store);

    r->header = (struct idx_header){
        .base_offset = r->seg->base,
        .base_number = base_number(r, before, next),
        .base_time_ms = latest > r->last_ms ? latest - r->last_ms : 0,
        .gap_before = had_gap(r, before),
    };
}

/* The slots of an old one, which have a checksum of their own, stay. */
static int header_write(struct reindex *r)
{
    uint8_t bytes[IDX_HEADER_BYTES];

    idx_header_encode(bytes, &r->header);
    return fileio_write_bytes(r->io, r->fd, bytes, r->kept ? IDX_SLOT_AT(0) : sizeof bytes, 0);
}

/* -- all of it -- */

static int open_files(struct reindex *r, struct err *err)
{
    char path[STORE_PATH_MAX];
    int rc;

    path_of(r, SUFFIX_LOG, path);
    r->log = r->io->ops->open(r->io, path, FILEIO_READ);
    if (r->log < 0)
        return err_set(err, r->log, "%s: %s", path, err_sentence(r->log));
    rc = r->io->ops->size(r->io, r->log, &r->log_bytes);
    if (rc < 0)
        return err_set(err, rc, "%s: %s", path, err_sentence(rc));
    path_of(r, SUFFIX_IDX, path);
    r->old = r->io->ops->open(r->io, path, FILEIO_READ);
    snprintf(r->tmp, sizeof r->tmp, "%.249s/%" PRIu32 "/.%020" PRIu64 ".idx.tmp",
             r->part->topic->name, r->part->index, r->seg->base);
    rc = r->io->ops->unlink(r->io, r->tmp);
    if (rc == 0 || rc == -ENOENT)
        r->fd = rc =
            r->io->ops->open(r->io, r->tmp, FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE);
    return rc < 0 ? err_set(err, rc, "%s: %s", r->tmp, err_sentence(rc)) : 0;
}

static int refuse(const struct reindex *r, const char *why, struct err *err)
{
    return err_set(err, ERR_DAMAGED,
                   "%s/%" PRIu32 "/%020" PRIu64 ".idx cannot be made: %s: restore it from a copy",
                   r->part->topic->name, r->part->index, r->seg->base, why);
}

static int fill(struct reindex *r, struct err *err)
{
    uint64_t bytes;
    int rc = old_entries(r, &bytes);

    if (rc == 1) {
        r->kept = true;
        return entries_copy(r, bytes);
    }
    if (rc < 0)
        return rc;
    if (topic_config(r->part->topic)->values_any)
        return refuse(r, "with values=any a newline does not end a message", err);
    if (r->seg->bytes[SUFFIX_META] > 0)
        return refuse(r, "which message has which .meta record nobody knows", err);
    if (r->log_bytes > INT32_MAX)
        return refuse(r, "its .log is too long", err);
    return entries_of_lines(r);
}

/* The new one takes the name. */
static int publish(struct reindex *r)
{
    char dir[STORE_PATH_MAX];
    char path[STORE_PATH_MAX];
    int rc = r->io->ops->fdatasync(r->io, r->fd);

    path_of(r, SUFFIX_IDX, path);
    path_of_partition(dir, r->part->topic->name, r->part->index);
    if (rc == 0)
        rc = r->io->ops->rename(r->io, r->tmp, path);
    return rc == 0 ? r->io->ops->sync_dir(r->io, dir) : rc;
}

static void close_files(struct reindex *r, bool discard)
{
    if (r->fd >= 0 && discard)
        (void)!r->io->ops->unlink(r->io, r->tmp); /* else the next start does */
    for (int *fd = &r->log; fd <= &r->fd; fd++)
        if (*fd >= 0)
            r->io->ops->close(r->io, *fd);
    free(r->entries);
}

int repair_index(struct partition *part, const struct found *found, size_t i, struct err *err)
{
    struct reindex r = {.part = part,
                        .io = part->store->io,
                        .seg = &found->seg[i],
                        .log = -1,
                        .old = -1,
                        .fd = -1,
                        .entries = malloc(ENTRIES_ROOM * IDX_ENTRY_BYTES)};
    const struct found_segment *before = i > 0 ? &found->seg[i - 1] : NULL;
    const struct found_segment *next = i + 1 < found->count ? &found->seg[i + 1] : NULL;
    struct err why = {0};
    int rc = r.entries ? open_files(&r, &why) : -ENOMEM;

    if (rc == 0)
        rc = fill(&r, &why);
    if (rc == 0) {
        if (!header_mend(&r, &r.header))
            header_guess(&r, before, next);
        rc = header_write(&r);
    }
    if (rc == 0)
        rc = publish(&r);
    if (rc == 0)
        found_say(part->store, FOUND_MADE_INDEX,
                  "%s/%" PRIu32 "/%020" PRIu64 ".idx: made anew, %s, for %" PRIu64 " message%s",
                  part->topic->name, part->index, r.seg->base,
                  r.kept ? "its header" : "from the lines of .log", r.count, plural(r.count));
    close_files(&r, rc < 0);
    if (rc < 0 && why.code == rc)
        return err_set(err, rc, "%s", why.text);
    return rc < 0 ? err_set(err, rc, "%s: %s", r.tmp, err_sentence(rc)) : 0;
}
