/*
 * fs/workers: the threads that take requests from the kernel, and how many of
 * them take some at a time.
 *
 * The kernel wakes a sleeping thread for each request, though one that is at
 * work would be back for it sooner than that one runs. So only `at_once` take
 * requests, one more than there are processors; the others are in reserve. A
 * request may be held up, by the disk or by a lock that somebody holds over
 * disk I/O. When all who take requests are at one, a thread that does nothing
 * else looks every few milliseconds who of them is still at the same one, and
 * lets another in for each. They stay for a while, since who waits for a disk
 * once will do so again.
 *
 * It knows nothing of requests: a worker says when it begins one and when it is
 * done with it.
 *
 * Threads: the workers call the worker_ functions, each for itself; the others
 * are for the owner's thread.
 */
#ifndef FS_WORKERS_H
#define FS_WORKERS_H

#include <stdbool.h>

#include "base/err.h"

struct workers;
struct worker;

/* Starts `most` threads that run body(me, arg), with cancelling disabled: at
 * least one, fewer than `most` where the machine gives no more. `look_ms`: how
 * often it is looked; 0 = the default. -EAGAIN, -ENOMEM: none. */
int workers_new(struct workers **out, unsigned most, unsigned at_once, unsigned look_ms,
                void (*body)(struct worker *me, void *arg), void *arg) MUST_CHECK;

/* Cancels the threads, waits for them, frees. A body may enable cancelling only
 * while it waits for a request. */
void workers_end(struct workers *w);

/* How many take requests now. */
unsigned workers_taking(struct workers *w);

/* Waits while enough others take requests. False: the body shall return. */
bool worker_may_take(struct worker *me) MUST_CHECK;
void worker_begins(struct worker *me);
void worker_done(struct worker *me);
/* It can not take requests any more, and the body shall return: another takes its
 * place. True: it was the last. */
bool worker_gives_up(struct worker *me) MUST_CHECK;

#endif
