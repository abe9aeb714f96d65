/* store/repair: making a damaged partition whole again. See repair.h. */
#include "store/repair.h"

#include <errno.h>
#include <inttypes.h>

#define BLOCK_ENTRIES 256u

static void no_repair(struct partition *part, const char *why)
{
    found_say(part->store, FOUND_NO_REPAIR, "%s", why);
}

/* -- a lost .log -- */

/* A sealed one has another name, in sealed/. */
static int link_logs(struct partition *part, const struct found *found, bool *made, struct err *err)
{
    struct fileio *io = part->store->io;
    char dir[STORE_PATH_MAX];
    char from[STORE_PATH_MAX];
    char to[STORE_PATH_MAX];

    path_of_partition(dir, part->topic->name, part->index);
    for (size_t i = 0; i + 1 < found->count; i++) {
        const struct found_segment *s = &found->seg[i];
        int rc;

        if (s->left_over || s->has[SUFFIX_LOG])
            continue;
        path_of_sealed(from, part->topic->name, part->index, s->base);
        path_of_segment(to, part->topic->name, part->index, s->base, SUFFIX_LOG);
        rc = io->ops->link(io, from, to);
        if (rc == -ENOENT || rc == -EPERM || rc == -ELOOP)
            continue; /* no link, or no file: nothing to take */
        if (rc == 0)
            rc = io->ops->sync_dir(io, dir);
        if (rc < 0)
            return err_set(err, rc, "%s: %s", to, err_sentence(rc));
        found_say(part->store, FOUND_MADE_LOG, "%s: linked again, from %s", to, from);
        *made = true;
    }
    return 0;
}

/* -- a lost .idx -- */

/* *tried: one was missing. */
static int make_indexes(struct partition *part, const struct found *found, bool *tried, bool *made,
                        struct err *err)
{
    for (size_t i = 0; i < found->count; i++) {
        const struct found_segment *s = &found->seg[i];
        struct err why = {0};
        int rc;

        if (s->left_over || !s->has[SUFFIX_LOG] || s->header_valid)
            continue;
        *tried = true;
        rc = repair_index(part, found, i, &why);
        if (rc == ERR_DAMAGED)
            no_repair(part, why.text);
        else if (rc < 0)
            return err_set(err, rc, "%s", why.text);
        else
            *made = true;
    }
    return 0;
}

/* -- a newest segment that ends too early -- */

/* The highest end that an entry says: for flush.sync=os, where an appended
 * message is visible before any slot or journal knows of it. */
static int index_end(struct segment *seg, uint64_t entries, uint64_t *end)
{
    uint8_t block[BLOCK_ENTRIES * IDX_ENTRY_BYTES];
    int rc = 0;

    *end = seg->base;
    if (!topic_config(seg->part->topic)->flush_os)
        return 0;
    for (uint64_t i = 0; rc == 0 && i < entries; i += BLOCK_ENTRIES) {
        uint32_t n = entries - i < BLOCK_ENTRIES ? (uint32_t)(entries - i) : BLOCK_ENTRIES;

        rc = segment_read_entries(seg, i, n, block);
        for (uint32_t k = 0; rc == 0 && k < n; k++) {
            struct idx_entry e = idx_entry_decode(block + (size_t)k * IDX_ENTRY_BYTES);

            if (seg->base + e.end > *end)
                *end = seg->base + e.end;
        }
    }
    return rc;
}

/* Above this no reader has ever seen a byte of the newest segment, which is used. */
static int highest_end(struct partition *part, const struct found_segment *s, uint64_t entries,
                       uint64_t *end)
{
    struct segment *seg = partition_newest(part);
    int rc = index_end(seg, entries, end);
    const uint64_t others[] = {part->vouched, seg->slot.end, s->base + s->bytes[SUFFIX_LOG]};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] > *end)
            *end = others[i];
    return rc;
}

/* A segment behind the newest one, from `end` on, which seals that. */
static int make_next(struct partition *part, uint64_t end, uint64_t number, struct err *err)
{
    struct idx_header h = {
        .base_offset = end,
        .base_number = number,
        .base_time_ms = store_wall_ms(part->store),
    };
    struct segment *next = segment_new(part, end);
    struct buf prod = {0}; /* who appended last is not known any more */
    bool left_over;
    int rc;

    if (!next)
        return err_set(err, -ENOMEM, "out of memory");
    rc = segment_create(next, &h, &prod, &left_over, err);
    if (rc == 0)
        segment_unuse(next);
    segment_put(next);
    return rc;
}

/* Notes what is lost, then goes on behind it: in this order, or a crash between
 * the two would leave a sealed segment of which nobody knows. */
static int go_on_behind(struct partition *part, const struct found_segment *s, bool *made,
                        struct err *err)
{
    struct segment *seg = partition_newest(part);
    uint64_t entries = (s->bytes[SUFFIX_IDX] - IDX_HEADER_BYTES) / IDX_ENTRY_BYTES;
    struct damage d = {.offset = part->appended.offset, .number = part->appended.number};
    bool changed;
    bool known;
    int rc = highest_end(part, s, entries, &d.end);

