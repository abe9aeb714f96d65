/*
 * tests/tools/lookups: asks for many names that are not listed, as a poller does.
 *
 *     lookups DIR LAST STEP COUNT
 *
 * Stats DIR/0-, DIR/STEP-, DIR/2*STEP- ... up to LAST, and again from 0, COUNT
 * names in all. Says which one failed, with exit status 1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    uint64_t last = argc == 5 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t step = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
    uint64_t count = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
    uint64_t at = 0;

    if (step == 0 || last < step) {
        fprintf(stderr, "lookups DIR LAST STEP COUNT\n");
        return EXIT_FAILURE;
    }
    for (; count > 0; count--) {
        char path[4096];
        struct stat st;

        snprintf(path, sizeof path, "%s/%" PRIu64 "-", argv[1], at);
        if (stat(path, &st) < 0) {
            perror(path);
            return EXIT_FAILURE;
        }
        at = at + step > last ? 0 : at + step;
    }
    return EXIT_SUCCESS;
}
