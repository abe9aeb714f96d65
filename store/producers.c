/* store/producers: the table of a partition's producers. See producers.h. */
#include "store/producers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/inside.h"

#define PROD_MAGIC          "TFSPRD"
#define PROD_HEADER_BYTES   12u
#define PROD_PRODUCER_BYTES 20u
#define PROD_SET_BYTES      24u
#define PROD_CRC_BYTES      4u
#define PROD_BYTES_MAX                    \
    (PROD_HEADER_BYTES + PROD_CRC_BYTES + \
     PRODUCERS_MAX * (PROD_PRODUCER_BYTES + PRODUCER_SETS * PROD_SET_BYTES))

#define SEQUENCE_MASK 0x7fffffffu
#define FAR_BEHIND    0x40000000 /* no set comes again so late: the sequence began anew */
#define BUCKETS_LEAST 16u

/* One producer. Without sets it is as one that is not there: its first set was
 * to be appended, and could not be. */
struct state {
    int64_t id;
    struct state *bucket_next;
    struct state *older, *newer;             /* by the last set */
    uint64_t last_ms;                        /* append time of the last set */
    struct produced_set sets[PRODUCER_SETS]; /* oldest first */
    uint16_t set_count;
    int16_t epoch;
    /* While `group` is the group's: what of it stands before, not written yet. */
    int16_t group_epoch;
    int32_t group_next;
    uint64_t group;
};

struct producers {
    struct state **bucket; /* bucket_count, a power of two; NULL while empty */
    size_t bucket_count;
    size_t count;
    struct state *oldest, *newest;
    uint64_t group;
};

/* -- the table -- */

struct producers *producers_new(void)
{
    struct producers *all = calloc(1, sizeof *all);

    if (all)
        all->group = 1; /* nobody is in it yet */
    return all;
}

void producers_clear(struct producers *all)
{
    while (all->oldest) {
        struct state *next = all->oldest->newer;

        free(all->oldest);
        all->oldest = next;
    }
    free(all->bucket);
    *all = (struct producers){.group = all->group};
}

void producers_free(struct producers *all)
{
    if (all)
        producers_clear(all);
    free(all);
}

size_t producers_count(const struct producers *all)
{
    return all->count;
}

static struct state **bucket_of(const struct producers *all, int64_t id)
{
    uint64_t h = (uint64_t)id * 0x9e3779b97f4a7c15u;

    return &all->bucket[(size_t)(h >> 32) & (all->bucket_count - 1)];
}

static struct state *find(const struct producers *all, int64_t id)
{
    struct state *s = all->bucket ? *bucket_of(all, id) : NULL;

    while (s && s->id != id)
        s = s->bucket_next;
    return s;
}

static void order_remove(struct producers *all, struct state *s)
{
    if (s->older)
        s->older->newer = s->newer;
    else
        all->oldest = s->newer;
    if (s->newer)
        s->newer->older = s->older;
    else
        all->newest = s->older;
}

static void order_add(struct producers *all, struct state *s)
{
    s->older = all->newest;
    s->newer = NULL;
    if (all->newest)
        all->newest->newer = s;
    else
        all->oldest = s;
    all->newest = s;
}

static void forget(struct producers *all, struct state *s)
{
    struct state **link = bucket_of(all, s->id);

    while (*link != s)
        link = &(*link)->bucket_next;
    *link = s->bucket_next;
    order_remove(all, s);
    all->count--;
    free(s);
}

/* A table that is too small is slow, not wrong; but there must be one. */
static int grow(struct producers *all)
{
    size_t want = all->bucket_count ? all->bucket_count * 4 : BUCKETS_LEAST;
    struct producers larger = {.bucket_count = want};

    if (all->bucket && all->count < all->bucket_count)
        return 0;
    larger.bucket = calloc(want, sizeof(struct state *));
    if (!larger.bucket)
        return all->bucket ? 0 : -ENOMEM;
    for (struct state *s = all->oldest; s; s = s->newer) {
        struct state **bucket = bucket_of(&larger, s->id);

        s->bucket_next = *bucket;
        *bucket = s;
    }
    free(all->bucket);
    all->bucket = larger.bucket;
    all->bucket_count = want;
    return 0;
}

/* Adds a producer without sets, the newest; NULL: no memory. */
static struct state *add(struct producers *all, int64_t id)
{
    struct state *s;
    struct state **bucket;

    if (grow(all) < 0)
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    if (all->count == PRODUCERS_MAX)
        forget(all, all->oldest);
    bucket = bucket_of(all, id);
    s->id = id;
    s->bucket_next = *bucket;
    *bucket = s;
    order_add(all, s);
    all->count++;
    return s;
}

