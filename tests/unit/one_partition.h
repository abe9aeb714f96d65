/*
 * A store on the in-memory disk with one partition, t/0, whose segments are soon
 * full: the fixture of programs that need no more.
 */
#ifndef TESTS_UNIT_ONE_PARTITION_H
#define TESTS_UNIT_ONE_PARTITION_H

#include "tests/support/store_fixture.h"

static struct fixture f;
static struct partition *part;

static inline void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
}

static inline void teardown(void)
{
    fixture_end(&f);
}

#endif
