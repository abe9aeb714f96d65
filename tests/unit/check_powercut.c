/*
 * Which states a power cut leaves of files' bytes and sizes: the rules of
 * powercut.h, one by one. A test of the tests: a model that leaves states out
 * finds no bugs, one that invents some finds false ones. Names are in
 * check_powercut_names.c.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/outcomes.h"
#include "tests/support/powercut.h"
#include "tests/support/suite.h"

START_TEST(nothing_pending_leaves_one_state)
{
    int fd;
    struct memdisk *disk = outcome_disk("abc", &fd);

    CHECK_OUTCOMES(disk, "f=abc");
}
END_TEST

START_TEST(overwrite_is_kept_or_lost)
{
    int fd;
    struct memdisk *disk = outcome_disk("abc", &fd);

    outcome_put(disk, fd, "X", 1);
    CHECK_OUTCOMES(disk, "f=abc", "f=aXc");
}
END_TEST

START_TEST(append_may_leave_the_size_without_the_bytes)
{
    int fd;
    struct memdisk *disk = outcome_disk("ab", &fd);

    outcome_put(disk, fd, "cd", 2);
    CHECK_OUTCOMES(disk, "f=ab", "f=abcd", "f=ab..");
}
END_TEST

/* Rule 6: one sector never has the second append without the first. */
START_TEST(second_append_brings_the_first_in_its_sector)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    outcome_put(disk, fd, "b", 1);
    outcome_put(disk, fd, "c", 2);
    CHECK_OUTCOMES(disk, "f=a", "f=ab", "f=a.", "f=abc", "f=ab.", "f=a..");
}
END_TEST

START_TEST(sectors_of_a_write_are_torn_apart)
{
    int fd;
    struct memdisk *disk = outcome_disk("", &fd);

    outcome_fill(disk, fd, 'o', 1024, 0);
    memdisk_record(disk);
    outcome_fill(disk, fd, 'n', 1024, 0);
    CHECK_OUTCOMES(disk, "f=1024o", "f=1024n", "f=512n512o", "f=512o512n");
}
END_TEST

START_TEST(append_over_sectors_may_end_at_one)
{
    int fd;
    struct memdisk *disk = outcome_disk("", &fd);

    outcome_fill(disk, fd, 'n', 1024, 0);
    CHECK_OUTCOMES(disk, "f=", "f=1024n", "f=1024.", "f=512n512.", "f=512.512n", "f=512n",
                   "f=512.");
}
END_TEST

START_TEST(fdatasync_makes_bytes_and_size_durable)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    outcome_put(disk, fd, "bc", 1);
    outcome_datasync(disk, fd);
    CHECK_OUTCOMES(disk, "f=abc");
}
END_TEST

START_TEST(fdatasync_of_another_file_does_nothing_for_this)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    outcome_put(disk, fd, "X", 0);
    outcome_datasync(disk, outcome_file(disk, "f2"));
    CHECK_OUTCOMES(disk, "f=a", "f=X", "f=a f2=", "f=X f2=");
}
END_TEST

START_TEST(lost_truncation_brings_the_old_bytes_back)
{
    int fd;
    struct memdisk *disk = outcome_disk("abcdef", &fd);

    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 2), 0);
    CHECK_OUTCOMES(disk, "f=abcdef", "f=ab", "f=ab....");
}
END_TEST

/* Rule 9: a cut, then an append over it: old entries may stand behind the new. */
START_TEST(append_after_an_unsynced_truncation)
{
    int fd;
    struct memdisk *disk = outcome_disk("abcdef", &fd);

    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 2), 0);
    outcome_put(disk, fd, "XY", 2);
    CHECK_OUTCOMES(disk, "f=abcdef", "f=ab", "f=ab....", "f=abXY", "f=abcd", "f=ab..", "f=abXY..");
}
END_TEST

START_TEST(truncation_is_durable_with_fdatasync)
{
    int fd;
    struct memdisk *disk = outcome_disk("abcdef", &fd);

    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 2), 0);
    outcome_datasync(disk, fd);
    outcome_put(disk, fd, "XY", 2);
    CHECK_OUTCOMES(disk, "f=ab", "f=abXY", "f=ab..");
}
END_TEST

START_TEST(whole_blocks_go_with_the_truncation)
{
    int fd;
    struct memdisk *disk = outcome_disk("", &fd);

    outcome_fill(disk, fd, 'o', 8192, 0);
    memdisk_record(disk);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 4096), 0);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 8192), 0);
    CHECK_OUTCOMES(disk, "f=8192o", "f=4096o", "f=4096o4096.");
}
END_TEST

