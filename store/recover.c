/*
 * store/recover: the passes of a recovery, in order. See recover.h.
 */
#include "store/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/findings.h"
#include "store/inside.h"

/* Calls fn for every partition; stops at the first failure. */
static int each_partition(struct store *store, int (*fn)(struct partition *, struct err *),
                          struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc >= 0 && i < store->topic_count; i++)
        for (uint32_t p = 0; rc >= 0 && p < topic_partition_count(store->by_number[i]); p++)
            rc = fn(topic_partition(store->by_number[i], p), err);
    return rc < 0 ? rc : 0;
}

/* -- pass 1: look, touch nothing -- */

/* What is found is kept for pass 2: nobody else changes the store meanwhile. */
static int look(struct partition *part, struct err *err)
{
    int rc;

    part->found = calloc(1, sizeof *part->found);
    if (!part->found)
        return err_set(err, -ENOMEM, "out of memory");
    rc = scan_partition(part, part->found, err);
    if (rc < 0)
        scan_forget(part);
    /* What keeps one partition from being read is said in pass 2. */
    return rc == ERR_NEWER_FORMAT || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE ? rc : 0;
}

/* -- pass 2: names durable, left-overs gone, segments known -- */

/* After a kill the cache may know names that the disk does not yet. xfs sends
 * no flush to the device for a clean log: the fdatasync does. */
static int make_names_durable(struct store *store, struct err *err)
{
    int rc = store->io->ops->syncfs(store->io, store->root_fd);

    if (rc == 0)
        rc = store->io->ops->fdatasync(store->io, store->lock_fd);
    return rc < 0 ? err_set(err, rc, "syncfs: %s", err_sentence(rc)) : 0;
}

/* Nothing is known of where this partition ends: it shows what it has, and
 * takes nothing more. */
static int adopt_broken(struct partition *part, const struct err *why)
{
    struct mark at = {0};

    if (part->segment_count == 0) {
        struct segment *seg = segment_new(part, 0);

        if (!seg || partition_add_segment(part, seg) < 0)
            return -ENOMEM;
    }
    at.offset = partition_newest(part)->base;
    partition_set_marks(part, &at);
    partition_fail(part, why->code, "damaged: %s", why->text);
    return 0;
}

static int adopt(struct partition *part, struct err *err)
{
    struct found none = {0};
    struct found *found = part->found ? part->found : &none;
    struct err why = {0};
    int rc = part->found ? 0 : scan_partition(part, found, &why);

    if (rc == 0)
        rc = scan_clean_up(part, found);
    if (rc < 0 && why.code == 0)
        err_set(&why, rc, "%s", err_sentence(rc));
    if (rc == 0)
        rc = scan_adopt(part, found, &why);
    scan_release(&none);
    if (rc == -ENOMEM)
        return err_set(err, rc, "out of memory");
    return rc < 0 ? adopt_broken(part, &why) : 0;
}

/* -- pass 3: verify, write again, flush, slot -- */

/* Is what stands above the slot to be written again? A write-back that failed
 * may have marked its pages clean; a flush would not see them. With os the
 * same, but only in the same boot: after another the disk is all there is. */
static bool must_rewrite(const struct partition *part)
{
    return !topic_config(part->topic)->flush_os || part->store->same_boot;
}

/* *open: it has something to flush, and its files open for that. */
static void settle(struct partition *part, bool *open)
{
    struct mark slot;
    struct err err;
    int rc;

    *open = false;
    if (part->found && !atomic_load(&part->failed) && scan_settled(part, part->found, &slot)) {
        partition_set_marks(part, &slot);
        return;
    }
    rc = verify_partition(part, &slot, &err);
    if (rc < 0) {
        partition_fail(part, rc, "%s", err.text);
        return;
    }
    if (atomic_load(&part->failed) || slot.offset >= part->appended.offset)
        return;
    /* Not visible yet: the flush of all raises that. */
    part->visible = part->durable = slot;
    atomic_store(&part->visible_end, slot.offset);
    rc = partition_pin(part, &err);
    part->appending = false;
    if (rc == 0 && must_rewrite(part))
        rc = verify_rewrite(part, &slot);
    if (rc < 0)
        partition_fail(part, rc, "writing again what is above %" PRIu64 ": %s", slot.offset,
                       err_sentence(rc));
    *open = rc == 0;
}

static int flush_step(struct store *store, struct partition **parts, size_t *n)
{
    int rc = *n > 0 ? flusher_flush_all(store, parts, *n, NULL, NULL) : 0;

    *n = 0;
    return rc == -EIO ? 0 : rc; /* those that failed have said so */
}

/* In steps: what is not flushed keeps its files open. */
static int settle_all(struct store *store)
{
    size_t step = store->open_segments_high / 2 > 0 ? store->open_segments_high / 2 : 1;
    struct partition **parts = malloc(step * sizeof(struct partition *));
    size_t n = 0;
    int rc = parts ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < store->topic_count; i++)
        for (uint32_t p = 0; rc == 0 && p < topic_partition_count(store->by_number[i]); p++) {
            struct partition *part = topic_partition(store->by_number[i], p);
            bool open;

            settle(part, &open);
            scan_forget(part);
            if (open)
                parts[n++] = part;
            if (n == step)
                rc = flush_step(store, parts, &n);
        }
    if (rc == 0)
        rc = flush_step(store, parts, &n);
    free(parts);
    return rc;
}

