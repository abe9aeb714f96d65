/*
 * A real store in a directory of its own, without threads: what is appended is
 * visible when the test says so.
 */
#ifndef TESTS_UNIT_STORE_IN_TMP_H
#define TESTS_UNIT_STORE_IN_TMP_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fileio.h"
#include "store/store.h"
#include "tests/support/temporary.h"

struct tmp_store {
    char dir[TEMPORARY_MAX];
    struct fileio *io;
    struct store *store;
    uint64_t now_ms; /* its clock */
};

static inline uint64_t tmp_clock(void *arg)
{
    return ((struct tmp_store *)arg)->now_ms;
}

static inline void tmp_store_open(struct tmp_store *t)
{
    struct store_options options = {.name = "store", .wall_ms = tmp_clock, .clock_arg = t};
    struct err err;

    temporary_make(t->dir, "unit");
    t->now_ms = 1700000000000;
    ck_assert_int_eq(fileio_open(&t->io, t->dir, &err), 0);
    options.io = t->io;
    ck_assert_msg(store_open(&t->store, &options, &err) == 0, "%s", err.text);
}

static inline void tmp_store_close(struct tmp_store *t)
{
    struct err err;

    ck_assert_msg(store_close(t->store, &err) == 0, "%s", err.text);
    fileio_release(t->io);
    temporary_remove(t->dir);
}

static inline void tmp_flush(struct tmp_store *t)
{
    while (store_work(t->store, true))
        ;
}

/* A topic with segments of a mebibyte. */
static inline struct topic *tmp_topic(struct tmp_store *t, const char *name, unsigned partitions)
{
    struct topic_config conf = topic_config_default;
    struct topic *topic;
    struct err err;

    conf.partitions = partitions;
    conf.message_max_bytes = conf.set_max_bytes = 65536;
    conf.segment_bytes = 1 << 20;
    ck_assert_msg(store_topic_create(t->store, name, &conf, &topic, &err) == 0, "%s", err.text);
    return topic;
}

/* Appends lines and makes them visible. */
static inline void tmp_publish(struct tmp_store *t, struct partition *part, const char *lines)
{
    struct set set;
    uint64_t offset;
    size_t taken;
    struct err err;

    set_init(&set);
    ck_assert_int_eq(set_add_lines(&set, lines, strlen(lines), &taken), 0);
    ck_assert_msg(partition_append(part, &set, &offset, &err) == 0, "%s", err.text);
    set_release(&set);
    tmp_flush(t);
}

/* Lines of 32 KiB until there are so many sealed segments. */
static inline void tmp_publish_segments(struct tmp_store *t, struct partition *part, int want)
{
    char *line = malloc(32769);
    struct segment_stat st;

    ck_assert_ptr_nonnull(line);
    memset(line, 'x', 32767);
    strcpy(line + 32767, "\n");
    for (int sealed = 0; sealed < want;) {
        tmp_publish(t, part, line);
        sealed = 0;
        for (uint64_t from = 0; partition_segment_next(part, from, &st) == 0; from = st.base + 1)
            sealed += st.sealed;
    }
    free(line);
}

#endif
