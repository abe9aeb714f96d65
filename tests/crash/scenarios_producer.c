/* tests/crash/scenarios_producer: histories of producers, who send again. */
#include "tests/crash/scenarios.h"

#define SMALL "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=2048"

/* Sent again at once, before anything is visible, and when it is. */
void producers_without_an_answer(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "partitions=2");
    world_produce(w, "t", 0, 7, 2, 40);
    world_send_again(w, "t", 0, 7);
    world_produce(w, "t", 0, 7, 1, 40);
    world_append(w, "t", 0, 2, 40);
    world_produce(w, "t", 0, 8, 3, 40);
    world_produce(w, "t", 0, 7, 1, 40);
    world_send_again(w, "t", 0, 7);
    world_send_again(w, "t", 0, 8);
    world_produce(w, "t", 1, 7, 1, 40);
    world_wait(w, "t", 1);
    world_produce_anew(w, "t", 1, 7);
    world_send_again(w, "t", 1, 7);
    for (int i = 0; i < 6; i++)
        world_produce(w, "t", 1, 7, 1, 40);
    world_work(w, true);
}

void producers_across_rolls(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL);
    world_produce(w, "t", 0, 7, 2, 40);
    for (int i = 0; i < 4; i++) {
        world_produce(w, "t", 0, 8 + i, 4, 600);
        world_append(w, "t", 0, 4, 600);
        world_send_again(w, "t", 0, 7);
        world_append(w, "t", 0, 4, 600);
        if (i == 1)
            world_produce_anew(w, "t", 0, 7);
    }
    world_send_again(w, "t", 0, 7);
    world_send_again(w, "t", 0, 8);
}

void producers_across_starts(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL);
    world_produce(w, "t", 0, 7, 4, 600);
    world_stop(w);
    world_start(w);
    world_send_again(w, "t", 0, 7);
    world_produce(w, "t", 0, 7, 4, 600);
    world_produce(w, "t", 0, 8, 4, 600);
    world_kill_and_start(w);
    world_append(w, "t", 0, 4, 600); /* rolls before anybody asked for a producer */
    world_wait(w, "t", 0);
    world_kill_and_start(w);
    world_send_all_again(w);
    world_produce(w, "t", 0, 7, 1, 40);
    world_stop(w);
    world_start(w);
    world_append(w, "t", 0, 4, 600);
    world_append(w, "t", 0, 4, 600);
    world_append(w, "t", 0, 4, 600);
    world_send_all_again(w);
}

/* Sets are cut back, and sent again when there is room. */
void producers_without_room(struct world *w)
{
    static const char *const files[] = {"*.log", "*.idx", "*.meta", "*.prod"};

    world_start(w);
    world_topic(w, "t", SMALL);
    world_produce(w, "t", 0, 7, 1, 60);
    world_wait(w, "t", 0);
    for (int i = 0; i < 4; i++) {
        w->lenient = true;
        no_room_to_write(w, files[i]);
        world_produce(w, "t", 0, 7, 4, 600);
        world_produce(w, "t", 0, 8 + i, 4, 600);
        memdisk_set_fault(w->disk, (struct memfault){0});
        w->lenient = false;
        world_send_all_again(w);
    }
}

/* A gap begins a segment, in the place of an empty one too: each has its .prod. */
void producers_across_gaps(struct world *w)
{
    world_start(w);
    world_topic(w, "t", "");
    world_gap(w, "t", 0, 500, 3); /* nobody is known yet */
    world_produce(w, "t", 0, 7, 2, 40);
    world_produce(w, "t", 0, 8, 1, 40);
    world_gap(w, "t", 0, 100, 2);
    world_gap(w, "t", 0, 700, 5); /* the last one's segment is empty */
    world_send_again(w, "t", 0, 7);
    world_produce(w, "t", 0, 7, 1, 40);
    world_send_all_again(w);
    world_kill_and_start(w);
    world_gap(w, "t", 0, 100, 2); /* before anybody asked for a producer */
    world_send_all_again(w);
}

/* Retention removes the segments in which their sets are: the .prod knows them. */
void producers_outlive_their_segments(struct world *w)
{
    world_start(w);
    world_topic(w, "t", SMALL "\nretention.bytes=20000");
    world_produce(w, "t", 0, 7, 2, 40);
    world_produce(w, "t", 0, 7, 1, 40);
    world_produce(w, "t", 0, 8, 2, 40);
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 4; k++)
            world_append(w, "t", 0, 4, 600);
        world_wait(w, "t", 0);
        world_retain(w, 61000);
    }
    world_send_all_again(w);
    world_kill_and_start(w);
    world_send_all_again(w);
}

void producers_ids(struct world *w)
{
    world_start(w);
    world_producer_id(w);
    world_producer_id(w);
    world_kill(w);
    world_start(w);
    world_producer_id(w);
    world_stop(w);
    world_start(w);
    world_topic(w, "t", "");
    world_producer_id(w);
    world_kill(w);
    world_start(w);
    world_producer_id(w);
}
