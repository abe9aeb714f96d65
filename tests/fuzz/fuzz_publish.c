/*
 * Line assembly: the same bytes give the same messages however a writer cuts
 * them into writes.
 *
 * Input: the lengths of the writes, a byte each, up to a 0; then what is
 * written. What must be there: every line that is short enough, in order, and
 * the unfinished rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/publish.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_store.h"

#define MESSAGE_MAX 24
#define SETTINGS    "message.max.bytes=24\nset.max.bytes=64\n"

static struct memtree empty; /* the disk of a store with a topic without messages */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct small_store s;

    (void)argc;
    (void)argv;
    small_store_begin(&s, NULL);
    small_store_open(&s);
    small_store_topic(&s, "t", SETTINGS);
    small_store_kill(&s);
    memtree_copy(&empty, &s.disk->tree);
    small_store_end(&s);
    return 0;
}

/* Writes all of it, as a writer does that goes on behind what was taken, and
 * gives up a line that is refused as too long. */
static void write_all(struct publisher *p, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = publisher_write(p, data, len);

        FUZZ_CHECK(n == -EMSGSIZE || (n > 0 && (size_t)n <= len), "%zu bytes: %zd", len, n);
        if (n < 0) {
            const char *nl = memchr(data, '\n', len);

            n = nl ? nl + 1 - data : (ssize_t)len; /* the next writes are swallowed */
        }
        data += n;
        len -= (size_t)n;
    }
}

/* The lines that are short enough; the rest counts as one. */
static void expect(const char *data, size_t len, struct buf *out)
{
    while (len > 0) {
        const char *nl = memchr(data, '\n', len);
        size_t line = nl ? (size_t)(nl - data) : len;
        int rc = 0;

        if (line < MESSAGE_MAX && buf_add(out, data, line) == 0)
            rc = buf_add(out, "\n", 1);
        FUZZ_CHECK(rc == 0, "out of memory");
        line += nl ? 1 : 0;
        data += line;
        len -= line;
    }
}

static void compare(struct small_store *s, const struct buf *want)
{
    struct partition *part = small_store_part(s, "t", 0);
    struct partition_stat st;
    struct range r = {0};
    char *got = malloc(want->len + 1);

    FUZZ_CHECK(got && partition_stat(part, &st) == 0, "stat");
    FUZZ_CHECK(st.visible_end == want->len, "%zu bytes are published, not %zu",
               (size_t)st.visible_end, want->len);
    if (want->len > 0) {
        FUZZ_CHECK(partition_range(part, 0, UINT64_MAX, &r) == 0 && r.len == want->len, "range");
        FUZZ_CHECK(fileio_read_all(&s->disk->io, r.fd, got, r.len, r.pos) == 0, "read");
        FUZZ_CHECK(memcmp(got, want->data, want->len) == 0, "other bytes are published");
        range_release(&r);
    }
    free(got);
}

static void publish(const char *data, size_t len, const uint8_t *cuts, size_t cut_count)
{
    struct small_store s;
    struct publisher *p;
    struct topic *topic;
    struct buf want = {0};

    expect(data, len, &want);
    small_store_begin(&s, memdisk_from(&empty));
    small_store_open(&s);
    topic = store_topic_find(s.store, "t");
    FUZZ_CHECK(topic && publisher_open(&p, topic, -1) == 0, "publisher_open");
    for (size_t i = 0; i < cut_count && len > 0; i++) {
        size_t n = cuts[i] < len ? cuts[i] : len;

        write_all(p, data, n);
        data += n;
        len -= n;
    }
    write_all(p, data, len);
    publisher_release(p);
    topic_put(topic);
    small_store_flush(&s);
    compare(&s, &want);
    small_store_end(&s);
    buf_release(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    const char *text = (const char *)(zero ? zero + 1 : data + size);
    size_t len = size - (size_t)((const uint8_t *)text - data);

    publish(text, len, data, zero ? (size_t)(zero - data) : size);
    return 0;
}
