/*
 * store/store: the segment store, as the rest of the program sees it.
 *
 * A store is a directory of topics; a topic has partitions; a partition is a
 * log of messages addressed by byte offset. This header and set.h,
 * topicconf.h, partition.h are the whole interface; the other headers of
 * store/ are its inside.
 *
 * Threads: every call may be made from any thread unless it says otherwise.
 * With options.threads the store runs its own: the flusher (writes the commit
 * journal), the direct flusher (fsyncs segment files, checkpoints), the
 * notifier (completes waiters in bulk), the retainer (removes segments and
 * deleted topics), and the scrubber (verifies sealed segments). Without,
 * store_work() does their work in the caller's thread: tests are deterministic
 * that way.
 *
 * Its locks are its own (inside.h); callbacks are called with none held.
 *
 * On-disk format: docs/on-disk-format.md.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fileio.h"
#include "store/partition.h"
#include "store/set.h"
#include "store/topicconf.h"

struct finder;
struct store;
struct topic;

#define TOPIC_NAME_MAX 249

struct store_options {
    struct fileio *io;              /* borrowed; outlives the store */
    const char *name;               /* of the store, for sentences ("./data") */
    uint64_t (*wall_ms)(void *arg); /* NULL = the system's clock */
    void *clock_arg;
    bool threads;
    uint32_t broker;                   /* this broker's id; 0 = 1 */
    bool any_broker;                   /* the store may be any broker's */
    uint64_t journal_bytes;            /* both files together; 0 = 128 MiB */
    uint64_t journal_part_bytes;       /* above this a partition goes direct; 0 = 256 KiB */
    uint64_t scrub_bytes_per_second;   /* verified of sealed segments; 0 = none */
    uint64_t retention_check_ms;       /* how often retention is looked after; 0 = a minute */
    struct topic_config topic_default; /* for new topics; all zero = topic_config_default */
    uint64_t random_seed;              /* tests: UUIDs and salts from it; 0 = getrandom */
    const char *boot_id;               /* tests; NULL = the kernel's */
    const struct finder *finder;       /* findings.h; NULL: findings go to the log */
};

/*
 * Opens the store, making it where the directory is empty, recovering it where
 * it was not stopped cleanly.
 *
 * ERR_LOCKED, ERR_NOT_A_STORE, ERR_NEWER_FORMAT, -EROFS, -ENOSPC, other -errno:
 * err has the sentence. What recovery found and did is logged and in
 * store_status().
 */
int store_open(struct store **out, const struct store_options *options, struct err *err) MUST_CHECK;

/*
 * Clean stop: flushes everything, writes .clean, ends the threads, frees. All
 * references to topics and segments must have been put back. Waiters that are
 * left are completed with ERR_STOPPING before. Returns what kept .clean from
 * being written, if anything; the store is closed in any case.
 */
int store_close(struct store *store, struct err *err) MUST_CHECK;

/* Ends the store as a kill would: no word to the disk. For tests. */
void store_abandon(struct store *store);

/* Completes every waiter and watcher with ERR_STOPPING and refuses new appends
 * with it: the first step of a stop, so that nobody is left waiting. */
void store_stop_waiting(struct store *store);

/*
 * For a caller that queues a wait and has nothing to do until it ends. Between
 * the two calls, which belong together, what is due wakes nobody; the second
 * one runs a flush through the journal in this thread, if one is due and none
 * runs. Saves the way to the flush thread and back; blocks on disk I/O.
 */
void store_will_help(struct store *store);
void store_help_flush(struct store *store);

/* Without threads: does one round of what they would do. True if there was
 * anything to do. `now` as if every flush.ms had passed. */
bool store_work(struct store *store, bool now);

/* How many segments retention has removed: changes when names are gone. */
uint64_t store_segments_removed(struct store *store);

/* Text for people: one `key: value` line each. */
int store_status(struct store *store, struct buf *out) MUST_CHECK;

/* Numbers for Prometheus, in its text format 0.0.4: docs/metrics.md. */
int store_metrics(struct store *store, struct buf *out) MUST_CHECK;

uint64_t store_wall_ms(struct store *store);

/*
 * An id for a producer (store/set.h) that no store of the cluster has given and
 * this one never gives again, not after a crash either: the broker's id in the
 * upper 32 bits. Blocks on disk I/O once in 1024 calls. -ENOSPC, -EIO: no id.
 */
int store_producer_id(struct store *store, int64_t *id, struct err *err) MUST_CHECK;

/* -- topics -- */

/* True for [A-Za-z0-9._-]{1,249} without a leading "." or "-". */
bool topic_name_valid(const char *name);

/* Makes a topic, durably: it is there after a power cut once this returned 0.
 * conf NULL = the defaults. *out, if wanted, is counted.
 * -EEXIST, -EINVAL (name or settings), -ENOSPC. */
int store_topic_create(struct store *store, const char *name, const struct topic_config *conf,
                       struct topic **out, struct err *err) MUST_CHECK;

/* Removes a topic that has never had a message, durably. -ENOTEMPTY, -ENOENT. */
int store_topic_remove(struct store *store, const char *name, struct err *err) MUST_CHECK;

/*
 * Removes a topic with all its messages, durably; the name is free once this
 * returned, its files are unlinked in the background. What holds a segment of
 * it reads on; everything else about its partitions is ERR_GONE, -ENOENT for
 * appends and waits. Also done by topic_configure() with the one line
 * `delete=ID`. -ENOENT: removed already. Another failure, and topic_removed():
 * it is gone, but a power cut may bring it back.
 */
int store_topic_delete(struct topic *topic, struct err *err) MUST_CHECK;

/* Counted; NULL where there is none. */
struct topic *store_topic_find(struct store *store, const char *name);
/* The topic with the least number > after (start with 0). Counted, NULL at the end. */
struct topic *store_topic_next(struct store *store, uint32_t after);
uint32_t store_topic_count(struct store *store);
struct topic *topic_get(struct topic *topic);
void topic_put(struct topic *topic);

const char *topic_name(const struct topic *topic);
uint32_t topic_number(const struct topic *topic); /* never reused, >= 16 */
const char *topic_id(const struct topic *topic);  /* UUID text */
/* When it was made or first seen, or its settings changed. */
uint64_t topic_changed_ms(const struct topic *topic);
bool topic_removed(const struct topic *topic);

/* The settings now; valid for as long as the topic is held. */
const struct topic_config *topic_config(const struct topic *topic);

/* Applies lines of settings as a whole, durably, before it returns. The one
 * line `delete=ID` removes the topic instead, if that is its id. */
int topic_configure(struct topic *topic, const char *text, size_t len, struct err *err) MUST_CHECK;

/* The text of .config as it would be read: id, number, partitions, settings. */
int topic_config_text(struct topic *topic, struct buf *out) MUST_CHECK;

/* chmod, chown; -1 leaves one as it is. */
int topic_set_access(struct topic *topic, int64_t mode, int64_t uid, int64_t gid,
                     struct err *err) MUST_CHECK;

uint32_t topic_partition_count(const struct topic *topic);
/* NULL where there is none. Lives as long as the topic is held. */
struct partition *topic_partition(const struct topic *topic, uint32_t index);
/* The next one in turn for a set without a key, failed ones left out; NULL if
 * all have failed. */
struct partition *topic_partition_in_turn(struct topic *topic);

#endif
