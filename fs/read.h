/*
 * fs/read: bytes of the log gathered for one answer.
 *
 * Mapped bytes of segments go to writev(2) as they are, never copied and never
 * looked at: a file that somebody else truncates would be a SIGBUS here, but is
 * only an EFAULT there (the reader gets EIO). Where the disk has no mappings,
 * and beyond GATHER_RANGES segments in one answer, bytes are read into memory.
 *
 * A gather belongs to one thread. It holds its segments until it is released.
 */
#ifndef FS_READ_H
#define FS_READ_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "store/store.h"

#define GATHER_RANGES 16

struct gather {
    struct iovec iov[GATHER_RANGES];
    struct range held[GATHER_RANGES]; /* seg NULL: none */
    char *copy[GATHER_RANGES];        /* or: read into memory */
    int count;
    uint64_t len; /* of all */
};

void gather_release(struct gather *g);

/* Adds a range, which is the gather's then, also on failure. -ENOMEM, -EIO. */
int gather_add(struct gather *g, struct range *range) MUST_CHECK;

/* Adds bytes that outlive the gather. */
void gather_borrow(struct gather *g, const void *bytes, uint64_t len);

/* Adds visible bytes of a partition from offset on, below end and at most size.
 * They are as many as there are: across segments, up to a gap. ERR_GONE; -EIO. */
int gather_partition(struct gather *g, struct partition *part, uint64_t offset, uint64_t end,
                     uint64_t size) MUST_CHECK;

/* The same of one segment, from a position in it. */
int gather_segment(struct gather *g, struct segment *seg, uint64_t pos, uint64_t size) MUST_CHECK;

#endif
