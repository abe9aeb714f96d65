/* tests/support/world: see world.h. */
#include "tests/support/world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void world_wrong(struct world *w, const char *fmt, ...)
{
    va_list ap;

    if (w->wrong[0])
        return;
    va_start(ap, fmt);
    vsnprintf(w->wrong, sizeof w->wrong, fmt, ap);
    va_end(ap);
}

static size_t at(const struct world *w)
{
    return memdisk_at(w->disk);
}

/* -- the world itself -- */

void world_init(struct world *w, const struct world_fault *fault)
{
    *w = (struct world){.clock = {.now_ms = 1700000000000, .step_ms = 1}};
    w->disk = memdisk_new();
    memdisk_record(w->disk);
    if (fault)
        w->fault = *fault;
    w->options = (struct store_options){
        .name = "store",
        .wall_ms = memclock_wall_ms,
        .journal_bytes = 128 << 10,
        .journal_part_bytes = 16 << 10,
        .random_seed = 4711,
        .boot_id = "boot",
    };
}

void world_release(struct world *w)
{
    if (w->store)
        world_kill(w);
    ledger_release(&w->ledger);
    memdisk_free(w->disk);
    while (w->bytes) {
        struct world_bytes *next = w->bytes->next;

        free(w->bytes);
        w->bytes = next;
    }
}

void world_move(struct world *w, struct memdisk *disk, const struct ledger *ledger)
{
    memdisk_free(w->disk);
    w->disk = disk;
    memdisk_record(disk);
    ledger_release(&w->ledger);
    w->ledger = *ledger;
}

bool world_start(struct world *w)
{
    struct err err = {0};
    int rc;

    /* Every start draws other numbers: a salt that comes again would be no salt. */
    if (!w->fault.same_random)
        w->options.random_seed =
            w->options.random_seed * 6364136223846793005u + 1442695040888963407u;
    if (w->fault.before_start)
        w->fault.before_start(w->disk);
    w->disk->lie = w->fault.lie;
    w->disk->phase = MEMPHASE_START;
    w->options.io = &w->disk->io;
    w->options.clock_arg = &w->clock;
    rc = store_open(&w->store, &w->options, &err);
    w->disk->phase = MEMPHASE_RUN;
    if (rc < 0) {
        w->store = NULL;
        if (memdisk_kill(w->disk) > 0)
            world_wrong(w, "store_open failed and left descriptors open");
        if (!w->lenient)
            world_wrong(w, "store_open: %d: %s", rc, err.text);
    }
    return rc == 0;
}

void world_stop(struct world *w)
{
    struct err err = {0};
    int rc;

    w->disk->phase = MEMPHASE_STOP;
    rc = store_close(w->store, &err);
    w->store = NULL;
    if (rc < 0 && !w->lenient)
        world_wrong(w, "store_close: %d: %s", rc, err.text);
    if (memdisk_kill(w->disk) > 0)
        world_wrong(w, "store_close left descriptors open");
}

void world_kill(struct world *w)
{
    store_abandon(w->store);
    w->store = NULL;
    memdisk_kill(w->disk);
}

void world_kill_and_start(struct world *w)
{
    world_kill(w);
    if (world_start(w))
        world_settle(w);
}

/* -- what is visible -- */

static struct partition *partition_of(struct topic *topic, uint32_t index)
{
    return topic ? topic_partition(topic, index) : NULL;
}

static bool has_failed(struct partition *part)
{
    struct partition_stat st;

    return partition_stat(part, &st) == 0 && st.failed;
}

/* Notes what readers may have seen by now. */
static void note_visible(struct world *w)
{
    for (size_t i = 0; i < w->ledger.count && w->store; i++) {
        struct ledger_topic *t = &w->ledger.topics[i];
        struct topic *topic = t->removing == LEDGER_NEVER && t->made != LEDGER_NEVER
                                  ? store_topic_find(w->store, t->name)
                                  : NULL;

        for (uint32_t p = 0; topic && p < t->partitions; p++) {
            uint64_t end = partition_visible_end(topic_partition(topic, p));
            struct ledger_part *part = &t->parts[p];

            if (end > 0 && (part->mark_count == 0 || part->marks[part->mark_count - 1].end < end))
                ledger_add_mark(part, at(w), end, !t->os);
        }
        if (topic)
            topic_put(topic);
    }
}

