/* tests/fuzz/recovered: see recovered.h. */
#include "tests/fuzz/recovered.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "store/format.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_store.h"

#define PARTITIONS_MAX 8 /* of all topics, in what the targets make */
#define STEPS_MAX      100000
#define FILE_MAX       ((size_t)1 << 17) /* an image's files are shorter */

/* What a partition shows. */
struct shown {
    char topic[TOPIC_NAME_MAX + 1];
    uint32_t index;
    uint64_t first, visible, messages;
    uint32_t crc; /* of all bytes that can be read */
    bool failed;
};

struct all_shown {
    struct shown part[PARTITIONS_MAX];
    size_t count;
};

/* -- reading -- */

/* The bytes of a range. A sealed segment is not read at the start, so its file may be
 * shorter than where the next one begins. */
static void read_range(struct small_store *s, const struct range *r, uint32_t *crc)
{
    size_t len = r->len < FILE_MAX ? (size_t)r->len : FILE_MAX;
    char *bytes = malloc(len);
    int rc;

    FUZZ_CHECK(bytes, "out of memory");
    rc = fileio_read_all(&s->disk->io, r->fd, bytes, len, r->pos);
    FUZZ_CHECK(rc == 0 || rc == -ENODATA, "read: %d", rc);
    if (rc == 0 && crc)
        *crc = crc32c_extend(*crc, bytes, len);
    free(bytes);
}

/* A few bytes at a time at first; a gap between two bases may be long. */
static uint64_t step_bytes(int steps)
{
    return steps < 100 ? 1 + (uint64_t)(steps % 3) * 5 : UINT64_MAX;
}

