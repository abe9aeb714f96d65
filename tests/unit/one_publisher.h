/*
 * A publisher of a topic with one partition, in the fake store: the fixture of those
 * programs that test publishing.
 */
#ifndef TESTS_UNIT_ONE_PUBLISHER_H
#define TESTS_UNIT_ONE_PUBLISHER_H

#include "base/diag.h"
#include "fs/publish.h"
#include "tests/unit/fake_store.h"

static struct topic *topic;
static struct publisher *pub; /* a test that releases it makes it NULL */

static inline void open_one(void)
{
    diag_silence(true);
    topic = fake_topic(1);
    ck_assert_int_eq(publisher_open(&pub, topic, -1), 0);
}

static inline void close_one(void)
{
    if (pub)
        publisher_release(pub);
    fake_free(topic);
}

static inline ssize_t put(struct publisher *p, const char *text)
{
    return publisher_write(p, text, strlen(text));
}

#endif
