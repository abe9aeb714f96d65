/* store/set: lines and messages become entries, bytes and .meta records. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "store/set.h"
#include "tests/support/suite.h"

/* The .log bytes of the set, to be freed. */
static char *log_of(const struct set *set)
{
    char *bytes = calloc(1, (size_t)set->log_bytes + set->open_bytes + 1);
    size_t at = 0;

    for (size_t i = 0; i < set->iov_count; i++) {
        memcpy(bytes + at, set->iov[i].iov_base, set->iov[i].iov_len);
        at += set->iov[i].iov_len;
    }
    ck_assert_uint_eq(at, set->log_bytes + set->open_bytes);
    return bytes;
}

static void check_log(const struct set *set, const char *want)
{
    char *bytes = log_of(set);

    ck_assert_str_eq(bytes, want);
    free(bytes);
}

/* What the header says of entries, looked up in the bytes themselves. */
static void check_entries(const struct set *set)
{
    char *bytes = log_of(set);
    uint32_t begin = 0;
    uint32_t meta = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct set_entry *e = &set->entries[i];
        uint32_t crc = 0;

        ck_assert_uint_gt(e->end, begin);
        ck_assert_int_eq(bytes[e->end - 1], '\n');
        ck_assert_uint_ge(e->meta_end, meta);
        if (e->meta_end > meta)
            crc = crc32c_extend(crc, set->meta.data + meta, e->meta_end - meta);
        crc = crc32c_extend(crc, bytes + begin, e->end - begin);
        ck_assert_uint_eq(e->crc, crc);
        begin = e->end;
        meta = e->meta_end;
    }
    ck_assert_uint_eq(begin, set->log_bytes);
    ck_assert_uint_eq(meta, set->meta.len);
    free(bytes);
}

static void add(struct set *set, const char *text, int rc, size_t taken)
{
    size_t got = 99;

    ck_assert_int_eq(set_add_lines(set, text, strlen(text), &got), rc);
    ck_assert_uint_eq(got, taken);
}

/* -- lines -- */

START_TEST(lines_of_one_write)
{
    struct set set;

    set_init(&set);
    add(&set, "one\n\nthree\n", 0, 11);
    ck_assert_uint_eq(set.count, 3);
    ck_assert_uint_eq(set.log_bytes, 11);
    ck_assert_uint_eq(set.largest_bytes, 6);
    ck_assert_uint_eq(set.iov_count, 1); /* borrowed as a whole */
    ck_assert_uint_eq(set.open_bytes, 0);
    check_log(&set, "one\n\nthree\n");
    check_entries(&set);
    set_release(&set);
}
END_TEST

START_TEST(nothing_added_is_nothing)
{
    struct set set;

    set_init(&set);
    add(&set, "", 0, 0);
    ck_assert_uint_eq(set.count, 0);
    set_drop_open(&set);
    set_release(&set);
}
END_TEST

START_TEST(line_split_between_two_calls)
{
    static const char text[] = "first\nsecond\n";
    struct set set;
    char a[20], b[20];
    size_t len = sizeof text - 1;
    size_t taken;

    for (size_t cut = 0; cut <= len; cut++) {
        memcpy(a, text, cut); /* two buffers: not neighbours in memory */
        memcpy(b, text + cut, len - cut);
        set_init(&set);
        ck_assert_int_eq(set_add_lines(&set, a, cut, &taken), 0);
        ck_assert_uint_eq(taken, cut);
        ck_assert_int_eq(set_add_lines(&set, b, len - cut, &taken), 0);
        ck_assert_uint_eq(set.count, 2);
        ck_assert_uint_eq(set.open_bytes, 0);
        check_log(&set, text);
        check_entries(&set);
        set_release(&set);
    }
}
END_TEST

START_TEST(line_in_three_pieces)
{
    struct set set;

    set_init(&set);
    add(&set, "a", 0, 1);
    add(&set, "b", 0, 1);
    add(&set, "c\nd", 0, 3);
    ck_assert_uint_eq(set.count, 1);
    ck_assert_uint_eq(set.open_bytes, 1);
    check_entries(&(struct set){.entries = set.entries,
                                .count = set.count,
                                .log_bytes = 4,
                                .iov = (struct iovec[]){{(char[]){"abc\n"}, 4}},
                                .iov_count = 1});
    set_release(&set);
}
END_TEST

START_TEST(dropped_open_line_leaves_the_rest)
{
    struct set set;

    set_init(&set);
    add(&set, "whole\nop", 0, 8);
    add(&set, "en", 0, 2);
    ck_assert_uint_eq(set.open_bytes, 4);
    set_drop_open(&set);
    ck_assert_uint_eq(set.open_bytes, 0);
    check_log(&set, "whole\n");
    add(&set, "next\n", 0, 5);
    check_log(&set, "whole\nnext\n");
    check_entries(&set);
    set_release(&set);
}
END_TEST

