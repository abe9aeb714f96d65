/*
 * store/topic: topics: making, removing, changing their settings.
 *
 * A topic is made under a temporary name, everything in it fsynced, and
 * renamed: it is there whole or not at all. Its number is never given again,
 * so the journal and inode numbers can tell it from one of the same name.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "store/inside.h"

#define CONFIG_MAX ((size_t)64 << 10)
#define SYNC_EACH_UP_TO 8u /* a topic with more partitions is made with one syncfs */

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
    topic->made_ms = store_wall_ms(store);
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
    return 0;
}

static int swap_config(struct topic *topic, const struct topic_config *conf)
{
    struct topic_config **olds = realloc(
        topic->old_configs, (topic->old_config_count + 1) * sizeof(struct topic_config *));
    struct topic_config *copy = malloc(sizeof *copy);

    if (olds)
        topic->old_configs = olds;
    if (!olds || !copy) {
        free(copy);
        return -ENOMEM;
    }
    *copy = *conf;
    topic->old_configs[topic->old_config_count++] = atomic_exchange(&topic->config, copy);
    return 0;
}

/* -- .config -- */

static int config_text(const struct topic *topic, const struct topic_config *conf, struct buf *out)
{
    int rc = buf_printf(out, "id=%s\nnumber=%" PRIu32 "\n", topic->id, topic->number);

    return rc < 0 ? rc : topic_config_print(conf, out);
}

static int config_write(struct topic *topic, const char *dir, const struct topic_config *conf)
{
    struct buf text = {.cap = CONFIG_MAX};
    int rc = config_text(topic, conf, &text);

    if (rc == 0)
        rc = fileio_replace_file(topic->store->io, dir, ".config", text.data, text.len);
    buf_release(&text);
    return rc;
}

int topic_config_text(struct topic *topic, struct buf *out)
{
    return config_text(topic, topic_config(topic), out);
}

/* Takes the line `key=value\n` off the front of the text. */
static bool take_line(const char **text, size_t *len, const char *key, char *value, size_t room)
{
    size_t key_len = strlen(key);
    const char *nl = memchr(*text, '\n', *len);
    size_t n;

    if (!nl || (size_t)(nl - *text) < key_len || memcmp(*text, key, key_len) != 0)
        return false;
    n = (size_t)(nl - *text) - key_len;
    if (n >= room)
        return false;
    memcpy(value, *text + key_len, n);
    value[n] = '\0';
    *len -= (size_t)(nl - *text) + 1;
    *text = nl + 1;
    return true;
}

static int add_loaded(struct store *store, const char *name, const char *id, const char *number,
                      const struct topic_config *conf, struct err *err)
{
    struct topic *topic;
    uint64_t n;
    int rc;

    if (strlen(id) != 36 || !parse_decimal(number, strlen(number), UINT32_MAX, &n))
        return err_set(err, ERR_DAMAGED, "%s/.config: not a topic's", name);
    if (store_topic_by_number(store, (uint32_t)n))
        return err_set(err, ERR_DAMAGED,
                       "%s/.config: its number %s is another topic's: a copy made by hand? Move "
                       "it out of the store",
                       name, number);
    topic = topic_new(store, name, (uint32_t)n, id, conf);
    rc = topic ? topic_add_partitions(topic, (uint32_t)conf->partitions, false) : -ENOMEM;
    if (rc == 0)
        rc = store_add_topic(store, topic);
    if (rc < 0 && topic)
        topic_free(topic);
    return rc < 0 ? err_set(err, rc, "%s: %s", name, err_sentence(rc)) : 0;
}

int topic_load(struct store *store, const char *name, struct err *err)
{
    struct topic_config conf = topic_config_default;
    char path[STORE_PATH_MAX];
    char number[16];
    char id[48];
    const char *at;
    char *text;
    size_t len;
    int rc;

    snprintf(path, sizeof path, "%s/.config", name);
    rc = fileio_read_file(store->io, path, CONFIG_MAX, &text, &len);
    if (rc < 0)
        return err_set(err, rc, "%s: %s", path, err_sentence(rc));
    at = text;
    if (!take_line(&at, &len, "id=", id, sizeof id) ||
        !take_line(&at, &len, "number=", number, sizeof number))
        rc = err_set(err, ERR_DAMAGED, "%s: does not begin with id= and number=", path);
    if (rc == 0)
        rc = topic_config_parse(&conf, &topic_config_default, at, len, path, err);
    if (rc == 0)
        rc = add_loaded(store, name, id, number, &conf, err);
    free(text);
    return rc;
}

/* -- making -- */

