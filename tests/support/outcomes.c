/* tests/support/outcomes: see outcomes.h. */
#include "tests/support/outcomes.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/listing.h"
#include "tests/support/powercut.h"

int outcome_file(struct memdisk *disk, const char *path)
{
    int fd = disk->io.ops->open(&disk->io, path, FILEIO_WRITE | FILEIO_CREATE);

    ck_assert_int_ge(fd, 0);
    return fd;
}

void outcome_put(struct memdisk *disk, int fd, const char *text, uint64_t pos)
{
    ck_assert_int_eq(fileio_write_bytes(&disk->io, fd, text, strlen(text), pos), 0);
}

void outcome_fill(struct memdisk *disk, int fd, char c, size_t len, uint64_t pos)
{
    char *bytes = malloc(len);

    memset(bytes, c, len);
    ck_assert_int_eq(fileio_write_bytes(&disk->io, fd, bytes, len, pos), 0);
    free(bytes);
}

void outcome_datasync(struct memdisk *disk, int fd)
{
    ck_assert_int_eq(disk->io.ops->fdatasync(&disk->io, fd), 0);
}

/* A durable file "f" with this text; recording begins behind it. */
struct memdisk *outcome_disk(const char *text, int *fd)
{
    struct memdisk *disk = memdisk_new();

    *fd = outcome_file(disk, "f");
    outcome_put(disk, *fd, text, 0);
    memdisk_record(disk);
    return disk;
}

/* -- the states at the end of a trace -- */

struct outcomes {
    char text[512][120]; /* all files: "name=bytes " in order of names */
    size_t count;
};

/* Runs of a byte are told as its count: 512 times 'a' is "512a". */
static size_t describe_bytes(const char *bytes, size_t len, char *to, size_t room)
{
    size_t used = 0;

    for (size_t i = 0; i < len;) {
        size_t run = 1;
        char c = bytes[i] ? bytes[i] : '.';

        while (i + run < len && bytes[i + run] == bytes[i])
            run++;
        if (run > 4)
            used += (size_t)snprintf(to + used, room - used, "%zu%c", run, c);
        for (size_t k = 0; run <= 4 && k < run; k++)
            used += (size_t)snprintf(to + used, room - used, "%c", c);
        i += run;
    }
    to[used] = '\0';
    return used;
}

static void describe(struct memdisk *disk, const char *dir, char *to, size_t room)
{
    struct listing l;
    size_t used = 0;

    ck_assert_int_eq(listing_read(&l, &disk->io, dir), 0);
    to[0] = '\0';
    for (size_t i = 0; i < l.count; i++) {
        char path[80];
        size_t len;
        char *bytes;

        snprintf(path, sizeof path, "%s%s%s", dir, *dir ? "/" : "", l.names[i]);
        used += (size_t)snprintf(to + used, room - used, "%s%s", i ? " " : "", l.names[i]);
        bytes = memdisk_file(disk, path, &len);
        if (bytes) {
            used += (size_t)snprintf(to + used, room - used, "=");
            used += describe_bytes(bytes, len, to + used, room - used);
            free(bytes);
        } else {
            char inner[100];

            describe(disk, path, inner, sizeof inner);
            used += (size_t)snprintf(to + used, room - used, "{%s}", inner);
        }
    }
}

static void outcome(struct outcomes *out, struct memdisk *disk)
{
    char text[120];

    describe(disk, "", text, sizeof text);
    memdisk_free(disk);
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->text[i], text) == 0)
            return;
    ck_assert_uint_lt(out->count, 512);
    strcpy(out->text[out->count++], text);
}

/* Every combination of fates but the garbage ones. */
static void combine(struct outcomes *out, const struct powercut *cut, struct memchoice *choices,
                    size_t i)
{
    struct memchoice fates[MEMFATES_MAX];
    size_t count;

    if (i == cut->count) {
        outcome(out, powercut_build(cut, choices, 1));
        return;
    }
    count = powercut_fates(cut, i, fates);
    for (size_t f = 0; f < count; f++) {
        if (fates[f].fate == MEMFATE_GARBAGE || fates[f].fate == MEMFATE_MIXED)
            continue;
        choices[i] = fates[f];
        combine(out, cut, choices, i + 1);
    }
}

static struct outcomes *outcomes_of(struct memdisk *disk)
{
    struct outcomes *out = calloc(1, sizeof *out);
    struct memchoice choices[16];
    struct powercut cut;

    powercut_init(&cut, disk->trace);
    while (powercut_step(&cut))
        continue;
    ck_assert_uint_le(cut.count, 16);
    combine(out, &cut, choices, 0);
    powercut_release(&cut);
    memdisk_free(disk);
    return out;
}

/* The outcomes are these, and no others. Ends with NULL. */
void check_outcomes(struct memdisk *disk, const char *const *want)
{
    struct outcomes *out = outcomes_of(disk);
    size_t count = 0;

    for (; want[count]; count++) {
        size_t i = 0;

        while (i < out->count && strcmp(out->text[i], want[count]) != 0)
            i++;
        ck_assert_msg(i < out->count, "`%s` is not among %zu outcomes; first `%s`", want[count],
                      out->count, out->text[0]);
    }
    for (size_t i = 0; i < out->count; i++) {
        size_t k = 0;

        while (k < count && strcmp(out->text[i], want[k]) != 0)
            k++;
        ck_assert_msg(k < count, "`%s` should not be among the outcomes", out->text[i]);
    }
    free(out);
}
