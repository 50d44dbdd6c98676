/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a head says about its own hop: where the body ends, whether the connection goes on, which
 * fields are not to be forwarded. Both directions, HTTP/1 rules; one place for everything that
 * smuggling lives on.
 */
#ifndef PROXY_HTTP_HOP_H
#define PROXY_HTTP_HOP_H

#include "proxy/http/guard.h"
#include "proxy/http/msg.h"

/*
 * Reads the framing of a request into `m` (body, length, keep_alive, expect_continue, upgrade,
 * authority from Host) and marks the fields that stay behind. A CONNECT has no body. On a fault the
 * request is answered with its status and the connection ends. RFC 9112, 3.2 (Host), 6.3 (length),
 * RFC 9110, 7.6.1 (Connection).
 */
struct h1_fault hop_request(struct msg *m);

/*
 * The same for a response to a request with method `method`. On a fault the origin connection is
 * not used further.
 */
struct h1_fault hop_response(struct msg *m, struct str method);

/*
 * The same for heads that came by HTTP/2, whose codec has checked form and framing (RFC 9113, 8):
 * `ends` says that no body follows. The authority is :authority, else Host.
 */
struct h1_fault hop_request_h2(struct msg *m, bool ends);
void hop_response_h2(struct msg *m, bool ends);

/*
 * True when this field may stand in a trailer section that we forward: none that a receiver who
 * puts trailers and head together would take for framing, routing, a login, a method or a control
 * (RFC 9110, 6.5.1). The rules have judged the head only.
 */
bool hop_trailer_allowed(const struct field *f);

/*
 * Splits host[:port] (RFC 3986, 3.2). `port` is 0 when there is none. False when it is malformed:
 * user info, an empty host, one with anything but ASCII letters, digits, dots, hyphens and
 * underscores, a port that is no number in 1..65535, brackets around no IPv6 address. The host
 * keeps its brackets off.
 */
bool hop_authority(struct str authority, struct str *host, unsigned *port);

#endif
