/*
 * store/clean: .clean as a start finds it. Believed: nothing is recovered.
 * Not believed, for whatever reason: recovery, which finds everything.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "store/inside.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;

static void setup(void)
{
    fixture_real(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", "partitions=2\n");
    fixture_append(part, "one\ntwo\n");
}

static void teardown(void)
{
    fixture_end(&f);
}

/* Whether a start recovered: only then is a left-over removed. */
static bool recovered(void)
{
    bool swept;

    dir_make(&f, ".new.probe");
    fixture_open(&f);
    swept = !file_exists(&f, ".new.probe");
    part = fixture_part(&f, "t", 0);
    fixture_expect(&f, part, "one\ntwo\n");
    ck_assert_int_eq(partition_find(part, 4), 0);
    ck_assert_uint_eq(fixture_append(part, "more\n"), 8);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_expect(&f, part, "one\ntwo\nmore\n");
    return swept;
}

/* -- the text -- */

START_TEST(clean_is_as_the_format_says)
{
    char want[200];
    size_t len;
    char *text;
    int n = snprintf(want, sizeof want,
                     "16 0 0 0 8 4128 0 8 2 1000000\n"
                     "16 1 0 0 0 4096 0 0 0 0\n");

    snprintf(want + n, sizeof want - (size_t)n, "crc32c %08" PRIx32 "\n",
             crc32c_extend(0, want, (size_t)n));
    fixture_close(&f);
    text = file_read(&f, ".clean", &len);
    ck_assert_str_eq(text, want);
    free(text);
}
END_TEST

