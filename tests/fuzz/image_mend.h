/* tests/fuzz/image_mend: see image.h. For image.c. */
#ifndef TESTS_FUZZ_IMAGE_MEND_H
#define TESTS_FUZZ_IMAGE_MEND_H

#include "tests/support/memdisk.h"

/* entries_left: how many of each .idx's last entries stay as they are. */
void image_mend(struct memdisk *disk, unsigned mend, unsigned entries_left);

#endif
