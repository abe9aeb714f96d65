/* fs/ops: names, attributes, directories. */
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/notify.h"

static void init(void *userdata, struct fuse_conn_info *conn)
{
    struct fs *fs = userdata;

    /* See passthrough.c for what is wanted and why; where the kernel has no
     * passthrough libfuse's reply says the same. */
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_ASYNC_DIO |
                              FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
    passthrough_reply_init(&fs->passthrough, conn->max_write);
}

static void entry_of(const struct node *node, const struct tree_attr *attr,
                     struct fuse_entry_param *e)
{
    *e = (struct fuse_entry_param){
        .ino = ops_ino(node),
        .generation = 1,
        .attr = attr->st,
        .attr_timeout = attr->attr_seconds,
        .entry_timeout = attr->entry_seconds,
    };
}

/* Replies with a node that was just looked up; takes that back where the
 * reply does not arrive. */
static void reply_entry(fuse_req_t req, struct node *node)
{
    struct fs *fs = ops_fs(req);
    struct tree_attr attr;
    struct fuse_entry_param e;
    int rc = tree_attr(&fs->tree, node, NULL, &attr);

    if (rc == 0) {
        entry_of(node, &attr, &e);
        if (fuse_reply_entry(req, &e) == 0)
            return;
    } else {
        ops_reply_code(req, rc);
    }
    nodes_forget(&fs->tree.nodes, node, 1);
}

static void lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct node *node;
    int rc = tree_look_up(&ops_fs(req)->tree, ops_node(req, parent), name, &node);

    if (rc < 0)
        ops_reply_code(req, rc);
    else
        reply_entry(req, node);
}

static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    nodes_forget(&ops_fs(req)->tree.nodes, ops_node(req, ino), count);
    fuse_reply_none(req);
}

static void forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        nodes_forget(&ops_fs(req)->tree.nodes, ops_node(req, forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

static void reply_attr(fuse_req_t req, struct node *node, struct segment *seg)
{
    struct tree_attr attr;
    int rc = tree_attr(&ops_fs(req)->tree, node, seg, &attr);

    /* fstat(2) does not say which open file it is about. */
    if (rc == -ESTALE && !seg)
        rc = handles_attr(&ops_fs(req)->handles, node, &attr);
    if (rc < 0)
        ops_reply_code(req, rc);
    else
        fuse_reply_attr(req, &attr.st, attr.attr_seconds);
}

static void getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *node = ops_node(req, ino);

    node_used(node);
    reply_attr(req, node, fi && fi->fh ? ops_handle(fi)->seg : NULL);
}

static void setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi)
{
    struct fs *fs = ops_fs(req);
    struct node *node = ops_node(req, ino);
    struct tree_change change = {
        .mode = to_set & FUSE_SET_ATTR_MODE ? (int64_t)(attr->st_mode & 07777) : -1,
        .uid = to_set & FUSE_SET_ATTR_UID ? (int64_t)attr->st_uid : -1,
        .gid = to_set & FUSE_SET_ATTR_GID ? (int64_t)attr->st_gid : -1,
        .size = to_set & FUSE_SET_ATTR_SIZE ? (int64_t)attr->st_size : -1,
        .times = to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
                           FUSE_SET_ATTR_MTIME_NOW),
    };
    int rc = tree_change(&fs->tree, node, &change);

    (void)fi;
    if (rc < 0) {
        ops_reply_code(req, rc);
        return;
    }
    if (node->key.kind == NODE_TOPIC && (change.mode >= 0 || change.uid >= 0 || change.gid >= 0))
        notify_access(fs->notify, node->key.topic);
    reply_attr(req, node, NULL);
}

static void read_link(fuse_req_t req, fuse_ino_t ino)
{
    char target[NAME_ROOM];
    int rc = tree_read_link(&ops_fs(req)->tree, ops_node(req, ino), target);

    if (rc < 0)
        ops_reply_code(req, rc);
    else
        fuse_reply_readlink(req, target);
}

/* -- directories -- */

struct filling {
    fuse_req_t req;
    char *buf;
    size_t size, used;
};

static int fill(void *arg, const struct tree_entry *entry)
{
    struct filling *f = arg;
    struct stat st = {.st_ino = entry->ino, .st_mode = entry->type};
    size_t need = fuse_add_direntry(f->req, f->buf + f->used, f->size - f->used, entry->name, &st,
                                    (off_t)entry->cookie);

    if (need > f->size - f->used)
        return 1;
    f->used += need;
    return 0;
}

static void readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t after,
                    struct fuse_file_info *fi)
{
    struct filling f = {req, malloc(size), size, 0};
    int rc = f.buf ? tree_list(&ops_fs(req)->tree, ops_node(req, ino), (uint64_t)after, fill, &f)
                   : -ENOMEM;

    (void)fi;
    if (rc < 0)
        ops_reply_code(req, rc);
    else
        fuse_reply_buf(req, f.buf, f.used);
    free(f.buf);
}

static void make_dir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct node *node;
    int rc = tree_mkdir(&ops_fs(req)->tree, ops_node(req, parent), name, mode, ctx->uid, ctx->gid,
                        &node);

    if (rc < 0)
        ops_reply_code(req, rc);
    else
        reply_entry(req, node);
}

static void remove_dir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    ops_reply_code(req, tree_rmdir(&ops_fs(req)->tree, ops_node(req, parent), name));
}

/* -- what is refused: nothing that walks a tree may lose data -- */

static void make_node(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
    (void)parent, (void)name, (void)mode, (void)dev;
    fuse_reply_err(req, EPERM);
}

/* Names that exist are opened, not created: the kernel looks them up before. */
static void create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                   struct fuse_file_info *fi)
{
    (void)parent, (void)name, (void)mode, (void)fi;
    fuse_reply_err(req, EPERM);
}

static void unlink_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent, (void)name;
    fuse_reply_err(req, EPERM);
}

static void rename_name(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
                        const char *to_name, unsigned flags)
{
    (void)parent, (void)name, (void)to, (void)to_name, (void)flags;
    fuse_reply_err(req, EPERM);
}

static void link_name(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    (void)ino, (void)parent, (void)name;
    fuse_reply_err(req, EPERM);
}

static void symlink_name(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    (void)target, (void)parent, (void)name;
    fuse_reply_err(req, EPERM);
}

static void stat_fs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs st;

    (void)ino;
    if (statvfs(ops_fs(req)->store_path, &st) < 0) {
        fuse_reply_err(req, errno);
        return;
    }
    st.f_namemax = NAME_LENGTH_MAX;
    fuse_reply_statfs(req, &st);
}

void ops_tree_fill(struct fuse_lowlevel_ops *ops)
{
    ops->init = init;
    ops->lookup = lookup;
    ops->forget = forget;
    ops->forget_multi = forget_multi;
    ops->getattr = getattr;
    ops->setattr = setattr;
    ops->readlink = read_link;
    ops->readdir = readdir;
    ops->mkdir = make_dir;
    ops->rmdir = remove_dir;
    ops->mknod = make_node;
    ops->create = create;
    ops->unlink = unlink_name;
    ops->rename = rename_name;
    ops->link = link_name;
    ops->symlink = symlink_name;
    ops->statfs = stat_fs;
}
