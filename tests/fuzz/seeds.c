/*
 * tests/fuzz/seeds: makes the first files of the corpora of those targets that
 * read images of a store, from stores with a history. For when a format has
 * changed:
 *
 *   seeds DIRECTORY        into DIRECTORY/recover, /journal and /root
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/small_store.h"

#define MEND_ALL 0x7fu
#define CUT      0x80u /* of fuzz_journal: the power was cut */

static const char *corpora;

static void seed(const struct memdisk *disk, const struct image_paths *paths, const char *target,
                 const char *name, unsigned mend)
{
    struct buf image = {0};
    char path[600];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", corpora, target);
    FUZZ_CHECK(mkdir(path, 0777) == 0 || errno == EEXIST, "%s: %s", path, strerror(errno));
    snprintf(path, sizeof path, "%s/%s/%s", corpora, target, name);
    image_take(disk, paths, mend, &image);
    file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(image.data, 1, image.len, file) == image.len && fclose(file) == 0,
               "%s: cannot be written", path);
    buf_release(&image);
}

static void seeds_of(struct small_store *s, const char *name)
{
    seed(s->disk, &image_of_partition, "recover", name, 0);
    seed(s->disk, &image_of_journal, "journal", name, 0);
    seed(s->disk, &image_of_root, "root", name, 0);
}

static void stop(struct small_store *s)
{
    struct err err;

    FUZZ_CHECK(store_close(s->store, &err) == 0, "%s", err.text);
    s->store = NULL;
}

static void torn_seed(const struct small_store *s, const char *name, const char *path,
                      uint64_t size)
{
    struct memdisk *torn = memdisk_from(&s->disk->tree);

    memtree_resize(&torn->tree, memdisk_lookup(torn, path), size);
    seed(torn, &image_of_partition, "recover", name, 0);
    memdisk_free(torn);
}

static void produce(struct partition *part, int64_t id, int32_t sequence)
{
    const struct producer producer = {.id = id, .epoch = 1, .sequence = sequence};
    const struct message m = {.value = "p", .value_len = 1};
    struct appended at;
    struct set set;

    set_init(&set);
    FUZZ_CHECK(set_producer(&set, &producer) == 0 && set_add_message(&set, &m) == 0 &&
                   partition_append_at(part, &set, &at, NULL) == 0,
               "produce");
    set_release(&set);
}

/* Segments that begin where the images have names for them: 0, 6, 14. */
static void gaps_and_producers(void)
{
    struct small_store s;
    struct partition *part;

    small_store_begin(&s, NULL);
    small_store_open(&s);
    small_store_topic(&s, "t", SMALL_TOPIC);
    part = small_store_part(&s, "t", 0);
    for (int32_t i = 0; i < 3; i++)
        produce(part, 7 + i % 2, i / 2);
    s.clock.now_ms += 2000;
    for (int32_t i = 0; i < 3; i++) /* [6, 12) in a segment with a .prod */
        produce(part, 9, i);
    FUZZ_CHECK(partition_skip_to(part, 14, 8, NULL) == 0, "gap");
    produce(part, 9, 3);
    produce(part, 10, 0);
    small_store_flush(&s);
    produce(part, 10, 1);
    small_store_flush(&s);
    small_store_kill(&s);
    seeds_of(&s, "gap_and_producers");
    seed(s.disk, &image_of_partition, "recover", "gap_and_producers_mended", MEND_ALL | MEND_PROD);
    small_store_end(&s);
}

int main(int argc, char **argv)
{
    struct small_store s;
    uint64_t offset;

    if (argc != 2) {
        fprintf(stderr, "usage: seeds DIRECTORY\n");
        return 2;
    }
    corpora = argv[1];
    small_store_begin(&s, NULL);
    small_store_open(&s);
    small_store_topic(&s, "t", SMALL_TOPIC);
    small_store_kill(&s);
    seeds_of(&s, "a_new_topic");
    small_store_end(&s);

    small_store_begin(&s, NULL);
    small_store_open(&s);
    small_store_fill(&s);
    small_store_kill(&s);
    seeds_of(&s, "killed");
    seed(s.disk, &image_of_partition, "recover", "killed_mended", MEND_ALL);
    seed(s.disk, &image_of_journal, "journal", "killed_mended", MEND_ALL);
    seed(s.disk, &image_of_journal, "journal", "power_cut", CUT);
    seed(s.disk, &image_of_journal, "journal", "power_cut_mended", CUT | MEND_ALL);
    torn_seed(&s, "torn_log", "t/0/00000000000000000014.log", 9);
    torn_seed(&s, "torn_idx", "t/0/00000000000000000014.idx", 4096 + 16 + 7);
    torn_seed(&s, "torn_meta", "t/0/00000000000000000014.meta", 3);
    torn_seed(&s, "short_sealed_log", "t/0/00000000000000000006.log", 2);
    torn_seed(&s, "short_sealed_idx", "t/0/00000000000000000000.idx", 4096 + 16);
    torn_seed(&s, "no_header", "t/0/00000000000000000014.idx", 100);

    gaps_and_producers();
    small_store_open(&s);
    stop(&s);
    seeds_of(&s, "stopped");
    seed(s.disk, &image_of_root, "root", "stopped_mended", MEND_ALL);
    small_store_open(&s);
    for (int i = 0; i < 40; i++) {
        FUZZ_CHECK(small_store_append(small_store_part(&s, "t", 0), "turn\n", &offset) == 0,
                   "turn");
        small_store_flush(&s);
    }
    small_store_kill(&s);
    seeds_of(&s, "turned");
    seed(s.disk, &image_of_journal, "journal", "turned_mended", MEND_ALL);
    small_store_end(&s);
    return 0;
}
