/* store/damage: damaged messages, in memory and on disk. See damage.h. */
#include "store/damage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/findings.h"
#include "store/inside.h"
#include "store/pass.h"
#include "store/view.h"

#define DAMAGED_MAX ((size_t)64 << 20)
#define FIELDS      4

/* -- in memory -- */

struct damage damage_between(uint64_t base, uint64_t number, const struct pass_at *from,
                             const struct pass_at *to)
{
    return (struct damage){
        .offset = base + from->log,
        .end = base + to->log,
        .number = number + from->entry,
        .messages = to->entry - from->entry,
        .seen = true,
    };
}

/* The first run that ends at or above offset; touching counts. */
static size_t place_of(const struct partition *part, uint64_t offset)
{
    size_t at = 0;

    while (at < part->damage_count && part->damages[at].end < offset)
        at++;
    return at;
}

static int insert(struct partition *part, size_t at, const struct damage *d)
{
    struct damage *grown = realloc(part->damages, (part->damage_count + 1) * sizeof *grown);

    if (!grown)
        return -ENOMEM;
    part->damages = grown;
    memmove(grown + at + 1, grown + at, (part->damage_count - at) * sizeof *grown);
    grown[at] = *d;
    part->damage_count++;
    atomic_fetch_add(&part->store->metrics.damaged_runs, 1);
    atomic_fetch_add(&part->store->metrics.damaged_messages, d->messages);
    return 0;
}

static void take_out(struct partition *part, size_t at)
{
    atomic_fetch_sub(&part->store->metrics.damaged_runs, 1);
    atomic_fetch_sub(&part->store->metrics.damaged_messages, part->damages[at].messages);
    part->damage_count--;
    memmove(part->damages + at, part->damages + at + 1,
            (part->damage_count - at) * sizeof *part->damages);
}

/* Extends *d over `other`, which it touches or overlaps. */
static void join(struct damage *d, const struct damage *other)
{
    bool apart = other->end == d->offset || other->offset == d->end;

    if (apart)
        d->messages += other->messages;
    else if (d->messages < other->messages)
        d->messages = other->messages;
    if (other->offset < d->offset) {
        d->offset = other->offset;
        d->number = other->number;
    }
    if (other->end > d->end)
        d->end = other->end;
    d->noted |= other->noted;
    d->seen |= other->seen;
}

/* Runs of two segments stay two where they touch: each is noted beside its own,
 * with the messages that it has there. */
static bool begins_segment(const struct partition *part, uint64_t offset)
{
    return part->segment_count > 0 && part->segments[view_index(part, offset)]->base == offset;
}

int damage_add(struct partition *part, const struct damage *found, bool *known)
{
    struct damage d = *found;
    size_t at = place_of(part, d.offset);

    *known = false;
    if (at < part->damage_count && part->damages[at].end == d.offset &&
        begins_segment(part, d.offset))
        at++;
    for (size_t i = at; i < part->damage_count && part->damages[i].offset <= d.offset; i++)
        if (part->damages[i].end >= d.end) {
            part->damages[i].seen |= d.seen;
            part->damages[i].noted |= d.noted;
            *known = true;
            return 0;
        }
    while (at < part->damage_count && part->damages[at].offset <= d.end &&
           !(part->damages[at].offset == d.end && begins_segment(part, d.end))) {
        join(&d, &part->damages[at]);
        take_out(part, at);
    }
    return insert(part, at, &d);
}

void damage_forget(struct partition *part, uint64_t offset, uint64_t end)
{
    for (size_t i = part->damage_count; i-- > 0;)
        if (part->damages[i].offset >= offset && part->damages[i].end <= end &&
            !part->damages[i].noted)
            take_out(part, i);
}

void damage_below_gone(struct partition *part, uint64_t first)
{
    while (part->damage_count > 0 && part->damages[0].end <= first)
        take_out(part, 0);
    if (part->damage_count > 0 && part->damages[0].offset < first) {
        struct damage d = part->damages[0];

        take_out(part, 0);
        d.offset = first;
        d.messages = 0;             /* how many of them went, nobody knows */
        (void)!insert(part, 0, &d); /* there is room: one was taken out */
    }
}

