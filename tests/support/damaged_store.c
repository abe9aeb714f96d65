/* tests/support/damaged_store: see damaged_store.h. */
#include "tests/support/damaged_store.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/store_fixture.h"

#define LOG_MAX   DAMAGED_LOG_MAX
#define SEG1      DAMAGED_SEG1
#define SEG1_AT   DAMAGED_SEG1_AT
#define SEG1_PROD SEG1 ".prod"

static struct fixture f;

/* -- the stores -- */

static void append_produced(struct partition *part, int32_t sequence, const char *value)
{
    struct message m = {.value = value, .value_len = (uint32_t)strlen(value)};
    struct producer p = {.id = 16, .sequence = sequence};
    uint64_t offset;
    struct err err;
    struct set set;
    int rc;

    set_init(&set);
    ck_assert_int_eq(set_producer(&set, &p), 0);
    ck_assert_int_eq(set_add_message(&set, &m), 0);
    rc = partition_append(part, &set, &offset, &err);
    ck_assert_msg(rc == 0, "%d: %s", rc, err.text);
    set_release(&set);
}

/* Segment 0: lines and a key; segment 1, with a .prod: a set of two lines and more. */
static struct partition *fill(void)
{
    struct partition *part;

    fixture_mem(&f);
    f.options.journal_bytes = 64 << 10;
    fixture_open(&f);
    part = fixture_topic(&f, "t", "segment.ms=1000");
    fixture_append(part, "one\n");
    fixture_append_key(part, "key", "two");
    append_produced(part, 0, "three");
    fixture_append(part, "aaa\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    f.clock.now_ms += 2000;
    fixture_append(part, "four\nfive\n");
    append_produced(part, 1, "six");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    fixture_append(part, "seven\n");
    ck_assert_int_eq(fixture_flush(&f, part), 0);
    return part;
}

static void keep(struct original *o, struct partition *part)
{
    char *text = fixture_text(&f, part);

    ck_assert_uint_lt(strlen(text), LOG_MAX);
    snprintf(o->text, sizeof o->text, "%s", text);
    o->end = strlen(text);
    free(text);
}

void originals_make(struct original *clean, struct original *killed)
{
    struct partition *part = fill();

    keep(clean, part);
    fixture_close(&f);
    ck_assert(file_exists(&f, SEG1_PROD));
    clean->disk = memdisk_from(&f.disk->tree);
    fixture_end(&f);
    part = fill();
    keep(killed, part);
    fixture_kill(&f);
    killed->disk = memdisk_from(&f.disk->tree);
    fixture_end(&f);
}

/* -- one damage -- */

static void where(const struct damage_case *c, const char *what)
{
    ck_abort_msg("%s %s: %s\n%s", c->path, c->what, what, c->report);
}

#define NEED(c, condition, what) \
    do {                         \
        if (!(condition))        \
            where(c, what);      \
    } while (0)

static void use_disk(struct memdisk *disk)
{
    f.disk = disk;
    f.io = &disk->io;
    f.options.io = f.io;
    f.store = NULL;
}

static void write_down(void *arg, enum finding kind, const char *text)
{
    struct damage_case *c = arg;
    size_t len = strlen(c->report);

    snprintf(c->report + len, sizeof c->report - len, "%d %s\n", (int)kind, text);
}

static int run_check(struct damage_case *c, struct memdisk *disk, bool repair,
                     struct check_result *result)
{
    struct check_options o = {
        .io = &disk->io, .name = "test", .finder = {write_down, c}, .boot_id = "boot-1"};
    struct err err = {0};
    int rc;

