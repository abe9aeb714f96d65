/* tests/fuzz/small_store: see small_store.h. */
#include "tests/fuzz/small_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "tests/fuzz/fuzz.h"

#define WORK_ROUNDS 1000 /* more than any input here gives to do */

void small_store_begin(struct small_store *s, struct memdisk *disk)
{
    diag_silence(!getenv("FUZZ_SAY"));
    *s = (struct small_store){
        .disk = disk ? disk : memdisk_new(),
        .clock = {.now_ms = 1700000000000},
        .options =
            {
                .name = "store",
                .wall_ms = memclock_wall_ms,
                .journal_bytes = 96 << 10,
                .journal_part_bytes = 16 << 10,
                .random_seed = 4711,
                .boot_id = "boot",
            },
    };
    s->options.io = &s->disk->io;
}

int small_store_try_open(struct small_store *s, struct err *err)
{
    int rc;

    *err = (struct err){0};
    s->options.clock_arg = &s->clock;
    rc = store_open(&s->store, &s->options, err);
    if (rc < 0) {
        s->store = NULL;
        FUZZ_CHECK(memdisk_kill(s->disk) == 0, "store_open failed and left descriptors open");
    }
    return rc;
}

void small_store_open(struct small_store *s)
{
    struct err err;
    int rc = small_store_try_open(s, &err);

    FUZZ_CHECK(rc == 0, "store_open: %d: %s", rc, err.text);
}

void small_store_kill(struct small_store *s)
{
    store_abandon(s->store);
    s->store = NULL;
    (void)memdisk_kill(s->disk);
}

void small_store_end(struct small_store *s)
{
    if (s->store)
        small_store_kill(s);
    memdisk_free(s->disk);
}

void small_store_topic(struct small_store *s, const char *name, const char *settings)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};
    int rc =
        topic_config_parse(&conf, &topic_config_default, settings, strlen(settings), "fuzz", &err);

    if (rc == 0)
        rc = store_topic_create(s->store, name, &conf, NULL, &err);
    FUZZ_CHECK(rc == 0, "topic %s: %s", name, err.text);
}

struct partition *small_store_part(struct small_store *s, const char *name, uint32_t index)
{
    struct topic *topic = store_topic_find(s->store, name);
    struct partition *part = topic ? topic_partition(topic, index) : NULL;

    FUZZ_CHECK(part, "%s has no partition %u", name, index);
    topic_put(topic);
    return part;
}

int small_store_append(struct partition *part, const char *lines, uint64_t *offset)
{
    struct err err = {0};
    struct set set;
    size_t taken;
    int rc;

    set_init(&set);
    rc = set_add_lines(&set, lines, strlen(lines), &taken);
    if (rc == 0)
        rc = partition_append(part, &set, offset, &err);
    set_release(&set);
    return rc;
}

void small_store_append_key(struct partition *part, const char *key, const char *value)
{
    const struct header header = {.name = "h", .name_len = 1, .value = "v", .value_len = 1};
    struct message m = {
        .value = value,
        .value_len = (uint32_t)strlen(value),
        .key = key,
        .key_len = (uint32_t)strlen(key),
        .headers = &header,
        .header_count = 1,
        .has_time = true,
        .time_ms = 1,
    };
    struct err err = {0};
    uint64_t offset;
    struct set set;
    int rc;

    set_init(&set);
    rc = set_add_message(&set, &m);
    if (rc == 0)
        rc = partition_append(part, &set, &offset, &err);
    FUZZ_CHECK(rc == 0, "append: %d: %s", rc, err.text);
    set_release(&set);
}

void small_store_flush(struct small_store *s)
{
    int rounds = 0;

    while (store_work(s->store, true))
        FUZZ_CHECK(++rounds < WORK_ROUNDS, "the store's work does not end");
}

static void append(struct partition *part, const char *lines)
{
    uint64_t offset;
    int rc = small_store_append(part, lines, &offset);

    FUZZ_CHECK(rc == 0, "append: %d", rc);
}

void small_store_fill(struct small_store *s)
{
    struct partition *part;

    small_store_topic(s, "t", SMALL_TOPIC);
    part = small_store_part(s, "t", 0);
    append(part, "a\nbbb\n");
    s->clock.now_ms += 2000;
    append(part, "c\nd\n");
    append(part, "eee\n");
    s->clock.now_ms += 2000;
    append(part, "f\n");
    small_store_append_key(part, "key", "value");
    small_store_flush(s);
    append(part, "gg\nhh\n");
    small_store_append_key(part, "k", "");
    small_store_flush(s);
}
