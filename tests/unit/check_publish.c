/* fs/publish: lines out of writes that cut them anywhere, over a store that fails. */
#include <check.h>
#include <stdio.h>

#include "tests/support/suite.h"
#include "tests/unit/one_publisher.h"

static void log_is(struct partition *part, const char *text)
{
    struct buf *log = &part->log;

    ck_assert_int_eq(buf_reserve(log, 1), 0);
    log->data[log->len] = '\0';
    ck_assert_str_eq(log->data, text);
}

#define LOG_IS(text) log_is(&topic->parts[0], text)

/* -- lines -- */

START_TEST(complete_lines_of_a_write_are_one_set)
{
    ck_assert_int_eq(put(pub, "a\nbb\n\nccc\n"), 10);
    LOG_IS("a\nbb\n\nccc\n");
    ck_assert_uint_eq(topic->parts[0].sets, 1);
    ck_assert_int_eq(put(pub, ""), 0);
    ck_assert_uint_eq(topic->parts[0].sets, 1);
}
END_TEST

/* Cut in three at every pair of places: the same log, at most a set per write,
 * and nothing of a line before its end has come. */
START_TEST(a_line_may_be_cut_anywhere)
{
    static const char text[] = "a\nbb\n\nccc\nd";
    size_t len = sizeof text - 1;

    for (size_t i = 0; i <= len; i++)
        for (size_t j = i; j <= len; j++) {
            struct topic *t = fake_topic(1);
            struct publisher *p;

            ck_assert_int_eq(publisher_open(&p, t, 0), 0);
            ck_assert_int_eq(publisher_write(p, text, i), (ssize_t)i);
            ck_assert(t->parts[0].log.len == 0 ||
                      t->parts[0].log.data[t->parts[0].log.len - 1] == '\n');
            ck_assert_int_eq(publisher_write(p, text + i, j - i), (ssize_t)(j - i));
            ck_assert_int_eq(publisher_write(p, text + j, len - j), (ssize_t)(len - j));
            log_is(&t->parts[0], "a\nbb\n\nccc\n");
            ck_assert_uint_le(t->parts[0].sets, 3);
            publisher_release(p);
            log_is(&t->parts[0], "a\nbb\n\nccc\nd\n");
            fake_free(t);
        }
}
END_TEST

START_TEST(two_handles_never_mix)
{
    struct publisher *other;

    ck_assert_int_eq(publisher_open(&other, topic, 0), 0);
    ck_assert_int_eq(put(pub, "aa"), 2);
    ck_assert_int_eq(put(other, "bb"), 2);
    ck_assert_int_eq(put(pub, "AA\n"), 3);
    ck_assert_int_eq(put(other, "BB\n"), 3);
    LOG_IS("aaAA\nbbBB\n");
    publisher_release(other);
}
END_TEST

START_TEST(the_rest_is_published_once)
{
    ck_assert_int_eq(put(pub, "whole\nhalf"), 10);
    topic->fail_next = -ENOSPC;
    ck_assert_int_eq(publisher_publish_rest(pub, NULL), -ENOSPC);
    LOG_IS("whole\n");
    ck_assert_int_eq(publisher_publish_rest(pub, NULL), 0);
    ck_assert_int_eq(publisher_publish_rest(pub, NULL), 0);
    LOG_IS("whole\nhalf\n");
    ck_assert_int_eq(put(pub, "next\n"), 5);
    publisher_release(pub);
    pub = NULL;
    LOG_IS("whole\nhalf\nnext\n");
}
END_TEST

/* cp on a full disk: its last block is refused, in the middle of a line. */
START_TEST(half_a_line_whose_end_was_refused_is_not_published)
{
    ck_assert_int_eq(put(pub, "whole\nha"), 8);
    topic->fail_next = -ENOSPC;
    ck_assert_int_eq(put(pub, "lf\n"), -ENOSPC);
    ck_assert_int_eq(publisher_publish_rest(pub, NULL), -ECANCELED);
    ck_assert_int_eq(put(pub, "lf\nnext"), 7);
    ck_assert_int_eq(publisher_publish_rest(pub, NULL), 0);
    LOG_IS("whole\nhalf\nnext\n");
}
END_TEST

