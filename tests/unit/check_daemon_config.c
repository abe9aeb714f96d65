/* daemon/config and daemon/cmdline: what words and files say, and what they may not. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/cmdline.h"
#include "tests/support/suite.h"
#include "tests/support/temporary.h"

static char dir[TEMPORARY_MAX];
static char file[TEMPORARY_MAX + 8];

static void write_file(const char *text)
{
    FILE *f;

    temporary_make(dir, "config");
    snprintf(file, sizeof file, "%s/config", dir);
    f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

static void remove_file(void)
{
    if (*dir)
        temporary_remove(dir);
}

/* Reads a command line given as one string; '@' stands for the file's name. */
static int read_line(struct config *conf, const char *line, struct err *err)
{
    char copy[1024];
    char *argv[32] = {(char[]){"topicfs"}};
    char *save;
    int argc = 1;
    size_t n = 0;

    for (const char *c = line; *c && n < sizeof copy - sizeof file; c++) {
        if (*c == '@')
            n += (size_t)sprintf(copy + n, "%s", file);
        else
            copy[n++] = *c;
    }
    copy[n] = '\0';
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    return cmdline_read(conf, argc, argv, err);
}

START_TEST(defaults_are_those_of_the_tables)
{
    struct config conf;

    ck_assert_int_eq(read_line(&conf, "--store s m", NULL), 0);
    ck_assert_int_eq(conf.task, CONFIG_RUN);
    ck_assert_str_eq(conf.store, "s");
    ck_assert_str_eq(conf.mountpoint, "m");
    ck_assert_ptr_null(conf.log);
    ck_assert_ptr_null(conf.mount_options.data);
    ck_assert(!conf.background && !conf.allow_other && !conf.no_passthrough);
    ck_assert_mem_eq(&conf.topic, &topic_config_default, sizeof conf.topic);
    ck_assert_uint_eq(conf.root_mode, 0755);
    ck_assert_uint_eq(conf.journal_bytes, 134217728);
    ck_assert_uint_eq(conf.journal_part_bytes, 262144);
    ck_assert_uint_eq(conf.broker, 1);
    config_release(&conf);
}
END_TEST

START_TEST(every_option_and_setting_is_taken)
{
    struct config conf;

    ck_assert_int_eq(read_line(&conf,
                               "--store s --daemon --allow-other --no-passthrough --log l "
                               "--root-mode 0777 --journal-bytes=16777216 --broker 7 "
                               "--journal-part-bytes 1 --partitions 4 --flush-ms=50 --ack write "
                               "--flush-sync os --values any m",
                               NULL),
                     0);
    ck_assert(conf.background && conf.allow_other && conf.no_passthrough);
    ck_assert_str_eq(conf.log, "l");
    ck_assert_uint_eq(conf.root_mode, 0777);
    ck_assert_uint_eq(conf.journal_bytes, 16777216);
    ck_assert_uint_eq(conf.journal_part_bytes, 1);
    ck_assert_uint_eq(conf.broker, 7);
    ck_assert_uint_eq(conf.topic.partitions, 4);
    ck_assert_uint_eq(conf.topic.flush_ms, 50);
    ck_assert_uint_eq(conf.topic.ack_write, 1);
    ck_assert_uint_eq(conf.topic.flush_os, 1);
    ck_assert_uint_eq(conf.topic.values_any, 1);
    config_release(&conf);
}
END_TEST

START_TEST(words_go_before_the_file_wherever_they_stand)
{
    struct config conf;

    write_file("# comment\n\nflush.ms=70\npartitions=3\njournal.bytes=33554432\nbroker=2");
    ck_assert_int_eq(read_line(&conf, "--flush-ms 8 --store s --config @ --broker= m", NULL), 0);
    ck_assert_uint_eq(conf.topic.flush_ms, 8);
    ck_assert_uint_eq(conf.topic.partitions, 3);
    ck_assert_uint_eq(conf.journal_bytes, 33554432);
    ck_assert_uint_eq(conf.broker, 1);
    config_release(&conf);

    ck_assert_int_eq(read_line(&conf, "s m -o flush.ms=9,config=@", NULL), 0);
    ck_assert_uint_eq(conf.topic.flush_ms, 9);
    ck_assert_uint_eq(conf.topic.partitions, 3);
    config_release(&conf);
}
END_TEST

