/* fs/names: which names are names, and what they say. */
#include <check.h>
#include <string.h>

#include "fs/names.h"
#include "tests/support/suite.h"

struct name_case {
    enum name_where where;
    const char *text;
    enum name_kind kind;
    struct place start, end;
    uint64_t number; /* the partition; of segments: the base */
};

#define AT(offset)           \
    {                        \
        PLACE_OFFSET, offset \
    }
#define EARLIEST          \
    {                     \
        PLACE_EARLIEST, 0 \
    }
#define LATEST          \
    {                   \
        PLACE_LATEST, 0 \
    }
#define TIME(ms)       \
    {                  \
        PLACE_TIME, ms \
    }
#define NO              \
    {                   \
        PLACE_OFFSET, 0 \
    }
#define MAX UINT64_MAX
#define NONE(where, text)                 \
    {                                     \
        where, text, NAME_NONE, NO, NO, 0 \
    }

static const struct name_case good[] = {
    {IN_ROOT, ".status", NAME_STATUS, NO, NO, 0},
    {IN_ROOT, ".metrics", NAME_METRICS, NO, NO, 0},
    {IN_ROOT, "clicks", NAME_TOPIC, NO, NO, 0},
    {IN_ROOT, "0", NAME_TOPIC, NO, NO, 0},
    {IN_ROOT, "publish", NAME_TOPIC, NO, NO, 0},
    {IN_TOPIC, "publish", NAME_PUBLISH, NO, NO, 0},
    {IN_TOPIC, ".config", NAME_CONFIG, NO, NO, 0},
    {IN_TOPIC, ".offsets", NAME_OFFSETS, NO, NO, 0},
    {IN_TOPIC, "sealed", NAME_SEALED, NO, NO, 0},
    {IN_TOPIC, "0", NAME_PARTITION, NO, NO, 0},
    {IN_TOPIC, "4294967295", NAME_PARTITION, NO, NO, UINT32_MAX},
    {IN_TOPIC, "latest+", NAME_MERGED, LATEST, NO, 0},
    {IN_TOPIC, "earliest+", NAME_MERGED, EARLIEST, NO, 0},
    {IN_TOPIC, "@1700000000+", NAME_MERGED, TIME(1700000000000), NO, 0},
    {IN_TOPIC, "@0.5+", NAME_MERGED, TIME(500), NO, 0},
    {IN_PARTITION, "publish", NAME_PUBLISH, NO, NO, 0},
    {IN_PARTITION, "00000000000000000000.log", NAME_SEGMENT, NO, NO, 0},
    {IN_PARTITION, "00000000000536870912.log", NAME_SEGMENT, NO, NO, 536870912},
    {IN_PARTITION, "18446744073709551615.log", NAME_SEGMENT, NO, NO, MAX},
    {IN_PARTITION, "0-", NAME_GROWING, AT(0), NO, 0},
    {IN_PARTITION, "52341-", NAME_GROWING, AT(52341), NO, 0},
    {IN_PARTITION, "0+", NAME_STREAM, AT(0), NO, 0},
    {IN_PARTITION, "2-5", NAME_FROZEN, AT(2), AT(5), 0},
    {IN_PARTITION, "5-2", NAME_FROZEN, AT(5), AT(2), 0},
    {IN_PARTITION, "18446744073709551615-", NAME_GROWING, AT(MAX), NO, 0},
    {IN_PARTITION, "18446744073709551616-", NAME_GROWING, AT(MAX), NO, 0},
    {IN_PARTITION, "99999999999999999999999999999-", NAME_GROWING, AT(MAX), NO, 0},
    {IN_PARTITION, "earliest-", NAME_GROWING, EARLIEST, NO, 0},
    {IN_PARTITION, "earliest-latest", NAME_FROZEN, EARLIEST, LATEST, 0},
    {IN_PARTITION, "latest+", NAME_STREAM, LATEST, NO, 0},
    {IN_PARTITION, "7-latest", NAME_FROZEN, AT(7), LATEST, 0},
    {IN_PARTITION, "@12-", NAME_GROWING, TIME(12000), NO, 0},
    {IN_PARTITION, "@12.3-@12.345678901", NAME_FROZEN, TIME(12300), TIME(12345), 0},
    {IN_PARTITION, "@12.000999999+", NAME_STREAM, TIME(12000), NO, 0},
    {IN_PARTITION, "@99999999999999999999-", NAME_GROWING, TIME(MAX), NO, 0},
    {IN_SEALED, "0-00000000000000000000.log", NAME_SEGMENT, NO, NO, 0},
    {IN_SEALED, "17-00000000000000004096.log", NAME_SEGMENT, NO, NO, 4096},
};

