/* fs/node: look-ups that are counted, inode numbers that stay. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "fs/node.h"
#include "tests/support/suite.h"

/* -- all of the store that nodes need -- */

struct topic {
    uint32_t number;
    atomic_int refs;
};

uint32_t topic_number(const struct topic *topic)
{
    return topic->number;
}

struct topic *topic_get(struct topic *topic)
{
    topic->refs++;
    return topic;
}

void topic_put(struct topic *topic)
{
    ck_assert_int_gt(topic->refs--, 1);
}

struct partition *topic_partition(const struct topic *topic, uint32_t index)
{
    (void)topic, (void)index;
    return NULL;
}

static struct topic one = {.number = 16}, two = {.number = 17};
static struct nodes nodes;

static void start(void)
{
    one.refs = two.refs = 1;
    ck_assert_int_eq(nodes_init(&nodes), 0);
}

/* Nothing may be left: neither a node nor what one held. */
static void finish(void)
{
    ck_assert_uint_eq(nodes.count, 1);
    ck_assert_uint_eq(nodes.idle_count, 0);
    nodes_release(&nodes);
    ck_assert_int_eq(one.refs, 1);
    ck_assert_int_eq(two.refs, 1);
}

static struct node *look_up(struct node *parent, enum node_kind kind, uint64_t from, uint64_t to,
                            const char *word)
{
    struct node_key key = {kind, &one, 0, from, to, word};
    struct node *node = NULL;

    ck_assert_int_eq(nodes_look_up(&nodes, &key, parent, &node), 0);
    return node;
}

/* They are what users see: a change here prints every log again for each
 * `tail -F` that survives an upgrade. */
START_TEST(inode_numbers_are_for_ever)
{
    struct node_key root = {NODE_ROOT, NULL, -1, 0, 0, NULL};
    struct node_key status = {NODE_STATUS, NULL, -1, 0, 0, NULL};
    struct node_key topic = {NODE_TOPIC, &one, -1, 0, 0, NULL};
    struct node_key growing = {NODE_GROWING, &one, 0, 0, 0, NULL};
    struct node_key range = {NODE_FROZEN, &two, 3, 100, 5000, NULL};
    struct node_key link = {NODE_LINK, &one, 0, 0, 0, "latest-"};

    ck_assert_uint_eq(node_ino(&root), 1);
    ck_assert_uint_eq(node_ino(&status), 0x7a2e3f3395804f7dU);
    ck_assert_uint_eq(node_ino(&topic), 0xb19b59d558799cc0U);
    ck_assert_uint_eq(node_ino(&growing), 0x8c3e06765d29a556U);
    ck_assert_uint_eq(node_ino(&range), 0x9590039224b00093U);
    ck_assert_uint_eq(node_ino(&link), 0x010c8bccfd5dca4eU);
}
END_TEST

/* Every part of a key makes another number. */
START_TEST(different_things_have_different_numbers)
{
    struct node_key keys[] = {
        {NODE_GROWING, &one, 0, 0, 0, NULL},  {NODE_GROWING, &two, 0, 0, 0, NULL},
        {NODE_GROWING, &one, 1, 0, 0, NULL},  {NODE_STREAM, &one, 0, 0, 0, NULL},
        {NODE_GROWING, &one, 0, 1, 0, NULL},  {NODE_FROZEN, &one, 0, 0, 1, NULL},
        {NODE_FROZEN, &one, 0, 1, 1, NULL},   {NODE_LINK, &one, 0, 0, 0, "latest-"},
        {NODE_LINK, &one, 0, 0, 0, "@1-"},    {NODE_LINK, &one, 0, 0, 0, "@1.0-"},
        {NODE_PUBLISH, &one, -1, 0, 0, NULL}, {NODE_PUBLISH, &one, 0, 0, 0, NULL},
    };
    size_t n = sizeof keys / sizeof *keys;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(node_ino(&keys[i]), node_ino(&keys[j]));
}
END_TEST

START_TEST(one_name_is_one_node_until_it_is_forgotten)
{
    struct node *a = look_up(nodes.root, NODE_GROWING, 5, 0, NULL);
    struct node *b = look_up(nodes.root, NODE_GROWING, 5, 0, NULL);
    uint64_t ino = a->ino;

    ck_assert_ptr_eq(a, b);
    ck_assert_uint_eq(nodes.count, 2);
    nodes_forget(&nodes, a, 1);
    ck_assert_uint_eq(nodes.count, 2);
    nodes_forget(&nodes, a, 1);
    ck_assert_uint_eq(nodes.count, 1);
    a = look_up(nodes.root, NODE_GROWING, 5, 0, NULL);
    ck_assert_uint_eq(a->ino, ino);
    nodes_forget(&nodes, a, 1);
}
END_TEST

START_TEST(every_look_up_of_a_publish_file_is_a_node_of_its_own)
{
    struct node *a = look_up(nodes.root, NODE_PUBLISH, 0, 0, NULL);
    struct node *b = look_up(nodes.root, NODE_PUBLISH, 0, 0, NULL);

    ck_assert_ptr_ne(a, b);
    ck_assert_uint_eq(a->ino, b->ino);
    nodes_forget(&nodes, a, 1);
    nodes_forget(&nodes, b, 1);
}
END_TEST

