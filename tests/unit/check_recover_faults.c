/*
 * store/recover: starts during which a call fails, and starts on files in which
 * anything was changed. No crash, no reader that does not end, nothing shown
 * that was not written; and once nothing fails any more, all is there.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/powercut.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct memtree left; /* the disk as a kill left it */
static char *text;          /* what partition 0 of t holds */

/* Sealed segments; a last one with some below the slot, some in the journal,
 * some not flushed; one with .meta; an os topic; a left-over. */
static void setup(void)
{
    struct partition *part;

    fixture_mem(&f);
    f.options.journal_bytes = (uint64_t)256 << 10;
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    fixture_topic(&f, "os", "flush.sync=os\n");
    for (char c = 'a'; c < 'g'; c++)
        fixture_append_bytes(part, 2999, c);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append(fixture_part(&f, "os", 0), "one\ntwo\n");
    fixture_close_unclean(&f);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    fixture_append_key(part, "key", "in the journal");
    fixture_append(part, "a set\nof two\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    text = fixture_text(&f, part);
    fixture_append(fixture_part(&f, "os", 0), "three\n");
    fixture_append(part, "not flushed\n");
    fixture_kill(&f);
    dir_make(&f, ".new.x");
    memtree_copy(&left, &f.disk->tree);
}

static void restore(void)
{
    if (f.store)
        fixture_kill(&f);
    memdisk_free(f.disk);
    f.disk = memdisk_from(&left);
    f.io = f.options.io = &f.disk->io;
}

static void teardown(void)
{
    fixture_end(&f);
    memtree_release(&left);
    free(text);
}

/* Whatever a partition that has not failed shows begins with all that was
 * promised; one that has shows less of it. */
static void check_shown(struct partition *part)
{
    uint64_t end = partition_visible_end(part);
    struct range r;
    char *got;

    if (partition_failed(part)) {
        ck_assert_uint_le(end, strlen(text));
        return;
    }
    ck_assert_uint_ge(end, strlen(text));
    if (partition_range(part, 0, 1, &r) < 0)
        return; /* it could not be opened just now */
    range_release(&r);
    got = fixture_text(&f, part);
    ck_assert_mem_eq(got, text, strlen(text));
    free(got);
}

static void expect_all(void)
{
    fixture_open(&f);
    ck_assert(!partition_failed(fixture_part(&f, "t", 0)));
    check_shown(fixture_part(&f, "t", 0));
    fixture_expect(&f, fixture_part(&f, "os", 0), "one\ntwo\nthree\n");
}

static const struct {
    int error; /* 0 = short counts */
    bool for_ever;
} faults[] = {{-EIO, false}, {-ENOSPC, false}, {-EINTR, false}, {-EMFILE, false},
              {0, false},    {-EIO, true},     {-ENOSPC, true}, {0, true}};

START_TEST(start_during_which_a_call_fails)
{
    for (uint64_t nth = 1;; nth++) {
        bool hit;
        int rc;

        restore();
        memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_ALL,
                                                    .nth = nth,
                                                    .for_ever = faults[_i].for_ever,
                                                    .error = faults[_i].error});
        rc = fixture_try_open(&f);
        hit = f.disk->fault_hits > 0;
        memdisk_set_fault(f.disk, (struct memfault){0});
        if (rc == 0 && fixture_status_number(&f, "topics left out") > 0) {
            fixture_kill(&f); /* its .config could not be read just now */
        } else if (rc == 0) {
            check_shown(fixture_part(&f, "t", 0));
            fixture_kill(&f);
        } else {
            ck_assert_msg(faults[_i].error != 0, "a short count was taken for a failure: %s",
                          f.err.text);
            ck_assert_uint_gt(strlen(f.err.text), 0);
        }
        expect_all();
        if (!hit)
            break;
    }
}
END_TEST

/* -- anything changed -- */

