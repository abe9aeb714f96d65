/*
 * daemon/cmdline: the words of the command line and of -o. See cmdline.h.
 *
 * The words are gone through twice: the first time only for the files they
 * name, so that what else they say is applied over those.
 */
#include "daemon/cmdline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
    OPT_STORE,
    OPT_CONFIG,
    OPT_DAEMON,
    OPT_FOREGROUND,
    OPT_LOG,
    OPT_ALLOW_OTHER,
    OPT_NO_PASSTHROUGH,
    OPT_HELP,
    OPT_VERSION,
};

static const struct option {
    const char *name;
    const char *arg; /* NULL: takes none */
    const char *initial;
    enum option_id id;
    const char *help;
} options[] = {
    {"store", "DIR", NULL, OPT_STORE, "the directory that holds the messages; made if missing"},
    {"config", "FILE", NULL, OPT_CONFIG, "settings, one key=value a line"},
    {"daemon", NULL, NULL, OPT_DAEMON, "go to the background; returns when the mount is ready"},
    {"foreground", NULL, NULL, OPT_FOREGROUND, "stay, also where called as mount(8) does"},
    {"log", "FILE", "syslog", OPT_LOG, "with --daemon: where messages go, once it is ready"},
    {"allow-other", NULL, NULL, OPT_ALLOW_OTHER, "let users other than this one use the mount"},
    {"no-passthrough", NULL, NULL, OPT_NO_PASSTHROUGH,
     "serve sealed segments from here, not from the kernel"},
    {"help", NULL, NULL, OPT_HELP, "print this"},
    {"version", NULL, NULL, OPT_VERSION, "print the version"},
};

#define OPTION_COUNT (sizeof options / sizeof *options)

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static int replace(char **text, const char *value, struct err *err)
{
    char *copy = strdup(value);

    if (!copy)
        return err_set(err, -ENOMEM, "%s", err_sentence(-ENOMEM));
    free(*text);
    *text = copy;
    return 0;
}

static int set_option(struct config *conf, const struct option *opt, const char *value,
                      struct err *err)
{
    switch (opt->id) {
    case OPT_STORE: return replace(&conf->store, value, err);
    case OPT_LOG: return replace(&conf->log, value, err);
    case OPT_DAEMON: conf->background = true; break;
    case OPT_FOREGROUND: conf->background = false; break;
    case OPT_ALLOW_OTHER: conf->allow_other = true; break;
    case OPT_NO_PASSTHROUGH: conf->no_passthrough = true; break;
    case OPT_HELP: conf->task = CONFIG_HELP; break;
    case OPT_VERSION: conf->task = CONFIG_VERSION; break;
    case OPT_CONFIG: break; /* was read in the first round */
    }
    return 0;
}

/* -- mount options -- */

/* What mount(8), fstab and systemd say of every mount and what is no business
 * of ours; "=" at the end: with any value. */
static const char *const ignored[] = {
    "defaults",   "rw",         "auto",     "noauto",      "nofail",   "user",
    "nouser",     "users",      "owner",    "group",       "_netdev",  "dev",
    "suid",       "exec",       "async",    "atime",       "diratime", "nodiratime",
    "norelatime", "nolazytime", "relatime", "strictatime", "nonempty", "default_permissions",
    "user=",      "comment=",   "fsname=",  "subtype=",
};

/* Handed on to the mount. */
static const char *const passed[] = {"nodev", "nosuid", "noexec", "noatime", "sync", "dirsync"};

static bool is_in(const char *word, const char *const *list, size_t count)
{
    size_t key = strcspn(word, "=");

    if (word[key] == '=')
        key++;
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == key && memcmp(list[i], word, key) == 0)
            return true;
    return false;
}

#define IS_IN(word, list) is_in(word, list, sizeof(list) / sizeof *(list))

static int pass_on(struct config *conf, const char *word)
{
    struct buf *b = &conf->mount_options;
    int rc = 0;

    if (b->len > 0)
        b->data[b->len - 1] = ','; /* was the NUL */
    rc = buf_add(b, word, strlen(word) + 1);
    return rc;
}

