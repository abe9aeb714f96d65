/*
 * The membership test of tests/support/reachable.h: it takes every state that
 * the crash model builds, and refuses states that no fates lead to. A test of
 * the test that holds the model against real file systems.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/outcomes.h"
#include "tests/support/reachable.h"
#include "tests/support/suite.h"
#include "tests/support/world.h"

/* -- by hand -- */

/* Is `found`, files as {name, text} up to NULL, a state at the end of the trace? */
static bool can_be(struct memdisk *disk, const char *const found[][2])
{
    struct powercut cut;
    struct memtree t;
    char why[200];
    bool can;

    memtree_init(&t);
    for (size_t i = 0; found[i][0]; i++) {
        uint32_t ino = memtree_add(&t, false);

        memtree_set(&t, MEM_ROOT, memtree_intern(found[i][0], strlen(found[i][0])), ino);
        memtree_write(&t, ino, found[i][1], strlen(found[i][1]), 0);
    }
    powercut_init(&cut, disk->trace);
    while (powercut_step(&cut))
        continue;
    can = reachable(&cut, &t, why, sizeof why);
    ck_assert_msg(can == !why[0], "%s", why);
    powercut_release(&cut);
    memtree_release(&t);
    return can;
}

#define CAN_BE(disk, ...) \
    ck_assert(can_be(disk, (const char *const[][2]){__VA_ARGS__, {NULL, NULL}}))
#define CAN_NOT_BE(disk, ...) \
    ck_assert(!can_be(disk, (const char *const[][2]){__VA_ARGS__, {NULL, NULL}}))

START_TEST(durable_bytes_and_names_stay)
{
    int fd;
    struct memdisk *disk = outcome_disk("abc", &fd);

    CAN_BE(disk, {"f", "abc"});
    CAN_NOT_BE(disk, {"f", "abx"});
    CAN_NOT_BE(disk, {"f", "ab"});
    CAN_NOT_BE(disk, {"f", "abcd"});
    CAN_NOT_BE(disk, {"g", "abc"});
    CAN_NOT_BE(disk, {"f", "abc"}, {"g", ""});
    memdisk_free(disk);
}
END_TEST

START_TEST(appends_end_where_one_ended)
{
    int fd;
    struct memdisk *disk = outcome_disk("ab", &fd);

    outcome_put(disk, fd, "cd", 2);
    outcome_put(disk, fd, "ef", 4);
    CAN_BE(disk, {"f", "ab"});
    CAN_BE(disk, {"f", "abcd"});
    CAN_BE(disk, {"f", "abcdef"});
    CAN_NOT_BE(disk, {"f", "abc"});
    CAN_NOT_BE(disk, {"f", "abcde"});
    CAN_NOT_BE(disk, {"f", "abcdex"});
    memdisk_free(disk);
}
END_TEST

START_TEST(what_was_synced_is_there)
{
    int fd;
    struct memdisk *disk = outcome_disk("ab", &fd);

    outcome_put(disk, fd, "cd", 2);
    outcome_datasync(disk, fd);
    outcome_put(disk, fd, "ef", 4);
    CAN_NOT_BE(disk, {"f", "ab"});
    CAN_BE(disk, {"f", "abcd"});
    CAN_BE(disk, {"f", "abcdef"});
    memdisk_free(disk);
}
END_TEST

START_TEST(truncation_is_lost_or_not)
{
    int fd;
    struct memdisk *disk = outcome_disk("abcd", &fd);

    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 2), 0);
    outcome_put(disk, fd, "X", 2);
    CAN_BE(disk, {"f", "abcd"});
    CAN_BE(disk, {"f", "ab"});
    CAN_BE(disk, {"f", "abX"});
    CAN_BE(disk, {"f", "abc"}); /* the size of abX, on bytes that were not zeroed */
    CAN_NOT_BE(disk, {"f", "a"});
    CAN_NOT_BE(disk, {"f", "abXd"});
    memdisk_free(disk);
}
END_TEST

