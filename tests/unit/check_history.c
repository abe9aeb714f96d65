/*
 * store: what a long past costs: how many calls of the in-memory disk a start, a
 * find, a read, an append take with many segments or with large ones. Counted,
 * so that no clock decides.
 */
#include <check.h>

#include "tests/support/history.h"
#include "tests/support/store_fixture.h"
#include "tests/support/suite.h"

#define FEW      8u
#define MANY     2048u
#define SMALL    8192u                 /* bytes of a segment */
#define LARGE    ((uint64_t)512 << 20) /* on this disk 8 MiB of memory each */
#define MESSAGES 4u                    /* in each segment */
#define BEGIN_MS 1000000u

#define OPENS MEMCALL_BIT(MEMCALL_OPEN)

static struct fixture f;
static struct history past;

static void teardown(void)
{
    fixture_end(&f);
}

/* A new disk with such a past, settled by a start and killed. */
static void make(uint64_t segments, uint64_t segment_bytes)
{
    if (f.disk)
        fixture_end(&f);
    past = (struct history){segments, segment_bytes, MESSAGES, BEGIN_MS};
    fixture_mem(&f);
    f.clock.now_ms = BEGIN_MS + segments * MESSAGES;
    ck_assert_msg(history_make(&f.options, "t", &past, &f.err) == 0, "%s", f.err.text);
    fixture_open(&f);
    fixture_kill(&f);
}

static void setup(void)
{
    f = (struct fixture){0};
    make(FEW, SMALL);
}

static uint64_t calls(unsigned set)
{
    uint64_t n = 0;

    for (int i = 0; i < MEMCALL_COUNT; i++)
        if (set & MEMCALL_BIT(i))
            n += f.disk->calls[i];
    return n;
}

static uint64_t message_bytes(void)
{
    return past.segment_bytes / MESSAGES;
}

static uint64_t messages(void)
{
    return past.segments * MESSAGES;
}

/* -- what is counted: each begins with a killed store -- */

static uint64_t start_after_a_kill(void)
{
    uint64_t before = calls(MEMCALL_ALL);

    fixture_open(&f);
    return calls(MEMCALL_ALL) - before;
}

static uint64_t clean_start(void)
{
    uint64_t before;

    fixture_open(&f);
    fixture_close(&f);
    before = calls(MEMCALL_ALL);
    fixture_open(&f);
    return calls(MEMCALL_ALL) - before;
}

static uint64_t clean_stop(void)
{
    uint64_t before;

    fixture_open(&f);
    before = calls(MEMCALL_ALL);
    fixture_close(&f);
    return calls(MEMCALL_ALL) - before;
}

