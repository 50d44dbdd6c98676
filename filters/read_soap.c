/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of XML bodies. "soap" says the operation, which is the first element in the Body (SOAP
 * 1.1, 4.3; document/literal, as EWS has it), as "setuserphoto", and the plain elements in it as
 * "createitem itemclass=ipm.note". "csom" says the methods that a SharePoint client object model
 * request calls ([MS-CSOM], 3.1.4.1.8) as "setmyprofilepicture", and the plain elements below one
 * as "setsinglevalueprofileproperty pictureurl".
 */
#include "common/buf.h"
#include "common/mem.h"
#include "filters/reader.h"
#include "filters/xml.h"

#include <stdlib.h>

struct xml_reader {
    const struct reader_sink *sink;
    struct xml *xml;
    struct buf word; /* the operation or method that is open; empty: none */
    struct buf act;
    unsigned at; /* its depth */
    bool body;   /* soap: inside the Body */
    bool done;   /* soap: the operation has been read */
};

static void *open_with(const struct reader_sink *sink, const struct canon *c,
                       const struct xml_events *events)
{
    struct xml_reader *r = xnew(struct xml_reader);
    r->sink = sink;
    r->xml = xml_new(c->request, events, r);
    return r;
}

static const char *xml_reader_feed(void *reader, struct str piece)
{
    struct xml_reader *r = reader;
    return xml_feed(r->xml, piece);
}

static const char *xml_reader_end(void *reader)
{
    struct xml_reader *r = reader;
    return xml_end(r->xml);
}

static void xml_reader_close(void *reader)
{
    struct xml_reader *r = reader;
    xml_free(r->xml);
    buf_free(&r->word);
    buf_free(&r->act);
    free(r);
}

static void take_word(struct xml_reader *r, unsigned depth, struct str word)
{
    buf_clear(&r->word);
    reader_put(&r->word, word);
    r->at = depth;
    r->sink->act(r->sink->ctx, buf_view(&r->word));
}

/* "WORD TEXT" or "WORD NAME=TEXT". */
static void say_detail(struct xml_reader *r, struct str name, struct str text)
{
    buf_clear(&r->act);
    buf_str(&r->act, buf_view(&r->word));
    buf_char(&r->act, ' ');
    if (name.len > 0) {
        reader_put(&r->act, name);
        buf_char(&r->act, '=');
    }
    reader_put(&r->act, text);
    r->sink->act(r->sink->ctx, buf_view(&r->act));
}

/* ---- soap ---- */

static void soap_start(void *ctx, unsigned depth, struct str name, const char **attribute)
{
    struct xml_reader *r = ctx;
    (void)attribute;
    if (depth == 1 && !str_eq(name, STR("Envelope"))) {
        xml_fail(r->xml, "its XML is no SOAP envelope");
    } else if (depth == 2) {
        r->body = str_eq(name, STR("Body"));
    } else if (depth == 3 && r->body && !r->done && r->word.len == 0) {
        take_word(r, depth, name);
        r->sink->only(r->sink->ctx, buf_view(&r->word));
    }
}

static void soap_end(void *ctx, unsigned depth, struct str name, struct str text)
{
    struct xml_reader *r = ctx;
    if (r->word.len > 0 && depth > r->at && text.len > 0) {
        say_detail(r, name, text);
    } else if (r->word.len > 0 && depth == r->at) {
        buf_clear(&r->word);
        r->done = true;
        r->sink->only(r->sink->ctx, STR_NONE);
    }
}

static void *soap_open(const struct reader_sink *sink, const struct canon *c)
{
    static const struct xml_events events = {soap_start, soap_end};
    return open_with(sink, c, &events);
}

const struct reader_kind reader_soap = {
    .name = "soap",
    .open = soap_open,
    .feed = xml_reader_feed,
    .end = xml_reader_end,
    .close = xml_reader_close,
};

/* ---- csom ---- */

static void csom_start(void *ctx, unsigned depth, struct str name, const char **attribute)
{
    struct xml_reader *r = ctx;
    if (!str_ieq(name, STR("Method")) && !str_ieq(name, STR("StaticMethod"))) {
        return;
    }
    if (r->word.len > 0) {
        xml_fail(r->xml, "a method stands within a method");
        return;
    }
    for (; *attribute != NULL; attribute += 2) {
        if (str_ieq(str_z(attribute[0]), STR("Name"))) {
            take_word(r, depth, str_z(attribute[1]));
        }
    }
}

static void csom_end(void *ctx, unsigned depth, struct str name, struct str text)
{
    struct xml_reader *r = ctx;
    (void)name;
    if (r->word.len > 0 && depth > r->at && text.len > 0) {
        say_detail(r, STR_NONE, text);
    } else if (r->word.len > 0 && depth == r->at) {
        buf_clear(&r->word);
    }
    if (depth == 1) { /* what follows are streams: files on their way to a library */
        r->sink->only(r->sink->ctx, STR_NONE);
    }
}

static void *csom_open(const struct reader_sink *sink, const struct canon *c)
{
    static const struct xml_events events = {csom_start, csom_end};
    return open_with(sink, c, &events);
}

const struct reader_kind reader_csom = {
    .name = "csom",
    .open = csom_open,
    .feed = xml_reader_feed,
    .end = xml_reader_end,
    .close = xml_reader_close,
};
