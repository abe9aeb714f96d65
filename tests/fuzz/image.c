/* tests/fuzz/image: putting files on a disk, and taking them. See image.h;
 * mending is in image_mend.c. */
#include "tests/fuzz/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image_mend.h"

#define SIZE_BIT  0x80u
#define ZEROS_MIN 12u /* so many zeros are left out */

#define SEGMENT(base)                                                                 \
    "t/0/" base ".log", "t/0/" base ".idx", "t/0/" base ".meta", "t/0/" base ".prod", \
        "t/0/" base ".damaged"

static const char *const partition_paths[] = {
    SEGMENT("00000000000000000000"),     SEGMENT("00000000000000000006"),
    SEGMENT("00000000000000000014"),     SEGMENT("09223372036854775807"),
    SEGMENT("18446744073709551615"),     "t/0/.00000000000000000014.idx.tmp",
    "t/0/00000000000000000014.snapshot", "t/0/.00000000000000000006.damaged.tmp",
};
static const char *const root_paths[] = {".format", ".clean", ".lock", "t/.config"};
static const char *const journal_paths[] = {".journal.0", ".journal.1"};

#define PATHS(of)                     \
    {                                 \
        of, sizeof(of) / sizeof *(of) \
    }
const struct image_paths image_of_partition = PATHS(partition_paths);
const struct image_paths image_of_root = PATHS(root_paths);
const struct image_paths image_of_journal = PATHS(journal_paths);

/* -- putting -- */

static uint16_t take_u16(struct cursor *c)
{
    const uint8_t *bytes = cursor_take(c, 2);

    return bytes ? get_le16(bytes) : 0;
}

static void put(struct memdisk *disk, const char *path, const uint8_t *bytes, size_t len,
                uint16_t at, bool resize)
{
    struct fileio *io = &disk->io;
    int fd = io->ops->open(io, path, FILEIO_WRITE | FILEIO_CREATE);
    int rc = fd < 0 ? fd : 0;

    if (rc == 0 && resize)
        rc = io->ops->truncate(io, fd, at);
    else if (rc == 0 && len > 0)
        rc = fileio_write_bytes(io, fd, bytes, len, at);
    FUZZ_CHECK(rc == 0, "%s: %d", path, rc);
    io->ops->close(io, fd);
}

void image_apply(struct memdisk *disk, const struct image_paths *paths, const uint8_t *data,
                 size_t size)
{
    struct cursor c = cursor_over(data, size);
    uint8_t mend = cursor_u8(&c);
    uint8_t entries_left = cursor_u8(&c);
    uint64_t seen = 0; /* files that the image has named */

    while (cursor_left(&c) > 0) {
        uint8_t file = cursor_u8(&c);
        uint16_t at = take_u16(&c);
        uint16_t want = take_u16(&c);
        size_t len = want < cursor_left(&c) ? want : cursor_left(&c);
        size_t i = (file & ~SIZE_BIT) % paths->count;

        if (c.failed)
            break;
        if (!(seen & (uint64_t)1 << i))
            (void)disk->io.ops->unlink(&disk->io, paths->path[i]);
        seen |= (uint64_t)1 << i;
        if (file & SIZE_BIT)
            put(disk, paths->path[i], NULL, 0, at, true);
        else
            put(disk, paths->path[i], cursor_take(&c, len), len, at, false);
    }
    image_mend(disk, mend, entries_left);
}

/* -- taking -- */

static void section(struct buf *out, uint8_t file, size_t at, const char *bytes, size_t len)
{
    uint8_t head[5] = {file};
    int rc;

    put_le16(head + 1, (uint16_t)at);
    put_le16(head + 3, (uint16_t)len);
    rc = buf_add(out, head, sizeof head);
    if (rc == 0 && len > 0)
        rc = buf_add(out, bytes, len);
    FUZZ_CHECK(rc == 0, "out of memory");
}

/* How many of the bytes stand before the next zeros that are worth leaving out. */
static size_t run_length(const char *bytes, size_t len)
{
    size_t zeros = 0;

    for (size_t i = 0; i < len; i++) {
        zeros = bytes[i] ? 0 : zeros + 1;
        if (zeros == ZEROS_MIN)
            return i + 1 - zeros;
    }
    return len - zeros;
}

static void take_file(uint8_t file, const char *bytes, size_t len, struct buf *out)
{
    size_t at = 0;

    while (at < len) {
        size_t run = run_length(bytes + at, len - at);

        if (run > 0)
            section(out, file, at, bytes + at, run);
        at += run;
        while (at < len && !bytes[at])
            at++;
    }
    section(out, file | SIZE_BIT, len, NULL, 0);
}

void image_take(const struct memdisk *disk, const struct image_paths *paths, unsigned mend,
                struct buf *out)
{
    uint8_t head[2] = {(uint8_t)mend, 0};

    FUZZ_CHECK(buf_add(out, head, sizeof head) == 0, "out of memory");
    for (size_t i = 0; i < paths->count; i++) {
        size_t len;
        char *bytes = memdisk_file(disk, paths->path[i], &len);

        if (bytes && len <= UINT16_MAX)
            take_file((uint8_t)i, bytes, len, out);
        free(bytes);
    }
}
