/*
 * store/scan: which segments a partition's directory holds. See recover.h.
 *
 * What may be there after a crash, and what becomes of it:
 *   .<20 digits>.idx.tmp           a segment being made             deleted
 *   last:  empty .log, no valid .idx       the same                 deleted
 *   last:  .idx without entries, no .log   the same                 deleted
 *   first: no .log, a successor            being removed            deleted
 *          the same, but a link in sealed/ damage: messages are skipped
 *   before a gap: no bytes, no entries     being replaced           deleted
 *   else:  .log without a valid .idx       damage: read-only until repaired
 *
 * The base of an empty last segment behind a gap is the only word of where the
 * partition ends, so that one is not given up: its .log is made again, and an
 * .idx that is there and not valid is damage (it was on disk before it had its
 * name).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plural.h"
#include "store/findings.h"
#include "store/inside.h"
#include "store/recover.h"

#define TAIL_ENTRIES (IDX_HEADER_BYTES / IDX_ENTRY_BYTES) /* what the buffer of a header holds */

struct listing {
    struct partition *part;
    struct found *found;
    struct err *err;
};

static int found_add(struct found *f, uint64_t base, struct found_segment **seg)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->seg[f->count - 1 - i].base == base) {
            *seg = &f->seg[f->count - 1 - i];
            return 0;
        }
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 4;
        struct found_segment *grown = realloc(f->seg, room * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        f->seg = grown;
        f->room = room;
    }
    f->seg[f->count] = (struct found_segment){.base = base};
    *seg = &f->seg[f->count++];
    return 0;
}

/* ".<20 digits>.idx.tmp", or of another suffix */
static bool is_temporary(const char *name, enum fileio_kind kind)
{
    char inner[32];
    enum suffix suffix;
    uint64_t base;
    size_t len = strlen(name);

    if (kind != FILEIO_FILE || name[0] != '.' || len < 5 || len - 5 >= sizeof inner ||
        strcmp(name + len - 4, ".tmp") != 0)
        return false;
    memcpy(inner, name + 1, len - 5);
    inner[len - 5] = '\0';
    return parse_segment_name(inner, &base, &suffix) == 0;
}

static int list_name(void *arg, const char *name, enum fileio_kind kind)
{
    struct listing *l = arg;
    struct found_segment *seg;
    enum suffix suffix;
    uint64_t base;
    int rc;

    if (is_temporary(name, kind)) {
        l->found->temporaries = true;
        return 0;
    }
    rc = parse_segment_name(name, &base, &suffix);
    if (rc == ERR_NEWER_FORMAT)
        return err_set(l->err, rc,
                       "%s/%" PRIu32 "/%s: a kind of file that this version does not "
                       "know; nothing was changed",
                       l->part->topic->name, l->part->index, name);
    if (rc < 0)
        return 0; /* not ours: left alone */
    if (kind != FILEIO_FILE)
        return err_set(l->err, ERR_DAMAGED,
                       "%s/%" PRIu32 "/%s: not a regular file; nothing was changed",
                       l->part->topic->name, l->part->index, name);
    rc = found_add(l->found, base, &seg);
    if (rc == 0)
        seg->has[suffix] = true;
    return rc;
}

static int by_base(const void *a, const void *b)
{
    const struct found_segment *x = a;
    const struct found_segment *y = b;

    return x->base < y->base ? -1 : x->base > y->base;
}

static uint64_t entries_of(const struct found_segment *s)
{
    return s->bytes[SUFFIX_IDX] < IDX_HEADER_BYTES
               ? 0
               : (s->bytes[SUFFIX_IDX] - IDX_HEADER_BYTES) / IDX_ENTRY_BYTES;
}

/* The last entries of an .idx, from `first` on: do their positions and times rise
 * as they must? */
static void read_tail(struct found_segment *seg, const uint8_t *entries, uint64_t first, uint64_t n)
{
    struct idx_entry before = {0};

    seg->tail_valid = true;
    for (uint64_t i = 0; i < n; i++) {
        struct idx_entry e = idx_entry_decode(entries + i * IDX_ENTRY_BYTES);

        if ((i > 0 || first == 0) &&
            (e.end <= before.end || e.time_ms < before.time_ms || e.meta_end < before.meta_end))
            seg->tail_valid = false;
        before = e;
    }
    seg->last = before;
}

