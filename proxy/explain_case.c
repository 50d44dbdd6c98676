/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/explain_case.h"

#include "common/b64.h"
#include "filters/canon.h"

void explain_case_init(struct explain_case *c, struct arena *a)
{
    *c = (struct explain_case){.arena = a};
    c->field = arena_alloc(a, EXPLAIN_FIELDS * sizeof(*c->field));
    c->request = (struct filter_request){.field = c->field, .http = 11, .body_complete = true};
}

static bool fail(struct explain_case *c, const char *fault)
{
    c->fault = fault;
    return false;
}

bool explain_case_url(struct explain_case *c, struct str method, struct str url)
{
    struct canon_url u = canon_cut_url(arena_str(c->arena, str_trim(url)));
    ptrdiff_t at;
    while ((at = str_index(u.authority, '@')) >= 0) { /* clients keep that part to themselves */
        u.authority = str_skip(u.authority, (size_t)at + 1);
    }
    if (method.len == 0) {
        return fail(c, "no method");
    }
    if (u.authority.len == 0) {
        return fail(c, "no http or https URL");
    }
    c->request.method = arena_str(c->arena, method);
    c->request.scheme = u.scheme;
    c->request.authority = u.authority;
    c->request.target = u.target;
    return true;
}

bool explain_case_field(struct explain_case *c, struct str name, struct str value)
{
    if (name.len == 0) {
        return fail(c, "a header field without a name");
    }
    if (c->request.fields == EXPLAIN_FIELDS) {
        return fail(c, "too many header fields");
    }
    c->field[c->request.fields++] =
        (struct filter_field){arena_str(c->arena, name), arena_str(c->arena, value)};
    return true;
}

bool explain_case_header(struct explain_case *c, struct str line)
{
    struct str name;
    if (!str_cut(&line, ':', &name) || line.ptr == NULL) {
        return fail(c, "a header field without a colon");
    }
    return explain_case_field(c, str_trim(name), str_trim(line));
}

bool explain_case_ip(struct explain_case *c, struct str ip)
{
    c->actor.has_ip = ip_parse(ip, &c->actor.ip);
    return c->actor.has_ip || fail(c, "no IP address");
}

static struct str view(const json_t *value)
{
    return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
                                 : STR_NONE;
}

static struct str text_at(const json_t *object, const char *key)
{
    return view(json_object_get(object, key));
}

static bool take_headers(struct explain_case *c, json_t *headers)
{
    const char *name;
    json_t *value;
    if (headers == NULL || json_is_null(headers)) {
        return true;
    }
    if (!json_is_object(headers)) {
        return fail(c, "headers is no object");
    }
    json_object_foreach(headers, name, value)
    {
        size_t count = json_is_array(value) ? json_array_size(value) : 1;
        for (size_t i = 0; i < count; i++) {
            const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
            if (json_is_null(one)) {
                continue;
            }
            if (!json_is_string(one)) {
                return fail(c, "a header is no string or list of strings");
            }
            if (!explain_case_field(c, str_z(name), view(one))) {
                return false;
            }
        }
    }
    return true;
}

static bool take_body(struct explain_case *c, const json_t *line)
{
    const json_t *body = json_object_get(line, "body");
    struct str encoding = text_at(line, "body_encoding");
    if (body == NULL || json_is_null(body)) {
        return true;
    }
    if (!json_is_string(body)) {
        return fail(c, "body is no string");
    }
    if (encoding.len == 0 || str_eq(encoding, STR("utf8"))) {
        c->request.body = arena_str(c->arena, view(body));
        return true;
    }
    struct buf bytes = {0};
    bool ok = str_eq(encoding, STR("base64")) && b64_decode(&bytes, view(body), B64_STANDARD) == 0;
    c->request.body = arena_str(c->arena, buf_view(&bytes));
    buf_free(&bytes);
    return ok || fail(c, "body_encoding is utf8 or base64, and the body must be that");
}

bool explain_case_json(struct explain_case *c, const json_t *line)
{
    if (!json_is_object(line)) {
        return fail(c, "no JSON object");
    }
    if (!explain_case_url(c, text_at(line, "method"), text_at(line, "url")) ||
        !take_headers(c, json_object_get(line, "headers")) || !take_body(c, line)) {
        return false;
    }
    const json_t *actor = json_object_get(line, "actor");
    struct str ip = text_at(actor, "ip");
    c->actor.user = arena_str(c->arena, text_at(actor, "user"));
    c->request.connect = arena_str(c->arena, text_at(line, "connect"));
    c->request.sni = arena_str(c->arena, text_at(line, "sni"));
    struct str http = text_at(line, "http");
    c->request.http = str_starts(http, STR("2")) ? 20 : str_eq(http, STR("1.0")) ? 10 : 11;
    return ip.len == 0 || explain_case_ip(c, ip);
}

void explain_case_done(struct explain_case *c)
{
    size_t at = 0;
    const struct filter_field *host = canon_field(&c->request, STR("host"), &at);
    if (host != NULL) {
        if (c->request.connect.len == 0 && str_ieq(c->request.scheme, STR("https"))) {
            c->request.connect = c->request.authority;
        }
        c->request.authority = host->value;
    }
}

void explain_items(struct buf *out, const struct verdict *v)
{
    for (const struct verdict_item *item = v->item; item != NULL; item = item->next) {
        buf_z(out, item == v->item ? ",\"items\":[{\"id\":" : ",{\"id\":");
        buf_json(out, item->id);
        buf_printf(out, ",\"verdict\":\"%s\",\"rule\":", item->rule != NULL ? "block" : "pass");
        if (item->rule != NULL) {
            buf_json(out, str_z(item->rule->id));
            buf_z(out, ",\"evidence\":");
            buf_json(out, item->evidence);
        } else {
            buf_z(out, "null");
        }
        buf_z(out, item->next == NULL ? "}]" : "}");
    }
}
