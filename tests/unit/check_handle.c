/*
 * fs/handle: how open files are served. The kernel's side of passthrough is
 * played here, so that registering a file can be made to fail at will.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

#include "fs/handle.h"
#include "tests/support/suite.h"
#include "tests/unit/store_in_tmp.h"

static int32_t next_id; /* < 0: registering fails so */
static int registered;

int32_t passthrough_register(struct passthrough *p, int fd)
{
    (void)p;
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
    if (next_id < 0)
        return next_id;
    registered++;
    return next_id++;
}

void passthrough_unregister(struct passthrough *p, int32_t id)
{
    (void)p;
    ck_assert_int_gt(id, 0);
    registered--;
}

static struct tmp_store tmp;
static struct tree tree;
static struct handles handles;
static struct passthrough passthrough;
static struct topic *topic;
static struct partition *part;
static struct node *dir, *part_dir;

static struct node *find(struct node *in, const char *name)
{
    struct node *node = NULL;

    ck_assert_int_eq(tree_look_up(&tree, in, name, &node), 0);
    return node;
}

static void put(struct node *node)
{
    nodes_forget(&tree.nodes, node, 1);
}

static void start(void)
{
    next_id = 1;
    registered = 0;
    tmp_store_open(&tmp);
    tree = (struct tree){.store = tmp.store, .topic_default = topic_config_default};
    ck_assert_int_eq(tree_init(&tree), 0);
    handles_init(&handles, &tree, &passthrough);
    topic = tmp_topic(&tmp, "t", 1);
    part = topic_partition(topic, 0);
    dir = find(tree.nodes.root, "t");
    part_dir = find(dir, "0");
}

static void finish(void)
{
    put(part_dir);
    put(dir);
    ck_assert_uint_eq(handles.count, 0);
    ck_assert_int_eq(registered, 0);
    ck_assert_uint_eq(tree.nodes.count, 1);
    handles_release(&handles);
    tree_release(&tree);
    topic_put(topic);
    tmp_store_close(&tmp);
}

static struct handle *open_node(struct node *node)
{
    struct handle *h = NULL;

    ck_assert_int_eq(handle_open(&handles, node, O_RDONLY, &h), 0);
    return h;
}

/* What a read gives, as text. */
static void reads(struct handle *h, uint64_t pos, uint64_t size, const char *want)
{
    struct gather g = {.count = 0};
    char got[256] = "";

    ck_assert_int_eq(handle_read(h, pos, size, &g), 0);
    ck_assert_uint_lt(g.len, sizeof got);
    for (int i = 0; i < g.count; i++)
        strncat(got, g.iov[i].iov_base, g.iov[i].iov_len);
    ck_assert_str_eq(got, want);
    gather_release(&g);
}

static uint64_t bytes_at(struct handle *h, uint64_t pos, uint64_t size)
{
    struct gather g = {.count = 0};
    uint64_t len;

    ck_assert_int_eq(handle_read(h, pos, size, &g), 0);
    len = g.len;
    gather_release(&g);
    return len;
}

START_TEST(all_opens_share_one_registration)
{
    struct node *seg;
    struct handle *a, *b;

    tmp_publish_segments(&tmp, part, 1);
    seg = find(part_dir, "00000000000000000000.log");
    a = open_node(seg);
    b = open_node(seg);
    ck_assert_int_eq(a->way, WAY_PASSTHROUGH);
    ck_assert_int_eq(b->backing_id, a->backing_id);
    ck_assert_int_eq(registered, 1);
    handle_close(a);
    ck_assert_int_eq(registered, 1);
    handle_close(b);
    ck_assert_int_eq(registered, 0);
    put(seg);
}
END_TEST

