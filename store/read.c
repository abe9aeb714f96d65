/*
 * store/read: views of segments, and handing out their bytes. Finding messages
 * is in find.c.
 *
 * A reader takes the visible end once, finds the segment under partition.lock,
 * holds it open, and does everything else without a lock: below the visible
 * end nothing changes. What is visible of the newest segment is what the marks
 * say; a sealed one is all visible.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "store/inside.h"
#include "store/view.h"

#define LET_GO_BYTES ((uint64_t)1 << 20)

void view_mark(struct partition *part, struct mark *m)
{
    struct flusher *fl = &part->store->flusher;

    pthread_mutex_lock(&fl->lock);
    *m = part->visible;
    pthread_mutex_unlock(&fl->lock);
}

/* The last segment with base <= offset; lock held. */
size_t view_index(const struct partition *part, uint64_t offset)
{
    size_t low = 0;
    size_t high = part->segment_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (part->segments[middle]->base <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Where a sealed segment ends: where the next one begins, or the gap before it.
 * Lock held. */
static uint64_t segment_end(const struct partition *part, size_t i, uint64_t visible_end)
{
    const struct segment *next = i + 1 < part->segment_count ? part->segments[i + 1] : NULL;

    return next ? next->base - next->gap_bytes : visible_end;
}

/* The gap behind segment i, where there is one that the mark covers. Lock held. */
static bool gap_behind(const struct partition *part, size_t i, const struct mark *visible,
                       struct gap *g)
{
    const struct segment *next = i + 1 < part->segment_count ? part->segments[i + 1] : NULL;

    if (!next || next->gap_bytes == 0 || next->base > visible->offset)
        return false;
    *g = (struct gap){next->base - next->gap_bytes, next->base, next->gap_messages};
    return true;
}

bool view_gap(struct partition *part, uint64_t offset, const struct mark *visible, struct gap *g)
{
    bool found = false;

    pthread_mutex_lock(&part->lock);
    for (size_t i = view_index(part, offset); part->gaps && !found && i < part->segment_count; i++)
        found = gap_behind(part, i, visible, g);
    pthread_mutex_unlock(&part->lock);
    return found;
}

int partition_gap_next(struct partition *part, uint64_t offset, struct gap *g)
{
    struct mark visible;
    struct err err;
    int rc = partition_load(part, &err);

    if (rc < 0)
        return rc;
    view_mark(part, &visible);
    return view_gap(part, offset, &visible, g) ? 0 : -ENOENT;
}

/* What a sealed segment holds is read from its .idx once. The segment is used. */
static int learn_facts(struct partition *part, struct view *v)
{
    struct segment *seg = v->seg;
    struct idx_entry last = {0};
    uint64_t idx_bytes = 0;
    int rc = 0;

    if (!seg->no_index)
        rc = part->store->io->ops->size(part->store->io, seg->fd[SUFFIX_IDX], &idx_bytes);
    v->count = idx_bytes < IDX_HEADER_BYTES ? 0 : (idx_bytes - IDX_HEADER_BYTES) / IDX_ENTRY_BYTES;
    if (rc == 0 && v->count > 0)
        rc = segment_read_entry(seg, v->count - 1, &last);
    if (rc < 0)
        return rc;
    v->last_ms = seg->base_time_ms + last.time_ms;
    pthread_mutex_lock(&part->lock);
    seg->end = v->end;
    seg->count = v->count;
    seg->last_ms = v->last_ms;
    seg->facts_known = true;
    pthread_mutex_unlock(&part->lock);
    return 0;
}

/* What the newest segment shows. A roll since the mark was read sealed all that
 * the mark covers. */
static void view_newest(const struct segment *seg, const struct mark *visible, struct view *v)
{
    v->end = visible->offset > seg->base ? visible->offset : seg->base;
    v->count = visible->number > seg->base_number ? visible->number - seg->base_number : 0;
    v->last_ms = v->count > 0 ? visible->time_ms : seg->base_time_ms;
}

/* Segment i; lets partition.lock go. What a roll or the renewal of an empty
 * segment may change is read under it. */
int view_of(struct partition *part, size_t i, const struct mark *visible, struct view *v)
{
    struct segment *seg = part->segments[i];
    bool newest = i + 1 == part->segment_count;
    bool known = newest || seg->facts_known;
    struct err err;
    int rc = segment_use(seg, &err);

    *v = (struct view){seg, segment_end(part, i, visible->offset), seg->count, seg->last_ms,
                       !newest};
    if (rc == 0 && newest)
        view_newest(seg, visible, v);
    pthread_mutex_unlock(&part->lock);
    if (rc < 0)
        return rc == ERR_TORN ? ERR_DAMAGED : rc;
    if (!known)
        rc = learn_facts(part, v);
    if (rc < 0)
        segment_unuse(seg);
    return rc;
}

int view_at(struct partition *part, uint64_t offset, const struct mark *visible, struct view *v)
{
    struct gap gap;
    struct err err;
    size_t i;
    int rc = partition_load(part, &err);

    if (rc < 0)
        return rc;
    if (topic_removed(part->topic))
        return ERR_GONE;
    if (offset > visible->offset)
        return ERR_OUT_OF_RANGE;
    pthread_mutex_lock(&part->lock);
    i = view_index(part, offset);
    if (offset < part->segments[0]->base ||
        (gap_behind(part, i, visible, &gap) && offset >= gap.offset)) {
        pthread_mutex_unlock(&part->lock);
        return ERR_GONE;
    }
    return view_of(part, i, visible, v);
}

/* -- bytes -- */

/* Pages that were written from a mapping stay in it, and count as the process's
 * own for whoever looks. Each reader that leaves a MiB behind takes it out of
 * the mapping; the page cache keeps it. */
static void let_go_of_pages(const struct range *r)
{
    uint64_t from = r->pos & ~(LET_GO_BYTES - 1);
    uint64_t to = (r->pos + r->len) & ~(LET_GO_BYTES - 1);

    /* A hint: without it the pages just stay. */
    if (r->bytes && to > from)
        (void)!madvise((void *)(uintptr_t)(r->bytes - (r->pos - from)), to - from, MADV_DONTNEED);
}

void range_release(struct range *r)
{
    if (r->seg) {
        let_go_of_pages(r);
        segment_unuse(r->seg);
    }
    r->seg = NULL;
}

/* Takes over the view's use of the segment. */
static void range_fill(struct range *out, const struct view *v, uint64_t offset, uint64_t max)
{
    const char *map;

    out->seg = v->seg;
    out->offset = offset;
    out->pos = offset - v->seg->base;
    out->len = offset < v->end ? v->end - offset : 0;
    if (out->len > max)
        out->len = max;
    out->fd = v->seg->fd[SUFFIX_LOG];
    map = out->len > 0 ? segment_map(v->seg, out->pos + out->len) : NULL;
    out->bytes = map ? map + out->pos : NULL;
}

/* At the visible end of a partition that has failed: what its newest segment
 * holds may not even open. There is nothing to read there; not an error. */
static bool broken_end(const struct partition *part, uint64_t offset, const struct mark *visible,
                       struct range *out)
{
    if (!atomic_load(&part->failed) || offset != visible->offset)
        return false;
    *out = (struct range){.offset = offset, .fd = -1};
    return true;
}

int partition_range(struct partition *part, uint64_t offset, uint64_t max_bytes, struct range *out)
{
    struct mark visible;
    struct view v;
    int rc;

    view_mark(part, &visible);
    rc = view_at(part, offset, &visible, &v);
    if (rc == 0)
        range_fill(out, &v, offset, max_bytes);
    return rc < 0 && broken_end(part, offset, &visible, out) ? 0 : rc;
}

/* The first known damage that ends above offset; lock not held. */
static bool damage_from(struct partition *part, uint64_t offset, struct damage *d)
{
    bool found = false;

    pthread_mutex_lock(&part->lock);
    for (size_t i = 0; !found && i < part->damage_count; i++)
        if (part->damages[i].end > offset) {
            *d = part->damages[i];
            found = true;
        }
    pthread_mutex_unlock(&part->lock);
    return found;
}

/* The end of the last whole message of the view at or below limit, but at
 * least of the one that holds `offset`. */
static int whole_messages(const struct view *v, uint64_t offset, uint64_t limit, uint64_t *end)
{
    uint64_t base = v->seg->base;
    struct idx_entry e;
    uint64_t entry;
    uint32_t pos;
    uint32_t meta;
    int rc;

    if (limit >= v->end) {
        *end = v->end;
        return 0;
    }
    rc = segment_entry_holding(v->seg, v->count, limit - base, &entry);
    if (rc == 0)
        rc = segment_entry_start(v->seg, entry, &pos, &meta);
    if (rc == 0 && base + pos <= offset) {
        rc = segment_read_entry(v->seg, entry, &e); /* one message, longer than asked for */
        pos = e.end;
    }
    if (rc == 0)
        *end = base + pos;
    return rc;
}

int partition_messages(struct partition *part, uint64_t offset, uint64_t max_bytes,
                       struct range *out, uint64_t *skipped)
{
    struct damage d = {0};
    struct mark visible;
    struct gap gap;
    struct view v;
    uint64_t end = 0;
    struct err err;
    bool hurt;
    int rc = partition_load(part, &err); /* damage and gaps are known then */

    if (rc < 0)
        return rc;
    view_mark(part, &visible);
    for (;;) {
        if (view_gap(part, offset, &visible, &gap) && gap.offset <= offset) {
            offset = gap.end;
            continue;
        }
        hurt = damage_from(part, offset, &d);
        if (!hurt || d.offset > offset)
            break;
        offset = d.end;
        *skipped += d.messages;
    }
    rc = view_at(part, offset, &visible, &v);
    if (rc < 0)
        return broken_end(part, offset, &visible, out) ? 0 : rc;
    if (hurt && d.offset < v.end)
        v.end = d.offset;
    if (offset < v.end) {
        if (max_bytes > v.end - offset)
            max_bytes = v.end - offset;
        rc = whole_messages(&v, offset, offset + max_bytes, &end);
    }
    if (rc < 0) {
        segment_unuse(v.seg);
        return rc;
    }
    range_fill(out, &v, offset, end > offset ? end - offset : 0);
    return 0;
}

/* -- segments -- */

/* What a listing says of one. */
struct segment_facts {
    uint64_t base, end, last_ms;
    bool sealed;
};

static void stat_of(struct partition *part, const struct segment_facts *f, struct segment_stat *st)
{
    struct fileio_stat file;
    char path[STORE_PATH_MAX];
    int rc;

    path_of_segment(path, part->topic->name, part->index, f->base, SUFFIX_LOG);
    rc = topic_removed(part->topic) ? -ENOENT /* the name may be another topic's */
                                    : part->store->io->ops->stat(part->store->io, path, &file);
    *st = (struct segment_stat){
        .base = f->base,
        .visible_bytes = f->end - f->base,
        .disk_bytes = rc == 0 ? file.disk_bytes : f->end - f->base,
        .last_ms = f->last_ms,
        .sealed = f->sealed,
    };
}

static struct segment_facts facts_of(const struct view *v)
{
    return (struct segment_facts){v->seg->base, v->end, v->last_ms, v->sealed};
}

/* The place of the first segment with base >= from; partition.lock is held if
 * this returned 0. */
static int place_from(struct partition *part, uint64_t from, size_t *i)
{
    struct err err;
    int rc = topic_removed(part->topic) ? -ENOENT : partition_load(part, &err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&part->lock);
    *i = view_index(part, from);
    if (part->segments[*i]->base < from)
        ++*i;
    if (*i < part->segment_count)
        return 0;
    pthread_mutex_unlock(&part->lock);
    return -ENOENT;
}

int partition_segment_next(struct partition *part, uint64_t from, struct segment_stat *st)
{
    struct segment_facts facts;
    const struct segment *seg;
    struct mark visible;
    struct view v;
    size_t i;
    int rc;

    rc = place_from(part, from, &i);
    if (rc < 0)
        return rc;
    view_mark(part, &visible);
    seg = part->segments[i];
    if (i + 1 < part->segment_count && seg->facts_known) {
        facts = (struct segment_facts){seg->base, segment_end(part, i, 0), seg->last_ms, true};
        pthread_mutex_unlock(&part->lock);
    } else {
        rc = view_of(part, i, &visible, &v);
        if (rc < 0)
            return rc;
        facts = facts_of(&v);
        segment_unuse(v.seg);
    }
    stat_of(part, &facts, st);
    return 0;
}

/* What .clean says is enough for a partition of one segment. */
static bool only_one(struct partition *part, uint64_t *base)
{
    bool one;

    pthread_mutex_lock(&part->lock);
    one = part->clean && part->clean->first == part->clean->base;
    if (one)
        *base = part->clean->base;
    pthread_mutex_unlock(&part->lock);
    return one;
}

int partition_segment_after(struct partition *part, uint64_t from, uint64_t *base, bool *sealed)
{
    uint64_t only;
    size_t i;
    int rc;

    if (!topic_removed(part->topic) && only_one(part, &only)) {
        *base = only;
        *sealed = false;
        return only >= from ? 0 : -ENOENT;
    }
    rc = place_from(part, from, &i);
    if (rc < 0)
        return rc;
    *base = part->segments[i]->base;
    *sealed = i + 1 < part->segment_count;
    pthread_mutex_unlock(&part->lock);
    return 0;
}

/* A view of a segment that is held already. */
static int view_held(struct segment *seg, struct view *v)
{
    struct partition *part = seg->part;
    struct mark visible;

    view_mark(part, &visible);
    pthread_mutex_lock(&part->lock);
    if (part->segments[view_index(part, seg->base)] == seg)
        return view_of(part, view_index(part, seg->base), &visible, v);
    pthread_mutex_unlock(&part->lock); /* retention removed it; its facts are known */
    *v = (struct view){segment_get(seg), seg->end, seg->count, seg->last_ms, true};
    pthread_mutex_lock(&part->store->files_lock);
    seg->uses++;
    pthread_mutex_unlock(&part->store->files_lock);
    return 0;
}

int partition_segment_hold(struct partition *part, uint64_t base, struct segment **seg)
{
    struct mark visible;
    struct view v;
    size_t i;
    int rc;

    rc = place_from(part, base, &i);
    if (rc < 0)
        return rc;
    view_mark(part, &visible);
    if (part->segments[i]->base != base) {
        pthread_mutex_unlock(&part->lock);
        return -ENOENT;
    }
    rc = view_of(part, i, &visible, &v);
    if (rc == 0)
        *seg = v.seg;
    return rc;
}

void segment_release(struct segment *seg)
{
    segment_unuse(seg);
}

int segment_get_stat(struct segment *seg, struct segment_stat *st)
{
    struct view v;
    int rc = view_held(seg, &v);

    struct segment_facts facts;

    if (rc < 0)
        return rc;
    facts = facts_of(&v);
    stat_of(seg->part, &facts, st);
    segment_unuse(seg);
    return 0;
}

int segment_log_fd(const struct segment *seg)
{
    return seg->fd[SUFFIX_LOG];
}

int segment_range(struct segment *seg, uint64_t pos, uint64_t max_bytes, struct range *out)
{
    struct view v;
    int rc = view_held(seg, &v);

    if (rc == 0)
        range_fill(out, &v, seg->base + pos, max_bytes);
    return rc;
}

int partition_stat(struct partition *part, struct partition_stat *st)
{
    uint64_t missing = 0; /* in gaps */
    uint64_t number;
    struct mark visible;
    struct err err;
    struct view v;
    int rc;

    *st = (struct partition_stat){0};
    rc = topic_removed(part->topic) ? ERR_GONE : partition_load(part, &err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&part->lock);
    view_mark(part, &visible);
    st->first = part->segments[0]->base;
    st->sealed_end = part->segment_count > 1
                         ? segment_end(part, part->segment_count - 2, visible.offset)
                         : st->first;
    for (size_t i = 1; part->gaps && i < part->segment_count; i++)
        missing += part->segments[i]->gap_messages;
    for (size_t i = 0; i < part->damage_count; i++)
        st->damaged_messages += part->damages[i].messages;
    st->damaged_runs = (uint32_t)part->damage_count;
    st->why = part->why;
    st->failed = atomic_load(&part->failed);
    st->visible_end = visible.offset;
    if (st->sealed_end > st->visible_end)
        st->sealed_end = st->visible_end;
    st->last_ms = visible.time_ms;
    number = part->segments[0]->base_number;
    if (part->segments[0]->number_known) {
        pthread_mutex_unlock(&part->lock);
    } else {
        rc = view_of(part, 0, &visible, &v);
        if (rc < 0)
            return st->failed ? 0 : rc; /* how many messages a broken one has, nobody knows */
        number = v.seg->base_number;
        segment_unuse(v.seg);
    }
    if (visible.number > number + missing)
        st->messages = visible.number - number - missing;
    return 0;
}
