/*
 * tests/cuts: the store on real disks whose power is cut. See cuts.h.
 *
 *   cuts power ext4|xfs [SEED [CYCLES]]
 *
 * Works in the current directory. tests/cuts/cuts.sh runs it and cleans up.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cuts/cuts.h"

int main(int argc, char **argv)
{
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    unsigned cycles = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 500;

    if (argc > 2 && strcmp(argv[1], "power") == 0)
        return power_main(argv[2], seed ? seed : (uint64_t)time(NULL), cycles);
    fprintf(stderr, "cuts power ext4|xfs [SEED [CYCLES]]\n");
    return 2;
}
