/*
 * daemon/config: the settings that the daemon runs with.
 *
 * A setting has a key with dots (flush.ms). The daemon's own are the table in
 * config.c; a topic's are those of store/topicconf, here the defaults for
 * topics made from now on. Where they may be said: cmdline.h, and a file of
 * lines `key=value`, in which `#` begins a comment line.
 *
 * Plain data, used by the main thread before there is any other.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/topicconf.h"

struct config {
    enum config_task { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION } task;
    char *store;
    char *mountpoint;
    char *log;                /* NULL = syslog */
    struct buf mount_options; /* for the mount itself: comma separated, NUL-terminated */
    bool background;
    bool allow_other;
    bool no_passthrough;

    struct topic_config topic; /* for new topics */
    uint64_t root_mode;
    uint64_t journal_bytes;
    uint64_t journal_part_bytes;
    uint64_t retention_check_ms;
    uint64_t scrub_bytes_per_second;
    uint64_t broker;
};

/* All defaults; to be released. */
void config_init(struct config *conf);
void config_release(struct config *conf);

bool config_knows(const char *key);
/* An empty value resets to the default. -EINVAL: the sentence is about
 * `key=value`. Settings that do not go together are not looked for here. */
int config_set(struct config *conf, const char *key, const char *value, struct err *err) MUST_CHECK;
/* The settings in a file; the sentence names the line. */
int config_read_file(struct config *conf, const char *path, struct err *err) MUST_CHECK;

/* Calls fn with each key, its default's text and a line of help: of a topic's
 * settings, or of the daemon's own. */
typedef void config_describe_fn(void *arg, const char *key, const char *value, const char *help);
void config_describe(bool of_topics, config_describe_fn *fn, void *arg);

#endif
