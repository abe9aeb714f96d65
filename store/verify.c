/*
 * store/verify: the newest segment from its durable slot on. See recover.h.
 *
 * One pass over the entries and the bytes they speak of, in windows, at the
 * speed of the CRC. An entry is good if its positions are in order and its CRC
 * agrees; its message begins where the one before it ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/diag.h"
#include "store/inside.h"
#include "store/recover.h"

#define WINDOW_ENTRIES 4096u
#define WINDOW_BYTES   ((uint64_t)1 << 20)

/* A window on one file, read with pread. */
struct window {
    int fd;
    uint64_t size; /* of the file */
    uint8_t *data;
    uint64_t pos, len, room;
};

struct verify {
    struct partition *part;
    struct segment *seg;
    struct fileio *io;
    struct window log, meta;
    uint8_t *entries; /* WINDOW_ENTRIES of them */
    uint64_t entries_at, entries_len;
    uint64_t count;   /* whole entries in .idx */
    uint64_t vouched; /* position: below it nothing may be cut */
    bool frozen;      /* the partition has failed: nothing is cut, and only what is
                       * vouched for is shown */

    /* Where the pass has come to: the entry, and the end of the one before. */
    uint64_t entry;
    uint32_t log_at, meta_at, time_at;
    /* The last end of a set. */
    uint64_t kept_count;
    uint32_t kept_log, kept_meta, kept_time;
};

static int window_open(struct verify *v, struct window *w, int fd)
{
    w->fd = fd;
    return fd < 0 ? 0 : v->io->ops->size(v->io, fd, &w->size);
}

/* [pos, pos+len) of the file; NULL where memory or the disk fail. */
static const uint8_t *window_at(struct verify *v, struct window *w, uint64_t pos, uint64_t len,
                                int *rc)
{
    static const uint8_t nothing[1];
    uint64_t want = len > WINDOW_BYTES ? len : WINDOW_BYTES;

    if (len == 0)
        return nothing;
    if (pos >= w->pos && pos + len <= w->pos + w->len)
        return w->data + (pos - w->pos);
    if (want > w->size - pos)
        want = w->size - pos;
    if (want > w->room) {
        uint8_t *data = realloc(w->data, want);

        if (!data) {
            *rc = -ENOMEM;
            return NULL;
        }
        w->data = data;
        w->room = want;
    }
    w->pos = pos;
    w->len = want;
    *rc = fileio_read_all(v->io, w->fd, w->data, want, pos);
    return *rc < 0 ? NULL : w->data;
}

static const uint8_t *entry_at(struct verify *v, uint64_t i, int *rc)
{
    if (i < v->entries_at || i >= v->entries_at + v->entries_len) {
        uint64_t n = v->count - i < WINDOW_ENTRIES ? v->count - i : WINDOW_ENTRIES;

        *rc = segment_read_entries(v->seg, i, (uint32_t)n, v->entries);
        if (*rc < 0)
            return NULL;
        v->entries_at = i;
        v->entries_len = n;
    }
    return v->entries + (i - v->entries_at) * IDX_ENTRY_BYTES;
}

/* Does entry i hold, if its message begins at log_at, its record at meta_at?
 * 1, 0, or -errno. */
static int entry_holds(struct verify *v, uint64_t i, uint32_t log_at, uint32_t meta_at,
                       struct idx_entry *e)
{
    int rc = 0;
    const uint8_t *bytes = entry_at(v, i, &rc);
    const uint8_t *data;
    uint32_t crc;

    if (!bytes)
        return rc;
    *e = idx_entry_decode(bytes);
    if (e->end <= log_at || e->end > v->log.size || e->meta_end < meta_at ||
        e->meta_end > v->meta.size || e->time_ms < v->time_at)
        return 0;
    data = window_at(v, &v->meta, meta_at, e->meta_end - meta_at, &rc);
    if (!data)
        return rc;
    crc = crc32c_extend(0, data, e->meta_end - meta_at);
    data = window_at(v, &v->log, log_at, e->end - log_at, &rc);
    if (!data)
        return rc;
    crc = crc32c_extend(crc, data, e->end - log_at);
    return idx_entry_crc(bytes, crc, v->seg->base) == e->crc;
}

static void advance(struct verify *v, const struct idx_entry *e)
{
    v->entry++;
    v->log_at = e->end;
    v->meta_at = e->meta_end;
    v->time_at = e->time_ms;
    if (!e->more) {
        v->kept_count = v->entry;
        v->kept_log = e->end;
        v->kept_meta = e->meta_end;
        v->kept_time = e->time_ms;
    }
}

