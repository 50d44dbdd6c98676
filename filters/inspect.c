/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/inspect.h"

#include "filters/decode.h"
#include "filters/glob.h"
#include "filters/reader.h"

#include <stdlib.h>

#define EVIDENCE_ACT 80 /* bytes of what a body says that evidence shows */

/* A rule that waits for what a reader says. */
struct listener {
    const struct rule *rule;
    bool done;
    bool hit;   /* a rule that spares groups: an act fits, */
    bool group; /* a group was named, */
    bool other; /* or somebody else */
};

/* One reader and those that wait for it. */
struct reading {
    struct inspect *inspect;
    const struct reader_kind *kind;
    const struct canon
        *canon; /* the request as the rules matched it: its own or what a relay made of it */
    void *reader;
    struct reader_sink sink;
    struct listener *listener;
    size_t listeners;
    struct reading *next;
};

struct inspect {
    const struct inspect_rules *rules;
    const struct filter_request *request;
    bool inner;
    struct decoder *decoder;
    struct reading *reading;
    uint64_t in, out; /* bytes so far, as sent and decoded */
    struct inspect_found found;
};

static struct str kept(struct inspect *x, struct buf *b)
{
    struct str s = arena_str(x->rules->arena, buf_view(b));
    buf_free(b);
    return s;
}

static void forbid(struct inspect *x, const struct rule *rule, struct str evidence, bool unread)
{
    if (x->found.rule == NULL) {
        x->found.rule = rule;
        x->found.unread = unread;
        x->found.evidence = evidence;
    }
}

/* The body cannot be read for this rule. */
static void unsure(struct inspect *x, struct listener *l, const char *fault)
{
    struct buf b = {0};
    if (l->done) {
        return;
    }
    l->done = true;
    if (l->rule->unsure == UNSURE_BLOCK) {
        buf_printf(&b, "its body cannot be read: %s", fault);
        forbid(x, l->rule, kept(x, &b), true);
    }
}

static void unsure_all(struct reading *r, const char *fault)
{
    for (size_t i = 0; i < r->listeners; i++) {
        unsure(r->inspect, &r->listener[i], fault);
    }
}

/* ---- what readers say ---- */

static bool is_group(const struct inspect *x, struct str address)
{
    const struct schema_strs *groups = &x->rules->rs->groups;
    for (size_t i = 0; i < groups->count; i++) {
        if (str_eq(groups->item[i].text, address)) {
            return true;
        }
    }
    return false;
}

/* Whose photo it is, for a rule that spares groups. */
static void note_address(struct inspect *x, struct listener *l, struct str act)
{
    struct str name;
    if (str_cut(&act, '=', &name) && str_eq(name, l->rule->spare.text)) {
        bool group = is_group(x, act);
        l->group |= group;
        l->other |= !group;
    }
}

static bool act_fits(const struct rule *rule, struct str act)
{
    for (size_t i = 0; i < rule->act.count; i++) {
        if (glob_fits(rule->act.item[i].text, act)) {
            return true;
        }
    }
    return false;
}

static void on_act(void *ctx, struct str act)
{
    struct reading *r = ctx;
    for (size_t i = 0; i < r->listeners; i++) {
        struct listener *l = &r->listener[i];
        if (l->done) {
            continue;
        }
        if (l->rule->spares) {
            note_address(r->inspect, l, act);
            l->hit |= act_fits(l->rule, act);
        } else if (act_fits(l->rule, act)) {
            struct buf b = {0};
            l->done = true;
            buf_z(&b, "its body says ");
            judge_put_cut(&b, act, EVIDENCE_ACT);
            forbid(r->inspect, l->rule, kept(r->inspect, &b), false);
        }
    }
}

static bool may_follow(const struct rule *rule, struct str word)
{
    for (size_t i = 0; i < rule->act.count && word.len > 0; i++) {
        struct str rest = rule->act.item[i].text, head;
        if (str_cut(&rest, ' ', &head) && rest.ptr != NULL && glob_fits(head, word)) {
            return true;
        }
    }
    return false;
}

static void on_only(void *ctx, struct str word)
{
    struct reading *r = ctx;
    for (size_t i = 0; i < r->listeners; i++) {
        r->listener[i].done |= !may_follow(r->listener[i].rule, word);
    }
}

/* ---- requests in a batch ---- */

static void note_item(struct inspect *x, struct str id, const struct judgement *j)
{
    struct verdict_item *item = arena_zalloc(x->rules->arena, sizeof(*item));
    item->id = arena_str(x->rules->arena, id);
    item->rule = j->rule != NULL ? &j->rule->info : NULL;
    item->evidence = j->evidence;
    if (x->found.last != NULL) {
        x->found.last->next = item;
    } else {
        x->found.item = item;
    }
    x->found.last = item;
}

