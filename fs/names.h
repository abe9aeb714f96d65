/*
 * fs/names: the grammar of the names in the tree. Text only: nothing is looked
 * up here, nothing is known about what exists.
 *
 *     in the root       .status .metrics TOPIC
 *     in a topic        publish .config .offsets sealed PARTITION
 *                       latest+ earliest+ @TIME+
 *     in a partition    publish <20 digits>.log  START- START-END START+
 *     in sealed/        PARTITION-<20 digits>.log
 *
 * START, END: a canonical decimal (no sign, no leading zero), or one of the
 * words earliest, latest, @TIME. TIME: seconds since the epoch, canonical, with
 * up to nine digits of fraction; what is below a millisecond is cut off, as it
 * is in the times of the messages.
 *
 * A decimal too large for 64 bits is taken as the largest one: it is a place
 * that has not come yet, which is not the same as a name that is none.
 */
#ifndef FS_NAMES_H
#define FS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum name_kind {
    NAME_NONE, /* not of the grammar */
    NAME_STATUS,
    NAME_METRICS,
    NAME_TOPIC,
    NAME_PARTITION,
    NAME_PUBLISH,
    NAME_CONFIG,
    NAME_OFFSETS,
    NAME_SEALED,
    NAME_SEGMENT, /* base; in sealed/ partition too */
    NAME_GROWING, /* START- */
    NAME_FROZEN,  /* START-END */
    NAME_STREAM,  /* START+ */
    NAME_MERGED,  /* WORD+ of a topic */
};

enum name_where { IN_ROOT, IN_TOPIC, IN_PARTITION, IN_SEALED };

enum place_kind { PLACE_OFFSET, PLACE_EARLIEST, PLACE_LATEST, PLACE_TIME };

struct place {
    enum place_kind kind;
    uint64_t value; /* PLACE_OFFSET: the offset; PLACE_TIME: ms since the epoch */
};

struct name {
    enum name_kind kind;
    bool has_word; /* START or END is a word: in a partition, a symbolic link */
    uint32_t partition;
    uint64_t base;
    struct place start, end;
};

#define NAME_LENGTH_MAX 255

/* Room for any name that the functions below write. */
#define NAME_ROOM 64

/* False: `text` is no name in such a directory. *out is always set. */
bool name_parse(enum name_where where, const char *text, struct name *out);

/* They write the one spelling of a name and return its length. */
size_t name_of_partition(char *to, uint32_t partition);
size_t name_of_segment(char *to, uint64_t base);
size_t name_of_sealed(char *to, uint32_t partition, uint64_t base);
/* kind: NAME_GROWING, NAME_FROZEN or NAME_STREAM. */
size_t name_of_range(char *to, enum name_kind kind, uint64_t start, uint64_t end);

#endif
