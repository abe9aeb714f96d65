/*
 * daemon/log: where messages go once there is no terminal.
 *
 * After log_start() everything written to stdout and stderr, by whatever part
 * of the program or its libraries, goes line by line to syslog (facility
 * daemon), or with a time in front to a file. A thread carries it there, so
 * that nobody waits for a slow log: lines that it cannot keep up with are lost.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "base/err.h"

/* file NULL: syslog. Fails where the file cannot be opened. To be called with
 * the signals blocked, before log_start(). */
int log_open(const char *file, struct err *err) MUST_CHECK;

/* Takes stdin, stdout and stderr away from the terminal. */
int log_start(struct err *err) MUST_CHECK;

/* Opens the file anew, as log rotation wants it. */
void log_reopen(void);

/* Carries what is left and ends the thread. Nothing where nothing was started. */
void log_end(void);

#endif
