/* tests/crash/scenarios: the scripted histories. See scenarios.h. */
#include "tests/crash/scenarios.h"

#include <errno.h>

#define KILO 1024u

static void append_wait(struct world *w, const char *topic, uint32_t part, uint32_t messages,
                        uint32_t bytes)
{
    world_append(w, topic, part, messages, bytes);
    world_wait(w, topic, part);
}

static void one_set_waited_for(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    append_wait(w, "t", 0, 3, 30);
}

static void three_sets_in_one_flush(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    world_append(w, "t", 0, 1, 20);
    world_append(w, "t", 0, 40, 30);
    world_append(w, "t", 0, 2, 700);
    world_wait(w, "t", 0);
    world_append(w, "t", 0, 1, 20);
}

static void two_partitions_flushed_together(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "partitions=2");
    world_append(w, "t", 0, 2, 40);
    world_append(w, "t", 1, 3, 40);
    world_wait(w, "t", 0);
    append_wait(w, "t", 1, 1, 40);
    world_append(w, "t", 0, 1, 40);
    world_append(w, "t", 1, 1, 40);
    world_work(w, true);
}

static void topic_made_beside_unflushed_sets(struct world *w)
{
    world_start(w);
    world_topic(w, "a", "");
    append_wait(w, "a", 0, 2, 40);
    world_append(w, "a", 0, 2, 40);
    world_topic(w, "b", "partitions=2");
    append_wait(w, "b", 1, 2, 40);
    append_wait(w, "a", 0, 1, 40);
}

static void segments_rolled_by_size(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=2048");
    for (int i = 0; i < 9; i++) {
        world_append(w, "t", 0, 4, 600);
        if (i % 2)
            world_wait(w, "t", 0);
    }
    world_wait(w, "t", 0);
}

static void segments_rolled_by_age(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "segment.ms=1000\npartitions=2");
    for (int i = 0; i < 4; i++) {
        append_wait(w, "t", 0, 2, 50);
        w->clock.now_ms += 1500;
        world_append(w, "t", 0, 2, 50);
        world_append_keyed(w, "t", 1, 2, 50);
    }
    world_wait(w, "t", 1);
    world_wait(w, "t", 0);
}

static void segments_rolled_by_the_clock_stepping_back(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    append_wait(w, "t", 0, 2, 50);
    w->clock.now_ms -= 90000;
    append_wait(w, "t", 0, 2, 50);
    w->clock.now_ms -= 30000;
    append_wait(w, "t", 0, 2, 50);
}

/* Journal files of 16 KiB: a few records each, so that they take turns. */
static void journal_files_take_turns(struct world *w)
{
    w->options.journal_bytes = 32 * KILO;
    world_start(w);
    world_topic(w, "t", "partitions=3");
    for (uint32_t i = 0; i < 14; i++) {
        append_wait(w, "t", i % 2, 2, 300);
        if (i == 5)
            world_append(w, "t", 2, 1, 100);
        if (i % 5 == 4)
            world_work(w, true);
    }
}

static void journal_records_of_many_parts(struct world *w)
{
    w->options.journal_bytes = 64 * KILO;
    world_start(w);
    world_topic(w, "t", "partitions=8");
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t p = 0; p < 8; p++)
            world_append(w, "t", p, 1 + p % 3, 60);
        world_wait(w, "t", round);
    }
}

static void flushed_direct_beside_the_journal(struct world *w)
{
    w->options.journal_part_bytes = 4 * KILO;
    world_start(w);
    world_topic(w, "t", "partitions=2");
    append_wait(w, "t", 0, 2, 100);
    world_append(w, "t", 1, 10, 800);
    world_append(w, "t", 0, 2, 100);
    world_work(w, true);
    append_wait(w, "t", 1, 1, 50);
    append_wait(w, "t", 0, 12, 700);
    append_wait(w, "t", 0, 1, 50);
    append_wait(w, "t", 1, 1, 50);
}

/* 32 or more at once: one syncfs. */
static void many_partitions_flushed_by_syncfs(struct world *w)
{
    w->options.journal_part_bytes = 1; /* everything goes direct */
    world_start(w);
    world_topic(w, "t", "partitions=36");
    for (uint32_t p = 0; p < 36; p++)
        world_append(w, "t", p, 1, 60);
    world_work(w, true);
    append_wait(w, "t", 3, 1, 60);
}

