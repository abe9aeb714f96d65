/* store/format: the bytes on disk against docs/on-disk-format.md. What they
 * must be is written down here byte by byte, with a CRC of the test's own. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "store/format.h"
#include "tests/support/suite.h"

/* CRC-32C bit by bit, over what was added so far. */
static uint32_t slow_crc(uint32_t crc, const uint8_t *data, size_t len)
{
    crc = ~crc;
    while (len-- > 0) {
        crc ^= *data++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* Writes v little-endian at *at and moves it on. */
static void add(uint8_t **at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++, v >>= 8)
        *(*at)++ = (uint8_t)v;
}

/* -- .idx header -- */

static const struct idx_header some_header = {
    .base_offset = 0x1122334455667788u,
    .base_number = 0x99aabbccddeeff01u,
    .base_time_ms = 0x0000018bcfe56800u,
};

/* The first 40 bytes as the format says, with this version and these flags. */
static void golden_header(uint8_t out[IDX_HEADER_BYTES], uint16_t version, uint32_t flags)
{
    uint8_t *at = out;

    memset(out, 0, IDX_HEADER_BYTES);
    memcpy(at, "TFSIDX", 6);
    at += 6;
    add(&at, version, 2);
    add(&at, some_header.base_offset, 8);
    add(&at, some_header.base_number, 8);
    add(&at, some_header.base_time_ms, 8);
    add(&at, flags, 4);
    add(&at, slow_crc(0, out, 36), 4);
    ck_assert_int_eq(at - out, 40);
}

START_TEST(header_is_byte_for_byte_as_the_format_says)
{
    struct idx_header header = some_header;
    uint8_t want[IDX_HEADER_BYTES];
    uint8_t got[IDX_HEADER_BYTES];
    struct idx_header h;

    header.gap_before = _i;
    golden_header(want, 1, (uint32_t)_i);
    memset(got, 0xff, sizeof got);
    idx_header_encode(got, &header);
    ck_assert_mem_eq(got, want, sizeof want);
    ck_assert_int_eq(idx_header_decode(want, &h), 0);
    idx_header_encode(got, &h); /* each field is as it was */
    ck_assert_mem_eq(got, want, sizeof want);
}
END_TEST

START_TEST(header_with_any_flipped_byte_is_refused)
{
    uint8_t bytes[IDX_HEADER_BYTES];
    struct idx_header h = {1, 2, 3, false};

    for (size_t i = 0; i < 40; i++)
        for (int bit = 0; bit < 8; bit++) {
            golden_header(bytes, 1, 0);
            bytes[i] ^= (uint8_t)(1 << bit);
            ck_assert_int_eq(idx_header_decode(bytes, &h), ERR_TORN);
        }
    ck_assert_uint_eq(h.base_offset, 1); /* untouched on failure */
    ck_assert_uint_eq(h.base_time_ms, 3);
    memset(bytes, 0, sizeof bytes);
    ck_assert_int_eq(idx_header_decode(bytes, &h), ERR_TORN);
}
END_TEST

START_TEST(header_of_a_newer_version_is_told_from_a_torn_one)
{
    const uint16_t versions[] = {0, 2, 3, 256, 65535};
    uint8_t bytes[IDX_HEADER_BYTES];
    struct idx_header h;

    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        golden_header(bytes, versions[i], 0);
        ck_assert_int_eq(idx_header_decode(bytes, &h), ERR_NEWER_FORMAT);
    }
}
END_TEST

START_TEST(header_with_an_unknown_flag_is_a_newer_one)
{
    uint8_t bytes[IDX_HEADER_BYTES];
    struct idx_header h;

    for (int bit = 1; bit < 32; bit++) {
        golden_header(bytes, 1, 1u << bit);
        ck_assert_int_eq(idx_header_decode(bytes, &h), ERR_NEWER_FORMAT);
    }
}
END_TEST

/* -- durable slots -- */

static void golden_slot(uint8_t out[IDX_SLOT_BYTES], uint64_t end, uint64_t sequence, uint64_t base)
{
    uint8_t over[24];
    uint8_t *at = over;

    add(&at, end, 8);
    add(&at, sequence, 8);
    add(&at, base, 8);
    memcpy(out, over, 16);
    at = out + 16;
    add(&at, slow_crc(0, over, sizeof over), 4);
}