static void make_newest(struct producers *all, struct state *s)
{
    order_remove(all, s);
    order_add(all, s);
}

/* -- sets -- */

static int32_t sequence_after(int32_t sequence, uint32_t messages)
{
    return (int32_t)(((uint32_t)sequence + messages) & SEQUENCE_MASK);
}

static bool expired(const struct state *s, uint64_t now_ms)
{
    return now_ms > s->last_ms && now_ms - s->last_ms >= PRODUCER_EXPIRES_MS;
}

static void note(struct state *s, int16_t epoch, const struct produced_set *set, uint64_t time_ms)
{
    if (s->epoch != epoch)
        s->set_count = 0;
    if (s->set_count == PRODUCER_SETS)
        memmove(s->sets, s->sets + 1, --s->set_count * sizeof *s->sets);
    s->sets[s->set_count++] = *set;
    s->epoch = epoch;
    s->last_ms = time_ms;
}

int producers_note(struct producers *all, const struct producer *p, const struct produced_set *set,
                   uint64_t time_ms)
{
    struct state *s = find(all, p->id);

    if (!s)
        s = add(all, p->id);
    if (!s)
        return -ENOMEM;
    make_newest(all, s);
    note(s, p->epoch, set, time_ms);
    return 0;
}

void producers_appended(struct producers *all, const struct set *set, const struct appended *at,
                        uint64_t time_ms)
{
    struct state *s = find(all, set->producer.id);
    struct produced_set made = {
        .sequence = set->producer.sequence,
        .messages = (uint32_t)set->count,
        .offset = at->offset,
        .number = at->number,
        .end = at->end,
    };

    if (s) /* as it always is: a group has fewer sets than there are places */
        note(s, set->producer.epoch, &made, time_ms);
}

/* Is the set one of those that are known? Or older than them: then nobody knows
 * where it stands, but that it does. */
static bool was_appended(const struct state *s, const struct set *set, struct appended *at)
{
    const struct produced_set *last = &s->sets[s->set_count - 1];
    int64_t last_sequence = sequence_after(last->sequence, last->messages - 1);
    int64_t set_last = (int64_t)set->producer.sequence + (int64_t)set->count - 1;

    for (unsigned i = 0; i < s->set_count; i++) {
        const struct produced_set *one = &s->sets[i];

        if (one->sequence == set->producer.sequence && one->messages == set->count) {
            *at = (struct appended){one->offset, one->end, one->number, true};
            return true;
        }
    }
    if (set_last > last_sequence || last_sequence - set->producer.sequence >= FAR_BEHIND)
        return false;
    *at = (struct appended){APPENDED_UNKNOWN, last->end, APPENDED_UNKNOWN, true};
    return true;
}

/* -- asking -- */

void producers_begin_group(struct producers *all)
{
    all->group++;
}

static int next_in_group(struct producers *all, struct state *s, const struct set *set)
{
    s->group = all->group;
    s->group_epoch = set->producer.epoch;
    s->group_next = sequence_after(set->producer.sequence, (uint32_t)set->count);
    make_newest(all, s);
    return PRODUCER_NEXT;
}

static int ask_unknown(struct producers *all, struct state *s, const struct set *set,
                       struct err *err)
{
    if (set->producer.sequence != 0)
        return err_set(err, ERR_NO_PRODUCER,
                       "producer %" PRId64 " is not known (any more), and its sequence is %" PRId32
                       ": it has to begin with 0 in a new epoch",
                       set->producer.id, set->producer.sequence);
    if (!s)
        s = add(all, set->producer.id);
    if (!s)
        return err_set(err, -ENOMEM, "no memory for a producer");
    return next_in_group(all, s, set);
}

static int ask_known(struct producers *all, struct state *s, const struct set *set,
                     struct appended *at, struct err *err)
{
    const struct producer *p = &set->producer;
    const struct produced_set *last = &s->sets[s->set_count - 1];
    int32_t next = p->epoch > s->epoch ? 0 : sequence_after(last->sequence, last->messages);

    if (p->epoch < s->epoch)
        return err_set(err, ERR_OLD_EPOCH,
                       "producer %" PRId64 " has begun epoch %d, this set is of epoch %d", p->id,
                       s->epoch, p->epoch);
    if (p->epoch == s->epoch && p->sequence != next && was_appended(s, set, at))
        return PRODUCER_AGAIN;
    if (p->sequence != next)
        return err_set(err, ERR_BAD_SEQUENCE,
                       "producer %" PRId64 ", epoch %d: sequence %" PRId32 " where %" PRId32
                       " comes next",
                       p->id, p->epoch, p->sequence, next);
    return next_in_group(all, s, set);
}

