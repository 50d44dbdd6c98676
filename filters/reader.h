/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers: what understands a body. A rule names one by `inspect`. A reader takes the decoded body
 * piece by piece and says what the request does, as *acts*: short texts in the form "WORD" or
 * "WORD DETAIL", such as "setuserphoto" or "createitem itemclass=ipm.note", which rules hold
 * against the patterns in their key `act`; or as *items*, requests within the request, which are
 * judged by all rules. Readers are strict: what another reader of the same format might take for
 * something else is a fault. What they say does not depend on how the bytes were cut.
 */
#ifndef FILTERS_READER_H
#define FILTERS_READER_H

#include "common/buf.h"
#include "filters/canon.h"

#define READER_DEPTH  64     /* of nesting in a body */
#define READER_VALUES 100000 /* of JSON in a body; bounds the memory for them */
#define READER_TEXT   256    /* bytes of a value that an act shows */
#define READER_ITEMS  1000   /* requests in a batch */

/* A request within a request. Views live until the sink returns. */
struct reader_item {
    struct str id; /* for people */
    struct str method, url;
    const struct filter_field *field;
    size_t fields;
    /* Its body, which may have to be read in more than one way (base64 in a JSON string): each is
     * held against the rules. */
    struct str body[2];
    size_t bodies;
};

/* Where a reader's findings go. */
struct reader_sink {
    void *ctx;
    /* The request does this. */
    void (*act)(void *ctx, struct str act);
    /* From here on all acts begin with "WORD ", this word: who waits for others need wait no more.
     */
    void (*only)(void *ctx, struct str word);
    void (*item)(void *ctx, const struct reader_item *item);
};

struct reader_kind {
    const char *name;
    bool items; /* says items, not acts */
    /* A new reader for the body of `c`; both outlive it. */
    void *(*open)(const struct reader_sink *sink, const struct canon *c);
    /* The next bytes, at least one. NULL, or what is wrong (static storage), and no more follows.
     */
    const char *(*feed)(void *reader, struct str piece);
    /* The body, which was not empty, is over. The same. */
    const char *(*end)(void *reader);
    void (*close)(void *reader);
};

/* The reader of that name, or NULL. */
const struct reader_kind *reader_named(struct str name);

/* Calls `each` with every name. */
void reader_each(void (*each)(void *ctx, const char *name), void *ctx);

/* Appends `text` to an act: lower case, blanks at either end dropped, cut at READER_TEXT. */
void reader_put(struct buf *act, struct str text);

extern const struct reader_kind reader_batch, reader_cmdlet, reader_csom, reader_fields,
    reader_soap;

#endif
