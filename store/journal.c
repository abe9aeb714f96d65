/* store/journal: writing the commit journal. See journal.h. Reading it back is
 * in replay.c. */
#include "store/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "store/findings.h"
#include "store/inside.h"

#define GROW_BYTES     ((uint64_t)1 << 20)
#define TURN_MIN_BYTES ((uint64_t)4 << 20)  /* a turn of this size ends when it is */
#define TURN_AGE_US    ((uint64_t)30000000) /* so old; a full one ends at once */

static const char *const names[2] = {".journal.0", ".journal.1"};

static uint64_t blocks(uint64_t bytes)
{
    return (bytes + JOURNAL_BLOCK - 1) & ~(uint64_t)(JOURNAL_BLOCK - 1);
}

/* -- the files -- */

static int file_make(struct journal *j, int i)
{
    uint8_t header[JOURNAL_BLOCK];

    journal_header_encode(header, j->store->uuid);
    return fileio_replace_file(j->store->io, "", names[i], header, sizeof header);
}

int journal_look(struct store *store, struct err *err)
{
    struct fileio *io = store->io;

    for (int i = 0; i < 2; i++) {
        uint8_t header[JOURNAL_HEADER_BYTES];
        int fd = io->ops->open(io, names[i], FILEIO_READ);
        int rc = fd;

        if (fd >= 0) {
            rc = fileio_read_all(io, fd, header, sizeof header, 0);
            io->ops->close(io, fd);
        }
        if (rc == 0)
            rc = journal_header_decode(header, store->uuid);
        if (rc == ERR_NEWER_FORMAT)
            return err_set(err, rc, "%s: %s; nothing was changed", names[i], err_sentence(rc));
        /* Anything else is for journal_open() to say. */
    }
    return 0;
}

static int file_open(struct journal *j, int i)
{
    struct fileio *io = j->store->io;
    struct journal_file *jf = &j->file[i];
    uint8_t header[JOURNAL_HEADER_BYTES];
    int fd = io->ops->open(io, names[i], FILEIO_WRITE);
    int rc = fd;

    if (fd >= 0) {
        rc = fileio_read_all(io, fd, header, sizeof header, 0);
        if (rc == 0)
            rc = journal_header_decode(header, j->store->uuid);
        else if (rc == -ENODATA)
            rc = ERR_TORN;
        if (rc == 0)
            rc = io->ops->size(io, fd, &jf->size);
        if (rc < 0)
            io->ops->close(io, fd);
        else
            jf->fd = fd;
    }
    return rc;
}

int journal_open(struct journal *j, struct store *store, struct err *err)
{
    j->store = store;
    j->file_max = store->options.journal_bytes / 2 & ~(uint64_t)(JOURNAL_BLOCK - 1);
    j->record.cap = JOURNAL_RECORD_MAX + JOURNAL_BLOCK;
    for (int i = 0; i < 2; i++) {
        bool made;
        int rc;

        j->file[i].fd = -1;
        rc = file_open(j, i);
        made = rc == -ENOENT || rc == ERR_TORN;
        if (made) {
            /* After a clean stop it has nothing; in a store that is made it has no name yet. */
            if (rc == -ENOENT && !store->clean && store->topic_count > 0)
                found_say(store, FOUND_JOURNAL_MISSING, "%s: missing; made anew", names[i]);
            if (rc == ERR_TORN)
                found_say(store, FOUND_JOURNAL_HEADER, "%s: no valid header; made anew", names[i]);
            rc = file_make(j, i);
            if (rc == 0)
                rc = file_open(j, i);
        }
        if (made && (rc == -ENOSPC || rc == -EDQUOT)) {
            found_say(store, FOUND_NO_ROOM, "%s: no room for it; flushing without the journal",
                      names[i]);
            j->dead = true;
        } else if (rc < 0) {
            return err_set(err, rc, "%s: %s", names[i], err_sentence(rc));
        }
        j->file[i].free = true;
    }
    return 0;
}

void journal_close(struct journal *j)
{
    for (int i = 0; i < 2; i++) {
        struct journal_file *jf = &j->file[i];

        for (size_t p = 0; p < jf->part_count; p++)
            topic_put(jf->parts[p]->topic);
        free(jf->parts);
        jf->parts = NULL;
        jf->part_count = jf->part_room = 0;
        if (jf->fd >= 0)
            j->store->io->ops->close(j->store->io, jf->fd);
        jf->fd = -1;
    }
    buf_release(&j->record);
}

/* -- turns -- */

void journal_begin(struct journal *j, const struct journal_last *last)
{
    struct journal_file *jf = &j->file[1 - last->file];

    j->current = 1 - last->file;
    j->sequence = last->sequence;
    jf->pos = JOURNAL_BLOCK;
    jf->salt = store_random(j->store);
    jf->first = last->sequence + 1;
    jf->begun_us = clock_mono_us();
    jf->free = false;
    j->turns++;
}

