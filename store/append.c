/*
 * store/append: appending sets to a partition.
 *
 * Writers queue; the first one leads: it writes the sets of all who queued,
 * with one pwritev for each file, and answers each. Those who came meanwhile
 * are the next group, led by one of them.
 *
 * A group is all or nothing: where it fails (ENOSPC half way), the files are
 * cut back to its start, and the cut .idx fdatasynced before anything is
 * appended again: ext4 was seen to bring cut entries back after a crash. Then
 * each set is tried alone, so that a small one may still fit where a big one
 * did not. If the cut fails nobody knows what the files hold: the partition
 * fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "store/inside.h"

#define GROUP_SETS_MAX     256u
#define GROUP_BYTES_MAX    ((uint64_t)16 << 20)
#define GROUP_IOV_MAX      512u
#define CLOCK_STEP_BACK_MS 60000u
#define SAY_NO_ROOM_US     ((uint64_t)60000000)

struct append_request {
    struct set *set;
    struct append_request *next;
    struct appended at;
    int rc;
    bool done; /* append_lock */
    struct err *err;
};

/* What one group adds to the segment: positions as they will be. */
struct group {
    struct append_request *first, *end; /* [first, end) of the queue's list */
    uint64_t log_pos, meta_pos;         /* where it begins */
    uint64_t log_bytes, meta_bytes;
    uint64_t count; /* messages */
    uint32_t sets, iovs;
    uint32_t time_ms; /* after the segment's base time */
};

static int check_set(struct partition *part, const struct set *set, struct err *err)
{
    const struct topic_config *conf = topic_config(part->topic);

    if (set->count == 0 || set->open_bytes > 0)
        return err_set(err, -EINVAL, "a set without a whole message");
    if (set->largest_bytes > conf->message_max_bytes)
        return err_set(err, -EMSGSIZE,
                       "%s: a message of %" PRIu32 " bytes is above message.max.bytes=%" PRIu64,
                       part->topic->name, set->largest_bytes, conf->message_max_bytes);
    if (set->log_bytes + set->meta.len > conf->set_max_bytes)
        return err_set(err, -EMSGSIZE, "%s: a set of %zu bytes is above set.max.bytes=%" PRIu64,
                       part->topic->name, set->log_bytes + set->meta.len, conf->set_max_bytes);
    if (set->newline_in_value && !conf->values_any)
        return err_set(err, -EINVAL, "%s: a value with a newline, and values=lines",
                       part->topic->name);
    return 0;
}

/* -- what goes into one write -- */

static bool fits(const struct partition *part, const struct segment *seg, const struct group *g,
                 const struct set *set)
{
    uint64_t limit = topic_config(part->topic)->segment_bytes;
    uint64_t entries = part->appended.number - seg->base_number + g->count + set->count;

    return g->log_pos + g->log_bytes + set->log_bytes <= limit &&
           IDX_HEADER_BYTES + entries * IDX_ENTRY_BYTES <= limit &&
           g->meta_pos + g->meta_bytes + set->meta.len <= limit;
}

/* May the set of a producer go into a group behind others, all of which may fail?
 * The first one was asked before. */
static bool joins(struct partition *part, const struct set *set)
{
    struct appended at;

    return part->producers && producers_ask(part->producers, set, store_wall_ms(part->store), &at,
                                            NULL) == PRODUCER_NEXT;
}

/* The sets from `first` on that go into the newest segment together; none
 * where the first one does not fit. */
static struct group group_take(struct partition *part, const struct segment *seg,
                               struct append_request *first, const struct append_request *end)
{
    struct group g = {
        .first = first,
        .end = first,
        .log_pos = part->appended.offset - seg->base,
        .meta_pos = part->appended.meta_end,
    };

    for (struct append_request *r = first; r != end; r = r->next) {
        bool full = g.sets >= GROUP_SETS_MAX || g.log_bytes + r->set->log_bytes > GROUP_BYTES_MAX ||
                    g.iovs + r->set->iov_count > GROUP_IOV_MAX;

        if ((g.sets > 0 && full) || !fits(part, seg, &g, r->set))
            break;
        if (g.sets > 0 && r->set->produced && !joins(part, r->set))
            break; /* it is answered as the first of the next group */
        g.log_bytes += r->set->log_bytes;
        g.meta_bytes += r->set->meta.len;
        g.count += r->set->count;
        g.iovs += (uint32_t)r->set->iov_count;
        g.end = r->next;
        g.sets++;
    }
    return g;
}

/* -- writing it -- */

