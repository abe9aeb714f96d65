/*
 * store/check, store/repair where a call or a malloc fails, each once: nothing
 * is changed by a check, nothing is called good that is not, and with the
 * failure gone a repair makes what it makes without one.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/check.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"
#include "tests/unit/failing_malloc.h"

static struct fixture f;
static struct memtree left; /* the disk that every attempt begins with */

/* -- the states of the store -- */

static void leave_good(void)
{
    fixture_close(&f);
}

/* A flipped byte, a lost index that can be made from lines, a .prod that is none, a name
 * that is not ours. */
static void leave_sealed_damaged(void)
{
    fixture_kill(&f);
    file_flip(&f, SEG0_LOG, 100);
    file_remove(&f, "t/0/00000000000000008000.idx");
    file_write(&f, "t/0/00000000000000016000.prod", "x", 1);
    file_write(&f, "t/foreign", "x", 1);
    dir_make(&f, ".new.x");
}

/* The newest segment is gone, and something that was noted before is good now. */
static void leave_newest_lost(void)
{
    fixture_close_unclean(&f);
    file_remove(&f, "t/0/00000000000000024000.log");
    file_write(&f, "t/0/00000000000000008000.damaged", "8 8000 1000 1\ncrc32c 00000000\n", 30);
}

static void leave_header_lost(void)
{
    fixture_close_unclean(&f);
    file_flip(&f, "t/0/00000000000000024000.idx", 9);
}

static void (*const states[])(void) = {leave_good, leave_sealed_damaged, leave_newest_lost,
                                       leave_header_lost};

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static void fill(int state)
{
    struct partition *part;

    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    fixture_fill(&f, part);
    fixture_append_key(fixture_topic(&f, "keyed", ""), "k", "v");
    states[state]();
}

static void restore(void)
{
    memdisk_free(f.disk);
    f.disk = memdisk_from(&left);
    f.io = f.options.io = &f.disk->io;
}

/* -- checking -- */

static uint64_t progressed;

static void count(void *arg, enum finding kind, const char *text)
{
    (void)arg;
    (void)kind;
    (void)text;
}

static void progress(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    progressed += done <= total;
}

static int run(bool repair, struct check_result *result, struct err *err)
{
    const struct check_options o = {.io = f.io,
                                    .name = "test",
                                    .finder = {count, NULL},
                                    .progress = progress,
                                    .boot_id = "boot-1"};

    *err = (struct err){0};
    return repair ? store_repair(&o, result, err) : store_check(&o, result, err);
}

/* Does it say of something that it is not to be had, that is found without a failure? */
static bool says_more(const struct check_result *got, const struct check_result *want)
{
    for (int kind = 0; kind < FOUND_KINDS; kind++)
        if (finding_weight((enum finding)kind) == FOUND_DAMAGE &&
            got->findings[kind] > want->findings[kind])
            return true;
    return false;
}

/* All that was verified counts as good, or as damaged; a check that says less was not done. */
static void expect_honest(int rc, const struct err *err, const struct check_result *got,
                          const struct check_result *want, uint64_t nth)
{
    ck_assert_msg(rc == 0 || err->text[0], "%d: %d without a sentence", (int)nth, rc);
    ck_assert_msg(rc < 0 || says_more(got, want) || got->messages == want->messages,
                  "%d: %d messages, not %d, and no more is said", (int)nth, (int)got->messages,
                  (int)want->messages);
    ck_assert_msg(rc < 0 || got->worst >= want->worst, "%d: %d, not %d", (int)nth, got->worst,
                  want->worst);
}

/* A repair that is not disturbed any more ends where one does that never was. */
static void expect_repaired(const struct check_result *want)
{
    struct check_result got;
    struct err err;

    ck_assert_int_eq(run(true, &got, &err), 0);
    ck_assert(got.repaired);
    ck_assert_int_eq(run(false, &got, &err), 0);
    ck_assert_uint_eq(got.messages, want->messages);
    ck_assert_uint_eq(got.damaged, want->damaged);
    ck_assert_int_le(got.worst, want->worst < FOUND_MENDED ? FOUND_MENDED : want->worst);
}

static void what_repair_makes(struct check_result *want)
{
    struct check_result first;
    struct err err;

    restore();
    ck_assert_int_eq(run(true, &first, &err), 0);
    ck_assert_int_eq(run(false, want, &err), 0);
}

/* Each call fails once by `error`. */
static void each_call(bool repair, int error)
{
    struct check_result want;
    struct check_result made;
    struct check_result got;
    struct err err;
    bool met = true;

    what_repair_makes(&made);
    restore();
    ck_assert_int_eq(run(repair, &want, &err), 0);
    for (uint64_t nth = 1; met; nth++) {
        uint64_t before;
        int rc;

        restore();
        before = memtree_hash(&f.disk->tree);
        memdisk_set_fault(f.disk,
                          (struct memfault){.calls = MEMCALL_ALL & ~MEMCALL_BIT(MEMCALL_CLOSE),
                                            .nth = nth,
                                            .error = error});
        rc = run(repair, &got, &err);
        met = f.disk->fault_hits > 0;
        memdisk_set_fault(f.disk, (struct memfault){0});
        ck_assert_uint_eq(memdisk_kill(f.disk), 0);
        if (repair) {
            ck_assert_msg(rc == 0 || err.text[0], "%d: %d without a sentence", (int)nth, rc);
            expect_repaired(&made);
        } else {
            expect_honest(rc, &err, &got, &want, nth);
            ck_assert_msg(memtree_hash(&f.disk->tree) == before,
                          "the check where call %d failed has changed the store", (int)nth);
        }
    }
}

START_TEST(a_call_fails)
{
    static const int errors[] = {-EIO, -ENOSPC};

    fixture_mem(&f);
    fill(_i / 4);
    memtree_copy(&left, &f.disk->tree);
    each_call(_i % 2, errors[_i / 2 % 2]);
    ck_assert_uint_gt(progressed, 0);
    memtree_release(&left);
    fixture_end(&f);
}
END_TEST

/* -- without memory -- */

#ifdef FAILING_MALLOC
START_TEST(a_malloc_fails)
{
    struct check_result want;
    struct check_result got;
    struct err err;

    fixture_real(&f);
    fill(_i / 2);
    ck_assert_int_eq(run(false, &want, &err), 0);
    failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        int rc;

        failed = false;
        fail_at = nth;
        rc = run(_i % 2, &got, &err);
        fail_at = 0;
        if (_i % 2 == 0)
            expect_honest(rc, &err, &got, &want, nth);
        else
            ck_assert_msg(rc == 0 || err.text[0], "%d: %d without a sentence", (int)nth, rc);
    }
    ck_assert_int_eq(run(true, &got, &err), 0);
    ck_assert_int_eq(run(false, &got, &err), 0);
    fixture_end(&f);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("check_faults");
    TCase *tc = tcase_create("check_faults");

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_call_fails, 0, 4 * COUNT(states));
#ifdef FAILING_MALLOC
    tcase_add_loop_test(tc, a_malloc_fails, 0, 2 * COUNT(states));
#endif
    return suite_run(suite);
}
