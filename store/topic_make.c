/*
 * store/topic_make: making and removing topics.
 *
 * A topic is made under a temporary name, everything in it fsynced, and
 * renamed: it is there whole or not at all. Its number is never given again,
 * so the journal and inode numbers can tell it from one of the same name.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "store/inside.h"

/* -- making -- */

static int make_files(struct topic *topic, const char *dir, const struct topic_config *conf,
                      bool sync, struct err *err)
{
    struct store *store = topic->store;
    char path[STORE_PATH_MAX];
    int rc = store->io->ops->mkdir(store->io, dir);

    snprintf(path, sizeof path, "%s/sealed", dir);
    if (rc == 0)
        rc = store->io->ops->mkdir(store->io, path);
    for (uint32_t i = 0; rc == 0 && i < conf->partitions; i++) {
        snprintf(path, sizeof path, "%s/%" PRIu32, dir, i);
        rc = partition_make_files(store, path, sync, err);
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        rc = topic_config_write(topic, dir, conf); /* fsyncs the directory too */
    return rc < 0 ? err_set(err, rc, "%s: %s", topic->name, err_sentence(rc)) : 0;
}

/* The next number; .format says first that it is used. */
static int take_number(struct store *store, uint32_t *number)
{
    int rc = 0;

    if (store->next_topic >= store->topics_reserved) {
        uint32_t before = store->topics_reserved;

        if (before > UINT32_MAX - 1024)
            return -ENOSPC;
        store->topics_reserved = before + 1024;
        rc = store_write_format(store);
        if (rc < 0)
            store->topics_reserved = before;
    }
    if (rc == 0)
        *number = store->next_topic++;
    return rc;
}

/* Removes what was begun under a temporary name. That name has to be durable
 * first: else a power cut could bring the files' removal, but the directory
 * under the name of a topic. */
static int discard(struct store *store, const char *dir)
{
    struct fileio_stat st;
    int rc = store->io->ops->stat(store->io, dir, &st);

    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = store->io->ops->sync_dir(store->io, "");
    return rc == 0 ? store_remove_tree(store, dir) : rc;
}

/* All files of a topic under a temporary name, durably. */
static int make_durably(struct topic *topic, const char *dir, const struct topic_config *conf,
                        struct err *err)
{
    struct store *store = topic->store;
    bool together = conf->partitions >= SYNCFS_AT;
    int rc = make_files(topic, dir, conf, !together, err);

    if (rc < 0 || !together || store_sync_everything(store) == 0)
        return rc;
    /* Which file is not on disk, nobody knows: once more, each by itself. */
    rc = discard(store, dir);
    if (rc < 0)
        return err_set(err, rc, "%s: %s", dir, err_sentence(rc));
    return make_files(topic, dir, conf, true, err);
}

static int make_topic(struct store *store, const char *name, const struct topic_config *conf,
                      struct topic **out, struct err *err)
{
    uint8_t uuid[16];
    char id[37];
    char dir[TOPIC_NAME_MAX + 8];
    struct topic *topic = NULL;
    bool renamed = false;
    uint32_t number;
    int rc = take_number(store, &number);

    store_uuid(store, uuid, id);
    if (rc == 0) {
        topic = topic_new(store, name, number, id, conf);
        rc = topic ? topic_add_partitions(topic, (uint32_t)conf->partitions, true) : -ENOMEM;
    }
    if (rc < 0)
        err_set(err, rc, "%s: %s", name, err_sentence(rc));
    snprintf(dir, sizeof dir, ".new.%s", name);
    if (rc == 0) {
        rc = discard(store, dir); /* of an attempt that failed */
        if (rc < 0)
            err_set(err, rc, "%s: %s", dir, err_sentence(rc));
    }
    if (rc == 0)
        rc = make_durably(topic, dir, conf, err);
    if (rc == 0) {
        rc = store->io->ops->rename(store->io, dir, name);
        renamed = rc == 0;
        if (rc == 0)
            rc = store->io->ops->sync_dir(store->io, "");
        if (rc < 0)
            err_set(err, rc, "%s: %s", name, err_sentence(rc));
    }
    if (rc == 0)
        rc = store_add_topic(store, topic);
    if (rc < 0) {
        /* The name must be free for another try. */
        if (renamed && store->io->ops->rename(store->io, name, dir) < 0)
            diag_say("%s: could not be made, and is there at the next start", name);
        if (topic)
            topic_free(topic);
        if (discard(store, dir) < 0)
            diag_say("%s: what was begun of it is removed at the next start", name);
        return rc;
    }
    *out = topic;
    return 0;
}

int store_topic_create(struct store *store, const char *name, const struct topic_config *conf,
                       struct topic **out, struct err *err)
{
    struct topic *topic = NULL;
    struct fileio_stat st;
    int rc = 0;

    if (!topic_name_valid(name))
        return err_set(err, -EINVAL,
                       "%s: a topic's name is 1 to %d of A-Z a-z 0-9 . _ - and does "
                       "not begin with . or -",
                       name, TOPIC_NAME_MAX);
    if (!conf)
        conf = &store->options.topic_default;
    rc = topic_config_check(conf, err);
    if (rc < 0)
        return rc;
    if (atomic_load(&store->clean))
        rc = store_unclean(store, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&store->make_lock);
    topic = store_topic_find(store, name);
    if (topic) {
        topic_put(topic);
        rc = err_set(err, -EEXIST, "%s: there is a topic of this name", name);
    } else if (store->io->ops->stat(store->io, name, &st) == 0) {
        rc = err_set(err, -EEXIST,
                     "%s: there is a directory of this name in the store that is no topic, "
                     "or one that could not be read",
                     name);
    } else {
        rc = make_topic(store, name, conf, &topic, err);
        if (rc == 0 && out)
            *out = topic_get(topic);
    }
    pthread_mutex_unlock(&store->make_lock);
    return rc;
}

/* -- removing -- */

static void open_again(struct topic *topic, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct partition *part = topic_partition(topic, i);

        pthread_mutex_lock(&part->append_lock);
        part->shut = false;
        pthread_mutex_unlock(&part->append_lock);
    }
}

