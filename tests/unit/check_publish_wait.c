/* fs/publish_wait: what close and fsync of a publish file wait for. */
#include <check.h>
#include <sched.h>

#include "tests/support/suite.h"
#include "tests/unit/one_publisher.h"

/* -- waiting -- */

struct answer {
    struct publish_wait wait;
    int rc;
    int count;
};

static void answered(struct publish_wait *w, int rc)
{
    struct answer *a = (struct answer *)w;

    a->rc = rc;
    a->count++;
}

#define ANSWER                                                                 \
    {                                                                          \
        .wait = {.done = answered, .lock = PTHREAD_MUTEX_INITIALIZER}, .rc = 1 \
    }

START_TEST(flush_waits_for_what_this_handle_wrote)
{
    struct answer none = ANSWER, first = ANSWER, again = ANSWER, after = ANSWER;
    struct publisher *other;

    ck_assert_int_eq(publisher_open(&other, topic, -1), 0);
    ck_assert_int_eq(put(other, "other\n"), 6);
    ck_assert_int_eq(put(pub, "unfinished"), 10);
    publisher_flush(pub, &none.wait);
    ck_assert_int_eq(none.rc, 0);
    ck_assert_int_eq(put(pub, "\n"), 1);
    publisher_flush(pub, &first.wait);
    publisher_flush(pub, &again.wait); /* a dup'ed descriptor is closed too */
    ck_assert_int_eq(first.count + again.count, 0);
    fake_flush_all(topic);
    ck_assert_int_eq(first.rc, 0);
    ck_assert_int_eq(again.rc, 0);
    publisher_flush(pub, &after.wait);
    ck_assert_int_eq(after.rc, 0);
    ck_assert_int_eq(none.count + first.count + again.count + after.count, 4);
    publisher_release(other);
}
END_TEST

START_TEST(a_failed_flush_is_told_again)
{
    struct answer first = ANSWER, second = ANSWER;

    ck_assert_int_eq(put(pub, "x\n"), 2);
    publisher_flush(pub, &first.wait);
    topic->parts[0].failed = true;
    fake_flush(&topic->parts[0], -EIO);
    ck_assert_int_eq(first.rc, -EIO);
    publisher_flush(pub, &second.wait);
    ck_assert_int_eq(second.rc, -EIO);
}
END_TEST

START_TEST(a_wait_outlives_its_publisher)
{
    struct answer a = ANSWER;

    ck_assert_int_eq(put(pub, "x\n"), 2);
    publisher_flush(pub, &a.wait);
    publisher_release(pub);
    pub = NULL;
    ck_assert_int_eq(a.count, 0);
    fake_flush_all(topic);
    ck_assert_int_eq(a.rc, 0);
}
END_TEST

