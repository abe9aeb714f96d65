/* tests/support/store_fixture: stores, messages, waiters. See store_fixture.h;
 * the files are in store_fixture_files.c. */
#include "tests/support/store_fixture.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/diag.h"

/* -- the store -- */

static void set_options(struct fixture *f)
{
    diag_silence(true);
    f->clock = (struct memclock){.now_ms = 1000000};
    f->options = (struct store_options){
        .io = f->io,
        .name = "test",
        .wall_ms = memclock_wall_ms,
        .clock_arg = &f->clock,
        .journal_bytes = (uint64_t)1 << 20,
        .boot_id = "boot-1",
    };
}

void fixture_real(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    temporary_make(f->dir, "store");
    ck_assert_int_eq(fileio_open(&f->io, f->dir, &f->err), 0);
    set_options(f);
}

void fixture_mem(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->disk = memdisk_new();
    f->io = &f->disk->io;
    set_options(f);
}

void fixture_end(struct fixture *f)
{
    if (f->store)
        store_abandon(f->store);
    f->store = NULL;
    if (f->disk) {
        memdisk_free(f->disk);
        return;
    }
    fileio_release(f->io);
    temporary_remove(f->dir);
}

int fixture_try_open(struct fixture *f)
{
    ck_assert_ptr_null(f->store);
    memset(&f->err, 0, sizeof f->err);
    return store_open(&f->store, &f->options, &f->err);
}

void fixture_open(struct fixture *f)
{
    int rc = fixture_try_open(f);

    ck_assert_msg(rc == 0, "store_open: %d: %s", rc, f->err.text);
}

void fixture_close(struct fixture *f)
{
    int rc = store_close(f->store, &f->err);

    f->store = NULL;
    ck_assert_msg(rc == 0, "store_close: %d: %s", rc, f->err.text);
}

void fixture_kill(struct fixture *f)
{
    store_abandon(f->store);
    f->store = NULL;
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

void fixture_kill_reopen(struct fixture *f)
{
    fixture_kill(f);
    fixture_open(f);
}

void fixture_close_unclean(struct fixture *f)
{
    fixture_close(f);
    file_remove(f, ".clean");
}

struct partition *fixture_topic(struct fixture *f, const char *name, const char *settings)
{
    struct topic_config conf = topic_config_default;
    int rc = topic_config_parse(&conf, &topic_config_default, settings, strlen(settings), "test",
                                &f->err);

    ck_assert_msg(rc == 0, "settings: %s", f->err.text);
    rc = store_topic_create(f->store, name, &conf, NULL, &f->err);
    ck_assert_msg(rc == 0, "topic %s: %d: %s", name, rc, f->err.text);
    return fixture_part(f, name, 0);
}

struct partition *fixture_part(struct fixture *f, const char *name, uint32_t index)
{
    struct topic *topic = store_topic_find(f->store, name);
    struct partition *part;

    ck_assert_ptr_nonnull(topic);
    part = topic_partition(topic, index);
    ck_assert_ptr_nonnull(part);
    topic_put(topic);
    return part;
}

const char *fixture_status(struct fixture *f, const char *key, char *value, size_t room)
{
    struct buf text = {0};
    size_t key_len = strlen(key);
    char *line;
    char *rest;

    *value = '\0';
    ck_assert_int_eq(store_status(f->store, &text), 0);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    for (line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, key, key_len) == 0 && strncmp(line + key_len, ": ", 2) == 0)
            snprintf(value, room, "%s", line + key_len + 2);
    buf_release(&text);
    return value;
}

uint64_t fixture_status_number(struct fixture *f, const char *key)
{
    char value[64];

    return strtoull(fixture_status(f, key, value, sizeof value), NULL, 10);
}

struct topic_config fixture_config(struct fixture *f, const char *name)
{
    struct topic *topic = store_topic_find(f->store, name);
    struct topic_config conf;

    ck_assert_ptr_nonnull(topic);
    conf = *topic_config(topic);
    topic_put(topic);
    return conf;
}

