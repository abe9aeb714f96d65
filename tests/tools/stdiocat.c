/*
 * tests/tools/stdiocat: copies stdin to a file as a program does that writes
 * through stdio with a buffer of 4 KiB: lines are cut wherever it is full.
 *
 *     stdiocat FILE
 *
 * Says when a write or the close failed, with exit status 1.
 */
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_BYTES 4096

int main(int argc, char **argv)
{
    static char buffer[BUFFER_BYTES];
    FILE *out = argc == 2 ? fopen(argv[1], "ae") : NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    if (!out || setvbuf(out, buffer, _IOFBF, sizeof buffer) != 0) {
        perror("stdiocat FILE");
        return EXIT_FAILURE;
    }
    while ((len = getline(&line, &room, stdin)) > 0)
        if (fwrite(line, 1, (size_t)len, out) != (size_t)len)
            break;
    free(line);
    if (ferror(out) | (fclose(out) != 0) | ferror(stdin)) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