/* One that has failed at the start may show less for now: nothing is known. */
static void settle_partition(struct world *w, struct ledger_topic *t, uint32_t index,
                             struct partition *part)
{
    uint64_t end = partition_visible_end(part);

    if (has_failed(part))
        return;
    ledger_add_removal(&t->parts[index], at(w), at(w), partition_first(part));
    if (end < ledger_must(&t->parts[index], at(w), false))
        world_wrong(w, "%s/%u: LOST by a start: ends at %" PRIu64, t->name, index, end);
    ledger_settle(&t->parts[index], at(w), end, !t->os);
}

void world_settle(struct world *w)
{
    for (size_t i = 0; i < w->ledger.count; i++) {
        struct ledger_topic *t = &w->ledger.topics[i];
        struct topic *topic = store_topic_find(w->store, t->name);

        if (!topic && t->made != LEDGER_NEVER && t->removing == LEDGER_NEVER) {
            if (!w->lenient) /* else its .config could not be read: the next start may */
                world_wrong(w, "%s: LOST by a start", t->name);
            continue;
        }
        if (!topic) {
            if (t->removed == LEDGER_NEVER)
                t->removed = at(w);
            if (t->removing > t->removed)
                t->removing = t->removed;
            continue;
        }
        if (t != ledger_topic(&w->ledger, t->name)) {
            topic_put(topic);
            continue;
        }
        ledger_settle_topic(t, at(w),
                            world_looked_at(topic_config(topic), topic_partition_count(topic)));
        for (uint32_t p = 0; p < t->partitions; p++)
            settle_partition(w, t, p, topic_partition(topic, p));
        topic_put(topic);
    }
}

/* A call may have failed: then the oldest segment may be half removed, and gone
 * after a crash. */
static void note_half_removed(struct world *w, struct ledger_part *part, struct partition *p,
                              uint64_t first)
{
    struct segment_stat next;

    if (w->lenient && partition_segment_next(p, first + 1, &next) == 0)
        ledger_add_removal(part, part->removals[part->removal_count - 1].begun, LEDGER_NEVER,
                           next.base);
}

/* Notes for each partition that is there what retention may do, or has done. */
static void note_removals(struct world *w, bool done)
{
    for (size_t i = 0; i < w->ledger.count; i++) {
        struct ledger_topic *t = &w->ledger.topics[i];
        struct topic *topic =
            t->removing == LEDGER_NEVER ? store_topic_find(w->store, t->name) : NULL;

        for (uint32_t p = 0; topic && p < t->partitions; p++) {
            struct ledger_part *part = &t->parts[p];
            uint64_t first = partition_first(topic_partition(topic, p));

            if (!done) {
                ledger_add_removal(part, at(w), LEDGER_NEVER, first);
            } else {
                part->removals[part->removal_count - 1].done = at(w);
                part->removals[part->removal_count - 1].first = first;
                note_half_removed(w, part, topic_partition(topic, p), first);
            }
        }
        if (topic)
            topic_put(topic);
    }
}

void world_retain(struct world *w, uint64_t later_ms)
{
    note_removals(w, false);
    w->clock.now_ms += later_ms;
    world_work(w, false);
    note_removals(w, true);
}

/* What was visible with flush.sync=os is durable from now on. */
static void note_flushed(struct world *w, struct ledger_topic *t, struct topic *topic)
{
    for (uint32_t p = 0; p < t->partitions; p++)
        if (!has_failed(topic_partition(topic, p)))
            ledger_add_mark(&t->parts[p], at(w), partition_visible_end(topic_partition(topic, p)),
                            true);
}

void world_configure(struct world *w, const char *name, const char *conf)
{
    struct ledger_topic *t = ledger_topic(&w->ledger, name);
    struct topic *topic = store_topic_find(w->store, name);
    struct topic_config next = *topic_config(topic);
    struct ledger_config change;
    bool was_os = next.flush_os;
    struct err err = {0};
    int rc = topic_config_parse(&next, &topic_config_default, conf, strlen(conf), "change", &err);

    if (rc < 0)
        abort();
    change = world_looked_at(&next, next.partitions);
    change.begun = at(w);
    ledger_add_config(t, change);
    rc = topic_configure(topic, conf, strlen(conf), &err);
    if (rc == 0) {
        ledger_config_done(t, at(w));
        if (was_os && !t->os)
            note_flushed(w, t, topic);
    } else if (!w->lenient) {
        world_wrong(w, "configuring %s: %d: %s", name, rc, err.text);
    }
    topic_put(topic);
}

