/* base/diag: lines for the person who runs the program. See diag.h. */
#include "base/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic bool silenced;

void diag_silence(bool silent)
{
    atomic_store(&silenced, silent);
}

void diag_say(const char *fmt, ...)
{
    char line[1024] = "topicfs: ";
    int saved = errno;
    size_t len = strlen(line);
    va_list ap;

    if (atomic_load(&silenced))
        return;
    va_start(ap, fmt);
    vsnprintf(line + len, sizeof line - len - 1, fmt, ap);
    va_end(ap);
    len = strlen(line);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        errno = 0; /* nowhere left to complain */
    errno = saved;
}
