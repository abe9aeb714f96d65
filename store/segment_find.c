/*
 * store/segment_find: looking things up in a segment's .idx. See segment.h.
 *
 * Fixed entries make every question a bisection over the file itself; the
 * last steps read one block of entries at once instead of one each.
 */
#include <errno.h>

#include "base/bytes.h"
#include "store/inside.h"

#define BLOCK_ENTRIES 256u

int segment_read_entries(struct segment *seg, uint64_t first, uint32_t n, uint8_t *out)
{
    return fileio_read_all(seg->part->store->io, seg->fd[SUFFIX_IDX], out,
                           (size_t)n * IDX_ENTRY_BYTES, IDX_HEADER_BYTES + first * IDX_ENTRY_BYTES);
}

int segment_read_entry(struct segment *seg, uint64_t i, struct idx_entry *e)
{
    uint8_t bytes[IDX_ENTRY_BYTES];
    int rc = segment_read_entries(seg, i, 1, bytes);

    if (rc == 0)
        *e = idx_entry_decode(bytes);
    return rc;
}

int segment_entry_start(struct segment *seg, uint64_t i, uint32_t *log_pos, uint32_t *meta_pos)
{
    struct idx_entry e = {0};
    int rc = i == 0 ? 0 : segment_read_entry(seg, i - 1, &e);

    if (rc == 0) {
        *log_pos = e.end;
        *meta_pos = e.meta_end;
    }
    return rc;
}

/* The field searched for: the end's position or the time; both never fall. */
static uint64_t key_of(const uint8_t entry[IDX_ENTRY_BYTES], bool by_time)
{
    struct idx_entry e = idx_entry_decode(entry);

    return by_time ? e.time_ms : e.end;
}

/* The first entry in [0, count) with key >= want. */
static int bisect(struct segment *seg, uint64_t count, bool by_time, uint64_t want, uint64_t *found)
{
    uint8_t block[BLOCK_ENTRIES * IDX_ENTRY_BYTES];
    uint64_t low = 0;
    uint64_t high = count;
    uint32_t n;
    int rc;

    while (high - low > BLOCK_ENTRIES) {
        uint64_t middle = low + (high - low) / 2;

        rc = segment_read_entries(seg, middle, 1, block);
        if (rc < 0)
            return rc;
        if (key_of(block, by_time) >= want)
            high = middle; /* the answer is middle or before it */
        else
            low = middle + 1;
    }
    n = (uint32_t)(high - low);
    rc = n > 0 ? segment_read_entries(seg, low, n, block) : 0;
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < n; i++, low++)
        if (key_of(block + (size_t)i * IDX_ENTRY_BYTES, by_time) >= want)
            break;
    *found = low;
    return 0;
}

int segment_entry_holding(struct segment *seg, uint64_t count, uint64_t pos, uint64_t *entry)
{
    return bisect(seg, count, false, pos + 1, entry);
}

int segment_entry_at_time(struct segment *seg, uint64_t count, uint64_t time_ms, uint64_t *entry)
{
    return bisect(seg, count, true, time_ms, entry);
}
