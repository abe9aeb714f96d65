/*
 * store/metrics: the numbers say what happened. What a client library makes of
 * the text is in tests/e2e/t_semantics_metrics.sh.
 */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/metrics.h"
#include "tests/support/suite.h"
#include "tests/unit/one_partition.h"

/* The value of a line, which begins with its name and labels. */
static uint64_t metric(const char *series)
{
    struct buf text = {0};
    char line[200];
    const char *at;
    uint64_t value = UINT64_MAX;

    snprintf(line, sizeof line, "\n%s ", series);
    ck_assert_int_eq(store_metrics(f.store, &text), 0);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    at = strstr(text.data, line);
    ck_assert_msg(at != NULL, "%s", series);
    ck_assert_int_eq(sscanf(at + strlen(line), "%" SCNu64, &value), 1);
    buf_release(&text);
    return value;
}

#define METRIC_IS(series, want) ck_assert_uint_eq(metric(series), want)

START_TEST(appends_and_flushes)
{
    struct segment_stat stats[10];

    fixture_append(part, "a\nbb\n");
    fixture_append(part, "ccc\n");
    METRIC_IS("topicfs_sets_appended_total", 2);
    METRIC_IS("topicfs_messages_appended_total", 3);
    METRIC_IS("topicfs_appended_bytes_total", 9);
    METRIC_IS("topicfs_topic_messages_appended_total{topic=\"t\"}", 3);
    METRIC_IS("topicfs_topic_appended_bytes_total{topic=\"t\"}", 9);
    METRIC_IS("topicfs_messages_visible_total", 0);
    METRIC_IS("topicfs_unflushed_bytes", 9);
    METRIC_IS("topicfs_undurable_bytes", 0);
    fixture_flush(&f, part);
    METRIC_IS("topicfs_messages_visible_total", 3);
    METRIC_IS("topicfs_visible_bytes_total", 9);
    METRIC_IS("topicfs_unflushed_bytes", 0);
    METRIC_IS("topicfs_undurable_bytes", 9);
    METRIC_IS("topicfs_flush_duration_seconds_count{kind=\"journal\"}", 1);
    METRIC_IS("topicfs_flush_duration_seconds_count{kind=\"direct\"}", 0);
    ck_assert_uint_gt(metric("topicfs_journal_written_bytes_total"), 9 + 3 * 16);
    METRIC_IS("topicfs_segments_begun_total", 0);
    fixture_fill(&f, part);
    METRIC_IS("topicfs_messages_appended_total", 33);
    METRIC_IS("topicfs_messages_visible_total", 33);
    METRIC_IS("topicfs_segments_begun_total", fixture_segments(part, stats, 10) - 1);
    ck_assert_uint_gt(metric("topicfs_flush_duration_seconds_count{kind=\"direct\"}"), 2);
}
END_TEST

/* With flush.sync=os: visible at once, durable by fsync. */
START_TEST(os_lags)
{
    part = fixture_topic(&f, "o", "flush.sync=os\n");
    fixture_append(part, "a\nbb\n");
    METRIC_IS("topicfs_unflushed_bytes", 0);
    METRIC_IS("topicfs_undurable_bytes", 5);
    ck_assert_int_eq(fixture_fsync(&f, part), 0);
    METRIC_IS("topicfs_undurable_bytes", 0);
    METRIC_IS("topicfs_visible_bytes_total", 5);
}
END_TEST

START_TEST(a_gap_is_not_appended)
{
    fixture_append(part, "a\n");
    ck_assert_int_eq(partition_skip_to(part, 1000, 50, &f.err), 0);
    METRIC_IS("topicfs_messages_visible_total", 1);
    METRIC_IS("topicfs_appended_bytes_total", 2);
    METRIC_IS("topicfs_unflushed_bytes", 0);
    METRIC_IS("topicfs_undurable_bytes", 0);
}
END_TEST

START_TEST(who_waits)
{
    struct waiting flush, watch;

    waiting_init(&flush);
    waiting_init(&watch);
    fixture_append(part, "a\n");
    partition_watch(part, 3, &watch.w);
    partition_wait(part, 2, WAIT_VISIBLE, &flush.w);
    METRIC_IS("topicfs_waiters{kind=\"flush\"}", 1);
    METRIC_IS("topicfs_waiters{kind=\"messages\"}", 1);
    fixture_work(&f);
    METRIC_IS("topicfs_waiters{kind=\"flush\"}", 0);
    METRIC_IS("topicfs_waiters{kind=\"messages\"}", 1);
    ck_assert(partition_cancel(part, &watch.w));
    METRIC_IS("topicfs_waiters{kind=\"messages\"}", 0);
}
END_TEST