static void messages_with_keys_and_headers(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=2048");
    append_wait(w, "t", 0, 2, 50); /* none yet: no .meta */
    world_append_keyed(w, "t", 0, 5, 60);
    world_wait(w, "t", 0);
    append_wait(w, "t", 0, 2, 50);
    world_append_keyed(w, "t", 0, 20, 100);
    world_append_keyed(w, "t", 0, 20, 100);
    world_wait(w, "t", 0);
    for (int i = 0; i < 3; i++)
        world_append_keyed(w, "t", 0, 20, 100);
    world_wait(w, "t", 0);
}

static void flush_sync_os(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "flush.sync=os\npartitions=2");
    append_wait(w, "t", 0, 2, 50);
    append_wait(w, "t", 1, 2, 50);
    append_wait(w, "t", 0, 3, 50);
    world_wait_durable(w, "t", 0);
    append_wait(w, "t", 0, 1, 700);
    world_kill_and_start(w);
    append_wait(w, "t", 0, 1, 50);
    world_stop(w);
    world_start(w);
    append_wait(w, "t", 1, 2, 50);
}

static void topics_made_and_removed(struct world *w)
{
    world_start(w);
    world_topic(w, "a", "partitions=2");
    world_topic(w, "b", "");
    append_wait(w, "b", 0, 1, 50);
    world_remove(w, "a");
    world_topic(w, "a", "");
    append_wait(w, "a", 0, 2, 50);
    world_topic(w, "c", "");
    world_remove(w, "c");
    append_wait(w, "b", 0, 1, 50);
}

static void settings_changed(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "flush.ms=50");
    append_wait(w, "t", 0, 1, 50);
    world_configure(w, "t", "flush.ms=70");
    world_append(w, "t", 0, 1, 50);
    world_configure(w, "t", "flush.ms=90");
    world_wait(w, "t", 0);
}

static void stopped_cleanly_and_started(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "partitions=2");
    append_wait(w, "t", 0, 2, 50);
    world_append(w, "t", 1, 2, 50);
    world_stop(w);
    world_start(w);
    world_stop(w);
    world_start(w);
    append_wait(w, "t", 0, 2, 50);
    world_append_keyed(w, "t", 1, 2, 50);
    world_wait(w, "t", 1);
    world_stop(w);
    world_start(w);
    world_topic(w, "u", "");
    world_stop(w);
}

/* .clean can not be read: the store recovers. What it says would be true again
 * if a power cut took what was appended, and left only the journal. */
static void clean_mark_not_believed(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    append_wait(w, "t", 0, 2, 50);
    world_stop(w);
    memdisk_set_fault(w->disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PREAD),
                                                 .path = ".clean",
                                                 .nth = 1,
                                                 .error = -EIO});
    world_start(w);
    append_wait(w, "t", 0, 2, 50);
}

static void killed_and_started(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "partitions=2");
    append_wait(w, "t", 0, 2, 50);
    world_append(w, "t", 0, 2, 50);
    world_append(w, "t", 1, 20, 60);
    world_kill_and_start(w);
    append_wait(w, "t", 0, 2, 50);
    world_append(w, "t", 1, 1, 50);
    world_kill_and_start(w);
    world_kill_and_start(w);
    append_wait(w, "t", 1, 2, 50);
}

/* The disk is full for a while: sets are refused, others go on later. */
static void disk_full_for_a_while(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "partitions=2");
    append_wait(w, "t", 0, 2, 50);
    append_wait(w, "t", 1, 2, 50);
    world_append(w, "t", 0, 2, 50);
    w->lenient = true;
    w->disk->room_bytes = memdisk_used_bytes(w->disk) + 4096;
    world_append(w, "t", 0, 20, 400);
    world_append_keyed(w, "t", 0, 60, 100);
    world_append(w, "t", 1, 1, 60);
    world_wait(w, "t", 1);
    world_append(w, "t", 1, 20, 500);
    w->disk->room_bytes = 0;
    append_wait(w, "t", 0, 2, 60);
    append_wait(w, "t", 1, 2, 60);
    world_append_keyed(w, "t", 0, 2, 60);
    world_wait(w, "t", 0);
}

void no_room_to_write(struct world *w, const char *path)
{
    memdisk_set_fault(w->disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PWRITEV),
                                                 .path = path,
                                                 .nth = 1,
                                                 .error = -ENOSPC});
}

