/* store/metrics: see the header. */
#include "store/metrics.h"

#include <stdio.h>

#include "store/inside.h"

static const struct counter_row rows[COUNT_ALL] = {
    [COUNT_SETS_APPENDED] = {"topicfs_sets_appended_total", "",
                             "Sets of messages appended: what one write(2) brought, mostly."},
    [COUNT_MESSAGES_APPENDED] = {"topicfs_messages_appended_total", "", "Messages appended."},
    [COUNT_BYTES_APPENDED] = {"topicfs_appended_bytes_total", "",
                              "Bytes of the messages appended, newlines counted."},
    [COUNT_MESSAGES_VISIBLE] = {"topicfs_messages_visible_total", "",
                                "Messages that became visible: appended before and flushed."},
    [COUNT_BYTES_VISIBLE] = {"topicfs_visible_bytes_total", "",
                             "Bytes of the messages that became visible."},
    [COUNT_JOURNAL_BYTES] = {"topicfs_journal_written_bytes_total", "",
                             "Bytes of the records written to the commit journal."},
    [COUNT_SEGMENTS_BEGUN] = {"topicfs_segments_begun_total", "",
                              "Segments begun behind others that are sealed since."},
};

/* -- what is looked at -- */

static void put_contents(struct exposition *e, struct store *store)
{
    const struct metrics *m = &store->metrics;

    exposition_one(e, "topicfs_topics", "Topics.", store_topic_count(store));
    exposition_one(e, "topicfs_partitions", "Partitions of all topics.",
                   atomic_load(&m->partitions));
    exposition_one(e, "topicfs_failed_partitions",
                   "Partitions that are read-only until the next start; .status says why.",
                   atomic_load(&m->failed_partitions));
    exposition_one(e, "topicfs_damaged_runs", "Runs of damaged bytes that are known.",
                   atomic_load(&m->damaged_runs));
    exposition_one(e, "topicfs_damaged_messages",
                   "Messages in them, where the index says how many.",
                   atomic_load(&m->damaged_messages));
    exposition_one(e, "topicfs_open_segments", "Segments whose files are open.",
                   atomic_load(&store->open_segments));
}

static void put_flushes(struct exposition *e, struct store *store)
{
    static const char flush[] = "topicfs_flush_duration_seconds";
    struct flusher *fl = &store->flusher;
    uint64_t unflushed;
    uint64_t undurable;
    uint64_t waiting;
    uint64_t watching;

    pthread_mutex_lock(&fl->lock);
    unflushed = fl->unflushed_bytes;
    undurable = fl->undurable_bytes;
    waiting = fl->waiting;
    watching = fl->watching;
    pthread_mutex_unlock(&fl->lock);
    exposition_family(e, flush, "histogram",
                      "Flushes, by way: one record of the commit journal for all partitions that "
                      "are due, or the files of those that have much.");
    exposition_histogram(e, flush, "kind=\"journal\"", &store->metrics.journal_flush);
    exposition_histogram(e, flush, "kind=\"direct\"", &store->metrics.direct_flush);
    exposition_one(e, "topicfs_unflushed_bytes", "Bytes appended and not visible yet.", unflushed);
    exposition_one(e, "topicfs_undurable_bytes",
                   "Visible bytes that the segments' own files may not have on disk: the journal "
                   "has them, or with flush.sync=os nothing may.",
                   undurable);
    exposition_family(e, "topicfs_waiters", "gauge",
                      "Who waits in the store: for a flush (close, fsync), or for messages "
                      "(streams, one per partition that is watched).");
    exposition_value(e, "topicfs_waiters", "kind=\"flush\"", waiting);
    exposition_value(e, "topicfs_waiters", "kind=\"messages\"", watching);
}

static void put_journal(struct exposition *e, struct store *store)
{
    struct journal *j = &store->journal;

    exposition_one(e, "topicfs_journal_in_use",
                   "1; 0 where it was given up until the next start, and all flushes go direct.",
                   !atomic_load(&j->dead));
    exposition_one(e, "topicfs_journal_turns_total", "Turns of the journal's two files.",
                   atomic_load(&j->turns));
    exposition_one(e, "topicfs_checkpoints_total",
                   "Turns whose bytes were brought to the segments' own files.",
                   atomic_load(&store->flusher.checkpoints));
}

static void put_retention(struct exposition *e, const struct store *store)
{
    exposition_one(e, "topicfs_retention_removed_segments_total",
                   "Segments that retention removed.",
                   atomic_load(&store->retainer.segments_removed));
    exposition_one(e, "topicfs_retention_removed_bytes_total", "Bytes of their files.",
                   atomic_load(&store->retainer.bytes_removed));
}

static void put_scrubber(struct exposition *e, const struct store *store)
{
    const struct scrubber *s = &store->scrubber;

    exposition_one(e, "topicfs_scrubbed_bytes_total",
                   "Bytes of sealed segments verified in the background.", atomic_load(&s->bytes));
    exposition_one(e, "topicfs_scrub_passes_total", "Times that all sealed segments were.",
                   atomic_load(&s->passes));
    exposition_one(e, "topicfs_scrub_damaged_messages_total", "Damaged messages that this found.",
                   atomic_load(&s->damaged_messages));
}

static void put_start(struct exposition *e, struct store *store)
{
    exposition_seconds(e, "topicfs_open_duration_seconds",
                       "How long opening the store took at the start, recovery included.",
                       store->open_us);
    exposition_one(e, "topicfs_recovery_replayed_parts",
                   "Parts of the journal's records written again at the start.",
                   atomic_load(&store->parts_replayed));
    exposition_one(e, "topicfs_recovery_cut_messages",
                   "Messages cut at the start, none of them acknowledged.",
                   atomic_load(&store->messages_cut));
}

/* -- topics -- */

static void put_topic(struct exposition *e, const char *name, const struct topic *topic,
                      uint64_t value)
{
    char labels[TOPIC_NAME_MAX + 16];

    snprintf(labels, sizeof labels, "topic=\"%s\"", topic->name);
    exposition_value(e, name, labels, value);
}

/* The oldest topics: which those are does not change when others are made. */
static void put_topics(struct exposition *e, struct store *store, const char *name,
                       const char *help, bool bytes)
{
    struct topic *topic;
    uint32_t at = 0;

    exposition_family(e, name, "counter", help);
    for (unsigned n = 0; n < METRICS_TOPICS && (topic = store_topic_next(store, at)); n++) {
        put_topic(e, name, topic,
                  atomic_load(bytes ? &topic->bytes_appended : &topic->messages_appended));
        at = topic->number;
        topic_put(topic);
    }
}

static void put_all_topics(struct exposition *e, struct store *store)
{
    uint32_t topics = store_topic_count(store);

    put_topics(e, store, "topicfs_topic_messages_appended_total",
               "Messages appended, by topic: the oldest 1000 topics.", false);
    put_topics(e, store, "topicfs_topic_appended_bytes_total",
               "Bytes of the messages appended, by topic: the oldest 1000 topics.", true);
    exposition_one(e, "topicfs_topics_without_series",
                   "Topics beyond the oldest 1000, which have no series of their own.",
                   topics > METRICS_TOPICS ? topics - METRICS_TOPICS : 0);
}

int store_metrics(struct store *store, struct buf *out)
{
    struct exposition e = {.out = out};

    exposition_counters(&e, rows, COUNT_ALL, store->metrics.count);
    put_contents(&e, store);
    put_flushes(&e, store);
    put_journal(&e, store);
    put_retention(&e, store);
    put_scrubber(&e, store);
    put_start(&e, store);
    put_all_topics(&e, store);
    return e.rc;
}
