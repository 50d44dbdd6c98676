/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/hop.h"

#include "common/ip.h"

/* Options in all Connection fields together; each costs a walk over the fields. */
#define OPTIONS_MAX 64

/* Fields that are of one hop by definition, named by Connection or not. */
static bool is_hop_field(enum field_id id)
{
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_PROXY_AUTHENTICATE:
    case FIELD_PROXY_AUTHENTICATION_INFO:
    case FIELD_PROXY_AUTHORIZATION:
    case FIELD_TE:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
    case FIELD_HTTP2_SETTINGS:
    case FIELD_CONTENT_LENGTH: /* written anew from what was understood */
        return true;
    default:
        return false;
    }
}

static void mark_named(struct msg *m, struct str name)
{
    if (str_ieq(name, STR("close")) || str_ieq(name, STR("keep-alive"))) {
        return;
    }
    for (unsigned i = 0; i < m->field_count; i++) {
        struct field *f = &m->fields[i];
        if (f->id != FIELD_HOST && str_ieq(f->name, name)) {
            f->hop = true;
        }
    }
}

/* Marks what stays behind and reads `close`, `keep-alive` and Upgrade. */
static struct h1_fault read_connection(struct msg *m)
{
    unsigned options = 0;
    bool close = false, keep = false, upgrade = false;
    for (unsigned i = 0; i < m->field_count; i++) {
        struct field *f = &m->fields[i];
        if (f->id == FIELD_OTHER) {
            continue;
        }
        /* RFC 9110, 10.1.1: Expect is to be ignored in HTTP/1.0, and we speak 1.1 from here on */
        f->hop |= is_hop_field(f->id) || (f->id == FIELD_EXPECT && m->minor == 0);
        if (f->id != FIELD_CONNECTION && f->id != FIELD_PROXY_CONNECTION) {
            continue;
        }
        struct str rest = f->value, token;
        while (str_cut(&rest, ',', &token)) {
            token = str_trim(token);
            close |= str_ieq(token, STR("close"));
            keep |= str_ieq(token, STR("keep-alive"));
            upgrade |= str_ieq(token, STR("upgrade"));
            if (++options > OPTIONS_MAX) {
                return H1_BAD("too many options in Connection");
            }
            if (token.len > 0) {
                mark_named(m, token);
            }
        }
    }
    m->keep_alive = !close && (m->minor > 0 || keep);
    const struct field *to = upgrade && m->minor > 0 ? msg_find(m, FIELD_UPGRADE) : NULL;
    if (to != NULL && msg_count(m, FIELD_UPGRADE) == 1) {
        m->upgrade = to->value;
    }
    return H1_FINE;
}

/* Content-Length and Transfer-Encoding, the same for both directions. */
static struct h1_fault read_length(struct msg *m)
{
    const struct field *length = msg_find(m, FIELD_CONTENT_LENGTH);
    const struct field *coding = msg_find(m, FIELD_TRANSFER_ENCODING);
    if (coding != NULL) {
        if (m->minor == 0) {
            return H1_BAD("Transfer-Encoding in an HTTP/1.0 message");
        }
        if (length != NULL) {
            return H1_BAD("both Content-Length and Transfer-Encoding");
        }
        if (msg_count(m, FIELD_TRANSFER_ENCODING) > 1 || !str_ieq(coding->value, STR("chunked"))) {
            return H1_TOO(501, "a transfer coding other than chunked");
        }
        m->body = BODY_STREAM;
        return H1_FINE;
    }
    if (length == NULL) {
        return H1_FINE;
    }
    if (msg_count(m, FIELD_CONTENT_LENGTH) > 1) {
        return H1_BAD("more than one Content-Length");
    }
    if (!str_u64(length->value, &m->length) || m->length > INT64_MAX) {
        return H1_BAD("a Content-Length that is no number");
    }
    m->has_length = true;
    m->body = m->length > 0 ? BODY_LENGTH : BODY_NONE;
    return H1_FINE;
}

struct h1_fault hop_request(struct msg *m)
{
    bool is_connect = method_is(m, "CONNECT");
    m->body = BODY_NONE;
    struct h1_fault fault = read_connection(m);
    if (fault.text == NULL) {
        fault = read_length(m);
    }
    if (fault.text != NULL) {
        return fault;
    }
    if (is_connect && m->body != BODY_NONE) {
        return H1_BAD("CONNECT with a body"); /* RFC 9110, 9.3.6: it would be the tunnel's bytes */
    }
    unsigned hosts = msg_count(m, FIELD_HOST);
    if (hosts > 1) {
        return H1_BAD("more than one Host");
    }
    if (hosts == 0 && m->minor > 0 && !is_connect) {
        return H1_BAD("no Host");
    }
    if (hosts == 1) {
        m->authority = msg_find(m, FIELD_HOST)->value;
    }
    const struct field *expect = msg_find(m, FIELD_EXPECT);
    if (expect != NULL) {
        m->expect_continue =
            m->minor > 0 && m->body != BODY_NONE && str_ieq(expect->value, STR("100-continue"));
    }
    /* RFC 7540, 3.2: an upgrade to HTTP/2 would take the connection out of sight. It is only an
     * offer: drop it. */
    if (str_list_has(m->upgrade, STR("h2c"))) {
        m->upgrade = STR_NONE;
    }
    return H1_FINE;
}

