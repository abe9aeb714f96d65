/* base/err: codes, their sentences and their errno. See err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int code;
    int errnum;
    const char *sentence;
} table[] = {
    {ERR_TORN, EIO, "unfinished, as a crash leaves it"},
    {ERR_DAMAGED, EIO, "damaged"},
    {ERR_OUT_OF_RANGE, ERANGE, "has not come yet"},
    {ERR_NOT_A_BOUNDARY, EINVAL, "not the beginning of a message"},
    {ERR_GONE, ESTALE, "removed by retention, or left out"},
    {ERR_STOPPING, ESHUTDOWN, "the store is being closed"},
    {ERR_NEWER_FORMAT, EIO, "written by a newer version of topicfs"},
    {ERR_NOT_A_STORE, EINVAL, "not a topicfs store"},
    {ERR_LOCKED, EBUSY, "used by another process"},
    {ERR_FAILED, EROFS, "read-only since a write to disk failed"},
    {ERR_BAD_SEQUENCE, EILSEQ, "does not follow the producer's last set"},
    {ERR_OLD_EPOCH, ESTALE, "of an ended epoch of its producer"},
    {ERR_NO_PRODUCER, ESRCH, "of a producer that is not known"},
};

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;

        va_start(ap, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return code;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    size_t used;
    va_list ap;

    if (!err)
        return 0;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    used = strlen(text);
    snprintf(text + used, sizeof text - used, ": %.*s", (int)(sizeof text - used - 3), err->text);
    memcpy(err->text, text, sizeof text);
    return err->code;
}

const char *err_sentence(int code)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code)
            return table[i].sentence;
    return strerror(code < 0 ? -code : code);
}

int err_errno(int code)
{
    if (code > -4096)
        return code < 0 ? -code : code;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code)
            return table[i].errnum;
    return EIO;
}