int fixture_try_configure(struct fixture *f, const char *name, const char *settings)
{
    struct topic *topic = store_topic_find(f->store, name);
    int rc;

    ck_assert_ptr_nonnull(topic);
    rc = topic_configure(topic, settings, strlen(settings), &f->err);
    topic_put(topic);
    return rc;
}

void fixture_configure(struct fixture *f, const char *name, const char *settings)
{
    int rc = fixture_try_configure(f, name, settings);

    ck_assert_msg(rc == 0, "%s", f->err.text);
}

void fixture_work(struct fixture *f)
{
    for (int i = 0; i < 100 && store_work(f->store, false); i++)
        ;
}

void fixture_fail_calls(struct fixture *f, unsigned calls, const char *path, uint64_t nth,
                        bool for_ever, int error)
{
    memdisk_set_fault(
        f->disk,
        (struct memfault){
            .calls = calls, .path = path, .nth = nth, .for_ever = for_ever, .error = error});
}

void fixture_no_faults(struct fixture *f)
{
    memdisk_set_fault(f->disk, (struct memfault){0});
}

/* -- messages -- */

int fixture_try_append(struct partition *part, const char *lines, uint64_t *offset, struct err *err)
{
    struct set set;
    size_t taken;
    int rc;

    set_init(&set);
    ck_assert_int_eq(set_add_lines(&set, lines, strlen(lines), &taken), 0);
    rc = partition_append(part, &set, offset, err);
    set_release(&set);
    return rc;
}

uint64_t fixture_append(struct partition *part, const char *lines)
{
    struct err err = {0};
    uint64_t offset = UINT64_MAX;
    int rc = fixture_try_append(part, lines, &offset, &err);

    ck_assert_msg(rc == 0, "append: %d: %s", rc, err.text);
    return offset;
}

uint64_t fixture_append_bytes(struct partition *part, size_t bytes, char letter)
{
    char *line = malloc(bytes + 2);
    uint64_t offset;

    ck_assert_ptr_nonnull(line);
    memset(line, letter, bytes);
    memcpy(line + bytes, "\n", 2);
    offset = fixture_append(part, line);
    free(line);
    return offset;
}

uint64_t fixture_append_key(struct partition *part, const char *key, const char *value)
{
    struct message m = {
        .value = value,
        .value_len = (uint32_t)strlen(value),
        .key = key,
        .key_len = (uint32_t)strlen(key),
    };
    struct err err = {0};
    struct set set;
    uint64_t offset = UINT64_MAX;
    int rc;

    set_init(&set);
    ck_assert_int_eq(set_add_message(&set, &m), 0);
    rc = partition_append(part, &set, &offset, &err);
    ck_assert_msg(rc == 0, "append: %d: %s", rc, err.text);
    set_release(&set);
    return offset;
}

void fixture_fill(struct fixture *f, struct partition *part)
{
    for (int i = 0; i < 30; i++) {
        f->clock.now_ms = 1000000 + (uint64_t)i * 1000;
        fixture_append_bytes(part, 999, (char)('A' + i));
    }
    ck_assert_int_eq(fixture_flush(f, part), 0);
}

size_t fixture_segments(struct partition *part, struct segment_stat *stats, size_t room)
{
    struct segment_stat st = {0};
    size_t n = 0;

    for (uint64_t from = 0; partition_segment_next(part, from, &st) == 0; from = st.base + 1) {
        ck_assert_uint_lt(n, room);
        stats[n++] = st;
    }
    return n;
}

static int wait_for(struct fixture *f, struct partition *part, enum wait_for what)
{
    struct waiting w;

    waiting_init(&w);
    partition_wait(part, partition_end(part), what, &w.w);
    for (int rounds = 0; !f->options.threads && !waiting_told(&w) && rounds < 1000; rounds++)
        store_work(f->store, false);
    return waiting_for(&w);
}

int fixture_flush(struct fixture *f, struct partition *part)
{
    return wait_for(f, part, WAIT_VISIBLE);
}

