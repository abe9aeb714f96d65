/*
 * store/view: a segment held open for a reader, and what it may see of it. Not
 * for others; in read.c, used by find.c too.
 *
 * A reader takes the visible end once (view_mark), and sees everything as of
 * then, whatever is appended or rolled meanwhile.
 *
 * Threads: any, each with views of its own; a view holds no lock.
 */
#ifndef STORE_VIEW_H
#define STORE_VIEW_H

#include "store/inside.h"

/* To be ended with segment_unuse(seg). */
struct view {
    struct segment *seg;
    uint64_t end;   /* offset: nothing above it */
    uint64_t count; /* messages below end */
    uint64_t last_ms;
    bool sealed;
};

void view_mark(struct partition *part, struct mark *m);
/* The place of the last segment with base <= offset; partition.lock held. */
size_t view_index(const struct partition *part, uint64_t offset);
/* Segment i. partition.lock is held before and not after. */
int view_of(struct partition *part, size_t i, const struct mark *visible,
            struct view *v) MUST_CHECK;
/* The segment that holds `offset`. ERR_GONE (a gap holds it, too), ERR_OUT_OF_RANGE;
 * -ENOENT, ERR_DAMAGED: its files cannot be opened. */
int view_at(struct partition *part, uint64_t offset, const struct mark *visible,
            struct view *v) MUST_CHECK;
/* The first gap that ends above `offset`, of those below the mark. */
bool view_gap(struct partition *part, uint64_t offset, const struct mark *visible, struct gap *g);

#endif
