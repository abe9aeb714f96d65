/* store/format: the bytes on disk, encoded and decoded. See format.h. */
#include "store/format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/set.h"

#define IDX_MAGIC      "TFSIDX"
#define IDX_GAP_BEFORE 1u
#define IDX_CRC_AT     36u
#define JOURNAL_MAGIC  "TFSJNL"
#define JOURNAL_CRC_AT 24u
#define RECORD_MAGIC   0x52534654u /* "TFSR" */
#define RECORD_CRC_AT  36u
#define ENTRY_MORE     0x80000000u

void idx_header_encode(uint8_t out[IDX_HEADER_BYTES], const struct idx_header *h)
{
    memset(out, 0, IDX_HEADER_BYTES);
    memcpy(out, IDX_MAGIC, 6);
    put_le16(out + 6, FORMAT_VERSION);
    put_le64(out + 8, h->base_offset);
    put_le64(out + 16, h->base_number);
    put_le64(out + 24, h->base_time_ms);
    put_le32(out + 32, h->gap_before ? IDX_GAP_BEFORE : 0);
    put_le32(out + IDX_CRC_AT, crc32c_extend(0, out, IDX_CRC_AT));
}

int idx_header_decode(const uint8_t in[IDX_HEADER_BYTES], struct idx_header *h)
{
    if (memcmp(in, IDX_MAGIC, 6) != 0 ||
        get_le32(in + IDX_CRC_AT) != crc32c_extend(0, in, IDX_CRC_AT))
        return ERR_TORN;
    if (get_le16(in + 6) != FORMAT_VERSION || (get_le32(in + 32) & ~IDX_GAP_BEFORE) != 0)
        return ERR_NEWER_FORMAT;
    h->base_offset = get_le64(in + 8);
    h->base_number = get_le64(in + 16);
    h->base_time_ms = get_le64(in + 24);
    h->gap_before = (get_le32(in + 32) & IDX_GAP_BEFORE) != 0;
    return 0;
}

static uint32_t slot_crc(const uint8_t slot[16], uint64_t base_offset)
{
    uint8_t base[8];

    put_le64(base, base_offset);
    return crc32c_extend(crc32c_extend(0, slot, 16), base, sizeof base);
}

void idx_slot_encode(uint8_t out[IDX_SLOT_BYTES], const struct idx_slot *s, uint64_t base_offset)
{
    put_le64(out, s->end);
    put_le64(out + 8, s->sequence);
    put_le32(out + 16, slot_crc(out, base_offset));
}

bool idx_slot_decode(const uint8_t in[IDX_SLOT_BYTES], uint64_t base_offset, struct idx_slot *s)
{
    if (get_le32(in + 16) != slot_crc(in, base_offset) || get_le64(in) < base_offset)
        return false;
    s->end = get_le64(in);
    s->sequence = get_le64(in + 8);
    return true;
}

struct idx_slot idx_slot_choose(const uint8_t in[IDX_HEADER_BYTES], uint64_t base_offset)
{
    struct idx_slot best = {base_offset, 0};
    struct idx_slot s;

    for (int i = 0; i < 2; i++)
        if (idx_slot_decode(in + IDX_SLOT_AT(i), base_offset, &s) && s.sequence > best.sequence)
            best = s;
    return best;
}

uint32_t idx_entry_crc(const uint8_t in[IDX_ENTRY_BYTES], uint32_t crc_begun, uint64_t base_offset)
{
    uint8_t rest[20];

    put_le64(rest, base_offset);
    memcpy(rest + 8, in, 4);
    memcpy(rest + 12, in + 8, 8);
    return crc32c_extend(crc_begun, rest, sizeof rest);
}

void idx_entry_encode(uint8_t out[IDX_ENTRY_BYTES], const struct idx_entry *e, uint32_t crc_begun,
                      uint64_t base_offset)
{
    put_le32(out, e->end | (e->more ? ENTRY_MORE : 0));
    put_le32(out + 8, e->time_ms);
    put_le32(out + 12, e->meta_end);
    put_le32(out + 4, idx_entry_crc(out, crc_begun, base_offset));
}

struct idx_entry idx_entry_decode(const uint8_t in[IDX_ENTRY_BYTES])
{
    uint32_t end = get_le32(in);

