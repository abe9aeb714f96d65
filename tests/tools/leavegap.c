/*
 * tests/tools/leavegap: leaves a gap in a store that nobody uses.
 *
 *     leavegap STORE TOPIC PARTITION OFFSET NUMBER
 *
 * The next message of the partition gets that offset and that number. Exit status
 * 1, with a sentence, where partition_skip_to() or the clean stop refuses.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fileio.h"
#include "store/store.h"

static int leave_gap(struct store *store, char **arg, struct err *err)
{
    struct topic *topic = store_topic_find(store, arg[0]);
    struct partition *part =
        topic ? topic_partition(topic, (uint32_t)strtoul(arg[1], NULL, 10)) : NULL;
    int rc =
        part ? partition_skip_to(part, strtoull(arg[2], NULL, 10), strtoull(arg[3], NULL, 10), err)
             : err_set(err, -1, "%s/%s: no such partition", arg[0], arg[1]);

    if (topic)
        topic_put(topic);
    return rc;
}

int main(int argc, char **argv)
{
    struct store_options options = {.name = argc > 1 ? argv[1] : ""};
    struct store *store;
    struct err err = {0};
    int closed;
    int rc;

    if (argc != 6) {
        fprintf(stderr, "usage: leavegap STORE TOPIC PARTITION OFFSET NUMBER\n");
        return 2;
    }
    rc = fileio_open(&options.io, argv[1], &err);
    if (rc == 0)
        rc = store_open(&store, &options, &err);
    if (rc == 0) {
        rc = leave_gap(store, argv + 2, &err);
        closed = store_close(store, rc == 0 ? &err : NULL);
        if (rc == 0)
            rc = closed;
        fileio_release(options.io);
    }
    if (rc < 0)
        fprintf(stderr, "leavegap: %s\n", err.text);
    return rc < 0 ? 1 : 0;
}
