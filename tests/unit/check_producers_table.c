/*
 * store/producers: the table itself, where the store's interface would take too
 * long: the end of the sequences, thousands of producers, the bytes of a .prod.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/format.h"
#include "store/producers.h"
#include "tests/support/produce.h"
#include "tests/support/suite.h"

#define LAST INT32_MAX

static struct producers *all;
static struct err err;

static void setup(void)
{
    all = producers_new();
    ck_assert_ptr_nonnull(all);
}

static void teardown(void)
{
    producers_free(all);
}

/* A set found on disk at 10 times its message's number. */
static void found(int64_t id, int16_t epoch, int32_t sequence, uint32_t messages, uint64_t number,
                  uint64_t time_ms)
{
    struct producer p = {id, epoch, sequence};
    struct produced_set set = {sequence, messages, number * 10, number, (number + messages) * 10};

    ck_assert_int_eq(producers_note(all, &p, &set, time_ms), 0);
}

static int ask(int64_t id, int16_t epoch, int32_t sequence, uint32_t messages, struct appended *at)
{
    struct set set = {.count = messages, .producer = {id, epoch, sequence}, .produced = true};

    return producers_ask(all, &set, 1000, at, &err);
}

static void appended(int64_t id, int16_t epoch, int32_t sequence, uint32_t messages,
                     uint64_t number)
{
    struct set set = {.count = messages, .producer = {id, epoch, sequence}, .produced = true};
    struct appended at = {number * 10, (number + messages) * 10, number, false};

    producers_appended(all, &set, &at, 1000);
}

/* -- the end of the sequences -- */

static const struct {
    int32_t known;
    uint32_t known_messages;
    int32_t sequence;
    uint32_t messages;
    int expect;
} ends[] = {
    {LAST, 1, 0, 1, PRODUCER_NEXT},               /* 0 comes after the last */
    {LAST, 1, LAST, 1, PRODUCER_AGAIN},           /* that one again */
    {LAST, 1, 1, 1, ERR_BAD_SEQUENCE},            /* not 0: a gap, not one of long ago */
    {LAST - 1, 1, 0, 1, ERR_BAD_SEQUENCE},        /* likewise */
    {LAST - 1, 1, LAST, 3, PRODUCER_NEXT},        /* over the end */
    {LAST - 1, 5, 3, 1, PRODUCER_NEXT},           /* behind one over the end */
    {LAST - 1, 5, LAST - 1, 5, PRODUCER_AGAIN},   /* that one again */
    {LAST - 1, 5, 0, 2, PRODUCER_AGAIN},          /* a part of it */
    {LAST - 1, 5, 0, 4, ERR_BAD_SEQUENCE},        /* more than that */
    {LAST - 1, 5, LAST - 9, 2, ERR_BAD_SEQUENCE}, /* long ago, or yet to come: not promised */
    {LAST - 1, 1, LAST - 9, 2, PRODUCER_AGAIN},   /* a moment ago */
    {LAST - 1, 1, 0x3fffffff, 1, PRODUCER_AGAIN},
    {LAST - 1, 1, 0x3ffffffe, 1, ERR_BAD_SEQUENCE}, /* too long ago to be sure */
    {0, 1, LAST, 1, ERR_BAD_SEQUENCE},
};

START_TEST(sequences_begin_again_after_the_last)
{
    struct appended at;

    found(7, 0, ends[_i].known, ends[_i].known_messages, 100, 1000);
    ck_assert_int_eq(ask(7, 0, ends[_i].sequence, ends[_i].messages, &at), ends[_i].expect);
}
END_TEST

/* -- groups -- */

