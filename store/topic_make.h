/*
 * store/topic_make: topics that are made together. For store/, and tests.
 */
#ifndef STORE_TOPIC_MAKE_H
#define STORE_TOPIC_MAKE_H

#include <stdbool.h>

#include "store/store.h"

/* A topic that somebody wants; all else is zero. His memory, until it is done. */
struct making {
    const char *name;
    const struct topic_config *conf;
    struct err *err; /* may be NULL */

    bool done;           /* store.make_lock */
    int rc;              /* then: whether it was made, ... */
    struct topic *topic; /* ... and a reference to it, to be put */

    char dir[TOPIC_NAME_MAX + 8]; /* inside: where it is until it has its name */
    bool renamed;                 /* inside */
    struct making *next;          /* inside */
};

/* Adds a topic, whose name and settings are valid, to those wanted: the next
 * store_topic_create(), or the one that runs, makes it with its own. */
void topic_want(struct store *store, struct making *m);

#endif
