/*
 * daemon/main: joins the store and the mount, and looks after the process.
 *
 * Order of a start: words, limits, signals blocked; with --daemon the fork,
 * because nothing that has threads may be forked; store, mount, ready. The
 * parent waits until all that could fail has not.
 *
 * Threads: signals are blocked in all of them and taken by this one with
 * sigwait(), during a stop by a second that hurries it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fileio.h"
#include "daemon/check.h"
#include "daemon/cmdline.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/process.h"
#include "fs/mount.h"
#include "store/store.h"

#define GRACE_MS 1000 /* for those who have files open when it stops */

enum { EXIT_USAGE = 2 };

struct program {
    struct config conf;
    char *store_path; /* absolute */
    char *mount_path;
    char *log_path;
    struct fileio *io;
    struct store *store;
    pthread_mutex_t lock; /* of fs, while it is being stopped */
    struct fs *fs;
    pthread_t main_thread;
    sigset_t signals;
    _Atomic bool ended; /* the mount did, from outside or because of end_rc */
    int end_rc;         /* set before */
    int ready_fd;       /* to the parent that waits */
};

/* -- paths -- */

static int make_absolute(const char *path, char **out, struct err *err)
{
    char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);

    if (path[0] == '/')
        *out = strdup(path);
    else if (!cwd || asprintf(out, "%s/%s", cwd, path) < 0)
        *out = NULL;
    free(cwd);
    return *out ? 0 : err_set(err, -errno, "%s: %s", path, strerror(errno));
}

