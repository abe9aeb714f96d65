/* base/crc32c: against CRC-32C bit by bit. */
#include <check.h>
#include <stdint.h>

#include "base/crc32c.h"
#include "tests/support/suite.h"

static uint32_t slow_crc(const uint8_t *data, size_t len)
{
    uint32_t crc = ~0u;

    while (len-- > 0) {
        crc ^= *data++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

START_TEST(crc_is_crc32c)
{
    const uint8_t nine[] = "123456789";
    uint8_t data[600];

    ck_assert_uint_eq(slow_crc(nine, 9), 0xe3069283u);
    ck_assert_uint_eq(crc32c_extend(0, nine, 9), 0xe3069283u);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t cut = 0; cut <= sizeof data; cut++)
        ck_assert_uint_eq(crc32c_extend(crc32c_extend(0, data, cut), data + cut, sizeof data - cut),
                          slow_crc(data, sizeof data));
}
END_TEST

/* Lengths from nothing to beyond what ISA-L takes, alike and not; gone on with. */
START_TEST(crc_of_three_at_once_is_that_of_each)
{
    static const size_t lengths[] = {0, 1, 7, 8, 9, 40, 255, 256, 300, 1000};
    enum { N = sizeof lengths / sizeof *lengths };
    unsigned char data[1000];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 31 + i / 7);
    for (unsigned n = 0; n < N * N * N; n++) {
        const void *const at[3] = {data, data + 3, data};
        const size_t len[3] = {lengths[n % N], lengths[n / N % N] % 997, lengths[n / N / N]};
        uint32_t crc[3] = {0, 5, 0xffffffffu};

        crc32c_extend3(crc, at, len);
        ck_assert_uint_eq(crc[0], crc32c_extend(0, at[0], len[0]));
        ck_assert_uint_eq(crc[1], crc32c_extend(5, at[1], len[1]));
        ck_assert_uint_eq(crc[2], crc32c_extend(0xffffffffu, at[2], len[2]));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crc32c");
    TCase *tc = tcase_create("crc32c");

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, crc_is_crc32c);
    tcase_add_test(tc, crc_of_three_at_once_is_that_of_each);
    return suite_run(suite);
}
