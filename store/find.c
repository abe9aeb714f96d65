/*
 * store/find: offsets, numbers and times of messages.
 *
 * An offset is looked for in the list of segments and then in one .idx; a number
 * by bisection over the segments' headers; a time in the first segment whose
 * newest message is not older. Segments without an index are passed over.
 */
#include <errno.h>

#include "store/view.h"

int partition_find(struct partition *part, uint64_t offset)
{
    struct mark visible;
    struct gap gap;
    struct view v;
    uint64_t entry;
    uint32_t start = 0;
    uint32_t meta;
    int rc;

    view_mark(part, &visible);
    if (offset == visible.offset)
        return 0;
    rc = view_at(part, offset, &visible, &v);
    if (rc == ERR_GONE && view_gap(part, offset, &visible, &gap) && gap.offset == offset)
        return 0;
    if (rc < 0)
        return rc;
    rc = segment_entry_holding(v.seg, v.count, offset - v.seg->base, &entry);
    if (rc == 0)
        rc = segment_entry_start(v.seg, entry, &start, &meta);
    if (rc == 0 && v.seg->base + start != offset)
        rc = ERR_NOT_A_BOUNDARY;
    segment_unuse(v.seg);
    return rc;
}

/* The base of the segment behind the one that holds `offset`; the visible end
 * where there is none. */
static uint64_t next_base(struct partition *part, uint64_t offset, const struct mark *visible)
{
    uint64_t base = visible->offset;
    size_t i;

    pthread_mutex_lock(&part->lock);
    i = view_index(part, offset) + 1;
    if (i < part->segment_count && part->segments[i]->base < base)
        base = part->segments[i]->base;
    pthread_mutex_unlock(&part->lock);
    return base;
}

/* Calls fn with a view of each segment from the one at `at` on until it returns
 * non-zero. One that cannot be opened is passed over; *damaged then. */
static int each_view(struct partition *part, uint64_t at, const struct mark *visible,
                     int (*fn)(struct view *v, uint64_t want, uint64_t *offset), uint64_t want,
                     uint64_t *offset, bool *damaged)
{
    uint64_t next;

    *damaged = false;
    for (;; at = next) {
        struct view v;
        int rc = view_at(part, at, visible, &v);

        next = next_base(part, at, visible);
        if (rc == 0) {
            *damaged |= v.seg->no_index;
            rc = fn(&v, want, offset);
            segment_unuse(v.seg);
        } else if (rc == -ENOENT || rc == ERR_DAMAGED) {
            *damaged = true;
            rc = 0;
        }
        if (rc != 0)
            return rc;
        if (next <= at || next >= visible->offset)
            return 0;
    }
}

/* The entries of a sealed segment are not verified before they are used. */
static int found_at(const struct view *v, uint32_t pos, uint64_t *offset)
{
    if (v->seg->base + pos > v->end)
        return ERR_DAMAGED;
    *offset = v->seg->base + pos;
    return 1;
}

static int number_in(struct view *v, uint64_t want, uint64_t *offset)
{
    uint32_t pos;
    uint32_t meta;
    int rc;

    if (want < v->seg->base_number)
        return ERR_GONE;
    if (want >= v->seg->base_number + v->count)
        return 0;
    rc = segment_entry_start(v->seg, want - v->seg->base_number, &pos, &meta);
    if (rc < 0)
        return rc;
    return found_at(v, pos, offset);
}

/* The base of segment i; UINT64_MAX where there is none, or none that the mark
 * knows of. */
static uint64_t base_of(struct partition *part, size_t i, const struct mark *visible)
{
    uint64_t base = UINT64_MAX;

    pthread_mutex_lock(&part->lock);
    if (i < part->segment_count && part->segments[i]->base <= visible->offset)
        base = part->segments[i]->base;
    pthread_mutex_unlock(&part->lock);
    return base;
}

/* Where to look for a number: the base of the last segment that begins at or
 * below it, by bisection; the oldest's where one on the way has no index. */