static int read_idx(struct partition *part, struct found_segment *seg, int fd)
{
    struct fileio *io = part->store->io;
    uint8_t bytes[IDX_HEADER_BYTES];
    uint64_t count = entries_of(seg);
    uint64_t n = count < TAIL_ENTRIES ? count : TAIL_ENTRIES;
    struct idx_header h = {0};
    int rc = fileio_read_all(io, fd, bytes, sizeof bytes, 0);

    if (rc == 0)
        rc = idx_header_decode(bytes, &h);
    if (rc < 0 || h.base_offset != seg->base)
        return rc == -ENODATA || rc == ERR_TORN ? 0 : rc; /* ENODATA: shorter than a header */
    seg->header_valid = true;
    seg->gap_before = h.gap_before;
    seg->number = h.base_number;
    seg->base_time_ms = h.base_time_ms;
    seg->slot_end = idx_slot_choose(bytes, seg->base).end;
    rc = fileio_read_all(io, fd, bytes, (size_t)n * IDX_ENTRY_BYTES,
                         IDX_HEADER_BYTES + (count - n) * IDX_ENTRY_BYTES);
    if (rc == 0)
        read_tail(seg, bytes, count - n, n);
    return 0;
}

static int look_into_idx(struct partition *part, struct found_segment *seg, struct err *err)
{
    struct fileio *io = part->store->io;
    char path[STORE_PATH_MAX];
    int fd;
    int rc;

    path_of_segment(path, part->topic->name, part->index, seg->base, SUFFIX_IDX);
    fd = io->ops->open(io, path, FILEIO_READ);
    rc = fd;
    if (fd >= 0) {
        rc = read_idx(part, seg, fd);
        io->ops->close(io, fd);
    }
    if (rc == ERR_NEWER_FORMAT)
        return err_set(err, rc, "%s: written by a newer version of topicfs; nothing was changed",
                       path);
    return rc < 0 ? err_set(err, rc, "%s: %s", path, err_sentence(rc)) : 0;
}

static int measure(struct partition *part, const char *dir, struct found_segment *seg,
                   struct err *err)
{
    struct fileio *io = part->store->io;
    struct fileio_stat st[SUFFIX_KNOWN];
    char name[SUFFIX_KNOWN][SEGMENT_NAME_MAX];
    const char *names[SUFFIX_KNOWN];
    int of[SUFFIX_KNOWN];
    int n = 0;
    int rc;

    for (int i = 0; i < SUFFIX_KNOWN; i++) {
        if (!seg->has[i])
            continue;
        name_of_segment_file(name[n], seg->base, (enum suffix)i);
        names[n] = name[n];
        of[n++] = i;
    }
    rc = io->ops->stat_names(io, dir, names, n, st);
    for (int i = 0; rc == 0 && i < n; i++) {
        if (st[i].kind == FILEIO_NONE)
            rc = -ENOENT; /* it was there a moment ago */
        seg->bytes[of[i]] = st[i].size_bytes;
    }
    if (rc < 0)
        return err_set(err, rc, "%s: %s", dir, err_sentence(rc));
    return seg->has[SUFFIX_IDX] ? look_into_idx(part, seg, err) : 0;
}

static bool no_entries(const struct found_segment *s)
{
    return s->bytes[SUFFIX_META] == 0 &&
           (!s->header_valid || s->bytes[SUFFIX_IDX] < IDX_HEADER_BYTES + IDX_ENTRY_BYTES);
}

/* The last one, behind a segment that ends at `end`. */
static bool unfinished(const struct found_segment *s, uint64_t end)
{
    if (s->has[SUFFIX_LOG])
        return s->bytes[SUFFIX_LOG] == 0 && !s->header_valid &&
               (!s->has[SUFFIX_IDX] || s->base <= end);
    return no_entries(s) && !(s->header_valid && s->gap_before);
}

static bool replaced(const struct found_segment *s, const struct found_segment *next)
{
    return next->gap_before && s->bytes[SUFFIX_LOG] == 0 && s->bytes[SUFFIX_META] == 0 &&
           s->bytes[SUFFIX_IDX] < IDX_HEADER_BYTES + IDX_ENTRY_BYTES &&
           (!s->header_valid || s->slot_end == s->base);
}

/* Is this what retention leaves? It takes the link in sealed/ away before the
 * .log. 1, 0, -errno. */
