/* tests/support/powercut_inside: what powercut.c and powercut_build.c share. */
#ifndef TESTS_SUPPORT_POWERCUT_INSIDE_H
#define TESTS_SUPPORT_POWERCUT_INSIDE_H

#include "tests/support/powercut.h"

bool powercut_changes_size(const struct memop *op);
/* Puts sector number i of a write or truncation to its place. */
void powercut_put(struct memtree *t, const struct memop *op, size_t i);
/* How many sectors of it have to be looked at. */
size_t powercut_sectors(const struct memtree *t, const struct memop *op);
void powercut_do_name(struct memtree *t, const struct memop *op);
/* Rule 12. */
void powercut_drop_unreachable(struct memtree *t);

#endif
