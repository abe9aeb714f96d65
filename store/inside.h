/*
 * store/inside: the structures that the files of store/ share. Not for others.
 *
 * A message goes through three marks, each of which only rises (but for a
 * failed append, which never reached the first):
 *
 *     durable <= visible <= appended        (flush.sync=disk)
 *     durable <= visible =  appended        (flush.sync=os)
 *
 * appended: in the files' page cache. visible: a completed flush covers it,
 * by the journal or direct: readers stop here. durable: a direct flush covers
 * it, so the segment's own files have it and its slot may say so. All three
 * always stand at the end of a set, and all of what is above `durable` is in
 * the newest segment: rolling flushes first.
 *
 * Locks, outer before inner: store.make_lock, topic.change_lock,
 * store.topics_lock, partition.append_lock, partition.lock, flusher.lock,
 * store.files_lock. retainer.lock, scrubber.lock and store.wanted_lock are
 * taken with nothing inside.
 */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/damage.h"
#include "store/flush.h"
#include "store/journal.h"
#include "store/metrics.h"
#include "store/producers.h"
#include "store/retain.h"
#include "store/scrub.h"
#include "store/segment.h"
#include "store/store.h"
#include "store/unsynced.h"

#define FIRST_TOPIC 16u /* the number of a new store's first topic */

struct append_request;
struct found;
struct making;

/* What .clean says of a partition. */
struct clean_facts {
    uint64_t first, base;         /* offset of the oldest and of the newest segment */
    uint64_t bytes[SUFFIX_COUNT]; /* of the newest segment's files */
    uint64_t oldest_ms;           /* last append in the oldest segment; 0 = not known */
};

struct partition {
    struct store *store;
    struct topic *topic;
    uint32_t index;

    /* Appending: one leader writes for all who queue. */
    pthread_mutex_t append_lock;
    pthread_cond_t append_turn;
    struct append_request *queue_head, *queue_tail;
    bool leading;
    bool shut;                   /* the topic is being removed */
    struct producers *producers; /* the leader's; NULL: not read yet */

    pthread_mutex_t lock;
    struct clean_facts *clean; /* lock; .clean vouches for it, segments are not listed yet */
    struct segment **segments; /* lock; ascending by base; the last is the newest */
    size_t segment_count, segment_room;
    bool gaps;              /* lock: there may be one between two of them */
    struct damage *damages; /* lock; ascending */
    size_t damage_count;
    bool pinned;    /* lock: the newest segment is used, for what is not durable */
    bool appending; /* lock: a leader is writing to it */

    _Atomic uint64_t end;         /* appended.offset, for reading without a lock */
    _Atomic uint64_t visible_end; /* visible.offset, likewise */
    _Atomic bool failed;
    char *why;     /* set once, before failed */
    int fail_code; /* likewise: what it failed with */

    bool journaled;      /* recovery: the journal has what its slot does not vouch for */
    uint64_t vouched;    /* recovery: what slot, journal and .clean say was durable */
    uint64_t clean_end;  /* recovery: what a .clean says that is not believed in the rest */
    struct found *found; /* recovery: what its directory holds */

    struct retention retention; /* see retain.h */

    struct flush_state flush; /* flusher.lock */
    struct mark appended, visible, durable;
    bool new_names; /* flusher.lock: a file was made since the last direct flush */
};

struct topic {
    struct store *store;
    char name[TOPIC_NAME_MAX + 1];
    char id[37];
    uint32_t number;
    _Atomic uint64_t changed_ms;
    atomic_uint refs;
    _Atomic bool removed;
    _Atomic bool links_new;      /* sealed/ has names that may not be durable */
    pthread_mutex_t change_lock; /* one change of settings at a time */
    /* Replaced as a whole, the old ones kept until the topic goes. */
    _Atomic(struct topic_config *) config;
    struct topic_config **old_configs;
    size_t old_config_count;
    _Atomic(struct partition **) partitions; /* replaced when it grows, likewise kept */
    struct partition ***old_partitions;
    size_t old_partition_count;
    _Atomic uint32_t partition_count;
    atomic_uint turn;
    _Atomic uint64_t messages_appended, bytes_appended; /* since the start */
    struct topic *hash_next;
};

struct store {
    struct fileio *io;
    struct store_options options;
    char *name;
    uint8_t uuid[16];
    char uuid_text[37], cluster_text[37];
    uint64_t incarnation;
    char nonce[17];
    uint32_t topics_reserved; /* "topics N" of .format */
    uint32_t next_topic;
    uint32_t left_out;           /* topics that are there and could not be read */
    uint32_t producers_reserved; /* "producers N" of .format; make_lock */
    uint32_t next_producer;      /* make_lock */
    int lock_fd, root_fd;
    char boot_id[40];
    _Atomic uint64_t reserved_bytes; /* in .reserve */
    bool same_boot;                  /* the last process ran in this boot */
    uint64_t rng;                    /* tests: state of the seeded generator */

    pthread_mutex_t make_lock; /* topics are made, together, or one is removed */
    pthread_mutex_t wanted_lock;
    struct making *wanted; /* wanted_lock: topics to make */
    pthread_rwlock_t topics_lock;
    struct topic **by_number; /* ascending */
    size_t topic_count, topic_room;
    bool loading;           /* by_number is in no order yet */
    struct topic **by_name; /* hash table, a power of two */
    size_t buckets;

