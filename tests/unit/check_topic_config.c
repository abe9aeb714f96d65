/*
 * store/topic_config: a topic grows, and its settings change.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;

static void setup(void)
{
    fixture_mem(&f);
    fixture_open(&f);
}

static void teardown(void)
{
    fixture_end(&f);
}

/* -- growing -- */

START_TEST(partitions_grow)
{
    fixture_topic(&f, "t", "partitions=2\n");
    fixture_append(fixture_part(&f, "t", 1), "one\n");
    ck_assert_int_eq(fixture_try_configure(&f, "t", "partitions=5\n"), 0);
    for (uint32_t i = 2; i < 5; i++) {
        fixture_append(fixture_part(&f, "t", i), "new\n");
        ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", i)), 0);
    }
    ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", 1)), 0);
    fixture_kill_reopen(&f);
    fixture_expect(&f, fixture_part(&f, "t", 1), "one\n");
    fixture_expect(&f, fixture_part(&f, "t", 4), "new\n");
    fixture_reopen(&f);
    ck_assert_uint_eq(fixture_config(&f, "t").partitions, 5);
}
END_TEST

START_TEST(partitions_never_shrink)
{
    fixture_topic(&f, "t", "partitions=2\n");
    ck_assert_int_eq(fixture_try_configure(&f, "t", "partitions=1\n"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(f.err.text, "partitions=1"));
    ck_assert_uint_eq(fixture_config(&f, "t").partitions, 2);
}
END_TEST

START_TEST(growing_that_fails_at_any_call)
{
    for (uint64_t nth = 1;; nth++) {
        bool hit;
        int rc;

        fixture_end(&f);
        setup();
        fixture_topic(&f, "t", "");
        memdisk_set_fault(
            f.disk, (struct memfault){.calls = MEMCALL_CHANGES, .nth = nth, .error = -ENOSPC});
        rc = fixture_try_configure(&f, "t", "partitions=3\n");
        hit = f.disk->fault_hits > 0;
        memdisk_set_fault(f.disk, (struct memfault){0});
        if (rc < 0)
            ck_assert_int_eq(fixture_try_configure(&f, "t", "partitions=3\n"), 0);
        fixture_append(fixture_part(&f, "t", 2), "one\n");
        ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", 2)), 0);
        fixture_kill_reopen(&f);
        fixture_expect(&f, fixture_part(&f, "t", 2), "one\n");
        if (!hit)
            break;
    }
}
END_TEST

/* Somebody lowered partitions= by hand, and raises it again: what stands in the
 * directory is not an empty partition, and must not be written over. */
START_TEST(growing_onto_a_partition_that_has_messages)
{
    char *text;
    size_t len;

    fixture_topic(&f, "t", "partitions=2\n");
    fixture_append(fixture_part(&f, "t", 1), "precious\n");
    fixture_close_unclean(&f);
    text = file_read(&f, "t/.config", &len);
    *(strstr(text, "partitions=2") + 11) = '1';
    file_write(&f, "t/.config", text, len);
    free(text);
    fixture_open(&f);
    ck_assert_int_lt(fixture_try_configure(&f, "t", "partitions=2\n"), 0);
    ck_assert_uint_eq(fixture_config(&f, "t").partitions, 1);
    text = file_read(&f, "t/1/00000000000000000000.log", &len);
    ck_assert_str_eq(text, "precious\n");
    free(text);
}
END_TEST

START_TEST(partitions_in_turn)
{
    struct topic *topic;
    int count[3] = {0};

    fixture_topic(&f, "t", "partitions=3\n");
    topic = store_topic_find(f.store, "t");
    for (int i = 0; i < 300; i++)
        count[partition_index(topic_partition_in_turn(topic))]++;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(count[i], 100);
    topic_put(topic);
}
END_TEST

START_TEST(failed_partitions_are_left_out_of_the_turn)
{
    struct topic *topic;
    struct err err;
    uint64_t offset;

    fixture_topic(&f, "t", "partitions=3\n");
    topic = store_topic_find(f.store, "t");
    for (uint32_t bad = 0; bad < 3; bad++) {
        char path[32];

        snprintf(path, sizeof path, "t/%u/*", bad);
        memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PWRITEV) |
                                                             MEMCALL_BIT(MEMCALL_FDATASYNC),
                                                    .path = path,
                                                    .nth = 1,
                                                    .for_ever = true,
                                                    .error = -EIO});
        ck_assert_int_lt(fixture_try_append(topic_partition(topic, bad), "x\n", &offset, &err), 0);
        ck_assert(partition_failed(topic_partition(topic, bad)));
        for (int i = 0; i < 9; i++) {
            struct partition *part = topic_partition_in_turn(topic);

            if (bad == 2)
                ck_assert_ptr_null(part);
            else
                ck_assert_uint_gt(partition_index(part), bad);
        }
    }
    topic_put(topic);
}
END_TEST

/* -- settings -- */

