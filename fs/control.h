/*
 * fs/control: the text files by which a topic is looked after.
 *
 * Reading: `.config` is topic_config_text(); `.offsets` is
 * control_offsets_text().
 *
 * Writing `.config`: a struct control stands behind one open(2). The complete
 * lines of one write are checked and applied as a whole, durably, before it
 * returns; a line that is not ended waits for the next write, or for the
 * close, which applies it. What is wrong is -EINVAL, changed nothing, and is
 * said in the log with the number of the line:
 *     topicfs: clicks/.config line 3: flush.ms=7d: not a number of milliseconds
 *
 * Settings that bound one another have to agree after each write, so where each
 * line comes in a write of its own (a shell's printf) their order counts. To wait
 * for the close with that would lose the error: shells do not look at what the
 * close after a redirection returns.
 *
 * Threads: any; a lock in each control makes writers take turns.
 */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

struct control;

/* More than this in a line, or in the lines of one write, is -EINVAL. */
#define CONTROL_TEXT_MAX ((size_t)65536)

/* Adds a line per partition: `PARTITION FIRST SEALED VISIBLE MESSAGES`. */
int control_offsets_text(struct topic *topic, struct buf *out) MUST_CHECK;

/* Holds the topic. -ENOMEM. */
int control_open(struct control **out, struct topic *topic) MUST_CHECK;

/* len, or what topic_configure() failed with: then nothing was changed, and
 * what was held of an unfinished line is forgotten. */
ssize_t control_write(struct control *c, const void *text, size_t len) MUST_CHECK;

/* At every close(2): applies the line that has no '\n'. 0 where there is none. */
int control_flush(struct control *c) MUST_CHECK;

/* After the last close. */
void control_release(struct control *c);

#endif
