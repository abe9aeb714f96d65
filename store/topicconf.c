/*
 * store/topicconf: the settings of a topic. See topicconf.h.
 *
 * One table says everything about a setting; parsing, printing and the help
 * of the command line are loops over it.
 */
#include "store/topicconf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/format.h"

#define SEGMENT_MAX ((uint64_t)INT32_MAX) /* positions are 31 bits */

const struct topic_config topic_config_default = {
    .partitions = 1,
    .segment_bytes = 536870912,
    .segment_ms = 604800000,
    .retention_ms = 604800000,
    .flush_messages = 10000,
    .flush_ms = 100,
    .message_max_bytes = 1048576,
    .set_max_bytes = 8388608,
    .mode = 0755,
};

enum kind { NUMBER, OCTAL, CHOICE, LIMIT /* a number, or "off", which is 0 */ };

static const struct setting {
    const char *key;
    size_t at; /* of the uint64_t in struct topic_config */
    enum kind kind;
    uint64_t min, max;
    const char *words[2]; /* CHOICE: the names of 0 and 1 */
    const char *unit;
    const char *help;
} settings[] = {
#define AT(field) offsetof(struct topic_config, field)
    {"partitions", AT(partitions), NUMBER, 1, 100000, {0}, "partitions", "how many; may rise"},
    {"values",
     AT(values_any),
     CHOICE,
     0,
     1,
     {"lines", "any"},
     NULL,
     "lines: a value has no newline, so a line is a message; any: all bytes"},
    {"segment.bytes",
     AT(segment_bytes),
     NUMBER,
     8192,
     SEGMENT_MAX,
     {0},
     "bytes",
     "a segment's files stay below this"},
    {"segment.ms",
     AT(segment_ms),
     NUMBER,
     1000,
     4000000000,
     {0},
     "milliseconds",
     "a segment older than this is sealed at the next append"},
    {"retention.ms",
     AT(retention_ms),
     LIMIT,
     1,
     INT64_MAX,
     {0},
     "milliseconds",
     "segments whose messages are all older are removed; off: never"},
    {"retention.bytes",
     AT(retention_bytes),
     LIMIT,
     1,
     INT64_MAX,
     {0},
     "bytes",
     "so much of a partition is kept, the rest removed by whole segments; off: all"},
    {"flush.sync",
     AT(flush_os),
     CHOICE,
     0,
     1,
     {"disk", "os"},
     NULL,
     "disk: visible means on disk; os: visible at once, a power cut may take it"},
    {"flush.messages",
     AT(flush_messages),
     NUMBER,
     1,
     UINT32_MAX,
     {0},
     "messages",
     "flush when so many wait"},
    {"flush.ms",
     AT(flush_ms),
     NUMBER,
     0,
     86400000,
     {0},
     "milliseconds",
     "flush so long after the first that waits"},
    {"ack",
     AT(ack_write),
     CHOICE,
     0,
     1,
     {"close", "write"},
     NULL,
     "write: write(2) itself waits for the flush"},
    {"message.max.bytes",
     AT(message_max_bytes),
     NUMBER,
     1,
     SEGMENT_MAX,
     {0},
     "bytes",
     "the longest message, its newline counted"},
    {"set.max.bytes",
     AT(set_max_bytes),
     NUMBER,
     1,
     SEGMENT_MAX,
     {0},
     "bytes",
     "the most that is appended as one set"},
    {"mode", AT(mode), OCTAL, 0, 0777, {0}, "mode bits", "the access list, as chmod sets it"},
    {"uid", AT(uid), NUMBER, 0, UINT32_MAX - 1, {0}, "user", "the owner, as chown sets it"},
    {"gid", AT(gid), NUMBER, 0, UINT32_MAX - 1, {0}, "group", "the group, as chown sets it"},
#undef AT
};

#define COUNT (sizeof settings / sizeof *settings)

static uint64_t *field(struct topic_config *conf, const struct setting *s)
{
    return (uint64_t *)(void *)((char *)conf + s->at);
}

static uint64_t value_of(const struct topic_config *conf, const struct setting *s)
{
    uint64_t v;

    memcpy(&v, (const char *)conf + s->at, sizeof v);
    return v;
}

static const struct setting *find(const char *key, size_t len)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strlen(settings[i].key) == len && memcmp(settings[i].key, key, len) == 0)
            return &settings[i];
    return NULL;
}

static bool parse_octal(const char *text, size_t len, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (len == 0 || len > 6)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '7')
            return false;
        v = v * 8 + (uint64_t)(text[i] - '0');
    }
    *out = v;
    return v <= max;
}

static int parse_value(const struct setting *s, const char *text, size_t len, uint64_t *out,
                       struct err *err)
{
    bool ok = false;

