/*
 * base/overlay: what is below shows through, what is changed above stays
 * above. That it answers as a disk does is in check_fileio.c.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/overlay.h"
#include "tests/support/memdisk.h"
#include "tests/support/suite.h"

static struct memdisk *disk, *before;
static struct fileio *io;

static void make(const char *path, const void *data, size_t len)
{
    int fd = disk->io.ops->open(&disk->io, path, FILEIO_WRITE | FILEIO_CREATE);

    ck_assert_int_eq(fileio_write_bytes(&disk->io, fd, data, len, 0), 0);
    disk->io.ops->close(&disk->io, fd);
}

static void setup(void)
{
    static char big[5000];

    memset(big, 'b', sizeof big);
    disk = memdisk_new();
    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), 0);
    make("f", "hello", 5);
    make("d/big", big, sizeof big);
    before = memdisk_from(&disk->tree);
    io = overlay_new(&disk->io);
    ck_assert_ptr_nonnull(io);
}

/* Whatever a test did, the disk is as it was, and nothing of it is open. */
static void teardown(void)
{
    char why[200] = "";

    fileio_release(io);
    ck_assert_uint_eq(memdisk_kill(disk), 0);
    ck_assert_msg(memdisk_same(disk, before, why, sizeof why), "%s", why);
    memdisk_free(disk);
    memdisk_free(before);
}

static void expect_text(const char *path, const char *want)
{
    char *text;
    size_t len;

    ck_assert_int_eq(fileio_read_file(io, path, 1 << 20, &text, &len), 0);
    ck_assert_str_eq(text, want);
    free(text);
}