START_TEST(open_knows_its_partitions)
{
    struct publisher *p;

    ck_assert_int_eq(publisher_open(&p, topic, 1), -ENOENT);
    ck_assert_int_eq(publisher_open(&p, topic, (int64_t)1 << 32), -ENOENT);
    ck_assert(!publisher_ack_write(pub));
    topic->conf.ack_write = 1;
    ck_assert(publisher_ack_write(pub));
}
END_TEST

/* -- lines that are too long: message.max.bytes=8, so 7 and a newline -- */

/* Writes in turn and what they answer; E is -EMSGSIZE. */
#define E (-EMSGSIZE)
static const struct long_case {
    struct {
        const char *text;
        int answer;
    } writes[8];
    const char *log;
} long_cases[] = {
    /* The longest there may be, in one write and in two. */
    {{{"1234567\n", 8}}, "1234567\n"},
    {{{"1234567", 7}, {"\n", 1}}, "1234567\n"},
    /* One too long: nothing of it, and on with the next write. */
    {{{"12345678\n", E}, {"ok\n", 3}}, "ok\n"},
    {{{"12345678\n", E}, {"12345678\n", E}, {"ok\n", 3}}, "ok\n"},
    /* Short before it, then told; tried again, told again. */
    {{{"a\n12345678\nb\n", 2}, {"12345678\nb\n", E}, {"12345678\nb\n", E}, {"b\n", 2}}, "a\nb\n"},
    /* No newline yet: its bytes are swallowed up to there, what follows is taken. */
    {{{"12345678", E}, {"9", 1}, {"0\nok\n", 5}}, "ok\n"},
    {{{"a\n12345678", 2}, {"12345678", E}, {"9\nok\n", 5}}, "a\nok\n"},
    /* Begun by an earlier write: that is given up too. */
    {{{"1234", 4}, {"56789\nb\n", E}, {"b\n", 2}}, "b\n"},
    {{{"1234", 4}, {"56789", E}, {"0", 1}, {"0\nb\n", 4}}, "b\n"},
    {{{"1234", 4}, {"567", 3}, {"8", E}, {"8", 1}, {"9\nb\n", 4}}, "b\n"},
    {{{"a\n", 2}, {"12345678", E}, {"9\nb\n", 4}}, "a\nb\n"},
    {{{"a\n", 2}, {"12345678\nb\n", E}, {"b\n", 2}}, "a\nb\n"},
    /* Directly behind one that is being swallowed: told by the next write. */
    {{{"12345678", E}, {"9\n12345678\nb\n", 2}, {"12345678\nb\n", E}, {"b\n", 2}}, "b\n"},
    {{{"12345678", E}, {"9\n12345678", 9}, {"8", E}, {"9\nb\n", 4}}, "b\n"},
};

START_TEST(a_line_too_long_is_told_and_swallowed)
{
    const struct long_case *c = &long_cases[_i];

    topic->conf.message_max_bytes = 8;
    for (size_t i = 0; i < 8 && c->writes[i].text; i++)
        ck_assert_msg(put(pub, c->writes[i].text) == c->writes[i].answer, "case %d write %zu", _i,
                      i);
    LOG_IS(c->log);
}
END_TEST

START_TEST(a_lowered_limit_holds_for_what_is_held)
{
    ck_assert_int_eq(put(pub, "123456789"), 9);
    topic->conf.message_max_bytes = 8;
    ck_assert_int_eq(put(pub, "\nb\n"), -EMSGSIZE);
    ck_assert_int_eq(put(pub, "b\n"), 2);
    LOG_IS("b\n");
}
END_TEST

#define KIB ((size_t)1024)

