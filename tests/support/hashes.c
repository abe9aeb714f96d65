/* tests/support/hashes: see hashes.h. */
#include "tests/support/hashes.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/memtree.h"

uint64_t hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static bool put(struct hashes *set, uint64_t hash)
{
    size_t i = hash & (set->room - 1);

    while (set->slots[i] && set->slots[i] != hash)
        i = (i + 1) & (set->room - 1);
    if (set->slots[i])
        return false;
    set->slots[i] = hash;
    set->count++;
    return true;
}

bool hashes_add(struct hashes *set, uint64_t hash)
{
    if (set->count * 2 >= set->room) {
        struct hashes more = {.room = set->room ? set->room * 4 : 64};

        more.slots = mem_alloc(more.room * sizeof *more.slots);
        for (size_t i = 0; i < set->room; i++)
            if (set->slots[i])
                put(&more, set->slots[i]);
        free(set->slots);
        *set = more;
    }
    return put(set, hash ? hash : 1);
}

void hashes_clear(struct hashes *set)
{
    if (set->count > 0)
        memset(set->slots, 0, set->room * sizeof *set->slots);
    set->count = 0;
}

void hashes_release(struct hashes *set)
{
    free(set->slots);
    *set = (struct hashes){0};
}
