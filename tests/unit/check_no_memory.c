/*
 * The store where malloc fails, each call once: no crash, no leak of a lock, no
 * success that was none. The program has a malloc of its own; the sanitizers
 * bring theirs, so under them it has only the first test.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/check.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"
#include "tests/unit/failing_malloc.h"

#define MANY      70
#define PRODUCERS 20

static struct fixture f;
static bool appended_twice; /* a set that was sent twice */
static char promised[4096]; /* what t/0 must hold: flushed, and said so */

static struct partition *part_of(const char *name, uint32_t index)
{
    struct topic *topic = store_topic_find(f.store, name);
    struct partition *part = topic ? topic_partition(topic, index) : NULL;

    if (topic)
        topic_put(topic); /* the store holds it */
    return part;
}

struct told {
    struct waiter w;
    bool told;
    int rc;
};

static void tell(struct waiter *w, int rc)
{
    struct told *t = (struct told *)w;

    t->told = true;
    t->rc = rc;
}

static void wait_for(struct partition *part, struct told *t)
{
    partition_wait(part, partition_end(part), WAIT_VISIBLE, &t->w);
    for (int i = 0; i < 20 && !t->told; i++)
        store_work(f.store, false);
    if (!t->told)
        partition_cancel(part, &t->w);
}

/* Appends a line, keyed or not, and waits for it. */
static void append(struct partition *part, const char *line, bool key)
{
    struct message m = {
        .value = line, .value_len = (uint32_t)strlen(line) - 1, .key = "k", .key_len = key};
    struct told t = {.w = {.done = tell}};
    struct set set;
    uint64_t offset;
    int rc;

    set_init(&set);
    m.key = key ? "k" : NULL;
    rc = set_add_message(&set, &m);
    if (rc == 0)
        rc = partition_append(part, &set, &offset, NULL);
    set_release(&set);
    if (rc < 0)
        return;
    wait_for(part, &t);
    if (t.told && t.rc == 0)
        strcat(promised, line);
}

/* Appends a set; `line`, so many times, is what it holds, and goes to the text. */
static void append_set(struct partition *part, struct set *set, const char *line, int times,
                       char *text)
{
    uint64_t offset;

    if (partition_append(part, set, &offset, NULL) < 0)
        return;
    for (int i = 0; i < times; i++)
        strcat(text, line);
}

static void promise(struct partition *part, const char *text)
{
    struct told t = {.w = {.done = tell}};

    wait_for(part, &t);
    if (t.told && t.rc == 0)
        strcat(promised, text);
}

/* Sets of more messages than an append has room for on its stack: with all that a
 * message may have, and as lines. */
static void append_many(struct partition *part)
{
    static const struct header header = {.name = "name", .name_len = 4};
    const struct message m = {.value = "m",
                              .value_len = 1,
                              .key = "k",
                              .key_len = 1,
                              .headers = &header,
                              .header_count = 1,
                              .has_time = true};
    char text[4 * MANY + 1] = "";
    struct set set;
    int rc = 0;

    set_init(&set);
    for (int i = 0; rc == 0 && i < MANY; i++)
        rc = set_add_message(&set, &m);
    if (rc == 0)
        append_set(part, &set, "m\n", MANY, text);
    set_clear(&set);
    rc = 0;
    for (int i = 0; rc == 0 && i < MANY; i++) {
        size_t taken;

        rc = set_add_lines(&set, "l\n", 2, &taken);
    }
    if (rc == 0)
        append_set(part, &set, "l\n", MANY, text);
    set_release(&set);
    promise(part, text);
}

/* The set is in the log: sent again, it is a duplicate, or refused. */
static void send_again(struct partition *part, struct set *set)
{
    struct appended at;

    appended_twice |= partition_append_at(part, set, &at, NULL) == 0 && !at.duplicate;
}

/* A set of each of many producers, in an epoch of its own. */
static void append_produced(struct partition *part)
{
    static int16_t epoch;
    char text[2 * PRODUCERS + 1] = "";
    struct set set;
    size_t len;

    set_init(&set);
    for (int64_t id = 1; id <= PRODUCERS; id++) {
        const struct producer producer = {.id = id, .epoch = epoch};
        const struct message m = {.value = "p", .value_len = 1};

        set_clear(&set);
        if (set_producer(&set, &producer) < 0 || set_add_message(&set, &m) < 0)
            continue;
        len = strlen(text);
        append_set(part, &set, "p\n", 1, text);
        if (strlen(text) > len)
            send_again(part, &set);
    }
    epoch++;
    set_release(&set);
    promise(part, text);
}