/* Pieces of one write(2): the one that makes the line too long ends short, so
 * that the error comes to the first request of the next. */
START_TEST(a_later_piece_ends_short_instead)
{
    static char text[400 * 1024];
    static const struct {
        size_t nl; /* where the newline is; 0 = nowhere */
        ssize_t answer;
    } cases[] = {{0, (ssize_t)(200 * KIB) - 1},
                 {300 * KIB, (ssize_t)(100 * KIB)},
                 {399 * KIB, (ssize_t)(199 * KIB)}};

    topic->conf.message_max_bytes = 250 * KIB;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(text, 'x', sizeof text);
        if (cases[i].nl)
            text[cases[i].nl] = '\n';
        ck_assert_int_eq(put(pub, "ok\n"), 3);
        ck_assert_int_eq(publisher_write(pub, text, 200 * KIB), (ssize_t)(200 * KIB));
        ck_assert_int_eq(publisher_write(pub, text + 200 * KIB, 200 * KIB), cases[i].answer);
        ck_assert_int_eq(put(pub, "\nok\n"), -EMSGSIZE);
    }
    LOG_IS("ok\nok\nok\n");
}
END_TEST

/* The kernel's write(2) of direct I/O: pieces, the error of a later one lost. */
static ssize_t write_in_pieces(const char *data, size_t len, size_t piece)
{
    size_t done = 0;

    while (done < len) {
        size_t want = len - done < piece ? len - done : piece;
        ssize_t n = publisher_write(pub, data + done, want);

        if (n < 0)
            return done > 0 ? (ssize_t)done : n;
        done += (size_t)n;
        if ((size_t)n < want)
            break;
    }
    return (ssize_t)done;
}

/* What a line of the random texts looks like: unique, so that order and number can be told. */
static size_t make_line(char *to, unsigned number, size_t len)
{
    size_t n = (size_t)sprintf(to, "%u:", number);

    if (n < len) {
        memset(to + n, 'x', len - n);
        n = len;
    }
    to[n++] = '\n';
    return n;
}

/*
 * A caller that writes whole lines, goes on after a short count and gives up a
 * buffer at an error, over a kernel that cuts its writes into pieces: a line of
 * a buffer without an error is in the log, once and in order; one that is too
 * long never is. An error for it comes in its own buffer, or, where the pieces
 * after a refused one were never sent, in the next as well: never none.
 */
START_TEST(no_line_vanishes_unsaid_between_pieces)
{
    static char data[4096 * 1024];
    unsigned number = 0;
    bool given_up = false;

    srandom((unsigned)_i + 1);
    topic->conf.message_max_bytes = 300 * KIB;
    topic->conf.set_max_bytes = 800 * KIB;
    for (int round = 0; round < 30; round++) {
        size_t len = 0, done = 0;
        size_t piece = (128 + (size_t)random() % 512) * KIB;
        bool has_long = false;
        ssize_t n = 0;

        buf_clear(&topic->parts[0].log);
        for (int lines = 1 + (int)(random() % 5); lines > 0; lines--) {
            size_t line =
                random() % 4 ? (size_t)random() % (300 * KIB - 16) : (size_t)random() % (750 * KIB);

            line = make_line(data + len, number++, line);
            has_long |= line > 300 * KIB;
            len += line;
        }
        while (done < len && (n = write_in_pieces(data + done, len - done, piece)) > 0)
            done += (size_t)n;
        ck_assert(n > 0 || n == -EMSGSIZE);
        ck_assert(n < 0 || !has_long);
        if (n > 0)
            ck_assert_uint_eq(topic->parts[0].log.len, len);
        else
            ck_assert(has_long || given_up);
        /* A beginning of what was written, whole lines of it, whatever was refused. */
        ck_assert_uint_le(topic->parts[0].log.len, done);
        if (topic->parts[0].log.len > 0) {
            ck_assert(memcmp(topic->parts[0].log.data, data, topic->parts[0].log.len) == 0);
            ck_assert_int_eq(topic->parts[0].log.data[topic->parts[0].log.len - 1], '\n');
        }
        given_up = n < 0;
    }
}
END_TEST

