/* fs/names: see the header. Pure functions over strings. */
#include "fs/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/store.h"

#define SEGMENT_DIGITS 20

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes a word if it is there. */
static bool take(const char **at, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(*at, word, len) != 0)
        return false;
    *at += len;
    return true;
}

static uint64_t push_digit(uint64_t value, char c)
{
    unsigned d = (unsigned)(c - '0');

    if (value > (UINT64_MAX - d) / 10)
        return UINT64_MAX;
    return value * 10 + d;
}

/* A canonical decimal; saturates. */
static bool take_decimal(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;

    if (!digit(*p) || (*p == '0' && digit(p[1])))
        return false;
    for (; digit(*p); p++)
        value = value == UINT64_MAX ? value : push_digit(value, *p);
    *at = p;
    *out = value;
    return true;
}

static bool take_u32(const char **at, uint32_t *out)
{
    uint64_t value;

    if (!take_decimal(at, &value) || value > UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

/* Exactly 20 digits, a value of 64 bits, and ".log". */
static bool take_segment(const char **at, uint64_t *base)
{
    uint64_t value = 0;

    for (int i = 0; i < SEGMENT_DIGITS; i++) {
        char c = (*at)[i];

        if (!digit(c) || value > (UINT64_MAX - (unsigned)(c - '0')) / 10)
            return false;
        value = push_digit(value, c);
    }
    *at += SEGMENT_DIGITS;
    if (!take(at, ".log"))
        return false;
    *base = value;
    return true;
}

/* Seconds with up to nine digits of fraction, as milliseconds. */
static bool take_time(const char **at, uint64_t *ms)
{
    uint64_t seconds, fraction = 0;
    int digits = 0;

    if (!take_decimal(at, &seconds))
        return false;
    if (**at == '.') {
        for (++*at; digit(**at); ++*at)
            if (++digits <= 3)
                fraction = fraction * 10 + (unsigned)(**at - '0');
        if (digits == 0 || digits > 9)
            return false;
        for (; digits < 3; digits++)
            fraction *= 10;
    }
    *ms = seconds > (UINT64_MAX - 999) / 1000 ? UINT64_MAX : seconds * 1000 + fraction;
    return true;
}

static bool take_place(const char **at, struct place *out)
{
    out->value = 0;
    if (take(at, "earliest"))
        out->kind = PLACE_EARLIEST;
    else if (take(at, "latest"))
        out->kind = PLACE_LATEST;
    else if (take(at, "@"))
        return out->kind = PLACE_TIME, take_time(at, &out->value);
    else
        return out->kind = PLACE_OFFSET, take_decimal(at, &out->value);
    return true;
}

static bool in_root(const char *text, struct name *out)
{
    if (strcmp(text, ".status") == 0)
        out->kind = NAME_STATUS;
    else if (strcmp(text, ".metrics") == 0)
        out->kind = NAME_METRICS;
    else if (topic_name_valid(text))
        out->kind = NAME_TOPIC;
    return out->kind != NAME_NONE;
}

static bool in_topic(const char *text, struct name *out)
{
    static const struct {
        const char *text;
        enum name_kind kind;
    } fixed[] = {
        {"publish", NAME_PUBLISH},
        {".config", NAME_CONFIG},
        {".offsets", NAME_OFFSETS},
        {"sealed", NAME_SEALED},
    };
    const char *at = text;

    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(text, fixed[i].text) == 0)
            return out->kind = fixed[i].kind, true;
    if (take_u32(&at, &out->partition) && *at == '\0')
        return out->kind = NAME_PARTITION, true;
    at = text;
    if (take_place(&at, &out->start) && out->start.kind != PLACE_OFFSET && strcmp(at, "+") == 0) {
        out->has_word = true;
        return out->kind = NAME_MERGED, true;
    }
    return false;
}

static bool in_partition(const char *text, struct name *out)
{
    const char *at = text;

    if (strcmp(text, "publish") == 0)
        return out->kind = NAME_PUBLISH, true;
    if (take_segment(&at, &out->base) && *at == '\0')
        return out->kind = NAME_SEGMENT, true;
    at = text;
    if (!take_place(&at, &out->start))
        return false;
    out->has_word = out->start.kind != PLACE_OFFSET;
    if (strcmp(at, "+") == 0)
        return out->kind = NAME_STREAM, true;
    if (*at++ != '-')
        return false;
    if (*at == '\0')
        return out->kind = NAME_GROWING, true;
    if (!take_place(&at, &out->end) || *at != '\0')
        return false;
    out->has_word = out->has_word || out->end.kind != PLACE_OFFSET;
    return out->kind = NAME_FROZEN, true;
}

static bool in_sealed(const char *text, struct name *out)
{
    const char *at = text;

    if (take_u32(&at, &out->partition) && take(&at, "-") && take_segment(&at, &out->base) &&
        *at == '\0')
        out->kind = NAME_SEGMENT;
    return out->kind != NAME_NONE;
}

bool name_parse(enum name_where where, const char *text, struct name *out)
{
    static bool (*const parse[])(const char *, struct name *) = {
        [IN_ROOT] = in_root,
        [IN_TOPIC] = in_topic,
        [IN_PARTITION] = in_partition,
        [IN_SEALED] = in_sealed,
    };

    *out = (struct name){.kind = NAME_NONE};
    if (parse[where](text, out))
        return true;
    *out = (struct name){.kind = NAME_NONE};
    return false;
}

size_t name_of_partition(char *to, uint32_t partition)
{
    return (size_t)snprintf(to, NAME_ROOM, "%" PRIu32, partition);
}

size_t name_of_segment(char *to, uint64_t base)
{
    return (size_t)snprintf(to, NAME_ROOM, "%020" PRIu64 ".log", base);
}

size_t name_of_sealed(char *to, uint32_t partition, uint64_t base)
{
    return (size_t)snprintf(to, NAME_ROOM, "%" PRIu32 "-%020" PRIu64 ".log", partition, base);
}

size_t name_of_range(char *to, enum name_kind kind, uint64_t start, uint64_t end)
{
    if (kind == NAME_FROZEN)
        return (size_t)snprintf(to, NAME_ROOM, "%" PRIu64 "-%" PRIu64, start, end);
    return (size_t)snprintf(to, NAME_ROOM, "%" PRIu64 "%c", start, kind == NAME_STREAM ? '+' : '-');
}
