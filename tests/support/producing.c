/* tests/support/producing: see producing.h. */
#include "tests/support/producing.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/producers.h"

/* -- in the ledger -- */

bool producing_is(const struct ledger_set *s, int64_t id)
{
    return s->produced && s->producer.id == id;
}

const struct ledger_set *producing_last(const struct ledger_part *p, int64_t id, size_t k)
{
    for (size_t i = p->set_count; i-- > 0;)
        if (producing_is(&p->sets[i], id) && ledger_counts(&p->sets[i], k))
            return &p->sets[i];
    return NULL;
}

struct producer producing_after(const struct ledger_set *s)
{
    struct producer p = s->producer;

    p.sequence += (int32_t)s->messages;
    return p;
}

bool producing_first(const struct ledger_part *p, size_t i)
{
    if (!p->sets[i].produced)
        return false;
    for (size_t before = 0; before < i; before++)
        if (producing_is(&p->sets[before], p->sets[i].producer.id))
            return false;
    return true;
}

void producing_set(struct set *set, const struct ledger_set *s)
{
    const char *at = s->bytes;

    set_init(set);
    if (set_producer(set, &s->producer) < 0)
        abort();
    while (at < s->bytes + s->len) {
        const char *nl = memchr(at, '\n', (size_t)(s->bytes + s->len - at));
        struct message m = {.value = at, .value_len = (uint32_t)(nl - at)};

        if (set_add_message(set, &m) < 0)
            abort();
        at = nl + 1;
    }
}

/* -- judging -- */

struct bar {
    const struct ledger_part *ledger;
    struct partition *part;
    size_t k;
    uint64_t end; /* of the log that was recovered */
    struct verdict *v;
    const char *topic;
    uint32_t index;
};

__attribute__((format(printf, 3, 4))) static void guilty(struct bar *b, const struct ledger_set *s,
                                                         const char *fmt, ...)
{
    char said[400];
    va_list ap;

    if (b->v->why[0])
        return;
    va_start(ap, fmt);
    vsnprintf(said, sizeof said, fmt, ap);
    va_end(ap);
    snprintf(b->v->why, sizeof b->v->why,
             "%s/%u: producer %" PRId64 ", epoch %d, sequence %" PRId32 ": %s", b->topic, b->index,
             s->producer.id, s->producer.epoch, s->producer.sequence, said);
}

static int send(const struct bar *b, const struct ledger_set *s, struct appended *at)
{
    struct set set;
    int rc;

    producing_set(&set, s);
    rc = partition_append_at(b->part, &set, at, NULL);
    set_release(&set);
    return rc;
}

/* A set that stands at pos is sent again. */
static void send_again(struct bar *b, const struct ledger_set *s, uint64_t pos, uint64_t number)
{
    uint64_t before = partition_end(b->part);
    struct appended at = {0};
    int rc = send(b, s, &at);

    if (rc < 0)
        guilty(b, s, "it stands at %" PRIu64 ", and sent again is refused: %d", pos, rc);
    else if (!at.duplicate || partition_end(b->part) != before)
        guilty(b, s, "it stands at %" PRIu64 ", and was appended once more", pos);
    else if (at.offset != pos || at.number != number)
        guilty(b, s,
               "it stands at %" PRIu64 ", number %" PRIu64 ", not at %" PRIu64 ", number %" PRIu64,
               pos, number, at.offset, at.number);
    else if (at.end < pos + s->len || at.end > before)
        guilty(b, s, "it stands at %" PRIu64 " and is said to end at %" PRIu64, pos, at.end);
}

/* A set that is not in the log is sent for the first time, as the log says. */
static void send_first(struct bar *b, const struct ledger_set *s)
{
    uint64_t before = partition_end(b->part);
    struct appended at = {0};
    int rc = send(b, s, &at);

    if (rc < 0)
        guilty(b, s, "it is not in the log, and refused: %d", rc);
    else if (at.duplicate || at.offset != before || partition_end(b->part) != before + s->len)
        guilty(b, s, "it is not in the log, and was not appended");
    else
        send_again(b, s, before, at.number);
}

