/*
 * tests/cuts: the store on real disks whose power is cut. See cuts.h.
 *
 *   cuts power ext4|xfs [SEED [CYCLES]]              load and power cuts
 *   cuts model ext4|xfs [SEED [POINTS [HISTORY]]]    the crash model; POINTS of each history, 0 = all
 *   cuts script STORE RECORD                         a run to be killed
 *   cuts judge STORE RECORD                          the start after that
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
    unsigned count = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 500;

    if (seed == 0)
        seed = (uint64_t)time(NULL);
    if (argc > 3 && strcmp(argv[1], "script") == 0)
        return script_main(argv[2], argv[3]);
    if (argc > 3 && strcmp(argv[1], "judge") == 0)
        return script_judge(argv[2], argv[3]);
    if (argc > 2 && strcmp(argv[1], "power") == 0)
        return power_main(argv[2], seed, count);
    if (argc > 2 && strcmp(argv[1], "model") == 0)
        return model_main(argv[2], argc > 5 ? argv[5] : NULL, seed, argc > 4 ? count : 0);
    fprintf(stderr, "cuts power|model ext4|xfs [SEED [COUNT [HISTORY]]]; cuts script|judge "
                    "STORE RECORD\n");
    return 2;
}