START_TEST(sets_of_one_group_follow_one_another)
{
    struct appended at;

    found(7, 0, 0, 2, 0, 1000);
    producers_begin_group(all);
    ck_assert_int_eq(ask(7, 0, 2, 3, &at), PRODUCER_NEXT);
    ck_assert_int_eq(ask(8, 0, 0, 1, &at), PRODUCER_NEXT);
    ck_assert_int_eq(ask(7, 0, 5, 1, &at), PRODUCER_NEXT);
    ck_assert_int_eq(ask(7, 0, 7, 1, &at), PRODUCER_LATER); /* a gap, or not: who knows */
    ck_assert_int_eq(ask(7, 0, 2, 3, &at), PRODUCER_LATER); /* again, if it is written */
    ck_assert_int_eq(ask(7, 1, 0, 1, &at), PRODUCER_LATER);
    appended(7, 0, 2, 3, 10);
    appended(8, 0, 0, 1, 13);
    appended(7, 0, 5, 1, 14);
    producers_begin_group(all);
    ck_assert_int_eq(ask(7, 0, 7, 1, &at), ERR_BAD_SEQUENCE);
    ck_assert_int_eq(ask(7, 0, 2, 3, &at), PRODUCER_AGAIN);
    ck_assert_uint_eq(at.number, 10);
    ck_assert_uint_eq(at.offset, 100);
    ck_assert_uint_eq(at.end, 130);
    ck_assert_int_eq(ask(7, 0, 6, 1, &at), PRODUCER_NEXT);
    ck_assert_int_eq(ask(8, 0, 0, 1, &at), PRODUCER_AGAIN);
}
END_TEST

START_TEST(a_group_that_failed_has_never_been)
{
    struct appended at;
    struct buf prod = {0};

    found(7, 0, 0, 2, 0, 1000);
    producers_begin_group(all);
    ck_assert_int_eq(ask(7, 0, 2, 3, &at), PRODUCER_NEXT);
    ck_assert_int_eq(ask(7, 0, 5, 1, &at), PRODUCER_NEXT);
    ck_assert_int_eq(ask(9, 0, 0, 1, &at), PRODUCER_NEXT);
    producers_begin_group(all);
    ck_assert_int_eq(ask(7, 0, 5, 1, &at), ERR_BAD_SEQUENCE);
    ck_assert_int_eq(ask(9, 0, 1, 1, &at), ERR_NO_PRODUCER);
    ck_assert_int_eq(ask(9, 4, 0, 1, &at), PRODUCER_NEXT); /* any epoch: nothing is known of it */
    ck_assert_int_eq(ask(7, 0, 0, 2, &at), PRODUCER_AGAIN);
    ck_assert_int_eq(ask(7, 0, 2, 3, &at), PRODUCER_NEXT);
    producers_begin_group(all);
    ck_assert_int_eq(producers_encode(all, 1000, &prod), 0);
    ck_assert_uint_eq(get_le32(prod.data + 8), 1); /* 9 is not there */
    buf_release(&prod);
}
END_TEST

/* -- many -- */

START_TEST(beyond_the_limit_the_one_longest_without_a_set_goes)
{
    struct appended at;

    for (int64_t id = 0; id < PRODUCERS_MAX; id++)
        found(id, 0, 0, 1, (uint64_t)id, 1000);
    ck_assert_uint_eq(producers_count(all), PRODUCERS_MAX);
    found(0, 0, 1, 1, PRODUCERS_MAX, 1000); /* now 1 is the oldest */
    producers_begin_group(all);
    ck_assert_int_eq(ask(2, 0, 1, 1, &at), PRODUCER_NEXT); /* and behind it is 3 */
    ck_assert_int_eq(ask(PRODUCERS_MAX, 0, 0, 1, &at), PRODUCER_NEXT);
    ck_assert_int_eq(ask(PRODUCERS_MAX + 1, 0, 0, 1, &at), PRODUCER_NEXT);
    ck_assert_uint_eq(producers_count(all), PRODUCERS_MAX);
    producers_begin_group(all);
    ck_assert_int_eq(ask(1, 0, 1, 1, &at), ERR_NO_PRODUCER);
    ck_assert_int_eq(ask(3, 0, 1, 1, &at), ERR_NO_PRODUCER);
    ck_assert_int_eq(ask(0, 0, 2, 1, &at), PRODUCER_NEXT);
    ck_assert_int_eq(ask(2, 0, 0, 1, &at), PRODUCER_AGAIN);
    for (int64_t id = 4; id < PRODUCERS_MAX; id++)
        ck_assert_int_eq(ask(id, 0, 0, 1, &at), PRODUCER_AGAIN);
    producers_clear(all);
    ck_assert_uint_eq(producers_count(all), 0);
    ck_assert_int_eq(ask(0, 0, 2, 1, &at), ERR_NO_PRODUCER);
}
END_TEST

