/*
 * The I/O table: the real disk and the in-memory one answer alike. Each case
 * is a script of steps `operation arguments` with the answer both must give;
 * a file that a step opens has a digit as its name from then on.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fileio.h"
#include "base/overlay.h"
#include "tests/support/listing.h"
#include "tests/support/memdisk.h"
#include "tests/support/suite.h"
#include "tests/support/temporary.h"

struct step {
    const char *what, *answer;
};

struct script {
    const char *name;
    struct step steps[16];
};

static const struct script scripts[] = {
    {"create_write_read",
     {{"create 1 f", "0"},
      {"write 1 0 hello", "5"},
      {"read 1 0 9", "hello"},
      {"read 1 3 9", "lo"},
      {"read 1 5 9", ""},
      {"read 1 99 9", ""},
      {"size 1", "5"},
      {"sync 1", "0"},
      {"close 1", "0"},
      {"close 1", "EBADF"}}},
    {"write_behind_end_leaves_zeros",
     {{"create 1 f", "0"},
      {"write 1 5000 x", "1"},
      {"size 1", "5001"},
      {"read 1 4998 9", "..x"},
      {"read 1 0 3", "..."}}},
    {"truncate_and_grow_again",
     {{"create 1 f", "0"},
      {"write 1 0 abcdefgh", "8"},
      {"trunc 1 3", "0"},
      {"size 1", "3"},
      {"trunc 1 6", "0"},
      {"read 1 0 9", "abc..."},
      {"trunc 1 1", "0"},
      {"write 1 4 z", "1"},
      {"read 1 0 9", "a...z"}}},
    {"allocate_grows_and_keeps",
     {{"create 1 f", "0"},
      {"write 1 0 ab", "2"},
      {"alloc 1 0 4", "0"},
      {"read 1 0 9", "ab.."},
      {"alloc 1 0 2", "0"},
      {"size 1", "4"},
      {"alloc 1 0 0", "EINVAL"}}},
    {"open_flags",
     {{"open 1 f", "ENOENT"},
      {"openw 1 f", "ENOENT"},
      {"createx 1 f", "0"},
      {"createx 2 f", "EEXIST"},
      {"create 2 f", "0"},
      {"opendir 3 f", "ENOTDIR"},
      {"opendir 3 ", "0"},
      {"open 4 ", "0"},
      {"openw 4 ", "EISDIR"},
      {"open 5 ..", "EXDEV"},
      {"open 5 d/../f", "ENOENT"}}},
    {"read_only_descriptor",
     {{"create 1 f", "0"},
      {"write 1 0 a", "1"},
      {"open 2 f", "0"},
      {"write 2 0 b", "EBADF"},
      {"trunc 2 0", "EINVAL"},
      {"alloc 2 0 9", "EBADF"},
      {"sync 2", "0"},
      {"read 2 0 9", "a"}}},
    {"a_file_is_no_directory",
     {{"create 1 f", "0"},
      {"open 2 f/x", "ENOTDIR"},
      {"create 2 f/x", "ENOTDIR"},
      {"mkdir f/x", "ENOTDIR"},
      {"stat f/x", "ENOTDIR"},
      {"list f", "ENOTDIR"},
      {"rmdir f", "ENOTDIR"},
      {"syncdir f", "ENOTDIR"}}},
    {"a_directory_is_no_file",
     {{"mkdir d", "0"},
      {"mkdir d", "EEXIST"},
      {"unlink d", "EISDIR"},
      {"create 1 d", "EISDIR"},
      {"open 1 d", "0"},
      {"read 1 0 1", "EISDIR"},
      {"stat d", "dir"},
      {"stat ", "dir"}}},
    {"sizes_of_names",
     {{"mkdir d", "0"},
      {"mkdir d/e", "0"},
      {"create 1 d/f", "0"},
      {"write 1 0 abc", "3"},
      {"stats d f", "file 3"},
      {"stats d e", "dir 0"},
      {"stats d g", "none 0"},
      {"stats  d", "dir 0"},
      {"stats d/f x", "ENOTDIR"},
      {"stats g f", "ENOENT"}}},
    {"missing_names",
     {{"unlink f", "ENOENT"},
      {"rmdir f", "ENOENT"},
      {"stat f", "ENOENT"},
      {"rename f g", "ENOENT"},
      {"link f g", "ENOENT"},
      {"mkdir a/b", "ENOENT"},
      {"list a", "ENOENT"},
      {"syncdir a", "ENOENT"},
      {"unlink a/b", "ENOENT"}}},
    {"remove_directory",
     {{"mkdir d", "0"},
      {"create 1 d/f", "0"},
      {"rmdir d", "ENOTEMPTY"},
      {"unlink d/f", "0"},
      {"rmdir d", "0"},
      {"list ", ""}}},
    {"rename_replaces_a_file",
     {{"create 1 a", "0"},
      {"write 1 0 new", "3"},
      {"create 2 b", "0"},
      {"write 2 0 old", "3"},
      {"rename a b", "0"},
      {"list ", "b"},
      {"open 3 b", "0"},
      {"read 3 0 9", "new"},
      {"read 2 0 9", "old"},
      {"stat a", "ENOENT"}}},
    {"rename_of_directories",
     {{"mkdir a", "0"},
      {"create 1 a/f", "0"},
      {"rename a b", "0"},
      {"list b", "f"},
      {"mkdir c", "0"},
      {"rename b c", "0"},
      {"mkdir d", "0"},
      {"rename d c", "ENOTEMPTY"},
      {"rename c/f d", "EISDIR"},
      {"rename d c/f", "ENOTDIR"},
      {"rename c/f d/f", "0"},
      {"list ", "c d"},
      {"list d", "f"}}},
    {"hard_links",
     {{"create 1 a", "0"},
      {"mkdir d", "0"},
      {"link a d/b", "0"},
      {"link a d/b", "EEXIST"},
      {"link d e", "EPERM"},
      {"write 1 0 x", "1"},
      {"unlink a", "0"},
      {"open 2 d/b", "0"},
      {"read 2 0 9", "x"},
      {"link d/b c", "0"},
      {"rename c d/b", "0"}, /* the same file: nothing happens */
      {"list ", "c d"}}},
    {"unlinked_file_lives_while_open",
     {{"create 1 f", "0"},
      {"write 1 0 x", "1"},
      {"unlink f", "0"},
      {"write 1 1 y", "1"},
      {"read 1 0 9", "xy"},
      {"createx 2 f", "0"},
      {"size 2", "0"},
      {"size 1", "2"}}},
    {"locks",
     {{"create 1 f", "0"},
      {"create 2 f", "0"},
      {"lock 1", "0"},
      {"lock 1", "0"},
      {"lock 2", "EAGAIN"},
      {"close 1", "0"},
      {"lock 2", "0"}}},
    {"syncs",
     {{"mkdir d", "0"},
      {"syncdir d", "0"},
      {"syncdir ", "0"},
      {"opendir 1 ", "0"},
      {"syncfs 1", "0"},
      {"create 2 d/f", "0"},
      {"write 2 0 x", "1"},
      {"writeback 2 0 1", "0"},
      {"syncfs 2", "0"},
      {"stat d/f", "file 1"}}},
};

