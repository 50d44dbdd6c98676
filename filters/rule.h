/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What packs say, once read: classes of hosts, hosts, owners, rules and relays. Made by
 * filters/pack.h in the arena of a rule set, immutable when that is compiled.
 */
#ifndef FILTERS_RULE_H
#define FILTERS_RULE_H

#include "common/schema.h"
#include "filters/canon.h"
#include "filters/owner.h"
#include "filters/reader.h"

/* Facts that a rule can be about instead of a path. */
enum rule_fact {
    FACT_NONE,
    FACT_UNREADABLE, /* a write that has no canonical form, on a photo-capable host */
    FACT_PORT,       /* an inspected host on a port that is not the scheme's */
    FACT_HOST,       /* Host is not the host the connection was opened to */
    FACT_SNI,        /* the ClientHello named another host */
    FACT_COUNT
};

/* What becomes of a body that cannot be read, or is longer than `hold`. */
enum rule_unsure {
    UNSURE_BLOCK,
    UNSURE_PASS,
};

enum rule_methods {
    METHODS_UNSET,
    METHODS_WRITE, /* what canon.h calls a write */
    METHODS_ANY,   /* all but a preflight */
    METHODS_LIST,  /* those named, and a read that an override makes a write */
};

/* "name: pattern" of a header, "name=pattern" of a query. */
struct rule_cond {
    struct str name, pattern; /* lower case; the pattern, and a query's name, for glob_fits() */
};

struct rule_conds {
    struct rule_cond *item;
    size_t count;
};

/* One set of conditions; all that are given must hold. */
struct rule_when {
    struct schema_strs path; /* one of these patterns fits */
    enum rule_methods methods;
    struct schema_strs method;       /* METHODS_LIST */
    struct rule_conds query, header; /* one of each fits */
    struct schema_str owner_name;
    const struct owner *owner; /* the path names a person's property */
    const struct rule *rule;   /* whose conditions these are, or */
    const struct relay *relay; /* which relay's */
};

struct rule {
    struct rule_info info;
    struct schema_str id, why, source, date, inspect;
    int confidence, answer, fact;
    int unsure;              /* enum rule_unsure */
    uint64_t hold;           /* bytes of body to wait for, as sent and as decoded */
    struct schema_strs act;  /* what the reader must say: patterns for glob_fits() */
    struct schema_str spare; /* a field of the body: it passes when that names a group's address */
    unsigned portal;         /* a bit each for the settings of [filters] portal; 0: any */
    bool bypass;             /* administrators are let through */
    bool on;                 /* not disabled by the configuration */
    bool spares;             /* waits for the body to see whether a group's address is in `spare` */
    bool whens_given;        /* [[rule.when]] tables stand for the conditions in the rule itself */
    struct schema_strs hosts;
    struct schema_strs block, pass; /* test vectors */
    struct rule_when own, *when;
    size_t whens;
    const struct reader_kind *reader; /* NULL: the conditions decide */
    size_t order;                     /* the lower one is named when several match */
};

/* A host that forwards a request which is named in a field or a query parameter. */
struct relay {
    struct schema_str id, source, method;
    struct schema_strs hosts;
    struct rule_when own;
    struct schema_strs url;
};

enum class_bearer {
    BEARER_NO,    /* a token is not what this host goes by, or not all of it */
    BEARER_ALONE, /* it is, when no cookie comes with it */
    BEARER_ONLY,  /* the host takes no cookie */
};

/* Hosts of one kind: the same services, the same rules. */
struct host_class {
    struct schema_str name, what;
    bool photo, cookies, drives;
    int bearer;    /* enum class_bearer */
    uint32_t root; /* of its rules in the trie */
};

/* One [[host]] table. */
struct host_fact {
    struct schema_strs names;     /* as they are */
    struct schema_strs tenant;    /* with {tenant} in them; for each tenant that is named */
    struct schema_strs no_tenant; /* instead, when none is named */
    struct schema_str class_name, optional, source;
    int cloud, profile;
    unsigned portal; /* as in a rule */
    bool open;       /* false: named only to be kept closed under a wider suffix */
    const struct host_class *class;
};

#endif