START_TEST(full_set_ends_before_the_line_that_passes_its_limit)
{
    struct set set;

    set_init(&set);
    set.set_max_bytes = 8;
    add(&set, "abc\ndef\nx\n", 1, 8);
    check_log(&set, "abc\ndef\n");
    set_clear(&set);
    add(&set, "x\n", 0, 2);
    check_log(&set, "x\n");
    set_release(&set);
}
END_TEST

/* The open line of an earlier call does not fit: it is to be added again. */
START_TEST(full_set_drops_the_open_line_that_passes_its_limit)
{
    struct set set;

    set_init(&set);
    set.set_max_bytes = 8;
    add(&set, "abc\nde", 0, 6);
    add(&set, "fghi\n", 1, 0);
    ck_assert_uint_eq(set.open_bytes, 0);
    check_log(&set, "abc\n");
    check_entries(&set);
    set_release(&set);
}
END_TEST

static const struct {
    const char *first, *second;
    int rc;
    size_t taken;
} long_lines[] = {
    {"", "1234\n", 0, 5},
    {"", "1234", 0, 4},
    {"", "12345\n", -EMSGSIZE, 0},
    {"", "12345", -EMSGSIZE, 0}, /* its '\n' can not fit any more */
    {"", "a\nb\n12345\nc\n", -EMSGSIZE, 4},
    {"12", "34\n", 0, 3},
    {"12", "345\n", -EMSGSIZE, 0},
    {"12", "345", -EMSGSIZE, 0},
    {"1234", "\n", 0, 1},
    {"1234", "5", -EMSGSIZE, 0},
};

START_TEST(line_at_the_limit_of_messages)
{
    struct set set;

    set_init(&set);
    set.message_max_bytes = 5;
    add(&set, long_lines[_i].first, 0, strlen(long_lines[_i].first));
    add(&set, long_lines[_i].second, long_lines[_i].rc, long_lines[_i].taken);
    if (long_lines[_i].rc < 0)
        ck_assert_uint_eq(set.open_bytes, 0);
    check_entries(&set);
    set_release(&set);
}
END_TEST

/* As a publish file does it: pieces of any size, sets appended when full. */
START_TEST(any_pieces_and_limits_give_the_same_lines)
{
    char text[600], got[600];
    size_t len = 0, done = 0, used = 0;
    struct set set;
    size_t taken;

    srand((unsigned)_i);
    while (len < 500) {
        for (int i = rand() % 12; i > 0; i--, len++)
            text[len] = (char)('a' + len % 26);
        text[len++] = '\n';
    }
    set_init(&set);
    set.set_max_bytes = 13 + (uint32_t)(rand() % 60);
    while (done < len) {
        size_t piece = 1 + (size_t)(rand() % 40);
        int rc;

        piece = piece < len - done ? piece : len - done;
        rc = set_add_lines(&set, text + done, piece, &taken);
        ck_assert_int_ge(rc, 0);
        done += taken;
        if (rc == 0 && done < len)
            continue;
        ck_assert_uint_le(set.log_bytes, set.set_max_bytes);
        check_entries(&set);
        for (size_t i = 0; i < set.iov_count; i++) {
            memcpy(got + used, set.iov[i].iov_base, set.iov[i].iov_len);
            used += set.iov[i].iov_len;
        }
        done = used; /* the open line, if it was dropped, is added again */
        set_clear(&set);
    }
    ck_assert_uint_eq(used, len);
    ck_assert_mem_eq(got, text, len);
    set_release(&set);
}
END_TEST

START_TEST(used_set_allocates_no_more)
{
    struct set set;
    struct iovec *iov;
    struct set_entry *entries;

    set_init(&set);
    set.set_max_bytes = 100;
    add(&set, "a\nb\nc\n", 0, 6);
    iov = set.iov;
    entries = set.entries;
    set_clear(&set);
    ck_assert_uint_eq(set.set_max_bytes, 100);
    ck_assert_uint_eq(set.log_bytes, 0);
    add(&set, "d\ne\nf\n", 0, 6);
    ck_assert_ptr_eq(set.iov, iov);
    ck_assert_ptr_eq(set.entries, entries);
    check_log(&set, "d\ne\nf\n");
    set_release(&set);
}
END_TEST

/* -- messages -- */

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct header two_headers[] = {{"n", 1, "vv", 2}, {"none", 4, NULL, 0}};
static const struct header empty_header[] = {{"", 0, "", 0}};

