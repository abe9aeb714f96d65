/*
 * base/buf: a byte buffer that grows up to a cap.
 *
 * Every growing buffer in the program is one of these, so that nothing grows
 * without a bound. Owned by one thread at a time. Zero-initialised is empty;
 * buf_release() frees and makes it empty again.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

#include "base/err.h"

struct buf {
    char *data;
    size_t len;
    size_t room; /* allocated */
    size_t cap;  /* never more than this; 0 = BUF_DEFAULT_CAP */
};

#define BUF_DEFAULT_CAP ((size_t)64 << 20)

/* Makes room for `more` bytes after len. -ENOMEM, or -EMSGSIZE above the cap. */
int buf_reserve(struct buf *b, size_t more) MUST_CHECK;
int buf_add(struct buf *b, const void *data, size_t len) MUST_CHECK;
int buf_printf(struct buf *b, const char *fmt, ...) MUST_CHECK
    __attribute__((format(printf, 2, 3)));
void buf_clear(struct buf *b);
void buf_release(struct buf *b);

#endif
