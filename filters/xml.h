/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML bodies (SOAP, CSOM), piece by piece, by expat. Names come without their namespace. A DOCTYPE,
 * an encoding other than UTF-8, ASCII, Latin-1 and UTF-16 and too deep a nesting are faults. Of a
 * multipart/related body (RFC 2387; XOP and MTOM) the root part is read.
 */
#ifndef FILTERS_XML_H
#define FILTERS_XML_H

#include "filters/filters.h"

struct xml_events {
    /* `depth` is 1 for the root. `attribute` is name, value, …, NULL. */
    void (*start)(void *ctx, unsigned depth, struct str name, const char **attribute);
    /* `text` is what an element without elements holds, blanks in front dropped, cut at
     * READER_TEXT; empty for others. */
    void (*end)(void *ctx, unsigned depth, struct str name, struct str text);
};

struct xml;

/* For the body of `r`; the events and `ctx` outlive it. */
struct xml *xml_new(const struct filter_request *r, const struct xml_events *events, void *ctx);
void xml_free(struct xml *x);

/* NULL, or what is wrong (static storage). */
const char *xml_feed(struct xml *x, struct str piece);
const char *xml_end(struct xml *x);

/* From within an event: what was read is not as it should be. */
void xml_fail(struct xml *x, const char *fault);

#endif
