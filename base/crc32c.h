/*
 * base/crc32c: CRC-32C (Castagnoli), the checksum of every format here.
 *
 * ISA-L does the work (SSE4.2 and PCLMULQDQ where the machine has them).
 * crc32c_extend(crc32c_extend(0, a), b) is the CRC of a followed by b; the
 * CRC of "123456789" is 0xe3069283.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t len);

#endif