static const struct {
    struct message m;
    const char *log;
    const char *meta;
    size_t meta_len;
} messages[] = {
    {{.value = "v", .value_len = 1}, "v\n", BYTES("")},
    {{.value = "", .value_len = 0}, "\n", BYTES("")},
    {{.value = NULL}, "\n", BYTES("\x01")},
    {{.value = "v", .value_len = 1, .key = "key", .key_len = 3}, "v\n", BYTES("\x02\x03key")},
    {{.value = "v", .value_len = 1, .key = "", .key_len = 0}, "v\n", BYTES("\x02\x00")},
    {{.value = "v", .value_len = 1, .has_time = true, .time_ms = 0x0102},
     "v\n",
     BYTES("\x08\x02\x01\0\0\0\0\0\0")},
    {{.value = "v", .value_len = 1, .has_time = true, .time_ms = -1},
     "v\n",
     BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff")},
    {{.value = "v", .value_len = 1, .headers = two_headers, .header_count = 2},
     "v\n",
     BYTES("\x04\x02\x01n\x03vv\x04none\x00")},
    {{.value = "v", .value_len = 1, .headers = empty_header, .header_count = 1},
     "v\n",
     BYTES("\x04\x01\x00\x01")},
    {{.value = NULL,
      .key = "k",
      .key_len = 1,
      .headers = empty_header,
      .header_count = 1,
      .has_time = true,
      .time_ms = 5},
     "\n",
     BYTES("\x0f\x05\0\0\0\0\0\0\0\x01k\x01\x00\x01")},
};

START_TEST(message_and_its_meta_record)
{
    struct set set;

    set_init(&set);
    ck_assert_int_eq(set_add_message(&set, &messages[_i].m), 0);
    check_log(&set, messages[_i].log);
    ck_assert_uint_eq(set.meta.len, messages[_i].meta_len);
    if (set.meta.len > 0)
        ck_assert_mem_eq(set.meta.data, messages[_i].meta, set.meta.len);
    check_entries(&set);
    set_release(&set);
}
END_TEST

START_TEST(lines_and_messages_mixed)
{
    struct set set;

    set_init(&set);
    add(&set, "line\n", 0, 5);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        ck_assert_int_eq(set_add_message(&set, &messages[i].m), 0);
    add(&set, "last\n", 0, 5);
    ck_assert_uint_eq(set.count, 2 + sizeof messages / sizeof *messages);
    check_entries(&set);
    set_release(&set);
}
END_TEST

START_TEST(newline_in_a_value_is_told)
{
    struct set set;

    set_init(&set);
    ck_assert_int_eq(set_add_message(&set, &(struct message){.value = "ab", .value_len = 2}), 0);
    ck_assert(!set.newline_in_value);
    ck_assert_int_eq(set_add_message(&set, &(struct message){.value = "a\nb", .value_len = 3}), 0);
    ck_assert(set.newline_in_value);
    set_clear(&set);
    ck_assert(!set.newline_in_value);
    set_release(&set);
}
END_TEST

START_TEST(message_over_its_limit_leaves_the_set_as_it_was)
{
    struct message m = {.value = "123", .value_len = 3, .key = "45", .key_len = 2};
    struct header h = {"6", 1, "7", 1};
    struct set set;

    set_init(&set);
    set.message_max_bytes = 6; /* value, '\n', key */
    ck_assert_int_eq(set_add_message(&set, &m), 0);
    ck_assert_uint_eq(set.largest_bytes, 6);
    m.headers = &h;
    m.header_count = 1;
    ck_assert_int_eq(set_add_message(&set, &m), -EMSGSIZE);
    ck_assert_uint_eq(set.count, 1);
    check_log(&set, "123\n");
    check_entries(&set);
    set_release(&set);
}
END_TEST

START_TEST(message_over_the_sets_limit_leaves_it_as_it_was)
{
    struct message m = {.value = "123", .value_len = 3};
    struct set set;

    set_init(&set);
    set.set_max_bytes = 8;
    ck_assert_int_eq(set_add_message(&set, &m), 0);
    ck_assert_int_eq(set_add_message(&set, &m), 0);
    ck_assert_int_eq(set_add_message(&set, &m), -EMSGSIZE);
    check_log(&set, "123\n123\n");
    set_release(&set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("set");
    TCase *tc = tcase_create("set");

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, lines_of_one_write);
    tcase_add_test(tc, nothing_added_is_nothing);
    tcase_add_test(tc, line_split_between_two_calls);
    tcase_add_test(tc, line_in_three_pieces);
    tcase_add_test(tc, dropped_open_line_leaves_the_rest);
    tcase_add_test(tc, full_set_ends_before_the_line_that_passes_its_limit);
    tcase_add_test(tc, full_set_drops_the_open_line_that_passes_its_limit);
    tcase_add_loop_test(tc, line_at_the_limit_of_messages, 0,
                        (int)(sizeof long_lines / sizeof *long_lines));
    tcase_add_loop_test(tc, any_pieces_and_limits_give_the_same_lines, 0, 200);
    tcase_add_test(tc, used_set_allocates_no_more);
    tcase_add_loop_test(tc, message_and_its_meta_record, 0,
                        (int)(sizeof messages / sizeof *messages));
    tcase_add_test(tc, lines_and_messages_mixed);
    tcase_add_test(tc, newline_in_a_value_is_told);
    tcase_add_test(tc, message_over_its_limit_leaves_the_set_as_it_was);
    tcase_add_test(tc, message_over_the_sets_limit_leaves_it_as_it_was);
    return suite_run(suite);
}