/* -- appending -- */

/* What a set is made of, for as long as the world is. */
static const char *keep_bytes(struct world *w, const struct set *set)
{
    struct world_bytes *kept = mem_alloc(sizeof *kept + set->log_bytes + set->meta.len);
    size_t at = 0;

    kept->next = w->bytes;
    w->bytes = kept;
    for (size_t i = 0; i < set->iov_count; i++) {
        memcpy(kept->bytes + at, set->iov[i].iov_base, set->iov[i].iov_len);
        at += set->iov[i].iov_len;
    }
    if (at != set->log_bytes)
        abort();
    if (set->meta.len > 0)
        memcpy(kept->bytes + at, set->meta.data, set->meta.len);
    return kept->bytes;
}

struct ledger_set *world_note_set(struct world *w, const char *topic, uint32_t part,
                                  const struct set *set)
{
    struct ledger_part *ledger = &ledger_topic(&w->ledger, topic)->parts[part];
    struct ledger_set *noted = ledger_add_set(ledger, keep_bytes(w, set), set->log_bytes,
                                              set->meta.len, (uint32_t)set->count, at(w));

    noted->produced = set->produced;
    noted->producer = set->producer;
    w->ledger.producers |= set->produced;
    return noted;
}

bool world_append_set(struct world *w, const char *topic, uint32_t part, struct set *set)
{
    struct topic *t = store_topic_find(w->store, topic);
    struct partition *p = partition_of(t, part);
    struct ledger_set *noted;
    struct err err = {0};
    uint64_t offset = UINT64_MAX;
    bool failed_before;
    int rc;

    if (!p)
        abort();
    failed_before = has_failed(p);
    noted = world_note_set(w, topic, part, set);
    rc = partition_append(p, set, &offset, &err);
    if (rc == 0) {
        noted->done = at(w);
        noted->offset = offset;
    } else {
        if (failed_before || !has_failed(p)) /* else it could not be undone: who knows */
            noted->gone = at(w);
        if (!w->lenient)
            world_wrong(w, "append to %s/%u: %d: %s", topic, part, rc, err.text);
    }
    topic_put(t);
    note_visible(w);
    return rc == 0;
}

size_t world_line(struct world *w, char *to, size_t room, uint32_t bytes)
{
    size_t len = (size_t)snprintf(to, room, "line %" PRIu64, ++w->lines);

    while (len + 1 < bytes && len + 1 < room) {
        to[len] = (char)('a' + (w->lines * 7 + len * len) % 26);
        len++;
    }
    return len;
}

bool world_append(struct world *w, const char *topic, uint32_t part, uint32_t messages,
                  uint32_t bytes)
{
    size_t room = (size_t)messages * (bytes + 32u);
    char *text = mem_alloc(room);
    size_t len = 0;
    size_t taken;
    struct set set;
    bool ok;

    set_init(&set);
    for (uint32_t i = 0; i < messages; i++) {
        len += world_line(w, text + len, room - len, bytes);
        text[len++] = '\n';
    }
    if (set_add_lines(&set, text, len, &taken) != 0 || taken != len)
        abort();
    ok = world_append_set(w, topic, part, &set);
    set_release(&set);
    free(text);
    return ok;
}

bool world_append_keyed(struct world *w, const char *topic, uint32_t part, uint32_t messages,
                        uint32_t bytes)
{
    char *text = mem_alloc((size_t)messages * (bytes + 32u));
    size_t used = 0;
    struct set set;
    bool ok;

    set_init(&set);
    for (uint32_t i = 0; i < messages; i++) {
        struct header headers[2] = {{"trace", 5, "abc", 3}, {"none", 4, NULL, 0}};
        struct message m = {
            .value = text + used,
            .key = &"key-0123456789"[i % 4],
            .key_len = i % 3 * 5,
            .headers = headers,
            .header_count = i % 3,
            .has_time = i % 2 == 0,
            .time_ms = (int64_t)w->clock.now_ms - 5,
        };

        m.value_len = (uint32_t)world_line(w, text + used, bytes + 32u, bytes);
        used += m.value_len;
        if (i % 4 == 3) {
            m.value = NULL;
            m.value_len = 0;
        }
        if (set_add_message(&set, &m) < 0)
            abort();
    }
    ok = world_append_set(w, topic, part, &set);
    set_release(&set);
    free(text);
    return ok;
}