static int make_files(struct topic *topic, const char *dir, const struct topic_config *conf,
                      struct err *err)
{
    struct store *store = topic->store;
    char path[STORE_PATH_MAX];
    int rc = store->io->ops->mkdir(store->io, dir);

    snprintf(path, sizeof path, "%s/sealed", dir);
    if (rc == 0)
        rc = store->io->ops->mkdir(store->io, path);
    for (uint32_t i = 0; rc == 0 && i < conf->partitions; i++) {
        snprintf(path, sizeof path, "%s/%" PRIu32, dir, i);
        rc = partition_make_files(store, path, err);
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        rc = config_write(topic, dir, conf); /* fsyncs the directory too */
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

static int make_topic(struct store *store, const char *name, const struct topic_config *conf,
                      struct topic **out, struct err *err)
{
    uint8_t uuid[16];
    char id[37];
    char dir[TOPIC_NAME_MAX + 8];
    struct topic *topic = NULL;
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
    if (rc == 0)
        rc = make_files(topic, dir, conf, err);
    if (rc == 0) {
        rc = store->io->ops->rename(store->io, dir, name);
        if (rc == 0)
            rc = store->io->ops->sync_dir(store->io, "");
        if (rc < 0)
            err_set(err, rc, "%s: %s", name, err_sentence(rc));
    }
    if (rc == 0)
        rc = store_add_topic(store, topic);
    if (rc < 0) {
        if (topic)
            topic_free(topic);
        if (store_remove_tree(store, dir) < 0)
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
    int rc = 0;

    if (!topic_name_valid(name))
        return err_set(err, -EINVAL, "%s: a topic's name is 1 to %d of A-Z a-z 0-9 . _ - and does "
                       "not begin with . or -", name, TOPIC_NAME_MAX);
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
    } else {
        rc = make_topic(store, name, conf, &topic, err);
        if (rc == 0 && out)
            *out = topic_get(topic);
    }
    pthread_mutex_unlock(&store->make_lock);
    return rc;
}

/* -- removing -- */

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
        if (part->leading || part->queue_head || partition_end(part) > 0)
            rc = -ENOTEMPTY;
        else
            part->shut = true;
        pthread_mutex_unlock(&part->append_lock);
        shut = i + 1;
    }
    for (uint32_t i = 0; rc < 0 && i < shut; i++) {
        struct partition *part = topic_partition(topic, i);

        pthread_mutex_lock(&part->append_lock);
        part->shut = false;
        pthread_mutex_unlock(&part->append_lock);
    }
    return rc;
}

static int remove_topic(struct store *store, struct topic *topic)
{
    char dir[STORE_PATH_MAX];
    int rc;

    snprintf(dir, sizeof dir, ".del.%" PRIu32, topic->number);
    rc = store->io->ops->rename(store->io, topic->name, dir);
    if (rc == 0)
        rc = store->io->ops->sync_dir(store->io, "");
    if (rc < 0)
        return rc;
    atomic_store(&topic->removed, true);
    pthread_rwlock_wrlock(&store->topics_lock);
    store_drop_topic(store, topic);
    pthread_rwlock_unlock(&store->topics_lock);
    for (uint32_t i = 0; i < topic_partition_count(topic); i++)
        flusher_fail_waiters(topic_partition(topic, i), -ENOENT);
    if (store_remove_tree(store, dir) < 0)
        diag_say("%s: the rest of it is removed at the next start", topic->name);
    topic_put(topic);
    return 0;
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
    rc = topic ? shut_empty(topic) : -ENOENT;
    if (rc == 0)
        rc = remove_topic(store, topic);
    if (topic)
        topic_put(topic);
    pthread_mutex_unlock(&store->make_lock);
    return rc < 0 ? err_set(err, rc, "%s: %s", name, err_sentence(rc)) : 0;
}

/* -- changing -- */

/* More partitions, each made under a temporary name and renamed. */
static int grow(struct topic *topic, uint32_t count, struct err *err)
{
    struct fileio *io = topic->store->io;
    uint32_t have = topic_partition_count(topic);
    char from[STORE_PATH_MAX];
    char to[STORE_PATH_MAX];
    int rc = 0;

    for (uint32_t i = have; rc == 0 && i < count; i++) {
        snprintf(from, sizeof from, "%s/.new.%" PRIu32, topic->name, i);
        path_of_partition(to, topic->name, i);
        rc = store_remove_tree(topic->store, from);
        if (rc == 0)
            rc = partition_make_files(topic->store, from, err);
        if (rc == 0)
            rc = io->ops->rename(io, from, to);
        if (rc == -ENOTEMPTY || rc == -EEXIST)
            rc = 0; /* made by an attempt that failed after this step; it is empty */
    }
    if (rc == 0)
        rc = io->ops->sync_dir(io, topic->name);
    return rc < 0 ? err_set(err, rc, "%s: %s", topic->name, err_sentence(rc)) : 0;
}

