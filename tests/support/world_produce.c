/* tests/support/world_produce: producers of a world, who send again. See world.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/producing.h"
#include "tests/support/world.h"

static struct ledger_part *part_of(struct world *w, const char *topic, uint32_t part)
{
    return &ledger_topic(&w->ledger, topic)->parts[part];
}

static bool produce(struct world *w, const char *topic, uint32_t part, const struct producer *p,
                    uint32_t messages, uint32_t bytes)
{
    size_t room = bytes + 32u;
    char *text = mem_alloc(messages * room);
    struct set set;
    bool ok;

    set_init(&set);
    if (set_producer(&set, p) < 0)
        abort();
    for (uint32_t i = 0; i < messages; i++) {
        struct message m = {.value = text + i * room};

        m.value_len = (uint32_t)world_line(w, text + i * room, room, bytes);
        if (set_add_message(&set, &m) < 0)
            abort();
    }
    ok = world_append_set(w, topic, part, &set);
    set_release(&set);
    free(text);
    return ok;
}

bool world_produce(struct world *w, const char *topic, uint32_t part, int64_t id, uint32_t messages,
                   uint32_t bytes)
{
    struct producer p = {.id = id};
    const struct ledger_set *last = producing_last(part_of(w, topic, part), id, SIZE_MAX - 1);

    if (last)
        p = producing_after(last);
    return produce(w, topic, part, &p, messages, bytes);
}

bool world_produce_anew(struct world *w, const char *topic, uint32_t part, int64_t id)
{
    const struct ledger_set *last = producing_last(part_of(w, topic, part), id, SIZE_MAX - 1);
    struct producer p = {id, (int16_t)(last ? last->producer.epoch + 1 : 0), 0};

    return produce(w, topic, part, &p, 1, 40);
}

/* -- sending again -- */

/* The set of the ledger is sent once more. `there`: it is in the log for sure. */
static bool send_set(struct world *w, const char *topic, uint32_t part, size_t which, bool there)
{
    struct ledger_part *ledger = part_of(w, topic, part);
    struct topic *t = store_topic_find(w->store, topic);
    struct partition *p = topic_partition(t, part);
    bool failed_before = partition_failed(p);
    struct appended at = {0};
    struct ledger_set *noted;
    struct err err = {0};
    struct set set;
    uint64_t end;
    int rc;

    producing_set(&set, &ledger->sets[which]);
    noted = world_note_set(w, topic, part, &set); /* moves the sets */
    if (w->fault.remembers && !there) {
        at = (struct appended){partition_end(p), partition_end(p), 0, true};
        rc = 0;
    } else {
        rc = partition_append_at(p, &set, &at, &err);
    }
    set_release(&set);
    end = at.offset + noted->len;
    if (rc < 0) {
        if (failed_before || !partition_failed(p))
            noted->gone = memdisk_at(w->disk);
        if (!w->lenient)
            world_wrong(w, "sending again to %s/%u: %d: %s", topic, part, rc, err.text);
    } else if (at.duplicate) {
        ledger->set_count--; /* it was not asked for a second time, as it turns out */
        if (there && ledger->sets[which].offset != at.offset)
            world_wrong(w, "%s/%u: a set at %" PRIu64 " sent again is said to be at %" PRIu64,
                        topic, part, ledger->sets[which].offset, at.offset);
        if (!there && !w->fault.remembers)
            world_wrong(w, "%s/%u: a set that was cut is called a duplicate", topic, part);
    } else {
        noted->done = memdisk_at(w->disk);
        noted->offset = at.offset;
        if (there)
            world_wrong(w, "%s/%u: a set was appended twice", topic, part);
    }
    if (rc == 0 && at.duplicate && w->fault.hasty)
        ledger_add_mark(ledger, memdisk_at(w->disk), end, true);
    topic_put(t);
    return rc == 0 && world_wait_end(w, topic, part, at.end, end);
}

bool world_send_again(struct world *w, const char *topic, uint32_t part, int64_t id)
{
    const struct ledger_part *of = part_of(w, topic, part);
    const struct ledger_set *last = producing_last(of, id, SIZE_MAX - 1);
    struct producer next = last ? producing_after(last) : (struct producer){.id = id};
    size_t from = last ? (size_t)(last - of->sets) : 0;
    size_t count = of->set_count; /* what is appended now comes behind these */
    bool ok = !last || send_set(w, topic, part, from, true);

    for (size_t i = from; ok && i < count; i++) {
        const struct ledger_set *s = &of->sets[i];

        if (s->gone == LEDGER_NEVER || !producing_is(s, id) || s->producer.epoch != next.epoch ||
            s->producer.sequence != next.sequence)
            continue;
        next = producing_after(s);
        ok = send_set(w, topic, part, i, false);
    }
    return ok;
}

static bool send_part_again(struct world *w, const char *topic, uint32_t part)
{
    const struct ledger_part *of = part_of(w, topic, part);
    size_t count = of->set_count;
    bool ok = true;

    for (size_t i = 0; ok && i < count; i++)
        if (producing_first(of, i))
            ok = world_send_again(w, topic, part, of->sets[i].producer.id);
    return ok;
}

bool world_send_all_again(struct world *w)
{
    bool ok = true;

    for (size_t i = 0; i < w->ledger.count; i++)
        for (uint32_t p = 0; ok && p < w->ledger.topics[i].partitions; p++)
            if (world_has(w, w->ledger.topics[i].name))
                ok = send_part_again(w, w->ledger.topics[i].name, p);
    return ok;
}

void world_producer_id(struct world *w)
{
    struct ledger *l = &w->ledger;
    struct err err = {0};
    int64_t id;
    int rc = store_producer_id(w->store, &id, &err);

    if (rc < 0) {
        if (!w->lenient)
            world_wrong(w, "a producer's id: %d: %s", rc, err.text);
        return;
    }
    for (size_t i = 0; i < l->id_count; i++)
        if (l->ids[i].id == id)
            world_wrong(w, "producer id %" PRId64 " was given twice", id);
    if (l->id_count == LEDGER_IDS)
        abort();
    l->ids[l->id_count].at = memdisk_at(w->disk);
    l->ids[l->id_count++].id = id;
    l->producers = true;
}
