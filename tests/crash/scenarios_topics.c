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
