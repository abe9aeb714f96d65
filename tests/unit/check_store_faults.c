/*
 * Every call that the store makes to the disk fails once, or from then on, in
 * runs that touch all of it. Whatever happens: no crash, no descriptor left,
 * no success that was none (the ledger is held against what a kill and power
 * cuts leave), every wait ends, and afterwards each partition either goes on
 * or says that it has failed.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "base/diag.h"
#include "store/inside.h"
#include "tests/support/explore.h"
#include "tests/support/suite.h"

/* -- the runs -- */

/* Appends and flushes through the journal; a roll; a topic made meanwhile. */
static void run_journal(struct world *w)
{
    world_topic(w, "t",
                "partitions=2\nsegment.bytes=8192\nset.max.bytes=4096\n"
                "message.max.bytes=2048");
    for (uint32_t i = 0; i < 6 && world_has(w, "t"); i++) {
        world_append(w, "t", i % 2, 3, 700);
        world_wait(w, "t", i % 2);
        world_append_keyed(w, "t", 0, 2, 300);
        if (i == 2)
            world_topic(w, "u", "");
    }
    if (world_has(w, "t"))
        world_work(w, true);
}

/* The same without the journal; flush.sync=os beside it; a change of settings. */
static void run_direct(struct world *w)
{
    static const char *const configs[] = {"flush.ms=50", "partitions=3", "flush.sync=os"};

    w->options.journal_part_bytes = 1;
    world_topic(w, "t", "partitions=2");
    world_topic(w, "o", "flush.sync=os");
    for (uint32_t i = 0; i < 3 && world_has(w, "t") && world_has(w, "o"); i++) {
        world_append_keyed(w, "t", i % 2, 3, 100);
        world_append(w, "o", 0, 2, 50);
        world_wait(w, "t", i % 2);
        world_wait_durable(w, "o", 0);
        world_configure(w, "t", configs[i]);
    }
}

/* Clean stops, kills, starts; a topic that goes again. */
static void run_starts(struct world *w)
{
    w->options.journal_bytes = 32 << 10;
    world_topic(w, "t", "partitions=2");
    world_topic(w, "u", "");
    if (!world_has(w, "t"))
        return;
    world_append(w, "t", 0, 2, 50);
    world_wait(w, "t", 0);
    world_stop(w);
    if (!world_start(w))
        return;
    world_settle(w);
    if (world_has(w, "t")) {
        world_append(w, "t", 0, 2, 50);
        world_append_keyed(w, "t", 1, 2, 50);
    }
    world_kill(w);
    if (!world_start(w))
        return;
    world_settle(w);
    if (world_has(w, "u"))
        world_remove(w, "u");
    if (world_has(w, "t")) {
        world_append(w, "t", 1, 2, 50);
        world_wait(w, "t", 1);
    }
}

/* Gaps behind messages, in the place of an empty segment, and a start after one. */
static void run_gaps(struct world *w)
{
    world_topic(w, "u", "");
    if (!world_has(w, "u"))
        return;
    world_gap(w, "u", 0, 100, 1);
    world_stop(w);
    if (!world_start(w))
        return;
    world_settle(w);
    world_topic(w, "t", "partitions=2");
    if (!world_has(w, "t"))
        return;
    world_append_keyed(w, "t", 0, 2, 50);
    world_gap(w, "t", 0, 700, 5);
    world_gap(w, "t", 1, 300, 0);
    world_append(w, "t", 1, 1, 50);
    world_gap(w, "t", 0, 100, 5);
    world_kill(w);
    if (!world_start(w))
        return;
    world_settle(w);
    if (world_has(w, "t")) {
        world_append(w, "t", 0, 1, 50);
        world_wait(w, "t", 0);
        world_gap(w, "t", 1, 100, 1);
    }
}

/* Producers who send again, with rolls and starts. */
static void run_producers(struct world *w)
{
    world_topic(w, "t", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=2048");
    for (int64_t i = 0; i < 5 && world_has(w, "t"); i++) {
        world_produce(w, "t", 0, 7, 2, 700);
        world_produce(w, "t", 0, 8 + i % 2, 1, 300);
        world_send_again(w, "t", 0, 7);
        world_producer_id(w);
        if (i == 2) {
            world_kill(w);
            if (!world_start(w))
                return;
            world_settle(w);
        }
        if (world_has(w, "t"))
            world_send_all_again(w);
    }
}

/* Sealed segments go, then an idle partition's newest; a topic goes with what it has. */
static void run_retention(struct world *w)
{
    world_topic(w, "t",
                "partitions=2\nsegment.bytes=8192\nset.max.bytes=4096\n"
                "message.max.bytes=2048\nretention.ms=50000");
    world_topic(w, "u", "");
    for (uint32_t i = 0; i < 5 && world_has(w, "t"); i++) {
        world_append_keyed(w, "t", 0, 3, 700);
        world_wait(w, "t", 0);
    }
    if (world_has(w, "u"))
        world_append(w, "u", 0, 2, 50);
    if (!world_has(w, "t"))
        return;
    w->clock.now_ms += 40000;
    world_append(w, "t", 0, 1, 50);
    world_retain(w, 21000);
    world_append(w, "t", 1, 1, 50);
    world_retain(w, 61000);
    world_append(w, "t", 0, 1, 50);
    world_wait(w, "t", 0);
    if (world_has(w, "u"))
        world_delete(w, "u");
}

/* Topics come, change, and go with their messages. */
static void run_topics(struct world *w)
{
    static const struct {
        const char *name;
        const char *change;
    } topics[] = {{"a", "partitions=3\nflush.ms=70"}, {"b", "flush.sync=os"}, {"c", "flush.ms=70"}};
    static const char *const together[] = {"x", "y", "z"};

    w->options.journal_bytes = 32 << 10;
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        const char *name = topics[i].name;

        world_topic(w, name, "partitions=2");
        if (!world_has(w, name))
            continue;
        world_append(w, name, 1, 2, 50);
        world_wait(w, name, 1);
        world_configure(w, name, topics[i].change);
        world_append(w, name, 0, 2, 50);
        world_wait(w, name, 0);
        if (i == 1) {
            world_configure(w, name, "flush.sync=disk");
            world_kill(w);
            if (!world_start(w))
                return;
            world_settle(w);
        }
        if (world_has(w, name))
            world_delete(w, name);
    }
    world_topics(w, together, 3, "");
}

