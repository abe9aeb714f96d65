/* store/scrub: verifying sealed segments in the background. See scrub.h. */
#include "store/scrub.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/plural.h"
#include "store/findings.h"
#include "store/inside.h"

#define STEP_BYTES    ((uint64_t)1 << 20)
#define PASS_EVERY_US ((uint64_t)3600 * 1000000)

/* -- the next segment -- */

/* Has the partition no sealed segment? Where .clean says so it is not loaded. */
static bool is_single(struct partition *part)
{
    bool single;

    pthread_mutex_lock(&part->lock);
    single = part->clean ? part->clean->first == part->clean->base : part->segment_count < 2;
    pthread_mutex_unlock(&part->lock);
    return single;
}

/* Takes the first sealed segment at or above s->from, held. */
static bool take_segment(struct scrubber *s, struct partition *part)
{
    struct err err;

    if (is_single(part) || partition_load(part, &err) < 0)
        return false;
    pthread_mutex_lock(&part->lock);
    for (size_t i = 0; !s->seg && i + 1 < part->segment_count; i++) {
        struct segment *seg = part->segments[i];
        const struct segment *next = part->segments[i + 1];

        if (seg->base < s->from)
            continue;
        s->seg = segment_get(seg);
        s->end = next->base - next->gap_bytes - seg->base;
        s->from = next->base;
    }
    pthread_mutex_unlock(&part->lock);
    return s->seg != NULL;
}

/* Takes the next segment of the pass; false: there is none. */
static bool find_segment(struct scrubber *s)
{
    struct topic *topic;

    while (!atomic_load(&s->stop) && (topic = store_topic_next(s->store, s->topic_number - 1))) {
        if (topic->number != s->topic_number) {
            s->topic_number = topic->number;
            s->index = 0;
            s->from = 0;
        }
        for (; s->index < topic_partition_count(topic); s->index++, s->from = 0)
            if (take_segment(s, topic_partition(topic, s->index))) {
                s->topic = topic;
                return true;
            }
        s->topic_number++;
        s->index = 0;
        topic_put(topic);
    }
    return false;
}

static void close_files(struct scrubber *s)
{
    struct fileio *io = s->store->io;

    for (int i = 0; i < SUFFIX_COUNT; i++) {
        if (s->fd[i] >= 0)
            io->ops->close(io, s->fd[i]);
        s->fd[i] = -1;
    }
}

static void let_go(struct scrubber *s)
{
    if (!s->seg)
        return;
    pass_close(&s->pass);
    s->pass = (struct pass){0};
    close_files(s);
    segment_put(s->seg);
    topic_put(s->topic);
    s->seg = NULL;
    s->topic = NULL;
}

/* Retention may have removed it meanwhile: then there is nothing to open. */
static int open_files(struct scrubber *s)
{
    struct fileio *io = s->store->io;
    const struct partition *part = s->seg->part;

    for (int i = 0; i < SUFFIX_COUNT; i++) {
        char path[STORE_PATH_MAX];

        path_of_segment(path, part->topic->name, part->index, s->seg->base, (enum suffix)i);
        s->fd[i] = io->ops->open(io, path, FILEIO_READ);
        if (s->fd[i] == -ENOENT && i == SUFFIX_META)
            continue;
        if (s->fd[i] < 0)
            return s->fd[i];
        io->ops->read_once(io, s->fd[i]);
    }
    return topic_removed(s->topic) ? -ENOENT : 0; /* its name may be another's by now */
}

/* Where the header does not read back, there are no entries to go by. */
static int begin_segment(struct scrubber *s)
{
    struct fileio *io = s->store->io;
    uint8_t bytes[IDX_HEADER_BYTES];
    struct idx_header h = {0};
    int rc = open_files(s);

    if (rc == 0)
        rc = fileio_read_all(io, s->fd[SUFFIX_IDX], bytes, sizeof bytes, 0);
    if (rc == 0)
        rc = idx_header_decode(bytes, &h);
    if (rc == 0 && h.base_offset != s->seg->base)
        rc = ERR_TORN;
    s->number = h.base_number;
    return rc < 0 ? rc
                  : pass_open(&s->pass, io, s->fd[SUFFIX_LOG], s->fd[SUFFIX_IDX],
                              s->fd[SUFFIX_META], s->seg->base);
}

/* -- verifying -- */

/* Is the segment still one of its partition's? Lock held. */
static bool is_listed(const struct partition *part, const struct segment *seg)
{
    for (size_t i = 0; i < part->segment_count; i++)
        if (part->segments[i] == seg)
            return true;
    return false;
}

