/*
 * daemon/check: the command `topicfs check STORE`.
 *
 * Findings go to standard output, a line each, and a line that sums up;
 * progress to standard error, where that is a terminal or is asked for. The
 * exit status is the verdict; docs/topicfs.1 has them.
 */
#ifndef DAEMON_CHECK_H
#define DAEMON_CHECK_H

enum check_status {
    CHECK_CLEAN = 0,
    CHECK_MENDS = 1, /* nothing is lost, nothing need be done */
    CHECK_USAGE = 2,
    CHECK_DAMAGED = 3,
    CHECK_REPAIRED = 4,
    CHECK_IN_USE = 5,
    CHECK_NOT_DONE = 6, /* it could not be checked */
};

/* argv: the words behind "check". Returns the exit status. */
int check_command(int argc, char *const *argv);

#endif
