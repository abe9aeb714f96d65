/*
 * store/topic, topic_make, topic_remove: making, finding, listing, removing. What of it
 * survives a power cut is tests/crash's matter, what survives a kill and a failed call is here.
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

static int create(const char *name)
{
    return store_topic_create(f.store, name, NULL, NULL, &f.err);
}

static int remove_topic(const char *name)
{
    return store_topic_remove(f.store, name, &f.err);
}

static bool there(const char *name)
{
    struct topic *topic = store_topic_find(f.store, name);

    if (topic)
        topic_put(topic);
    return topic != NULL;
}

static uint32_t number_of(const char *name)
{
    struct topic *topic = store_topic_find(f.store, name);
    uint32_t number;

    ck_assert_ptr_nonnull(topic);
    number = topic_number(topic);
    topic_put(topic);
    return number;
}

/* -- names -- */

static const struct {
    const char *name;
    bool valid;
} names[] = {
    {"a", true},      {"clicks", true},   {"A-Z_a.z-09", true}, {"0", true},         {"_x", true},
    {"x.", true},     {"x-", true},       {"sealed", true},     {"", false},         {".", false},
    {"..", false},    {".hidden", false}, {"-dash", false},     {"a/b", false},      {"a b", false},
    {"a\n", false},   {"a:b", false},     {"a+b", false},       {"\303\244", false}, {"a*", false},
    {"a\177", false},
};

START_TEST(name_is_valid_or_not)
{
    ck_assert_int_eq(topic_name_valid(names[_i].name), names[_i].valid);
    ck_assert_int_eq(create(names[_i].name), names[_i].valid ? 0 : -EINVAL);
    ck_assert_int_eq(there(names[_i].name), names[_i].valid);
    if (!names[_i].valid)
        ck_assert_ptr_nonnull(strstr(f.err.text, "topic's name"));
}
END_TEST

START_TEST(name_of_the_greatest_length_and_one_more)
{
    char name[TOPIC_NAME_MAX + 2];

    memset(name, 'n', sizeof name);
    name[TOPIC_NAME_MAX + 1] = '\0';
    ck_assert(!topic_name_valid(name));
    ck_assert_int_eq(create(name), -EINVAL);
    name[TOPIC_NAME_MAX] = '\0';
    ck_assert_int_eq(create(name), 0);
    ck_assert_int_eq(fixture_try_configure(&f, name, "partitions=3\n"), 0);
    fixture_kill_reopen(&f);
    ck_assert_uint_eq(fixture_config(&f, name).partitions, 3);
    ck_assert_int_eq(remove_topic(name), 0);
}
END_TEST

/* -- making -- */

START_TEST(topic_as_it_was_made)
{
    struct topic_config conf = topic_config_default;
    struct topic *topic;

    conf.partitions = 3;
    conf.flush_ms = 7;
    ck_assert_int_eq(store_topic_create(f.store, "t", &conf, &topic, &f.err), 0);
    ck_assert_str_eq(topic_name(topic), "t");
    ck_assert_uint_eq(topic_number(topic), 16);
    ck_assert_uint_eq(strlen(topic_id(topic)), 36);
    ck_assert_uint_eq(topic_partition_count(topic), 3);
    ck_assert_uint_eq(topic_config(topic)->flush_ms, 7);
    ck_assert_uint_eq(topic_changed_ms(topic), 1000000);
    ck_assert(!topic_removed(topic));
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(partition_index(topic_partition(topic, i)), i);
        ck_assert_ptr_eq(partition_topic(topic_partition(topic, i)), topic);
    }
    ck_assert_ptr_null(topic_partition(topic, 3));
    ck_assert_ptr_null(topic_partition(topic, UINT32_MAX));
    topic_put(topic);
    ck_assert(file_exists(&f, "t/2/00000000000000000000.idx"));
    ck_assert(file_exists(&f, "t/sealed"));
    ck_assert(!file_exists(&f, ".new.t"));
}
END_TEST

START_TEST(topic_made_without_settings_has_those_of_the_store)
{
    f.options.topic_default = topic_config_default;
    f.options.topic_default.flush_ms = 77;
    fixture_reopen(&f);
    ck_assert_int_eq(store_topic_create(f.store, "t", NULL, NULL, &f.err), 0);
    ck_assert_uint_eq(fixture_config(&f, "t").flush_ms, 77);
    fixture_configure(&f, "t", "flush.ms=5\n");
    fixture_configure(&f, "t", "flush.ms=\n"); /* back to that */
    ck_assert_uint_eq(fixture_config(&f, "t").flush_ms, 77);
}
END_TEST

START_TEST(topic_that_exists)
{
    ck_assert_int_eq(create("t"), 0);
    ck_assert_int_eq(create("t"), -EEXIST);
    ck_assert_ptr_nonnull(strstr(f.err.text, "t: "));
    ck_assert_uint_eq(store_topic_count(f.store), 1);
}
END_TEST

START_TEST(topic_with_settings_that_do_not_go_together)
{
    struct topic_config conf = topic_config_default;

    conf.segment_bytes = 8192;
    ck_assert_int_eq(store_topic_create(f.store, "t", &conf, NULL, &f.err), -EINVAL);
    ck_assert(!there("t"));
    ck_assert(!file_exists(&f, "t"));
}
END_TEST