static const struct {
    const char *name;
    void (*run)(struct world *w);
} runs[] = {{"journal", run_journal}, {"direct", run_direct},       {"starts", run_starts},
            {"gaps", run_gaps},       {"producers", run_producers}, {"retention", run_retention},
            {"topics", run_topics}};

#define RUNS (int)(sizeof runs / sizeof *runs)

#define MEMCALL_THAT_NEED_ROOM                                                                   \
    (MEMCALL_BIT(MEMCALL_PWRITEV) | MEMCALL_BIT(MEMCALL_OPEN) | MEMCALL_BIT(MEMCALL_FALLOCATE) | \
     MEMCALL_BIT(MEMCALL_MKDIR) | MEMCALL_BIT(MEMCALL_RENAME))

static const struct {
    const char *name;
    int error; /* 0: short */
    unsigned calls;
    bool for_ever;
} faults[] = {
    {"EIO", -EIO, MEMCALL_ALL, false},
    {"ENOSPC", -ENOSPC, MEMCALL_CHANGES, false},
    {"EDQUOT", -EDQUOT, MEMCALL_CHANGES, false},
    {"EMFILE", -EMFILE, MEMCALL_BIT(MEMCALL_OPEN) | MEMCALL_BIT(MEMCALL_LIST), false},
    {"EINTR", -EINTR, MEMCALL_ALL & ~MEMCALL_BIT(MEMCALL_CLOSE), false},
    {"short", 0, MEMCALL_BIT(MEMCALL_PWRITEV) | MEMCALL_BIT(MEMCALL_PREAD), false},
    {"EIO for ever", -EIO, MEMCALL_CHANGES, true},
    {"ENOSPC for ever", -ENOSPC, MEMCALL_THAT_NEED_ROOM, true},
    {"EDQUOT for ever", -EDQUOT, MEMCALL_THAT_NEED_ROOM, true},
};

#define FAULTS (int)(sizeof faults / sizeof *faults)

/* -- afterwards -- */

/* With the fault gone: does each partition go on, or say that it can not? */
static void probe(struct world *w, const char *where)
{
    for (size_t i = 0; i < w->ledger.count; i++) {
        const struct ledger_topic *t = &w->ledger.topics[i];

        for (uint32_t p = 0; p < t->partitions; p++) {
            struct topic *topic = store_topic_find(w->store, t->name);
            struct partition_stat st;
            bool works;

            if (!topic) { /* it was to be removed, or could not be made, or read */
                ck_assert_msg(!world_made(w, t->name) || t->removing != LEDGER_NEVER ||
                                  w->store->left_out > 0,
                              "%s: %s is gone", where, t->name);
                break;
            }
            works = world_append(w, t->name, p, 1, 30) && world_wait(w, t->name, p);
            ck_assert_int_eq(partition_stat(topic_partition(topic, p), &st), 0);
            ck_assert_msg(works != st.failed, "%s: %s/%u: append %s, failed %d (%s)", where,
                          t->name, p, works ? "works" : "does not work", st.failed,
                          st.why ? st.why : "");
            topic_put(topic);
        }
    }
}

/* The states that a kill and power cuts leave now. */
static void crash(struct world *w, const char *where)
{
    struct exploration x = {
        .name = where,
        .seed = 1,
        .budget = 6,
        .only = UINT64_MAX,
        .from = memdisk_at(w->disk),
        .inner = true,
    };

    explore(&x, w);
    ck_assert_msg(x.losses == 0, "%s: %d states lost", where, (int)x.losses);
    ck_assert_uint_gt(x.states, 0);
}

/* One run with one fault. True: the fault was met. */
static bool run_with(int run, int fault, uint64_t nth)
{
    char where[100];
    struct world w;
    bool met;

    snprintf(where, sizeof where, "%s, call %d: %s", runs[run].name, (int)nth, faults[fault].name);
    world_init(&w, NULL);
    w.lenient = true;
    memdisk_set_fault(w.disk, (struct memfault){.calls = faults[fault].calls,
                                                .nth = nth,
                                                .for_ever = faults[fault].for_ever,
                                                .error = faults[fault].error});
    if (world_start(&w))
        runs[run].run(&w);
    met = w.disk->fault_hits > 0;
    memdisk_set_fault(w.disk, (struct memfault){0});
    if (w.store)
        probe(&w, where);
    if (w.store)
        world_kill(&w);
    ck_assert_msg(!w.wrong[0], "%s: %s", where, w.wrong);
    crash(&w, where);
    world_release(&w);
    return met;
}

START_TEST(every_call_fails)
{
    uint64_t nth = 1;

    diag_silence(true);
    while (run_with(_i % RUNS, _i / RUNS, nth))
        nth++;
    ck_assert_uint_gt(nth, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_faults");
    TCase *tc = tcase_create("store_faults");

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, every_call_fails, 0, RUNS * FAULTS);
    return suite_run(suite);
}
