/*
 * base/diag: lines for the person who runs the program.
 *
 * One line each on stderr, "topicfs: ..." in front, written with one write(2)
 * so that threads do not mix. Only the edges of the program call this: the
 * daemon, and those threads of the store that nobody waits for.
 * diag_silence() is for tests that provoke thousands of failures.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdbool.h>

void diag_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void diag_silence(bool silent);

#endif
