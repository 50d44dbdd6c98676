/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/vectors.h"

#include "common/b64.h"
#include "common/err.h"
#include "filters/decide.h"

#define VECTOR_FIELDS 16

/* Cuts at the next " | ". */
static bool next_part(struct str *rest, struct str *part)
{
    if (rest->ptr == NULL) {
        return false;
    }
    ptrdiff_t bar = str_find(*rest, STR(" | "));
    *part = bar < 0 ? *rest : str_of(rest->ptr, (size_t)bar);
    *rest = bar < 0 ? STR_NONE : str_skip(*rest, (size_t)bar + 3);
    return true;
}

/* A body is all of the rest, whatever stands in it; one space behind the colon is not its own. */
static bool take_body(struct filter_request *out, struct str name, struct str rest, struct arena *a)
{
    struct buf bytes = {0};
    rest = str_starts(rest, STR(" ")) ? str_skip(rest, 1) : rest;
    if (str_eq(name, STR("@body"))) {
        out->body = rest;
        return true;
    }
    bool ok = b64_decode(&bytes, str_trim(rest), B64_STANDARD) == 0;
    out->body = arena_str(a, buf_view(&bytes));
    buf_free(&bytes);
    return ok;
}

bool vector_parse(struct str text, struct filter_request *out, struct arena *a)
{
    struct str rest = text, part, name;
    struct filter_field *field = arena_alloc(a, VECTOR_FIELDS * sizeof(*field));
    *out = (struct filter_request){.field = field, .http = 11, .body_complete = true};
    if (!next_part(&rest, &part) || !str_cut(&part, ' ', &out->method) || part.ptr == NULL) {
        return false;
    }
    struct canon_url url = canon_cut_url(str_trim(part));
    out->scheme = url.scheme;
    out->authority = url.authority;
    out->target = url.target;
    if (url.authority.len == 0 || out->method.len == 0) {
        return false;
    }
    for (;;) {
        struct str part_start = rest;
        if (!next_part(&rest, &part)) {
            break;
        }
        if (!str_cut(&part, ':', &name) || part.ptr == NULL || out->fields == VECTOR_FIELDS) {
            return false;
        }
        name = str_trim(name);
        if (str_eq(name, STR("@body")) || str_eq(name, STR("@base64"))) {
            return take_body(out, name, str_skip(part_start, (size_t)(part.ptr - part_start.ptr)),
                             a);
        }
        part = str_trim(part);
        if (str_eq(name, STR("@connect"))) {
            out->connect = part;
        } else if (str_eq(name, STR("@sni"))) {
            out->sni = part;
        } else if (name.len > 0 && name.ptr[0] != '@') {
            field[out->fields++] = (struct filter_field){name, part};
        } else {
            return false;
        }
    }
    return true;
}

struct running {
    struct ruleset *rs;
    struct hosts hosts;
    struct arena arena;
    struct diag *diag;
};

static struct verdict run(struct running *r, const struct schema_str *vector)
{
    static const struct actor nobody;
    struct filter_request request;
    arena_reset(&r->arena);
    if (!vector_parse(vector->text, &request, &r->arena)) {
        diag_error(
            r->diag, vector->at,
            "\"%s\" is no request; write \"METHOD URL\" or \"METHOD URL | Name: value | @body: …\"",
            vector->text.ptr);
        return (struct verdict){.kind = VERDICT_NEED_BODY};
    }
    return decide(r->rs, &r->hosts, NULL, &request, &nobody, &r->arena);
}

/* A rule for one setting of the portals is tried under it, any other under the default. */
static enum filters_portal portal_of(const struct rule *rule)
{
    int portal = FILTERS_USER_BLADES;
    while (rule->portal != 0 && !(rule->portal >> portal & 1)) {
        portal++;
    }
    return (enum filters_portal)portal;
}

static void run_rule(struct running *r, const struct rule *rule)
{
    r->rs->portal = portal_of(rule);
    for (size_t i = 0; i < rule->block.count; i++) {
        const unsigned before = r->diag->errors;
        struct verdict v = run(r, &rule->block.item[i]);
        if (r->diag->errors == before && v.rule != &rule->info) {
            diag_error(r->diag, rule->block.item[i].at, "%s must block \"%s\", but %s%s",
                       rule->info.id, rule->block.item[i].text.ptr,
                       v.rule != NULL ? "it is a case of " : "it passes",
                       v.rule != NULL ? v.rule->id : "");
        }
    }
    for (size_t i = 0; i < rule->pass.count; i++) {
        const unsigned before = r->diag->errors;
        struct verdict v = run(r, &rule->pass.item[i]);
        if (r->diag->errors == before && v.kind != VERDICT_PASS) {
            diag_error(r->diag, rule->pass.item[i].at, "\"%s\" must pass, but %s blocks it",
                       rule->pass.item[i].text.ptr, v.rule->id);
        }
    }
}

int vectors_run(struct ruleset *rs, size_t *count, struct diag *d)
{
    const unsigned before = d->errors;
    struct running r = {.rs = rs, .diag = d};
    *count = 0;
    hosts_build_all(&r.hosts, rs);
    for (size_t i = 0; i < rs->packs; i++) {
        for (size_t k = 0; k < rs->pack[i].rules.count; k++) {
            const struct rule *rule = &rs->pack[i].rules.item[k];
            *count += rule->block.count + rule->pass.count;
            run_rule(&r, rule);
        }
    }
    rs->portal = FILTERS_USER_BLADES;
    hosts_free(&r.hosts);
    arena_free(&r.arena);
    return d->errors > before ? ERR_CONFIG : 0;
}
