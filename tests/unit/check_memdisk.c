/*
 * The in-memory disk's own promises: which states a power cut leaves (the
 * rules of powercut.h), faults, room. A test of the tests: a model that leaves
 * states out finds no bugs, one that invents some finds false ones.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/memdisk.h"
#include "tests/support/powercut.h"

/* -- doing things -- */

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

static void fill(struct memdisk *disk, int fd, char c, size_t len, uint64_t pos)
{
    char *bytes = malloc(len);

    memset(bytes, c, len);
    ck_assert_int_eq(fileio_write_bytes(&disk->io, fd, bytes, len, pos), 0);
    free(bytes);
}

static void datasync(struct memdisk *disk, int fd)
{
    ck_assert_int_eq(disk->io.ops->fdatasync(&disk->io, fd), 0);
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

/* -- the states at the end of a trace -- */

struct outcomes {
    char text[512][120]; /* all files: "name=bytes " in order of names */
    size_t count;
};

static int add_name(void *arg, const char *name, enum fileio_kind kind)
{
    char(*names)[32] = arg;
    size_t n = 0;

    (void)kind;
    while (names[n][0])
        n++;
    snprintf(names[n], sizeof names[n], "%s", name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Runs of a byte are told as its count: 512 times 'a' is "512a". */
static size_t describe_bytes(const char *bytes, size_t len, char *to, size_t room)
{
    size_t used = 0;

    for (size_t i = 0; i < len;) {
        size_t run = 1;
        char c = bytes[i] ? bytes[i] : '.';

        while (i + run < len && bytes[i + run] == bytes[i])
            run++;
        if (run > 4)
            used += (size_t)snprintf(to + used, room - used, "%zu%c", run, c);
        for (size_t k = 0; run <= 4 && k < run; k++)
            used += (size_t)snprintf(to + used, room - used, "%c", c);
        i += run;
    }
    to[used] = '\0';
    return used;
}

static void describe(struct memdisk *disk, const char *dir, char *to, size_t room)
{
    char names[16][32] = {{0}};
    size_t used = 0;
    size_t n = 0;

    ck_assert_int_eq(disk->io.ops->list(&disk->io, dir, add_name, names), 0);
    while (names[n][0])
        n++;
    qsort(names, n, sizeof names[0], by_name);
    to[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        char path[80];
        size_t len;
        char *bytes;

        snprintf(path, sizeof path, "%s%s%s", dir, *dir ? "/" : "", names[i]);
        used += (size_t)snprintf(to + used, room - used, "%s%s", i ? " " : "", names[i]);
        bytes = memdisk_file(disk, path, &len);
        if (bytes) {
            used += (size_t)snprintf(to + used, room - used, "=");
            used += describe_bytes(bytes, len, to + used, room - used);
            free(bytes);
        } else {
            char inner[100];

            describe(disk, path, inner, sizeof inner);
            used += (size_t)snprintf(to + used, room - used, "{%s}", inner);
        }
    }
}

static void outcome(struct outcomes *out, struct memdisk *disk)
{
    char text[120];

    describe(disk, "", text, sizeof text);
    memdisk_free(disk);
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->text[i], text) == 0)
            return;
    ck_assert_uint_lt(out->count, 512);
    strcpy(out->text[out->count++], text);
}

/* Every combination of fates but the garbage ones. */
static void combine(struct outcomes *out, const struct powercut *cut, struct memchoice *choices,
                    size_t i)
{
    struct memchoice fates[MEMFATES_MAX];
    size_t count;

    if (i == cut->count) {
        outcome(out, powercut_build(cut, choices, 1));
        return;
    }
    count = powercut_fates(cut, i, fates);
    for (size_t f = 0; f < count; f++) {
        if (fates[f].fate == MEMFATE_GARBAGE || fates[f].fate == MEMFATE_MIXED)
            continue;
        choices[i] = fates[f];
        combine(out, cut, choices, i + 1);
    }
}

static struct outcomes *outcomes_of(struct memdisk *disk)
{
    struct outcomes *out = calloc(1, sizeof *out);
    struct memchoice choices[16];
    struct powercut cut;

    powercut_init(&cut, disk->trace);
    while (powercut_step(&cut))
        continue;
    ck_assert_uint_le(cut.count, 16);
    combine(out, &cut, choices, 0);
    powercut_release(&cut);
    memdisk_free(disk);
    return out;
}

/* The outcomes are these, and no others. Ends with NULL. */
static void check_outcomes(struct memdisk *disk, const char *const *want)
{
    struct outcomes *out = outcomes_of(disk);
    size_t count = 0;

    for (; want[count]; count++) {
        size_t i = 0;

        while (i < out->count && strcmp(out->text[i], want[count]) != 0)
            i++;
        ck_assert_msg(i < out->count, "`%s` is not among %zu outcomes; first `%s`", want[count],
                      out->count, out->text[0]);
    }
    for (size_t i = 0; i < out->count; i++) {
        size_t k = 0;

        while (k < count && strcmp(out->text[i], want[k]) != 0)
            k++;
        ck_assert_msg(k < count, "`%s` should not be among the outcomes", out->text[i]);
    }
    free(out);
}

#define CHECK_OUTCOMES(disk, ...) check_outcomes(disk, (const char *const[]){__VA_ARGS__, NULL})

/* -- data -- */

START_TEST(nothing_pending_leaves_one_state)
{
    int fd;
    struct memdisk *disk = disk_with("abc", &fd);

    CHECK_OUTCOMES(disk, "f=abc");
}
END_TEST

START_TEST(overwrite_is_kept_or_lost)
{
    int fd;
    struct memdisk *disk = disk_with("abc", &fd);

    put(disk, fd, "X", 1);
    CHECK_OUTCOMES(disk, "f=abc", "f=aXc");
}
END_TEST

START_TEST(append_may_leave_the_size_without_the_bytes)
{
    int fd;
    struct memdisk *disk = disk_with("ab", &fd);

    put(disk, fd, "cd", 2);
    CHECK_OUTCOMES(disk, "f=ab", "f=abcd", "f=ab..");
}
END_TEST

/* Rule 6: one sector never has the second append without the first. */
START_TEST(second_append_brings_the_first_in_its_sector)
{
    int fd;
    struct memdisk *disk = disk_with("a", &fd);

    put(disk, fd, "b", 1);
    put(disk, fd, "c", 2);
    CHECK_OUTCOMES(disk, "f=a", "f=ab", "f=a.", "f=abc", "f=ab.", "f=a..");
}
END_TEST

START_TEST(sectors_of_a_write_are_torn_apart)
{
    int fd;
    struct memdisk *disk = disk_with("", &fd);

    fill(disk, fd, 'o', 1024, 0);
    memdisk_record(disk);
    fill(disk, fd, 'n', 1024, 0);
    CHECK_OUTCOMES(disk, "f=1024o", "f=1024n", "f=512n512o", "f=512o512n");
}
END_TEST

START_TEST(append_over_sectors_may_end_at_one)
{
    int fd;
    struct memdisk *disk = disk_with("", &fd);

    fill(disk, fd, 'n', 1024, 0);
    CHECK_OUTCOMES(disk, "f=", "f=1024n", "f=1024.", "f=512n512.", "f=512.512n", "f=512n");
}
END_TEST

START_TEST(fdatasync_makes_bytes_and_size_durable)
{
    int fd;
    struct memdisk *disk = disk_with("a", &fd);

    put(disk, fd, "bc", 1);
    datasync(disk, fd);
    CHECK_OUTCOMES(disk, "f=abc");
}
END_TEST

START_TEST(fdatasync_of_another_file_does_nothing_for_this)
{
    int fd;
    struct memdisk *disk = disk_with("a", &fd);

    put(disk, fd, "X", 0);
    datasync(disk, file(disk, "f2"));
    CHECK_OUTCOMES(disk, "f=a", "f=X", "f=a f2=", "f=X f2=");
}
END_TEST

START_TEST(lost_truncation_brings_the_old_bytes_back)
{
    int fd;
    struct memdisk *disk = disk_with("abcdef", &fd);

    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 2), 0);
    CHECK_OUTCOMES(disk, "f=abcdef", "f=ab", "f=ab....");
}
END_TEST

