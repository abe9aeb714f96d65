/*
 * tests/crash: the store on the in-memory disk, in every state a crash may
 * leave.
 *
 *   crash [MULTIPLIER]                          all histories
 *   crash [MULTIPLIER] SCENARIO                 one of them
 *   crash [MULTIPLIER] SCENARIO STATE[.INNER]   one state of it, told in full
 *   crash [MULTIPLIER] FAULT HISTORY [STATE]    a fault in another history
 *
 * MULTIPLIER: so many times more states by chance; they have other numbers then.
 * SCENARIO is a scripted history, `random:SEED`, or a deliberate fault of the
 * disk, which must be caught. TAP, and at last `crash: N states, L lost`.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "tests/crash/faults.h"
#include "tests/crash/scenarios.h"

#define WORKERS_MAX   16u
#define RANDOM_SEEDS  40u
#define RANDOM_GROUPS 10u
#define USUAL_BUDGET  600u
#define FAULT_LOSSES  3u
#define KEPT_BYTES    (64 << 20) /* that malloc does not give back to the kernel */

/* What a worker found out in one job. */
struct result {
    uint64_t states, distinct, losses;
    bool done, wrong;
};

/* What the workers share. */
struct shared {
    atomic_size_t next; /* job that nobody has taken */
    struct result results[];
};

/* Jobs are the scripted histories, then the deliberate faults, then the seeds of
 * random histories. */
struct plan {
    size_t multiplier;
    unsigned workers;
    const char *only_name; /* NULL = all */
    const char *history;   /* for a fault; NULL = its own */
    uint64_t only, only_inner;
    struct shared *shared;
};

static size_t seed_count(const struct plan *plan)
{
    return RANDOM_SEEDS * plan->multiplier;
}

static size_t job_count(const struct plan *plan)
{
    return scenario_count + fault_count + seed_count(plan);
}

static bool is_fault(size_t job)
{
    return job >= scenario_count && job < scenario_count + fault_count;
}

static bool is_random(size_t job)
{
    return job >= scenario_count + fault_count;
}

static void job_name(size_t job, char *name, size_t room)
{
    if (is_random(job))
        snprintf(name, room, "random:%zu", job - scenario_count - fault_count);
    else if (is_fault(job))
        snprintf(name, room, "%s", faults[job - scenario_count].name);
    else
        snprintf(name, room, "%s", scenarios[job].name);
}

static bool wanted(const struct plan *plan, size_t job)
{
    char name[100];

    if (!plan->only_name)
        return true;
    job_name(job, name, sizeof name);
    return strcmp(name, plan->only_name) == 0;
}

/* -- doing a job -- */

static struct exploration exploration(const struct plan *plan, const char *name)
{
    struct exploration x = {
        .name = name,
        .seed = 20111,
        .budget = USUAL_BUDGET * plan->multiplier,
        .life_every = 50,
        .life_budget = 6,
        .only = plan->only,
        .only_inner = plan->only_inner,
    };

    for (const char *p = name; *p; p++)
        x.seed = x.seed * 31 + (uint8_t)*p;
    return x;
}

static const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < scenario_count; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}

/* Does the history of that name, with a fault or NULL, and explores it. */
static void run_history(const struct plan *plan, struct exploration *x, const char *name,
                        const struct world_fault *fault, struct result *r)
{
    const struct scenario *scenario = scenario_find(name);
    struct world w;

    if (strncmp(name, "random:", 7) == 0) {
        x->budget = USUAL_BUDGET / 6; /* more seeds rather than more states of each */
        random_history(x, strtoull(name + 7, NULL, 10), fault);
        return;
    }
    if (!scenario) {
        printf("# %s: there is no history %s\n", x->name, name);
        r->wrong = true;
        return;
    }
    if (scenario->budget)
        x->budget = scenario->budget * plan->multiplier;
    world_init(&w, fault);
    scenario->run(&w);
    if (w.store)
        world_kill(&w);
    if (w.wrong[0]) {
        printf("# %s: %s\n", x->name, w.wrong);
        r->wrong = true;
    }
    explore(x, &w);
    world_release(&w);
}

static void run_job(const struct plan *plan, size_t job)
{
    struct result *r = &plan->shared->results[job];
    struct exploration x;
    char name[100];

    job_name(job, name, sizeof name);
    x = exploration(plan, name);
    if (is_fault(job)) {
        const struct fault *f = &faults[job - scenario_count];

        x.losses_max = FAULT_LOSSES;
        x.quiet = plan->only_name == NULL;
        run_history(plan, &x, plan->history ? plan->history : f->history, &f->fault, r);
    } else {
        run_history(plan, &x, name, NULL, r);
    }
    r->states = x.states;
    r->distinct = x.distinct;
    r->losses = x.losses;
    r->done = true;
}