    c->report[0] = '\0';
    rc = repair ? store_repair(&o, result, &err) : store_check(&o, result, &err);
    if (rc < 0)
        write_down(c, FOUND_KINDS, err.text);
    return rc;
}

/* What readers of messages get is what was written. *got: how many bytes of [from,
 * to). False: the partition is not there, or does not read to its end. */
static bool read_messages(struct damage_case *c, uint64_t from, uint64_t to, uint64_t *got)
{
    struct topic *topic = store_topic_find(f.store, "t");
    struct partition *part = topic ? topic_partition(topic, 0) : NULL;
    uint64_t skipped = 0;
    uint64_t at = 0;
    bool whole = false;

    *got = 0;
    for (;;) {
        char bytes[LOG_MAX];
        struct range r;

        if (!part || partition_messages(part, at, LOG_MAX, &r, &skipped) < 0)
            break;
        at = r.offset + r.len;
        whole = r.len == 0 && at >= partition_visible_end(part);
        if (r.len == 0) {
            range_release(&r);
            break;
        }
        NEED(c, at <= c->o->end, "more than was ever there");
        NEED(c, fileio_read_all(f.io, r.fd, bytes, r.len, r.pos) == 0, "a read fails");
        NEED(c, memcmp(bytes, c->o->text + r.offset, r.len) == 0, "a wrong byte as a good one");
        if (r.offset < to && at > from)
            *got += (at < to ? at : to) - (r.offset > from ? r.offset : from);
        range_release(&r);
    }
    if (topic)
        topic_put(topic);
    return whole;
}

/* The partition takes a message, at an offset that nobody has had. */
static void goes_on(struct damage_case *c, bool must)
{
    struct topic *topic = store_topic_find(f.store, "t");
    struct partition *part = topic ? topic_partition(topic, 0) : NULL;
    uint64_t offset = UINT64_MAX;
    struct err err = {0};
    int rc = part ? fixture_try_append(part, "more\n", &offset, &err) : -ENOENT;

    if (must && rc < 0)
        where(c, err.text);
    NEED(c, rc < 0 || offset >= c->o->end, "an offset that was given before");
    if (topic)
        topic_put(topic);
}

static bool start(struct memdisk *disk)
{
    use_disk(disk);
    return fixture_try_open(&f) == 0;
}

static void stop(void)
{
    if (f.store)
        store_abandon(f.store);
    f.store = NULL;
}

/* -- what has to hold -- */

void damage_start_holds(struct damage_case *c)
{
    struct memdisk *disk = memdisk_from(&c->disk->tree);

    c->report[0] = '\0';
    if (start(disk))
        goes_on(c, false);
    stop();
    memdisk_free(disk);
}

int damage_check_holds(struct damage_case *c, struct check_result *result)
{
    struct memdisk *disk = memdisk_from(&c->disk->tree);
    char why[300];
    uint64_t got;
    int rc;

    rc = run_check(c, disk, false, result);
    NEED(c, memdisk_same(disk, c->disk, why, sizeof why), why);
    if (rc == 0 && result->worst < FOUND_DAMAGE) {
        NEED(c, start(disk), "no damage, and no start");
        NEED(c, read_messages(c, 0, c->o->end, &got) && got == c->o->end,
             "no damage, and messages are missing");
        goes_on(c, true);
    }
    stop();
    memdisk_free(disk);
    return rc;
}

/* All that was not touched is there. */
static void the_others_are_there(struct damage_case *c)
{
    bool first = strncmp(c->path, "t/0/00000000000000000000", 24) == 0;
    bool second = strncmp(c->path, SEG1, 24) == 0;
    uint64_t got;

    NEED(c, start(c->disk), "no start after a repair");
    NEED(c, read_messages(c, first ? SEG1_AT : 0, second ? SEG1_AT : c->o->end, &got),
         "messages do not read back to the end");
    NEED(c, got == (second ? SEG1_AT : c->o->end) - (first ? SEG1_AT : 0),
         "messages of another segment are missing");
    goes_on(c, true);
    stop();
}

/* What is not needed any more stays as it is until it is written again. */
static enum finding_weight left_over_of(const struct damage_case *c)
{
    return strncmp(c->path, ".journal", 8) == 0 || strcmp(c->path, SEG1_PROD) == 0 ? FOUND_MENDED
                                                                                   : FOUND_NOTE;
}

int damage_repair(struct damage_case *c, struct check_result *result)
{
    return run_check(c, c->disk, true, result);
}

void damage_repaired_holds(struct damage_case *c)
{
    struct memdisk *again = memdisk_from(&c->disk->tree);
    struct check_result result;
    char why[300];

    NEED(c, run_check(c, again, true, &result) == 0, "a second repair fails");
    /* .lock is written anew, with the same in it */
    NEED(c, memdisk_same(again, c->disk, why, sizeof why), why);
    memdisk_free(again);
    if (!result.repaired)
        return;
    NEED(c, run_check(c, c->disk, false, &result) == 0 && result.worst <= left_over_of(c),
         "a check after the repair finds something");
    the_others_are_there(c);
}

void damage_repair_holds(struct damage_case *c, int checked, const struct check_result *before)
{
    struct check_result result;
    int rc = damage_repair(c, &result);

    NEED(c, rc == checked, "a check and a repair disagree");
    if (rc < 0)
        return;
    NEED(c, before->worst < FOUND_DAMAGE || result.worst == FOUND_DAMAGE,
         "a check finds damage that a repair does not");
    NEED(c,
         result.worst < FOUND_DAMAGE || result.repaired ||
             result.findings[FOUND_NO_REPAIR] + result.findings[FOUND_TOPIC] > 0,
         "not repaired, and nobody says why");
    damage_repaired_holds(c);
}

void originals_release(struct original *clean, struct original *killed)
{
    memdisk_free(clean->disk);
    memdisk_free(killed->disk);
}

void damage_begin(struct damage_case *c, const struct original *o, const char *path,
                  const char *what)
{
    *c = (struct damage_case){.o = o, .path = path};
    snprintf(c->what, sizeof c->what, "%s", what);
    c->disk = memdisk_from(&o->disk->tree);
}

void damage_done(struct damage_case *c)
{
    memdisk_free(c->disk);
    c->disk = NULL;
}
