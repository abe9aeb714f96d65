/*
 * base/err: what went wrong, as a number to act on and a sentence to read.
 *
 * A function that can fail returns int: 0 or a positive answer, or a negative
 * code: -errno (down to -4095) or one of the codes below. Results leave
 * through pointers, which are untouched on failure.
 *
 * A call that faces files, configuration or peers takes a last, optional
 * struct err * for the sentence: the thing, what is wrong with it, what to do.
 * Whoever calls it puts context in front with err_prefix(); only the edge of
 * the program prints.
 *
 * Threads: none of this is shared. A struct err belongs to its caller.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum {
    ERR_TORN = -10000,           /* unfinished, as a crash leaves it */
    ERR_DAMAGED = -10001,        /* was whole once and is not any more */
    ERR_OUT_OF_RANGE = -10002,   /* an offset or time that has not come yet */
    ERR_NOT_A_BOUNDARY = -10003, /* an offset inside a message */
    ERR_GONE = -10004,           /* retention has passed it, or a gap holds it */
    ERR_STOPPING = -10005,       /* the store is being closed */
    ERR_NEWER_FORMAT = -10006,   /* written by a newer version: nothing was touched */
    ERR_NOT_A_STORE = -10007,    /* a directory with other things in it */
    ERR_LOCKED = -10008,         /* another process has it */
    ERR_FAILED = -10009,         /* read-only since a flush or a cut failed */
    ERR_BAD_SEQUENCE = -10010,   /* of a producer's set: it does not follow the last one */
    ERR_OLD_EPOCH = -10011,      /* of a producer's set: that epoch has ended */
    ERR_NO_PRODUCER = -10012,    /* nothing is known of a set's producer (any more) */
    ERR_LAST = -10012,
};

struct err {
    int code;
    char text[512];
};

/* Sets code and sentence; returns code. err may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " in front of the sentence; returns the code that was set. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A sentence for any code this program returns; strerror's for an errno. */
const char *err_sentence(int code);

/* The errno (positive) a system call would fail with for this code. */
int err_errno(int code);

#endif
