/*
 * store/root: .format, .lock, .reserve, and what a crash left beside them.
 * See root.h; formats in docs/on-disk-format.md.
 */
#include "store/root.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "store/findings.h"
#include "store/inside.h"
#include "store/recover.h"

#define RESERVE_MIN_BYTES ((uint64_t)8 << 20)
#define FORMAT_MAX        ((size_t)4096)
#define PRODUCERS_STEP    1024u

/* -- random -- */

uint64_t store_random(struct store *store)
{
    uint64_t v;

    if (store->options.random_seed == 0 && getrandom(&v, sizeof v, 0) == (ssize_t)sizeof v)
        return v;
    v = (store->rng += 0x9e3779b97f4a7c15u); /* splitmix64 */
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

static const char hex_digits[] = "0123456789abcdef";

static void uuid_text(const uint8_t u[16], char text[37])
{
    char *at = text;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex_digits[u[i] >> 4];
        *at++ = hex_digits[u[i] & 15];
    }
    *at = '\0';
}

void store_uuid(struct store *store, uint8_t uuid[16], char text[37])
{
    for (int i = 0; i < 2; i++) {
        uint64_t v = store_random(store);

        memcpy(uuid + (size_t)i * 8, &v, 8);
    }
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    uuid_text(uuid, text);
}

static bool uuid_parse(const char *text, uint8_t out[16])
{
    char again[37];
    size_t n = 0;

    memset(out, 0, 16);
    for (const char *at = text; *at; at++) {
        const char *digit = strchr(hex_digits, *at);

        if (!digit)
            continue;
        if (n == 32)
            return false;
        out[n / 2] = (uint8_t)(out[n / 2] << 4 | (digit - hex_digits));
        n++;
    }
    uuid_text(out, again);
    return strcmp(again, text) == 0;
}

/* -- .format -- */

int store_write_format(struct store *store)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "topicfs %d\nstore %s\ncluster %s\nbroker %" PRIu32 "\nincarnation %" PRIu64
                     " %s\nregistry local\ntopics %" PRIu32 "\nproducers %" PRIu32 "\n",
                     FORMAT_VERSION, store->uuid_text, store->cluster_text, store->options.broker,
                     store->incarnation, store->nonce, store->topics_reserved,
                     store->producers_reserved);

    return fileio_replace_file(store->io, "", ".format", text, (size_t)n);
}

int store_producer_id(struct store *store, int64_t *id, struct err *err)
{
    uint32_t before;
    int rc = 0;

    pthread_mutex_lock(&store->make_lock);
    before = store->producers_reserved;
    if (store->next_producer >= before && before > UINT32_MAX - PRODUCERS_STEP) {
        rc = -ENOSPC;
    } else if (store->next_producer >= before) {
        store->producers_reserved = before + PRODUCERS_STEP;
        rc = store_write_format(store);
        if (rc < 0)
            store->producers_reserved = before;
    }
    if (rc == 0)
        *id = (int64_t)((uint64_t)store->options.broker << 32 | store->next_producer++);
    pthread_mutex_unlock(&store->make_lock);
    return rc < 0 ? err_set(err, rc, ".format: %s", err_sentence(rc)) : 0;
}

/* The line "KEY VALUE" of .format: what is behind it, or NULL where there is another. */
static const char *format_line(const char *text, const char *key, char *value, size_t size)
{
    size_t key_len = strlen(key);
    size_t len;

    if (!text || strncmp(text, key, key_len) != 0 || text[key_len] != ' ')
        return NULL;
    text += key_len + 1;
    len = strcspn(text, "\n");
    if (text[len] == '\0' || len >= size)
        return NULL;
    memcpy(value, text, len);
    value[len] = '\0';
    return text + len + 1;
}

static const char *format_number(const char *text, const char *key, uint32_t *out)
{
    char value[16];
    uint64_t v;

    text = format_line(text, key, value, sizeof value);
    if (!text || !parse_decimal(value, strlen(value), UINT32_MAX, &v))
        return NULL;
    *out = (uint32_t)v;
    return text;
}

static bool incarnation_parse(struct store *store, const char *value)
{
    size_t len = strcspn(value, " ");

    if (!parse_decimal(value, len, UINT64_MAX, &store->incarnation) || value[len] == '\0' ||
        strlen(value + len + 1) >= sizeof store->nonce)
        return false;
    snprintf(store->nonce, sizeof store->nonce, "%s", value + len + 1);
    return true;
}

