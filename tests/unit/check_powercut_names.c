/*
 * Which states power cuts and kills leave of names: the rules of powercut.h,
 * one by one. Bytes and sizes are in check_powercut.c.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/support/outcomes.h"
#include "tests/support/powercut.h"
#include "tests/support/suite.h"

START_TEST(new_file_is_nameless_until_the_directory_is_synced)
{
    struct memdisk *disk = memdisk_new();
    int fd;

    memdisk_record(disk);
    fd = outcome_file(disk, "n");
    outcome_put(disk, fd, "x", 0);
    outcome_datasync(disk, fd);
    CHECK_OUTCOMES(disk, "", "n=x");
}
END_TEST

START_TEST(sync_dir_makes_names_durable_and_no_bytes)
{
    struct memdisk *disk = memdisk_new();

    memdisk_record(disk);
    outcome_put(disk, outcome_file(disk, "n"), "x", 0);
    ck_assert_int_eq(disk->io.ops->sync_dir(&disk->io, ""), 0);
    CHECK_OUTCOMES(disk, "n=", "n=x", "n=.");
}
END_TEST

START_TEST(sync_dir_does_not_keep_the_directory_itself)
{
    struct memdisk *disk = memdisk_new();

    memdisk_record(disk);
    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), 0);
    outcome_file(disk, "d/n");
    ck_assert_int_eq(disk->io.ops->sync_dir(&disk->io, "d"), 0);
    CHECK_OUTCOMES(disk, "", "d{n=}");
}
END_TEST

START_TEST(rename_is_atomic)
{
    int fd;
    struct memdisk *disk = outcome_disk("old", &fd);

    outcome_put(disk, outcome_file(disk, ".tmp"), "new", 0);
    ck_assert_int_eq(disk->io.ops->syncfs(&disk->io, fd), 0);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, ".tmp", "f"), 0);
    CHECK_OUTCOMES(disk, ".tmp=new f=old", "f=new");
}
END_TEST

/* Replacing a file without fdatasync: the name may be there before the bytes. */
START_TEST(rename_before_the_bytes)
{
    int fd;
    struct memdisk *disk = outcome_disk("old", &fd);

    outcome_put(disk, outcome_file(disk, ".tmp"), "n", 0);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, ".tmp", "f"), 0);
    CHECK_OUTCOMES(disk, "f=old", ".tmp= f=old", ".tmp=. f=old", ".tmp=n f=old", "f=", "f=.",
                   "f=n");
}
END_TEST

START_TEST(names_are_lost_independently)
{
    struct memdisk *disk = memdisk_new();

    memdisk_record(disk);
    outcome_file(disk, "a");
    outcome_file(disk, "b");
    CHECK_OUTCOMES(disk, "", "a=", "b=", "a= b=");
}
END_TEST

START_TEST(unlink_and_link_are_kept_or_lost)
{
    int fd;
    struct memdisk *disk = outcome_disk("x", &fd);

    ck_assert_int_eq(disk->io.ops->link(&disk->io, "f", "g"), 0);
    ck_assert_int_eq(disk->io.ops->unlink(&disk->io, "f"), 0);
    CHECK_OUTCOMES(disk, "f=x", "f=x g=x", "g=x", "");
}
END_TEST

START_TEST(directory_renamed_twice_has_one_name)
{
    struct memdisk *disk = memdisk_new();

    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "a"), 0);
    memdisk_record(disk);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, "a", "b"), 0);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, "b", "c"), 0);
    CHECK_OUTCOMES(disk, "a{}", "b{}", "c{}");
}
END_TEST

START_TEST(rename_between_directories_is_settled_by_either)
{
    int fd;
    struct memdisk *disk = outcome_disk("x", &fd);

    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), 0);
    memdisk_record(disk);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, "f", "d/g"), 0);
    ck_assert_int_eq(disk->io.ops->sync_dir(&disk->io, ""), 0);
    CHECK_OUTCOMES(disk, "d{g=x}");
}
END_TEST

START_TEST(sync_left_out_promises_nothing)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    disk->lie = (struct memlie){.calls = MEMCALL_BIT(MEMCALL_FDATASYNC), .path = "[f]"};
    outcome_put(disk, fd, "X", 0);
    outcome_datasync(disk, fd);
    ck_assert_uint_eq(disk->lies, 1);
    CHECK_OUTCOMES(disk, "f=a", "f=X");
}
END_TEST