/* What is known at a start: counts begin with 0, what lags is what it was. */
START_TEST(a_start_counts_anew)
{
    fixture_append(part, "a\n");
    fixture_flush(&f, part);
    fixture_kill(&f);
    file_cut(&f, SEG0_LOG, 0);
    file_cut(&f, SEG0_IDX, IDX_HEADER_BYTES);
    fixture_open(&f);
    METRIC_IS("topicfs_messages_appended_total", 0);
    METRIC_IS("topicfs_messages_visible_total", 0);
    METRIC_IS("topicfs_unflushed_bytes", 0);
    METRIC_IS("topicfs_undurable_bytes", 0);
    METRIC_IS("topicfs_recovery_replayed_parts", 1);
    METRIC_IS("topicfs_topics", 1);
    METRIC_IS("topicfs_partitions", 1);
}
END_TEST

START_TEST(what_is_damaged)
{
    struct partition_stat st;

    fixture_fill(&f, part);
    METRIC_IS("topicfs_damaged_runs", 0);
    fixture_close_unclean(&f);
    file_cut(&f, SEG0_LOG, 1500);
    fixture_open(&f);
    ck_assert_int_eq(partition_stat(fixture_part(&f, "t", 0), &st), 0);
    ck_assert_uint_gt(st.damaged_messages, 1);
    METRIC_IS("topicfs_damaged_runs", 1);
    METRIC_IS("topicfs_damaged_messages", st.damaged_messages);
}
END_TEST

START_TEST(what_has_failed)
{
    fixture_topic(&f, "u", "partitions=3\n");
    METRIC_IS("topicfs_partitions", 4);
    METRIC_IS("topicfs_failed_partitions", 0);
    fixture_append(part, "a\n");
    fixture_fail_calls(&f, MEMCALL_BIT(MEMCALL_FDATASYNC), "t/0/*.idx", 1, false, -EIO);
    ck_assert_int_lt(partition_skip_to(part, 1000, 50, &f.err), 0);
    METRIC_IS("topicfs_failed_partitions", 1);
    METRIC_IS("topicfs_unflushed_bytes", 2); /* for good: nothing of it is flushed any more */
    fixture_kill_reopen(&f);
    METRIC_IS("topicfs_failed_partitions", 0);
}
END_TEST

/* Series of topics are the oldest ones', and stay theirs. */
START_TEST(topics_have_series_up_to_a_bound)
{
    struct buf text = {0};
    char name[32];
    size_t lines = 0;

    for (unsigned i = 1; i < METRICS_TOPICS + 5; i++) {
        snprintf(name, sizeof name, "topic-%u", i);
        ck_assert_int_eq(store_topic_create(f.store, name, NULL, NULL, &f.err), 0);
    }
    ck_assert_int_eq(store_metrics(f.store, &text), 0);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    for (const char *at = text.data; (at = strstr(at, "_total{topic=\"")) != NULL; at++)
        lines++;
    ck_assert_uint_eq(lines, 2 * METRICS_TOPICS);
    ck_assert_ptr_nonnull(strstr(text.data, "{topic=\"t\"}"));
    ck_assert_ptr_nonnull(strstr(text.data, "{topic=\"topic-999\"}"));
    ck_assert_ptr_null(strstr(text.data, "{topic=\"topic-1000\"}"));
    buf_release(&text);
    METRIC_IS("topicfs_topics_without_series", 5);
    METRIC_IS("topicfs_topics", METRICS_TOPICS + 5);
    ck_assert_int_eq(store_topic_remove(f.store, "topic-3", &f.err), 0);
    METRIC_IS("topicfs_topics_without_series", 4);
    METRIC_IS("topicfs_partitions", METRICS_TOPICS + 4);
    METRIC_IS("topicfs_topic_messages_appended_total{topic=\"topic-1000\"}", 0);
}
END_TEST

START_TEST(no_memory_for_the_text)
{
    struct buf text = {.cap = 300};

    ck_assert_int_eq(store_metrics(f.store, &text), -EMSGSIZE);
    buf_release(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tc = tcase_create("metrics");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, appends_and_flushes);
    tcase_add_test(tc, os_lags);
    tcase_add_test(tc, a_gap_is_not_appended);
    tcase_add_test(tc, who_waits);
    tcase_add_test(tc, a_start_counts_anew);
    tcase_add_test(tc, what_is_damaged);
    tcase_add_test(tc, what_has_failed);
    tcase_add_test(tc, topics_have_series_up_to_a_bound);
    tcase_add_test(tc, no_memory_for_the_text);
    return suite_run(suite);
}
