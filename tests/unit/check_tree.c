/* fs/tree: names, attributes, listings, refusals, on a real store. */
#include <errno.h>

#include "fs/tree.h"
#include "tests/support/suite.h"
#include "tests/unit/store_in_tmp.h"

static struct tmp_store tmp;
static struct tree tree;
static struct topic *topic;
static struct partition *part;
static struct node *root, *dir, *part_dir;

static struct node *find(struct node *in, const char *name)
{
    struct node *node = NULL;
    int rc = tree_look_up(&tree, in, name, &node);

    ck_assert_msg(rc == 0, "%s: %s", name, err_sentence(rc));
    return node;
}

static void put(struct node *node)
{
    nodes_forget(&tree.nodes, node, 1);
}

/* Topic t with one partition: a\n bb\n ccc\n. */
static void start(void)
{
    tmp_store_open(&tmp);
    tree =
        (struct tree){.store = tmp.store, .topic_default = topic_config_default, .root_mode = 0755};
    ck_assert_int_eq(tree_init(&tree), 0);
    root = tree.nodes.root;
    topic = tmp_topic(&tmp, "t", 1);
    part = topic_partition(topic, 0);
    tmp_publish(&tmp, part, "a\nbb\nccc\n");
    dir = find(root, "t");
    part_dir = find(dir, "0");
}

static void finish(void)
{
    put(part_dir);
    put(dir);
    ck_assert_uint_eq(tree.nodes.count, 1);
    tree_release(&tree);
    topic_put(topic);
    tmp_store_close(&tmp);
}

/* -- names -- */

static const struct {
    const char *name;
    int rc; /* 0, or the errno */
    enum node_kind kind;
    uint64_t start, end;
} names[] = {
    {"publish", 0, NODE_PUBLISH, 0, 0},
    {"00000000000000000000.log", 0, NODE_SEGMENT, 0, 0},
    {"00000000000000000001.log", ENOENT, 0, 0, 0},
    {"0-", 0, NODE_GROWING, 0, 0},
    {"2-", 0, NODE_GROWING, 2, 0},
    {"9-", 0, NODE_GROWING, 9, 0},
    {"1-", EINVAL, 0, 0, 0},
    {"3-", EINVAL, 0, 0, 0},
    {"10-", ERANGE, 0, 0, 0},
    {"99999999999999999999999-", ERANGE, 0, 0, 0},
    {"2-5", 0, NODE_FROZEN, 2, 5},
    {"0-9", 0, NODE_FROZEN, 0, 9},
    {"5-5", 0, NODE_FROZEN, 5, 5},
    {"5-2", ERANGE, 0, 0, 0},
    {"2-4", EINVAL, 0, 0, 0},
    {"2-10", ERANGE, 0, 0, 0},
    {"0+", 0, NODE_STREAM, 0, 0},
    {"9+", 0, NODE_STREAM, 9, 0},
    {"4+", EINVAL, 0, 0, 0},
    {"latest-", 0, NODE_LINK, 0, 0},
    {"earliest-latest", 0, NODE_LINK, 0, 0},
    {"latest-0", ERANGE, 0, 0, 0},
    {"@0+", 0, NODE_LINK, 0, 0},
    {"@1700000001-", ERANGE, 0, 0, 0},
    {"1-latest", EINVAL, 0, 0, 0},
    {"", ENOENT, 0, 0, 0},
    {".x.crc", ENOENT, 0, 0, 0},
    {"0", ENOENT, 0, 0, 0},
    {"0-.json", ENOENT, 0, 0, 0},
};

START_TEST(a_name_in_a_partition)
{
    struct node *node;
    int rc = tree_look_up(&tree, part_dir, names[_i].name, &node);

    ck_assert_msg(rc <= 0 && err_errno(rc) == names[_i].rc, "%s: %d", names[_i].name, rc);
    if (rc < 0)
        return;
    ck_assert_int_eq(node->key.kind, names[_i].kind);
    ck_assert_uint_eq(node->key.start, names[_i].start);
    ck_assert_uint_eq(node->key.end, names[_i].end);
    put(node);
}
END_TEST

