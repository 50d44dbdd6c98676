/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/xml.h"

#include "common/cc.h"
#include "common/mem.h"
#include "filters/multipart.h"
#include "filters/reader.h"
#include "filters/text.h"

#include <expat.h>

#include <stdlib.h>

#define NAMESPACE_END '\n' /* stands in no name */
#define FEED_MOST     (1 << 20)

struct xml {
    const struct xml_events *events;
    void *ctx;
    XML_Parser parser;
    struct multipart *multipart; /* NULL: the body is the document */
    struct str root_id;          /* the start parameter; empty: the first part */
    enum {
        ROOT_AWAITED,
        ROOT_READ,   /* it is the part that comes now */
        ROOT_OTHER,  /* another part comes now */
        ROOT_BEHIND, /* it has been read */
    } root;
    bool other_passed; /* ROOT_OTHER: the root came before */
    const char *fault;
    unsigned depth;
    bool leaf; /* no element began since the innermost open one */
    char text[READER_TEXT];
    size_t text_len;
};

void xml_fail(struct xml *x, const char *fault)
{
    if (x->fault == NULL) {
        x->fault = fault;
        XML_StopParser(x->parser, XML_FALSE);
    }
}

static struct str local_name(const char *name)
{
    const char *end = strchr(name, NAMESPACE_END);
    return str_z(end != NULL ? end + 1 : name);
}

static void on_start(void *ctx, const char *name, const char **attribute)
{
    struct xml *x = ctx;
    if (++x->depth > READER_DEPTH) {
        xml_fail(x, "its XML is nested too deeply");
        return;
    }
    x->leaf = true;
    x->text_len = 0;
    x->events->start(x->ctx, x->depth, local_name(name), attribute);
}

static void on_end(void *ctx, const char *name)
{
    struct xml *x = ctx;
    struct str text = x->leaf ? str_of(x->text, x->text_len) : STR_NONE;
    x->leaf = false;
    x->events->end(x->ctx, x->depth--, local_name(name), text);
}

static void on_text(void *ctx, const char *text, int len)
{
    struct xml *x = ctx;
    for (int i = 0; i < len && x->text_len < sizeof(x->text); i++) {
        char c = text[i];
        if (x->text_len > 0 || (c != ' ' && c != '\t' && c != '\n' && c != '\r')) {
            x->text[x->text_len++] = c;
        }
    }
}

static void on_doctype(void *ctx, const char *name, const char *system_id, const char *public_id,
                       int internal)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)internal;
    xml_fail(ctx, "its XML has a DOCTYPE");
}

static void on_declaration(void *ctx, const char *version, const char *encoding, int standalone)
{
    static const struct str known[] = {STR_INIT("utf-8"),      STR_INIT("us-ascii"),
                                       STR_INIT("iso-8859-1"), STR_INIT("utf-16"),
                                       STR_INIT("utf-16le"),   STR_INIT("utf-16be")};
    (void)version;
    (void)standalone;
    bool ok = encoding == NULL;
    for (size_t i = 0; i < ARRAY_LEN(known) && !ok; i++) {
        ok = str_ieq(str_z(encoding), known[i]);
    }
    if (!ok) {
        xml_fail(ctx, "its XML is in an encoding that is not read");
    }
}

static const char *parse(struct xml *x, struct str piece, bool last)
{
    do {
        size_t len = MIN(piece.len, (size_t)FEED_MOST);
        bool end = last && len == piece.len;
        if (XML_Parse(x->parser, piece.ptr, (int)len, end) != XML_STATUS_OK && x->fault == NULL) {
            x->fault = XML_GetErrorCode(x->parser) == XML_ERROR_UNKNOWN_ENCODING
                           ? "its XML is in an encoding that is not read"
                           : "its XML is not well-formed";
        }
        piece = str_skip(piece, len);
    } while (x->fault == NULL && piece.len > 0);
    return x->fault;
}

static const char *on_part(void *ctx, const struct filter_field *field, size_t fields)
{
    struct xml *x = ctx;
    struct str coding = multipart_field(field, fields, STR("content-transfer-encoding"));
    struct str id = multipart_field(field, fields, STR("content-id"));
    if (x->root == ROOT_BEHIND || (x->root_id.len > 0 && !str_eq(id, x->root_id))) {
        x->other_passed = x->root == ROOT_BEHIND;
        x->root = ROOT_OTHER;
        return NULL;
    }
    x->root = ROOT_READ;
    bool plain = coding.len == 0 || str_ieq(coding, STR("binary")) ||
                 str_ieq(coding, STR("8bit")) || str_ieq(coding, STR("7bit"));
    return plain ? NULL : "its root part has a transfer coding";
}

static const char *on_data(void *ctx, struct str piece)
{
    struct xml *x = ctx;
    return x->root == ROOT_READ ? parse(x, piece, false) : NULL;
}

static const char *on_part_end(void *ctx)
{
    struct xml *x = ctx;
    if (x->root == ROOT_READ) {
        x->root = ROOT_BEHIND;
        return parse(x, STR_NONE, true);
    }
    x->root = x->other_passed ? ROOT_BEHIND : ROOT_AWAITED;
    return NULL;
}

static const struct multipart_events parts = {on_part, on_data, on_part_end};

struct xml *xml_new(const struct filter_request *r, const struct xml_events *events, void *ctx)
{
    struct xml *x = xnew(struct xml);
    struct str type = STR_NONE;
    bool one = text_content_type(r, &type), twice = false;
    enum charset charset = text_charset(type);
    const char *encoding = charset == CHARSET_UTF16LE   ? "UTF-16LE"
                           : charset == CHARSET_UTF16BE ? "UTF-16BE"
                                                        : NULL;
    x->events = events;
    x->ctx = ctx;
    x->parser = XML_ParserCreateNS(encoding, NAMESPACE_END);
    if (x->parser == NULL) {
        abort(); /* out of memory */
    }
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    XML_SetXmlDeclHandler(x->parser, on_declaration);
    if (!one) {
        x->fault = "it has more than one Content-Type";
    } else if (charset == CHARSET_UNKNOWN) {
        x->fault = "its character set is not read";
    } else if (str_istarts(type, STR("multipart/"))) {
        (void)text_param(type, STR("start"), &x->root_id, &twice);
        x->multipart = multipart_new(type, &parts, x, &x->fault);
    }
    if (twice) {
        x->fault = "it names its root part twice";
    }
    return x;
}

void xml_free(struct xml *x)
{
    if (x != NULL) {
        XML_ParserFree(x->parser);
        multipart_free(x->multipart);
        free(x);
    }
}

const char *xml_feed(struct xml *x, struct str piece)
{
    if (x->fault != NULL) {
        return x->fault;
    }
    if (x->multipart == NULL) {
        return parse(x, piece, false);
    }
    const char *fault = multipart_feed(x->multipart, piece);
    x->fault = x->fault == NULL ? fault : x->fault;
    return x->fault;
}

const char *xml_end(struct xml *x)
{
    if (x->fault != NULL) {
        return x->fault;
    }
    if (x->multipart == NULL) {
        return parse(x, STR_NONE, true);
    }
    const char *fault = multipart_end(x->multipart);
    x->fault = x->fault == NULL ? fault : x->fault;
    if (x->fault == NULL && x->root != ROOT_BEHIND) {
        x->fault = "it has no root part";
    }
    return x->fault;
}
