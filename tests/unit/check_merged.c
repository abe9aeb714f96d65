/* fs/merged: whole messages of all partitions in turn, each once. */
#include <errno.h>
#include <unistd.h>

#include "fs/merged.h"
#include "tests/support/suite.h"
#include "tests/unit/store_in_tmp.h"

static struct tmp_store tmp;
static struct topic *topic;
static struct merged *m;

static void start_from(enum place_kind kind, uint64_t value)
{
    struct place from = {kind, value};

    ck_assert_int_eq(merged_new(&m, topic, &from), 0);
}

static void start(void)
{
    tmp_store_open(&tmp);
    topic = tmp_topic(&tmp, "t", 3);
}

static void finish(void)
{
    merged_free(m);
    topic_put(topic);
    tmp_store_close(&tmp);
}

static void publish(uint32_t partition, const char *lines)
{
    tmp_publish(&tmp, topic_partition(topic, partition), lines);
}

/* The next read, as text; "" where there is nothing. */
static const char *take(uint64_t size, bool delivered)
{
    static char text[256];
    struct range range;
    ssize_t n;
    int rc = merged_take(m, size, &range);

    ck_assert_int_ge(rc, 0);
    if (rc == 0)
        return "";
    ck_assert_uint_le(range.len, size);
    n = pread(range.fd, text, range.len, (off_t)range.pos);
    ck_assert_int_eq(n, (ssize_t)range.len);
    text[n] = '\0';
    merged_taken(m, &range, delivered);
    range_release(&range);
    return text;
}

START_TEST(partitions_have_their_turns)
{
    publish(0, "a0\na1\n");
    publish(1, "b0\n");
    publish(2, "c0\nc1\n");
    start_from(PLACE_EARLIEST, 0);
    ck_assert_str_eq(take(4, true), "a0\n");
    ck_assert_str_eq(take(4, true), "b0\n");
    ck_assert_str_eq(take(4, true), "c0\n");
    ck_assert_str_eq(take(100, true), "a1\n");
    ck_assert_str_eq(take(100, true), "c1\n");
    ck_assert(!merged_more(m));
    ck_assert_str_eq(take(100, true), "");
    publish(1, "b1\nb2\n");
    ck_assert(merged_more(m));
    ck_assert_str_eq(take(100, true), "b1\nb2\n");
}
END_TEST

/* Byte by byte, as bash reads. */
START_TEST(a_message_is_finished_before_the_next_partition)
{
    static const char want[] = "abcdefgh\nij\n";
    char got[sizeof want] = "";

    publish(0, "abcdefgh\n");
    publish(1, "ij\n");
    start_from(PLACE_EARLIEST, 0);
    for (size_t i = 0; i < sizeof want - 1; i++)
        strcat(got, take(1, true));
    ck_assert_str_eq(got, want);
    ck_assert_str_eq(take(1, true), "");
}
END_TEST

START_TEST(what_did_not_arrive_is_given_again)
{
    publish(0, "abcdef\n");
    publish(1, "x\n");
    start_from(PLACE_EARLIEST, 0);
    ck_assert_str_eq(take(3, false), "abc");
    ck_assert_str_eq(take(3, true), "abc");
    ck_assert_str_eq(take(3, false), "def");
    ck_assert_str_eq(take(100, true), "def\n");
    ck_assert_str_eq(take(100, true), "x\n");
}
END_TEST

START_TEST(one_reader_at_a_time)
{
    struct range first, second;

    publish(0, "a\n");
    publish(1, "b\n");
    start_from(PLACE_EARLIEST, 0);
    ck_assert_int_eq(merged_take(m, 100, &first), 1);
    ck_assert(!merged_more(m));
    ck_assert_int_eq(merged_take(m, 100, &second), 0);
    merged_taken(m, &first, true);
    range_release(&first);
    ck_assert_str_eq(take(100, true), "b\n");
}
END_TEST

START_TEST(latest_begins_at_the_visible_end)
{
    publish(0, "old\n");
    start_from(PLACE_LATEST, 0);
    ck_assert_str_eq(take(100, true), "");
    publish(0, "new\n");
    ck_assert_str_eq(take(100, true), "new\n");
}
END_TEST

START_TEST(a_time_is_looked_for_in_every_partition)
{
    publish(0, "a-old\n");
    publish(1, "b-old\n");
    tmp.now_ms += 5000;
    publish(1, "b-new\n");
    publish(2, "c-new\n");
    start_from(PLACE_TIME, tmp.now_ms - 1);
    ck_assert_str_eq(take(100, true), "b-new\n");
    ck_assert_str_eq(take(100, true), "c-new\n");
    ck_assert_str_eq(take(100, true), "");
}
END_TEST