static uint64_t append(void)
{
    struct partition *part;
    uint64_t before;

    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    before = calls(MEMCALL_ALL);
    fixture_append(part, "a\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    return calls(MEMCALL_ALL) - before;
}

/* Message n of all is looked for by its offset, and its time is asked for. */
static uint64_t find_offset(void)
{
    struct partition *part;
    uint64_t n = messages() / 2 + 1;
    uint64_t before;
    uint64_t time_ms;

    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    before = calls(MEMCALL_ALL);
    ck_assert_int_eq(partition_find(part, n * message_bytes()), 0);
    ck_assert_int_eq(partition_find(part, n * message_bytes() + 1), ERR_NOT_A_BOUNDARY);
    ck_assert_int_eq(partition_time_of(part, n * message_bytes(), &time_ms), 0);
    ck_assert_uint_eq(time_ms, BEGIN_MS + n);
    return calls(MEMCALL_ALL) - before;
}

static uint64_t find_time(void)
{
    struct partition *part;
    uint64_t n = messages() / 2 + 1;
    uint64_t before;
    uint64_t offset;

    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    before = calls(MEMCALL_ALL);
    ck_assert_int_eq(partition_find_time(part, BEGIN_MS + n, &offset), 0);
    ck_assert_uint_eq(offset, n * message_bytes());
    return calls(MEMCALL_ALL) - before;
}

static uint64_t read_bytes(void)
{
    struct partition *part;
    struct range range;
    uint64_t before;

    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    before = calls(MEMCALL_ALL);
    ck_assert_int_eq(partition_range(part, messages() / 2 * message_bytes() + 7, 100, &range), 0);
    ck_assert_uint_eq(range.len, 100);
    range_release(&range);
    return calls(MEMCALL_ALL) - before;
}

static uint64_t read_messages(void)
{
    struct partition *part;
    uint64_t skipped = 0;
    struct range range;
    uint64_t before;

    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    before = calls(MEMCALL_ALL);
    ck_assert_int_eq(partition_messages(part, message_bytes(), 1, &range, &skipped), 0);
    ck_assert_uint_eq(range.len, message_bytes());
    range_release(&range);
    return calls(MEMCALL_ALL) - before;
}

/* What does not depend on how many segments there are, nor on how long they are. */
static uint64_t (*const constant[])(void) = {
    clean_start, clean_stop, append, find_offset, find_time, read_bytes, read_messages,
};
#define CONSTANTS ((int)(sizeof constant / sizeof *constant))

START_TEST(segments_before_cost_nothing)
{
    uint64_t few = constant[_i]();

    make(MANY, SMALL);
    ck_assert_uint_eq(constant[_i](), few);
}
END_TEST

START_TEST(bytes_before_cost_nothing)
{
    uint64_t small = constant[_i]();

    make(FEW, LARGE);
    ck_assert_uint_eq(constant[_i](), small);
}
END_TEST

/* -- what does, by so much for a segment -- */

/* Each .idx is opened, and its header and last entries are read; sizes are looked
 * at; the link in sealed/ is compared, and made where it is not there. */
START_TEST(a_start_after_a_kill_looks_at_each_index)
{
    uint64_t few = start_after_a_kill();
    uint64_t many;

    make(2 * FEW, SMALL);
    ck_assert_uint_le(start_after_a_kill() - few, (uint64_t)FEW * 16);
    make(FEW, LARGE);
    ck_assert_uint_eq(start_after_a_kill(), few);
    make(MANY, SMALL);
    many = calls(OPENS);
    fixture_open(&f);
    ck_assert_uint_lt(calls(OPENS) - many, MANY + 20);
}
END_TEST

/* After a clean stop it is the first use of the partition that does. */
START_TEST(the_first_use_after_a_clean_start_looks_at_each_index)
{
    uint64_t before;

    make(MANY, SMALL);
    clean_start();
    before = calls(OPENS);
    ck_assert_int_eq(partition_find(fixture_part(&f, "t", 0), message_bytes()), 0);
    ck_assert_uint_gt(calls(OPENS) - before, MANY);
    ck_assert_uint_lt(calls(OPENS) - before, MANY + 10);
    before = calls(OPENS);
    ck_assert_int_eq(partition_find(fixture_part(&f, "t", 0), message_bytes() * 2), 0);
    ck_assert_uint_eq(calls(OPENS), before);
}
END_TEST

/* A number is bisected over the segments: each doubling opens one more. */
START_TEST(a_number_is_found_in_a_few_segments)
{
    struct partition *part;
    uint64_t before;
    uint64_t offset;

    make(MANY, SMALL);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    for (uint64_t n = 1; n < messages(); n += messages() / 7) {
        before = calls(OPENS);
        ck_assert_int_eq(partition_find_number(part, n, &offset), 0);
        ck_assert_uint_eq(offset, n * message_bytes());
        ck_assert_uint_le(calls(OPENS) - before, 12 * SUFFIX_COUNT);
    }
}
END_TEST

/* All of it is as a store would have written it. */
START_TEST(every_message_is_there)
{
    struct partition *part;
    struct partition_stat st;
    uint64_t at = 0;

    make(FEW, SMALL);
    fixture_open(&f);
    part = fixture_part(&f, "t", 0);
    ck_assert_int_eq(partition_stat(part, &st), 0);
    ck_assert_uint_eq(st.messages, messages());
    ck_assert_uint_eq(st.visible_end, messages() * message_bytes());
    ck_assert_uint_eq(st.last_ms, BEGIN_MS + messages() - 1);
    ck_assert_uint_eq(st.damaged_messages, 0);
    for (uint64_t n = 0; n < messages(); n++, at += message_bytes())
        ck_assert_int_eq(partition_find(part, at), 0);
    ck_assert_uint_eq(fixture_append(part, "a\n"), at);
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_kill_reopen(&f);
    ck_assert_int_eq(partition_find(fixture_part(&f, "t", 0), at + 2), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("history");
    TCase *tc = tcase_create("calls");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, segments_before_cost_nothing, 0, CONSTANTS);
    tcase_add_loop_test(tc, bytes_before_cost_nothing, 0, CONSTANTS);
    tcase_add_test(tc, a_start_after_a_kill_looks_at_each_index);
    tcase_add_test(tc, the_first_use_after_a_clean_start_looks_at_each_index);
    tcase_add_test(tc, a_number_is_found_in_a_few_segments);
    tcase_add_test(tc, every_message_is_there);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
