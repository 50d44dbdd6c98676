/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor's outward face: which hosts are opened, and what becomes of each request to them.
 *
 * A `struct filters` is everything that was compiled from one configuration: hosts, rules,
 * administrators. It is immutable and may be used by any number of threads; a reload builds a new
 * one beside it. Deciding is a pure function: no clock, no files, no locks, no state.
 */
#ifndef FILTERS_FILTERS_H
#define FILTERS_FILTERS_H

#include "common/diag.h"
#include "common/mem.h"
#include "filters/actor.h"
#include "filters/conf.h"

struct filters;

/*
 * Compiles the embedded packs and those that `conf` names, runs their test vectors, reads the
 * administrators' file. 0 and `*out` for filters_free(); or a negative code with every fault in
 * `d`, and nothing built. `conf` is not kept.
 */
int filters_build(const struct filters_conf *conf, struct filters **out, struct diag *d) MUSTCHECK;
void filters_free(struct filters *f);

/* ---- hosts ---- */

/* One entry of the inspect list. Lives as long as the filters it came from. */
struct host_entry {
    struct str name;   /* as listed: "graph.microsoft.com" or "*.sharepoint.com" */
    const char *class; /* "graph", "exchange", "sharepoint", … */
    const char *cloud; /* "world", "gcc-high", "dod", "china"; "extra" from the configuration */
    bool photo;        /* a write here that cannot be read is refused */
    bool cookies;      /* takes a login by cookie, so a bearer token is not the whole identity */
    const void *scope; /* the rules that hold here; filters only */
};

/*
 * The entry that covers `host` (no port; case and one trailing dot do not matter), or NULL: not
 * inspected, to be tunnelled. An exact name wins over a suffix, a longer suffix over a shorter.
 */
const struct host_entry *filters_host(const struct filters *f, struct str host);

/* Calls `each` for every name of the inspect list, "*." before suffixes, in the order of the packs.
 */
void filters_each_host(const struct filters *f,
                       void (*each)(void *ctx, const struct host_entry *entry), void *ctx);

/* Networks of clients whose connections are never opened ([inspect] never_networks). */
const struct ip_nets *filters_never_networks(const struct filters *f);

/* ---- decisions ---- */

/* A header field as received; several of one name are several fields. */
struct filter_field {
    struct str name, value;
};

/* A request as it stands on the wire; filters make their own canonical form of it. */
struct filter_request {
    struct str method;
    struct str scheme;    /* "https" or "http"; empty: https */
    struct str authority; /* Host or :authority */
    struct str target;    /* path?query, or absolute-form */
    const struct filter_field *field;
    size_t fields;
    unsigned http; /* 10, 11, 20 */

    /* Where the connection was asked to go and what its ClientHello named; "host" or "host:port",
     * empty: not known. When known, they must name the same host as `authority`. */
    struct str connect, sni;

    struct str body;    /* all of it, content codings not removed; */
    bool body_complete; /* else it is given to filters_body_feed(), if that is wanted */

    int64_t now; /* seconds since 1970, for the expiry of tokens */
};

enum verdict_kind {
    VERDICT_PASS,      /* forward */
    VERDICT_BLOCK,     /* answer in `rule->answer`'s form; nothing goes to the origin */
    VERDICT_NEED_BODY, /* hold the body, up to `need` bytes, and give it to filters_body_feed() */
    VERDICT_BYPASS,    /* forward, and record it: would be blocked, but an administrator asks */
};

/* How a refusal is worded for the client that sent the request. */
enum filter_answer {
    ANSWER_PAGE,  /* a page for a browser's navigation, JSON for a script */
    ANSWER_GRAPH, /* {"error":{"code","message"}} as Graph and its kin have it */
    ANSWER_SOAP,  /* a SOAP fault */
};

enum rule_confidence {
    RULE_DOCUMENTED, /* by Microsoft */
    RULE_SEEN,       /* in public clients or captures */
    RULE_INFERRED,   /* from either */
};
const char *rule_confidence_name(enum rule_confidence confidence); /* "documented", … */

/* What people are told about a rule. Lives as long as the filters. */
struct rule_info {
    const char *id;     /* "graph.user-photo" */
    const char *why;    /* the sentence for the person who was refused */
    const char *source; /* where the fact comes from */
    const char *date;   /* of the last look at it, YYYY-MM-DD */
    const char *file;   /* pack and line, for the person who mends it */
    unsigned line;
    enum rule_confidence confidence;
    enum filter_answer answer;
};

/* A request in a batch and what the rules say of it. */
struct verdict_item {
    struct str id;
    const struct rule_info *rule; /* NULL: nothing forbids it */
    struct str evidence;
    struct verdict_item *next;
};

struct verdict {
    enum verdict_kind kind;
    const struct rule_info *rule; /* NULL for PASS */
    struct str
        evidence;      /* what in the request matched, for people; never a query, token or cookie */
    struct str bypass; /* BYPASS: which entry of [admins] lets it through */
    size_t need;       /* NEED_BODY */
    const struct verdict_item *item; /* of a batch that was read, in its order */
};

/*
 * Judges one request. Strings of the verdict lie in `arena` or live as long as `f`; `r` and `who`
 * are not kept. A request to a host that is not inspected passes.
 */
struct verdict filters_decide(const struct filters *f, const struct filter_request *r,
                              const struct actor *who, struct arena *arena);

/*
 * The judging of one body, for a request that filters_decide() needs the body of. One thread at a
 * time; reads nothing but what it is given, so a long feed may run on another thread.
 *
 *   b = filters_body_new(f, &request, &actor, &arena);
 *   v = filters_body_feed(b, piece)      for each piece, while v.kind is VERDICT_NEED_BODY
 *   v = filters_body_end(b)              when the body ended before
 *   filters_body_free(b)
 *
 * Not a byte goes to the origin while the verdict is NEED_BODY. Any other is final: PASS and BYPASS
 * let go of what is held, and the rest streams; BLOCK answers, and the rest is dropped. It comes as
 * soon as no further byte can change it, and does not depend on how the body was cut. At most
 * v.need further bytes are asked for; a body that is longer gets its verdict by then. What is kept
 * of them is bounded by that, too; judging the end of a JSON body may take another 20 MiB.
 */
struct filters_body;

/* `r`, what it points to, `f` and `arena` must outlive it; `who` is copied, its strings are not. */
struct filters_body *filters_body_new(const struct filters *f, const struct filter_request *r,
                                      const struct actor *who, struct arena *arena);
void filters_body_free(struct filters_body *b);

struct verdict filters_body_feed(struct filters_body *b, struct str piece);
struct verdict filters_body_end(struct filters_body *b);

/* ---- for people: rules list, rules test ---- */

/* Calls `each` for every rule, in the order of the packs. */
void filters_each_rule(const struct filters *f,
                       void (*each)(void *ctx, const struct rule_info *rule, bool on), void *ctx);

struct filters_counts {
    size_t packs, rules, vectors, hosts;
};
struct filters_counts filters_count(const struct filters *f);

#endif