static int format_parse(struct store *store, const char *text, struct err *err)
{
    char registry[16];
    char incarnation[40];
    uint32_t version;
    uint32_t broker;
    const char *at = format_number(text, "topicfs", &version);

    if (!at)
        return err_set(err, ERR_NOT_A_STORE, ".format: not that of a topicfs store");
    if (version != FORMAT_VERSION)
        return err_set(err, ERR_NEWER_FORMAT,
                       ".format: version %" PRIu32 ", and this topicfs knows %d: use a newer one; "
                       "nothing was changed",
                       version, FORMAT_VERSION);
    at = format_line(at, "store", store->uuid_text, sizeof store->uuid_text);
    at = format_line(at, "cluster", store->cluster_text, sizeof store->cluster_text);
    at = format_number(at, "broker", &broker);
    at = format_line(at, "incarnation", incarnation, sizeof incarnation);
    at = format_line(at, "registry", registry, sizeof registry);
    at = format_number(at, "topics", &store->topics_reserved);
    at = format_number(at, "producers", &store->producers_reserved);
    if (!at || !uuid_parse(store->uuid_text, store->uuid) ||
        !incarnation_parse(store, incarnation) || strcmp(registry, "local") != 0 ||
        store->topics_reserved < FIRST_TOPIC)
        return err_set(err, ERR_DAMAGED, ".format: cannot be read");
    if (store->options.any_broker)
        store->options.broker = broker;
    if (broker != store->options.broker)
        return err_set(err, -EINVAL,
                       ".format: the store of broker %" PRIu32 ", not %" PRIu32
                       ": start it with --broker %" PRIu32,
                       broker, store->options.broker, broker);
    return 0;
}

static int format_make(struct store *store, struct err *err)
{
    int rc;

    store_uuid(store, store->uuid, store->uuid_text);
    memcpy(store->cluster_text, store->uuid_text, sizeof store->cluster_text);
    store->incarnation = 0;
    store->topics_reserved = FIRST_TOPIC;
    snprintf(store->nonce, sizeof store->nonce, "%016" PRIx64, store_random(store));
    rc = store_write_format(store);
    return rc < 0 ? err_set(err, rc, ".format: %s", err_sentence(rc)) : 0;
}

/* -- is it a store? -- */

struct look {
    bool format;
    bool foreign;
    char name[64];
};

static int look_name(void *arg, const char *name, enum fileio_kind kind)
{
    struct look *l = arg;

    (void)kind;
    if (strcmp(name, ".format") == 0)
        l->format = true;
    else if (strcmp(name, ".lock") != 0 && strcmp(name, ".format.tmp") != 0 &&
             strcmp(name, "lost+found") != 0) {
        l->foreign = true;
        snprintf(l->name, sizeof l->name, "%s", name);
    }
    return 0;
}

static int look_at_root(struct store *store, struct look *l, struct err *err)
{
    int rc;

    *l = (struct look){0};
    rc = store->io->ops->list(store->io, "", look_name, l);
    if (rc < 0)
        return err_set(err, rc, "%s", err_sentence(rc));
    if (!l->format && l->foreign)
        return err_set(err, ERR_NOT_A_STORE,
                       "not a topicfs store: it has no .format, but has %s in it: name an empty "
                       "or a new directory",
                       l->name);
    return 0;
}

/* -- .lock -- */

static void read_boot_id(struct store *store)
{
    int fd;
    ssize_t n = 0;

    if (store->options.boot_id) {
        snprintf(store->boot_id, sizeof store->boot_id, "%s", store->options.boot_id);
        return;
    }
    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, store->boot_id, sizeof store->boot_id - 1);
        close(fd);
    }
    store->boot_id[n > 0 ? n : 0] = '\0';
    store->boot_id[strcspn(store->boot_id, "\n")] = '\0';
}

/* Names the process that `text`, the .lock, speaks of, with as much of its
 * command line as the sentence and the name of the store before it have room for. */
static void locked_by(const char *text, struct err *err)
{
    const size_t room = sizeof err->text / 2;
    char path[64];
    char command[sizeof err->text] = "";
    long pid = strtol(text, NULL, 10);
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, command, sizeof command - 1);
        close(fd);
    }
    for (ssize_t i = 0; i + 1 < n; i++)
        if (command[i] == '\0')
            command[i] = ' ';
    if (n <= 0)
        err_set(err, ERR_LOCKED, "locked by process %ld", pid);
    else
        err_set(err, ERR_LOCKED, "locked by process %ld (%.*s%s)", pid, (int)room, command,
                strlen(command) > room ? "..." : "");
}