    if (s->kind == CHOICE) {
        for (uint64_t i = 0; i < 2; i++)
            if (strlen(s->words[i]) == len && memcmp(s->words[i], text, len) == 0) {
                *out = i;
                return 0;
            }
        return err_set(err, -EINVAL, "%s=%.*s: must be %s or %s", s->key, (int)len, text,
                       s->words[0], s->words[1]);
    }
    if (s->kind == LIMIT && len == 3 && memcmp(text, "off", 3) == 0) {
        *out = 0;
        return 0;
    }
    ok = s->kind == OCTAL ? parse_octal(text, len, s->max, out)
                          : parse_decimal(text, len, UINT64_MAX, out);
    if (!ok)
        return err_set(err, -EINVAL, "%s=%.*s: not a number of %s", s->key, (int)len, text,
                       s->unit);
    if (*out < s->min || *out > s->max)
        return err_set(err, -EINVAL, "%s=%.*s: must be from %" PRIu64 " to %" PRIu64, s->key,
                       (int)len, text, s->min, s->max);
    return 0;
}

static int apply(struct topic_config *conf, const struct topic_config *defaults, const char *key,
                 size_t key_len, const char *value, size_t value_len, struct err *err)
{
    const struct setting *s = find(key, key_len);
    uint64_t next;
    int rc = 0;

    if (!s)
        return err_set(err, -EINVAL, "%.*s: no such setting", (int)key_len, key);
    if (value_len == 0)
        next = value_of(defaults, s);
    else
        rc = parse_value(s, value, value_len, &next, err);
    if (rc == 0)
        *field(conf, s) = next;
    return rc;
}

int topic_config_check(const struct topic_config *conf, struct err *err)
{
    if (conf->message_max_bytes > conf->set_max_bytes)
        return err_set(err, -EINVAL,
                       "message.max.bytes=%" PRIu64 " is above set.max.bytes=%" PRIu64,
                       conf->message_max_bytes, conf->set_max_bytes);
    if (conf->segment_bytes / 2 < conf->set_max_bytes)
        return err_set(err, -EINVAL,
                       "segment.bytes=%" PRIu64 " is below twice set.max.bytes=%" PRIu64,
                       conf->segment_bytes, conf->set_max_bytes);
    return 0;
}

int topic_config_set(struct topic_config *conf, const struct topic_config *defaults,
                     const char *key, const char *value, struct err *err)
{
    return apply(conf, defaults, key, strlen(key), value, strlen(value), err);
}

int topic_config_parse(struct topic_config *conf, const struct topic_config *defaults,
                       const char *text, size_t len, const char *what, struct err *err)
{
    struct topic_config next = *conf;
    unsigned line_number = 0;
    int rc;

    while (len > 0) {
        const char *nl = memchr(text, '\n', len);
        size_t line = nl ? (size_t)(nl - text) : len;
        const char *eq = memchr(text, '=', line);

        line_number++;
        if (line > 0 && *text != '#') {
            if (!eq)
                rc = err_set(err, -EINVAL, "%.*s: not of the form key=value", (int)line, text);
            else
                rc = apply(&next, defaults, text, (size_t)(eq - text), eq + 1,
                           (size_t)(text + line - eq - 1), err);
            if (rc < 0)
                return err_prefix(err, "%s line %u", what, line_number), rc;
        }
        line += nl ? 1 : 0;
        text += line;
        len -= line;
    }
    rc = topic_config_check(&next, err);
    if (rc < 0)
        return err_prefix(err, "%s", what), rc;
    *conf = next;
    return 0;
}

static int print_value(const struct setting *s, uint64_t v, struct buf *out)
{
    if (s->kind == CHOICE)
        return buf_printf(out, "%s", s->words[v != 0]);
    if (s->kind == LIMIT && v == 0)
        return buf_printf(out, "off");
    return s->kind == OCTAL ? buf_printf(out, "%04" PRIo64, v) : buf_printf(out, "%" PRIu64, v);
}

int topic_config_print(const struct topic_config *conf, struct buf *out)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < COUNT; i++) {
        rc = buf_printf(out, "%s=", settings[i].key);
        if (rc == 0)
            rc = print_value(&settings[i], value_of(conf, &settings[i]), out);
        if (rc == 0)
            rc = buf_add(out, "\n", 1);
    }
    return rc;
}

void topic_config_describe(void (*fn)(void *arg, const char *key, const char *value,
                                      const char *help),
                           void *arg)
{
    struct buf text = {0};

    for (size_t i = 0; i < COUNT; i++) {
        buf_clear(&text);
        if (print_value(&settings[i], value_of(&topic_config_default, &settings[i]), &text) == 0 &&
            buf_add(&text, "", 1) == 0)
            fn(arg, settings[i].key, text.data, settings[i].help);
    }
    buf_release(&text);
}
