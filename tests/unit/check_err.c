/* base/err: every code has a sentence and an errno; contexts go in front. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/suite.h"

static const struct {
    int code, errnum;
} codes[] = {
    {ERR_TORN, EIO},
    {ERR_DAMAGED, EIO},
    {ERR_OUT_OF_RANGE, ERANGE},
    {ERR_NOT_A_BOUNDARY, EINVAL},
    {ERR_GONE, ESTALE},
    {ERR_STOPPING, ESHUTDOWN},
    {ERR_NEWER_FORMAT, EIO},
    {ERR_NOT_A_STORE, EINVAL},
    {ERR_LOCKED, EBUSY},
    {ERR_FAILED, EROFS},
    {ERR_BAD_SEQUENCE, EILSEQ},
    {ERR_OLD_EPOCH, ESTALE},
    {ERR_NO_PRODUCER, ESRCH},
    {-ENOSPC, ENOSPC},
    {-EIO, EIO},
    {0, 0},
    {ENOENT, ENOENT},
    {-123456, EIO}, /* no code of ours */
};

START_TEST(code_becomes_its_errno)
{
    ck_assert_int_eq(err_errno(codes[_i].code), codes[_i].errnum);
}
END_TEST

START_TEST(every_own_code_has_a_sentence_of_its_own)
{
    for (int code = -10000; code >= ERR_LAST; code--) {
        const char *sentence = err_sentence(code);

        ck_assert_msg(strncmp(sentence, "Unknown error", 13) != 0, "%d has no sentence", code);
        for (int other = code + 1; other <= -10000; other++)
            ck_assert_str_ne(sentence, err_sentence(other));
    }
}
END_TEST

START_TEST(sentence_of_an_errno_is_the_systems)
{
    ck_assert_str_eq(err_sentence(-ENOSPC), strerror(ENOSPC));
}
END_TEST

START_TEST(set_returns_the_code_with_and_without_an_err)
{
    struct err err;

    ck_assert_int_eq(err_set(&err, -EINVAL, "line %d", 3), -EINVAL);
    ck_assert_int_eq(err.code, -EINVAL);
    ck_assert_str_eq(err.text, "line 3");
    ck_assert_int_eq(err_set(NULL, ERR_GONE, "%s", "x"), ERR_GONE);
    ck_assert_int_eq(err_prefix(NULL, "x"), 0);
}
END_TEST

START_TEST(prefix_goes_in_front)
{
    struct err err;

    err_set(&err, -EIO, "disk");
    ck_assert_int_eq(err_prefix(&err, "topic %s", "t"), -EIO);
    ck_assert_str_eq(err.text, "topic t: disk");
    ck_assert_int_eq(err_prefix(&err, "store"), -EIO);
    ck_assert_str_eq(err.text, "store: topic t: disk");
}
END_TEST

START_TEST(too_long_sentences_are_cut)
{
    struct err err;
    char text[2000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&err, -EIO, "%s", text);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    ck_assert_int_eq(err_prefix(&err, "%s", text), -EIO);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    err_set(&err, -EIO, "%s", text);
    ck_assert_int_eq(err_prefix(&err, "front"), -EIO);
    ck_assert_int_eq(strncmp(err.text, "front: xxx", 10), 0);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("err");
    TCase *tc = tcase_create("err");

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, code_becomes_its_errno, 0, (int)(sizeof codes / sizeof *codes));
    tcase_add_test(tc, every_own_code_has_a_sentence_of_its_own);
    tcase_add_test(tc, sentence_of_an_errno_is_the_systems);
    tcase_add_test(tc, set_returns_the_code_with_and_without_an_err);
    tcase_add_test(tc, prefix_goes_in_front);
    tcase_add_test(tc, too_long_sentences_are_cut);
    return suite_run(suite);
}
