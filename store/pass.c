/* store/pass: one pass over a segment's entries. See pass.h. */
#include "store/pass.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"

#define WINDOW_ENTRIES 4096u
#define WINDOW_BYTES   ((uint64_t)1 << 20)

static int window_open(struct pass *p, struct pass_window *w, int fd)
{
    w->fd = fd;
    return fd < 0 ? 0 : p->io->ops->size(p->io, fd, &w->size);
}

/* Moves the window to pos; at least one byte of the file is there. */
static int window_move(struct pass *p, struct pass_window *w, uint64_t pos)
{
    uint64_t len = w->size - pos < WINDOW_BYTES ? w->size - pos : WINDOW_BYTES;
    int rc;

    if (!w->data)
        w->data = malloc(WINDOW_BYTES);
    if (!w->data)
        return -ENOMEM;
    w->len = 0;
    rc = fileio_read_all(p->io, w->fd, w->data, len, pos);
    if (rc < 0)
        return rc;
    w->pos = pos;
    w->len = len;
    return 0;
}

/* Extends *crc over [pos, pos+len) of the file. A message that does not lie in
 * the window whole begins the next one; one longer than that takes several. */
static int window_crc(struct pass *p, struct pass_window *w, uint64_t pos, uint64_t len,
                      uint32_t *crc)
{
    while (len > 0) {
        uint64_t n = len < WINDOW_BYTES ? len : WINDOW_BYTES;

        if (pos < w->pos || pos + n > w->pos + w->len) {
            int rc = window_move(p, w, pos);

            if (rc < 0)
                return rc;
        }
        *crc = crc32c_extend(*crc, w->data + (pos - w->pos), n);
        pos += n;
        len -= n;
    }
    return 0;
}

static const uint8_t *entry_at(struct pass *p, uint64_t i, int *rc)
{
    if (i < p->entries_at || i >= p->entries_at + p->entries_len) {
        uint64_t n = p->count - i < WINDOW_ENTRIES ? p->count - i : WINDOW_ENTRIES;

        p->entries_len = 0;
        *rc = fileio_read_all(p->io, p->idx, p->entries, n * IDX_ENTRY_BYTES,
                              IDX_HEADER_BYTES + i * IDX_ENTRY_BYTES);
        if (*rc < 0)
            return NULL;
        p->entries_at = i;
        p->entries_len = n;
    }
    return p->entries + (i - p->entries_at) * IDX_ENTRY_BYTES;
}

/* Does entry i hold, if its message begins at log_at, its record at meta_at?
 * 1, 0, or -errno. */
static int entry_holds(struct pass *p, uint64_t i, uint32_t log_at, uint32_t meta_at,
                       struct idx_entry *e)
{
    int rc = 0;
    const uint8_t *bytes = entry_at(p, i, &rc);
    uint32_t crc = 0;

    if (!bytes)
        return rc;
    *e = idx_entry_decode(bytes);
    if (e->end <= log_at || e->end > p->log.size || e->meta_end < meta_at ||
        e->meta_end > p->meta.size || e->time_ms < p->at.time_ms)
        return 0;
    rc = window_crc(p, &p->meta, meta_at, e->meta_end - meta_at, &crc);
    if (rc == 0)
        rc = window_crc(p, &p->log, log_at, e->end - log_at, &crc);
    return rc < 0 ? rc : idx_entry_crc(bytes, crc, p->base) == e->crc;
}

static void advance(struct pass *p, const struct idx_entry *e)
{
    p->at = (struct pass_at){p->at.entry + 1, e->end, e->meta_end, e->time_ms};
    if (!e->more)
        p->kept = p->at;
}

int pass_open(struct pass *p, struct fileio *io, int log, int idx, int meta, uint64_t base)
{
    uint64_t idx_bytes = 0;
    int rc;

    *p = (struct pass){.io = io, .base = base, .idx = idx};
    rc = window_open(p, &p->log, log);
    p->entries = malloc((size_t)WINDOW_ENTRIES * IDX_ENTRY_BYTES);
    if (!p->entries)
        return -ENOMEM;
    if (rc == 0)
        rc = window_open(p, &p->meta, meta);
    if (rc == 0)
        rc = io->ops->size(io, idx, &idx_bytes);
    if (rc == 0 && idx_bytes > IDX_HEADER_BYTES)
        p->count = (idx_bytes - IDX_HEADER_BYTES) / IDX_ENTRY_BYTES;
    return rc;
}

void pass_close(struct pass *p)
{
    free(p->entries);
    free(p->log.data);
    free(p->meta.data);
}

void pass_seek(struct pass *p, const struct pass_at *at)
{
    p->at = p->kept = *at;
}

int pass_run(struct pass *p, uint64_t limit)
{
    while (p->at.entry < p->count && p->at.log < limit) {
        struct idx_entry e;
        int rc = entry_holds(p, p->at.entry, p->at.log, p->at.meta, &e);

        if (rc <= 0)
            return rc < 0 ? rc : 1;
        advance(p, &e);
    }
    return 0;
}

int pass_entry(struct pass *p, uint64_t i, struct idx_entry *e)
{
    int rc = 0;
    const uint8_t *bytes = entry_at(p, i, &rc);

    if (bytes)
        *e = idx_entry_decode(bytes);
    return rc;
}

int pass_record(struct pass *p, uint64_t pos, uint64_t len, const uint8_t **bytes)
{
    struct pass_window *w = &p->meta;
    int rc = 0;

    if (len > w->size || pos > w->size - len)
        return ERR_TORN;
    if (!w->data || pos < w->pos || pos + len > w->pos + w->len)
        rc = window_move(p, w, pos);
    if (rc == 0)
        *bytes = w->data + (pos - w->pos);
    return rc;
}

int pass_skip(struct pass *p, struct pass_at *from)
{
    for (uint64_t i = p->at.entry + 1; i < p->count; i++) {
        struct idx_entry before;
        struct idx_entry e;
        int rc = pass_entry(p, i - 1, &before);

        if (rc < 0)
            return rc;
        if (before.end <= p->at.log || before.end > p->log.size || before.meta_end < p->at.meta)
            continue;
        rc = entry_holds(p, i, before.end, before.meta_end, &e);
        if (rc < 0)
            return rc;
        if (rc == 1) {
            *from = p->at;
            p->at.entry = i;
            p->at.log = before.end;
            p->at.meta = before.meta_end;
            return 1;
        }
    }
    return 0;
}

int pass_step(struct pass *p, uint64_t bytes, uint64_t end, struct pass_step *step)
{
    const struct pass_at before = p->at;
    int rc = pass_run(p, before.log + bytes < end ? before.log + bytes : end);

    *step = (struct pass_step){
        .messages = p->at.entry - before.entry,
        .log_bytes = p->at.log - before.log,
        .bytes = (uint64_t)(p->at.log - before.log) + (p->at.meta - before.meta),
    };
    if (rc < 0 || p->at.log >= end)
        return rc < 0 ? rc : 0;
    if (rc == 0 && p->at.entry < p->count)
        return 1;
    step->from = p->at;
    if (rc == 1)
        rc = pass_skip(p, &step->from);
    if (rc < 0)
        return rc;
    step->damaged = true;
    step->to = rc == 1 ? p->at : (struct pass_at){.entry = p->count, .log = (uint32_t)end};
    return rc;
}
