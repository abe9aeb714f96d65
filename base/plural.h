/*
 * base/plural: counts in sentences that people read: "1 message", "2 messages".
 *
 *     diag_say("%" PRIu64 " message%s", n, plural(n));
 */
#ifndef BASE_PLURAL_H
#define BASE_PLURAL_H

#include <stdint.h>

/* What a regular noun ends with, of which there are n. */
static inline const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

#endif
