/*
 * The in-memory disk: faults, room, copies. That it answers as the kernel does
 * is in check_fileio.c, what a power cut leaves of it in check_powercut.c.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/memdisk.h"
#include "tests/support/suite.h"

static int file(struct memdisk *disk, const char *path)
{
    int fd = disk->io.ops->open(&disk->io, path, FILEIO_WRITE | FILEIO_CREATE);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void put(struct memdisk *disk, int fd, const char *text, uint64_t pos)
{
    ck_assert_int_eq(fileio_write_bytes(&disk->io, fd, text, strlen(text), pos), 0);
}

/* A durable file "f" with this text; recording begins behind it. */
static struct memdisk *disk_with(const char *text, int *fd)
{
    struct memdisk *disk = memdisk_new();

    *fd = file(disk, "f");
    put(disk, *fd, text, 0);
    memdisk_record(disk);
    return disk;
}

/* -- faults and room -- */

START_TEST(fault_hits_the_nth_call_on_its_path)
{
    struct memdisk *disk = memdisk_new();
    int a = file(disk, "a");
    int b = file(disk, "b");

    memdisk_set_fault(
        disk, (struct memfault){
                  .calls = MEMCALL_BIT(MEMCALL_PWRITEV), .path = "b", .nth = 2, .error = -EDQUOT});
    put(disk, a, "1", 0);
    put(disk, b, "1", 0);
    put(disk, a, "2", 0);
    ck_assert_int_eq(fileio_write_bytes(&disk->io, b, "2", 1, 0), -EDQUOT);
    put(disk, b, "3", 0);
    ck_assert_uint_eq(disk->fault_hits, 1);
    memdisk_free(disk);
}
END_TEST

START_TEST(fault_may_last)
{
    struct memdisk *disk = memdisk_new();
    int a = file(disk, "a");

    memdisk_set_fault(
        disk,
        (struct memfault){.calls = MEMCALL_CHANGES, .nth = 2, .for_ever = true, .error = -EIO});
    put(disk, a, "1", 0);
    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), -EIO);
    ck_assert_int_eq(disk->io.ops->fdatasync(&disk->io, a), -EIO);
    ck_assert_int_eq(disk->io.ops->close(&disk->io, a), 0);
    memdisk_free(disk);
}
END_TEST

START_TEST(full_disk_takes_what_fits)
{
    struct memdisk *disk = memdisk_new();
    static char bytes[5000];
    struct iovec iov = {bytes, sizeof bytes};
    int a = file(disk, "a");

    disk->room_bytes = 8192;
    ck_assert_int_eq((int)disk->io.ops->pwritev(&disk->io, a, &iov, 1, 4000), 4192);
    ck_assert_int_eq((int)disk->io.ops->pwritev(&disk->io, a, &iov, 1, 8192), -ENOSPC);
    ck_assert_int_eq((int)disk->io.ops->pwritev(&disk->io, a, &iov, 1, 0), 5000);
    ck_assert_int_eq(disk->io.ops->fallocate(&disk->io, file(disk, "b"), 0, 1), -ENOSPC);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, a, 4096), 0);
    ck_assert_int_eq(disk->io.ops->fallocate(&disk->io, file(disk, "b"), 0, 4096), 0);
    memdisk_free(disk);
}
END_TEST

START_TEST(a_copy_is_changed_alone)
{
    int fd;
    struct memdisk *disk = disk_with("abc", &fd);
    struct memdisk *copy = memdisk_from(&disk->tree);
    char why[100];
    size_t len;
    char *bytes;

    ck_assert(memdisk_same(disk, copy, why, sizeof why));
    put(copy, file(copy, "f"), "X", 1);
    file(copy, "g");
    bytes = memdisk_file(disk, "f", &len);
    ck_assert_str_eq(bytes, "abc");
    ck_assert_uint_eq(memdisk_lookup(disk, "g"), MEM_NONE);
    free(bytes);
    memdisk_free(copy);
    memdisk_free(disk);
}
END_TEST

/* -- lies -- */

static void check_file(struct memdisk *disk, const char *path, const char *want)
{
    size_t len;
    char *bytes = memdisk_file(disk, path, &len);

    ck_assert_ptr_nonnull(bytes);
    ck_assert_str_eq(bytes, want);
    free(bytes);
}

START_TEST(lie_leaves_calls_out)
{
    int fd;
    struct memdisk *disk = disk_with("abc", &fd);

    disk->lie = (struct memlie){.calls = MEMCALL_ALL, .path = "f", .phases = MEMPHASE_START};
    disk->phase = MEMPHASE_RUN;
    put(disk, fd, "x", 0);
    check_file(disk, "f", "xbc");
    disk->phase = MEMPHASE_START;
    put(disk, fd, "yyyy", 0);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 1), 0);
    ck_assert_int_eq(disk->io.ops->fallocate(&disk->io, fd, 0, 100), 0);
    ck_assert_int_eq(disk->io.ops->unlink(&disk->io, "f"), 0);
    put(disk, file(disk, "g"), "is another", 0);
    check_file(disk, "f", "xbc");
    check_file(disk, "g", "is another");
    ck_assert_uint_eq(disk->lies, 4);
    memdisk_free(disk);
}
END_TEST

