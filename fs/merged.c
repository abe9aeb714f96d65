/* fs/merged: see the header. */
#include "fs/merged.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct merged {
    pthread_mutex_t lock;
    struct topic *topic;
    uint64_t *at; /* lock; the next offset of each partition */
    uint32_t count;
    uint32_t turn;
    bool taking;        /* lock; between take and taken */
    uint32_t from;      /* whose bytes are taken */
    uint64_t whole_end; /* in that partition: bytes up to here belong together;
                         * not above at[from]: between messages */
    /* Whose rest is still to come, or NULL: retention may not take a message
     * away that has been begun. */
    struct segment *half;
    uint64_t half_base;
};

static int start_of(struct partition *part, const struct place *from, uint64_t *at)
{
    switch (from->kind) {
    case PLACE_LATEST: *at = partition_visible_end(part); return 0;
    case PLACE_TIME: return partition_find_time(part, from->value, at);
    default: *at = partition_first(part); return 0;
    }
}

/* Partitions that were added since begin at their beginning. */
static int grow(struct merged *m, const struct place *from)
{
    static const struct place earliest = {PLACE_EARLIEST, 0};
    uint32_t want = topic_partition_count(m->topic);
    uint64_t *at;

    if (want <= m->count)
        return 0;
    at = realloc(m->at, want * sizeof(*at));
    if (!at)
        return -ENOMEM;
    m->at = at;
    for (; m->count < want; m->count++) {
        int rc = start_of(topic_partition(m->topic, m->count), from ? from : &earliest,
                          &m->at[m->count]);

        if (rc < 0)
            return rc;
    }
    return 0;
}

int merged_new(struct merged **out, struct topic *topic, const struct place *from)
{
    struct merged *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return -ENOMEM;
    pthread_mutex_init(&m->lock, NULL);
    m->topic = topic_get(topic);
    rc = grow(m, from);
    if (rc < 0) {
        merged_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

/* m->lock is held, or nobody else has it. */
static void let_half_go(struct merged *m)
{
    if (m->half)
        segment_release(m->half);
    m->half = NULL;
}

void merged_free(struct merged *m)
{
    let_half_go(m);
    topic_put(m->topic);
    pthread_mutex_destroy(&m->lock);
    free(m->at);
    free(m);
}

static bool has_more(const struct merged *m, uint32_t i)
{
    return partition_visible_end(topic_partition(m->topic, i)) > m->at[i];
}

bool merged_more(struct merged *m)
{
    bool more = false;

    pthread_mutex_lock(&m->lock);
    if (!m->taking) {
        more = topic_partition_count(m->topic) > m->count;
        for (uint32_t i = 0; i < m->count && !more; i++)
            more = has_more(m, i);
    }
    pthread_mutex_unlock(&m->lock);
    return more;
}

/* The next range of one partition: 1, or 0 where there is nothing. */
static int take_from(struct merged *m, uint32_t i, uint64_t size, struct range *out)
{
    struct partition *part = topic_partition(m->topic, i);
    uint64_t left = m->from == i && m->whole_end > m->at[i] ? m->whole_end - m->at[i] : 0;
    uint64_t skipped;
    int rc;

    if (left > 0 && m->half) {
        rc = segment_range(m->half, m->at[i] - m->half_base, left < size ? left : size, out);
    } else if (left > 0) {
        rc = partition_range(part, m->at[i], left < size ? left : size, out);
    } else {
        rc = partition_messages(part, m->at[i], size, out, &skipped);
        m->from = i;
        m->whole_end = 0;
        if (rc == 0) {
            m->at[i] = out->offset; /* damage is behind us */
            m->whole_end = out->offset + out->len;
        }
    }
    if (rc == ERR_GONE && !topic_removed(m->topic)) {
        m->at[i] = partition_first(part);
        m->whole_end = 0;
        return has_more(m, i) ? take_from(m, i, size, out) : 0;
    }
    if (rc < 0)
        return rc;
    if (out->len == 0) {
        range_release(out);
        return 0;
    }
    if (out->len > size) {
        m->half_base = out->offset - out->pos;
        if (!m->half && partition_segment_hold(part, m->half_base, &m->half) < 0)
            m->half = NULL; /* it goes just now: the rest is gone, as other messages */
        out->len = size;
    }
    return 1;
}

int merged_take(struct merged *m, uint64_t size, struct range *out)
{
    int rc = 0;

    pthread_mutex_lock(&m->lock);
    if (!m->taking) {
        rc = grow(m, NULL);
        for (uint32_t n = 0; n < m->count && rc == 0; n++) {
            uint32_t i = (m->turn + n) % m->count;

            if (has_more(m, i))
                rc = take_from(m, i, size, out);
        }
        m->taking = rc == 1;
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

void merged_taken(struct merged *m, const struct range *range, bool delivered)
{
    pthread_mutex_lock(&m->lock);
    if (delivered) {
        m->at[m->from] = range->offset + range->len;
        /* Within a message it stays this one's turn. */
        m->turn = m->at[m->from] < m->whole_end ? m->from : (m->from + 1) % m->count;
        if (m->at[m->from] >= m->whole_end)
            let_half_go(m);
    }
    m->taking = false;
    pthread_mutex_unlock(&m->lock);
}
