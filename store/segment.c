/*
 * store/segment: making, opening and cutting a segment's files. See segment.h.
 * Looking things up in its .idx is in segment_find.c.
 */
#include "store/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/inside.h"

static const struct fileio_ops *ops(const struct segment *seg)
{
    return seg->part->store->io->ops;
}

struct segment *segment_new(struct partition *part, uint64_t base)
{
    struct segment *seg = calloc(1, sizeof *seg);

    if (!seg)
        return NULL;
    seg->part = part;
    seg->base = base;
    atomic_init(&seg->refs, 1);
    for (int i = 0; i < SUFFIX_COUNT; i++)
        seg->fd[i] = -1;
    return seg;
}

struct segment *segment_get(struct segment *seg)
{
    atomic_fetch_add_explicit(&seg->refs, 1, memory_order_relaxed);
    return seg;
}

static void path(const struct segment *seg, char out[STORE_PATH_MAX], enum suffix suffix)
{
    path_of_segment(out, seg->part->topic->name, seg->part->index, seg->base, suffix);
}

/* -- the files, counted (store.files_lock) -- */

static void files_close(struct segment *seg)
{
    struct fileio *io = seg->part->store->io;

    if (seg->map)
        io->ops->unmap(io, seg->map, seg->map_bytes);
    seg->map = NULL;
    seg->map_bytes = 0;
    for (int i = 0; i < SUFFIX_COUNT; i++) {
        if (seg->fd[i] >= 0)
            io->ops->close(io, seg->fd[i]);
        seg->fd[i] = -1;
    }
    seg->part->store->open_segments--;
}

static void idle_remove(struct store *store, struct segment *seg)
{
    if (seg->idle_prev)
        seg->idle_prev->idle_next = seg->idle_next;
    else
        store->idle_head = seg->idle_next;
    if (seg->idle_next)
        seg->idle_next->idle_prev = seg->idle_prev;
    else
        store->idle_tail = seg->idle_prev;
    seg->idle_next = seg->idle_prev = NULL;
    store->idle_count--;
}

static void idle_add(struct store *store, struct segment *seg)
{
    seg->idle_prev = store->idle_tail;
    seg->idle_next = NULL;
    if (store->idle_tail)
        store->idle_tail->idle_next = seg;
    else
        store->idle_head = seg;
    store->idle_tail = seg;
    store->idle_count++;
}

static void close_idle(struct store *store, unsigned keep)
{
    while (store->idle_count > keep) {
        struct segment *seg = store->idle_head;

        idle_remove(store, seg);
        files_close(seg);
    }
}

/* Room for one more, which will be used. */
static void make_room(struct store *store)
{
    unsigned used = store->open_segments - store->idle_count;
    unsigned room = store->open_segments_max > used + 1 ? store->open_segments_max - used - 1 : 0;

    close_idle(store, room < store->idle_max ? room : store->idle_max);
}

void segments_close_idle(struct store *store, unsigned keep)
{
    pthread_mutex_lock(&store->files_lock);
    close_idle(store, keep);
    pthread_mutex_unlock(&store->files_lock);
}

void segment_close_unused(struct segment *seg)
{
    struct store *store = seg->part->store;

    pthread_mutex_lock(&store->files_lock);
    if (seg->uses == 0 && seg->fd[SUFFIX_LOG] >= 0) {
        idle_remove(store, seg);
        files_close(seg);
    }
    pthread_mutex_unlock(&store->files_lock);
}

