/*
 * tests/support/left_store: a store that was killed, for tests that change what it left on
 * the disk and start again. Its topic t has a sealed segment and a last one, LEFT_LAST.
 */
#ifndef TESTS_SUPPORT_LEFT_STORE_H
#define TESTS_SUPPORT_LEFT_STORE_H

#include "tests/support/store_fixture.h"

/* The last segment's files, without their suffixes. */
#define LEFT_LAST "t/0/00000000000000008000"

/* Begins: a store on the real disk, open; partition 0 of t. */
struct partition *left_store_begin(struct fixture *f);
/* Something in each kind of file, and left-overs that a sweep would remove; then a kill. */
void left_store_kill(struct fixture *f, struct partition *part);
/* A start finds all of it, and goes on; partition 0 of t. */
struct partition *left_store_expect_fine(struct fixture *f);

#endif