/* Rule 9: a cut, then an append over it: old entries may stand behind the new. */
START_TEST(append_after_an_unsynced_truncation)
{
    int fd;
    struct memdisk *disk = disk_with("abcdef", &fd);

    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 2), 0);
    put(disk, fd, "XY", 2);
    CHECK_OUTCOMES(disk, "f=abcdef", "f=ab", "f=ab....", "f=abXY", "f=abcd", "f=ab..", "f=abXY..");
}
END_TEST

START_TEST(truncation_is_durable_with_fdatasync)
{
    int fd;
    struct memdisk *disk = disk_with("abcdef", &fd);

    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 2), 0);
    datasync(disk, fd);
    put(disk, fd, "XY", 2);
    CHECK_OUTCOMES(disk, "f=ab", "f=abXY", "f=ab..");
}
END_TEST

START_TEST(whole_blocks_go_with_the_truncation)
{
    int fd;
    struct memdisk *disk = disk_with("", &fd);

    fill(disk, fd, 'o', 8192, 0);
    memdisk_record(disk);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 4096), 0);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 8192), 0);
    CHECK_OUTCOMES(disk, "f=8192o", "f=4096o", "f=4096o4096.");
}
END_TEST

START_TEST(fallocate_is_kept_or_lost)
{
    int fd;
    struct memdisk *disk = disk_with("a", &fd);

    ck_assert_int_eq(disk->io.ops->fallocate(&disk->io, fd, 0, 3), 0);
    CHECK_OUTCOMES(disk, "f=a", "f=a..");
}
END_TEST

