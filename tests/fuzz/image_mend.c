/*
 * tests/fuzz/image_mend: checksums made to hold. See image.h.
 *
 * It goes over what is on the disk as a reader would that believes every
 * length, and gives up where that leads out of the file.
 */
#include "tests/fuzz/image_mend.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/format.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"

struct file {
    uint8_t *bytes; /* NULL: there is none */
    size_t len;
};

static struct file file_load(struct memdisk *disk, const char *path)
{
    struct file f = {0};

    f.bytes = (uint8_t *)memdisk_file(disk, path, &f.len);
    return f;
}

static void file_store(struct memdisk *disk, const char *path, struct file *f)
{
    if (f->bytes)
        memtree_write(&disk->tree, memdisk_lookup(disk, path), f->bytes, f->len, 0);
    free(f->bytes);
}

/* The CRC goes on over [from, to) of it; a file that is not there has no bytes. */
static uint32_t crc_of(uint32_t crc, const struct file *f, size_t from, size_t to)
{
    return to > from ? crc32c_extend(crc, f->bytes + from, to - from) : crc;
}

/* -- .idx -- */

static void mend_header(struct file *idx, uint64_t base, unsigned mend)
{
    if (mend & MEND_BASES) {
        struct idx_header h = {
            .base_offset = base,
            .base_number = get_le64(idx->bytes + 16),
            .base_time_ms = get_le64(idx->bytes + 24),
        };
        uint32_t flags = get_le32(idx->bytes + 32);
        uint8_t header[IDX_HEADER_BYTES];

        idx_header_encode(header, &h);
        put_le32(header + 32, flags);
        memcpy(idx->bytes, header, 36);
    }
    if (mend & MEND_HEADERS)
        put_le32(idx->bytes + 36, crc32c_extend(0, idx->bytes, 36));
    for (int i = 0; (mend & MEND_SLOTS) && i < 2; i++) {
        uint8_t *at = idx->bytes + IDX_SLOT_AT(i);
        struct idx_slot slot = {get_le64(at), get_le64(at + 8)};

        if (slot.sequence > 0)
            idx_slot_encode(at, &slot, base);
    }
}

/* One entry, whose message and record begin at *log_at and *meta_at; they are
 * set to where it says that they end. False: outside of the files. */
static bool mend_entry(uint8_t *entry, const struct file *log, const struct file *meta,
                       uint64_t base, size_t *log_at, size_t *meta_at)
{
    struct idx_entry e = idx_entry_decode(entry);
    uint32_t crc;

    if (e.end < *log_at || e.end > log->len || e.meta_end < *meta_at || e.meta_end > meta->len)
        return false;
    crc = crc_of(crc_of(0, meta, *meta_at, e.meta_end), log, *log_at, e.end);
    idx_entry_encode(entry, &e, crc, base);
    *log_at = e.end;
    *meta_at = e.meta_end;
    return true;
}

static void mend_segment(struct memdisk *disk, const char *path, unsigned mend, unsigned left)
{
    struct file idx = file_load(disk, path);
    struct file log;
    struct file meta;
    char beside[STORE_PATH_MAX];
    uint64_t base = strtoull(path + strlen("t/0/"), NULL, 10);
    size_t count;
    size_t log_at = 0;
    size_t meta_at = 0;

    if (!idx.bytes || idx.len < IDX_HEADER_BYTES) {
        free(idx.bytes);
        return;
    }
    mend_header(&idx, base, mend);
    path_of_segment(beside, "t", 0, base, SUFFIX_LOG);
    log = file_load(disk, beside);
    path_of_segment(beside, "t", 0, base, SUFFIX_META);
    meta = file_load(disk, beside);
    count = (idx.len - IDX_HEADER_BYTES) / IDX_ENTRY_BYTES;
    for (size_t i = 0; (mend & MEND_ENTRIES) && i + left < count; i++)
        if (!mend_entry(idx.bytes + IDX_HEADER_BYTES + i * IDX_ENTRY_BYTES, &log, &meta, base,
                        &log_at, &meta_at))
            break;
    free(log.bytes);
    free(meta.bytes);
    file_store(disk, path, &idx);
}

