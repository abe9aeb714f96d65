/*
 * The names of the tree: any text in any directory.
 *
 * Input: a byte that says which directory, then the name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "fs/names.h"
#include "fs/tree.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/small_store.h"

static struct small_store small;
static struct tree tree;
static struct node *dirs[4];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    diag_silence(true);
    small_store_begin(&small, NULL);
    small_store_open(&small);
    small_store_fill(&small);
    tree = (struct tree){
        .store = small.store, .topic_default = topic_config_default, .root_mode = 0755};
    FUZZ_CHECK(tree_init(&tree) == 0, "tree_init");
    dirs[IN_ROOT] = tree.nodes.root;
    FUZZ_CHECK(tree_look_up(&tree, dirs[IN_ROOT], "t", &dirs[IN_TOPIC]) == 0, "t");
    FUZZ_CHECK(tree_look_up(&tree, dirs[IN_TOPIC], "0", &dirs[IN_PARTITION]) == 0, "t/0");
    FUZZ_CHECK(tree_look_up(&tree, dirs[IN_TOPIC], "sealed", &dirs[IN_SEALED]) == 0, "t/sealed");
    return 0;
}

/* The one spelling of a name; "" where that is for the tree to say: names with
 * words, and the fixed ones. */
static void spell(enum name_where where, const struct name *n, char text[NAME_ROOM])
{
    text[0] = '\0';
    if (n->has_word)
        return;
    if (n->kind == NAME_PARTITION)
        (void)name_of_partition(text, n->partition);
    else if (n->kind == NAME_SEGMENT && where == IN_SEALED)
        (void)name_of_sealed(text, n->partition, n->base);
    else if (n->kind == NAME_SEGMENT)
        (void)name_of_segment(text, n->base);
    else if (n->kind == NAME_GROWING || n->kind == NAME_FROZEN || n->kind == NAME_STREAM)
        (void)name_of_range(text, n->kind, n->start.value, n->end.value);
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->kind == b->kind && a->value == b->value;
}

static bool same_name(const struct name *a, const struct name *b)
{
    return a->kind == b->kind && a->has_word == b->has_word && a->partition == b->partition &&
           a->base == b->base && same_place(&a->start, &b->start) && same_place(&a->end, &b->end);
}

/* A number too large for 64 bits is taken as the largest: then two texts are one name. */
static bool saturated(const struct name *n)
{
    return n->start.value == UINT64_MAX || n->end.value == UINT64_MAX;
}

static void check_grammar(enum name_where where, const char *text)
{
    struct name first;
    struct name again;
    char spelt[NAME_ROOM];

    if (!name_parse(where, text, &first)) {
        FUZZ_CHECK(first.kind == NAME_NONE, "%s: refused, and kind %d", text, (int)first.kind);
        return;
    }
    FUZZ_CHECK(first.kind != NAME_NONE, "%s: parsed as nothing", text);
    spell(where, &first, spelt);
    if (!spelt[0])
        return;
    FUZZ_CHECK(saturated(&first) || strcmp(spelt, text) == 0, "%s is spelt %s", text, spelt);
    FUZZ_CHECK(name_parse(where, spelt, &again), "%s is spelt %s, which is no name", text, spelt);
    FUZZ_CHECK(same_name(&first, &again), "%s and %s differ", text, spelt);
}

/* What the tree gives for a name is there, has attributes, and a link leads to
 * something that is no link. */
static void check_node(enum name_where where, struct node *node, const char *text)
{
    struct tree_attr attr;
    struct node *target;
    char to[NAME_ROOM];

    FUZZ_CHECK(tree_attr(&tree, node, NULL, &attr) == 0, "%s has no attributes", text);
    FUZZ_CHECK(attr.st.st_ino == node->ino, "%s has two inode numbers", text);
    if (node->key.kind != NODE_LINK)
        return;
    FUZZ_CHECK(tree_read_link(&tree, node, to) == 0, "%s is a link that cannot be read", text);
    FUZZ_CHECK((size_t)attr.st.st_size == strlen(to), "%s -> %s has another size", text, to);
    FUZZ_CHECK(tree_look_up(&tree, dirs[where], to, &target) == 0, "%s -> %s", text, to);
    FUZZ_CHECK(target->key.kind != NODE_LINK, "%s -> %s, a link", text, to);
    nodes_forget(&tree.nodes, target, 1);
}

static void check_tree(enum name_where where, const char *text)
{
    size_t before = tree.nodes.count;
    struct node *node = NULL;
    int rc = tree_look_up(&tree, dirs[where], text, &node);

    FUZZ_CHECK(rc <= 0, "looking up %s gives %d", text, rc);
    if (rc == 0) {
        check_node(where, node, text);
        nodes_forget(&tree.nodes, node, 1);
    }
    FUZZ_CHECK(tree.nodes.count == before, "%s leaves a node behind", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum name_where where;
    char *text;

    if (size == 0 || memchr(data + 1, '\0', size - 1))
        return 0; /* the kernel's names have no NUL in them */
    where = (enum name_where)(data[0] % 4);
    text = malloc(size);
    FUZZ_CHECK(text, "out of memory");
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    check_grammar(where, text);
    check_tree(where, text);
    free(text);
    return 0;
}