/* Its records may be all there is of some messages, until it is repaired. */
static bool needs_journal(const struct partition *part)
{
    return atomic_load(&part->failed) && part->journaled;
}

static int replay_and_settle(struct store *store, struct err *err)
{
    struct journal_last last;
    bool keep;
    int rc = replay_journals(store, &last, &keep, err);

    if (rc == 0)
        rc = settle_all(store);
    if (rc < 0)
        return rc;
    /* A record that is still needed must not be written over. */
    for (size_t i = 0; !keep && i < store->topic_count; i++)
        for (uint32_t p = 0; !keep && p < topic_partition_count(store->by_number[i]); p++)
            keep = needs_journal(topic_partition(store->by_number[i], p));
    if (keep)
        store->journal.dead = true;
    journal_begin(&store->journal, &last);
    return 0;
}

/* A .clean that is not believed now could be later: when a cut has brought the
 * sizes back to what it says, and the rest stands in the journal only. */
static int forget_clean(struct store *store, struct err *err)
{
    int rc = clean_remove(store);

    return rc < 0 ? err_set(err, rc, "removing .clean: %s", err_sentence(rc)) : 0;
}

int recover_store(struct store *store, struct err *err)
{
    int rc = each_partition(store, look, err);

    if (rc == 0)
        rc = forget_clean(store, err);
    if (rc == 0)
        rc = make_names_durable(store, err);
    if (rc == 0)
        rc = store_sweep(store, err);
    if (rc == 0)
        rc = journal_open(&store->journal, store, err);
    if (rc == 0)
        rc = each_partition(store, adopt, err);
    if (rc == 0)
        rc = replay_and_settle(store, err);
    for (size_t i = 0; rc == 0 && i < store->topic_count; i++) {
        int linked = sealed_rebuild(store->by_number[i]);

        if (linked >= 0)
            continue;
        store->links_missing |= linked != -EPERM && linked != -EOPNOTSUPP;
        found_say(store, FOUND_SEALED_MISSING,
                  "%s/sealed: %s: it will be made again at the next start",
                  store->by_number[i]->name, err_sentence(linked));
    }
    return rc;
}

/* -- after a clean stop -- */

/* Who removed the first segments, to make room, has done what retention does. */
static bool sizes_match(const struct clean_facts *facts, const struct found *found, uint64_t *begin)
{
    const struct found_segment *last = found->count > 0 ? &found->seg[found->count - 1] : NULL;
    const struct found_segment *first = found->seg;

    if (!last || last->base != facts->base || last->left_over)
        return false;
    while (first->left_over) /* of what a gap has replaced; the last is none */
        first++;
    if (first->base < facts->first)
        return false;
    *begin = first->base;
    for (int i = 0; i < SUFFIX_COUNT; i++)
        if (last->bytes[i] != facts->bytes[i])
            return false;
    return true;
}

static int not_as_left(const struct partition *part, struct err *err)
{
    return err_set(err, ERR_DAMAGED,
                   "%s/%" PRIu32 ": its files are not as the clean stop left them",
                   part->topic->name, part->index);
}

/* The time of the last message, which .clean does not say. */
static int learn_time(struct partition *part, struct err *err)
{
    struct segment *seg = partition_newest(part);
    struct flusher *fl = &part->store->flusher;
    struct idx_entry e = {0};
    uint64_t count;
    int rc = segment_use(seg, err);

    if (rc < 0)
        return rc;
    count = part->appended.number - seg->base_number;
    if (count > 0)
        rc = segment_read_entry(seg, count - 1, &e);
    if (rc < 0)
        err_set(err, rc, "%s/%" PRIu32 ": its last message: %s", part->topic->name, part->index,
                err_sentence(rc));
    /* The next message is taken to begin where this one ends. */
    if (rc == 0 && (seg->base + e.end != part->appended.offset || e.more ||
                    e.meta_end != part->appended.meta_end))
        rc = not_as_left(part, err);
    if (rc == 0 && count > 0) {
        pthread_mutex_lock(&fl->lock);
        part->appended.time_ms = part->visible.time_ms = part->durable.time_ms =
            seg->base_time_ms + e.time_ms;
        pthread_mutex_unlock(&fl->lock);
    }
    segment_unuse(seg);
    return rc;
}

int recover_load_clean(struct partition *part, struct err *broken, struct err *err)
{
    struct clean_facts *facts = part->clean;
    struct found found = {0};
    uint64_t begin = facts->first;
    int rc = scan_partition(part, &found, err);

    broken->code = 0;
    if (rc == 0 && !sizes_match(facts, &found, &begin))
        rc = not_as_left(part, err);
    if (rc == 0)
        rc = scan_adopt(part, &found, broken);
    if (rc == ERR_DAMAGED && part->segment_count > 0 && partition_newest(part)->base == facts->base)
        rc = 0; /* a sealed one: the others can be read */
    if (rc < 0 && broken->code < 0)
        *err = *broken;
    if (rc == 0)
        rc = learn_time(part, err);
    scan_release(&found);
    if (rc < 0) {
        /* It may be tried again: nothing of this attempt stays. */
        while (part->segment_count > 0)
            segment_put(part->segments[--part->segment_count]);
        damage_clear(part);
        part->retention.sealed_bytes = 0;
        return rc;
    }
    if (part->segment_count > 1 && begin == facts->first)
        part->retention.oldest_ms = facts->oldest_ms;
    part->clean = NULL;
    free(facts);
    return 0;
}
