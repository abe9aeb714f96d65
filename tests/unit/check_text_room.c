/*
 * Texts of the store that find no room: whatever the room is, the call says so, and what was
 * written by then is the beginning of the text.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

static struct fixture f;

/* -- the states of the store -- */

static void good(void)
{
}

/* One partition is read-only, one has damage and goes on, one topic is left out. */
static void hurt(void)
{
    struct partition *part = fixture_topic(&f, "damaged", SMALL_SEGMENTS);

    fixture_fill(&f, part);
    fixture_append(fixture_topic(&f, "broken", "partitions=2\n"), "one\n");
    fixture_topic(&f, "lost", "");
    fixture_close_unclean(&f);
    file_cut(&f, "damaged/0/00000000000000000000.log", 100);
    file_remove(&f, "broken/0/00000000000000000000.log");
    file_cut(&f, "lost/.config", 20);
    fixture_open(&f);
}

static void stopped_cleanly(void)
{
    fixture_append(fixture_topic(&f, "t", "partitions=3\n"), "one\n");
    fixture_reopen(&f);
}

static void (*const states[])(void) = {good, hurt, stopped_cleanly};

/* -- the texts -- */

static int put_status(struct buf *out)
{
    return store_status(f.store, out);
}

static int put_settings(struct buf *out)
{
    struct topic *topic = store_topic_next(f.store, 0);
    int rc = topic ? topic_config_text(topic, out) : buf_printf(out, "there is none\n");

    if (topic)
        topic_put(topic);
    return rc;
}

static int (*const texts[])(struct buf *out) = {put_status, put_settings};

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

START_TEST(a_text_finds_no_room)
{
    struct buf whole = {0};

    fixture_mem(&f);
    fixture_open(&f);
    states[_i / COUNT(texts)]();
    ck_assert_int_eq(texts[_i % COUNT(texts)](&whole), 0);
    ck_assert_uint_gt(whole.len, 10);
    for (size_t room = 1; room < whole.len; room++) {
        struct buf some = {.cap = room};

        ck_assert_int_eq(texts[_i % COUNT(texts)](&some), -EMSGSIZE);
        ck_assert_uint_le(some.len, room);
        ck_assert(some.len == 0 || memcmp(some.data, whole.data, some.len) == 0);
        buf_release(&some);
    }
    buf_release(&whole);
    fixture_end(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text_room");
    TCase *tc = tcase_create("text_room");

    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_text_finds_no_room, 0, COUNT(states) * COUNT(texts));
    return suite_run(suite);
}