/* Finds where entries verify again after a bad one below what is vouched for.
 * 1: found, the pass goes on there; 0: nowhere. */
static int skip_damage(struct verify *v)
{
    uint64_t begin = v->entry;
    uint64_t from = v->seg->base + v->log_at;

    for (uint64_t i = begin + 1; i < v->count; i++) {
        struct idx_entry before;
        struct idx_entry e;
        int rc = 0;
        const uint8_t *bytes = entry_at(v, i - 1, &rc);

        if (!bytes)
            return rc;
        before = idx_entry_decode(bytes);
        if (before.end <= v->log_at || before.end > v->log.size || before.meta_end < v->meta_at)
            continue;
        rc = entry_holds(v, i, before.end, before.meta_end, &e);
        if (rc < 0)
            return rc;
        if (rc == 1) {
            v->entry = i;
            v->log_at = before.end;
            v->meta_at = before.meta_end;
            diag_say("%s/%" PRIu32 ": damaged: %" PRIu64 " messages from %" PRIu64 " to %" PRIu64,
                     v->part->topic->name, v->part->index, i - begin, from,
                     v->seg->base + before.end);
            rc = partition_add_damage(v->part, from, v->seg->base + before.end, i - begin);
            return rc < 0 ? rc : 1;
        }
    }
    return 0;
}

static int pass(struct verify *v)
{
    while (v->entry < v->count) {
        struct idx_entry e;
        int rc;

        if (v->frozen && v->log_at >= v->vouched)
            break;
        rc = entry_holds(v, v->entry, v->log_at, v->meta_at, &e);

        if (rc < 0)
            return rc;
        if (rc == 1) {
            advance(v, &e);
            continue;
        }
        if (v->log_at >= v->vouched)
            break; /* a torn tail */
        rc = skip_damage(v);
        if (rc <= 0)
            return rc;
    }
    return 0;
}

/* The entry that ends at pos: 1; 0: none. What is above the slot may be
 * anything (zeros, where a size got to the disk without its bytes), which leads
 * a bisection astray: then every entry is looked at. */
static int entry_ending_at(struct verify *v, uint64_t pos, uint64_t *i, struct idx_entry *e)
{
    int rc = segment_entry_holding(v->seg, v->count, pos - 1, i);

    if (rc == 0 && *i < v->count)
        rc = segment_read_entry(v->seg, *i, e);
    if (rc < 0)
        return rc;
    if (*i < v->count && e->end == pos)
        return 1;
    for (*i = 0; *i < v->count; ++*i) {
        const uint8_t *bytes = entry_at(v, *i, &rc);

        if (!bytes)
            return rc;
        *e = idx_entry_decode(bytes);
        if (e->end == pos)
            return 1;
    }
    return 0;
}

/* The pass begins at the slot: at the entry that ends there. Where there is
 * none, or the files are shorter, it begins at the first. */
static int start_at_slot(struct verify *v)
{
    uint64_t slot_pos = v->seg->slot.end - v->seg->base;
    struct idx_entry e;
    uint64_t i;
    int rc;

    if (slot_pos == 0)
        return 0;
    rc = entry_ending_at(v, slot_pos, &i, &e);
    if (rc <= 0 || slot_pos > v->log.size || e.meta_end > v->meta.size)
        return rc < 0 ? rc : 0;
    v->entry = i;
    e.more = false; /* a slot stands at the end of a set */
    advance(v, &e);
    return 0;
}

static int cut_tail(struct verify *v)
{
    uint64_t idx_bytes;
    int rc = v->io->ops->size(v->io, v->seg->fd[SUFFIX_IDX], &idx_bytes);

    if (rc < 0)
        return rc;
    if (v->log.size == v->kept_log && v->meta.size == v->kept_meta &&
        idx_bytes == IDX_HEADER_BYTES + v->kept_count * IDX_ENTRY_BYTES)
        return 0;
    diag_say("%s/%" PRIu32 ": cut a torn tail at %" PRIu64 ": %" PRIu64 " bytes, %" PRIu64
             " messages that were never acknowledged",
             v->part->topic->name, v->part->index, v->seg->base + v->kept_log,
             v->log.size > v->kept_log ? v->log.size - v->kept_log : 0, v->count - v->kept_count);
    atomic_fetch_add(&v->part->store->messages_cut, v->count - v->kept_count);
    return segment_cut(v->seg, v->kept_log, v->kept_count, v->kept_meta);
}

