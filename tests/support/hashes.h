/*
 * tests/support/hashes: a set of 64-bit hashes. Zeroed = empty.
 */
#ifndef TESTS_SUPPORT_HASHES_H
#define TESTS_SUPPORT_HASHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hashes {
    uint64_t *slots; /* 0 = free; open addressing */
    size_t count, room;
};

/* True: it was not in the set. */
bool hashes_add(struct hashes *set, uint64_t hash);
void hashes_clear(struct hashes *set); /* keeps the room */
void hashes_release(struct hashes *set);

/* A hash that goes on from `hash` with another word. */
uint64_t hash_word(uint64_t hash, uint64_t word);

#endif