/* The kernel refuses an open of another kind than those that are open. */
START_TEST(when_registering_fails_while_it_is_open_the_next_open_still_reads)
{
    struct node *seg;
    struct handle *a, *b, *c;

    tmp_publish_segments(&tmp, part, 1);
    seg = find(part_dir, "00000000000000000000.log");
    a = open_node(seg);
    next_id = -EMFILE;
    b = open_node(seg);
    ck_assert_int_eq(b->way, WAY_PASSTHROUGH);
    ck_assert_int_eq(b->backing_id, a->backing_id);
    handle_close(a);
    handle_close(b);
    a = open_node(seg);
    ck_assert_int_eq(a->way, WAY_CACHED);
    next_id = 7;
    b = open_node(seg);
    ck_assert_int_eq(b->way, WAY_CACHED_KEEP);
    ck_assert_uint_gt(bytes_at(b, 0, 4096), 0);
    handle_close(a);
    handle_close(b);
    c = open_node(seg);
    ck_assert_int_eq(c->way, WAY_PASSTHROUGH);
    handle_close(c);
    put(seg);
}
END_TEST

START_TEST(the_newest_segment_is_direct_and_goes_on_after_it_is_sealed)
{
    struct node *seg;
    struct handle *before, *after;

    tmp_publish(&tmp, part, "one\n");
    seg = find(part_dir, "00000000000000000000.log");
    before = open_node(seg);
    ck_assert_int_eq(before->way, WAY_DIRECT);
    reads(before, 0, 100, "one\n");
    reads(before, 4, 100, "");
    tmp_publish_segments(&tmp, part, 1);
    reads(before, 0, 4, "one\n");
    ck_assert_uint_gt(bytes_at(before, 4, 4096), 0);
    after = open_node(seg);
    ck_assert_int_eq(after->way, WAY_PASSTHROUGH);
    handle_close(before);
    ck_assert_int_eq(registered, 1);
    handle_close(after);
    put(seg);
}
END_TEST

START_TEST(ranges_go_across_segments)
{
    struct node *frozen, *growing;
    struct handle *f, *g;
    char name[NAME_ROOM];
    uint64_t end;

    tmp_publish_segments(&tmp, part, 3);
    end = partition_visible_end(part);
    name_of_range(name, NAME_FROZEN, 0, end);
    frozen = find(part_dir, name);
    growing = find(part_dir, "0-");
    f = open_node(frozen);
    g = open_node(growing);
    ck_assert_int_eq(f->way, WAY_CACHED_KEEP);
    ck_assert_int_eq(g->way, WAY_DIRECT);
    ck_assert_uint_eq(bytes_at(f, 0, end + 100), end);
    ck_assert_uint_eq(bytes_at(f, 5, end), end - 5);
    ck_assert_uint_eq(bytes_at(f, end, 10), 0);
    ck_assert_uint_eq(bytes_at(g, end - 1, 10), 1);
    tmp_publish(&tmp, part, "more\n");
    ck_assert_uint_eq(bytes_at(f, 0, end + 100), end);
    reads(g, end, 10, "more\n");
    handle_close(f);
    handle_close(g);
    put(frozen);
    put(growing);
}
END_TEST

