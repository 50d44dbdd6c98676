/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h1.h"

#include "common/cc.h"
#include "proxy/http/hop.h"

#include <llhttp.h>

/* Chunk framing that a sender may spend beyond 16 bytes per byte of data: extensions and tiny
 * chunks, but no flood. One line of it may be CHUNK_LINE_MAX long. */
#define OVERHEAD_MAX   16384
#define CHUNK_LINE_MAX 4096

/* RFC 9112, 2.2: a server ignores an empty line before a request; two are more than any client
 * needs. */
#define EMPTY_LINES_MAX 2

/* What llhttp's callbacks fill. The head lies in one piece of memory, so a name or value comes in
 * one call, or in calls that touch. */
struct reader {
    struct msg *msg;
    bool in_value;
};

static int on_url(llhttp_t *p, const char *at, size_t len)
{
    struct reader *r = p->data;
    r->msg->target = str_of(at, len);
    return 0;
}

static int on_status(llhttp_t *p, const char *at, size_t len)
{
    struct reader *r = p->data;
    r->msg->reason = str_of(at, len);
    return 0;
}

static int on_header_field(llhttp_t *p, const char *at, size_t len)
{
    struct reader *r = p->data;
    struct msg *m = r->msg;
    if (!r->in_value && m->field_count > 0) {
        struct field *last = &m->fields[m->field_count - 1];
        if (last->value.len == 0 && last->name.ptr + last->name.len == at) {
            last->name.len += len;
            last->id = field_id_of(last->name);
            return 0;
        }
    }
    r->in_value = false;
    msg_add(m, str_of(at, len), STR_NONE);
    return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t len)
{
    struct reader *r = p->data;
    struct field *last = &r->msg->fields[r->msg->field_count - 1];
    if (last->value.len == 0) {
        last->value.ptr = at;
    }
    last->value.len = (size_t)(at + len - last->value.ptr);
    r->in_value = true;
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED; /* the body is ours */
}

static llhttp_settings_t settings;

__attribute__((constructor)) static void build_settings(void)
{
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_status = on_status;
    settings.on_header_field = on_header_field;
    settings.on_header_value = on_header_value;
    settings.on_headers_complete = on_headers_complete;
}

void h1_init(struct h1 *h, bool is_response, const struct h1_limits *limits,
             void (*on_body)(void *ctx, const uint8_t *data, size_t len), void *ctx)
{
    *h = (struct h1){.state = H1_DONE,
                     .is_response = is_response,
                     .limits = limits,
                     .on_body = on_body,
                     .ctx = ctx};
}

void h1_restart(struct h1 *h, struct msg *msg, struct str method)
{
    h->state = H1_HEAD;
    h->msg = msg;
    h->method = method;
    h->trailers = (struct trailers){0};
    h->overhead = h->chunked = h->left = 0;
    h->crlf = h->empty_lines = 0;
    buf_clear(&h->partial);
}

static enum h1_result fail(struct h1 *h, struct h1_fault fault)
{
    h->state = H1_FAILED;
    h->fault = fault;
    if (h->is_response) {
        h->fault.status = 502; /* whatever is wrong with it, it is not the client's doing */
    }
    return H1_FAULT;
}

/* Methods of IANA's registry (and two that are in use) that llhttp knows, so that nobody's RTSP or
 * ICE, nor HTTP/2's PRI, is forwarded. */
static bool is_http_method(struct str method)
{
    static const struct str known[] = {
        STR_INIT("GET"),        STR_INIT("POST"),        STR_INIT("OPTIONS"),
        STR_INIT("PUT"),        STR_INIT("PATCH"),       STR_INIT("DELETE"),
        STR_INIT("HEAD"),       STR_INIT("CONNECT"),     STR_INIT("TRACE"),
        STR_INIT("PROPFIND"),   STR_INIT("PROPPATCH"),   STR_INIT("REPORT"),
        STR_INIT("COPY"),       STR_INIT("LOCK"),        STR_INIT("MKCOL"),
        STR_INIT("MOVE"),       STR_INIT("SEARCH"),      STR_INIT("UNLOCK"),
        STR_INIT("BIND"),       STR_INIT("REBIND"),      STR_INIT("UNBIND"),
        STR_INIT("ACL"),        STR_INIT("MKACTIVITY"),  STR_INIT("CHECKOUT"),
        STR_INIT("MERGE"),      STR_INIT("M-SEARCH"),    STR_INIT("NOTIFY"),
        STR_INIT("SUBSCRIBE"),  STR_INIT("UNSUBSCRIBE"), STR_INIT("PURGE"),
        STR_INIT("MKCALENDAR"), STR_INIT("LINK"),        STR_INIT("UNLINK"),
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq(method, known[i])) {
            return true;
        }
    }
    return false;
}

