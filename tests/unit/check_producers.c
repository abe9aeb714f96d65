/*
 * store/producers through the store's own interface: sets sent again, gaps,
 * epochs, and what is known after a stop, a kill, a roll. What is damaged is in
 * check_producers_damage.c, the table itself in check_producers_table.c.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/producers.h"
#include "tests/support/produce.h"
#include "tests/support/suite.h"
#include "tests/unit/one_partition.h"

/* -- tables -- */

enum { NEW = 1, AGAIN, OLD }; /* OLD: again, and nobody knows where */

struct step {
    int64_t id;
    int16_t epoch;
    int32_t sequence;
    uint32_t messages;
    int expect; /* or an error */
};

static const struct {
    const char *name;
    struct step step[12];
} tables[] = {
    {"each of the last five is found, older ones are known to be there",
     {{7, 0, 0, 2, NEW},
      {7, 0, 2, 1, NEW},
      {7, 0, 3, 3, NEW},
      {7, 0, 6, 1, NEW},
      {7, 0, 7, 1, NEW},
      {7, 0, 0, 2, AGAIN},
      {7, 0, 8, 2, NEW},
      {7, 0, 0, 2, OLD},
      {7, 0, 2, 1, AGAIN},
      {7, 0, 8, 2, AGAIN},
      {7, 0, 10, 1, NEW}}},
    {"other bounds than were appended, but all of it was",
     {{7, 0, 0, 5, NEW},
      {7, 0, 5, 5, NEW},
      {7, 0, 0, 10, OLD},
      {7, 0, 3, 4, OLD},
      {7, 0, 0, 1, OLD},
      {7, 0, 0, 11, ERR_BAD_SEQUENCE},
      {7, 0, 9, 2, ERR_BAD_SEQUENCE},
      {7, 0, 10, 1, NEW}}},
    {"a gap is refused, what follows goes on",
     {{7, 0, 0, 1, NEW},
      {7, 0, 2, 1, ERR_BAD_SEQUENCE},
      {7, 0, 3, 1, ERR_BAD_SEQUENCE},
      {7, 0, 1, 1, NEW},
      {7, 0, 2, 1, NEW},
      {7, 0, 0, 1, AGAIN}}},
    {"a new epoch begins with 0 and ends the old one",
     {{7, 3, 0, 1, NEW},
      {7, 3, 1, 1, NEW},
      {7, 4, 2, 1, ERR_BAD_SEQUENCE},
      {7, 4, 0, 1, NEW},
      {7, 3, 2, 1, ERR_OLD_EPOCH},
      {7, 3, 1, 1, ERR_OLD_EPOCH},
      {7, 4, 0, 1, AGAIN},
      {7, 4, 1, 1, NEW},
      {7, 32767, 0, 1, NEW},
      {7, 4, 2, 1, ERR_OLD_EPOCH}}},
    {"who is not known begins with 0",
     {{7, 0, 1, 1, ERR_NO_PRODUCER},
      {7, 5, 1, 1, ERR_NO_PRODUCER},
      {7, 5, 0, 1, NEW},
      {7, 5, 1, 1, NEW}}},
    {"producers do not know of one another",
     {{7, 0, 0, 1, NEW},
      {INT64_MAX, 9, 0, 1, NEW},
      {0, 0, 0, 1, NEW},
      {8, 0, 1, 1, ERR_NO_PRODUCER},
      {7, 0, 1, 1, NEW},
      {INT64_MAX, 9, 0, 1, AGAIN},
      {INT64_MAX, 9, 1, 1, NEW},
      {0, 0, 1, 1, NEW},
      {0, 0, 0, 1, AGAIN}}},
};

#define TABLES (int)(sizeof tables / sizeof *tables)

/* What happens between two steps. */
static const char *const between[] = {"nothing", "a flush",       "a clean stop",
                                      "a kill",  "a kill, lines", "a roll"};

