/*
 * tests/support/history: a topic with a long past, made without appending it.
 *
 * Its one partition has as many segments as wanted, each full of messages of
 * one length: zeros and a newline. What is zero is a hole, so that on a disk
 * that has holes a segment of any size takes up two blocks and another one for
 * each message. All of it is valid: `topicfs check` finds nothing.
 *
 * Message n is appended at begin_ms + n. Nothing is sealed by a link yet and
 * the store is left as a kill leaves it: the next start recovers.
 */
#ifndef TESTS_SUPPORT_HISTORY_H
#define TESTS_SUPPORT_HISTORY_H

#include <stdint.h>

#include "store/store.h"

struct history {
    uint64_t segments;
    uint64_t segment_bytes; /* of each .log: from 4096 to a GiB */
    uint32_t messages;      /* in each; segment_bytes is a multiple of it */
    uint64_t begin_ms;
};

/* In the store that these options open, which nobody uses. -EEXIST: it has such
 * a topic. */
int history_make(const struct store_options *options, const char *topic, const struct history *h,
                 struct err *err) MUST_CHECK;

#endif
