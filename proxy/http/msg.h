/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request or response in a form that knows no HTTP version: HTTP/1.1 and HTTP/2 ends
 * both read and write it, so that everything between them is written once. Nothing here touches a
 * socket.
 */
#ifndef PROXY_HTTP_MSG_H
#define PROXY_HTTP_MSG_H

#include "common/mem.h"
#include "common/str.h"

/* Fields that some part of the proxy acts on; all others are FIELD_OTHER and pass untouched. */
#define FIELD_LIST(X)                                         \
    X(ACCEPT, "accept")                                       \
    X(ALT_SVC, "alt-svc")                                     \
    X(AUTHORIZATION, "authorization")                         \
    X(CONNECTION, "connection")                               \
    X(CONTENT_LENGTH, "content-length")                       \
    X(CONTENT_TYPE, "content-type")                           \
    X(DATE, "date")                                           \
    X(EXPECT, "expect")                                       \
    X(HOST, "host")                                           \
    X(HTTP2_SETTINGS, "http2-settings")                       \
    X(KEEP_ALIVE, "keep-alive")                               \
    X(ORIGIN, "origin")                                       \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")               \
    X(PROXY_AUTHENTICATION_INFO, "proxy-authentication-info") \
    X(PROXY_AUTHORIZATION, "proxy-authorization")             \
    X(PROXY_CONNECTION, "proxy-connection")                   \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept")           \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key")                 \
    X(TE, "te")                                               \
    X(TRAILER, "trailer")                                     \
    X(TRANSFER_ENCODING, "transfer-encoding")                 \
    X(UPGRADE, "upgrade")                                     \
    X(USER_AGENT, "user-agent")                               \
    X(WWW_AUTHENTICATE, "www-authenticate")

enum field_id {
    FIELD_OTHER,
#define FIELD_ENUM(id, name) FIELD_##id,
    FIELD_LIST(FIELD_ENUM)
#undef FIELD_ENUM
    FIELD_COUNT
};

struct field {
    struct str name; /* as received (HTTP/1.1: any case) */
    struct str value;
    enum field_id id;
    bool hop; /* belongs to this hop only and is not forwarded (RFC 9110, 7.6.1); set by hop.c */
};

/* How the body's end is found, by the rules of RFC 9112, 6.3; HTTP/2 bodies are LENGTH or STREAM.
 */
enum body_kind {
    BODY_NONE,
    BODY_LENGTH, /* `length` bytes */
    BODY_STREAM, /* its end shows itself: chunked, or END_STREAM */
    BODY_CLOSE,  /* a response that ends with the connection */
};

/*
 * Strings and fields are in `arena`, which is the exchange's: they live as long as it does.
 * A request has method, scheme, authority, path; a response has status and reason.
 */
struct msg {
    struct arena *arena;
    unsigned minor; /* HTTP/1.x minor version of the sender; 1 for HTTP/2 */

    struct str method;    /* case-sensitive */
    struct str target;    /* request-target as received */
    struct str scheme;    /* "http" or "https"; set by who knows how it came */
    struct str authority; /* host[:port] of the request: Host or :authority or absolute-form */
    struct str path;      /* path and query, "*" for OPTIONS * */

    unsigned status;
    struct str reason;

    struct field *fields;
    unsigned field_count, field_cap;

    enum body_kind body;
    uint64_t length; /* BODY_LENGTH: of the body; else 0. A HEAD answer keeps what it announced */
    bool has_length; /* a Content-Length stood in the head */
    bool keep_alive; /* the sender's connection may carry another message */
    bool expect_continue; /* Expect: 100-continue */
    struct str upgrade;   /* value of Upgrade when Connection names it; empty otherwise */
};

enum field_id field_id_of(struct str name);

/* Name of a known field, lower case. */
struct str field_name(enum field_id id);

/* Adds a field; the strings are not copied. */
void msg_add(struct msg *m, struct str name, struct str value);
void msg_add_id(struct msg *m, enum field_id id, struct str value);

/* First field with the id, or NULL. */
struct field *msg_find(const struct msg *m, enum field_id id);
unsigned msg_count(const struct msg *m, enum field_id id);

/* True when some field with this id has `token` in its comma list, ASCII case ignored. */
bool msg_has_token(const struct msg *m, enum field_id id, struct str token);

/* The trailer section: fields only, in the arena of the head. */
struct trailers {
    struct field *fields;
    unsigned count;
};

static inline bool method_is(const struct msg *m, const char *name)
{
    return str_eq(m->method, str_z(name));
}

#endif
