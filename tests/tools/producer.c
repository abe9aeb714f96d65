/*
 * tests/tools/producer: a producer, through the store library. No topicfs may use
 * the store.
 *
 *     producer STORE <COMMANDS
 *
 * Makes the store, with topic t, where there is none. A command a line:
 *
 *     send ID EPOCH SEQUENCE VALUE...     a set; says `OFFSET NUMBER` of its first
 *                                         message, then `new` or `again`
 *     id                                  says an id for a producer
 *     later MS                            the clock goes on; it begins at 1700000000000
 *     kill                                ends as by kill -9; else there is a clean stop
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

#define SETTINGS "segment.ms=1000"

static uint64_t now_ms = 1700000000000;

static uint64_t the_clock(void *arg)
{
    (void)arg;
    return now_ms;
}

static void die(const char *what, const struct err *err)
{
    fprintf(stderr, "producer: %s: %s\n", what, err->text);
    exit(EXIT_FAILURE);
}

static struct partition *open_store(struct fileio *io, const char *path, struct store **store)
{
    struct store_options options = {.io = io, .name = path, .wall_ms = the_clock};
    struct topic_config conf = topic_config_default;
    struct topic *topic;
    struct err err = {0};
    struct partition *part;

    if (store_open(store, &options, &err) < 0)
        die(path, &err);
    topic = store_topic_find(*store, "t");
    if (!topic && (topic_config_parse(&conf, &topic_config_default, SETTINGS, strlen(SETTINGS),
                                      "topic t", &err) < 0 ||
                   store_topic_create(*store, "t", &conf, &topic, &err) < 0))
        die("topic t", &err);
    part = topic_partition(topic, 0);
    topic_put(topic); /* the store holds it */
    return part;
}

static void send_set(struct partition *part, char *rest)
{
    struct producer p;
    struct appended at;
    struct err err = {0};
    struct set set;
    char *value;

    p.id = strtoll(rest, &rest, 10);
    p.epoch = (int16_t)strtol(rest, &rest, 10);
    p.sequence = (int32_t)strtol(rest, &rest, 10);
    set_init(&set);
    if (set_producer(&set, &p) < 0)
        exit(EXIT_FAILURE);
    while ((value = strtok_r(rest, " ", &rest))) {
        struct message m = {.value = value, .value_len = (uint32_t)strlen(value)};

        if (set_add_message(&set, &m) < 0)
            exit(EXIT_FAILURE);
    }
    if (partition_append_at(part, &set, &at, &err) < 0)
        printf("%s\n", err.text);
    else
        printf("%" PRIu64 " %" PRIu64 " %s\n", at.offset, at.number,
               at.duplicate ? "again" : "new");
    set_release(&set);
}

static void give_id(struct store *store)
{
    struct err err = {0};
    int64_t id;

    if (store_producer_id(store, &id, &err) < 0)
        die("id", &err);
    printf("%" PRId64 "\n", id);
}

int main(int argc, char **argv)
{
    struct partition *part;
    struct err err = {0};
    struct store *store;
    struct fileio *io;
    bool killed = false;
    char line[1000];

    if (argc != 2) {
        fprintf(stderr, "producer STORE <COMMANDS\n");
        return EXIT_FAILURE;
    }
    if (fileio_open(&io, argv[1], &err) < 0)
        die(argv[1], &err);
    part = open_store(io, argv[1], &store);
    while (!killed && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "send ", 5) == 0)
            send_set(part, line + 5);
        else if (strcmp(line, "id") == 0)
            give_id(store);
        else if (strncmp(line, "later ", 6) == 0)
            now_ms += strtoull(line + 6, NULL, 10);
        else
            killed = strcmp(line, "kill") == 0;
    }
    if (killed)
        store_abandon(store);
    else if (store_close(store, &err) < 0)
        die(argv[1], &err);
    fileio_release(io);
    return EXIT_SUCCESS;
}