/* The producer of set `first`, which is its first one. */
static void judge_one(struct bar *b, size_t first)
{
    const struct ledger_part *p = b->ledger;
    int64_t id = p->sets[first].producer.id;
    struct {
        const struct ledger_set *set;
        uint64_t pos, number;
    } last[PRODUCER_SETS];
    size_t count = 0;
    uint64_t pos = 0;
    uint64_t number = 0;
    const struct ledger_set *missing = NULL;

    for (size_t i = 0; i < p->set_count && !missing; i++) {
        const struct ledger_set *s = &p->sets[i];

        if (!ledger_counts(s, b->k))
            continue;
        if (producing_is(s, id) && pos >= b->end) {
            missing = s;
        } else if (producing_is(s, id)) {
            if (count > 0 && last[0].set->producer.epoch != s->producer.epoch)
                count = 0;
            if (count == PRODUCER_SETS)
                memmove(last, last + 1, --count * sizeof *last);
            last[count].set = s;
            last[count].pos = pos;
            last[count++].number = number;
        }
        pos += s->len;
        number += s->messages;
    }
    for (size_t i = 0; i < count; i++)
        send_again(b, last[i].set, last[i].pos, last[i].number);
    if (missing)
        send_first(b, missing);
    for (size_t i = missing && count == PRODUCER_SETS ? 1 : 0; i < count; i++)
        if (!missing || missing->producer.epoch == last[i].set->producer.epoch)
            send_again(b, last[i].set, last[i].pos, last[i].number);
}

/* A .prod is needed when the segments before it have gone: it is whole. */
static void judge_prods(const struct bar *b, struct memdisk *disk)
{
    struct producers *all = producers_new();
    struct segment_stat st;

    if (!all)
        abort();
    for (uint64_t from = 0; partition_segment_next(b->part, from, &st) == 0; from = st.base + 1) {
        char path[STORE_PATH_MAX];
        size_t len;
        char *prod;

        path_of_segment(path, b->topic, b->index, st.base, SUFFIX_PROD);
        prod = memdisk_file(disk, path, &len);
        if (prod && producers_decode(all, prod, len, st.base, UINT64_MAX) < 0)
            snprintf(b->v->why, sizeof b->v->why, "%s is damaged", path);
        free(prod);
    }
    producers_free(all);
}

static void judge_topic(struct topic *topic, struct memdisk *disk, const struct ledger_topic *t,
                        size_t k, struct verdict *v)
{
    for (uint32_t i = 0; i < t->partitions && i < topic_partition_count(topic); i++) {
        struct bar b = {
            .ledger = &t->parts[i],
            .part = topic_partition(topic, i),
            .k = k,
            .end = partition_end(topic_partition(topic, i)),
            .v = v,
            .topic = t->name,
            .index = i,
        };

        judge_prods(&b, disk);
        for (size_t s = 0; s < b.ledger->set_count; s++)
            if (b.ledger->sets[s].begun <= k && producing_first(b.ledger, s))
                judge_one(&b, s);
    }
}

static void judge_ids(struct store *store, const struct ledger *ledger, size_t k, struct verdict *v)
{
    int64_t id;
    int rc = store_producer_id(store, &id, NULL);

    if (rc < 0)
        snprintf(v->why, sizeof v->why, "no id for a producer: %d", rc);
    for (size_t i = 0; rc == 0 && i < ledger->id_count; i++)
        if (ledger->ids[i].at <= k && ledger->ids[i].id >= id)
            snprintf(v->why, sizeof v->why,
                     "a producer has id %" PRId64 ", and now another gets %" PRId64,
                     ledger->ids[i].id, id);
}

void judge_producers(struct store *store, struct memdisk *disk, const struct ledger *ledger,
                     size_t k, struct verdict *v)
{
    for (size_t i = 0; i < ledger->count && !v->why[0]; i++) {
        const struct ledger_topic *t = &ledger->topics[i];
        struct topic *topic =
            t->begun <= k && t->removed > k ? store_topic_find(store, t->name) : NULL;

        if (!topic)
            continue;
        judge_topic(topic, disk, t, k, v);
        topic_put(topic);
    }
    if (!v->why[0] && ledger->id_count > 0)
        judge_ids(store, ledger, k, v);
}
