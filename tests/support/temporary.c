/* tests/support/temporary: see the header. */
#include "tests/support/temporary.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

void temporary_make(char dir[TEMPORARY_MAX], const char *name)
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(dir, TEMPORARY_MAX, "%s/topicfs-%s.XXXXXX", tmp ? tmp : "/tmp", name);

    ck_assert_int_lt(n, TEMPORARY_MAX);
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

void temporary_remove(const char *dir)
{
    char command[TEMPORARY_MAX + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}