/* What any way to read the body forbids is forbidden; one way must be readable. */
static void judge_inner_body(struct inspect *x, const struct reader_item *item,
                             const struct canon *c, struct judgement *j)
{
    bool read = false;
    for (size_t i = 0; i < item->bodies; i++) {
        struct inspect *inner = inspect_new(x->rules, j->want, c->request, true);
        inspect_feed(inner, item->body[i]);
        inspect_end(inner);
        const struct inspect_found *found = inspect_found(inner);
        if (found->rule != NULL) {
            j->rule = found->rule;
            j->evidence = found->evidence;
        }
        read |= found->rule == NULL;
        bool unread = found->unread;
        inspect_free(inner);
        if (j->rule != NULL && !unread) {
            return;
        }
    }
    if (read) {
        j->rule = NULL;
    }
}

/* Judges the item as a request for `target` on `authority`, whose rules are those of `class` when
 * the host has none of its own. */
static void judge_as(struct inspect *x, const struct canon *outer, const struct reader_item *item,
                     struct str authority, struct str target, struct judgement *j)
{
    struct filter_request *inner = arena_zalloc(x->rules->arena, sizeof(*inner));
    struct canon *c = arena_alloc(x->rules->arena, sizeof(*c));
    *inner = (struct filter_request){
        .method = item->method,
        .scheme = outer->request->scheme,
        .authority = authority,
        .target = target,
        .field = item->field,
        .fields = item->fields,
        .http = outer->request->http,
    };
    canon_make(c, inner, x->rules->arena);
    const struct host_entry *to = hosts_find(x->rules->hosts, c->host);
    *j = (struct judgement){0};
    if (to == NULL) {
        return;
    }
    judge(j, x->rules->rs, x->rules->hosts, to->scope, c, 1, x->rules->arena);
    if (j->rule == NULL && c->write && c->path.faults != 0 && to->photo) {
        const struct rule *rule = x->rules->rs->fact[FACT_UNREADABLE];
        if (rule != NULL && rule->on) {
            j->rule = rule;
            j->evidence = STR("its URL cannot be read");
        }
    }
    if (j->rule == NULL && j->want != NULL) {
        judge_inner_body(x, item, c, j);
    }
}

/* The path that the batch's own lies below: all in front of "$batch". */
static void put_base(struct buf *out, const struct canon *outer)
{
    struct path base = outer->path.reading[0];
    for (size_t i = 0; i < base.count; i++) {
        if (!base.seg[i].key && str_eq(base.seg[i].text, STR("$batch"))) {
            base.count = i;
        }
    }
    path_put(out, &base);
}

/*
 * The ways to take an item's URL: an absolute one with its own host, and with the batch's; one that
 * starts with / below the batch's base, as Graph does, and from the root (RFC 3986, 4.2); any other
 * below the base.
 */
static void judge_item(struct inspect *x, const struct canon *outer, const struct reader_item *item,
                       struct judgement *j)
{
    struct canon_url u = canon_cut_url(str_trim(item->url));
    struct buf target = {0};
    *j = (struct judgement){0};
    if (u.authority.len > 0) {
        judge_as(x, outer, item, u.authority, u.target, j);
        if (j->rule == NULL) {
            judge_as(x, outer, item, outer->host, u.target, j);
        }
        return;
    }
    put_base(&target, outer);
    buf_char(&target, '/');
    buf_str(&target, u.target);
    judge_as(x, outer, item, outer->host, arena_str(x->rules->arena, buf_view(&target)), j);
    if (j->rule == NULL && (u.target.ptr[0] == '/' || u.target.ptr[0] == '\\')) {
        judge_as(x, outer, item, outer->host, u.target, j);
    }
    buf_free(&target);
}

static void on_item(void *ctx, const struct reader_item *item)
{
    struct reading *r = ctx;
    struct inspect *x = r->inspect;
    struct judgement j;
    judge_item(x, r->canon, item, &j);
    note_item(x, item->id, &j);
    if (j.rule != NULL) {
        struct buf b = {0};
        buf_z(&b, "request \"");
        judge_put_cut(&b, item->id, 40);
        buf_z(&b, "\" in the batch: ");
        buf_str(&b, j.evidence);
        forbid(x, j.rule, kept(x, &b), false);
    }
}

/* ---- bytes ---- */

static void add_listener(struct reading *r, const struct rule *rule)
{
    r->listener = xrealloc(r->listener, (r->listeners + 1) * sizeof(*r->listener));
    r->listener[r->listeners++] = (struct listener){.rule = rule, .hit = rule->act.count == 0};
}

static struct reading *reading_for(struct inspect *x, const struct want *want)
{
    struct reading **at = &x->reading;
    while (*at != NULL && ((*at)->kind != want->rule->reader || (*at)->canon != want->canon)) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        struct reading *r = xnew(struct reading);
        r->inspect = x;
        r->kind = want->rule->reader;
        r->canon = want->canon;
        r->sink = (struct reader_sink){r, on_act, on_only, on_item};
        r->reader = r->kind->open(&r->sink, r->canon);
        *at = r;
    }
    return *at;
}