/* Ends the turn of the current file: the direct thread makes its checkpoint. */
static bool turn(struct journal *j)
{
    struct flusher *fl = &j->store->flusher;
    bool can;

    pthread_mutex_lock(&fl->lock);
    can = j->file[1 - j->current].free;
    if (can) {
        fl->checkpoint = j->current;
        journal_begin(j, &(struct journal_last){j->sequence, j->current});
        pthread_cond_signal(&fl->direct);
    }
    pthread_mutex_unlock(&fl->lock);
    return can;
}

bool journal_may_turn(const struct journal *j)
{
    return j->want_turn && !j->dead && j->file[1 - j->current].free &&
           j->file[j->current].part_count > 0;
}

bool journal_ready(struct journal *j, size_t bytes)
{
    struct journal_file *jf = &j->file[j->current];
    uint64_t need = blocks(bytes);
    bool full = jf->pos + need > j->file_max;
    bool old = jf->pos >= TURN_MIN_BYTES && clock_mono_us() - jf->begun_us > TURN_AGE_US;

    if (j->dead || JOURNAL_BLOCK + need > j->file_max)
        return false;
    if (full)
        return turn(j);
    if ((old || (j->want_turn && jf->part_count > 0)) && turn(j))
        j->want_turn = false;
    return true;
}

/* -- building a record -- */

uint64_t journal_part_size(const struct mark *from, const struct mark *to)
{
    uint64_t bytes = JOURNAL_PART_BYTES + (to->number - from->number) * IDX_ENTRY_BYTES +
                     (to->offset - from->offset) + (to->meta_end - from->meta_end);

    return (bytes + 7) & ~(uint64_t)7;
}

void journal_start(struct journal *j)
{
    buf_clear(&j->record);
    j->record_parts = 0;
}

/* Each message as it was read back against its CRC. */
static bool part_agrees(const struct journal_part *p, const uint8_t *entries, const uint8_t *log,
                        const uint8_t *meta)
{
    uint32_t log_at = p->log_pos;
    uint32_t meta_at = p->meta_pos;

    for (uint32_t i = 0; i < p->entries; i++) {
        const uint8_t *bytes = entries + (size_t)i * IDX_ENTRY_BYTES;
        struct idx_entry e = idx_entry_decode(bytes);
        uint32_t crc;

        if (e.end <= log_at || e.end > p->log_pos + p->log_bytes || e.meta_end < meta_at ||
            e.meta_end > p->meta_pos + p->meta_bytes)
            return false;
        crc = crc32c_extend(0, meta + (meta_at - p->meta_pos), e.meta_end - meta_at);
        crc = crc32c_extend(crc, log + (log_at - p->log_pos), e.end - log_at);
        if (idx_entry_crc(bytes, crc, p->segment_base) != e.crc)
            return false;
        log_at = e.end;
        meta_at = e.meta_end;
    }
    return log_at == p->log_pos + p->log_bytes && meta_at == p->meta_pos + p->meta_bytes;
}

static int part_read(struct journal *j, struct segment *seg, const struct journal_part *p,
                     uint8_t *to)
{
    struct fileio *io = j->store->io;
    uint8_t *log = to + (size_t)p->entries * IDX_ENTRY_BYTES;
    uint8_t *meta = log + p->log_bytes;
    int rc = segment_read_entries(seg, p->first_entry, p->entries, to);

    if (rc == 0)
        rc = fileio_read_all(io, seg->fd[SUFFIX_LOG], log, p->log_bytes, p->log_pos);
    if (rc == 0 && p->meta_bytes > 0)
        rc = fileio_read_all(io, seg->fd[SUFFIX_META], meta, p->meta_bytes, p->meta_pos);
    if (rc == 0 && !part_agrees(p, to, log, meta))
        rc = ERR_DAMAGED;
    return rc;
}

int journal_add(struct journal *j, struct partition *part, const struct mark *from,
                const struct mark *to, struct err *err)
{
    size_t length = (size_t)journal_part_size(from, to);
    struct journal_part p = {
        .topic = part->topic->number,
        .partition = part->index,
        .entries = (uint32_t)(to->number - from->number),
        .log_bytes = (uint32_t)(to->offset - from->offset),
        .meta_pos = from->meta_end,
        .meta_bytes = to->meta_end - from->meta_end,
    };
    struct segment *seg;
    uint8_t *at;
    int rc;

    if (j->record.len == 0) {
        rc = buf_reserve(&j->record, JOURNAL_RECORD_BYTES);
        if (rc < 0)
            return err_set(err, rc, "no memory for a journal record");
        j->record.len = JOURNAL_RECORD_BYTES;
    }
    rc = buf_reserve(&j->record, length);
    if (rc < 0)
        return err_set(err, rc, "no memory for a journal record");
    pthread_mutex_lock(&part->lock);
    seg = partition_newest(part); /* pinned: something of it is not durable */
    pthread_mutex_unlock(&part->lock);
    p.segment_base = seg->base;
    p.first_entry = (uint32_t)(from->number - seg->base_number);
    p.log_pos = (uint32_t)(from->offset - seg->base);
    at = (uint8_t *)j->record.data + j->record.len;
    journal_part_encode(at, &p);
    rc = part_read(j, seg, &p, at + JOURNAL_PART_BYTES);
    if (rc < 0)
        return err_set(err, rc, "reading back what was appended at %" PRIu64 ": %s", from->offset,
                       err_sentence(rc));
    at += JOURNAL_PART_BYTES + (size_t)p.entries * IDX_ENTRY_BYTES + p.log_bytes + p.meta_bytes;
    j->record.len += length;
    memset(at, 0, (size_t)((uint8_t *)j->record.data + j->record.len - at));
    j->record_parts++;
    return 0;
}

