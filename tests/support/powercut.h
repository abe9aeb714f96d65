/*
 * tests/support/powercut: what a power cut may leave on a disk.
 *
 * A struct powercut walks along a recorded trace (memdisk.h), operation by
 * operation. At each point it knows what is durable and what is pending, and
 * builds the disk that a crash there may leave, given a fate for every pending
 * operation. Recovery is then run on that disk.
 *
 * The rules, and why each is what real file systems do at worst:
 *
 *  1. fdatasync of a file makes its bytes and its size durable, not its name.
 *     (POSIX. ext4 and xfs do more; btrfs and ext4's fast commits need not.)
 *  2. sync_dir makes durable the names in that directory, and nothing of the
 *     files or of the directory's own name. A rename between two directories
 *     is one transaction: either directory's sync makes both ends durable.
 *  3. syncfs makes everything durable.
 *  4. Everything else is pending. Pending operations have independent fates:
 *     later ones may survive where earlier ones are lost. This includes the
 *     states of a journal that loses a tail of its transactions in order.
 *  5. A rename is atomic. A directory has one name: where two renames of it
 *     contradict each other, the later survivor counts.
 *  6. Data reach the disk from the page cache: what is written of a sector is
 *     its content at that moment. So a surviving write brings along all
 *     earlier writes to the same 512-byte sector, and no sector holds a later
 *     write without an earlier one. Sectors of one write are independent
 *     (torn). There is no order between files or sectors.
 *  7. Power-safe overwrite: durable bytes survive when their sector is written
 *     again, also when they themselves are, as they were. Other bytes of a
 *     pending write may be garbage: random, 0xff, other bytes of the same
 *     file, or nearly right ones.
 *  8. The size is metadata: a write that makes a file longer may leave the
 *     size without the bytes (zeros or garbage there), the bytes without the
 *     size (they are then gone, but if an earlier truncation is lost as well
 *     they stand in the old tail), or a size up to a sector inside it, with
 *     the bytes so far or without (ext4: the part of a write in a block that
 *     was there already is one step of the size, the rest another).
 *  9. A truncation frees whole blocks (4096 bytes) with its size, in one
 *     transaction; the rest of the last block is zeroed as a write, which may
 *     be lost on its own: growing again may then show the old bytes. A lost
 *     truncation brings the old size and bytes back (seen on ext4).
 * 10. Bytes behind the size are never seen again: kernels zero a block's tail
 *     when they load it.
 * 11. After a failed fdatasync or syncfs the pages are clean and not on disk:
 *     the process goes on seeing the bytes, and no later sync makes them
 *     durable; only writing them again does (ATC'20; ext4, xfs, btrfs). Sizes
 *     and names are not dropped so.
 * 12. A file or directory that cannot be reached by names is gone.
 *
 * Left out, as file systems exclude it: durable bytes or names changing by
 * themselves; blocks of other files showing up (data=writeback). Garbage of a
 * write longer than 16 KiB is put into some of its sectors, not into all.
 *
 * A kill (of the process only) leaves everything as the process saw it, and
 * what is pending stays so: powercut_kill().
 *
 * Threads: one. The trace is borrowed.
 */
#ifndef TESTS_SUPPORT_POWERCUT_H
#define TESTS_SUPPORT_POWERCUT_H

#include "tests/support/memdisk.h"

enum memfate {
    MEMFATE_KEPT,
    MEMFATE_LOST,
    MEMFATE_GARBAGE,    /* size kept */
    MEMFATE_SIZE_ONLY,  /* bytes lost */
    MEMFATE_DATA_ONLY,  /* size lost */
    MEMFATE_HEAD,       /* sectors before `at` and the size kept */
    MEMFATE_HEAD_SHORT, /* likewise, but the size ends there */
    MEMFATE_SIZE_SHORT, /* bytes lost, and the size ends at sector `at` */
    MEMFATE_TAIL,       /* sectors from `at` on and the size kept */
    MEMFATE_MIXED,      /* each sector kept, lost or garbage, by chance */
};

struct memchoice {
    enum memfate fate;
    uint32_t at;
};

#define MEMFATES_MAX 24

struct mempending {
    const struct memop *op;
    bool clean;     /* rule 11: no sync will write its bytes any more */
    bool size_done; /* of a clean one */
    bool durable;   /* inside: to be taken out */
    uint8_t *over;  /* of a clean one: sectors that were durably overwritten */
};

struct powercut {
    const struct memtrace *trace;
    size_t at;              /* operations done */
    struct memtree durable; /* inodes of pending creates are in it, nameless */
    struct memtree view;    /* what the process sees */
    struct mempending *pending;
    size_t count, room;
};

void powercut_init(struct powercut *cut, const struct memtrace *trace);
void powercut_release(struct powercut *cut);
/* Does the next operation of the trace. False at its end. */
bool powercut_step(struct powercut *cut);
/* True where every state of this point is also one of the next point's. */
bool powercut_next_has_more(const struct powercut *cut);

/* The fates pending[i] may have; kept and lost come first. Returns how many. */
size_t powercut_fates(const struct powercut *cut, size_t i, struct memchoice fates[MEMFATES_MAX]);
/* The disk where pending[i] had choices[i]; seed decides what chance decides. */
struct memdisk *powercut_build(const struct powercut *cut, const struct memchoice *choices,
                               uint64_t seed);
/* The disk after a kill. Recording: what is pending stays pending. */
struct memdisk *powercut_kill(const struct powercut *cut, bool record);

const char *memfate_name(enum memfate fate);

/* A small random generator (splitmix64); *state is the seed. */
uint64_t mem_random(uint64_t *state);
/* Below n; n > 0. */
size_t mem_below(uint64_t *state, size_t n);

#endif
