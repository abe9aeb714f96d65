/*
 * tests/support/suite: how every program of tests/unit runs its checks.
 */
#ifndef TESTS_SUPPORT_SUITE_H
#define TESTS_SUPPORT_SUITE_H

#include <check.h>

/* Runs the suite, as verbose as CK_VERBOSITY says, and frees it. For main() to return:
 * EXIT_FAILURE if a check failed, and if none was run. */
int suite_run(Suite *suite);

#endif
