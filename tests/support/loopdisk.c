/* tests/support/loopdisk: see loopdisk.h. */
#include "tests/support/loopdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* <linux/fs.h> has it only since 6.x, and can not be had beside <sys/mount.h>. */
#define GOING_DOWN       _IOR('X', 125, uint32_t)
#define GOING_FLUSH_LOG  1u
#define GOING_NO_FLUSH   2u
#define EXT4_IMAGE_BYTES (128 << 20)
#define DETACH_MS        60000
#define XFS_IMAGE_BYTES  (320 << 20) /* mkfs.xfs wants 300 MiB */

static _Noreturn void give_up(const char *what, const char *which)
{
    fprintf(stderr, "loopdisk: %s %s: %s\n", what, which, strerror(errno));
    exit(2);
}

void loopdisk_init(struct loopdisk *d, const char *dir, const char *fs)
{
    *d = (struct loopdisk){.device_fd = -1, .root_fd = -1};
    snprintf(d->fs, sizeof d->fs, "%s", fs);
    snprintf(d->image, sizeof d->image, "%s/image", dir);
    snprintf(d->at, sizeof d->at, "%s/disk", dir);
}

/* An empty sparse image with a file system. */
static void format(const struct loopdisk *d)
{
    bool is_xfs = strcmp(d->fs, "xfs") == 0;
    char command[LOOPDISK_PATH_MAX + 64];
    int fd = open(d->image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, is_xfs ? XFS_IMAGE_BYTES : EXT4_IMAGE_BYTES) < 0)
        give_up("image", d->image);
    close(fd);
    /* mkfs.ext4 leaves tables to be zeroed by a thread of the kernel's, which then competes. */
    snprintf(command, sizeof command, "%s '%s'",
             is_xfs ? "mkfs.xfs -q -f" : "mkfs.ext4 -q -F -E lazy_itable_init=0", d->image);
    errno = 0;
    if (system(command) != 0)
        give_up("can not do", command);
}

/* A free loop device, with the image: others may look for one at the same time. */
static void attach(struct loopdisk *d)
{
    struct loop_config config = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int image = open(d->image, O_RDWR | O_CLOEXEC);

    if (control < 0 || image < 0)
        give_up("open", control < 0 ? "/dev/loop-control" : d->image);
    config.fd = (uint32_t)image;
    for (int tries = 0; tries < 1000; tries++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);

        if (number < 0)
            give_up("loop device for", d->image);
        snprintf(d->device, sizeof d->device, "/dev/loop%d", number);
        d->device_fd = open(d->device, O_RDWR | O_CLOEXEC);
        if (d->device_fd >= 0 && ioctl(d->device_fd, LOOP_CONFIGURE, &config) == 0) {
            close(image);
            close(control);
            return;
        }
        if (d->device_fd >= 0)
            close(d->device_fd);
        if (errno != EBUSY)
            break;
    }
    give_up("configure", d->device);
}

/* ext4 goes on after an error of its own, with what it has. */
static void check_health(const struct loopdisk *d)
{
    char path[64];
    unsigned errors = 0;
    FILE *f;

    snprintf(path, sizeof path, "/sys/fs/ext4/%s/errors_count", d->device + strlen("/dev/"));
    f = fopen(path, "re");
    if (f && fscanf(f, "%u", &errors) == 1 && errors > 0) {
        fprintf(stderr, "loopdisk: %s itself is damaged, see dmesg: no test of what is on it\n",
                d->fs);
        exit(2);
    }
    if (f)
        fclose(f);
}

static void mount_it(struct loopdisk *d)
{
    if (mount(d->device, d->at, d->fs, MS_NOATIME, NULL) < 0)
        give_up("mount", d->at);
    d->root_fd = open(d->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->root_fd < 0)
        give_up("open", d->at);
    check_health(d);
}

static void unmount_it(struct loopdisk *d)
{
    if (d->root_fd < 0)
        return;
    check_health(d);
    close(d->root_fd);
    d->root_fd = -1;
    if (umount(d->at) < 0)
        give_up("umount", d->at);
}

void loopdisk_make(struct loopdisk *d)
{
    loopdisk_release(d);
    if (mkdir(d->at, 0700) < 0 && errno != EEXIST)
        give_up("mkdir", d->at);
    format(d);
    attach(d);
    mount_it(d);
}

void loopdisk_cut(const struct loopdisk *d, bool flush_log)
{
    uint32_t how = flush_log ? GOING_FLUSH_LOG : GOING_NO_FLUSH;

    if (ioctl(d->root_fd, GOING_DOWN, &how) < 0)
        give_up("shut down", d->at);
}

/* Has the device still this image? */
static bool is_attached(const struct loopdisk *d)
{
    char path[80];
    char image[LOOPDISK_PATH_MAX + 1] = "";
    FILE *f;

    snprintf(path, sizeof path, "/sys/block/%s/loop/backing_file", d->device + strlen("/dev/"));
    f = fopen(path, "re");
    if (!f)
        return false;
    if (!fgets(image, sizeof image, f))
        image[0] = '\0';
    fclose(f);
    image[strcspn(image, "\n")] = '\0';
    return strcmp(image, d->image) == 0;
}

/* Who makes a mount namespace has a copy of every mount, this one too, and the file system lives
 * in it until that namespace ends. Other tests do so. Nothing tells when the kernel has let go of
 * the device (its uevent does not come to every container), so it is looked at again and again. */
static void wait_until_detached(const struct loopdisk *d)
{
    for (int i = 0; i < DETACH_MS; i++) {
        if (!is_attached(d))
            return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    errno = EBUSY;
    give_up("detach", d->device);
}

void loopdisk_release(struct loopdisk *d)
{
    unmount_it(d);
    if (d->device_fd < 0)
        return;
    close(d->device_fd);
    d->device_fd = -1;
    wait_until_detached(d);
}

/* The device is attached anew: in the old one's page cache stands what the file
 * system had in mind to write, and after the next mount it would read that. */
void loopdisk_remount(struct loopdisk *d)
{
    loopdisk_release(d);
    attach(d);
    mount_it(d);
}
