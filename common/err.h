/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error codes. Functions that can fail return 0 or a negative code: system errors as -errno, which
 * is also what libuv uses, pass through unchanged; ours lie below ERR_FIRST so that err_str() can
 * name both kinds.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#define ERR_FIRST (-5000)

/* X(name, short text for logs). The order is not part of any interface. */
#define ERR_LIST(X)                                   \
    X(ERR_SYNTAX, "syntax error")                     \
    X(ERR_LIMIT, "over a limit")                      \
    X(ERR_NAME, "not a DNS name")                     \
    X(ERR_CONFIG, "configuration error")              \
    X(ERR_EOF, "connection closed early")             \
    X(ERR_TIMEOUT, "timed out")                       \
    X(ERR_DNS, "name does not resolve")               \
    X(ERR_DNS_TIMEOUT, "name server does not answer") \
    X(ERR_DENIED, "denied by policy")                 \
    X(ERR_TLS, "TLS error")                           \
    X(ERR_CERT, "certificate does not verify")        \
    X(ERR_SIGNER, "signer not available")             \
    X(ERR_PROTOCOL, "protocol error")                 \
    X(ERR_CANCELED, "canceled")                       \
    X(ERR_FULL, "full")                               \
    X(ERR_AGAIN, "not yet")                           \
    X(ERR_UNSURE, "not known whether it was done")

enum err_code {
    ERR_BEFORE_FIRST = ERR_FIRST - 100,
#define ERR_ENUM(name, text) name,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

/* A short English text for `err` (0, -errno or ours). Static storage, never NULL, safe in any
 * thread. */
const char *err_str(int err);

#endif