static int verify_open(struct verify *v)
{
    uint64_t idx_bytes;
    int rc = window_open(v, &v->log, v->seg->fd[SUFFIX_LOG]);

    v->entries = malloc(WINDOW_ENTRIES * IDX_ENTRY_BYTES);
    if (!v->entries)
        return -ENOMEM;
    if (rc == 0)
        rc = window_open(v, &v->meta, v->seg->fd[SUFFIX_META]);
    if (rc == 0)
        rc = v->io->ops->size(v->io, v->seg->fd[SUFFIX_IDX], &idx_bytes);
    if (rc == 0)
        v->count = (idx_bytes - IDX_HEADER_BYTES) / IDX_ENTRY_BYTES;
    return rc;
}

static struct mark kept_mark(const struct verify *v)
{
    return (struct mark){
        .offset = v->seg->base + v->kept_log,
        .number = v->seg->base_number + v->kept_count,
        .time_ms = v->kept_count > 0 ? v->seg->base_time_ms + v->kept_time : 0,
        .meta_end = v->kept_meta,
    };
}

static void set_marks(const struct verify *v)
{
    struct mark at = kept_mark(v);

    partition_set_marks(v->part, &at);
}

/* Everything below the vouched end that is there stays readable; what is not
 * there can not be written over, so nothing is appended any more. */
static int too_short(struct verify *v)
{
    set_marks(v);
    partition_fail(v->part, ERR_DAMAGED,
                   "damaged: its files end at %" PRIu64 ", and it had been flushed to %" PRIu64,
                   v->seg->base + v->kept_log, v->seg->base + v->vouched);
    return 0;
}

int verify_partition(struct partition *part, struct mark *slot, struct err *err)
{
    struct verify v = {.part = part, .seg = partition_newest(part), .io = part->store->io};
    int rc = segment_use(v.seg, err);

    if (rc < 0)
        return rc;
    v.frozen = atomic_load(&part->failed);
    v.vouched = v.seg->slot.end - v.seg->base;
    if (part->vouched > v.seg->slot.end)
        v.vouched = part->vouched - v.seg->base;
    rc = verify_open(&v);
    if (rc == 0)
        rc = start_at_slot(&v);
    *slot = kept_mark(&v);
    partition_set_marks(part, slot); /* until more is known */
    if (rc == 0)
        rc = pass(&v);
    if (rc == 0 && v.kept_log < v.vouched) {
        rc = too_short(&v);
    } else if (rc == 0) {
        rc = v.frozen ? 0 : cut_tail(&v);
        if (rc == 0)
            set_marks(&v);
    }
    if (rc < 0)
        err_set(err, rc, "%s/%" PRIu32 ": %s", part->topic->name, part->index, err_sentence(rc));
    free(v.entries);
    free(v.log.data);
    free(v.meta.data);
    segment_unuse(v.seg);
    return rc;
}

static int copy_over(struct fileio *io, int fd, uint64_t from, uint64_t to, uint8_t *room)
{
    int rc = 0;

    while (rc == 0 && from < to) {
        size_t n = to - from < WINDOW_BYTES ? (size_t)(to - from) : WINDOW_BYTES;

        rc = fileio_read_all(io, fd, room, n, from);
        if (rc == 0)
            rc = fileio_write_bytes(io, fd, room, n, from);
        from += n;
    }
    return rc;
}

int verify_rewrite(struct partition *part, const struct mark *slot)
{
    struct fileio *io = part->store->io;
    struct segment *seg = partition_newest(part);
    const struct mark *end = &part->appended;
    uint8_t *room = malloc(WINDOW_BYTES);
    int rc;

    if (!room)
        return -ENOMEM;
    rc =
        copy_over(io, seg->fd[SUFFIX_LOG], slot->offset - seg->base, end->offset - seg->base, room);
    if (rc == 0 && seg->fd[SUFFIX_META] >= 0)
        rc = copy_over(io, seg->fd[SUFFIX_META], slot->meta_end, end->meta_end, room);
    if (rc == 0)
        rc = copy_over(io, seg->fd[SUFFIX_IDX],
                       IDX_HEADER_BYTES + (slot->number - seg->base_number) * IDX_ENTRY_BYTES,
                       IDX_HEADER_BYTES + (end->number - seg->base_number) * IDX_ENTRY_BYTES, room);
    free(room);
    return rc;
}