/* -- workers -- */

static void work(const struct plan *plan)
{
    size_t job;

    diag_silence(true);
    /* A state takes and returns the same memory as the one before. */
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    while ((job = atomic_fetch_add(&plan->shared->next, 1)) < job_count(plan))
        if (wanted(plan, job))
            run_job(plan, job);
    fflush(stdout);
}

static void work_all(const struct plan *plan)
{
    fflush(stdout);
    for (unsigned i = 0; i < plan->workers; i++) {
        pid_t pid = plan->workers > 1 ? fork() : 0;

        if (pid < 0)
            exit(2);
        if (pid > 0)
            continue;
        work(plan);
        if (plan->workers > 1)
            _exit(0);
    }
    while (plan->workers > 1 && wait(NULL) > 0)
        continue;
}

/* -- what came out -- */

static void add(struct result *sum, const struct result *r)
{
    sum->states += r->states;
    sum->distinct += r->distinct;
    sum->losses += r->losses;
    sum->done &= r->done;
    sum->wrong |= r->wrong;
}

static bool tell(const char *name, const struct result *r, size_t number)
{
    bool ok = r->done && !r->wrong && r->losses == 0;

    printf("%s %zu - %s: %" PRIu64 " states, %" PRIu64 " distinct, %" PRIu64 " lost%s\n",
           ok ? "ok" : "not ok", number, name, r->states, r->distinct, r->losses,
           r->done ? "" : ", a worker died");
    return ok;
}

static bool tell_fault(const char *name, const struct result *r, size_t number)
{
    bool ok = r->done && r->losses > 0;

    printf("%s %zu - %s: %s\n", ok ? "ok" : "not ok", number, name, ok ? "caught" : "NOT caught");
    return ok;
}

/* The random histories, some in a line. */
static bool tell_random(const struct plan *plan, struct result *total, size_t *number)
{
    size_t groups = plan->only_name ? 1 : RANDOM_GROUPS;
    size_t first = scenario_count + fault_count;
    bool ok = true;

    for (size_t group = 0; group < groups; group++) {
        struct result sum = {.done = true};
        char name[100];
        bool any = false;

        snprintf(name, sizeof name, "random histories, group %zu", group);
        for (size_t job = first + group; job < job_count(plan); job += groups)
            if (wanted(plan, job)) {
                any = true;
                add(&sum, &plan->shared->results[job]);
            }
        if (!any)
            continue;
        ok &= tell(plan->only_name ? plan->only_name : name, &sum, ++*number);
        add(total, &sum);
    }
    return ok;
}

static bool tell_all(const struct plan *plan, struct result *total)
{
    size_t number = 0;
    bool ok = true;

    for (size_t job = 0; job < scenario_count + fault_count; job++) {
        const struct result *r = &plan->shared->results[job];
        char name[100];

        if (!wanted(plan, job))
            continue;
        job_name(job, name, sizeof name);
        number++;
        if (is_fault(job)) {
            ok &= tell_fault(name, r, number);
        } else {
            ok &= tell(name, r, number);
            add(total, r);
        }
    }
    ok &= tell_random(plan, total, &number);
    printf("1..%zu\n", number);
    return ok && number > 0;
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
    argv++;
    if (argc > 1 && (*argv)[strspn(*argv, "0123456789")] == '\0') {
        plan->multiplier = strtoul(*argv++, NULL, 10);
        argc--;
    }
    if (argc > 1) {
        plan->only_name = *argv++;
        plan->workers = 1;
    }
    if (argc > 2 && (*argv)[strspn(*argv, "0123456789.")] != '\0') {
        plan->history = *argv++;
        argc--;
    }
    if (argc > 2) {
        plan->only = strtoull(*argv, &end, 10);
        if (*end == '.')
            plan->only_inner = strtoull(end + 1, NULL, 10);
    }
}

int main(int argc, char **argv)
{
    struct plan plan = {.multiplier = 1, .only = UINT64_MAX, .only_inner = UINT64_MAX};
    struct result total = {.done = true};
    double began = seconds();
    bool ok;

    read_arguments(&plan, argc, argv);
    plan.shared = mmap(NULL, sizeof *plan.shared + job_count(&plan) * sizeof(struct result),
                       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan.shared == MAP_FAILED)
        return 2;
    work_all(&plan);
    ok = tell_all(&plan, &total);
    printf("# %" PRIu64 " distinct; %.0f states/s in %u processes\n", total.distinct,
           (double)total.states / (seconds() - began), plan.workers);
    printf("crash: %" PRIu64 " states, %" PRIu64 " lost\n", total.states, total.losses);
    return ok ? 0 : 1;
}
