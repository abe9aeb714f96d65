/*
 * tests/fuzz/image: the files of a store as a short run of bytes, so that a
 * fuzzer can change them.
 *
 * An image is two bytes of how to mend, then sections. A section is a file (u8,
 * a place in image_paths; bit 7: see below), a position (u16), a length (u16),
 * and so many bytes, which are put there; what lies between is zeros. With bit
 * 7 a section has no bytes, and the file gets the position as its size. All is
 * little-endian; the last section may be short.
 *
 * Mending is what lets a fuzzer through checksums: where asked to, it makes
 * those of the image hold for what the image says.
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "base/buf.h"
#include "tests/support/memdisk.h"

enum image_mend {
    MEND_HEADERS = 1, /* of .idx and the journals */
    MEND_BASES = 2,   /* an .idx header's base is that of its name */
    MEND_SLOTS = 4,
    MEND_ENTRIES = 8, /* but for the last ones, as many as the second byte says */
    MEND_RECORDS = 16,
    MEND_PARTS = 32, /* the entries in a record's parts */
    MEND_CLEAN = 64, /* the last line of .clean */
    MEND_PROD = 128,
};

/* Which files an image may give; what a target leaves out stands as it is. */
struct image_paths {
    const char *const *path;
    size_t count;
};
extern const struct image_paths image_of_partition; /* of t/0 */
extern const struct image_paths image_of_root;      /* .format .clean .lock t/.config */
extern const struct image_paths image_of_journal;

/* Puts the files of the image on the disk; one that it names replaces what was there. */
void image_apply(struct memdisk *disk, const struct image_paths *paths, const uint8_t *data,
                 size_t size);

/* The image that gives those of the files that the disk has; mend as its first bytes. */
void image_take(const struct memdisk *disk, const struct image_paths *paths, unsigned mend,
                struct buf *out);

#endif
