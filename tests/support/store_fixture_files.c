/* tests/support/store_fixture: reading and changing what a store left on the
 * disk, through the I/O table. See store_fixture.h. */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "tests/support/store_fixture.h"

static int open_file(struct fixture *f, const char *path, int flags)
{
    int fd = f->io->ops->open(f->io, path, flags);

    ck_assert_msg(fd >= 0, "%s: %s", path, err_sentence(fd));
    return fd;
}

static void close_file(struct fixture *f, int fd)
{
    ck_assert_int_eq(f->io->ops->close(f->io, fd), 0);
}

bool file_exists(struct fixture *f, const char *path)
{
    struct fileio_stat st;
    int rc = f->io->ops->stat(f->io, path, &st);

    ck_assert(rc == 0 || rc == -ENOENT);
    return rc == 0;
}

uint64_t file_size(struct fixture *f, const char *path)
{
    struct fileio_stat st;

    ck_assert_int_eq(f->io->ops->stat(f->io, path, &st), 0);
    return st.size_bytes;
}

char *file_read(struct fixture *f, const char *path, size_t *len)
{
    char *data;
    int rc = fileio_read_file(f->io, path, (size_t)1 << 30, &data, len);

    ck_assert_msg(rc == 0, "%s: %s", path, err_sentence(rc));
    return data;
}

void file_write_at(struct fixture *f, const char *path, uint64_t pos, const void *data, size_t len)
{
    int fd = open_file(f, path, FILEIO_WRITE | FILEIO_CREATE);

    ck_assert_int_eq(fileio_write_bytes(f->io, fd, data, len, pos), 0);
    close_file(f, fd);
}

void file_cut(struct fixture *f, const char *path, uint64_t size)
{
    int fd = open_file(f, path, FILEIO_WRITE | FILEIO_CREATE);

    ck_assert_int_eq(f->io->ops->truncate(f->io, fd, size), 0);
    close_file(f, fd);
}

void file_write(struct fixture *f, const char *path, const void *data, size_t len)
{
    file_cut(f, path, 0);
    file_write_at(f, path, 0, data, len);
}

void file_append(struct fixture *f, const char *path, const void *data, size_t len)
{
    file_write_at(f, path, file_size(f, path), data, len);
}

void file_flip(struct fixture *f, const char *path, uint64_t pos)
{
    int fd = open_file(f, path, FILEIO_WRITE);
    uint8_t byte;

    ck_assert_int_eq(fileio_read_all(f->io, fd, &byte, 1, pos), 0);
    byte ^= 0x40;
    ck_assert_int_eq(fileio_write_bytes(f->io, fd, &byte, 1, pos), 0);
    close_file(f, fd);
}

void file_remove(struct fixture *f, const char *path)
{
    int rc = f->io->ops->unlink(f->io, path);

    ck_assert_msg(rc == 0, "%s: %s", path, err_sentence(rc));
}

void dir_make(struct fixture *f, const char *path)
{
    ck_assert_int_eq(f->io->ops->mkdir(f->io, path), 0);
}

/* -- the whole tree -- */

struct names {
    char name[4096][256];
    bool is_dir[4096], is_file[4096];
    size_t count;
};

static int add_name(void *arg, const char *name, enum fileio_kind kind)
{
    struct names *n = arg;

    ck_assert_uint_lt(n->count, 4096);
    snprintf(n->name[n->count], sizeof n->name[0], "%s", name);
    n->is_dir[n->count] = kind == FILEIO_DIR;
    n->is_file[n->count++] = kind == FILEIO_FILE;
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void tree_add(struct fixture *f, const char *dir, char **lines, size_t *count)
{
    struct names *n = calloc(1, sizeof *n);

    ck_assert_ptr_nonnull(n);
    ck_assert_int_eq(f->io->ops->list(f->io, dir, add_name, n), 0);
    for (size_t i = 0; i < n->count; i++) {
        char path[1024];
        uint32_t crc = 0;
        size_t len = 0;

        snprintf(path, sizeof path, "%.700s%s%.255s", dir, *dir ? "/" : "", n->name[i]);
        if (n->is_file[i] && strcmp(path, ".lock") != 0) {
            char *data = file_read(f, path, &len);

            crc = crc32c_extend(0, data, len);
            free(data);
        }
        ck_assert_uint_lt(*count, 8192);
        ck_assert_int_gt(asprintf(&lines[(*count)++], "%s%s %zu %08" PRIx32 "\n", path,
                                  n->is_dir[i] ? "/" : "", len, crc),
                         0);
        if (n->is_dir[i])
            tree_add(f, path, lines, count);
    }
    free(n);
}

char *tree_text(struct fixture *f)
{
    char **lines = calloc(8192, sizeof *lines);
    struct buf text = {0};
    size_t count = 0;

    ck_assert_ptr_nonnull(lines);
    tree_add(f, "", lines, &count);
    qsort(lines, count, sizeof *lines, by_text);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(buf_add(&text, lines[i], strlen(lines[i])), 0);
        free(lines[i]);
    }
    free(lines);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    return text.data;
}

void tree_unchanged(struct fixture *f, char *before)
{
    char *after = tree_text(f);

    ck_assert_str_eq(after, before);
    free(after);
    free(before);
}

/* -- .idx files -- */

void idx_set_slot(struct fixture *f, const char *path, uint64_t base, uint64_t end)
{
    uint8_t bytes[IDX_SLOT_BYTES] = {0};
    struct idx_slot slot = {end, 1};

    for (int i = 0; i < 2; i++)
        file_write_at(f, path, IDX_SLOT_AT(i), bytes, sizeof bytes);
    if (end == base)
        return;
    idx_slot_encode(bytes, &slot, base);
    file_write_at(f, path, IDX_SLOT_AT(1), bytes, sizeof bytes);
}

uint64_t idx_slot_end(struct fixture *f, const char *path, uint64_t base)
{
    size_t len;
    char *data = file_read(f, path, &len);
    struct idx_slot slot;

    ck_assert_uint_ge(len, IDX_HEADER_BYTES);
    slot = idx_slot_choose((uint8_t *)data, base);
    free(data);
    return slot.end;
}
