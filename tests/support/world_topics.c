/* tests/support/world_topics: topics of a world come and go. See world.h. */
#include <stdio.h>
#include <string.h>

#include "store/topic_make.h"
#include "tests/support/world.h"

struct ledger_config world_looked_at(const struct topic_config *config, uint64_t partitions)
{
    return (struct ledger_config){
        .done = LEDGER_NEVER,
        .flush_ms = config->flush_ms,
        .partitions = (uint32_t)partitions,
        .os = config->flush_os,
    };
}

/* Notes that a topic is asked for, and what it is to be like. */
static struct ledger_topic *want(struct world *w, const char *name, const char *conf,
                                 struct topic_config *config)
{
    struct ledger_topic *t = ledger_add_topic(&w->ledger, name, memdisk_at(w->disk));
    struct err err = {0};

    *config = topic_config_default;
    config->segment_bytes = 64 << 10;
    config->set_max_bytes = 24 << 10;
    config->message_max_bytes = 16 << 10;
    if (topic_config_parse(config, &topic_config_default, conf, strlen(conf), "scenario", &err) <
        0) {
        world_wrong(w, "making topic %s: %s", name, err.text);
        return t;
    }
    ledger_add_config(t, world_looked_at(config, config->partitions));
    t->configs[0].begun = memdisk_at(w->disk);
    ledger_config_done(t, memdisk_at(w->disk));
    return t;
}

static void made(struct world *w, struct ledger_topic *t, int rc, const struct err *err)
{
    if (rc == 0)
        t->made = memdisk_at(w->disk);
    else if (!w->lenient) /* else it stays in flight: who knows */
        world_wrong(w, "making topic %s: %d: %s", t->name, rc, err->text);
}

void world_topic(struct world *w, const char *name, const char *conf)
{
    struct topic_config config;
    struct err err = {0};
    struct ledger_topic *t = want(w, name, conf, &config);

    made(w, t, store_topic_create(w->store, name, &config, NULL, &err), &err);
}

void world_topics(struct world *w, const char *const *names, size_t n, const char *conf)
{
    struct ledger_topic *t[WORLD_TOGETHER];
    struct topic_config config[WORLD_TOGETHER] = {0};
    struct making m[WORLD_TOGETHER] = {0};
    struct err err[WORLD_TOGETHER] = {0};

    for (size_t i = 0; i < n; i++)
        t[i] = want(w, names[i], conf, &config[i]);
    for (size_t i = 0; i + 1 < n; i++) {
        m[i] = (struct making){.name = names[i], .conf = &config[i], .err = &err[i]};
        topic_want(w->store, &m[i]);
    }
    m[n - 1].rc = store_topic_create(w->store, names[n - 1], &config[n - 1], NULL, &err[n - 1]);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && !m[i].done)
            world_wrong(w, "making topic %s: not with the others", names[i]);
        if (m[i].topic)
            topic_put(m[i].topic);
        made(w, t[i], m[i].rc, &err[i]);
    }
}

bool world_made(const struct world *w, const char *name)
{
    const struct ledger_topic *t = ledger_topic(&w->ledger, name);

    return t && t->made != LEDGER_NEVER && t->removed == LEDGER_NEVER;
}

bool world_has(const struct world *w, const char *name)
{
    struct topic *topic = w->store && world_made(w, name) ? store_topic_find(w->store, name) : NULL;

    if (topic)
        topic_put(topic);
    return topic;
}

static void removed(struct world *w, struct ledger_topic *t, int rc, const struct err *err)
{
    if (rc == 0)
        t->removed = memdisk_at(w->disk);
    else if (!w->lenient)
        world_wrong(w, "removing topic %s: %d: %s", t->name, rc, err->text);
}

void world_remove(struct world *w, const char *name)
{
    struct ledger_topic *t = ledger_topic(&w->ledger, name);
    struct err err = {0};

    t->removing = memdisk_at(w->disk);
    removed(w, t, store_topic_remove(w->store, name, &err), &err);
}

void world_delete(struct world *w, const char *name)
{
    struct ledger_topic *t = ledger_topic(&w->ledger, name);
    struct topic *topic = store_topic_find(w->store, name);
    struct err err = {0};
    char text[64];

    t->removing = memdisk_at(w->disk);
    snprintf(text, sizeof text, "delete=%s\n", topic_id(topic));
    removed(w, t, topic_configure(topic, text, strlen(text), &err), &err);
    topic_put(topic);
}