#define BETWEEN (int)(sizeof between / sizeof *between)

static void happen(int what)
{
    switch (what) {
    case 1: ck_assert_int_eq(fixture_flush(&f, part), 0); break;
    case 2: fixture_reopen(&f); break;
    case 4: fixture_append(part, "a line\nanother\n"); /* fall through */
    case 3: fixture_kill_reopen(&f); break;
    case 5:
        fixture_append_bytes(part, 3900, 'x');
        fixture_append_bytes(part, 3900, 'x');
        fixture_append_bytes(part, 3900, 'x');
        break;
    default: break;
    }
    part = fixture_part(&f, "t", 0);
}

START_TEST(sets_are_appended_once)
{
    const struct step *step = tables[_i % TABLES].step;
    int what = _i / TABLES;
    uint64_t number[12];

    for (int i = 0; i < 12 && step[i].expect; i++) {
        struct appended at = {77, 77, 77, false};
        uint64_t before = partition_end(part);
        struct producer p = {step[i].id, step[i].epoch, step[i].sequence};
        int rc = produce(part, &p, step[i].messages, &at, &f.err);
        char *where = produce_where(tables[_i % TABLES].name, between[what], i, rc, &f.err);

        number[i] = UINT64_MAX;
        if (step[i].expect < 0) {
            ck_assert_msg(rc == step[i].expect, "%s", where);
            ck_assert_msg(strncmp(f.err.text, "t/0: producer ", 14) == 0, "%s", where);
            ck_assert_uint_eq(at.offset, 77);
        } else {
            ck_assert_msg(rc == 0, "%s", where);
            ck_assert_msg(at.duplicate == (step[i].expect != NEW), "%s", where);
        }
        if (step[i].expect == NEW) {
            ck_assert_uint_eq(at.offset, before);
            ck_assert_uint_eq(at.end, partition_end(part));
            number[i] = at.number;
        } else {
            ck_assert_msg(partition_end(part) == before, "%s", where);
        }
        if (step[i].expect == OLD) {
            ck_assert_uint_eq(at.offset, APPENDED_UNKNOWN);
            ck_assert_uint_eq(at.number, APPENDED_UNKNOWN);
            ck_assert_uint_le(at.end, before);
        }
        if (step[i].expect == AGAIN)
            produce_expect_there(&f, part, &p, step[i].messages, &at);
        free(where);
        happen(what);
    }
    ck_assert_uint_eq(number[0], step[0].expect == NEW ? 0 : UINT64_MAX);
}
END_TEST

/* -- visible, or not yet -- */

START_TEST(a_duplicate_is_not_promised_before_it_is_visible)
{
    struct producer p = {7, 0, 0};
    struct appended first;
    struct appended again;

    ck_assert_int_eq(produce(part, &p, 3, &first, NULL), 0);
    fixture_append(part, "behind it\n");
    ck_assert_uint_eq(partition_visible_end(part), 0);
    ck_assert_int_eq(produce(part, &p, 3, &again, NULL), 0);
    ck_assert(again.duplicate);
    ck_assert_uint_eq(again.end, first.end); /* its own end, not the partition's */
    ck_assert_uint_gt(again.end, partition_visible_end(part));
    ck_assert_uint_lt(again.end, partition_end(part));
}
END_TEST

/* Six sets, none of them visible: the first is one of which only that is known. */
START_TEST(an_old_duplicate_is_not_promised_before_it_is_visible)
{
    struct appended first = {0};
    struct appended at;

    for (int32_t i = 0; i < 6; i++) {
        struct producer p = {7, 0, i};

        ck_assert_int_eq(produce(part, &p, 1, i == 0 ? &first : &at, NULL), 0);
    }
    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 0}, 1, &at, NULL), 0);
    ck_assert_uint_eq(at.offset, APPENDED_UNKNOWN);
    ck_assert_uint_ge(at.end, first.end);
    ck_assert_uint_gt(at.end, partition_visible_end(part));
}
END_TEST