bool world_gap(struct world *w, const char *topic, uint32_t part, uint32_t bytes, uint32_t messages)
{
    struct ledger_part *ledger = &ledger_topic(&w->ledger, topic)->parts[part];
    struct topic *t = store_topic_find(w->store, topic);
    struct partition *p = partition_of(t, part);
    uint64_t end = partition_end(p);
    uint64_t number = ledger_next_number(ledger, at(w));
    struct ledger_set *noted = ledger_add_set(ledger, NULL, bytes, 0, messages, at(w));
    bool failed_before = has_failed(p);
    struct err err = {0};
    int rc;

    noted->gap = true;
    rc = partition_skip_to(p, end + bytes, number + messages, &err);
    if (rc == 0) {
        noted->done = at(w);
        noted->offset = end;
        ledger_add_mark(ledger, at(w), end + bytes, true);
    } else {
        if (failed_before || !has_failed(p)) /* else it could not be undone: who knows */
            noted->gone = at(w);
        if (!w->lenient)
            world_wrong(w, "gap in %s/%u: %d: %s", topic, part, rc, err.text);
    }
    topic_put(t);
    note_visible(w);
    return rc == 0;
}

/* -- waiting -- */

struct waiting {
    struct waiter waiter; /* first */
    struct world *w;
    struct ledger_part *part;
    uint64_t mark;
    bool durable, called;
};

static void waited(struct waiter *waiter, int rc)
{
    struct waiting *wait = (struct waiting *)waiter;

    waiter->rc = rc;
    wait->called = true;
    if (rc == 0)
        ledger_add_mark(wait->part, at(wait->w), wait->mark, wait->durable);
}

/* Waits for `end`; then all below `mark` is known to be there. */
static bool wait_until(struct world *w, const char *topic, uint32_t part, enum wait_for what,
                       uint64_t end, uint64_t mark)
{
    struct ledger_topic *ledger = ledger_topic(&w->ledger, topic);
    struct topic *t = store_topic_find(w->store, topic);
    struct partition *p = partition_of(t, part);
    struct waiting wait = {.waiter = {.done = waited},
                           .w = w,
                           .part = &ledger->parts[part],
                           .mark = mark,
                           .durable = what == WAIT_DURABLE || !ledger->os};

    partition_wait(p, end, what, &wait.waiter);
    for (int rounds = 0; !wait.called && rounds < 1000; rounds++)
        store_work(w->store, true);
    if (!wait.called)
        world_wrong(w, "%s/%u: a wait never ended", topic, part);
    else if (wait.waiter.rc < 0 && !w->lenient)
        world_wrong(w, "%s/%u: wait: %d", topic, part, wait.waiter.rc);
    if (!wait.called)
        partition_cancel(p, &wait.waiter);
    topic_put(t);
    note_visible(w);
    return wait.called && wait.waiter.rc == 0;
}

static bool wait_for(struct world *w, const char *topic, uint32_t part, enum wait_for what)
{
    struct topic *t = store_topic_find(w->store, topic);
    uint64_t end = partition_end(partition_of(t, part));

    topic_put(t);
    return wait_until(w, topic, part, what, end, end);
}

bool world_wait_end(struct world *w, const char *topic, uint32_t part, uint64_t end, uint64_t mark)
{
    return wait_until(w, topic, part, WAIT_VISIBLE, end, mark);
}

bool world_wait(struct world *w, const char *topic, uint32_t part)
{
    return wait_for(w, topic, part, WAIT_VISIBLE);
}

bool world_wait_durable(struct world *w, const char *topic, uint32_t part)
{
    return wait_for(w, topic, part, WAIT_DURABLE);
}

void world_work(struct world *w, bool now)
{
    for (int rounds = 0; store_work(w->store, now) && rounds < 1000; rounds++)
        note_visible(w);
    note_visible(w);
}
