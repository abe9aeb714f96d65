/*
 * store/set: the append set. See set.h.
 *
 * The .meta record is encoded here too (flags, then what they name, in that
 * order; docs/on-disk-format.md): a set is the only thing that makes one.
 */
#include "store/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/format.h"

void set_init(struct set *set)
{
    memset(set, 0, sizeof *set);
}

void set_release(struct set *set)
{
    free(set->iov);
    free(set->entries);
    buf_release(&set->meta);
    set_init(set);
}

void set_clear(struct set *set)
{
    set->iov_count = set->count = 0;
    set->log_bytes = set->largest_bytes = 0;
    set->newline_in_value = set->produced = false;
    set->open_bytes = 0;
    set->open_crc = 0;
    buf_clear(&set->meta);
}

static int room_for_entry(struct set *set)
{
    size_t room = set->room ? set->room * 2 : 64;
    struct set_entry *entries;

    if (set->count < set->room)
        return 0;
    entries = realloc(set->entries, room * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    set->entries = entries;
    set->room = room;
    return 0;
}

static int room_for_iov(struct set *set, size_t more)
{
    size_t room = set->iov_room ? set->iov_room : 8;
    struct iovec *iov;

    if (set->iov_count + more <= set->iov_room)
        return 0;
    while (room < set->iov_count + more)
        room *= 2;
    iov = realloc(set->iov, room * sizeof *iov);
    if (!iov)
        return -ENOMEM;
    set->iov = iov;
    set->iov_room = room;
    return 0;
}

/* Joins bytes that continue the last piece: all lines of one write are one. */
static void iov_add(struct set *set, const void *data, size_t len)
{
    struct iovec *last = set->iov_count > 0 ? &set->iov[set->iov_count - 1] : NULL;

    if (len == 0)
        return;
    if (last && (const char *)last->iov_base + last->iov_len == data) {
        last->iov_len += len;
        return;
    }
    set->iov[set->iov_count++] = (struct iovec){(void *)(uintptr_t)data, len};
}

void set_drop_open(struct set *set)
{
    uint32_t drop = set->open_bytes;

    while (drop > 0) {
        struct iovec *last = &set->iov[set->iov_count - 1];

        if (last->iov_len > drop) {
            last->iov_len -= drop;
            break;
        }
        drop -= (uint32_t)last->iov_len;
        set->iov_count--;
    }
    set->open_bytes = 0;
    set->open_crc = 0;
}

/* Ends the open line as a message. Room was made before. */
static void close_line(struct set *set)
{
    uint32_t bytes = set->open_bytes;

    set->log_bytes += bytes;
    set->entries[set->count++] = (struct set_entry){
        .end = set->log_bytes, .crc = set->open_crc, .meta_end = (uint32_t)set->meta.len};
    if (bytes > set->largest_bytes)
        set->largest_bytes = bytes;
    set->open_bytes = 0;
    set->open_crc = 0;
}

/* Lines that are in the set, its last entries, but for their CRCs: those of
 * three are computed in the time of one. */
struct unsummed {
    const void *data[3];
    size_t len[3];
    unsigned count;
};

static void sum_up(struct set *set, struct unsummed *u)
{
    struct set_entry *e = set->entries + set->count - u->count;
    uint32_t crc[3] = {0};

    if (u->count == 3)
        crc32c_extend3(crc, u->data, u->len);
    for (unsigned i = 0; i < u->count; i++)
        e[i].crc = u->count == 3 ? crc[i] : crc32c_extend(0, u->data[i], u->len[i]);
    u->count = 0;
}

/* A whole line, and none was open. */
static void add_line(struct set *set, struct unsummed *u, const void *data, size_t len)
{
    set->open_bytes = (uint32_t)len;
    close_line(set);
    u->data[u->count] = data;
    u->len[u->count++] = len;
    if (u->count == 3)
        sum_up(set, u);
}

static int add_lines(struct set *set, const char *at, size_t len, size_t *taken, struct unsummed *u)
{
    uint64_t message_max = set->message_max_bytes ? set->message_max_bytes : UINT32_MAX;
    uint64_t set_max = set->set_max_bytes ? set->set_max_bytes : UINT32_MAX;

    while (*taken < len) {
        size_t left = len - *taken;
        const char *nl = memchr(at, '\n', left);
        size_t piece = nl ? (size_t)(nl - at) + 1 : left;
        uint64_t line = (uint64_t)set->open_bytes + piece;

        /* A line that may still be ended exactly at the limit needs its '\n'. */
        if (line + (nl ? 0 : 1) > message_max) {
            set_drop_open(set);
            return -EMSGSIZE;
        }
        if (set->log_bytes + line > set_max) {
            set_drop_open(set);
            return 1;
        }
        if (room_for_entry(set) < 0)
            return -ENOMEM;
        iov_add(set, at, piece);
        if (nl && set->open_bytes == 0) {
            add_line(set, u, at, piece);
        } else {
            set->open_bytes = (uint32_t)line;
            set->open_crc = crc32c_extend(set->open_crc, at, piece);
            if (nl)
                close_line(set);
        }
        at += piece;
        *taken += piece;
    }
    return 0;
}

int set_add_lines(struct set *set, const void *data, size_t len, size_t *taken)
{
    struct unsummed u = {.count = 0};
    int rc;

    *taken = 0;
    if (set->produced && set->count == 0)
        return -EINVAL; /* a line has no record to say so in */
    if (room_for_iov(set, 2) < 0)
        return -ENOMEM;
    rc = add_lines(set, data, len, taken, &u);
    sum_up(set, &u);
    return rc;
}

static int meta_varbytes(struct buf *meta, uint32_t prefix, const void *data, uint32_t len)
{
    uint8_t v[5];
    size_t n = put_uvarint(v, prefix);
    int rc = buf_add(meta, v, n);

    return rc < 0 ? rc : buf_add(meta, data, len);
}

static int meta_headers(struct buf *meta, const struct message *m)
{
    uint8_t v[5];
    int rc = buf_add(meta, v, put_uvarint(v, m->header_count));

    for (uint32_t i = 0; rc == 0 && i < m->header_count; i++) {
        const struct header *h = &m->headers[i];

        rc = meta_varbytes(meta, h->name_len, h->name, h->name_len);
        if (rc == 0)
            rc = meta_varbytes(meta, h->value ? h->value_len + 1 : 0, h->value,
                               h->value ? h->value_len : 0);
    }
    return rc;
}

static int meta_producer(struct buf *meta, const struct producer *p)
{
    uint8_t bytes[META_PRODUCER_BYTES];

    put_le64(bytes, (uint64_t)p->id);
    put_le16(bytes + 8, (uint16_t)p->epoch);
    put_le32(bytes + 10, (uint32_t)p->sequence);
    return buf_add(meta, bytes, sizeof bytes);
}

/* producer: NULL but for the first message of a set that has one. */
static int meta_record(struct buf *meta, const struct message *m, const struct producer *producer)
{
    uint8_t flags = producer ? META_PRODUCER : 0;
    uint8_t time[8];
    int rc;

    if (!m->value)
        flags |= META_NULL_VALUE;
    if (m->key)
        flags |= META_KEY;
    if (m->header_count > 0)
        flags |= META_HEADERS;
    if (m->has_time)
        flags |= META_CREATE_TIME;
    if (flags == 0)
        return 0;
    rc = buf_add(meta, &flags, 1);
    put_le64(time, (uint64_t)m->time_ms);
    if (rc == 0 && m->has_time)
        rc = buf_add(meta, time, sizeof time);
    if (rc == 0 && producer)
        rc = meta_producer(meta, producer);
    if (rc == 0 && m->key)
        rc = meta_varbytes(meta, m->key_len, m->key, m->key_len);
    if (rc == 0 && m->header_count > 0)
        rc = meta_headers(meta, m);
    return rc;
}

int set_producer(struct set *set, const struct producer *producer)
{
    if (set->count > 0 || set->open_bytes > 0 || producer->id < 0 || producer->epoch < 0 ||
        producer->sequence < 0)
        return -EINVAL;
    set->producer = *producer;
    set->produced = true;
    return 0;
}

int set_add_message(struct set *set, const struct message *m)
{
    const struct producer *producer = set->produced && set->count == 0 ? &set->producer : NULL;
    uint32_t value_len = m->value ? m->value_len : 0;
    size_t meta_before = set->meta.len;
    uint64_t bytes = (uint64_t)value_len + 1 + m->key_len;
    uint32_t crc;

    for (uint32_t i = 0; i < m->header_count; i++)
        bytes += (uint64_t)m->headers[i].name_len + m->headers[i].value_len;
    if (bytes > (set->message_max_bytes ? set->message_max_bytes : INT32_MAX) ||
        set->log_bytes + bytes > (set->set_max_bytes ? set->set_max_bytes : INT32_MAX))
        return -EMSGSIZE;
    if (room_for_entry(set) < 0 || room_for_iov(set, 2) < 0 ||
        meta_record(&set->meta, m, producer) < 0) {
        set->meta.len = meta_before;
        return -ENOMEM;
    }
    crc = 0;
    if (set->meta.len > meta_before)
        crc = crc32c_extend(0, set->meta.data + meta_before, set->meta.len - meta_before);
    crc = crc32c_extend(crc, m->value, value_len);
    crc = crc32c_extend(crc, "\n", 1);
    iov_add(set, m->value, value_len);
    iov_add(set, "\n", 1);
    if (value_len > 0 && memchr(m->value, '\n', value_len))
        set->newline_in_value = true;
    set->log_bytes += value_len + 1;
    set->entries[set->count++] =
        (struct set_entry){.end = set->log_bytes, .crc = crc, .meta_end = (uint32_t)set->meta.len};
    if (bytes > set->largest_bytes)
        set->largest_bytes = (uint32_t)bytes;
    return 0;
}