    return (struct idx_entry){
        .end = end & ~ENTRY_MORE,
        .more = (end & ENTRY_MORE) != 0,
        .crc = get_le32(in + 4),
        .time_ms = get_le32(in + 8),
        .meta_end = get_le32(in + 12),
    };
}

void journal_header_encode(uint8_t out[JOURNAL_BLOCK], const uint8_t uuid[16])
{
    memset(out, 0, JOURNAL_BLOCK);
    memcpy(out, JOURNAL_MAGIC, 6);
    put_le16(out + 6, FORMAT_VERSION);
    memcpy(out + 8, uuid, 16);
    put_le32(out + JOURNAL_CRC_AT, crc32c_extend(0, out, JOURNAL_CRC_AT));
}

int journal_header_decode(const uint8_t in[JOURNAL_HEADER_BYTES], const uint8_t uuid[16])
{
    if (memcmp(in, JOURNAL_MAGIC, 6) != 0 ||
        get_le32(in + JOURNAL_CRC_AT) != crc32c_extend(0, in, JOURNAL_CRC_AT))
        return ERR_TORN;
    if (get_le16(in + 6) != FORMAT_VERSION)
        return ERR_NEWER_FORMAT;
    return memcmp(in + 8, uuid, 16) == 0 ? 0 : ERR_TORN;
}

uint32_t journal_record_crc(const uint8_t *in, uint32_t length)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c_extend(0, in, RECORD_CRC_AT);

    crc = crc32c_extend(crc, zero, sizeof zero);
    return crc32c_extend(crc, in + JOURNAL_RECORD_BYTES, length - JOURNAL_RECORD_BYTES);
}

void journal_record_seal(uint8_t *out, const struct journal_record *r)
{
    put_le32(out, RECORD_MAGIC);
    put_le32(out + 4, r->length);
    put_le64(out + 8, r->salt);
    put_le64(out + 16, r->sequence);
    put_le64(out + 24, r->from);
    put_le32(out + 32, r->parts);
    put_le32(out + RECORD_CRC_AT, journal_record_crc(out, r->length));
}

bool journal_record_decode(const uint8_t in[JOURNAL_RECORD_BYTES], struct journal_record *r)
{
    if (get_le32(in) != RECORD_MAGIC)
        return false;
    r->length = get_le32(in + 4);
    r->salt = get_le64(in + 8);
    r->sequence = get_le64(in + 16);
    r->from = get_le64(in + 24);
    r->parts = get_le32(in + 32);
    r->crc = get_le32(in + RECORD_CRC_AT);
    return r->length >= JOURNAL_RECORD_BYTES;
}

void journal_part_encode(uint8_t out[JOURNAL_PART_BYTES], const struct journal_part *p)
{
    put_le32(out, p->topic);
    put_le32(out + 4, p->partition);
    put_le64(out + 8, p->segment_base);
    put_le32(out + 16, p->first_entry);
    put_le32(out + 20, p->entries);
    put_le32(out + 24, p->log_pos);
    put_le32(out + 28, p->log_bytes);
    put_le32(out + 32, p->meta_pos);
    put_le32(out + 36, p->meta_bytes);
}

void journal_part_decode(const uint8_t in[JOURNAL_PART_BYTES], struct journal_part *p)
{
    p->topic = get_le32(in);
    p->partition = get_le32(in + 4);
    p->segment_base = get_le64(in + 8);
    p->first_entry = get_le32(in + 16);
    p->entries = get_le32(in + 20);
    p->log_pos = get_le32(in + 24);
    p->log_bytes = get_le32(in + 28);
    p->meta_pos = get_le32(in + 32);
    p->meta_bytes = get_le32(in + 36);
}

uint64_t journal_part_length(const struct journal_part *p)
{
    uint64_t bytes =
        JOURNAL_PART_BYTES + (uint64_t)p->entries * IDX_ENTRY_BYTES + p->log_bytes + p->meta_bytes;

    return (bytes + 7) & ~(uint64_t)7;
}

