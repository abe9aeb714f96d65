/* daemon/log: carries stderr to a file or to syslog. See log.h. */
#include "daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"

static const char *path; /* NULL = syslog */
static _Atomic int log_fd = -1;
static FILE *lines; /* the reading end */
static pthread_t thread;
static bool started;

static int open_file(void)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

static void write_line(const char *line, size_t len)
{
    char front[64];
    size_t n;
    struct timeval now;
    struct tm tm;

    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &tm);
    n = strftime(front, sizeof front, "%Y-%m-%dT%H:%M:%S%z ", &tm);
    /* A log that takes nothing has nobody to tell. */
    if (dprintf(atomic_load(&log_fd), "%.*s%.*s", (int)n, front, (int)len, line) < 0)
        return;
}

static void *carry(void *arg)
{
    static const char prefix[] = "topicfs: "; /* syslog puts its own */
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    (void)arg;
    while ((len = getline(&line, &room, lines)) > 0) {
        if (path)
            write_line(line, (size_t)len);
        else if (strncmp(line, prefix, sizeof prefix - 1) == 0)
            syslog(LOG_NOTICE, "%s", line + sizeof prefix - 1);
        else
            syslog(LOG_NOTICE, "%s", line);
    }
    free(line);
    return NULL;
}

int log_open(const char *file, struct err *err)
{
    int fd;

    path = file;
    if (!path) {
        openlog("topicfs", LOG_PID, LOG_DAEMON);
        return 0;
    }
    fd = open_file();
    if (fd < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    atomic_store(&log_fd, fd);
    return 0;
}

int log_start(struct err *err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int ends[2];
    int rc;

    if (null < 0)
        return err_set(err, -errno, "/dev/null: %s", strerror(errno));
    if (pipe2(ends, O_CLOEXEC) < 0) {
        rc = -errno;
        close(null);
        return err_set(err, rc, "pipe: %s", err_sentence(rc));
    }
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    lines = fdopen(ends[0], "r");
    rc = lines ? -pthread_create(&thread, NULL, carry, NULL) : -ENOMEM;
    if (rc == 0) {
        started = true;
        dup2(null, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
    }
    close(ends[1]);
    close(null);
    return rc < 0 ? err_set(err, rc, "thread for the log: %s", err_sentence(rc)) : 0;
}

void log_reopen(void)
{
    int fd = path ? open_file() : -1;

    if (path && fd < 0)
        diag_say("%s: %s; going on with the old file", path, strerror(errno));
    if (fd >= 0) {
        dup3(fd, atomic_load(&log_fd), O_CLOEXEC);
        close(fd);
    }
}

void log_end(void)
{
    int null = started ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

    if (null < 0)
        return;
    started = false;
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close(null);
    pthread_join(thread, NULL);
    fclose(lines);
}
