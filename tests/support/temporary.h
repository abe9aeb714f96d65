/*
 * tests/support/temporary: a directory of a test's own, below TMPDIR. The test removes it;
 * tests/run.sh removes what is left by one that did not come to its end.
 */
#ifndef TESTS_SUPPORT_TEMPORARY_H
#define TESTS_SUPPORT_TEMPORARY_H

#define TEMPORARY_MAX 256

/* Makes TMPDIR/topicfs-NAME.XXXXXX. */
void temporary_make(char dir[TEMPORARY_MAX], const char *name);

/* Removes it with all that is in it. */
void temporary_remove(const char *dir);

#endif
