/*
 * fs/publish: line assembly between write(2) and the store. See publish.h.
 *
 * The bytes of a write are never copied for the complete lines in it: the set
 * borrows them until the append returns. What is copied is the rest after the
 * last '\n', and it is looked at again only when its '\n' comes: a writer of
 * single bytes costs a copy each, not a checksum of all before.
 *
 * Telling about a line that is too long
 *   A write(2) above 1 MiB reaches us as several requests with nothing that
 *   says so. Where one of them but the first fails, the kernel answers with
 *   the bytes taken so far and the error is gone. So an error is answered only
 *   to a request that is the first of its write(2): one that follows a short or
 *   failed answer, or is small and follows a small one. To any other the answer
 *   is a short count, and the error waits for the next request (TELL).
 *
 *   After the error the line may go on, or not: who writes in blocks comes with
 *   its next bytes, who writes whole lines has given it up and comes with
 *   another line, which must not vanish unsaid. The size tells them apart: a
 *   small request was all of its write(2), so the writer itself had cut the
 *   line and it goes on (SWALLOW). A large one may be a piece of a write whose
 *   other pieces never came: the next one is refused as well.
 */
#include "fs/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/plural.h"

#define REST_KEPT_BYTES 65536 /* a larger buffer is not kept for the next line */
#define PIECE_MIN_BYTES \
    126976 /* no kernel cuts a write(2) into smaller pieces: 32 pages less one */

enum state {
    LINES,   /* as it should be */
    TELL,    /* a line was too long: the next write fails */
    SWALLOW, /* that was told; the line's bytes are swallowed up to its '\n' */
};

/* Appended to `part` up to `end`, maybe not visible yet. */
struct touched {
    struct partition *part;
    uint64_t end;
};

struct publisher {
    struct topic *topic;
    struct partition *part; /* NULL: the one in turn */
    int64_t index;          /* of part, or -1 */
    pthread_mutex_t lock;   /* of all below */
    enum state state;
    bool cut_off;    /* the last answer ended its write(2): short, or an error */
    bool small;      /* the last request was too small to be a piece */
    bool refused;    /* the last answer was an error: rest is not going to be ended */
    struct buf rest; /* the line that is not ended */
    struct touched *touched;
    size_t touched_count, touched_room;
};

/* -- the set a thread builds in: as many as threads, not as handles -- */

static pthread_key_t scratch_key;
static bool scratch_has_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *arg)
{
    set_release(arg);
    free(arg);
}

static void scratch_make_key(void)
{
    scratch_has_key = pthread_key_create(&scratch_key, scratch_free) == 0;
}

/* NULL: no memory. Ends with the thread. */
static struct set *scratch(void)
{
    struct set *set;

    pthread_once(&scratch_once, scratch_make_key);
    set = scratch_has_key ? pthread_getspecific(scratch_key) : NULL;
    if (set || !scratch_has_key)
        return set;
    set = malloc(sizeof *set);
    if (!set)
        return NULL;
    set_init(set);
    if (pthread_setspecific(scratch_key, set) != 0) {
        free(set);
        return NULL;
    }
    return set;
}

/* -- opening and closing -- */

int publisher_open(struct publisher **out, struct topic *topic, int64_t partition)
{
    struct partition *part = NULL;
    struct publisher *p;

    if (partition >= 0) {
        if (partition > UINT32_MAX)
            return -ENOENT;
        part = topic_partition(topic, (uint32_t)partition);
        if (!part)
            return -ENOENT;
    }
    p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->topic = topic_get(topic);
    p->part = part;
    p->index = part ? partition : -1;
    p->cut_off = true;
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return 0;
}

void publisher_release(struct publisher *p)
{
    size_t bytes = p->rest.len;
    struct err err = {0};
    int rc = publisher_publish_rest(p, &err);

    if (rc < 0)
        diag_say("%s: %zu byte%s without a newline could not be published at the last close: %s",
                 topic_name(p->topic), bytes, plural(bytes),
                 err.text[0] ? err.text : err_sentence(rc));
    pthread_mutex_destroy(&p->lock);
    buf_release(&p->rest);
    free(p->touched);
    topic_put(p->topic);
    free(p);
}

/* -- what may not be visible yet -- */