START_TEST(names_elsewhere)
{
    static const struct {
        bool in_root;
        const char *name;
        int rc;
    } cases[] = {
        {true, "t", 0},           {true, ".status", 0},
        {true, "u", ENOENT},      {true, ".metrics", 0},
        {true, ".t", ENOENT},     {false, "0", 0},
        {false, "1", ENOENT},     {false, "publish", 0},
        {false, ".config", 0},    {false, ".offsets", 0},
        {false, "sealed", 0},     {false, "latest+", 0},
        {false, "earliest+", 0},  {false, "@1.5+", 0},
        {false, "5+", ENOENT},    {false, "@1700000001+", ERANGE},
        {false, ".json", ENOENT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct node *node;
        int rc = tree_look_up(&tree, cases[i].in_root ? root : dir, cases[i].name, &node);

        ck_assert_msg(rc <= 0 && err_errno(rc) == cases[i].rc, "%s: %d", cases[i].name, rc);
        if (rc == 0)
            put(node);
    }
}
END_TEST

START_TEST(too_long_a_name_and_a_file_as_a_directory)
{
    char name[NAME_LENGTH_MAX + 2];
    struct node *node = find(dir, "publish"), *none;

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(tree_look_up(&tree, root, name, &none), -ENAMETOOLONG);
    ck_assert_int_eq(tree_look_up(&tree, node, "x", &none), -ENOTDIR);
    put(node);
}
END_TEST

START_TEST(words_are_links_to_what_they_mean_now)
{
    static const char *const links[][2] = {
        {"latest-", "9-"},          {"latest+", "9+"},   {"earliest-", "0-"},
        {"earliest-latest", "0-9"}, {"2-latest", "2-9"}, {"@1700000000-", "0-"},
        {"@1.25-latest", "0-9"},
    };
    struct node *latest = find(part_dir, "latest-");
    char to[NAME_ROOM];

    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        struct node *node = find(part_dir, links[i][0]);
        struct tree_attr attr;

        ck_assert_int_eq(tree_read_link(&tree, node, to), 0);
        ck_assert_str_eq(to, links[i][1]);
        ck_assert_int_eq(tree_attr(&tree, node, NULL, &attr), 0);
        ck_assert(S_ISLNK(attr.st.st_mode));
        ck_assert_uint_eq((uint64_t)attr.st.st_size, strlen(links[i][1]));
        put(node);
    }
    tmp_publish(&tmp, part, "dddd\n");
    ck_assert_int_eq(tree_read_link(&tree, latest, to), 0);
    ck_assert_str_eq(to, "14-");
    put(latest);
}
END_TEST

/* -- attributes -- */

static struct stat stat_of(struct node *in, const char *name)
{
    struct node *node = find(in, name);
    struct tree_attr attr;

    ck_assert_int_eq(tree_attr(&tree, node, NULL, &attr), 0);
    ck_assert_uint_eq(attr.st.st_ino, node->ino);
    ck_assert_uint_eq(attr.st.st_nlink, 1);
    put(node);
    return attr.st;
}

START_TEST(sizes_and_modes)
{
    struct buf text = {0};
    struct stat st = stat_of(part_dir, "00000000000000000000.log");

    ck_assert_uint_eq(st.st_mode, S_IFREG | 0444);
    ck_assert_int_eq(st.st_size, 9);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1700000000);
    ck_assert_int_ge(st.st_blocks, 1);
    ck_assert_int_eq(stat_of(part_dir, "2-").st_size, 7);
    ck_assert_int_eq(stat_of(part_dir, "2+").st_size, 7);
    ck_assert_int_eq(stat_of(part_dir, "2-5").st_size, 3);
    ck_assert_int_eq(stat_of(part_dir, "publish").st_size, 0);
    ck_assert_uint_eq(stat_of(part_dir, "publish").st_mode, S_IFREG | 0644);
    ck_assert_uint_eq(stat_of(root, "t").st_mode, S_IFDIR | 0755);
    ck_assert_uint_eq(stat_of(dir, "0").st_mode, S_IFDIR | 0755);
    ck_assert_uint_eq(stat_of(dir, "sealed").st_mode, S_IFDIR | 0755);
    ck_assert_uint_eq(stat_of(dir, "latest+").st_mode, S_IFREG | 0444);
    ck_assert_uint_eq(stat_of(dir, ".config").st_mode, S_IFREG | 0644);
    ck_assert_int_eq(topic_config_text(topic, &text), 0);
    ck_assert_uint_eq((uint64_t)stat_of(dir, ".config").st_size, text.len);
    buf_release(&text);
}
END_TEST

