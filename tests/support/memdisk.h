/*
 * tests/support/memdisk: an in-memory disk behind base/fileio.
 *
 * It answers as the kernel does (the same errno, descriptors that keep
 * unlinked files, hard links, holes), which tests/unit/check_fileio.c checks
 * case by case against the real one. Beyond that it can
 *   - record what every call did to the disk (struct memtrace), from which
 *     tests/support/powercut makes the states a crash may leave;
 *   - fail any call, once or from then on;
 *   - be full;
 *   - lie about chosen calls (to test the tests).
 *
 * What a process that uses the disk sees is always all that it did: what a
 * power cut would leave is powercut's matter.
 *
 * Threads: the calls of the table may be made from any thread. Everything else
 * here: while nothing else uses the disk. Disks that share contents (copies,
 * crash states, a trace) must stay in one thread.
 */
#ifndef TESTS_SUPPORT_MEMDISK_H
#define TESTS_SUPPORT_MEMDISK_H

#include <pthread.h>

#include "base/fileio.h"
#include "tests/support/memtree.h"

/* -- what the calls did -- */

enum memop_kind {
    MEMOP_CREATE,   /* file `ino`, named dir/name */
    MEMOP_MKDIR,    /* directory `ino`, named dir/name */
    MEMOP_LINK,     /* dir/name names ino, too */
    MEMOP_UNLINK,   /* dir/name is no more; also rmdir */
    MEMOP_RENAME,   /* dir/name is no more, dir_to/name_to names ino */
    MEMOP_WRITE,    /* [pos, pos+len) */
    MEMOP_TRUNCATE, /* size_before -> size_after */
    MEMOP_ALLOCATE, /* likewise, upwards only */
    MEMOP_DATASYNC, /* of ino */
    MEMOP_SYNCFS,
    MEMOP_SYNC_DIR, /* of ino */
};

struct memop {
    unsigned refs;
    enum memop_kind kind;
    bool failed; /* a sync that returned an error */
    uint32_t ino;
    uint32_t dir, dir_to;
    const char *name, *name_to;
    uint64_t pos, len;
    uint64_t size_before, size_after;
    /* Write, truncate: what the touched sectors hold afterwards, earlier
     * writes to them included. NULL = zeros, also for all of them. */
    size_t sector_from, sector_count;
    struct memsector **sectors;
};

struct memtrace {
    struct memtree before; /* the disk before ops[0], all of it durable */
    struct memop **ops;
    size_t count, room;
};

struct memtrace *memtrace_new(const struct memtree *before);
/* The first `count` operations of it. */
struct memtrace *memtrace_copy(const struct memtrace *trace, size_t count);
void memtrace_free(struct memtrace *trace);
/* One operation in words, for people. Returns text. */
const char *memop_text(const struct memop *op, char *text, size_t room);

/* -- the disk -- */

enum memcall {
    MEMCALL_OPEN,
    MEMCALL_CLOSE,
    MEMCALL_SIZE,
    MEMCALL_STAT,
    MEMCALL_PWRITEV,
    MEMCALL_PREAD,
    MEMCALL_FDATASYNC,
    MEMCALL_START_WRITEBACK,
    MEMCALL_SYNCFS,
    MEMCALL_SYNC_DIR,
    MEMCALL_MKDIR,
    MEMCALL_RMDIR,
    MEMCALL_RENAME,
    MEMCALL_LINK,
    MEMCALL_UNLINK,
    MEMCALL_TRUNCATE,
    MEMCALL_FALLOCATE,
    MEMCALL_LIST,
    MEMCALL_LOCK,
    MEMCALL_COUNT,
};
#define MEMCALL_BIT(call) (1u << (call))
#define MEMCALL_ALL       ((1u << MEMCALL_COUNT) - 1)
/* The calls that change the disk or promise something about it. */
#define MEMCALL_CHANGES                                                       \
    (MEMCALL_ALL & ~(MEMCALL_BIT(MEMCALL_CLOSE) | MEMCALL_BIT(MEMCALL_SIZE) | \
                     MEMCALL_BIT(MEMCALL_STAT) | MEMCALL_BIT(MEMCALL_PREAD) | \
                     MEMCALL_BIT(MEMCALL_START_WRITEBACK) | MEMCALL_BIT(MEMCALL_LIST)))
const char *memcall_name(enum memcall call);

