/*
 * Replaying the commit journal: any bytes in its two files.
 *
 * Input: an image (image.h) of .journal.0 and .journal.1. They belong to a
 * store that was killed; with bit 7 of the first byte, which mends
 * nothing here, to one that a power cut
 * took all from that only the journal had made durable.
 */
#include "store/format.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/recovered.h"
#include "tests/fuzz/small_store.h"

#define LAST    "t/0/00000000000000000014"
#define CUT_BIT 0x80u

static struct memtree killed;
static struct memtree cut;

static void cut_to(struct memdisk *disk, const char *path, uint64_t size)
{
    uint32_t ino = memdisk_lookup(disk, path);

    FUZZ_CHECK(ino != MEM_NONE, "%s is missing", path);
    memtree_resize(&disk->tree, ino, size);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct small_store s;

    (void)argc;
    (void)argv;
    small_store_begin(&s, NULL);
    small_store_open(&s);
    small_store_fill(&s);
    small_store_kill(&s);
    memtree_copy(&killed, &s.disk->tree);
    cut_to(s.disk, LAST ".log", 0);
    cut_to(s.disk, LAST ".idx", IDX_HEADER_BYTES);
    cut_to(s.disk, LAST ".meta", 0);
    memtree_copy(&cut, &s.disk->tree);
    small_store_end(&s);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memdisk *disk = memdisk_from(size > 0 && (data[0] & CUT_BIT) ? &cut : &killed);

    image_apply(disk, &image_of_journal, data, size);
    recovered_check(disk);
    return 0;
}