static int apply_mount_option(struct config *conf, char *word, bool files, struct err *err)
{
    char *eq = strchr(word, '=');

    if (!*word || strncmp(word, "x-", 2) == 0 || strncmp(word, "X-", 2) == 0 ||
        IS_IN(word, ignored))
        return 0;
    if (IS_IN(word, passed))
        return files || pass_on(conf, word) == 0 ? 0 : err_set(err, -ENOMEM, "-o %s", word);
    if (strcmp(word, "ro") == 0)
        return err_set(err, -EINVAL,
                       "-o ro: a mount without publishing is not supported; "
                       "who may write is the topics' modes");
    if (strcmp(word, "allow_other") == 0) {
        conf->allow_other = true;
        return 0;
    }
    if (!eq)
        return err_set(err, -EINVAL, "-o %s: no such mount option", word);
    *eq++ = '\0';
    if (strcmp(word, "config") == 0)
        return files ? config_read_file(conf, eq, err) : 0;
    if (strcmp(word, "log") == 0)
        return replace(&conf->log, eq, err);
    if (!config_knows(word))
        return err_set(err, -EINVAL, "-o %s: no such mount option", word);
    return files ? 0 : config_set(conf, word, eq, err);
}

static int apply_mount_options(struct config *conf, const char *list, bool files, struct err *err)
{
    char *copy = strdup(list);
    char *at = copy;
    char *word;
    int rc = copy ? 0 : err_set(err, -ENOMEM, "%s", err_sentence(-ENOMEM));

    while (rc == 0 && (word = strsep(&at, ",")))
        rc = apply_mount_option(conf, word, files, err);
    free(copy);
    return rc;
}

/* -- the command line -- */

struct words {
    int argc;
    char *const *argv;
    int at;
    bool files; /* the first round */
    unsigned plain;
    char *first_plain;
};

/* The value of an option: behind its '=', or the next word. */
static int value_of(struct words *w, const char *word, const char *eq, const char **value,
                    struct err *err)
{
    if (eq)
        *value = eq + 1;
    else if (w->at < w->argc)
        *value = w->argv[w->at++];
    else
        return err_set(err, -EINVAL, "%s: needs a value", word);
    return 0;
}

static int apply_long(struct config *conf, struct words *w, const char *word, struct err *err)
{
    const char *eq = strchr(word, '=');
    size_t len = eq ? (size_t)(eq - word) - 2 : strlen(word) - 2;
    char name[64];
    const struct option *opt;
    const char *value = NULL;
    int rc;

    snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), word + 2);
    opt = find_option(name);
    if (opt && !opt->arg) {
        if (eq)
            return err_set(err, -EINVAL, "--%s: takes no value", name);
        return set_option(conf, opt, "", err);
    }
    for (char *c = name; !opt && *c; c++)
        if (*c == '-')
            *c = '.';
    if (!opt && !config_knows(name))
        return err_set(err, -EINVAL, "%.*s: no such option; topicfs --help lists them",
                       (int)len + 2, word);
    rc = value_of(w, word, eq, &value, err);
    if (rc < 0)
        return rc;
    if (opt && opt->id == OPT_CONFIG && w->files)
        return config_read_file(conf, value, err);
    if (opt)
        return set_option(conf, opt, value, err);
    return w->files ? 0 : config_set(conf, name, value, err);
}

static int apply_short(struct config *conf, struct words *w, const char *word, struct err *err)
{
    const char *value = NULL;
    int rc = 0;

    if (word[1] == 'o') {
        rc = value_of(w, "-o", word[2] ? word + 1 : NULL, &value, err);
        return rc < 0 ? rc : apply_mount_options(conf, value, w->files, err);
    }
    if (strcmp(word, "-h") == 0)
        conf->task = CONFIG_HELP;
    else if (strcmp(word, "-V") == 0)
        conf->task = CONFIG_VERSION;
    else if (strcmp(word, "-f") == 0)
        conf->background = false;
    else
        rc = err_set(err, -EINVAL, "%s: no such option; topicfs --help lists them", word);
    return rc;
}

