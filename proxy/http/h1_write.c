/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 heads and chunks, composed from what was understood. */
#include "common/cc.h"
#include "proxy/http/h1.h"
#include "proxy/http/hop.h"

/* Writes `name: value CRLF` to `to`, which has room; returns where it ends. */
static char *write_field(char *to, struct str name, struct str value)
{
    /* As it lies in the head that was read: in one piece */
    if (value.len > 0 && value.ptr == name.ptr + name.len + 2 &&
        memcmp(name.ptr + name.len, ": ", 2) == 0) {
        name.len += 2 + value.len;
        memcpy(to, name.ptr, name.len);
        to += name.len;
    } else {
        memcpy(to, name.ptr, name.len);
        to += name.len;
        *to++ = ':';
        *to++ = ' ';
        if (value.len > 0) {
            memcpy(to, value.ptr, value.len);
            to += value.len;
        }
    }
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

static void put_field(struct buf *out, struct str name, struct str value)
{
    char *to = buf_room(out, name.len + value.len + 4);
    out->len += (size_t)(write_field(to, name, value) - to);
}

static void put_fields(struct buf *out, const struct msg *m, bool skip_host)
{
    size_t room = 0;
    for (unsigned i = 0; i < m->field_count; i++) {
        room += m->fields[i].name.len + m->fields[i].value.len + 4;
    }
    char *from = buf_room(out, room), *to = from;
    for (unsigned i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        if (!f->hop && !(skip_host && f->id == FIELD_HOST)) {
            to = write_field(to, f->name, f->value);
        }
    }
    out->len += (size_t)(to - from);
}

/* One Connection field with all options, and the fields that they name. */
static void put_connection(struct buf *out, const struct msg *m, const struct h1_write_opts *opts)
{
    const struct {
        bool is_on;
        struct str name;
    } options[] = {
        {opts->te_trailers, STR("TE")}, /* TE is of one hop, too (RFC 9110, 10.1.4) */
        {opts->upgrade, STR("upgrade")},
        {opts->close, STR("close")},
        {opts->keep_alive_1_0 && !opts->close, STR("keep-alive")},
    };
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (options[i].is_on) {
            buf_z(out, any ? ", " : "Connection: ");
            buf_str(out, options[i].name);
            any = true;
        }
    }
    if (any) {
        buf_z(out, "\r\n");
    }
    if (opts->te_trailers) {
        put_field(out, STR("TE"), STR("trailers"));
    }
    if (opts->upgrade) {
        put_field(out, STR("Upgrade"), m->upgrade);
    }
}

static void put_framing(struct buf *out, const struct msg *m, const struct h1_write_opts *opts)
{
    if (opts->chunked) {
        put_field(out, STR("Transfer-Encoding"), STR("chunked"));
    } else if (m->has_length) {
        buf_z(out, "Content-Length: ");
        buf_u64(out, m->length);
        buf_z(out, "\r\n");
    }
    put_connection(out, m, opts);
}

void h1_write_request(struct buf *out, const struct msg *m, const struct h1_write_opts *opts)
{
    buf_str(out, m->method);
    buf_char(out, ' ');
    buf_str(out, m->path);
    buf_z(out, " HTTP/1.1\r\n");
    put_field(out, STR("Host"), m->authority);
    put_fields(out, m, true);
    put_framing(out, m, opts);
    buf_z(out, "\r\n");
}

void h1_write_response(struct buf *out, const struct msg *m, const struct h1_write_opts *opts)
{
    buf_z(out, "HTTP/1.1 ");
    buf_u64(out, m->status);
    buf_char(out, ' ');
    buf_str(out, m->reason);
    buf_z(out, "\r\n");
    put_fields(out, m, false);
    put_framing(out, m, opts);
    buf_z(out, "\r\n");
}

size_t h1_chunk_head(char *out, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char hex[16];
    size_t at = sizeof(hex);
    do {
        hex[--at] = digits[len & 15];
        len >>= 4;
    } while (len > 0);
    size_t n = sizeof(hex) - at;
    memcpy(out, hex + at, n);
    out[n++] = '\r';
    out[n++] = '\n';
    return n;
}

void h1_write_last_chunk(struct buf *out, const struct trailers *t)
{
    buf_z(out, "0\r\n");
    for (unsigned i = 0; t != NULL && i < t->count; i++) {
        if (hop_trailer_allowed(&t->fields[i])) {
            put_field(out, t->fields[i].name, t->fields[i].value);
        }
    }
    buf_z(out, "\r\n");
}
