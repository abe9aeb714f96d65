/*
 * tests/support/store_fixture: a store to test, on the real disk or on the
 * in-memory one, and hands to change what it left on the disk.
 *
 * Every call asserts that it worked; those that may fail are named try_ or
 * return what happened. Unless options.threads was set before opening, the
 * store has no threads: what is appended becomes visible by fixture_flush()
 * or store_work(), in the test's own thread.
 *
 * Paths are relative to the store. Threads: one, but for struct waiting.
 */
#ifndef TESTS_SUPPORT_STORE_FIXTURE_H
#define TESTS_SUPPORT_STORE_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/format.h"
#include "store/store.h"
#include "tests/support/memdisk.h"
#include "tests/support/temporary.h"

struct fixture {
    char dir[TEMPORARY_MAX]; /* of the store; "" on the in-memory disk */
    struct memdisk *disk;    /* NULL on the real one */
    struct fileio *io;
    struct store *store; /* NULL while closed */
    struct memclock clock;
    struct store_options options;
    struct err err; /* of the last call */
};

/* -- the store -- */

/* A new directory, and a store's options; the store is not open yet. */
void fixture_real(struct fixture *f);
void fixture_mem(struct fixture *f);
/* Closes what is open and removes the directory. */
void fixture_end(struct fixture *f);

void fixture_open(struct fixture *f);
int fixture_try_open(struct fixture *f);
void fixture_close(struct fixture *f);       /* cleanly */
void fixture_kill(struct fixture *f);        /* as kill -9 does */
void fixture_reopen(struct fixture *f);      /* clean stop and start */
void fixture_kill_reopen(struct fixture *f); /* kill and start */
/* A clean stop whose .clean is lost: all is flushed, slots say so, and the
 * next start recovers. */
void fixture_close_unclean(struct fixture *f);

/* Makes the topic with these lines of settings; its partition 0. The store
 * holds it: the pointer is good until the store is closed. */
struct partition *fixture_topic(struct fixture *f, const char *name, const char *settings);
struct partition *fixture_part(struct fixture *f, const char *name, uint32_t index);
/* A value of store_status(); "" where there is no such line. */
const char *fixture_status(struct fixture *f, const char *key, char *value, size_t room);
uint64_t fixture_status_number(struct fixture *f, const char *key); /* 0 likewise */

/* A topic's settings, and changing them. */
struct topic_config fixture_config(struct fixture *f, const char *name);
void fixture_configure(struct fixture *f, const char *name, const char *settings);
int fixture_try_configure(struct fixture *f, const char *name, const char *settings);

/* Does what work is due. */
void fixture_work(struct fixture *f);

/* The in-memory disk's fault, as struct memfault says; and none any more. */
void fixture_fail_calls(struct fixture *f, unsigned calls, const char *path, uint64_t nth,
                        bool for_ever, int error);
void fixture_no_faults(struct fixture *f);

/* -- messages -- */

/* Appends lines as one set. */
uint64_t fixture_append(struct partition *part, const char *lines);
int fixture_try_append(struct partition *part, const char *lines, uint64_t *offset,
                       struct err *err);
/* One message of `bytes` letters and a newline. */
uint64_t fixture_append_bytes(struct partition *part, size_t bytes, char letter);
/* With a key, so that it has a .meta record. */
uint64_t fixture_append_key(struct partition *part, const char *key, const char *value);

/* Settings of a topic whose segments are soon full. */
#define SMALL_SEGMENTS "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4000\n"
/* Into a partition with such: four segments, 30 messages of 1,000 bytes, message i with the
 * letter i and appended at i seconds; all visible. */
void fixture_fill(struct fixture *f, struct partition *part);
/* The partition's segments in their order; how many. */
size_t fixture_segments(struct partition *part, struct segment_stat *stats, size_t room);

/* Waits for all that is appended, doing the store's work; the waiter's rc. */
int fixture_flush(struct fixture *f, struct partition *part);
/* The same through fsync's door: direct where flush.sync=os. */
int fixture_fsync(struct fixture *f, struct partition *part);

/* All visible bytes from the first offset on, NUL-ended; to be freed. */
char *fixture_text(struct fixture *f, struct partition *part);
/* The same as a reader of messages sees it; *skipped by damage. */
char *fixture_messages(struct fixture *f, struct partition *part, uint64_t *skipped);
void fixture_expect(struct fixture *f, struct partition *part, const char *text);
/* A reader of messages gets that, and so many are skipped. */
void fixture_expect_messages(struct fixture *f, struct partition *part, const char *text,
                             uint64_t skipped);
/* A reader of messages gets whole lines that begin with these letters. */
void fixture_expect_letters(struct fixture *f, struct partition *part, const char *letters);

/* A waiter of a test, and whether it was told. Threads: any. */
struct waiting {
    struct waiter w; /* first */
    pthread_mutex_t lock;
    pthread_cond_t told_cond;
    bool told;
    int rc;
};
void waiting_init(struct waiting *w);
/* Until it was told, at most 30 seconds; its rc. */
int waiting_for(struct waiting *w);
bool waiting_told(struct waiting *w);

/* -- files -- */

bool file_exists(struct fixture *f, const char *path);
uint64_t file_size(struct fixture *f, const char *path);
char *file_read(struct fixture *f, const char *path, size_t *len); /* to be freed */
/* Replaces or makes it. */
void file_write(struct fixture *f, const char *path, const void *data, size_t len);
void file_write_at(struct fixture *f, const char *path, uint64_t pos, const void *data, size_t len);
void file_append(struct fixture *f, const char *path, const void *data, size_t len);
void file_cut(struct fixture *f, const char *path, uint64_t size);
void file_flip(struct fixture *f, const char *path, uint64_t pos);
void file_remove(struct fixture *f, const char *path);
void dir_make(struct fixture *f, const char *path);
/* The whole tree in words: a line per name, with size and CRC of the bytes;
 * .lock's bytes are left out. To be freed. */
char *tree_text(struct fixture *f);
/* Asserts that the tree is as `before` says, which it frees. */
void tree_unchanged(struct fixture *f, char *before);

/* -- .idx files -- */

#define SEG0_LOG  "t/0/00000000000000000000.log"
#define SEG0_IDX  "t/0/00000000000000000000.idx"
#define SEG0_META "t/0/00000000000000000000.meta"

/* Where entry i stands. */
#define ENTRY_AT(i) (IDX_HEADER_BYTES + (uint64_t)(i)*IDX_ENTRY_BYTES)
/* Makes the durable slot say `end`; or that there is none, where end is the base. */
void idx_set_slot(struct fixture *f, const char *path, uint64_t base, uint64_t end);
uint64_t idx_slot_end(struct fixture *f, const char *path, uint64_t base);

#endif