static int take_lock(struct store *store, struct err *err)
{
    struct fileio *io = store->io;
    char before[128] = "";
    char now[128];
    ssize_t got;
    int n;
    int rc;

    read_boot_id(store);
    store->lock_fd = io->ops->open(io, ".lock", FILEIO_WRITE | FILEIO_CREATE);
    if (store->lock_fd < 0)
        return err_set(err, store->lock_fd, ".lock: %s", err_sentence(store->lock_fd));
    got = io->ops->pread(io, store->lock_fd, before, sizeof before - 1, 0);
    rc = io->ops->lock(io, store->lock_fd);
    if (rc == -EWOULDBLOCK) {
        locked_by(before, err);
        return ERR_LOCKED;
    }
    if (rc < 0)
        return err_set(err, rc, ".lock: %s", err_sentence(rc));
    n = snprintf(now, sizeof now, "%ld %s\n", (long)getpid(), store->boot_id);
    store->same_boot = got > 0 && *store->boot_id && strstr(before, store->boot_id);
    rc = io->ops->truncate(io, store->lock_fd, 0);
    if (rc == 0)
        rc = fileio_write_bytes(io, store->lock_fd, now, (size_t)n, 0);
    if (rc == -ENOSPC || rc == -EDQUOT)
        rc = 0; /* the flock is what counts */
    return rc < 0 ? err_set(err, rc, ".lock: %s", err_sentence(rc)) : 0;
}

int root_open(struct store *store, bool *fresh, struct err *err)
{
    struct look l;
    size_t len;
    char *text;
    int rc = look_at_root(store, &l, err);

    if (rc == 0)
        rc = take_lock(store, err);
    if (rc == 0)
        rc = look_at_root(store, &l, err); /* somebody may have made it meanwhile */
    if (rc < 0)
        return rc;
    *fresh = !l.format;
    if (*fresh) {
        rc = format_make(store, err);
    } else {
        rc = fileio_read_file(store->io, ".format", FORMAT_MAX, &text, &len);
        if (rc < 0)
            return err_set(err, rc, ".format: %s", err_sentence(rc));
        rc = format_parse(store, text, err);
        free(text);
    }
    store->next_topic = store->topics_reserved;
    store->next_producer = store->producers_reserved;
    if (rc == 0) {
        store->root_fd = store->io->ops->open(store->io, "", FILEIO_DIRECTORY);
        if (store->root_fd < 0)
            rc = err_set(err, store->root_fd, "%s", err_sentence(store->root_fd));
    }
    return rc;
}

/* -- topics -- */

struct loading {
    struct store *store;
    struct err *err;
};

/* ".del.<number>": a topic that was removed, and what is not unlinked of it yet. */
static bool is_grave(const char *name, enum fileio_kind kind, uint32_t *number)
{
    uint64_t v;

    if (kind != FILEIO_DIR || strncmp(name, ".del.", 5) != 0 ||
        !parse_decimal(name + 5, strlen(name + 5), UINT32_MAX, &v))
        return false;
    *number = (uint32_t)v;
    return true;
}

static int load_name(void *arg, const char *name, enum fileio_kind kind)
{
    struct loading *l = arg;
    struct fileio_stat st;
    char path[STORE_PATH_MAX];
    uint32_t number;
    struct err err;
    int rc;

    if (is_grave(name, kind, &number))
        retain_bury(&l->store->retainer, number);
    if (kind != FILEIO_DIR || !topic_name_valid(name))
        return 0;
    rc = topic_load(l->store, name, &err);
    snprintf(path, sizeof path, "%s/0", name);
    if (rc == -ENOENT && l->store->io->ops->stat(l->store->io, path, &st) == -ENOENT) {
        found_say(l->store, FOUND_FOREIGN, "%s: not a topic; left alone", name);
    } else if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EEXIST ||
               rc == ERR_NEWER_FORMAT) {
        return err_set(l->err, rc, "%s", err.text);
    } else if (rc < 0) {
        found_say(l->store, FOUND_TOPIC, "%s; the topic is left out", err.text);
        l->store->left_out++;
    }
    return 0;
}

