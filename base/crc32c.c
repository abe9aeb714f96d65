/* base/crc32c: ISA-L's CRC behind our names. See crc32c.h. */
#include "base/crc32c.h"

#include <isa-l/crc.h>

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t len)
{
    /* ISA-L takes an int for the length and leaves both inversions to us. */
    unsigned char *at = (unsigned char *)(uintptr_t)data;

    crc = ~crc;
    while (len > 0) {
        int piece = len > (1 << 30) ? 1 << 30 : (int)len;

        crc = crc32_iscsi(at, piece, crc);
        at += piece;
        len -= (size_t)piece;
    }
    return ~crc;
}
