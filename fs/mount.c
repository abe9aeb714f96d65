/* fs/mount: see the header. */
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/workers.h"

#define DEFAULT_ROOT_MODE 0755
#define DEFAULT_WORKERS   10
#define STREAM_THREADS    2
#define READ_AHEAD_KB     "1024"
#define ROOT_INO          1
#define CORPSES_MAX       8 /* dead mounts on top of one another */

/* -- libfuse's words -- */

/* The last thing libfuse said while a mount is made: its sentence is the only
 * place where it tells why. One mount is made at a time. */
static pthread_mutex_t saying_lock = PTHREAD_MUTEX_INITIALIZER;
static char *saying;

static void fuse_says(enum fuse_log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void fuse_says(enum fuse_log_level level, const char *fmt, va_list ap)
{
    char text[256];
    const char *from = text;
    size_t len;

    if (level > FUSE_LOG_WARNING)
        return;
    vsnprintf(text, sizeof text, fmt, ap);
    len = strlen(text);
    if (len > 0 && text[len - 1] == '\n')
        text[len - 1] = '\0';
    if (strncmp(from, "fuse: ", 6) == 0)
        from += 6;
    pthread_mutex_lock(&saying_lock);
    if (saying)
        snprintf(saying, sizeof text, "%s", from);
    else
        diag_say("fuse: %s", from);
    pthread_mutex_unlock(&saying_lock);
}

static void listen_to_fuse(char *text)
{
    pthread_mutex_lock(&saying_lock);
    saying = text;
    pthread_mutex_unlock(&saying_lock);
}

/* -- the mount point -- */

static int run_fusermount(const char *mountpoint)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        if (null >= 0)
            dup2(null, STDERR_FILENO);
        execlp("fusermount3", "fusermount3", "-u", "-z", "--", mountpoint, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -errno;
    return status == 0 ? 0 : -EPERM;
}

static int detach(const char *mountpoint)
{
    if (umount2(mountpoint, MNT_DETACH) == 0)
        return 0;
    return run_fusermount(mountpoint);
}

/* True if the device is one that a topicfs has mounted. */
static bool is_topicfs(dev_t device)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    char wanted[32];

    snprintf(wanted, sizeof wanted, " %u:%u / ", major(device), minor(device));
    while (file && !found && getline(&line, &room, file) > 0)
        found = strstr(line, wanted) && strstr(line, " - fuse.topicfs ");
    free(line);
    if (file)
        fclose(file);
    return found;
}

/* A killed process leaves a mount that answers ENOTCONN. Mounting on top would
 * hide it, and come back with the next kill. stat() alone may be answered from
 * the kernel's memory for a while; statfs() never is. */
static int clear_mountpoint(const char *mountpoint, struct err *err)
{
    struct statfs fs;
    struct stat st;
    int corpses = 0;

    while (statfs(mountpoint, &fs) < 0 || stat(mountpoint, &st) < 0) {
        int rc = -errno;

        if (rc != -ENOTCONN)
            return err_set(err, rc, "%s: %s", mountpoint, strerror(-rc));
        if (++corpses > CORPSES_MAX || detach(mountpoint) < 0)
            return err_set(err, rc,
                           "%s: the mount of an ended topicfs is in the way; "
                           "detach it with: fusermount3 -uz %s",
                           mountpoint, mountpoint);
        diag_say("%s: the mount of an ended topicfs (%s); detached it", mountpoint, strerror(-rc));
    }
    if (!S_ISDIR(st.st_mode))
        return err_set(err, -ENOTDIR, "%s: %s", mountpoint, strerror(ENOTDIR));
    /* A second one on top would hide the first from all but its open files. */
    if (st.st_ino == ROOT_INO && is_topicfs(st.st_dev))
        return err_set(err, -EBUSY, "%s: a topicfs is mounted there already; end it first",
                       mountpoint);
    return 0;
}

static int check_device(struct err *err)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    int rc = fd < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    if (rc == -ENOENT || rc == -ENODEV || rc == -ENXIO)
        return err_set(err, rc,
                       "/dev/fuse: %s; is the kernel's fuse module loaded (modprobe fuse)?",
                       strerror(-rc));
    if (rc < 0)
        return err_set(err, rc, "/dev/fuse: %s; mounting needs read and write access to it",
                       strerror(-rc));
    return 0;
}

/* -- the session -- */

/* A comma or backslash in a value of -o. */
static int add_escaped(struct buf *to, const char *text)
{
    int rc = 0;

    for (; *text && rc == 0; text++) {
        if (*text == ',' || *text == '\\')
            rc = buf_add(to, "\\", 1);
        if (rc == 0)
            rc = buf_add(to, text, 1);
    }
    return rc;
}

static int option_text(const struct fs *fs, struct buf *text)
{
    const char *more = fs->options.mount_options;
    int rc = buf_printf(text, "default_permissions,subtype=topicfs,fsname=");

    if (rc == 0)
        rc = add_escaped(text, fs->store_path);
    if (rc == 0 && fs->options.allow_other)
        rc = buf_printf(text, ",allow_other");
    if (rc == 0 && more && *more)
        rc = buf_printf(text, ",%s", more);
    return rc == 0 ? buf_add(text, "", 1) : rc;
}