int producers_ask(struct producers *all, const struct set *set, uint64_t now_ms,
                  struct appended *at, struct err *err)
{
    const struct producer *p = &set->producer;
    struct state *s = find(all, p->id);

    if (s && s->group == all->group) {
        if (p->epoch != s->group_epoch || p->sequence != s->group_next)
            return PRODUCER_LATER;
        return next_in_group(all, s, set);
    }
    if (s && s->set_count > 0 && expired(s, now_ms))
        s->set_count = 0;
    if (!s || s->set_count == 0)
        return ask_unknown(all, s, set, err);
    return ask_known(all, s, set, at, err);
}

/* -- .prod -- */

static int encode_one(const struct state *s, struct buf *out)
{
    uint8_t bytes[PROD_PRODUCER_BYTES + PRODUCER_SETS * PROD_SET_BYTES];
    uint8_t *at = bytes + PROD_PRODUCER_BYTES;

    put_le64(bytes, (uint64_t)s->id);
    put_le16(bytes + 8, (uint16_t)s->epoch);
    put_le16(bytes + 10, s->set_count);
    put_le64(bytes + 12, s->last_ms);
    for (unsigned i = 0; i < s->set_count; i++, at += PROD_SET_BYTES) {
        put_le32(at, (uint32_t)s->sets[i].sequence);
        put_le32(at + 4, s->sets[i].messages);
        put_le64(at + 8, s->sets[i].offset);
        put_le64(at + 16, s->sets[i].number);
    }
    return buf_add(out, bytes, (size_t)(at - bytes));
}

int producers_encode(const struct producers *all, uint64_t now_ms, struct buf *out)
{
    uint8_t head[PROD_HEADER_BYTES] = PROD_MAGIC;
    uint8_t crc[PROD_CRC_BYTES];
    size_t begin = out->len;
    uint32_t count = 0;
    int rc = buf_add(out, head, sizeof head);

    for (const struct state *s = all->oldest; rc == 0 && s; s = s->newer) {
        if (s->set_count == 0 || expired(s, now_ms))
            continue;
        rc = encode_one(s, out);
        count++;
    }
    if (rc == 0 && count > 0) {
        put_le16(out->data + begin + 6, FORMAT_VERSION);
        put_le32(out->data + begin + 8, count);
        put_le32(crc, crc32c_extend(0, out->data + begin, out->len - begin));
        rc = buf_add(out, crc, sizeof crc);
    }
    if (rc < 0 || count == 0)
        out->len = begin;
    return rc;
}

static int decode_one(struct producers *all, struct cursor *c, uint64_t base, uint64_t number)
{
    struct producer p = {.id = (int64_t)cursor_le64(c), .epoch = (int16_t)cursor_le16(c)};
    unsigned sets = cursor_le16(c);
    uint64_t last_ms = cursor_le64(c);

    if (c->failed || p.id < 0 || p.epoch < 0 || sets == 0 || sets > PRODUCER_SETS ||
        find(all, p.id))
        return ERR_TORN;
    for (; sets > 0; sets--) {
        struct produced_set set = {.end = base};
        int rc;

        set.sequence = (int32_t)cursor_le32(c);
        set.messages = cursor_le32(c);
        set.offset = cursor_le64(c);
        set.number = cursor_le64(c);
        if (c->failed || set.sequence < 0 || set.messages == 0 || set.offset >= base ||
            set.number >= number || set.messages > number - set.number)
            return ERR_TORN;
        rc = producers_note(all, &p, &set, last_ms);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int producers_decode(struct producers *all, const void *data, size_t len, uint64_t base,
                     uint64_t number)
{
    struct cursor c = cursor_over(data, len);
    const uint8_t *head = cursor_take(&c, PROD_HEADER_BYTES);
    uint32_t count;
    int rc = 0;

    producers_clear(all);
    if (!head || len < PROD_HEADER_BYTES + PROD_CRC_BYTES || memcmp(head, PROD_MAGIC, 6) != 0 ||
        crc32c_extend(0, data, len - PROD_CRC_BYTES) != get_le32(head + len - PROD_CRC_BYTES))
        return ERR_TORN;
    if (get_le16(head + 6) != FORMAT_VERSION)
        return ERR_NEWER_FORMAT;
    c.end -= PROD_CRC_BYTES;
    for (count = get_le32(head + 8); rc == 0 && count > 0; count--)
        rc = decode_one(all, &c, base, number);
    if (rc == 0 && cursor_left(&c) > 0)
        rc = ERR_TORN;
    if (rc < 0)
        producers_clear(all);
    return rc;
}
