/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the first bytes of a tunnel say about where it really goes. A ClientHello that names an
 * inspected host inside a tunnel to some other would be a way round every rule, so it is refused,
 * and so is a plain HTTP request for one on port 80. Pure.
 */
#ifndef PROXY_PEEK_H
#define PROXY_PEEK_H

#include "filters/filters.h"
#include "proxy/net/hello.h"

#define PEEK_HTTP_MAX 16384 /* bytes of a plain head that are waited for */

enum peek_verdict {
    PEEK_MORE,
    PEEK_PASS,
    PEEK_REFUSE
};

struct peek {
    enum peek_verdict verdict;
    const char *why; /* REFUSE: static text */
    struct hello hello;
};

/* Judges the first bytes (at least one) of a tunnel to `host`:`port`. */
void peek_judge(const struct filters *f, struct str host, unsigned port, struct str first,
                struct peek *out);

#endif
