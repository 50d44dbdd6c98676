/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path patterns, compiled: one forest of segment tries, a root for each set of rules. A literal
 * step is one look-up in one hash table, so the cost of a match depends on the path and on the
 * wildcards along its way, not on the number of patterns.
 *
 * A pattern is segments between slashes, in lower case:
 *   name    that name (never a key, never a file's name in a OneDrive path)
 *   na*e    a name that fits, no mail address; these are tried one by one
 *   *       one segment or key, whatever it is
 *   **      any number of them, also none
 *   (x*)    a key that fits, as in users('x'): what stands between the parentheses
 */
#ifndef FILTERS_TRIE_H
#define FILTERS_TRIE_H

#include "common/cc.h"
#include "common/mem.h"
#include "filters/path.h"

#define TRIE_STEPS 32 /* segments of a pattern */

struct trie;

struct trie *trie_new(void);
void trie_free(struct trie *t);

/* A new root. */
uint32_t trie_root(struct trie *t);

/*
 * Adds `pattern` below `root` with `value`. Copies the text. ERR_SYNTAX when it is no pattern, with
 * what is wrong in `*why` (static storage), and nothing added that could match.
 */
int trie_add(struct trie *t, uint32_t root, struct str pattern, uint32_t value,
             const char **why) MUSTCHECK;

/* What matched; zeroed to start with, grows in the arena. A value may come twice. */
struct trie_hits {
    uint32_t *value;
    size_t count, room;
};

/* Adds the values of all patterns below `root` that fit `p`. Any number of threads at once. */
void trie_match(const struct trie *t, uint32_t root, const struct path *p, struct trie_hits *hits,
                struct arena *a);

#endif