static int apply_words(struct config *conf, struct words *w, struct err *err)
{
    bool ended = false; /* by "--" */
    int rc = 0;

    while (rc == 0 && w->at < w->argc) {
        char *word = w->argv[w->at++];

        if (ended || word[0] != '-' || !word[1]) {
            if (w->plain++ == 0)
                w->first_plain = word;
            else
                rc = replace(&conf->mountpoint, word, err);
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else {
            rc = word[1] == '-' ? apply_long(conf, w, word, err) : apply_short(conf, w, word, err);
        }
    }
    return rc;
}

/* MOUNTPOINT, or, as mount(8) says it, STORE MOUNTPOINT. */
static int place_plain_words(struct config *conf, const struct words *w, struct err *err)
{
    if (w->plain == 0)
        return err_set(err, -EINVAL, "no mount point; usage: topicfs --store DIR MOUNTPOINT");
    if (w->plain > 2)
        return err_set(err, -EINVAL, "%s: one word too many; usage: topicfs --store DIR MOUNTPOINT",
                       conf->mountpoint);
    if (w->plain == 2 && conf->store)
        return err_set(err, -EINVAL,
                       "%s: --store is given already; usage: topicfs --store DIR "
                       "MOUNTPOINT",
                       w->first_plain);
    if (w->plain == 1 && !conf->store)
        return err_set(err, -EINVAL, "no store; usage: topicfs --store DIR MOUNTPOINT");
    return replace(w->plain == 2 ? &conf->store : &conf->mountpoint, w->first_plain, err);
}

int cmdline_read(struct config *conf, int argc, char *const *argv, struct err *err)
{
    struct words w = {.argc = argc, .argv = argv, .at = 1, .files = true};
    int rc;

    config_init(conf);
    rc = apply_words(conf, &w, err);
    if (rc < 0 || conf->task != CONFIG_RUN)
        return rc;
    /* As mount(8) calls it: that waits for us to return. */
    conf->background = w.plain == 2;
    w = (struct words){.argc = argc, .argv = argv, .at = 1};
    rc = apply_words(conf, &w, err);
    if (rc == 0)
        rc = place_plain_words(conf, &w, err);
    return rc < 0 ? rc : topic_config_check(&conf->topic, err);
}

/* -- help -- */

struct help {
    struct buf *out;
    int rc;
};

static void help_line(struct help *h, const char *name, const char *arg, const char *initial,
                      const char *help)
{
    char left[64];

    for (size_t i = 0; i < sizeof left; i++) {
        left[i] = name[i] == '.' ? '-' : name[i];
        if (!name[i])
            break;
    }
    if (h->rc == 0 && arg)
        h->rc = buf_printf(h->out, "  --%s %-*s", left, 27 - (int)strlen(left), arg);
    else if (h->rc == 0)
        h->rc = buf_printf(h->out, "  --%-28s", left);
    if (h->rc == 0)
        h->rc = buf_printf(h->out, " %s%s%s%s\n", help, initial ? " [" : "", initial ? initial : "",
                           initial ? "]" : "");
}

static void help_setting(void *arg, const char *key, const char *value, const char *help)
{
    help_line(arg, key, "VALUE", value, help);
}

static void help_heading(struct help *h, const char *text)
{
    if (h->rc == 0)
        h->rc = buf_add(h->out, text, strlen(text));
}

static const char usage[] =
    "usage: topicfs --store DIR [OPTION...] MOUNTPOINT\n"
    "       topicfs STORE MOUNTPOINT [-o OPTION[,OPTION...]]   (mount -t fuse.topicfs)\n"
    "       topicfs check [OPTION...] STORE   (verifies a store; topicfs check --help)\n"
    "\n"
    "A log broker whose interface is a directory tree: mkdir MOUNTPOINT/t makes a topic,\n"
    "echo hello >> MOUNTPOINT/t/publish publishes, cat MOUNTPOINT/t/0/0- reads.\n"
    "\n"
    "Options:\n";

int cmdline_help(struct buf *out)
{
    struct help h = {.out = out};

    help_heading(&h, usage);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        help_line(&h, options[i].name, options[i].arg, options[i].initial, options[i].help);
    help_heading(&h,
                 "  -o OPTION[,OPTION...]          as mount(8) gives them; a setting may be one "
                 "(flush.ms=50)\n");
    help_heading(
        &h, "\nSettings of the daemon; in a --config file they are written journal.bytes=N:\n");
    config_describe(false, help_setting, &h);
    help_heading(&h, "\nSettings of topics made from now on; later a topic's are in "
                     "MOUNTPOINT/TOPIC/.config:\n");
    config_describe(true, help_setting, &h);
    return h.rc;
}