/* -- .meta -- */

/* What it begins with: flags; create time; id, epoch, sequence; the length of a key. */
#define TIME     1, 2, 3, 4, 5, 6, 7, 8
#define PRODUCER 9, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0xff, 0xff, 0xff, 0x7f

static const struct {
    uint8_t record[24];
    size_t least; /* bytes that are needed */
    int rc;
} records[] = {
    {{META_PRODUCER, PRODUCER}, 15, 1},
    {{META_PRODUCER | META_CREATE_TIME, TIME, PRODUCER}, 23, 1},
    {{META_PRODUCER | META_KEY | META_HEADERS | META_NULL_VALUE, PRODUCER, 5}, 15, 1},
    {{META_CREATE_TIME, TIME}, 1, 0},
    {{META_KEY | META_HEADERS | META_NULL_VALUE, 5}, 1, 0},
    {{32 | META_PRODUCER, PRODUCER}, 24, ERR_TORN},                   /* no such flag */
    {{META_PRODUCER, 9, 0, 0, 0, 1, 0, 0, 0x80, 3, 0}, 24, ERR_TORN}, /* an id below 0 */
    {{META_PRODUCER, 9, 0, 0, 0, 1, 0, 0, 0, 3, 0x80}, 24, ERR_TORN},
    {{META_PRODUCER, 9, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0x80}, 24, ERR_TORN},
};

START_TEST(a_record_says_whose_set_it_begins)
{
    for (size_t len = 0; len <= sizeof records[_i].record; len++) {
        struct producer p = {77, 77, 77};
        int rc = meta_producer_decode(records[_i].record, len, &p);

        ck_assert_int_eq(rc, len < records[_i].least ? ERR_TORN : records[_i].rc);
        if (rc != 1)
            continue;
        ck_assert_int_eq(p.id, (INT64_C(1) << 32) + 9);
        ck_assert_int_eq(p.epoch, 3);
        ck_assert_int_eq(p.sequence, INT32_MAX);
    }
}
END_TEST

/* -- .prod -- */

/* Two producers; that of epoch 3 has two sets. */
static const uint8_t
    page[] =
        {
            'T', 'F', 'S', 'P', 'R',  'D', 1, 0, 2,  0, 0, 0, /* magic, version, producers */
            9,   0,   0,   0,   1,    0,   0, 0, 0,  0, 1, 0, 0xd0, 7,    0,    0,
            0,   0,   0,   0, /* id, epoch, sets, time */
            0,   0,   0,   0,   4,    0,   0, 0, 20, 0, 0, 0, 0,    0,    0,    0,
            2,   0,   0,   0,   0,    0,   0, 0, 7,  0, 0, 0, 0,    0,    0,    0,
            3,   0,   2,   0,   0xb8, 0xb, 0, 0, 0,  0, 0, 0, 0xff, 0xff, 0xff, 0x7f,
            1,   0,   0,   0,   10,   0,   0, 0, 0,  0, 0, 0, 1,    0,    0,    0,
            0,   0,   0,   0,   0,    0,   0, 0, 2,  1, 0, 0, 60,   0,    0,    0,
            0,   0,   0,   0,   6,    0,   0, 0, 0,  0, 0, 0,
};