/* 1,000 partitions, each written thrice in a mixed order: one answer, after the last. */
START_TEST(one_answer_for_a_thousand_partitions)
{
    struct topic *t = fake_topic(1000);
    struct publisher *p;
    struct answer flush = ANSWER, sync = ANSWER, bad = ANSWER;

    ck_assert_int_eq(publisher_open(&p, t, -1), 0);
    for (int i = 0; i < 3000; i++)
        ck_assert_int_eq(put(p, "x\n"), 2);
    publisher_flush(p, &flush.wait);
    publisher_sync(p, &sync.wait);
    for (uint32_t i = 0; i < 1000; i++) {
        ck_assert_int_eq(flush.count + sync.count, 0);
        fake_flush(&t->parts[(i * 7) % 1000], 0);
    }
    ck_assert_int_eq(flush.rc, 0);
    ck_assert_int_eq(sync.rc, 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(put(p, "x\n"), 2);
    publisher_flush(p, &bad.wait);
    fake_flush(&t->parts[500], -EIO);
    ck_assert_int_eq(bad.count, 0);
    fake_flush_all(t);
    ck_assert_int_eq(bad.rc, -EIO);
    ck_assert_int_eq(flush.count + sync.count + bad.count, 3);
    publisher_release(p);
    fake_free(t);
}
END_TEST

START_TEST(sync_waits_for_what_anyone_wrote)
{
    struct topic *t = fake_topic(3);
    struct answer all = ANSWER, one = ANSWER, reader = ANSWER, missing = ANSWER;
    struct publisher *p, *zero;

    ck_assert_int_eq(publisher_open(&p, t, -1), 0);
    ck_assert_int_eq(publisher_open(&zero, t, 0), 0);
    ck_assert_int_eq(put(zero, "x\n"), 2);
    publish_sync(t, 1, &one.wait);
    ck_assert_int_eq(one.rc, 0);
    publish_sync(t, 3, &missing.wait);
    ck_assert_int_eq(missing.rc, -ENOENT);
    publisher_sync(p, &all.wait);
    publish_sync(t, -1, &reader.wait);
    ck_assert_int_eq(all.count + reader.count, 0);
    fake_flush_all(t);
    ck_assert_int_eq(all.rc + reader.rc, 0);
    publisher_release(p);
    publisher_release(zero);
    fake_free(t);
}
END_TEST

/* flush.sync=os: close waits for nothing, fsync for the disk though all is visible. */
START_TEST(sync_of_an_os_topic_waits_for_the_disk)
{
    struct answer flush = ANSWER, sync = ANSWER;

    topic->conf.flush_os = 1;
    ck_assert_int_eq(put(pub, "x\n"), 2);
    publisher_flush(pub, &flush.wait);
    ck_assert_int_eq(flush.rc, 0);
    publisher_sync(pub, &sync.wait);
    ck_assert_int_eq(sync.count, 0);
    fake_flush_all(topic);
    ck_assert_int_eq(sync.rc, 0);
}
END_TEST

START_TEST(a_wait_taken_back_is_not_answered)
{
    struct topic *t = fake_topic(5);
    struct answer a = ANSWER, part = ANSWER, done = ANSWER;
    struct publisher *p;

    ck_assert_int_eq(publisher_open(&p, t, -1), 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(put(p, "x\n"), 2);
    ck_assert(!publish_cancel(&a.wait)); /* not begun */
    publisher_flush(p, &a.wait);
    ck_assert(publish_cancel(&a.wait));
    publisher_flush(p, &part.wait); /* what was taken back is waited for again */
    fake_flush(&t->parts[2], 0);
    ck_assert(publish_cancel(&part.wait));
    fake_flush_all(t);
    ck_assert_int_eq(a.count + part.count, 0);
    publisher_flush(p, &done.wait);
    ck_assert_int_eq(done.rc, 0);
    ck_assert(!publish_cancel(&done.wait));
    publisher_release(p);
    fake_free(t);
}
END_TEST

/* -- threads -- */

struct late_answer {
    struct publish_wait wait;
    pthread_mutex_t lock;
    pthread_cond_t come;
    int count, rc;
};

static void answered_late(struct publish_wait *w, int rc);

#define LATE_ANSWER                                                         \
    {                                                                       \
        .wait = {.done = answered_late, .lock = PTHREAD_MUTEX_INITIALIZER}, \
        .lock = PTHREAD_MUTEX_INITIALIZER, .come = PTHREAD_COND_INITIALIZER \
    }

static void answered_late(struct publish_wait *w, int rc)
{
    struct late_answer *a = (struct late_answer *)w;

    pthread_mutex_lock(&a->lock);
    a->count++;
    a->rc = rc;
    pthread_cond_signal(&a->come);
    pthread_mutex_unlock(&a->lock);
}

/* Answers those who wait, without making anything visible. */
static void *flush_often(void *arg)
{
    for (_Atomic bool *stop = arg; !atomic_load(stop);)
        for (uint32_t i = 0; i < topic->count; i++)
            fake_flush(&topic->parts[i], -EIO);
    return NULL;
}

/* Taken back or answered: never both, never neither. */
START_TEST(cancel_and_flush_at_once)
{
    _Atomic bool stop = false;
    pthread_t thread;

    ck_assert_int_eq(put(pub, "x\n"), 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, flush_often, &stop), 0);
    for (int i = 0; i < 5000; i++) {
        struct late_answer a = LATE_ANSWER;
        bool ours;

        publisher_flush(pub, &a.wait);
        ours = publish_cancel(&a.wait);
        pthread_mutex_lock(&a.lock);
        while (!ours && a.count == 0)
            pthread_cond_wait(&a.come, &a.lock);
        pthread_mutex_unlock(&a.lock);
        ck_assert_int_eq(a.count, ours ? 0 : 1);
        ck_assert_int_eq(a.rc, ours ? 0 : -EIO);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}
END_TEST

static _Atomic(struct late_answer *) to_cancel;

static void *cancel_that(void *arg)
{
    struct late_answer *a;
    bool over = false;

    (void)arg;
    while (!(a = atomic_load(&to_cancel)))
        sched_yield();
    while (!over && !publish_cancel(&a->wait)) {
        sched_yield();
        pthread_mutex_lock(&a->lock);
        over = a->count > 0;
        pthread_mutex_unlock(&a->lock);
    }
    return NULL;
}

/* As a stop does it, while the parts are still being gathered and handed over. */
START_TEST(cancel_and_begin_at_once)
{
    struct topic *t = fake_topic(1000);
    struct publisher *p;

    ck_assert_int_eq(publisher_open(&p, t, -1), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(put(p, "x\n"), 2);
    for (int i = 0; i < 200; i++) {
        struct late_answer a = LATE_ANSWER;
        pthread_t thread;

        atomic_store(&to_cancel, NULL);
        ck_assert_int_eq(pthread_create(&thread, NULL, cancel_that, NULL), 0);
        atomic_store(&to_cancel, &a);
        publisher_flush(p, &a.wait);
        pthread_join(thread, NULL);
        ck_assert_int_le(a.count, 1);
        ck_assert_int_eq(a.rc, a.count == 1 ? ERR_STOPPING : 0);
    }
    fake_flush_all(t);
    publisher_release(p);
    fake_free(t);
}
END_TEST

static TCase *waiting_tests(void)
{
    TCase *tc = tcase_create("waiting");

    tcase_add_checked_fixture(tc, open_one, close_one);
    tcase_add_test(tc, flush_waits_for_what_this_handle_wrote);
    tcase_add_test(tc, a_failed_flush_is_told_again);
    tcase_add_test(tc, a_wait_outlives_its_publisher);
    tcase_add_test(tc, one_answer_for_a_thousand_partitions);
    tcase_add_test(tc, sync_waits_for_what_anyone_wrote);
    tcase_add_test(tc, sync_of_an_os_topic_waits_for_the_disk);
    tcase_add_test(tc, a_wait_taken_back_is_not_answered);
    tcase_add_test(tc, cancel_and_flush_at_once);
    tcase_add_test(tc, cancel_and_begin_at_once);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("fs/publish_wait");

    suite_add_tcase(suite, waiting_tests());
    return suite_run(suite);
}
