/*
 * store/set: the append set, the unit of appending.
 *
 * A set is the complete lines of one write(2), or one batch of messages. It
 * goes into one segment, is numbered consecutively, and after a crash is there
 * whole or not at all.
 *
 * A set is built by its caller in two ways that may be mixed: set_add_lines()
 * borrows the bytes of plain lines; set_add_message() takes a message with
 * key, headers, time. Each message's CRC is begun here, before any lock, and
 * finished by the segment with 20 bytes under the append lock.
 *
 * Ownership: the value bytes are borrowed until the append returns; all else
 * is the set's. Threads: one at a time. Reuse with set_clear(): a set that has
 * been used once allocates no more.
 */
#ifndef STORE_SET_H
#define STORE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/err.h"

/* One message of a set; positions count from the set's first byte. */
struct set_entry {
    uint32_t end;      /* just past its '\n' */
    uint32_t crc;      /* of its .meta record and .log bytes, not finished */
    uint32_t meta_end; /* just past its .meta record */
};

/* Who sends a set, and which of his it is, so that sending it again is noticed. */
struct producer {
    int64_t id;       /* store_producer_id() gave it */
    int16_t epoch;    /* raised where it begins anew, with sequence 0 */
    int32_t sequence; /* of the set's first message; 0 comes after 2^31 - 1 */
};

struct set {
    struct iovec *iov; /* the .log bytes, in order */
    size_t iov_count, iov_room;
    struct set_entry *entries;
    size_t count, room;
    uint32_t log_bytes;     /* of the whole messages */
    uint32_t largest_bytes; /* the largest message: key, headers, value, '\n' */
    struct buf meta;        /* the .meta bytes */
    bool newline_in_value;  /* one of set_add_message()'s values has a '\n' */
    bool produced;          /* `producer` says by whom */
    struct producer producer;

    uint32_t message_max_bytes; /* for set_add_lines(); 0 = no limit */
    uint32_t set_max_bytes;     /* likewise */

    /* The line that is not ended yet. */
    uint32_t open_bytes;
    uint32_t open_crc;
};

struct header {
    const void *name;
    uint32_t name_len;
    const void *value; /* NULL = null value */
    uint32_t value_len;
};

/* A message with everything it may have. */
struct message {
    const void *value; /* NULL = null value */
    uint32_t value_len;
    const void *key; /* NULL = none */
    uint32_t key_len;
    const struct header *headers;
    uint32_t header_count;
    bool has_time;
    int64_t time_ms; /* create time */
};

void set_init(struct set *set);
void set_release(struct set *set);
/* Empty again; the limits stay. */
void set_clear(struct set *set);

/*
 * Adds bytes of lines: each '\n' ends a message, what follows the last one is
 * an open line that the next call goes on with. Before the append the set must
 * have no open line (set_drop_open() takes it back).
 *
 * 0: all were taken. *taken = len.
 * 1: the set is full: it ends before the line that would pass set_max_bytes;
 *    append it, clear it, go on at data + *taken. (The open line of earlier
 *    calls, if it is that line, is dropped from the set: add its bytes again.)
 * -EMSGSIZE: a line longer than message_max_bytes begins at data + *taken (or
 *    before data, where it was open already); the lines before it are in the
 *    set. A line may be found too long before its end is seen.
 * -ENOMEM: *taken bytes are in; the rest is not.
 * -EINVAL: the set has a producer and no message yet; nothing was taken.
 */
int set_add_lines(struct set *set, const void *data, size_t len, size_t *taken) MUST_CHECK;

/* Takes the open line back out of the set. */
void set_drop_open(struct set *set);

/* Says who sends the set. Before its first message, which must be one of
 * set_add_message()'s; set_clear() forgets it. -EINVAL: the set has messages, or
 * a number is negative. */
int set_producer(struct set *set, const struct producer *producer) MUST_CHECK;

/* -EMSGSIZE, -ENOMEM: the set is as it was. */
int set_add_message(struct set *set, const struct message *m) MUST_CHECK;

#endif
