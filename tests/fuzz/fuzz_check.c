/*
 * `topicfs check`, with and without --repair: any files in a partition.
 *
 * Input: an image (image.h) of t/0, as of fuzz_recover. What must hold:
 *   - A check changes nothing.
 *   - A store that it calls good, a start calls good, too.
 *   - What a repair calls repaired can be used again, and repairing it again
 *     changes nothing.
 *   - Neither takes away a byte of a sealed segment, or from below a slot.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/check.h"
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
    memtree_copy(&base, &s.disk->tree);
    small_store_end(&s);
    return 0;
}

static void say(void *arg, enum finding kind, const char *text)
{
    FUZZ_CHECK(text[0] && finding_advice(kind)[0], "a finding of kind %d without words", (int)kind);
    if (getenv("FUZZ_SAY"))
        fprintf(stderr, "%s: %s\n", (const char *)arg, text);
}

static void expect_same(const struct memdisk *a, const struct memdisk *b, const char *when)
{
    char why[600] = "";

    FUZZ_CHECK(memdisk_same(a, b, why, sizeof why), "%s: %s", when, why);
}

/* True: it was done to its end. */
static bool run(struct memdisk *disk, bool repair, struct check_result *result)
{
    const struct check_options options = {
        .io = &disk->io,
        .name = "store",
        .finder = {say, repair ? (void *)(uintptr_t) "repair" : (void *)(uintptr_t) "check"},
        .boot_id = "boot",
    };
    struct err err = {0};
    int rc = repair ? store_repair(&options, result, &err) : store_check(&options, result, &err);

    FUZZ_CHECK(memdisk_kill(disk) == 0, "descriptors are left open");
    FUZZ_CHECK(rc == 0 || err.text[0], "%d without a sentence", rc);
    if (rc < 0 && getenv("FUZZ_SAY"))
        fprintf(stderr, "not done: %d: %s\n", rc, err.text);
    return rc == 0;
}

/* A start finds no damage but what is noted: partitions that go on. */
static void expect_good(const struct memdisk *disk, bool noted, const char *when)
{
    struct partition_stat st = {0};
    struct small_store s;

    small_store_begin(&s, memdisk_from(&disk->tree));
    small_store_open(&s);
    FUZZ_CHECK(partition_stat(small_store_part(&s, "t", 0), &st) == 0, "%s: stat", when);
    FUZZ_CHECK(!st.failed, "%s, and a start finds: %s", when, st.why);
    FUZZ_CHECK(noted || st.damaged_runs == 0, "%s, and a start finds %u damaged runs", when,
               st.damaged_runs);
    small_store_end(&s);
}

static void check_repair(const struct memdisk *before)
{
    struct memdisk *disk = memdisk_from(&before->tree);
    struct memdisk *once;
    struct check_result result = {0};

    if (run(disk, true, &result)) {
        recovered_kept(before, disk);
        once = memdisk_from(&disk->tree);
        if (result.worst < FOUND_DAMAGE || result.repaired)
            expect_good(once, true, "repaired");
        (void)run(disk, true, &result); /* what is found twice over is noted as one */
        memdisk_free(once);
        once = memdisk_from(&disk->tree);
        (void)run(disk, true, &result);
        expect_same(once, disk, "repaired again");
        memdisk_free(once);
    }
    memdisk_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memdisk *before = memdisk_from(&base);
    struct memdisk *disk;
    struct check_result result = {0};

    image_apply(before, &image_of_partition, data, size);
    disk = memdisk_from(&before->tree);
    if (run(disk, false, &result) && result.worst < FOUND_DAMAGE)
        expect_good(before, result.findings[FOUND_KNOWN_DAMAGE] > 0, "checked and called good");
    expect_same(before, disk, "checked");
    memdisk_free(disk);
    check_repair(before);
    memdisk_free(before);
    return 0;
}