static int is_being_removed(const struct partition *part, const struct found_segment *s)
{
    struct fileio *io = part->store->io;
    struct fileio_stat st;
    char path[STORE_PATH_MAX];
    int rc;

    if (s->has[SUFFIX_LOG])
        return 0;
    path_of_sealed(path, part->topic->name, part->index, s->base);
    rc = io->ops->stat(io, path, &st);
    return rc == -ENOENT || rc == -ENOTDIR ? 1 : rc;
}

static int mark_left_overs(const struct partition *part, struct found *f)
{
    size_t first = 0;
    size_t last = f->count;
    int rc = 0;

    while (first + 1 < last && (rc = is_being_removed(part, &f->seg[first])) == 1)
        f->seg[first++].left_over = true;
    while (
        last > first + 1 &&
        unfinished(&f->seg[last - 1], f->seg[last - 2].base + f->seg[last - 2].bytes[SUFFIX_LOG]))
        f->seg[--last].left_over = true;
    for (size_t i = first; i + 1 < last; i++)
        if (replaced(&f->seg[i], &f->seg[i + 1]))
            f->seg[i].left_over = true;
    return rc < 0 ? rc : 0;
}

int scan_partition(struct partition *part, struct found *found, struct err *err)
{
    struct listing l = {part, found, err};
    char dir[STORE_PATH_MAX];
    int rc;

    path_of_partition(dir, part->topic->name, part->index);
    rc = part->store->io->ops->list(part->store->io, dir, list_name, &l);
    if (rc == ERR_NEWER_FORMAT || rc == ERR_DAMAGED)
        return rc;
    if (rc < 0)
        return err_set(err, rc, "%s: %s", dir, err_sentence(rc));
    if (found->count > 0)
        qsort(found->seg, found->count, sizeof *found->seg, by_base);
    for (size_t i = 0; i < found->count; i++) {
        rc = measure(part, dir, &found->seg[i], err);
        if (rc < 0)
            return rc;
    }
    rc = mark_left_overs(part, found);
    return rc < 0 ? err_set(err, rc, "%s: %s", dir, err_sentence(rc)) : 0;
}

void scan_release(struct found *found)
{
    free(found->seg);
    *found = (struct found){0};
}

void scan_forget(struct partition *part)
{
    if (part->found)
        scan_release(part->found);
    free(part->found);
    part->found = NULL;
}

/* -- cleaning up -- */

struct removal {
    struct fileio *io;
    const char *dir;
    int rc;
};

static int remove_temporary(void *arg, const char *name, enum fileio_kind kind)
{
    struct removal *r = arg;
    char path[STORE_PATH_MAX];

    if (is_temporary(name, kind)) {
        snprintf(path, sizeof path, "%.300s/%.200s", r->dir, name);
        r->rc = r->io->ops->unlink(r->io, path);
    }
    return r->rc;
}

/* Of the last segment, behind a gap. */
static int make_log(struct partition *part, struct found_segment *s)
{
    struct fileio *io = part->store->io;
    char path[STORE_PATH_MAX];
    int fd;

    path_of_segment(path, part->topic->name, part->index, s->base, SUFFIX_LOG);
    fd = io->ops->open(io, path, FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE);
    if (fd < 0)
        return fd;
    s->has[SUFFIX_LOG] = true;
    return io->ops->close(io, fd);
}

int scan_clean_up(struct partition *part, struct found *found)
{
    struct found_segment *last = found->count > 0 ? &found->seg[found->count - 1] : NULL;
    struct fileio *io = part->store->io;
    char path[STORE_PATH_MAX];
    char dir[STORE_PATH_MAX];
    struct removal r = {io, dir, 0};
    bool any = found->temporaries;

    path_of_partition(dir, part->topic->name, part->index);
    if (found->temporaries) {
        int rc = io->ops->list(io, dir, remove_temporary, &r);

        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < found->count; i++) {
        const struct found_segment *s = &found->seg[i];

        /* .idx before .log: a .log alone is never taken for something else */
        for (int f = SUFFIX_KNOWN - 1; s->left_over && f >= 0; f--) {
            int rc;

            if (!s->has[f])
                continue;
            path_of_segment(path, part->topic->name, part->index, s->base, (enum suffix)f);
            rc = io->ops->unlink(io, path);
            if (rc < 0)
                return rc;
            any = true;
        }
    }
    if (last && !last->left_over && last->gap_before && !last->has[SUFFIX_LOG] &&
        no_entries(last)) {
        int rc = make_log(part, last);

        if (rc < 0)
            return rc;
        any = true;
    }
    return any ? io->ops->sync_dir(io, dir) : 0;
}

