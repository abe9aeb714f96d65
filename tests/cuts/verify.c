/*
 * tests/cuts/verify: a recovered store against the record.
 *
 * Of every partition the whole log is read: no line is torn, no set is half
 * there, each writer's lines are in order, what was acknowledged or seen is
 * where it was. Then its files: every index entry's checksum, which is over
 * the .meta record too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "store/format.h"
#include "tests/cuts/cuts.h"
#include "tests/kill/line.h"

#define WRITERS_MAX 64u

struct court {
    struct record *record;
    struct fileio *io;
    const struct record_where *where;
    struct record_part *promised;
    struct partition *part;
    char *log; /* [first, end) */
    uint64_t first, end;
    uint64_t messages;
};

#define object(c, fmt, ...) \
    record_object((c)->record, "%s/%u: " fmt, (c)->where->topic, (c)->where->partition, __VA_ARGS__)

/* False: not, because of a cut. */
static bool read_log(struct court *c)
{
    uint64_t at = c->first;

    c->log = malloc(c->end - c->first + 1);
    while (at < c->end) {
        struct range r;
        int rc = partition_range(c->part, at, c->end - at, &r);

        if (rc == 0) {
            rc = r.len == 0 ? -ENODATA
                            : fileio_read_all(c->io, r.fd, c->log + (at - c->first), r.len, r.pos);
            at += r.len;
            range_release(&r);
        }
        if (rc == ERR_GONE && c->where->goes) { /* meanwhile */
            at = c->first = partition_first(c->part);
            continue;
        }
        if (rc < 0) {
            if (!c->record->cut)
                object(c, "reading at %" PRIu64 ": %d", at, rc);
            return false;
        }
    }
    return true;
}

/* -- the log -- */

static void judge_line(const struct court *c, uint64_t offset, const struct line *l,
                       const struct line *before, struct line *newest)
{
    struct line *last = &newest[l->writer];
    bool same_set = before->set > 0 && before->place + 1 < before->set;

    if (same_set && (l->writer != before->writer || l->cycle != before->cycle ||
                     l->sequence != before->sequence + 1 || l->place != before->place + 1))
        object(c, "%" PRIu64 ": a set is not whole", offset);
    if (!same_set && l->place != 0 && offset != c->first)
        object(c, "%" PRIu64 ": a set lacks its beginning", offset);
    if (last->set > 0 &&
        (l->cycle < last->cycle || (l->cycle == last->cycle && l->sequence <= last->sequence)))
        object(c, "%" PRIu64 ": out of order", offset);
    *last = *l;
}

static void judge_lines(struct court *c)
{
    struct line newest[WRITERS_MAX] = {0};
    struct line before = {0};
    uint64_t pos = 0;
    uint64_t len = c->end - c->first;

    while (pos < len) {
        const char *nl = memchr(c->log + pos, '\n', len - pos);
        struct line l;

        if (!nl || !line_read(&l, c->log + pos, (size_t)(nl - c->log) - pos) ||
            l.writer >= WRITERS_MAX) {
            object(c, "%" PRIu64 ": not as it was written", c->first + pos);
            return;
        }
        judge_line(c, c->first + pos, &l, &before, newest);
        before = l;
        c->messages++;
        pos = (uint64_t)(nl - c->log) + 1;
    }
    if (before.place + 1 < before.set)
        object(c, "the last set, before %" PRIu64 ", is not whole", c->end);
}

static void judge_boundary(const struct court *c, uint64_t offset)
{
    int rc = partition_find(c->part, offset);

    if (rc < 0 && !c->record->cut && !(rc == ERR_GONE && c->where->goes))
        object(c, "%" PRIu64 " is no boundary any more: %d", offset, rc);
}

static void judge_promises(const struct court *c)
{
    uint32_t count = c->promised->set_count;

    for (uint32_t i = 0; i < count; i++) {
        const struct record_set *s = &c->promised->sets[i];

        if (!s->ready || s->offset < c->first)
            continue;
        if (s->offset + s->len > c->end)
            object(c, "LOST: the set at %" PRIu64 ", %u bytes: the log ends at %" PRIu64, s->offset,
                   s->len, c->end);
        else if (crc32c_extend(0, c->log + (s->offset - c->first), s->len) != s->crc)
            object(c, "LOST: other bytes at %" PRIu64 " than were acknowledged", s->offset);
        else if (i % 16 == 0)
            judge_boundary(c, s->offset);
    }
}

static void judge_seen(const struct court *c, const struct record_seen *seen, const char *when)
{
    if (seen->end == 0)
        return;
    if (seen->end > c->end)
        object(c, "LOST: %s, the log ended at %" PRIu64 ", now at %" PRIu64, when, seen->end,
               c->end);
    else if (c->first <= seen->from && crc32c_extend(0, c->log + (seen->from - c->first),
                                                     seen->end - seen->from) != seen->crc)
        object(c, "LOST: %s, the bytes from %" PRIu64 " to %" PRIu64 " were others", when,
               seen->from, seen->end);
}

/* -- the files -- */

/* False: it could not be read, because of a cut or of retention. A .meta need not be there. */
static bool read_file(struct court *c, uint64_t base, enum suffix suffix, char **data, size_t *len)
{
    char path[STORE_PATH_MAX];
    int rc;

    path_of_segment(path, c->where->topic, c->where->partition, base, suffix);
    rc = fileio_read_file(c->io, path, 1u << 30, data, len);
    if (rc == -ENOENT && suffix == SUFFIX_META)
        return true;
    if (rc < 0 && !c->record->cut && !(rc == -ENOENT && c->where->goes))
        object(c, "%s: %d", path, rc);
    return rc == 0;
}