static void count_setting(void *arg, const char *key, const char *value, const char *help)
{
    if (*key && *value && *help)
        ++*(int *)arg;
}

/* A line that nobody is promised. */
static void append_elsewhere(const char *name)
{
    struct partition *part = part_of(name, 0);
    struct set set;
    uint64_t offset;
    size_t taken;

    set_init(&set);
    if (part && set_add_lines(&set, "elsewhere\n", 10, &taken) == 0)
        (void)!partition_append(part, &set, &offset, NULL);
    set_release(&set);
}

/* Topics that go: with a message, and by retention a message. */
static void remove_some(const struct topic_config *like)
{
    struct topic_config conf = *like;
    struct topic *topic;

    conf.retention_ms = 1;
    (void)!store_topic_create(f.store, "deleted", &conf, NULL, NULL);
    (void)!store_topic_create(f.store, "brief", &conf, NULL, NULL);
    append_elsewhere("deleted");
    append_elsewhere("brief");
    topic = store_topic_find(f.store, "deleted");
    if (topic) {
        (void)!store_topic_delete(topic, NULL);
        topic_put(topic);
    }
    for (int i = 0; i < 3; i++) {
        f.clock.now_ms += 61000;
        (void)store_work(f.store, true);
    }
}

/* A bit of everything; any of it may fail. */
static void use_store(void)
{
    struct topic_config conf = topic_config_default;
    struct partition *part;
    struct topic *topic;
    struct buf text = {0};
    struct range r;
    char line[64];
    int settings = 0;

    topic_config_describe(count_setting, &settings);
    conf.segment_ms = 1000;
    conf.segment_bytes = 8192;
    conf.set_max_bytes = conf.message_max_bytes = 4096;
    if (store_open(&f.store, &f.options, NULL) < 0)
        return;
    (void)!store_topic_create(f.store, "t", &conf, NULL, NULL);
    part = part_of("t", 0);
    for (int i = 0; part && i < 2; i++) {
        snprintf(line, sizeof line, "line %zu\n", strlen(promised));
        append(part, line, i);
    }
    if (part) {
        append_many(part);
        append_produced(part);
        f.clock.now_ms += 2000; /* for another segment */
        append(part, "rolled\n", true);
    }
    topic = store_topic_find(f.store, "t");
    if (topic) {
        (void)!topic_configure(topic, "partitions=3\n", 13, NULL);
        (void)!topic_configure(topic, "flush.ms=1\n", 11, NULL);
        (void)!topic_config_text(topic, &text);
        topic_put(topic);
    }
    if (part && partition_end(part) > 0) /* behind the lines that were waited for */
        (void)!partition_skip_to(part, partition_end(part) + 1000, (partition_end(part) + 1000) / 2,
                                 NULL);
    (void)!store_topic_create(f.store, "gone", &conf, NULL, NULL);
    (void)!store_topic_remove(f.store, "gone", NULL);
    remove_some(&conf);
    (void)!store_status(f.store, &text);
    buf_release(&text);
    if (part && partition_range(part, 0, 100, &r) == 0)
        range_release(&r);
}

static void expect_promised(void)
{
    struct partition *part;
    uint64_t skipped;
    char *text;

    fixture_open(&f);
    part = part_of("t", 0);
    ck_assert(part || !*promised);
    ck_assert(!appended_twice);
    if (part) {
        text = fixture_messages(&f, part, &skipped);
        ck_assert_uint_eq(skipped, 0);
        ck_assert_msg(strstr(text ? text : "", promised) != NULL, "%s in %s", promised, text);
        free(text);
    }
    fixture_kill(&f);
}

static void prepare(void)
{
    if (f.dir[0])
        fixture_end(&f);
    fixture_real(&f);
    f.options.scrub_bytes_per_second = 1;
    *promised = '\0';
}

static void sweep(int state)
{
    for (uint64_t nth = 1;; nth++) {
        prepare();
        if (state > 0) {
            use_store();
            if (state == 1)
                fixture_kill(&f);
            else
                fixture_close(&f);
        }
        failed = false;
        fail_at = nth;
        use_store();
        if (f.store && nth % 2)
            (void)!store_close(f.store, NULL);
        else if (f.store)
            store_abandon(f.store);
        fail_at = 0;
        f.store = NULL;
        expect_promised();
        if (!failed) {
            ck_assert_uint_gt(nth, 50); /* it does take the calls that matter */
            break;
        }
    }
}

