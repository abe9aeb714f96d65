/* fs/tree: directories: what they list, making and removing topics. */
#include <errno.h>
#include <string.h>

#include "fs/tree.h"

/* Cookies of the fixed names; below FIRST_COOKIE for good. */
enum {
    DOT = 1,
    DOT_DOT = 2,
    STATUS = 3, /* in the root */
    METRICS = 4,
    PUBLISH = 3, /* in a topic or a partition */
    CONFIG = 4,
    OFFSETS = 5,
    FIRST_COOKIE = 16,
};

/* In sealed/ a cookie is 16 + (partition, base) in 63 bits, the sign bit being
 * no use to telldir(3): 65,536 partitions of 128 TiB. Segments beyond are not
 * listed there. */
#define SEALED_BASE_BITS 47
#define SEALED_BASE_MAX  (((uint64_t)1 << SEALED_BASE_BITS) - 1 - FIRST_COOKIE)

/* A listing under way. Once fn has returned non-zero, nothing is emitted. */
struct listing {
    const struct node *dir;
    uint64_t after;
    tree_list_fn *fn;
    void *arg;
    bool full;
};

static bool emit(struct listing *l, uint64_t cookie, const char *name, const struct node_key *key,
                 uint32_t type)
{
    struct tree_entry entry = {name, node_ino(key), type, cookie};

    if (!l->full && cookie > l->after)
        l->full = l->fn(l->arg, &entry) != 0;
    return !l->full;
}

static bool emit_fixed(struct listing *l, uint64_t cookie, const char *name, enum node_kind kind)
{
    struct node_key key = {kind, l->dir->key.topic, l->dir->key.partition, 0, 0, NULL};

    return emit(l, cookie, name, &key, S_IFREG);
}

static bool emit_dots(struct listing *l)
{
    const struct node *up = l->dir->parent ? l->dir->parent : l->dir;

    return emit(l, DOT, ".", &l->dir->key, S_IFDIR) && emit(l, DOT_DOT, "..", &up->key, S_IFDIR);
}

static void list_root(struct tree *tree, struct listing *l)
{
    uint64_t after = l->after < FIRST_COOKIE ? FIRST_COOKIE - 1 : l->after;
    struct topic *topic;
    bool more = emit_fixed(l, STATUS, ".status", NODE_STATUS) &&
                emit_fixed(l, METRICS, ".metrics", NODE_METRICS);

    while (more && after < UINT32_MAX &&
           (topic = store_topic_next(tree->store, (uint32_t)after)) != NULL) {
        struct node_key key = {NODE_TOPIC, topic, -1, 0, 0, NULL};

        after = topic_number(topic);
        more = emit(l, after, topic_name(topic), &key, S_IFDIR);
        topic_put(topic);
    }
}

static void list_topic(struct listing *l)
{
    struct node_key key = l->dir->key;
    uint64_t index = l->after < FIRST_COOKIE ? 0 : l->after - FIRST_COOKIE + 1;
    bool more = emit_fixed(l, PUBLISH, "publish", NODE_PUBLISH) &&
                emit_fixed(l, CONFIG, ".config", NODE_CONFIG) &&
                emit_fixed(l, OFFSETS, ".offsets", NODE_OFFSETS);

    key.kind = NODE_PARTITION;
    for (; more && index < topic_partition_count(key.topic); index++) {
        char name[NAME_ROOM];

        name_of_partition(name, (uint32_t)index);
        key.partition = (int64_t)index;
        more = emit(l, FIRST_COOKIE + index, name, &key, S_IFDIR);
    }
}

static int list_partition(struct listing *l)
{
    struct node_key key = l->dir->key;
    uint64_t from = l->after < FIRST_COOKIE ? 0 : l->after - FIRST_COOKIE + 1;
    bool more = emit_fixed(l, PUBLISH, "publish", NODE_PUBLISH);
    bool sealed;
    int rc = 0;

    key.kind = NODE_SEGMENT;
    while (more && (rc = partition_segment_after(l->dir->part, from, &key.start, &sealed)) == 0) {
        char name[NAME_ROOM];

        name_of_segment(name, key.start);
        more = emit(l, FIRST_COOKIE + key.start, name, &key, S_IFREG);
        from = key.start + 1;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int list_sealed(struct listing *l)
{
    struct node_key key = l->dir->key;
    uint64_t at = l->after < FIRST_COOKIE ? 0 : l->after - FIRST_COOKIE + 1;
    uint64_t index = at >> SEALED_BASE_BITS;
    uint64_t from = at & (((uint64_t)1 << SEALED_BASE_BITS) - 1);
    bool more = true;

    key.kind = NODE_SEALED_SEGMENT;
    for (; more && index < topic_partition_count(key.topic) && index <= UINT16_MAX; index++) {
        struct partition *part = topic_partition(key.topic, (uint32_t)index);
        bool sealed;
        int rc = 0;

        key.partition = (int64_t)index;
        while (more && (rc = partition_segment_after(part, from, &key.start, &sealed)) == 0) {
            char name[NAME_ROOM];

            if (!sealed || key.start > SEALED_BASE_MAX)
                break;
            name_of_sealed(name, (uint32_t)index, key.start);
            more = emit(l, FIRST_COOKIE + (index << SEALED_BASE_BITS | key.start), name, &key,
                        S_IFREG);
            from = key.start + 1;
        }
        if (rc < 0 && rc != -ENOENT)
            return rc;
        from = 0;
    }
    return 0;
}

int tree_list(struct tree *tree, struct node *dir, uint64_t after, tree_list_fn *fn, void *arg)
{
    struct listing l = {dir, after, fn, arg, false};

    if (dir->key.topic && topic_removed(dir->key.topic))
        return 0;
    if (!emit_dots(&l))
        return 0;
    switch (dir->key.kind) {
    case NODE_ROOT: list_root(tree, &l); return 0;
    case NODE_TOPIC: list_topic(&l); return 0;
    case NODE_PARTITION: return list_partition(&l);
    case NODE_SEALED: return list_sealed(&l);
    default: return -ENOTDIR;
    }
}

int tree_mkdir(struct tree *tree, struct node *dir, const char *name, uint32_t mode, uid_t uid,
               gid_t gid, struct node **out)
{
    struct topic_config conf = tree->topic_default;
    struct topic *topic;
    int rc;

    if (dir->key.kind != NODE_ROOT)
        return -EPERM;
    if (strlen(name) > TOPIC_NAME_MAX)
        return -ENAMETOOLONG;
    conf.mode = mode & 0777;
    conf.uid = uid;
    conf.gid = gid;
    rc = store_topic_create(tree->store, name, &conf, &topic, NULL);
    if (rc < 0)
        return rc;
    atomic_store(&tree->changed_ms, store_wall_ms(tree->store));
    rc = nodes_look_up(&tree->nodes, &(struct node_key){NODE_TOPIC, topic, -1, 0, 0, NULL}, dir,
                       out);
    topic_put(topic);
    return rc;
}

int tree_rmdir(struct tree *tree, struct node *dir, const char *name)
{
    struct name parsed;
    int rc;

    if (dir->key.kind != NODE_ROOT)
        return -EPERM;
    if (!name_parse(IN_ROOT, name, &parsed))
        return -ENOENT;
    if (parsed.kind != NAME_TOPIC)
        return -ENOTDIR;
    rc = store_topic_remove(tree->store, name, NULL);
    if (rc == 0)
        atomic_store(&tree->changed_ms, store_wall_ms(tree->store));
    return rc;
}
