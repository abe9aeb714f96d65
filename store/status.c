/*
 * store/status: how a store is, for people: store_status(). One `key: value` line
 * each; below them, the partitions that need somebody. .metrics has the same and more
 * for programs: see metrics.h.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/plural.h"
#include "store/inside.h"

#define PARTITIONS_SHOWN 100u

/* -- what has gone wrong, and what to do -- */

static const char *what_to_do(int code)
{
    switch (code) {
    case ERR_DAMAGED:
    case ERR_TORN: return "stop topicfs and see what `topicfs check` says";
    case -ENOSPC:
    case -EDQUOT: return "free room on the disk, then restart topicfs";
    case -EACCES:
    case -EPERM:
    case -EROFS: return "make its files writable, then restart topicfs";
    case -EMFILE:
    case -ENFILE: return "raise the limit of open files, then restart topicfs";
    case -ENOMEM: return "restart topicfs";
    default: return "look after the disk, then restart topicfs";
    }
}

/* 1: it has a line; 0: nothing is wrong with it. */
static int put_partition(struct partition *part, struct buf *out)
{
    struct partition_stat st = {0};
    int rc = 0;

    if (!part->clean && !topic_removed(part->topic))
        rc = partition_stat(part, &st);
    if (rc == ERR_GONE)
        return 0; /* the topic was removed meanwhile */
    if (rc < 0 || (!st.failed && st.damaged_runs == 0))
        return rc;
    rc = buf_printf(out, "partition %s/%" PRIu32 ": ", part->topic->name, part->index);
    if (rc == 0 && st.failed)
        rc = buf_printf(out, "read-only: %s; ", st.why);
    if (rc == 0 && st.damaged_runs > 0)
        rc = buf_printf(out, "damaged: %" PRIu64 " message%s in %" PRIu32 " run%s; ",
                        st.damaged_messages, plural(st.damaged_messages), st.damaged_runs,
                        plural(st.damaged_runs));
    if (rc == 0)
        rc = buf_printf(out, "%s\n", what_to_do(st.failed ? part->fail_code : ERR_DAMAGED));
    return rc < 0 ? rc : 1;
}

static bool looks_wrong(struct partition *part)
{
    bool wrong;

    pthread_mutex_lock(&part->lock);
    wrong = atomic_load(&part->failed) || part->damage_count > 0;
    pthread_mutex_unlock(&part->lock);
    return wrong;
}

/* The first of those that need somebody, and how many more there are. */
static int put_partitions(struct store *store, struct buf *out)
{
    struct topic *topic;
    unsigned shown = 0;
    unsigned more = 0;
    uint32_t at = 0;
    int rc = 0;

    while (rc == 0 && (topic = store_topic_next(store, at))) {
        for (uint32_t p = 0; rc == 0 && p < topic_partition_count(topic); p++) {
            struct partition *part = topic_partition(topic, p);

            if (!looks_wrong(part))
                continue;
            if (shown == PARTITIONS_SHOWN) {
                more++;
                continue;
            }
            rc = put_partition(part, out);
            shown += rc == 1;
            rc = rc < 0 ? rc : 0;
        }
        at = topic->number;
        topic_put(topic);
    }
    if (rc == 0 && more > 0)
        rc = buf_printf(out, "partitions with more of that: %u\n", more);
    return rc;
}

/* -- flushing -- */

static const char *journal_state(const struct journal *j)
{
    if (j->damaged)
        return j->dead ? "damaged at the start; given up until the next"
                       : "in use; it was damaged at the start";
    return j->dead ? "given up until the next start" : "in use";
}

/* When the first of those began who wait for a flush; UINT64_MAX: nobody does. */
static uint64_t oldest_wait(struct store *store)
{
    uint64_t oldest = UINT64_MAX;
    struct topic *topic;
    uint32_t at = 0;

    while ((topic = store_topic_next(store, at))) {
        for (uint32_t p = 0; p < topic_partition_count(topic); p++) {
            uint64_t since = flusher_waits_since(topic_partition(topic, p));

            oldest = since < oldest ? since : oldest;
        }
        at = topic->number;
        topic_put(topic);
    }
    return oldest;
}