/* `head` lies in the arena, guarded. Fills the msg. */
static struct h1_fault parse_head(const struct h1 *h, struct str head)
{
    struct msg *m = h->msg;
    struct reader reader = {.msg = m};
    llhttp_t parser;
    if (!h->is_response) {
        m->method = str_of(head.ptr, (size_t)str_index(head, ' '));
        if (!is_http_method(m->method)) {
            return H1_TOO(501, "a method that is not HTTP's");
        }
    }
    llhttp_init(&parser, h->is_response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    parser.data = &reader;
    llhttp_errno_t err = llhttp_execute(&parser, head.ptr, head.len);
    if (err != HPE_PAUSED || llhttp_get_error_pos(&parser) != head.ptr + head.len) {
        const char *reason = err != HPE_PAUSED ? llhttp_get_error_reason(&parser) : NULL;
        return H1_BAD(reason != NULL && reason[0] != '\0' ? reason : "malformed head");
    }
    for (unsigned i = 0; i < m->field_count; i++) {
        m->fields[i].value = str_trim(m->fields[i].value);
    }
    m->minor = parser.http_minor;
    if (!h->is_response) {
        return hop_request(m);
    }
    m->status = parser.status_code;
    return hop_response(m, h->method);
}

/*
 * Collects bytes up to the end that `find` sees; a view of the whole, or an empty one while it is
 * not there. A whole, or what is kept of one, that is longer than `most` is too long, however the
 * input was cut; no more than `most` + 1 bytes are kept.
 */
static struct str collect(struct h1 *h, struct str *in, size_t most,
                          size_t (*find)(struct str in, size_t from))
{
    size_t before = h->partial.len;
    if (before == 0) {
        size_t end = find(*in, 0);
        if (end > 0) { /* the usual case: all in one read, no copy */
            struct str whole = str_of(in->ptr, end);
            *in = str_skip(*in, end);
            return whole;
        }
    }
    size_t take = MIN(in->len, most + 1 - before);
    buf_put(&h->partial, in->ptr, take);
    size_t end = find(buf_view(&h->partial), before >= 3 ? before - 3 : 0);
    if (end == 0) {
        *in = str_skip(*in, take);
        return STR_NONE;
    }
    *in = str_skip(*in, end - before);
    return str_of(h->partial.ptr, end);
}

enum crlf {
    CRLF_MORE,
    CRLF_DONE,
    CRLF_NOT
};

static enum crlf eat_crlf(struct h1 *h, struct str *in)
{
    while (in->len > 0) {
        if (in->ptr[0] != "\r\n"[h->crlf]) {
            return CRLF_NOT;
        }
        *in = str_skip(*in, 1);
        h->crlf ^= 1;
        if (h->crlf == 0) {
            return CRLF_DONE;
        }
    }
    return CRLF_MORE;
}

/* Skips empty lines before a request. False when they are none or too many. */
static bool skip_empty_lines(struct h1 *h, struct str *in)
{
    while (h->partial.len == 0 && in->len > 0 && (h->crlf > 0 || in->ptr[0] == '\r')) {
        if (h->empty_lines == EMPTY_LINES_MAX) {
            return false;
        }
        switch (eat_crlf(h, in)) {
        case CRLF_MORE:
            return true;
        case CRLF_DONE:
            h->empty_lines++;
            break;
        case CRLF_NOT:
            return false;
        }
    }
    return true;
}

/*
 * Judges a head by its start, whole or not: garbage shows in the first bytes, do not wait for an
 * end that never comes. What it says does not change with the bytes that follow.
 */
static struct h1_fault check_start(const struct h1 *h, struct str so_far)
{
    const struct str version = STR("HTTP/1.");
    const struct h1_limits *limits = h->limits;
    so_far.len = MIN(so_far.len, limits->head + 1);
    if (so_far.len == 0) {
        return H1_FINE;
    }
    if (h->is_response) {
        if (!str_starts(version, str_of(so_far.ptr, MIN(so_far.len, version.len)))) {
            return H1_BAD("this is not HTTP/1");
        }
    } else if (!guard_is_token(so_far.ptr[0])) {
        return H1_BAD("this is not HTTP");
    }
    size_t line = limits->line + 2;
    if (so_far.len > line && str_index(str_of(so_far.ptr, line), '\n') < 0) {
        return H1_TOO(414, "the first line is too long");
    }
    return so_far.len > limits->head ? H1_TOO(431, "the head is too large") : H1_FINE;
}

/* One copy into the arena, in strict form; all strings of the msg point into it. */
static struct str keep_head(const struct h1 *h, struct str whole)
{
    bool strict = !h->is_response || guard_is_strict(whole);
    char *head = arena_alloc(h->msg->arena, strict ? whole.len : whole.len * 2);
    if (!strict) {
        return str_of(head, guard_normalise(whole, head));
    }
    memcpy(head, whole.ptr, whole.len);
    return str_of(head, whole.len);
}

static struct h1_fault read_head(struct h1 *h, struct str whole)
{
    struct h1_fault fault = check_start(h, whole);
    if (fault.text != NULL) {
        return fault;
    }
    struct str head = keep_head(h, whole);
    fault = h->is_response ? guard_response(head, h->limits) : guard_request(head, h->limits);
    return fault.text != NULL ? fault : parse_head(h, head);
}

static enum h1_result feed_head(struct h1 *h, struct str *in)
{
    if (!h->is_response && !skip_empty_lines(h, in)) {
        return fail(h, H1_BAD("this is not HTTP"));
    }
    if (in->len == 0) {
        return H1_MORE;
    }
    struct str whole = collect(h, in, h->limits->head, guard_head_end);
    struct h1_fault fault =
        whole.len > 0 ? read_head(h, whole) : check_start(h, buf_view(&h->partial));
    if (fault.text != NULL) {
        return fail(h, fault);
    }
    if (whole.len == 0) {
        return H1_MORE;
    }
    buf_free(&h->partial);
    h->body = h->msg->body;
    h->state = h->body == BODY_STREAM ? H1_CHUNK_LINE : H1_BODY;
    h->left = h->body == BODY_LENGTH ? h->msg->length : h->body == BODY_CLOSE ? UINT64_MAX : 0;
    return H1_GOT_HEAD;
}

static size_t line_end(struct str in, size_t from)
{
    ptrdiff_t lf = str_index(str_skip(in, from), '\n');
    return lf < 0 ? 0 : from + (size_t)lf + 1;
}

static enum h1_result feed_chunk_line(struct h1 *h, struct str *in)
{
    struct str line = collect(h, in, CHUNK_LINE_MAX, line_end);
    if ((line.len > 0 ? line.len : h->partial.len) > CHUNK_LINE_MAX) {
        return fail(h, H1_BAD("a chunk's extensions are too long"));
    }
    if (line.len == 0) {
        return H1_MORE;
    }
    struct h1_fault fault = guard_chunk_line(line, &h->left);
    h->overhead += line.len + 2;
    if (fault.text == NULL && h->overhead > OVERHEAD_MAX + 16 * h->chunked) {
        fault = H1_BAD("chunks with too little in them");
    }
    if (fault.text != NULL) {
        return fail(h, fault);
    }
    buf_clear(&h->partial);
    h->chunked += h->left;
    h->state = h->left > 0 ? H1_BODY : H1_TRAILERS;
    return H1_MORE;
}

static enum h1_result feed_chunk_end(struct h1 *h, struct str *in)
{
    switch (eat_crlf(h, in)) {
    case CRLF_MORE:
        break;
    case CRLF_DONE:
        h->state = H1_CHUNK_LINE;
        break;
    case CRLF_NOT:
        return fail(h, H1_BAD("a chunk is longer than its size"));
    }
    return H1_MORE;
}

/* End of a trailer section: at once an empty line, or field lines and an empty line. */
static size_t trailers_end(struct str in, size_t from)
{
    return str_starts(in, STR("\r\n")) ? 2 : guard_head_end(in, from);
}

static struct h1_fault parse_trailers(struct h1 *h, struct str section)
{
    struct arena *arena = h->msg->arena;
    struct h1_fault fault = guard_trailers(section, h->limits);
    if (fault.text != NULL || section.len == 2) {
        return fault;
    }
    struct str rest = arena_str(arena, section), line;
    struct msg collected = {.arena = arena};
    while (str_cut(&rest, '\n', &line) && line.len > 1) {
        struct str name, value = str_of(line.ptr, line.len - 1);
        if (str_cut(&value, ':', &name)) {
            msg_add(&collected, name, str_trim(value));
        }
    }
    h->trailers = (struct trailers){.fields = collected.fields, .count = collected.field_count};
    return H1_FINE;
}

static enum h1_result feed_trailers(struct h1 *h, struct str *in)
{
    struct str whole = collect(h, in, h->limits->head, trailers_end);
    if ((whole.len > 0 ? whole.len : h->partial.len) > h->limits->head) {
        return fail(h, H1_TOO(431, "the trailer section is too large"));
    }
    if (whole.len == 0) {
        return H1_MORE;
    }
    struct h1_fault fault = parse_trailers(h, whole);
    if (fault.text != NULL) {
        return fail(h, fault);
    }
    buf_free(&h->partial);
    h->state = H1_DONE;
    return H1_GOT_END;
}

/* Hands over what is there of the `left` bytes. */
static void pass_body(struct h1 *h, struct str *in)
{
    size_t take = h->left < in->len ? (size_t)h->left : in->len;
    if (take > 0) {
        h->on_body(h->ctx, (const uint8_t *)in->ptr, take);
        h->left -= take;
        *in = str_skip(*in, take);
    }
}

static enum h1_result feed_body(struct h1 *h, struct str *in)
{
    pass_body(h, in);
    if (h->left > 0) {
        return H1_MORE;
    }
    if (h->body == BODY_STREAM) {
        h->state = H1_CHUNK_END;
        return H1_MORE;
    }
    h->state = H1_DONE;
    return H1_GOT_END;
}

static enum h1_result feed_one(struct h1 *h, struct str *in)
{
    switch (h->state) {
    case H1_HEAD:
        return feed_head(h, in);
    case H1_CHUNK_LINE:
        return feed_chunk_line(h, in);
    case H1_BODY:
        return feed_body(h, in);
    case H1_CHUNK_END:
        return feed_chunk_end(h, in);
    case H1_TRAILERS:
        return feed_trailers(h, in);
    case H1_DONE:
        return H1_GOT_END;
    case H1_FAILED:
        break;
    }
    return H1_FAULT;
}

enum h1_result h1_feed(struct h1 *h, struct str *in)
{
    enum h1_result r;
    do { /* the end of a message without body needs no byte, all else does */
        r = in->len > 0 || h->state >= H1_DONE || h->state == H1_BODY ? feed_one(h, in) : H1_MORE;
    } while (r == H1_MORE && in->len > 0);
    return r;
}

bool h1_is_idle(const struct h1 *h)
{
    return h->state == H1_HEAD && h->partial.len == 0;
}

enum h1_result h1_eof(struct h1 *h)
{
    if (h->state == H1_BODY && (h->body == BODY_CLOSE || h->body == BODY_NONE)) {
        h->state = H1_DONE;
        return H1_GOT_END;
    }
    if (h->state == H1_DONE || h1_is_idle(h)) {
        return H1_MORE;
    }
    return h->state == H1_FAILED ? H1_FAULT
                                 : fail(h, H1_BAD("the connection ended inside a message"));
}

void h1_free(struct h1 *h)
{
    buf_free(&h->partial);
}
