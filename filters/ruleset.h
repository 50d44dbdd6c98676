/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All packs, compiled together: names resolved, patterns in one trie, rules in the order of the
 * packs. Immutable when built.
 */
#ifndef FILTERS_RULESET_H
#define FILTERS_RULESET_H

#include "filters/hostmap.h"
#include "filters/pack.h"
#include "filters/trie.h"

struct pack_source {
    struct str text;
    const char *file;
};

struct ruleset {
    struct arena arena;
    struct pack *pack;
    size_t packs, rules;
    struct trie *trie;
    struct rule_when **when; /* what the trie's values count */
    size_t whens, when_room;
    uint32_t everywhere;       /* root of the rules for "@*" */
    struct hostmap literal;    /* host named in a rule → its root, as uint32_t * */
    struct hostmap ids, names; /* id → rule; "class" or "owner" and a name → that */
    const struct rule *fact[FACT_COUNT];
    int portal;                /* enum filters_portal: which rules about portals are on */
    struct schema_strs groups; /* addresses of groups, lower case, that rules spare */
};

/*
 * Compiles `sources`. 0 and *out for ruleset_free(), or ERR_CONFIG with all faults in `d`. Test
 * vectors are not run here.
 */
int ruleset_build(struct ruleset **out, const struct pack_source *sources, size_t count,
                  struct diag *d) MUSTCHECK;
void ruleset_free(struct ruleset *rs);

const struct host_class *ruleset_class(const struct ruleset *rs, struct str name);

/* Lets rules spare what `groups` names: those that can wait for the body then. */
void ruleset_spare(struct ruleset *rs, const struct schema_strs *groups);

/* Not disabled, and meant for the portal setting. */
bool ruleset_is_on(const struct ruleset *rs, const struct rule *rule);

/* The rule with that id, or NULL. */
struct rule *ruleset_rule(const struct ruleset *rs, struct str id);

#endif
