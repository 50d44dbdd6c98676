/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h2_fields.h"

#include "common/mem.h"
#include "proxy/http/hop.h"

#include <stdlib.h>

/* RFC 9113, 6.5.2: what a field counts beside its bytes. */
#define FIELD_OVERHEAD 32
/* Past this many times its limits a head is no oversight. */
#define HARM 4

/* ---- to HTTP/2 ---- */

void h2_room_free(struct h2_room *r)
{
    buf_free(&r->texts);
    free(r->nv);
}

/* Room for `fields` more, and for the texts of `bytes`, which do not move any more. */
static void begin_list(struct h2_room *r, size_t fields, size_t bytes)
{
    if (r->cap < fields) {
        r->cap = fields + 16;
        r->nv = xrealloc(r->nv, r->cap * sizeof(*r->nv));
    }
    buf_clear(&r->texts);
    (void)buf_room(&r->texts, bytes);
}

/* Logins are never put into a table that others' guesses could be tried on (RFC 7541, 7.1). */
static bool is_secret(const struct field *f)
{
    return f->id == FIELD_AUTHORIZATION || str_ieq(f->name, STR("cookie")) ||
           str_ieq(f->name, STR("set-cookie"));
}

static void add(struct h2_room *r, struct h2_list *l, struct str name, struct str value,
                uint8_t flags)
{
    r->nv[l->count++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.ptr,
                                     .namelen = name.len,
                                     .value = (uint8_t *)(uintptr_t)value.ptr,
                                     .valuelen = value.len,
                                     .flags = flags};
}

static struct str lower(struct h2_room *r, struct str s)
{
    char *at = r->texts.ptr + r->texts.len;
    for (size_t i = 0; i < s.len; i++) {
        at[i] = ascii_lower(s.ptr[i]);
    }
    r->texts.len += s.len;
    return str_of(at, s.len);
}

static struct str number(struct h2_room *r, uint64_t n)
{
    size_t before = r->texts.len;
    buf_u64(&r->texts, n);
    return str_of(r->texts.ptr + before, r->texts.len - before);
}

static void add_field(struct h2_room *r, struct h2_list *l, const struct field *f)
{
    add(r, l, lower(r, f->name), f->value,
        is_secret(f) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE);
}

static size_t names_of(const struct field *f, unsigned count)
{
    size_t sum = 64; /* and a number or two */
    for (unsigned i = 0; i < count; i++) {
        sum += f[i].name.len;
    }
    return sum;
}

static void add_fields(struct h2_room *r, struct h2_list *l, const struct msg *m)
{
    for (unsigned i = 0; i < m->field_count; i++) {
        if (!m->fields[i].hop && m->fields[i].id != FIELD_HOST) {
            add_field(r, l, &m->fields[i]);
        }
    }
    if (m->has_length) {
        add(r, l, STR("content-length"), number(r, m->length), NGHTTP2_NV_FLAG_NONE);
    }
}

struct h2_list h2_list_request(struct h2_room *r, const struct msg *m)
{
    struct h2_list l = {0};
    begin_list(r, m->field_count + 6, names_of(m->fields, m->field_count));
    l.nv = r->nv;
    add(r, &l, STR(":method"), m->method, NGHTTP2_NV_FLAG_NONE);
    add(r, &l, STR(":scheme"), m->scheme, NGHTTP2_NV_FLAG_NONE);
    add(r, &l, STR(":authority"), m->authority, NGHTTP2_NV_FLAG_NONE);
    add(r, &l, STR(":path"), m->path, NGHTTP2_NV_FLAG_NONE);
    add_fields(r, &l, m);
    if (msg_has_token(m, FIELD_TE, STR("trailers"))) { /* of this hop (RFC 9113, 8.2.2) */
        add(r, &l, STR("te"), STR("trailers"), NGHTTP2_NV_FLAG_NONE);
    }
    return l;
}

struct h2_list h2_list_response(struct h2_room *r, const struct msg *m)
{
    struct h2_list l = {0};
    begin_list(r, m->field_count + 2, names_of(m->fields, m->field_count));
    l.nv = r->nv;
    add(r, &l, STR(":status"), number(r, m->status), NGHTTP2_NV_FLAG_NONE);
    add_fields(r, &l, m);
    return l;
}