START_TEST(sync_left_out_after_some_change_only)
{
    int fd;
    struct memdisk *disk = outcome_disk("ab", &fd);

    disk->lie = (struct memlie){.calls = MEMCALL_BIT(MEMCALL_FDATASYNC),
                                .after = MEMOP_BIT(MEMOP_TRUNCATE)};
    outcome_put(disk, fd, "X", 0);
    outcome_datasync(disk, fd);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 1), 0);
    outcome_datasync(disk, fd);
    ck_assert_uint_eq(disk->lies, 1);
    CHECK_OUTCOMES(disk, "f=Xb", "f=X.", "f=X");
}
END_TEST

START_TEST(sync_put_off_is_done_after_the_write_it_waits_for)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);

    disk->lie = (struct memlie){.calls = MEMCALL_BIT(MEMCALL_FDATASYNC), .until = "f"};
    outcome_put(disk, fd, "X", 0);
    outcome_datasync(disk, fd);
    ck_assert_uint_eq(disk->trace->count, 1);
    outcome_put(disk, fd, "Y", 0);
    CHECK_OUTCOMES(disk, "f=Y");
}
END_TEST

/* -- kills -- */

START_TEST(kill_keeps_what_was_done_and_what_is_pending)
{
    int fd;
    struct memdisk *disk = outcome_disk("a", &fd);
    struct memdisk *killed;
    struct powercut cut;

    outcome_put(disk, fd, "b", 0);
    outcome_file(disk, "n");
    powercut_init(&cut, disk->trace);
    ck_assert(powercut_step(&cut));
    killed = powercut_kill(&cut, true);
    powercut_release(&cut);
    memdisk_free(disk);
    ck_assert_uint_eq(memdisk_at(killed), 1);
    outcome_file(killed, "m");
    ck_assert_uint_eq(memdisk_at(killed), 2);
    CHECK_OUTCOMES(killed, "f=a", "f=b", "f=a m=", "f=b m=");
}
END_TEST

START_TEST(powercut_walks_to_what_the_process_sees)
{
    struct memdisk *disk = memdisk_new();
    struct memdisk *walked;
    struct powercut cut;
    char why[200];
    int fd;

    memdisk_record(disk);
    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), 0);
    fd = outcome_file(disk, "d/a");
    outcome_fill(disk, fd, 'x', 5000, 100);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 700), 0);
    ck_assert_int_eq(disk->io.ops->fallocate(&disk->io, fd, 0, 9000), 0);
    outcome_put(disk, fd, "end", 8000);
    ck_assert_int_eq(disk->io.ops->link(&disk->io, "d/a", "b"), 0);
    ck_assert_int_eq(disk->io.ops->unlink(&disk->io, "d/a"), 0);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, "d", "e"), 0);
    powercut_init(&cut, disk->trace);
    while (powercut_step(&cut))
        continue;
    walked = powercut_kill(&cut, false);
    ck_assert_msg(memdisk_same(disk, walked, why, sizeof why), "%s", why);
    outcome_fill(walked, outcome_file(walked, "b"), 'y', 1, 4);
    ck_assert(!memdisk_same(disk, walked, why, sizeof why));
    ck_assert_str_eq(why, "/b has other bytes");
    memdisk_free(walked);
    powercut_release(&cut);
    memdisk_free(disk);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("powercut_names");
    TCase *tc = tcase_create("powercut_names");

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, new_file_is_nameless_until_the_directory_is_synced);
    tcase_add_test(tc, sync_dir_makes_names_durable_and_no_bytes);
    tcase_add_test(tc, sync_dir_does_not_keep_the_directory_itself);
    tcase_add_test(tc, rename_is_atomic);
    tcase_add_test(tc, rename_before_the_bytes);
    tcase_add_test(tc, names_are_lost_independently);
    tcase_add_test(tc, unlink_and_link_are_kept_or_lost);
    tcase_add_test(tc, directory_renamed_twice_has_one_name);
    tcase_add_test(tc, rename_between_directories_is_settled_by_either);
    tcase_add_test(tc, sync_left_out_promises_nothing);
    tcase_add_test(tc, sync_left_out_after_some_change_only);
    tcase_add_test(tc, sync_put_off_is_done_after_the_write_it_waits_for);
    tcase_add_test(tc, kill_keeps_what_was_done_and_what_is_pending);
    tcase_add_test(tc, powercut_walks_to_what_the_process_sees);
    return suite_run(suite);
}
