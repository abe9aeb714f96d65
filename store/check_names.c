/*
 * store/check: every name in the store: what is none of a store's, and the
 * links in sealed/. See checking.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/plural.h"
#include "store/checking.h"
#include "store/root.h"

struct listing {
    struct check *c;
    struct topic *topic;
    const char *dir;
};

static bool is_in(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static void report(const struct listing *l, const char *name, enum fileio_kind kind)
{
    bool left_over = root_is_left_over(name, kind);

    check_found(l->c, left_over ? FOUND_LEFT_OVER : FOUND_FOREIGN, "%s%s%s: %s", l->dir,
                *l->dir ? "/" : "", name,
                left_over ? "unfinished" : "not a name that topicfs gives");
}

/* -- the root -- */

static int name_in_root(void *arg, const char *name, enum fileio_kind kind)
{
    static const char *const files[] = {".format",    ".lock",    ".clean",       ".journal.0",
                                        ".journal.1", ".reserve", ".registry.db", "lost+found"};

    if (is_in(name, files, sizeof files / sizeof *files) ||
        (kind == FILEIO_DIR && topic_name_valid(name)))
        return 0; /* a directory that is no topic was found at the start */
    report(arg, name, kind);
    return 0;
}

/* -- a topic -- */

static int name_in_topic(void *arg, const char *name, enum fileio_kind kind)
{
    struct listing *l = arg;
    uint32_t count = topic_partition_count(l->topic);
    uint64_t p;

    if (strcmp(name, ".config") == 0 || strcmp(name, "sealed") == 0)
        return 0;
    if (kind != FILEIO_DIR || !parse_decimal(name, strlen(name), UINT32_MAX, &p))
        report(l, name, kind);
    else if (p >= count)
        check_found(l->c, FOUND_FOREIGN,
                    "%s/%s: the topic has %" PRIu32 " partition%s; one was being added, or it was "
                    "made by hand",
                    l->dir, name, count, plural(count));
    return 0;
}

static int name_in_partition(void *arg, const char *name, enum fileio_kind kind)
{
    enum suffix suffix;
    uint64_t base;

    if (parse_segment_name(name, &base, &suffix) < 0)
        report(arg, name, kind);
    return 0;
}

/* -- sealed/ -- */

/* "PARTITION-BASE.log": a link's name. NULL: it is none. */
static struct partition *partition_of_link(const struct topic *topic, const char *name,
                                           uint64_t *base)
{
    const char *dash = strchr(name, '-');
    enum suffix suffix;
    uint64_t p;

    if (!dash || !parse_decimal(name, (size_t)(dash - name), UINT32_MAX, &p) ||
        parse_segment_name(dash + 1, base, &suffix) < 0 || suffix != SUFFIX_LOG)
        return NULL;
    return topic_partition(topic, (uint32_t)p);
}

static int name_in_sealed(void *arg, const char *name, enum fileio_kind kind)
{
    struct listing *l = arg;
    uint64_t base;
    struct partition *part = partition_of_link(l->topic, name, &base);
    size_t i = 0;

    while (part && i < part->segment_count && part->segments[i]->base != base)
        i++;
    if (kind == FILEIO_FILE && part && i == part->segment_count)
        check_found(l->c, FOUND_SEALED_ALONE, "%s/%s: its segment is not there", l->dir, name);
    else if (kind != FILEIO_FILE || !part || i + 1 == part->segment_count)
        report(l, name, kind); /* the newest segment has no link */
    return 0;
}

static void check_link(struct check *c, struct partition *part, uint64_t base)
{
    struct fileio_stat segment;
    struct fileio_stat link;
    char path[STORE_PATH_MAX];
    int rc;

    path_of_segment(path, part->topic->name, part->index, base, SUFFIX_LOG);
    if (c->raw->ops->stat(c->raw, path, &segment) < 0)
        return; /* its loss is reported elsewhere */
    path_of_sealed(path, part->topic->name, part->index, base);
    rc = c->raw->ops->stat(c->raw, path, &link);
    if (rc == -ENOENT)
        check_found(c, FOUND_SEALED_MISSING, "%s: not there", path);
    else if (rc < 0 || link.inode != segment.inode)
        check_found(c, FOUND_SEALED_WRONG, "%s: not a link to the segment", path);
}

/* -- all of it -- */

static int list(struct listing *l, const char *dir, fileio_list_fn *fn, struct err *err)
{
    int rc;

    l->dir = dir;
    rc = l->c->raw->ops->list(l->c->raw, dir, fn, l);
    if (rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP)
        return 0; /* found by who needs it */
    return rc < 0 ? err_set(err, rc, "%s: %s", dir, err_sentence(rc)) : 0;
}

static int check_topic(struct listing *l, struct err *err)
{
    char dir[STORE_PATH_MAX];
    int rc = list(l, l->topic->name, name_in_topic, err);

    for (uint32_t p = 0; rc == 0 && p < topic_partition_count(l->topic); p++) {
        struct partition *part = topic_partition(l->topic, p);

        rc = partition_load(part, err);
        path_of_partition(dir, l->topic->name, p);
        if (rc == 0)
            rc = list(l, dir, name_in_partition, err);
        for (size_t i = 0; rc == 0 && i + 1 < part->segment_count; i++)
            check_link(l->c, part, part->segments[i]->base);
    }
    snprintf(dir, sizeof dir, "%s/sealed", l->topic->name);
    return rc == 0 ? list(l, dir, name_in_sealed, err) : rc;
}

int check_names(struct check *c, struct err *err)
{
    struct listing l = {.c = c};
    int rc = list(&l, "", name_in_root, err);

    for (size_t i = 0; rc == 0 && i < c->store->topic_count; i++) {
        l.topic = c->store->by_number[i];
        rc = check_topic(&l, err);
    }
    return rc;
}