START_TEST(mount_calls_it_with_two_words_and_its_options)
{
    struct config conf;

    ck_assert_int_eq(read_line(&conf,
                               "s m -o rw,noatime,dev,suid,nofail,_netdev,user=root,defaults,"
                               "x-systemd.automount,X-mount.mkdir,comment=a,nodev,allow_other,"
                               "log=/l",
                               NULL),
                     0);
    ck_assert_str_eq(conf.store, "s");
    ck_assert_str_eq(conf.mountpoint, "m");
    ck_assert(conf.background && conf.allow_other);
    ck_assert_str_eq(conf.mount_options.data, "noatime,nodev");
    ck_assert_str_eq(conf.log, "/l");
    config_release(&conf);

    ck_assert_int_eq(read_line(&conf, "-f s m -orw", NULL), 0);
    ck_assert(!conf.background);
    config_release(&conf);
}
END_TEST

START_TEST(help_and_version_need_nothing_else)
{
    static const struct {
        const char *line;
        int task;
    } cases[] = {{"--help", CONFIG_HELP},
                 {"-h", CONFIG_HELP},
                 {"--version", CONFIG_VERSION},
                 {"-V", CONFIG_VERSION},
                 {"--store s --help", CONFIG_HELP}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config conf;

        ck_assert_int_eq(read_line(&conf, cases[i].line, NULL), 0);
        ck_assert_int_eq(conf.task, cases[i].task);
        config_release(&conf);
    }
}
END_TEST

static const struct refusal {
    const char *line;
    const char *says;
} refusals[] = {
    {"", "no mount point"},
    {"m", "no store"},
    {"--store s", "no mount point"},
    {"a b c", "c: one word too many"},
    {"--store s a b", "a: --store is given already"},
    {"--store", "--store: needs a value"},
    {"s m -o", "-o: needs a value"},
    {"--frobnicate --store s m", "--frobnicate: no such option"},
    {"--frobnicate=1 --store s m", "--frobnicate: no such option"},
    {"--a-name-that-is-longer-than-any-name-of-an-option-could-ever-be-here s m", "no such option"},
    {"-x s m", "-x: no such option"},
    {"-fo s m", "-fo: no such option"},
    {"--daemon=1 --store s m", "--daemon: takes no value"},
    {"--mode 0700 --store s m", "--mode: no such option"},
    {"--uid 1 --store s m", "--uid: no such option"},
    {"--flush-ms 7d --store s m", "flush.ms=7d: not a number of milliseconds"},
    {"--partitions 0 --store s m", "partitions=0: must be from 1 to"},
    {"--ack maybe --store s m", "ack=maybe: must be close or write"},
    {"--journal-bytes 128M --store s m", "journal.bytes=128M: not a number of bytes"},
    {"--journal-bytes -1 --store s m", "journal.bytes=-1: not a number of bytes"},
    {"--journal-bytes 1 --store s m", "journal.bytes=1: must be from 16777216"},
    {"--journal-bytes 99999999999999999999 --store s m", "not a number of bytes"},
    {"--root-mode 1777 --store s m", "root.mode=1777: must be from 1 to 777"},
    {"--root-mode 8 --store s m", "root.mode=8: not a number of mode bits"},
    {"--segment-bytes 65536 --store s m", "below twice set.max.bytes"},
    {"--config /nonexistent --store s m", "/nonexistent: No such file"},
    {"--config / --store s m", "/: Is a directory"},
    {"s m -o ro", "-o ro: "},
    {"s m -o nodev,foo", "-o foo: no such mount option"},
    {"s m -o nodev,foo=1", "-o foo: no such mount option"},
    {"s m -o flush.ms=x", "flush.ms=x: not a number"},
};

