/*
 * tests/fuzz/replay: runs a fuzz target over files, without libFuzzer.
 *
 *   fuzz_WHAT              its corpus, tests/fuzz/corpus/WHAT
 *   fuzz_WHAT FILE...      these
 *
 * TAP, a line per file. What the target objects to ends the process, as it
 * does under libFuzzer: the line above the message names the file.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void replay(const char *path, size_t number)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    long size;

    printf("# %s\n", path);
    fflush(stdout);
    if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0) {
        printf("not ok %zu - cannot be read\n", number);
        exit(1);
    }
    rewind(file);
    /* As many bytes as there are, so that ASan sees who reads more. */
    data = malloc((size_t)size + (size == 0));
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
        printf("not ok %zu - cannot be read\n", number);
        exit(1);
    }
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    printf("ok %zu - %s\n", number, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* 1 where there is none, too: a target without a corpus is a mistake. */
static int replay_corpus(const char *program)
{
    const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
    struct dirent **entries;
    char dir[256];
    int count;

    snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s",
             strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
    count = scandir(dir, &entries, visible, alphasort);
    if (count <= 0) {
        printf("not ok 1 - %s: no corpus; the tests run from the top of the project\n", dir);
        return 1;
    }
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        char path[600];

        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        replay(path, (size_t)i + 1);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int main(int argc, char **argv)
{
    (void)LLVMFuzzerInitialize(&argc, &argv);
    if (argc == 1)
        return replay_corpus(argv[0]);
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++)
        replay(argv[i], (size_t)i);
    return 0;
}
