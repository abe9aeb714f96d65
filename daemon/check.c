/* daemon/check: the command `topicfs check STORE`. See check.h. */
#include "daemon/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fileio.h"
#include "base/plural.h"
#include "daemon/process.h"
#include "store/check.h"

#define SAY_EVERY_US ((uint64_t)500000)

struct run {
    const char *store;
    bool progress, repair, help;
    bool terminal; /* where progress goes */
    uint64_t begun_us, said_us;
};

/* -- words -- */

static int read_words(struct run *run, int argc, char *const *argv, struct err *err)
{
    bool ended = false; /* by "--" */

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];

        if (ended || word[0] != '-' || !word[1]) {
            if (run->store)
                return err_set(err, -EINVAL, "check: %s: one word too many", word);
            run->store = word;
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else if (strcmp(word, "--progress") == 0) {
            run->progress = true;
        } else if (strcmp(word, "--repair") == 0) {
            run->repair = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            run->help = true;
        } else {
            return err_set(err, -EINVAL, "check: %s: no such option; topicfs check --help", word);
        }
    }
    if (!run->store && !run->help)
        return err_set(err, -EINVAL, "check: no store; usage: topicfs check [OPTION...] STORE");
    return 0;
}

static const char help_text[] =
    "usage: topicfs check [OPTION...] STORE\n"
    "\n"
    "Verifies all of a store that no topicfs uses, and changes nothing: every message against\n"
    "its checksum, the journal, every file's name. A line for each thing found says what it\n"
    "means and what to do.\n"
    "\n"
    "  --repair                    change it: recover it as a start would, note damaged messages so\n"
    "                              that readers skip them, make a lost index from its lines, let\n"
    "                              read-only partitions go on behind what is lost; no message is\n"
    "                              changed\n"
    "  --progress                  say on standard error how far it is, also if no terminal\n"
    "  --help                      print this\n"
    "\n"
    "Exit status: 0 nothing is wrong; 1 nothing is lost and nothing need be done;\n"
    "2 wrong usage; 3 damage; 4 damage, repaired; 5 in use by another process; 6 it could not be checked.\n";

static int print_help(void)
{
    return fputs(help_text, stdout) < 0 || fflush(stdout) != 0 ? CHECK_NOT_DONE : CHECK_CLEAN;
}

/* -- what it says -- */

static void say_progress(void *arg, uint64_t done, uint64_t total)
{
    struct run *run = arg;
    uint64_t now = clock_mono_us();
    double seconds = (double)(now - run->begun_us) / 1e6;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    double left = rate > 0 ? (double)(total - done) / rate : 0;

    if (done < total && now - run->said_us < SAY_EVERY_US)
        return;
    run->said_us = now;
    fprintf(stderr, "%s%" PRIu64 " of %" PRIu64 " MiB, %.0f MiB/s, %.0f s remaining%s",
            run->terminal ? "\r\033[K" : "", done >> 20, total >> 20, rate / 1048576, left,
            run->terminal && done < total ? "" : "\n");
    fflush(stderr);
}

static void say_finding(void *arg, enum finding kind, const char *text)
{
    const struct run *run = arg;

    if (run->progress && run->terminal)
        fputs("\r\033[K", stderr);
    printf("%s: %s\n", text, finding_advice(kind));
    fflush(stdout);
}

static int verdict_of(const struct run *run, const struct check_result *result)
{
    if (run->repair && result->worst == FOUND_DAMAGE && result->repaired)
        return CHECK_REPAIRED;
    if (run->repair && result->worst == FOUND_MENDED)
        return CHECK_CLEAN;
    switch (result->worst) {
    case FOUND_NOTE: return CHECK_CLEAN;
    case FOUND_MENDED: return CHECK_MENDS;
    case FOUND_DAMAGE: break;
    }
    return CHECK_DAMAGED;
}

static void sum_up(const struct run *run, const struct check_result *r, int status)
{
    static const char *const verdicts[] = {
        [CHECK_CLEAN] = "nothing is wrong",
        [CHECK_MENDS] = "nothing is lost, and nothing need be done",
        [CHECK_DAMAGED] = "damaged",
        [CHECK_REPAIRED] = "was damaged; repaired",
    };

    printf("%s: %" PRIu64 " topic%s, %" PRIu64 " partition%s, %" PRIu64 " segment%s; %" PRIu64
           " message%s of %" PRIu64 " byte%s verified, %" PRIu64 " damaged: %s\n",
           run->store, r->topics, plural(r->topics), r->partitions, plural(r->partitions),
           r->segments, plural(r->segments), r->messages, plural(r->messages), r->bytes,
           plural(r->bytes), r->damaged, verdicts[status]);
}

static int look(const struct run *run, const struct check_options *options,
                struct check_result *result, struct err *err)
{
    return run->repair ? store_repair(options, result, err) : store_check(options, result, err);
}

static int run_check(struct run *run)
{
    struct check_options options = {
        .name = run->store,
        .finder = {say_finding, run},
        .progress = run->progress ? say_progress : NULL,
        .progress_arg = run,
    };
    struct check_result result;
    struct err err;
    int status;
    int rc = fileio_open(&options.io, run->store, &err);

    if (rc < 0) {
        diag_say("check: %s", err.text);
        return CHECK_NOT_DONE;
    }
    run->begun_us = clock_mono_us();
    rc = look(run, &options, &result, &err);
    if (rc == ERR_LOCKED && process_await_user_of(run->store))
        rc = look(run, &options, &result, &err);
    fileio_release(options.io);
    if (rc < 0) {
        diag_say("check: %s", err.text);
        return rc == ERR_LOCKED ? CHECK_IN_USE : CHECK_NOT_DONE;
    }
    status = verdict_of(run, &result);
    sum_up(run, &result, status);
    return fflush(stdout) != 0 || ferror(stdout) ? CHECK_NOT_DONE : status;
}

int check_command(int argc, char *const *argv)
{
    struct run run = {.terminal = isatty(STDERR_FILENO)};
    struct err err;

    run.progress = run.terminal;
    if (read_words(&run, argc, argv, &err) < 0) {
        diag_say("%s", err.text);
        return CHECK_USAGE;
    }
    return run.help ? print_help() : run_check(&run);
}
