/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the server name out of a TLS ClientHello without being a party to the handshake (RFC
 * 8446, 4.1.2 and 5.1; RFC 6066, 3). Pure. The hello may come in any number of segments and
 * records.
 */
#ifndef PROXY_NET_HELLO_H
#define PROXY_NET_HELLO_H

#include "common/str.h"

#define HELLO_MAX 16384 /* bytes of the stream that are looked at */

enum hello_result {
    HELLO_MORE,    /* so far it may be one, more is needed */
    HELLO_READ,    /* `out` is filled */
    HELLO_NOT_TLS, /* it does not begin like TLS */
    HELLO_BAD,     /* it begins like TLS and then is none, or is longer than HELLO_MAX */
};

struct hello {
    char sni[256]; /* lower case, without a trailing dot; empty when there is none */
    bool has_ech; /* an encrypted_client_hello extension (RFC 9849); `sni` is then the outer name */
};

/* `in` is what the client has sent from its first byte on. */
enum hello_result hello_read(struct str in, struct hello *out);

/*
 * The host name in the contents of a server_name extension, in the form of `sni` above. False when
 * it is malformed; true with an empty name when it holds none.
 */
bool hello_server_name(struct str extension, char out[256]);

#endif
