/* fs/control: writes to .config, whole and cut, right and wrong; the text of .offsets. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/control.h"
#include "tests/support/suite.h"

/* -- a topic that is nothing but its settings -- */

struct partition {
    struct partition_stat st;
};

struct topic {
    struct topic_config conf;
    struct partition parts[2];
    unsigned configured; /* calls that succeeded */
};

static struct topic topic;

struct topic *topic_get(struct topic *t)
{
    return t;
}

void topic_put(struct topic *t)
{
    ck_assert_ptr_eq(t, &topic);
}

const char *topic_name(const struct topic *t)
{
    (void)t;
    return "clicks";
}

uint32_t topic_partition_count(const struct topic *t)
{
    (void)t;
    return 2;
}

struct partition *topic_partition(const struct topic *t, uint32_t index)
{
    return (struct partition *)(uintptr_t)&t->parts[index];
}

int partition_stat(struct partition *part, struct partition_stat *st)
{
    *st = part->st;
    return st->failed ? -EIO : 0;
}

int topic_configure(struct topic *t, const char *text, size_t len, struct err *err)
{
    int rc = topic_config_parse(&t->conf, &topic_config_default, text, len, "clicks/.config", err);

    t->configured += rc == 0;
    return rc;
}

/* -- -- */

static struct control *control;
static int saved_stderr, said;

/* What is said to the log goes to a pipe. */
static void set_up(void)
{
    int ends[2];

    memset(&topic, 0, sizeof topic);
    topic.conf = topic_config_default;
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    said = ends[0];
    ck_assert_int_eq(control_open(&control, &topic), 0);
}

static void tear_down(void)
{
    control_release(control);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(said);
}

static ssize_t put(const char *text)
{
    return control_write(control, text, strlen(text));
}

static void said_is(const char *text)
{
    char got[1024] = "";
    ssize_t n = read(said, got, sizeof got - 1);

    ck_assert_int_ge(n, -1);
    ck_assert_str_eq(got, text);
}

START_TEST(a_write_is_applied_as_a_whole)
{
    ck_assert_int_eq(put("flush.ms=5\n\n# comment\nack=write\n"), 32);
    ck_assert_uint_eq(topic.conf.flush_ms, 5);
    ck_assert_uint_eq(topic.conf.ack_write, 1);
    ck_assert_uint_eq(topic.configured, 1);
    ck_assert_int_eq(put("flush.ms=\n"), 10);
    ck_assert_uint_eq(topic.conf.flush_ms, topic_config_default.flush_ms);
    ck_assert_int_eq(put(""), 0);
    said_is("");
}
END_TEST

START_TEST(a_wrong_line_changes_nothing_and_is_named)
{
    ck_assert_int_eq(put("flush.ms=5\nack=write\nflush.ms=7d\n"), -EINVAL);
    said_is("topicfs: clicks/.config line 3: flush.ms=7d: not a number of milliseconds\n");
    ck_assert_int_eq(put("retention=x\n"), -EINVAL);
    said_is("topicfs: clicks/.config line 1: retention: no such setting\n");
    ck_assert_int_eq(put("set.max.bytes=10\n"), -EINVAL);
    said_is("topicfs: clicks/.config: message.max.bytes=1048576 is above set.max.bytes=10\n");
    ck_assert_mem_eq(&topic.conf, &topic_config_default, sizeof topic.conf);
    ck_assert_int_eq(put("flush.ms=6\n"), 11);
    ck_assert_uint_eq(topic.conf.flush_ms, 6);
}
END_TEST

/* Lines cut at every place over two writes mean the same. */
START_TEST(a_line_may_be_cut)
{
    static const char text[] = "flush.ms=5\nack=write\n";

    for (size_t i = 0; i < sizeof text; i++) {
        topic.conf = topic_config_default;
        ck_assert_int_eq(control_write(control, text, i), (ssize_t)i);
        ck_assert_int_eq(put(text + i), (ssize_t)(sizeof text - 1 - i));
        ck_assert_uint_eq(topic.conf.flush_ms, 5);
        ck_assert_uint_eq(topic.conf.ack_write, 1);
    }
    ck_assert_int_eq(control_flush(control), 0);
}
END_TEST

START_TEST(the_close_applies_a_line_without_newline)
{
    unsigned configured;

    ck_assert_int_eq(put("flush.ms=5\nack=wri"), 18);
    ck_assert_int_eq(put("te"), 2);
    ck_assert_uint_eq(topic.conf.ack_write, 0);
    ck_assert_int_eq(control_flush(control), 0);
    ck_assert_uint_eq(topic.conf.ack_write, 1);
    configured = topic.configured;
    ck_assert_int_eq(control_flush(control), 0);
    ck_assert_uint_eq(topic.configured, configured);
    ck_assert_int_eq(put("ack=may"), 7);
    ck_assert_int_eq(put("be"), 2);
    ck_assert_int_eq(control_flush(control), -EINVAL);
    said_is("topicfs: clicks/.config line 1: ack=maybe: must be close or write\n");
    ck_assert_int_eq(control_flush(control), 0);
}
END_TEST

/* After a refused write its beginning does not spoil the next line. */
START_TEST(a_refused_write_leaves_nothing_behind)
{
    ck_assert_int_eq(put("flush"), 5);
    ck_assert_int_eq(put(".s=1\nack=wr"), -EINVAL);
    ck_assert_int_eq(put("ack=write\n"), 10);
    ck_assert_uint_eq(topic.conf.ack_write, 1);
}
END_TEST

START_TEST(there_is_a_limit)
{
    static char text[CONTROL_TEXT_MAX + 1];

    memset(text, '#', sizeof text);
    ck_assert_int_eq(control_write(control, text, sizeof text), -EINVAL);
    said_is("topicfs: clicks/.config: more than 65536 bytes at once\n");
    ck_assert_int_eq(control_write(control, text, 40000), 40000);
    ck_assert_int_eq(control_write(control, text, 40000), -EINVAL);
    ck_assert_int_eq(put("flush.ms=6\n"), 11);
    ck_assert_uint_eq(topic.conf.flush_ms, 6);
}
END_TEST

START_TEST(offsets_are_a_line_a_partition)
{
    struct buf text = {0};

    topic.parts[0].st = (struct partition_stat){
        .first = 10, .sealed_end = 200, .visible_end = 3000, .messages = 40};
    ck_assert_int_eq(control_offsets_text(&topic, &text), 0);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    ck_assert_str_eq(text.data, "0 10 200 3000 40\n1 0 0 0 0\n");
    topic.parts[1].st.failed = true;
    ck_assert_int_eq(control_offsets_text(&topic, &text), -EIO);
    buf_release(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs/control");
    TCase *tc = tcase_create("control");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_write_is_applied_as_a_whole);
    tcase_add_test(tc, a_wrong_line_changes_nothing_and_is_named);
    tcase_add_test(tc, a_line_may_be_cut);
    tcase_add_test(tc, the_close_applies_a_line_without_newline);
    tcase_add_test(tc, a_refused_write_leaves_nothing_behind);
    tcase_add_test(tc, there_is_a_limit);
    tcase_add_test(tc, offsets_are_a_line_a_partition);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