void segment_put(struct segment *seg)
{
    struct store *store = seg->part->store;

    if (atomic_fetch_sub_explicit(&seg->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_lock(&store->files_lock);
    if (seg->fd[SUFFIX_LOG] >= 0) {
        idle_remove(store, seg); /* nobody uses what nobody holds */
        files_close(seg);
    }
    pthread_mutex_unlock(&store->files_lock);
    free(seg);
}

static int read_header(struct segment *seg, struct err *err)
{
    uint8_t bytes[IDX_HEADER_BYTES];
    struct idx_header h;
    struct fileio *io = seg->part->store->io;
    int rc = fileio_read_all(io, seg->fd[SUFFIX_IDX], bytes, sizeof bytes, 0);

    if (rc == -ENODATA)
        rc = ERR_TORN;
    if (rc == 0)
        rc = idx_header_decode(bytes, &h);
    if (rc == 0 && h.base_offset != seg->base)
        rc = ERR_TORN;
    if (rc < 0)
        return err_set(err, rc, "%s/%" PRIu32 "/%020" PRIu64 ".idx: header: %s",
                       seg->part->topic->name, seg->part->index, seg->base, err_sentence(rc));
    seg->base_number = h.base_number;
    seg->base_time_ms = h.base_time_ms;
    seg->gap_before = h.gap_before;
    seg->slot = idx_slot_choose(bytes, seg->base);
    return 0;
}

static int files_open(struct segment *seg, struct err *err)
{
    struct store *store = seg->part->store;
    char name[STORE_PATH_MAX] = "";
    int rc = 0;

    seg->read_only = false;
    for (int i = 0; rc == 0 && i < SUFFIX_COUNT; i++) {
        path(seg, name, (enum suffix)i);
        rc = store->io->ops->open(store->io, name, FILEIO_WRITE);
        if (rc == -EROFS || rc == -EACCES || rc == -EPERM) {
            seg->read_only = true;
            rc = store->io->ops->open(store->io, name, FILEIO_READ);
        }
        if (rc == -ENOENT && i == SUFFIX_META)
            rc = 0;
        else if (rc >= 0) {
            seg->fd[i] = rc;
            rc = 0;
        }
    }
    store->open_segments++;
    if (rc < 0)
        err_set(err, rc, "%s: %s", name, err_sentence(rc));
    else if (topic_removed(seg->part->topic)) /* asked last: its name may be another's by now */
        rc = err_set(err, -ESTALE, "%s: was removed", seg->part->topic->name);
    else
        rc = read_header(seg, err);
    seg->no_index = seg->sealed && seg->fd[SUFFIX_LOG] >= 0 &&
                    (rc == ERR_TORN || (rc == -ENOENT && seg->fd[SUFFIX_IDX] < 0));
    if (seg->no_index)
        return 0;
    if (rc < 0)
        files_close(seg);
    return rc;
}

int segment_use(struct segment *seg, struct err *err)
{
    struct store *store = seg->part->store;
    int rc = 0;

    pthread_mutex_lock(&store->files_lock);
    if (seg->uses == 0 && seg->fd[SUFFIX_LOG] >= 0) {
        idle_remove(store, seg);
    } else if (seg->uses == 0) {
        make_room(store);
        rc = files_open(seg, err);
    }
    if (rc == 0) {
        seg->uses++;
        segment_get(seg);
    }
    pthread_mutex_unlock(&store->files_lock);
    return rc;
}

void segment_unuse(struct segment *seg)
{
    struct store *store = seg->part->store;

    pthread_mutex_lock(&store->files_lock);
    if (--seg->uses == 0) {
        idle_add(store, seg);
        close_idle(store, store->idle_max);
    }
    pthread_mutex_unlock(&store->files_lock);
    segment_put(seg);
}

const char *segment_map(struct segment *seg, uint64_t bytes)
{
    struct store *store = seg->part->store;
    uint64_t want = topic_config(seg->part->topic)->segment_bytes;
    const char *map;

    pthread_mutex_lock(&store->files_lock);
    if (!seg->map) {
        if (want < bytes)
            want = bytes;
        seg->map = store->io->ops->map(store->io, seg->fd[SUFFIX_LOG], want);
        seg->map_bytes = seg->map ? want : 0;
    }
    map = seg->map_bytes >= bytes ? seg->map : NULL;
    pthread_mutex_unlock(&store->files_lock);
    return map;
}

/* -- making, growing, cutting -- */

static int make_file(struct store *store, const char *name)
{
    return store->io->ops->open(store->io, name, FILEIO_WRITE | FILEIO_CREATE | FILEIO_EXCLUSIVE);
}

/* The .prod; its name is durable before the others are: a segment that a power
 * cut leaves without it would have forgotten the producers. */
static int make_prod(struct segment *seg, const struct buf *prod, struct err *err)
{
    struct fileio *io = seg->part->store->io;
    char name[STORE_PATH_MAX];
    char dir[STORE_PATH_MAX];
    int fd;
    int rc;

    path(seg, name, SUFFIX_PROD);
    path_of_partition(dir, seg->part->topic->name, seg->part->index);
    fd = make_file(seg->part->store, name);
    rc = fd < 0 ? fd : fileio_write_bytes(io, fd, prod->data, prod->len, 0);
    if (rc == 0)
        rc = io->ops->fdatasync(io, fd);
    if (fd >= 0)
        io->ops->close(io, fd);
    if (rc == 0)
        rc = io->ops->sync_dir(io, dir);
    return rc < 0 ? err_set(err, rc, "%s: %s", name, err_sentence(rc)) : 0;
}

/* The .log and the .idx, the latter by a temporary and a rename. */
static int make_files(struct segment *seg, const struct idx_header *h, struct err *err)
{
    struct store *store = seg->part->store;
    char log[STORE_PATH_MAX];
    char idx[STORE_PATH_MAX];
    char tmp[STORE_PATH_MAX];
    uint8_t header[IDX_HEADER_BYTES];
    int rc;

    path(seg, log, SUFFIX_LOG);
    path(seg, idx, SUFFIX_IDX);
    snprintf(tmp, sizeof tmp, "%.249s/%" PRIu32 "/.%020" PRIu64 ".idx.tmp", seg->part->topic->name,
             seg->part->index, seg->base);
    idx_header_encode(header, h);
    rc = make_file(store, tmp);
    if (rc >= 0) {
        seg->fd[SUFFIX_IDX] = rc;
        rc = fileio_write_bytes(store->io, rc, header, sizeof header, 0);
    }
    if (rc >= 0)
        rc = ops(seg)->fdatasync(store->io, seg->fd[SUFFIX_IDX]);
    if (rc >= 0)
        rc = make_file(store, log);
    if (rc >= 0) {
        seg->fd[SUFFIX_LOG] = rc;
        rc = ops(seg)->rename(store->io, tmp, idx);
    }
    if (rc < 0)
        return err_set(err, rc, "%s: %s", log, err_sentence(rc));
    return 0;
}

/* What a failed making left behind goes, durably, before anything is appended
 * to the old segment: else this name would be taken for a successor. */
static bool unmake_files(struct segment *seg)
{
    static const enum suffix made[] = {SUFFIX_LOG, SUFFIX_IDX, SUFFIX_PROD};
    struct fileio *io = seg->part->store->io;
    char name[STORE_PATH_MAX];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof made / sizeof *made; i++) {
        path(seg, name, made[i]);
        rc = io->ops->unlink(io, name);
        if (rc == -ENOENT)
            rc = 0;
    }
    snprintf(name, sizeof name, "%.249s/%" PRIu32 "/.%020" PRIu64 ".idx.tmp",
             seg->part->topic->name, seg->part->index, seg->base);
    if (rc == 0) {
        rc = io->ops->unlink(io, name);
        if (rc == -ENOENT)
            rc = 0;
    }
    path_of_partition(name, seg->part->topic->name, seg->part->index);
    if (rc == 0)
        rc = io->ops->sync_dir(io, name);
    return rc == 0;
}

int segment_create(struct segment *seg, const struct idx_header *h, const struct buf *prod,
                   bool *left_over, struct err *err)
{
    struct store *store = seg->part->store;
    char dir[STORE_PATH_MAX];
    int rc;

    *left_over = false;
    pthread_mutex_lock(&store->files_lock);
    make_room(store);
    store->open_segments++;
    pthread_mutex_unlock(&store->files_lock);
    rc = prod->len > 0 ? make_prod(seg, prod, err) : 0;
    if (rc == 0)
        rc = make_files(seg, h, err);
    path_of_partition(dir, seg->part->topic->name, seg->part->index);
    if (rc == 0) {
        rc = ops(seg)->sync_dir(store->io, dir);
        if (rc < 0)
            err_set(err, rc, "%s: %s", dir, err_sentence(rc));
    }
    if (rc < 0) {
        *left_over = !unmake_files(seg);
        pthread_mutex_lock(&store->files_lock);
        files_close(seg);
        pthread_mutex_unlock(&store->files_lock);
        return rc;
    }
    seg->base_number = h->base_number;
    seg->base_time_ms = h->base_time_ms;
    seg->gap_before = h->gap_before;
    seg->slot = (struct idx_slot){seg->base, 0};
    seg->last_ms = h->base_time_ms;
    seg->uses = 1;
    segment_get(seg);
    return 0;
}

int segment_make_meta(struct segment *seg)
{
    struct store *store = seg->part->store;
    char name[STORE_PATH_MAX];
    int fd;

    path(seg, name, SUFFIX_META);
    fd = make_file(store, name);
    if (fd < 0)
        return fd;
    seg->fd[SUFFIX_META] = fd;
    return 0;
}

int segment_cut(struct segment *seg, uint64_t log_bytes, uint64_t count, uint64_t meta_bytes)
{
    struct fileio *io = seg->part->store->io;
    uint64_t idx_bytes = IDX_HEADER_BYTES + count * IDX_ENTRY_BYTES;
    const uint64_t sizes[SUFFIX_COUNT] = {log_bytes, idx_bytes, meta_bytes};
    int rc = 0;

    for (int i = 0; rc == 0 && i < SUFFIX_COUNT; i++) {
        bool cut = false;
        uint64_t now;

        if (seg->fd[i] < 0)
            continue;
        rc = io->ops->size(io, seg->fd[i], &now);
        if (rc == 0 && now > sizes[i]) {
            rc = io->ops->truncate(io, seg->fd[i], sizes[i]);
            cut = true;
        }
        /* Each, for nothing may be flushed before a clean stop vouches for the sizes,
         * or a gap for the end; the .idx in any case. */
        if (rc == 0 && (cut || i == SUFFIX_IDX))
            rc = io->ops->fdatasync(io, seg->fd[i]);
    }
    return rc;
}

int segment_write_slot(struct segment *seg, uint64_t end)
{
    struct idx_slot next = {end, seg->slot.sequence + 1};
    uint8_t bytes[IDX_SLOT_BYTES];
    int rc;

    idx_slot_encode(bytes, &next, seg->base);
    rc = fileio_write_bytes(seg->part->store->io, seg->fd[SUFFIX_IDX], bytes, sizeof bytes,
                            IDX_SLOT_AT(next.sequence & 1));
    if (rc == 0)
        seg->slot = next;
    return rc;
}