struct h2_list h2_list_trailers(struct h2_room *r, const struct trailers *t)
{
    struct h2_list l = {0};
    begin_list(r, t->count, names_of(t->fields, t->count));
    l.nv = r->nv;
    for (unsigned i = 0; i < t->count; i++) {
        if (hop_trailer_allowed(&t->fields[i])) {
            add_field(r, &l, &t->fields[i]);
        }
    }
    return l;
}

/* ---- from HTTP/2 ---- */

static void take_pseudo(struct h2_stream *s, const struct h1_limits *limits, struct str name,
                        struct str value)
{
    struct msg *m = s->msg;
    uint64_t n;
    value = arena_str(m->arena, value);
    if (str_eq(name, STR(":method"))) {
        m->method = value;
    } else if (str_eq(name, STR(":path"))) {
        if (value.len > limits->line) {
            s->fault = H1_TOO(414, "the request's path is too long");
        }
        m->target = m->path = value;
    } else if (str_eq(name, STR(":authority"))) {
        m->authority = value;
    } else if (str_eq(name, STR(":scheme"))) {
        m->scheme = value;
    } else if (str_eq(name, STR(":status")) && str_u64(value, &n)) {
        m->status = (unsigned)n;
    }
}

static void take_trailer(struct h2_stream *s, struct str name, struct str value)
{
    struct trailers *t = &s->trailers;
    if (t->count == s->trailer_cap) {
        s->trailer_cap = s->trailer_cap * 2 + 4;
        struct field *more = arena_alloc(s->msg->arena, s->trailer_cap * sizeof(*more));
        if (t->count > 0) {
            memcpy(more, t->fields, t->count * sizeof(*more));
        }
        t->fields = more;
    }
    name = arena_str(s->msg->arena, name);
    t->fields[t->count++] = (struct field){
        .name = name, .value = arena_str(s->msg->arena, value), .id = field_id_of(name)};
}

bool h2_take_field(struct h2_stream *s, const struct h1_limits *limits, struct str name,
                   struct str value)
{
    s->head_bytes += name.len + value.len + FIELD_OVERHEAD;
    s->head_fields++;
    if (s->head_bytes > limits->head * HARM || s->head_fields > limits->fields * HARM) {
        return false;
    }
    if (s->head_bytes > limits->head || s->head_fields > limits->fields) {
        s->fault = H1_TOO(431, "the head is too large");
    }
    if (s->fault.text != NULL) {
        return true;
    }
    if (s->head_done) {
        take_trailer(s, name, value);
    } else if (name.len > 0 && name.ptr[0] == ':') {
        take_pseudo(s, limits, name, value);
    } else if (str_eq(name, STR("cookie"))) {
        if (s->crumbs == NULL) {
            s->crumbs = xnew(struct buf);
        } else {
            buf_z(s->crumbs, "; ");
        }
        buf_str(s->crumbs, value);
    } else {
        msg_add(s->msg, arena_str(s->msg->arena, name), arena_str(s->msg->arena, value));
    }
    return true;
}

static void join_crumbs(struct h2_stream *s)
{
    if (s->crumbs != NULL) {
        msg_add(s->msg, STR("cookie"), arena_str(s->msg->arena, buf_view(s->crumbs)));
        buf_free(s->crumbs);
        free(s->crumbs);
        s->crumbs = NULL;
    }
}

void h2_finish_request(struct h2_stream *s, bool ends)
{
    join_crumbs(s);
    if (s->fault.text == NULL) {
        s->fault = hop_request_h2(s->msg, ends);
    }
}

void h2_finish_response(struct h2_stream *s, bool ends)
{
    join_crumbs(s);
    if (s->msg->status < 100 || s->msg->status > 599) { /* nghttp2 lets any three digits pass */
        s->fault = H1_TOO(502, "the response's status is not one");
    }
    if (s->fault.text == NULL) {
        hop_response_h2(s->msg, ends);
    }
}
