/*
 * fs/tree: attributes, and what may be changed about them.
 *
 * The kernel may believe what cannot change for an hour: when access to a topic
 * is changed, fs/notify tells it. What grows is asked for every time.
 */
#include <errno.h>
#include <string.h>

#include "fs/control.h"
#include "fs/tree.h"

#define FOREVER_SECONDS 3600
#define SHORT_SECONDS   1
#define BLOCK_BYTES     (1 << 20) /* cat, cp and Python read and write this much */

static void set_time(struct stat *st, uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    st->st_atim = st->st_mtim = st->st_ctim = t;
}

static void set_size(struct stat *st, uint64_t bytes, uint64_t disk_bytes)
{
    uint64_t least = (bytes + 511) / 512;
    uint64_t disk = disk_bytes / 512;

    /* Fewer blocks than bytes look like holes to cp and tar. */
    st->st_size = (off_t)bytes;
    st->st_blocks = (blkcnt_t)(disk > least ? disk : least);
}

static void set_segment(struct tree_attr *out, const struct segment_stat *seg)
{
    set_size(&out->st, seg->visible_bytes, seg->disk_bytes);
    set_time(&out->st, seg->last_ms);
    out->attr_seconds = seg->sealed ? FOREVER_SECONDS : 0;
    out->entry_seconds = FOREVER_SECONDS;
}

static int stat_segment(const struct node *node, struct segment *seg, struct segment_stat *st)
{
    int rc =
        seg ? segment_get_stat(seg, st) : partition_segment_next(node->part, node->key.start, st);

    if (rc == 0 && st->base != node->key.start)
        rc = -ENOENT;
    return rc;
}

static int segment_attr(const struct node *node, struct segment *seg, struct tree_attr *out)
{
    struct segment_stat st;
    int rc = stat_segment(node, seg, &st);

    /* It may have been sealed between the look at its size and that at its
     * being sealed. A size that is kept for an hour must be the last one. */
    if (rc == 0 && st.sealed)
        rc = stat_segment(node, seg, &st);
    if (rc == -ENOENT)
        return -ESTALE; /* the name is gone, somebody still holds the node */
    if (rc == 0)
        set_segment(out, &st);
    return rc;
}

/* START- and START+: what is visible now. */
static int growing_attr(const struct node *node, struct tree_attr *out)
{
    struct partition_stat st;
    int rc = partition_stat(node->part, &st);
    uint64_t end = rc == 0 && st.visible_end > node->key.start ? st.visible_end : node->key.start;

    if (rc < 0)
        return rc;
    set_size(&out->st, end - node->key.start, 0);
    if (st.last_ms)
        set_time(&out->st, st.last_ms);
    out->entry_seconds = FOREVER_SECONDS;
    return 0;
}

/* The append time of the last message before `end`, by bisection: append times
 * do not fall. 0 where it is not known. */
static uint64_t time_before(struct partition *part, uint64_t end, uint64_t now_ms)
{
    uint64_t low = 0, high = now_ms + 1; /* the first ms from which on all is at or above end */

    while (low < high) {
        uint64_t mid = low + (high - low) / 2, offset;

        if (partition_find_time(part, mid, &offset) < 0)
            return 0;
        if (offset >= end)
            high = mid;
        else
            low = mid + 1;
    }
    return low ? low - 1 : 0;
}

/* START-END never changes, so its time must not. */
static int frozen_attr(struct tree *tree, const struct node *node, struct tree_attr *out)
{
    uint64_t ms = time_before(node->part, node->key.end, store_wall_ms(tree->store));

    set_size(&out->st, node->key.end - node->key.start, 0);
    if (ms)
        set_time(&out->st, ms);
    out->attr_seconds = out->entry_seconds = FOREVER_SECONDS;
    return 0;
}

static int text_attr(struct tree *tree, const struct node *node, struct tree_attr *out)
{
    struct buf text = {0};
    int rc = tree_text(tree, node, &text);

    if (rc == 0) {
        set_size(&out->st, text.len, 0);
        out->entry_seconds = SHORT_SECONDS;
    }
    buf_release(&text);
    return rc;
}

/* The last message's, of all partitions, so that a copy by size and time takes it anew. */
static int offsets_attr(struct tree *tree, const struct node *node, struct tree_attr *out)
{
    struct topic *topic = node->key.topic;
    uint32_t count = topic_partition_count(topic);
    uint64_t last_ms = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct partition_stat st;

        if (partition_stat(topic_partition(topic, i), &st) == 0 && st.last_ms > last_ms)
            last_ms = st.last_ms;
    }
    if (last_ms)
        set_time(&out->st, last_ms);
    return text_attr(tree, node, out);
}

static int link_attr(struct tree *tree, const struct node *node, struct tree_attr *out)
{
    char target[NAME_ROOM];
    int rc = tree_read_link(tree, node, target);

    if (rc == 0)
        set_size(&out->st, strlen(target), 0);
    out->st.st_blocks = 0;
    return rc;
}