static uint64_t number_from(struct partition *part, uint64_t number, const struct mark *visible)
{
    uint64_t first = partition_first(part);
    uint64_t from = first;
    size_t low = 0;
    size_t high;

    pthread_mutex_lock(&part->lock);
    high = part->segment_count;
    pthread_mutex_unlock(&part->lock);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        uint64_t base = base_of(part, middle, visible);
        bool usable;
        struct view v;

        if (base == UINT64_MAX) {
            high = middle;
            continue;
        }
        usable = view_at(part, base, visible, &v) == 0;
        if (!usable || v.seg->no_index) {
            if (usable)
                segment_unuse(v.seg);
            return first;
        }
        if (v.seg->base_number <= number) {
            low = middle;
            from = base;
        } else {
            high = middle;
        }
        segment_unuse(v.seg);
    }
    return from;
}

/* One try: retention may remove the segments that are being looked at. */
static int find_number(struct partition *part, uint64_t number, const struct mark *visible,
                       uint64_t *offset)
{
    uint64_t from = number_from(part, number, visible);
    struct gap gap;
    bool damaged;
    int rc = each_view(part, from, visible, number_in, number, offset, &damaged);

    if (rc == 0) /* behind all messages, before the end: a gap, or some of them are lost */
        rc = view_gap(part, from, visible, &gap) ? ERR_GONE : ERR_DAMAGED;
    if (rc == ERR_GONE && damaged)
        rc = ERR_DAMAGED;
    return rc;
}

int partition_find_number(struct partition *part, uint64_t number, uint64_t *offset)
{
    struct mark visible;
    struct err err;
    uint64_t first;
    int rc;

    view_mark(part, &visible);
    if (number > visible.number)
        return ERR_OUT_OF_RANGE;
    if (number == visible.number) {
        *offset = visible.offset;
        return 0;
    }
    rc = partition_load(part, &err);
    if (rc < 0)
        return rc;
    do {
        first = partition_first(part);
        rc = find_number(part, number, &visible, offset);
    } while (rc < 0 && partition_first(part) != first);
    return rc == 1 ? 0 : rc;
}

static int time_in(struct view *v, uint64_t want, uint64_t *offset)
{
    uint64_t entry = 0;
    uint32_t pos = 0;
    uint32_t meta;
    int rc;

    if (v->count == 0 || v->last_ms < want)
        return 0;
    rc = segment_entry_at_time(
        v->seg, v->count, want > v->seg->base_time_ms ? want - v->seg->base_time_ms : 0, &entry);
    if (rc == 0)
        rc = segment_entry_start(v->seg, entry, &pos, &meta);
    if (rc < 0)
        return rc;
    return found_at(v, pos, offset);
}

/* The base of the first segment that is not known to be older than time_ms: those
 * are passed over without opening them. */
static uint64_t time_from(struct partition *part, uint64_t time_ms)
{
    size_t i = 0;
    uint64_t base;

    pthread_mutex_lock(&part->lock);
    while (i + 1 < part->segment_count && part->segments[i]->facts_known &&
           part->segments[i]->last_ms < time_ms)
        i++;
    base = part->segments[i]->base;
    pthread_mutex_unlock(&part->lock);
    return base;
}

int partition_find_time(struct partition *part, uint64_t time_ms, uint64_t *offset)
{
    struct mark visible;
    struct err err;
    bool damaged;
    uint64_t first;
    uint64_t from;
    int rc = partition_load(part, &err);

    if (rc < 0)
        return rc;
    view_mark(part, &visible);
    do { /* again where retention removed what was looked at */
        first = partition_first(part);
        from = time_from(part, time_ms);
        if (from > visible.offset) /* rolled since the mark */
            from = visible.offset;
        rc = each_view(part, from, &visible, time_in, time_ms, offset, &damaged);
    } while (rc < 0 && partition_first(part) != first);
    if (rc == 0)
        *offset = visible.offset;
    return rc < 0 ? rc : 0;
}

int partition_time_of(struct partition *part, uint64_t offset, uint64_t *time_ms)
{
    struct mark visible;
    struct view v;
    struct idx_entry entry;
    uint64_t i;
    int rc;

    view_mark(part, &visible);
    if (offset == visible.offset)
        return ERR_OUT_OF_RANGE;
    rc = view_at(part, offset, &visible, &v);
    if (rc < 0)
        return rc;
    rc = segment_entry_holding(v.seg, v.count, offset - v.seg->base, &i);
    if (rc == 0)
        rc = i < v.count ? segment_read_entry(v.seg, i, &entry) : ERR_DAMAGED;
    if (rc == 0)
        *time_ms = v.seg->base_time_ms + entry.time_ms;
    segment_unuse(v.seg);
    return rc;
}