START_TEST(a_prod_is_byte_for_byte_as_the_format_says)
{
    struct buf prod = {0};
    struct appended at;

    found(7, 3, LAST, 1, 1, 1500);
    found((INT64_C(1) << 32) + 9, 0, 0, 4, 2, 2000);
    found(7, 3, 0, 258, 6, 3000);
    ck_assert_int_eq(producers_encode(all, 3000, &prod), 0);
    ck_assert_uint_eq(prod.len, sizeof page + 4);
    ck_assert_mem_eq(prod.data, page, sizeof page);
    ck_assert_uint_eq(get_le32(prod.data + sizeof page), crc32c_extend(0, page, sizeof page));
    found(1, 0, 0, 1, 3, 3000); /* what was known goes */
    ck_assert_int_eq(producers_decode(all, prod.data, prod.len, 5000, 500), 0);
    ck_assert_uint_eq(producers_count(all), 2);
    ck_assert_int_eq(ask(7, 3, 0, 258, &at), PRODUCER_AGAIN);
    ck_assert_uint_eq(at.offset, 60);
    ck_assert_uint_eq(at.number, 6);
    ck_assert_uint_eq(at.end, 5000); /* it is visible: the segment has a successor */
    ck_assert_int_eq(ask(7, 3, LAST, 1, &at), PRODUCER_AGAIN);
    ck_assert_uint_eq(at.offset, 10);
    ck_assert_int_eq(ask(7, 2, 258, 1, &at), ERR_OLD_EPOCH);
    prod.len = 0;
    ck_assert_int_eq(producers_encode(all, 3000, &prod), 0);
    ck_assert_uint_eq(prod.len, sizeof page + 4);
    ck_assert_mem_eq(prod.data, page, sizeof page); /* the order too */
    buf_release(&prod);
}
END_TEST

START_TEST(a_prod_of_nobody_is_none)
{
    struct buf prod = {0};

    ck_assert_int_eq(producers_encode(all, 0, &prod), 0);
    ck_assert_uint_eq(prod.len, 0);
    found(7, 0, 0, 1, 1, 1000);
    ck_assert_int_eq(producers_encode(all, 1000 + PRODUCER_EXPIRES_MS, &prod), 0);
    ck_assert_uint_eq(prod.len, 0);
    ck_assert_int_eq(producers_encode(all, 999 + PRODUCER_EXPIRES_MS, &prod), 0);
    ck_assert_uint_gt(prod.len, 0);
    buf_release(&prod);
}
END_TEST

START_TEST(a_full_prod_there_and_back)
{
    struct buf prod = {0};
    struct buf again = {0};

    for (int64_t id = 0; id < PRODUCERS_MAX; id++)
        for (int32_t i = 0; i < 7; i++)
            found(id, 1, i, 1, (uint64_t)id * 7 + (uint64_t)i, 1000);
    ck_assert_int_eq(producers_encode(all, 1000, &prod), 0);
    ck_assert_uint_eq(prod.len, 16 + PRODUCERS_MAX * (20 + 5 * 24));
    ck_assert_int_eq(producers_decode(all, prod.data, prod.len, 1000000, 100000), 0);
    ck_assert_uint_eq(producers_count(all), PRODUCERS_MAX);
    ck_assert_int_eq(producers_encode(all, 1000, &again), 0);
    ck_assert_uint_eq(again.len, prod.len);
    ck_assert_mem_eq(again.data, prod.data, prod.len);
    buf_release(&prod);
    buf_release(&again);
}
END_TEST

/* The page with its CRC, after a change. */
static void with_crc(uint8_t *out, size_t len)
{
    put_le32(out + len, crc32c_extend(0, out, len));
}

