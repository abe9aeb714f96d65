/* tests/crash/faults: the deliberate faults. See faults.h. */
#include "tests/crash/faults.h"

#define FDATASYNC MEMCALL_BIT(MEMCALL_FDATASYNC)
#define SYNC_DIR  MEMCALL_BIT(MEMCALL_SYNC_DIR)
#define SYNCFS    MEMCALL_BIT(MEMCALL_SYNCFS)
#define UNLINK    MEMCALL_BIT(MEMCALL_UNLINK)

/* A fault of the disk: .calls, .path and what else struct memlie has. */
#define LIE(...)               \
    {                          \
        .lie = { __VA_ARGS__ } \
    }

const struct fault faults[] = {
    {"no_sync_of_partition_directories", "segments_rolled_by_size", LIE(SYNC_DIR, "*/[0-9]*")},
    {"no_sync_of_the_store_directory", "topics_made_and_removed", LIE(SYNC_DIR, "")},
    {"no_fdatasync_of_the_journal", "one_set_waited_for", LIE(FDATASYNC, "*journal*")},
    {"no_fdatasync_of_indexes", "journal_files_take_turns", LIE(FDATASYNC, "*.idx*")},
    {"no_fdatasync_of_indexes_cut", "set_cut_back", LIE(FDATASYNC, "*.idx*")},
    {"no_fdatasync_of_logs", "flushed_direct_beside_the_journal", LIE(FDATASYNC, "*.log*")},
    {"no_fdatasync_of_meta", "segments_rolled_by_age", LIE(FDATASYNC, "*.meta*")},
    {"no_syncfs", "many_partitions_flushed_by_syncfs", LIE(SYNCFS)},
    {"no_syncfs_after_a_kill", "segments_rolled_by_age", LIE(SYNCFS)},
    {"no_fdatasync_after_a_kill", "killed_and_started", LIE(FDATASYNC, "*.log")},
    {"no_fdatasync_of_settings", "settings_changed", LIE(FDATASYNC, "*config*")},
    {"no_sync_of_a_new_topics_directory", "topics_made_and_removed", LIE(SYNC_DIR, ".new.*")},
    {"no_sync_of_the_unlink_of_clean", "stopped_cleanly_and_started", LIE(SYNC_DIR, "")},
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
    {"no_fdatasync_of_prod", "producers_across_rolls", LIE(FDATASYNC, "*.prod")},
    {"no_sync_of_the_name_of_prod", "producers_across_rolls",
     LIE(SYNC_DIR, "*/0", .after = MEMOP_BIT(MEMOP_CREATE), .after_name = "*.prod")},
    {"no_sync_of_reserved_ids", "producers_ids", LIE(SYNC_DIR, "")},
    {"duplicate_promised_before_it_is_visible", "producers_without_an_answer", {.hasty = true}},
    {"set_that_was_cut_taken_for_a_duplicate", "producers_without_room", {.remembers = true}},
};
const size_t fault_count = sizeof faults / sizeof *faults;
