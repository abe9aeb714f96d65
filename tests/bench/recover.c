/*
 * tests/bench/recover: how fast a store comes back after its process was
 * killed with much that was not flushed (flush.sync=os).
 *
 *     recover DIR MEGABYTES
 *
 * Prints gigabytes of messages a second, from the beginning of the open to its
 * end: every message verified, written again, fsynced.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/measure.h"

#define PER_SET 5000u

int main(int argc, char **argv)
{
    struct bench_store b;
    struct set set;
    char *lines = make_lines(PER_SET);
    size_t sets, taken;
    uint64_t offset, begin;
    int rc = 0;

    if (argc != 3)
        die("recover DIR MEGABYTES", -EINVAL);
    sets = strtoul(argv[2], NULL, 10) * 1000000 / (PER_SET * LINE_BYTES);
    bench_store_make(&b, argv[1], "flush.sync=os\n");
    set_init(&set);
    for (size_t i = 0; i < sets && rc == 0; i++) {
        set_clear(&set);
        rc = set_add_lines(&set, lines, PER_SET * LINE_BYTES, &taken);
        if (rc == 0)
            rc = partition_append(topic_partition(b.topic, 0), &set, &offset, NULL);
    }
    if (rc < 0)
        die("append", rc);
    set_release(&set);
    free(lines);
    topic_put(b.topic);
    store_abandon(b.store);
    fileio_release(b.io);
    begin = now_ns();
    bench_store_open(&b, argv[1]);
    printf("%.3g\n",
           (double)(sets * PER_SET * LINE_BYTES) / 1e9 / ((double)(now_ns() - begin) / 1e9));
    bench_store_end(&b);
    return EXIT_SUCCESS;
}