START_TEST(slot_is_byte_for_byte_as_the_format_says)
{
    const struct idx_slot slot = {0x0102030405060708u, 0x1112131415161718u};
    uint8_t want[IDX_SLOT_BYTES];
    uint8_t got[IDX_SLOT_BYTES];
    struct idx_slot back;

    golden_slot(want, slot.end, slot.sequence, 0x100);
    idx_slot_encode(got, &slot, 0x100);
    ck_assert_mem_eq(got, want, sizeof want);
    ck_assert(idx_slot_decode(want, 0x100, &back));
    ck_assert_uint_eq(back.end, slot.end);
    ck_assert_uint_eq(back.sequence, slot.sequence);
    ck_assert_uint_eq(IDX_SLOT_AT(0), 512);
    ck_assert_uint_eq(IDX_SLOT_AT(1), 1024);
}
END_TEST

START_TEST(slot_with_any_flipped_byte_or_another_base_does_not_count)
{
    uint8_t bytes[IDX_SLOT_BYTES];
    struct idx_slot slot;

    for (size_t i = 0; i < sizeof bytes; i++) {
        golden_slot(bytes, 5000, 7, 4000);
        bytes[i] ^= 0x10;
        ck_assert(!idx_slot_decode(bytes, 4000, &slot));
    }
    golden_slot(bytes, 5000, 7, 4000);
    ck_assert(!idx_slot_decode(bytes, 4001, &slot));
    golden_slot(bytes, 3999, 7, 4000); /* an end below the segment */
    ck_assert(!idx_slot_decode(bytes, 4000, &slot));
    memset(bytes, 0, sizeof bytes);
    ck_assert(!idx_slot_decode(bytes, 4000, &slot));
}
END_TEST

/* Each of two slots: absent, or with this sequence; which end counts. */
static const struct {
    uint64_t first, second; /* sequences; 0 = not valid */
    uint64_t end;
} choices[] = {
    {0, 0, 1000}, {1, 0, 1100}, {0, 1, 1200}, {1, 2, 1200}, {3, 2, 1100}, {2, UINT64_MAX, 1200},
};

START_TEST(slot_with_the_higher_sequence_counts)
{
    uint8_t header[IDX_HEADER_BYTES] = {0};

    if (choices[_i].first)
        golden_slot(header + 512, 1100, choices[_i].first, 1000);
    if (choices[_i].second)
        golden_slot(header + 1024, 1200, choices[_i].second, 1000);
    ck_assert_uint_eq(idx_slot_choose(header, 1000).end, choices[_i].end);
}
END_TEST

/* -- entries -- */

#define BASE 0x0000000123456789u

/* Of a message "value\n" with the .meta record `meta`. */
static void golden_entry(uint8_t out[16], const struct idx_entry *e, const char *meta,
                         const char *log)
{
    uint8_t rest[20];
    uint8_t *at = rest;
    uint32_t crc = slow_crc(0, (const uint8_t *)meta, strlen(meta));

    crc = slow_crc(crc, (const uint8_t *)log, strlen(log));
    add(&at, BASE, 8);
    add(&at, e->end | (e->more ? 0x80000000u : 0), 4);
    add(&at, e->time_ms, 4);
    add(&at, e->meta_end, 4);
    crc = slow_crc(crc, rest, sizeof rest);
    memcpy(out, rest + 8, 4);
    at = out + 4;
    add(&at, crc, 4);
    add(&at, e->time_ms, 4);
    add(&at, e->meta_end, 4);
}

static uint32_t crc_begun(const char *meta, const char *log)
{
    return crc32c_extend(crc32c_extend(0, meta, strlen(meta)), log, strlen(log));
}

START_TEST(entry_is_byte_for_byte_as_the_format_says)
{
    struct idx_entry e = {.end = 0x7fffff01, .time_ms = 0xfedcba98, .meta_end = 0x01020304};
    uint8_t want[16];
    uint8_t got[16];

    for (int more = 0; more < 2; more++) {
        struct idx_entry back;

        e.more = more;
        golden_entry(want, &e, "\2\3key", "value\n");
        idx_entry_encode(got, &e, crc_begun("\2\3key", "value\n"), BASE);
        ck_assert_mem_eq(got, want, sizeof want);
        ck_assert_int_eq(got[3] >> 7, more);
        back = idx_entry_decode(want);
        ck_assert_uint_eq(back.end, e.end);
        ck_assert_int_eq(back.more, more);
        ck_assert_uint_eq(back.time_ms, e.time_ms);
        ck_assert_uint_eq(back.meta_end, e.meta_end);
        ck_assert_uint_eq(back.crc, idx_entry_crc(want, crc_begun("\2\3key", "value\n"), BASE));
    }
}
END_TEST

