/* fs/metrics: see the header. */
#include "fs/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/inside.h"

static const int errnos[] = {EMSGSIZE, EINVAL, ENOSPC, EDQUOT, EIO, EROFS};

#define ERRNOS (sizeof errnos / sizeof *errnos)
#define ERRORS "topicfs_publish_errors_total"

static const struct counter_row rows[FS_COUNT_ALL] = {
    [FS_COUNT_READS] = {"topicfs_reads_total", "",
                        "Reads that this process answered. Those that the kernel answers, by "
                        "passthrough or from its page cache, it does not know of."},
    [FS_COUNT_READ_BYTES] = {"topicfs_read_bytes_total", "", "Bytes of the answers."},
    [FS_COUNT_WRITES] = {"topicfs_publish_writes_total", "", "Writes to publish files."},
    [FS_COUNT_WRITTEN_BYTES] = {"topicfs_publish_written_bytes_total", "",
                                "Bytes that these writes took."},
    [FS_COUNT_ERRORS + 0] = {ERRORS, "errno=\"EMSGSIZE\"",
                             "Writes, closes and fsyncs of publish files that failed, by errno."},
    [FS_COUNT_ERRORS + 1] = {ERRORS, "errno=\"EINVAL\"", NULL},
    [FS_COUNT_ERRORS + 2] = {ERRORS, "errno=\"ENOSPC\"", NULL},
    [FS_COUNT_ERRORS + 3] = {ERRORS, "errno=\"EDQUOT\"", NULL},
    [FS_COUNT_ERRORS + 4] = {ERRORS, "errno=\"EIO\"", NULL},
    [FS_COUNT_ERRORS + 5] = {ERRORS, "errno=\"EROFS\"", NULL},
    [FS_COUNT_ERRORS_LAST] = {ERRORS, "errno=\"other\"", NULL},
};

void fs_metrics_publish_failed(struct fs_metrics *m, int code)
{
    int number = err_errno(code);
    size_t i = 0;

    while (i < ERRNOS && errnos[i] != number)
        i++;
    fs_metrics_add(m, (enum fs_count)(FS_COUNT_ERRORS + i), 1);
}

/* -- the mount -- */

static void put_mount(struct exposition *e, struct fs *fs)
{
    uint64_t open_files;
    uint64_t nodes;

    pthread_mutex_lock(&fs->handles.lock);
    open_files = fs->handles.count;
    pthread_mutex_unlock(&fs->handles.lock);
    pthread_mutex_lock(&fs->tree.nodes.lock);
    nodes = fs->tree.nodes.count;
    pthread_mutex_unlock(&fs->tree.nodes.lock);
    exposition_one(e, "topicfs_open_files", "Open files of the mount.", open_files);
    exposition_one(e, "topicfs_readers_waiting", "Reads of streams that wait for messages.",
                   streams_waiting(fs->streams));
    exposition_one(e, "topicfs_known_names", "Names that the kernel has looked up and keeps.",
                   nodes);
    exposition_one(e, "topicfs_passthrough", "1 where the kernel reads sealed segments itself.",
                   fs_has_passthrough(fs));
}

static void put_disk(struct exposition *e, const struct fs *fs)
{
    struct statvfs st;

    if (statvfs(fs->store_path, &st) < 0)
        return;
    exposition_one(e, "topicfs_disk_size_bytes", "Size of the disk that the store is on.",
                   (uint64_t)st.f_blocks * st.f_frsize);
    exposition_one(e, "topicfs_disk_available_bytes", "What the store may still take of it.",
                   (uint64_t)st.f_bavail * st.f_frsize);
}

/* -- the process; `process_...` is what node_exporter, which hands this on, has of itself -- */

static uint64_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", "..", and this one */
}

/* The second number of /proc/self/statm, in pages. */
static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    uint64_t pages = 0;
    char line[128];
    char *at;

    if (!file)
        return 0;
    if (fgets(line, sizeof line, file)) {
        (void)strtoul(line, &at, 10);
        pages = strtoul(at, NULL, 10);
    }
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t us_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static void put_process(struct exposition *e, const struct fs *fs)
{
    struct rusage used = {0};
    struct rlimit limit = {0};

    getrusage(RUSAGE_SELF, &used);
    getrlimit(RLIMIT_NOFILE, &limit);
    exposition_seconds(e, "topicfs_process_cpu_seconds_total", "Processor time used.",
                       us_of(used.ru_utime) + us_of(used.ru_stime));
    exposition_one(e, "topicfs_process_resident_memory_bytes", "Memory in use.", resident_bytes());
    exposition_one(e, "topicfs_process_open_fds", "Open descriptors.", open_descriptors());
    exposition_one(e, "topicfs_process_max_fds", "How many there may be.", limit.rlim_cur);
    exposition_seconds(e, "topicfs_process_start_time_seconds", "When it was mounted, since 1970.",
                       fs->mounted_ms * 1000);
}

int fs_metrics_text(struct fs *fs, struct buf *out)
{
    struct exposition e = {.out = out};
    char labels[64];

    exposition_counters(&e, rows, FS_COUNT_ALL, fs->metrics.count);
    put_mount(&e, fs);
    put_disk(&e, fs);
    put_process(&e, fs);
    snprintf(labels, sizeof labels, "version=\"%.40s\"",
             fs->options.version ? fs->options.version : "");
    exposition_family(&e, "topicfs_build_info", "gauge", "1, and which topicfs this is.");
    exposition_value(&e, "topicfs_build_info", labels, 1);
    return e.rc;
}
