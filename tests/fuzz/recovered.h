/*
 * tests/fuzz/recovered: what must hold of a store whatever its files were.
 */
#ifndef TESTS_FUZZ_RECOVERED_H
#define TESTS_FUZZ_RECOVERED_H

#include "tests/support/memdisk.h"

/*
 * Opens the store on this disk, which it takes over, and checks with FUZZ_CHECK:
 *   - A store that is refused is as it was.
 *   - Of one that opens every partition can be read to its end, as bytes and as
 *     messages; listings end; what is visible stands in order.
 *   - What was below a durable slot, or sealed, has the bytes it had.
 *   - What was above the slot and is shown now has checksums that hold.
 *   - After a kill the next start shows the same and changes nothing.
 *   - A line can be appended, and is there after another kill; or the partition
 *     says that it has failed. A clean stop and start shows the same, too.
 */
void recovered_check(struct memdisk *disk);

/* What a repair of `before` made: it opens, and no byte of a message that was below a
 * durable slot, or sealed, is another. */
void recovered_kept(const struct memdisk *before, const struct memdisk *after);

/* Opens it, likewise, and reads all that it shows; goes on where it can. */
void recovered_survive(struct memdisk *disk);

#endif
