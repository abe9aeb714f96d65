/*
 * store/check: one segment: every message against its checksum. See checking.h.
 *
 * What the start has found damaged already is not reported again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/plural.h"
#include "store/checking.h"
#include "store/pass.h"
#include "store/producers.h"

#define STEP_BYTES ((uint64_t)16 << 20) /* between two reports of progress */

struct checked {
    struct check *c;
    struct partition *part;
    struct segment *seg;
    struct pass pass;
    bool newest;
    uint64_t end; /* position: where it ends */
};

static int report_run(struct checked *s, const struct pass_at *from, const struct pass_at *to)
{
    struct damage d = damage_between(s->seg->base, s->seg->base_number, from, to);
    bool known;
    int rc = damage_add(s->part, &d, &known);

    if (rc < 0 || known)
        return rc;
    check_found(s->c, FOUND_MESSAGES,
                "%s/%" PRIu32 "/%020" PRIu64 ".log: damaged: %" PRIu64 " message%s, number %" PRIu64
                " and on, from %" PRIu64 " to %" PRIu64,
                s->part->topic->name, s->part->index, s->seg->base, d.messages, plural(d.messages),
                d.number, d.offset, d.end);
    return 0;
}

static void report_progress(struct check *c)
{
    if (c->options->progress)
        c->options->progress(c->options->progress_arg, c->done, c->total);
}

/* One step of the pass. 1: there is more. */
static int step(struct checked *s)
{
    struct check *c = s->c;
    struct pass_step passed;
    int more = pass_step(&s->pass, STEP_BYTES, s->end, &passed);
    int rc = more < 0 ? more : 0;

    c->result->messages += passed.messages;
    c->result->bytes += passed.log_bytes;
    c->done += passed.bytes;
    if (passed.damaged)
        c->done += passed.to.log - passed.from.log;
    report_progress(c);
    if (passed.damaged)
        rc = report_run(s, &passed.from, &passed.to);
    return rc < 0 ? rc : more;
}

static int verify(struct checked *s)
{
    int rc = pass_open(&s->pass, s->c->store->io, s->seg->fd[SUFFIX_LOG], s->seg->fd[SUFFIX_IDX],
                       s->seg->fd[SUFFIX_META], s->seg->base);

    if (s->newest && s->pass.count > s->part->appended.number - s->seg->base_number)
        s->pass.count = s->part->appended.number - s->seg->base_number;
    /* What a start holds against the whole of it, each message is asked. */
    if (rc == 0 && s->pass.log.size >= s->end)
        damage_forget(s->part, s->seg->base, s->seg->base + s->end);
    if (rc == 0)
        do
            rc = step(s);
        while (rc > 0);
    if (rc == 0 && s->pass.at.log == s->end && s->pass.meta.size > s->pass.at.meta) {
        uint64_t bytes = s->pass.meta.size - s->pass.at.meta;

        check_found(s->c, FOUND_EXTRA_BYTES,
                    "%s/%" PRIu32 "/%020" PRIu64 ".meta: %" PRIu64
                    " byte%s behind the last message",
                    s->part->topic->name, s->part->index, s->seg->base, bytes, plural(bytes));
    }
    pass_close(&s->pass);
    return rc;
}

/* The segment's .prod, where it has one. */
static void check_producers(struct checked *s)
{
    struct producers *all = producers_new();
    char path[STORE_PATH_MAX];
    char *data;
    size_t len;
    int rc;

    path_of_segment(path, s->part->topic->name, s->part->index, s->seg->base, SUFFIX_PROD);
    rc = fileio_read_file(s->c->store->io, path, PROD_MAX, &data, &len);
    if (rc == 0) {
        rc = all ? producers_decode(all, data, len, s->seg->base, s->seg->base_number) : 0;
        free(data);
    }
    if (rc < 0 && rc != -ENOENT)
        check_found(s->c, FOUND_PRODUCERS, "%s: %s", path,
                    err_sentence(rc == ERR_TORN ? ERR_DAMAGED : rc));
    producers_free(all);
}

/* What a repair has noted; some of it may read back, restored from a copy. */
static void check_notes(struct checked *s)
{
    struct partition *part = s->part;

    for (size_t i = 0; i < part->damage_count; i++) {
        const struct damage *d = &part->damages[i];

        if (!d->noted || d->offset < s->seg->base || d->end > s->seg->base + s->end)
            continue;
        check_found(s->c, d->seen ? FOUND_KNOWN_DAMAGE : FOUND_STALE_NOTE,
                    "%s/%" PRIu32 "/%020" PRIu64 ".damaged: %" PRIu64 " message%s from %" PRIu64
                    " to %" PRIu64,
                    part->topic->name, part->index, s->seg->base, d->messages, plural(d->messages),
                    d->offset, d->end);
        if (d->seen)
            continue;
        part->damages[i].noted = false;
        damage_forget(part, d->offset, d->end);
        i--;
    }
}

/* What keeps a segment from being opened, and stays so: a start has said it. */
static bool found_at_start(int rc)
{
    return rc == -ENOENT || rc == ERR_TORN || rc == -ELOOP || rc == -ENOTDIR || rc == -EISDIR;
}

int check_segment(struct check *c, struct partition *part, size_t i, struct err *err)
{
    struct segment *seg = part->segments[i];
    struct checked s = {.c = c, .part = part, .seg = seg, .newest = i + 1 == part->segment_count};
    const struct segment *next = s.newest ? NULL : part->segments[i + 1];
    int rc;

    s.end = (next ? next->base - next->gap_bytes : part->appended.offset) - seg->base;
    rc = segment_use(seg, err);
    if (rc < 0)
        return found_at_start(rc) ? 0 : rc;
    check_producers(&s);
    rc = seg->no_index || s.end == 0 ? 0 : verify(&s);
    if (rc == 0 && !seg->no_index)
        check_notes(&s);
    segment_unuse(seg);
    return rc < 0 ? err_set(err, rc, "%s/%" PRIu32 "/%020" PRIu64 ": %s", part->topic->name,
                            part->index, seg->base, err_sentence(rc))
                  : 0;
}