static bool entry_agrees(const uint8_t bytes[16], const char *meta, const char *log, uint64_t base)
{
    return idx_entry_decode(bytes).crc == idx_entry_crc(bytes, crc_begun(meta, log), base);
}

START_TEST(entry_with_any_flipped_bit_in_it_or_its_message_disagrees)
{
    const struct idx_entry e = {.end = 6, .time_ms = 77, .meta_end = 5};
    uint8_t bytes[16];
    char log[] = "value\n";
    char meta[] = "\2\3key";

    golden_entry(bytes, &e, meta, log);
    ck_assert(entry_agrees(bytes, meta, log, BASE));
    for (int bit = 0; bit < 128; bit++) {
        golden_entry(bytes, &e, meta, log);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert(!entry_agrees(bytes, meta, log, BASE));
    }
    golden_entry(bytes, &e, meta, log);
    for (int bit = 0; bit < 48; bit++) {
        log[bit / 8] ^= (char)(1 << bit % 8);
        ck_assert(!entry_agrees(bytes, meta, log, BASE));
        log[bit / 8] ^= (char)(1 << bit % 8);
    }
    meta[2] ^= 1;
    ck_assert(!entry_agrees(bytes, meta, log, BASE));
    meta[2] ^= 1;
    ck_assert(!entry_agrees(bytes, meta, log, BASE + 1)); /* of another segment */
}
END_TEST

/* -- journal -- */