static int new_session(struct fs *fs)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_lowlevel_ops ops = {0};
    struct buf options = {0};
    int rc = option_text(fs, &options);

    ops_tree_fill(&ops);
    ops_file_fill(&ops);
    if (rc == 0 && (fuse_opt_add_arg(&args, "topicfs") || fuse_opt_add_arg(&args, "-o") ||
                    fuse_opt_add_arg(&args, options.data)))
        rc = -ENOMEM;
    if (rc == 0) {
        fs->session = fuse_session_new(&args, &ops, sizeof ops, fs);
        rc = fs->session ? 0 : -EINVAL;
    }
    fuse_opt_free_args(&args);
    buf_release(&options);
    return rc;
}

/* The first message is INIT, and is there once it is mounted. */
static int serve_init(struct fs *fs)
{
    struct fuse_buf buf = {0};
    int n;

    do
        n = fuse_session_receive_buf(fs->session, &buf);
    while (n == -EINTR);
    if (n > 0) {
        passthrough_see_init(&fs->passthrough, fuse_session_fd(fs->session), buf.mem, (size_t)n);
        fuse_session_process_buf(fs->session, &buf);
        passthrough_try(&fs->passthrough);
    }
    free(buf.mem);
    if (n > 0 && !fuse_session_exited(fs->session))
        return 0;
    return n < 0 ? n : -EPROTO;
}

static int mount_session(struct fs *fs, struct err *err)
{
    char why[256] = "";
    int rc;

    fuse_set_log_func(fuse_says);
    listen_to_fuse(why);
    rc = new_session(fs);
    if (rc < 0) {
        err_set(err, rc, "mount options: %s", *why ? why : strerror(-rc));
    } else {
        errno = 0;
        if (fuse_session_mount(fs->session, fs->mountpoint) != 0) {
            rc = errno ? -errno : -EPERM;
            err_set(err, rc, "%s: cannot mount: %s", fs->mountpoint, *why ? why : strerror(-rc));
        }
    }
    listen_to_fuse(NULL);
    if (rc < 0)
        return rc;
    rc = serve_init(fs);
    if (rc < 0) {
        err_set(err, rc, "%s: the kernel's fuse does not answer: %s", fs->mountpoint,
                strerror(-rc));
        fuse_session_unmount(fs->session);
    }
    return rc;
}

/* -- the workers -- */

static void tell_end(struct fs *fs, int rc)
{
    bool told = false;

    if (atomic_compare_exchange_strong(&fs->told, &told, true) && fs->options.ended)
        fs->options.ended(fs->options.arg, rc);
}

/* No memory for a worker's first request: the others go on, who have theirs. */
static void give_up(struct fs *fs, struct worker *me, int rc)
{
    if (worker_gives_up(me))
        tell_end(fs, rc);
    else
        diag_say("%s: one thread less takes requests: %s", fs->mountpoint, err_sentence(rc));
}

static void free_buffer(void *arg)
{
    struct fuse_buf *buf = arg;

    free(buf->mem);
}

/* Takes requests and does them. May be cancelled while it waits for one. */
static void serve(struct worker *me, void *arg)
{
    struct fs *fs = arg;
    struct fuse_buf buf = {0};

    pthread_cleanup_push(free_buffer, &buf);
    while (worker_may_take(me)) {
        int n;

        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        n = fuse_session_receive_buf(fs->session, &buf);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        if (n == -EINTR || n == -EAGAIN)
            continue;
        if (n < 0)
            give_up(fs, me, n);
        else if (n == 0)
            tell_end(fs, 0);
        if (n <= 0)
            break;
        worker_begins(me);
        fuse_session_process_buf(fs->session, &buf);
        worker_done(me);
    }
    pthread_cleanup_pop(1);
}

static int start_workers(struct fs *fs)
{
    unsigned most = fs->options.worker_threads ? fs->options.worker_threads : DEFAULT_WORKERS;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned at_once = processors > 0 ? (unsigned)processors + 1 : most;

    return workers_new(&fs->workers, most, at_once < most ? at_once : most, 0, serve, fs);
}

/* The kernel offers 128 KiB and INIT can only lower it; root may raise it. What the
 * device's number is the kernel says without asking our own workers. */
static void raise_read_ahead(const struct fs *fs)
{
    char path[64];
    struct statx st;
    int fd;

    if (statx(AT_FDCWD, fs->mountpoint, AT_STATX_DONT_SYNC, 0, &st) < 0)
        return;
    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major,
             st.stx_dev_minor);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, READ_AHEAD_KB, strlen(READ_AHEAD_KB)) < 0)
        diag_say("%s: %s", path, strerror(errno));
    close(fd);
}

/* -- the whole -- */

