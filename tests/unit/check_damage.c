/*
 * Every byte of a small store flipped, and every file cut at every byte, one at
 * a time, of a store that was stopped cleanly and of one that was killed. For
 * each of them:
 *
 *   - a start does not crash, and gives no offset twice that was acknowledged;
 *   - a check changes nothing, and where it says that nothing is lost, readers
 *     get every message;
 *   - after a repair readers of messages get no byte that was not written, and
 *     every message of the segments that were not touched; the partition goes
 *     on above all that was acknowledged; a check finds nothing new; a second
 *     repair changes nothing.
 *
 * All on the in-memory disk, of which a copy costs next to nothing.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "tests/support/damaged_store.h"
#include "tests/support/suite.h"

static struct original clean, killed;

static void damage(const struct original *o, const char *path, uint64_t pos, bool cut)
{
    static struct damage_case c;
    struct check_result result = {0};
    char what[64];
    uint8_t byte;
    int fd;

    snprintf(what, sizeof what, "%s at %lu (%s)", cut ? "cut" : "flipped", (unsigned long)pos,
             o == &clean ? "stopped cleanly" : "killed");
    damage_begin(&c, o, path, what);
    fd = c.disk->io.ops->open(&c.disk->io, path, FILEIO_WRITE);
    ck_assert_int_ge(fd, 0);
    if (cut) {
        ck_assert_int_eq(c.disk->io.ops->truncate(&c.disk->io, fd, pos), 0);
    } else {
        ck_assert_int_eq(fileio_read_all(&c.disk->io, fd, &byte, 1, pos), 0);
        byte ^= 0x40;
        ck_assert_int_eq(fileio_write_bytes(&c.disk->io, fd, &byte, 1, pos), 0);
    }
    c.disk->io.ops->close(&c.disk->io, fd);
    damage_start_holds(&c);
    damage_repair_holds(&c, damage_check_holds(&c, &result), &result);
    damage_done(&c);
}

/* -- which bytes -- */

static const char *const paths[] = {
    ".format",
    ".clean",
    ".journal.0",
    ".journal.1",
    "t/.config",
    "t/0/00000000000000000000.log",
    "t/0/00000000000000000000.idx",
    "t/0/00000000000000000000.meta",
    DAMAGED_SEG1 ".log",
    DAMAGED_SEG1 ".idx",
    DAMAGED_SEG1 ".meta",
    DAMAGED_SEG1 ".prod",
};

#define PATHS (sizeof paths / sizeof *paths)

/* The long runs of zeros, of which every 251st byte is as good as each. */
static bool is_dull(const char *data, size_t len, uint64_t pos)
{
    if (pos % 251 == 0)
        return false;
    for (uint64_t i = pos > 64 ? pos - 64 : 0; i < pos + 64 && i < len; i++)
        if (data[i])
            return false;
    return true;
}

static void every_byte(const struct original *o, const char *path, bool cut)
{
    size_t len;
    char *data = memdisk_file(o->disk, path, &len);

    if (!data)
        return; /* .clean of the one that was killed */
    for (uint64_t pos = 0; pos < len; pos++)
        if (!is_dull(data, len, pos))
            damage(o, path, pos, cut);
    free(data);
}

START_TEST(a_byte_flipped)
{
    every_byte(_i % 2 ? &killed : &clean, paths[_i / 2], false);
}
END_TEST

START_TEST(a_file_cut)
{
    every_byte(_i % 2 ? &killed : &clean, paths[_i / 2], true);
}
END_TEST

/* -- whole files -- */

static void remove_file(struct damage_case *c)
{
    int rc = c->disk->io.ops->unlink(&c->disk->io, c->path);

    ck_assert(rc == 0 || rc == -ENOENT);
}

START_TEST(a_file_missing)
{
    static struct damage_case c;
    struct check_result result = {0};

    damage_begin(&c, _i % 2 ? &killed : &clean, paths[_i / 2], "missing");
    remove_file(&c);
    damage_start_holds(&c);
    damage_repair_holds(&c, damage_check_holds(&c, &result), &result);
    damage_done(&c);
}
END_TEST

static const char *const foreign[] = {
    "notes",
    "t/notes",
    "t/0/notes",
    "t/sealed/notes",
    "t/sealed/0-notes",
    "t/sealed/x-00000000000000000000.log",
    "t/sealed/0-00000000000000000000.idx",
    ".journal.2",
    "t/1",
    "t/.config.bak",
};

#define FOREIGN (sizeof foreign / sizeof *foreign)

START_TEST(a_foreign_file)
{
    static struct damage_case c;
    struct check_result result = {0};
    int fd;

    damage_begin(&c, _i % 2 ? &killed : &clean, foreign[_i / 2], "foreign");
    fd = c.disk->io.ops->open(&c.disk->io, c.path, FILEIO_WRITE | FILEIO_CREATE);
    ck_assert_int_ge(fd, 0);
    c.disk->io.ops->close(&c.disk->io, fd);
    damage_start_holds(&c);
    ck_assert_int_eq(damage_check_holds(&c, &result), 0);
    ck_assert_uint_eq(result.findings[FOUND_FOREIGN], 1);
    damage_repair_holds(&c, 0, &result);
    ck_assert_uint_ne(memdisk_lookup(c.disk, c.path), MEM_NONE);
    damage_done(&c);
}
END_TEST

/* Nothing of it is touched. */
START_TEST(a_newer_version)
{
    static struct damage_case c;
    static const struct {
        const char *path;
        uint64_t pos;
        uint16_t crc_bytes;
    } versions[] = {{".journal.1", 6, 24}, {DAMAGED_SEG1 ".idx", 6, 36}};
    struct check_result result = {0};
    struct memdisk *before;
    uint8_t bytes[40];
    char why[300];
    int fd;

    damage_begin(&c, _i % 2 ? &killed : &clean, versions[_i / 2].path, "of a newer version");
    fd = c.disk->io.ops->open(&c.disk->io, c.path, FILEIO_WRITE);
    ck_assert_int_eq(fileio_read_all(&c.disk->io, fd, bytes, sizeof bytes, 0), 0);
    bytes[versions[_i / 2].pos] = 2;
    put_le32(bytes + versions[_i / 2].crc_bytes,
             crc32c_extend(0, bytes, versions[_i / 2].crc_bytes));
    ck_assert_int_eq(fileio_write_bytes(&c.disk->io, fd, bytes, sizeof bytes, 0), 0);
    c.disk->io.ops->close(&c.disk->io, fd);
    before = memdisk_from(&c.disk->tree);
    ck_assert_int_eq(damage_check_holds(&c, &result), ERR_NEWER_FORMAT);
    ck_assert_int_eq(damage_repair(&c, &result), ERR_NEWER_FORMAT);
    ck_assert_msg(memdisk_same(before, c.disk, why, sizeof why), "%s", why);
    memdisk_free(before);
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
    Suite *suite = suite_create("damage");
    TCase *tc = tcase_create("damage");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, a_byte_flipped, 0, 2 * PATHS);
    tcase_add_loop_test(tc, a_file_cut, 0, 2 * PATHS);
    tcase_add_loop_test(tc, a_file_missing, 0, 2 * PATHS);
    tcase_add_loop_test(tc, a_foreign_file, 0, 2 * FOREIGN);
    tcase_add_loop_test(tc, a_newer_version, 0, 4);
    return suite_run(suite);
}