/* A write fails half-way, once in each of a set's files: the set is cut. */
static void set_cut_back(struct world *w)
{
    static const char *const files[] = {"*.log", "*.idx", "*.meta"};

    world_start(w);
    world_topic(w, "t", "");
    world_append_keyed(w, "t", 0, 3, 60);
    world_wait(w, "t", 0);
    w->lenient = true;
    for (size_t i = 0; i < 3; i++) {
        no_room_to_write(w, files[i]);
        world_append_keyed(w, "t", 0, 12, 150);
        memdisk_set_fault(w->disk, (struct memfault){0});
        world_append_keyed(w, "t", 0, 3, 60);
        world_wait(w, "t", 0);
    }
}

/* Nothing is to be flushed at the stop, but .clean vouches for the cut. */
static void set_cut_back_before_a_clean_stop(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    w->lenient = true;
    no_room_to_write(w, "*.idx");
    world_append_keyed(w, "t", 0, 3, 60);
    memdisk_set_fault(w->disk, (struct memfault){0});
    w->lenient = false;
    world_stop(w);
    world_start(w);
    append_wait(w, "t", 0, 2, 50);
}

/* A partition's write-back fails: it has failed until the next start, which
 * finds its bytes in the page cache, but not on the disk. */
static void write_back_failed_then_started(struct world *w)
{
    w->options.journal_part_bytes = 1;
    world_start(w);
    world_topic(w, "t", "partitions=2");
    append_wait(w, "t", 0, 2, 50);
    append_wait(w, "t", 1, 2, 50);
    w->lenient = true;
    memdisk_set_fault(w->disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_FDATASYNC),
                                                 .path = "*.idx",
                                                 .nth = 1,
                                                 .error = -EIO});
    append_wait(w, "t", 0, 2, 50);
    memdisk_set_fault(w->disk, (struct memfault){0});
    append_wait(w, "t", 1, 2, 50);
    world_kill(w);
    w->lenient = false;
    world_start(w);
    world_settle(w);
    append_wait(w, "t", 0, 2, 50);
}

/* The journal fails: flushes go direct from then on. */
static void journal_given_up(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "partitions=2");
    append_wait(w, "t", 0, 2, 50);
    world_append(w, "t", 1, 2, 50);
    memdisk_set_fault(w->disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_FDATASYNC),
                                                 .path = "*journal*",
                                                 .nth = 1,
                                                 .error = -EIO});
    world_wait(w, "t", 1);
    append_wait(w, "t", 0, 2, 50);
    append_wait(w, "t", 1, 2, 50);
    world_kill_and_start(w);
    append_wait(w, "t", 0, 2, 50);
}

/* Behind messages, flushed and not; behind one another; and a roll beside them. */
static void gaps_left(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    append_wait(w, "t", 0, 2, 50);
    world_append_keyed(w, "t", 0, 2, 50);
    world_gap(w, "t", 0, 700, 5);
    append_wait(w, "t", 0, 2, 50);
    world_append(w, "t", 0, 1, 50);
    world_gap(w, "t", 0, 100, 0);
    world_gap(w, "t", 0, 900, 30);
    world_append(w, "t", 0, 2, 50);
    world_wait(w, "t", 0);
    w->clock.now_ms -= 90000;
    append_wait(w, "t", 0, 1, 50);
}

/* Nothing was in it: the gap takes the first segment's place, and the next one its. */
static void gaps_at_the_beginning(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "partitions=2");
    world_gap(w, "t", 0, 700, 5);
    world_gap(w, "t", 0, 5000, 100);
    append_wait(w, "t", 0, 2, 50);
    world_gap(w, "t", 1, 300, 0);
    world_kill_and_start(w);
    world_append(w, "t", 1, 2, 50);
    world_stop(w);
    world_start(w);
    world_gap(w, "t", 1, 300, 7);
    world_gap(w, "t", 0, 300, 7);
    append_wait(w, "t", 1, 2, 50);
}

static void gap_before_a_clean_stop(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    world_gap(w, "t", 0, 700, 5);
    world_stop(w);
    world_start(w);
    append_wait(w, "t", 0, 2, 50);
}

/* A set is refused half-way and cut; the empty segment is passed by a gap. */
static void gap_behind_a_set_cut_back(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    w->lenient = true;
    no_room_to_write(w, "*.idx");
    world_append(w, "t", 0, 12, 100);
    memdisk_set_fault(w->disk, (struct memfault){0});
    w->lenient = false;
    world_gap(w, "t", 0, 700, 5);
    append_wait(w, "t", 0, 2, 50);
}

