/*
 * store/retain: which segments are to go, and removing them. See retain.h; when
 * that is looked for is in retain_thread.c.
 *
 * A topic cannot go, and its name be another's, while something is unlinked by
 * its path: topic.change_lock is held for each segment.
 */
#include "store/retain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "store/inside.h"
#include "store/view.h"

/* What a look at a partition says. */
enum wanted { NOTHING, REMOVE, ROLL };

static bool older(uint64_t time_ms, uint64_t retention_ms, uint64_t now_ms)
{
    return retention_ms > 0 && time_ms > 0 && now_ms > retention_ms &&
           time_ms < now_ms - retention_ms;
}

/* -- what is to go -- */

/* May anything of a partition that is not loaded have to go? */
static bool clean_may_go(const struct partition *part, const struct topic_config *conf,
                         uint64_t now_ms)
{
    const struct clean_facts *facts = part->clean;

    if (facts->first == partition_end(part))
        return false; /* it is empty */
    if (conf->retention_bytes > 0 && facts->first < facts->base)
        return true;
    return conf->retention_ms > 0 &&
           (facts->oldest_ms == 0 || older(facts->oldest_ms, conf->retention_ms, now_ms));
}

/* When the last message of segment i was appended; its last entry has to be that
 * of its last byte. ERR_DAMAGED: nobody can tell. */
static int last_append(struct partition *part, size_t i, uint64_t *time_ms)
{
    struct mark visible;
    struct idx_entry e;
    struct view v;
    int rc;

    view_mark(part, &visible);
    pthread_mutex_lock(&part->lock);
    if (i + 1 >= part->segment_count) {
        pthread_mutex_unlock(&part->lock);
        return -ENODATA; /* nothing sealed is left to ask */
    }
    rc = view_of(part, i, &visible, &v);
    if (rc == -ENOENT)
        return ERR_DAMAGED;
    if (rc < 0)
        return rc;
    rc = v.count > 0 ? segment_read_entry(v.seg, v.count - 1, &e) : ERR_DAMAGED;
    if (rc == 0 && v.seg->base + e.end != v.end)
        rc = ERR_DAMAGED;
    if (rc == 0)
        *time_ms = v.seg->base_time_ms + e.time_ms;
    segment_unuse(v.seg);
    return rc;
}

/* Learns when the oldest segment was last appended to. One whose index does not
 * say it counts as old as the next one: it goes when that may go. */
static int learn_oldest(struct partition *part)
{
    uint64_t time_ms = 0;
    int rc = ERR_DAMAGED;

    for (size_t i = 0; rc == ERR_DAMAGED; i++)
        rc = last_append(part, i, &time_ms);
    if (rc == -ENODATA)
        return 0;
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&part->lock);
    part->retention.oldest_ms = time_ms;
    pthread_mutex_unlock(&part->lock);
    return 0;
}

/* Would the partition without its oldest segment have retention.bytes? Lock held. */
static bool too_much(struct partition *part, uint64_t retention_bytes)
{
    const struct segment *newest = partition_newest(part);
    const struct mark *at = &part->appended;
    uint64_t bytes = part->retention.sealed_bytes - part->segments[0]->file_bytes;

    if (retention_bytes == 0 || part->segment_count < 2)
        return false;
    pthread_mutex_lock(&part->store->flusher.lock);
    bytes += at->offset - newest->base + IDX_HEADER_BYTES +
             (at->number - newest->base_number) * IDX_ENTRY_BYTES + at->meta_end +
             newest->file_bytes;
    pthread_mutex_unlock(&part->store->flusher.lock);
    return bytes >= retention_bytes;
}

/* Is the newest, and only, segment one that nobody appends to any more? Lock held. */
static bool idle(struct partition *part, uint64_t retention_ms, uint64_t now_ms)
{
    struct mark at;

    pthread_mutex_lock(&part->store->flusher.lock);
    at = part->appended;
    pthread_mutex_unlock(&part->store->flusher.lock);
    return part->segment_count == 1 && at.offset > partition_newest(part)->base &&
           older(at.time_ms, retention_ms, now_ms);
}

