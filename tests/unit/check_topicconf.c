/* store/topicconf: settings as text, and the sentences that refuse one. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/topicconf.h"
#include "tests/support/suite.h"

static int parse(struct topic_config *conf, const char *text, struct err *err)
{
    return topic_config_parse(conf, &topic_config_default, text, strlen(text), "t/.config", err);
}

/* -- good lines -- */

#define AT(field) offsetof(struct topic_config, field)

static const struct {
    const char *text;
    size_t at;
    uint64_t value;
} good[] = {
    {"partitions=7\n", AT(partitions), 7},
    {"partitions=100000", AT(partitions), 100000},
    {"values=any\n", AT(values_any), 1},
    {"values=lines\n", AT(values_any), 0},
    {"segment.bytes=2147483647\n", AT(segment_bytes), 2147483647},
    {"segment.bytes=16777216\n", AT(segment_bytes), 16777216}, /* twice set.max.bytes */
    {"segment.ms=1000\n", AT(segment_ms), 1000},
    {"segment.ms=4000000000\n", AT(segment_ms), 4000000000},
    {"flush.sync=os\n", AT(flush_os), 1},
    {"flush.sync=disk\n", AT(flush_os), 0},
    {"flush.messages=1\n", AT(flush_messages), 1},
    {"flush.ms=0\n", AT(flush_ms), 0},
    {"ack=write\n", AT(ack_write), 1},
    {"message.max.bytes=1\n", AT(message_max_bytes), 1},
    {"message.max.bytes=8388608\n", AT(message_max_bytes), 8388608},
    {"set.max.bytes=1048576\n", AT(set_max_bytes), 1048576},
    {"mode=0640\n", AT(mode), 0640},
    {"mode=777\n", AT(mode), 0777},
    {"uid=1000\n", AT(uid), 1000},
    {"gid=4294967294\n", AT(gid), 4294967294},
    {"# a comment\n\nflush.ms=5\n", AT(flush_ms), 5},
    {"flush.ms=5\nflush.ms=6\n", AT(flush_ms), 6},  /* the last one counts */
    {"flush.ms=5\nflush.ms=\n", AT(flush_ms), 100}, /* back to the default */
    {"values=any\nvalues=", AT(values_any), 0},
};

START_TEST(good_line_changes_one_setting)
{
    struct topic_config conf = topic_config_default;
    struct topic_config want = topic_config_default;
    struct err err = {0};
    int rc = parse(&conf, good[_i].text, &err);

    ck_assert_msg(rc == 0, "%s: %s", good[_i].text, err.text);
    memcpy((char *)&want + good[_i].at, &good[_i].value, sizeof good[_i].value);
    ck_assert_mem_eq(&conf, &want, sizeof conf);
}
END_TEST

/* -- bad lines -- */

static const struct {
    const char *text;
    const char *line; /* what the sentence begins with */
    const char *says; /* what it must name */
} bad[] = {
    {"partitions=0\n", "t/.config line 1: ", "partitions=0: must be from 1 to 100000"},
    {"partitions=100001\n", "t/.config line 1: ", "partitions=100001"},
    {"partitions=-1\n", "t/.config line 1: ", "partitions=-1: not a number of partitions"},
    {"partitions= 1\n", "t/.config line 1: ", "partitions= 1: not a number"},
    {"partitions=01\n", "t/.config line 1: ", "partitions=01: not a number"},
    {"partitions=1 \n", "t/.config line 1: ", "partitions=1 : not a number"},
    {"partitions=18446744073709551616\n", "t/.config line 1: ", "partitions=18446744073709551616"},
    {"segment.ms=7d\n", "t/.config line 1: ", "segment.ms=7d: not a number of milliseconds"},
    {"segment.ms=999\n", "t/.config line 1: ", "segment.ms=999: must be from 1000 to 4000000000"},
    {"segment.ms=4000000001\n", "t/.config line 1: ", "segment.ms=4000000001"},
    {"segment.bytes=8191\n", "t/.config line 1: ", "segment.bytes=8191: must be from 8192"},
    {"segment.bytes=2147483648\n", "t/.config line 1: ", "segment.bytes=2147483648"},
    {"values=line\n", "t/.config line 1: ", "values=line: must be lines or any"},
    {"values=ANY\n", "t/.config line 1: ", "values=ANY: must be lines or any"},
    {"flush.sync=maybe\n", "t/.config line 1: ", "flush.sync=maybe: must be disk or os"},
    {"flush.messages=0\n", "t/.config line 1: ", "flush.messages=0"},
    {"flush.ms=86400001\n", "t/.config line 1: ", "flush.ms=86400001"},
    {"ack=0\n", "t/.config line 1: ", "ack=0: must be close or write"},
    {"mode=0000755\n", "t/.config line 1: ", "mode=0000755: not a number of mode bits"},
    {"mode=0800\n", "t/.config line 1: ", "mode=0800: not a number of mode bits"},
    {"mode=1000\n", "t/.config line 1: ", "mode=1000"},
    {"uid=4294967295\n", "t/.config line 1: ", "uid=4294967295"},
    {"flush.ms=1\nno.such=1\n", "t/.config line 2: ", "no.such: no such setting"},
    {"\n# x\nPartitions=1\n", "t/.config line 3: ", "Partitions: no such setting"},
    {"partition=1\n", "t/.config line 1: ", "partition: no such setting"},
    {"partitionss=1\n", "t/.config line 1: ", "partitionss: no such setting"},
    {"=1\n", "t/.config line 1: ", "no such setting"},
    {"partitions\n", "t/.config line 1: ", "partitions: not of the form key=value"},
    {"flush.ms=1\nwhat is this", "t/.config line 2: ", "what is this: not of the form"},
    {"flush.ms=1\r\n", "t/.config line 1: ", "flush.ms="},
    {"set.max.bytes=1048575\n", "t/.config: ", "message.max.bytes=1048576 is above set.max.bytes"},
    {"message.max.bytes=8388609\n", "t/.config: ", "message.max.bytes=8388609 is above"},
    {"segment.bytes=16777215\n", "t/.config: ", "segment.bytes=16777215 is below twice"},
};

