/*
 * store/replay: records that are missing from the journal: torn by the first record
 * of the next turn, which is no damage, or damaged. Nothing is lost here: the
 * segment's own files have all of it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "store/findings.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;
static struct partition *part;
static unsigned said[FOUND_KINDS];

static void count(void *arg, enum finding kind, const char *text)
{
    (void)arg;
    (void)text;
    said[kind]++;
}

static void setup_with(uint64_t journal_bytes)
{
    static const struct finder finder = {count, NULL};

    fixture_mem(&f);
    f.options.journal_bytes = journal_bytes;
    f.options.finder = &finder;
    fixture_open(&f);
    part = fixture_topic(&f, "t", "");
    memset(said, 0, sizeof said);
}

static void setup(void)
{
    setup_with((uint64_t)64 << 10); /* 32 KiB each: a header and seven records */
}

static void setup_large(void)
{
    setup_with((uint64_t)12 << 20);
}

static void teardown(void)
{
    fixture_end(&f);
}

static void flush_each(unsigned sets, size_t bytes)
{
    for (unsigned i = 0; i < sets; i++) {
        fixture_append_bytes(part, bytes, 'x');
        ck_assert_int_eq(fixture_flush(&f, part), 0);
    }
}

/* Starts; is the journal called damaged, and how often was that finding made? */
static void expect(bool damaged, enum finding kind, unsigned times)
{
    char value[100];

    fixture_open(&f);
    ck_assert_int_eq(strstr(fixture_status(&f, "journal", value, sizeof value), "damaged") != NULL,
                     damaged);
    ck_assert_uint_eq(said[kind], times);
    ck_assert_uint_eq(said[FOUND_JOURNAL_RECORDS], damaged);
    ck_assert(!partition_failed(fixture_part(&f, "t", 0)));
}

/* Its second block got to the disk, its first and its third did not. The records 1
 * to 7 are in file 0, the 8th in file 1 says that they are needed: the checkpoint
 * came after it. */
START_TEST(open_with_the_next_turns_first_record_torn)
{
    flush_each(8, 99);
    fixture_kill(&f);
    file_flip(&f, ".journal.0", 4096 * 2 + 60);
    expect(false, FOUND_JOURNAL_FIRST, 1);
}
END_TEST

/* All but its first block got there, and what stood there ends in it. */
START_TEST(open_with_the_next_turns_first_record_torn_over_all_the_others)
{
    flush_each(8, 99);
    fixture_kill(&f);
    for (uint64_t i = 2; i <= 7; i++)
        file_flip(&f, ".journal.0", 4096 * i + 60);
    expect(false, FOUND_JOURNAL_FIRST, 1);
}
END_TEST

/* The records 8 to 10 are of the last turn, over which nothing was written. */
START_TEST(open_with_a_damaged_record_in_the_last_turn)
{
    flush_each(10, 99);
    fixture_kill(&f);
    file_flip(&f, ".journal.1", 4096 * 2 + 60);
    expect(true, FOUND_JOURNAL_FIRST, 0);
}
END_TEST

/* As a record is that was written before the checkpoint. */
static void make_record_need_all(const char *path, uint64_t pos)
{
    struct journal_record r;
    size_t len;
    char *data = file_read(&f, path, &len);

    ck_assert(journal_record_decode((uint8_t *)data + pos, &r));
    r.from = 1;
    journal_record_seal((uint8_t *)data + pos, &r);
    file_write_at(&f, path, pos, data + pos, r.length);
    free(data);
}

/* Its first: one behind it is on disk, so nothing has torn it. */
START_TEST(open_with_a_damaged_first_record_in_the_last_turn)
{
    flush_each(9, 99);
    fixture_kill(&f);
    make_record_need_all(".journal.1", 4096 * 2);
    file_flip(&f, ".journal.1", 4096 + 60);
    expect(true, FOUND_JOURNAL_FIRST, 1);
}
END_TEST

/* Farther from the file's beginning than any record is long. */
START_TEST(open_with_a_damaged_record_where_no_first_one_reaches)
{
    flush_each(30, 200000); /* 29 of them fill a file */
    fixture_kill(&f);
    file_flip(&f, ".journal.0", (uint64_t)5 << 20);
    expect(true, FOUND_JOURNAL_FIRST, 0);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, void (*begin)(void))
{
    TCase *tc = tcase_create(name);

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, begin, teardown);
    tcase_set_timeout(tc, 30);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("journal_missing");
    TCase *tc = add_case(suite, "small", setup);

    tcase_add_test(tc, open_with_the_next_turns_first_record_torn);
    tcase_add_test(tc, open_with_the_next_turns_first_record_torn_over_all_the_others);
    tcase_add_test(tc, open_with_a_damaged_record_in_the_last_turn);
    tcase_add_test(tc, open_with_a_damaged_first_record_in_the_last_turn);
    tc = add_case(suite, "large", setup_large);
    tcase_add_test(tc, open_with_a_damaged_record_where_no_first_one_reaches);
    return suite_run(suite);
}
