/*
 * A partition of the store on the in-memory disk, for the programs that test
 * retention: four segments, [0, 8000) to [24000, 30000); message i is 1,000 bytes,
 * appended at second i.
 */
#ifndef TESTS_UNIT_RETAIN_FIXTURE_H
#define TESTS_UNIT_RETAIN_FIXTURE_H

#include "store/inside.h"
#include "tests/support/store_fixture.h"

#define BEGUN_MS    ((uint64_t)1000000) /* message 0 */
#define TEN_SECONDS "retention.ms=10000\n"

static struct fixture f;
static struct partition *part;

static inline void setup(void)
{
    fixture_mem(&f);
    f.options.retention_check_ms = 1000;
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    fixture_fill(&f, part);
}

static inline void teardown(void)
{
    fixture_end(&f);
}

/* A check at this time after message 0. */
static inline void check_at(uint64_t ms)
{
    f.clock.now_ms = BEGUN_MS + ms;
    f.store->retainer.next_ms = 0;
    fixture_work(&f);
}

static inline uint64_t first(void)
{
    return partition_first(part);
}

#endif