START_TEST(lie_leaves_out_what_changes_nothing)
{
    int fd;
    struct memdisk *disk = disk_with("abc", &fd);

    disk->lie = (struct memlie){.calls = MEMCALL_BIT(MEMCALL_PWRITEV), .same = true};
    put(disk, fd, "bc", 1);
    ck_assert_uint_eq(disk->trace->count, 0);
    put(disk, fd, "bd", 1);
    put(disk, fd, "d!", 2);
    check_file(disk, "f", "abd!");
    ck_assert_uint_eq(disk->trace->count, 2);
    memdisk_free(disk);
}
END_TEST

static void to_upper(uint8_t *bytes, size_t len, uint64_t pos)
{
    if (pos > 0)
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(bytes[i] - 'a' + 'A');
}

START_TEST(lie_writes_other_bytes)
{
    int fd;
    struct memdisk *disk = disk_with("abc", &fd);

    disk->lie = (struct memlie){.calls = MEMCALL_BIT(MEMCALL_PWRITEV), .tamper = to_upper};
    put(disk, fd, "x", 0);
    put(disk, fd, "yz", 1);
    check_file(disk, "f", "xYZ");
    memdisk_free(disk);
}
END_TEST

/* -- hashes -- */

START_TEST(hash_is_that_of_names_and_bytes)
{
    int fd;
    struct memdisk *one = disk_with("abc", &fd);
    struct memdisk *other = memdisk_new();
    uint64_t hash = memtree_hash(&one->tree);

    file(other, "g"); /* other inode numbers, in another order */
    put(other, file(other, "f"), "abc", 0);
    ck_assert_uint_ne(memtree_hash(&other->tree), hash);
    ck_assert_int_eq(other->io.ops->unlink(&other->io, "g"), 0);
    ck_assert_uint_eq(memtree_hash(&other->tree), hash);
    ck_assert_int_eq(other->io.ops->rename(&other->io, "f", "h"), 0);
    ck_assert_uint_ne(memtree_hash(&other->tree), hash);
    memdisk_free(other);
    memdisk_free(one);
}
END_TEST

START_TEST(hash_follows_every_change)
{
    int fd;
    struct memdisk *disk = disk_with("abc", &fd);
    uint64_t hash = memtree_hash(&disk->tree);
    struct memdisk *copy = memdisk_from(&disk->tree);

    put(disk, fd, "X", 1);
    ck_assert_uint_ne(memtree_hash(&disk->tree), hash);
    put(disk, fd, "b", 1);
    ck_assert_uint_eq(memtree_hash(&disk->tree), hash);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 4), 0);
    ck_assert_uint_ne(memtree_hash(&disk->tree), hash);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 3), 0);
    ck_assert_uint_eq(memtree_hash(&disk->tree), hash);
    put(disk, fd, "d", 700);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 3), 0);
    ck_assert_uint_eq(memtree_hash(&disk->tree), hash);
    ck_assert_uint_eq(memtree_hash(&copy->tree), hash);
    memdisk_free(copy);
    memdisk_free(disk);
}
END_TEST

/* Zeros that were written, and zeros where nothing was, read the same. */
START_TEST(hash_of_zeros_is_that_of_a_hole)
{
    static const char zeros[600];
    int fd;
    struct memdisk *one = disk_with("x", &fd);
    struct memdisk *other = memdisk_from(&one->tree);
    int fd2 = file(other, "f");

    ck_assert_int_eq(one->io.ops->truncate(&one->io, fd, 2048), 0);
    put(other, fd2, "full", 800);
    ck_assert_int_eq(other->io.ops->truncate(&other->io, fd2, 2048), 0);
    ck_assert_uint_ne(memtree_hash(&one->tree), memtree_hash(&other->tree));
    ck_assert_int_eq(fileio_write_bytes(&other->io, fd2, zeros, sizeof zeros, 512), 0);
    ck_assert_uint_eq(memtree_hash(&one->tree), memtree_hash(&other->tree));
    memdisk_free(other);
    memdisk_free(one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memdisk");
    TCase *tc = tcase_create("memdisk");

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, fault_hits_the_nth_call_on_its_path);
    tcase_add_test(tc, fault_may_last);
    tcase_add_test(tc, full_disk_takes_what_fits);
    tcase_add_test(tc, a_copy_is_changed_alone);
    tcase_add_test(tc, lie_leaves_calls_out);
    tcase_add_test(tc, lie_leaves_out_what_changes_nothing);
    tcase_add_test(tc, lie_writes_other_bytes);
    tcase_add_test(tc, hash_is_that_of_names_and_bytes);
    tcase_add_test(tc, hash_follows_every_change);
    tcase_add_test(tc, hash_of_zeros_is_that_of_a_hole);
    return suite_run(suite);
}