    pthread_mutex_t files_lock;
    struct segment *idle_head, *idle_tail; /* unused but open, longest unused first */
    unsigned idle_count, idle_max;
    _Atomic unsigned open_segments;
    unsigned open_segments_max;       /* what the descriptors allow, used and idle */
    unsigned open_segments_high;      /* above this the files that flushes hold are let go of */
    _Atomic unsigned pinned_segments; /* at most pinned_max: appending waits then */
    unsigned pinned_max;

    pthread_mutex_t syncfs_lock; /* taken alone */
    bool syncfs_failed;          /* syncfs_lock */

    pthread_mutex_t clean_lock;
    _Atomic bool clean; /* .clean is there and believed: unlink before the first write */

    struct journal journal;
    struct flusher flusher;
    struct scrubber scrubber;
    struct retainer retainer;
    _Atomic bool stopping;
    _Atomic bool links_missing;       /* in some sealed/ */
    _Atomic uint64_t no_room_said_us; /* when the log was last told of a full disk; 0 = not yet */
    _Atomic uint64_t messages_cut, parts_replayed;
    uint64_t open_us; /* how long opening took */
    struct metrics metrics;
};

/* -- partition.c -- */
struct partition *partition_new(struct topic *topic, uint32_t index);
void partition_free(struct partition *part);
/* Makes the partition's directory `dir` ("T/0", or under a temporary name)
 * with an empty first segment, and notes what is to be synced. */
int partition_make_files(struct store *store, const char *dir, struct unsynced *u,
                         struct err *err) MUST_CHECK;
/* Lists the segments where .clean has saved doing so until now. */
int partition_load(struct partition *part, struct err *err) MUST_CHECK;
/* Read-only from now on; says why. code: what to do about it, in .status. Returns
 * ERR_FAILED. */
int partition_fail(struct partition *part, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct segment *partition_newest(struct partition *part); /* lock held, or nobody else is there */
/* The same for who leads, without the lock: it stays the newest until the leader
 * rolls, but retention moves the list of segments meanwhile. */
struct segment *partition_newest_led(struct partition *part);
int partition_add_segment(struct partition *part, struct segment *seg) MUST_CHECK; /* lock */
/* Keeps the newest segment's files open while something of it is not durable. */
int partition_pin(struct partition *part, struct err *err) MUST_CHECK;
void partition_unpin(struct partition *part);
/* The topic is removed: closes what nobody uses, so that its room is free. */
void partition_let_go(struct partition *part);
void partition_set_marks(struct partition *part, const struct mark *at); /* all three */

/* -- append.c -- */
/* Leads with nothing to append: nobody appends meanwhile, and the newest segment's
 * files are open. Fails as an append would. */
int partition_lead(struct partition *part, struct err *err) MUST_CHECK;
void partition_unlead(struct partition *part);

/* -- roll.c -- */
/* Seals the newest segment and begins the next. The caller is the leader. */
int partition_roll(struct partition *part, struct err *err) MUST_CHECK;

/* -- sealed.c -- */
/* Makes the names in the topic's sealed/ durable, where there are new ones. */
int sealed_sync(struct topic *topic) MUST_CHECK;
int partition_seal_link(struct partition *part, struct segment *seg) MUST_CHECK;

/* -- topic.c, topic_config.c -- */
struct topic *topic_new(struct store *store, const char *name, uint32_t number, const char *id,
                        const struct topic_config *conf);
/* Up to `count` of them; `fresh`: each with the empty segment just made. */
int topic_add_partitions(struct topic *topic, uint32_t count, bool fresh) MUST_CHECK;
/* Makes the first .config in dir. */
int topic_config_make(struct topic *topic, const char *dir, const struct topic_config *conf,
                      struct unsynced *u) MUST_CHECK;
/* Replaces .config in dir, durably. */
int topic_config_write(struct topic *topic, const char *dir,
                       const struct topic_config *conf) MUST_CHECK;
/* Reads a topic's .config and adds it to the store; its partitions are empty. */
int topic_load(struct store *store, const char *name, struct err *err) MUST_CHECK;
void topic_free(struct topic *topic);
int store_add_topic(struct store *store, struct topic *topic) MUST_CHECK;
/* Until then topics are added in any order, and not found by number. -EEXIST:
 * two have one number. */
int store_end_loading(struct store *store, struct err *err) MUST_CHECK;
struct topic *store_topic_by_number(struct store *store, uint32_t number); /* borrowed; at start */

/* -- store.c -- */
/* To be called before every write: after a clean stop .clean goes first. Cheap after that. */
int store_unclean(struct store *store, struct err *err) MUST_CHECK;
/* From so many partitions on one syncfs costs less than fsyncs of their files. */
#define SYNCFS_AT 32u
/* One syncfs (flush_direct.c). On an error, each file is to be asked. */
int store_sync_everything(struct store *store) MUST_CHECK;
uint64_t store_random(struct store *store);
void store_uuid(struct store *store, uint8_t uuid[16], char text[37]);
int store_write_format(struct store *store) MUST_CHECK;
/* Deletes what a crash left of topics being made or removed, and temporaries. */
int store_sweep(struct store *store, struct err *err) MUST_CHECK;
/* Makes .reserve hold twice what the journal may hold, at least 8 MiB. */
int store_reserve(struct store *store, uint64_t journal_bytes) MUST_CHECK;
/* Removes a directory with all that is in it; nothing is fsynced. ERR_STOPPING:
 * some of it is left. */
int store_remove_tree(struct store *store, const char *path) MUST_CHECK;
/* Takes the topic out of the tables; topics_lock held for writing. */
void store_drop_topic(struct store *store, struct topic *topic);

#endif
