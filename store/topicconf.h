/*
 * store/topicconf: the settings of a topic, as values and as text.
 *
 * The text is lines `key=value`; the table in topicconf.c names every key with
 * its limits. An unknown key, a value that is none, two settings that do not
 * go together: -EINVAL, the sentence names the line, and nothing was changed.
 * Plain data: no locks, no allocation.
 */
#ifndef STORE_TOPICCONF_H
#define STORE_TOPICCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct topic_config {
    uint64_t partitions;
    uint64_t values_any; /* 0 = lines */
    uint64_t segment_bytes;
    uint64_t segment_ms;
    uint64_t retention_ms;    /* 0 = off */
    uint64_t retention_bytes; /* 0 = off */
    uint64_t flush_os;        /* 0 = disk */
    uint64_t flush_messages;
    uint64_t flush_ms;
    uint64_t ack_write; /* 0 = close */
    uint64_t message_max_bytes;
    uint64_t set_max_bytes;
    uint64_t mode; /* 0777 bits */
    uint64_t uid, gid;
};

extern const struct topic_config topic_config_default;

/* Applies lines of text over *conf. `key=` alone resets to *defaults. Blank
 * lines and lines beginning with '#' are skipped. what names the text in
 * sentences. Checks the result as a whole. */
int topic_config_parse(struct topic_config *conf, const struct topic_config *defaults,
                       const char *text, size_t len, const char *what, struct err *err) MUST_CHECK;

/* One setting, as the command line gives it. */
int topic_config_set(struct topic_config *conf, const struct topic_config *defaults,
                     const char *key, const char *value, struct err *err) MUST_CHECK;

/* All settings as `key=value` lines, in the table's order. */
int topic_config_print(const struct topic_config *conf, struct buf *out) MUST_CHECK;

/* -EINVAL where settings do not go together. */
int topic_config_check(const struct topic_config *conf, struct err *err) MUST_CHECK;

/* Calls fn with each key, its default's text and one line of help. */
void topic_config_describe(void (*fn)(void *arg, const char *key, const char *value,
                                      const char *help),
                           void *arg);

#endif