/*
 * A fault: call number `nth` (from 1) among those of these kinds, on a path
 * that matches the pattern, fails with `error`. A failed call has done
 * nothing, but: error 0 makes a write or read short (half, at least one byte)
 * and leaves other calls alone; a failed close has closed; a failed fdatasync,
 * syncfs or start_writeback leaves its pages clean and not written: see
 * powercut.h.
 */
struct memfault {
    unsigned calls;   /* MEMCALL_BITs; 0 = no fault */
    const char *path; /* fnmatch(3) pattern; NULL = any */
    uint64_t nth;
    bool for_ever; /* and all that follow */
    int error;     /* -EIO ... */
};

/* Which part of a process's life it is: said by who uses the disk. */
enum memphase {
    MEMPHASE_START = 1,
    MEMPHASE_RUN = 2,
    MEMPHASE_STOP = 4,
};

/*
 * A lie: calls that say they worked, but did not, or not yet, or did something
 * else. Zeroed = none. It is about calls of these kinds (syncs, pwritev,
 * truncate, fallocate, unlink), on a path that matches, and where all of the
 * rest holds that is set. They are left out, but for `until` and `tamper`.
 */
struct memlie {
    unsigned calls;         /* MEMCALL_BITs */
    const char *path;       /* fnmatch(3) pattern; NULL = any */
    unsigned phases;        /* only then; 0 = always */
    unsigned after;         /* a sync: only where what changed that file or directory last was
                             * an operation of these kinds: MEMOP_BITs */
    const char *after_name; /* of such a name */
    bool same;              /* a write: only where those bytes stand there already */
    const char *until;      /* a sync: done only when a write to such a path was */
    void (*tamper)(uint8_t *bytes, size_t len, uint64_t pos); /* a write: of other bytes */
};
#define MEMOP_BIT(kind) (1u << (kind))

struct memfd {
    uint32_t ino; /* MEM_NONE: free */
    bool writable;
    const char *path; /* as it was opened */
};

struct memdisk {
    struct fileio io; /* first: what the store is given */
    struct memtree tree;
    struct memfd *fds;
    size_t fd_count, fd_room;
    bool nameless;       /* some descriptor's file may have no name any more */
    uint32_t locked_ino; /* flock: the store locks one file. MEM_NONE: none */
    int locked_fd;
    struct memtrace *trace; /* NULL: not recording */
    uint64_t room_bytes;    /* 0 = no limit; else what files may take up */
    struct memfault fault;
    uint64_t fault_calls; /* calls since it was set that the fault looks at */
    uint64_t fault_hits;
    enum memphase phase;
    struct memlie lie;
    uint64_t lies;     /* told so far */
    struct memop late; /* a sync that is put off */
    bool is_late;
    uint64_t calls[MEMCALL_COUNT];
    pthread_mutex_t *lock;
};

struct memdisk *memdisk_new(void);
/* One that holds (a copy of) these files; or that takes them over. */
struct memdisk *memdisk_from(const struct memtree *tree);
struct memdisk *memdisk_of(struct memtree tree);
void memdisk_free(struct memdisk *disk); /* the same as fileio_release() */

/* Begins to record; what is there now counts as durable. */
void memdisk_record(struct memdisk *disk);
/* Goes on recording into `trace`, which becomes the disk's: its operations
 * must lead to what the disk holds. */
void memdisk_record_on(struct memdisk *disk, struct memtrace *trace);
/* Operations so far. */
size_t memdisk_at(const struct memdisk *disk);

void memdisk_set_fault(struct memdisk *disk, struct memfault fault);
/* Ends the process that uses it: closes all descriptors. Returns how many were
 * open. */
size_t memdisk_kill(struct memdisk *disk);
uint64_t memdisk_used_bytes(const struct memdisk *disk);

/* The inode of a path, MEM_NONE. For looking without making a call. */
uint32_t memdisk_lookup(const struct memdisk *disk, const char *path);
/* The whole of a file, to be freed; NULL where there is none. */
char *memdisk_file(const struct memdisk *disk, const char *path, size_t *len);
/* True if both hold the same names and bytes. Where not, `why` says so. */
bool memdisk_same(const struct memdisk *a, const struct memdisk *b, char *why, size_t room);

/* -- a clock -- */

struct memclock {
    uint64_t now_ms;
    uint64_t step_ms; /* added by every look at it */
};
/* For store_options.wall_ms; arg is the struct memclock. */
uint64_t memclock_wall_ms(void *arg);

#endif
