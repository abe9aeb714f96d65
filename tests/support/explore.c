/* tests/support/explore: see explore.h. */
#include "tests/support/explore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/hashes.h"
#include "tests/support/judge.h"
#include "tests/support/powercut.h"
#include "tests/support/producing.h"

struct point {
    struct exploration *x;
    const struct world *w;
    struct powercut cut;
    struct memchoice *choices;
    size_t room;
    struct hashes tried;     /* choices at this point */
    struct hashes recovered; /* disks that were, with what the ledger said then */
    size_t stage;            /* of the ledger at this point */
};

/* -- telling -- */

static void tell_choices(const struct point *at)
{
    char text[200];

    for (size_t i = 0; i < at->cut.count; i++)
        printf("#   %-9s %3u  %s%s\n", memfate_name(at->choices[i].fate), at->choices[i].at,
               memop_text(at->cut.pending[i].op, text, sizeof text),
               at->cut.pending[i].clean ? " (write-back failed)" : "");
}

static void tell_trace(const struct point *at)
{
    const struct memtrace *trace = at->cut.trace;
    char text[200];

    for (size_t i = 0; i < at->cut.at; i++)
        printf("#   %4zu %s\n", i + 1, memop_text(trace->ops[i], text, sizeof text));
}

static void lost(const struct point *at, bool power_cut, const char *what, const char *why)
{
    struct exploration *x = at->x;
    char inner[32] = "";

    x->losses++;
    if (x->quiet || (x->losses > 3 && x->only == UINT64_MAX))
        return;
    if (x->inner)
        snprintf(inner, sizeof inner, ".%" PRIu64, x->number - 1);
    printf("# %s, state %" PRIu64 "%s: %s after operation %zu of %zu, %s: %s\n", x->name,
           x->inner ? x->outer_number : x->number - 1, inner, power_cut ? "power cut" : "kill",
           at->cut.at, at->cut.trace->count, what, why);
    if (x->only != UINT64_MAX) {
        tell_trace(at);
        if (power_cut)
            tell_choices(at);
    }
    fflush(stdout);
}

/* -- one state -- */

static void live_on(struct point *at, struct world *life, bool power_cut)
{
    struct exploration inner = *at->x;

    world_send_all_again(life);
    for (size_t i = 0; i < life->ledger.count; i++) {
        const struct ledger_topic *t = &life->ledger.topics[i];

        if (t->made == LEDGER_NEVER || t->removed != LEDGER_NEVER)
            continue;
        world_append(life, t->name, t->partitions - 1, 2, 40);
        world_wait(life, t->name, t->partitions - 1);
    }
    if (life->wrong[0]) {
        lost(at, power_cut, "living on", life->wrong);
        return;
    }
    world_kill(life);
    inner.inner = true;
    inner.outer_number = at->x->number - 1;
    inner.number = 0;
    inner.states = inner.distinct = 0;
    inner.budget = inner.life_budget;
    inner.life_every = 0;
    inner.from = power_cut ? 0 : at->cut.at;
    inner.only = at->x->only == UINT64_MAX ? UINT64_MAX : at->x->only_inner;
    inner.seed ^= inner.outer_number * 0x9e3779b97f4a7c15u;
    explore(&inner, life);
    at->x->states += inner.states;
    at->x->distinct += inner.distinct;
    at->x->losses = inner.losses;
}

/* Starts the store again and compares what is there with what was. */
static void again(const struct point *at, struct world *life, bool power_cut,
                  const struct verdict *before, const char *what)
{
    struct verdict v;

    if (!world_start(life)) {
        lost(at, power_cut, what, life->wrong);
        return;
    }
    judge(life->store, life->disk, &at->w->ledger, at->cut.at, power_cut, &v);
    if (v.why[0])
        lost(at, power_cut, what, v.why);
    else if (v.hash != before->hash)
        lost(at, power_cut, what, "other bytes than the first time");
}

/* Was a disk like this one recovered, when the ledger said the same? Remembers
 * it. Of the only state nothing is left out. */
static bool done_before(struct point *at, const struct memdisk *disk, uint64_t what)
{
    uint64_t hash = hash_word(hash_word(memtree_hash(&disk->tree), at->stage), what);

    return !hashes_add(&at->recovered, hash) && at->x->only == UINT64_MAX;
}

enum { POWER_CUT, KILL, RECOVERED_FROM_POWER_CUT, RECOVERED_FROM_KILL };

/* What a recovery left does not change when it is recovered again, nor when it
 * is stopped cleanly and opened. */