int meta_producer_decode(const uint8_t *record, size_t len, struct producer *p)
{
    struct cursor c = cursor_over(record, len);
    uint8_t flags = cursor_u8(&c);
    const uint8_t *bytes;

    if (c.failed || (flags & ~META_KNOWN) != 0)
        return ERR_TORN;
    if (!(flags & META_PRODUCER))
        return 0;
    if (flags & META_CREATE_TIME)
        cursor_le64(&c);
    bytes = cursor_take(&c, META_PRODUCER_BYTES);
    if (!bytes)
        return ERR_TORN;
    *p = (struct producer){
        .id = (int64_t)get_le64(bytes),
        .epoch = (int16_t)get_le16(bytes + 8),
        .sequence = (int32_t)get_le32(bytes + 10),
    };
    return p->id < 0 || p->epoch < 0 || p->sequence < 0 ? ERR_TORN : 1;
}

static const char *const suffixes[SUFFIX_KNOWN] = {".log", ".idx", ".meta", ".prod", ".damaged"};

/* A start makes several paths for each partition, and printf takes longer for
 * one than the call that it is for. These return the end of what they wrote. */
static char *add_digits(char *at, uint64_t v, int digits)
{
    for (int i = digits; i-- > 0; v /= 10)
        at[i] = (char)('0' + v % 10);
    return at + digits;
}

static char *add_number(char *at, uint32_t v)
{
    int digits = 1;

    for (uint32_t left = v / 10; left > 0; left /= 10)
        digits++;
    return add_digits(at, v, digits);
}

static char *add_text(char *at, const char *text)
{
    return mempcpy(at, text, strnlen(text, STORE_PATH_MAX / 2));
}

void name_of_segment_file(char out[SEGMENT_NAME_MAX], uint64_t base, enum suffix suffix)
{
    *add_text(add_digits(out, base, 20), suffixes[suffix]) = '\0';
}

void path_of_segment(char out[STORE_PATH_MAX], const char *topic, uint32_t partition, uint64_t base,
                     enum suffix suffix)
{
    char *at = add_text(out, topic);

    *at++ = '/';
    at = add_number(at, partition);
    *at++ = '/';
    at = add_text(add_digits(at, base, 20), suffixes[suffix]);
    *at = '\0';
}

void path_of_partition(char out[STORE_PATH_MAX], const char *topic, uint32_t partition)
{
    char *at = add_text(out, topic);

    *at++ = '/';
    *add_number(at, partition) = '\0';
}

void path_of_sealed(char out[STORE_PATH_MAX], const char *topic, uint32_t partition, uint64_t base)
{
    char *at = add_text(add_text(out, topic), "/sealed/");

    at = add_number(at, partition);
    *at++ = '-';
    *add_text(add_digits(at, base, 20), ".log") = '\0';
}

int parse_segment_name(const char *name, uint64_t *base, enum suffix *suffix)
{
    uint64_t v = 0;

    for (int i = 0; i < 20; i++) {
        uint64_t digit = (uint64_t)(unsigned char)name[i] - '0';

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return -EINVAL;
        v = v * 10 + digit;
    }
    if (v > INT64_MAX)
        return -EINVAL; /* no offset is so large, and adding to it might not end well */
    for (int i = 0; i < SUFFIX_KNOWN; i++)
        if (strcmp(name + 20, suffixes[i]) == 0) {
            *base = v;
            *suffix = (enum suffix)i;
            return 0;
        }
    return name[20] == '.' ? ERR_NEWER_FORMAT : -EINVAL;
}

bool parse_decimal(const char *text, size_t len, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (len == 0 || len > 20 || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

bool parse_decimals(const char *line, size_t len, uint64_t *out, int count)
{
    for (int i = 0; i < count; i++) {
        const char *space = memchr(line, ' ', len);
        size_t n = space ? (size_t)(space - line) : len;

        if ((i == count - 1) != !space || !parse_decimal(line, n, UINT64_MAX, &out[i]))
            return false;
        line += n + 1;
        len -= space ? n + 1 : n;
    }
    return true;
}

/* -- texts -- */

bool crc_line_holds(const char *text, size_t len)
{
    char want[CRC_LINE_BYTES + 1];

    if (len < CRC_LINE_BYTES)
        return false;
    snprintf(want, sizeof want, "crc32c %08" PRIx32 "\n",
             crc32c_extend(0, text, len - CRC_LINE_BYTES));
    return memcmp(text + len - CRC_LINE_BYTES, want, CRC_LINE_BYTES) == 0;
}

int crc_line_add(struct buf *text)
{
    return buf_printf(text, "crc32c %08" PRIx32 "\n", crc32c_extend(0, text->data, text->len));
}
