/* fs/passthrough: see the header. The only file that knows the kernel's
 * protocol; <linux/fuse.h> of this Debian is at 7.38, hence the constants. */
#include "fs/passthrough.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define INIT_PASSTHROUGH   ((uint64_t)1 << 37)
#define OPEN_PASSTHROUGH   ((uint32_t)1 << 7)
#define MINOR_SPOKEN       38 /* libfuse 3.14's */
#define MINOR_WITH_EXT     36 /* flags2 */
#define MAX_STACK_DEPTH    2  /* 1 would be ELOOP where the store is on overlayfs */
#define MAX_STACK_DEPTH_AT 0  /* in fuse_init_out.unused, since 7.40 */

struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define BACKING_OPEN  _IOW(FUSE_DEV_IOC_MAGIC, 1, struct backing_map)
#define BACKING_CLOSE _IOW(FUSE_DEV_IOC_MAGIC, 2, uint32_t)

_Static_assert(sizeof(struct fuse_open_out) == PASSTHROUGH_OPEN_BYTES, "OPEN reply");

void passthrough_see_init(struct passthrough *p, int device, const void *message, size_t len)
{
    struct fuse_in_header in;
    struct fuse_init_in init;

    p->device = device;
    if (!p->wanted || len < sizeof in + sizeof init)
        return;
    memcpy(&in, message, sizeof in);
    memcpy(&init, (const char *)message + sizeof in, sizeof init);
    if (in.opcode != FUSE_INIT || init.major != FUSE_KERNEL_VERSION ||
        init.minor < MINOR_WITH_EXT || !(init.flags & FUSE_INIT_EXT) ||
        !((uint64_t)init.flags2 << 32 & INIT_PASSTHROUGH))
        return;
    p->init = in.unique;
    p->init_minor = init.minor;
    p->init_readahead = init.max_readahead;
    p->init_flags = init.flags;
}

/* What we use of what the kernel offers: as libfuse would ask for, but without
 * POSIX and BSD locks (the kernel's own do) and without asynchronous direct
 * I/O, which would put a waiting O_DIRECT reader among the few background
 * requests that cached reads need. */
static uint32_t wanted_flags(uint32_t offered)
{
    uint32_t want = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ATOMIC_O_TRUNC | FUSE_AUTO_INVAL_DATA |
                    FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES;

    return (want & offered) | FUSE_INIT_EXT;
}

void passthrough_reply_init(struct passthrough *p, uint32_t max_write)
{
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = p->init_minor < MINOR_SPOKEN ? p->init_minor : MINOR_SPOKEN,
        .max_readahead = p->init_readahead,
        .flags = wanted_flags(p->init_flags),
        .max_write = max_write,
        .time_gran = 1,
        .max_pages = (uint16_t)((max_write - 1) / (uint32_t)getpagesize() + 1),
        .flags2 = (uint32_t)(INIT_PASSTHROUGH >> 32),
    };
    struct fuse_out_header header = {.len = sizeof header + sizeof out, .unique = p->init};
    struct iovec iov[] = {{&header, sizeof header}, {&out, sizeof out}};

    if (!p->init)
        return;
    out.unused[MAX_STACK_DEPTH_AT] = MAX_STACK_DEPTH;
    p->offered = writev(p->device, iov, 2) == (ssize_t)header.len;
}

int32_t passthrough_register(struct passthrough *p, int fd)
{
    struct backing_map map = {.fd = fd};
    int id;

    if (!atomic_load_explicit(&p->usable, memory_order_relaxed))
        return -EOPNOTSUPP;
    id = ioctl(p->device, BACKING_OPEN, &map);
    return id < 0 ? -errno : id == 0 ? -EIO : id;
}

void passthrough_unregister(struct passthrough *p, int32_t id)
{
    uint32_t arg = (uint32_t)id;

    /* It fails where the mount has ended, and then there is nothing to do. */
    (void)ioctl(p->device, BACKING_CLOSE, &arg);
}

void passthrough_end(struct passthrough *p)
{
    atomic_store(&p->usable, false);
    p->device = -1;
}

void passthrough_try(struct passthrough *p)
{
    int fd = memfd_create("topicfs-passthrough", MFD_CLOEXEC);
    int32_t id;

    if (fd < 0)
        return;
    atomic_store(&p->usable, p->offered);
    id = passthrough_register(p, fd);
    if (id > 0)
        passthrough_unregister(p, id);
    else
        atomic_store(&p->usable, false);
    close(fd);
}

void passthrough_open_reply(char *to, uint64_t handle, uint32_t flags, int32_t id)
{
    struct fuse_open_out out = {.fh = handle, .open_flags = flags, .padding = (uint32_t)id};

    if (id > 0)
        out.open_flags |= OPEN_PASSTHROUGH;
    memcpy(to, &out, sizeof out);
}