/* -- sets that are cut -- */

/* A write fails half-way: the set is cut back, and forgotten. */
START_TEST(a_set_cut_back_is_appended_when_it_is_sent_again)
{
    static const char *const files[] = {"*.log", "*.meta", "*.idx"};
    struct producer p = {7, 0, 0};
    struct appended at;

    for (int known = 0; known < 2; known++) {
        fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_PWRITEV), files[_i], 1, false, -ENOSPC);
        ck_assert_int_eq(produce(part, &p, 2, &at, NULL), -ENOSPC);
        fixture_no_faults(&f);
        p.sequence += 2;
        ck_assert_int_eq(produce(part, &p, 2, &at, NULL),
                         known ? ERR_BAD_SEQUENCE : ERR_NO_PRODUCER);
        p.sequence -= 2;
        ck_assert_int_eq(produce(part, &p, 2, &at, NULL), 0);
        ck_assert(!at.duplicate);
        p.sequence += 2;
    }
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_expect(&f, part, "7 0 0\n7 0 1\n7 0 2\n7 0 3\n");
}
END_TEST

/* After a kill the last set is torn: recovery cuts it, and it is forgotten. */
START_TEST(a_torn_set_is_appended_when_it_is_sent_again)
{
    struct appended first;
    struct appended torn;
    struct appended at;

    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 0}, 2, &first, NULL), 0);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 2}, 2, &torn, NULL), 0);
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, torn.end - 1);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_uint_eq(partition_end(part), torn.offset);
    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 4}, 2, &at, NULL), ERR_BAD_SEQUENCE);
    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 0}, 2, &at, NULL), 0);
    ck_assert(at.duplicate);
    ck_assert_uint_eq(at.offset, first.offset);
    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 2}, 2, &at, NULL), 0);
    ck_assert(!at.duplicate);
    ck_assert_uint_eq(at.offset, torn.offset);
}
END_TEST

/* -- forgetting -- */

START_TEST(a_producer_is_forgotten_a_week_after_its_last_set)
{
    struct producer p = {7, 0, 0};
    struct appended at;

    ck_assert_int_eq(produce(part, &p, 1, &at, NULL), 0);
    f.clock.now_ms += PRODUCER_EXPIRES_MS - 1;
    happen(_i);
    p.sequence = 1;
    ck_assert_int_eq(produce(part, &p, 1, &at, NULL), 0);
    f.clock.now_ms += PRODUCER_EXPIRES_MS;
    happen(_i);
    p.sequence = 2;
    ck_assert_int_eq(produce(part, &p, 1, &at, NULL), ERR_NO_PRODUCER);
    p = (struct producer){7, 0, 0};
    ck_assert_int_eq(produce(part, &p, 1, &at, NULL), 0);
    ck_assert(!at.duplicate);
}
END_TEST

START_TEST(the_clock_steps_back)
{
    struct producer p = {7, 0, 0};
    struct appended at;

    f.clock.now_ms += PRODUCER_EXPIRES_MS;
    ck_assert_int_eq(produce(part, &p, 1, &at, NULL), 0);
    f.clock.now_ms -= PRODUCER_EXPIRES_MS;
    happen(_i);
    ck_assert_int_eq(produce(part, &p, 1, &at, NULL), 0);
    ck_assert(at.duplicate);
}
END_TEST

/* -- files -- */

static bool any_prod(void)
{
    struct segment_stat seg[16];
    size_t n = fixture_segments(part, seg, 16);
    char path[STORE_PATH_MAX];
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        path_of_segment(path, "t", 0, seg[i].base, SUFFIX_PROD);
        any |= file_exists(&f, path);
    }
    ck_assert_uint_gt(n, 1);
    return any;
}