static void encode_entries(const struct group *g, const struct segment *seg, uint8_t *out)
{
    uint64_t log_pos = g->log_pos;
    uint64_t meta_pos = g->meta_pos;

    for (const struct append_request *r = g->first; r != g->end; r = r->next) {
        const struct set *set = r->set;

        for (size_t i = 0; i < set->count; i++, out += IDX_ENTRY_BYTES) {
            struct idx_entry e = {
                .end = (uint32_t)log_pos + set->entries[i].end,
                .more = i + 1 < set->count,
                .time_ms = g->time_ms,
                .meta_end = (uint32_t)meta_pos + set->entries[i].meta_end,
            };

            idx_entry_encode(out, &e, set->entries[i].crc, seg->base);
        }
        log_pos += set->log_bytes;
        meta_pos += set->meta.len;
    }
}

static int write_meta(struct partition *part, struct segment *seg, const struct group *g)
{
    struct iovec iov[GROUP_SETS_MAX];
    int n = 0;
    int rc;

    if (seg->fd[SUFFIX_META] < 0) {
        rc = segment_make_meta(seg);
        if (rc < 0)
            return rc;
        pthread_mutex_lock(&part->store->flusher.lock);
        part->new_names = true;
        pthread_mutex_unlock(&part->store->flusher.lock);
    }
    for (const struct append_request *r = g->first; r != g->end; r = r->next)
        if (r->set->meta.len > 0)
            iov[n++] = (struct iovec){r->set->meta.data, r->set->meta.len};
    return fileio_write_all(part->store->io, seg->fd[SUFFIX_META], iov, n, g->meta_pos, NULL);
}

static int write_log(struct partition *part, struct segment *seg, const struct group *g)
{
    struct iovec few[16];
    struct iovec *iov = g->iovs <= 16 ? few : malloc(g->iovs * sizeof *iov);
    size_t n = 0;
    int rc;

    if (!iov)
        return -ENOMEM;
    for (const struct append_request *r = g->first; r != g->end; r = r->next) {
        memcpy(iov + n, r->set->iov, r->set->iov_count * sizeof *iov);
        n += r->set->iov_count;
    }
    rc = fileio_write_all(part->store->io, seg->fd[SUFFIX_LOG], iov, (int)n, g->log_pos, NULL);
    if (iov != few)
        free(iov);
    return rc;
}

static int write_idx(struct partition *part, struct segment *seg, const struct group *g)
{
    uint8_t few[64 * IDX_ENTRY_BYTES];
    size_t bytes = g->count * IDX_ENTRY_BYTES;
    uint8_t *out = bytes <= sizeof few ? few : malloc(bytes);
    uint64_t first = part->appended.number - seg->base_number;
    int rc;

    if (!out)
        return -ENOMEM;
    encode_entries(g, seg, out);
    rc = fileio_write_bytes(part->store->io, seg->fd[SUFFIX_IDX], out, bytes,
                            IDX_HEADER_BYTES + first * IDX_ENTRY_BYTES);
    if (out != few)
        free(out);
    return rc;
}

static int write_group(struct partition *part, struct segment *seg, const struct group *g)
{
    int rc = write_log(part, seg, g);

    if (rc == 0 && g->meta_bytes > 0)
        rc = write_meta(part, seg, g);
    if (rc == 0)
        rc = write_idx(part, seg, g);
    return rc;
}

/* -- a group, appended or taken back -- */

static void answer(struct partition *part, const struct group *g, uint64_t time_ms)
{
    struct mark at = part->appended;

    for (struct append_request *r = g->first; r != g->end; r = r->next) {
        r->at = (struct appended){at.offset, at.offset + r->set->log_bytes, at.number, false};
        r->rc = 0;
        if (r->set->produced)
            producers_appended(part->producers, r->set, &r->at, time_ms);
        at.offset += r->set->log_bytes;
        at.number += r->set->count;
    }
}

static int append_written(struct partition *part, struct segment *seg, struct group *g)
{
    struct mark at = {
        .offset = part->appended.offset + g->log_bytes,
        .number = part->appended.number + g->count,
        .time_ms = seg->base_time_ms + g->time_ms,
        .meta_end = (uint32_t)(g->meta_pos + g->meta_bytes),
    };

    answer(part, g, at.time_ms);
    flusher_appended(part, &at, g->sets);
    return 0;
}

static void refuse(struct append_request *first, const struct append_request *end, int rc,
                   const struct err *err)
{
    for (struct append_request *r = first; r != end; r = r->next) {
        r->rc = rc;
        if (r->err)
            *r->err = *err;
    }
}

