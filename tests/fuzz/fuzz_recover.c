/*
 * Opening and recovering a store: any files in a partition.
 *
 * Input: an image (image.h) of t/0. The store's own files and t's settings are
 * those of a good store that was killed; there is no journal.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/recovered.h"
#include "tests/fuzz/small_store.h"

static struct memtree base;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct small_store s;

    (void)argc;
    (void)argv;
    small_store_begin(&s, NULL);
    small_store_open(&s);
    small_store_topic(&s, "t", SMALL_TOPIC);
    small_store_kill(&s);
    (void)s.disk->io.ops->unlink(&s.disk->io, "t/0/00000000000000000000.log");
    (void)s.disk->io.ops->unlink(&s.disk->io, "t/0/00000000000000000000.idx");
    (void)s.disk->io.ops->unlink(&s.disk->io, ".journal.0");
    (void)s.disk->io.ops->unlink(&s.disk->io, ".journal.1");
    memtree_copy(&base, &s.disk->tree);
    small_store_end(&s);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memdisk *disk = memdisk_from(&base);

    image_apply(disk, &image_of_partition, data, size);
    recovered_check(disk);
    return 0;
}