static void read_bytes(struct small_store *s, struct partition *part, struct shown *to)
{
    uint64_t at = to->first;

    for (int steps = 0; at < to->visible; steps++) {
        struct range r;
        int rc = partition_range(part, at, step_bytes(steps), &r);

        FUZZ_CHECK(steps < STEPS_MAX, "reading does not end");
        if (rc < 0)
            break; /* a segment that does not open */
        FUZZ_CHECK(r.offset == at && r.len > 0 && r.len <= to->visible - at,
                   "range at %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64, at, r.len, r.offset);
        read_range(s, &r, &to->crc);
        at += r.len;
        range_release(&r);
    }
}

static void read_messages(struct small_store *s, struct partition *part, const struct shown *to)
{
    uint64_t at = to->first;
    uint64_t skipped = 0;

    for (int steps = 0; at < to->visible; steps++) {
        struct range r;
        uint64_t time_ms;
        int rc = partition_messages(part, at, step_bytes(steps) - 1, &r, &skipped);

        FUZZ_CHECK(steps < STEPS_MAX, "reading messages does not end");
        if (rc < 0)
            break;
        FUZZ_CHECK(r.offset >= at, "messages from %" PRIu64 " begin at %" PRIu64, at, r.offset);
        FUZZ_CHECK(r.len > 0 || r.offset >= to->visible || r.offset > at,
                   "nothing at %" PRIu64 ", below the visible end", at);
        if (r.len > 0) {
            read_range(s, &r, NULL);
            (void)!partition_time_of(part, r.offset, &time_ms);
            (void)!partition_find(part, r.offset + r.len);
        }
        at = r.offset + r.len;
        range_release(&r);
    }
}

static void read_listing(struct partition *part)
{
    struct segment_stat st;
    uint64_t from = 0;
    int steps = 0;

    while (partition_segment_next(part, from, &st) == 0) {
        FUZZ_CHECK(st.base >= from, "segments out of order");
        FUZZ_CHECK(++steps < STEPS_MAX, "a listing does not end");
        if (st.base == UINT64_MAX)
            return;
        from = st.base + 1;
    }
}

static void find_things(struct partition *part, const struct shown *to)
{
    uint64_t offset;

    for (uint64_t number = 0; number < 8; number++)
        (void)!partition_find_number(part, number, &offset);
    for (int i = 0; i < 4; i++)
        (void)!partition_find_time(part, UINT64_MAX / 4 * (uint64_t)i, &offset);
    (void)!partition_find_time(part, 1700000001000, &offset);
    for (uint64_t at = 0; at < 8; at++) {
        (void)!partition_find(part, to->first + at);
        (void)!partition_find(part, to->visible - at);
    }
}

static void read_partition(struct small_store *s, struct topic *topic, uint32_t index,
                           struct shown *to)
{
    struct partition *part = topic_partition(topic, index);
    struct partition_stat st;
    int rc = partition_stat(part, &st);

    snprintf(to->topic, sizeof to->topic, "%s", topic_name(topic));
    to->index = index;
    to->failed = partition_failed(part);
    if (rc < 0)
        return; /* its segments do not open */
    to->first = st.first;
    to->visible = partition_visible_end(part);
    to->messages = st.messages;
    FUZZ_CHECK(st.visible_end == to->visible, "two visible ends");
    FUZZ_CHECK(st.failed || st.first <= to->visible, "first %" PRIu64 " above the end %" PRIu64,
               st.first, to->visible);
    read_bytes(s, part, to);
    read_messages(s, part, to);
    read_listing(part);
    find_things(part, to);
}

static void read_all(struct small_store *s, struct all_shown *all)
{
    struct topic *topic;
    uint32_t number = 0;

    *all = (struct all_shown){0};
    while ((topic = store_topic_next(s->store, number))) {
        number = topic_number(topic);
        for (uint32_t i = 0; i < topic_partition_count(topic) && all->count < PARTITIONS_MAX; i++)
            read_partition(s, topic, i, &all->part[all->count++]);
        topic_put(topic);
    }
}

static void compare(const struct all_shown *a, const struct all_shown *b)
{
    FUZZ_CHECK(a->count == b->count, "%zu partitions, then %zu", a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct shown *x = &a->part[i];
        const struct shown *y = &b->part[i];

        FUZZ_CHECK(strcmp(x->topic, y->topic) == 0 && x->index == y->index, "other partitions");
        FUZZ_CHECK(x->first == y->first, "%s: first is %" PRIu64 ", then %" PRIu64, x->topic,
                   x->first, y->first);
        FUZZ_CHECK(x->visible == y->visible, "%s: shown to %" PRIu64 ", then to %" PRIu64, x->topic,
                   x->visible, y->visible);
        FUZZ_CHECK(x->crc == y->crc, "%s: other bytes are shown", x->topic);
        FUZZ_CHECK(x->messages == y->messages, "%s: %" PRIu64 " messages, then %" PRIu64, x->topic,
                   x->messages, y->messages);
    }
}

/* -- files, before and after -- */

/* .lock has the number of the process, which no reader looks at. */
static void check_untouched(const struct memdisk *before, struct memdisk *after)
{
    struct memdisk *a = memdisk_from(&before->tree);
    char why[600] = "";

    (void)a->io.ops->unlink(&a->io, ".lock");
    (void)after->io.ops->unlink(&after->io, ".lock");
    FUZZ_CHECK(memdisk_same(a, after, why, sizeof why), "a store that was refused: %s", why);
    memdisk_free(a);
}

/* The file begins with the bytes that it had before; or it was shorter then. */
static void check_kept(const struct memdisk *before, const struct memdisk *after, const char *path,
                       uint64_t bytes)
{
    size_t had = 0;
    size_t has = 0;
    char *old = memdisk_file(before, path, &had);
    char *new = memdisk_file(after, path, &has);

    if (old) {
        if (bytes < had)
            had = (size_t)bytes;
        FUZZ_CHECK(new &&has >= had, "%s is shorter than what it held", path);
        FUZZ_CHECK(memcmp(old, new, had) == 0, "%s has other bytes", path);
    }
    free(old);
    free(new);
}

/* Where the durable slot of a segment stood, as a position; 0: nowhere. */
static uint64_t slot_position(const struct memdisk *disk, const char *idx_path, uint64_t base)
{
    struct idx_header h;
    uint64_t end = base;
    size_t len;
    char *idx = memdisk_file(disk, idx_path, &len);

    if (idx && len >= IDX_HEADER_BYTES && idx_header_decode((uint8_t *)idx, &h) == 0 &&
        h.base_offset == base)
        end = idx_slot_choose((uint8_t *)idx, base).end;
    free(idx);
    return end > base ? end - base : 0;
}

/* The entries of the last segment from position `from` to `to`: in order, with checksums
 * that hold. Walks from the first entry, whose order below `from` is not looked at. */
static void check_entries(const struct memdisk *disk, const char *idx_path, const char *log_path,
                          const char *meta_path, uint64_t base, uint64_t from, uint64_t to)
{
    size_t idx_len = 0;
    size_t log_len = 0;
    size_t meta_len = 0;
    char *idx = memdisk_file(disk, idx_path, &idx_len);
    char *log = memdisk_file(disk, log_path, &log_len);
    char *meta = memdisk_file(disk, meta_path, &meta_len);
    uint64_t at = 0;
    uint64_t meta_at = 0;

    FUZZ_CHECK(idx && log && log_len >= to, "%s is shorter than what is shown", log_path);
    for (size_t i = IDX_HEADER_BYTES; at < to && i + IDX_ENTRY_BYTES <= idx_len;
         i += IDX_ENTRY_BYTES) {
        const uint8_t *bytes = (uint8_t *)idx + i;
        struct idx_entry e = idx_entry_decode(bytes);

        if (at >= from) {
            uint32_t crc;

            FUZZ_CHECK(e.end > at && e.end <= log_len && e.meta_end >= meta_at &&
                           e.meta_end <= meta_len,
                       "%s: entry %zu is out of order", idx_path, (i - IDX_HEADER_BYTES) / 16);
            crc = meta ? crc32c_extend(0, meta + meta_at, e.meta_end - meta_at) : 0;
            crc = crc32c_extend(crc, log + at, e.end - at);
            FUZZ_CHECK(idx_entry_crc(bytes, crc, base) == e.crc,
                       "%s: the message at %" PRIu64 " is shown, and its checksum does not hold",
                       log_path, at);
        }
        at = e.end;
        meta_at = e.meta_end;
    }
    FUZZ_CHECK(at >= to, "%s ends at %" PRIu64 ", and %" PRIu64 " is shown", idx_path, at, to);
    free(idx);
    free(log);
    free(meta);
}

/* `st` is the last segment of a partition that is well. */
static void check_last(const struct memdisk *before, const struct memdisk *after,
                       const struct shown *p, const struct segment_stat *st, bool hurt)
{
    char log[STORE_PATH_MAX];
    char idx[STORE_PATH_MAX];
    char meta[STORE_PATH_MAX];
    uint64_t slot;

    path_of_segment(log, p->topic, p->index, st->base, SUFFIX_LOG);
    path_of_segment(idx, p->topic, p->index, st->base, SUFFIX_IDX);
    path_of_segment(meta, p->topic, p->index, st->base, SUFFIX_META);
    slot = slot_position(before, idx, st->base);
    check_kept(before, after, log, slot);
    if (!hurt && !p->failed && st->visible_bytes > slot)
        check_entries(after, idx, log, meta, st->base, slot, st->visible_bytes);
}

/* suffixes: of those files of sealed segments that nobody may have changed. */
static void check_partition_files(struct small_store *s, const struct memdisk *before,
                                  const struct shown *p, int suffixes)
{
    struct partition *part = small_store_part(s, p->topic, p->index);
    struct segment_stat st;
    struct partition_stat whole;
    uint64_t from = 0;

    if (partition_stat(part, &whole) < 0)
        return;
    while (partition_segment_next(part, from, &st) == 0) {
        char path[STORE_PATH_MAX];

        for (int i = 0; st.sealed && i < suffixes; i++) {
            path_of_segment(path, p->topic, p->index, st.base, (enum suffix)i);
            check_kept(before, s->disk, path, UINT64_MAX);
        }
        if (!st.sealed)
            check_last(before, s->disk, p, &st, whole.damaged_runs > 0);
        if (st.base == UINT64_MAX)
            return;
        from = st.base + 1;
    }
}

/* -- going on -- */

/* Do the ends of a segment's entries rise, as a bisection needs it? Below the slot nobody has
 * looked at them. */
static bool in_order(const struct memdisk *disk, const char *idx_path)
{
    uint32_t end = 0;
    size_t len;
    char *idx = memdisk_file(disk, idx_path, &len);

    for (size_t i = IDX_HEADER_BYTES; idx && i + IDX_ENTRY_BYTES <= len; i += IDX_ENTRY_BYTES) {
        struct idx_entry e = idx_entry_decode((uint8_t *)idx + i);

        if (e.end <= end) {
            free(idx);
            return false;
        }
        end = e.end;
    }
    free(idx);
    return true;
}

static void check_line(struct small_store *s, struct partition *part, uint64_t offset)
{
    char path[STORE_PATH_MAX];
    char got[8] = "";
    struct range r;
    int rc = partition_range(part, offset, 5, &r);

    FUZZ_CHECK(rc == 0 && r.offset == offset && r.len == 5, "the line appended at %" PRIu64 ": %d",
               offset, rc);
    rc = fileio_read_all(&s->disk->io, r.fd, got, 5, r.pos);
    FUZZ_CHECK(rc == 0 && memcmp(got, "more\n", 5) == 0, "the line reads as '%s' (%d)", got, rc);
    path_of_segment(path, topic_name(partition_topic(part)), partition_index(part), offset - r.pos,
                    SUFFIX_IDX);
    range_release(&r);
    FUZZ_CHECK(partition_find(part, offset) == 0 || !in_order(s->disk, path),
               "the line's offset is no boundary");
}

/* Appends a line to every partition, and looks for it after a kill. */
static void go_on(struct small_store *s, const struct all_shown *all)
{
    uint64_t offset[PARTITIONS_MAX];
    bool appended[PARTITIONS_MAX] = {false};

    for (size_t i = 0; i < all->count; i++) {
        const struct shown *p = &all->part[i];
        struct partition *part = small_store_part(s, p->topic, p->index);
        int rc = small_store_append(part, "more\n", &offset[i]);

        appended[i] = rc == 0;
        FUZZ_CHECK(rc == 0 || p->failed || partition_failed(part), "append to %s/%u: %d", p->topic,
                   p->index, rc);
        FUZZ_CHECK(rc < 0 || offset[i] == p->visible, "appended at %" PRIu64 ", not at %" PRIu64,
                   offset[i], p->visible);
    }
    small_store_flush(s);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < all->count; i++) {
            struct partition *part = small_store_part(s, all->part[i].topic, all->part[i].index);

            if (appended[i])
                check_line(s, part, offset[i]);
        }
        if (round == 0) {
            small_store_kill(s);
            small_store_open(s);
        }
    }
}

