/*
 * store/root: what stands in the store's directory besides topics. Not for
 * others; called while the store is opened, but for store_write_format().
 */
#ifndef STORE_ROOT_H
#define STORE_ROOT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/fileio.h"

struct store;

/* Recognises the directory, takes .lock, reads .format or makes it (*fresh).
 * ERR_NOT_A_STORE, ERR_LOCKED, ERR_NEWER_FORMAT, -errno. */
int root_open(struct store *store, bool *fresh, struct err *err) MUST_CHECK;

/* Adds every topic there is; reads only. */
int root_load_topics(struct store *store, struct err *err) MUST_CHECK;

/* What an interrupted start or change leaves in a store's directories: a start
 * removes it, or has it removed. */
bool root_is_left_over(const char *name, enum fileio_kind kind);

#endif
