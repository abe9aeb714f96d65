/* tests/support/listing: see listing.h. */
#include "tests/support/listing.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_name(void *arg, const char *name, enum fileio_kind kind)
{
    struct listing *l = arg;

    (void)kind;
    ck_assert_uint_lt(l->count, sizeof l->names / sizeof l->names[0]);
    ck_assert_uint_lt(strlen(name), sizeof l->names[0]);
    strcpy(l->names[l->count++], name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int listing_read(struct listing *l, struct fileio *io, const char *dir)
{
    int rc;

    l->count = 0;
    rc = io->ops->list(io, dir, add_name, l);
    qsort(l->names, l->count, sizeof l->names[0], by_name);
    return rc;
}
