/*
 * tests/support/listing: the names in a small directory, in their order.
 */
#ifndef TESTS_SUPPORT_LISTING_H
#define TESTS_SUPPORT_LISTING_H

#include <stddef.h>

#include "base/fileio.h"

struct listing {
    char names[16][64];
    size_t count;
};

/* 0, or the disk's error. Asserts that there is room for all. */
int listing_read(struct listing *l, struct fileio *io, const char *dir);

#endif
