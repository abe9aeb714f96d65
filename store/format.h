/*
 * store/format: the bytes on disk, encoded and decoded.
 *
 * The one place that knows layouts; docs/on-disk-format.md is its description.
 * Everything is little-endian, every checksum CRC-32C. Pure functions: no
 * state, no disk, any thread.
 */
#ifndef STORE_FORMAT_H
#define STORE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FORMAT_VERSION 1

/* -- .idx -- */

#define IDX_HEADER_BYTES 4096u
#define IDX_ENTRY_BYTES  16u
#define IDX_SLOT_AT(i)   ((i) ? 1024u : 512u)
#define IDX_SLOT_BYTES   20u

struct idx_header {
    uint64_t base_offset;
    uint64_t base_number;
    uint64_t base_time_ms;
    bool gap_before; /* the segment before may end below base_offset, on purpose */
};

/* A durable end that had been reached before the slot was written. */
struct idx_slot {
    uint64_t end; /* absolute offset */
    uint64_t sequence;
};

struct idx_entry {
    uint32_t end; /* position just past the message in .log */
    bool more;    /* the same set goes on in the next entry */
    uint32_t crc;
    uint32_t time_ms;  /* after the base time */
    uint32_t meta_end; /* position just past its record in .meta */
};

void idx_header_encode(uint8_t out[IDX_HEADER_BYTES], const struct idx_header *h);
/* ERR_TORN: no valid header. ERR_NEWER_FORMAT: an unknown version or flag. */
int idx_header_decode(const uint8_t in[IDX_HEADER_BYTES], struct idx_header *h) MUST_CHECK;
void idx_slot_encode(uint8_t out[IDX_SLOT_BYTES], const struct idx_slot *s, uint64_t base_offset);
bool idx_slot_decode(const uint8_t in[IDX_SLOT_BYTES], uint64_t base_offset, struct idx_slot *s);
/* The slot that counts of both: the valid one with the higher sequence, else
 * {base_offset, 0}. in: the header. */
struct idx_slot idx_slot_choose(const uint8_t in[IDX_HEADER_BYTES], uint64_t base_offset);

/* Encodes e; crc is finished from crc_begun (over .meta record and payload). */
void idx_entry_encode(uint8_t out[IDX_ENTRY_BYTES], const struct idx_entry *e, uint32_t crc_begun,
                      uint64_t base_offset);
struct idx_entry idx_entry_decode(const uint8_t in[IDX_ENTRY_BYTES]);
/* What the entry's crc must be. */
uint32_t idx_entry_crc(const uint8_t in[IDX_ENTRY_BYTES], uint32_t crc_begun, uint64_t base_offset);

/* -- journal -- */

#define JOURNAL_BLOCK        4096u
#define JOURNAL_HEADER_BYTES 28u
#define JOURNAL_RECORD_BYTES 40u
#define JOURNAL_PART_BYTES   40u

struct journal_record {
    uint32_t length; /* padding to the block not counted */
    uint64_t salt;
    uint64_t sequence;
    uint64_t from;
    uint32_t parts;
    uint32_t crc;
};

struct journal_part {
    uint32_t topic;
    uint32_t partition;
    uint64_t segment_base;
    uint32_t first_entry;
    uint32_t entries;
    uint32_t log_pos, log_bytes;
    uint32_t meta_pos, meta_bytes;
};

void journal_header_encode(uint8_t out[JOURNAL_BLOCK], const uint8_t uuid[16]);
/* ERR_TORN: not valid, or of another store. ERR_NEWER_FORMAT. */
int journal_header_decode(const uint8_t in[JOURNAL_HEADER_BYTES],
                          const uint8_t uuid[16]) MUST_CHECK;
/* Encodes the header of a record whose body follows it in out[0..length), and
 * the CRC over the whole. */
void journal_record_seal(uint8_t *out, const struct journal_record *r);
/* False: no record begins here. The CRC is not checked. */
bool journal_record_decode(const uint8_t in[JOURNAL_RECORD_BYTES], struct journal_record *r);
/* The CRC that a record of r->length bytes must have. */
uint32_t journal_record_crc(const uint8_t *in, uint32_t length);
void journal_part_encode(uint8_t out[JOURNAL_PART_BYTES], const struct journal_part *p);
void journal_part_decode(const uint8_t in[JOURNAL_PART_BYTES], struct journal_part *p);
/* Bytes of a part with its body, padded to 8. */
uint64_t journal_part_length(const struct journal_part *p);

/* -- .meta -- */

enum meta_flags {
    META_NULL_VALUE = 1,
    META_KEY = 2,
    META_HEADERS = 4,
    META_CREATE_TIME = 8,
    META_PRODUCER = 16,
    META_KNOWN = 31,
};

/* With META_PRODUCER, on the first message of a set. */
#define META_PRODUCER_BYTES 14u
struct producer; /* store/set.h */
/* The producer in a record of len bytes: 1; 0: it has none; ERR_TORN: the record
 * is too short, or has flags that are not known. */
int meta_producer_decode(const uint8_t *record, size_t len, struct producer *p) MUST_CHECK;

/* -- names -- */

/* A segment keeps the first SUFFIX_COUNT open together; the others stand beside
 * it, each written whole by who has to say something. */
enum suffix {
    SUFFIX_LOG,
    SUFFIX_IDX,
    SUFFIX_META,
    SUFFIX_COUNT,
    SUFFIX_PROD = SUFFIX_COUNT, /* state of producers at the roll */
    SUFFIX_DAMAGED,             /* damage that a repair has noted */
    SUFFIX_KNOWN,
};

#define STORE_PATH_MAX 512

#define SEGMENT_NAME_MAX 32

/* "<20 digits>.<suffix>" */
void name_of_segment_file(char out[SEGMENT_NAME_MAX], uint64_t base, enum suffix suffix);
/* "TOPIC/PARTITION/<20 digits>.<suffix>" */
void path_of_segment(char out[STORE_PATH_MAX], const char *topic, uint32_t partition, uint64_t base,
                     enum suffix suffix);
void path_of_partition(char out[STORE_PATH_MAX], const char *topic, uint32_t partition);
void path_of_sealed(char out[STORE_PATH_MAX], const char *topic, uint32_t partition, uint64_t base);

/* Takes "<20 digits>.<suffix>" apart. 0; -EINVAL: not a name of this form;
 * ERR_NEWER_FORMAT: 20 digits with a suffix that is not known. */
int parse_segment_name(const char *name, uint64_t *base, enum suffix *suffix) MUST_CHECK;

/* -- texts -- */

/* Texts of numbers (.clean, .damaged) end with a line "crc32c XXXXXXXX" over all
 * before it. */
#define CRC_LINE_BYTES 16u
bool crc_line_holds(const char *text, size_t len);
struct buf;
int crc_line_add(struct buf *text) MUST_CHECK;

/* `count` canonical decimals with single spaces between them, and nothing else. */
bool parse_decimals(const char *line, size_t len, uint64_t *out, int count);

/* A canonical decimal (no sign, no leading zero) in [0, max]. */
bool parse_decimal(const char *text, size_t len, uint64_t max, uint64_t *out);

#endif
