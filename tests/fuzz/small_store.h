/*
 * tests/fuzz/small_store: a store on the in-memory disk, without threads, for
 * the fuzz targets. The same calls lead to the same bytes, every time.
 *
 * What must work and does not is said with FUZZ_CHECK.
 */
#ifndef TESTS_FUZZ_SMALL_STORE_H
#define TESTS_FUZZ_SMALL_STORE_H

#include "store/store.h"
#include "tests/support/memdisk.h"

struct small_store {
    struct memdisk *disk;
    struct memclock clock;
    struct store_options options;
    struct store *store; /* NULL while closed */
};

/* Takes over the disk; NULL: makes an empty one. The store is closed. */
void small_store_begin(struct small_store *s, struct memdisk *disk);
/* Kills what is open and frees the disk. */
void small_store_end(struct small_store *s);

int small_store_try_open(struct small_store *s, struct err *err);
void small_store_open(struct small_store *s);
/* As kill -9 does. */
void small_store_kill(struct small_store *s);

/* Makes the topic with these lines of settings. */
void small_store_topic(struct small_store *s, const char *name, const char *settings);
/* While the store is open. */
struct partition *small_store_part(struct small_store *s, const char *name, uint32_t index);

int small_store_append(struct partition *part, const char *lines, uint64_t *offset);
void small_store_append_key(struct partition *part, const char *key, const char *value);
/* Does all the work there is, as if every flush.ms had passed. */
void small_store_flush(struct small_store *s);

/* Makes topic t, with segments that begin at SMALL_BASES; the last one has a
 * .meta, and bytes that only the journal has made durable. */
#define SMALL_BASES \
    {               \
        0, 6, 14    \
    }
#define SMALL_TOPIC "segment.ms=1000\nflush.ms=10\n"
void small_store_fill(struct small_store *s);

#endif
