/* tests/crash/scenarios_topics: histories of topics whose settings change. */
#include "tests/crash/scenarios.h"

void partitions_added(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    world_append(w, "t", 0, 2, 50);
    world_wait(w, "t", 0);
    world_append(w, "t", 0, 2, 50);
    world_configure(w, "t", "partitions=3");
    world_append(w, "t", 2, 2, 50);
    world_wait(w, "t", 2);
    world_append_keyed(w, "t", 1, 2, 50);
    world_wait(w, "t", 1);
    world_configure(w, "t", "partitions=4\nflush.ms=70");
    world_append(w, "t", 3, 1, 50);
    world_wait(w, "t", 3);
}

/* What was visible with os is durable once disk holds, and stays so. */
void sync_changed_to_disk_and_to_os(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "flush.sync=os\npartitions=2");
    world_append(w, "t", 0, 2, 50);
    world_append(w, "t", 1, 2, 50);
    world_wait(w, "t", 0);
    world_wait(w, "t", 1);
    world_append(w, "t", 0, 2, 50);
    world_configure(w, "t", "flush.sync=disk");
    world_append(w, "t", 0, 2, 50);
    world_wait(w, "t", 0);
    world_append(w, "t", 1, 2, 50);
    world_configure(w, "t", "flush.sync=os");
    world_append(w, "t", 0, 2, 50);
    world_wait(w, "t", 0);
    world_append(w, "t", 1, 2, 50);
    world_wait(w, "t", 1);
    world_configure(w, "t", "flush.sync=disk");
    world_append(w, "t", 1, 2, 50);
    world_wait(w, "t", 1);
}

/* Nobody leaves room after the crash: .reserve is what there is. */
void no_room_after_a_crash(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "partitions=2");
    w->full_from = memdisk_at(w->disk);
    for (int i = 0; i < 4; i++) {
        world_append(w, "t", 0, 9, 900);
        world_append_keyed(w, "t", 1, 9, 900);
        world_wait(w, "t", 1);
        world_wait(w, "t", 0);
    }
}

/* Few enough for an fsync of each file. */
void topics_made_together(struct world *w)
{
    static const char *const first[] = {"a", "b", "c"};
    static const char *const second[] = {"d", "e"};

    world_start(w);
    world_topics(w, first, 3, "");
    world_append(w, "b", 0, 1, 50);
    world_wait(w, "b", 0);
    world_topics(w, second, 2, "partitions=2");
    world_append(w, "e", 1, 1, 50);
    world_remove(w, "d");
    world_wait(w, "e", 1);
}

/* So many that one syncfs is for all of them. */
void topics_made_by_a_syncfs(struct world *w)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};

    world_start(w);
    world_topics(w, names, 9, "");
    world_append(w, "i", 0, 1, 50);
    world_wait(w, "i", 0);
}
