/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/hello.h"

#include "common/cc.h"

enum {
    RECORD_FIRST = 20,
    RECORD_HANDSHAKE = 22,
    RECORD_LAST = 24,
    CLIENT_HELLO = 1,
    EXT_SERVER_NAME = 0,
    EXT_ECH = 0xfe0d,
};

static uint8_t byte_at(struct str s, size_t at)
{
    return (uint8_t)s.ptr[at];
}

static unsigned u16_at(struct str s, size_t at)
{
    return (unsigned)byte_at(s, at) << 8 | byte_at(s, at + 1);
}

/* Takes `n` bytes off the front of `*s`. */
static bool take(struct str *s, size_t n, struct str *out)
{
    if (s->len < n) {
        return false;
    }
    *out = str_of(s->ptr, n);
    *s = str_skip(*s, n);
    return true;
}

/* Takes a vector with a length of `bytes` bytes in front (RFC 8446, 3.4). */
static bool take_vector(struct str *s, unsigned bytes, struct str *out)
{
    struct str length;
    if (!take(s, bytes, &length)) {
        return false;
    }
    size_t n = bytes == 1 ? byte_at(length, 0) : u16_at(length, 0);
    return take(s, n, out);
}

/* The first message is here to its end. */
static bool is_whole(const uint8_t *message, size_t len)
{
    return len >= 4 && len - 4 >= ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
}

/*
 * Joins the handshake bytes of the records in `in` into `out`, up to the one in which the first
 * message ends: what follows is not looked at (early data, RFC 8446, 2.3). HELLO_READ when it is
 * there, or `in` ends on a record boundary or inside a handshake record (what is there of it is
 * taken).
 */
static enum hello_result join_records(struct str in, uint8_t out[HELLO_MAX], size_t *len)
{
    *len = 0;
    while (in.len > 0 && !is_whole(out, *len)) {
        /* the major version; the minor one says nothing any more */
        bool like_tls = byte_at(in, 0) >= RECORD_FIRST && byte_at(in, 0) <= RECORD_LAST &&
                        (in.len == 1 || byte_at(in, 1) == 3);
        if (!like_tls) {
            return *len == 0 ? HELLO_NOT_TLS : HELLO_BAD;
        }
        if (byte_at(in, 0) != RECORD_HANDSHAKE && in.len > 1) {
            return HELLO_BAD; /* some servers skip a warning before the hello: we would not see it
                               */
        }
        if (in.len < 5) {
            return HELLO_READ;
        }
        size_t size = u16_at(in, 3), have = MIN(size, in.len - 5);
        if (size == 0 || size > 16384) {
            return HELLO_BAD;
        }
        memcpy(out + *len, in.ptr + 5, have);
        *len += have;
        in = str_skip(in, 5 + have);
    }
    return HELLO_READ;
}

bool hello_server_name(struct str extension, char out[256])
{
    struct str list, name;
    out[0] = '\0';
    if (!take_vector(&extension, 2, &list) || extension.len > 0) {
        return false;
    }
    while (list.len > 0) {
        struct str type;
        if (!take(&list, 1, &type) || !take_vector(&list, 2, &name)) {
            return false;
        }
        if (byte_at(type, 0) != 0 || out[0] != '\0') { /* host_name, and at most one of it */
            return false;
        }
        if (name.len > 0 && name.ptr[name.len - 1] == '.') {
            name.len--;
        }
        if (name.len == 0 || name.len > 253 || memchr(name.ptr, '\0', name.len) != NULL) {
            return false;
        }
        for (size_t i = 0; i < name.len; i++) {
            out[i] = ascii_lower(name.ptr[i]);
        }
        out[name.len] = '\0';
    }
    return true;
}

static bool read_extensions(struct str all, struct hello *out)
{
    bool seen_name = false;
    while (all.len > 0) {
        struct str type, data;
        if (!take(&all, 2, &type) || !take_vector(&all, 2, &data)) {
            return false;
        }
        unsigned id = u16_at(type, 0);
        if (id == EXT_SERVER_NAME) {
            if (seen_name || !hello_server_name(data, out->sni)) {
                return false;
            }
            seen_name = true;
        }
        out->has_ech |= id == EXT_ECH;
    }
    return true;
}

/* The body of a ClientHello. */
static bool read_body(struct str body, struct hello *out)
{
    struct str ignored, extensions;
    if (!take(&body, 2 + 32, &ignored) ||   /* legacy_version, random */
        !take_vector(&body, 1, &ignored) || /* legacy_session_id */
        !take_vector(&body, 2, &ignored) || /* cipher_suites */
        !take_vector(&body, 1, &ignored)) { /* legacy_compression_methods */
        return false;
    }
    if (body.len == 0) {
        return true; /* TLS 1.2 without extensions */
    }
    return take_vector(&body, 2, &extensions) && body.len == 0 && read_extensions(extensions, out);
}

enum hello_result hello_read(struct str in, struct hello *out)
{
    uint8_t joined[HELLO_MAX];
    size_t len;
    bool full = in.len >= HELLO_MAX;
    *out = (struct hello){.sni = ""};
    if (in.len == 0) {
        return HELLO_MORE;
    }
    if (full) {
        in.len = HELLO_MAX;
    }
    enum hello_result r = join_records(in, joined, &len);
    if (r != HELLO_READ) {
        return r;
    }
    if (len > 0 && joined[0] != CLIENT_HELLO) {
        return HELLO_BAD;
    }
    if (len < 4) {
        return full ? HELLO_BAD : HELLO_MORE;
    }
    size_t size = (size_t)joined[1] << 16 | (size_t)joined[2] << 8 | joined[3];
    if (size > HELLO_MAX) {
        return HELLO_BAD;
    }
    if (len - 4 < size) {
        return full ? HELLO_BAD : HELLO_MORE;
    }
    return read_body(str_of((const char *)joined + 4, size), out) ? HELLO_READ : HELLO_BAD;
}
