/*
 * tests/crash: the store on the in-memory disk, in every state a crash may
 * leave.
 *
 *   crash [MULTIPLIER]              all histories; so many times more by chance
 *   crash SCENARIO                  one of them
 *   crash SCENARIO STATE[.INNER]    one state of it, told in full
 *
 * SCENARIO is a scripted history, `random:SEED`, or a deliberate fault of the
 * disk, which must be caught. TAP, and at last `crash: N states, L lost`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "tests/crash/scenarios.h"

#define WORKERS_MAX   16u
#define RANDOM_SEEDS  60u
#define RANDOM_GROUPS 10u
#define USUAL_BUDGET  600u
#define MUTANT_LOSSES 3u

/* What a worker found out about one item. */
struct result {
    uint64_t states, losses;
    bool done, wrong;
};

struct plan {
    size_t multiplier;
    unsigned workers;
    const char *only_name; /* NULL = all */
    uint64_t only, only_inner;
    struct result *results; /* [item * WORKERS_MAX + worker], shared */
};

static size_t item_count(void)
{
    return scenario_count + RANDOM_GROUPS + mutant_count;
}

static struct exploration exploration(const struct plan *plan, const char *name, unsigned me)
{
    struct exploration x = {
        .name = name,
        .seed = 20111,
        .budget = USUAL_BUDGET * plan->multiplier,
        .life_every = 50,
        .life_budget = 6,
        .workers = plan->workers,
        .me = me,
        .only = plan->only,
        .only_inner = plan->only_inner,
    };

    for (const char *p = name; *p; p++)
        x.seed = x.seed * 31 + (uint8_t)*p;
    return x;
}

/* -- items -- */

static void run_script(struct exploration *x, void (*run)(struct world *w),
                       const struct memignore *ignore, struct result *r)
{
    struct world w;

    world_init(&w, ignore);
    run(&w);
    if (w.store)
        world_kill(&w);
    if (w.wrong[0]) {
        printf("# %s: %s\n", x->name, w.wrong);
        r->wrong = true;
    }
    explore(x, &w);
    world_release(&w);
}

static void random_group(const struct plan *plan, size_t group, unsigned me, struct result *r)
{
    for (uint64_t seed = group; seed < RANDOM_SEEDS * plan->multiplier; seed += RANDOM_GROUPS) {
        struct exploration x;
        char name[32];

        snprintf(name, sizeof name, "random:%" PRIu64, seed);
        if (plan->only_name && strcmp(plan->only_name, name) != 0)
            continue;
        x = exploration(plan, name, me);
        x.budget = USUAL_BUDGET / 6; /* more seeds rather than more states of each */
        random_history(&x, seed);
        r->states += x.states;
        r->losses += x.losses;
    }
}

static void item_name(size_t item, char *name, size_t room)
{
    if (item < scenario_count)
        snprintf(name, room, "%s", scenarios[item].name);
    else if (item < scenario_count + RANDOM_GROUPS)
        snprintf(name, room, "random histories, group %zu", item - scenario_count);
    else
        snprintf(name, room, "%s", mutants[item - scenario_count - RANDOM_GROUPS].name);
}

static bool is_mutant(size_t item)
{
    return item >= scenario_count + RANDOM_GROUPS;
}

static bool wanted(const struct plan *plan, size_t item)
{
    char name[100];

    if (!plan->only_name)
        return true;
    if (item >= scenario_count && !is_mutant(item))
        return strncmp(plan->only_name, "random:", 7) == 0 &&
               strtoull(plan->only_name + 7, NULL, 10) % RANDOM_GROUPS == item - scenario_count;
    item_name(item, name, sizeof name);
    return strcmp(name, plan->only_name) == 0;
}

