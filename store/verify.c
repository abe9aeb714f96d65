/*
 * store/verify: the newest segment from its durable slot on, in one pass
 * (pass.h). See recover.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/plural.h"
#include "store/findings.h"
#include "store/inside.h"
#include "store/pass.h"
#include "store/recover.h"

#define WINDOW_BYTES ((uint64_t)1 << 20)

struct verify {
    struct partition *part;
    struct segment *seg;
    struct fileio *io;
    struct pass pass;
    uint64_t vouched; /* position: below it nothing may be cut */
    bool frozen;      /* the partition has failed: nothing is cut, and only what is
                       * vouched for is shown */
};

/* What lies between `from` and where the pass is now is damaged. */
static int note_damage(struct verify *v, const struct pass_at *from)
{
    struct damage d = damage_between(v->seg->base, v->seg->base_number, from, &v->pass.at);
    bool known;
    int rc = damage_add(v->part, &d, &known);

    if (rc < 0 || known)
        return rc;
    found_say(v->part->store, FOUND_MESSAGES,
              "%s/%" PRIu32 ": damaged: %" PRIu64 " message%s from %" PRIu64 " to %" PRIu64,
              v->part->topic->name, v->part->index, d.messages, plural(d.messages), d.offset,
              d.end);
    return 0;
}

/* Verifies to the end, or to what is vouched for; damage below that is noted and
 * passed over. Stops at a torn tail, or where nothing verifies any more. */
static int verify_entries(struct verify *v)
{
    for (;;) {
        struct pass_at from;
        int rc = pass_run(&v->pass, v->frozen ? v->vouched : UINT64_MAX);

        if (rc <= 0)
            return rc;
        if (v->pass.at.log >= v->vouched)
            return 0; /* a torn tail */
        rc = pass_skip(&v->pass, &from);
        if (rc <= 0)
            return rc;
        rc = note_damage(v, &from);
        if (rc < 0)
            return rc;
    }
}

/* The entry that ends at pos: 1; 0: none. What is above the slot may be
 * anything (zeros, where a size got to the disk without its bytes), which leads
 * a bisection astray: then every entry is looked at. */
static int entry_ending_at(struct verify *v, uint64_t pos, uint64_t *i, struct idx_entry *e)
{
    uint64_t count = v->pass.count;
    int rc = segment_entry_holding(v->seg, count, pos - 1, i);

    if (rc == 0 && *i < count)
        rc = segment_read_entry(v->seg, *i, e);
    if (rc < 0)
        return rc;
    if (*i < count && e->end == pos)
        return 1;
    for (*i = 0; *i < count; ++*i) {
        rc = pass_entry(&v->pass, *i, e);
        if (rc < 0)
            return rc;
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
    if (rc <= 0 || slot_pos > v->pass.log.size || e.meta_end > v->pass.meta.size)
        return rc < 0 ? rc : 0;
    pass_seek(&v->pass, &(struct pass_at){i + 1, e.end, e.meta_end, e.time_ms});
    /* That entry is not verified: were its time too late, none behind it would hold. */
    v->pass.at.time_ms = 0;
    return 0;
}

static int cut_tail(struct verify *v)
{
    const struct pass_at *kept = &v->pass.kept;
    uint64_t bytes = v->pass.log.size > kept->log ? v->pass.log.size - kept->log : 0;
    uint64_t messages = v->pass.count - kept->entry;
    uint64_t idx_bytes;
    int rc = v->io->ops->size(v->io, v->seg->fd[SUFFIX_IDX], &idx_bytes);

    if (rc < 0)
        return rc;
    if (v->pass.log.size == kept->log && v->pass.meta.size == kept->meta &&
        idx_bytes == IDX_HEADER_BYTES + kept->entry * IDX_ENTRY_BYTES)
        return 0;
    found_say(v->part->store, FOUND_TORN_TAIL,
              "%s/%" PRIu32 ": cut a torn tail at %" PRIu64 ": %" PRIu64 " byte%s, %" PRIu64
              " message%s, never acknowledged",
              v->part->topic->name, v->part->index, v->seg->base + kept->log, bytes, plural(bytes),
              messages, plural(messages));
    atomic_fetch_add(&v->part->store->messages_cut, messages);
    return segment_cut(v->seg, kept->log, kept->entry, kept->meta);
}

static struct mark kept_mark(const struct verify *v)
{
    const struct pass_at *kept = &v->pass.kept;

    return (struct mark){
        .offset = v->seg->base + kept->log,
        .number = v->seg->base_number + kept->entry,
        .time_ms = kept->entry > 0 ? v->seg->base_time_ms + kept->time_ms : 0,
        .meta_end = kept->meta,
    };
}

static void set_marks(const struct verify *v)
{
    struct mark at = kept_mark(v);

    partition_set_marks(v->part, &at);
}

/* .clean goes with this start. The next one is to know from the slot that there
 * had been more. */
static int slot_for_clean(const struct verify *v)
{
    int rc = segment_write_slot(v->seg, v->part->clean_end);

    return rc == 0 ? v->io->ops->fdatasync(v->io, v->seg->fd[SUFFIX_IDX]) : rc;
}

/* Everything below the vouched end that is there stays readable; what is not
 * there can not be written over, so nothing is appended any more. */
static int too_short(struct verify *v)
{
    int rc = v->part->clean_end > v->seg->slot.end ? slot_for_clean(v) : 0;

    if (rc < 0)
        return rc;
    set_marks(v);
    partition_fail(v->part, ERR_DAMAGED,
                   "damaged: its files end at %" PRIu64 ", and it had been flushed to %" PRIu64,
                   v->seg->base + v->pass.kept.log, v->seg->base + v->vouched);
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
    rc = pass_open(&v.pass, v.io, v.seg->fd[SUFFIX_LOG], v.seg->fd[SUFFIX_IDX],
                   v.seg->fd[SUFFIX_META], v.seg->base);
    if (rc == 0)
        rc = start_at_slot(&v);
    *slot = kept_mark(&v);
    partition_set_marks(part, slot); /* until more is known */
    if (rc == 0)
        rc = verify_entries(&v);
    if (rc == 0 && v.pass.kept.log < v.vouched) {
        rc = too_short(&v);
    } else if (rc == 0) {
        rc = v.frozen ? 0 : cut_tail(&v);
        if (rc == 0)
            set_marks(&v);
    }
    /* Where the slot's own entry is damaged the pass began at the first: still
     * nothing stands above the slot, and nothing is written again. */
    if (rc == 0 && part->appended.offset == v.seg->slot.end)
        *slot = part->appended;
    if (rc < 0)
        err_set(err, rc, "%s/%" PRIu32 ": %s", part->topic->name, part->index, err_sentence(rc));
    pass_close(&v.pass);
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
