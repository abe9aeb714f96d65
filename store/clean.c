/*
 * store/clean: .clean, the word of a clean stop. See recover.h.
 *
 * A line per partition: topic number, partition, first offset, base of the
 * newest segment, sizes of its .log .idx .meta, end, number, time of the last
 * append in the oldest segment (0: not known, or none); last "crc32c " and 8
 * hex digits over all before. It is believed as a whole: a partition
 * without a line is damage of .clean, and then nothing of it counts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/findings.h"
#include "store/inside.h"
#include "store/recover.h"

#define CLEAN_MAX ((size_t)1 << 30)
#define FIELDS    10

/* Are the files of the newest segment as the clean stop left them? A .meta that
 * there was none of is looked for when the partition is first used. */
static bool sizes_match(struct partition *part, const struct clean_facts *facts)
{
    struct fileio *io = part->store->io;
    char name[SUFFIX_COUNT][SEGMENT_NAME_MAX];
    struct fileio_stat st[SUFFIX_COUNT];
    const char *names[SUFFIX_COUNT];
    char dir[STORE_PATH_MAX];
    int n = facts->bytes[SUFFIX_META] > 0 ? SUFFIX_COUNT : SUFFIX_META;

    path_of_partition(dir, part->topic->name, part->index);
    for (int i = 0; i < n; i++) {
        name_of_segment_file(name[i], facts->base, (enum suffix)i);
        names[i] = name[i];
    }
    if (io->ops->stat_names(io, dir, names, n, st) < 0)
        return false;
    for (int i = 0; i < n; i++)
        if (st[i].kind != FILEIO_FILE || st[i].size_bytes != facts->bytes[i])
            return false;
    return true;
}

static bool believe_line(struct store *store, const uint64_t field[FIELDS])
{
    struct topic *topic =
        field[0] <= UINT32_MAX ? store_topic_by_number(store, (uint32_t)field[0]) : NULL;
    struct partition *part =
        topic && field[1] <= UINT32_MAX ? topic_partition(topic, (uint32_t)field[1]) : NULL;
    struct mark at = {.offset = field[7], .number = field[8], .meta_end = (uint32_t)field[6]};

    if (!part || part->clean)
        return false;
    part->clean = malloc(sizeof *part->clean);
    if (!part->clean)
        return false;
    *part->clean =
        (struct clean_facts){field[2], field[3], {field[4], field[5], field[6]}, field[9]};
    partition_set_marks(part, &at);
    return sizes_match(part, part->clean);
}

static bool believe(struct store *store, const char *text, size_t len)
{
    uint64_t lines = 0;
    uint64_t partitions = 0;

    while (len > 0) {
        const char *nl = memchr(text, '\n', len);
        uint64_t field[FIELDS];

        if (!nl || !parse_decimals(text, (size_t)(nl - text), field, FIELDS) ||
            !believe_line(store, field))
            return false;
        len -= (size_t)(nl - text) + 1;
        text = nl + 1;
        lines++;
    }
    for (size_t i = 0; i < store->topic_count; i++)
        partitions += topic_partition_count(store->by_number[i]);
    return lines == partitions;
}

static void disbelieve(struct store *store)
{
    struct mark zero = {0};

    for (size_t i = 0; i < store->topic_count; i++)
        for (uint32_t p = 0; p < topic_partition_count(store->by_number[i]); p++) {
            struct partition *part = topic_partition(store->by_number[i], p);

            free(part->clean);
            part->clean = NULL;
            partition_set_marks(part, &zero);
        }
}

/* Nothing was written since: a partition that ends below what the clean stop
 * said has lost messages, whose offsets must not be given again. */
static void keep_ends(struct store *store, const char *text, size_t len)
{
    uint64_t gone = UINT64_MAX; /* a topic has its lines one after the other */

    while (len > 0) {
        const char *nl = memchr(text, '\n', len);
        uint64_t field[FIELDS];
        struct topic *topic;

        if (!nl || !parse_decimals(text, (size_t)(nl - text), field, FIELDS))
            return;
        topic = field[0] <= UINT32_MAX ? store_topic_by_number(store, (uint32_t)field[0]) : NULL;
        if (topic && field[1] < topic_partition_count(topic)) {
            struct partition *part = topic_partition(topic, (uint32_t)field[1]);

            part->vouched = part->clean_end = field[7];
        }
        if (!topic && field[0] != gone && field[7] > field[2] && store->left_out == 0) {
            gone = field[0];
            found_say(store, FOUND_TOPIC_GONE,
                      ".clean: the topic with number %" PRIu64 ", which had messages, is not there",
                      gone);
        }
        len -= (size_t)(nl - text) + 1;
        text = nl + 1;
    }
}

bool clean_read(struct store *store)
{
    size_t len;
    char *text;
    bool whole, ok;
    int rc = fileio_read_file(store->io, ".clean", CLEAN_MAX, &text, &len);

    if (rc == -ENOENT)
        return false;
    if (rc < 0) {
        found_say(store, FOUND_CLEAN_MISTAKEN, ".clean: %s; recovering", err_sentence(rc));
        return false;
    }
    whole = crc_line_holds(text, len);
    ok = whole && believe(store, text, len - CRC_LINE_BYTES);
    if (!ok) {
        disbelieve(store);
        found_say(store, FOUND_CLEAN_MISTAKEN, ".clean does not agree with the store; recovering");
    }
    if (whole && !ok)
        keep_ends(store, text, len - CRC_LINE_BYTES);
    free(text);
    return ok;
}

/* The facts of a partition that may have been loaded or not. */
static void facts_of(struct partition *part, struct clean_facts *facts)
{
    struct segment *seg;

    if (part->clean) {
        *facts = *part->clean;
        return;
    }
    seg = partition_newest(part);
    facts->first = part->segments[0]->base;
    facts->base = seg->base;
    facts->oldest_ms = part->retention.oldest_ms;
    if (facts->first == facts->base && part->appended.offset > seg->base)
        facts->oldest_ms = part->appended.time_ms;
    facts->bytes[SUFFIX_LOG] = part->appended.offset - seg->base;
    facts->bytes[SUFFIX_META] = part->appended.meta_end;
    facts->bytes[SUFFIX_IDX] =
        IDX_HEADER_BYTES + (part->appended.number - seg->base_number) * IDX_ENTRY_BYTES;
}

static int print_partition(struct partition *part, struct buf *text)
{
    struct clean_facts f;

    facts_of(part, &f);
    return buf_printf(text,
                      "%" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                      " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                      part->topic->number, part->index, f.first, f.base, f.bytes[SUFFIX_LOG],
                      f.bytes[SUFFIX_IDX], f.bytes[SUFFIX_META], part->appended.offset,
                      part->appended.number, f.oldest_ms);
}

int clean_write(struct store *store, struct err *err)
{
    struct buf text = {.cap = CLEAN_MAX};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < store->topic_count; i++)
        for (uint32_t p = 0; rc == 0 && p < topic_partition_count(store->by_number[i]); p++)
            rc = print_partition(topic_partition(store->by_number[i], p), &text);
    if (rc == 0)
        rc = crc_line_add(&text);
    if (rc == 0)
        rc = fileio_replace_file(store->io, "", ".clean", text.data, text.len);
    buf_release(&text);
    return rc < 0 ? err_set(err, rc, ".clean: %s", err_sentence(rc)) : 0;
}

int clean_remove(struct store *store)
{
    int rc = store->io->ops->unlink(store->io, ".clean");

    if (rc < 0 && rc != -ENOENT)
        return rc;
    return store->io->ops->sync_dir(store->io, "");
}