static void forget_visible(struct publisher *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->touched_count; i++)
        if (partition_visible_end(p->touched[i].part) < p->touched[i].end)
            p->touched[kept++] = p->touched[i];
    p->touched_count = kept;
}

static int by_partition_last_first(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;

    if (x->part != y->part)
        return partition_index(x->part) < partition_index(y->part) ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end;
}

static void forget_doubles(struct publisher *p)
{
    size_t kept = 0;

    qsort(p->touched, p->touched_count, sizeof *p->touched, by_partition_last_first);
    for (size_t i = 0; i < p->touched_count; i++)
        if (kept == 0 || p->touched[kept - 1].part != p->touched[i].part)
            p->touched[kept++] = p->touched[i];
    p->touched_count = kept;
}

/* Ensures that remember() has room, so that an append is never forgotten. */
static int room_to_remember(struct publisher *p)
{
    size_t room = p->touched_room ? p->touched_room * 2 : 4;
    struct touched *touched;

    if (p->touched_count < p->touched_room)
        return 0;
    if (p->touched_count > 0) {
        forget_visible(p);
        forget_doubles(p);
        if (p->touched_count <= p->touched_room / 2)
            return 0;
    }
    touched = reallocarray(p->touched, room, sizeof *touched);
    if (!touched)
        return -ENOMEM;
    p->touched = touched;
    p->touched_room = room;
    return 0;
}

static void remember(struct publisher *p, struct partition *part, uint64_t end)
{
    struct touched *last = p->touched_count > 0 ? &p->touched[p->touched_count - 1] : NULL;

    if (last && last->part == part)
        last->end = end;
    else
        p->touched[p->touched_count++] = (struct touched){part, end};
}

/* -- appending -- */

static int append_set(struct publisher *p, struct set *set, struct err *err)
{
    uint32_t tries = p->part ? 1 : topic_partition_count(p->topic);
    struct partition *part = NULL;
    uint64_t offset = 0;
    int rc = room_to_remember(p);

    if (rc < 0)
        return rc;
    /* One that failed between choice and append took nothing: try the next. */
    do {
        part = p->part ? p->part : topic_partition_in_turn(p->topic);
        if (!part)
            return err_set(err, ERR_FAILED, "%s: all partitions are read-only",
                           topic_name(p->topic));
        rc = partition_append(part, set, &offset, err);
    } while (rc == ERR_FAILED && --tries > 0);
    if (rc == 0)
        remember(p, part, offset + set->log_bytes);
    return rc;
}

static void drop_rest(struct publisher *p)
{
    if (p->rest.room > REST_KEPT_BYTES)
        buf_release(&p->rest);
    else
        buf_clear(&p->rest);
}

/*
 * Appends the held rest and the complete lines data[0, len), which end with a
 * '\n', in as few sets as set.max.bytes allows. *taken: the bytes of the lines
 * that are in the log now, also on failure. -EMSGSIZE: the line at data +
 * *taken (with the rest, where one is still held) is too long.
 */
static int append_lines(struct publisher *p, const char *data, size_t len, size_t *taken,
                        struct err *err)
{
    struct set *set = scratch();
    int rc = set ? 0 : -ENOMEM;

    *taken = 0;
    while (rc >= 0 && *taken < len) {
        const struct topic_config *conf = topic_config(p->topic);
        size_t n = 0;

        set_clear(set);
        set->message_max_bytes = (uint32_t)conf->message_max_bytes;
        set->set_max_bytes = (uint32_t)conf->set_max_bytes;
        rc = p->rest.len > 0 ? set_add_lines(set, p->rest.data, p->rest.len, &n) : 0;
        n = 0;
        if (rc == 0)
            rc = set_add_lines(set, data + *taken, len - *taken, &n);
        if (set->count > 0) {
            int failed = append_set(p, set, err);

            if (failed < 0)
                return failed;
            drop_rest(p);
            *taken += n;
        } else if (rc == 1) {
            rc = -EMSGSIZE; /* a first line that no set can hold */
        }
    }
    return rc < 0 ? rc : 0;
}

