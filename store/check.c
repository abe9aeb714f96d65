/* store/check: verifying a store offline. See check.h. */
#include "store/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/overlay.h"
#include "store/checking.h"
#include "store/recover.h"
#include "store/repair.h"

#define REPAIR_ROUNDS 4 /* an index, a log, a next segment, and the last look */

/* -- findings -- */

/* A repair opens the store again and again: what is said then was said. */
static bool said_before(struct check *c, const char *text)
{
    for (const char *at = c->said.data; at && at < c->said.data + c->said.len; at += strlen(at) + 1)
        if (strcmp(at, text) == 0)
            return true;
    return buf_add(&c->said, text, strlen(text) + 1) < 0; /* no memory to say it twice */
}

static void count_finding(void *arg, enum finding kind, const char *text)
{
    struct check *c = arg;

    if (c->repair && said_before(c, text))
        return;
    c->result->findings[kind]++;
    if (finding_weight(kind) > c->result->worst)
        c->result->worst = finding_weight(kind);
    c->options->finder.found(c->options->finder.arg, kind, text);
}

void check_found(struct check *c, enum finding kind, const char *fmt, ...)
{
    char text[700];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    count_finding(c, kind, text);
}

/* -- opening -- */

/* What a start would make where it is missing. */
static int look_first(struct check *c, struct err *err)
{
    struct fileio_stat st;
    int rc = c->raw->ops->stat(c->raw, ".format", &st);

    if (rc == -ENOENT)
        return err_set(err, ERR_NOT_A_STORE,
                       "no .format: not a topicfs store, or that file is lost: take it from a "
                       "copy of the store");
    if (rc < 0)
        return err_set(err, rc, ".format: %s", err_sentence(rc));
    return 0;
}

static bool is_missing(struct check *c, const char *path)
{
    struct fileio_stat st;

    return c->raw->ops->stat(c->raw, path, &st) == -ENOENT;
}

static int open_store(struct check *c, struct fileio *io, struct err *err)
{
    struct store_options options = {
        .io = io,
        .name = c->options->name,
        .any_broker = true,
        .boot_id = c->options->boot_id,
        .finder = &c->counter,
    };

    return store_open(&c->store, &options, err);
}

/* -- partitions -- */

static int load(struct check *c, struct partition *part, struct err *err)
{
    (void)c;
    return partition_load(part, err);
}

/* What the files of its segments come to. */
static int measure(struct check *c, struct partition *part, struct err *err)
{
    struct fileio *io = c->store->io;

    (void)err;
    for (size_t i = 0; i < part->segment_count; i++)
        for (int suffix = SUFFIX_LOG; suffix <= SUFFIX_META; suffix++) {
            struct fileio_stat st;
            char path[STORE_PATH_MAX];

            path_of_segment(path, part->topic->name, part->index, part->segments[i]->base,
                            (enum suffix)suffix);
            if (suffix != SUFFIX_IDX && io->ops->stat(io, path, &st) == 0)
                c->total += st.size_bytes;
        }
    c->result->partitions++;
    c->result->segments += part->segment_count;
    return 0;
}

static int verify(struct check *c, struct partition *part, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < part->segment_count; i++)
        rc = check_segment(c, part, i, err);
    for (size_t i = 0; i < part->damage_count; i++)
        c->result->damaged += part->damages[i].messages;
    return rc;
}

static int each_partition(struct check *c,
                          int (*fn)(struct check *, struct partition *, struct err *),
                          struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->store->topic_count; i++) {
        struct topic *topic = c->store->by_number[i];

        for (uint32_t p = 0; rc == 0 && p < topic_partition_count(topic); p++)
            rc = fn(c, topic_partition(topic, p), err);
    }
    return rc;
}

/* -- all of it -- */

/* Opens the store and lists all segments. A .clean that a partition does not
 * agree with is not believed. */
static int open_and_load(struct check *c, struct fileio *io, struct err *err)
{
    int rc = open_store(c, io, err);

    if (rc == 0)
        rc = each_partition(c, load, err);
    if (rc == 0 && atomic_load(&c->store->clean) &&
        atomic_load(&c->store->metrics.failed_partitions) > 0)
        rc = err_set(err, ERR_DAMAGED, "a partition is damaged");
    if (rc == ERR_DAMAGED && c->store && atomic_load(&c->store->clean)) {
        check_found(c, FOUND_CLEAN_MISTAKEN, ".clean: %s", err->text);
        store_abandon(c->store);
        c->store = NULL;
        rc = io->ops->unlink(io, ".clean");
        if (rc == 0)
            rc = io->ops->sync_dir(io, "");
        if (rc == 0)
            rc = open_store(c, io, err);
    }
    return rc;
}

