/*
 * store/sealed: the links in TOPIC/sealed, a loader's input directory.
 *
 * A link is made when its segment is sealed, and is durable at the latest with
 * .clean, because a clean start looks at nothing. It is unlinked before its
 * segment is. A recovery makes the directory what it
 * should be: links that are missing are added, and those go that are of no
 * segment any more, or of another file (a store that was copied by a program
 * that does not know hard links). Where a segment is damaged its link stays,
 * whatever it is: it may be the last name of the bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"
#include "store/recover.h"
#include "store/view.h"

#define NAME_TAIL_BYTES 25u /* "-<20 digits>.log" */

int partition_seal_link(struct partition *part, struct segment *seg)
{
    struct fileio *io = part->store->io;
    char from[STORE_PATH_MAX];
    char to[STORE_PATH_MAX];
    int rc;

    path_of_segment(from, part->topic->name, part->index, seg->base, SUFFIX_LOG);
    path_of_sealed(to, part->topic->name, part->index, seg->base);
    rc = io->ops->link(io, from, to);
    if (rc == 0)
        atomic_store(&part->topic->links_new, true);
    return rc == -EEXIST ? 0 : rc;
}

/* "<partition>-<20 digits>.log" */
static bool parse_link(const char *name, uint32_t *partition, uint64_t *base)
{
    size_t len = strlen(name);
    enum suffix suffix;
    uint64_t index;

    if (len <= NAME_TAIL_BYTES || name[len - NAME_TAIL_BYTES] != '-' ||
        !parse_decimal(name, len - NAME_TAIL_BYTES, UINT32_MAX, &index) ||
        parse_segment_name(name + len - NAME_TAIL_BYTES + 1, base, &suffix) < 0)
        return false;
    *partition = (uint32_t)index;
    return suffix == SUFFIX_LOG;
}

static int same_file(struct partition *part, uint64_t base, bool *same)
{
    struct fileio *io = part->store->io;
    struct fileio_stat log;
    struct fileio_stat link;
    char path[STORE_PATH_MAX];
    int rc;

    path_of_segment(path, part->topic->name, part->index, base, SUFFIX_LOG);
    rc = io->ops->stat(io, path, &log);
    path_of_sealed(path, part->topic->name, part->index, base);
    if (rc == 0)
        rc = io->ops->stat(io, path, &link);
    if (rc == 0)
        *same = log.inode == link.inode;
    return rc;
}

/* Has the link to go? */
static bool is_stale(struct topic *topic, uint32_t index, uint64_t base)
{
    struct partition *part = topic_partition(topic, index);
    size_t i;
    bool same = true;

    if (!part || atomic_load(&part->failed))
        return false; /* nobody knows */
    if (base < part->segments[0]->base)
        return true;
    i = view_index(part, base);
    if (part->segments[i]->base != base)
        return false; /* a hole, which is damage */
    if (i + 1 == part->segment_count)
        return true;
    return same_file(part, base, &same) == 0 && !same;
}

struct stale {
    struct topic *topic;
    struct stale_link {
        uint32_t partition;
        uint64_t base;
    } * link;
    size_t count, room;
};

static int note_stale(void *arg, const char *name, enum fileio_kind kind)
{
    struct stale *s = arg;
    uint32_t partition;
    uint64_t base;

    if (kind != FILEIO_FILE || !parse_link(name, &partition, &base) ||
        !is_stale(s->topic, partition, base))
        return 0;
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 16;
        struct stale_link *grown = realloc(s->link, room * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        s->link = grown;
        s->room = room;
    }
    s->link[s->count++] = (struct stale_link){partition, base};
    return 0;
}

static int unlink_stale(struct topic *topic, const char *dir)
{
    struct fileio *io = topic->store->io;
    struct stale s = {.topic = topic};
    int rc = io->ops->list(io, dir, note_stale, &s);

    for (size_t i = 0; rc == 0 && i < s.count; i++) {
        char path[STORE_PATH_MAX];

        path_of_sealed(path, topic->name, s.link[i].partition, s.link[i].base);
        rc = io->ops->unlink(io, path);
        atomic_store(&topic->links_new, true);
    }
    free(s.link);
    return rc;
}

int sealed_sync(struct topic *topic)
{
    char dir[STORE_PATH_MAX];
    int rc;

    if (!atomic_exchange(&topic->links_new, false))
        return 0;
    snprintf(dir, sizeof dir, "%s/sealed", topic->name);
    rc = topic->store->io->ops->sync_dir(topic->store->io, dir);
    return rc == -ENOENT ? 0 : rc;
}

int sealed_rebuild(struct topic *topic)
{
    char dir[STORE_PATH_MAX];
    int rc;

    snprintf(dir, sizeof dir, "%s/sealed", topic->name);
    rc = unlink_stale(topic, dir);
    if (rc == -ENOENT) {
        rc = topic->store->io->ops->mkdir(topic->store->io, dir);
        if (rc == 0)
            rc = topic->store->io->ops->sync_dir(topic->store->io, topic->name);
    }
    for (uint32_t p = 0; rc == 0 && p < topic_partition_count(topic); p++) {
        struct partition *part = topic_partition(topic, p);

        for (size_t i = 0; rc == 0 && i + 1 < part->segment_count; i++) {
            rc = partition_seal_link(part, part->segments[i]);
            if (rc == -ENOENT) /* a .log that is missing is damage, said elsewhere */
                rc = 0;
        }
    }
    return rc;
}
