/*
 * What stands in a store's root, and a topic's settings: any bytes in .format,
 * .clean, .lock, t/.config.
 *
 * Input: an image (image.h) of these. They belong to a store that was stopped
 * cleanly; a .clean whose checksum holds is believed, so what it says about the
 * segments may be wrong: nothing is asked of what is read then, but that it ends.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/recovered.h"
#include "tests/fuzz/small_store.h"

static struct memtree stopped;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct small_store s;
    struct err err;

    (void)argc;
    (void)argv;
    small_store_begin(&s, NULL);
    small_store_open(&s);
    small_store_fill(&s);
    FUZZ_CHECK(store_close(s.store, &err) == 0, "%s", err.text);
    s.store = NULL;
    memtree_copy(&stopped, &s.disk->tree);
    small_store_end(&s);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memdisk *disk = memdisk_from(&stopped);
    bool forged = size > 0 && (data[0] & MEND_CLEAN);

    image_apply(disk, &image_of_root, data, size);
    if (forged)
        recovered_survive(disk);
    else
        recovered_check(disk);
    return 0;
}
