/*
 * daemon/cmdline: what the words behind `topicfs` say.
 *
 * Options are the table in cmdline.c. A setting may stand
 *   on the command line    --flush-ms 50   --flush-ms=50
 *   in a mount option      -o flush.ms=50
 *   in a --config file     flush.ms=50
 * and the former two go before the file. `topicfs STORE MOUNTPOINT -o ...`, as
 * mount(8) calls it, means --daemon. --help prints options and settings from
 * their tables; docs/topicfs.1 is checked against it.
 */
#ifndef DAEMON_CMDLINE_H
#define DAEMON_CMDLINE_H

#include "base/buf.h"
#include "base/err.h"
#include "daemon/config.h"

#define TOPICFS_VERSION "0.1.0"

/*
 * Reads the words and the files they name into *conf, which this initialises
 * and the caller releases, in any case. A negative code has a sentence that
 * says which word is wrong. Where the task is not CONFIG_RUN, nothing else
 * need be there.
 */
int cmdline_read(struct config *conf, int argc, char *const *argv, struct err *err) MUST_CHECK;

/* Adds the text of --help. */
int cmdline_help(struct buf *out) MUST_CHECK;

#endif
