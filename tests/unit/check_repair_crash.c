/*
 * A repair during which a call fails, the process is killed, or the power is
 * cut, at each of its operations: a start after that does not crash and gives
 * no offset twice, and repairing again leaves what a repair leaves
 * (tests/support/damaged_store.h).
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/damaged_store.h"
#include "tests/support/powercut.h"
#include "tests/support/suite.h"

#define SEG0 "t/0/00000000000000000000"

static const struct {
    const char *path;
    int64_t pos; /* of a byte to flip; below 0: the file is cut so short; GONE: removed */
} damages[] = {
#define GONE INT64_MIN
    {SEG0 ".log", 5},           {SEG0 ".log", -6},
    {SEG0 ".log", GONE},        {SEG0 ".idx", 9},
    {SEG0 ".idx", -5},          {DAMAGED_SEG1 ".idx", GONE},
    {DAMAGED_SEG1 ".log", -7},  {DAMAGED_SEG1 ".log", GONE},
    {DAMAGED_SEG1 ".log", 11},  {DAMAGED_SEG1 ".idx", 4096 + 3 * 16},
    {DAMAGED_SEG1 ".meta", -1}, {".journal.0", 4096 + 50},
};

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static struct original clean, killed;
static struct damage_case c;

static void damage_file(struct memdisk *disk, const char *path, int64_t pos)
{
    struct fileio *io = &disk->io;
    uint8_t byte;
    int fd;

    if (pos == GONE) {
        ck_assert_int_eq(io->ops->unlink(io, path), 0);
        return;
    }
    fd = io->ops->open(io, path, FILEIO_WRITE);
    ck_assert_int_ge(fd, 0);
    if (pos < 0) {
        ck_assert_int_eq(io->ops->truncate(io, fd, (uint64_t)-pos), 0);
    } else {
        ck_assert_int_eq(fileio_read_all(io, fd, &byte, 1, (uint64_t)pos), 0);
        byte ^= 0x40;
        ck_assert_int_eq(fileio_write_bytes(io, fd, &byte, 1, (uint64_t)pos), 0);
    }
    io->ops->close(io, fd);
}

static void begin(int i, const char *what)
{
    bool was_killed = i % 2;

    damage_begin(&c, was_killed ? &killed : &clean, damages[i / 2].path, what);
    damage_file(c.disk, c.path, damages[i / 2].pos);
}

/* A later repair, of what an interrupted one left; takes over the disk. */
static void repair_again(struct memdisk *disk)
{
    struct memdisk *before = c.disk;
    struct check_result result;

    c.disk = disk;
    damage_start_holds(&c);
    if (damage_repair(&c, &result) == 0)
        damage_repaired_holds(&c);
    else
        ck_abort_msg("%s %s: %s", c.path, c.what, c.report);
    memdisk_free(disk);
    c.disk = before;
}

static const int errors[] = {-EIO, -ENOSPC};

START_TEST(a_call_fails)
{
    bool hit = true;

    for (uint64_t nth = 1; hit; nth++)
        for (int e = 0; e < 2 * COUNT(errors); e++) {
            struct check_result result;
            struct memdisk *disk;

            begin(_i, "while a call fails");
            snprintf(c.what, sizeof c.what, "while call %lu fails with %d%s", (unsigned long)nth,
                     errors[e / 2], e % 2 ? ", and all that follow" : "");
            memdisk_set_fault(c.disk, (struct memfault){.calls = MEMCALL_ALL,
                                                        .nth = nth,
                                                        .for_ever = e % 2,
                                                        .error = errors[e / 2]});
            (void)damage_repair(&c, &result);
            hit = c.disk->fault_hits > 0;
            memdisk_set_fault(c.disk, (struct memfault){0});
            memdisk_kill(c.disk);
            disk = memdisk_from(&c.disk->tree);
            repair_again(disk);
            damage_done(&c);
        }
}
END_TEST

/* The states of one point: all lost, all kept, and each pending operation's other
 * fates among the kept ones and among the lost. */
static void cut_here(const struct powercut *cut)
{
    struct memchoice *choices = calloc(cut->count + 1, sizeof *choices);
    struct memchoice fates[MEMFATES_MAX];

    ck_assert_ptr_nonnull(choices);
    for (int others = 0; others < 2; others++) {
        enum memfate fate = others ? MEMFATE_KEPT : MEMFATE_LOST;

        for (size_t i = 0; i < cut->count; i++)
            choices[i] = (struct memchoice){fate, 0};
        repair_again(powercut_build(cut, choices, 1));
        for (size_t i = 0; i < cut->count; i++) {
            size_t n = powercut_fates(cut, i, fates);

            for (size_t k = 0; k < n; k++) {
                if (fates[k].fate == fate)
                    continue;
                choices[i] = fates[k];
                repair_again(powercut_build(cut, choices, k + 1));
            }
            choices[i] = (struct memchoice){fate, 0};
        }
    }
    free(choices);
}

START_TEST(a_crash)
{
    struct check_result result;
    struct memtrace *trace;
    struct powercut cut;
    uint64_t points = 0;

    begin(_i, "repaired");
    memdisk_record(c.disk);
    ck_assert_int_eq(damage_repair(&c, &result), 0);
    trace = c.disk->trace;
    powercut_init(&cut, trace);
    do {
        snprintf(c.what, sizeof c.what, "crash at operation %lu", (unsigned long)points++);
        repair_again(powercut_kill(&cut, false));
        if (!powercut_next_has_more(&cut))
            cut_here(&cut);
    } while (powercut_step(&cut));
    powercut_release(&cut);
    damage_done(&c);
}
END_TEST

static void setup(void)
{
    originals_make(&clean, &killed);
}

static void teardown(void)
{
    originals_release(&clean, &killed);
}

int main(void)
{
    Suite *suite = suite_create("repair_crash");
    TCase *tc = tcase_create("repair_crash");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, a_call_fails, 0, 2 * COUNT(damages));
    tcase_add_loop_test(tc, a_crash, 0, 2 * COUNT(damages));
    return suite_run(suite);
}
