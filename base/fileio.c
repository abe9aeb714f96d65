/*
 * base/fileio: what every disk has in common, built on the table alone.
 * The real disk is in fileio_real.c.
 */
#include "base/fileio.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

void fileio_release(struct fileio *io)
{
    if (io)
        io->ops->release(io);
}

int fileio_write_all(struct fileio *io, int fd, struct iovec *iov, int n, uint64_t pos,
                     uint64_t *done)
{
    uint64_t written = 0;
    int rc = 0;

    while (n > 0) {
        ssize_t got;

        if (iov->iov_len == 0) {
            iov++;
            n--;
            continue;
        }
        got = io->ops->pwritev(io, fd, iov, n < IOV_MAX ? n : IOV_MAX, pos + written);
        if (got <= 0) {
            rc = got < 0 ? (int)got : -ENOSPC; /* a write of nothing: no room */
            break;
        }
        written += (uint64_t)got;
        for (; n > 0 && (size_t)got >= iov->iov_len; n--, iov++)
            got -= (ssize_t)iov->iov_len;
        if (got > 0) {
            iov->iov_base = (char *)iov->iov_base + got;
            iov->iov_len -= (size_t)got;
        }
    }
    if (done)
        *done = written;
    return rc;
}

int fileio_write_bytes(struct fileio *io, int fd, const void *data, size_t len, uint64_t pos)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    return fileio_write_all(io, fd, &iov, 1, pos, NULL);
}

int fileio_sync_all(struct fileio *io, const struct fileio_sync *what, int n)
{
    int rc = 0;

    if (io->ops->sync_all)
        return io->ops->sync_all(io, what, n);
    for (int i = 0; rc == 0 && i < n; i++)
        rc = what[i].fd >= 0 ? io->ops->fdatasync(io, what[i].fd)
                             : io->ops->sync_dir(io, what[i].dir);
    return rc;
}

int fileio_read_all(struct fileio *io, int fd, void *to, size_t len, uint64_t pos)
{
    char *at = to;

    while (len > 0) {
        ssize_t got = io->ops->pread(io, fd, at, len, pos);

        if (got < 0)
            return (int)got;
        if (got == 0)
            return -ENODATA;
        at += got;
        pos += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

int fileio_read_file(struct fileio *io, const char *path, size_t cap, char **data, size_t *len)
{
    char *bytes = NULL;
    uint64_t size;
    int fd = io->ops->open(io, path, FILEIO_READ);
    int rc = fd;

    if (fd < 0)
        return rc;
    rc = io->ops->size(io, fd, &size);
    if (rc == 0 && size > cap)
        rc = -EFBIG;
    if (rc == 0) {
        bytes = malloc(size + 1);
        rc = bytes ? fileio_read_all(io, fd, bytes, size, 0) : -ENOMEM;
    }
    io->ops->close(io, fd);
    if (rc < 0) {
        free(bytes);
        return rc;
    }
    bytes[size] = '\0';
    *data = bytes;
    *len = size;
    return 0;
}

int fileio_replace_file(struct fileio *io, const char *dir, const char *name, const void *data,
                        size_t len)
{
    const char *slash = *dir ? "/" : "";
    char tmp[PATH_MAX];
    char path[PATH_MAX];
    int fd;
    int rc;

    snprintf(path, sizeof path, "%s%s%s", dir, slash, name);
    snprintf(tmp, sizeof tmp, "%s%s%s%s.tmp", dir, slash, *name == '.' ? "" : ".", name);
    rc = io->ops->unlink(io, tmp);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    fd = io->ops->open(io, tmp, FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE);
    if (fd < 0)
        return fd;
    rc = fileio_write_bytes(io, fd, data, len, 0);
    if (rc == 0)
        rc = io->ops->fdatasync(io, fd);
    io->ops->close(io, fd);
    if (rc == 0)
        rc = io->ops->rename(io, tmp, path);
    if (rc < 0) {
        int gone = io->ops->unlink(io, tmp);

        (void)gone; /* what is left is deleted at the next start */
        return rc;
    }
    return io->ops->sync_dir(io, dir);
}
