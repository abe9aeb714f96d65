/*
 * store/root: what stands in the store's directory besides topics. Not for
 * others; called while the store is opened, but for store_write_format().
 */
#ifndef STORE_ROOT_H
#define STORE_ROOT_H

#include <stdbool.h>

#include "base/err.h"

struct store;

/* Recognises the directory, takes .lock, reads .format or makes it (*fresh).
 * ERR_NOT_A_STORE, ERR_LOCKED, ERR_NEWER_FORMAT, -errno. */
int root_open(struct store *store, bool *fresh, struct err *err) MUST_CHECK;

/* Adds every topic there is; reads only. */
int root_load_topics(struct store *store, struct err *err) MUST_CHECK;

#endif