START_TEST(a_parent_lives_as_long_as_its_children)
{
    struct node *dir = look_up(nodes.root, NODE_PARTITION, 0, 0, NULL);
    struct node *file = look_up(dir, NODE_GROWING, 0, 0, NULL);

    nodes_forget(&nodes, dir, 1);
    ck_assert_uint_eq(nodes.count, 3);
    ck_assert_ptr_eq(file->parent, dir);
    nodes_forget(&nodes, file, 1);
    ck_assert_uint_eq(nodes.count, 1);
}
END_TEST

START_TEST(who_holds_a_node_keeps_it)
{
    struct node *node = look_up(nodes.root, NODE_SEGMENT, 0, 0, NULL);

    nodes_hold(&nodes, node);
    nodes_forget(&nodes, node, 1);
    ck_assert_ptr_eq(look_up(nodes.root, NODE_SEGMENT, 0, 0, NULL), node);
    nodes_unhold(&nodes, node);
    nodes_forget(&nodes, node, 1);
}
END_TEST

START_TEST(names_with_words_keep_their_spelling)
{
    char text[] = "@1.50-";
    struct node *a = look_up(nodes.root, NODE_LINK, 0, 0, text);
    struct node *b;

    memset(text, 'x', sizeof text - 1); /* it was copied */
    b = look_up(nodes.root, NODE_LINK, 0, 0, "@1.5-");
    ck_assert_str_eq(a->key.word, "@1.50-");
    ck_assert_ptr_ne(a, b);
    nodes_forget(&nodes, a, 1);
    nodes_forget(&nodes, b, 1);
}
END_TEST

START_TEST(only_idle_unlisted_nodes_are_to_be_dropped)
{
    struct node *listed = look_up(nodes.root, NODE_SEGMENT, 0, 0, NULL);
    struct node *open = look_up(nodes.root, NODE_GROWING, 1, 0, NULL);
    struct node *idle = look_up(nodes.root, NODE_GROWING, 2, 0, NULL);
    struct node *got[8];

    nodes_hold(&nodes, open);
    ck_assert_uint_eq(nodes_idle(&nodes, 60000, got, 8), 0);
    atomic_store(&idle->used_ms, 0);
    atomic_store(&open->used_ms, 0);
    ck_assert_uint_eq(nodes_idle(&nodes, 1, got, 8), 1);
    ck_assert_ptr_eq(got[0], idle);
    nodes_unhold(&nodes, idle);
    /* It counts as used: not asked for again at once. */
    ck_assert_uint_eq(nodes_idle(&nodes, 60000, got, 8), 0);
    nodes_unhold(&nodes, open);
    nodes_forget(&nodes, open, 1);
    nodes_forget(&nodes, idle, 1);
    nodes_forget(&nodes, listed, 1);
}
END_TEST

#define MANY 30000

START_TEST(tens_of_thousands_of_nodes)
{
    struct node **all = calloc(MANY, sizeof(*all));
    struct node *batch[100];
    size_t cursor = 0, n, seen = 0;

    ck_assert_ptr_nonnull(all);
    for (size_t i = 0; i < MANY; i++)
        all[i] = look_up(nodes.root, NODE_FROZEN, i, i + 1, NULL);
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_ptr_eq(look_up(nodes.root, NODE_FROZEN, i, i + 1, NULL), all[i]);
        nodes_forget(&nodes, all[i], 1);
    }
    while ((n = nodes_of_topic(&nodes, &one, &cursor, batch, 100)) > 0) {
        seen += n;
        while (n > 0)
            nodes_unhold(&nodes, batch[--n]);
    }
    ck_assert_uint_eq(seen, MANY);
    cursor = 0;
    ck_assert_uint_eq(nodes_of_topic(&nodes, &two, &cursor, batch, 100), 0);
    for (size_t i = 0; i < MANY; i++)
        nodes_forget(&nodes, all[i], 1);
    free(all);
}
END_TEST

static void *look_up_and_forget(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (int i = 0; i < 20000; i++) {
        enum node_kind kind = i % 7 ? NODE_GROWING : NODE_PUBLISH;
        struct node *node = look_up(nodes.root, kind, (unsigned)rand_r(&seed) % 16, 0, NULL);

        nodes_forget(&nodes, node, 1);
    }
    return NULL;
}

START_TEST(threads_that_look_up_and_forget)
{
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, look_up_and_forget, (void *)(uintptr_t)(i + 1)), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fs/node");
    TCase *tc = tcase_create("nodes");

    tcase_add_checked_fixture(tc, start, finish);
    tcase_add_test(tc, inode_numbers_are_for_ever);
    tcase_add_test(tc, different_things_have_different_numbers);
    tcase_add_test(tc, one_name_is_one_node_until_it_is_forgotten);
    tcase_add_test(tc, every_look_up_of_a_publish_file_is_a_node_of_its_own);
    tcase_add_test(tc, a_parent_lives_as_long_as_its_children);
    tcase_add_test(tc, who_holds_a_node_keeps_it);
    tcase_add_test(tc, names_with_words_keep_their_spelling);
    tcase_add_test(tc, only_idle_unlisted_nodes_are_to_be_dropped);
    tcase_add_test(tc, tens_of_thousands_of_nodes);
    tcase_add_test(tc, threads_that_look_up_and_forget);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
