/*
 * store/topic_config: a topic's .config: reading it at start, changing it.
 *
 * The file is replaced as a whole, durably, before a change holds; the values
 * in memory are replaced as a whole too, so that who reads them needs no lock.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"

#define CONFIG_MAX ((size_t)64 << 10)

/* -- .config -- */

static int config_text(const struct topic *topic, const struct topic_config *conf, struct buf *out)
{
    int rc = buf_printf(out, "id=%s\nnumber=%" PRIu32 "\n", topic->id, topic->number);

    return rc < 0 ? rc : topic_config_print(conf, out);
}

int topic_config_write(struct topic *topic, const char *dir, const struct topic_config *conf)
{
    struct buf text = {.cap = CONFIG_MAX};
    int rc = config_text(topic, conf, &text);

    if (rc == 0)
        rc = fileio_replace_file(topic->store->io, dir, ".config", text.data, text.len);
    buf_release(&text);
    return rc;
}

int topic_config_make(struct topic *topic, const char *dir, const struct topic_config *conf,
                      struct unsynced *u)
{
    struct buf text = {.cap = CONFIG_MAX};
    char path[STORE_PATH_MAX];
    int rc = config_text(topic, conf, &text);

    snprintf(path, sizeof path, "%.400s/.config", dir);
    if (rc == 0)
        rc = unsynced_make(u, path, text.data, text.len);
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
    if (n < FIRST_TOPIC || n >= store->topics_reserved)
        return err_set(err, ERR_DAMAGED,
                       "%s/.config: its number %s was never given in this store: a copy from "
                       "another? Move it out of the store",
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
    size_t len, total;
    char *text;
    int rc;

    snprintf(path, sizeof path, "%s/.config", name);
    rc = fileio_read_file(store->io, path, CONFIG_MAX, &text, &len);
    if (rc < 0)
        return err_set(err, rc, "%s: %s", path, err_sentence(rc));
    at = text;
    total = len;
    if (len == 0 || text[len - 1] != '\n')
        rc = err_set(err, ERR_DAMAGED, "%s: cut short: its last line does not end", path);
    else if (!take_line(&at, &len, "id=", id, sizeof id) ||
             !take_line(&at, &len, "number=", number, sizeof number))
        rc = err_set(err, ERR_DAMAGED, "%s: does not begin with id= and number=", path);
    if (rc == 0) {
        /* As comments they count, so that what is wrong below is told with its line. */
        text[0] = ((char *)memchr(text, '\n', total))[1] = '#';
        rc = topic_config_parse(&conf, &topic_config_default, text, total, path, err);
    }
    if (rc == 0)
        rc = add_loaded(store, name, id, number, &conf, err);
    free(text);
    return rc;
}

/* -- changing -- */

static int swap_config(struct topic *topic, const struct topic_config *conf)
{
    struct topic_config **olds =
        realloc(topic->old_configs, (topic->old_config_count + 1) * sizeof(struct topic_config *));
    struct topic_config *copy = malloc(sizeof *copy);

    if (olds)
        topic->old_configs = olds;
    if (!olds || !copy) {
        free(copy);
        return -ENOMEM;
    }
    *copy = *conf;
    topic->old_configs[topic->old_config_count++] = atomic_exchange(&topic->config, copy);
    atomic_store(&topic->changed_ms, store_wall_ms(topic->store));
    return 0;
}

static int count_name(void *arg, const char *name, enum fileio_kind kind)
{
    (void)name;
    (void)kind;
    ++*(unsigned *)arg;
    return 0;
}

/* Is that directory a partition as it is made: an empty segment, no more? What
 * else stands there must not be written over. */
static bool is_new(const struct topic *topic, uint32_t index)
{
    static const uint64_t want[] = {[SUFFIX_LOG] = 0, [SUFFIX_IDX] = IDX_HEADER_BYTES};
    struct fileio *io = topic->store->io;
    char path[STORE_PATH_MAX];
    unsigned names = 0;

    path_of_partition(path, topic->name, index);
    if (io->ops->list(io, path, count_name, &names) < 0 || names != 2)
        return false;
    for (int i = SUFFIX_LOG; i <= SUFFIX_IDX; i++) {
        struct fileio_stat st;

        path_of_segment(path, topic->name, index, 0, (enum suffix)i);
        if (io->ops->stat(io, path, &st) < 0 || st.size_bytes != want[i])
            return false;
    }
    return true;
}

static void path_of_new(char out[STORE_PATH_MAX], const struct topic *topic, uint32_t index)
{
    snprintf(out, STORE_PATH_MAX, "%s/.new.%" PRIu32, topic->name, index);
}

/* Partitions [have, count) under temporary names; `alone`: each synced by itself. */
static int make_new(struct topic *topic, uint32_t have, uint32_t count, struct unsynced *u,
                    bool alone, struct err *err)
{
    char path[STORE_PATH_MAX];
    int rc = 0;

    for (uint32_t i = have; rc == 0 && i < count; i++) {
        path_of_new(path, topic, i);
        rc = store_remove_tree(topic->store, path);
        if (rc < 0)
            return err_set(err, rc, "%s: %s", path, err_sentence(rc));
        rc = partition_make_files(topic->store, path, u, err);
        if (rc == 0 && alone) {
            rc = unsynced_sync(u);
            if (rc < 0)
                err_set(err, rc, "%s: %s", path, err_sentence(rc));
        }
    }
    return rc;
}

static int make_new_durably(struct topic *topic, uint32_t have, uint32_t count, struct err *err)
{
    struct unsynced u = {.store = topic->store};
    int rc = make_new(topic, have, count, &u, false, err);
    bool many = unsynced_many(&u);

    if (rc == 0) {
        rc = unsynced_sync(&u);
        if (rc < 0 && many) /* which of them is not on disk nobody knows */
            rc = make_new(topic, have, count, &u, true, err);
        else if (rc < 0)
            err_set(err, rc, "%s: %s", topic->name, err_sentence(rc));
    }
    unsynced_cut(&u, 0);
    return rc;
}

static int name_new(struct topic *topic, uint32_t index, struct err *err)
{
    struct fileio *io = topic->store->io;
    char from[STORE_PATH_MAX];
    char to[STORE_PATH_MAX];
    int rc;

    path_of_new(from, topic, index);
    path_of_partition(to, topic->name, index);
    rc = io->ops->rename(io, from, to);
    if (rc != -ENOTEMPTY && rc != -EEXIST)
        return rc < 0 ? err_set(err, rc, "%s: %s", to, err_sentence(rc)) : 0;
    (void)!store_remove_tree(topic->store, from);
    if (is_new(topic, index))
        return 0; /* made by an attempt that failed after this step */
    return err_set(err, -EEXIST, "%s: there is something in it already", to);
}

/* More partitions, each made under a temporary name and renamed. */
static int grow(struct topic *topic, uint32_t count, struct err *err)
{
    struct fileio *io = topic->store->io;
    uint32_t have = topic_partition_count(topic);
    int rc = make_new_durably(topic, have, count, err);

    for (uint32_t i = have; rc == 0 && i < count; i++)
        rc = name_new(topic, i, err);
    if (rc < 0)
        return rc;
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
    rc = topic_config_write(topic, topic->name, next);
    if (rc < 0)
        return err_set(err, rc, "%s/.config: %s", topic->name, err_sentence(rc));
    if (next->partitions > have)
        rc = topic_add_partitions(topic, (uint32_t)next->partitions, true);
    if (rc == 0)
        rc = now->flush_os && !next->flush_os ? switch_to_disk(topic, next)
                                              : swap_config(topic, next);
    return rc < 0 ? err_set(err, rc, "%s/.config: %s", topic->name, err_sentence(rc)) : 0;
}

/* Whether the line is `key=...`; if so it must be with that value, and becomes a comment. */
static int hide_line(char *line, size_t len, const char *key, const char *value, struct err *err)
{
    size_t key_len = strlen(key);

    if (len <= key_len || memcmp(line, key, key_len) != 0 || line[key_len] != '=')
        return 0;
    if (len - key_len - 1 != strlen(value) || memcmp(line + key_len + 1, value, strlen(value)) != 0)
        return err_set(err, -EINVAL, "%.*s: a topic's %s never changes", (int)(len < 80 ? len : 80),
                       line, key);
    *line = '#';
    return 0;
}

/* id= and number= may be written back as they were read, whatever else an
 * editor put around them. */
static int hide_identity(const struct topic *topic, char *text, size_t len, struct err *err)
{
    char number[16];
    unsigned line_number = 0;
    int rc = 0;

    snprintf(number, sizeof number, "%" PRIu32, topic->number);
    while (rc == 0 && len > 0) {
        char *nl = memchr(text, '\n', len);
        size_t line = nl ? (size_t)(nl - text) : len;

        line_number++;
        rc = hide_line(text, line, "id", topic->id, err);
        if (rc == 0)
            rc = hide_line(text, line, "number", number, err);
        line += nl ? 1 : 0;
        text += line;
        len -= line;
    }
    return rc < 0 ? err_prefix(err, "%s/.config line %u", topic->name, line_number), rc : 0;
}

/* What `next` is with the lines of the text. */
static int parse_change(const struct topic *topic, const char *text, size_t len,
                        struct topic_config *next, struct err *err)
{
    char what[TOPIC_NAME_MAX + 16];
    char *copy = malloc(len + 1);
    int rc;