/* Every entry's checksum, up to the visible end. */
static void judge_entries(struct court *c, const struct segment_stat *st)
{
    size_t idx_len = 0, log_len = 0, meta_len = 0;
    char *idx = NULL, *log = NULL, *meta = NULL;
    uint32_t pos = 0, meta_pos = 0;
    bool read = read_file(c, st->base, SUFFIX_IDX, &idx, &idx_len) &&
                read_file(c, st->base, SUFFIX_LOG, &log, &log_len) &&
                read_file(c, st->base, SUFFIX_META, &meta, &meta_len);

    for (size_t at = IDX_HEADER_BYTES; read && pos < st->visible_bytes; at += IDX_ENTRY_BYTES) {
        const uint8_t *entry = (const uint8_t *)idx + at;
        struct idx_entry e = {0};
        uint32_t crc = 0;

        if (at + IDX_ENTRY_BYTES <= idx_len)
            e = idx_entry_decode(entry);
        if (e.end <= pos || e.end > log_len || e.meta_end < meta_pos || e.meta_end > meta_len) {
            object(c, "segment %" PRIu64 ": the entry at %zu is none", st->base, at);
            break;
        }
        if (e.meta_end > meta_pos)
            crc = crc32c_extend(crc, meta + meta_pos, e.meta_end - meta_pos);
        crc = crc32c_extend(crc, log + pos, e.end - pos);
        if (idx_entry_crc(entry, crc, st->base) != e.crc)
            object(c, "segment %" PRIu64 ": the entry at %zu does not verify", st->base, at);
        pos = e.end;
        meta_pos = e.meta_end;
    }
    free(idx);
    free(log);
    free(meta);
}

static void judge_segments(struct court *c)
{
    struct segment_stat st;
    uint64_t from = 0;

    while (!c->record->cut && partition_segment_next(c->part, from, &st) == 0) {
        judge_entries(c, &st);
        from = st.base + 1;
        c->record->rolls += st.sealed;
    }
}

/* -- partitions and topics -- */

static bool judge_partition(struct court *c)
{
    struct partition_stat st;
    uint32_t seen = c->promised->seen_turn;
    uint32_t recovered = c->promised->recovered_turn;
    int rc = partition_stat(c->part, &st);

    if (rc < 0 || st.failed || st.damaged_messages || st.damaged_runs) {
        if (!c->record->cut)
            object(c, "%d, failed: %d (%s), %" PRIu64 " messages in %u runs damaged", rc, st.failed,
                   st.why ? st.why : "", st.damaged_messages, st.damaged_runs);
        return !c->record->cut;
    }
    c->first = st.first;
    c->end = st.visible_end;
    c->messages = 0;
    if (!read_log(c)) {
        free(c->log);
        return !c->record->cut;
    }
    if (c->first > 0 && !c->where->goes)
        object(c, "LOST: it begins at %" PRIu64, c->first);
    judge_lines(c);
    judge_promises(c);
    judge_seen(c, &c->promised->recovered[recovered % 2], "after an earlier recovery");
    if (!c->where->os)
        judge_seen(c, &c->promised->seen[seen % 2], "for a reader");
    if (c->messages != st.messages && !c->where->goes)
        object(c, "%" PRIu64 " messages, %" PRIu64 " are counted", c->messages, st.messages);
    judge_segments(c);
    if (!c->record->cut)
        record_put_seen(
            c->promised->recovered, &c->promised->recovered_turn,
            (struct record_seen){c->first, c->end, crc32c_extend(0, c->log, c->end - c->first)});
    free(c->log);
    return true;
}

/* The topics that are made and removed under load; what is there now is settled. */
static void judge_topics(struct record *r, struct store *store)
{
    for (uint32_t i = 0; i < r->topic_count && i < RECORD_MADE; i++) {
        struct topic *topic;
        char name[16];

        snprintf(name, sizeof name, "n%u", i);
        topic = store_topic_find(store, name);
        if (!topic && r->topics[i] == TOPIC_MADE)
            record_object(r, "LOST: topic %s, which was made", name);
        if (topic && (r->topics[i] == TOPIC_REMOVED || r->topics[i] == TOPIC_NONE))
            record_object(r, "topic %s is there, which was removed", name);
        if (r->topics[i] != TOPIC_NONE && !r->cut)
            r->topics[i] = topic ? TOPIC_MADE : TOPIC_REMOVED;
        if (topic)
            topic_put(topic);
    }
}

bool verify_store(struct record *r, struct store *store, struct fileio *io)
{
    for (size_t i = 0; i < RECORD_PARTS; i++) {
        struct court c = {
            .record = r, .io = io, .where = &record_where[i], .promised = &r->parts[i]};
        struct topic *topic = store_topic_find(store, c.where->topic);
        bool read = true;

        if (topic && topic_partition(topic, c.where->partition)) {
            c.part = topic_partition(topic, c.where->partition);
            read = judge_partition(&c);
        } else if (c.promised->set_count > 0 || c.promised->recovered_turn > 0) {
            object(&c, "LOST: it is not there; %u sets were", c.promised->set_count);
        }
        if (topic)
            topic_put(topic);
        if (!read)
            return false;
    }
    judge_topics(r, store);
    return true;
}