static int put_waiters(struct store *store, struct buf *out)
{
    struct flusher *fl = &store->flusher;
    uint64_t unflushed;
    uint64_t waiting;
    uint64_t since;
    uint64_t now;
    int rc;

    pthread_mutex_lock(&fl->lock);
    unflushed = fl->unflushed_bytes;
    waiting = fl->waiting;
    pthread_mutex_unlock(&fl->lock);
    since = waiting > 0 ? oldest_wait(store) : UINT64_MAX;
    now = clock_mono_us();
    rc = buf_printf(out, "not flushed yet: %" PRIu64 " byte%s\nwaiting for a flush: %" PRIu64,
                    unflushed, plural(unflushed), waiting);
    if (rc == 0 && since < now)
        rc = buf_printf(out, ", the first for %" PRIu64 " ms", (now - since) / 1000);
    return rc == 0 ? buf_printf(out, "\n") : rc;
}

/* -- all of it -- */

static int put_contents(struct store *store, struct buf *out)
{
    const struct metrics *m = &store->metrics;

    return buf_printf(
        out,
        "store: %s\nuuid: %s\nbroker: %" PRIu32 "\ntopics: %" PRIu32 "\npartitions: %" PRIu64
        "\nfailed partitions: %" PRIu64 "\ndamaged messages: %" PRIu64 "\nopen segments: %u\n",
        store->name, store->uuid_text, store->options.broker, store_topic_count(store),
        atomic_load(&m->partitions), atomic_load(&m->failed_partitions),
        atomic_load(&m->damaged_messages), atomic_load(&store->open_segments));
}

static int put_flushes(struct store *store, struct buf *out)
{
    struct flusher *fl = &store->flusher;
    struct journal *j = &store->journal;
    uint64_t parts = atomic_load(&store->parts_replayed);
    uint64_t cut = atomic_load(&store->messages_cut);
    uint64_t removed = atomic_load(&store->retainer.segments_removed);
    uint64_t scrubbed = atomic_load(&store->scrubber.bytes);

    return buf_printf(
        out,
        "journal: %s\njournal flushes: %" PRIu64 "\ndirect flushes: %" PRIu64
        "\njournal turns: %" PRIu64 "\ncheckpoints: %" PRIu64 "\nreplayed at start: %" PRIu64
        " part%s\ncut at start: %" PRIu64 " message%s\nremoved by retention: %" PRIu64
        " segment%s\nscrubbed: %" PRIu64 " byte%s\nscrub passes: %" PRIu64 "\n",
        journal_state(j), atomic_load(&fl->journal_flushes), atomic_load(&fl->direct_flushes),
        atomic_load(&j->turns), atomic_load(&fl->checkpoints), parts, plural(parts), cut,
        plural(cut), removed, plural(removed), scrubbed, plural(scrubbed),
        atomic_load(&store->scrubber.passes));
}

static int put_reserve(struct store *store, struct buf *out)
{
    uint64_t bytes = atomic_load(&store->reserved_bytes);

    if (bytes == 0)
        return buf_printf(out, "reserve: none: a recovery may need room on the disk\n");
    return buf_printf(out, "reserve: %" PRIu64 " MiB of the disk, for a recovery\n", bytes >> 20);
}

int store_status(struct store *store, struct buf *out)
{
    const struct metrics *m = &store->metrics;
    int rc = put_contents(store, out);

    if (rc == 0 && store->left_out > 0)
        rc = buf_printf(out, "topics left out: %" PRIu32 "; the log says which and why\n",
                        store->left_out);
    if (rc == 0)
        rc = put_flushes(store, out);
    if (rc == 0)
        rc = put_waiters(store, out);
    if (rc == 0)
        rc = put_reserve(store, out);
    if (rc == 0 && atomic_load(&m->failed_partitions) + atomic_load(&m->damaged_runs) > 0)
        rc = put_partitions(store, out);
    return rc;
}