/* Appends a set of a producer that begins anew. */
static int produce(struct partition *part, struct appended *at)
{
    const struct producer producer = {.id = 7, .epoch = INT16_MAX, .sequence = 0};
    const struct message m = {.value = "made", .value_len = 4};
    struct err err = {0};
    struct set set;
    int rc;

    set_init(&set);
    rc = set_producer(&set, &producer);
    if (rc == 0)
        rc = set_add_message(&set, &m);
    if (rc == 0)
        rc = partition_append_at(part, &set, at, &err);
    set_release(&set);
    return rc;
}

/* A producer's set is appended once, to every partition that goes on, also when it is sent again
 * after a kill. The files may know that producer already: then it is refused. */
static void produce_twice(struct small_store *s, const struct all_shown *all)
{
    struct appended first[PARTITIONS_MAX];
    bool made[PARTITIONS_MAX] = {false};

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < all->count; i++) {
            const struct shown *p = &all->part[i];
            struct partition *part = small_store_part(s, p->topic, p->index);
            struct appended at;
            int rc = produce(part, &at);

            if (round == 0 && rc == 0 && !at.duplicate) {
                first[i] = at;
                made[i] = true;
            }
            FUZZ_CHECK(rc == 0 || !made[i] || partition_failed(part), "sent again: %d", rc);
            FUZZ_CHECK(!made[i] || round == 0 || (at.duplicate && at.offset == first[i].offset),
                       "a set of a producer was appended twice");
        }
        small_store_flush(s);
        if (round == 1) {
            small_store_kill(s);
            small_store_open(s);
        }
    }
}