    if (rc < 0)
        return err_set(err, rc, "%s/%" PRIu32 "/%020" PRIu64 ".idx: %s", part->topic->name,
                       part->index, s->base, err_sentence(rc));
    if (d.end > seg->base && d.end > d.offset) {
        if (seg->base_number + entries > d.number)
            d.messages = seg->base_number + entries - d.number;
        d.seen = true;
        if (damage_add(part, &d, &known) < 0)
            return err_set(err, -ENOMEM, "out of memory");
        rc = damage_write(part, s->base, d.end, &changed, err);
    }
    if (rc == 0)
        rc = make_next(part, d.end, d.number + d.messages, err);
    if (rc < 0)
        return rc;
    found_say(part->store, FOUND_MADE_SEGMENT,
              "%s/%" PRIu32 "/%020" PRIu64 ".log: a new segment, behind what was lost from %" PRIu64
              " on",
              part->topic->name, part->index, d.end, d.offset);
    *made = true;
    return 0;
}

/* -- a newest segment without a .log -- */

/* An empty .log, so that what the journal has can be written to it. Before that
 * the slot says how far the index went: or a start would take what is missing
 * for a torn tail, and give its offsets again. */
static int make_log(struct partition *part, const struct found_segment *s, bool *made,
                    struct err *err)
{
    struct fileio *io = part->store->io;
    struct segment seg = {.part = part, .base = s->base, .fd = {-1, -1, -1}};
    uint64_t entries = (s->bytes[SUFFIX_IDX] - IDX_HEADER_BYTES) / IDX_ENTRY_BYTES;
    uint8_t header[IDX_HEADER_BYTES];
    char dir[STORE_PATH_MAX];
    char path[STORE_PATH_MAX];
    uint64_t end;
    int fd;
    int rc;

    path_of_segment(path, part->topic->name, part->index, s->base, SUFFIX_IDX);
    rc = fd = io->ops->open(io, path, FILEIO_WRITE);
    if (fd >= 0) {
        seg.fd[SUFFIX_IDX] = fd;
        rc = fileio_read_all(io, fd, header, sizeof header, 0);
        if (rc == 0) {
            seg.slot = idx_slot_choose(header, s->base);
            rc = index_end(&seg, entries, &end);
        }
        if (rc == 0 && end > seg.slot.end)
            rc = segment_write_slot(&seg, end);
        if (rc == 0)
            rc = io->ops->fdatasync(io, fd);
        io->ops->close(io, fd);
    }
    if (rc >= 0) {
        path_of_segment(path, part->topic->name, part->index, s->base, SUFFIX_LOG);
        rc = fd = io->ops->open(io, path, FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE);
        if (fd >= 0)
            rc = io->ops->close(io, fd);
    }
    path_of_partition(dir, part->topic->name, part->index);
    if (rc >= 0)
        rc = io->ops->sync_dir(io, dir);
    if (rc < 0)
        return err_set(err, rc, "%s: %s", path, err_sentence(rc));
    *made = true;
    return 0;
}

/* -- all of it -- */

/* All segments have their .idx, and the partition cannot be used. */
static int mend_newest(struct partition *part, const struct found *found, bool *made,
                       struct err *err)
{
    const struct found_segment *s = NULL;
    struct err why = {0};
    int rc;

    for (size_t i = 0; i < found->count; i++)
        if (!found->seg[i].left_over)
            s = &found->seg[i];
    err_set(&why, ERR_DAMAGED, "%s/%" PRIu32 ": %s", part->topic->name, part->index,
            s ? part->why : "nothing of it is there, and nobody knows where it ended");
    if (!s || part->fail_code != ERR_DAMAGED || !s->header_valid) {
        no_repair(part, why.text);
        return 0;
    }
    if (!s->has[SUFFIX_LOG])
        return make_log(part, s, made, err);
    rc = segment_use(partition_newest(part), err);
    if (rc < 0)
        return rc;
    rc = go_on_behind(part, s, made, err);
    segment_unuse(partition_newest(part));
    return rc;
}

int repair_partition(struct partition *part, bool *made, struct err *err)
{
    struct found found = {0};
    struct err why = {0};
    bool tried = false;
    int rc = scan_partition(part, &found, &why);

    if (rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP || rc == ERR_DAMAGED) {
        no_repair(part, why.text);
        scan_release(&found);
        return 0;
    }
    if (rc < 0)
        err_set(err, rc, "%s", why.text);
    if (rc == 0)
        rc = link_logs(part, &found, made, err);
    if (rc == 0)
        rc = make_indexes(part, &found, &tried, made, err);
    /* What those segments hold is known after the next start. */
    if (rc == 0 && !tried && partition_failed(part))
        rc = mend_newest(part, &found, made, err);
    scan_release(&found);
    return rc;
}
