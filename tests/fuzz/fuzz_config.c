/*
 * Settings: of topics as text, as a write to .config gives them, and of the
 * daemon's --config file.
 *
 * Input: a byte that says which of these; for .config a byte of how the text is
 * cut into writes; then the text.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/config.h"
#include "fs/control.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_store.h"

#define SIZE_MAX_HERE 4096 /* more says nothing new */

static struct memtree one_topic; /* the disk of a store with a topic t */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct small_store s;

    (void)argc;
    (void)argv;
    small_store_begin(&s, NULL);
    small_store_open(&s);
    small_store_topic(&s, "t", "");
    small_store_kill(&s);
    memtree_copy(&one_topic, &s.disk->tree);
    small_store_end(&s);
    return 0;
}

/* What was parsed, printed, and parsed again is the same. */
static void check_printed(const struct topic_config *conf)
{
    struct topic_config again = topic_config_default;
    struct buf text = {0};
    struct err err;

    FUZZ_CHECK(topic_config_check(conf, &err) == 0, "settings that do not go together: %s",
               err.text);
    FUZZ_CHECK(topic_config_print(conf, &text) == 0, "print");
    FUZZ_CHECK(topic_config_parse(&again, &topic_config_default, text.data, text.len, "printed",
                                  &err) == 0,
               "what was printed does not parse: %s", err.text);
    FUZZ_CHECK(memcmp(&again, conf, sizeof again) == 0, "printed and parsed, and it is another");
    buf_release(&text);
}

static void parse_topic(const char *text, size_t len)
{
    struct topic_config conf = topic_config_default;
    struct err err = {0};
    int rc = topic_config_parse(&conf, &topic_config_default, text, len, "t", &err);

    FUZZ_CHECK(rc == 0 || (rc == -EINVAL && err.text[0]), "parse: %d, '%s'", rc, err.text);
    if (rc < 0)
        FUZZ_CHECK(memcmp(&conf, &topic_config_default, sizeof conf) == 0,
                   "refused, and settings have changed");
    check_printed(&conf);
}

/* -- writing to .config -- */

static struct topic_config config_of(struct small_store *s)
{
    struct topic *topic = store_topic_find(s->store, "t");
    struct topic_config conf;

    FUZZ_CHECK(topic, "the topic is gone");
    conf = *topic_config(topic);
    FUZZ_CHECK(topic_partition_count(topic) == conf.partitions, "partitions are missing");
    topic_put(topic);
    return conf;
}

/* A topic of 100,000 partitions takes its time to make, and says nothing new. */
static bool many_partitions(const char *text, size_t len)
{
    static const char key[] = "partitions=";
    const char *end = text + len;

    while ((text = memmem(text, (size_t)(end - text), key, sizeof key - 1))) {
        text += sizeof key - 1;
        if (end - text > 1 && text[1] >= '0' && text[1] <= '9')
            return true;
    }
    return false;
}

static void write_config(const char *text, size_t len, size_t piece)
{
    struct small_store s;
    struct topic_config before;
    struct topic_config after;
    struct control *c;
    struct topic *topic;

    small_store_begin(&s, memdisk_from(&one_topic));
    small_store_open(&s);
    topic = store_topic_find(s.store, "t");
    FUZZ_CHECK(topic && control_open(&c, topic) == 0, "control_open");
    while (len > 0) {
        size_t n = piece > 0 && piece < len ? piece : len;
        ssize_t rc;

        before = config_of(&s);
        rc = control_write(c, text, n);
        after = config_of(&s);
        FUZZ_CHECK(rc == (ssize_t)n || rc == -EINVAL, "write: %zd", rc);
        FUZZ_CHECK(rc >= 0 || memcmp(&before, &after, sizeof after) == 0, "refused, and changed");
        text += n;
        len -= n;
    }
    before = config_of(&s);
    FUZZ_CHECK(control_flush(c) == 0 ||
                   (after = config_of(&s), memcmp(&before, &after, sizeof after) == 0),
               "refused at the close, and changed");
    control_release(c);
    topic_put(topic);
    before = config_of(&s);
    check_printed(&before);
    small_store_kill(&s);
    small_store_open(&s);
    after = config_of(&s);
    FUZZ_CHECK(memcmp(&before, &after, sizeof after) == 0, "another after a kill");
    small_store_end(&s);
}

/* -- the daemon's file -- */

static void check_same_daemon(const struct config *a, const struct config *b)
{
    FUZZ_CHECK(memcmp(&a->topic, &b->topic, sizeof a->topic) == 0, "a topic's settings differ");
    FUZZ_CHECK(a->root_mode == b->root_mode && a->journal_bytes == b->journal_bytes &&
                   a->journal_part_bytes == b->journal_part_bytes && a->broker == b->broker,
               "the daemon's own settings differ");
}

/* All settings of conf, as a file has them. Those of a topic that the file may not
 * have are not in it. */
static void print_daemon(const struct config *conf, struct buf *out)
{
    char *line;
    char *rest;
    struct buf topic = {0};
    int rc =
        buf_printf(out,
                   "# printed\nroot.mode=%" PRIo64 "\njournal.bytes=%" PRIu64
                   "\njournal.part.bytes=%" PRIu64 "\nbroker=%" PRIu64 "\n",
                   conf->root_mode, conf->journal_bytes, conf->journal_part_bytes, conf->broker);

    if (rc == 0)
        rc = topic_config_print(&conf->topic, &topic);
    if (rc == 0)
        rc = buf_add(&topic, "", 1);
    for (line = rc == 0 ? strtok_r(topic.data, "\n", &rest) : NULL; line && rc == 0;
         line = strtok_r(NULL, "\n", &rest)) {
        char key[64];

        snprintf(key, sizeof key, "%.*s", (int)strcspn(line, "="), line);
        if (config_knows(key))
            rc = buf_printf(out, "%s\n", line);
    }
    FUZZ_CHECK(rc == 0, "print");
    buf_release(&topic);
}

static int read_daemon(struct config *conf, const char *text, size_t len, struct err *err)
{
    char path[64];
    int fd = memfd_create("config", MFD_CLOEXEC);
    int rc;

    FUZZ_CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len, "memfd");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    config_init(conf);
    rc = config_read_file(conf, path, err);
    close(fd);
    return rc;
}

static void parse_daemon(const char *text, size_t len)
{
    struct err err = {0};
    struct buf printed = {0};
    struct config conf;
    struct config again;
    int rc = read_daemon(&conf, text, len, &err);

    FUZZ_CHECK(rc == 0 || (rc == -EINVAL && err.text[0]), "file: %d, '%s'", rc, err.text);
    print_daemon(&conf, &printed);
    rc = read_daemon(&again, printed.data, printed.len, &err);
    FUZZ_CHECK(rc == 0, "what was printed is refused: %s", err.text);
    check_same_daemon(&conf, &again);
    config_release(&conf);
    config_release(&again);
    buf_release(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data + 2;

    if (size < 2 || size > SIZE_MAX_HERE)
        return 0;
    switch (data[0] % 3) {
    case 0: parse_topic(text, size - 2); break;
    case 1: parse_daemon(text, size - 2); break;
    default:
        if (!many_partitions(text, size - 2))
            write_config(text, size - 2, data[1]);
        break;
    }
    return 0;
}