static const uint8_t uuid[16] = {0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void golden_journal(uint8_t out[JOURNAL_BLOCK], uint16_t version)
{
    uint8_t *at = out;

    memset(out, 0, JOURNAL_BLOCK);
    memcpy(at, "TFSJNL", 6);
    at += 6;
    add(&at, version, 2);
    memcpy(at, uuid, 16);
    at += 16;
    add(&at, slow_crc(0, out, 24), 4);
}

START_TEST(journal_header_is_byte_for_byte_as_the_format_says)
{
    uint8_t want[JOURNAL_BLOCK];
    uint8_t got[JOURNAL_BLOCK];

    golden_journal(want, 1);
    memset(got, 0xff, sizeof got);
    journal_header_encode(got, uuid);
    ck_assert_mem_eq(got, want, sizeof want);
    ck_assert_int_eq(journal_header_decode(want, uuid), 0);
}
END_TEST

START_TEST(journal_header_flipped_newer_or_of_another_store)
{
    uint8_t bytes[JOURNAL_BLOCK];
    uint8_t other[16];

    for (size_t i = 0; i < 28; i++) {
        golden_journal(bytes, 1);
        bytes[i] ^= 1;
        ck_assert_int_eq(journal_header_decode(bytes, uuid), ERR_TORN);
    }
    golden_journal(bytes, 2);
    ck_assert_int_eq(journal_header_decode(bytes, uuid), ERR_NEWER_FORMAT);
    memcpy(other, uuid, sizeof other);
    other[15] ^= 1;
    ck_assert_int_eq(journal_header_decode(bytes, other), ERR_NEWER_FORMAT);
    golden_journal(bytes, 1);
    ck_assert_int_eq(journal_header_decode(bytes, other), ERR_TORN);
}
END_TEST

static const struct journal_record some_record = {.length = 40 + 48,
                                                  .salt = 0x8877665544332211u,
                                                  .sequence = 0x0102030405060708u,
                                                  .from = 0x0102030405060701u,
                                                  .parts = 1};

/* A record of 88 bytes; its body counts up. */
static void golden_record(uint8_t out[88])
{
    uint8_t *at = out;

    memcpy(at, "TFSR", 4);
    at += 4;
    add(&at, some_record.length, 4);
    add(&at, some_record.salt, 8);
    add(&at, some_record.sequence, 8);
    add(&at, some_record.from, 8);
    add(&at, some_record.parts, 4);
    add(&at, 0, 4);
    for (uint8_t i = 0; i < 48; i++)
        *at++ = (uint8_t)(i + 1);
    at = out + 36;
    add(&at, slow_crc(0, out, 88), 4);
}

START_TEST(journal_record_is_byte_for_byte_as_the_format_says)
{
    uint8_t want[88];
    uint8_t got[88];
    struct journal_record back;

    golden_record(want);
    memset(got, 0xff, 40);
    memcpy(got + 40, want + 40, 48);
    journal_record_seal(got, &some_record);
    ck_assert_mem_eq(got, want, sizeof want);
    ck_assert(journal_record_decode(want, &back));
    ck_assert_uint_eq(back.length, some_record.length);
    ck_assert_uint_eq(back.salt, some_record.salt);
    ck_assert_uint_eq(back.sequence, some_record.sequence);
    ck_assert_uint_eq(back.from, some_record.from);
    ck_assert_uint_eq(back.parts, some_record.parts);
    ck_assert_uint_eq(back.crc, journal_record_crc(want, 88));
}
END_TEST

START_TEST(journal_record_with_any_flipped_bit_is_refused)
{
    uint8_t bytes[256] = {0};

    for (int bit = 0; bit < 88 * 8; bit++) {
        struct journal_record r;

        golden_record(bytes);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        /* A length beyond the buffer is its reader's to refuse. */
        if (journal_record_decode(bytes, &r) && r.length <= sizeof bytes)
            ck_assert_uint_ne(journal_record_crc(bytes, r.length), r.crc);
    }
}
END_TEST

START_TEST(journal_record_shorter_than_its_header_is_none)
{
    uint8_t bytes[88];
    struct journal_record r;

    for (uint8_t length = 0; length < 40; length++) {
        golden_record(bytes);
        bytes[4] = length;
        ck_assert(!journal_record_decode(bytes, &r));
    }
}
END_TEST

START_TEST(journal_part_is_byte_for_byte_as_the_format_says)
{
    const struct journal_part p = {0x01020304, 0x05060708, 0x1112131415161718u,
                                   0x21222324, 0x31323334, 0x41424344,
                                   0x51525354, 0x61626364, 0x71727374};
    uint8_t want[40];
    uint8_t got[40];
    uint8_t *at = want;
    struct journal_part back;

    add(&at, p.topic, 4);
    add(&at, p.partition, 4);
    add(&at, p.segment_base, 8);
    add(&at, p.first_entry, 4);
    add(&at, p.entries, 4);
    add(&at, p.log_pos, 4);
    add(&at, p.log_bytes, 4);
    add(&at, p.meta_pos, 4);
    add(&at, p.meta_bytes, 4);
    journal_part_encode(got, &p);
    ck_assert_mem_eq(got, want, sizeof want);
    journal_part_decode(want, &back);
    ck_assert_mem_eq(&back, &p, sizeof p);
}
END_TEST

START_TEST(journal_part_length_is_that_of_its_body_to_the_next_8)
{
    struct journal_part p = {.entries = 1, .log_bytes = 1};

    ck_assert_uint_eq(journal_part_length(&p), 64);
    p.log_bytes = 8;
    ck_assert_uint_eq(journal_part_length(&p), 64);
    p.meta_bytes = 1;
    ck_assert_uint_eq(journal_part_length(&p), 72);
    p = (struct journal_part){
        .entries = UINT32_MAX, .log_bytes = UINT32_MAX, .meta_bytes = UINT32_MAX};
    ck_assert_uint_eq(journal_part_length(&p), (40 + (uint64_t)UINT32_MAX * 18 + 7) / 8 * 8);
}
END_TEST

/* -- names -- */

START_TEST(paths_of_files)
{
    char path[STORE_PATH_MAX];

    path_of_segment(path, "clicks", 7, 0, SUFFIX_LOG);
    ck_assert_str_eq(path, "clicks/7/00000000000000000000.log");
    path_of_segment(path, "clicks", 99999, UINT64_MAX, SUFFIX_META);
    ck_assert_str_eq(path, "clicks/99999/18446744073709551615.meta");
    path_of_partition(path, "clicks", 0);
    ck_assert_str_eq(path, "clicks/0");
    path_of_sealed(path, "clicks", 3, 4096);
    ck_assert_str_eq(path, "clicks/sealed/3-00000000000000004096.log");
}
END_TEST

static const struct {
    const char *name;
    int rc;
    uint64_t base;
    enum suffix suffix;
} names[] = {
    {"00000000000000000000.log", 0, 0, SUFFIX_LOG},
    {"00000000000000000000.idx", 0, 0, SUFFIX_IDX},
    {"00000000000000004096.meta", 0, 4096, SUFFIX_META},
    {"00000000000000004096.prod", 0, 4096, SUFFIX_PROD},
    {"00000000000000004096.damaged", 0, 4096, SUFFIX_DAMAGED},
    {"09223372036854775807.log", 0, INT64_MAX, SUFFIX_LOG},
    {"09223372036854775808.log", -EINVAL, 0, 0}, /* no offset is so large */
    {"18446744073709551615.log", -EINVAL, 0, 0},
    {"18446744073709551616.log", -EINVAL, 0, 0},
    {"99999999999999999999.log", -EINVAL, 0, 0},
    {"0000000000000000000.log", -EINVAL, 0, 0},
    {"000000000000000000000.log", -EINVAL, 0, 0},
    {"00000000000000000000", -EINVAL, 0, 0},
    {"0000000000000000000x.log", -EINVAL, 0, 0},
    {"lost+found", -EINVAL, 0, 0},
    {"", -EINVAL, 0, 0},
    {"00000000000000000000.", ERR_NEWER_FORMAT, 0, 0},
    {"00000000000000000000.log2", ERR_NEWER_FORMAT, 0, 0},
    {"00000000000000000000.LOG", ERR_NEWER_FORMAT, 0, 0},
    {"00000000000000000000.timeindex", ERR_NEWER_FORMAT, 0, 0},
    {"00000000000000000000-log", -EINVAL, 0, 0},
};

START_TEST(name_of_a_file_taken_apart)
{
    enum suffix suffix = SUFFIX_KNOWN;
    uint64_t base = 5;

    ck_assert_int_eq(parse_segment_name(names[_i].name, &base, &suffix), names[_i].rc);
    ck_assert_uint_eq(base, names[_i].rc == 0 ? names[_i].base : 5);
    ck_assert_int_eq(suffix, names[_i].rc == 0 ? names[_i].suffix : SUFFIX_KNOWN);
}
END_TEST

static const struct {
    const char *text;
    uint64_t max;
    bool ok;
    uint64_t value;
} decimals[] = {
    {"0", 10, true, 0},
    {"10", 10, true, 10},
    {"11", 10, false, 0},
    {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
    {"18446744073709551616", UINT64_MAX, false, 0},
    {"184467440737095516150", UINT64_MAX, false, 0},
    {"", 10, false, 0},
    {"00", 10, false, 0},
    {"01", 10, false, 0},
    {"-1", 10, false, 0},
    {"+1", 10, false, 0},
    {" 1", 10, false, 0},
    {"1 ", 10, false, 0},
    {"1a", 10, false, 0},
    {"0x1", 10, false, 0},
};

START_TEST(decimal_in_its_one_form_only)
{
    uint64_t v = 77;

    ck_assert_int_eq(
        parse_decimal(decimals[_i].text, strlen(decimals[_i].text), decimals[_i].max, &v),
        decimals[_i].ok);
    ck_assert_uint_eq(v, decimals[_i].ok ? decimals[_i].value : 77);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *tc = tcase_create("format");

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, header_is_byte_for_byte_as_the_format_says, 0, 2);
    tcase_add_test(tc, header_with_any_flipped_byte_is_refused);
    tcase_add_test(tc, header_of_a_newer_version_is_told_from_a_torn_one);
    tcase_add_test(tc, header_with_an_unknown_flag_is_a_newer_one);
    tcase_add_test(tc, slot_is_byte_for_byte_as_the_format_says);
    tcase_add_test(tc, slot_with_any_flipped_byte_or_another_base_does_not_count);
    tcase_add_loop_test(tc, slot_with_the_higher_sequence_counts, 0, COUNT(choices));
    tcase_add_test(tc, entry_is_byte_for_byte_as_the_format_says);
    tcase_add_test(tc, entry_with_any_flipped_bit_in_it_or_its_message_disagrees);
    tcase_add_test(tc, journal_header_is_byte_for_byte_as_the_format_says);
    tcase_add_test(tc, journal_header_flipped_newer_or_of_another_store);
    tcase_add_test(tc, journal_record_is_byte_for_byte_as_the_format_says);
    tcase_add_test(tc, journal_record_with_any_flipped_bit_is_refused);
    tcase_add_test(tc, journal_record_shorter_than_its_header_is_none);
    tcase_add_test(tc, journal_part_is_byte_for_byte_as_the_format_says);
    tcase_add_test(tc, journal_part_length_is_that_of_its_body_to_the_next_8);
    tcase_add_test(tc, paths_of_files);
    tcase_add_loop_test(tc, name_of_a_file_taken_apart, 0, COUNT(names));
    tcase_add_loop_test(tc, decimal_in_its_one_form_only, 0, COUNT(decimals));
    return suite_run(suite);
}
