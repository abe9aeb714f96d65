/* store/findings: what may be wrong with a store. See findings.h. */
#include "store/findings.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/diag.h"
#include "store/inside.h"

static const struct {
    enum finding_weight weight;
    bool of_store; /* in the log the store's name goes before it */
    const char *advice;
} kinds[FOUND_KINDS] = {
    [FOUND_FOREIGN] = {FOUND_NOTE, true, "not part of the store: nothing to do"},
    [FOUND_LEFT_OVER] = {FOUND_NOTE, true,
                         "left by a crash: nothing to do, the next start removes it"},
    [FOUND_KNOWN_DAMAGE] = {FOUND_NOTE, false,
                            "a repair noted it, readers of messages skip it: nothing to do"},
    [FOUND_EXTRA_BYTES] = {FOUND_NOTE, false, "no message has them: nothing to do"},
    [FOUND_STALE_NOTE] = {FOUND_NOTE, false,
                          "a repair noted them, and they read back: --repair takes the note away"},
    [FOUND_SEALED_ALONE] = {FOUND_NOTE, false,
                            "it has the messages still: nothing to do where retention or somebody "
                            "removed the segment on purpose; to have it back, link this file to "
                            "BASE.log in its partition and run --repair"},
    [FOUND_MADE_LOG] = {FOUND_NOTE, false, "repaired: all of it is there"},
    [FOUND_MADE_INDEX] = {FOUND_NOTE, false,
                          "repaired: its messages have the latest append time that can be"},
    [FOUND_MADE_SEGMENT] = {FOUND_NOTE, false,
                            "repaired: the partition goes on there, no offset is given twice"},
    [FOUND_MADE_NOTE] = {FOUND_NOTE, false,
                         "repaired: readers of messages skip what it names, raw readers see the "
                         "bytes as they are"},
    [FOUND_NO_LOCK_FILE] = {FOUND_NOTE, true,
                            "no other process can be kept out meanwhile: see that none starts"},
    [FOUND_NOT_CLEAN] = {FOUND_MENDED, true,
                         "nothing that was acknowledged is lost: nothing to do, the next start "
                         "recovers it"},
    [FOUND_CLEAN_MISTAKEN] =
        {FOUND_MENDED, true,
         "the files were changed since the clean stop: nothing to do, the next "
         "start reads everything"},
    [FOUND_TORN_TAIL] = {FOUND_MENDED, false,
                         "an append was interrupted: nothing to do, a start cuts it"},
    [FOUND_SEALED_MISSING] = {FOUND_MENDED, false,
                              "a loader does not see this segment yet: nothing to do, the next "
                              "start makes the link"},
    [FOUND_JOURNAL_HEADER] = {FOUND_MENDED, true,
                              "usual after a first start that was cut short, else damage of the "
                              "disk: nothing to do, a start makes it anew"},
    [FOUND_JOURNAL_MISSING] =
        {FOUND_MENDED, true,
         "usual where the disk had no room for it; if somebody removed it, messages that only it "
         "had are lost: nothing to do, a start makes it anew"},
    [FOUND_JOURNAL_FIRST] =
        {FOUND_MENDED, true,
         "a crash came while it was written, or the disk damaged it: nothing to "
         "do where no message is reported"},
    [FOUND_JOURNAL_OLD] = {FOUND_MENDED, true,
                           "nothing of it is needed any more: look after the disk"},
    [FOUND_NO_ROOM] = {FOUND_MENDED, true, "nothing is lost: free some room and start again"},
    [FOUND_JOURNAL_RECORDS] = {FOUND_DAMAGE, true,
                               "the disk lost what it had confirmed; messages may be missing where "
                               "partitions are reported: look after the disk"},
    [FOUND_MESSAGES] = {FOUND_DAMAGE, false,
                        "their bytes have changed on the disk: restore the segment's files from a "
                        "copy, or let --repair note them, so that readers of messages skip them"},
    [FOUND_SHORT_SEGMENT] = {FOUND_DAMAGE, false,
                             "the rest is gone from the disk, or its index is: restore the "
                             "segment's files from a copy, or let --repair note it"},
    [FOUND_NO_INDEX] = {FOUND_DAMAGE, false,
                        "its messages cannot be told apart, the partition is read-only: restore it "
                        "from a copy, or let --repair make it from the lines of .log"},
    [FOUND_READ_ONLY] = {FOUND_DAMAGE, false,
                         "it takes no more messages, what can be read is read: restore what is "
                         "named from a copy, or try --repair"},
    [FOUND_TOPIC] =
        {FOUND_DAMAGE, true,
         "its messages are untouched, and nobody can use it: restore its .config from a "
         "copy"},
    [FOUND_TOPIC_GONE] = {FOUND_DAMAGE, true,
                          "somebody has removed its directory: restore it from a copy; if that was "
                          "meant, nothing to do"},
    [FOUND_BEGINS_LATER] = {FOUND_DAMAGE, false,
                            "somebody has removed its first segments: restore them from a copy; if "
                            "that was meant, nothing to do"},
    [FOUND_SEALED_WRONG] = {FOUND_DAMAGE, false,
                            "a loader reads something else than the segment: --repair makes it a "
                            "link again"},
    [FOUND_PRODUCERS] = {FOUND_MENDED, false,
                         "its producers are looked for in the segments before it: nothing to do"},
    [FOUND_DAMAGED_FILE] = {FOUND_DAMAGE, false,
                            "which messages a repair had found damaged is not known: run --repair "
                            "again"},
    [FOUND_NO_REPAIR] = {FOUND_DAMAGE, false, "it stays as it is: what can be read is read"},
};

enum finding_weight finding_weight(enum finding kind)
{
    return kinds[kind].weight;
}

const char *finding_advice(enum finding kind)
{
    return kinds[kind].advice;
}

void found_say(struct store *store, enum finding kind, const char *fmt, ...)
{
    const struct finder *finder = store->options.finder;
    char text[700];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (finder)
        finder->found(finder->arg, kind, text);
    else if (kinds[kind].of_store)
        diag_say("%s: %s", store->name, text);
    else
        diag_say("%s", text);
}
