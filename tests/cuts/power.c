/*
 * tests/cuts/power: cycles of load and power cut on one kind of disk.
 *
 * Every cycle goes on with the store that the last one left; now and then the
 * disk is made anew. When the power is cut is the kind of the cycle: at some
 * moment under load, while the store recovers, while it stops, right after a
 * clean stop and the first appends, after a kill and a start, and with a tail
 * in a .log that no index knows. Sometimes the worker that lost its disk is
 * left to find out and stop; else it is gone with the power.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/format.h"
#include "tests/cuts/cuts.h"
#include "tests/support/loopdisk.h"
#include "tests/support/powercut.h"

#define DISK_LIFE    25u /* cycles */
#define PATIENCE_MS  60000u
#define MICROSECONDS 1000u

enum kind { LOADED, STARTING, STOPPING, STOPPED, KILLED, TAILED, KINDS };
static const char *const kind_names[KINDS] = {
    "under load", "recovering", "stopping", "after a clean stop", "after a kill", "torn tail",
};

struct power {
    struct loopdisk disk;
    struct record *record;
    char store[LOOPDISK_PATH_MAX + 8];
    uint64_t random;
    pid_t worker; /* 0: none */
    unsigned cycle;
    unsigned done[KINDS];
};

/* -- time -- */

/* Up to so long, by chance: the moment of a cut is what this is about. */
static void some_time(struct power *p, size_t most_us)
{
    long us = (long)mem_below(&p->random, most_us);

    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static bool reached(const struct power *p, enum phase phase, uint64_t acknowledged)
{
    return p->record->phase >= phase && p->record->acknowledged >= acknowledged;
}

/* Until the worker is so far, and so much is acknowledged. */
static bool wait_until(struct power *p, enum phase phase, uint64_t acknowledged)
{
    int worker = pidfd_open(p->worker, 0);
    uint64_t deadline_ms = clock_mono_us() / 1000 + PATIENCE_MS;
    uint64_t now_ms;

    while (!reached(p, phase, acknowledged) && p->record->lost == 0 &&
           (now_ms = clock_mono_us() / 1000) < deadline_ms)
        if (!record_listen(p->record, worker, (int)(deadline_ms - now_ms)))
            break;
    close(worker);
    if (!reached(p, phase, acknowledged) && p->record->lost == 0)
        record_object(p->record, "the worker does not get to phase %d with %" PRIu64 " sets", phase,
                      acknowledged);
    return p->record->lost == 0;
}

/* -- workers -- */

static void start_worker(struct power *p, bool gentle)
{
    struct load load = {
        .dir = p->store, .record = p->record, .seed = mem_random(&p->random), .gentle = gentle};

    record_begin(p->record);
    fflush(stdout);
    p->worker = fork();
    if (p->worker < 0) {
        perror("fork");
        exit(2);
    }
    if (p->worker == 0)
        _exit(load_run(&load));
}

/* Its status; -1: a signal ended it that was none of ours. */
static int end_worker(struct power *p, bool kill_it)
{
    int status = 0;

    if (p->worker == 0)
        return 0;
    if (kill_it)
        kill(p->worker, SIGKILL);
    if (waitpid(p->worker, &status, 0) != p->worker)
        status = 0;
    p->worker = 0;
    if (WIFSIGNALED(status) && !(kill_it && WTERMSIG(status) == SIGKILL))
        record_object(p->record, "the worker died of signal %d", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void cut(struct power *p)
{
    record_order_cut(p->record);
    loopdisk_cut(&p->disk, mem_below(&p->random, 8) == 0);
    end_worker(p, mem_below(&p->random, 4) > 0);
}

static bool load(struct power *p)
{
    uint64_t more = 1 + mem_below(&p->random, mem_below(&p->random, 4) ? 60 : 400);

    return wait_until(p, PHASE_LOADED, p->record->acknowledged + more);
}

/* -- the kinds -- */

/* Half a message behind the end of a .log, on disk: as if the power went
 * between the fdatasync of the .log and that of the .idx. */
static void tear_tail(struct power *p)
{
    const struct record_where *where = &record_where[mem_below(&p->random, RECORD_PARTS)];
    char dir[LOOPDISK_PATH_MAX + 40], path[STORE_PATH_MAX], newest[STORE_PATH_MAX] = "";
    char tail[9000];
    int fd;

    snprintf(dir, sizeof dir, "cd '%s/%s/%u' && ls *.log | tail -n 1", p->store, where->topic,
             where->partition);
    FILE *names = popen(dir, "re");

    if (names && fscanf(names, "%300s", newest) == 1)
        snprintf(path, sizeof path, "%s/%s/%u/%s", p->store, where->topic, where->partition,
                 newest);
    if (names)
        pclose(names);
    memset(tail, 'x', sizeof tail);
    fd = *newest ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (fd < 0 || write(fd, tail, 1 + mem_below(&p->random, sizeof tail - 1)) < 1 ||
        fdatasync(fd) < 0)
        record_object(p->record, "tail of %s: %s", newest, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void stop_then_start(struct power *p)
{
    record_order_stop(p->record);
    if (end_worker(p, false) != 0)
        record_object(p->record, "the clean stop failed");
    start_worker(p, true);
    if (wait_until(p, PHASE_VERIFIED, 0))
        some_time(p, 4 * MICROSECONDS);
}

static void one_cycle(struct power *p, enum kind kind)
{
    bool gentle = false;

    start_worker(p, gentle);
    if (kind == STARTING) {
        some_time(p, 25 * MICROSECONDS);
        cut(p);
        return;
    }
    if (!load(p))
        return;
    some_time(p, 2 * MICROSECONDS);
    if (kind == STOPPING) {
        record_order_stop(p->record);
        some_time(p, 12 * MICROSECONDS);
    } else if (kind == STOPPED) {
        stop_then_start(p);
    } else if (kind == KILLED) {
        end_worker(p, true);
        start_worker(p, true);
        if (wait_until(p, PHASE_VERIFIED, 0))
            some_time(p, 2 * MICROSECONDS);
    } else if (kind == TAILED) {
        end_worker(p, true);
        tear_tail(p);
    }
    cut(p);
}

static enum kind draw_kind(struct power *p)
{
    static const enum kind kinds[16] = {
        LOADED,   LOADED,   LOADED,  LOADED,  LOADED, LOADED, LOADED, STARTING,
        STARTING, STARTING, STOPPED, STOPPED, KILLED, KILLED, TAILED, STOPPING,
    };

    return kinds[mem_below(&p->random, 16)];
}

static void fresh_disk(struct power *p)
{
    loopdisk_make(&p->disk);
    record_clear(p->record);
    if (mkdir(p->store, 0700) < 0 || syncfs(p->disk.root_fd) < 0) {
        perror(p->store);
        exit(2);
    }
}

/* The last look: everything is there, and the store stops cleanly. */
static void look(struct power *p)
{
    start_worker(p, true);
    if (wait_until(p, PHASE_LOADED, 0)) {
        record_order_stop(p->record);
        if (end_worker(p, false) != 0)
            record_object(p->record, "the clean stop failed");
    }
}

/* For who looks for a cause: the store as the last cut left it. */
static void keep(const struct power *p)
{
    char command[2 * LOOPDISK_PATH_MAX];

    if (!getenv("CUTS_KEEP"))
        return;
    snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", getenv("CUTS_KEEP"),
             p->store, getenv("CUTS_KEEP"));
    if (system(command) != 0)
        fprintf(stderr, "can not do: %s\n", command);
}

static void tell(const struct power *p, uint64_t seed)
{
    printf("# %s, seed %" PRIu64 ": %" PRIu64 " sets acknowledged, %" PRIu64
           " segments sealed, %" PRIu64 " journal turns in clean stops",
           p->disk.fs, seed, p->record->acknowledged, p->record->rolls, p->record->turns);
    for (int i = 0; i < KINDS; i++)
        printf(", %u %s", p->done[i], kind_names[i]);
    printf("\n");
}

int power_main(const char *fs, uint64_t seed, unsigned cycles)
{
    static struct power p;
    char dir[LOOPDISK_PATH_MAX - 20];
    enum kind kind = LOADED;

    p.record = record_new();
    p.random = seed;
    if (!getcwd(dir, sizeof dir)) {
        perror("directory");
        return 2;
    }
    loopdisk_init(&p.disk, dir, fs);
    snprintf(p.store, sizeof p.store, "%s/store", p.disk.at);
    for (p.cycle = 0; p.cycle < cycles && p.record->lost == 0; p.cycle++) {
        if (p.cycle % DISK_LIFE == 0)
            fresh_disk(&p);
        kind = p.cycle % DISK_LIFE == 0 ? LOADED : draw_kind(&p);
        one_cycle(&p, kind);
        if (p.record->lost > 0)
            break;
        p.done[kind]++;
        loopdisk_remount(&p.disk);
        keep(&p);
        if (p.cycle % DISK_LIFE == DISK_LIFE - 1 || p.cycle + 1 == cycles)
            look(&p);
    }
    end_worker(&p, true);
    if (p.record->lost > 0)
        printf("# %s, seed %" PRIu64 ", cycle %u, %s\n", fs, seed, p.cycle, kind_names[kind]);
    tell(&p, seed);
    printf("cuts: %u cycles, %" PRIu64 " lost\n", p.cycle, p.record->lost);
    loopdisk_release(&p.disk);
    return p.record->lost > 0;
}