/* Cuts what a failed write of g may have left. */
static int take_back(struct partition *part, struct segment *seg, const struct group *g, int why)
{
    int rc = segment_cut(seg, g->log_pos, part->appended.number - seg->base_number, g->meta_pos);

    if (rc < 0)
        return partition_fail(part, rc, "an append failed (%s) and could not be undone: %s",
                              err_sentence(why), err_sentence(rc));
    return 0;
}

/* The time of the next append, after the segment's base time. False: the
 * segment can not express it, or is too old for it. */
static bool append_time(const struct partition *part, const struct segment *seg, uint32_t *time_ms)
{
    uint64_t now = store_wall_ms(part->store);
    uint64_t last =
        part->appended.time_ms > seg->base_time_ms ? part->appended.time_ms : seg->base_time_ms;

    if (now + CLOCK_STEP_BACK_MS < last)
        return false;
    if (now < last)
        now = last; /* time never falls in a segment */
    if (now - seg->base_time_ms >= topic_config(part->topic)->segment_ms ||
        now - seg->base_time_ms > UINT32_MAX)
        return false;
    *time_ms = (uint32_t)(now - seg->base_time_ms);
    return true;
}

/* Appends what fits of [first, end); *rest is where to go on. */
static int append_some(struct partition *part, struct append_request *first,
                       const struct append_request *end, struct append_request **rest,
                       struct err *err)
{
    struct segment *seg = partition_newest_led(part);
    struct group g = {0};
    uint32_t time_ms = 0;
    int rc;

    *rest = first;
    if (append_time(part, seg, &time_ms))
        g = group_take(part, seg, first, end);
    if (g.first == g.end) {
        rc = partition_roll(part, err);
        if (rc < 0)
            return rc;
        seg = partition_newest_led(part);
        if (!append_time(part, seg, &time_ms))
            time_ms = 0;
        g = group_take(part, seg, first, end);
        if (g.first == g.end)
            return err_set(err, -EMSGSIZE, "%s: a set that no segment holds", part->topic->name);
    }
    g.time_ms = time_ms;
    *rest = g.end;
    rc = write_group(part, seg, &g);
    if (rc == 0)
        return append_written(part, seg, &g);
    *rest = first;
    err_set(err, rc, "%s/%" PRIu32 ": %s", part->topic->name, part->index, err_sentence(rc));
    return take_back(part, seg, &g, rc) < 0 ? -EIO : rc;
}

static int failed_before(const struct partition *part, struct err *err)
{
    return err_set(err, ERR_FAILED, "%s/%" PRIu32 ": %s", part->topic->name, part->index,
                   part->why ? part->why : "failed");
}

/* Answers the set of a producer that is not to be appended: it is there already,
 * or must not be, or nobody can tell. False: it is to be appended. */
static bool answered_at_once(struct partition *part, struct append_request *r)
{
    struct err err = {0};
    int rc = producers_load(part, &err);

    if (rc == 0)
        rc = producers_ask(part->producers, r->set, store_wall_ms(part->store), &r->at, &err);
    if (rc == PRODUCER_NEXT)
        return false;
    r->rc = 0;
    if (rc < 0) {
        err_prefix(&err, "%s/%" PRIu32, part->topic->name, part->index);
        refuse(r, r->next, rc, &err);
    }
    return true;
}

/* Writers are told, but a shell's `echo` does not look: so the log says it too, for
 * all partitions together once a minute. */
static void say_no_room(struct store *store, const struct err *err)
{
    uint64_t now = clock_mono_us();
    uint64_t last = atomic_load(&store->no_room_said_us);

    if (err->code != -ENOSPC && err->code != -EDQUOT)
        return;
    if ((last == 0 || now - last >= SAY_NO_ROOM_US) &&
        atomic_compare_exchange_strong(&store->no_room_said_us, &last, now))
        diag_say("%s: publishing fails until there is room", err->text);
}

