/* base/overlay_file: the bytes of an overlay's files. See overlay_file.h. */
#include "base/overlay_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR ((size_t)512)

struct overlay_sector {
    uint64_t index;
    uint8_t bytes[SECTOR];
};

struct overlay_file *overlay_file_new(const char *below, uint64_t bytes)
{
    struct overlay_file *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    snprintf(f->below, sizeof f->below, "%s", below);
    f->refs = 1;
    f->fd_below = -1;
    f->below_bytes = f->size = bytes;
    return f;
}

void overlay_file_put(struct overlay_file *f, struct fileio *below)
{
    if (!f || --f->refs > 0)
        return;
    if (f->fd_below >= 0)
        below->ops->close(below, f->fd_below);
    for (size_t i = 0; i < f->count; i++)
        free(f->sectors[i]);
    free(f->sectors);
    free(f);
}

/* The place of the first sector with this index or a higher one. */
static size_t sector_place(const struct overlay_file *f, uint64_t index)
{
    size_t low = 0;
    size_t high = f->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (f->sectors[middle]->index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int overlay_file_read(const struct overlay_file *f, struct fileio *below, uint8_t *to, size_t len,
                      uint64_t pos)
{
    uint64_t shows = pos < f->below_bytes ? f->below_bytes - pos : 0;
    int rc = 0;

    if (shows > len)
        shows = len;
    memset(to + shows, 0, len - shows);
    if (shows > 0)
        rc = fileio_read_all(below, f->fd_below, to, shows, pos);
    for (size_t i = sector_place(f, pos / SECTOR); rc == 0 && i < f->count; i++) {
        const struct overlay_sector *s = f->sectors[i];
        uint64_t at = s->index * SECTOR;
        uint64_t from = at > pos ? at : pos;
        uint64_t end = at + SECTOR < pos + len ? at + SECTOR : pos + len;

        if (from >= end)
            break;
        memcpy(to + (from - pos), s->bytes + (from - at), end - from);
    }
    return rc;
}

static int sector_put(struct overlay_file *f, struct fileio *below, const uint8_t *from, size_t len,
                      uint64_t pos)
{
    uint64_t index = pos / SECTOR;
    size_t place = sector_place(f, index);
    struct overlay_sector *s;
    int rc = 0;

    if (place < f->count && f->sectors[place]->index == index) {
        memcpy(f->sectors[place]->bytes + pos % SECTOR, from, len);
        return 0;
    }
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 8;
        struct overlay_sector **grown = realloc(f->sectors, room * sizeof(struct overlay_sector *));

        if (!grown)
            return -ENOMEM;
        f->sectors = grown;
        f->room = room;
    }
    s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    s->index = index;
    rc = overlay_file_read(f, below, s->bytes, SECTOR, index * SECTOR);
    if (rc < 0) {
        free(s);
        return rc;
    }
    memcpy(s->bytes + pos % SECTOR, from, len);
    memmove(f->sectors + place + 1, f->sectors + place,
            (f->count - place) * sizeof(struct overlay_sector *));
    f->sectors[place] = s;
    f->count++;
    return 0;
}

int overlay_file_write(struct overlay_file *f, struct fileio *below, const uint8_t *from,
                       size_t len, uint64_t pos)
{
    uint8_t now[OVERLAY_CHUNK];
    int rc = overlay_file_read(f, below, now, len, pos);

    for (size_t done = 0; rc == 0 && done < len;) {
        size_t n = SECTOR - (pos + done) % SECTOR;

        if (n > len - done)
            n = len - done;
        if (memcmp(now + done, from + done, n) != 0) {
            rc = sector_put(f, below, from + done, n, pos + done);
            f->changed = true;
        }
        done += n;
    }
    if (rc == 0 && pos + len > f->size) {
        f->size = pos + len;
        f->changed = true;
    }
    return rc;
}

void overlay_file_resize(struct overlay_file *f, uint64_t size)
{
    if (size != f->size)
        f->changed = true;
    if (f->below_bytes > size)
        f->below_bytes = size;
    while (f->count > 0 && f->sectors[f->count - 1]->index * SECTOR >= size)
        free(f->sectors[--f->count]);
    if (f->count > 0 && size < (f->sectors[f->count - 1]->index + 1) * SECTOR)
        memset(f->sectors[f->count - 1]->bytes + size % SECTOR, 0, SECTOR - size % SECTOR);
    f->size = size;
}