/* Outlook on the web takes what stands in this field for the body: none other is looked at then. */
static void spare_nothing(struct inspect *x, struct reading *r)
{
    size_t at = 0;
    if (canon_field(x->request, STR("x-owa-urlpostdata"), &at) == NULL) {
        return;
    }
    for (size_t i = 0; i < r->listeners; i++) {
        if (r->listener[i].rule->spares) {
            unsure(x, &r->listener[i], "it stands in a header field");
        }
    }
}

struct inspect *inspect_new(const struct inspect_rules *rules, const struct want *wants,
                            const struct filter_request *r, bool inner)
{
    struct inspect *x = xnew(struct inspect);
    enum coding coding;
    x->rules = rules;
    x->request = r;
    x->inner = inner;
    x->found.more = true;
    for (const struct want *w = wants; w != NULL; w = w->next) {
        if (inner && w->rule->reader->items) {
            forbid(x, w->rule, STR("a batch within a batch"), false);
        } else {
            add_listener(reading_for(x, w), w->rule);
        }
    }
    const char *fault = decode_coding(r, &coding);
    for (struct reading *one = x->reading; one != NULL; one = one->next) {
        spare_nothing(x, one);
    }
    if (fault != NULL) {
        for (struct reading *one = x->reading; one != NULL; one = one->next) {
            unsure_all(one, fault);
        }
        coding = CODING_NONE;
    }
    x->decoder = decode_new(coding);
    return x;
}

void inspect_free(struct inspect *x)
{
    if (x == NULL) {
        return;
    }
    while (x->reading != NULL) {
        struct reading *r = x->reading;
        x->reading = r->next;
        r->kind->close(r->reader);
        free(r->listener);
        free(r);
    }
    decode_free(x->decoder);
    free(x);
}

const struct inspect_found *inspect_found(const struct inspect *x)
{
    return &x->found;
}

static bool anyone_waits(const struct reading *r)
{
    for (size_t i = 0; i < r->listeners; i++) {
        if (!r->listener[i].done) {
            return true;
        }
    }
    return false;
}

/* Settled as soon as something forbids it or nobody waits any more. */
static bool settle(struct inspect *x)
{
    bool waits = false;
    for (struct reading *r = x->reading; r != NULL; r = r->next) {
        waits |= anyone_waits(r);
    }
    x->found.more = x->found.rule == NULL && waits;
    return !x->found.more;
}

/*
 * How many of `len` further bytes may come when `have` came before, up to where the next rule's
 * patience ends. When it is zero, those that have none left are settled first.
 */
static size_t allow(struct inspect *x, uint64_t have, size_t len)
{
    for (struct reading *r = x->reading; r != NULL; r = r->next) {
        for (size_t i = 0; i < r->listeners; i++) {
            struct listener *l = &r->listener[i];
            if (!l->done && have >= l->rule->hold) {
                unsure(x, l, "it is longer than is held for a verdict");
            } else if (!l->done && len > l->rule->hold - have) {
                len = (size_t)(l->rule->hold - have);
            }
        }
    }
    return len;
}

static bool on_decoded(void *ctx, struct str piece)
{
    struct inspect *x = ctx;
    while (piece.len > 0 && !settle(x)) {
        size_t len = allow(x, x->out, piece.len);
        for (struct reading *r = x->reading; r != NULL; r = r->next) {
            const char *fault =
                anyone_waits(r) ? r->kind->feed(r->reader, str_of(piece.ptr, len)) : NULL;
            if (fault != NULL) {
                unsure_all(r, fault);
            }
        }
        x->out += len;
        piece = str_skip(piece, len);
    }
    return !settle(x);
}

void inspect_feed(struct inspect *x, struct str bytes)
{
    while (bytes.len > 0 && !settle(x)) {
        size_t len = allow(x, x->in, bytes.len);
        const char *fault = decode_feed(x->decoder, str_of(bytes.ptr, len), on_decoded, x);
        x->in += len;
        bytes = str_skip(bytes, len);
        if (fault != NULL) {
            for (struct reading *r = x->reading; r != NULL; r = r->next) {
                unsure_all(r, fault);
            }
        }
    }
    (void)settle(x);
}

void inspect_end(struct inspect *x)
{
    const char *coding = decode_end(x->decoder);
    for (struct reading *r = x->reading; r != NULL; r = r->next) {
        if (anyone_waits(r) && coding != NULL) {
            unsure_all(r, coding);
        }
        if (anyone_waits(r) && x->out > 0) {
            const char *fault = r->kind->end(r->reader);
            if (fault != NULL) {
                unsure_all(r, fault);
            }
        }
    }
    for (struct reading *r = x->reading; r != NULL; r = r->next) {
        for (size_t i = 0; i < r->listeners; i++) {
            struct listener *l = &r->listener[i];
            if (l->rule->spares && !l->done && l->hit && (l->other || !l->group)) {
                forbid(x, l->rule, STR("its body names no group whose photo may be changed"),
                       false);
            }
        }
    }
    x->found.more = false;
}