START_TEST(added_partitions_are_read_from_their_beginning)
{
    struct err err;

    start_from(PLACE_LATEST, 0);
    ck_assert_int_eq(topic_configure(topic, "partitions=5\n", 13, &err), 0);
    publish(4, "there\n");
    ck_assert(merged_more(m));
    ck_assert_str_eq(take(100, true), "there\n");
    ck_assert(!merged_more(m));
}
END_TEST

START_TEST(over_gaps)
{
    publish(0, "a\n");
    publish(1, "b\n");
    start_from(PLACE_EARLIEST, 0);
    ck_assert_str_eq(take(100, true), "a\n");
    ck_assert_int_eq(partition_skip_to(topic_partition(topic, 0), 100, 10, NULL), 0);
    ck_assert_int_eq(partition_skip_to(topic_partition(topic, 2), 50, 0, NULL), 0);
    ck_assert_str_eq(take(100, true), "b\n");
    ck_assert_str_eq(take(100, true), "");
    ck_assert(!merged_more(m));
    publish(0, "aa\n");
    publish(2, "cc\n");
    ck_assert(merged_more(m));
    ck_assert_str_eq(take(100, true), "cc\n");
    ck_assert_str_eq(take(100, true), "aa\n");
    ck_assert_str_eq(take(100, true), "");
}
END_TEST

START_TEST(across_segments)
{
    uint64_t got = 0, want;
    struct range range;

    tmp_publish_segments(&tmp, topic_partition(topic, 1), 3);
    want = partition_visible_end(topic_partition(topic, 1));
    start_from(PLACE_EARLIEST, 0);
    while (merged_take(m, 100000, &range) == 1) {
        ck_assert_uint_eq(range.offset, got);
        got += range.len;
        merged_taken(m, &range, true);
        range_release(&range);
    }
    ck_assert_uint_eq(got, want);
}
END_TEST

/* -- what goes -- */

/* Everything that was appended goes. */
static void retain(void)
{
    struct err err;

    ck_assert_int_eq(topic_configure(topic, "retention.ms=1\n", 15, &err), 0);
    tmp.now_ms += 120000;
    tmp_flush(&tmp);
}

/* A message that was begun is finished; then comes what is kept. */
START_TEST(a_message_that_retention_removes_half_way)
{
    publish(0, "half-way\n");
    publish(0, "lost\n");
    start_from(PLACE_EARLIEST, 0);
    ck_assert_str_eq(take(5, true), "half-");
    retain();
    ck_assert_uint_eq(partition_first(topic_partition(topic, 0)), 14);
    publish(0, "kept\n");
    ck_assert_str_eq(take(2, false), "wa");
    ck_assert_str_eq(take(2, true), "wa");
    ck_assert_str_eq(take(100, true), "y\n");
    ck_assert_str_eq(take(100, true), "kept\n");
    ck_assert_str_eq(take(100, true), "");
}
END_TEST

START_TEST(a_topic_that_is_deleted)
{
    struct range range;
    struct err err;

    publish(0, "half-way\n");
    publish(1, "b\n");
    start_from(PLACE_EARLIEST, 0);
    ck_assert_str_eq(take(5, true), "half-");
    ck_assert_int_eq(store_topic_delete(topic, &err), 0);
    ck_assert_str_eq(take(100, true), "way\n");
    ck_assert_int_eq(merged_take(m, 100, &range), ERR_GONE);
    ck_assert_int_eq(merged_take(m, 100, &range), ERR_GONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs/merged");
    TCase *tc = tcase_create("merged streams");

    tcase_add_checked_fixture(tc, start, finish);
    tcase_add_test(tc, partitions_have_their_turns);
    tcase_add_test(tc, a_message_is_finished_before_the_next_partition);
    tcase_add_test(tc, what_did_not_arrive_is_given_again);
    tcase_add_test(tc, one_reader_at_a_time);
    tcase_add_test(tc, latest_begins_at_the_visible_end);
    tcase_add_test(tc, a_time_is_looked_for_in_every_partition);
    tcase_add_test(tc, added_partitions_are_read_from_their_beginning);
    tcase_add_test(tc, over_gaps);
    tcase_add_test(tc, across_segments);
    tcase_add_test(tc, a_message_that_retention_removes_half_way);
    tcase_add_test(tc, a_topic_that_is_deleted);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