/* Shuts the partitions to appends; -ENOTEMPTY, with all as before, where one
 * has had a message. */
static int shut_empty(struct topic *topic)
{
    uint32_t n = topic_partition_count(topic);
    uint32_t shut = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        struct partition *part = topic_partition(topic, i);

        pthread_mutex_lock(&part->append_lock);
        /* Where a failed one ended, nobody knows. */
        if (part->leading || part->queue_head || partition_end(part) > 0 || partition_failed(part))
            rc = -ENOTEMPTY;
        else
            part->shut = true;
        pthread_mutex_unlock(&part->append_lock);
        shut = i + 1;
    }
    if (rc < 0)
        open_again(topic, shut);
    return rc;
}

/* Shuts them whatever they have, and waits for the appends under way. */
static void shut_all(struct topic *topic)
{
    for (uint32_t i = 0; i < topic_partition_count(topic); i++) {
        struct partition *part = topic_partition(topic, i);

        pthread_mutex_lock(&part->append_lock);
        part->shut = true;
        while (part->leading || part->queue_head)
            pthread_cond_wait(&part->append_turn, &part->append_lock);
        pthread_mutex_unlock(&part->append_lock);
    }
}

/* No flush has any of them from here on: one that went on would look for files
 * under a name that may be another topic's. */
static void claim_all(struct topic *topic)
{
    for (uint32_t i = 0; i < topic_partition_count(topic); i++)
        flusher_claim(topic_partition(topic, i));
}

static void unclaim_all(struct topic *topic)
{
    for (uint32_t i = 0; i < topic_partition_count(topic); i++)
        flusher_unclaim(topic_partition(topic, i));
}

/* The topic is out of the tables: who waits is told, files are closed. */
static void let_go(struct topic *topic)
{
    struct flusher *fl = &topic->store->flusher;

    unclaim_all(topic);
    for (uint32_t i = 0; i < topic_partition_count(topic); i++) {
        flusher_fail_waiters(topic_partition(topic, i), -ENOENT);
        partition_let_go(topic_partition(topic, i));
    }
    pthread_mutex_lock(&fl->lock);
    fl->heap_places -= topic_partition_count(topic);
    pthread_mutex_unlock(&fl->lock);
}

/* Of a topic that is shut; both locks are held. Once it is renamed it is gone
 * for this process, also where the sync fails: then the caller hears that a
 * power cut may bring it back, and its files stay until the next start. */
static int remove_topic(struct store *store, struct topic *topic)
{
    char dir[STORE_PATH_MAX];
    int rc;

    claim_all(topic);
    snprintf(dir, sizeof dir, ".del.%" PRIu32, topic->number);
    rc = store->io->ops->rename(store->io, topic->name, dir);
    if (rc < 0) {
        unclaim_all(topic);
        open_again(topic, topic_partition_count(topic));
        return rc;
    }
    rc = store->io->ops->sync_dir(store->io, "");
    atomic_store(&topic->removed, true);
    pthread_rwlock_wrlock(&store->topics_lock);
    store_drop_topic(store, topic);
    pthread_rwlock_unlock(&store->topics_lock);
    let_go(topic);
    if (rc == 0)
        retain_bury(&store->retainer, topic->number);
    else
        diag_say("%s: the rest of it is removed at the next start", topic->name);
    topic_put(topic);
    return rc;
}

int store_topic_remove(struct store *store, const char *name, struct err *err)
{
    struct topic *topic;
    int rc = 0;

    if (atomic_load(&store->clean))
        rc = store_unclean(store, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&store->make_lock);
    topic = store_topic_find(store, name);
    if (topic) {
        pthread_mutex_lock(&topic->change_lock);
        rc = shut_empty(topic);
        if (rc == 0)
            rc = remove_topic(store, topic);
        pthread_mutex_unlock(&topic->change_lock);
        topic_put(topic);
    } else {
        rc = -ENOENT;
    }
    pthread_mutex_unlock(&store->make_lock);
    return rc < 0 ? err_set(err, rc, "%s: %s", name, err_sentence(rc)) : 0;
}

int store_topic_delete(struct topic *topic, struct err *err)
{
    struct store *store = topic->store;
    int rc = 0;

    if (atomic_load(&store->clean))
        rc = store_unclean(store, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&store->make_lock);
    pthread_mutex_lock(&topic->change_lock);
    if (topic_removed(topic)) {
        rc = -ENOENT; /* by somebody else, just now */
    } else {
        shut_all(topic);
        rc = remove_topic(store, topic);
    }
    pthread_mutex_unlock(&topic->change_lock);
    pthread_mutex_unlock(&store->make_lock);
    if (rc == 0)
        diag_say("%s: removed with all its messages (%s)", topic->name, topic->id);
    return rc < 0 ? err_set(err, rc, "%s: %s", topic->name, err_sentence(rc)) : 0;
}
