/* fs/control: .config and .offsets of a topic. See control.h. */
#include "fs/control.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"

struct control {
    struct topic *topic;
    pthread_mutex_t lock; /* of text */
    struct buf text;      /* the unfinished line, and while a write is looked at, all of it */
};

int control_offsets_text(struct topic *topic, struct buf *out)
{
    uint32_t count = topic_partition_count(topic);
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct partition_stat st;

        rc = partition_stat(topic_partition(topic, i), &st);
        if (rc == 0)
            rc = buf_printf(out, "%" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", i,
                            st.first, st.sealed_end, st.visible_end, st.messages);
    }
    return rc;
}

int control_open(struct control **out, struct topic *topic)
{
    struct control *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    c->topic = topic_get(topic);
    c->text.cap = 2 * CONTROL_TEXT_MAX;
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return 0;
}

void control_release(struct control *c)
{
    pthread_mutex_destroy(&c->lock);
    buf_release(&c->text);
    topic_put(c->topic);
    free(c);
}

static int say(const struct control *c, int rc, const struct err *err)
{
    if (err->text[0])
        diag_say("%s", err->text);
    else
        diag_say("%s/.config: %s", topic_name(c->topic), err_sentence(rc));
    return rc;
}

static int apply(struct control *c, size_t len)
{
    struct err err = {0};
    int rc = topic_configure(c->topic, c->text.data, len, &err);

    return rc < 0 ? say(c, rc, &err) : 0;
}

static int take(struct control *c, const char *text, size_t len)
{
    const char *last;
    size_t whole;
    int rc;

    if (len > CONTROL_TEXT_MAX || c->text.len + len > CONTROL_TEXT_MAX) {
        struct err err;

        rc = err_set(&err, -EINVAL, "%s/.config: more than %zu bytes at once", topic_name(c->topic),
                     CONTROL_TEXT_MAX);
        return say(c, rc, &err);
    }
    rc = buf_add(&c->text, text, len);
    if (rc < 0)
        return rc;
    last = memrchr(c->text.data, '\n', c->text.len);
    if (!last)
        return 0;
    whole = (size_t)(last - c->text.data) + 1;
    rc = apply(c, whole);
    memmove(c->text.data, c->text.data + whole, c->text.len - whole);
    c->text.len -= whole;
    return rc;
}

ssize_t control_write(struct control *c, const void *text, size_t len)
{
    int rc;

    if (len == 0)
        return 0;
    pthread_mutex_lock(&c->lock);
    rc = take(c, text, len);
    if (rc < 0)
        buf_clear(&c->text);
    pthread_mutex_unlock(&c->lock);
    return rc < 0 ? rc : (ssize_t)len;
}

int control_flush(struct control *c)
{
    int rc = 0;

    pthread_mutex_lock(&c->lock);
    if (c->text.len > 0)
        rc = apply(c, c->text.len);
    buf_clear(&c->text);
    pthread_mutex_unlock(&c->lock);
    return rc;
}
