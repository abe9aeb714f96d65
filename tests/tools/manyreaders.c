/*
 * tests/tools/manyreaders: many readers that wait at one stream.
 *
 *     manyreaders STREAM COUNT FDS
 *
 * COUNT threads with small stacks, sharing FDS opens of the stream, each with
 * one pread(2) of its own at position 0. Ends when all have been answered and
 * prints `N woke, M of them with TEXT` where M have the first one's bytes.
 * Exit status 1 where a thread could not be made or a read failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)16 << 10)
#define TEXT_MAX    256

struct reader {
    pthread_t thread;
    int fd;
    int error;
    ssize_t len;
    char text[TEXT_MAX];
};

static void *wait_for_it(void *arg)
{
    struct reader *r = arg;

    r->len = pread(r->fd, r->text, sizeof r->text - 1, 0);
    r->error = r->len < 0 ? errno : 0;
    return NULL;
}

static int open_all(const char *path, int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fds[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (fds[i] < 0)
            return -1;
    }
    return 0;
}

static int start_all(struct reader *readers, size_t count, const int *fds, size_t fd_count)
{
    pthread_attr_t attr;
    int rc = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    for (size_t i = 0; i < count && rc == 0; i++) {
        readers[i].fd = fds[i % fd_count];
        rc = pthread_create(&readers[i].thread, &attr, wait_for_it, &readers[i]);
        if (rc != 0)
            fprintf(stderr, "manyreaders: thread %zu: %s\n", i, strerror(rc));
    }
    pthread_attr_destroy(&attr);
    return rc;
}

int main(int argc, char **argv)
{
    size_t count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    size_t fd_count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    struct reader *readers = calloc(count + 1, sizeof *readers);
    int *fds = calloc(fd_count + 1, sizeof *fds);
    size_t alike = 0;
    int status = EXIT_SUCCESS;

    if (count == 0 || fd_count == 0 || !readers || !fds) {
        fprintf(stderr, "manyreaders STREAM COUNT FDS\n");
        return EXIT_FAILURE;
    }
    if (open_all(argv[1], fds, fd_count) < 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    if (start_all(readers, count, fds, fd_count) != 0)
        return EXIT_FAILURE;
    for (size_t i = 0; i < count; i++) {
        struct reader *r = &readers[i];

        pthread_join(r->thread, NULL);
        alike += r->len > 0 && strcmp(r->text, readers[0].text) == 0;
        if (r->error != 0 && status == EXIT_SUCCESS) {
            fprintf(stderr, "manyreaders: %s\n", strerror(r->error));
            status = EXIT_FAILURE;
        }
    }
    printf("%zu woke, %zu of them with %s", count, alike, readers[0].text);
    free(readers);
    free(fds);
    return status;
}
