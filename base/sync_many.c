/* base/sync_many: see sync_many.h. */
#include "base/sync_many.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

void sync_many_init(struct sync_many *s)
{
    *s = (struct sync_many){0};
    pthread_mutex_init(&s->lock, NULL);
}

void sync_many_release(struct sync_many *s)
{
    if (s->context)
        syscall(SYS_io_destroy, s->context);
    pthread_mutex_destroy(&s->lock);
}

/* How many of them, from the first on, the kernel has taken. */
static int submit(struct sync_many *s, struct iocb *cb, int n)
{
    struct iocb *list[SYNC_MANY_MAX];
    long taken;

    if (!s->context && !s->refused)
        s->refused = syscall(SYS_io_setup, SYNC_MANY_MAX, &s->context) < 0;
    if (s->refused)
        return 0;
    for (int i = 0; i < n; i++)
        list[i] = &cb[i];
    taken = syscall(SYS_io_submit, s->context, (long)n, list);
    return taken < 0 ? 0 : (int)taken;
}

/* Waits for all that were taken. */
static int reap(struct sync_many *s, int n)
{
    struct io_event event[SYNC_MANY_MAX];
    int rc = 0;

    while (n > 0) {
        long got = syscall(SYS_io_getevents, s->context, 1L, (long)n, event, NULL);

        if (got < 0 && errno != EINTR)
            return -errno;
        for (long i = 0; i < got; i++) {
            n--;
            if (event[i].res < 0)
                rc = (int)event[i].res;
        }
    }
    return rc;
}

static int sync_one(int fd, bool data_only)
{
    int rc;

    do
        rc = data_only ? fdatasync(fd) : fsync(fd);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

int sync_many(struct sync_many *s, const int *fd, const bool *data_only, int n)
{
    struct iocb cb[SYNC_MANY_MAX];
    int taken;
    int rc = 0;

    for (int i = 0; i < n; i++)
        cb[i] = (struct iocb){
            .aio_lio_opcode = data_only[i] ? IOCB_CMD_FDSYNC : IOCB_CMD_FSYNC,
            .aio_fildes = (unsigned)fd[i],
        };
    pthread_mutex_lock(&s->lock);
    taken = submit(s, cb, n);
    for (int i = taken; i < n; i++) {
        int one = sync_one(fd[i], data_only[i]);

        rc = one < 0 ? one : rc;
    }
    if (taken > 0) {
        int others = reap(s, taken);

        rc = others < 0 ? others : rc;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}