/* -- writing it -- */

/* Zeros ahead, so that the record overwrites in place. */
static int grow(struct journal *j, struct journal_file *jf, uint64_t need)
{
    static const uint8_t zeros[64 * 1024];
    uint64_t want = (jf->pos + need + GROW_BYTES - 1) & ~(GROW_BYTES - 1);
    int rc = 0;

    if (jf->pos + need <= jf->size)
        return 0;
    if (want > j->file_max)
        want = j->file_max;
    /* Replaying needs room too: .reserve grows first. */
    rc = store_reserve(j->store, want + j->file[1 - j->current].size);
    while (rc == 0 && jf->size < want) {
        uint64_t n = want - jf->size < sizeof zeros ? want - jf->size : sizeof zeros;

        rc = fileio_write_bytes(j->store->io, jf->fd, zeros, n, jf->size);
        if (rc == 0)
            jf->size += n;
    }
    return rc;
}

/* Remembers which partitions the turn speaks of. The part's topic is held
 * until the checkpoint. */
static int note_parts(struct journal *j, struct journal_file *jf, const struct flush_jobs *batch)
{
    int file = j->current;

    if (jf->part_count + batch->count > jf->part_room) {
        size_t room = (jf->part_count + batch->count) * 2;
        struct partition **parts = realloc(jf->parts, room * sizeof(struct partition *));

        if (!parts)
            return -ENOMEM;
        jf->parts = parts;
        jf->part_room = room;
    }
    for (size_t i = 0; i < batch->count; i++) {
        struct partition *part = batch->job[i].part;

        if (part->flush.journaled[file] == 0) {
            jf->parts[jf->part_count++] = part;
            topic_get(part->topic);
        }
        part->flush.journaled[file] = batch->job[i].to.offset;
    }
    return 0;
}

static int write_record(struct journal *j, struct journal_file *jf, uint64_t need)
{
    struct fileio *io = j->store->io;
    struct journal_record r = {
        .length = (uint32_t)j->record.len,
        .salt = jf->salt,
        .sequence = j->sequence + 1,
        .parts = j->record_parts,
    };
    const struct journal_file *other = &j->file[1 - j->current];
    struct flusher *fl = &j->store->flusher;
    int rc;

    pthread_mutex_lock(&fl->lock);
    r.from = other->free ? jf->first : other->first;
    rc = note_parts(j, jf, &fl->batch);
    pthread_mutex_unlock(&fl->lock);
    if (rc < 0)
        return rc;
    memset(j->record.data + j->record.len, 0, (size_t)need - j->record.len);
    journal_record_seal((uint8_t *)j->record.data, &r);
    return fileio_write_bytes(io, jf->fd, j->record.data, (size_t)need, jf->pos);
}

int journal_write(struct journal *j, struct err *err)
{
    struct journal_file *jf = &j->file[j->current];
    uint64_t need;
    int rc = 0;

    if (j->record.len == 0) { /* one without parts: the clean stop's */
        rc = buf_reserve(&j->record, JOURNAL_RECORD_BYTES);
        j->record.len = JOURNAL_RECORD_BYTES;
    }
    need = blocks(j->record.len);
    if (rc == 0)
        rc = buf_reserve(&j->record, (size_t)need - j->record.len);
    if (rc == 0)
        rc = grow(j, jf, need);
    if (rc == 0)
        rc = write_record(j, jf, need);
    if (rc == -ENOSPC || rc == -EDQUOT || rc == -ENOMEM)
        return err_set(err, rc == -ENOMEM ? -ENOSPC : rc, "%s: %s", names[j->current],
                       err_sentence(rc)); /* what it wrote is written over by the next one */
    if (rc == 0)
        rc = j->store->io->ops->fdatasync(j->store->io, jf->fd);
    if (rc < 0) {
        j->dead = true;
        return err_set(err, rc == -ENOSPC ? -EIO : rc, "%s: %s", names[j->current],
                       err_sentence(rc));
    }
    j->sequence++;
    jf->pos += need;
    metrics_add(&j->store->metrics, COUNT_JOURNAL_BYTES, j->record.len);
    return 0;
}
