/*
 * tests/support/produce: sets with a producer. A message of producer 7, epoch 0,
 * sequence 3 is the line "7 0 3".
 */
#ifndef TESTS_SUPPORT_PRODUCE_H
#define TESTS_SUPPORT_PRODUCE_H

#include "tests/support/store_fixture.h"

/* Appends a set of so many messages; the answer of partition_append_at(). */
int produce(struct partition *part, const struct producer *p, uint32_t messages,
            struct appended *at, struct err *err);

/* Asserts that such a set stands where `at` says. */
void produce_expect_there(struct fixture *f, struct partition *part, const struct producer *p,
                          uint32_t messages, const struct appended *at);

/* A step of a table in words; to be freed. */
char *produce_where(const char *name, const char *between, int step, int rc, const struct err *err);

#endif
