/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PAC file: which hosts a browser sends through the proxy. Made of string functions only:
 * isInNet() and isResolvable() look names up, and a browser waits for them (measured: a resolver
 * that does not answer hangs it).
 */
#ifndef PROXY_PAC_H
#define PROXY_PAC_H

#include "common/buf.h"

/* Names are lower case; "*.suffix" covers all below the suffix, not itself. */
struct pac_names {
    const struct str *item;
    size_t count;
};

/* In this order: a name is judged by the first list that has it. */
struct pac {
    struct pac_names own;       /* of the proxies themselves: directly */
    struct pac_names inspected; /* through the proxy */
    bool all;                   /* everything else too, but for what is local … */
    struct pac_names direct;    /* … and these */
    const struct str *proxy;    /* in order: "PROXY name:port", "HTTPS name:port" */
    size_t proxy_count;
    struct str otherwise; /* without `all`, for the rest: "DIRECT" or another proxy */
    bool fail_open;       /* go directly when no proxy answers */
};

/* Appends the file. Whatever the strings hold, the result is one well-formed script. */
void pac_write(struct buf *out, const struct pac *p);

#endif
