/*
 * store/repair: makes a partition whole again whose files are damaged, as far
 * as can be. Not for others; see check.h.
 *
 * Payload is never changed. What is made is made under a temporary name and
 * renamed, so that a crash leaves the old or the new; repairing again goes on
 * from there. The store is open, and recovered; it has to be opened again for
 * what was made to count.
 */
#ifndef STORE_REPAIR_H
#define STORE_REPAIR_H

#include <stdbool.h>

#include "store/check.h"
#include "store/inside.h"
#include "store/recover.h"

/*
 * Makes the files that a damaged partition lacks: a lost .log, from its link in
 * sealed/; a lost .idx, from what is left of it or from the lines of its .log; a
 * next segment, where the newest ends below what had been visible. *made:
 * something was made. What cannot be made is said (FOUND_NO_REPAIR).
 */
int repair_partition(struct partition *part, bool *made, struct err *err) MUST_CHECK;

/* -- reindex.c -- */
/* Makes the .idx of found segment i, which has none that is valid. ERR_DAMAGED,
 * with a sentence: it cannot be made. */
int repair_index(struct partition *part, const struct found *found, size_t i,
                 struct err *err) MUST_CHECK;

#endif