int root_load_topics(struct store *store, struct err *err)
{
    struct loading l = {store, err};
    int rc;

    store->loading = true; /* they come in no order */
    rc = store->io->ops->list(store->io, "", load_name, &l);
    return rc < 0 ? rc : store_end_loading(store, err);
}

/* -- .reserve -- */

int store_reserve(struct store *store, uint64_t journal_bytes)
{
    struct fileio *io = store->io;
    uint64_t want = journal_bytes * 2;
    uint64_t have = 0;
    int fd;
    int rc;

    for (int i = 0; journal_bytes == 0 && i < 2; i++)
        want += store->journal.file[i].size * 2;
    if (want < RESERVE_MIN_BYTES)
        want = RESERVE_MIN_BYTES;
    if (want <= store->reserved_bytes)
        return 0;
    fd = io->ops->open(io, ".reserve", FILEIO_WRITE | FILEIO_CREATE);
    if (fd < 0)
        return fd;
    rc = io->ops->size(io, fd, &have);
    if (rc == 0 && have < want)
        rc = io->ops->fallocate(io, fd, have, want - have);
    if (rc == 0 && have < want)
        rc = io->ops->fdatasync(io, fd);
    io->ops->close(io, fd);
    if (rc == 0)
        store->reserved_bytes = want;
    return rc;
}

/* -- left-overs -- */

struct name_list {
    char (*name)[256];
    size_t count, room;
    bool (*wanted)(const char *name, enum fileio_kind kind);
};

static int keep_name(void *arg, const char *name, enum fileio_kind kind)
{
    struct name_list *l = arg;

    if ((l->wanted && !l->wanted(name, kind)) || strlen(name) >= sizeof *l->name)
        return 0;
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 16;
        char(*grown)[256] = realloc(l->name, room * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        l->name = grown;
        l->room = room;
    }
    snprintf(l->name[l->count++], sizeof *l->name, "%s", name);
    return 0;
}

int store_remove_tree(struct store *store, const char *path)
{
    struct fileio *io = store->io;
    struct name_list names = {0};
    struct fileio_stat st;
    int rc = io->ops->stat(io, path, &st);

    if (atomic_load(&store->retainer.stop))
        return ERR_STOPPING;
    if (rc == -ENOENT)
        return 0;
    if (rc < 0 || st.kind != FILEIO_DIR)
        return rc < 0 ? rc : io->ops->unlink(io, path);
    rc = io->ops->list(io, path, keep_name, &names);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        char child[STORE_PATH_MAX];

        if (snprintf(child, sizeof child, "%s/%s", path, names.name[i]) >= (int)sizeof child)
            rc = -ENAMETOOLONG;
        else
            rc = store_remove_tree(store, child); /* a store is three deep */
    }
    free(names.name);
    return rc == 0 ? io->ops->rmdir(io, path) : rc;
}

bool root_is_left_over(const char *name, enum fileio_kind kind)
{
    size_t len = strlen(name);

    return strncmp(name, ".new.", 5) == 0 || strncmp(name, ".del.", 5) == 0 ||
           (kind == FILEIO_FILE && name[0] == '.' && len > 4 &&
            strcmp(name + len - 4, ".tmp") == 0);
}

/* A grave can be large: it is unlinked when the store is open. */
static bool left_over(const char *name, enum fileio_kind kind)
{
    uint32_t number;

    return !is_grave(name, kind, &number) && root_is_left_over(name, kind);
}

static int sweep_dir(struct store *store, const char *dir)
{
    struct name_list names = {.wanted = left_over};
    int rc = store->io->ops->list(store->io, dir, keep_name, &names);

    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        char path[STORE_PATH_MAX];

        snprintf(path, sizeof path, "%.249s%s%.255s", dir, *dir ? "/" : "", names.name[i]);
        rc = store_remove_tree(store, path);
    }
    if (rc == 0 && names.count > 0)
        rc = store->io->ops->sync_dir(store->io, dir);
    free(names.name);
    return rc;
}

int store_sweep(struct store *store, struct err *err)
{
    int rc = sweep_dir(store, "");

    for (size_t i = 0; rc == 0 && i < store->topic_count; i++)
        rc = sweep_dir(store, store->by_number[i]->name);
    return rc < 0 ? err_set(err, rc, "removing left-overs: %s", err_sentence(rc)) : 0;
}