START_TEST(a_prod_is_written_only_where_producers_are_known)
{
    struct appended at;

    fixture_append_key(part, "key", "value");
    happen(5);
    ck_assert(!any_prod());
    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 0}, 1, &at, NULL), 0);
    happen(5);
    ck_assert(any_prod());
}
END_TEST

/* A roll that cannot write its .prod has failed, and leaves nothing of the new segment. */
START_TEST(a_prod_that_cannot_be_written_is_a_roll_that_failed)
{
    static const unsigned calls[] = {MEMCALL_OPEN, MEMCALL_PWRITEV, MEMCALL_FDATASYNC};
    char path[STORE_PATH_MAX];
    char big[3901];
    struct segment_stat seg[16];
    struct appended at;
    uint64_t offset;

    memset(big, 'y', sizeof big - 1);
    big[3899] = '\n';
    big[3900] = '\0';
    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 0}, 1, &at, NULL), 0);
    fixture_append(part, big);
    fixture_append(part, big);
    ck_assert_int_eq(fixture_fsync(&f, part), 0);
    fixture_fail_calls(&f, MEMCALL_BIT(calls[_i]), "*.prod", 1, true, -ENOSPC);
    ck_assert_int_eq(fixture_try_append(part, big, &offset, NULL), -ENOSPC);
    ck_assert_uint_eq(f.disk->fault_hits, 1);
    for (int i = 0; i < SUFFIX_KNOWN; i++) {
        path_of_segment(path, "t", 0, partition_end(part), (enum suffix)i);
        ck_assert(!file_exists(&f, path));
    }
    fixture_no_faults(&f);
    fixture_append(part, big);
    ck_assert_uint_eq(fixture_segments(part, seg, 16), 2);
    ck_assert(any_prod());
    happen(3);
    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 0}, 1, &at, NULL), 0);
    ck_assert(at.duplicate);
}
END_TEST

/* A crash during a roll: the .prod of a segment that was not made is removed, and the
 * next roll makes it anew. */
START_TEST(a_prod_by_itself_is_left_over)
{
    char path[STORE_PATH_MAX];
    struct appended at;

    ck_assert_int_eq(produce(part, &(struct producer){7, 0, 0}, 1, &at, NULL), 0);
    fixture_append_bytes(part, 3900, 'x');
    fixture_append_bytes(part, 3900, 'x');
    path_of_segment(path, "t", 0, partition_end(part), SUFFIX_PROD);
    fixture_kill(&f);
    file_write(&f, path, "half a .prod", 12);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert(!file_exists(&f, path));
    fixture_append_bytes(part, 3900, 'x');
    ck_assert(file_exists(&f, path));
    ck_assert_uint_gt(file_size(&f, path), 12);
}
END_TEST

/* -- ids -- */

START_TEST(no_id_is_given_twice)
{
    int64_t last = ((int64_t)3 << 32) - 1;

    fixture_end(&f);
    fixture_mem(&f);
    f.options.broker = 3;
    fixture_open(&f);
    for (int i = 0; i < 2500; i++) {
        int64_t id;

        ck_assert_int_eq(store_producer_id(f.store, &id, &f.err), 0);
        ck_assert_int_gt(id, last);
        ck_assert_int_eq(id >> 32, 3);
        last = id;
        if (i % 500 == 100)
            fixture_kill_reopen(&f);
        if (i % 500 == 300)
            fixture_reopen(&f);
    }
}
END_TEST

START_TEST(no_id_without_room_to_say_so)
{
    int64_t first;
    int64_t id = 77;

    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_PWRITEV), ".format*", 1, true, -ENOSPC);
    ck_assert_int_eq(store_producer_id(f.store, &id, &f.err), -ENOSPC);
    ck_assert_int_eq(id, 77);
    fixture_no_faults(&f);
    ck_assert_int_eq(store_producer_id(f.store, &first, &f.err), 0);
    ck_assert_int_eq(first, (int64_t)1 << 32);
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_PWRITEV), ".format*", 1, true, -ENOSPC);
    for (int i = 1; i < 1024; i++)
        ck_assert_int_eq(store_producer_id(f.store, &id, &f.err), 0);
    ck_assert_int_eq(id, first + 1023);
    ck_assert_int_eq(store_producer_id(f.store, &id, &f.err), -ENOSPC);
}
END_TEST