START_TEST(topic_and_its_id_after_restarts)
{
    char id[40];
    struct topic *topic;

    ck_assert_int_eq(create("t"), 0);
    topic = store_topic_find(f.store, "t");
    snprintf(id, sizeof id, "%s", topic_id(topic));
    topic_put(topic);
    for (int i = 0; i < 2; i++) {
        if (i)
            fixture_kill_reopen(&f);
        else
            fixture_reopen(&f);
        topic = store_topic_find(f.store, "t");
        ck_assert_str_eq(topic_id(topic), id);
        ck_assert_uint_eq(topic_number(topic), 16);
        topic_put(topic);
    }
}
END_TEST

/* Whatever call fails: the topic is there or not, and can be made afterwards
 * or is there already; and no other start sees anything else. */
START_TEST(making_that_fails_at_any_call)
{
    static const int errors[] = {-EIO, -ENOSPC};

    for (uint64_t nth = 1;; nth++) {
        bool made;
        int rc;

        fixture_end(&f);
        setup();
        create("other");
        memdisk_set_fault(
            f.disk, (struct memfault){.calls = MEMCALL_CHANGES, .nth = nth, .error = errors[_i]});
        rc = create("t");
        made = f.disk->fault_hits == 0;
        memdisk_set_fault(f.disk, (struct memfault){0});
        ck_assert_int_eq(there("t"), rc == 0);
        ck_assert_int_eq(create("t"), rc == 0 ? -EEXIST : 0);
        fixture_append(fixture_part(&f, "t", 0), "one\n");
        ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", 0)), 0);
        fixture_kill_reopen(&f);
        fixture_expect(&f, fixture_part(&f, "t", 0), "one\n");
        ck_assert_uint_eq(store_topic_count(f.store), 2);
        if (made)
            break;
    }
}
END_TEST

/* -- listing -- */

START_TEST(topics_in_order_of_their_numbers)
{
    uint32_t at = 0;
    struct topic *topic;
    char want[8] = "a";

    for (char c = 'a'; c < 'g'; c++) {
        want[0] = c;
        ck_assert_int_eq(create(want), 0);
    }
    ck_assert_int_eq(remove_topic("c"), 0);
    fixture_reopen(&f);
    for (char c = 'a'; c < 'g'; c++) {
        if (c == 'c')
            continue;
        topic = store_topic_next(f.store, at);
        want[0] = c;
        ck_assert_str_eq(topic_name(topic), want);
        at = topic_number(topic);
        topic_put(topic);
    }
    ck_assert_ptr_null(store_topic_next(f.store, at));
    ck_assert_ptr_null(store_topic_next(f.store, UINT32_MAX));
}
END_TEST

START_TEST(a_thousand_topics)
{
    char name[24];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "topic-%d", i);
        ck_assert_int_eq(create(name), 0);
    }
    ck_assert_uint_eq(store_topic_count(f.store), 1000);
    for (int i = 0; i < 1000; i += 7) {
        snprintf(name, sizeof name, "topic-%d", i);
        fixture_append(fixture_part(&f, name, 0), "one\n");
    }
    while (store_work(f.store, true))
        ;
    for (int round = 0; round < 2; round++) {
        if (round)
            fixture_kill_reopen(&f);
        else
            fixture_reopen(&f);
        ck_assert_uint_eq(store_topic_count(f.store), 1000);
        for (int i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "topic-%d", i);
            ck_assert_uint_eq(number_of(name), 16 + (uint32_t)i);
            ck_assert_uint_eq(partition_visible_end(fixture_part(&f, name, 0)), i % 7 ? 0 : 4);
        }
    }
}
END_TEST

/* -- numbers -- */

START_TEST(numbers_are_never_given_again)
{
    uint32_t last = 0;

    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(create("t"), 0);
        ck_assert_uint_gt(number_of("t"), last);
        last = number_of("t");
        ck_assert_int_eq(remove_topic("t"), 0);
        if (i % 3 == 0)
            fixture_reopen(&f);
        if (i % 3 == 1)
            fixture_kill_reopen(&f);
    }
}
END_TEST

START_TEST(numbers_are_reserved_before_they_are_used)
{
    char format[512];
    size_t len;
    char *text;

    ck_assert_int_eq(create("t"), 0);
    text = file_read(&f, ".format", &len);
    snprintf(format, sizeof format, "%s", text);
    free(text);
    ck_assert_ptr_nonnull(strstr(format, "\ntopics 1040\n"));
    memdisk_set_fault(f.disk, (struct memfault){.calls = MEMCALL_BIT(MEMCALL_RENAME),
                                                .path = "*.format*",
                                                .nth = 1,
                                                .for_ever = true,
                                                .error = -EIO});
    for (int i = 1; i < 1024; i++) {
        char name[24];

        snprintf(name, sizeof name, "t%d", i);
        ck_assert_int_eq(create(name), 0);
    }
    ck_assert_int_eq(create("one-more"), -EIO);
    memdisk_set_fault(f.disk, (struct memfault){0});
    ck_assert_int_eq(create("one-more"), 0);
    ck_assert_uint_eq(number_of("one-more"), 1040);
}
END_TEST