static bool is_inside(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* Before anything is made: what would fail later, or hide the store. */
static int check_mountpoint(struct program *p, struct err *err)
{
    const char *name = p->conf.mountpoint;
    struct stat st;
    char *mount, *store;
    int rc = 0;

    if (stat(p->mount_path, &st) < 0) {
        if (errno == ENOTCONN)
            return 0; /* a dead mount, which fs_mount() detaches */
        if (errno == EACCES && geteuid() == 0)
            return err_set(err, -EACCES,
                           "%s: %s: another user's mount without allow_other? umount it first",
                           name, strerror(EACCES));
        return err_set(err, -errno, "%s: %s", name, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode))
        return err_set(err, -ENOTDIR, "%s: %s", name, strerror(ENOTDIR));
    mount = realpath(p->mount_path, NULL);
    store = realpath(p->store_path, NULL);
    if (mount && store && (is_inside(mount, store) || is_inside(store, mount)))
        rc = err_set(err, -EINVAL, "%s: store and mount point must not lie in one another", name);
    free(mount);
    free(store);
    return rc;
}

/* -- start and stop -- */

static int start_store(struct program *p, struct err *err)
{
    const struct config *conf = &p->conf;
    struct store_options options = {
        .name = p->store_path,
        .threads = true,
        .broker = (uint32_t)conf->broker,
        .journal_bytes = conf->journal_bytes,
        .journal_part_bytes = conf->journal_part_bytes,
        .retention_check_ms = conf->retention_check_ms,
        .scrub_bytes_per_second = conf->scrub_bytes_per_second,
        .topic_default = conf->topic,
    };
    bool made = mkdir(conf->store, 0700) == 0;
    int rc = 0;

    if (!made && errno != EEXIST)
        return err_set(err, -errno, "store %s: %s", conf->store, strerror(errno));
    rc = fileio_open(&p->io, conf->store, err);
    if (rc == 0) {
        options.io = p->io;
        rc = store_open(&p->store, &options, err);
        if (rc == ERR_LOCKED && process_await_user_of(p->store_path))
            rc = store_open(&p->store, &options, err);
    }
    if (rc < 0 && made)
        rmdir(conf->store);
    return rc;
}

static void mount_ended(void *arg, int rc)
{
    struct program *p = arg;

    p->end_rc = rc;
    atomic_store(&p->ended, true);
    pthread_kill(p->main_thread, SIGUSR1);
}

static int start_mount(struct program *p, struct err *err)
{
    struct fs_options options = {
        .store = p->store,
        .store_path = p->store_path,
        .version = TOPICFS_VERSION,
        .mountpoint = p->mount_path,
        .mount_options = p->conf.mount_options.data,
        .allow_other = p->conf.allow_other,
        .root_mode = (uint32_t)p->conf.root_mode,
        .no_passthrough = p->conf.no_passthrough,
        .topic_default = p->conf.topic,
        .ended = mount_ended,
        .arg = p,
    };

    return fs_mount(&p->fs, &options, err);
}

static int start(struct program *p, struct err *err)
{
    int rc = make_absolute(p->conf.store, &p->store_path, err);

    if (rc == 0)
        rc = make_absolute(p->conf.mountpoint, &p->mount_path, err);
    if (rc == 0 && p->conf.log)
        rc = make_absolute(p->conf.log, &p->log_path, err);
    if (rc == 0)
        rc = check_mountpoint(p, err);
    if (rc == 0 && p->conf.background)
        rc = log_open(p->log_path, err);
    if (rc == 0)
        rc = start_store(p, err);
    if (rc == 0)
        rc = start_mount(p, err);
    /* The terminal and the parent are let go only now, so that all that goes
     * wrong before is seen by whoever started us. */
    if (rc == 0 && p->conf.background)
        rc = log_start(err);
    if (rc == 0 && p->conf.background)
        rc = process_let_go(p->ready_fd, err);
    return rc;
}

/* The second signal ends the grace of open files; the third ends the process
 * as it is: nothing that was acknowledged is lost by that. */
static void *hurry(void *arg)
{
    struct program *p = arg;
    int sig;
    unsigned count = 0;

    while (sigwait(&p->signals, &sig) == 0) {
        if (sig != SIGTERM && sig != SIGINT)
            continue;
        if (++count > 1) {
            diag_say("ended in the middle of its stop; the next start recovers");
            _exit(EXIT_FAILURE);
        }
        pthread_mutex_lock(&p->lock);
        if (p->fs)
            fs_hurry(p->fs);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

static int stop(struct program *p, struct err *err)
{
    struct fs *fs = p->fs;
    pthread_t thread;
    int rc = 0;

    if (fs) {
        if (pthread_create(&thread, NULL, hurry, p) == 0)
            pthread_detach(thread);
        fs_stop(fs, GRACE_MS);
        pthread_mutex_lock(&p->lock);
        p->fs = NULL;
        pthread_mutex_unlock(&p->lock);
        fs_free(fs);
    }
    if (p->store)
        rc = store_close(p->store, err);
    if (p->io)
        fileio_release(p->io);
    return rc;
}

static void wait_for_the_end(struct program *p)
{
    int sig;

    while (sigwait(&p->signals, &sig) == 0) {
        if (sig == SIGHUP && p->conf.background)
            log_reopen();
        else if (sig != SIGUSR1 || atomic_load(&p->ended))
            return;
    }
}

static int run(struct program *p)
{
    struct err err = {0};
    int rc = start(p, &err);
    int stopped;

    if (rc == 0) {
        diag_say("%s on %s ready", p->store_path, p->mount_path);
        process_notify_manager("READY=1");
        wait_for_the_end(p);
        process_notify_manager("STOPPING=1");
        if (atomic_load(&p->ended) && p->end_rc < 0)
            rc = err_set(&err, p->end_rc, "%s: no thread can take requests: %s", p->mount_path,
                         err_sentence(p->end_rc));
    }
    if (rc < 0)
        diag_say("%s", err.text);
    stopped = stop(p, &err);
    if (stopped < 0)
        diag_say("%s", err.text);
    else if (rc == 0)
        diag_say("%s on %s stopped", p->store_path, p->mount_path);
    log_end();
    free(p->store_path);
    free(p->mount_path);
    free(p->log_path);
    return rc < 0 || stopped < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_help(void)
{
    struct buf text = {0};
    int rc = cmdline_help(&text);

    if (rc == 0)
        fwrite(text.data, 1, text.len, stdout);
    buf_release(&text);
    return rc < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    /* hurry() may still look at it when main() has returned. */
    static struct program p = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct err err = {0};
    int status = EXIT_USAGE;

    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return check_command(argc - 2, argv + 2);
    if (cmdline_read(&p.conf, argc, argv, &err) < 0) {
        diag_say("%s", err.text);
    } else if (p.conf.task == CONFIG_HELP) {
        status = print_help();
    } else if (p.conf.task == CONFIG_VERSION) {
        status = puts("topicfs " TOPICFS_VERSION) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    } else {
        process_prepare(&p.signals);
        if (!p.conf.background || process_to_background(&p.signals, &p.ready_fd, &status)) {
            p.main_thread = pthread_self();
            status = run(&p);
        }
    }
    config_release(&p.conf);
    return status;
}