/* Lock held. *unknown: it has to be learned first how old the oldest is. */
static enum wanted look(struct partition *part, const struct topic_config *conf, uint64_t now_ms,
                        bool *unknown)
{
    *unknown = false;
    if (atomic_load(&part->failed))
        return NOTHING; /* what is there is evidence */
    if (part->retention.going || too_much(part, conf->retention_bytes))
        return REMOVE;
    if (part->segment_count == 1)
        return idle(part, conf->retention_ms, now_ms) ? ROLL : NOTHING;
    *unknown = conf->retention_ms > 0 && part->retention.oldest_ms == 0;
    return older(part->retention.oldest_ms, conf->retention_ms, now_ms) ? REMOVE : NOTHING;
}

/* What is to be done to the partition: an enum wanted, or why that is not known. */
static int wanted(struct partition *part, uint64_t now_ms, struct err *err)
{
    const struct topic_config *conf = topic_config(part->topic);
    enum wanted what = NOTHING;
    bool unknown;
    int rc;

    pthread_mutex_lock(&part->lock);
    unknown = part->clean ? clean_may_go(part, conf, now_ms) : false;
    if (!part->clean)
        what = look(part, conf, now_ms, &unknown);
    pthread_mutex_unlock(&part->lock);
    if (!unknown)
        return (int)what;
    rc = partition_load(part, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&part->lock);
    what = look(part, conf, now_ms, &unknown);
    pthread_mutex_unlock(&part->lock);
    if (!unknown)
        return (int)what;
    rc = learn_oldest(part);
    if (rc < 0)
        return err_set(err, rc, "the time of its oldest segment: %s", err_sentence(rc));
    pthread_mutex_lock(&part->lock);
    what = look(part, conf, now_ms, &unknown);
    pthread_mutex_unlock(&part->lock);
    return (int)what;
}

/* -- removing a segment -- */

static int unlink_one(struct fileio *io, const char *path, struct err *err)
{
    int rc = io->ops->unlink(io, path);

    return rc < 0 && rc != -ENOENT ? err_set(err, rc, "%s: %s", path, err_sentence(rc)) : 0;
}

static int sync_one(struct fileio *io, const char *dir, struct err *err)
{
    int rc = io->ops->sync_dir(io, dir);

    return rc < 0 ? err_set(err, rc, "%s: %s", dir, err_sentence(rc)) : 0;
}

/* Its name in sealed/, which may be missing. */
static int unlink_link(struct partition *part, uint64_t base, struct err *err)
{
    struct fileio *io = part->store->io;
    char path[STORE_PATH_MAX];
    int rc;

    path_of_sealed(path, part->topic->name, part->index, base);
    rc = unlink_one(io, path, err);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof path, "%s/sealed", part->topic->name);
    rc = io->ops->sync_dir(io, path);
    return rc < 0 && rc != -ENOENT ? err_set(err, rc, "%s: %s", path, err_sentence(rc)) : 0;
}

/* Ensures: nothing of the segment is on disk. */
static int unlink_files(struct partition *part, uint64_t base, struct err *err)
{
    static const enum suffix rest[] = {SUFFIX_META, SUFFIX_PROD, SUFFIX_DAMAGED, SUFFIX_IDX};
    struct fileio *io = part->store->io;
    char path[STORE_PATH_MAX];
    char dir[STORE_PATH_MAX];
    int rc;

    path_of_partition(dir, part->topic->name, part->index);
    path_of_segment(path, part->topic->name, part->index, base, SUFFIX_LOG);
    rc = unlink_one(io, path, err);
    if (rc == 0)
        rc = sync_one(io, dir, err);
    for (size_t i = 0; rc == 0 && i < sizeof rest / sizeof *rest; i++) {
        path_of_segment(path, part->topic->name, part->index, base, rest[i]);
        rc = unlink_one(io, path, err);
    }
    return rc == 0 ? sync_one(io, dir, err) : rc;
}

/* Has the oldest segment stay readable until it is out of the list, and for who
 * holds it then. One that cannot be opened could not be read anyway. */