void damage_clear(struct partition *part)
{
    while (part->damage_count > 0)
        take_out(part, part->damage_count - 1);
}

bool damage_is_noted(const struct partition *part, uint64_t base, uint64_t end)
{
    for (size_t i = 0; i < part->damage_count; i++)
        if (part->damages[i].noted && part->damages[i].end > base && part->damages[i].offset < end)
            return true;
    return false;
}

/* -- .damaged -- */

/* Adds the lines; ERR_DAMAGED: one is none, or not of this segment. */
static int add_lines(struct partition *part, const char *text, size_t len, uint64_t base,
                     uint64_t end)
{
    while (len > 0) {
        const char *nl = memchr(text, '\n', len);
        uint64_t field[FIELDS];
        struct damage d;
        bool known;
        int rc;

        if (!nl || !parse_decimals(text, (size_t)(nl - text), field, FIELDS) || field[1] < base ||
            field[1] > end || field[2] > end - field[1])
            return ERR_DAMAGED;
        d = (struct damage){.offset = field[1],
                            .end = field[1] + field[2],
                            .number = field[0],
                            .messages = field[3],
                            .noted = true};
        rc = damage_add(part, &d, &known);
        if (rc < 0)
            return rc;
        len -= (size_t)(nl - text) + 1;
        text = nl + 1;
    }
    return 0;
}

static void path_of_damaged(char path[STORE_PATH_MAX], const struct partition *part, uint64_t base)
{
    path_of_segment(path, part->topic->name, part->index, base, SUFFIX_DAMAGED);
}

int damage_read(struct partition *part, uint64_t base, uint64_t end)
{
    char path[STORE_PATH_MAX];
    char *text;
    size_t len;
    int rc;

    path_of_damaged(path, part, base);
    rc = fileio_read_file(part->store->io, path, DAMAGED_MAX, &text, &len);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0) {
        rc = crc_line_holds(text, len) ? add_lines(part, text, len - CRC_LINE_BYTES, base, end)
                                       : ERR_DAMAGED;
        free(text);
    }
    if (rc == -ENOMEM || rc == 0)
        return rc;
    found_say(part->store, FOUND_DAMAGED_FILE, "%s: %s", path, err_sentence(rc));
    return 0;
}

static int print(const struct partition *part, uint64_t base, uint64_t end, struct buf *text)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < part->damage_count; i++) {
        const struct damage *d = &part->damages[i];
        uint64_t from = d->offset > base ? d->offset : base;
        uint64_t to = d->end < end ? d->end : end;

        if (from < to)
            rc = buf_printf(text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", d->number,
                            from, to - from, d->messages);
    }
    return rc == 0 && text->len > 0 ? crc_line_add(text) : rc;
}

static int replace(struct partition *part, uint64_t base, const struct buf *text)
{
    struct fileio *io = part->store->io;
    char dir[STORE_PATH_MAX];
    char path[STORE_PATH_MAX];
    int rc;

    path_of_partition(dir, part->topic->name, part->index);
    path_of_damaged(path, part, base);
    if (text->len > 0)
        return fileio_replace_file(io, dir, strrchr(path, '/') + 1, text->data, text->len);
    rc = io->ops->unlink(io, path);
    return rc < 0 ? rc : io->ops->sync_dir(io, dir);
}

int damage_write(struct partition *part, uint64_t base, uint64_t end, bool *changed,
                 struct err *err)
{
    struct buf text = {.cap = DAMAGED_MAX};
    char path[STORE_PATH_MAX];
    char *before = NULL;
    size_t len = 0;
    int rc = print(part, base, end, &text);

    *changed = false;
    path_of_damaged(path, part, base);
    if (rc == 0) {
        rc = fileio_read_file(part->store->io, path, DAMAGED_MAX, &before, &len);
        if (rc == -ENOENT)
            rc = 0;
    }
    if (rc == 0 && (len != text.len || (len > 0 && memcmp(before, text.data, len) != 0))) {
        rc = replace(part, base, &text);
        *changed = rc == 0;
    }
    free(before);
    buf_release(&text);
    return rc < 0 ? err_set(err, rc, "%s: %s", path, err_sentence(rc)) : 0;
}