static int status_lines(void *arg, struct buf *out)
{
    struct fs *fs = arg;
    unsigned open_files;
    struct statvfs st;
    int rc;

    pthread_mutex_lock(&fs->handles.lock);
    open_files = fs->handles.count;
    pthread_mutex_unlock(&fs->handles.lock);
    rc = buf_printf(out, "mount: %s\npassthrough: %s\nopen files: %u\nwaiting readers: %u\n",
                    fs->mountpoint, fs_has_passthrough(fs) ? "yes" : "no", open_files,
                    streams_waiting(fs->streams));
    if (rc == 0 && statvfs(fs->store_path, &st) == 0)
        rc = buf_printf(out, "disk: %" PRIu64 " MiB available of %" PRIu64 " MiB\n",
                        (uint64_t)st.f_bavail * st.f_frsize >> 20,
                        (uint64_t)st.f_blocks * st.f_frsize >> 20);
    return rc;
}

static int metrics_lines(void *arg, struct buf *out)
{
    return fs_metrics_text(arg, out);
}

static struct fs *fs_new(const struct fs_options *options)
{
    struct fs *fs = calloc(1, sizeof(*fs));
    pthread_condattr_t attr;

    if (!fs)
        return NULL;
    fs->options = *options;
    fs->tree.store = options->store;
    fs->tree.topic_default = options->topic_default;
    fs->tree.root_mode = options->root_mode ? options->root_mode : DEFAULT_ROOT_MODE;
    fs->tree.status = status_lines;
    fs->tree.metrics = metrics_lines;
    fs->tree.arg = fs;
    fs->mounted_ms = clock_wall_ms();
    fs->passthrough.wanted = !options->no_passthrough;
    fs->store_path = strdup(options->store_path);
    fs->mountpoint = strdup(options->mountpoint);
    if (!fs->store_path || !fs->mountpoint || tree_init(&fs->tree) < 0) {
        free(fs->store_path);
        free(fs->mountpoint);
        free(fs);
        return NULL;
    }
    handles_init(&fs->handles, &fs->tree, &fs->passthrough);
    pthread_mutex_init(&fs->poll_lock, NULL);
    pthread_mutex_init(&fs->waits_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&fs->waits_change, &attr);
    pthread_condattr_destroy(&attr);
    return fs;
}

/* Everything that runs once it is mounted. */
static int start_threads(struct fs *fs, struct err *err)
{
    int rc = streams_new(&fs->streams, STREAM_THREADS);

    if (rc == 0)
        rc = notify_new(&fs->notify, fs);
    if (rc == 0)
        rc = start_workers(fs);
    if (rc == 0)
        raise_read_ahead(fs);
    return rc == 0 ? 0 : err_set(err, rc, "%s: no threads: %s", fs->mountpoint, strerror(-rc));
}

int fs_mount(struct fs **out, const struct fs_options *options, struct err *err)
{
    struct fs *fs;
    int rc = clear_mountpoint(options->mountpoint, err);

    if (rc == 0)
        rc = check_device(err);
    if (rc < 0)
        return rc;
    fs = fs_new(options);
    if (!fs)
        return err_set(err, -ENOMEM, "%s: %s", options->mountpoint, strerror(ENOMEM));
    rc = mount_session(fs, err);
    if (rc == 0) {
        rc = start_threads(fs, err);
        if (rc < 0)
            fs_stop(fs, 0);
    }
    if (rc < 0) {
        fs_free(fs);
        return rc;
    }
    *out = fs;
    return 0;
}

void fs_stop(struct fs *fs, unsigned grace_ms)
{
    uint64_t until = clock_mono_us() / 1000 + grace_ms;

    atomic_store(&fs->told, true);
    if (fs->streams)
        streams_stop(fs->streams);
    handles_drain(&fs->handles, until, &fs->hurry);
    handles_publish_rest(&fs->handles);
    ops_answers_drain(fs, until);
    if (fs->notify)
        notify_stop(fs->notify);
    if (fs->workers)
        workers_end(fs->workers);
    fs->workers = NULL;
    if (fs->notify)
        notify_free(fs->notify);
    /* A worker may have begun something in its last requests: whoever answers that
     * writes to the session's descriptor, whose number is another file's soon. */
    if (fs->streams)
        streams_stop(fs->streams);
    ops_answers_drain(fs, 0);
    passthrough_end(&fs->passthrough);
    fuse_session_unmount(fs->session);
    while (fs->handles.head) {
        ops_poll_forget(fs, fs->handles.head);
        handle_close(fs->handles.head);
    }
}

void fs_hurry(struct fs *fs)
{
    atomic_store(&fs->hurry, true);
}

void fs_free(struct fs *fs)
{
    if (fs->streams)
        streams_free(fs->streams);
    if (fs->session)
        fuse_session_destroy(fs->session);
    handles_release(&fs->handles);
    tree_release(&fs->tree);
    pthread_cond_destroy(&fs->waits_change);
    pthread_mutex_destroy(&fs->waits_lock);
    pthread_mutex_destroy(&fs->poll_lock);
    free(fs->store_path);
    free(fs->mountpoint);
    free(fs);
}

bool fs_has_passthrough(const struct fs *fs)
{
    return atomic_load(&fs->passthrough.usable);
}