static void stop_and_start(struct point *at, struct world *life, uint64_t number, bool power_cut,
                           const struct verdict *v)
{
    uint64_t what = power_cut ? RECOVERED_FROM_POWER_CUT : RECOVERED_FROM_KILL;

    world_kill(life);
    if (!done_before(at, life->disk, hash_word(what, v->hash)))
        again(at, life, power_cut, v, "recovered twice");
    if (number % 16 != 2)
        return;
    if (!life->store && !world_start(life))
        return; /* world.wrong says so */
    world_stop(life);
    again(at, life, power_cut, v, "stopped and started");
}

/* Who had no answer sends again. */
static void send_again(struct point *at, struct world *life, bool power_cut)
{
    struct verdict v = {0};

    if (!at->w->ledger.producers || (!life->store && !world_start(life)))
        return; /* world.wrong says so */
    judge_producers(life->store, life->disk, &at->w->ledger, at->cut.at, &v);
    if (v.why[0])
        lost(at, power_cut, "sent again", v.why);
}

/* Takes the disk over. */
static void judge_state(struct point *at, struct memdisk *disk, bool power_cut)
{
    struct exploration *x = at->x;
    uint64_t number = x->number - 1;
    struct world life = {.clock = at->w->clock, .options = at->w->options, .fault = at->w->fault};
    bool full = at->w->full_from > 0 && at->cut.at >= at->w->full_from;
    bool lives = x->life_every > 0 && (!power_cut || number % x->life_every == 0) && !full;
    struct verdict v;

    x->states++;
    life.disk = disk;
    if (done_before(at, disk, power_cut ? POWER_CUT : KILL) && (power_cut || !lives)) {
        world_release(&life);
        return;
    }
    x->distinct++;
    life.clock.now_ms += 1000;
    life.lines = at->w->lines + 1000000;
    if (lives && !disk->trace)
        memdisk_record(disk);
    if (full) {
        disk->room_bytes = memdisk_used_bytes(disk);
        life.lenient = true; /* a clean stop needs room */
    }
    if (!world_start(&life)) {
        lost(at, power_cut, "recovery", life.wrong);
        world_release(&life);
        return;
    }
    judge(life.store, life.disk, &at->w->ledger, at->cut.at, power_cut, &v);
    if (v.why[0]) {
        lost(at, power_cut, "recovered", v.why);
    } else if (lives) {
        ledger_copy(&life.ledger, &at->w->ledger, at->cut.at, power_cut);
        world_settle(&life);
        live_on(at, &life, power_cut);
    } else {
        stop_and_start(at, &life, number, power_cut, &v);
        send_again(at, &life, power_cut);
        if (life.wrong[0])
            lost(at, power_cut, "afterwards", life.wrong);
    }
    world_release(&life);
}

/* Is the next state to be done? Counts it. */
static bool next(struct exploration *x)
{
    uint64_t number = x->number++;

    if (x->losses_max > 0 && x->losses >= x->losses_max)
        return false;
    return x->only == UINT64_MAX || number == x->only;
}

/* -- choosing -- */

static uint64_t choices_hash(const struct point *at)
{
    uint64_t h = 1;

    for (size_t i = 0; i < at->cut.count; i++)
        h = hash_word(h, at->choices[i].fate * 65536u + at->choices[i].at);
    return h;
}

static void state(struct point *at)
{
    if (!hashes_add(&at->tried, choices_hash(at)) || !next(at->x))
        return;
    judge_state(at, powercut_build(&at->cut, at->choices, at->x->seed + at->x->number), true);
}

static void all(struct point *at, enum memfate fate)
{
    for (size_t i = 0; i < at->cut.count; i++)
        at->choices[i] = (struct memchoice){fate, 0};
}

/* Every combination of fates. */
static void exhaust(struct point *at, size_t i)
{
    struct memchoice fates[MEMFATES_MAX];
    size_t count;

    if (i == at->cut.count) {
        state(at);
        return;
    }
    count = powercut_fates(&at->cut, i, fates);
    for (size_t f = 0; f < count; f++) {
        at->choices[i] = fates[f];
        exhaust(at, i + 1);
    }
}

static void any_fate(struct point *at, size_t i, uint64_t *random)
{
    struct memchoice fates[MEMFATES_MAX];
    size_t count = powercut_fates(&at->cut, i, fates);

    at->choices[i] = fates[mem_below(random, count)];
}