/* "a" and "bb", a gap from 5 to 100, "ccc". */
START_TEST(reads_end_at_a_gap_and_nothing_is_read_in_it)
{
    static const struct {
        const char *name;
        uint64_t start;
        enum handle_way way;
    } files[] = {
        {"0-", 0, WAY_DIRECT},
        {"2+", 2, WAY_DIRECT},
        {"0-104", 0, WAY_DIRECT},
        {"2-50", 2, WAY_DIRECT},
        {"5-", 5, WAY_DIRECT},
        {"5-100", 5, WAY_DIRECT},
        {"60-", 60, WAY_DIRECT},
        {"60-104", 60, WAY_DIRECT},
        {"60-61", 60, WAY_DIRECT},
        {"0-5", 0, WAY_CACHED_KEEP},
        {"100-104", 100, WAY_CACHED_KEEP},
    };
    static const char log[] = "a\nbb\n";

    tmp_publish(&tmp, part, log);
    ck_assert_int_eq(partition_skip_to(part, 100, 10, NULL), 0);
    tmp_publish(&tmp, part, "ccc\n");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct node *node = find(part_dir, files[i].name);
        struct handle *h = open_node(node);
        uint64_t start = files[i].start;
        struct gather g = {.count = 0};

        ck_assert_msg(h->way == files[i].way, "%s", files[i].name);
        if (start < 5)
            reads(h, 0, 50, log + start);
        if (start < 5 && h->way == WAY_DIRECT)
            ck_assert_int_eq(handle_read(h, 5 - start, 50, &g), ERR_GONE);
        if (start < 100 && h->way == WAY_DIRECT)
            ck_assert_int_eq(handle_read(h, start == 60 ? 0 : 20, 1, &g), ERR_GONE);
        if (strchr(files[i].name, '4') || node->key.kind != NODE_FROZEN)
            reads(h, 100 - start, 50, "ccc\n");
        handle_close(h);
        put(node);
    }
}
END_TEST

START_TEST(only_publish_and_config_are_written_to)
{
    static const char *const refused[] = {"00000000000000000000.log", "0-", "0-0", "0+"};
    struct node *publish = find(part_dir, "publish");
    struct handle *h;

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct node *node = find(part_dir, refused[i]);

        ck_assert_int_eq(handle_open(&handles, node, O_WRONLY, &h), -EPERM);
        ck_assert_int_eq(handle_open(&handles, node, O_RDWR, &h), -EPERM);
        ck_assert_int_eq(handle_open(&handles, node, O_RDONLY | O_TRUNC, &h), -EPERM);
        put(node);
    }
    ck_assert_int_eq(handle_open(&handles, publish, O_WRONLY | O_TRUNC | O_APPEND, &h), 0);
    ck_assert_ptr_nonnull(h->publisher);
    handle_close(h);
    h = open_node(publish);
    reads(h, 0, 100, "");
    handle_close(h);
    put(publish);
}
END_TEST

START_TEST(texts_are_as_they_were_when_opened)
{
    struct node *offsets = find(dir, ".offsets");
    struct handle *h;

    tmp_publish(&tmp, part, "abc\n");
    h = open_node(offsets);
    reads(h, 0, 100, "0 0 0 4 1\n");
    tmp_publish(&tmp, part, "def\n");
    reads(h, 0, 100, "0 0 0 4 1\n");
    reads(h, 8, 1, "1");
    reads(h, 10, 1, "");
    handle_close(h);
    put(offsets);
}
END_TEST

static atomic_bool all_closed;

static void *open_and_close(void *arg)
{
    for (int i = 0; i < 300; i++) {
        struct handle *h;

        ck_assert_int_eq(handle_open(&handles, arg, O_WRONLY, &h), 0);
        handle_close(h);
    }
    atomic_store(&all_closed, true);
    return NULL;
}

/* As at a stop; what goes wrong here is found under TSan. */
START_TEST(closed_while_the_rest_of_all_is_published)
{
    struct node *node = find(dir, "publish");
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, open_and_close, node), 0);
    while (!atomic_load(&all_closed))
        handles_publish_rest(&handles);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    put(node);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs/handle");
    TCase *tc = tcase_create("open files");

    tcase_add_checked_fixture(tc, start, finish);
    tcase_add_test(tc, all_opens_share_one_registration);
    tcase_add_test(tc, when_registering_fails_while_it_is_open_the_next_open_still_reads);
    tcase_add_test(tc, the_newest_segment_is_direct_and_goes_on_after_it_is_sealed);
    tcase_add_test(tc, ranges_go_across_segments);
    tcase_add_test(tc, reads_end_at_a_gap_and_nothing_is_read_in_it);
    tcase_add_test(tc, only_publish_and_config_are_written_to);
    tcase_add_test(tc, texts_are_as_they_were_when_opened);
    tcase_add_test(tc, closed_while_the_rest_of_all_is_published);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