/* A writer of blocks that looks at no error: all lines but the long one. */
START_TEST(a_writer_of_blocks_loses_the_long_line_only)
{
    char data[2048], want[2048];
    size_t len = 0, want_len = 0;
    unsigned number = 0;

    topic->conf.message_max_bytes = 200;
    while (len < sizeof data - 600) {
        size_t line = make_line(data + len, number, number == 20 ? 400 : 20);

        if (number++ != 20) {
            memcpy(want + want_len, data + len, line);
            want_len += line;
        }
        len += line;
    }
    for (size_t done = 0; done < len;) {
        size_t block = 64 - done % 64 < len - done ? 64 - done % 64 : len - done;
        ssize_t n = publisher_write(pub, data + done, block);

        done += n > 0 ? (size_t)n : block;
    }
    ck_assert_uint_eq(topic->parts[0].log.len, want_len);
    ck_assert_mem_eq(topic->parts[0].log.data, want, want_len);
}
END_TEST

/* -- appends that fail -- */

/* A caller that tries again until all is taken, over a store that fails now and
 * then: nothing is lost, nothing doubled, whatever the writes cut. */
START_TEST(trying_again_loses_and_doubles_nothing)
{
    char data[4096];
    size_t len = 0, done = 0;
    unsigned number = 0, failures = 0;

    srandom((unsigned)_i + 1);
    topic->conf.message_max_bytes = 40;
    topic->conf.set_max_bytes = 80;
    while (len < sizeof data - 64)
        len += make_line(data + len, number++, 5 + (size_t)random() % 34);
    while (done < len) {
        size_t want = 1 + (size_t)random() % 200;
        ssize_t n;

        topic->fail_next = random() % 3 == 0 ? -ENOSPC : 0;
        n = publisher_write(pub, data + done, want < len - done ? want : len - done);
        if (n < 0) {
            ck_assert_int_eq(n, -ENOSPC);
            failures++;
        } else {
            ck_assert_int_gt(n, 0);
            done += (size_t)n;
        }
        topic->fail_next = 0;
    }
    ck_assert_uint_gt(failures, 0);
    ck_assert_uint_eq(topic->parts[0].log.len, len);
    ck_assert_mem_eq(topic->parts[0].log.data, data, len);
}
END_TEST

START_TEST(a_failed_append_takes_nothing_and_keeps_what_was_held)
{
    static const int codes[] = {-ENOSPC, -EDQUOT, -EIO, ERR_STOPPING, -ENOMEM};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        ck_assert_int_eq(put(pub, "ha"), 2);
        topic->fail_next = codes[i];
        ck_assert_int_eq(put(pub, "lf\nrest"), codes[i]);
        ck_assert_int_eq(put(pub, "lf\n"), 3);
    }
    LOG_IS("half\nhalf\nhalf\nhalf\nhalf\n");
}
END_TEST

/* Two sets in one write, the second fails: a short count, then the error. */
START_TEST(a_failed_second_set_is_a_short_count)
{
    topic->conf.set_max_bytes = topic->conf.message_max_bytes = 8;
    ck_assert_int_eq(put(pub, "12"), 2);
    topic->fail_after = 1;
    topic->fail_next = -ENOSPC;
    ck_assert_int_eq(put(pub, "3\nabc\ndef\nrest"), 6);
    LOG_IS("123\nabc\n");
    topic->fail_next = -ENOSPC;
    ck_assert_int_eq(put(pub, "def\nrest"), -ENOSPC);
    ck_assert_int_eq(put(pub, "def\nrest"), 8);
    ck_assert_int_eq(put(pub, "\n"), 1);
    LOG_IS("123\nabc\ndef\nrest\n");
    ck_assert_uint_eq(topic->parts[0].sets, 3);
}
END_TEST

/* -- partitions -- */

