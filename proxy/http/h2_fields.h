/* SPDX-License-Identifier: Apache-2.0 */
/* Heads between struct msg and HTTP/2's field lists, for h2.c. Pure. */
#ifndef PROXY_HTTP_H2_FIELDS_H
#define PROXY_HTTP_H2_FIELDS_H

#include "common/buf.h"
#include "proxy/http/h2.h"

/* The fields of a head, ready for nghttp2; valid until the next call on the same `room`. */
struct h2_list {
    nghttp2_nv *nv;
    size_t count;
};

/* Memory for a list, reused from head to head. */
struct h2_room {
    struct buf texts;
    nghttp2_nv *nv;
    size_t cap;
};

void h2_room_free(struct h2_room *r);

/* `t` alone gives a trailer section, without what hop_trailer_allowed() does not let through. */
struct h2_list h2_list_request(struct h2_room *r, const struct msg *m);
struct h2_list h2_list_response(struct h2_room *r, const struct msg *m);
struct h2_list h2_list_trailers(struct h2_room *r, const struct trailers *t);

/*
 * Takes a field of the head or trailer section being read into the stream's message. Over a limit
 * it sets s->fault, and takes no more. False when it is over by so much that the peer means harm.
 */
bool h2_take_field(struct h2_stream *s, const struct h1_limits *limits, struct str name,
                   struct str value) MUSTCHECK;

/* All of the head is here: joins the cookie (RFC 9113, 8.2.3), and reads what it says. */
void h2_finish_request(struct h2_stream *s, bool ends);
void h2_finish_response(struct h2_stream *s, bool ends);

#endif