START_TEST(garbage_spares_bytes_that_are_not_written)
{
    int fd;
    struct memdisk *disk = disk_with("abcdef", &fd);
    struct memchoice garbage = {MEMFATE_GARBAGE, 0};
    struct powercut cut;
    size_t changed = 0;

    put(disk, fd, "XY", 2);
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
    struct memdisk *disk = disk_with("a", &fd);

    put(disk, fd, "X", 0);
    fail_next(disk, MEMCALL_FDATASYNC);
    ck_assert_int_eq(disk->io.ops->fdatasync(&disk->io, fd), -EIO);
    datasync(disk, fd);
    CHECK_OUTCOMES(disk, "f=a", "f=X");
}
END_TEST

START_TEST(writing_again_after_a_failed_fdatasync_helps)
{
    int fd;
    struct memdisk *disk = disk_with("a", &fd);

    put(disk, fd, "X", 0);
    fail_next(disk, MEMCALL_FDATASYNC);
    ck_assert_int_eq(disk->io.ops->fdatasync(&disk->io, fd), -EIO);
    put(disk, fd, "X", 0);
    datasync(disk, fd);
    CHECK_OUTCOMES(disk, "f=X");
}
END_TEST

START_TEST(after_a_failed_syncfs_the_size_alone_may_be_durable)
{
    int fd;
    struct memdisk *disk = disk_with("a", &fd);

    put(disk, fd, "b", 1);
    fail_next(disk, MEMCALL_SYNCFS);
    ck_assert_int_eq(disk->io.ops->syncfs(&disk->io, fd), -EIO);
    ck_assert_int_eq(disk->io.ops->syncfs(&disk->io, fd), 0);
    CHECK_OUTCOMES(disk, "f=a.", "f=ab");
}
END_TEST

/* -- names -- */

START_TEST(new_file_is_nameless_until_the_directory_is_synced)
{
    struct memdisk *disk = memdisk_new();
    int fd;

    memdisk_record(disk);
    fd = file(disk, "n");
    put(disk, fd, "x", 0);
    datasync(disk, fd);
    CHECK_OUTCOMES(disk, "", "n=x");
}
END_TEST

START_TEST(sync_dir_makes_names_durable_and_no_bytes)
{
    struct memdisk *disk = memdisk_new();

    memdisk_record(disk);
    put(disk, file(disk, "n"), "x", 0);
    ck_assert_int_eq(disk->io.ops->sync_dir(&disk->io, ""), 0);
    CHECK_OUTCOMES(disk, "n=", "n=x", "n=.");
}
END_TEST

START_TEST(sync_dir_does_not_keep_the_directory_itself)
{
    struct memdisk *disk = memdisk_new();

    memdisk_record(disk);
    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), 0);
    file(disk, "d/n");
    ck_assert_int_eq(disk->io.ops->sync_dir(&disk->io, "d"), 0);
    CHECK_OUTCOMES(disk, "", "d{n=}");
}
END_TEST

START_TEST(rename_is_atomic)
{
    int fd;
    struct memdisk *disk = disk_with("old", &fd);

    put(disk, file(disk, ".tmp"), "new", 0);
    ck_assert_int_eq(disk->io.ops->syncfs(&disk->io, fd), 0);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, ".tmp", "f"), 0);
    CHECK_OUTCOMES(disk, ".tmp=new f=old", "f=new");
}
END_TEST

/* Replacing a file without fdatasync: the name may be there before the bytes. */
START_TEST(rename_before_the_bytes)
{
    int fd;
    struct memdisk *disk = disk_with("old", &fd);

    put(disk, file(disk, ".tmp"), "n", 0);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, ".tmp", "f"), 0);
    CHECK_OUTCOMES(disk, "f=old", ".tmp= f=old", ".tmp=. f=old", ".tmp=n f=old", "f=", "f=.",
                   "f=n");
}
END_TEST

