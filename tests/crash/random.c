/*
 * tests/crash/random: seeded histories. Each is some epochs of random actions;
 * an epoch ends with a kill, a clean stop, or a power cut whose outcome is one
 * of its crash states, and the next one goes on with what that left. In a third
 * of the histories calls to the disk fail, and it is full at times.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/crash/scenarios.h"
#include "tests/support/powercut.h"

#define PARTITIONS_MAX 5
#define SMALL          "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=2048\n"

static const char *const topic_names[] = {"disk", "os", "late"};

static void some_room(struct world *w, uint64_t *random)
{
    if (w->disk->room_bytes > 0 || mem_below(random, 3) > 0) {
        w->disk->room_bytes = 0;
        return;
    }
    w->disk->room_bytes = memdisk_used_bytes(w->disk) + 4096 * mem_below(random, 4) + 1;
}

/* Some call fails soon, or from some call on. */
static void some_fault(struct world *w, uint64_t *random)
{
    static const int errors[] = {-EIO, -EIO, -ENOSPC, -EDQUOT, -EINTR, 0};
    static const char *const paths[] = {NULL, NULL, "*.log", "*.idx*", "*.meta", "*journal*", ""};
    unsigned calls = MEMCALL_BIT(mem_below(random, MEMCALL_COUNT));

    if (mem_below(random, 2))
        calls = MEMCALL_BIT(MEMCALL_PWRITEV) | MEMCALL_BIT(MEMCALL_FDATASYNC) |
                MEMCALL_BIT(MEMCALL_SYNCFS) | MEMCALL_BIT(MEMCALL_SYNC_DIR);
    memdisk_set_fault(w->disk, (struct memfault){
                                   .calls = calls,
                                   .path = paths[mem_below(random, 7)],
                                   .nth = 1 + mem_below(random, 6),
                                   .for_ever = mem_below(random, 6) == 0,
                                   .error = errors[mem_below(random, 6)],
                               });
}

/* Where no call fails: one that cannot read who appended what may forget it. */
static void produce(struct world *w, const char *topic, uint32_t part, uint64_t *random)
{
    int64_t id = 7 + (int64_t)mem_below(random, 2);

    switch (mem_below(random, 4)) {
    case 0:
    case 1:
        world_produce(w, topic, part, id, 1 + (uint32_t)mem_below(random, 3),
                      40 + (uint32_t)mem_below(random, 500));
        break;
    case 2: world_produce_anew(w, topic, part, id); break;
    default: world_send_again(w, topic, part, id); break;
    }
}

/* A set for a partition, or what is like one. */
static void append(struct world *w, const char *topic, uint32_t part, uint64_t *random)
{
    switch (mem_below(random, 14)) {
    case 12:
    case 13: world_append(w, topic, part, 5, 750); break;
    case 0: world_append_keyed(w, topic, part, 1 + (uint32_t)mem_below(random, 4), 60); break;
    case 1: world_append(w, topic, part, 1 + (uint32_t)mem_below(random, 5), 700); break;
    case 2: world_append(w, topic, part, 30, 20 + (uint32_t)mem_below(random, 90)); break;
    case 3:
    case 4:
    case 5:
        if (!w->lenient)
            produce(w, topic, part, random);
        break;
    case 6:
        if (mem_below(random, 3) == 0)
            world_gap(w, topic, part, 1 + (uint32_t)mem_below(random, 900), 1);
        break;
    default: world_append(w, topic, part, 1 + (uint32_t)mem_below(random, 4), 40); break;
    }
}

static void change_settings(struct world *w, const char *topic, uint64_t *random)
{
    static const char *const changes[] = {"flush.sync=os", "flush.sync=disk", "flush.ms=50",
                                          "flush.ms=70"};
    uint32_t partitions = ledger_topic(&w->ledger, topic)->partitions;
    size_t which = mem_below(random, 5);
    char grow[40];

    snprintf(grow, sizeof grow, "partitions=%" PRIu32, partitions + 1);
    if (which < 4)
        world_configure(w, topic, changes[which]);
    else if (partitions < PARTITIONS_MAX)
        world_configure(w, topic, grow);
}

/* The topic "late" comes, goes, and comes again. */
static void make_or_delete(struct world *w, uint64_t *random)
{
    if (w->ledger.count + 1 >= LEDGER_TOPICS)
        return;
    if (!world_made(w, "late"))
        world_topic(w, "late", SMALL "retention.ms=50000");
    else if (world_has(w, "late") && mem_below(random, 2))
        world_delete(w, "late");
}

static void restart(struct world *w, uint64_t *random)
{
    if (mem_below(random, 3) > 0)
        return;
    if (mem_below(random, 2))
        world_stop(w);
    else
        world_kill(w);
    if (world_start(w))
        world_settle(w);
}