/* What stands in the way of sealed/ is not ours to remove. */
static void mend_links(struct check *c, struct topic *topic)
{
    int rc = sealed_rebuild(topic);

    if (rc == 0)
        rc = sealed_sync(topic);
    if (rc == 0)
        return;
    check_found(c, FOUND_NO_REPAIR, "%s/sealed: its links cannot be made: %s", topic->name,
                err_sentence(rc));
}

static int check_opened(struct check *c, struct err *err)
{
    int rc;

    c->result->topics = c->store->topic_count;
    if (is_missing(c, ".lock"))
        check_found(c, FOUND_NO_LOCK_FILE, ".lock: not there");
    if (is_missing(c, ".clean"))
        check_found(c, FOUND_NOT_CLEAN, ".clean: not there: the store was not stopped cleanly");
    rc = atomic_load(&c->store->clean) ? replay_look(c->store, err) : 0;
    if (rc == 0)
        rc = check_names(c, err);
    for (size_t i = 0; rc == 0 && c->repair && i < c->store->topic_count; i++)
        mend_links(c, c->store->by_number[i]);
    if (rc == 0)
        rc = each_partition(c, measure, err);
    if (rc == 0)
        rc = each_partition(c, verify, err);
    return rc;
}

/* -- repairing -- */

static bool is_damaged(const struct partition *part)
{
    return partition_failed(part) || part->damage_count > 0;
}

/* Makes what partitions lack that cannot be used; each start shows what can be
 * made next. */
static int make_files(struct check *c, struct err *err)
{
    bool made = true;
    int rc = 0;

    for (int round = 0; rc == 0 && made && round < REPAIR_ROUNDS; round++) {
        made = false;
        for (size_t i = 0; rc == 0 && i < c->store->topic_count; i++) {
            struct topic *topic = c->store->by_number[i];

            for (uint32_t p = 0; rc == 0 && p < topic_partition_count(topic); p++)
                if (is_damaged(topic_partition(topic, p)))
                    rc = repair_partition(topic_partition(topic, p), &made, err);
        }
        if (rc == 0 && made) {
            store_abandon(c->store);
            c->store = NULL;
            rc = open_and_load(c, c->raw, err);
        }
    }
    return rc;
}

static int note(struct check *c, struct partition *part, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < part->segment_count; i++) {
        bool newest = i + 1 == part->segment_count;
        uint64_t base = part->segments[i]->base;
        bool changed;

        if (newest && partition_failed(part))
            break; /* where it ends is not known */
        rc = damage_write(part, base, newest ? part->appended.offset : part->segments[i + 1]->base,
                          &changed, err);
        if (rc == 0 && changed)
            check_found(c, FOUND_MADE_NOTE, "%s/%" PRIu32 "/%020" PRIu64 ".damaged: written",
                        part->topic->name, part->index, base);
    }
    c->unrepaired += partition_failed(part);
    return rc;
}

static int repair_all(struct check *c, struct err *err)
{
    struct err ignored;
    int rc = look_first(c, err);

    if (rc == 0)
        rc = open_and_load(c, c->raw, err);
    if (rc == 0)
        rc = make_files(c, err);
    if (rc == 0)
        rc = check_opened(c, err);
    if (rc == 0)
        rc = each_partition(c, note, err);
    if (rc < 0 && c->store)
        store_abandon(c->store);
    else if (rc == 0)
        (void)!store_close(c->store, &ignored); /* a partition that failed stays so */
    c->result->repaired = c->unrepaired == 0 && c->result->findings[FOUND_TOPIC] == 0 &&
                          c->result->findings[FOUND_NO_REPAIR] == 0;
    return rc;
}

static int check_all(struct check *c, struct fileio *overlay, struct err *err)
{
    int rc = look_first(c, err);

    if (rc == 0)
        rc = open_and_load(c, overlay, err);
    if (rc == 0)
        rc = check_opened(c, err);
    if (c->store)
        store_abandon(c->store);
    return rc;
}

static void begin(struct check *c)
{
    c->raw = c->options->io;
    c->counter = (struct finder){count_finding, c};
    *c->result = (struct check_result){0};
}

int store_check(const struct check_options *options, struct check_result *result, struct err *err)
{
    struct check c = {.options = options, .result = result};
    struct fileio *overlay = overlay_new(options->io);
    int rc;

    if (!overlay)
        return err_set(err, -ENOMEM, "out of memory");
    begin(&c);
    rc = check_all(&c, overlay, err);
    fileio_release(overlay);
    return rc;
}

int store_repair(const struct check_options *options, struct check_result *result, struct err *err)
{
    struct check c = {.options = options, .result = result, .repair = true};
    int rc;

    begin(&c);
    rc = repair_all(&c, err);
    buf_release(&c.said);
    return rc;
}
