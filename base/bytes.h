/*
 * base/bytes: little-endian integers, uvarints and a reading cursor.
 *
 * Formats on disk are built and taken apart with these, never by writing a C
 * struct. A cursor's first failure sticks: read everything, then look at
 * `failed` once. Nothing here allocates or keeps state.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void put_le16(void *to, uint16_t v)
{
    v = htole16(v);
    memcpy(to, &v, sizeof v);
}

static inline void put_le32(void *to, uint32_t v)
{
    v = htole32(v);
    memcpy(to, &v, sizeof v);
}

static inline void put_le64(void *to, uint64_t v)
{
    v = htole64(v);
    memcpy(to, &v, sizeof v);
}

static inline uint16_t get_le16(const void *from)
{
    uint16_t v;

    memcpy(&v, from, sizeof v);
    return le16toh(v);
}

static inline uint32_t get_le32(const void *from)
{
    uint32_t v;

    memcpy(&v, from, sizeof v);
    return le32toh(v);
}

static inline uint64_t get_le64(const void *from)
{
    uint64_t v;

    memcpy(&v, from, sizeof v);
    return le64toh(v);
}

/* LEB128 of a u32: writes at most 5 bytes, returns how many. */
static inline size_t put_uvarint(uint8_t *to, uint32_t v)
{
    size_t n = 0;

    while (v >= 0x80) {
        to[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    to[n++] = (uint8_t)v;
    return n;
}

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct cursor cursor_over(const void *data, size_t len)
{
    const uint8_t *p = data;

    return (struct cursor){p, p + len, false};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return c->failed ? 0 : (size_t)(c->end - c->at);
}

/* The next len bytes, or NULL (and failed) where there are fewer. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t len)
{
    const uint8_t *p = c->at;

    if (c->failed || (size_t)(c->end - c->at) < len) {
        c->failed = true;
        return NULL;
    }
    c->at += len;
    return p;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 1);

    return p ? *p : 0;
}

static inline uint16_t cursor_le16(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 2);

    return p ? get_le16(p) : 0;
}

static inline uint32_t cursor_le32(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 4);

    return p ? get_le32(p) : 0;
}

static inline uint64_t cursor_le64(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 8);

    return p ? get_le64(p) : 0;
}

/* LEB128, at most 5 bytes and 32 bits; anything else fails the cursor. */
static inline uint32_t cursor_uvarint(struct cursor *c)
{
    uint32_t v = 0;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t b = cursor_u8(c);

        if (shift == 28 && b > 0x0f)
            break;
        v |= (uint32_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return c->failed ? 0 : v;
    }
    c->failed = true;
    return 0;
}

#endif