START_TEST(settings_are_durable_and_whole)
{
    struct topic_config conf;

    fixture_topic(&f, "t", "");
    ck_assert_int_eq(fixture_try_configure(&f, "t", "flush.ms=5\nvalues=any\n"), 0);
    ck_assert_int_eq(fixture_try_configure(&f, "t", "flush.ms=6\nflush.messages=0\n"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(f.err.text, "t/.config line 2: flush.messages=0"));
    fixture_kill_reopen(&f);
    conf = fixture_config(&f, "t");
    ck_assert_uint_eq(conf.flush_ms, 5);
    ck_assert_uint_eq(conf.values_any, 1);
    ck_assert_int_eq(fixture_try_configure(&f, "t", "values=\n"), 0);
    fixture_reopen(&f);
    ck_assert_uint_eq(fixture_config(&f, "t").values_any, 0);
    ck_assert_uint_eq(fixture_config(&f, "t").flush_ms, 5);
}
END_TEST

START_TEST(settings_that_cannot_be_written_are_not_applied)
{
    fixture_topic(&f, "t", "");
    memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_PWRITEV),
                                                .path = "t/.config*",
                                                .nth = 1,
                                                .error = -ENOSPC});
    ck_assert_int_eq(fixture_try_configure(&f, "t", "flush.ms=5\n"), -ENOSPC);
    memdisk_set_fault(f.disk, (struct memfault){0});
    ck_assert_uint_eq(fixture_config(&f, "t").flush_ms, 100);
    fixture_kill_reopen(&f);
    ck_assert_uint_eq(fixture_config(&f, "t").flush_ms, 100);
}
END_TEST

START_TEST(settings_written_back_as_they_were_read)
{
    struct topic *topic;
    struct buf text = {0};

    fixture_topic(&f, "t", "partitions=2\nmode=0640\nuid=5\n");
    topic = store_topic_find(f.store, "t");
    ck_assert_int_eq(topic_config_text(topic, &text), 0);
    ck_assert_int_eq(topic_configure(topic, text.data, text.len, &f.err), 0);
    buf_release(&text);
    topic_put(topic);
}
END_TEST

/* As an editor does that keeps what somebody wrote around them. */
START_TEST(the_identity_is_written_back_anywhere)
{
    char text[512];
    struct topic *topic;

    fixture_topic(&f, "t", "");
    topic = store_topic_find(f.store, "t");
    snprintf(text, sizeof text, "# mine\n\nnumber=%u\nflush.ms=9\nid=%s", topic_number(topic),
             topic_id(topic));
    ck_assert_int_eq(fixture_try_configure(&f, "t", text), 0);
    ck_assert_uint_eq(fixture_config(&f, "t").flush_ms, 9);
    snprintf(text, sizeof text, "id=%s\nnumber=%u\nflush.ms=x\n", topic_id(topic),
             topic_number(topic));
    topic_put(topic);
    ck_assert_int_eq(fixture_try_configure(&f, "t", text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(f.err.text, "t/.config line 3: flush.ms=x"));
}
END_TEST

static const char *const refused[] = {
    "id=00000000-0000-4000-8000-000000000000\n",
    "number=17\n",
    "# a line\nid=00000000-0000-4000-8000-00000000000\n",
    "number=\n",
    "number=160",
    "mode=0700\n",
    "uid=7\n",
    "gid=7\n",
    "partitions=0\n",
    "segment.bytes=8192\n",
    "nonsense\n",
};

START_TEST(settings_that_are_refused)
{
    fixture_topic(&f, "t", "");
    ck_assert_int_eq(fixture_try_configure(&f, "t", refused[_i]), -EINVAL);
    ck_assert_msg(strstr(f.err.text, "t/.config") != NULL, "%s", f.err.text);
}
END_TEST

START_TEST(access_is_durable)
{
    struct topic *topic;
    struct topic_config conf;

    fixture_topic(&f, "t", "");
    topic = store_topic_find(f.store, "t");
    ck_assert_int_eq(topic_set_access(topic, 0640, -1, -1, &f.err), 0);
    ck_assert_int_eq(topic_set_access(topic, -1, 1000, 100, &f.err), 0);
    topic_put(topic);
    fixture_kill_reopen(&f);
    conf = fixture_config(&f, "t");
    ck_assert_uint_eq(conf.mode, 0640);
    ck_assert_uint_eq(conf.uid, 1000);
    ck_assert_uint_eq(conf.gid, 100);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static void add_changing(TCase *tc)
{
    tcase_add_test(tc, partitions_grow);
    tcase_add_test(tc, partitions_never_shrink);
    tcase_add_test(tc, growing_that_fails_at_any_call);
    tcase_add_test(tc, growing_onto_a_partition_that_has_messages);
    tcase_add_test(tc, partitions_in_turn);
    tcase_add_test(tc, failed_partitions_are_left_out_of_the_turn);
    tcase_add_test(tc, settings_are_durable_and_whole);
    tcase_add_test(tc, settings_that_cannot_be_written_are_not_applied);
    tcase_add_test(tc, settings_written_back_as_they_were_read);
    tcase_add_test(tc, the_identity_is_written_back_anywhere);
    tcase_add_loop_test(tc, settings_that_are_refused, 0, COUNT(refused));
    tcase_add_test(tc, access_is_durable);
}

int main(void)
{
    Suite *suite = suite_create("topic_config");
    TCase *tc = tcase_create("topic_config");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add_changing(tc);
    return suite_run(suite);
}
