/*
 * fs/tree: names to nodes. Attributes are in tree_attr.c, directories in
 * tree_dir.c.
 */
#include "fs/tree.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int tree_init(struct tree *tree)
{
    tree->uid = geteuid();
    tree->gid = getegid();
    atomic_init(&tree->changed_ms, store_wall_ms(tree->store));
    return nodes_init(&tree->nodes);
}

void tree_release(struct tree *tree)
{
    nodes_release(&tree->nodes);
}

int tree_place(struct tree *tree, struct partition *part, const struct place *place,
               uint64_t *offset)
{
    switch (place->kind) {
    case PLACE_EARLIEST: *offset = partition_first(part); return 0;
    case PLACE_LATEST: *offset = partition_visible_end(part); return 0;
    case PLACE_TIME:
        if (place->value > store_wall_ms(tree->store))
            return ERR_OUT_OF_RANGE;
        return partition_find_time(part, place->value, offset);
    case PLACE_OFFSET: break;
    }
    *offset = place->value;
    return 0;
}

/* What retention has passed still names its place. */
static int check_boundary(struct partition *part, uint64_t offset)
{
    int rc = partition_find(part, offset);

    return rc == ERR_GONE ? 0 : rc;
}

/* START, and END if the name has one, as offsets that exist. */
static int resolve(struct tree *tree, struct partition *part, const struct name *name,
                   uint64_t *start, uint64_t *end)
{
    int rc = tree_place(tree, part, &name->start, start);

    *end = 0;
    if (rc == 0 && name->kind == NAME_FROZEN) {
        rc = tree_place(tree, part, &name->end, end);
        if (rc == 0 && *start > *end)
            rc = ERR_OUT_OF_RANGE;
    }
    if (rc == 0)
        rc = check_boundary(part, *start);
    if (rc == 0 && name->kind == NAME_FROZEN)
        rc = check_boundary(part, *end);
    return rc;
}

int tree_read_link(struct tree *tree, const struct node *node, char *to)
{
    struct name name;
    uint64_t start, end;
    int rc;

    if (node->key.kind != NODE_LINK || !name_parse(IN_PARTITION, node->key.word, &name))
        return -EINVAL;
    rc = resolve(tree, node->part, &name, &start, &end);
    if (rc == 0)
        name_of_range(to, name.kind, start, end);
    return rc;
}

static int find_in_root(struct tree *tree, const char *text, struct node_key *key)
{
    struct name name;

    if (!name_parse(IN_ROOT, text, &name))
        return -ENOENT;
    if (name.kind == NAME_STATUS || name.kind == NAME_METRICS) {
        key->kind = name.kind == NAME_STATUS ? NODE_STATUS : NODE_METRICS;
        return 0;
    }
    key->kind = NODE_TOPIC;
    key->topic = store_topic_find(tree->store, text);
    return key->topic ? 0 : -ENOENT;
}

static int find_in_topic(struct tree *tree, const char *text, struct node_key *key)
{
    static const enum node_kind kinds[] = {
        [NAME_PARTITION] = NODE_PARTITION, [NAME_PUBLISH] = NODE_PUBLISH,
        [NAME_CONFIG] = NODE_CONFIG,       [NAME_OFFSETS] = NODE_OFFSETS,
        [NAME_SEALED] = NODE_SEALED,       [NAME_MERGED] = NODE_MERGED,
    };
    struct name name;

    if (!name_parse(IN_TOPIC, text, &name))
        return -ENOENT;
    key->kind = kinds[name.kind];
    if (name.kind == NAME_PARTITION) {
        if (!topic_partition(key->topic, name.partition))
            return -ENOENT;
        key->partition = name.partition;
    } else if (name.kind == NAME_MERGED) {
        if (name.start.kind == PLACE_TIME && name.start.value > store_wall_ms(tree->store))
            return ERR_OUT_OF_RANGE;
        key->word = text;
    }
    return 0;
}

static int find_segment(struct partition *part, uint64_t base, bool sealed_only)
{
    uint64_t found;
    bool sealed;
    int rc = partition_segment_after(part, base, &found, &sealed);

    if (rc == 0 && (found != base || (sealed_only && !sealed)))
        rc = -ENOENT;
    return rc;
}

static int find_in_partition(struct tree *tree, const char *text, struct node_key *key)
{
    struct partition *part = topic_partition(key->topic, (uint32_t)key->partition);
    struct name name;
    int rc;

    if (!part || !name_parse(IN_PARTITION, text, &name))
        return -ENOENT;
    if (name.kind == NAME_PUBLISH) {
        key->kind = NODE_PUBLISH;
        return 0;
    }
    if (name.kind == NAME_SEGMENT) {
        key->kind = NODE_SEGMENT;
        key->start = name.base;
        return find_segment(part, name.base, false);
    }
    rc = resolve(tree, part, &name, &key->start, &key->end);
    if (name.has_word) {
        /* What it means is asked anew each time the link is read. */
        key->kind = NODE_LINK;
        key->word = text;
        key->start = key->end = 0;
        return rc;
    }
    key->kind = name.kind == NAME_GROWING  ? NODE_GROWING
                : name.kind == NAME_FROZEN ? NODE_FROZEN
                                           : NODE_STREAM;
    return rc;
}

static int find_in_sealed(const char *text, struct node_key *key)
{
    struct partition *part;
    struct name name;

    if (!name_parse(IN_SEALED, text, &name))
        return -ENOENT;
    part = topic_partition(key->topic, name.partition);
    if (!part)
        return -ENOENT;
    key->kind = NODE_SEALED_SEGMENT;
    key->partition = name.partition;
    key->start = name.base;
    return find_segment(part, name.base, true);
}

int tree_look_up(struct tree *tree, struct node *dir, const char *name, struct node **out)
{
    struct node_key key = {.topic = dir->key.topic, .partition = dir->key.partition};
    int rc;

    if (strlen(name) > NAME_LENGTH_MAX)
        return -ENAMETOOLONG;
    if (key.topic && topic_removed(key.topic))
        return -ENOENT;
    switch (dir->key.kind) {
    case NODE_ROOT: rc = find_in_root(tree, name, &key); break;
    case NODE_TOPIC: rc = find_in_topic(tree, name, &key); break;
    case NODE_PARTITION: rc = find_in_partition(tree, name, &key); break;
    case NODE_SEALED: rc = find_in_sealed(name, &key); break;
    default: rc = -ENOTDIR; break;
    }
    if (rc == 0)
        rc = nodes_look_up(&tree->nodes, &key, dir, out);
    if (dir->key.kind == NODE_ROOT && key.topic)
        topic_put(key.topic); /* the node holds it now */
    return rc;
}