START_TEST(clean_counts_segments_and_meta)
{
    size_t len;
    char *text;
    struct partition *s =
        fixture_topic(&f, "s", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4096\n");

    for (int i = 0; i < 5; i++)
        fixture_append_bytes(s, 2999, 'x');
    fixture_append_key(s, "key", "v");
    fixture_close(&f);
    text = file_read(&f, ".clean", &len);
    ck_assert_ptr_nonnull(strstr(text, "\n17 0 0 12000 3002 4128 5 15002 6 0\n"));
    free(text);
}
END_TEST

/* -- believed -- */

START_TEST(open_clean_recovers_nothing)
{
    fixture_close(&f);
    ck_assert(!recovered());
}
END_TEST

START_TEST(open_clean_is_unlinked_before_the_first_write)
{
    fixture_close(&f);
    fixture_open(&f);
    ck_assert(file_exists(&f, ".clean"));
    part = fixture_part(&f, "t", 0);
    fixture_expect(&f, part, "one\ntwo\n");
    ck_assert(file_exists(&f, ".clean")); /* reading is not writing */
    fixture_append(part, "x\n");
    ck_assert(!file_exists(&f, ".clean"));
}
END_TEST

START_TEST(open_clean_is_unlinked_before_a_topic_is_made_removed_or_changed)
{
    struct topic *topic;
    struct err err;

    fixture_topic(&f, "empty", "");
    for (int i = 0; i < 4; i++) {
        fixture_reopen(&f);
        ck_assert(file_exists(&f, ".clean"));
        topic = store_topic_find(f.store, "t");
        if (i == 0)
            ck_assert_int_eq(topic_configure(topic, "flush.ms=1\n", 11, &err), 0);
        if (i == 1)
            ck_assert_int_eq(topic_set_access(topic, 0700, -1, -1, &err), 0);
        if (i == 2)
            fixture_topic(&f, "new", "");
        if (i == 3)
            ck_assert_int_eq(store_topic_remove(f.store, "empty", &err), 0);
        topic_put(topic);
        ck_assert(!file_exists(&f, ".clean"));
    }
}
END_TEST

START_TEST(open_clean_and_stop_without_a_write_keeps_it)
{
    char *tree;

    fixture_close(&f);
    tree = tree_text(&f);
    for (int i = 0; i < 3; i++) {
        fixture_open(&f);
        fixture_close(&f);
    }
    tree_unchanged(&f, tree);
}
END_TEST

START_TEST(open_clean_and_kill_without_a_write_is_still_clean)
{
    fixture_close(&f);
    fixture_open(&f);
    fixture_kill(&f);
    ck_assert(!recovered());
}
END_TEST

START_TEST(open_clean_with_some_partitions_never_loaded)
{
    fixture_append(fixture_part(&f, "t", 1), "other\n");
    fixture_reopen(&f);
    fixture_append(fixture_part(&f, "t", 1), "again\n");
    fixture_close(&f); /* partition 0 was not looked at in this life */
    ck_assert(!recovered());
    fixture_expect(&f, fixture_part(&f, "t", 1), "other\nagain\n");
}
END_TEST

START_TEST(stop_of_os_topics_flushes_them)
{
    struct partition *os = fixture_topic(&f, "os", "flush.sync=os\n");

    fixture_append(os, "one\n");
    fixture_close(&f);
    ck_assert_uint_eq(idx_slot_end(&f, "os/0/00000000000000000000.idx", 0), 4);
    ck_assert_uint_eq(idx_slot_end(&f, SEG0_IDX, 0), 8);
    ck_assert(!recovered());
}
END_TEST

/* Times are not in .clean: they are learned from the .idx. */
START_TEST(open_clean_goes_on_with_the_time_of_the_last_message)
{
    struct partition_stat st;
    uint64_t offset;

    f.clock.now_ms += 50000;
    fixture_append(part, "three\n");
    fixture_close(&f);
    f.clock.now_ms -= 30000;
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    fixture_append(part, "four\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.last_ms, 1050000);
    ck_assert_int_eq(partition_find_time(part, 1050000, &offset), 0);
    ck_assert_uint_eq(offset, 8);
}
END_TEST

/* -- not believed -- */

START_TEST(open_clean_with_any_flipped_byte)
{
    size_t len;
    char *text;

    fixture_close(&f);
    text = file_read(&f, ".clean", &len);
    for (size_t i = (size_t)_i; i < len; i += 8) {
        file_write(&f, ".clean", text, len);
        file_flip(&f, ".clean", i);
        dir_make(&f, ".new.probe");
        fixture_open(&f);
        ck_assert_msg(!file_exists(&f, ".new.probe"), "byte %zu", i);
        fixture_kill(&f);
    }
    free(text);
    ck_assert(recovered());
}
END_TEST

START_TEST(open_clean_cut_short)
{
    fixture_close(&f);
    file_cut(&f, ".clean", (uint64_t)_i * 11);
    ck_assert(recovered());
}
END_TEST

/* Text that .clean's CRC holds for, but that is not this store's. */
static const char *const lies[] = {
    "",
    "16 0 0 0 8 4128 0 8 2 0\n",                          /* a partition is missing */
    "16 0 0 0 8 4128 0 8 2 0\n16 0 0 0 8 4128 0 8 2 0\n", /* one twice */
    "16 0 0 0 8 4128 0 8 2 0\n16 2 0 0 0 4096 0 0 0 0\n", /* one there is not */
    "16 0 0 0 8 4128 0 8 2 0\n17 1 0 0 0 4096 0 0 0 0\n", /* of no topic */
    "16 0 0 0 8 4128 0 8 2 0\n16 1 0 0 0 4096 0 0 0 0\n16 2 0 0 0 4096 0 0 0 0\n",
    "16 0 0 0 8 4128 0 8 2 0\n16 1 0 0 0 4096 0 0 0\n",     /* a field is missing */
    "16 0 0 0 8 4128 0 8 2 0\n16 1 0 0 0 4096 0 0 0 0 0\n", /* one too many */
    "16 0 0 0 8 4128 0 8 2 0\n16 1 0 0 0 4096 0 0 0 x\n",
    "16 0 0 0 8 4128 0 8  2 0\n16 1 0 0 0 4096 0 0 0 0\n",
    "16 0 0 0 8 4128 0 8 2 0\n\n16 1 0 0 0 4096 0 0 0 0\n",
    "16 0 0 0 9 4128 0 8 2 0\n16 1 0 0 0 4096 0 0 0 0\n", /* sizes */
    "16 0 0 0 8 4127 0 8 2 0\n16 1 0 0 0 4096 0 0 0 0\n",
    "16 0 0 0 8 4128 1 8 2 0\n16 1 0 0 0 4096 0 0 0 0\n",
    "16 0 0 5 8 4128 0 8 2 0\n16 1 0 0 0 4096 0 0 0 0\n", /* no such segment */
    "4294967312 0 0 0 8 4128 0 8 2 0\n16 1 0 0 0 4096 0 0 0 0\n",
    "16 4294967296 0 0 8 4128 0 8 2 0\n16 1 0 0 0 4096 0 0 0 0\n",
};

START_TEST(open_clean_that_does_not_agree_with_the_store)
{
    char text[300];
    int n = snprintf(text, sizeof text, "%s", lies[_i]);

    n += snprintf(text + n, sizeof text - (size_t)n, "crc32c %08" PRIx32 "\n",
                  crc32c_extend(0, text, (size_t)n));
    fixture_close(&f);
    file_write(&f, ".clean", text, (size_t)n);
    ck_assert(recovered());
}
END_TEST

START_TEST(open_clean_with_a_log_that_grew)
{
    fixture_close(&f);
    file_append(&f, SEG0_LOG, "x", 1);
    ck_assert(recovered());
}
END_TEST

START_TEST(open_clean_with_an_idx_that_shrank)
{
    fixture_close(&f);
    file_cut(&f, SEG0_IDX, ENTRY_AT(1));
    dir_make(&f, ".new.probe");
    fixture_open(&f);
    ck_assert(!file_exists(&f, ".new.probe"));
    ck_assert(partition_failed(fixture_part(&f, "t", 0)));
}
END_TEST

START_TEST(open_clean_with_a_partition_removed)
{
    fixture_close(&f);
    file_remove(&f, "t/1/00000000000000000000.log");
    file_remove(&f, "t/1/00000000000000000000.idx");
    ck_assert_int_eq(f.io->ops->rmdir(f.io, "t/1"), 0);
    ck_assert(recovered());
    ck_assert(partition_failed(fixture_part(&f, "t", 1)));
}
END_TEST

START_TEST(open_clean_with_a_topic_removed)
{
    char command[400];

    fixture_topic(&f, "gone", "");
    fixture_close(&f);
    snprintf(command, sizeof command, "rm -r '%s/gone'", f.dir);
    ck_assert_int_eq(system(command), 0);
    ck_assert(recovered());
}
END_TEST

START_TEST(open_clean_with_a_topic_added)
{
    struct partition *other;

    fixture_reopen(&f);
    fixture_close(&f);
    ck_assert_int_eq(f.io->ops->rename(f.io, ".clean", "kept"), 0);
    fixture_open(&f);
    other = fixture_topic(&f, "added", "");
    fixture_append(other, "x\n");
    fixture_close(&f);
    ck_assert_int_eq(f.io->ops->rename(f.io, "kept", ".clean"), 0);
    ck_assert(recovered());
}
END_TEST

/* Five messages of 3000 bytes, two a segment: 0, 5998, 11996; stopped cleanly. */
static void left_in_segments(void)
{
    struct partition *s =
        fixture_topic(&f, "s", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4096\n");

    for (int i = 0; i < 5; i++)
        fixture_append_bytes(s, 2998, 'x');
    fixture_close(&f);
}

static void lose(const char *base)
{
    char path[64];

    snprintf(path, sizeof path, "s/0/000000000000000%s.log", base);
    file_remove(&f, path);
    snprintf(path, sizeof path, "s/0/000000000000000%s.idx", base);
    file_remove(&f, path);
}

/* As retention would have done; somebody needed room. */
START_TEST(open_clean_and_lose_the_first_segment)
{
    struct partition *s;

    left_in_segments();
    lose("00000");
    fixture_open(&f);
    s = fixture_part(&f, "s", 0);
    ck_assert_int_eq(partition_find(s, 8997), 0);
    ck_assert_uint_eq(partition_first(s), 5998);
    ck_assert(!partition_failed(s));
    ck_assert(!file_exists(&f, ".clean")); /* the next one has it right */
    ck_assert_uint_eq(fixture_append(s, "x\n"), 14995);
    fixture_reopen(&f);
    ck_assert(file_exists(&f, ".clean"));
    ck_assert_uint_eq(fixture_append(fixture_part(&f, "s", 0), "y\n"), 14997);
}
END_TEST

/* Of the newest segment nothing is left, and the one before it ends as it should:
 * only .clean knows that there was more, and after that start the slot. */
START_TEST(open_clean_and_lose_the_last_segment)
{
    struct partition *s;
    struct err err = {0};
    uint64_t offset;

    left_in_segments();
    lose("11996");
    for (int i = 0; i < 3; i++) {
        fixture_open(&f);
        s = fixture_part(&f, "s", 0);
        ck_assert(partition_failed(s));
        ck_assert_uint_eq(partition_visible_end(s), 11996);
        ck_assert_int_lt(fixture_try_append(s, "x\n", &offset, &err), 0);
        fixture_kill(&f);
    }
}
END_TEST

static void lose_all(void)
{
    for (int base = 0; base <= 11996; base += 5998)
        for (int i = 0; i < 2; i++) {
            char path[64];

            snprintf(path, sizeof path, "s/0/%020d.%s", base, i ? "idx" : "log");
            file_remove(&f, path);
        }
}

static void lose_the_last(void)
{
    file_remove(&f, "s/0/00000000000000011996.log");
    file_remove(&f, "s/0/00000000000000011996.idx");
}

static void lengthen_the_last(void)
{
    file_append(&f, "s/0/00000000000000011996.log", "x", 1);
}

static void give_the_last_a_meta(void)
{
    file_write(&f, "s/0/00000000000000011996.meta", "x", 1);
}

static void begin_another(void)
{
    file_write(&f, "s/0/00000000000000099999.log", "", 0);
}

static void (*const later[])(void) = {lose_all, lose_the_last, lengthen_the_last,
                                      give_the_last_a_meta, begin_another};

/* The same while the program runs already: the start saw nothing wrong. */
START_TEST(change_the_files_after_a_clean_start)
{
    struct partition *s =
        fixture_topic(&f, "s", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4096\n");
    struct err err = {0};
    uint64_t offset;

    for (int i = 0; i < 5; i++)
        fixture_append_bytes(s, 2998, 'x');
    fixture_close(&f);
    ck_assert(file_exists(&f, "s/0/00000000000000011996.idx"));
    fixture_open(&f);
    later[_i]();
    s = fixture_part(&f, "s", 0);
    ck_assert_int_eq(fixture_try_append(s, "x\n", &offset, &err), ERR_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "not as the clean stop left them"));
    ck_assert_int_eq(fixture_try_append(s, "x\n", &offset, &err), ERR_FAILED);
    ck_assert_int_eq(partition_find(s, 5998), ERR_DAMAGED);
    ck_assert(partition_failed(s));        /* which is said */
    ck_assert(!file_exists(&f, ".clean")); /* and the next start recovers */
}
END_TEST

/* A start that could not load a partition because of something that passes
 * loads it later, once. */
START_TEST(load_after_clean_that_failed_is_tried_again)
{
    struct partition_stat st;
    struct err err = {0};
    uint64_t offset;

    fixture_end(&f);
    fixture_mem(&f);
    fixture_open(&f);
    part =
        fixture_topic(&f, "t", "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4096\n");
    for (int i = 0; i < 5; i++)
        fixture_append_bytes(part, 2999, 'x');
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    for (uint64_t nth = 1; nth < 30; nth++) {
        memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_OPEN) |
                                                             MEMCALL_BIT(MEMCALL_PREAD),
                                                    .path = "t/0/*",
                                                    .nth = nth,
                                                    .error = -EMFILE});
        if (fixture_try_append(part, "x\n", &offset, &err) == 0)
            break;
    }
    memdisk_set_fault(f.disk, (struct memfault){0});
    ck_assert_uint_eq(offset, 15000);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.messages, 6);
    ck_assert_uint_eq(st.sealed_end, 12000);
    ck_assert_uint_eq(part->segment_count, 3);
    ck_assert_int_eq(partition_find_number(part, 2, &offset), 0);
    ck_assert_uint_eq(offset, 6000);
    free(fixture_text(&f, part));
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void)
{
    Suite *suite = suite_create("clean");
    TCase *tc = tcase_create("clean");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, clean_is_as_the_format_says);
    tcase_add_test(tc, clean_counts_segments_and_meta);
    tcase_add_test(tc, open_clean_recovers_nothing);
    tcase_add_test(tc, open_clean_is_unlinked_before_the_first_write);
    tcase_add_test(tc, open_clean_is_unlinked_before_a_topic_is_made_removed_or_changed);
    tcase_add_test(tc, open_clean_and_stop_without_a_write_keeps_it);
    tcase_add_test(tc, open_clean_and_kill_without_a_write_is_still_clean);
    tcase_add_test(tc, open_clean_with_some_partitions_never_loaded);
    tcase_add_test(tc, stop_of_os_topics_flushes_them);
    tcase_add_test(tc, open_clean_goes_on_with_the_time_of_the_last_message);
    tcase_add_loop_test(tc, open_clean_with_any_flipped_byte, 0, 8);
    tcase_add_loop_test(tc, open_clean_cut_short, 0, 5);
    tcase_add_loop_test(tc, open_clean_that_does_not_agree_with_the_store, 0, COUNT(lies));
    tcase_add_test(tc, open_clean_with_a_log_that_grew);
    tcase_add_test(tc, open_clean_with_an_idx_that_shrank);
    tcase_add_test(tc, open_clean_with_a_partition_removed);
    tcase_add_test(tc, open_clean_with_a_topic_removed);
    tcase_add_test(tc, open_clean_with_a_topic_added);
    tcase_add_loop_test(tc, change_the_files_after_a_clean_start, 0,
                        (int)(sizeof later / sizeof *later));
    tcase_add_test(tc, open_clean_and_lose_the_first_segment);
    tcase_add_test(tc, open_clean_and_lose_the_last_segment);
    tcase_add_test(tc, load_after_clean_that_failed_is_tried_again);
    return suite_run(suite);
}