/* After four thousand million ids there are no more. */
START_TEST(the_last_id)
{
    char *text;
    char *at;
    size_t len;
    int64_t id;

    fixture_close(&f);
    text = file_read(&f, ".format", &len);
    at = strstr(text, "producers 0\n");
    ck_assert_ptr_nonnull(at);
    len = (size_t)(at - text);
    text = realloc(text, len + 64);
    len += (size_t)snprintf(text + len, 64, "producers %" PRIu32 "\n", UINT32_MAX - 1024);
    file_write(&f, ".format", text, len);
    free(text);
    fixture_open(&f);
    for (int i = 0; i < 1024; i++)
        ck_assert_int_eq(store_producer_id(f.store, &id, &f.err), 0);
    ck_assert_int_eq(id, ((int64_t)1 << 32) + UINT32_MAX - 1);
    ck_assert_int_eq(store_producer_id(f.store, &id, &f.err), -ENOSPC);
}
END_TEST

/* -- what is refused before -- */

START_TEST(numbers_below_0_and_sets_that_have_begun_are_refused)
{
    static const struct producer bad[] = {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
    static const struct message m = {.value = "x", .value_len = 1};
    struct set set;
    size_t taken;

    set_init(&set);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(set_producer(&set, &bad[i]), -EINVAL);
    ck_assert(!set.produced);
    ck_assert_int_eq(set_producer(&set, &(struct producer){1, 2, 3}), 0);
    ck_assert_int_eq(set_add_lines(&set, "a\n", 2, &taken), -EINVAL); /* no record for it */
    ck_assert_int_eq(set_add_message(&set, &m), 0);
    ck_assert_int_eq(set_add_lines(&set, "a\n", 2, &taken), 0);
    ck_assert_uint_eq(set.count, 2);
    ck_assert_uint_eq(set.meta.len, 1 + META_PRODUCER_BYTES);
    ck_assert_int_eq(set_producer(&set, &(struct producer){1, 2, 3}), -EINVAL);
    set_clear(&set);
    ck_assert(!set.produced);
    ck_assert_int_eq(set_add_lines(&set, "a", 1, &taken), 0);
    ck_assert_int_eq(set_producer(&set, &(struct producer){1, 2, 3}), -EINVAL);
    set_release(&set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers");
    TCase *tc = tcase_create("producers");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, sets_are_appended_once, 0, TABLES * BETWEEN);
    tcase_add_test(tc, a_duplicate_is_not_promised_before_it_is_visible);
    tcase_add_test(tc, an_old_duplicate_is_not_promised_before_it_is_visible);
    tcase_add_loop_test(tc, a_set_cut_back_is_appended_when_it_is_sent_again, 0, 3);
    tcase_add_test(tc, a_torn_set_is_appended_when_it_is_sent_again);
    tcase_add_loop_test(tc, a_producer_is_forgotten_a_week_after_its_last_set, 0, BETWEEN);
    tcase_add_loop_test(tc, the_clock_steps_back, 0, BETWEEN);
    tcase_add_test(tc, a_prod_is_written_only_where_producers_are_known);
    tcase_add_loop_test(tc, a_prod_that_cannot_be_written_is_a_roll_that_failed, 0, 3);
    tcase_add_test(tc, a_prod_by_itself_is_left_over);
    tcase_add_test(tc, no_id_is_given_twice);
    tcase_add_test(tc, no_id_without_room_to_say_so);
    tcase_add_test(tc, the_last_id);
    tcase_add_test(tc, numbers_below_0_and_sets_that_have_begun_are_refused);
    return suite_run(suite);
}
