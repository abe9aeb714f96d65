/* tests/support/ledger: see ledger.h. */
#include "tests/support/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/memtree.h"

void ledger_release(struct ledger *l)
{
    for (size_t t = 0; t < l->count; t++)
        for (size_t i = 0; i < LEDGER_PARTITIONS; i++) {
            struct ledger_part *p = &l->topics[t].parts[i];

            free(p->sets);
            free(p->marks);
            free(p->removals);
        }
    *l = (struct ledger){0};
}

/* A position as it is known at k. */
static size_t known(size_t at, size_t k, bool anew)
{
    if (at > k)
        return LEDGER_NEVER;
    return anew ? 0 : at;
}

static void part_copy(struct ledger_part *to, const struct ledger_part *from, size_t k, bool anew)
{
    *to = (struct ledger_part){0};
    for (size_t i = 0; i < from->set_count; i++) {
        struct ledger_set s = from->sets[i];

        if (s.begun > k || (anew && s.gone <= k))
            continue;
        s.begun = known(s.begun, k, anew);
        s.done = known(s.done, k, anew);
        s.gone = known(s.gone, k, anew);
        to->sets = mem_grow(to->sets, to->set_count + 1, &to->set_room, sizeof *to->sets);
        to->sets[to->set_count++] = s;
    }
    for (size_t i = 0; i < from->mark_count; i++)
        if (from->marks[i].at <= k && (from->marks[i].durable || !anew))
            ledger_add_mark(to, known(from->marks[i].at, k, anew), from->marks[i].end,
                            from->marks[i].durable);
    for (size_t i = 0; i < from->removal_count; i++)
        if (from->removals[i].begun <= k)
            ledger_add_removal(to, known(from->removals[i].begun, k, anew),
                               known(from->removals[i].done, k, anew), from->removals[i].first);
}

static struct ledger_config config_known(const struct ledger_config *from, size_t k, bool anew)
{
    struct ledger_config c = *from;

    c.begun = known(c.begun, k, anew);
    c.done = known(c.done, k, anew);
    return c;
}

void ledger_copy(struct ledger *to, const struct ledger *from, size_t k, bool anew)
{
    *to = (struct ledger){.producers = from->producers};
    for (size_t i = 0; i < from->id_count; i++)
        if (from->ids[i].at <= k) {
            to->ids[to->id_count] = from->ids[i];
            to->ids[to->id_count++].at = known(from->ids[i].at, k, anew);
        }
    for (size_t i = 0; i < from->count; i++) {
        const struct ledger_topic *old = &from->topics[i];
        struct ledger_topic *t = &to->topics[to->count];

        if (old->begun > k || (anew && old->removed <= k))
            continue;
        *t = *old;
        t->begun = known(old->begun, k, anew);
        t->made = known(old->made, k, anew);
        t->removing = known(old->removing, k, anew);
        t->removed = known(old->removed, k, anew);
        t->config_count = 0;
        for (size_t c = 0; c < old->config_count; c++)
            if (old->configs[c].begun <= k)
                t->configs[t->config_count++] = config_known(&old->configs[c], k, anew);
        for (size_t p = 0; p < LEDGER_PARTITIONS; p++)
            part_copy(&t->parts[p], &old->parts[p], k, anew);
        to->count++;
    }
}

struct ledger_topic *ledger_add_topic(struct ledger *l, const char *name, size_t at)
{
    struct ledger_topic *t = &l->topics[l->count];

    if (l->count == LEDGER_TOPICS)
        abort();
    l->count++;
    *t = (struct ledger_topic){
        .name = name,
        .begun = at,
        .made = LEDGER_NEVER,
        .removing = LEDGER_NEVER,
        .removed = LEDGER_NEVER,
    };
    return t;
}

struct ledger_topic *ledger_topic(const struct ledger *l, const char *name)
{
    for (size_t i = l->count; i-- > 0;)
        if (strcmp(l->topics[i].name, name) == 0)
            return (struct ledger_topic *)(uintptr_t)&l->topics[i];
    return NULL;
}

struct ledger_set *ledger_add_set(struct ledger_part *p, const char *bytes, size_t len,
                                  size_t meta_len, uint32_t messages, size_t at)
{
    struct ledger_set *s;

    p->sets = mem_grow(p->sets, p->set_count + 1, &p->set_room, sizeof *p->sets);
    s = &p->sets[p->set_count++];
    *s = (struct ledger_set){
        .begun = at,
        .done = LEDGER_NEVER,
        .gone = LEDGER_NEVER,
        .messages = messages,
        .bytes = bytes,
        .len = len,
        .meta_len = meta_len,
    };
    return s;
}

void ledger_add_mark(struct ledger_part *p, size_t at, uint64_t end, bool durable)
{
    p->marks = mem_grow(p->marks, p->mark_count + 1, &p->mark_room, sizeof *p->marks);
    p->marks[p->mark_count++] = (struct ledger_mark){at, end, durable};
}

