/*
 * base/crc32c: ISA-L's CRC behind our names. See crc32c.h.
 *
 * ISA-L's is made for long buffers; messages and index entries are short. Up to
 * SHORT_BYTES the processor's own instruction in a plain loop takes less: 6 ns
 * against 13 for 20 bytes, 22 against 32 for 200, 43 against 24 for 400.
 */
#include "base/crc32c.h"

#include <isa-l/crc.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>

#define SHORT_BYTES 256

/* The state is the inverted CRC, as in crc32_iscsi(). */
__attribute__((target("sse4.2"))) static uint32_t extend_short(uint32_t state, const void *data,
                                                               size_t len)
{
    const unsigned char *at = data;
    uint64_t wide = state;

    for (; len >= sizeof wide; len -= sizeof wide, at += sizeof wide) {
        uint64_t word;

        memcpy(&word, at, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    state = (uint32_t)wide;
    for (; len > 0; len--)
        state = _mm_crc32_u8(state, *at++);
    return state;
}

static int is_short(size_t len)
{
    return len <= SHORT_BYTES && __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t extend_short(uint32_t state, const void *data, size_t len)
{
    (void)data;
    (void)len;
    return state;
}

static int is_short(size_t len)
{
    return len == 0;
}
#endif

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t len)
{
    /* ISA-L takes an int for the length and leaves both inversions to us. */
    unsigned char *at = (unsigned char *)(uintptr_t)data;

    crc = ~crc;
    if (is_short(len))
        return ~extend_short(crc, data, len);
    while (len > 0) {
        int piece = len > (1 << 30) ? 1 << 30 : (int)len;

        crc = crc32_iscsi(at, piece, crc);
        at += piece;
        len -= (size_t)piece;
    }
    return ~crc;
}
