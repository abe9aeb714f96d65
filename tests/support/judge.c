/* tests/support/judge: see judge.h. */
#include "tests/support/judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"

struct court {
    struct memdisk *disk;
    const struct ledger *ledger;
    size_t k;
    bool power_cut;
    struct verdict *v;
    /* The partition at the bar. */
    const struct ledger_topic *topic;
    const struct ledger_part *ledger_part;
    struct partition *part;
    uint32_t dir;    /* its inode */
    uint32_t sealed; /* that of its topic's sealed/ */
    size_t links;    /* that should be in there */
    char name[64];
};

__attribute__((format(printf, 2, 3))) static void guilty(struct court *c, const char *fmt, ...)
{
    char said[500];
    va_list ap;

    if (c->v->why[0])
        return;
    va_start(ap, fmt);
    vsnprintf(said, sizeof said, fmt, ap);
    va_end(ap);
    snprintf(c->v->why, sizeof c->v->why, "%s: %s", c->name, said);
}

static void hash(struct court *c, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = c->v->hash;
    uint64_t word;

    for (; len >= 8; len -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (; len > 0; len--)
        h = (h ^ *p++) * 0x100000001b3u;
    c->v->hash = h;
}

/* -- the log -- */

/* The whole visible log, zeros in gaps; NULL and guilty where it can not be read. */
static char *read_log(struct court *c, uint64_t first, uint64_t end)
{
    char *log = mem_alloc((size_t)end);
    uint64_t at = first;
    struct gap gap;

    memset(log, 0, (size_t)first);
    while (at < end) {
        struct range r;
        int rc = partition_range(c->part, at, end - at, &r);

        if (rc == ERR_GONE && partition_gap_next(c->part, at, &gap) == 0 && gap.offset == at) {
            memset(log + at, 0, (size_t)(gap.end - at));
            at = gap.end;
            continue;
        }
        if (rc == 0) {
            if (r.offset != at || r.len == 0)
                rc = -1;
            else
                rc = fileio_read_all(&c->disk->io, r.fd, log + at, r.len, r.pos);
            at += r.len;
            range_release(&r);
        }
        if (rc < 0) {
            guilty(c, "reading at %" PRIu64 " of %" PRIu64 ": %d", at, end, rc);
            free(log);
            return NULL;
        }
    }
    return log;
}

static void judge_number(struct court *c, uint64_t number, uint64_t offset)
{
    uint64_t found = UINT64_MAX;
    int rc = partition_find_number(c->part, number, &found);

    if (rc < 0 || found != offset)
        guilty(c, "message %" PRIu64 " is at %" PRIu64 " (%d), not at %" PRIu64, number, found, rc,
               offset);
}

/* Where a log that ends there begins: behind what it leaves out before its first set. */
static uint64_t first_of(const struct court *c, uint64_t end)
{
    uint64_t pos = 0;

    for (size_t i = 0; i < c->ledger_part->set_count; i++) {
        const struct ledger_set *s = &c->ledger_part->sets[i];

        if (!ledger_counts(s, c->k))
            continue;
        if (!s->gap || pos + s->len > end)
            break;
        pos += s->len;
    }
    return pos;
}

/* May the log begin there? Where nothing was removed it begins where it always
 * did. That it is the beginning of a set is seen by judge_sets(). */
static bool first_may_be(const struct court *c, uint64_t first, uint64_t end)
{
    uint64_t least = ledger_first_least(c->ledger_part, c->k);
    uint64_t most = ledger_first_most(c->ledger_part, c->k);
    uint64_t begin = first_of(c, end);

    return first >= (least > begin ? least : begin) && first <= (most > begin ? most : begin);
}

/* A gap at pos; the one that the log begins with has no place in it. */
static void judge_gap(struct court *c, const struct ledger_set *s, uint64_t pos, uint64_t first)
{
    uint64_t end = pos + s->len;
    struct gap gap;

    if (pos < first)
        return;
    if (partition_gap_next(c->part, pos, &gap) < 0 || gap.offset > pos || gap.end < end)
        guilty(c, "there is no gap from %" PRIu64 " to %" PRIu64, pos, end);
    else if (partition_find(c->part, gap.offset) < 0 || partition_find(c->part, gap.end) < 0)
        guilty(c, "the gap from %" PRIu64 " to %" PRIu64 " has no ends", gap.offset, gap.end);
}

/* Compares the log with the sets. */
static void judge_sets(struct court *c, const char *log, uint64_t first, uint64_t end,
                       uint64_t messages)
{
    const struct ledger_part *p = c->ledger_part;
    uint64_t there = 0; /* messages: not in gaps, not removed */
    uint64_t number = 0;
    uint64_t pos = 0;

    for (size_t i = 0; i < p->set_count && pos < end; i++) {
        const struct ledger_set *s = &p->sets[i];

        if (!ledger_counts(s, c->k))
            continue;
        if (s->done <= c->k && s->offset != pos)
            guilty(c, "set %zu was appended at %" PRIu64 ", stands at %" PRIu64, i, s->offset, pos);
        if (s->len > end - pos) {
            guilty(c, "ends at %" PRIu64 ", inside set %zu [%" PRIu64 ", %" PRIu64 ")", end, i, pos,
                   pos + s->len);
            return;
        }
        if (pos < first && pos + s->len > first)
            guilty(c, "begins at %" PRIu64 ", inside set %zu at %" PRIu64, first, i, pos);
        if (s->gap)
            judge_gap(c, s, pos, first);
        else if (pos >= first)
            there += s->messages;
        if (!s->gap && pos >= first && memcmp(log + pos, s->bytes, s->len) != 0)
            guilty(c, "set %zu at %" PRIu64 " has other bytes", i, pos);
        if (number > 0 && !s->gap && pos >= first && (i + 3 > p->set_count || i % 8 == 1))
            judge_number(c, number, pos);
        pos += s->len;
        number += s->messages;
    }
    if (pos != end)
        guilty(c, "goes on to %" PRIu64 " behind all sets, which end at %" PRIu64, end, pos);
    else if (there != messages)
        guilty(c, "counts %" PRIu64 " messages, not %" PRIu64, messages, there);
}

/* -- the files beside the log -- */

static void judge_file(struct court *c, uint64_t base, const char *suffix, uint64_t size,
                       const struct buf *bytes)
{
    char name[32];
    uint64_t left = base;
    uint64_t is = 0;
    uint32_t ino;
    char *have;

    for (int i = 20; i-- > 0; left /= 10) /* printf is slow where it is called so often */
        name[i] = (char)('0' + left % 10);
    strcpy(name + 20, suffix);
    ino = memtree_find(&c->disk->tree, c->dir, memtree_intern(name, strlen(name)));
    if (ino != MEM_NONE)
        is = memtree_node(&c->disk->tree, ino)->size;
    if (is != size) {
        guilty(c, "%s has %" PRIu64 " bytes, not %" PRIu64, name, is, size);
        return;
    }
    if (!bytes || size == 0)
        return;
    have = mem_alloc((size_t)size);
    memtree_read(&c->disk->tree, ino, have, (size_t)size, 0);
    if (memcmp(have, bytes->data, (size_t)size) != 0)
        guilty(c, "%s has other bytes", name);
    free(have);
}

/* The sets of segment [base, end): what .idx and .meta must be. */
static void judge_segment(struct court *c, uint64_t base, uint64_t end)
{
    struct buf meta = {0};
    uint64_t messages = 0;
    uint64_t pos = 0;

    for (size_t i = 0; i < c->ledger_part->set_count && pos < end; i++) {
        const struct ledger_set *s = &c->ledger_part->sets[i];

        if (!ledger_counts(s, c->k))
            continue;
        if (pos >= base && !s->gap) {
            messages += s->messages;
            if (s->meta_len > 0 && buf_add(&meta, s->bytes + s->len, s->meta_len) < 0)
                abort();
        }
        pos += s->len;
    }
    judge_file(c, base, ".log", end - base, NULL);
    judge_file(c, base, ".idx", 4096 + 16 * messages, NULL);
    judge_file(c, base, ".meta", meta.len, &meta);
    buf_release(&meta);
}

static uint32_t find(const struct court *c, uint32_t dir, const char *name)
{
    return memtree_find(&c->disk->tree, dir, memtree_intern(name, strlen(name)));
}

/* The link of a sealed segment is there, and no other file. */
static void judge_link(struct court *c, uint64_t base)
{
    char log[40];
    char link[64];

    snprintf(log, sizeof log, "%020" PRIu64 ".log", base);
    snprintf(link, sizeof link, "%u-%s", partition_index(c->part), log);
    if (find(c, c->sealed, link) != find(c, c->dir, log))
        guilty(c, "sealed/%s is not its segment", link);
    c->links++;
}

static void judge_segments(struct court *c)
{
    struct segment_stat st;
    uint64_t from = 0;

    c->dir = memdisk_lookup(c->disk, c->name);
    if (c->dir == MEM_NONE)
        guilty(c, "has no directory");
    while (!c->v->why[0] && partition_segment_next(c->part, from, &st) == 0) {
        judge_segment(c, st.base, st.base + st.visible_bytes);
        if (st.sealed)
            judge_link(c, st.base);
        from = st.base + 1;
    }
}

/* -- partitions and topics -- */

static void judge_partition(struct court *c)
{
    uint64_t must = ledger_must(c->ledger_part, c->k, c->power_cut);
    struct partition_stat st;
    int rc = partition_stat(c->part, &st);
    char *log;

    if (rc < 0)
        guilty(c, "stat: %d", rc);
    else if (st.failed)
        guilty(c, "failed: %s", st.why ? st.why : "");
    else if (st.damaged_messages || st.damaged_runs)
        guilty(c, "%" PRIu64 " messages in %u runs are called damaged", st.damaged_messages,
               st.damaged_runs);
    else if (!first_may_be(c, st.first, st.visible_end))
        guilty(c, "begins at %" PRIu64, st.first);
    else if (st.visible_end < must)
        guilty(c, "LOST: ends at %" PRIu64 ", what was promised at %" PRIu64, st.visible_end, must);
    if (c->v->why[0])
        return;
    log = read_log(c, st.first, st.visible_end);
    if (!log)
        return;
    hash(c, c->name, strlen(c->name));
    hash(c, log, (size_t)st.visible_end);
    judge_sets(c, log, st.first, st.visible_end, st.messages);
    judge_segments(c);
    free(log);
}

static void judge_topic(struct court *c, struct topic *topic)
{
    const struct topic_config *conf = topic_config(topic);
    struct ledger_config found = {
        .flush_ms = conf->flush_ms,
        .partitions = topic_partition_count(topic),
        .os = conf->flush_os,
    };
    uint64_t facts[] = {found.flush_ms, found.partitions, found.os};

    snprintf(c->name, sizeof c->name, "%s", c->topic->name);
    hash(c, facts, sizeof facts);
    if (!ledger_config_may_be(c->topic, &found, c->k))
        guilty(c, "flush.ms is %" PRIu64 ", flush.sync %s, and there are %u partitions",
               found.flush_ms, found.os ? "os" : "disk", found.partitions);
    c->links = 0;
    c->sealed = find(c, memdisk_lookup(c->disk, c->name), "sealed");
    if (c->sealed == MEM_NONE)
        guilty(c, "has no sealed/");
    for (uint32_t i = 0; i < found.partitions && !c->v->why[0]; i++) {
        snprintf(c->name, sizeof c->name, "%s/%u", c->topic->name, i);
        c->ledger_part = &c->topic->parts[i];
        c->part = topic_partition(topic, i);
        if (c->part)
            judge_partition(c);
        else
            guilty(c, "missing");
    }
    snprintf(c->name, sizeof c->name, "%s", c->topic->name);
    if (!c->v->why[0] && memtree_node(&c->disk->tree, c->sealed)->entry_count != c->links)
        guilty(c, "sealed/ has %zu names, not %zu",
               memtree_node(&c->disk->tree, c->sealed)->entry_count, c->links);
}

/* May (must) a topic of that name be there? *t: which. */
static void expect(const struct court *c, const char *name, const struct ledger_topic **t,
                   bool *must)
{
    *t = NULL;
    *must = false;
    for (size_t i = 0; i < c->ledger->count; i++) {
        const struct ledger_topic *one = &c->ledger->topics[i];

        if (strcmp(one->name, name) != 0 || one->begun > c->k || one->removed <= c->k)
            continue;
        *t = one;
        *must = one->made <= c->k && one->removing > c->k;
    }
}

void judge(struct store *store, struct memdisk *disk, const struct ledger *ledger, size_t k,
           bool power_cut, struct verdict *v)
{
    struct court c = {.disk = disk, .ledger = ledger, .k = k, .power_cut = power_cut, .v = v};
    uint32_t found = 0;

    *v = (struct verdict){0};
    for (size_t i = 0; i < ledger->count && !v->why[0]; i++) {
        const char *name = ledger->topics[i].name;
        struct topic *topic;
        bool must;

        if (ledger_topic(ledger, name) != &ledger->topics[i])
            continue; /* a younger one of that name is asked for both */
        expect(&c, name, &c.topic, &must);
        topic = store_topic_find(store, name);
        snprintf(c.name, sizeof c.name, "%s", name);
        if (topic && !c.topic)
            guilty(&c, "is there, though it was removed or never made");
        else if (!topic && must)
            guilty(&c, "LOST: the topic is not there");
        else if (topic)
            judge_topic(&c, topic);
        if (topic) {
            found++;
            topic_put(topic);
        }
    }
    snprintf(c.name, sizeof c.name, "store");
    if (!v->why[0] && store_topic_count(store) != found)
        guilty(&c, "has %u topics, not %u", store_topic_count(store), found);
    if (!v->why[0] && store->journal.damaged) /* a crash is none */
        guilty(&c, "has a journal that is called damaged");
}
