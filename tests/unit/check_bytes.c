/* base/bytes: integers, uvarints and the cursor whose first failure sticks. */
#include <check.h>

#include "base/bytes.h"
#include "tests/support/suite.h"

START_TEST(integers_are_little_endian)
{
    uint8_t b[8];

    put_le16(b, 0x1234);
    ck_assert_mem_eq(b, "\x34\x12", 2);
    put_le32(b, 0x12345678);
    ck_assert_mem_eq(b, "\x78\x56\x34\x12", 4);
    put_le64(b, 0x123456789abcdef0);
    ck_assert_mem_eq(b, "\xf0\xde\xbc\x9a\x78\x56\x34\x12", 8);
    ck_assert_uint_eq(get_le16(b), 0xdef0);
    ck_assert_uint_eq(get_le32(b), 0x9abcdef0);
    ck_assert_uint_eq(get_le64(b), 0x123456789abcdef0);
}
END_TEST

static const struct {
    uint32_t value;
    size_t len;
    const char *bytes;
} uvarints[] = {
    {0, 1, "\x00"},
    {1, 1, "\x01"},
    {127, 1, "\x7f"},
    {128, 2, "\x80\x01"},
    {16383, 2, "\xff\x7f"},
    {16384, 3, "\x80\x80\x01"},
    {2097151, 3, "\xff\xff\x7f"},
    {2097152, 4, "\x80\x80\x80\x01"},
    {268435455, 4, "\xff\xff\xff\x7f"},
    {268435456, 5, "\x80\x80\x80\x80\x01"},
    {UINT32_MAX, 5, "\xff\xff\xff\xff\x0f"},
};

START_TEST(uvarint_there_and_back)
{
    uint8_t b[5];
    struct cursor c;

    ck_assert_uint_eq(put_uvarint(b, uvarints[_i].value), uvarints[_i].len);
    ck_assert_mem_eq(b, uvarints[_i].bytes, uvarints[_i].len);
    c = cursor_over(b, uvarints[_i].len);
    ck_assert_uint_eq(cursor_uvarint(&c), uvarints[_i].value);
    ck_assert(!c.failed);
    ck_assert_uint_eq(cursor_left(&c), 0);
}
END_TEST

START_TEST(uvarint_cut_anywhere_fails)
{
    for (size_t len = 0; len < uvarints[_i].len; len++) {
        struct cursor c = cursor_over(uvarints[_i].bytes, len);

        ck_assert_uint_eq(cursor_uvarint(&c), 0);
        ck_assert(c.failed);
    }
}
END_TEST

/* More than 32 bits, or a sixth byte. */
START_TEST(uvarint_too_long_fails)
{
    static const char *const bad[] = {"\xff\xff\xff\xff\x10", "\x80\x80\x80\x80\x80\x01",
                                      "\xff\xff\xff\xff\x1f", "\xff\xff\xff\xff\xff\xff"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cursor c = cursor_over(bad[i], strlen(bad[i]));

        ck_assert_uint_eq(cursor_uvarint(&c), 0);
        ck_assert(c.failed);
    }
}
END_TEST

START_TEST(cursor_reads_in_order)
{
    static const uint8_t b[] = {7, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 'x', 'y'};
    struct cursor c = cursor_over(b, sizeof b);

    ck_assert_uint_eq(cursor_u8(&c), 7);
    ck_assert_uint_eq(cursor_le32(&c), 1);
    ck_assert_uint_eq(cursor_le64(&c), 2);
    ck_assert_uint_eq(cursor_left(&c), 2);
    ck_assert_mem_eq(cursor_take(&c, 2), "xy", 2);
    ck_assert_ptr_nonnull(cursor_take(&c, 0));
    ck_assert(!c.failed);
}
END_TEST

START_TEST(failure_of_a_cursor_sticks)
{
    static const uint8_t b[] = {1, 2, 3};
    struct cursor c = cursor_over(b, sizeof b);

    ck_assert_uint_eq(cursor_le32(&c), 0);
    ck_assert(c.failed);
    ck_assert_uint_eq(cursor_left(&c), 0);
    ck_assert_uint_eq(cursor_u8(&c), 0);
    ck_assert_ptr_null(cursor_take(&c, 0));
    ck_assert_uint_eq(cursor_le64(&c), 0);
}
END_TEST

START_TEST(a_length_near_the_end_of_memory_fails)
{
    static const uint8_t b[] = {1, 2, 3};
    struct cursor c = cursor_over(b, sizeof b);

    ck_assert_ptr_null(cursor_take(&c, SIZE_MAX));
    ck_assert(c.failed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bytes");
    TCase *tc = tcase_create("bytes");
    int values = (int)(sizeof uvarints / sizeof *uvarints);

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, integers_are_little_endian);
    tcase_add_loop_test(tc, uvarint_there_and_back, 0, values);
    tcase_add_loop_test(tc, uvarint_cut_anywhere_fails, 0, values);
    tcase_add_test(tc, uvarint_too_long_fails);
    tcase_add_test(tc, cursor_reads_in_order);
    tcase_add_test(tc, failure_of_a_cursor_sticks);
    tcase_add_test(tc, a_length_near_the_end_of_memory_fails);
    return suite_run(suite);
}