static void stop_and_start(struct small_store *s)
{
    struct all_shown before;
    struct all_shown after;
    struct err err;

    read_all(s, &before);
    (void)!store_close(s->store, &err); /* a partition that has failed is no clean stop */
    s->store = NULL;
    FUZZ_CHECK(memdisk_kill(s->disk) == 0, "store_close left descriptors open");
    small_store_open(s);
    read_all(s, &after);
    compare(&before, &after);
}

void recovered_check(struct memdisk *disk)
{
    struct memdisk *before = memdisk_from(&disk->tree);
    struct memdisk *recovered = NULL;
    struct small_store s;
    struct all_shown first;
    struct all_shown second;
    char why[600] = "";
    struct err err;
    int rc;

    small_store_begin(&s, disk);
    rc = small_store_try_open(&s, &err);
    if (rc < 0) {
        if (getenv("FUZZ_SAY"))
            fprintf(stderr, "refused: %d: %s\n", rc, err.text);
        FUZZ_CHECK(err.text[0], "refused without a sentence: %d", rc);
        check_untouched(before, s.disk);
    } else {
        read_all(&s, &first);
        for (size_t i = 0; i < first.count; i++)
            check_partition_files(&s, before, &first.part[i], SUFFIX_COUNT);
        small_store_kill(&s);
        recovered = memdisk_from(&s.disk->tree);
        small_store_open(&s);
        read_all(&s, &second);
        compare(&first, &second);
        FUZZ_CHECK(memdisk_same(recovered, s.disk, why, sizeof why), "a second start: %s", why);
        go_on(&s, &second);
        produce_twice(&s, &second);
        stop_and_start(&s);
    }
    small_store_end(&s);
    memdisk_free(recovered);
    memdisk_free(before);
}

void recovered_survive(struct memdisk *disk)
{
    struct small_store s;
    struct all_shown all;
    struct err err;

    small_store_begin(&s, disk);
    for (int round = 0; round < 2 && small_store_try_open(&s, &err) == 0; round++) {
        read_all(&s, &all);
        for (size_t i = 0; i < all.count; i++) {
            struct partition *part = small_store_part(&s, all.part[i].topic, all.part[i].index);
            uint64_t offset;

            (void)!small_store_append(part, "more\n", &offset);
        }
        small_store_flush(&s);
        read_all(&s, &all);
        small_store_kill(&s);
    }
    small_store_end(&s);
}

void recovered_kept(const struct memdisk *before, const struct memdisk *after)
{
    struct small_store s;
    struct all_shown all;

    small_store_begin(&s, memdisk_from(&after->tree));
    small_store_open(&s);
    read_all(&s, &all);
    for (size_t i = 0; i < all.count; i++)
        check_partition_files(&s, before, &all.part[i], SUFFIX_LOG + 1);
    small_store_end(&s);
}