/* -- running a script -- */

struct runner {
    struct fileio *io;
    int fds[10];
    char answer[256];
};

static const char *answer(struct runner *r, int64_t rc)
{
    if (rc >= 0)
        snprintf(r->answer, sizeof r->answer, "%d", (int)rc);
    else
        snprintf(r->answer, sizeof r->answer, "%s", strerrorname_np((int)-rc));
    return r->answer;
}

static const char *step_list(struct runner *r, const char *path)
{
    struct listing l;
    int rc = listing_read(&l, r->io, path);

    if (rc < 0)
        return answer(r, rc);
    r->answer[0] = '\0';
    for (size_t i = 0; i < l.count; i++) {
        strcat(r->answer, i ? " " : "");
        strcat(r->answer, l.names[i]);
    }
    return r->answer;
}

/* Of the name, and of one that is never there. */
static const char *step_stats(struct runner *r, const char *dir, const char *name)
{
    static const char *const kinds[] = {"file", "dir", "other", "none"};
    const char *const names[] = {name, "never"};
    struct fileio_stat st[2];
    int rc = r->io->ops->stat_names(r->io, dir, names, 2, st);

    if (rc < 0)
        return answer(r, rc);
    ck_assert_int_eq(st[1].kind, FILEIO_NONE);
    snprintf(r->answer, sizeof r->answer, "%s %d", kinds[st[0].kind],
             st[0].kind == FILEIO_DIR ? 0 : (int)st[0].size_bytes);
    return r->answer;
}