START_TEST(bad_line_is_named_and_nothing_is_changed)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};

    conf.flush_ms = 77;
    ck_assert_int_eq(parse(&conf, bad[_i].text, &err), -EINVAL);
    ck_assert_msg(strncmp(err.text, bad[_i].line, strlen(bad[_i].line)) == 0, "%s", err.text);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s", err.text);
    ck_assert_uint_eq(conf.flush_ms, 77);
    conf.flush_ms = topic_config_default.flush_ms;
    ck_assert_mem_eq(&conf, &topic_config_default, sizeof conf);
}
END_TEST

START_TEST(settings_that_go_together_may_come_in_any_order)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};

    ck_assert_int_eq(
        parse(&conf, "segment.bytes=8192\nmessage.max.bytes=100\nset.max.bytes=4096\n", &err), 0);
    ck_assert_uint_eq(conf.segment_bytes, 8192);
}
END_TEST

/* -- one setting, as the command line gives it -- */

START_TEST(one_setting)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};

    ck_assert_int_eq(topic_config_set(&conf, &topic_config_default, "flush.ms", "12", &err), 0);
    ck_assert_uint_eq(conf.flush_ms, 12);
    ck_assert_int_eq(topic_config_set(&conf, &topic_config_default, "flush.ms", "", &err), 0);
    ck_assert_uint_eq(conf.flush_ms, 100);
}
END_TEST

static const char *const bad_values[][2] = {
    {"flush.ms", "86400001"}, {"flush.ms", "x"}, {"flush.ms", "18446744073709551615"},
    {"mode", "1777"},         {"mode", "8"},     {"segment.bytes", "5"},
    {"values", "none"},       {"no.such", "1"},  {"partitions", "0"},
};

START_TEST(one_bad_setting_changes_nothing)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};

    ck_assert_int_eq(
        topic_config_set(&conf, &topic_config_default, bad_values[_i][0], bad_values[_i][1], &err),
        -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, bad_values[_i][0]));
    ck_assert_mem_eq(&conf, &topic_config_default, sizeof conf);
}
END_TEST

/* -- printing -- */

START_TEST(printed_text_reads_back_as_the_same)
{
    struct topic_config conf = {.partitions = 3,
                                .values_any = 1,
                                .segment_bytes = 1 << 25,
                                .segment_ms = 5000,
                                .flush_os = 1,
                                .flush_messages = 9,
                                .flush_ms = 8,
                                .ack_write = 1,
                                .message_max_bytes = 77,
                                .set_max_bytes = 777,
                                .mode = 0640,
                                .uid = 5,
                                .gid = 6};
    struct topic_config back = topic_config_default;
    struct buf text = {0};
    struct err err = {0};

    ck_assert_int_eq(topic_config_print(&conf, &text), 0);
    ck_assert_int_eq(
        topic_config_parse(&back, &topic_config_default, text.data, text.len, "x", &err), 0);
    ck_assert_mem_eq(&back, &conf, sizeof conf);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    ck_assert_ptr_nonnull(strstr(text.data, "\nmode=0640\n"));
    ck_assert_ptr_nonnull(strstr(text.data, "\nflush.sync=os\n"));
    buf_release(&text);
}
END_TEST

static void count_one(void *arg, const char *key, const char *value, const char *help)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};

    ck_assert_int_eq(topic_config_set(&conf, &topic_config_default, key, value, &err), 0);
    ck_assert_mem_eq(&conf, &topic_config_default, sizeof conf); /* it is the default */
    ck_assert_uint_gt(strlen(help), 0);
    ++*(int *)arg;
}

START_TEST(every_setting_is_described_with_its_default)
{
    int count = 0;

    topic_config_describe(count_one, &count);
    ck_assert_uint_eq((size_t)count, sizeof(struct topic_config) / sizeof(uint64_t));
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void)
{
    Suite *suite = suite_create("topicconf");
    TCase *tc = tcase_create("topicconf");

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, good_line_changes_one_setting, 0, COUNT(good));
    tcase_add_loop_test(tc, bad_line_is_named_and_nothing_is_changed, 0, COUNT(bad));
    tcase_add_test(tc, settings_that_go_together_may_come_in_any_order);
    tcase_add_test(tc, one_setting);
    tcase_add_loop_test(tc, one_bad_setting_changes_nothing, 0, COUNT(bad_values));
    tcase_add_test(tc, printed_text_reads_back_as_the_same);
    tcase_add_test(tc, every_setting_is_described_with_its_default);
    return suite_run(suite);
}