void ledger_add_removal(struct ledger_part *p, size_t begun, size_t done, uint64_t first)
{
    p->removals =
        mem_grow(p->removals, p->removal_count + 1, &p->removal_room, sizeof *p->removals);
    p->removals[p->removal_count++] = (struct ledger_removal){begun, done, first};
}

uint64_t ledger_first_least(const struct ledger_part *p, size_t k)
{
    uint64_t first = 0;

    for (size_t i = 0; i < p->removal_count; i++)
        if (p->removals[i].done <= k && p->removals[i].first > first)
            first = p->removals[i].first;
    return first;
}

uint64_t ledger_first_most(const struct ledger_part *p, size_t k)
{
    uint64_t first = 0;

    for (size_t i = 0; i < p->removal_count; i++)
        if (p->removals[i].begun <= k && p->removals[i].first > first)
            first = p->removals[i].first;
    return first;
}

/* How many of the noted positions have come by k: all that is asked of a
 * position is whether it has. */
static size_t part_stage(const struct ledger_part *p, size_t k)
{
    size_t n = 0;

    for (size_t i = 0; i < p->set_count; i++)
        n += (size_t)(p->sets[i].begun <= k) + (p->sets[i].done <= k) + (p->sets[i].gone <= k);
    for (size_t i = 0; i < p->mark_count; i++)
        n += p->marks[i].at <= k;
    for (size_t i = 0; i < p->removal_count; i++)
        n += (size_t)(p->removals[i].begun <= k) + (p->removals[i].done <= k);
    return n;
}

size_t ledger_stage(const struct ledger *l, size_t k)
{
    size_t n = 0;

    for (size_t i = 0; i < l->id_count; i++)
        n += l->ids[i].at <= k;
    for (size_t i = 0; i < l->count; i++) {
        const struct ledger_topic *t = &l->topics[i];

        n += (size_t)(t->begun <= k) + (t->made <= k) + (t->removing <= k) + (t->removed <= k);
        for (size_t c = 0; c < t->config_count; c++)
            n += (size_t)(t->configs[c].begun <= k) + (t->configs[c].done <= k);
        for (size_t p = 0; p < LEDGER_PARTITIONS; p++)
            n += part_stage(&t->parts[p], k);
    }
    return n;
}

bool ledger_config_may_be(const struct ledger_topic *t, const struct ledger_config *found, size_t k)
{
    for (size_t i = t->config_count; i-- > 0;) {
        const struct ledger_config *c = &t->configs[i];

        if (c->begun <= k && c->flush_ms == found->flush_ms && c->partitions == found->partitions &&
            c->os == found->os)
            return true;
        if (c->done <= k)
            return false; /* this one or a later one holds */
    }
    return false;
}

void ledger_add_config(struct ledger_topic *t, struct ledger_config config)
{
    if (t->config_count == LEDGER_CONFIGS) /* the oldest holds no more */
        memmove(t->configs, t->configs + 1, --t->config_count * sizeof *t->configs);
    t->configs[t->config_count++] = config;
}

void ledger_config_done(struct ledger_topic *t, size_t at)
{
    struct ledger_config *c = &t->configs[t->config_count - 1];

    c->done = at;
    t->os = c->os;
    t->partitions = c->partitions;
}

void ledger_settle_topic(struct ledger_topic *t, size_t at, struct ledger_config found)
{
    t->removing = LEDGER_NEVER;
    if (t->made == LEDGER_NEVER)
        t->made = at;
    found.begun = at;
    ledger_add_config(t, found);
    ledger_config_done(t, at);
}

uint64_t ledger_must(const struct ledger_part *p, size_t k, bool power_cut)
{
    uint64_t must = 0;

    for (size_t i = 0; i < p->mark_count; i++) {
        const struct ledger_mark *m = &p->marks[i];

        if (m->at <= k && m->end > must && (m->durable || !power_cut))
            must = m->end;
    }
    return must;
}

bool ledger_counts(const struct ledger_set *s, size_t k)
{
    return s->begun <= k && s->gone > k;
}

uint64_t ledger_next_number(const struct ledger_part *p, size_t k)
{
    uint64_t number = 0;

    for (size_t i = 0; i < p->set_count; i++)
        number += ledger_counts(&p->sets[i], k) ? p->sets[i].messages : 0;
    return number;
}

void ledger_settle(struct ledger_part *p, size_t at, uint64_t end, bool durable)
{
    uint64_t pos = 0;

    for (size_t i = 0; i < p->set_count; i++) {
        struct ledger_set *s = &p->sets[i];

        if (!ledger_counts(s, at))
            continue;
        if (pos + s->len > end) {
            s->gone = at;
            continue;
        }
        s->offset = pos;
        if (s->done == LEDGER_NEVER)
            s->done = at;
        pos += s->len;
    }
    ledger_add_mark(p, at, end, durable);
}