bool scan_settled(const struct partition *part, const struct found *found, struct mark *at)
{
    const struct found_segment *s = found->count > 0 ? &found->seg[found->count - 1] : NULL;
    uint64_t count;

    if (!s || s->left_over || !s->has[SUFFIX_LOG] || !s->header_valid || !s->tail_valid)
        return false;
    count = entries_of(s);
    if (s->last.more || s->last.end != s->bytes[SUFFIX_LOG] ||
        s->last.meta_end != s->bytes[SUFFIX_META] ||
        s->bytes[SUFFIX_IDX] != IDX_HEADER_BYTES + count * IDX_ENTRY_BYTES ||
        s->slot_end != s->base + s->last.end || part->vouched > s->slot_end)
        return false;
    *at = (struct mark){
        .offset = s->slot_end,
        .number = s->number + count,
        .time_ms = count > 0 ? s->base_time_ms + s->last.time_ms : 0,
        .meta_end = s->last.meta_end,
    };
    return true;
}

/* -- adopting -- */

/* Up to where the messages of a sealed segment are all there, by its files'
 * sizes; *entries says how many those are. */
static uint64_t good_bytes(struct segment *seg, const struct found_segment *s, uint64_t *entries)
{
    struct idx_entry e = {0};
    uint64_t count = entries_of(s);
    uint32_t pos = 0;
    uint32_t meta;
    struct err err;
    int rc;

    *entries = 0;
    if (!s->has[SUFFIX_LOG] || !s->header_valid || count == 0 || segment_use(seg, &err) < 0)
        return 0;
    rc = segment_read_entry(seg, count - 1, &e);
    if (rc == 0 && e.end > s->bytes[SUFFIX_LOG]) {
        rc = segment_entry_holding(seg, count, s->bytes[SUFFIX_LOG], &count);
        if (rc == 0)
            rc = segment_entry_start(seg, count, &pos, &meta);
        e.end = pos;
    }
    segment_unuse(seg);
    *entries = rc < 0 ? 0 : count;
    return rc < 0 ? 0 : e.end;
}

/* What a sealed segment holds, so that nobody has to open it to list it. */
static void know_facts(struct segment *seg, const struct found_segment *s, uint64_t end)
{
    if (!s->tail_valid || s->last.end != end - s->base)
        return;
    seg->end = end;
    seg->count = entries_of(s);
    seg->last_ms = s->base_time_ms + s->last.time_ms;
    seg->facts_known = true;
}

/* Where a segment must end that stands before a gap. Its slot was on disk before
 * the gap was made; without one, what is there counts. */
static uint64_t end_before_gap(const struct found_segment *s, uint64_t next_base)
{
    uint64_t end = s->base + s->bytes[SUFFIX_LOG];

    if (s->header_valid && s->slot_end > end)
        end = s->slot_end;
    return end < next_base ? end : next_base;
}

static int joint_is_damaged(struct partition *part, const struct found_segment *s, uint64_t end,
                            uint64_t good, uint64_t entries, uint64_t messages)
{
    struct damage d = {.offset = s->base + good,
                       .end = end,
                       .number = s->number + entries,
                       .messages = messages,
                       .seen = true};
    bool known;
    int rc = damage_add(part, &d, &known);

    if (rc < 0 || known)
        return rc;
    found_say(part->store, FOUND_SHORT_SEGMENT,
              "%s/%" PRIu32 "/%020" PRIu64 ": damaged: of %" PRIu64 " byte%s, %" PRIu64
              " with %" PRIu64 " message%s are there",
              part->topic->name, part->index, s->base, end - s->base, plural(end - s->base), good,
              entries, plural(entries));
    return 0;
}

/* The sealed segment `seg`, found as s, against its successor `next_seg`, which is
 * told how wide the gap between them is. */
static int check_gap(struct partition *part, struct segment *seg, const struct found_segment *s,
                     struct segment *next_seg, const struct found_segment *next)
{
    uint64_t end = end_before_gap(s, next->base);
    uint64_t number;
    uint64_t entries;
    uint64_t good = good_bytes(seg, s, &entries);
    bool whole;