/* -- removing -- */

START_TEST(remove_an_empty_topic)
{
    struct topic *held;
    uint64_t offset;
    struct err err;
    struct waiting w;

    ck_assert_int_eq(create("t"), 0);
    held = store_topic_find(f.store, "t");
    waiting_init(&w);
    partition_watch(topic_partition(held, 0), 1, &w.w);
    ck_assert_int_eq(remove_topic("t"), 0);
    ck_assert_int_lt(waiting_for(&w), 0);
    ck_assert(!there("t"));
    ck_assert(topic_removed(held));
    ck_assert_int_eq(fixture_try_append(topic_partition(held, 0), "x\n", &offset, &err), -ENOENT);
    topic_put(held);
    ck_assert(!file_exists(&f, "t"));
    ck_assert(!file_exists(&f, ".del.16"));
    ck_assert_int_eq(remove_topic("t"), -ENOENT);
    fixture_kill_reopen(&f);
    ck_assert_uint_eq(store_topic_count(f.store), 0);
}
END_TEST

START_TEST(remove_a_topic_with_a_message)
{
    ck_assert_int_eq(create("t"), 0);
    fixture_append(fixture_part(&f, "t", 0), "one\n"); /* not even visible */
    ck_assert_int_eq(remove_topic("t"), -ENOTEMPTY);
    ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", 0)), 0);
    fixture_append(fixture_part(&f, "t", 0), "two\n");
    fixture_reopen(&f);
    ck_assert_int_eq(remove_topic("t"), -ENOTEMPTY);
    fixture_expect(&f, fixture_part(&f, "t", 0), "one\ntwo\n");
}
END_TEST

START_TEST(remove_a_topic_with_a_message_in_its_last_partition)
{
    fixture_topic(&f, "t", "partitions=3\n");
    fixture_append(fixture_part(&f, "t", 2), "one\n");
    ck_assert_int_eq(remove_topic("t"), -ENOTEMPTY);
    fixture_append(fixture_part(&f, "t", 0), "one\n"); /* the others are not shut */
}
END_TEST

START_TEST(remove_and_make_again)
{
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(create("t"), 0);
        ck_assert_int_eq(remove_topic("t"), 0);
    }
    ck_assert_int_eq(create("t"), 0);
    fixture_append(fixture_part(&f, "t", 0), "one\n");
    ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", 0)), 0);
    fixture_kill_reopen(&f);
    fixture_expect(&f, fixture_part(&f, "t", 0), "one\n");
}
END_TEST

START_TEST(removing_that_fails_at_any_call)
{
    for (uint64_t nth = 1;; nth++) {
        bool hit;
        int rc;

        fixture_end(&f);
        setup();
        create("t");
        memdisk_set_fault(f.disk,
                          (struct memfault){.calls = MEMCALL_CHANGES, .nth = nth, .error = -EIO});
        rc = remove_topic("t");
        hit = f.disk->fault_hits > 0;
        memdisk_set_fault(f.disk, (struct memfault){0});
        ck_assert(rc < 0 || !there("t"));
        if (!there("t"))
            ck_assert_int_eq(create("t"), 0);
        fixture_append(fixture_part(&f, "t", 0), "one\n");
        ck_assert_int_eq(fixture_flush(&f, fixture_part(&f, "t", 0)), 0);
        fixture_kill_reopen(&f);
        fixture_expect(&f, fixture_part(&f, "t", 0), "one\n");
        ck_assert_uint_eq(store_topic_count(f.store), 1);
        if (!hit)
            break;
    }
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static void add_making(TCase *tc)
{
    tcase_add_loop_test(tc, name_is_valid_or_not, 0, COUNT(names));
    tcase_add_test(tc, name_of_the_greatest_length_and_one_more);
    tcase_add_test(tc, topic_as_it_was_made);
    tcase_add_test(tc, topic_made_without_settings_has_those_of_the_store);
    tcase_add_test(tc, topic_that_exists);
    tcase_add_test(tc, topic_with_settings_that_do_not_go_together);
    tcase_add_test(tc, topic_and_its_id_after_restarts);
    tcase_add_loop_test(tc, making_that_fails_at_any_call, 0, 2);
    tcase_add_test(tc, topics_in_order_of_their_numbers);
    tcase_add_test(tc, a_thousand_topics);
    tcase_add_test(tc, numbers_are_never_given_again);
    tcase_add_test(tc, numbers_are_reserved_before_they_are_used);
    tcase_add_test(tc, remove_an_empty_topic);
    tcase_add_test(tc, remove_a_topic_with_a_message);
    tcase_add_test(tc, remove_a_topic_with_a_message_in_its_last_partition);
    tcase_add_test(tc, remove_and_make_again);
    tcase_add_test(tc, removing_that_fails_at_any_call);
}

int main(void)
{
    Suite *suite = suite_create("topic");
    TCase *tc = tcase_create("topic");

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add_making(tc);
    return suite_run(suite);
}
