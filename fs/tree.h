/*
 * fs/tree: the tree itself: which names exist, what they are, what may be done
 * to them. No FUSE in here, and no open files.
 *
 * Every call returns 0 or a negative code (base/err.h); fs/ops turns it into
 * the errno. Some that matter: -ENOENT, not a name; ERR_NOT_A_BOUNDARY (EINVAL)
 * and ERR_OUT_OF_RANGE (ERANGE) for places; -EPERM for what is never allowed,
 * whoever asks. Whether a user may do it is the kernel's matter
 * (default_permissions) and is decided by the modes told here.
 *
 * Threads: any. The tree has no lock of its own but that of its nodes.
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "fs/names.h"
#include "fs/node.h"
#include "store/store.h"

struct tree {
    struct store *store;
    struct nodes nodes;
    struct topic_config topic_default; /* for mkdir */
    uint32_t root_mode;
    uid_t uid; /* of the root */
    gid_t gid;
    _Atomic uint64_t changed_ms; /* the root's mtime */

    /* Add the mount's own lines to .status and .metrics; may be NULL. */
    int (*status)(void *arg, struct buf *out);
    int (*metrics)(void *arg, struct buf *out);
    void *arg;
};

/* store, topic_default, root_mode, status are the caller's to set. */
int tree_init(struct tree *tree) MUST_CHECK;
void tree_release(struct tree *tree);

/* -- names -- */

/* The node of a name in a directory, with one look-up counted.
 * -ENOENT, -ENOTDIR, -ENAMETOOLONG, and what a place can be wrong by. */
int tree_look_up(struct tree *tree, struct node *dir, const char *name,
                 struct node **out) MUST_CHECK;

/* Where a NODE_LINK points now: writes NAME_ROOM bytes at most. */
int tree_read_link(struct tree *tree, const struct node *node, char *to) MUST_CHECK;

/* The offset that a place means now, in a partition. */
int tree_place(struct tree *tree, struct partition *part, const struct place *place,
               uint64_t *offset) MUST_CHECK;

/* -- attributes -- */

struct tree_attr {
    struct stat st;
    /* For how long the kernel may believe the attributes, and the name. */
    uint32_t attr_seconds;
    uint32_t entry_seconds;
};

/* seg: of an open segment, which may be removed by now; else NULL. */
int tree_attr(struct tree *tree, const struct node *node, struct segment *seg,
              struct tree_attr *out) MUST_CHECK;

/* The text of .status, .metrics, .config or .offsets. */
int tree_text(struct tree *tree, const struct node *node, struct buf *out) MUST_CHECK;

/* What setattr(2)s want; -1 and false: leave it. */
struct tree_change {
    int64_t mode, uid, gid, size;
    bool times;
};
/* Changes a topic's access, does nothing where that is right, else -EPERM. */
int tree_change(struct tree *tree, struct node *node, const struct tree_change *change) MUST_CHECK;

/* -- directories -- */

struct tree_entry {
    const char *name;
    uint64_t ino;
    uint32_t type;   /* S_IFDIR, S_IFREG */
    uint64_t cookie; /* where to go on behind it: see tree_list() */
};

/*
 * Calls fn for the entries behind `after`, in order of their cookies, until it
 * returns non-zero. A cookie says what the entry is, not how many came before
 * it, so a listing goes on rightly whatever is made or removed meanwhile:
 * below 16 the fixed names; 16 + partition in a topic; a topic's number in the
 * root (from 16 on); 16 + base in a partition.
 */
typedef int tree_list_fn(void *arg, const struct tree_entry *entry);
int tree_list(struct tree *tree, struct node *dir, uint64_t after, tree_list_fn *fn,
              void *arg) MUST_CHECK;

/* mkdir: makes a topic in the root, -EPERM elsewhere. *out as tree_look_up(). */
int tree_mkdir(struct tree *tree, struct node *dir, const char *name, uint32_t mode, uid_t uid,
               gid_t gid, struct node **out) MUST_CHECK;

/* rmdir: of a topic that never had a message. -ENOTEMPTY, -EPERM, -ENOENT. */
int tree_rmdir(struct tree *tree, struct node *dir, const char *name) MUST_CHECK;

#endif
