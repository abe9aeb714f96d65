/*
 * tests/bench/recover: how fast a store comes back after its process was
 * killed with much that was not flushed (flush.sync=os).
 *
 *     recover DIR MEGABYTES
 *
 * Prints gigabytes of messages a second, from the beginning of the open to its
 * end: every message verified, written again, fsynced. Then the same a second
 * of processor time: what is left of it on a disk that does not hold it up.
 * All of it is in one segment, as nothing else can be left unflushed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/support/measure.h"

#define PER_SET 5000u

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    struct bench_store b;
    struct set set;
    char *lines = make_lines(PER_SET);
    size_t sets, taken;
    uint64_t offset, begin;
    double gigabytes, cpu_begin, cpu;
    int rc = 0;

    if (argc != 3)
        die("recover DIR MEGABYTES", -EINVAL);
    sets = strtoul(argv[2], NULL, 10) * 1000000 / (PER_SET * LINE_BYTES);
    bench_store_make(&b, argv[1], "flush.sync=os\nsegment.bytes=2147483647\n");
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
    gigabytes = (double)(sets * PER_SET * LINE_BYTES) / 1e9;
    begin = now_ns();
    cpu_begin = cpu_seconds();
    bench_store_open(&b, argv[1]);
    cpu = cpu_seconds() - cpu_begin;
    printf("%.3g %.3g\n", gigabytes / ((double)(now_ns() - begin) / 1e9), gigabytes / cpu);
    bench_store_end(&b);
    return EXIT_SUCCESS;
}
