/* tests/support/left_store: see left_store.h. */
#include "tests/support/left_store.h"

#include <check.h>

struct partition *left_store_begin(struct fixture *f)
{
    fixture_real(f);
    fixture_open(f);
    return fixture_topic(f, "t",
                         "segment.bytes=8192\nset.max.bytes=4096\nmessage.max.bytes=4096\n");
}

void left_store_kill(struct fixture *f, struct partition *part)
{
    fixture_append_bytes(part, 3999, 'a');
    fixture_append_bytes(part, 3999, 'b');
    fixture_append_bytes(part, 299, 'c');
    fixture_append_key(part, "key", "d");
    ck_assert_int_eq(fixture_flush(f, part), 0);
    fixture_kill(f);
    dir_make(f, ".new.x");
    file_write(f, ".format.tmp", "x", 1);
}

struct partition *left_store_expect_fine(struct fixture *f)
{
    struct partition *part;

    fixture_open(f);
    part = fixture_part(f, "t", 0);
    ck_assert(!partition_failed(part));
    ck_assert_uint_eq(partition_visible_end(part), 8302);
    ck_assert_uint_eq(fixture_append(part, "more\n"), 8302);
    ck_assert_int_eq(fixture_flush(f, part), 0);
    return part;
}