struct h1_fault hop_response(struct msg *m, struct str method)
{
    m->body = BODY_CLOSE;
    struct h1_fault fault = read_connection(m);
    if (fault.text == NULL) {
        fault = read_length(m);
    }
    if (fault.text != NULL) {
        return fault;
    }
    bool announces = m->has_length || m->body == BODY_STREAM;
    bool tunnels = str_eq(method, STR("CONNECT")) && m->status >= 200 && m->status < 300;
    bool has_none = m->status < 200 || m->status == 204 || tunnels;
    if (m->status == 204 && (m->length > 0 || m->body == BODY_STREAM)) {
        m->keep_alive =
            false; /* its body may come yet; it must not be taken for the next response */
    }
    if (has_none) { /* RFC 9110, 8.6: and must not announce one */
        m->has_length = false;
        m->length = 0;
    }
    if (has_none || m->status == 304 || str_eq(method, STR("HEAD"))) {
        m->body = BODY_NONE;
    } else if (!announces) {
        m->keep_alive = false;
    }
    return H1_FINE;
}

/* What both directions have in common: nothing of the hop is left but Content-Length and TE. */
static void read_h2(struct msg *m, bool ends)
{
    m->minor = 1;
    m->keep_alive = true;
    for (unsigned i = 0; i < m->field_count; i++) {
        struct field *f = &m->fields[i];
        f->hop |= is_hop_field(f->id);
        if (f->id == FIELD_CONTENT_LENGTH) { /* nghttp2 lets only one through, and a number */
            m->has_length = str_u64(f->value, &m->length) && m->length <= INT64_MAX;
        }
    }
    m->body = ends ? BODY_NONE : m->has_length ? BODY_LENGTH : BODY_STREAM;
}

struct h1_fault hop_request_h2(struct msg *m, bool ends)
{
    read_h2(m, ends);
    if (method_is(m, "CONNECT")) {
        return H1_BAD("CONNECT inside HTTP/2");
    }
    unsigned hosts = msg_count(m, FIELD_HOST);
    if (hosts > 1) {
        return H1_BAD("more than one Host");
    }
    if (m->authority.len == 0 && hosts == 1) {
        m->authority = msg_find(m, FIELD_HOST)->value;
    }
    const struct field *expect = msg_find(m, FIELD_EXPECT);
    m->expect_continue = expect != NULL && !ends && str_ieq(expect->value, STR("100-continue"));
    return H1_FINE;
}

void hop_response_h2(struct msg *m, bool ends)
{
    read_h2(m, ends || m->status < 200);
}

static const struct str not_in_trailers[] = {
    STR_INIT("cookie"),
    STR_INIT("set-cookie"),
    STR_INIT("authentication-info"),
    STR_INIT("content-encoding"),
    STR_INIT("content-range"),
    STR_INIT("content-disposition"),
    STR_INIT("x-http-method"),
    STR_INIT("x-http-method-override"),
    STR_INIT("x-method-override"),
    STR_INIT("soapaction"),
    STR_INIT("action"), /* OWA's operation */
    STR_INIT("range"),
    STR_INIT("if-match"),
    STR_INIT("if-none-match"),
    STR_INIT("if-modified-since"),
    STR_INIT("if-unmodified-since"),
    STR_INIT("if-range"),
    STR_INIT("max-forwards"),
    STR_INIT("cache-control"),
    STR_INIT("pragma"),
    STR_INIT("age"),
    STR_INIT("expires"),
    STR_INIT("location"),
    STR_INIT("retry-after"),
    STR_INIT("vary"),
};

bool hop_trailer_allowed(const struct field *f)
{
    switch (f->id) {
    case FIELD_OTHER:
        for (size_t i = 0; i < ARRAY_LEN(not_in_trailers); i++) {
            if (str_ieq(f->name, not_in_trailers[i])) {
                return false;
            }
        }
        return true;
    case FIELD_HOST:
    case FIELD_AUTHORIZATION:
    case FIELD_CONTENT_TYPE:
    case FIELD_DATE:
    case FIELD_EXPECT:
    case FIELD_ORIGIN:
    case FIELD_TRAILER:
    case FIELD_WWW_AUTHENTICATE:
    case FIELD_ALT_SVC:
        return false;
    default:
        return !is_hop_field(f->id);
    }
}

/* What DNS names and IPv4 addresses consist of. RFC 3986 has more in a reg-name ("!$&'()*+,;=~%"),
 * but no host on the net has, and parsers disagree over it. */
static bool is_host(struct str s)
{
    if (s.len == 0 || s.len > 255) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

bool hop_authority(struct str authority, struct str *host, unsigned *port)
{
    struct str rest;
    if (authority.len > 0 && authority.ptr[0] == '[') {
        struct ip ip;
        ptrdiff_t close = str_index(authority, ']');
        if (close < 0) {
            return false;
        }
        *host = str_of(authority.ptr + 1, (size_t)close - 1);
        rest = str_skip(authority, (size_t)close + 1);
        if (str_index(*host, ':') < 0 || !ip_parse(*host, &ip)) {
            return false;
        }
    } else {
        ptrdiff_t colon = str_index(authority, ':');
        *host = str_of(authority.ptr, colon < 0 ? authority.len : (size_t)colon);
        if (!is_host(*host)) {
            return false;
        }
        rest = str_skip(authority, host->len);
    }
    *port = 0;
    if (rest.len == 0) {
        return true;
    }
    uint64_t n;
    if (rest.ptr[0] != ':' || !str_u64(str_skip(rest, 1), &n) || n == 0 || n > 65535) {
        return false;
    }
    *port = (unsigned)n;
    return true;
}
