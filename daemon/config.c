/* daemon/config: the settings, their table and their file. See config.h. */
#include "daemon/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)

static const struct setting {
    const char *key;
    size_t at; /* of the uint64_t in struct config */
    uint64_t initial, min, max;
    int base; /* 8 or 10 */
    const char *unit;
    const char *help;
} settings[] = {
    {"root.mode", offsetof(struct config, root_mode), 0755, 1, 0777, 8, "mode bits",
     "of the mount's top; who may write to it may make topics"},
    {"journal.bytes", offsetof(struct config, journal_bytes), 134217728, 16777216, 68719476736, 10,
     "bytes", "the commit journal's two files together, at most"},
    {"journal.part.bytes", offsetof(struct config, journal_part_bytes), 262144, 1, 1048576, 10,
     "bytes", "a partition with more to flush is flushed by itself"},
    {"retention.check.ms", offsetof(struct config, retention_check_ms), 60000, 1, 86400000, 10,
     "milliseconds", "how often it is looked for segments that retention is to remove"},
    {"scrub.bytes.per.second", offsetof(struct config, scrub_bytes_per_second), 16777216, 0,
     1099511627776, 10, "bytes", "how much of sealed segments is verified meanwhile; 0: nothing"},
    {"broker", offsetof(struct config, broker), 1, 1, INT32_MAX, 10, "a broker",
     "this broker's id"},
};

#define SETTING_COUNT (sizeof settings / sizeof *settings)

/* Those of a topic that chmod and chown set have no default to give here. */
static bool is_access_key(const char *key)
{
    return strcmp(key, "mode") == 0 || strcmp(key, "uid") == 0 || strcmp(key, "gid") == 0;
}

struct key_search {
    const char *key;
    bool found;
};

static void compare_key(void *arg, const char *key, const char *value, const char *help)
{
    struct key_search *search = arg;

    (void)value;
    (void)help;
    if (strcmp(key, search->key) == 0 && !is_access_key(key))
        search->found = true;
}

static const struct setting *find_setting(const char *key)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings[i].key, key) == 0)
            return &settings[i];
    return NULL;
}

bool config_knows(const char *key)
{
    struct key_search search = {.key = key};

    topic_config_describe(compare_key, &search);
    return search.found || find_setting(key);
}

static void put_number(struct config *conf, const struct setting *s, uint64_t v)
{
    memcpy((char *)conf + s->at, &v, sizeof v);
}

int config_set(struct config *conf, const char *key, const char *value, struct err *err)
{
    const struct setting *s = find_setting(key);
    char *end;
    uint64_t v;

    if (!s)
        return topic_config_set(&conf->topic, &topic_config_default, key, value, err);
    if (!*value) {
        put_number(conf, s, s->initial);
        return 0;
    }
    errno = 0;
    v = strtoull(value, &end, s->base);
    if (*value < '0' || *value > '9' || *end || errno)
        return err_set(err, -EINVAL, "%s=%s: not a number of %s", key, value, s->unit);
    if (v < s->min || v > s->max)
        return err_set(err, -EINVAL,
                       s->base == 8 ? "%s=%s: must be from %" PRIo64 " to %" PRIo64
                                    : "%s=%s: must be from %" PRIu64 " to %" PRIu64,
                       key, value, s->min, s->max);
    put_number(conf, s, v);
    return 0;
}

void config_init(struct config *conf)
{
    memset(conf, 0, sizeof *conf);
    conf->topic = topic_config_default;
    for (size_t i = 0; i < SETTING_COUNT; i++)
        put_number(conf, &settings[i], settings[i].initial);
}

void config_release(struct config *conf)
{
    free(conf->store);
    free(conf->mountpoint);
    free(conf->log);
    buf_release(&conf->mount_options);
}

/* -- files -- */

static int apply_file_line(struct config *conf, char *line, struct err *err)
{
    char *eq = strchr(line, '=');

    if (!*line || *line == '#')
        return 0;
    if (!eq)
        return err_set(err, -EINVAL, "%s: not of the form key=value", line);
    *eq = '\0';
    if (!config_knows(line))
        return err_set(err, -EINVAL, "%s: no such setting", line);
    return config_set(conf, line, eq + 1, err);
}

static int apply_text(struct config *conf, const char *path, char *text, struct err *err)
{
    unsigned number = 1;

    for (char *line = text, *next; line; line = next, number++) {
        int rc;

        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        rc = apply_file_line(conf, line, err);
        if (rc < 0) {
            err_prefix(err, "%s line %u", path, number);
            return rc;
        }
    }
    return 0;
}

static int read_whole(int fd, struct buf *text)
{
    ssize_t n;

    text->cap = FILE_MAX_BYTES;
    do {
        if (buf_reserve(text, 4096) < 0)
            return -EFBIG;
        n = read(fd, text->data + text->len, text->room - text->len - 1);
        if (n > 0)
            text->len += (size_t)n;
    } while (n > 0);
    text->data[text->len] = '\0';
    return n < 0 ? -errno : 0;
}

int config_read_file(struct config *conf, const char *path, struct err *err)
{
    struct buf text = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : read_whole(fd, &text);

    if (rc < 0)
        err_set(err, rc, "%s: %s", path, err_sentence(rc));
    else
        rc = apply_text(conf, path, text.data, err);
    buf_release(&text);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* -- describing -- */

struct describer {
    config_describe_fn *fn;
    void *arg;
};

static void describe_topic_setting(void *arg, const char *key, const char *value, const char *help)
{
    const struct describer *d = arg;

    if (!is_access_key(key))
        d->fn(d->arg, key, value, help);
}

void config_describe(bool of_topics, config_describe_fn *fn, void *arg)
{
    struct describer d = {.fn = fn, .arg = arg};
    char text[32];

    if (of_topics) {
        topic_config_describe(describe_topic_setting, &d);
        return;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        snprintf(text, sizeof text, settings[i].base == 8 ? "%04" PRIo64 : "%" PRIu64,
                 settings[i].initial);
        fn(arg, settings[i].key, text, settings[i].help);
    }
}
