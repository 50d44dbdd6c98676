/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages with holes: {{name}} in an HTML text is replaced by a value, escaped. That is all there is,
 * so nothing that a client or an origin sent can become markup.
 */
#ifndef PROXY_TEMPLATE_H
#define PROXY_TEMPLATE_H

#include "common/buf.h"

struct template_value {
    const char *name; /* NULL ends the list */
    struct str value;
    bool raw; /* put in as it is: for our own text only */
};

/* Appends `page` with its holes filled; a hole without a value stays empty. */
void template_fill(struct buf *out, struct str page, const struct template_value *values);

#endif