/* Every file (or directory, for names) has luck of its own. */
static void by_file(struct point *at, uint64_t *random)
{
    uint64_t luck = mem_random(random);

    for (size_t i = 0; i < at->cut.count; i++) {
        const struct memop *op = at->cut.pending[i].op;
        bool is_name = op->kind <= MEMOP_RENAME;
        uint64_t mine = luck ^ ((uint64_t)(is_name ? op->dir : op->ino) * 2 + is_name);

        switch (mem_random(&mine) % 4) {
        case 0: at->choices[i] = (struct memchoice){MEMFATE_LOST, 0}; break;
        case 1: any_fate(at, i, random); break;
        default: at->choices[i] = (struct memchoice){MEMFATE_KEPT, 0}; break;
        }
    }
}

/* A journaling file system: metadata are lost from some point on, data anyhow. */
static void in_order(struct point *at, uint64_t *random)
{
    size_t from = mem_below(random, at->cut.count + 1);

    for (size_t i = 0; i < at->cut.count; i++) {
        const struct memop *op = at->cut.pending[i].op;
        bool late = i >= from;

        if (op->kind != MEMOP_WRITE)
            at->choices[i] = (struct memchoice){late ? MEMFATE_LOST : MEMFATE_KEPT, 0};
        else if (mem_below(random, 2))
            at->choices[i] = (struct memchoice){late ? MEMFATE_DATA_ONLY : MEMFATE_KEPT, 0};
        else if (late)
            at->choices[i] = (struct memchoice){MEMFATE_LOST, 0};
        else
            any_fate(at, i, random);
    }
}

static void by_chance(struct point *at, uint64_t *random)
{
    size_t n = at->cut.count;
    size_t strange = 1 + mem_below(random, 3);
    size_t cut = mem_below(random, n + 1);

    switch (mem_below(random, 6)) {
    case 0: /* few are not kept */ all(at, MEMFATE_KEPT); break;
    case 1: /* few are not lost */ all(at, MEMFATE_LOST); break;
    case 2: /* all before some point, and few others */
        all(at, MEMFATE_LOST);
        for (size_t i = 0; i < cut; i++)
            at->choices[i].fate = MEMFATE_KEPT;
        break;
    case 3: by_file(at, random); return;
    case 4: in_order(at, random); return;
    default:
        for (size_t i = 0; i < n; i++)
            any_fate(at, i, random);
        return;
    }
    /* The last operations are the ones that matter most. */
    for (; strange > 0; strange--) {
        size_t back = mem_below(random, 2) ? n : n < 8 ? n : 8;

        any_fate(at, n - 1 - mem_below(random, back), random);
    }
}

/* -- points -- */

static size_t combinations(const struct point *at)
{
    struct memchoice fates[MEMFATES_MAX];
    size_t product = 1;

    for (size_t i = 0; i < at->cut.count && product <= at->x->budget; i++)
        product *= powercut_fates(&at->cut, i, fates);
    return product;
}

static void power_cuts(struct point *at)
{
    size_t n = at->cut.count;
    uint64_t random = at->x->seed ^ (at->cut.at * 0xd1342543de82ef95u);

    if (combinations(at) <= at->x->budget) {
        exhaust(at, 0);
        return;
    }
    for (size_t i = 0; i <= n; i += at->x->inner ? n : 1) {
        all(at, MEMFATE_KEPT); /* the tail from i on is lost */
        for (size_t k = i; k < n; k++)
            at->choices[k].fate = MEMFATE_LOST;
        state(at);
        all(at, MEMFATE_LOST); /* the head is */
        for (size_t k = i; k < n; k++)
            at->choices[k].fate = MEMFATE_KEPT;
        state(at);
    }
    for (size_t i = 0; i < at->x->budget; i++) {
        by_chance(at, &random);
        state(at);
    }
}

void explore(struct exploration *x, const struct world *w)
{
    struct point at = {.x = x, .w = w};

    powercut_init(&at.cut, w->disk->trace);
    do {
        if (at.cut.at < x->from)
            continue;
        at.stage = ledger_stage(&w->ledger, at.cut.at);
        if (next(x))
            judge_state(&at, powercut_kill(&at.cut, x->life_every > 0), false);
        if (powercut_next_has_more(&at.cut))
            continue;
        at.choices = mem_grow(at.choices, at.cut.count + 1, &at.room, sizeof *at.choices);
        memset(at.choices, 0, (at.cut.count + 1) * sizeof *at.choices);
        hashes_clear(&at.tried);
        power_cuts(&at);
    } while (powercut_step(&at.cut));
    powercut_release(&at.cut);
    free(at.choices);
    hashes_release(&at.tried);
    hashes_release(&at.recovered);
}