static const char *const files[] = {
    "t/0/00000000000000000000.log",
    "t/0/00000000000000000000.idx",
    "t/0/00000000000000012000.log",
    "t/0/00000000000000012000.idx",
    "t/0/00000000000000012000.meta",
    "t/0/00000000000000006000.idx",
    "os/0/00000000000000000000.idx",
    ".journal.0",
    ".journal.1",
    ".format",
    "t/.config",
    "os/0/00000000000000000000.log",
};

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static void change_something(uint64_t *rng)
{
    const char *path = files[mem_below(rng, (size_t)COUNT(files))];
    uint64_t size;

    if (!file_exists(&f, path))
        return;
    size = file_size(&f, path);
    switch (mem_below(rng, 5)) {
    case 0: file_cut(&f, path, mem_below(rng, size + 1)); break;
    case 1: file_append(&f, path, "garbage garbage garbage garbage", mem_below(rng, 32)); break;
    case 2:
        if (mem_below(rng, 4) == 0)
            file_remove(&f, path);
        break;
    default:
        for (size_t n = mem_below(rng, 4) + 1; n > 0 && size > 0; n--)
            file_write_at(&f, path, mem_below(rng, size), &(char){(char)mem_random(rng)}, 1);
    }
}

/* Reads all there is by every door. */
static void read_everything(struct partition *part)
{
    uint64_t end = partition_visible_end(part);
    struct partition_stat st;
    struct segment_stat seg = {0};
    uint64_t offset;
    uint64_t skipped = 0;
    struct range r;

    if (partition_stat(part, &st) == 0)
        ck_assert_uint_eq(st.visible_end, end);
    for (uint64_t at = partition_first(part), rounds = 0; at < end; rounds++) {
        if (partition_messages(part, at, 4000, &r, &skipped) < 0)
            break;
        ck_assert_uint_ge(r.offset, at);
        at = r.offset + r.len;
        ck_assert_uint_le(at, end);
        range_release(&r);
        ck_assert_msg(rounds < 10000, "a reader does not come to the end");
    }
    for (uint64_t at = 0; at <= end; at += 499) {
        int rc = partition_find(part, at);

        ck_assert_int_le(rc, 0);
        if (partition_range(part, at, 100, &r) == 0)
            range_release(&r);
    }
    for (uint64_t i = 0; i < 12; i++)
        if (partition_find_number(part, i, &offset) == 0)
            ck_assert_uint_le(offset, end);
    if (partition_find_time(part, 1000000, &offset) == 0)
        ck_assert_uint_le(offset, end);
    for (uint64_t from = 0; partition_segment_next(part, from, &seg) == 0; from = seg.base + 1)
        ck_assert_uint_ge(seg.base, from);
}

START_TEST(start_on_files_in_which_anything_was_changed)
{
    uint64_t rng = (uint64_t)_i * 1000 + 1;

    for (int round = 0; round < 60; round++) {
        struct err err = {0};
        uint64_t offset;
        uint64_t end;

        restore();
        for (size_t n = mem_below(&rng, 4) + 1; n > 0; n--)
            change_something(&rng);
        if (fixture_try_open(&f) < 0) {
            ck_assert_uint_gt(strlen(f.err.text), 0);
            continue;
        }
        if (store_topic_count(f.store) < 2)
            continue;
        read_everything(fixture_part(&f, "t", 0));
        read_everything(fixture_part(&f, "os", 0));
        end = partition_end(fixture_part(&f, "t", 0));
        if (fixture_try_append(fixture_part(&f, "t", 0), "more\n", &offset, &err) == 0) {
            ck_assert_uint_eq(offset, end);
            ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", 0)), 0);
        }
        fixture_kill(&f);
        fixture_open(&f); /* what one start made of it, the next one takes */
        read_everything(fixture_part(&f, "t", 0));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recover_faults");
    TCase *tc = tcase_create("recover_faults");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, start_during_which_a_call_fails, 0, COUNT(faults));
    tcase_add_loop_test(tc, start_on_files_in_which_anything_was_changed, 0, 20);
    return suite_run(suite);
}