static mode_t mode_of(const struct tree *tree, const struct node *node)
{
    mode_t access = node->key.topic ? (mode_t)topic_config(node->key.topic)->mode & 0777
                                    : (mode_t)tree->root_mode & 0777;

    switch (node->key.kind) {
    case NODE_ROOT:
    case NODE_TOPIC:
    case NODE_PARTITION:
    case NODE_SEALED: return S_IFDIR | access;
    case NODE_STATUS:
    case NODE_METRICS: return S_IFREG | (access & 0444);
    case NODE_PUBLISH: return S_IFREG | (access & 0666);
    case NODE_CONFIG: return S_IFREG | (access & 0444) | 0200;
    case NODE_LINK: return S_IFLNK | 0777;
    default: return S_IFREG | (access & 0444);
    }
}

static void common_attr(const struct tree *tree, const struct node *node, struct tree_attr *out)
{
    struct topic *topic = node->key.topic;
    struct stat *st = &out->st;

    *out = (struct tree_attr){.attr_seconds = 0};
    st->st_ino = node->ino;
    st->st_nlink = 1;
    st->st_blksize = BLOCK_BYTES;
    st->st_mode = mode_of(tree, node);
    st->st_uid = topic ? (uid_t)topic_config(topic)->uid : tree->uid;
    st->st_gid = topic ? (gid_t)topic_config(topic)->gid : tree->gid;
    set_time(st, topic ? topic_changed_ms(topic) : atomic_load(&tree->changed_ms));
}

int tree_attr(struct tree *tree, const struct node *node, struct segment *seg,
              struct tree_attr *out)
{
    common_attr(tree, node, out);
    switch (node->key.kind) {
    case NODE_SEGMENT:
    case NODE_SEALED_SEGMENT: return segment_attr(node, seg, out);
    case NODE_GROWING:
    case NODE_STREAM: return growing_attr(node, out);
    case NODE_FROZEN: return frozen_attr(tree, node, out);
    case NODE_STATUS:
        set_time(&out->st, store_wall_ms(tree->store));
        return text_attr(tree, node, out);
    case NODE_CONFIG: return text_attr(tree, node, out);
    case NODE_OFFSETS: return offsets_attr(tree, node, out);
    case NODE_METRICS:
        set_time(&out->st, store_wall_ms(tree->store));
        out->entry_seconds = SHORT_SECONDS;
        return 0;
    case NODE_LINK: return link_attr(tree, node, out);
    case NODE_PUBLISH: out->attr_seconds = FOREVER_SECONDS; return 0;
    case NODE_MERGED: return 0;
    default: out->attr_seconds = out->entry_seconds = SHORT_SECONDS; return 0;
    }
}

int tree_text(struct tree *tree, const struct node *node, struct buf *out)
{
    int rc;

    switch (node->key.kind) {
    case NODE_CONFIG: return topic_config_text(node->key.topic, out);
    case NODE_OFFSETS: return control_offsets_text(node->key.topic, out);
    case NODE_STATUS:
        rc = store_status(tree->store, out);
        if (rc == 0 && tree->status)
            rc = tree->status(tree->arg, out);
        return rc;
    case NODE_METRICS:
        rc = store_metrics(tree->store, out);
        if (rc == 0 && tree->metrics)
            rc = tree->metrics(tree->arg, out);
        return rc;
    default: return -EINVAL;
    }
}

/* True where the change would leave all as it is. */
static bool no_change(const struct stat *st, const struct tree_change *change)
{
    return (change->mode < 0 || (mode_t)change->mode == (st->st_mode & 07777)) &&
           (change->uid < 0 || (uid_t)change->uid == st->st_uid) &&
           (change->gid < 0 || (gid_t)change->gid == st->st_gid);
}

/* truncate and utimens. What is written to may be "truncated" and touched, as
 * the programs that write to it do; it has neither a size nor a time. */
static bool size_and_times_allowed(const struct node *node, const struct stat *st,
                                   const struct tree_change *change)
{
    if (node->key.kind == NODE_PUBLISH || node->key.kind == NODE_CONFIG)
        return true;
    if (change->size >= 0 && change->size != st->st_size)
        return false;
    return !change->times || S_ISDIR(st->st_mode);
}

int tree_change(struct tree *tree, struct node *node, const struct tree_change *change)
{
    struct tree_attr now;
    int rc = tree_attr(tree, node, NULL, &now);

    if (rc < 0)
        return rc;
    if (!size_and_times_allowed(node, &now.st, change))
        return -EPERM;
    if (no_change(&now.st, change))
        return 0;
    if (node->key.kind != NODE_TOPIC)
        return -EPERM;
    /* There is no use for set-id and sticky bits here; chmod(1) adds them
     * where the umask or a parent would, so they are dropped, not refused. */
    return topic_set_access(node->key.topic, change->mode < 0 ? -1 : change->mode & 0777,
                            change->uid, change->gid, NULL);
}