START_TEST(sets_go_round_and_failed_partitions_are_left_out)
{
    struct topic *t = fake_topic(3);
    struct publisher *p;

    ck_assert_int_eq(publisher_open(&p, t, -1), 0);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(put(p, "x\ny\n"), 4);
    for (int i = 0; i < 3; i++)
        log_is(&t->parts[i], "x\ny\nx\ny\n");
    /* It fails between choice and append: the next one takes the set. */
    t->parts[0].fail_next = ERR_FAILED;
    ck_assert_int_eq(put(p, "z\n"), 2);
    log_is(&t->parts[0], "x\ny\nx\ny\n");
    log_is(&t->parts[1], "x\ny\nx\ny\nz\n");
    /* -EIO says that it may be there: told, not tried elsewhere. */
    t->parts[2].fail_next = -EIO;
    ck_assert_int_eq(put(p, "z\n"), -EIO);
    t->parts[1].failed = t->parts[2].failed = true;
    ck_assert_int_eq(put(p, "z\n"), ERR_FAILED);
    publisher_release(p);
    fake_free(t);
}
END_TEST

/* -- threads -- */

struct writer {
    pthread_t thread;
    char name;
};

static void *write_lines(void *arg)
{
    const struct writer *w = arg;
    char line[8] = {w->name, w->name, w->name, w->name, w->name, w->name, w->name, '\n'};

    for (int i = 0; i < 5000; i++)
        if (publisher_write(pub, line, sizeof line) != sizeof line)
            return arg;
    return NULL;
}

/* One handle inherited by several processes: whole lines, all of them. */
START_TEST(writers_of_one_handle_take_turns)
{
    struct writer writers[4];
    const char *log;

    for (int i = 0; i < 4; i++) {
        writers[i].name = (char)('a' + i);
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;

        pthread_join(writers[i].thread, &failed);
        ck_assert_ptr_null(failed);
    }
    log = topic->parts[0].log.data;
    ck_assert_uint_eq(topic->parts[0].log.len, (size_t)160000);
    for (size_t i = 0; i < topic->parts[0].log.len; i += 8)
        for (size_t j = 1; j < 8; j++)
            ck_assert_int_eq(log[i + j], j == 7 ? '\n' : log[i]);
}
END_TEST

#define COUNT_OF(array) (int)(sizeof(array) / sizeof *(array))

static TCase *lines_tests(void)
{
    TCase *tc = tcase_create("lines");

    tcase_add_checked_fixture(tc, open_one, close_one);
    tcase_add_test(tc, complete_lines_of_a_write_are_one_set);
    tcase_add_test(tc, a_line_may_be_cut_anywhere);
    tcase_add_test(tc, two_handles_never_mix);
    tcase_add_test(tc, the_rest_is_published_once);
    tcase_add_test(tc, half_a_line_whose_end_was_refused_is_not_published);
    tcase_add_test(tc, open_knows_its_partitions);
    tcase_add_loop_test(tc, a_line_too_long_is_told_and_swallowed, 0, COUNT_OF(long_cases));
    tcase_add_test(tc, a_lowered_limit_holds_for_what_is_held);
    tcase_add_test(tc, a_later_piece_ends_short_instead);
    tcase_add_loop_test(tc, no_line_vanishes_unsaid_between_pieces, 0, 20);
    tcase_add_test(tc, a_writer_of_blocks_loses_the_long_line_only);
    tcase_add_loop_test(tc, trying_again_loses_and_doubles_nothing, 0, 20);
    tcase_add_test(tc, a_failed_append_takes_nothing_and_keeps_what_was_held);
    tcase_add_test(tc, a_failed_second_set_is_a_short_count);
    tcase_add_test(tc, sets_go_round_and_failed_partitions_are_left_out);
    tcase_add_test(tc, writers_of_one_handle_take_turns);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("fs/publish");

    suite_add_tcase(suite, lines_tests());
    return suite_run(suite);
}
