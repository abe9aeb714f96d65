/* tests/crash/scenarios_retain: histories in which segments and topics go. */
#include <errno.h>

#include "tests/crash/scenarios.h"

#define SMALL  "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=2048\n"
#define CHECK  61000u /* later than the next check */
#define AN_AGE "retention.ms=50000\n"

static void append_wait(struct world *w, const char *topic, uint32_t part, uint32_t messages,
                        uint32_t bytes)
{
    world_append(w, topic, part, messages, bytes);
    world_wait(w, topic, part);
}

/* Three segments or so. */
static void fill(struct world *w, const char *topic, uint32_t part)
{
    for (int i = 0; i < 6; i++)
        append_wait(w, topic, part, 4, 700);
}

/* Sealed segments go, several at once, the newest stays: what is in it is young. */
void segments_go_while_others_come(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL AN_AGE "partitions=2");
    for (int i = 0; i < 3; i++) {
        fill(w, "t", 0);
        world_append_keyed(w, "t", 1, 3, 900);
        w->clock.now_ms += 40000;
        append_wait(w, "t", 0, 2, 700);
        world_append(w, "t", 1, 1, 60);
        world_retain(w, 21000);
        append_wait(w, "t", 0, 1, 60);
    }
}

void idle_partitions_expire(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL AN_AGE "partitions=3");
    fill(w, "t", 0);
    world_append_keyed(w, "t", 1, 2, 60); /* nobody flushes it */
    world_retain(w, CHECK);
    append_wait(w, "t", 0, 2, 60);
    append_wait(w, "t", 1, 2, 60);
    world_retain(w, CHECK);
    world_kill_and_start(w);
    append_wait(w, "t", 0, 2, 60);
    world_retain(w, CHECK);
    append_wait(w, "t", 2, 2, 60);
}

void idle_partitions_of_os_expire(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL AN_AGE "partitions=2\nflush.sync=os");
    for (int i = 0; i < 4; i++)
        world_append(w, "t", 0, 4, 700);
    world_append(w, "t", 1, 2, 60);
    world_retain(w, CHECK);
    world_append(w, "t", 0, 2, 60);
    world_wait_durable(w, "t", 0);
}

void so_many_bytes_are_kept(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL "retention.bytes=20000");
    for (int i = 0; i < 3; i++) {
        fill(w, "t", 0);
        world_append_keyed(w, "t", 0, 3, 100);
        world_retain(w, CHECK);
    }
}

/* .clean says how old the oldest is; what goes then is loaded first. */
void segments_go_after_clean_stops(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL AN_AGE "partitions=2");
    fill(w, "t", 0);
    append_wait(w, "t", 1, 1, 60);
    world_retain(w, 100); /* no check yet */
    world_stop(w);
    world_start(w);
    world_stop(w);
    world_start(w);
    world_retain(w, CHECK);
    world_stop(w);
    world_start(w);
    append_wait(w, "t", 0, 2, 60);
    world_stop(w);
    world_start(w);
}

/* Each kind of step fails once, and is done by the next check. */
void steps_of_retention_fail(struct world *w)
{
    static const struct {
        unsigned call;
        const char *path;
    } steps[] = {{MEMCALL_UNLINK, "*/sealed/*"}, {MEMCALL_SYNC_DIR, "*/sealed"},
                 {MEMCALL_UNLINK, "*.log"},      {MEMCALL_SYNC_DIR, "t/0"},
                 {MEMCALL_UNLINK, "*.idx"},      {MEMCALL_OPEN, "*.idx.tmp"}};

    world_start(w);
    world_topic(w, "t", SMALL AN_AGE);
    w->lenient = true;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fill(w, "t", 0);
        memdisk_set_fault(w->disk, (struct memfault){.calls = MEMCALL_BIT(steps[i].call),
                                                     .path = steps[i].path,
                                                     .nth = 1,
                                                     .error = -EIO});
        world_retain(w, CHECK);
        memdisk_set_fault(w->disk, (struct memfault){0});
        append_wait(w, "t", 0, 1, 60);
        if (i == 3)
            world_stop(w); /* maybe without .clean */
        if (i == 3 && world_start(w))
            world_settle(w);
        world_retain(w, CHECK);
    }
}

void gaps_go(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL AN_AGE);
    append_wait(w, "t", 0, 2, 60);
    world_gap(w, "t", 0, 500, 5);
    w->clock.now_ms += 40000;
    append_wait(w, "t", 0, 2, 60);
    world_gap(w, "t", 0, 700, 9);
    world_retain(w, 21000);
    append_wait(w, "t", 0, 2, 60);
    world_retain(w, CHECK);
    append_wait(w, "t", 0, 2, 60);
}

void topics_deleted_with_their_messages(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL "partitions=2");
    world_topic(w, "u", "");
    fill(w, "t", 0);
    append_wait(w, "u", 0, 2, 60);
    world_append_keyed(w, "t", 1, 3, 60);
    world_append(w, "u", 0, 2, 60);
    world_delete(w, "t");
    world_topic(w, "t", SMALL);
    fill(w, "t", 0);
    world_wait(w, "u", 0);
    world_stop(w);
    world_start(w);
    world_delete(w, "u");
    append_wait(w, "t", 0, 2, 60);
    world_delete(w, "t");
    world_topic(w, "u", "");
    append_wait(w, "u", 0, 2, 60);
}

/* The journal's turn ends while it speaks of topics that are gone. */
void topics_deleted_between_turns_of_the_journal(struct world *w)
{
    w->options.journal_bytes = 32 << 10;
    world_start(w);
    world_topic(w, "t", "");
    world_topic(w, "u", "partitions=2");
    for (uint32_t i = 0; i < 4; i++) {
        append_wait(w, "t", 0, 2, 300);
        append_wait(w, "u", i % 2, 2, 300);
    }
    world_delete(w, "t");
    for (uint32_t i = 0; i < 10; i++)
        append_wait(w, "u", i % 2, 2, 300);
}
