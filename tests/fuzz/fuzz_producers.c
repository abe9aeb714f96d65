/*
 * What is kept of producers: a .meta record's producer, and .prod.
 *
 * Input: a byte whose bit 0 says which; bit 1, that the checksum of the .prod is
 * made to hold; then the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/format.h"
#include "store/producers.h"
#include "tests/fuzz/fuzz.h"

#define BASE   ((uint64_t)1 << 40) /* of the segment that the .prod belongs to */
#define NUMBER ((uint64_t)1 << 32)

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static void decode_record(const uint8_t *data, size_t len)
{
    struct producer p = {-1, -1, -1};
    struct producer shorter;
    int rc = meta_producer_decode(data, len, &p);

    FUZZ_CHECK(rc == 1 || rc == 0 || rc == ERR_TORN, "record: %d", rc);
    FUZZ_CHECK(rc != 1 || (len > META_PRODUCER_BYTES && (data[0] & META_PRODUCER)),
               "a producer in a record of %zu bytes", len);
    /* Where it stands is the beginning: what follows says nothing. */
    for (size_t n = 0; rc == 1 && n < len; n++)
        if (meta_producer_decode(data, n, &shorter) == 1)
            FUZZ_CHECK(shorter.id == p.id && shorter.epoch == p.epoch &&
                           shorter.sequence == p.sequence,
                       "another producer in the first %zu bytes", n);
}

/* What was decoded is encoded and decoded again: the same bytes come out. A set of it that is
 * sent again is found. */
static void decode_prod(const uint8_t *data, size_t len)
{
    struct producers *first = producers_new();
    struct producers *again = producers_new();
    struct buf once = {0};
    struct buf twice = {0};
    int rc;

    FUZZ_CHECK(first && again, "out of memory");
    rc = producers_decode(first, data, len, BASE, NUMBER);
    FUZZ_CHECK(rc == 0 || rc == ERR_TORN || rc == ERR_NEWER_FORMAT, "decode: %d", rc);
    FUZZ_CHECK(rc == 0 || producers_count(first) == 0, "refused, and something is known");
    FUZZ_CHECK(producers_encode(first, 0, &once) == 0, "encode");
    FUZZ_CHECK((once.len == 0) == (producers_count(first) == 0), "nobody is written");
    if (once.len > 0) {
        FUZZ_CHECK(producers_decode(again, once.data, once.len, BASE, NUMBER) == 0,
                   "what was encoded is refused");
        FUZZ_CHECK(producers_encode(again, 0, &twice) == 0, "encode");
        FUZZ_CHECK(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0,
                   "encoded and decoded, and it is another");
    }
    producers_free(first);
    producers_free(again);
    buf_release(&once);
    buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes;

    if (size == 0)
        return 0;
    if (data[0] & 1) {
        decode_record(data + 1, size - 1);
        return 0;
    }
    bytes = malloc(size);
    FUZZ_CHECK(bytes, "out of memory");
    memcpy(bytes, data + 1, size - 1);
    if ((data[0] & 2) && size > 4)
        put_le32(bytes + size - 5, crc32c_extend(0, bytes, size - 5));
    decode_prod(bytes, size - 1);
    free(bytes);
    return 0;
}