START_TEST(names_that_hang_together)
{
    int fd;
    struct memdisk *disk = outcome_disk("old", &fd);

    outcome_put(disk, outcome_file(disk, "t"), "new", 0);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, "t", "f"), 0);
    CAN_BE(disk, {"f", "old"});
    CAN_BE(disk, {"f", "old"}, {"t", "new"});
    CAN_BE(disk, {"f", "new"});
    CAN_BE(disk, {"f", ""}); /* its bytes were never synced */
    CAN_NOT_BE(disk, {"t", "new"});
    CAN_NOT_BE(disk, {"f", "new"}, {"t", "old"});
    CAN_NOT_BE(disk, {"f", "new"}, {"t", "new"});
    memdisk_free(disk);
}
END_TEST

/* -- all that the model builds -- */

static void history(struct world *w)
{
    world_start(w);
    world_topic(w, "t",
                "partitions=2\nsegment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=2048");
    for (uint32_t i = 0; i < 6; i++) {
        world_append(w, "t", i % 2, 3, 700);
        world_append_keyed(w, "t", 0, 2, 300);
        if (i % 2)
            world_wait(w, "t", 0);
    }
    world_topic(w, "u", "");
    world_remove(w, "u");
    world_stop(w);
    world_start(w);
    world_append(w, "t", 0, 2, 40);
    world_kill(w);
    world_start(w);
    world_kill(w);
    ck_assert_str_eq(w->wrong, "");
}

static bool is_garbage(struct memchoice c)
{
    return c.fate == MEMFATE_GARBAGE || c.fate == MEMFATE_MIXED;
}

static struct memdisk *some_state(const struct powercut *cut, uint64_t *random)
{
    struct memchoice *choices = mem_alloc((cut->count + 1) * sizeof *choices);
    struct memchoice fates[MEMFATES_MAX];
    struct memdisk *disk;

    for (size_t i = 0; i < cut->count; i++)
        do
            choices[i] = fates[mem_below(random, powercut_fates(cut, i, fates))];
        while (is_garbage(choices[i]));
    disk = powercut_build(cut, choices, mem_random(random));
    free(choices);
    return disk;
}

/* Changes a bit of a file that nothing is pending for. False: there is none. */
static bool spoil(const struct powercut *cut, struct memdisk *disk, uint64_t *random)
{
    uint32_t ino = (uint32_t)mem_below(random, disk->tree.count);
    const struct memnode *n = disk->tree.nodes[ino];
    uint8_t byte;
    uint64_t at;

    if (!n || n->is_dir || n->size == 0)
        return false;
    for (size_t i = 0; i < cut->count; i++)
        if (cut->pending[i].op->ino == ino)
            return false;
    at = mem_random(random) % n->size;
    memtree_read(&disk->tree, ino, &byte, 1, at);
    byte ^= 1;
    memtree_write(&disk->tree, ino, &byte, 1, at);
    return true;
}

START_TEST(takes_what_the_model_builds)
{
    uint64_t random = 17;
    unsigned spoilt = 0;
    struct powercut cut;
    struct world w;
    char why[200];

    world_init(&w, NULL);
    history(&w);
    powercut_init(&cut, w.disk->trace);
    do {
        for (int i = 0; i < 12; i++) {
            struct memdisk *disk = some_state(&cut, &random);

            ck_assert_msg(reachable(&cut, &disk->tree, why, sizeof why), "after %zu of %zu: %s",
                          cut.at, w.disk->trace->count, why);
            if (spoil(&cut, disk, &random)) {
                ck_assert_msg(!reachable(&cut, &disk->tree, why, sizeof why),
                              "after %zu: a changed bit is taken for a state", cut.at);
                spoilt++;
            }
            memdisk_free(disk);
        }
    } while (powercut_step(&cut));
    ck_assert_uint_gt(spoilt, 100);
    powercut_release(&cut);
    world_release(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reachable");
    TCase *tc = tcase_create("states");

    tcase_add_test(tc, durable_bytes_and_names_stay);
    tcase_add_test(tc, appends_end_where_one_ended);
    tcase_add_test(tc, what_was_synced_is_there);
    tcase_add_test(tc, truncation_is_lost_or_not);
    tcase_add_test(tc, names_that_hang_together);
    tcase_add_test(tc, takes_what_the_model_builds);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
