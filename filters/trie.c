/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/trie.h"

#include "common/err.h"
#include "filters/glob.h"

#include <stdlib.h>

#define NONE UINT32_MAX

struct node {
    uint32_t one;    /* the child behind * */
    uint32_t any;    /* the child behind **; it is its own child for every segment */
    uint32_t glob;   /* first of its globs */
    uint32_t accept; /* first of its values */
    bool repeats;    /* stands behind ** */
};

struct edge {
    struct str text; /* len 0: free */
    uint32_t hash, from, to;
};

struct glob {
    struct str pattern;
    bool key;
    uint32_t to, next;
};

struct accept {
    uint32_t value, next;
};

/* Grown by doubling; freed with the trie. */
struct trie {
    struct arena arena;
    struct node *node;
    struct edge *edge; /* open addressing; room is a power of two */
    struct glob *glob;
    struct accept *accept;
    size_t nodes, node_room, edges, edge_room, globs, glob_room, accepts, accept_room;
};

struct trie *trie_new(void)
{
    struct trie *t = xnew(struct trie);
    t->edge_room = 64;
    t->edge = xcalloc(t->edge_room, sizeof(*t->edge));
    return t;
}

void trie_free(struct trie *t)
{
    if (t != NULL) {
        arena_free(&t->arena);
        free(t->node);
        free(t->edge);
        free(t->glob);
        free(t->accept);
        free(t);
    }
}

/* Makes room for one more element and returns its place. */
static size_t grow(void **array, size_t *count, size_t *room, size_t size)
{
    if (*count == *room) {
        *room = *room > 0 ? *room * 2 : 16;
        *array = xrealloc(*array, *room * size);
    }
    return (*count)++;
}

uint32_t trie_root(struct trie *t)
{
    void *array = t->node;
    size_t at = grow(&array, &t->nodes, &t->node_room, sizeof(*t->node));
    t->node = array;
    t->node[at] = (struct node){.one = NONE, .any = NONE, .glob = NONE, .accept = NONE};
    return (uint32_t)at;
}

static size_t slot_of(const struct trie *t, uint32_t from, uint32_t hash)
{
    uint32_t h = hash ^ (from * 2654435761u); /* Knuth's multiplier: nodes are counted up */
    return (h ^ h >> 15) & (t->edge_room - 1);
}

/* The edge's place, or the free one where it would go. */
static struct edge *edge_at(const struct trie *t, uint32_t from, uint32_t hash, struct str text)
{
    for (size_t at = slot_of(t, from, hash);; at = (at + 1) & (t->edge_room - 1)) {
        struct edge *e = &t->edge[at];
        if (e->text.len == 0 || (e->hash == hash && e->from == from && str_eq(e->text, text))) {
            return e;
        }
    }
}

static void rehash(struct trie *t)
{
    struct edge *old = t->edge;
    size_t room = t->edge_room;
    t->edge_room = room * 2;
    t->edge = xcalloc(t->edge_room, sizeof(*t->edge));
    for (size_t i = 0; i < room; i++) {
        if (old[i].text.len > 0) {
            *edge_at(t, old[i].from, old[i].hash, old[i].text) = old[i];
        }
    }
    free(old);
}

static uint32_t literal_child(struct trie *t, uint32_t from, struct str text)
{
    uint32_t hash = path_hash(text);
    struct edge *e = edge_at(t, from, hash, text);
    if (e->text.len > 0) {
        return e->to;
    }
    uint32_t to = trie_root(t);
    *e = (struct edge){.text = arena_str(&t->arena, text), .hash = hash, .from = from, .to = to};
    if (++t->edges * 2 > t->edge_room) {
        rehash(t);
    }
    return to;
}

static uint32_t glob_child(struct trie *t, uint32_t from, struct str pattern, bool key)
{
    for (uint32_t g = t->node[from].glob; g != NONE; g = t->glob[g].next) {
        if (t->glob[g].key == key && str_eq(t->glob[g].pattern, pattern)) {
            return t->glob[g].to;
        }
    }
    uint32_t to = trie_root(t);
    void *array = t->glob;
    size_t at = grow(&array, &t->globs, &t->glob_room, sizeof(*t->glob));
    t->glob = array;
    t->glob[at] = (struct glob){
        .pattern = arena_str(&t->arena, pattern), .key = key, .to = to, .next = t->node[from].glob};
    t->node[from].glob = (uint32_t)at;
    return to;
}

static uint32_t child(struct trie *t, uint32_t from, struct str step)
{
    if (str_eq(step, STR("*"))) {
        if (t->node[from].one == NONE) {
            uint32_t to = trie_root(t); /* may move the nodes */
            t->node[from].one = to;
        }
        return t->node[from].one;
    }
    if (str_eq(step, STR("**"))) {
        if (t->node[from].any == NONE) {
            uint32_t to = trie_root(t);
            t->node[to].repeats = true;
            t->node[from].any = to;
        }
        return t->node[from].any;
    }
    if (step.ptr[0] == '(') {
        return glob_child(t, from, str_of(step.ptr + 1, step.len - 2), true);
    }
    return str_index(step, '*') >= 0 ? glob_child(t, from, step, false)
                                     : literal_child(t, from, step);
}

/* Cuts the next step off; a slash within parentheses belongs to the key. */
static struct str next_step(struct str *rest)
{
    size_t end = 0;
    bool key = rest->len > 0 && rest->ptr[0] == '(';
    while (end < rest->len && (rest->ptr[end] != '/' || (key && rest->ptr[end - 1] != ')'))) {
        end++;
    }
    struct str step = str_of(rest->ptr, end);
    *rest = str_skip(*rest, end < rest->len ? end + 1 : end);
    return step;
}

