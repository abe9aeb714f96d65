/*
 * store/topic_remove: removing topics.
 *
 * A topic is renamed, the store's directory fsynced, and then it is gone; the
 * retainer unlinks its files afterwards.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/diag.h"
#include "store/inside.h"

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
    int rc = store_unclean(store, err);

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
    int rc = store_unclean(store, err);

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
