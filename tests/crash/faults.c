/* tests/crash/faults: the deliberate faults. See faults.h. */
#include "tests/crash/faults.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define FDATASYNC MEMCALL_BIT(MEMCALL_FDATASYNC)
#define SYNC_DIR  MEMCALL_BIT(MEMCALL_SYNC_DIR)
#define SYNCFS    MEMCALL_BIT(MEMCALL_SYNCFS)
#define UNLINK    MEMCALL_BIT(MEMCALL_UNLINK)

/* A fault of the disk: .calls, .path and what else struct memlie has. */
#define LIE(...)               \
    {                          \
        .lie = { __VA_ARGS__ } \
    }

/* Deletes segments without a byte that are not the first of their partition. */
static void delete_empty_successors(struct memdisk *disk, const char *dir)
{
    static const char first[] = "00000000000000000000.";
    const struct memnode *n = memtree_node(&disk->tree, memdisk_lookup(disk, dir));

    for (size_t i = n->entry_count; i-- > 0;) {
        const struct memnode *file = memtree_node(&disk->tree, n->entries[i].ino);
        const char *name = n->entries[i].name;
        char path[100];

        snprintf(path, sizeof path, "%s%s%.40s", dir, *dir ? "/" : "", name);
        if (file->is_dir && strcmp(name, "sealed") != 0)
            delete_empty_successors(disk, path);
        if (file->is_dir || file->size > 0 || fnmatch("t/0/*.log", path, 0) != 0 ||
            strncmp(name, first, sizeof first - 1) == 0)
            continue;
        disk->io.ops->unlink(&disk->io, path);
        snprintf(path + strlen(path) - 3, 4, "idx");
        disk->io.ops->unlink(&disk->io, path);
        n = memtree_node(&disk->tree, memdisk_lookup(disk, dir));
        i = n->entry_count; /* from the start: they have moved */
    }
}

static void no_empty_successors(struct memdisk *disk)
{
    delete_empty_successors(disk, "");
}