static void act(struct world *w, uint64_t *random)
{
    const char *topic = topic_names[mem_below(random, 8) == 0];
    uint32_t part;

    if (world_has(w, "late") && mem_below(random, 4) == 0)
        topic = "late";
    if (!world_has(w, topic))
        return; /* there was no room to make it */
    part = (uint32_t)mem_below(random, ledger_topic(&w->ledger, topic)->partitions);
    if (mem_below(random, 2))
        part = 0; /* one has to come to a roll */
    switch (mem_below(random, 24)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: world_wait(w, topic, part); break;
    case 5: world_wait_durable(w, topic, part); break;
    case 6: world_work(w, mem_below(random, 2)); break;
    case 7: w->clock.now_ms += mem_below(random, 900); break;
    case 8:
        if (w->lenient && mem_below(random, 2))
            some_room(w, random);
        else if (w->lenient)
            some_fault(w, random);
        break;
    case 9: make_or_delete(w, random); break;
    case 10: change_settings(w, topic, random); break;
    case 11: world_retain(w, mem_below(random, 4) ? 61000 : 1); break;
    case 12: restart(w, random); break;
    case 13: make_or_delete(w, random); break;
    default: append(w, topic, part, random); break;
    }
}

/* Starts where nothing is in the way, so that it must work. */
static bool start_well(struct world *w)
{
    bool lenient = w->lenient;
    bool ok;

    w->lenient = false;
    ok = world_start(w);
    w->lenient = lenient;
    return ok;
}

/* Replaces the world by what a power cut at a random place left of it. */
static void power_cut(struct world *w, uint64_t *random)
{
    size_t stop = mem_below(random, memdisk_at(w->disk) + 1);
    struct memchoice fates[MEMFATES_MAX];
    struct memchoice *choices;
    struct powercut cut;
    struct ledger ledger;
    struct memdisk *disk;

    /* Most often late: an epoch should come to something. */
    if (mem_below(random, 4) > 0)
        stop = memdisk_at(w->disk);
    powercut_init(&cut, w->disk->trace);
    while (cut.at < stop && powercut_step(&cut))
        continue;
    choices = mem_alloc((cut.count + 1) * sizeof *choices);
    for (size_t i = 0; i < cut.count; i++)
        choices[i] = fates[mem_below(random, powercut_fates(&cut, i, fates))];
    disk = powercut_build(&cut, choices, mem_random(random));
    free(choices);
    powercut_release(&cut);
    ledger_copy(&ledger, &w->ledger, stop, true);
    world_move(w, disk, &ledger);
}

static void make_topics(struct world *w)
{
    if (!world_made(w, "disk"))
        world_topic(w, "disk", SMALL "partitions=3\nretention.bytes=8192");
    if (!world_made(w, "os"))
        world_topic(w, "os", "partitions=3\nflush.sync=os\nsegment.ms=5000");
}

/* From a start to a stop or kill. */
static void epoch(struct world *w, uint64_t *random)
{
    size_t actions = 6 + mem_below(random, 20);

    if (w->lenient && mem_below(random, 4) == 0) {
        some_fault(w, random);
        world_start(w);
        memdisk_set_fault(w->disk, (struct memfault){0});
    }
    if (!w->store && !start_well(w))
        return;
    world_settle(w);
    make_topics(w);
    while (actions-- > 0 && w->store && !w->wrong[0])
        act(w, random);
    w->disk->room_bytes = 0;
    if (mem_below(random, 2))
        memdisk_set_fault(w->disk, (struct memfault){0});
    if (w->store && mem_below(random, 4) == 0)
        world_stop(w);
    else if (w->store)
        world_kill(w);
    memdisk_set_fault(w->disk, (struct memfault){0});
}

void random_history(struct exploration *x, uint64_t seed, const struct world_fault *fault)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15u;
    struct world w;

    world_init(&w, fault);
    w.lenient = mem_below(&random, 3) == 0;
    w.options.journal_bytes = (32u << 10) << mem_below(&random, 3);
    w.options.journal_part_bytes = (2u << 10) << mem_below(&random, 4);
    for (int i = 0; i < 4; i++) {
        epoch(&w, &random);
        if (w.wrong[0])
            break;
        explore(x, &w);
        x->from = memdisk_at(w.disk);
        if (mem_below(&random, 4) > 0) {
            power_cut(&w, &random);
            x->from = 0;
        }
    }
    if (w.wrong[0]) {
        x->losses++;
        printf("# %s: %s\n", x->name, w.wrong);
    }
    world_release(&w);
}
