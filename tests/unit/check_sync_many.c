/*
 * base/sync_many, and fileio_sync_all(): many syncs at the same time.
 */
#include <check.h>
#include <errno.h>

#include "base/fileio.h"
#include "base/sync_many.h"
#include "tests/support/memdisk.h"
#include "tests/support/suite.h"
#include "tests/support/temporary.h"

static struct fileio *real_disk(char dir[TEMPORARY_MAX])
{
    struct fileio *io;

    temporary_make(dir, "sync_many");
    ck_assert_int_eq(fileio_open(&io, dir, NULL), 0);
    return io;
}

static void real_disk_remove(struct fileio *io, const char *dir)
{
    fileio_release(io);
    temporary_remove(dir);
}

/* Of a file and as many directories as go at a time. */
static int sync_all(struct fileio *io, const char *file, const char *dir)
{
    struct fileio_sync what[FILEIO_SYNCS_MAX];
    int fd = io->ops->open(io, file, FILEIO_WRITE | FILEIO_CREATE);
    int rc;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fileio_write_bytes(io, fd, "x", 1, 0), 0);
    what[0] = (struct fileio_sync){.fd = fd};
    for (int i = 1; i < FILEIO_SYNCS_MAX; i++)
        what[i] = (struct fileio_sync){.fd = -1, .dir = i % 2 ? dir : ""};
    rc = fileio_sync_all(io, what, FILEIO_SYNCS_MAX);
    io->ops->close(io, fd);
    return rc;
}

START_TEST(files_and_directories_synced_together_on_the_real_disk)
{
    char dir[TEMPORARY_MAX];
    struct fileio *io = real_disk(dir);

    ck_assert_int_eq(io->ops->mkdir(io, "d"), 0);
    ck_assert_int_eq(sync_all(io, "d/f", "d"), 0);
    ck_assert_int_eq(sync_all(io, "d/f", "d"), 0);
    ck_assert_int_eq(sync_all(io, "d/f", "none"), -ENOENT);
    ck_assert_int_eq(sync_all(io, "d/f", "d/f"), -ENOTDIR);
    ck_assert_int_eq(fileio_sync_all(io, NULL, 0), 0);
    real_disk_remove(io, dir);
}
END_TEST

START_TEST(files_and_directories_synced_one_after_another)
{
    struct memdisk *disk = memdisk_new();

    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), 0);
    ck_assert_int_eq(sync_all(&disk->io, "d/f", "d"), 0);
    ck_assert_uint_eq(disk->calls[MEMCALL_FDATASYNC], 1);
    ck_assert_uint_eq(disk->calls[MEMCALL_SYNC_DIR], FILEIO_SYNCS_MAX - 1);
    memdisk_set_fault(
        disk, (struct memfault){
                  .calls = MEMCALL_BIT(MEMCALL_SYNC_DIR), .path = "d", .nth = 3, .error = -EIO});
    ck_assert_int_eq(sync_all(&disk->io, "d/f", "d"), -EIO);
    memdisk_free(disk);
}
END_TEST

/* With the kernel's asynchronous I/O and without: a bad one in the middle, too. */
START_TEST(descriptors_synced_together_or_not)
{
    const bool data_only[3] = {false, true, false};
    char dir[TEMPORARY_MAX];
    struct fileio *io = real_disk(dir);
    struct sync_many s;
    int fd[3];

    sync_many_init(&s);
    s.refused = _i;
    for (int i = 0; i < 3; i++) {
        fd[i] = io->ops->open(io, i == 2 ? "" : "f", i == 2 ? FILEIO_DIRECTORY : FILEIO_CREATE);
        ck_assert_int_ge(fd[i], 0);
    }
    ck_assert_int_eq(sync_many(&s, fd, data_only, 3), 0);
    io->ops->close(io, fd[1]);
    ck_assert_int_eq(sync_many(&s, fd, data_only, 3), -EBADF);
    ck_assert_int_eq(sync_many(&s, fd, data_only, 1), 0);
    io->ops->close(io, fd[0]);
    io->ops->close(io, fd[2]);
    sync_many_release(&s);
    real_disk_remove(io, dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync_many");
    TCase *tc = tcase_create("sync_many");

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, files_and_directories_synced_together_on_the_real_disk);
    tcase_add_test(tc, files_and_directories_synced_one_after_another);
    tcase_add_loop_test(tc, descriptors_synced_together_or_not, 0, 2);
    return suite_run(suite);
}
