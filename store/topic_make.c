/*
 * store/topic_make: making topics. Removing them is in topic_remove.c.
 *
 * A topic is made under a temporary name, everything in it fsynced, and
 * renamed, and the store's directory fsynced: after a power cut it is there
 * whole or not at all, and is there if its maker was told so. Its number is
 * never given again, so the journal and inode numbers can tell it from one of
 * the same name.
 *
 * That is two waits for the disk, one before and one after the rename, and
 * neither can be saved: were the rename on disk first, a power cut would leave
 * a topic whose files lack names or bytes, which is what damage looks like;
 * without the second one the topic could be gone. What comes before the rename
 * needs no order among itself, and is synced at the same time.
 *
 * Topics that several threads want meanwhile share both waits: each adds what
 * it wants to a list, and who gets store.make_lock next makes all on it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "store/inside.h"
#include "store/topic_make.h"

#define TOGETHER_MAX 64u /* so that who came first need not wait for all who come */

/* -- making -- */

static int make_failed(struct making *m, int rc, const char *what)
{
    m->rc = rc < 0 ? err_set(m->err, rc, "%s: %s", what, err_sentence(rc)) : 0;
    return m->rc;
}

/* All files of the topic, under its temporary name. `alone`: each partition is
 * synced by itself, and all of it is on disk then. */
