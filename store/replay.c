/*
 * store/replay: reading the commit journal back. See recover.h and journal.h.
 *
 * The records of a file's newest turn stand from its first block on: salts
 * equal, sequences following one another, CRCs holding. Where that ends, the
 * turn ends, unless a valid later record of the turn stands behind: then those in
 * between are missing. Both turns together are replayed by sequence from the
 * highest `from` on.
 *
 * What is missing was damaged, unless a power cut tore the first record of the
 * next turn: that is written over the older of the two turns, from its first block
 * on, and any sectors of it may have got to the disk. Nothing it is written over
 * is needed, but the last record may say that it is: the checkpoint came later.
 *
 * A part is written to its place if it reaches above its segment's durable
 * slot: the same bytes at the same positions, so doing it twice is as once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/plural.h"
#include "store/findings.h"
#include "store/inside.h"
#include "store/recover.h"

#define WINDOW_BYTES ((uint64_t)1 << 20)

static const struct journal_last none = {0, 1};

/* Where a record stands. */
struct place {
    int file;
    uint64_t pos;
    struct journal_record r;
};

struct replay {
    struct store *store;
    struct place *place;
    size_t count, room;
    uint8_t *record; /* the one in memory */
    uint8_t *window; /* what was read of a journal file last: one read for many records */
    int window_file;
    uint64_t window_pos, window_len;
    enum finding broken; /* what a record that is needed and does not read back is */
    bool damaged;
    bool no_room;
    bool keep;              /* a record is needed that cannot be used now */
    uint64_t missing_bytes; /* that there was no room for */
    uint64_t parts;
};

static void replay_free(struct replay *rp)
{
    free(rp->place);
    free(rp->record);
    free(rp->window);
}

