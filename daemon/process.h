/*
 * daemon/process: limits, signals, the way to the background.
 *
 * Called by the main thread while it is the only one, but for
 * process_notify_manager().
 */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include <signal.h>
#include <stdbool.h>

#include "base/err.h"

/* Limits and memory; blocks the signals that the program takes with sigwait():
 * SIGTERM, SIGINT, SIGHUP and SIGUSR1, with which it wakes itself. */
void process_prepare(sigset_t *signals);

/*
 * Forks. True in the child, which is a session of its own; *ready_fd is then
 * for process_let_go(). False in the parent once the child has let go, or has
 * ended, or where there could be no child: *exit_status says how that went.
 * If the parent is killed while it waits, the child gets SIGTERM.
 */
bool process_to_background(const sigset_t *signals, int *ready_fd, int *exit_status);

/* The child works: the parent may return. */
int process_let_go(int ready_fd, struct err *err) MUST_CHECK;

/*
 * Who uses the store may be about to end: umount(8) returns before the process
 * behind the mount has flushed its last messages, kill(1) before anything has
 * happened. Waits for the end of the process that the store's .lock names, but no
 * longer than somebody at a terminal would: whether it came.
 */
bool process_await_user_of(const char *store);

/* systemd's Type=notify: `text` to the socket that the environment names. */
void process_notify_manager(const char *text);

#endif