static int make_files(struct store *store, struct making *m, struct unsynced *u, bool alone)
{
    char path[STORE_PATH_MAX];
    int rc = store->io->ops->mkdir(store->io, m->dir);

    snprintf(path, sizeof path, "%s/sealed", m->dir);
    if (rc == 0)
        rc = store->io->ops->mkdir(store->io, path);
    for (uint32_t i = 0; rc == 0 && i < m->conf->partitions; i++) {
        snprintf(path, sizeof path, "%s/%" PRIu32, m->dir, i);
        m->rc = partition_make_files(store, path, u, m->err);
        if (m->rc < 0)
            return m->rc;
        rc = alone ? unsynced_sync(u) : 0;
    }
    if (rc == 0)
        rc = topic_config_make(m->topic, m->dir, m->conf, u);
    if (rc == 0)
        unsynced_dir(u, m->dir);
    if (rc == 0 && alone)
        rc = unsynced_sync(u);
    return make_failed(m, rc, m->name);
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

static int new_topic(struct store *store, struct making *m)
{
    uint8_t uuid[16];
    char id[37];
    uint32_t number = 0;
    int rc = take_number(store, &number);

    if (rc < 0)
        return make_failed(m, rc, m->name);
    store_uuid(store, uuid, id);
    m->topic = topic_new(store, m->name, number, id, m->conf);
    rc = m->topic ? topic_add_partitions(m->topic, (uint32_t)m->conf->partitions, true) : -ENOMEM;
    return make_failed(m, rc, m->name);
}

static int is_free(struct store *store, struct making *m)
{
    struct topic *topic = store_topic_find(store, m->name);
    struct fileio_stat st;

    if (topic) {
        topic_put(topic);
        m->rc = err_set(m->err, -EEXIST, "%s: there is a topic of this name", m->name);
    } else if (store->io->ops->stat(store->io, m->name, &st) == 0) {
        m->rc = err_set(m->err, -EEXIST,
                        "%s: there is a directory of this name in the store that is no topic, "
                        "or one that could not be read",
                        m->name);
    }
    return m->rc;
}

/* Up to the first sync. */
static void begin(struct store *store, struct making *m, struct unsynced *u)
{
    unsigned before = u->count;

    snprintf(m->dir, sizeof m->dir, ".new.%s", m->name);
    if (is_free(store, m) == 0 && new_topic(store, m) == 0 &&
        make_failed(m, discard(store, m->dir), m->dir) == 0 && /* of an attempt that failed */
        make_files(store, m, u, false) < 0)
        unsynced_cut(u, before);
}

/* Ensures: what has begun without a failure is on disk, under temporary names. */
static void sync_begun(struct store *store, struct making *batch, struct unsynced *u)
{
    bool alone = !unsynced_many(u) && !batch->next;
    int rc = unsynced_sync(u);

    for (struct making *m = batch; rc < 0 && m; m = m->next) {
        if (m->rc < 0)
            continue;
        /* Which file is not on disk nobody knows: once more, each by itself. */
        if (alone)
            make_failed(m, rc, m->name);
        else if (make_failed(m, discard(store, m->dir), m->dir) == 0 &&
                 make_files(store, m, u, true) < 0)
            unsynced_cut(u, 0);
    }
}

/* Ensures: those that have not failed have their names, on disk. */
static void rename_begun(struct store *store, struct making *batch)
{
    bool any = false;
    int rc = 0;

    for (struct making *m = batch; m; m = m->next) {
        if (m->rc < 0)
            continue;
        make_failed(m, store->io->ops->rename(store->io, m->dir, m->name), m->name);
        m->renamed = m->rc == 0;
        any |= m->renamed;
    }
    if (any)
        rc = store->io->ops->sync_dir(store->io, "");
    for (struct making *m = batch; rc < 0 && m; m = m->next)
        if (m->rc == 0)
            make_failed(m, rc, m->name);
}

/* Into the tables, or away: its name must be free for another try. */
static void end(struct store *store, struct making *m)
{
    if (m->rc == 0)
        make_failed(m, store_add_topic(store, m->topic), m->name);
    if (m->rc == 0) {
        topic_get(m->topic); /* for who wanted it: it may be removed before he looks */
    } else {
        if (m->renamed && store->io->ops->rename(store->io, m->name, m->dir) < 0)
            diag_say("%s: could not be made, and is there at the next start", m->name);
        if (m->topic && discard(store, m->dir) < 0)
            diag_say("%s: what was begun of it is removed at the next start", m->name);
        if (m->topic)
            topic_free(m->topic);
        m->topic = NULL;
    }
    m->done = true;
}

static bool has_name(const struct making *batch, const char *name)
{
    while (batch && strcmp(batch->name, name) != 0)
        batch = batch->next;
    return batch;
}

/* Takes the first of those wanted off the list, up to one whose name another has. */
static struct making *take_wanted(struct store *store)
{
    struct making *batch = NULL;
    struct making **end = &batch;

    pthread_mutex_lock(&store->wanted_lock);
    for (unsigned n = 0; n < TOGETHER_MAX; n++) {
        struct making *m = store->wanted;

        if (!m || has_name(batch, m->name))
            break;
        store->wanted = m->next;
        m->next = NULL;
        *end = m;
        end = &m->next;
    }
    pthread_mutex_unlock(&store->wanted_lock);
    return batch;
}

/* make_lock held. */
static void make_wanted(struct store *store)
{
    struct unsynced u = {.store = store};
    struct making *batch = take_wanted(store);

    for (struct making *m = batch; m; m = m->next)
        begin(store, m, &u);
    sync_begun(store, batch, &u);
    rename_begun(store, batch);
    for (struct making *m = batch; m; m = m->next)
        end(store, m);
}

void topic_want(struct store *store, struct making *m)
{
    struct making **end = &store->wanted;

    pthread_mutex_lock(&store->wanted_lock);
    while (*end)
        end = &(*end)->next;
    *end = m;
    pthread_mutex_unlock(&store->wanted_lock);
}

int store_topic_create(struct store *store, const char *name, const struct topic_config *conf,
                       struct topic **out, struct err *err)
{
    struct making m = {
        .name = name, .conf = conf ? conf : &store->options.topic_default, .err = err};
    int rc;

    if (!topic_name_valid(name))
        return err_set(err, -EINVAL,
                       "%s: a topic's name is 1 to %d of A-Z a-z 0-9 . _ - and does "
                       "not begin with . or -",
                       name, TOPIC_NAME_MAX);
    rc = topic_config_check(m.conf, err);
    if (rc == 0)
        rc = store_unclean(store, err);
    if (rc < 0)
        return rc;
    topic_want(store, &m);
    pthread_mutex_lock(&store->make_lock);
    while (!m.done) /* else somebody else has made it meanwhile */
        make_wanted(store);
    pthread_mutex_unlock(&store->make_lock);
    if (m.rc == 0 && out)
        *out = m.topic;
    else if (m.rc == 0)
        topic_put(m.topic);
    return m.rc;
}