static int place_add(struct replay *rp, int file, uint64_t pos, const struct journal_record *r)
{
    if (rp->count == rp->room) {
        size_t room = rp->room ? rp->room * 2 : 64;
        struct place *grown = realloc(rp->place, room * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        rp->place = grown;
        rp->room = room;
    }
    rp->place[rp->count++] = (struct place){file, pos, *r};
    return 0;
}

/* fileio_read_all() of a journal file, through the window. */
static int read_at(struct replay *rp, int file, void *to, uint64_t len, uint64_t pos)
{
    const struct journal_file *jf = &rp->store->journal.file[file];
    struct fileio *io = rp->store->io;
    bool inside = rp->window_len > 0 && file == rp->window_file && pos >= rp->window_pos &&
                  pos + len <= rp->window_pos + rp->window_len;

    if (!inside) {
        uint64_t window = jf->size - pos < WINDOW_BYTES ? jf->size - pos : WINDOW_BYTES;
        int rc;

        if (!rp->window)
            rp->window = malloc(WINDOW_BYTES);
        if (!rp->window || len > window)
            return fileio_read_all(io, jf->fd, to, len, pos);
        rp->window_len = 0;
        rc = fileio_read_all(io, jf->fd, rp->window, window, pos);
        if (rc < 0) /* somewhere in it; maybe not here */
            return fileio_read_all(io, jf->fd, to, len, pos);
        rp->window_file = file;
        rp->window_pos = pos;
        rp->window_len = window;
    }
    memcpy(to, rp->window + (pos - rp->window_pos), len);
    return 0;
}

/* Where the next record stands. */
static uint64_t record_end(uint64_t pos, const struct journal_record *r)
{
    return pos + ((r->length + JOURNAL_BLOCK - 1) & ~(uint64_t)(JOURNAL_BLOCK - 1));
}

/* Reads the record at pos whole, checked: 1; 0: none stands there. */
static int record_read(struct replay *rp, int file, uint64_t pos, struct journal_record *r)
{
    const struct journal_file *jf = &rp->store->journal.file[file];
    uint8_t *grown;
    uint8_t head[JOURNAL_RECORD_BYTES];
    int rc;

    if (pos + JOURNAL_RECORD_BYTES > jf->size)
        return 0;
    rc = read_at(rp, file, head, sizeof head, pos);
    if (rc < 0)
        return rc;
    if (!journal_record_decode(head, r) || r->length > JOURNAL_RECORD_MAX ||
        r->length > jf->size - pos)
        return 0;
    grown = realloc(rp->record, r->length);
    if (!grown)
        return -ENOMEM;
    rp->record = grown;
    rc = read_at(rp, file, rp->record, r->length, pos);
    if (rc < 0)
        return rc;
    return journal_record_crc(rp->record, r->length) == r->crc;
}

/* The next valid record of the turn behind a place where none stands: 1. */
static int find_later(struct replay *rp, int file, uint64_t *pos, uint64_t salt, uint64_t sequence,
                      struct journal_record *r)
{
    for (; *pos + JOURNAL_RECORD_BYTES <= rp->store->journal.file[file].size;
         *pos += JOURNAL_BLOCK) {
        int rc = record_read(rp, file, *pos, r);

        if (rc < 0 || (rc == 1 && r->salt == salt && r->sequence > sequence))
            return rc;
    }
    return 0;
}

/* The first record of a turn does not read back: it was torn, and what stands
 * behind it is of a turn before; or it was damaged, and that is needed. Nobody
 * can tell, but replaying what is not needed changes nothing. */
static int turn_begin(struct replay *rp, int file, uint64_t *pos, struct journal_record *r)
{
    int rc = record_read(rp, file, *pos, r);

    if (rc != 0)
        return rc;
    for (*pos += JOURNAL_BLOCK; *pos + JOURNAL_RECORD_BYTES <= rp->store->journal.file[file].size;
         *pos += JOURNAL_BLOCK) {
        rc = record_read(rp, file, *pos, r);
        if (rc == 0)
            continue;
        if (rc == 1)
            found_say(rp->store, FOUND_JOURNAL_FIRST,
                      ".journal.%d: its first record does not read back: torn, or damaged; "
                      "going on at record %" PRIu64,
                      file, r->sequence);
        return rc;
    }
    return 0;
}

/* Collects the records of a file's newest turn. */
static int turn_read(struct replay *rp, int file)
{
    uint64_t pos = JOURNAL_BLOCK;
    uint64_t sequence = 0;
    uint64_t salt = 0;
    bool first = true;

    for (;;) {
        struct journal_record r;
        int rc = first ? turn_begin(rp, file, &pos, &r) : record_read(rp, file, pos, &r);
        bool next = rc == 1 && (first || (r.salt == salt && r.sequence == sequence + 1));

        if (rc >= 0 && !next && !first) {
            uint64_t at = pos;

            rc = find_later(rp, file, &at, salt, sequence, &r);
            next = rc == 1;
            if (next)
                pos = at;
        }
        if (rc < 0)
            return rc;
        if (!next)
            return 0;
        salt = r.salt;
        sequence = r.sequence;
        first = false;
        rc = place_add(rp, file, pos, &r);
        if (rc < 0)
            return rc;
        pos = record_end(pos, &r);
    }
}

static int by_sequence(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;

    return x->r.sequence < y->r.sequence ? -1 : x->r.sequence > y->r.sequence;
}

/* -- applying -- */

static struct segment *segment_by_base(struct partition *part, uint64_t base)
{
    for (size_t i = part->segment_count; i-- > 0;)
        if (part->segments[i]->base == base)
            return part->segments[i];
    return NULL;
}

/* A part goes on where the files end, or somewhere before: with a hole in front of
 * it, what came before is not there. */
static bool leaves_hole(struct fileio *io, struct segment *seg, const struct journal_part *p,
                        int *rc)
{
    const uint64_t at[SUFFIX_COUNT] = {
        [SUFFIX_LOG] = p->log_pos,
        [SUFFIX_IDX] = IDX_HEADER_BYTES + (uint64_t)p->first_entry * IDX_ENTRY_BYTES,
        [SUFFIX_META] = p->meta_pos,
    };

    for (int i = 0; i < (p->meta_bytes > 0 ? SUFFIX_COUNT : SUFFIX_META); i++) {
        uint64_t size = 0;

        if (seg->fd[i] < 0)
            return true;
        *rc = io->ops->size(io, seg->fd[i], &size);
        if (*rc < 0 || size < at[i])
            return true;
    }
    return false;
}

static int write_there(struct replay *rp, struct segment *seg, const struct journal_part *p,
                       const uint8_t *body)
{
    struct fileio *io = rp->store->io;
    size_t idx_bytes = (size_t)p->entries * IDX_ENTRY_BYTES;
    int rc = 0;

    if (leaves_hole(io, seg, p, &rc))
        return rc < 0 ? rc : ERR_DAMAGED;
    rc = fileio_write_bytes(io, seg->fd[SUFFIX_LOG], body + idx_bytes, p->log_bytes, p->log_pos);
    if (rc == 0 && p->meta_bytes > 0)
        rc = fileio_write_bytes(io, seg->fd[SUFFIX_META], body + idx_bytes + p->log_bytes,
                                p->meta_bytes, p->meta_pos);
    if (rc == 0)
        rc = fileio_write_bytes(io, seg->fd[SUFFIX_IDX], body, idx_bytes,
                                IDX_HEADER_BYTES + (uint64_t)p->first_entry * IDX_ENTRY_BYTES);
    return rc;
}

/* Tries again with the room of .reserve, given up for this. */
static int write_with_reserve(struct replay *rp, struct segment *seg, const struct journal_part *p,
                              const uint8_t *body)
{
    struct fileio *io = rp->store->io;
    int rc = write_there(rp, seg, p, body);

    if ((rc == -ENOSPC || rc == -EDQUOT) && io->ops->unlink(io, ".reserve") == 0 &&
        io->ops->sync_dir(io, "") == 0)
        rc = write_there(rp, seg, p, body);
    return rc;
}

static int apply_part(struct replay *rp, const struct journal_part *p, const uint8_t *body)
{
    struct topic *topic = store_topic_by_number(rp->store, p->topic);
    struct partition *part = topic ? topic_partition(topic, p->partition) : NULL;
    uint64_t end = p->segment_base + p->log_pos + p->log_bytes;
    struct segment *seg;
    struct err err;
    bool used;
    int rc;

    if (!topic && rp->store->left_out > 0)
        rp->keep = true; /* it may be of one that is left out */
    if (!part || p->segment_base < part->segments[0]->base)
        return 0; /* deleted since */
    seg = segment_by_base(part, p->segment_base);
    if (atomic_load(&part->failed)) { /* known not to be writable */
        part->journaled |= !seg || !seg->sealed;
        return 0;
    }
    if (!seg) {
        if (end > part->vouched)
            part->vouched = end;
        part->journaled = true;
        partition_fail(part, ERR_DAMAGED,
                       "damaged: the journal speaks of a segment %" PRIu64 " that is not there",
                       p->segment_base);
        return 0;
    }
    if (seg->sealed)
        return 0; /* flushed direct before its successor was made: all of it is there */
    if (end > part->vouched)
        part->vouched = end;
    rc = segment_use(seg, &err);
    used = rc == 0;
    part->journaled |= !used || end > seg->slot.end;
    if (used && end > seg->slot.end) {
        rc = write_with_reserve(rp, seg, p, body);
        rp->parts++;
    }
    if (rc == -ENOSPC || rc == -EDQUOT) {
        rp->no_room = true;
        rp->missing_bytes += journal_part_length(p);
    }
    if (rc < 0)
        partition_fail(part, rc, "replaying the journal at %" PRIu64 ": %s",
                       p->segment_base + p->log_pos, err_sentence(rc));
    if (used)
        segment_unuse(seg);
    return 0;
}

/* A record whose checksum holds says more than it has room for. What is in it
 * up to there is used: refusing the store would help nobody. */
static int malformed(struct replay *rp, const struct place *at)
{
    found_say(rp->store, FOUND_JOURNAL_RECORDS,
              ".journal.%d: damaged: the parts of record %" PRIu64 " are longer than it is",
              at->file, at->r.sequence);
    rp->damaged = true;
    return 0;
}

static int apply_record(struct replay *rp, const struct place *at)
{
    struct journal_record r;
    uint64_t pos = JOURNAL_RECORD_BYTES;
    int rc = record_read(rp, at->file, at->pos, &r);

    if (rc < 0)
        return rc;
    if (rc == 0 || r.sequence != at->r.sequence || r.length != at->r.length)
        return ERR_DAMAGED; /* it read back a moment ago */
    for (uint32_t i = 0; i < at->r.parts; i++) {
        struct journal_part p;

        if (pos + JOURNAL_PART_BYTES > at->r.length)
            return malformed(rp, at);
        journal_part_decode(rp->record + pos, &p);
        if (journal_part_length(&p) > at->r.length - pos)
            return malformed(rp, at);
        rc = apply_part(rp, &p, rp->record + pos + JOURNAL_PART_BYTES);
        if (rc < 0)
            return rc;
        pos += journal_part_length(&p);
    }
    return 0;
}

/* -- both files -- */

static int read_both(struct replay *rp, uint64_t *from)
{
    *from = 0;
    for (int i = 0; i < 2; i++) {
        int rc = rp->store->journal.file[i].fd >= 0 ? turn_read(rp, i) : 0;

        if (rc < 0)
            return rc;
    }
    if (rp->count > 0)
        qsort(rp->place, rp->count, sizeof *rp->place, by_sequence);
    for (size_t i = 0; i < rp->count; i++)
        if (rp->place[i].r.from > *from)
            *from = rp->place[i].r.from;
    return 0;
}

/* May what is missing between the two have been written over by the first record of
 * the next turn? That goes to the file that has not the last record; the records
 * which that turn left there begin where they did, unless it is they that are gone. */
static bool may_be_torn(const struct replay *rp, const struct place *before,
                        const struct place *after)
{
    return before->file != rp->place[rp->count - 1].file &&
           record_end(before->pos, &before->r) < JOURNAL_BLOCK + JOURNAL_RECORD_MAX &&
           (after->file == before->file || after->pos == JOURNAL_BLOCK);
}

static void say_missing(struct replay *rp, const struct place *before, const struct place *after,
                        uint64_t from)
{
    uint64_t first = before->r.sequence + 1;
    uint64_t last = after->r.sequence - 1;
    bool needed = before->r.sequence >= from; /* `from` is the first of a turn */

    if (may_be_torn(rp, before, after)) {
        found_say(rp->store, FOUND_JOURNAL_FIRST,
                  ".journal.%d: records %" PRIu64 " to %" PRIu64
                  " do not read back: torn by the next turn's first record, or damaged",
                  before->file, first, last);
    } else if (needed || before->file == after->file) {
        found_say(rp->store, needed ? rp->broken : FOUND_JOURNAL_OLD,
                  ".journal.%d: damaged: records %" PRIu64 " to %" PRIu64 " do not read back",
                  after->file, first, last);
        rp->damaged |= needed;
    }
}

/* Not what is missing before the first record: that, too, may have been torn, and
 * turn_begin() has said so. */
static void check_gaps(struct replay *rp, uint64_t from)
{
    for (size_t i = 1; i < rp->count; i++)
        if (rp->place[i].r.sequence > rp->place[i - 1].r.sequence + 1)
            say_missing(rp, &rp->place[i - 1], &rp->place[i], from);
}

/* Where the last record stands. */
static struct journal_last last_of(const struct replay *rp)
{
    const struct place *last = rp->count > 0 ? &rp->place[rp->count - 1] : NULL;

    return last ? (struct journal_last){last->r.sequence, last->file} : none;
}

int replay_journals(struct store *store, struct journal_last *last, bool *keep, struct err *err)
{
    struct replay rp = {.store = store, .broken = FOUND_JOURNAL_RECORDS};
    uint64_t from;
    int rc = read_both(&rp, &from);

    if (rc == 0)
        check_gaps(&rp, from);
    for (size_t i = 0; rc == 0 && i < rp.count; i++)
        if (rp.place[i].r.sequence >= from)
            rc = apply_record(&rp, &rp.place[i]);
    if (rc < 0)
        err_set(err, rc, "reading the journal: %s", err_sentence(rc));
    if (rp.no_room)
        found_say(store, FOUND_NO_ROOM,
                  "no room to replay the journal: free %" PRIu64 " byte%s and start again; until "
                  "then the partitions named above are read-only",
                  rp.missing_bytes, plural(rp.missing_bytes));
    *last = last_of(&rp);
    *keep = rp.no_room || rp.keep;
    store->journal.damaged = rp.damaged;
    atomic_store(&store->parts_replayed, rp.parts);
    replay_free(&rp);
    return rc;
}

int replay_look(struct store *store, struct err *err)
{
    struct replay rp = {.store = store, .broken = FOUND_JOURNAL_OLD};
    uint64_t from;
    int rc = read_both(&rp, &from);

    if (rc == 0)
        check_gaps(&rp, from);
    replay_free(&rp);
    return rc < 0 ? err_set(err, rc, "reading the journal: %s", err_sentence(rc)) : 0;
}

int replay_last(struct store *store, struct journal_last *last_record)
{
    struct replay rp = {.store = store};
    struct journal_record last = {0};
    uint64_t pos = 0;
    int file = -1;
    int rc = 0;

    /* The file whose turn began last has the last record. */
    for (int i = 0; rc >= 0 && i < 2; i++) {
        struct journal_record r;
        uint64_t at = JOURNAL_BLOCK;

        if (store->journal.file[i].fd < 0)
            continue;
        rc = turn_begin(&rp, i, &at, &r);
        if (rc == 1 && r.sequence > last.sequence) {
            last = r;
            pos = at;
            file = i;
        }
    }
    while (rc >= 0 && file >= 0) {
        struct journal_record r;

        pos = record_end(pos, &last);
        rc = record_read(&rp, file, pos, &r);
        if (rc != 1 || r.salt != last.salt || r.sequence != last.sequence + 1)
            break;
        last = r;
    }
    if (rc >= 0)
        *last_record = file < 0 ? none : (struct journal_last){last.sequence, file};
    replay_free(&rp);
    return rc < 0 ? rc : 0;
}