START_TEST(store_works_without_a_failure)
{
    struct gap gap;

    prepare();
    use_store();
    ck_assert_uint_eq(strlen(promised), 14 + 4 * MANY + 2 * PRODUCERS + 7);
    ck_assert_int_eq(partition_gap_next(part_of("t", 0), 0, &gap), 0);
    ck_assert(strncmp(promised, "line 0\nline 7\nm\nm\n", 18) == 0);
    fixture_kill(&f);
    expect_promised();
    fixture_end(&f);
}
END_TEST

START_TEST(each_malloc_fails_once)
{
    sweep(_i);
    fixture_end(&f);
}
END_TEST

static void nothing(void *arg, enum finding kind, const char *text)
{
    (void)arg;
    (void)kind;
    (void)text;
}

/* Two topics: of one the index is gone, of the other a message is damaged. */
static void leave_damaged(void)
{
    struct partition *part;

    fixture_real(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", "");
    fixture_append(part, "one\ntwo\n");
    part = fixture_topic(&f, "u", "");
    fixture_append(part, "three\nfour\n");
    fixture_close(&f);
    file_remove(&f, SEG0_IDX);
    file_flip(&f, "u/0/00000000000000000000.log", 2);
}

/* Whatever a repair without memory leaves, a start takes, and another repair ends. */
START_TEST(a_repair_without_memory)
{
    struct check_result result;
    struct err err;

    failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        struct check_options o = {.name = "test", .finder = {nothing, NULL}, .boot_id = "boot-1"};
        int rc;

        leave_damaged();
        o.io = f.io;
        failed = false;
        fail_at = nth;
        rc = store_check(&o, &result, &err);
        fail_at = 0;
        ck_assert(rc < 0 ? failed : result.worst == FOUND_DAMAGE);
        failed = false;
        fail_at = nth;
        rc = store_repair(&o, &result, &err);
        fail_at = 0;
        ck_assert(rc == 0 || failed);
        ck_assert_int_eq(store_repair(&o, &result, &err), 0);
        ck_assert(result.repaired);
        ck_assert_int_eq(store_check(&o, &result, &err), 0);
        ck_assert_int_eq(result.worst, FOUND_NOTE);
        fixture_open(&f);
        fixture_expect(&f, fixture_part(&f, "t", 0), "one\ntwo\n");
        fixture_end(&f);
    }
}
END_TEST

/* A record that there is no memory for: the partition's files are flushed instead. */
START_TEST(a_flush_without_memory_goes_direct)
{
    struct partition *part;
    bool met = false;
    struct err err;
    char *lines;

    fixture_real(&f);
    fixture_open(&f);
    part = fixture_topic(&f, "t", "");
    for (size_t size = 1 << 10; size <= 128 << 10; size *= 2) { /* the record grows each time */
        lines = malloc(size + 1);
        ck_assert_ptr_nonnull(lines);
        memset(lines, 'x', size - 1);
        strcpy(lines + size - 1, "\n");
        fixture_append(part, lines);
        free(lines);
        failed = false;
        fail_at = 1;
        store_work(f.store, true);
        fail_at = 0;
        met |= failed;
        while (store_work(f.store, true))
            ;
        ck_assert(!partition_failed(part));
        ck_assert_uint_eq(partition_visible_end(part), partition_end(part));
    }
    ck_assert(met);
    ck_assert_uint_gt(fixture_status_number(&f, "direct flushes"), 0);
    ck_assert_int_eq(store_close(f.store, &err), 0);
    f.store = NULL;
    fixture_end(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("no_memory");
    TCase *tc = tcase_create("no_memory");

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, store_works_without_a_failure);
#ifdef FAILING_MALLOC
    tcase_add_loop_test(tc, each_malloc_fails_once, 0, 3);
    tcase_add_test(tc, a_flush_without_memory_goes_direct);
    tcase_add_test(tc, a_repair_without_memory);
#else
    (void)each_malloc_fails_once;
    (void)a_flush_without_memory_goes_direct;
    (void)a_repair_without_memory;
#endif
    return suite_run(suite);
}
