/*
 * store/producers_load: a .prod or a .meta that is damaged or lost, and calls
 * that fail when they are read. No message is lost or refused for it, and no set
 * is taken for one that was appended and was not.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/producers.h"
#include "tests/support/produce.h"
#include "tests/support/suite.h"

#define SEGMENTS 3 /* 7 has two sets in each, 8 one in the first */

static struct fixture f;
static struct partition *part;
static struct appended place[2 * SEGMENTS]; /* of 7's sets, one message each */
static struct appended place_of_8;
static uint64_t base[SEGMENTS];
static char *text; /* all messages */

static int ask(int64_t id, int32_t sequence, struct appended *at)
{
    struct producer p = {id, 0, sequence};

    return produce(part, &p, 1, at, &f.err);
}

static void roll(void)
{
    struct partition_stat st;
    uint64_t newest;

    ck_assert_int_eq(partition_stat(part, &st), 0);
    newest = st.sealed_end;
    while (st.sealed_end == newest) {
        fixture_append_bytes(part, 3900, 'x');
        ck_assert_int_eq(fixture_flush(&f, part), 0);
        ck_assert_int_eq(partition_stat(part, &st), 0);
    }
}

/* Everything is visible and the store is stopped, as if it were cleanly or not. */
static void stop(bool clean)
{
    if (clean)
        fixture_close(&f);
    else
        fixture_close_unclean(&f);
}

static void start(void)
{
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
}