int fixture_fsync(struct fixture *f, struct partition *part)
{
    return wait_for(f, part, WAIT_DURABLE);
}

/* Adds the range's bytes to the text; true while there are more. */
static bool take_range(struct fixture *f, struct range *r, struct buf *text)
{
    ck_assert_int_eq(buf_reserve(text, r->len + 1), 0);
    ck_assert_int_eq(fileio_read_all(f->io, r->fd, text->data + text->len, r->len, r->pos), 0);
    if (r->bytes)
        ck_assert_int_eq(memcmp(r->bytes, text->data + text->len, r->len), 0);
    text->len += r->len;
    text->data[text->len] = '\0';
    range_release(r);
    return r->len > 0;
}

char *fixture_text(struct fixture *f, struct partition *part)
{
    struct buf text = {.cap = SIZE_MAX};
    uint64_t at = partition_first(part);
    struct range r;

    do {
        ck_assert_int_eq(partition_range(part, at, UINT64_MAX, &r), 0);
        ck_assert_uint_eq(r.offset, at);
        at += r.len;
    } while (take_range(f, &r, &text));
    ck_assert_uint_eq(at, partition_visible_end(part));
    return text.data;
}

char *fixture_messages(struct fixture *f, struct partition *part, uint64_t *skipped)
{
    struct buf text = {.cap = SIZE_MAX};
    uint64_t at = partition_first(part);
    struct range r;

    *skipped = 0;
    do {
        ck_assert_int_eq(partition_messages(part, at, 1 << 20, &r, skipped), 0);
        at = r.offset + r.len;
    } while (take_range(f, &r, &text));
    ck_assert_uint_eq(at, partition_visible_end(part));
    return text.data;
}

void fixture_expect(struct fixture *f, struct partition *part, const char *text)
{
    char *got = fixture_text(f, part);

    ck_assert_str_eq(got, text);
    free(got);
}

void fixture_expect_messages(struct fixture *f, struct partition *part, const char *text,
                             uint64_t skipped)
{
    uint64_t got_skipped;
    char *got = fixture_messages(f, part, &got_skipped);

    ck_assert_str_eq(got, text);
    ck_assert_uint_eq(got_skipped, skipped);
    free(got);
}

void fixture_expect_letters(struct fixture *f, struct partition *part, const char *letters)
{
    uint64_t skipped;
    char *got = fixture_messages(f, part, &skipped);
    char first[100] = "";
    size_t n = 0;

    for (char *at = got; *at; at = strchr(at, '\n') + 1) {
        ck_assert_ptr_nonnull(strchr(at, '\n'));
        ck_assert_uint_lt(n, sizeof first - 1);
        first[n++] = *at;
    }
    ck_assert_str_eq(first, letters);
    free(got);
}

/* -- waiters -- */

static void told(struct waiter *waiter, int rc)
{
    struct waiting *w = (struct waiting *)waiter;

    pthread_mutex_lock(&w->lock);
    ck_assert(!w->told);
    w->told = true;
    w->rc = rc;
    pthread_cond_broadcast(&w->told_cond);
    pthread_mutex_unlock(&w->lock);
}

void waiting_init(struct waiting *w)
{
    memset(w, 0, sizeof *w);
    w->w.done = told;
    w->rc = INT_MIN;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->told_cond, NULL);
}

int waiting_for(struct waiting *w)
{
    struct timespec deadline;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    pthread_mutex_lock(&w->lock);
    while (!w->told && rc == 0)
        rc = pthread_cond_timedwait(&w->told_cond, &w->lock, &deadline);
    ck_assert_msg(w->told, "a waiter was not told within 60 seconds");
    rc = w->rc;
    pthread_mutex_unlock(&w->lock);
    return rc;
}

bool waiting_told(struct waiting *w)
{
    bool is;

    pthread_mutex_lock(&w->lock);
    is = w->told;
    pthread_mutex_unlock(&w->lock);
    return is;
}
