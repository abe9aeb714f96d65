/*
 * tests/fuzz/fuzz: what every fuzz target is made of.
 *
 * A target is a file fuzz_WHAT.c. Its one function takes any bytes, does with
 * them what the program would, and says with FUZZ_CHECK() what must hold.
 * It is built twice: with libFuzzer, which looks for bytes that break it
 * (VARIANT=fuzz, scripts/fuzz), and with replay.c, which runs over the corpus
 * that is committed: an ordinary test.
 *
 * Targets keep nothing from one input to the next but what fuzz_begin() made.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer's names: its two, and the target gives them. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says where and why, and ends the process as a crash does. */
__attribute__((format(printf, 3, 4), noreturn)) void fuzz_failed(const char *file, int line,
                                                                 const char *fmt, ...);

#define FUZZ_CHECK(holds, ...) ((holds) ? (void)0 : fuzz_failed(__FILE__, __LINE__, __VA_ARGS__))

#endif
