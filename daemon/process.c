/* daemon/process: limits, signals, the way to the background. See process.h. */
#include "daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"

#define USER_ENDS_MS 5000

void process_prepare(sigset_t *signals)
{
    struct rlimit files;

    /* A heap for each thread would be kept for what each uses once. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is EFBIG for who publishes */
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
}

/* A byte means that the child works, the end of the pipe that it has ended. */
static int wait_for_child(pid_t child, int fd)
{
    char byte;
    int status;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        return EXIT_SUCCESS;
    if (waitpid(child, &status, 0) == child && WIFEXITED(status))
        return WEXITSTATUS(status);
    diag_say("killed before the mount was ready");
    return EXIT_FAILURE;
}

bool process_to_background(const sigset_t *signals, int *ready_fd, int *exit_status)
{
    int ends[2];
    pid_t child = -1;

    if (pipe2(ends, O_CLOEXEC) == 0)
        child = fork();
    if (child < 0) {
        diag_say("cannot go to the background: %s", strerror(errno));
        *exit_status = EXIT_FAILURE;
        return false;
    }
    if (child > 0) {
        close(ends[1]);
        pthread_sigmask(SIG_UNBLOCK, signals, NULL);
        *exit_status = wait_for_child(child, ends[0]);
        return false;
    }
    close(ends[0]);
    *ready_fd = ends[1];
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setsid();
    return true;
}

int process_let_go(int ready_fd, struct err *err)
{
    int rc = 0;

    prctl(PR_SET_PDEATHSIG, 0);
    if (chdir("/") < 0 || write(ready_fd, "", 1) != 1)
        rc = err_set(err, -errno, "cannot go to the background: %s", strerror(errno));
    close(ready_fd);
    return rc;
}

bool process_await_user_of(const char *store)
{
    struct pollfd user = {.fd = -1, .events = POLLIN};
    char text[32] = "";
    char *path = NULL;
    int lock = asprintf(&path, "%s/.lock", store) < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    bool ended = false;

    if (lock >= 0 && read(lock, text, sizeof text - 1) > 0)
        user.fd = (int)syscall(SYS_pidfd_open, strtol(text, NULL, 10), 0);
    if (user.fd >= 0) {
        ended = poll(&user, 1, USER_ENDS_MS) > 0;
        close(user.fd);
    }
    if (lock >= 0)
        close(lock);
    free(path);
    return ended;
}

void process_notify_manager(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = name ? strlen(name) : 0;
    int fd;

    if (len == 0 || len >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, name, len);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0'; /* an abstract name */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}