/* What lies between the two is damaged. */
static void note(struct scrubber *s, const struct pass_at *from, const struct pass_at *to)
{
    struct partition *part = s->seg->part;
    struct damage d = damage_between(s->seg->base, s->number, from, to);
    bool known = true;
    int rc = 0;

    pthread_mutex_lock(&part->lock);
    if (is_listed(part, s->seg))
        rc = damage_add(part, &d, &known);
    pthread_mutex_unlock(&part->lock);
    if (rc < 0 || known)
        return; /* without memory: the next pass finds it again */
    atomic_fetch_add(&s->damaged_messages, d.messages);
    found_say(s->store, FOUND_MESSAGES,
              "%s/%" PRIu32 "/%020" PRIu64 ".log: damaged: %" PRIu64 " message%s from %" PRIu64
              " to %" PRIu64,
              part->topic->name, part->index, s->seg->base, d.messages, plural(d.messages),
              d.offset, d.end);
}

static void say_unreadable(struct scrubber *s, int rc)
{
    const struct partition *part = s->seg->part;

    found_say(s->store, FOUND_MESSAGES,
              "%s/%" PRIu32 "/%020" PRIu64 ".log: from %" PRIu64 " on: %s", part->topic->name,
              part->index, s->seg->base, s->seg->base + s->pass.at.log, err_sentence(rc));
}

/* One step of the segment at hand. 1: there is more of it. */
static int step(struct scrubber *s)
{
    struct pass_step passed;
    int rc = pass_step(&s->pass, STEP_BYTES, s->end, &passed);

    atomic_fetch_add(&s->bytes, passed.bytes);
    if (passed.damaged)
        note(s, &passed.from, &passed.to);
    return rc;
}

bool scrub_work(struct scrubber *s)
{
    int rc = 0;

    if (s->store->options.scrub_bytes_per_second == 0)
        return false;
    if (s->seg && topic_removed(s->topic))
        let_go(s); /* and of its room on the disk */
    if (!s->seg) {
        if (!find_segment(s)) {
            if (!atomic_load(&s->stop))
                atomic_fetch_add(&s->passes, 1);
            s->topic_number = 1;
            s->index = 0;
            s->from = 0;
            return false;
        }
        rc = begin_segment(s);
        if (rc == ERR_TORN || rc == -ENODATA)
            note(s, &(struct pass_at){0}, &(struct pass_at){.log = (uint32_t)s->end});
        if (rc < 0) { /* or it went, or there are too few descriptors: the next one */
            let_go(s);
            return true;
        }
    }
    rc = step(s);
    if (rc < 0 && rc != -ENOMEM)
        say_unreadable(s, rc);
    if (rc <= 0)
        let_go(s);
    return true;
}

/* -- the thread -- */

/* Lock held. */
static void rest(struct scrubber *s, uint64_t until_us)
{
    struct timespec ts = {(time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000};
    int rc = 0;

    while (rc == 0 && !atomic_load(&s->stop))
        rc = pthread_cond_timedwait(&s->wake, &s->lock, &ts);
}

static void *scrub_thread(void *arg)
{
    struct scrubber *s = arg;
    uint64_t rate = s->store->options.scrub_bytes_per_second;
    uint64_t pass_us = clock_mono_us();
    uint64_t next_us = pass_us;

    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->stop)) {
        uint64_t bytes = atomic_load(&s->bytes);
        bool more;

        pthread_mutex_unlock(&s->lock);
        more = scrub_work(s);
        bytes = atomic_load(&s->bytes) - bytes;
        if (!more) {
            next_us = pass_us += PASS_EVERY_US;
        } else {
            /* What opening and listing cost counts as 64 KiB. */
            next_us += (bytes + (64 << 10)) * 1000000 / rate;
        }
        if (next_us < clock_mono_us()) {
            next_us = clock_mono_us();
            if (!more)
                pass_us = next_us;
        }
        pthread_mutex_lock(&s->lock);
        rest(s, next_us);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void scrub_init(struct scrubber *s, struct store *store)
{
    pthread_condattr_t attr;

    s->store = store;
    s->topic_number = 1;
    for (int i = 0; i < SUFFIX_COUNT; i++)
        s->fd[i] = -1;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
}

int scrub_start(struct scrubber *s, struct err *err)
{
    int rc;

    if (!s->store->options.threads || s->store->options.scrub_bytes_per_second == 0)
        return 0;
    rc = pthread_create(&s->thread, NULL, scrub_thread, s);
    if (rc != 0)
        return err_set(err, -rc, "cannot start a thread: %s", strerror(rc));
    pthread_setname_np(s->thread, "scrub");
    s->running = true;
    return 0;
}

void scrub_stop(struct scrubber *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->stop, true);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
    let_go(s); /* a topic that is held would outlive the store */
}

void scrub_release(struct scrubber *s)
{
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
}
