/* base/buf: a byte buffer that grows up to a cap. See buf.h. */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int buf_reserve(struct buf *b, size_t more)
{
    size_t cap = b->cap ? b->cap : BUF_DEFAULT_CAP;
    size_t room = b->room ? b->room : 256;
    char *data;

    if (more <= b->room - b->len)
        return 0;
    if (b->len > cap || more > cap - b->len)
        return -EMSGSIZE;
    while (room < b->len + more)
        room *= 2;
    if (room > cap)
        room = cap;
    data = realloc(b->data, room);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->room = room;
    return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
    int rc = buf_reserve(b, len);

    if (rc == 0 && len > 0) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
    return rc;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int want;
    int rc;

    va_start(ap, fmt);
    want = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (want < 0)
        return -EINVAL;
    rc = buf_reserve(b, (size_t)want + 1);
    if (rc < 0)
        return rc;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)want + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)want;
    return 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

void buf_release(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->room = 0;
}