static const char *step_names(struct runner *r, const char *op, const char *a, const char *b)
{
    const struct fileio_ops *ops = r->io->ops;
    struct fileio_stat st;
    int rc;

    if (!strcmp(op, "mkdir"))
        return answer(r, ops->mkdir(r->io, a));
    if (!strcmp(op, "rmdir"))
        return answer(r, ops->rmdir(r->io, a));
    if (!strcmp(op, "unlink"))
        return answer(r, ops->unlink(r->io, a));
    if (!strcmp(op, "rename"))
        return answer(r, ops->rename(r->io, a, b));
    if (!strcmp(op, "link"))
        return answer(r, ops->link(r->io, a, b));
    if (!strcmp(op, "syncdir"))
        return answer(r, ops->sync_dir(r->io, a));
    if (!strcmp(op, "list"))
        return step_list(r, a);
    if (!strcmp(op, "stats"))
        return step_stats(r, a, b);
    ck_assert_str_eq(op, "stat");
    rc = ops->stat(r->io, a, &st);
    if (rc < 0)
        return answer(r, rc);
    if (st.kind == FILEIO_DIR)
        return "dir";
    snprintf(r->answer, sizeof r->answer, "file %d", (int)st.size_bytes);
    return r->answer;
}

static const char *step_open(struct runner *r, const char *op, int slot, const char *path)
{
    int flags = !strcmp(op, "openw")     ? FILEIO_WRITE
                : !strcmp(op, "create")  ? FILEIO_WRITE | FILEIO_CREATE
                : !strcmp(op, "createx") ? FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE
                : !strcmp(op, "opendir") ? FILEIO_DIRECTORY
                                         : FILEIO_READ;
    int fd = r->io->ops->open(r->io, path, flags);

    if (fd >= 0)
        r->fds[slot] = fd;
    return answer(r, fd < 0 ? fd : 0);
}

static const char *step_read(struct runner *r, int fd, uint64_t pos, size_t len)
{
    ssize_t got = r->io->ops->pread(r->io, fd, r->answer, len, pos);

    if (got < 0)
        return answer(r, got);
    for (ssize_t i = 0; i < got; i++)
        if (r->answer[i] == '\0')
            r->answer[i] = '.';
    r->answer[got] = '\0';
    return r->answer;
}

static const char *step_file(struct runner *r, const char *op, int slot, const char *a,
                             const char *b)
{
    const struct fileio_ops *ops = r->io->ops;
    uint64_t n = strtoull(a, NULL, 10);
    int fd = r->fds[slot];
    struct iovec iov[2] = {{(void *)(uintptr_t)b, strlen(b) / 2},
                           {(void *)(uintptr_t)(b + strlen(b) / 2), strlen(b) - strlen(b) / 2}};
    uint64_t size = 0;
    int rc;

    if (!strcmp(op, "close")) {
        rc = ops->close(r->io, fd);
        return answer(r, rc);
    }
    if (!strcmp(op, "write"))
        return answer(r, ops->pwritev(r->io, fd, iov, 2, n));
    if (!strcmp(op, "read"))
        return step_read(r, fd, n, strtoull(b, NULL, 10));
    if (!strcmp(op, "trunc"))
        return answer(r, ops->truncate(r->io, fd, n));
    if (!strcmp(op, "alloc"))
        return answer(r, ops->fallocate(r->io, fd, n, strtoull(b, NULL, 10)));
    if (!strcmp(op, "writeback"))
        return answer(r, ops->start_writeback(r->io, fd, n, strtoull(b, NULL, 10)));
    if (!strcmp(op, "sync"))
        return answer(r, ops->fdatasync(r->io, fd));
    if (!strcmp(op, "syncfs"))
        return answer(r, ops->syncfs(r->io, fd));
    if (!strcmp(op, "lock"))
        return answer(r, ops->lock(r->io, fd));
    ck_assert_str_eq(op, "size");
    rc = ops->size(r->io, fd, &size);
    return answer(r, rc < 0 ? rc : (int64_t)size);
}

