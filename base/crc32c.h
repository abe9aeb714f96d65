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

/* Three at once, each as crc[i] = crc32c_extend(crc[i], data[i], len[i]): of
 * short messages in about the time of one, where their lengths are alike. */
void crc32c_extend3(uint32_t crc[3], const void *const data[3], const size_t len[3]);

#endif