const struct fault faults[] = {
    /* Flushes. */
    {"no_fdatasync_of_the_journal", "one_set_waited_for", LIE(FDATASYNC, "*journal*")},
    {"no_fdatasync_of_indexes", "journal_files_take_turns", LIE(FDATASYNC, "*.idx*")},
    {"no_fdatasync_of_logs", "flushed_direct_beside_the_journal", LIE(FDATASYNC, "*.log*")},
    {"no_fdatasync_of_meta", "segments_rolled_by_age", LIE(FDATASYNC, "*.meta*")},
    {"no_syncfs", "many_partitions_flushed_by_syncfs", LIE(SYNCFS)},
    {"visible_before_the_flush", "one_set_waited_for",
     LIE(FDATASYNC, "*journal*", .until = "*.log")},
    {"slot_before_the_flush_of_the_log", "flushed_direct_beside_the_journal",
     LIE(FDATASYNC, "*.log", .until = "*.idx")},
    {"journal_turned_before_its_checkpoint", "journal_files_take_turns", LIE(FDATASYNC, "*/*.log")},
    {"no_flush_when_os_becomes_disk", "sync_changed_to_disk_and_to_os", LIE(FDATASYNC, "t/[0-9]*")},

    /* Names. */
    {"no_sync_of_partition_directories", "segments_rolled_by_size", LIE(SYNC_DIR, "*/[0-9]*")},
    {"no_sync_of_a_successors_name", "segments_rolled_by_size",
     LIE(SYNC_DIR, "*/[0-9]*", .after = MEMOP_BIT(MEMOP_RENAME), .after_name = "*.idx.tmp")},
    {"no_sync_of_the_name_of_meta", "messages_with_keys_and_headers",
     LIE(SYNC_DIR, "*/[0-9]*", .after = MEMOP_BIT(MEMOP_CREATE), .after_name = "*.meta")},
    {"no_sync_of_the_directory_of_new_partitions", "partitions_added", LIE(SYNC_DIR, "t")},
    {"no_sync_of_a_new_partitions_directory", "partitions_added", LIE(SYNC_DIR, "t/.new.*")},
    {"no_sync_of_a_new_topics_directory", "topics_made_and_removed", LIE(SYNC_DIR, ".new.*")},
    {"no_sync_of_a_new_topics_name", "topics_made_and_removed",
     LIE(SYNC_DIR, "", .after = MEMOP_BIT(MEMOP_RENAME), .after_name = ".new.*")},
    {"no_sync_of_new_partitions_of_a_topic", "topics_made_together", LIE(SYNC_DIR, ".new.*/[0-9]")},
    {"no_fdatasync_of_new_topics_settings", "topics_made_together",
     LIE(FDATASYNC, ".new.*/.config")},
    {"no_fdatasync_of_new_topics_indexes", "topics_made_together", LIE(FDATASYNC, ".new.*.idx")},
    {"no_sync_of_the_last_topics_directory", "topics_made_together", LIE(SYNC_DIR, ".new.c")},
    {"topics_renamed_before_their_sync", "topics_made_together",
     LIE(FDATASYNC | SYNC_DIR, ".new.*", .until = "*journal*")},
    {"no_sync_of_the_names_of_topics_made_together", "topics_made_together",
     LIE(SYNC_DIR, "", .after = MEMOP_BIT(MEMOP_RENAME), .after_name = ".new.*")},
    {"no_syncfs_of_topics_made_together", "topics_made_by_a_syncfs", LIE(SYNCFS)},
    {"no_sync_of_a_removed_topics_name", "topics_made_and_removed",
     LIE(SYNC_DIR, "", .after = MEMOP_BIT(MEMOP_RENAME), .after_name = "[a-z]")},
    {"no_sync_of_the_store_directory", "topics_made_and_removed", LIE(SYNC_DIR, "")},

    /* Files that are renamed to their place. */
    {"no_fdatasync_of_the_format_before_its_rename", "store_made", LIE(FDATASYNC, ".format.tmp")},
    {"no_fdatasync_of_settings_before_their_rename", "settings_changed",
     LIE(FDATASYNC, "*config*")},
    {"no_fdatasync_of_an_index_before_its_rename", "segments_rolled_by_size",
     LIE(FDATASYNC, "*.idx.tmp")},

    /* Cuts. */
    {"no_fdatasync_of_a_cut", "gaps_left",
     LIE(FDATASYNC, NULL, .after = MEMOP_BIT(MEMOP_TRUNCATE))},
    {"no_fdatasync_of_indexes_cut", "set_cut_back", LIE(FDATASYNC, "*.idx*")},
    {"torn_tail_not_cut", "three_sets_in_one_flush",
     LIE(MEMCALL_BIT(MEMCALL_TRUNCATE), NULL, .phases = MEMPHASE_START)},

    /* Starts. */
    {"names_trusted_from_the_cache_after_a_kill", "segments_rolled_by_age",
     LIE(SYNCFS, .phases = MEMPHASE_START)},
    {"no_fdatasync_after_a_kill", "killed_and_started", LIE(FDATASYNC, "*.log")},
    {"recovery_without_a_flush", "killed_and_started",
     LIE(FDATASYNC | SYNCFS, NULL, .phases = MEMPHASE_START)},
    {"not_written_again_after_a_failed_write_back", "write_back_failed_then_started",
     LIE(MEMCALL_BIT(MEMCALL_PWRITEV), "t/*", .phases = MEMPHASE_START, .same = true)},
    {"empty_successors_deleted", "segments_rolled_by_size", {.before_start = no_empty_successors}},
    {"nothing_in_reserve", "no_room_after_a_crash",
     LIE(MEMCALL_BIT(MEMCALL_FALLOCATE), ".reserve")},

    /* Clean stops. */
    {"clean_without_a_flush", "stopped_cleanly_and_started",
     LIE(FDATASYNC | SYNC_DIR | SYNCFS, "t/*", .phases = MEMPHASE_STOP)},
    {"clean_kept_when_appended_to", "stopped_cleanly_and_started",
     LIE(MEMCALL_BIT(MEMCALL_UNLINK), ".clean")},
    {"no_sync_of_the_unlink_of_clean", "stopped_cleanly_and_started", LIE(SYNC_DIR, "")},

    /* Retention, and topics deleted. */
    {"no_sync_of_a_removed_segments_directory", "segments_go_while_others_come",
     LIE(SYNC_DIR, "t/0", .after = MEMOP_BIT(MEMOP_UNLINK))},
    {"the_log_of_a_removed_segment_not_unlinked_first", "segments_go_while_others_come",
     LIE(UNLINK, "t/0/*.log")},
    {"links_of_removed_segments_left", "segments_go_after_clean_stops", LIE(UNLINK, "*/sealed/*")},
    {"no_sync_of_the_unlink_of_a_link", "segments_go_after_clean_stops",
     LIE(SYNC_DIR, "*/sealed", .after = MEMOP_BIT(MEMOP_UNLINK))},
    {"no_sync_of_links_at_a_clean_stop", "segments_go_after_clean_stops",
     LIE(SYNC_DIR, "*/sealed", .phases = MEMPHASE_STOP)},
    {"no_sync_of_a_deleted_topics_name", "topics_deleted_with_their_messages",
     LIE(SYNC_DIR, "", .after = MEMOP_BIT(MEMOP_RENAME), .after_name = "t")},
    /* Gaps. */
    {"no_flush_before_a_gap", "gaps_left", LIE(FDATASYNC, "*/00000000000000000000.log")},
    {"no_sync_of_the_name_behind_a_gap", "gaps_at_the_beginning", LIE(SYNC_DIR, "t/0")},
    {"empty_segment_behind_a_gap_deleted", "gaps_left", {.before_start = no_empty_successors}},
    /* Producers. */
    {"no_fdatasync_of_prod", "producers_outlive_their_segments", LIE(FDATASYNC, "*.prod")},
    {"no_sync_of_the_name_of_prod", "producers_across_rolls",
     LIE(SYNC_DIR, "*/0", .after = MEMOP_BIT(MEMOP_CREATE), .after_name = "*.prod")},
    {"no_sync_of_reserved_ids", "producers_ids", LIE(SYNC_DIR, "")},
    {"duplicate_promised_before_it_is_visible", "producers_without_an_answer", {.hasty = true}},
    {"set_that_was_cut_taken_for_a_duplicate", "producers_without_room", {.remembers = true}},
};
const size_t fault_count = sizeof faults / sizeof *faults;