/* A .prod ends with the CRC of all before. */
static void mend_prod(struct memdisk *disk, const char *path)
{
    struct file f = file_load(disk, path);

    if (f.bytes && f.len >= 4)
        put_le32(f.bytes + f.len - 4, crc32c_extend(0, f.bytes, f.len - 4));
    file_store(disk, path, &f);
}

/* -- the journal -- */

static void mend_part(const struct journal_part *p, uint8_t *body)
{
    size_t entries = (size_t)p->entries * IDX_ENTRY_BYTES;
    const struct file log = {body + entries, p->log_bytes};
    const struct file meta = {body + entries + p->log_bytes, p->meta_bytes};
    size_t log_at = 0;
    size_t meta_at = 0;

    for (size_t i = 0; i < p->entries; i++) {
        uint8_t *entry = body + i * IDX_ENTRY_BYTES;
        struct idx_entry e = idx_entry_decode(entry);
        uint32_t crc;
        size_t log_end = e.end - (size_t)p->log_pos;
        size_t meta_end = e.meta_end - (size_t)p->meta_pos;

        if (e.end < p->log_pos || log_end < log_at || log_end > log.len ||
            e.meta_end < p->meta_pos || meta_end < meta_at || meta_end > meta.len)
            return;
        crc = crc_of(crc_of(0, &meta, meta_at, meta_end), &log, log_at, log_end);
        idx_entry_encode(entry, &e, crc, p->segment_base);
        log_at = log_end;
        meta_at = meta_end;
    }
}

static void mend_record(uint8_t *record, uint32_t length, unsigned mend)
{
    size_t left = length - JOURNAL_RECORD_BYTES;
    uint8_t *at = record + JOURNAL_RECORD_BYTES;

    while ((mend & MEND_PARTS) && left >= JOURNAL_PART_BYTES) {
        struct journal_part p;
        uint64_t part_bytes;

        journal_part_decode(at, &p);
        if ((uint64_t)p.entries * IDX_ENTRY_BYTES + p.log_bytes + p.meta_bytes >
            left - JOURNAL_PART_BYTES)
            break;
        mend_part(&p, at + JOURNAL_PART_BYTES);
        part_bytes = journal_part_length(&p);
        if (part_bytes > left)
            break; /* the last one's padding is not counted */
        at += part_bytes;
        left -= part_bytes;
    }
    put_le32(record + 36, journal_record_crc(record, length));
}

static void mend_journal(struct memdisk *disk, const char *path, unsigned mend)
{
    struct file f = file_load(disk, path);

    if (f.bytes && f.len >= JOURNAL_BLOCK && (mend & MEND_HEADERS))
        put_le32(f.bytes + 24, crc32c_extend(0, f.bytes, 24));
    for (size_t at = JOURNAL_BLOCK; (mend & MEND_RECORDS) && f.bytes && at < f.len;
         at += JOURNAL_BLOCK) {
        struct journal_record r;

        if (f.len - at >= JOURNAL_RECORD_BYTES && journal_record_decode(f.bytes + at, &r) &&
            r.length <= f.len - at)
            mend_record(f.bytes + at, r.length, mend);
    }
    file_store(disk, path, &f);
}

/* -- .clean -- */

static void mend_clean(struct memdisk *disk)
{
    struct file f = file_load(disk, ".clean");
    char line[32];
    size_t begin = f.len;

    if (f.bytes && f.len >= 16) {
        begin = f.len - 16;
        snprintf(line, sizeof line, "crc32c %08" PRIx32 "\n", crc32c_extend(0, f.bytes, begin));
        memcpy(f.bytes + begin, line, 16);
    }
    file_store(disk, ".clean", &f);
}

void image_mend(struct memdisk *disk, unsigned mend, unsigned entries_left)
{
    for (size_t i = 0; i < image_of_partition.count; i++) {
        const char *path = image_of_partition.path[i];

        if (strstr(path, ".idx") && !strstr(path, ".tmp"))
            mend_segment(disk, path, mend, entries_left);
        if (strstr(path, ".prod") && (mend & MEND_PROD))
            mend_prod(disk, path);
    }
    for (size_t i = 0; i < image_of_journal.count; i++)
        mend_journal(disk, image_of_journal.path[i], mend);
    if (mend & MEND_CLEAN)
        mend_clean(disk);
}
