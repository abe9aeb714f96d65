/* tests/support/history: see history.h. */
#include "tests/support/history.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "store/format.h"

struct work {
    struct fileio *io;
    const char *topic;
    const struct history *h;
    uint32_t crc; /* of a message's bytes */
    uint8_t *idx; /* of one segment */
    size_t idx_bytes;
};

static uint64_t message_bytes(const struct history *h)
{
    return h->segment_bytes / h->messages;
}

static int make_topic(const struct store_options *options, const char *topic,
                      const struct history *h, struct err *err)
{
    struct topic_config conf = topic_config_default;
    struct store *store;
    int rc = store_open(&store, options, err);
    int closed;

    if (rc < 0)
        return rc;
    conf.segment_bytes = h->segment_bytes * 2 < INT32_MAX ? h->segment_bytes * 2 : INT32_MAX;
    conf.message_max_bytes = conf.set_max_bytes = message_bytes(h);
    conf.retention_ms = 0;
    rc = store_topic_create(store, topic, &conf, NULL, err);
    closed = store_close(store, rc == 0 ? err : NULL);
    return rc < 0 ? rc : closed;
}

static uint32_t crc_of_message(uint64_t bytes)
{
    static const uint8_t zeros[4096];
    uint32_t crc = 0;

    for (uint64_t left = bytes - 1; left > 0;) {
        size_t n = left < sizeof zeros ? (size_t)left : sizeof zeros;

        crc = crc32c_extend(crc, zeros, n);
        left -= n;
    }
    return crc32c_extend(crc, "\n", 1);
}

static void fill_idx(struct work *w, uint64_t index)
{
    const struct history *h = w->h;
    struct idx_header header = {
        .base_offset = index * h->segment_bytes,
        .base_number = index * h->messages,
        .base_time_ms = h->begin_ms + index * h->messages,
    };
    struct idx_slot slot = {header.base_offset + h->segment_bytes, 1};

    idx_header_encode(w->idx, &header);
    idx_slot_encode(w->idx + IDX_SLOT_AT(1), &slot, header.base_offset);
    for (uint32_t i = 0; i < h->messages; i++) {
        struct idx_entry e = {.end = (uint32_t)((i + 1) * message_bytes(h)), .time_ms = i};

        idx_entry_encode(w->idx + IDX_HEADER_BYTES + (size_t)i * IDX_ENTRY_BYTES, &e, w->crc,
                         header.base_offset);
    }
}

static int open_file(struct work *w, uint64_t index, enum suffix suffix)
{
    char path[STORE_PATH_MAX];

    path_of_segment(path, w->topic, 0, index * w->h->segment_bytes, suffix);
    return w->io->ops->open(w->io, path, FILEIO_WRITE | FILEIO_CREATE);
}

static int write_idx(struct work *w, uint64_t index)
{
    int fd = open_file(w, index, SUFFIX_IDX);
    int rc;

    if (fd < 0)
        return fd;
    fill_idx(w, index);
    rc = fileio_write_bytes(w->io, fd, w->idx, w->idx_bytes, 0);
    w->io->ops->close(w->io, fd);
    return rc;
}

/* The newlines; all else is a hole. */
static int write_log(struct work *w, uint64_t index)
{
    int fd = open_file(w, index, SUFFIX_LOG);
    int rc = 0;

    if (fd < 0)
        return fd;
    for (uint32_t i = 1; rc == 0 && i <= w->h->messages; i++)
        rc = fileio_write_bytes(w->io, fd, "\n", 1, i * message_bytes(w->h) - 1);
    w->io->ops->close(w->io, fd);
    return rc;
}

int history_make(const struct store_options *options, const char *topic, const struct history *h,
                 struct err *err)
{
    struct work w = {.io = options->io, .topic = topic, .h = h};
    int rc = make_topic(options, topic, h, err);

    if (rc < 0)
        return rc;
    rc = w.io->ops->unlink(w.io, ".clean");
    w.crc = crc_of_message(message_bytes(h));
    w.idx_bytes = IDX_HEADER_BYTES + (size_t)h->messages * IDX_ENTRY_BYTES;
    w.idx = calloc(1, w.idx_bytes);
    if (rc == 0 && !w.idx)
        rc = -ENOMEM;
    for (uint64_t i = 0; rc == 0 && i < h->segments; i++) {
        rc = write_idx(&w, i);
        if (rc == 0)
            rc = write_log(&w, i);
    }
    free(w.idx);
    return rc < 0 ? err_set(err, rc, "%s: %s", topic, err_sentence(rc)) : 0;
}