    number = s->number + entries;
    whole = s->has[SUFFIX_LOG] && s->header_valid && good == end - s->base &&
            s->bytes[SUFFIX_LOG] == good && entries == entries_of(s) && number <= next->number;
    next_seg->gap_bytes = next->base - end;
    part->gaps |= next_seg->gap_bytes > 0;
    if (s->header_valid && number < next->number)
        next_seg->gap_messages = next->number - number;
    if (whole)
        return 0;
    if (good >= end - s->base) { /* the bytes are there, but the index does not agree with them */
        if (damage_is_noted(part, s->base, end))
            return 0;
        good = entries = 0;
    }
    return joint_is_damaged(part, s, end, good, entries, 0);
}

/* The same without a gap: one ends where the other begins. */
static int check_joint(struct partition *part, struct segment *seg, const struct found_segment *s,
                       const struct found_segment *next)
{
    uint64_t bytes = next->base - s->base;
    uint64_t messages = 0;
    uint64_t entries;
    uint64_t good;

    if (s->has[SUFFIX_LOG] && s->header_valid && s->bytes[SUFFIX_LOG] == bytes &&
        (!next->header_valid || s->number + entries_of(s) == next->number)) {
        know_facts(seg, s, next->base);
        return 0;
    }
    good = good_bytes(seg, s, &entries);
    if (good >= bytes) { /* the bytes are there, but the index does not agree with them */
        if (damage_is_noted(part, s->base, next->base))
            return 0; /* a repair has looked at each message */
        good = entries = 0;
    }
    if (s->header_valid && next->header_valid && next->number > s->number + entries)
        messages = next->number - s->number - entries;
    return joint_is_damaged(part, s, next->base, good, entries, messages);
}

static int adopt_one(struct partition *part, const struct found_segment *s, bool newest)
{
    struct segment *seg = segment_new(part, s->base);
    int rc;

    if (!seg)
        return -ENOMEM;
    seg->sealed = !newest;
    seg->base_number = s->number;
    seg->number_known = s->header_valid;
    for (int i = seg->sealed ? 0 : SUFFIX_COUNT; i < SUFFIX_KNOWN; i++)
        seg->file_bytes += s->bytes[i]; /* those that grow are counted when it is sealed */
    rc = partition_add_segment(part, seg);
    if (rc < 0)
        segment_put(seg);
    else if (seg->sealed)
        part->retention.sealed_bytes += seg->file_bytes;
    return rc;
}

/* Where segment i of those found ends, if all of it is there. */
static uint64_t end_of(const struct found *found, size_t i)
{
    while (++i < found->count)
        if (!found->seg[i].left_over)
            return found->seg[i].base;
    return UINT64_MAX;
}

int scan_adopt(struct partition *part, const struct found *found, struct err *err)
{
    const struct found_segment *before = NULL;
    const struct found_segment *unindexed = NULL;
    size_t last = 0;
    int rc = 0;

    for (size_t i = 0; i < found->count; i++)
        if (!found->seg[i].left_over)
            last = i;
    for (size_t i = 0; rc == 0 && i < found->count; i++) {
        const struct found_segment *s = &found->seg[i];

        if (s->left_over)
            continue;
        rc = adopt_one(part, s, i == last);
        if (rc == 0 && s->has[SUFFIX_DAMAGED])
            rc = damage_read(part, s->base, end_of(found, i));
        if (rc == 0 && before) {
            struct segment **pair = &part->segments[part->segment_count - 2];

            rc = s->gap_before ? check_gap(part, pair[0], before, pair[1], s)
                               : check_joint(part, pair[0], before, s);
        }
        if (s->has[SUFFIX_LOG] && !s->header_valid)
            unindexed = s;
        before = s;
    }
    if (rc < 0)
        return err_set(err, rc, "%s/%" PRIu32 ": %s", part->topic->name, part->index,
                       err_sentence(rc));
    if (unindexed)
        return err_set(err, ERR_DAMAGED, "%s/%" PRIu32 "/%020" PRIu64 ".log has no valid .idx",
                       part->topic->name, part->index, unindexed->base);
    if (!before || !before->has[SUFFIX_LOG])
        return err_set(err, ERR_DAMAGED, "%s/%" PRIu32 ": the newest segment has no .log",
                       part->topic->name, part->index);
    return 0;
}
