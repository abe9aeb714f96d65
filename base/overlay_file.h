/*
 * base/overlay_file: a file of an overlay: so many bytes of one below, and over
 * them the sectors that were written. Not for others; see overlay.h.
 */
#ifndef BASE_OVERLAY_FILE_H
#define BASE_OVERLAY_FILE_H

#include <stdbool.h>

#include "base/fileio.h"

#define OVERLAY_PATH_MAX 512
#define OVERLAY_CHUNK    ((size_t)65536)

struct overlay_sector;

struct overlay_file {
    unsigned refs;                /* names and descriptors */
    unsigned opens;               /* descriptors */
    bool dir;                     /* a directory, made here */
    char below[OVERLAY_PATH_MAX]; /* "": made here */
    int fd_below;                 /* while opens > 0; -1 */
    uint64_t below_bytes;         /* so many of it still show */
    uint64_t size;
    bool changed;
    int locked;                      /* by descriptor locked - 1 */
    struct overlay_sector **sectors; /* ascending */
    size_t count, room;
};

/* refs = 1; NULL without memory. `below`, of which `bytes` show, may be "". */
struct overlay_file *overlay_file_new(const char *below, uint64_t bytes);
void overlay_file_put(struct overlay_file *f, struct fileio *below);

/* [pos, pos+len); what lies behind the end is zeros. */
int overlay_file_read(const struct overlay_file *f, struct fileio *below, uint8_t *to, size_t len,
                      uint64_t pos) MUST_CHECK;
/* At most OVERLAY_CHUNK bytes; what stands there already is not kept. */
int overlay_file_write(struct overlay_file *f, struct fileio *below, const uint8_t *from,
                       size_t len, uint64_t pos) MUST_CHECK;
void overlay_file_resize(struct overlay_file *f, uint64_t size);

#endif