static void run_item(const struct plan *plan, size_t item, unsigned me)
{
    struct result *r = &plan->results[item * WORKERS_MAX + me];
    struct exploration x;
    char name[100];

    item_name(item, name, sizeof name);
    x = exploration(plan, name, me);
    if (item < scenario_count) {
        if (scenarios[item].budget)
            x.budget = scenarios[item].budget * plan->multiplier;
        run_script(&x, scenarios[item].run, NULL, r);
    } else if (is_mutant(item)) {
        const struct mutant *m = &mutants[item - scenario_count - RANDOM_GROUPS];

        x.losses_max = MUTANT_LOSSES;
        x.quiet = plan->only_name == NULL;
        run_script(&x, m->run, &m->ignore, r);
    } else {
        random_group(plan, item - scenario_count, me, r);
        r->done = true;
        return;
    }
    r->states = x.states;
    r->losses = x.losses;
    r->done = true;
}

/* -- workers -- */

static void work(const struct plan *plan, unsigned me)
{
    diag_silence(true);
    for (size_t item = 0; item < item_count(); item++)
        if (wanted(plan, item))
            run_item(plan, item, me);
    fflush(stdout);
}

static void work_all(const struct plan *plan)
{
    fflush(stdout);
    for (unsigned me = 0; me < plan->workers; me++) {
        pid_t pid = plan->workers > 1 ? fork() : 0;

        if (pid < 0)
            exit(2);
        if (pid > 0)
            continue;
        work(plan, me);
        if (plan->workers > 1)
            _exit(0);
    }
    while (plan->workers > 1 && wait(NULL) > 0)
        continue;
}

/* -- what came out -- */

static bool tell_item(const struct plan *plan, size_t item, size_t number, uint64_t *states,
                      uint64_t *losses)
{
    struct result sum = {.done = true};
    char name[100];
    bool ok;

    item_name(item, name, sizeof name);
    for (unsigned i = 0; i < plan->workers; i++) {
        const struct result *r = &plan->results[item * WORKERS_MAX + i];

        sum.states += r->states;
        sum.losses += r->losses;
        sum.done &= r->done;
        sum.wrong |= r->wrong;
    }
    if (is_mutant(item)) {
        ok = sum.done && sum.losses > 0;
        printf("%s %zu - %s: %s\n", ok ? "ok" : "not ok", number, name,
               ok ? "caught" : "NOT caught");
        return ok;
    }
    ok = sum.done && !sum.wrong && sum.losses == 0 && (sum.states > 0 || plan->only_name);
    printf("%s %zu - %s: %" PRIu64 " states, %" PRIu64 " lost%s\n", ok ? "ok" : "not ok", number,
           name, sum.states, sum.losses, sum.done ? "" : ", a worker died");
    *states += sum.states;
    *losses += sum.losses;
    return ok;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_arguments(struct plan *plan, int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    char *end = NULL;

    plan->workers = cores < 1 ? 1 : cores > (long)WORKERS_MAX ? WORKERS_MAX : (unsigned)cores;
    if (argc > 1 && argv[1][strspn(argv[1], "0123456789")] == '\0')
        plan->multiplier = strtoul(argv[1], NULL, 10);
    else if (argc > 1)
        plan->only_name = argv[1];
    if (argc > 2) {
        plan->only = strtoull(argv[2], &end, 10);
        if (*end == '.')
            plan->only_inner = strtoull(end + 1, NULL, 10);
        plan->workers = 1;
    }
}

int main(int argc, char **argv)
{
    struct plan plan = {.multiplier = 1, .only = UINT64_MAX, .only_inner = UINT64_MAX};
    uint64_t states = 0;
    uint64_t losses = 0;
    double began = seconds();
    size_t number = 0;
    bool ok = true;
    void *shared;

    read_arguments(&plan, argc, argv);
    shared = mmap(NULL, item_count() * WORKERS_MAX * sizeof(struct result), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    plan.results = shared;
    work_all(&plan);
    for (size_t item = 0; item < item_count(); item++)
        if (wanted(&plan, item))
            ok &= tell_item(&plan, item, ++number, &states, &losses);
    printf("1..%zu\n", number);
    printf("# %.0f states/s in %u processes\n", (double)states / (seconds() - began), plan.workers);
    printf("crash: %" PRIu64 " states, %" PRIu64 " lost\n", states, losses);
    return ok && number > 0 ? 0 : 1;
}