static int open_write(const char *path)
{
    int fd = io->ops->open(io, path, FILEIO_WRITE);

    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(what_is_below_shows_through)
{
    struct fileio_stat st;

    expect_text("f", "hello");
    ck_assert_int_eq(io->ops->stat(io, "d/big", &st), 0);
    ck_assert_uint_eq(st.size_bytes, 5000);
    ck_assert_int_eq(io->ops->stat(io, "d/none", &st), -ENOENT);
    ck_assert_int_eq(io->ops->open(io, "none", FILEIO_WRITE), -ENOENT);
}
END_TEST

START_TEST(a_write_is_seen_again_after_the_file_was_closed)
{
    int fd = open_write("f");

    ck_assert_int_eq(fileio_write_bytes(io, fd, "J", 1, 0), 0);
    ck_assert_int_eq(fileio_write_bytes(io, fd, "!!", 2, 5), 0);
    io->ops->close(io, fd);
    expect_text("f", "Jello!!");
}
END_TEST

START_TEST(writes_over_sectors_and_behind_the_end)
{
    char got[6001] = {0};
    int fd = open_write("d/big");
    uint64_t size;

    ck_assert_int_eq(fileio_write_bytes(io, fd, "xyz", 3, 511), 0);
    ck_assert_int_eq(fileio_write_bytes(io, fd, "end", 3, 5997), 0);
    ck_assert_int_eq(fileio_write_bytes(io, fd, "b", 1, 300), 0); /* as it stood */
    ck_assert_int_eq(io->ops->size(io, fd, &size), 0);
    ck_assert_uint_eq(size, 6000);
    ck_assert_int_eq(fileio_read_all(io, fd, got, 6000, 0), 0);
    ck_assert_mem_eq(got + 509, "bbxyzbb", 7);
    ck_assert_mem_eq(got + 4998, "bb\0\0", 4);
    ck_assert_mem_eq(got + 5995, "\0\0end", 5);
    io->ops->close(io, fd);
}
END_TEST

/* What was cut away does not come back when the file grows again. */
START_TEST(a_cut_and_a_growth)
{
    char got[4000];
    int fd = open_write("d/big");

    ck_assert_int_eq(fileio_write_bytes(io, fd, "x", 1, 1030), 0);
    ck_assert_int_eq(io->ops->truncate(io, fd, 1026), 0);
    ck_assert_int_eq(io->ops->truncate(io, fd, 3000), 0);
    ck_assert_int_eq(fileio_read_all(io, fd, got, 3000, 0), 0);
    ck_assert_mem_eq(got + 1024, "bb\0\0\0\0\0\0\0", 9);
    ck_assert_int_eq(got[2999], 0);
    ck_assert_int_eq(fileio_read_all(io, fd, got, 1, 3000), -ENODATA);
    io->ops->close(io, fd);
}
END_TEST

static int count(void *arg, const char *name, enum fileio_kind kind)
{
    (void)kind;
    strcat(arg, name);
    strcat(arg, " ");
    return 0;
}

START_TEST(names_that_went_and_names_that_came)
{
    char names[200] = "";
    struct fileio_stat st;

    ck_assert_int_eq(io->ops->unlink(io, "f"), 0);
    ck_assert_int_eq(io->ops->stat(io, "f", &st), -ENOENT);
    ck_assert_int_eq(fileio_replace_file(io, "d", "new", "text", 4), 0);
    ck_assert_int_eq(io->ops->link(io, "d/big", "d/other"), 0);
    ck_assert_int_eq(io->ops->list(io, "", count, names), 0);
    ck_assert_str_eq(names, "d ");
    names[0] = '\0';
    ck_assert_int_eq(io->ops->list(io, "d", count, names), 0);
    ck_assert_str_eq(names, "big other new ");
    expect_text("d/new", "text");
    ck_assert_int_eq(io->ops->unlink(io, "d/new"), 0);
    ck_assert_int_eq(io->ops->stat(io, "d/new", &st), -ENOENT);
}
END_TEST

START_TEST(a_file_is_replaced_and_its_old_name_is_free)
{
    struct fileio_stat st;

    ck_assert_int_eq(io->ops->rename(io, "f", "d/big"), 0);
    expect_text("d/big", "hello");
    ck_assert_int_eq(io->ops->stat(io, "f", &st), -ENOENT);
    ck_assert_int_eq(fileio_replace_file(io, "", "f", "again", 5), 0);
    expect_text("f", "again");
    expect_text("d/big", "hello");
    ck_assert_int_eq(io->ops->rename(io, "d", "e"), -EXDEV);
}
END_TEST

START_TEST(a_directory_goes_and_comes_back_empty)
{
    char names[200] = "";
    struct fileio_stat st;

    ck_assert_int_eq(io->ops->rmdir(io, "d"), -ENOTEMPTY);
    ck_assert_int_eq(io->ops->unlink(io, "d/big"), 0);
    ck_assert_int_eq(io->ops->rmdir(io, "d"), 0);
    ck_assert_int_eq(io->ops->stat(io, "d/big", &st), -ENOENT);
    ck_assert_int_eq(io->ops->list(io, "d", count, names), -ENOENT);
    ck_assert_int_eq(io->ops->mkdir(io, "d"), 0);
    ck_assert_int_eq(io->ops->list(io, "d", count, names), 0);
    ck_assert_str_eq(names, "");
}
END_TEST

START_TEST(the_lock_is_that_of_the_disk_below)
{
    int holder = disk->io.ops->open(&disk->io, "f", FILEIO_WRITE);
    int fd = open_write("f");

    ck_assert_int_eq(disk->io.ops->lock(&disk->io, holder), 0);
    ck_assert_int_eq(io->ops->lock(io, fd), -EWOULDBLOCK);
    disk->io.ops->close(&disk->io, holder);
    ck_assert_int_eq(io->ops->lock(io, fd), 0);
    io->ops->close(io, fd);
}
END_TEST

START_TEST(a_read_that_fails_below_fails)
{
    char byte;
    int fd = open_write("f");

    memdisk_set_fault(
        disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PREAD), .nth = 1, .error = -EIO});
    ck_assert_int_eq(fileio_read_all(io, fd, &byte, 1, 0), -EIO);
    ck_assert_int_eq(fileio_read_all(io, fd, &byte, 1, 0), 0);
    io->ops->close(io, fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("overlay");
    TCase *tc = tcase_create("overlay");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_below_shows_through);
    tcase_add_test(tc, a_write_is_seen_again_after_the_file_was_closed);
    tcase_add_test(tc, writes_over_sectors_and_behind_the_end);
    tcase_add_test(tc, a_cut_and_a_growth);
    tcase_add_test(tc, names_that_went_and_names_that_came);
    tcase_add_test(tc, a_file_is_replaced_and_its_old_name_is_free);
    tcase_add_test(tc, a_directory_goes_and_comes_back_empty);
    tcase_add_test(tc, the_lock_is_that_of_the_disk_below);
    tcase_add_test(tc, a_read_that_fails_below_fails);
    return suite_run(suite);
}