START_TEST(a_prod_cut_or_flipped_anywhere_is_refused)
{
    uint8_t prod[sizeof page + 4];

    for (size_t i = 0; i < sizeof prod; i++) {
        memcpy(prod, page, sizeof page);
        with_crc(prod, sizeof page);
        found(1, 0, 0, 1, 3, 3000);
        ck_assert_int_eq(producers_decode(all, prod, i, 5000, 500), ERR_TORN);
        ck_assert_uint_eq(producers_count(all), 0);
        for (int bit = 0; bit < 8; bit++) {
            prod[i] ^= (uint8_t)(1u << bit);
            ck_assert_int_eq(producers_decode(all, prod, sizeof prod, 5000, 500), ERR_TORN);
            prod[i] ^= (uint8_t)(1u << bit);
        }
        ck_assert_int_eq(producers_decode(all, prod, sizeof prod, 5000, 500), 0);
    }
}
END_TEST

/* With a CRC that holds, and yet nothing that this program wrote. */
static const struct {
    const char *name;
    size_t at;
    uint8_t byte;
    size_t cut; /* bytes less */
    int rc;
} wrong[] = {
    {"a newer version", 6, 2, 0, ERR_NEWER_FORMAT},
    {"fewer producers", 8, 1, 0, ERR_TORN},
    {"more producers", 8, 3, 0, ERR_TORN},
    {"very many producers", 11, 0xff, 0, ERR_TORN},
    {"an id below 0", 12 + 7, 0x80, 0, ERR_TORN},
    {"an epoch below 0", 12 + 9, 0x80, 0, ERR_TORN},
    {"no set", 12 + 10, 0, 0, ERR_TORN},
    {"six sets", 12 + 10, 6, 0, ERR_TORN},
    {"a sequence below 0", 32 + 3, 0x80, 0, ERR_TORN},
    {"a set of nothing", 32 + 4, 0, 0, ERR_TORN},
    {"a set that is not before the segment", 32 + 8 + 3, 1, 0, ERR_TORN},
    {"a number that is not before the segment", 32 + 16 + 3, 1, 0, ERR_TORN},
    {"messages that are not before the segment", 32 + 4 + 1, 2, 0, ERR_TORN},
    {"a producer twice", 56, 9, 0, ERR_TORN},
    {"half a set", 8, 2, 12, ERR_TORN},
    {"half a producer", 8, 2, 24 + 24 + 10, ERR_TORN},
    {"nobody, and bytes behind it", 8, 0, 0, ERR_TORN},
};

START_TEST(a_prod_that_says_what_cannot_be_is_refused)
{
    uint8_t prod[sizeof page + 4];
    size_t len = sizeof page - wrong[_i].cut;

    memcpy(prod, page, sizeof page);
    if (strcmp(wrong[_i].name, "a producer twice") == 0)
        prod[56 + 4] = 1;
    prod[wrong[_i].at] = wrong[_i].byte;
    with_crc(prod, len);
    ck_assert_msg(producers_decode(all, prod, len + 4, 5000, 500) == wrong[_i].rc, "%s",
                  wrong[_i].name);
    ck_assert_uint_eq(producers_count(all), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producers_table");
    TCase *tc = tcase_create("producers_table");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, sequences_begin_again_after_the_last, 0,
                        (int)(sizeof ends / sizeof *ends));
    tcase_add_test(tc, sets_of_one_group_follow_one_another);
    tcase_add_test(tc, a_group_that_failed_has_never_been);
    tcase_add_test(tc, beyond_the_limit_the_one_longest_without_a_set_goes);
    tcase_add_loop_test(tc, a_record_says_whose_set_it_begins, 0,
                        (int)(sizeof records / sizeof *records));
    tcase_add_test(tc, a_prod_is_byte_for_byte_as_the_format_says);
    tcase_add_test(tc, a_prod_of_nobody_is_none);
    tcase_add_test(tc, a_full_prod_there_and_back);
    tcase_add_test(tc, a_prod_cut_or_flipped_anywhere_is_refused);
    tcase_add_loop_test(tc, a_prod_that_says_what_cannot_be_is_refused, 0,
                        (int)(sizeof wrong / sizeof *wrong));
    return suite_run(suite);
}