static const struct name_case bad[] = {
    NONE(IN_ROOT, ""),
    NONE(IN_ROOT, "."),
    NONE(IN_ROOT, ".Trash"),
    NONE(IN_ROOT, ".clicks.crc"),
    NONE(IN_ROOT, "-x"),
    NONE(IN_ROOT, "a b"),
    NONE(IN_ROOT, "a/b"),
    NONE(IN_TOPIC, ""),
    NONE(IN_TOPIC, "00"),
    NONE(IN_TOPIC, "01"),
    NONE(IN_TOPIC, "+1"),
    NONE(IN_TOPIC, "-1"),
    NONE(IN_TOPIC, "0x1"),
    NONE(IN_TOPIC, "4294967296"),
    NONE(IN_TOPIC, "5+"),
    NONE(IN_TOPIC, "latest"),
    NONE(IN_TOPIC, "latest-"),
    NONE(IN_TOPIC, "latest++"),
    NONE(IN_TOPIC, "Latest+"),
    NONE(IN_TOPIC, "@+"),
    NONE(IN_TOPIC, "publish "),
    NONE(IN_TOPIC, "publishx"),
    NONE(IN_TOPIC, ".status"),
    NONE(IN_TOPIC, ".metrics"),
    NONE(IN_TOPIC, "latest+.json"),
    NONE(IN_PARTITION, ""),
    NONE(IN_PARTITION, "0"),
    NONE(IN_PARTITION, "-"),
    NONE(IN_PARTITION, "+"),
    NONE(IN_PARTITION, "-5"),
    NONE(IN_PARTITION, "00-"),
    NONE(IN_PARTITION, "007-"),
    NONE(IN_PARTITION, "0-01"),
    NONE(IN_PARTITION, "0--"),
    NONE(IN_PARTITION, "0-5-"),
    NONE(IN_PARTITION, "0-5+"),
    NONE(IN_PARTITION, "0+5"),
    NONE(IN_PARTITION, " 0-"),
    NONE(IN_PARTITION, "0- "),
    NONE(IN_PARTITION, "0-latest-"),
    NONE(IN_PARTITION, "earliestlatest"),
    NONE(IN_PARTITION, "@-"),
    NONE(IN_PARTITION, "@12.-"),
    NONE(IN_PARTITION, "@.5-"),
    NONE(IN_PARTITION, "@012-"),
    NONE(IN_PARTITION, "@12.1234567890-"),
    NONE(IN_PARTITION, "0-.json"),
    NONE(IN_PARTITION, ".config"),
    NONE(IN_PARTITION, "0000000000000000000.log"),
    NONE(IN_PARTITION, "000000000000000000000.log"),
    NONE(IN_PARTITION, "00000000000000000000.lo"),
    NONE(IN_PARTITION, "00000000000000000000.logs"),
    NONE(IN_PARTITION, "00000000000000000000.idx"),
    NONE(IN_PARTITION, "18446744073709551616.log"),
    NONE(IN_PARTITION, "99999999999999999999.log"),
    NONE(IN_SEALED, "publish"),
    NONE(IN_SEALED, "00000000000000000000.log"),
    NONE(IN_SEALED, "00-00000000000000000000.log"),
    NONE(IN_SEALED, "0-0000000000000000000.log"),
    NONE(IN_SEALED, "4294967296-00000000000000000000.log"),
};

static void place_is(struct place got, struct place want)
{
    ck_assert_int_eq(got.kind, want.kind);
    ck_assert_uint_eq(got.value, want.value);
}

START_TEST(names_of_the_grammar)
{
    const struct name_case *c = &good[_i];
    struct name name;

    ck_assert_msg(name_parse(c->where, c->text, &name), "%s", c->text);
    ck_assert_int_eq(name.kind, c->kind);
    place_is(name.start, c->start);
    place_is(name.end, c->end);
    ck_assert_uint_eq(c->kind == NAME_SEGMENT ? name.base : name.partition, c->number);
    ck_assert_int_eq(name.has_word, c->start.kind != PLACE_OFFSET || c->end.kind != PLACE_OFFSET);
}
END_TEST

START_TEST(anything_else_is_none)
{
    struct name name;

    ck_assert_msg(!name_parse(bad[_i].where, bad[_i].text, &name), "%s", bad[_i].text);
    ck_assert_int_eq(name.kind, NAME_NONE);
}
END_TEST

/* What is written is read back, and is the only spelling. */
START_TEST(written_names_are_read_back)
{
    static const uint64_t values[] = {0, 1, 9, 10, 536870912, INT64_MAX, UINT64_MAX};
    char text[NAME_ROOM];
    struct name name;

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        ck_assert_uint_eq(name_of_segment(text, values[i]), strlen(text));
        ck_assert(name_parse(IN_PARTITION, text, &name));
        ck_assert_uint_eq(name.base, values[i]);
        ck_assert_uint_lt(name_of_sealed(text, UINT32_MAX, values[i]), NAME_ROOM);
        ck_assert(name_parse(IN_SEALED, text, &name));
        ck_assert_uint_eq(name.base, values[i]);
        ck_assert_uint_eq(name.partition, UINT32_MAX);
        name_of_range(text, NAME_STREAM, values[i], 0);
        ck_assert(name_parse(IN_PARTITION, text, &name));
        ck_assert_int_eq(name.kind, NAME_STREAM);
        name_of_range(text, NAME_GROWING, values[i], 0);
        ck_assert(name_parse(IN_PARTITION, text, &name));
        ck_assert_int_eq(name.kind, NAME_GROWING);
        ck_assert_uint_lt(name_of_range(text, NAME_FROZEN, values[i], UINT64_MAX), NAME_ROOM);
        ck_assert(name_parse(IN_PARTITION, text, &name));
        ck_assert_uint_eq(name.start.value, values[i]);
        ck_assert_uint_eq(name.end.value, UINT64_MAX);
    }
    ck_assert_uint_eq(name_of_partition(text, 17), 2);
    ck_assert_str_eq(text, "17");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs/names");
    TCase *tc = tcase_create("names");

    tcase_add_loop_test(tc, names_of_the_grammar, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(tc, anything_else_is_none, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tc, written_names_are_read_back);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
