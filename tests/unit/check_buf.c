/* base/buf: growing, the cap, formatting. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "tests/support/suite.h"

START_TEST(empty_buffer_needs_no_release)
{
    struct buf b = {0};

    buf_clear(&b);
    ck_assert_uint_eq(b.len, 0);
    buf_release(&b);
    ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(adding_keeps_what_was_there)
{
    struct buf b = {0};

    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(buf_add(&b, &"abcdefghijklmnopqrstuvwxyz"[i % 26], 1), 0);
    ck_assert_uint_eq(b.len, 5000);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(b.data[i], 'a' + i % 26);
    ck_assert_int_eq(buf_add(&b, NULL, 0), 0);
    buf_release(&b);
}
END_TEST

START_TEST(full_at_its_cap_and_unchanged)
{
    struct buf b = {.cap = 10};

    ck_assert_int_eq(buf_add(&b, "12345678", 8), 0);
    ck_assert_int_eq(buf_add(&b, "abc", 3), -EMSGSIZE);
    ck_assert_int_eq(buf_printf(&b, "%d", 123), -EMSGSIZE);
    ck_assert_uint_eq(b.len, 8);
    ck_assert_int_eq(buf_add(&b, "ab", 2), 0);
    ck_assert_mem_eq(b.data, "12345678ab", 10);
    ck_assert_uint_le(b.room, 10);
    ck_assert_int_eq(buf_reserve(&b, 1), -EMSGSIZE);
    ck_assert_int_eq(buf_reserve(&b, 0), 0);
    buf_release(&b);
}
END_TEST

START_TEST(a_length_near_the_end_of_memory_is_refused)
{
    struct buf b = {0};

    ck_assert_int_eq(buf_add(&b, "x", 1), 0);
    ck_assert_int_eq(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
    ck_assert_int_eq(buf_reserve(&b, BUF_DEFAULT_CAP), -EMSGSIZE);
    ck_assert_uint_eq(b.len, 1);
    buf_release(&b);
}
END_TEST

START_TEST(printf_appends_without_its_nul)
{
    struct buf b = {0};
    char long_text[1000];

    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    ck_assert_int_eq(buf_printf(&b, "%s-%d", "a", 7), 0);
    ck_assert_int_eq(buf_printf(&b, "%s", long_text), 0);
    ck_assert_int_eq(buf_printf(&b, "%s", ""), 0);
    ck_assert_uint_eq(b.len, 3 + 999);
    ck_assert_mem_eq(b.data, "a-7xxx", 6);
    buf_release(&b);
}
END_TEST

START_TEST(cleared_buffer_keeps_its_room)
{
    struct buf b = {0};
    char *data;

    ck_assert_int_eq(buf_reserve(&b, 1000), 0);
    data = b.data;
    b.len = 1000;
    buf_clear(&b);
    ck_assert_int_eq(buf_reserve(&b, 1000), 0);
    ck_assert_ptr_eq(b.data, data);
    buf_release(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buf");
    TCase *tc = tcase_create("buf");

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, empty_buffer_needs_no_release);
    tcase_add_test(tc, adding_keeps_what_was_there);
    tcase_add_test(tc, full_at_its_cap_and_unchanged);
    tcase_add_test(tc, a_length_near_the_end_of_memory_is_refused);
    tcase_add_test(tc, printf_appends_without_its_nul);
    tcase_add_test(tc, cleared_buffer_keeps_its_room);
    return suite_run(suite);
}