static void setup(void)
{
    struct partition_stat st;

    fixture_mem(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", SMALL_SEGMENTS);
    ck_assert_int_eq(ask(8, 0, &place_of_8), 0);
    for (int i = 0; i < SEGMENTS; i++) {
        if (i > 0)
            roll();
        for (int32_t k = 2 * i; k < 2 * i + 2; k++)
            ck_assert_int_eq(ask(7, k, &place[k]), 0);
        ck_assert_int_eq(fixture_flush(&f, part), 0);
        ck_assert_int_eq(partition_stat(part, &st), 0);
        base[i] = st.sealed_end;
    }
    text = fixture_text(&f, part);
}

static void teardown(void)
{
    free(text);
    fixture_end(&f);
}

static const char *file(int segment, enum suffix suffix)
{
    static char path[STORE_PATH_MAX];

    path_of_segment(path, "t", 0, base[segment], suffix);
    return path;
}

static void expect_again(int64_t id, int32_t sequence, const struct appended *where)
{
    struct appended at = {0};
    int rc = ask(id, sequence, &at);

    ck_assert_msg(rc == 0 && at.duplicate, "%" PRId64 " %d: %d %s", id, sequence, rc, f.err.text);
    ck_assert_uint_eq(at.offset, where->offset);
    ck_assert_uint_eq(at.number, where->number);
}

static void expect_all_known(void)
{
    fixture_expect(&f, part, text);
    for (int32_t k = 1; k < 2 * SEGMENTS; k++)
        expect_again(7, k, &place[k]);
    expect_again(8, 0, &place_of_8);
}

static void expect_unknown(int64_t id, int32_t next)
{
    struct appended at;

    ck_assert_int_eq(ask(id, next, &at), ERR_NO_PRODUCER);
}

/* They go on: 7 with `next`, others as who they are. */
static void expect_to_go_on(int32_t next)
{
    struct appended at;

    ck_assert_int_eq(ask(7, next, &at), 0);
    ck_assert(!at.duplicate);
    ck_assert_int_eq(ask(9, 0, &at), 0);
    roll();
    ck_assert_int_eq(ask(7, next, &at), 0);
    ck_assert(at.duplicate);
    ck_assert_int_eq(ask(9, 0, &at), 0);
    ck_assert(at.duplicate);
}

START_TEST(nothing_is_damaged)
{
    stop(_i);
    start();
    expect_all_known();
    expect_to_go_on(2 * SEGMENTS);
}
END_TEST

/* -- .prod -- */

START_TEST(a_prod_flipped_or_cut_anywhere_is_made_up_for)
{
    const char *path = file(SEGMENTS - 1, SUFFIX_PROD);
    size_t len;
    char *whole;

    stop(_i);
    whole = file_read(&f, path, &len);
    ck_assert_uint_eq(len, 12 + 2 * 20 + 5 * 24 + 4);
    for (size_t i = 0; i < 2 * len; i++) {
        if (i < len)
            file_flip(&f, path, i);
        else
            file_cut(&f, path, i - len);
        start();
        expect_all_known();
        fixture_kill(&f);
        file_write(&f, path, whole, len);
        if (!_i)
            continue;
        start(); /* and is believed again */
        stop(true);
    }
    free(whole);
}
END_TEST

START_TEST(every_prod_is_damaged)
{
    stop(_i);
    for (int s = 1; s < SEGMENTS; s++)
        file_flip(&f, file(s, SUFFIX_PROD), 20);
    start();
    expect_all_known();
    expect_to_go_on(2 * SEGMENTS);
}
END_TEST

START_TEST(a_prod_too_long_to_be_one)
{
    char *zeros = calloc(1, 17 << 20);

    stop(_i);
    file_append(&f, file(SEGMENTS - 1, SUFFIX_PROD), zeros, 17 << 20);
    free(zeros);
    start();
    expect_all_known();
}
END_TEST

/* Nobody was known, it says: who is not in the segment's own sets is unknown. */
START_TEST(a_lost_prod_leaves_the_segments_own_sets)
{
    struct appended at;

    stop(_i);
    file_remove(&f, file(SEGMENTS - 1, SUFFIX_PROD));
    start();
    fixture_expect(&f, part, text);
    expect_again(7, 4, &place[4]);
    expect_again(7, 5, &place[5]);
    ck_assert_int_eq(ask(7, 3, &at), 0); /* it is there; nobody knows where */
    ck_assert(at.duplicate);
    ck_assert_uint_eq(at.offset, APPENDED_UNKNOWN);
    expect_unknown(8, 1);
    expect_to_go_on(2 * SEGMENTS);
}
END_TEST

START_TEST(a_damaged_prod_and_a_lost_file_before_it)
{
    stop(false);
    file_flip(&f, file(SEGMENTS - 1, SUFFIX_PROD), 20);
    file_remove(&f, file(SEGMENTS - 2, _i ? SUFFIX_META : SUFFIX_LOG));
    start();
    expect_again(7, 5, &place[5]);
    expect_unknown(8, 1);
    expect_to_go_on(2 * SEGMENTS);
}
END_TEST

/* Retention has removed what was before it. */
START_TEST(the_oldest_prod_is_damaged)
{
    stop(false);
    for (int s = 0; s < SEGMENTS - 1; s++)
        for (int suffix = 0; suffix < SUFFIX_KNOWN; suffix++)
            if (file_exists(&f, file(s, (enum suffix)suffix)))
                file_remove(&f, file(s, (enum suffix)suffix));
    file_flip(&f, file(SEGMENTS - 1, SUFFIX_PROD), 20);
    start();
    expect_again(7, 5, &place[5]);
    expect_unknown(8, 1);
    expect_to_go_on(2 * SEGMENTS);
}
END_TEST

/* -- .meta, and the entries and bytes that vouch for it -- */

/* Whatever byte it is: 7's first set there reads back, or neither it nor what
 * was known before. */
START_TEST(a_record_flipped_anywhere_is_not_believed)
{
    static const enum suffix suffixes[] = {SUFFIX_META, SUFFIX_LOG, SUFFIX_IDX};
    enum suffix suffix = suffixes[_i % 3];
    const char *path = file(SEGMENTS - 1, suffix);
    uint64_t rolled = place[4].offset - base[SEGMENTS - 1]; /* the line that made it roll */
    uint64_t from = suffix == SUFFIX_META ? 0 : suffix == SUFFIX_LOG ? rolled : ENTRY_AT(1);
    uint64_t len = suffix == SUFFIX_META  ? 1 + META_PRODUCER_BYTES
                   : suffix == SUFFIX_LOG ? place[4].end - place[4].offset
                                          : IDX_ENTRY_BYTES;

    stop(_i / 3);
    for (uint64_t i = from; i < from + len; i++) {
        struct appended at;
        int rc;

        file_flip(&f, path, i);
        start();
        rc = ask(8, 1, &at);
        if (rc == 0) /* it was not taken for a producer's: 5 comes after 3, as found on disk */
            ck_assert(suffix == SUFFIX_META && i == 0);
        else
            ck_assert_int_eq(rc, ERR_NO_PRODUCER);
        rc = ask(7, 5, &at);
        if (rc < 0) { /* an entry that is wrong about its end hides the next one */
            ck_assert_int_eq(rc, ERR_NO_PRODUCER);
            ck_assert_int_eq(suffix, SUFFIX_IDX);
            expect_unknown(7, 4);
        } else {
            expect_again(7, 5, &place[5]);
            ck_assert_int_eq(ask(7, 4, &at), 0);
            ck_assert(at.duplicate);
            ck_assert_uint_eq(at.offset, APPENDED_UNKNOWN);
        }
        fixture_kill(&f);
        teardown();
        setup();
        stop(_i / 3);
    }
    start();
}
END_TEST

START_TEST(the_newest_meta_is_cut)
{
    stop(false);
    file_cut(&f, file(SEGMENTS - 1, SUFFIX_META), 1 + META_PRODUCER_BYTES + 3);
    start(); /* the slot vouches for more: read-only */
    ck_assert(partition_failed(part));
}
END_TEST

/* -- calls that fail -- */

START_TEST(a_state_that_cannot_be_read_now_is_read_later)
{
    static const struct {
        unsigned call;
        const char *path;
        int error;
    } faults[] = {
        {MEMCALL_OPEN, "*.prod", -EMFILE}, {MEMCALL_OPEN, "*.prod", -EIO},
        {MEMCALL_PREAD, "*.prod", -EIO},   {MEMCALL_PREAD, "*.meta", -EIO},
        {MEMCALL_SIZE, "*.meta", -EIO},
    };
    struct appended at;

    stop(true);
    start();
    fixture_fail_calls(&f, MEMCALL_BIT(faults[_i].call), faults[_i].path, 1, true,
                       faults[_i].error);
    ck_assert_int_eq(ask(7, 0, &at), faults[_i].error);
    ck_assert_int_eq(ask(9, 0, &at), faults[_i].error);
    fixture_append(part, "lines go on\n");
    fixture_no_faults(&f);
    expect_again(7, 5, &place[5]);
    expect_again(8, 0, &place_of_8);
}
END_TEST

/* The .prod is damaged, and the segment before it cannot be opened just now. */
START_TEST(a_segment_that_cannot_be_read_now_is_read_later)
{
    static const int errors[] = {-EIO, -EMFILE, -ENFILE};
    struct appended at;

    stop(true);
    file_flip(&f, file(SEGMENTS - 1, SUFFIX_PROD), 20);
    start();
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_OPEN), file(SEGMENTS - 2, SUFFIX_LOG), 1, true,
                       errors[_i]);
    ck_assert_int_eq(ask(7, 5, &at), errors[_i]);
    fixture_no_faults(&f);
    expect_again(7, 5, &place[5]);
    expect_again(8, 0, &place_of_8);
}
END_TEST

