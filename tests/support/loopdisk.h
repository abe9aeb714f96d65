/*
 * tests/support/loopdisk: a real file system, ext4 or xfs, whose power can be
 * cut.
 *
 * It is an image, a sparse file, on a loop device, mounted in a directory of
 * its own. loopdisk_cut() is FS_IOC_SHUTDOWN: from then on nothing that is not
 * on disk gets there, every call fails. After loopdisk_remount() there is what
 * a power cut would have left, but for what a drive's own cache may lose: the
 * image's page cache plays the drive, and forgets nothing.
 *
 * The loop device clears itself once nothing is mounted from it and nobody has
 * it open: it does not outlive the program, however that ends. The mount does:
 * tests/e2e/lib.sh and tests/run.sh unmount what they find below a directory
 * of theirs, so make it there.
 *
 * What fails ends the program with a sentence. Needs root, loop devices, and
 * mkfs. Threads: one, but for loopdisk_cut().
 */
#ifndef TESTS_SUPPORT_LOOPDISK_H
#define TESTS_SUPPORT_LOOPDISK_H

#include <stdbool.h>
#include <stdint.h>

#define LOOPDISK_PATH_MAX 300

struct loopdisk {
    char fs[8];                    /* "ext4", "xfs" */
    char image[LOOPDISK_PATH_MAX]; /* dir/image */
    char at[LOOPDISK_PATH_MAX];    /* dir/disk: where it is mounted */
    char device[32];               /* /dev/loop<N> */
    int device_fd;                 /* -1: no image yet */
    int root_fd;                   /* of the mounted root; -1: not mounted */
};

/* Names only: nothing is made yet. */
void loopdisk_init(struct loopdisk *d, const char *dir, const char *fs);
/* A fresh file system of some size that is right for the kind, mounted. */
void loopdisk_make(struct loopdisk *d);
/* What is in the page cache is lost. flush_log: the file system's own log is
 * written out first, which a moment before a power cut it may have been. */
void loopdisk_cut(const struct loopdisk *d, bool flush_log);
/* Unmounts, mounts: nobody may have files open there. Another loop device, maybe. */
void loopdisk_remount(struct loopdisk *d);
/* Unmounts and detaches; the image stays. */
void loopdisk_release(struct loopdisk *d);

#endif