START_TEST(the_time_of_a_frozen_range_is_that_of_its_last_message)
{
    tmp.now_ms += 60000;
    tmp_publish(&tmp, part, "later\n");
    ck_assert_int_eq(stat_of(part_dir, "0-9").st_mtim.tv_sec, 1700000000);
    ck_assert_int_eq(stat_of(part_dir, "0-15").st_mtim.tv_sec, 1700000060);
    ck_assert_int_eq(stat_of(part_dir, "0-").st_mtim.tv_sec, 1700000060);
    tmp.now_ms += 60000;
    ck_assert_int_eq(stat_of(part_dir, "0-15").st_mtim.tv_sec, 1700000060);
}
END_TEST

START_TEST(access_is_the_topics)
{
    static const struct tree_change none = {-1, -1, -1, -1, false};
    struct node *file = find(part_dir, "publish");
    struct tree_change change = none;

    change.mode = 02750; /* more than rwx is dropped */
    change.uid = 5;
    change.gid = 6;
    ck_assert_int_eq(tree_change(&tree, dir, &change), 0);
    ck_assert_uint_eq(stat_of(root, "t").st_mode, S_IFDIR | 0750);
    ck_assert_uint_eq(stat_of(part_dir, "publish").st_mode, S_IFREG | 0640);
    ck_assert_uint_eq(stat_of(part_dir, "0-").st_mode, S_IFREG | 0440);
    ck_assert_uint_eq(stat_of(part_dir, "0-").st_uid, 5);
    ck_assert_uint_eq(stat_of(dir, "0").st_gid, 6);
    change = none;
    change.mode = 0640;
    ck_assert_int_eq(tree_change(&tree, file, &change), 0);
    change.mode = 0600;
    ck_assert_int_eq(tree_change(&tree, file, &change), -EPERM);
    ck_assert_int_eq(tree_change(&tree, part_dir, &change), -EPERM);
    ck_assert_int_eq(tree_change(&tree, root, &change), -EPERM);
    put(file);
}
END_TEST

START_TEST(only_what_is_written_to_is_truncated_and_touched)
{
    static const struct tree_change empty = {-1, -1, -1, 0, false};
    static const struct tree_change touch = {-1, -1, -1, -1, true};
    static const struct {
        bool in_part;
        const char *name;
        int truncate, touch;
    } cases[] = {
        {true, "publish", 0, 0},
        {false, "publish", 0, 0},
        {false, ".config", 0, 0},
        {false, ".offsets", -EPERM, -EPERM},
        {true, "00000000000000000000.log", -EPERM, -EPERM},
        {true, "0-", -EPERM, -EPERM},
        {true, "2-5", -EPERM, -EPERM},
        {true, "0+", -EPERM, -EPERM},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct node *node = find(cases[i].in_part ? part_dir : dir, cases[i].name);

        ck_assert_int_eq(tree_change(&tree, node, &empty), cases[i].truncate);
        ck_assert_int_eq(tree_change(&tree, node, &touch), cases[i].touch);
        put(node);
    }
    ck_assert_int_eq(tree_change(&tree, dir, &touch), 0);
}
END_TEST

/* -- directories -- */

struct seen {
    char names[4096];
    uint64_t last;
    int room;
};

static int see(void *arg, const struct tree_entry *entry)
{
    struct seen *seen = arg;

    if (seen->room == 0)
        return 1;
    seen->room--;
    ck_assert_uint_gt(entry->cookie, seen->last);
    seen->last = entry->cookie;
    strcat(seen->names, entry->name);
    strcat(seen->names, " ");
    return 0;
}

/* In steps of `step` entries, each going on at the last one's cookie. */
static void list_is(struct node *node, int step, const char *want)
{
    struct seen seen = {.last = 0};
    uint64_t before;

    do {
        before = seen.last;
        seen.room = step;
        ck_assert_int_eq(tree_list(&tree, node, seen.last, see, &seen), 0);
    } while (seen.last > before);
    ck_assert_str_eq(seen.names, want);
}