/* Serves [first, end): all are answered after it. */
static void append_all(struct partition *part, struct append_request *first,
                       const struct append_request *end)
{
    bool alone = false;

    while (first != end) {
        struct append_request *next = first->next;
        struct append_request *rest;
        struct err err = {0};
        int rc = 0;

        if (part->producers)
            producers_begin_group(part->producers);
        if (atomic_load(&part->failed))
            rc = failed_before(part, &err);
        else if (first->set->produced && answered_at_once(part, first)) {
            first = next;
            continue;
        }
        if (rc == 0)
            rc = append_some(part, first, alone ? next : end, &rest, &err);
        if (rc == 0) {
            first = rest;
        } else if (atomic_load(&part->failed)) {
            /* By this group, or before: no room is no word for it. */
            refuse(first, end, rc == -ENOSPC || rc == -EDQUOT ? -EIO : rc, &err);
            return;
        } else if (alone || next == end) {
            say_no_room(part->store, &err);
            refuse(first, next, rc, &err);
            first = next;
        } else {
            alone = true; /* each by itself from here on */
        }
    }
}

/* -- the queue -- */

/* What an append needs before it writes: each step may want for descriptors. */
static int make_ready(struct partition *part, struct err *err)
{
    struct store *store = part->store;
    int rc = store_unclean(store, err);

    if (rc == 0)
        rc = partition_load(part, err);
    return rc == 0 ? partition_pin(part, err) : rc;
}

static int lead(struct partition *part, struct err *err)
{
    int rc;

    if (atomic_load(&part->failed))
        return failed_before(part, err);
    rc = make_ready(part, err);
    while ((rc == -EMFILE || rc == -ENFILE) && flusher_wait_for_files(&part->store->flusher))
        rc = make_ready(part, err);
    return rc;
}

int partition_lead(struct partition *part, struct err *err)
{
    int rc = 0;

    if (atomic_load(&part->store->stopping))
        return err_set(err, ERR_STOPPING, "%s", err_sentence(ERR_STOPPING));
    pthread_mutex_lock(&part->append_lock);
    while (part->leading)
        pthread_cond_wait(&part->append_turn, &part->append_lock);
    if (part->shut)
        rc = err_set(err, -ENOENT, "%s: was removed", part->topic->name);
    else
        part->leading = true;
    pthread_mutex_unlock(&part->append_lock);
    if (rc < 0)
        return rc;
    rc = lead(part, err);
    if (rc < 0)
        partition_unlead(part);
    return rc;
}

void partition_unlead(struct partition *part)
{
    pthread_mutex_lock(&part->lock);
    part->appending = false;
    pthread_mutex_unlock(&part->lock);
    partition_unpin(part);
    pthread_mutex_lock(&part->append_lock);
    part->leading = false;
    pthread_cond_broadcast(&part->append_turn);
    pthread_mutex_unlock(&part->append_lock);
}

/* Serves all that are queued now, this thread's own among them. */
static void lead_group(struct partition *part)
{
    struct append_request *first = part->queue_head;
    struct err err = {0};
    int rc;

    part->leading = true;
    part->queue_head = part->queue_tail = NULL;
    pthread_mutex_unlock(&part->append_lock);
    rc = lead(part, &err);
    if (rc == 0) {
        append_all(part, first, NULL);
        pthread_mutex_lock(&part->lock);
        part->appending = false;
        pthread_mutex_unlock(&part->lock);
    } else {
        refuse(first, NULL, rc, &err);
    }
    pthread_mutex_lock(&part->append_lock);
    /* Only now may the others return, and their requests with them. */
    for (struct append_request *r = first, *next; r; r = next) {
        next = r->next;
        r->done = true;
    }
    part->leading = false;
    pthread_cond_broadcast(&part->append_turn);
}

int partition_append_at(struct partition *part, struct set *set, struct appended *at,
                        struct err *err)
{
    struct append_request request = {.set = set, .err = err};
    int rc = check_set(part, set, err);

    if (rc < 0)
        return rc;
    if (atomic_load(&part->store->stopping))
        return err_set(err, ERR_STOPPING, "%s", err_sentence(ERR_STOPPING));
    pthread_mutex_lock(&part->append_lock);
    if (part->shut) {
        pthread_mutex_unlock(&part->append_lock);
        return err_set(err, -ENOENT, "%s: was removed", part->topic->name);
    }
    if (part->queue_tail)
        part->queue_tail->next = &request;
    else
        part->queue_head = &request;
    part->queue_tail = &request;
    while (!request.done && part->leading)
        pthread_cond_wait(&part->append_turn, &part->append_lock);
    if (!request.done)
        lead_group(part);
    pthread_mutex_unlock(&part->append_lock);
    if (request.rc == 0)
        *at = request.at;
    return request.rc;
}

int partition_append(struct partition *part, struct set *set, uint64_t *offset, struct err *err)
{
    struct appended at;
    int rc = partition_append_at(part, set, &at, err);

    if (rc == 0)
        *offset = at.offset;
    return rc;
}