    if (!copy)
        return err_set(err, -ENOMEM, "%s/.config: %s", topic->name, err_sentence(-ENOMEM));
    memcpy(copy, text, len);
    snprintf(what, sizeof what, "%s/.config", topic->name);
    rc = hide_identity(topic, copy, len, err);
    if (rc == 0)
        rc = topic_config_parse(next, &topic->store->options.topic_default, copy, len, what, err);
    free(copy);
    return rc;
}

static int check_change(const struct topic *topic, const struct topic_config *now,
                        const struct topic_config *next, struct err *err)
{
    if (next->partitions < now->partitions)
        return err_set(err, -EINVAL,
                       "%s/.config: partitions=%" PRIu64 ": there are %" PRIu64
                       " already, and they can only become more",
                       topic->name, next->partitions, now->partitions);
    if (next->mode != now->mode || next->uid != now->uid || next->gid != now->gid)
        return err_set(err, -EINVAL, "%s/.config: mode, uid, gid: change them by chmod and chown",
                       topic->name);
    return 0;
}

/* `delete=ID`, alone: 1; 0: it is something else. */
static int wants_delete(const struct topic *topic, const char *text, size_t len, struct err *err)
{
    static const char key[] = "delete=";
    const size_t key_len = sizeof key - 1;
    const char *at = memmem(text, len, key, key_len);
    const char *id = text + key_len;

    if (!at || (at != text && at[-1] != '\n'))
        return 0;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (at != text || memchr(text, '\n', len))
        return err_set(err, -EINVAL, "%s/.config: delete= has to be written alone", topic->name);
    len -= key_len;
    if (len != strlen(topic->id) || memcmp(id, topic->id, len) != 0)
        return err_set(err, -EINVAL,
                       "%s/.config: delete=%.*s: not the topic's id, which is %s; nothing was "
                       "removed",
                       topic->name, (int)(len < 64 ? len : 64), id, topic->id);
    return 1;
}

int topic_configure(struct topic *topic, const char *text, size_t len, struct err *err)
{
    struct topic_config next;
    int rc = wants_delete(topic, text, len, err);

    if (rc == 1)
        return store_topic_delete(topic, err);
    if (rc == 0)
        rc = store_unclean(topic->store, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&topic->change_lock);
    next = *topic_config(topic);
    if (topic_removed(topic))
        rc = err_set(err, -ENOENT, "%s: was removed", topic->name);
    if (rc == 0)
        rc = parse_change(topic, text, len, &next, err);
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
    int rc = store_unclean(topic->store, err);

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
    rc = topic_removed(topic) ? err_set(err, -ENOENT, "%s: was removed", topic->name)
                              : change(topic, &next, err);
    pthread_mutex_unlock(&topic->change_lock);
    return rc;
}