/* Keeps the beginning of a line until its '\n' comes. */
static int hold(struct publisher *p, const char *data, size_t len)
{
    if (len == 0)
        return 0;
    p->rest.cap = topic_config(p->topic)->message_max_bytes;
    if (p->rest.len + len >= p->rest.cap)
        return -EMSGSIZE; /* no room for its '\n' */
    return buf_add(&p->rest, data, len);
}

/* This write is told that its line is too long, and was the first request of
 * its write(2). */
static ssize_t tell(struct publisher *p, const char *data, size_t len)
{
    if (memchr(data, '\n', len))
        p->state = LINES;
    else
        p->state = len < PIECE_MIN_BYTES ? SWALLOW : TELL;
    return -EMSGSIZE;
}

/* The line that data begins, or goes on with, is too long. */
static ssize_t too_long(struct publisher *p, const char *data, size_t len)
{
    const char *nl = memchr(data, '\n', len);
    bool begun = p->rest.len > 0;
    bool first = p->cut_off || (p->small && len < PIECE_MIN_BYTES);
    size_t cut = nl ? (size_t)(nl - data) : len - 1;

    drop_rest(p);
    /* A whole line is found too long again, should this error not be seen. */
    if (first || (nl && !begun))
        return tell(p, data, len);
    p->state = TELL;
    return cut > 0 ? (ssize_t)cut : -EMSGSIZE;
}

static ssize_t take_lines(struct publisher *p, const char *data, size_t len)
{
    const char *last = memrchr(data, '\n', len);
    size_t whole = last ? (size_t)(last - data) + 1 : 0;
    size_t taken = 0;
    int rc = 0;

    if (whole > 0)
        rc = append_lines(p, data, whole, &taken, NULL);
    if (rc == 0) {
        rc = hold(p, data + whole, len - whole);
        if (rc == 0)
            return (ssize_t)len;
    }
    if (taken > 0)
        return (ssize_t)taken; /* the next write finds the same and says so */
    return rc == -EMSGSIZE ? too_long(p, data, len) : rc;
}

/* Skips what is left of a line that was told to be too long. */
static ssize_t swallow(struct publisher *p, const char *data, size_t len)
{
    const char *nl = memchr(data, '\n', len);
    size_t skip = nl ? (size_t)(nl - data) + 1 : len;
    ssize_t n;

    if (nl)
        p->state = LINES;
    if (skip == len)
        return (ssize_t)len;
    /* What fails behind the skipped bytes is not told by this answer. */
    p->cut_off = p->small = false;
    n = take_lines(p, data + skip, len - skip);
    return (ssize_t)skip + (n > 0 ? n : 0);
}

ssize_t publisher_write(struct publisher *p, const void *data, size_t len)
{
    ssize_t n;

    if (len == 0)
        return 0;
    pthread_mutex_lock(&p->lock);
    switch (p->state) {
    case TELL: n = tell(p, data, len); break;
    case SWALLOW: n = swallow(p, data, len); break;
    case LINES:
    default: n = take_lines(p, data, len); break;
    }
    p->cut_off = n != (ssize_t)len;
    p->small = len < PIECE_MIN_BYTES;
    p->refused = n < 0;
    pthread_mutex_unlock(&p->lock);
    return n;
}

int publisher_publish_rest(struct publisher *p, struct err *err)
{
    size_t taken;
    int rc = 0;

    pthread_mutex_lock(&p->lock);
    if (p->rest.len > 0 && p->refused)
        rc = err_set(err, -ECANCELED, "the rest of that line was refused");
    else if (p->rest.len > 0)
        rc = append_lines(p, "\n", 1, &taken, err);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* -- waiting -- */

bool publisher_ack_write(const struct publisher *p)
{
    return topic_config(p->topic)->ack_write != 0;
}

void publisher_flush(struct publisher *p, struct publish_wait *w)
{
    int rc = 0;

    publish_wait_begin(w, p->topic);
    pthread_mutex_lock(&p->lock);
    forget_visible(p);
    for (size_t i = 0; rc == 0 && i < p->touched_count; i++)
        rc = publish_wait_add(w, p->touched[i].part, p->touched[i].end);
    pthread_mutex_unlock(&p->lock);
    publish_wait_start(w, WAIT_VISIBLE, rc);
}

void publisher_sync(struct publisher *p, struct publish_wait *w)
{
    publish_sync(p->topic, p->index, w);
}