START_TEST(fallocate_is_kept_or_lost)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    ck_assert_int_eq(disk->io.ops->fallocate(&disk->io, fd, 0, 3), 0);
    CHECK_OUTCOMES(disk, "f=a", "f=a..");
}
END_TEST

START_TEST(garbage_spares_bytes_that_are_not_written)
{
    int fd;
    struct memdisk *disk = outcome_disk("abcdef", &fd);
    struct memchoice garbage = {MEMFATE_GARBAGE, 0};
    struct powercut cut;
    size_t changed = 0;

    outcome_put(disk, fd, "XY", 2);
    powercut_init(&cut, disk->trace);
    ck_assert(powercut_step(&cut));
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct memdisk *left = powercut_build(&cut, &garbage, seed);
        size_t len;
        char *bytes = memdisk_file(left, "f", &len);

        ck_assert_uint_eq(len, 6);
        ck_assert(memcmp(bytes, "ab", 2) == 0 && memcmp(bytes + 4, "ef", 2) == 0);
        changed += memcmp(bytes + 2, "XY", 2) != 0 && memcmp(bytes + 2, "cd", 2) != 0;
        free(bytes);
        memdisk_free(left);
    }
    ck_assert_uint_gt(changed, 150);
    powercut_release(&cut);
    memdisk_free(disk);
}
END_TEST

/* -- failed syncs -- */

static void fail_next(struct memdisk *disk, enum memcall call)
{
    memdisk_set_fault(disk, (struct memfault){.calls = MEMCALL_BIT(call), .nth = 1, .error = -EIO});
}

START_TEST(after_a_failed_fdatasync_another_does_not_help)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    outcome_put(disk, fd, "X", 0);
    fail_next(disk, MEMCALL_FDATASYNC);
    ck_assert_int_eq(disk->io.ops->fdatasync(&disk->io, fd), -EIO);
    outcome_datasync(disk, fd);
    CHECK_OUTCOMES(disk, "f=a", "f=X");
}
END_TEST

START_TEST(writing_again_after_a_failed_fdatasync_helps)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    outcome_put(disk, fd, "X", 0);
    fail_next(disk, MEMCALL_FDATASYNC);
    ck_assert_int_eq(disk->io.ops->fdatasync(&disk->io, fd), -EIO);
    outcome_put(disk, fd, "X", 0);
    outcome_datasync(disk, fd);
    CHECK_OUTCOMES(disk, "f=X");
}
END_TEST

START_TEST(after_a_failed_syncfs_the_size_alone_may_be_durable)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    outcome_put(disk, fd, "b", 1);
    fail_next(disk, MEMCALL_SYNCFS);
    ck_assert_int_eq(disk->io.ops->syncfs(&disk->io, fd), -EIO);
    ck_assert_int_eq(disk->io.ops->syncfs(&disk->io, fd), 0);
    CHECK_OUTCOMES(disk, "f=a.", "f=ab");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("powercut");
    TCase *tc = tcase_create("powercut");

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, nothing_pending_leaves_one_state);
    tcase_add_test(tc, overwrite_is_kept_or_lost);
    tcase_add_test(tc, append_may_leave_the_size_without_the_bytes);
    tcase_add_test(tc, second_append_brings_the_first_in_its_sector);
    tcase_add_test(tc, sectors_of_a_write_are_torn_apart);
    tcase_add_test(tc, append_over_sectors_may_end_at_one);
    tcase_add_test(tc, fdatasync_makes_bytes_and_size_durable);
    tcase_add_test(tc, fdatasync_of_another_file_does_nothing_for_this);
    tcase_add_test(tc, lost_truncation_brings_the_old_bytes_back);
    tcase_add_test(tc, append_after_an_unsynced_truncation);
    tcase_add_test(tc, truncation_is_durable_with_fdatasync);
    tcase_add_test(tc, whole_blocks_go_with_the_truncation);
    tcase_add_test(tc, fallocate_is_kept_or_lost);
    tcase_add_test(tc, garbage_spares_bytes_that_are_not_written);
    tcase_add_test(tc, after_a_failed_fdatasync_another_does_not_help);
    tcase_add_test(tc, writing_again_after_a_failed_fdatasync_helps);
    tcase_add_test(tc, after_a_failed_syncfs_the_size_alone_may_be_durable);
    return suite_run(suite);
}
