/*
 * store/producers_load: a partition's producers, read back from its files. See
 * producers.h.
 *
 * The state before a segment's first message is in its .prod, or nobody was
 * known then; what its own sets add is in their .meta records. So the newest
 * segment is enough. Where its .prod is damaged the one before it is asked,
 * and so on, and all .meta records from there on.
 *
 * The records are read long after the start has verified what was above the
 * durable slot, and below it nothing was: each one counts only if its entry's
 * CRC holds. One that does not could be of any producer, so all that were known
 * before it are forgotten: then they are unknown, which is an error that a
 * producer recovers from, and no set is taken for one that was appended.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/plural.h"
#include "store/inside.h"
#include "store/pass.h"

#define PREFIX_MAX 23u /* of a record: flags, create time, producer */

/* Going over the sets of one segment. */
struct reading {
    struct segment *seg;
    struct producers *all;
    struct pass pass;
    uint64_t damaged; /* messages */
    /* The set at hand. */
    bool produced;
    struct producer producer;
    struct produced_set set;
};

/* -- sets -- */

/* A set begins with entry `e`, which has a .meta record. Whose is it? 1: the
 * entry does not hold. */
static int begin_set(struct reading *r, const struct pass_at *at, const struct idx_entry *e)
{
    uint32_t len = e->meta_end - at->meta;
    const uint8_t *record;
    int rc = pass_record(&r->pass, at->meta, len < PREFIX_MAX ? len : PREFIX_MAX, &record);

    if (rc == 0)
        rc = meta_producer_decode(record, len < PREFIX_MAX ? len : PREFIX_MAX, &r->producer);
    if (rc <= 0)
        return rc == ERR_TORN ? 1 : rc;
    pass_seek(&r->pass, at);
    rc = pass_run(&r->pass, (uint64_t)at->log + 1);
    r->produced = rc == 0;
    return rc;
}

static int end_set(struct reading *r, uint64_t number, const struct idx_entry *e)
{
    r->produced = false;
    r->set.sequence = r->producer.sequence;
    r->set.messages = (uint32_t)(number - r->set.number);
    r->set.end = r->seg->base + e->end;
    return producers_note(r->all, &r->producer, &r->set, r->seg->base_time_ms + e->time_ms);
}

/* The entry behind `at`, which moves on. 1: it does not hold. */
static int read_entry(struct reading *r, struct pass_at *at, bool *begins)
{
    struct idx_entry e = {0};
    int rc = pass_entry(&r->pass, at->entry, &e);

    if (rc == 0 && (e.end <= at->log || e.meta_end < at->meta))
        rc = 1;
    if (rc == 0 && *begins) {
        r->set.offset = r->seg->base + at->log;
        r->set.number = r->seg->base_number + at->entry;
        if (e.meta_end > at->meta)
            rc = begin_set(r, at, &e);
    }
    if (rc == 0 && r->produced && !e.more)
        rc = end_set(r, r->seg->base_number + at->entry + 1, &e);
    *begins = !e.more;
    *at = (struct pass_at){at->entry + 1, e.end, e.meta_end, e.time_ms};
    return rc;
}

/* Without a .meta no set has a producer, unless the last entry says that there
 * was one. */
static int read_no_meta(struct reading *r, uint64_t count)
{
    struct idx_entry last = {0};
    int rc = count > 0 ? pass_entry(&r->pass, count - 1, &last) : 0;

    if (rc == 0 && last.meta_end > 0) {
        producers_clear(r->all);
        r->damaged = count;
    }
    return rc;
}

static int read_sets(struct reading *r, uint64_t count)
{
    struct pass_at at = {0};
    bool begins = true;
    int rc = 0;

    if (r->pass.meta.fd < 0)
        return read_no_meta(r, count);
    while (rc == 0 && at.entry < count) {
        rc = read_entry(r, &at, &begins);
        if (rc == 1) {
            r->produced = false;
            r->damaged++;
            producers_clear(r->all);
            rc = 0;
        }
    }
    return rc;
}

/* Notes the sets of a segment that is used. */
static int note_sets(struct partition *part, struct segment *seg, bool newest,
                     struct producers *all)
{
    struct reading r = {.seg = seg, .all = all};
    int rc;