static const char *fault_of(struct str step)
{
    if (step.len == 0) {
        return "two slashes in a row, or one at an end";
    }
    if (step.ptr[0] == '(' && (step.len < 3 || step.ptr[step.len - 1] != ')')) {
        return "a key pattern needs its closing parenthesis";
    }
    if (str_find(step, STR("**")) >= 0 && step.len > 2) {
        return "** stands alone between slashes";
    }
    for (size_t i = 0; i < step.len; i++) {
        unsigned char c = (unsigned char)step.ptr[i];
        if (c <= ' ' && c != ' ') {
            return "a control character";
        }
        if (c != (unsigned char)ascii_lower((char)c)) {
            return "capital letters; paths are compared in lower case";
        }
        if (c == '%' || c == '\\' || c == ';') {
            return "%, \\ and ; never stand in a canonical path";
        }
    }
    return NULL;
}

int trie_add(struct trie *t, uint32_t root, struct str pattern, uint32_t value, const char **why)
{
    struct str rest = pattern, step[TRIE_STEPS];
    size_t steps = 0, gaps = 0;
    *why = pattern.len == 0 || pattern.ptr[pattern.len - 1] == '/' ? fault_of(STR_NONE) : NULL;
    while (rest.len > 0 && *why == NULL) {
        if (steps == TRIE_STEPS) {
            *why = "more than 32 segments";
            break;
        }
        step[steps] = next_step(&rest);
        *why = fault_of(step[steps]);
        gaps += str_eq(step[steps++], STR("**"));
    }
    if (*why == NULL && gaps > 4) {
        *why = "more than four **";
    }
    if (*why != NULL) {
        return ERR_SYNTAX;
    }
    for (size_t i = 0; i < steps; i++) {
        root = child(t, root, step[i]);
    }
    void *array = t->accept;
    size_t at = grow(&array, &t->accepts, &t->accept_room, sizeof(*t->accept));
    t->accept = array;
    t->accept[at] = (struct accept){.value = value, .next = t->node[root].accept};
    t->node[root].accept = (uint32_t)at;
    return 0;
}

/* Nodes that are reached after some segments. */
struct active {
    uint32_t *node;
    size_t count, room;
};

static void activate(const struct trie *t, struct active *set, uint32_t node, struct arena *a)
{
    /* Only what stands behind ** is reached on two ways at once: itself and its parent. */
    for (size_t i = 0; t->node[node].repeats && i < set->count; i++) {
        if (set->node[i] == node) {
            return;
        }
    }
    if (set->count == set->room) {
        uint32_t *wider = arena_alloc(a, set->room * 2 * sizeof(*wider));
        memcpy(wider, set->node, set->count * sizeof(*wider));
        set->node = wider;
        set->room *= 2;
    }
    set->node[set->count++] = node;
    if (t->node[node].any != NONE) {
        activate(t, set, t->node[node].any, a);
    }
}

/* "upload*photo" means names of services, not the mail address of somebody at contoso.photo. */
static bool is_address(struct str text)
{
    return str_index(text, '@') >= 0;
}

static void step_from(const struct trie *t, uint32_t from, const struct path_seg *seg,
                      struct active *next, struct arena *a)
{
    const struct node *node = &t->node[from];
    if (node->repeats) {
        activate(t, next, from, a);
    }
    if (seg->odd) {
        return; /* only ** spans it */
    }
    if (node->one != NONE) {
        activate(t, next, node->one, a);
    }
    if (seg->file) {
        return;
    }
    if (!seg->key && seg->text.len > 0) {
        const struct edge *e = edge_at(t, from, seg->hash, seg->text);
        if (e->text.len > 0) {
            activate(t, next, e->to, a);
        }
    }
    for (uint32_t g = node->glob; g != NONE; g = t->glob[g].next) {
        const struct glob *glob = &t->glob[g];
        if (glob->key == seg->key && (seg->key || !is_address(seg->text)) &&
            glob_fits(glob->pattern, seg->text)) {
            activate(t, next, glob->to, a);
        }
    }
}

static void take_hits(const struct trie *t, uint32_t node, struct trie_hits *hits, struct arena *a)
{
    for (uint32_t at = t->node[node].accept; at != NONE; at = t->accept[at].next) {
        if (hits->count == hits->room) {
            size_t room = hits->room > 0 ? hits->room * 2 : 8;
            uint32_t *wider = arena_alloc(a, room * sizeof(*wider));
            if (hits->count > 0) {
                memcpy(wider, hits->value, hits->count * sizeof(*wider));
            }
            hits->value = wider;
            hits->room = room;
        }
        hits->value[hits->count++] = t->accept[at].value;
    }
}

void trie_match(const struct trie *t, uint32_t root, const struct path *p, struct trie_hits *hits,
                struct arena *a)
{
    uint32_t first[64], second[64];
    struct active now = {first, 0, ARRAY_LEN(first)}, next = {second, 0, ARRAY_LEN(second)};
    activate(t, &now, root, a);
    for (size_t i = 0; i < p->count && now.count > 0; i++) {
        next.count = 0;
        for (size_t k = 0; k < now.count; k++) {
            step_from(t, now.node[k], &p->seg[i], &next, a);
        }
        struct active swap = now;
        now = next;
        next = swap;
    }
    for (size_t k = 0; k < now.count; k++) {
        take_hits(t, now.node[k], hits, a);
    }
}
