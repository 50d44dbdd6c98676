/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/canon.h"

#include "common/cc.h"

bool canon_is_read(struct str method)
{
    return str_ieq(method, STR("GET")) || str_ieq(method, STR("HEAD")) ||
           str_ieq(method, STR("OPTIONS"));
}

const struct filter_field *canon_field(const struct filter_request *r, struct str name, size_t *at)
{
    while (*at < r->fields) {
        const struct filter_field *field = &r->field[(*at)++];
        if (field->name.len == name.len && str_ieq(field->name, name)) {
            return field;
        }
    }
    return NULL;
}

bool canon_authority(struct str text, struct str *host, unsigned *port, struct arena *a)
{
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == ':') {
            colon = (ptrdiff_t)i;
        } else if (text.ptr[i] == ']') {
            colon = -1; /* those before it belong to an IPv6 address */
        } else if (text.ptr[i] == '@') {
            return false;
        }
    }
    struct str name = text;
    if (colon >= 0) {
        uint64_t n;
        name = str_of(text.ptr, (size_t)colon);
        struct str digits = str_skip(text, (size_t)colon + 1);
        if (digits.len > 0) { /* "host:" has the scheme's port (RFC 3986, 6.2.3) */
            if (!str_u64(digits, &n) || n > 65535) {
                return false;
            }
            *port = (unsigned)n;
        }
    }
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    *host = arena_lower(a, name);
    return true;
}

/* Header fields by which a client names another method than the request line's: documented for
 * SharePoint, honoured by many frameworks. */
static bool overridden(struct canon *c)
{
    const struct filter_request *r = c->request;
    for (size_t i = 0; i < r->fields; i++) {
        const struct filter_field *f = &r->field[i];
        const char *name = f->name.len == 13   ? "x-http-method"
                           : f->name.len == 17 ? "x-method-override"
                           : f->name.len == 22 ? "x-http-method-override"
                                               : NULL;
        if (name != NULL && str_ieq(f->name, str_z(name))) {
            struct str value = str_trim(f->value);
            if (value.len > 0 && !canon_is_read(value)) {
                c->write_from = name;
                return true;
            }
        }
    }
    return false;
}

/* The same by query. ConvertSimpleRequest is Loki's; the rest are what frameworks offer. */
static bool overridden_by_query(struct canon *c)
{
    static const struct str names[] = {STR_INIT("convertsimplerequest"), STR_INIT("x-http-method"),
                                       STR_INIT("_method"), STR_INIT("x-http-method-override"),
                                       STR_INIT("$httpmethod")};
    for (size_t i = 0; i < c->pairs; i++) {
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            if (str_ieq(c->query[i].name, names[k])) {
                struct str value = str_trim(c->query[i].value);
                if (value.len > 0 && !canon_is_read(value)) {
                    c->write_from = names[k].ptr;
                    return true;
                }
            }
        }
    }
    return false;
}

static void read_query(struct canon *c, struct str text, struct arena *a)
{
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++) {
        most += text.ptr[i] == '&';
    }
    if (most > CANON_PAIRS) {
        c->path.faults |= PATH_QUERY;
        most = CANON_PAIRS;
    }
    c->query = arena_alloc(a, most * sizeof(*c->query));
    struct str piece;
    while (c->pairs < most && str_cut(&text, '&', &piece)) {
        struct canon_pair *pair = &c->query[c->pairs];
        struct str name;
        if (piece.len > 0 && str_cut(&piece, '=', &name)) {
            pair->name = path_decode_loose(name, true, a);
            pair->value = piece.ptr != NULL ? path_decode_loose(piece, true, a) : STR_NONE;
            c->pairs++;
        }
    }
}

struct canon_url canon_cut_url(struct str url)
{
    struct canon_url u = {.target = url};
    size_t skip = str_istarts(url, STR("https://")) ? 8 : str_istarts(url, STR("http://")) ? 7 : 0;
    if (skip > 0) {
        size_t end = skip;
        while (end < url.len && str_index(STR("/\\?#"), url.ptr[end]) < 0) {
            end++;
        }
        u.scheme = skip == 8 ? STR("https") : STR("http");
        u.authority = str_of(url.ptr + skip, end - skip);
        u.target = str_skip(url, end);
    }
    if (u.target.len == 0) {
        u.target = STR("/");
    }
    return u;
}

/* An absolute-form target must name the host and port that Host does. */
static struct str without_origin(struct canon *c, struct str target, struct arena *a)
{
    struct canon_url u = canon_cut_url(target);
    unsigned port = c->port;
    if (u.scheme.len > 0 && (!canon_authority(u.authority, &c->target_host, &port, a) ||
                             !str_eq(c->target_host, c->host) || port != c->port)) {
        c->path.faults |= PATH_AUTHORITY;
    }
    return u.target;
}

void canon_make(struct canon *c, const struct filter_request *r, struct arena *a)
{
    c->request = r;
    c->method = r->method;
    c->query = NULL;
    c->pairs = 0;
    c->target_host = STR_NONE;
    c->write_from = NULL;
    c->path.faults = 0;
    c->tls = !str_ieq(r->scheme, STR("http"));
    c->port = c->tls ? 443 : 80;
    if (!canon_authority(r->authority, &c->host, &c->port, a)) {
        c->path.faults |= PATH_AUTHORITY;
        c->host = arena_lower(a, r->authority);
    }
    struct str target = r->target;
    if (target.len > 0 && target.ptr[0] != '/') {
        target = without_origin(c, target, a);
    }
    size_t end = 0;
    while (end < target.len && target.ptr[end] != '?' && target.ptr[end] != '#') {
        end++;
    }
    struct str rest = str_skip(target, end);
    ptrdiff_t fragment = str_index(rest, '#');
    if (fragment >= 0) {
        c->path.faults |= PATH_FRAGMENT;
        rest.len = (size_t)fragment;
    }
    path_read(&c->path, str_of(target.ptr, end), a);
    if (rest.len > 1) {
        read_query(c, str_skip(rest, 1), a);
    }
    c->write = !canon_is_read(r->method) || overridden(c) || overridden_by_query(c);
    c->preflight = !c->write && str_ieq(r->method, STR("OPTIONS"));
}