    if (seg->no_index) { /* said at the start */
        producers_clear(all);
        return 0;
    }
    rc = pass_open(&r.pass, part->store->io, seg->fd[SUFFIX_LOG], seg->fd[SUFFIX_IDX],
                   seg->fd[SUFFIX_META], seg->base);
    if (rc == 0)
        rc = read_sets(&r, newest ? part->appended.number - seg->base_number : r.pass.count);
    pass_close(&r.pass);
    if (r.damaged > 0)
        diag_say("%s/%" PRIu32 "/%020" PRIu64 ": damaged: %" PRIu64
                 " message%s cannot be read back: "
                 "the producers before them are unknown now",
                 part->topic->name, part->index, seg->base, r.damaged, plural(r.damaged));
    return rc;
}

/* -- segments, counted from the newest -- */

/* Are there too few of something just now? */
static bool passes(int rc)
{
    return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

/* Uses the segment `back` before the newest; NULL: there is none, or it is
 * damaged so that it cannot be opened, which was said at the start. */
static int use_segment(struct partition *part, size_t back, struct segment **seg, struct err *err)
{
    int rc = 0;

    pthread_mutex_lock(&part->lock);
    *seg = back < part->segment_count ? part->segments[part->segment_count - 1 - back] : NULL;
    if (*seg)
        rc = segment_use(*seg, err);
    pthread_mutex_unlock(&part->lock);
    if (rc < 0)
        *seg = NULL;
    return rc < 0 && rc != -EIO && !passes(rc) ? 0 : rc;
}

/* What the segment's .prod says: 1; ERR_TORN: it is damaged. */
static int read_prod(struct segment *seg, struct producers *all)
{
    struct partition *part = seg->part;
    char path[STORE_PATH_MAX];
    char *data;
    size_t len;
    int rc;

    path_of_segment(path, part->topic->name, part->index, seg->base, SUFFIX_PROD);
    rc = fileio_read_file(part->store->io, path, PROD_MAX, &data, &len);
    if (rc == -ENOENT)
        return 0; /* nobody was known */
    if (rc == 0) {
        rc = producers_decode(all, data, len, seg->base, seg->base_number);
        free(data);
    }
    if (rc == ERR_TORN || rc == ERR_NEWER_FORMAT || rc == -EFBIG) {
        diag_say("%s: %s: the producers are looked for in the segments before it", path,
                 rc == ERR_TORN ? err_sentence(ERR_DAMAGED) : err_sentence(rc));
        return ERR_TORN;
    }
    return rc;
}

/* How far back the sets have to be read, from the newest segment. */
static int find_begin(struct partition *part, struct producers *all, size_t *back, struct err *err)
{
    struct segment *seg;
    int rc;

    for (*back = 0;; ++*back) {
        rc = use_segment(part, *back, &seg, err);
        if (rc < 0 || !seg)
            break;
        rc = read_prod(seg, all);
        segment_unuse(seg);
        if (rc != ERR_TORN)
            break;
    }
    return rc;
}

static int load(struct partition *part, struct producers *all, struct err *err)
{
    struct segment *seg;
    size_t back;
    int rc = find_begin(part, all, &back, err);

    for (size_t i = back + 1; rc == 0 && i-- > 0;) {
        rc = use_segment(part, i, &seg, err);
        if (rc < 0 || !seg)
            continue;
        rc = note_sets(part, seg, i == 0, all);
        segment_unuse(seg);
    }
    return rc < 0 ? err_set(err, rc, "reading its producers: %s", err_sentence(rc)) : 0;
}

int producers_load(struct partition *part, struct err *err)
{
    struct producers *all;
    int rc;

    if (part->producers)
        return 0;
    all = producers_new();
    if (!all)
        return err_set(err, -ENOMEM, "no memory for producers");
    rc = load(part, all, err);
    if (rc < 0) {
        producers_free(all);
        return rc;
    }
    part->producers = all;
    return 0;
}

int producers_for_roll(struct partition *part, struct buf *out, struct err *err)
{
    struct err why;
    int rc = producers_load(part, &why);

    if (rc < 0 && !passes(rc)) {
        diag_say("%s/%" PRIu32 ": %s; they are unknown from now on", part->topic->name, part->index,
                 why.text);
        part->producers = producers_new();
        rc = part->producers ? 0 : -ENOMEM;
    }
    if (rc == 0)
        rc = producers_encode(part->producers, store_wall_ms(part->store), out);
    return rc < 0 ? err_set(err, rc, "producers: %s", err_sentence(rc)) : 0;
}