/* "operation [digit] a b" */
static const char *step_run(struct runner *r, const char *what)
{
    char text[128];
    char *save = text;
    char *op;
    char *word[3];

    snprintf(text, sizeof text, "%s", what);
    op = strsep(&save, " ");
    for (size_t i = 0; i < 3; i++) {
        word[i] = strsep(&save, " ");
        if (!word[i])
            word[i] = (char *)(uintptr_t) "";
    }
    if (!strncmp(op, "open", 4) || !strncmp(op, "create", 6))
        return step_open(r, op, word[0][0] - '0', word[1]);
    if (word[0][0] >= '0' && word[0][0] <= '9')
        return step_file(r, op, word[0][0] - '0', word[1], word[2]);
    return step_names(r, op, word[0], word[1]);
}

static void script_run(const struct script *s, struct fileio *io, const char *disk)
{
    struct runner r = {.io = io};

    for (const struct step *step = s->steps; step->what; step++) {
        const char *got = step_run(&r, step->what);

        ck_assert_msg(!strcmp(got, step->answer), "%s on the %s disk: `%s` gave %s, not %s",
                      s->name, disk, step->what, got, step->answer);
    }
}

START_TEST(memdisk_answers_as_the_table_says)
{
    struct memdisk *disk = memdisk_new();

    script_run(&scripts[_i], &disk->io, "in-memory");
    fileio_release(&disk->io);
}
END_TEST

/* Not directories, which it does not rename. */
START_TEST(overlay_answers_as_the_table_says)
{
    struct memdisk *disk = memdisk_new();
    struct fileio *io = overlay_new(&disk->io);

    if (strcmp(scripts[_i].name, "rename_of_directories") != 0)
        script_run(&scripts[_i], io, "overlaid");
    fileio_release(io);
    ck_assert_uint_eq(disk->tree.count, 1); /* the root */
    memdisk_free(disk);
}
END_TEST

static struct fileio *real_disk(char dir[TEMPORARY_MAX])
{
    struct fileio *io;

    temporary_make(dir, "fileio");
    ck_assert_int_eq(fileio_open(&io, dir, NULL), 0);
    return io;
}

static void real_disk_remove(struct fileio *io, const char *dir)
{
    fileio_release(io);
    temporary_remove(dir);
}

START_TEST(real_disk_answers_as_the_table_says)
{
    char dir[TEMPORARY_MAX];
    struct fileio *io = real_disk(dir);

    script_run(&scripts[_i], io, "real");
    real_disk_remove(io, dir);
}
END_TEST

/* -- what is built on the table -- */

START_TEST(write_all_goes_on_after_a_short_count)
{
    struct memdisk *disk = memdisk_new();
    struct iovec iov[3] = {{(char[]){"abc"}, 3}, {NULL, 0}, {(char[]){"defgh"}, 5}};
    char got[9] = {0};
    uint64_t done;
    int fd = disk->io.ops->open(&disk->io, "f", FILEIO_WRITE | FILEIO_CREATE);

    memdisk_set_fault(disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PWRITEV), .nth = 1});
    ck_assert_int_eq(fileio_write_all(&disk->io, fd, iov, 3, 1, &done), 0);
    ck_assert_uint_eq(done, 8);
    memdisk_set_fault(disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PREAD), .nth = 1});
    ck_assert_int_eq(fileio_read_all(&disk->io, fd, got, 8, 1), 0);
    ck_assert_str_eq(got, "abcdefgh");
    ck_assert_int_eq(fileio_read_all(&disk->io, fd, got, 8, 2), -ENODATA);
    memdisk_free(disk);
}
END_TEST

START_TEST(write_all_says_how_far_it_came_when_the_disk_is_full)
{
    struct memdisk *disk = memdisk_new();
    static char bytes[6000];
    struct iovec iov = {bytes, sizeof bytes};
    uint64_t done;
    int fd = disk->io.ops->open(&disk->io, "f", FILEIO_WRITE | FILEIO_CREATE);

    disk->room_bytes = 4096;
    ck_assert_int_eq(fileio_write_all(&disk->io, fd, &iov, 1, 0, &done), -ENOSPC);
    ck_assert_uint_eq(done, 4096);
    memdisk_free(disk);
}
END_TEST

