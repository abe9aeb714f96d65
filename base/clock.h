/*
 * base/clock: the time, with the unit in the name.
 *
 * Wall time may step in both directions; intervals and deadlines use the
 * monotonic clock. Safe from any thread.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_wall_ms(void);
uint64_t clock_mono_us(void);

#endif