START_TEST(listings)
{
    struct topic *other = tmp_topic(&tmp, "other", 3);
    struct node *other_dir = find(root, "other");

    for (int step = 1; step < 9; step++) {
        list_is(root, step, ". .. .status .metrics t other ");
        list_is(dir, step, ". .. publish .config .offsets 0 ");
        list_is(other_dir, step, ". .. publish .config .offsets 0 1 2 ");
        list_is(part_dir, step, ". .. publish 00000000000000000000.log ");
    }
    put(other_dir);
    topic_put(other);
}
END_TEST

START_TEST(sealed_has_what_has_a_successor)
{
    struct topic *many = tmp_topic(&tmp, "many", 2);
    struct node *many_dir = find(root, "many");
    struct node *sealed = find(many_dir, "sealed"), *seg, *none;
    struct segment_stat first;
    char want[256];

    tmp_publish_segments(&tmp, topic_partition(many, 0), 1);
    tmp_publish_segments(&tmp, topic_partition(many, 1), 2);
    ck_assert_int_eq(partition_segment_next(topic_partition(many, 1), 1, &first), 0);
    snprintf(want, sizeof want,
             ". .. 0-00000000000000000000.log 1-00000000000000000000.log 1-%020lu.log ",
             (unsigned long)first.base);
    for (int step = 1; step < 6; step++)
        list_is(sealed, step, want);
    seg = find(sealed, "0-00000000000000000000.log");
    ck_assert_int_eq(seg->key.kind, NODE_SEALED_SEGMENT);
    put(seg);
    snprintf(want, sizeof want, "0-%020lu.log", (unsigned long)first.base);
    ck_assert_int_eq(tree_look_up(&tree, sealed, want, &none), -ENOENT); /* the newest */
    put(sealed);
    put(many_dir);
    topic_put(many);
}
END_TEST

START_TEST(topics_are_made_and_only_empty_ones_removed)
{
    char name[TOPIC_NAME_MAX + 2];
    struct node *made, *none;
    struct stat st;

    ck_assert_int_eq(tree_mkdir(&tree, root, "new", 0770, 1000, 1001, &made), 0);
    st = stat_of(root, "new");
    ck_assert_uint_eq(st.st_mode, S_IFDIR | 0770);
    ck_assert_uint_eq(st.st_uid, 1000);
    ck_assert_uint_eq(st.st_gid, 1001);
    ck_assert_int_eq(tree_mkdir(&tree, root, "new", 0770, 0, 0, &none), -EEXIST);
    ck_assert_int_eq(tree_mkdir(&tree, root, ".new", 0770, 0, 0, &none), -EINVAL);
    ck_assert_int_eq(tree_mkdir(&tree, dir, "new", 0770, 0, 0, &none), -EPERM);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(tree_mkdir(&tree, root, name, 0770, 0, 0, &none), -ENAMETOOLONG);
    ck_assert_int_eq(tree_rmdir(&tree, root, "t"), -ENOTEMPTY);
    ck_assert_int_eq(tree_rmdir(&tree, root, "none"), -ENOENT);
    ck_assert_int_eq(tree_rmdir(&tree, root, ".status"), -ENOTDIR);
    ck_assert_int_eq(tree_rmdir(&tree, dir, "0"), -EPERM);
    ck_assert_int_eq(tree_rmdir(&tree, root, "new"), 0);
    ck_assert_int_eq(tree_look_up(&tree, root, "new", &none), -ENOENT);
    ck_assert_int_eq(tree_look_up(&tree, made, "publish", &none), -ENOENT);
    list_is(made, 9, "");
    put(made);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs/tree");
    TCase *tc = tcase_create("tree");

    tcase_add_checked_fixture(tc, start, finish);
    tcase_add_loop_test(tc, a_name_in_a_partition, 0, sizeof names / sizeof *names);
    tcase_add_test(tc, names_elsewhere);
    tcase_add_test(tc, too_long_a_name_and_a_file_as_a_directory);
    tcase_add_test(tc, words_are_links_to_what_they_mean_now);
    tcase_add_test(tc, sizes_and_modes);
    tcase_add_test(tc, the_time_of_a_frozen_range_is_that_of_its_last_message);
    tcase_add_test(tc, access_is_the_topics);
    tcase_add_test(tc, only_what_is_written_to_is_truncated_and_touched);
    tcase_add_test(tc, listings);
    tcase_add_test(tc, sealed_has_what_has_a_successor);
    tcase_add_test(tc, topics_are_made_and_only_empty_ones_removed);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