/* A roll does not wait for better times: messages are what counts. */
START_TEST(a_state_that_cannot_be_read_is_given_up_at_a_roll)
{
    char path[STORE_PATH_MAX];

    stop(true);
    start();
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_PREAD), _i ? "*.prod" : "*.meta", 1, true, -EIO);
    roll();
    fixture_no_faults(&f);
    path_of_segment(path, "t", 0, partition_end(part) - 3901, SUFFIX_PROD);
    ck_assert(!file_exists(&f, path));
    expect_unknown(7, 2 * SEGMENTS);
    expect_unknown(8, 1);
    fixture_reopen(&f);
    part = fixture_part(&f, "t", 0);
    expect_unknown(8, 1);
}
END_TEST

/* But who has no descriptor left just now, waits. */
START_TEST(a_roll_without_a_descriptor_fails_and_forgets_nothing)
{
    char line[3901];
    uint64_t offset;
    int rc;

    memset(line, 'x', sizeof line);
    line[3899] = '\n';
    line[3900] = '\0';
    stop(true);
    start();
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_OPEN), "*.prod", 1, true, -EMFILE);
    do
        rc = fixture_try_append(part, line, &offset, NULL);
    while (rc == 0);
    ck_assert_int_eq(rc, -EMFILE);
    ck_assert(!partition_failed(part));
    fixture_no_faults(&f);
    fixture_append(part, line);
    expect_again(7, 5, &place[5]);
    expect_again(8, 0, &place_of_8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers_damage");
    TCase *tc = tcase_create("producers_damage");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, nothing_is_damaged, 0, 2);
    tcase_add_loop_test(tc, a_prod_flipped_or_cut_anywhere_is_made_up_for, 0, 2);
    tcase_add_loop_test(tc, every_prod_is_damaged, 0, 2);
    tcase_add_loop_test(tc, a_prod_too_long_to_be_one, 0, 2);
    tcase_add_loop_test(tc, a_lost_prod_leaves_the_segments_own_sets, 0, 2);
    tcase_add_loop_test(tc, a_damaged_prod_and_a_lost_file_before_it, 0, 2);
    tcase_add_test(tc, the_oldest_prod_is_damaged);
    tcase_add_loop_test(tc, a_segment_that_cannot_be_read_now_is_read_later, 0, 3);
    tcase_add_loop_test(tc, a_record_flipped_anywhere_is_not_believed, 0, 6);
    tcase_add_test(tc, the_newest_meta_is_cut);
    tcase_add_loop_test(tc, a_state_that_cannot_be_read_now_is_read_later, 0, 5);
    tcase_add_loop_test(tc, a_state_that_cannot_be_read_is_given_up_at_a_roll, 0, 2);
    tcase_add_test(tc, a_roll_without_a_descriptor_fails_and_forgets_nothing);
    return suite_run(suite);
}