struct switching {
    struct topic *topic;
    const struct topic_config *conf;
    int rc;
};

static void switch_config(void *arg)
{
    struct switching *s = arg;

    s->rc = swap_config(s->topic, s->conf);
}

/* From os to disk: what is visible has to be flushed before the journal may
 * speak of what comes after it. */
static int switch_to_disk(struct topic *topic, const struct topic_config *conf)
{
    struct switching s = {topic, conf, 0};
    int rc = flusher_flush_all(topic->store, atomic_load(&topic->partitions),
                               topic_partition_count(topic), switch_config, &s);

    return s.rc < 0 ? s.rc : rc;
}

static int change(struct topic *topic, const struct topic_config *next, struct err *err)
{
    const struct topic_config *now = topic_config(topic);
    uint32_t have = topic_partition_count(topic);
    int rc = 0;

    if (next->partitions > have)
        rc = grow(topic, (uint32_t)next->partitions, err);
    if (rc < 0)
        return rc;
    rc = config_write(topic, topic->name, next);
    if (rc < 0)
        return err_set(err, rc, "%s/.config: %s", topic->name, err_sentence(rc));
    if (next->partitions > have)
        rc = topic_add_partitions(topic, (uint32_t)next->partitions, true);
    if (rc == 0)
        rc = now->flush_os && !next->flush_os ? switch_to_disk(topic, next)
                                              : swap_config(topic, next);
    return rc < 0 ? err_set(err, rc, "%s/.config: %s", topic->name, err_sentence(rc)) : 0;
}

/* id= and number= may be written back as they were read. */
static int skip_identity(const struct topic *topic, const char **text, size_t *len,
                         struct err *err)
{
    char number[16];
    char value[64];

    snprintf(number, sizeof number, "%" PRIu32, topic->number);
    if (take_line(text, len, "id=", value, sizeof value) && strcmp(value, topic->id) != 0)
        return err_set(err, -EINVAL, "%s/.config: id=%s: a topic's id never changes", topic->name,
                       value);
    if (take_line(text, len, "number=", value, sizeof value) && strcmp(value, number) != 0)
        return err_set(err, -EINVAL, "%s/.config: number=%s: a topic's number never changes",
                       topic->name, value);
    return 0;
}

static int check_change(const struct topic *topic, const struct topic_config *now,
                        const struct topic_config *next, struct err *err)
{
    if (next->partitions < now->partitions)
        return err_set(err, -EINVAL, "%s/.config: partitions=%" PRIu64 ": there are %" PRIu64
                       " already, and they can only become more",
                       topic->name, next->partitions, now->partitions);
    if (next->mode != now->mode || next->uid != now->uid || next->gid != now->gid)
        return err_set(err, -EINVAL, "%s/.config: mode, uid, gid: change them by chmod and chown",
                       topic->name);
    return 0;
}

int topic_configure(struct topic *topic, const char *text, size_t len, struct err *err)
{
    struct topic_config next;
    char what[TOPIC_NAME_MAX + 16];
    int rc = atomic_load(&topic->store->clean) ? store_unclean(topic->store, err) : 0;

    if (rc < 0)
        return rc;
    snprintf(what, sizeof what, "%s/.config", topic->name);
    pthread_mutex_lock(&topic->change_lock);
    next = *topic_config(topic);
    rc = skip_identity(topic, &text, &len, err);
    if (rc == 0)
        rc = topic_config_parse(&next, &topic->store->options.topic_default, text, len, what, err);
    if (rc == 0)
        rc = check_change(topic, topic_config(topic), &next, err);
    if (rc == 0)
        rc = change(topic, &next, err);
    pthread_mutex_unlock(&topic->change_lock);
    return rc;
}

int topic_set_access(struct topic *topic, int64_t mode, int64_t uid, int64_t gid, struct err *err)
{
    struct topic_config next;
    int rc = atomic_load(&topic->store->clean) ? store_unclean(topic->store, err) : 0;

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&topic->change_lock);
    next = *topic_config(topic);
    if (mode >= 0)
        next.mode = (uint64_t)mode & 0777;
    if (uid >= 0)
        next.uid = (uint64_t)uid;
    if (gid >= 0)
        next.gid = (uint64_t)gid;
    rc = change(topic, &next, err);
    pthread_mutex_unlock(&topic->change_lock);
    return rc;
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

uint64_t topic_made_ms(const struct topic *topic)
{
    return topic->made_ms;
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
