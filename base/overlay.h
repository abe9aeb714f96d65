/*
 * base/overlay: an I/O table over another that keeps every change to itself.
 *
 * What is read comes from the disk below, which is only ever opened for
 * reading; what is written, cut, made, renamed or removed is kept in memory
 * and seen by who goes on reading here. So a program can do all that a start
 * would do, and look at what came of it, on a disk that stays as it is.
 *
 * Bytes that are written as they stood are not kept. What differs costs its
 * size, in sectors. Syncs do nothing. A lock is taken below. Directories can
 * not be renamed (-EXDEV), and there are no mappings.
 *
 * Threads: one. Nobody else may change the disk below meanwhile.
 */
#ifndef BASE_OVERLAY_H
#define BASE_OVERLAY_H

#include "base/fileio.h"

/* Over `below`, which is borrowed. NULL without memory; to be released with
 * fileio_release(). */
struct fileio *overlay_new(struct fileio *below);

#endif