static void gap_without_room(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    append_wait(w, "t", 0, 2, 50);
    w->lenient = true;
    w->disk->room_bytes = memdisk_used_bytes(w->disk) + 512;
    world_gap(w, "t", 0, 700, 5);
    world_append(w, "t", 0, 1, 50);
    w->disk->room_bytes = 0;
    world_gap(w, "t", 0, 700, 5);
    append_wait(w, "t", 0, 1, 50);
}

static void store_made(struct world *w)
{
    world_start(w);
    world_stop(w);
    world_start(w);
}

const struct scenario scenarios[] = {
    {"store_made", store_made, 0},
    {"one_set_waited_for", one_set_waited_for, 0},
    {"three_sets_in_one_flush", three_sets_in_one_flush, 0},
    {"two_partitions_flushed_together", two_partitions_flushed_together, 0},
    {"topic_made_beside_unflushed_sets", topic_made_beside_unflushed_sets, 0},
    {"segments_rolled_by_size", segments_rolled_by_size, 0},
    {"segments_rolled_by_age", segments_rolled_by_age, 0},
    {"segments_rolled_by_the_clock_stepping_back", segments_rolled_by_the_clock_stepping_back, 0},
    {"journal_files_take_turns", journal_files_take_turns, 0},
    {"journal_records_of_many_parts", journal_records_of_many_parts, 0},
    {"flushed_direct_beside_the_journal", flushed_direct_beside_the_journal, 0},
    {"many_partitions_flushed_by_syncfs", many_partitions_flushed_by_syncfs, 200},
    {"messages_with_keys_and_headers", messages_with_keys_and_headers, 0},
    {"flush_sync_os", flush_sync_os, 0},
    {"topics_made_and_removed", topics_made_and_removed, 0},
    {"topics_made_together", topics_made_together, 0},
    {"topics_made_by_a_syncfs", topics_made_by_a_syncfs, 200},
    {"settings_changed", settings_changed, 0},
    {"partitions_added", partitions_added, 0},
    {"sync_changed_to_disk_and_to_os", sync_changed_to_disk_and_to_os, 0},
    {"stopped_cleanly_and_started", stopped_cleanly_and_started, 0},
    {"clean_mark_not_believed", clean_mark_not_believed, 0},
    {"killed_and_started", killed_and_started, 0},
    {"disk_full_for_a_while", disk_full_for_a_while, 0},
    {"no_room_after_a_crash", no_room_after_a_crash, 0},
    {"set_cut_back", set_cut_back, 0},
    {"set_cut_back_before_a_clean_stop", set_cut_back_before_a_clean_stop, 0},
    {"write_back_failed_then_started", write_back_failed_then_started, 0},
    {"journal_given_up", journal_given_up, 0},
    {"gaps_left", gaps_left, 0},
    {"gaps_at_the_beginning", gaps_at_the_beginning, 0},
    {"gap_before_a_clean_stop", gap_before_a_clean_stop, 0},
    {"gap_behind_a_set_cut_back", gap_behind_a_set_cut_back, 0},
    {"gap_without_room", gap_without_room, 0},
    {"segments_go_while_others_come", segments_go_while_others_come, 0},
    {"idle_partitions_expire", idle_partitions_expire, 0},
    {"idle_partitions_of_os_expire", idle_partitions_of_os_expire, 0},
    {"so_many_bytes_are_kept", so_many_bytes_are_kept, 0},
    {"segments_go_after_clean_stops", segments_go_after_clean_stops, 0},
    {"steps_of_retention_fail", steps_of_retention_fail, 0},
    {"gaps_go", gaps_go, 0},
    {"topics_deleted_with_their_messages", topics_deleted_with_their_messages, 0},
    {"topics_deleted_between_turns_of_the_journal", topics_deleted_between_turns_of_the_journal, 0},
    {"producers_without_an_answer", producers_without_an_answer, 0},
    {"producers_across_rolls", producers_across_rolls, 0},
    {"producers_across_starts", producers_across_starts, 0},
    {"producers_without_room", producers_without_room, 0},
    {"producers_across_gaps", producers_across_gaps, 0},
    {"producers_outlive_their_segments", producers_outlive_their_segments, 0},
    {"producers_ids", producers_ids, 0},
};
const size_t scenario_count = sizeof scenarios / sizeof *scenarios;