START_TEST(names_are_lost_independently)
{
    struct memdisk *disk = memdisk_new();

    memdisk_record(disk);
    file(disk, "a");
    file(disk, "b");
    CHECK_OUTCOMES(disk, "", "a=", "b=", "a= b=");
}
END_TEST

START_TEST(unlink_and_link_are_kept_or_lost)
{
    int fd;
    struct memdisk *disk = disk_with("x", &fd);

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
    struct memdisk *disk = disk_with("x", &fd);

    ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), 0);
    memdisk_record(disk);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, "f", "d/g"), 0);
    ck_assert_int_eq(disk->io.ops->sync_dir(&disk->io, ""), 0);
    CHECK_OUTCOMES(disk, "d{g=x}");
}
END_TEST

START_TEST(ignored_sync_promises_nothing)
{
    int fd;
    struct memdisk *disk = disk_with("a", &fd);

    disk->ignore = (struct memignore){.calls = MEMCALL_BIT(MEMCALL_FDATASYNC), .path = "[f]"};
    put(disk, fd, "X", 0);
    datasync(disk, fd);
    ck_assert_uint_eq(disk->ignored, 1);
    CHECK_OUTCOMES(disk, "f=a", "f=X");
}
END_TEST

/* -- kills -- */

START_TEST(kill_keeps_what_was_done_and_what_is_pending)
{
    int fd;
    struct memdisk *disk = disk_with("a", &fd);
    struct memdisk *killed;
    struct powercut cut;

    put(disk, fd, "b", 0);
    file(disk, "n");
    powercut_init(&cut, disk->trace);
    ck_assert(powercut_step(&cut));
    killed = powercut_kill(&cut, true);
    powercut_release(&cut);
    memdisk_free(disk);
    ck_assert_uint_eq(memdisk_at(killed), 1);
    file(killed, "m");
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
    fd = file(disk, "d/a");
    fill(disk, fd, 'x', 5000, 100);
    ck_assert_int_eq(disk->io.ops->truncate(&disk->io, fd, 700), 0);
    ck_assert_int_eq(disk->io.ops->fallocate(&disk->io, fd, 0, 9000), 0);
    put(disk, fd, "end", 8000);
    ck_assert_int_eq(disk->io.ops->link(&disk->io, "d/a", "b"), 0);
    ck_assert_int_eq(disk->io.ops->unlink(&disk->io, "d/a"), 0);
    ck_assert_int_eq(disk->io.ops->rename(&disk->io, "d", "e"), 0);
    powercut_init(&cut, disk->trace);
    while (powercut_step(&cut))
        continue;
    walked = powercut_kill(&cut, false);
    ck_assert_msg(memdisk_same(disk, walked, why, sizeof why), "%s", why);
    fill(walked, file(walked, "b"), 'y', 1, 4);
    ck_assert(!memdisk_same(disk, walked, why, sizeof why));
    ck_assert_str_eq(why, "/b has other bytes");
    memdisk_free(walked);
    powercut_release(&cut);
    memdisk_free(disk);
}
END_TEST

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

int main(void)
{
    Suite *suite = suite_create("memdisk");
    TCase *tc = tcase_create("memdisk");
    SRunner *runner = srunner_create(suite);
    int failed;

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
    tcase_add_test(tc, new_file_is_nameless_until_the_directory_is_synced);
    tcase_add_test(tc, sync_dir_makes_names_durable_and_no_bytes);
    tcase_add_test(tc, sync_dir_does_not_keep_the_directory_itself);
    tcase_add_test(tc, rename_is_atomic);
    tcase_add_test(tc, rename_before_the_bytes);
    tcase_add_test(tc, names_are_lost_independently);
    tcase_add_test(tc, unlink_and_link_are_kept_or_lost);
    tcase_add_test(tc, directory_renamed_twice_has_one_name);
    tcase_add_test(tc, rename_between_directories_is_settled_by_either);
    tcase_add_test(tc, ignored_sync_promises_nothing);
    tcase_add_test(tc, kill_keeps_what_was_done_and_what_is_pending);
    tcase_add_test(tc, powercut_walks_to_what_the_process_sees);
    tcase_add_test(tc, fault_hits_the_nth_call_on_its_path);
    tcase_add_test(tc, fault_may_last);
    tcase_add_test(tc, full_disk_takes_what_fits);
    tcase_add_test(tc, a_copy_is_changed_alone);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
