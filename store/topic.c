/*
 * store/topic: a topic's memory, its partitions, what others ask of it.
 * Making one is in topic_make.c, removing in topic_remove.c, its settings in
 * topic_config.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"

bool topic_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > TOPIC_NAME_MAX || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isascii((unsigned char)name[i]) ||
            !(isalnum((unsigned char)name[i]) || strchr("._-", name[i])))
            return false;
    return true;
}

/* -- memory -- */

struct topic *topic_get(struct topic *topic)
{
    atomic_fetch_add(&topic->refs, 1);
    return topic;
}

void topic_free(struct topic *topic)
{
    struct partition **parts = atomic_load(&topic->partitions);

    atomic_fetch_sub(&topic->store->metrics.partitions, topic->partition_count);
    for (uint32_t i = 0; i < topic->partition_count; i++)
        partition_free(parts[i]);
    free(parts);
    for (size_t i = 0; i < topic->old_partition_count; i++)
        free(topic->old_partitions[i]);
    free(topic->old_partitions);
    for (size_t i = 0; i < topic->old_config_count; i++)
        free(topic->old_configs[i]);
    free(topic->old_configs);
    free(atomic_load(&topic->config));
    pthread_mutex_destroy(&topic->change_lock);
    free(topic);
}

void topic_put(struct topic *topic)
{
    if (atomic_fetch_sub(&topic->refs, 1) == 1)
        topic_free(topic);
}

struct topic *topic_new(struct store *store, const char *name, uint32_t number, const char *id,
                        const struct topic_config *conf)
{
    struct topic *topic = calloc(1, sizeof *topic);
    struct topic_config *copy = malloc(sizeof *copy);

    if (!topic || !copy) {
        free(topic);
        free(copy);
        return NULL;
    }
    *copy = *conf;
    topic->store = store;
    snprintf(topic->name, sizeof topic->name, "%s", name);
    snprintf(topic->id, sizeof topic->id, "%s", id);
    topic->number = number;
    atomic_init(&topic->changed_ms, store_wall_ms(store));
    atomic_init(&topic->refs, 1);
    atomic_init(&topic->config, copy);
    pthread_mutex_init(&topic->change_lock, NULL);
    return topic;
}

/* A place in the flusher's heap for each, so that becoming due never fails. */
static int heap_room(struct flusher *fl, size_t more)
{
    int rc = 0;

    pthread_mutex_lock(&fl->lock);
    if (fl->heap_places + more > fl->heap_room) {
        size_t room = (fl->heap_places + more) * 2;
        struct partition **heap = realloc(fl->heap, room * sizeof(struct partition *));

        if (heap) {
            fl->heap = heap;
            fl->heap_room = room;
        } else {
            rc = -ENOMEM;
        }
    }
    if (rc == 0)
        fl->heap_places += more;
    pthread_mutex_unlock(&fl->lock);
    return rc;
}

/* One more; `fresh`: with its first segment, as a recovery would find it. */
static struct partition *partition_with_segment(struct topic *topic, uint32_t index, bool fresh)
{
    struct partition *part = partition_new(topic, index);
    struct segment *seg = part && fresh ? segment_new(part, 0) : NULL;

    if (part && fresh && (!seg || partition_add_segment(part, seg) < 0)) {
        free(seg);
        partition_free(part);
        return NULL;
    }
    return part;
}

int topic_add_partitions(struct topic *topic, uint32_t count, bool fresh)
{
    uint32_t have = topic->partition_count;
    struct partition **old = atomic_load(&topic->partitions);
    struct partition **parts;
    struct partition ***olds;

    if (heap_room(&topic->store->flusher, count - have) < 0)
        return -ENOMEM;
    parts = calloc(count, sizeof(struct partition *));
    olds = realloc(topic->old_partitions,
                   (topic->old_partition_count + 1) * sizeof(struct partition **));
    if (olds)
        topic->old_partitions = olds;
    if (!parts || !olds) {
        free(parts);
        return -ENOMEM;
    }
    if (have > 0)
        memcpy(parts, old, have * sizeof(struct partition *));
    for (uint32_t i = have; i < count; i++) {
        parts[i] = partition_with_segment(topic, i, fresh);
        if (!parts[i]) {
            while (i-- > have)
                partition_free(parts[i]);
            free(parts);
            return -ENOMEM;
        }
    }
    if (old)
        topic->old_partitions[topic->old_partition_count++] = old;
    atomic_store(&topic->partitions, parts);
    atomic_store(&topic->partition_count, count);
    atomic_fetch_add(&topic->store->metrics.partitions, count - have);
    return 0;
}

/* -- looking -- */

const char *topic_name(const struct topic *topic)
{
    return topic->name;
}

uint32_t topic_number(const struct topic *topic)
{
    return topic->number;
}

const char *topic_id(const struct topic *topic)
{
    return topic->id;
}

uint64_t topic_changed_ms(const struct topic *topic)
{
    return atomic_load(&topic->changed_ms);
}

bool topic_removed(const struct topic *topic)
{
    return atomic_load(&topic->removed);
}

const struct topic_config *topic_config(const struct topic *topic)
{
    return atomic_load_explicit(&topic->config, memory_order_acquire);
}

uint32_t topic_partition_count(const struct topic *topic)
{
    return atomic_load_explicit(&topic->partition_count, memory_order_acquire);
}

struct partition *topic_partition(const struct topic *topic, uint32_t index)
{
    if (index >= topic_partition_count(topic))
        return NULL;
    return atomic_load_explicit(&topic->partitions, memory_order_acquire)[index];
}

struct partition *topic_partition_in_turn(struct topic *topic)
{
    uint32_t n = topic_partition_count(topic);

    for (uint32_t tries = 0; tries < n; tries++) {
        struct partition *part = topic_partition(topic, atomic_fetch_add(&topic->turn, 1) % n);

        if (!atomic_load_explicit(&part->failed, memory_order_relaxed))
            return part;
    }
    return NULL;
}