START_TEST(a_wrong_word_is_named)
{
    const struct refusal *r = &refusals[_i];
    struct config conf;
    struct err err = {0};

    ck_assert_int_lt(read_line(&conf, r->line, &err), 0);
    ck_assert_msg(strstr(err.text, r->says), "\"%s\" says \"%s\", not \"%s\"", r->line, err.text,
                  r->says);
    ck_assert_ptr_null(strchr(err.text, '\n'));
    config_release(&conf);
}
END_TEST

static const struct refusal bad_files[] = {
    {"flush.ms=5\nflush.ms", " line 2: flush.ms: not of the form key=value"},
    {"# c\n\nfrob=5\n", " line 3: frob: no such setting"},
    {"mode=0700\n", " line 1: mode: no such setting"},
    {"partitions=x\n", " line 1: partitions=x: not a number of partitions"},
    {"root.mode=x\n", " line 1: root.mode=x: not a number of mode bits"},
    {" flush.ms=5\n", " line 1:  flush.ms: no such setting"},
};

START_TEST(a_wrong_line_of_a_file_is_named)
{
    struct config conf;
    struct err err = {0};

    write_file(bad_files[_i].line);
    ck_assert_int_lt(read_line(&conf, "--store s m --config @", &err), 0);
    ck_assert_msg(strncmp(err.text, file, strlen(file)) == 0, "%s", err.text);
    ck_assert_str_eq(err.text + strlen(file), bad_files[_i].says);
    config_release(&conf);
}
END_TEST

static void count_key(void *arg, const char *key, const char *value, const char *help)
{
    (void)help;
    ck_assert(config_knows(key));
    ck_assert_str_ne(value, "");
    ++*(unsigned *)arg;
}

/* Every default, given as a value, changes nothing. */
static void set_default(void *arg, const char *key, const char *value, const char *help)
{
    (void)help;
    ck_assert_int_eq(config_set(arg, key, value, NULL), 0);
}

START_TEST(described_defaults_are_the_defaults)
{
    struct config conf, same;
    unsigned count = 0;

    config_init(&conf);
    config_init(&same);
    for (int of_topics = 0; of_topics < 2; of_topics++) {
        config_describe(of_topics, count_key, &count);
        config_describe(of_topics, set_default, &conf);
    }
    ck_assert_uint_ge(count, 14);
    ck_assert_mem_eq(&conf, &same, sizeof conf);
    config_release(&conf);
    config_release(&same);
}
END_TEST

START_TEST(help_names_them_all)
{
    static const char *const some[] = {
        "--store DIR ",     "--daemon ",     "--help ",          "-o OPTION", "[syslog]",
        "--journal-bytes ", "[134217728]\n", "--root-mode ",     "[0755]\n",  "--flush-ms ",
        "[100]\n",          "--ack ",        "--segment-bytes ", "usage: ",
    };
    struct buf text = {0};

    ck_assert_int_eq(cmdline_help(&text), 0);
    ck_assert_int_eq(buf_add(&text, "", 1), 0);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        ck_assert_msg(strstr(text.data, some[i]), "--help without %s", some[i]);
    ck_assert_ptr_null(strstr(text.data, "--uid"));
    buf_release(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daemon/config");
    TCase *words = tcase_create("words");
    TCase *tables = tcase_create("tables");

    tcase_add_checked_fixture(words, NULL, remove_file);
    tcase_add_test(words, defaults_are_those_of_the_tables);
    tcase_add_test(words, every_option_and_setting_is_taken);
    tcase_add_test(words, words_go_before_the_file_wherever_they_stand);
    tcase_add_test(words, mount_calls_it_with_two_words_and_its_options);
    tcase_add_test(words, help_and_version_need_nothing_else);
    tcase_add_loop_test(words, a_wrong_word_is_named, 0, sizeof refusals / sizeof *refusals);
    tcase_add_loop_test(words, a_wrong_line_of_a_file_is_named, 0,
                        sizeof bad_files / sizeof *bad_files);
    suite_add_tcase(suite, words);
    tcase_add_test(tables, described_defaults_are_the_defaults);
    tcase_add_test(tables, help_names_them_all);
    suite_add_tcase(suite, tables);
    return suite_run(suite);
}