static int begin_going(struct partition *part, struct err *err)
{
    struct segment *seg;
    struct mark visible;
    struct view v = {0};
    int rc;

    view_mark(part, &visible);
    pthread_mutex_lock(&part->lock);
    seg = part->segments[0];
    rc = view_of(part, 0, &visible, &v);
    if (rc < 0 && rc != ERR_DAMAGED && rc != -ENOENT)
        return err_set(err, rc, "%020" PRIu64 ": %s", seg->base, err_sentence(rc));
    pthread_mutex_lock(&part->lock);
    seg->end = part->segments[1]->base - part->segments[1]->gap_bytes;
    part->retention.going = seg;
    part->retention.going_used = rc == 0;
    pthread_mutex_unlock(&part->lock);
    return 0;
}

/* The first offset rises. */
static void end_going(struct partition *part)
{
    struct retainer *r = &part->store->retainer;
    struct segment *seg;
    bool used;

    pthread_mutex_lock(&part->lock);
    seg = part->segments[0];
    used = part->retention.going_used;
    part->segment_count--;
    memmove(part->segments, part->segments + 1, part->segment_count * sizeof *part->segments);
    part->retention.sealed_bytes -= seg->file_bytes;
    part->retention.oldest_ms = 0;
    part->retention.going = NULL;
    part->retention.going_used = false;
    damage_below_gone(part, part->segments[0]->base);
    pthread_mutex_unlock(&part->lock);
    r->segments_removed++;
    r->bytes_removed += seg->file_bytes;
    if (used)
        segment_unuse(seg);
    segment_put(seg);
}

/* Its oldest segment, which has a successor. */
static int remove_oldest(struct partition *part, struct err *err)
{
    struct store *store = part->store;
    uint64_t base = partition_first(part);
    int rc = store_unclean(store, err);

    if (rc == 0)
        rc = unlink_link(part, base, err);
    if (rc == 0 && !part->retention.going)
        rc = begin_going(part, err);
    if (rc == 0)
        rc = unlink_files(part, base, err);
    if (rc == 0)
        end_going(part);
    return rc;
}

/* Rolls the newest segment, if still nobody has appended to it. */
static int roll_idle(struct partition *part, uint64_t now_ms, struct err *err)
{
    const struct topic_config *conf = topic_config(part->topic);
    int rc = partition_lead(part, err);
    bool still;

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&part->lock);
    still = idle(part, conf->retention_ms, now_ms);
    pthread_mutex_unlock(&part->lock);
    if (still)
        rc = partition_roll(part, err);
    partition_unlead(part);
    return rc;
}

bool retain_unfinished(struct partition *part)
{
    bool unfinished;

    pthread_mutex_lock(&part->lock);
    unfinished = part->retention.going != NULL;
    pthread_mutex_unlock(&part->lock);
    return unfinished;
}

/* -- a check -- */

static void say(struct partition *part, const struct err *err)
{
    if (!part->retention.said && err->code != ERR_STOPPING)
        diag_say("%s/%" PRIu32 ": retention: %s: tried again at each check", part->topic->name,
                 part->index, err->text);
    part->retention.said = true;
}

/* One step. 1: done, there may be more. */
static int step(struct partition *part, uint64_t now_ms, struct err *err)
{
    int what = wanted(part, now_ms, err);
    int rc = 0;

    if (what <= NOTHING)
        return what;
    pthread_mutex_lock(&part->topic->change_lock);
    if (!topic_removed(part->topic))
        rc = what == ROLL ? roll_idle(part, now_ms, err) : remove_oldest(part, err);
    pthread_mutex_unlock(&part->topic->change_lock);
    return rc < 0 ? rc : 1;
}

bool retain_check(struct partition *part, uint64_t now_ms)
{
    struct retainer *r = &part->store->retainer;
    struct err err = {0};
    bool any = false;
    int rc = 1;

    while (rc == 1 && !atomic_load(&r->stop) && !topic_removed(part->topic)) {
        rc = step(part, now_ms, &err);
        any |= rc == 1;
    }
    if (rc < 0 && !topic_removed(part->topic))
        say(part, &err);
    else if (rc == 0)
        part->retention.said = false;
    return any;
}
