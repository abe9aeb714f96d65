/* fs/read: see the header. */
#include "fs/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void gather_release(struct gather *g)
{
    for (int i = 0; i < g->count; i++) {
        free(g->copy[i]);
        if (g->held[i].seg)
            range_release(&g->held[i]);
    }
    g->count = 0;
    g->len = 0;
}

/* All of a range, by pread. A file that is shorter than the store says: -EIO. */
static int read_range(const struct range *range, char *to)
{
    uint64_t done = 0;

    while (done < range->len) {
        ssize_t n = pread(range->fd, to + done, range->len - done, (off_t)(range->pos + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

static void put(struct gather *g, const void *bytes, uint64_t len, char *copy,
                const struct range *held)
{
    g->copy[g->count] = copy;
    g->held[g->count] = held ? *held : (struct range){0};
    g->iov[g->count++] = (struct iovec){(void *)(uintptr_t)bytes, len};
    g->len += len;
}

void gather_borrow(struct gather *g, const void *bytes, uint64_t len)
{
    put(g, bytes, len, NULL, NULL);
}

int gather_add(struct gather *g, struct range *range)
{
    char *copy;
    int rc;

    if (range->bytes) {
        put(g, range->bytes, range->len, NULL, range);
        return 0;
    }
    copy = malloc(range->len ? range->len : 1);
    rc = copy ? read_range(range, copy) : -ENOMEM;
    if (rc == 0)
        put(g, copy, range->len, copy, NULL);
    else
        free(copy);
    range_release(range);
    return rc;
}

/* A gap begins at offset: rc is ERR_GONE, and it is not retention that passed. What
 * is before it is answered; the next read finds the gap. */
static bool at_gap(struct partition *part, uint64_t offset, int rc)
{
    return rc == ERR_GONE && offset > partition_first(part);
}

/* The last place is used for all that is left, copied. */
static int add_rest(struct gather *g, struct partition *part, uint64_t offset, uint64_t end,
                    uint64_t size)
{
    char *copy = malloc(size);
    uint64_t done = 0;
    int rc = copy ? 0 : -ENOMEM;

    while (rc == 0 && done < size && offset + done < end) {
        struct range range;

        rc = partition_range(part, offset + done, size - done, &range);
        if (at_gap(part, offset + done, rc)) {
            rc = 0; /* there are bytes before it, in the gather or here */
            break;
        }
        if (rc < 0)
            break;
        if (range.len > end - (offset + done))
            range.len = end - (offset + done);
        if (range.len > 0)
            rc = read_range(&range, copy + done);
        done += rc == 0 ? range.len : 0;
        range_release(&range);
        if (range.len == 0)
            break;
    }
    if (rc < 0 || done == 0) {
        free(copy);
        return rc;
    }
    put(g, copy, done, copy, NULL);
    return 0;
}

int gather_partition(struct gather *g, struct partition *part, uint64_t offset, uint64_t end,
                     uint64_t size)
{
    uint64_t visible = partition_visible_end(part);
    int rc = 0;

    if (end > visible)
        end = visible;
    if (offset >= end)
        return 0;
    if (size > end - offset)
        size = end - offset;
    while (size > 0 && rc == 0) {
        struct range range;

        if (g->count == GATHER_RANGES - 1)
            return add_rest(g, part, offset, end, size);
        rc = partition_range(part, offset, size, &range);
        if (at_gap(part, offset, rc) && g->len > 0)
            return 0;
        if (rc < 0)
            return rc;
        if (range.len == 0) {
            range_release(&range);
            break;
        }
        offset += range.len;
        size -= range.len;
        rc = gather_add(g, &range);
    }
    return rc;
}

int gather_segment(struct gather *g, struct segment *seg, uint64_t pos, uint64_t size)
{
    struct range range;
    int rc = segment_range(seg, pos, size, &range);

    if (rc < 0)
        return rc;
    if (range.len > 0)
        return gather_add(g, &range);
    range_release(&range);
    return 0;
}