START_TEST(read_file_has_a_cap)
{
    struct memdisk *disk = memdisk_new();
    char *data = NULL;
    size_t len = 7;
    int fd = disk->io.ops->open(&disk->io, "f", FILEIO_WRITE | FILEIO_CREATE);

    ck_assert_int_eq(fileio_write_bytes(&disk->io, fd, "12345", 5, 0), 0);
    ck_assert_int_eq(fileio_read_file(&disk->io, "g", 99, &data, &len), -ENOENT);
    ck_assert_int_eq(fileio_read_file(&disk->io, "f", 4, &data, &len), -EFBIG);
    ck_assert_ptr_null(data);
    ck_assert_uint_eq(len, 7);
    ck_assert_int_eq(fileio_read_file(&disk->io, "f", 5, &data, &len), 0);
    ck_assert_uint_eq(len, 5);
    ck_assert_str_eq(data, "12345");
    free(data);
    memdisk_free(disk);
}
END_TEST

/* Whichever call fails: the old file or the new one is there, and whole. */
START_TEST(replace_file_is_whole_when_any_call_fails)
{
    for (uint64_t nth = 1;; nth++) {
        struct memdisk *disk = memdisk_new();
        size_t len;
        char *data;
        int rc;

        ck_assert_int_eq(disk->io.ops->mkdir(&disk->io, "d"), 0);
        ck_assert_int_eq(fileio_replace_file(&disk->io, "d", ".f", "old", 3), 0);
        memdisk_set_fault(disk, (struct memfault){.calls = MEMCALL_ALL, .nth = nth, .error = -EIO});
        rc = fileio_replace_file(&disk->io, "d", ".f", "newer", 5);
        data = memdisk_file(disk, "d/.f", &len);
        ck_assert_ptr_nonnull(data);
        ck_assert(strcmp(data, rc < 0 ? "old" : "newer") == 0 || strcmp(data, "newer") == 0);
        free(data);
        ck_assert_uint_eq(memdisk_kill(disk), 0);
        if (disk->fault_hits == 0) {
            memdisk_free(disk);
            break;
        }
        memdisk_free(disk);
    }
}
END_TEST

START_TEST(no_path_leaves_the_real_disk)
{
    char dir[TEMPORARY_MAX];
    struct fileio *io = real_disk(dir);
    char path[TEMPORARY_MAX + 8];
    struct fileio_stat st;

    snprintf(path, sizeof path, "%s/link", dir);
    ck_assert_int_eq(symlink("/etc", path), 0);
    ck_assert_int_eq(io->ops->open(io, "link", FILEIO_READ), -ELOOP);
    ck_assert_int_eq(io->ops->open(io, "link/passwd", FILEIO_READ), -ELOOP);
    ck_assert_int_eq(io->ops->unlink(io, "link/passwd"), -ELOOP);
    ck_assert_int_eq(io->ops->stat_names(io, "link", &(const char *){"passwd"}, 1, &st), -ELOOP);
    ck_assert_int_eq(io->ops->open(io, "../x", FILEIO_WRITE | FILEIO_CREATE), -EXDEV);
    ck_assert_int_eq(io->ops->open(io, "/etc/passwd", FILEIO_READ), -EXDEV);
    real_disk_remove(io, dir);
}
END_TEST

START_TEST(open_of_a_missing_directory_says_which)
{
    struct fileio *io = NULL;
    struct err err;

    ck_assert_int_eq(fileio_open(&io, "/tmp/check_fileio.none", &err), -ENOENT);
    ck_assert_ptr_null(io);
    ck_assert_ptr_nonnull(strstr(err.text, "/tmp/check_fileio.none"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fileio");
    TCase *tc = tcase_create("fileio");
    int count = (int)(sizeof scripts / sizeof *scripts);

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, memdisk_answers_as_the_table_says, 0, count);
    tcase_add_loop_test(tc, overlay_answers_as_the_table_says, 0, count);
    tcase_add_loop_test(tc, real_disk_answers_as_the_table_says, 0, count);
    tcase_add_test(tc, write_all_goes_on_after_a_short_count);
    tcase_add_test(tc, write_all_says_how_far_it_came_when_the_disk_is_full);
    tcase_add_test(tc, read_file_has_a_cap);
    tcase_add_test(tc, replace_file_is_whole_when_any_call_fails);
    tcase_add_test(tc, no_path_leaves_the_real_disk);
    tcase_add_test(tc, open_of_a_missing_directory_says_which);
    return suite_run(suite);
}
