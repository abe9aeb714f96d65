/*
 * tests/cuts/model: is the crash model right?
 *
 * Histories of tests/crash are recorded on the in-memory disk, and their
 * operations done again, call for call, on a real file system, which is cut
 * after each of them. What is there afterwards must be one of the states that
 * the model (tests/support/powercut.h) has for that point; where it is not, the
 * model is its author's misunderstanding. Then the store recovers it, in
 * memory, and is held against the history's ledger.
 *
 * Each point is cut twice: with nothing between the calls, so that nearly all
 * that was not synced is lost, and with write-back and commits by chance.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "tests/crash/scenarios.h"
#include "tests/cuts/cuts.h"
#include "tests/cuts/onreal.h"
#include "tests/support/judge.h"
#include "tests/support/loopdisk.h"
#include "tests/support/reachable.h"

/* A disk of its own for each history; a directory of its own for each point. */
struct model {
    struct loopdisk disk;
    char dir[LOOPDISK_PATH_MAX + 16];
    uint64_t random;
    unsigned cycles, wrong;
    unsigned directories;
};

static void new_directory(struct model *m)
{
    char command[2 * LOOPDISK_PATH_MAX];

    if (m->directories > 0) {
        snprintf(command, sizeof command, "rm -rf '%s'", m->dir);
        if (system(command) != 0)
            exit(2);
    }
    snprintf(m->dir, sizeof m->dir, "%s/%u", m->disk.at, ++m->directories);
    if (mkdir(m->dir, 0700) < 0 || syncfs(m->disk.root_fd) < 0) {
        perror(m->dir);
        exit(2);
    }
}

static void object(struct model *m, const char *name, const struct powercut *cut, const char *what,
                   const char *why)
{
    char text[300] = "the beginning";

    if (m->wrong++ >= 20)
        return;
    if (cut->at > 0)
        memop_text(cut->trace->ops[cut->at - 1], text, sizeof text);
    printf("# %s on %s, cut after operation %zu of %zu (%s): %s: %s\n", name, m->disk.fs, cut->at,
           cut->trace->count, text, what, why);
    fflush(stdout);
}

/* Does the store hold on what was found? Takes the tree over. */
static void judge_found(struct model *m, const char *name, const struct world *w,
                        const struct powercut *cut, struct memtree found)
{
    struct world life = {.clock = w->clock, .options = w->options, .disk = memdisk_of(found)};
    struct verdict v;

    life.clock.now_ms += 1000;
    if (!world_start(&life)) {
        object(m, name, cut, "recovery", life.wrong);
    } else {
        judge(life.store, life.disk, &w->ledger, cut->at, true, &v);
        if (v.why[0])
            object(m, name, cut, "recovered", v.why);
    }
    world_release(&life);
}

static void cut_here(struct model *m, const char *name, const struct world *w,
                     const struct powercut *cut, bool noise)
{
    struct memtree found;
    char why[300];

    new_directory(m);
    onreal_replay(cut->trace, cut->at, m->dir, noise ? mem_random(&m->random) | 1 : 0);
    loopdisk_cut(&m->disk, noise && mem_below(&m->random, 3) == 0);
    loopdisk_remount(&m->disk);
    onreal_load(&found, m->dir);
    m->cycles++;
    if (!reachable(cut, &found, why, sizeof why))
        object(m, name, cut, "the model has no such state", why);
    judge_found(m, name, w, cut, found);
}

/* Of a history with failed calls nothing can be replayed. */
static bool is_plain(const struct memtrace *trace)
{
    for (size_t i = 0; i < trace->count; i++)
        if (trace->ops[i]->failed)
            return false;
    return true;
}

static void model_history(struct model *m, const struct scenario *scenario, size_t points_max)
{
    struct powercut cut;
    struct world w;
    size_t count;
    size_t step;

    world_init(&w, NULL);
    scenario->run(&w);
    if (w.store)
        world_kill(&w);
    count = w.disk->trace->count;
    if (w.wrong[0] || !is_plain(w.disk->trace)) {
        printf("# %s: left out: %s\n", scenario->name, w.wrong[0] ? w.wrong : "its disk fails");
        world_release(&w);
        return;
    }
    loopdisk_make(&m->disk);
    m->directories = 0;
    step = points_max > 0 && count > points_max ? count / points_max : 1;
    powercut_init(&cut, w.disk->trace);
    do {
        if ((cut.at + m->random) % step == 0 || cut.at == count) {
            cut_here(m, scenario->name, &w, &cut, false);
            cut_here(m, scenario->name, &w, &cut, true);
        }
    } while (m->wrong < 20 && powercut_step(&cut));
    printf("# %s: %zu operations\n", scenario->name, count);
    fflush(stdout);
    powercut_release(&cut);
    world_release(&w);
}

int model_main(const char *fs, const char *only, uint64_t seed, size_t points_max)
{
    struct model m = {.random = seed};
    char dir[LOOPDISK_PATH_MAX - 20];

    if (!getcwd(dir, sizeof dir)) {
        perror("directory");
        return 2;
    }
    diag_silence(true);
    loopdisk_init(&m.disk, dir, fs);
    for (size_t i = 0; i < scenario_count; i++)
        if (!only || strcmp(scenarios[i].name, only) == 0)
            model_history(&m, &scenarios[i], points_max);
    loopdisk_release(&m.disk);
    printf("# %s, seed %" PRIu64 "\n", fs, seed);
    printf("cuts: %u cycles, %u lost\n", m.cycles, m.wrong);
    return m.wrong > 0 || m.cycles == 0;
}
