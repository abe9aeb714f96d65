/*
 * fs/passthrough: sealed segments read by the kernel itself.
 *
 * A file opened with FOPEN_PASSTHROUGH is read from its backing file without
 * any request to us: as fast as the disk's own file system, mmap included, its
 * bytes cached once. libfuse has it from 3.17 on; with 3.14 the two replies
 * that matter are written here by hand (Linux's include/uapi/linux/fuse.h,
 * protocol 7.40, Linux 6.9):
 *
 *  - INIT: our own reply with bit 37 and max_stack_depth, sent from within the
 *    init operation. libfuse's reply to the same request comes second, finds
 *    nobody who waits (ENOENT) and says nothing about it.
 *  - OPEN: a struct fuse_open_out with the flag and the backing id where
 *    padding was, sent as plain reply data.
 *
 * The kernel wants CAP_SYS_ADMIN of who registers a file. So this is offered at
 * start by trying it, and each registering may fail: then the segment is served
 * from the page cache (see fs/handle). A write-open must never be answered
 * this way: it would write into the segment.
 *
 * This header brings no libfuse with it.
 */
#ifndef FS_PASSTHROUGH_H
#define FS_PASSTHROUGH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct passthrough {
    bool wanted;   /* set by who makes it */
    bool offered;  /* the kernel has it and INIT asked for it */
    uint64_t init; /* what INIT's reply has to refer to; 0 = not possible */
    uint32_t init_minor, init_readahead, init_flags;
    int device; /* the session's descriptor */
    _Atomic bool usable;
};

/* Looks at the first message of a session, before libfuse does. */
void passthrough_see_init(struct passthrough *p, int device, const void *message, size_t len);

/* From the init operation: replies to INIT where the kernel has passthrough;
 * else libfuse's reply is the only one. max_write as libfuse's. */
void passthrough_reply_init(struct passthrough *p, uint32_t max_write);

/* After INIT: finds out whether this process may register files. */
void passthrough_try(struct passthrough *p);

/* A backing id > 0 for a descriptor, which may be closed then. -errno. */
int32_t passthrough_register(struct passthrough *p, int fd);
void passthrough_unregister(struct passthrough *p, int32_t id);

/* Before the session's descriptor is closed: the ids end with it. */
void passthrough_end(struct passthrough *p);

/* The bytes of an OPEN reply: flags as in FOPEN_*, id 0 = no passthrough. */
#define PASSTHROUGH_OPEN_BYTES 16
void passthrough_open_reply(char *to, uint64_t handle, uint32_t flags, int32_t id);

#endif
