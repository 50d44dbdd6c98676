/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader of batches: {"requests":[{"id","method","url","headers","body"}]} (Microsoft Graph, JSON
 * batching; OData JSON 4.01, 19) and multipart/mixed (OData 4.0, 11.7), by the Content-Type. It
 * says each request in it as an item. A batch is read whole.
 */
#include "common/b64.h"
#include "common/cc.h"
#include "filters/json.h"
#include "filters/multipart.h"
#include "filters/reader.h"

#include <stdlib.h>

#define ITEM_FIELDS 64

struct batch {
    const struct reader_sink *sink;
    const struct canon *c;
    struct buf body;             /* JSON: all of it */
    struct multipart *multipart; /* or this */
    struct multipart *inner;     /* a change set in it */
    const char *fault;
    struct buf part; /* a request in a part */
    size_t items;
};

static const char not_batch[] = "it is not the list of requests that a batch is";
static const char too_many[] = "it has too many requests";

/* ---- JSON ---- */

static const char *take_headers(json_t *headers, struct reader_item *item,
                                struct filter_field *field)
{
    const char *name;
    json_t *value;
    if (headers == NULL || json_is_null(headers)) {
        return NULL;
    }
    if (!json_is_object(headers)) {
        return not_batch;
    }
    json_object_foreach(headers, name, value)
    {
        if (item->fields == ITEM_FIELDS) {
            return "a request in it has too many header fields";
        }
        if (json_is_string(value)) {
            field[item->fields++] = (struct filter_field){str_trim(str_z(name)), json_view(value)};
        } else if (json_is_object(value) || json_is_array(value)) {
            return not_batch;
        }
    }
    return NULL;
}

/* A JSON body stands as it is; any other is text in a string, or base64 in one. */
static char *take_body(json_t *body, struct reader_item *item, struct buf *bytes)
{
    if (json_is_string(body)) {
        struct str text = json_view(body);
        bool url = str_index(text, '-') >= 0 || str_index(text, '_') >= 0;
        item->body[item->bodies++] = text;
        if (b64_decode(bytes, text, url ? B64_URL : B64_STANDARD) == 0 && bytes->len > 0) {
            item->body[item->bodies++] = buf_view(bytes);
        }
    } else if (body != NULL && !json_is_null(body)) {
        char *text = json_dumps(body, JSON_ENCODE_ANY | JSON_COMPACT);
        if (text != NULL) {
            item->body[item->bodies++] = str_z(text);
        }
        return text;
    }
    return NULL;
}

static const char *take_item(struct batch *b, json_t *request)
{
    struct filter_field field[ITEM_FIELDS];
    struct reader_item item = {.field = field};
    struct buf id = {0}, bytes = {0};
    bool twice = false;
    if (!json_is_object(request)) {
        return not_batch;
    }
    json_t *name = json_member(request, "id", &twice);
    json_t *method = json_member(request, "method", &twice);
    json_t *url = json_member(request, "url", &twice);
    const char *fault = take_headers(json_member(request, "headers", &twice), &item, field);
    json_t *body = json_member(request, "body", &twice);
    if (fault != NULL || twice) {
        return twice ? "a request in it has a name twice" : fault;
    }
    if (!json_is_string(url) || (method != NULL && !json_is_string(method))) {
        return "a request in it has no url or no readable method";
    }
    if (json_is_string(name)) {
        buf_str(&id, json_view(name));
    } else {
        buf_printf(&id, "#%zu", b->items);
    }
    item.id = buf_view(&id);
    item.method = method != NULL ? json_view(method) : STR("POST");
    item.url = json_view(url);
    char *text = take_body(body, &item, &bytes);
    b->sink->item(b->sink->ctx, &item);
    free(text);
    buf_free(&bytes);
    buf_free(&id);
    return NULL;
}

static const char *take_json(struct batch *b)
{
    json_t *root, *request;
    size_t i;
    bool twice = false;
    const char *fault = json_read_body(buf_view(&b->body), b->c->request, &root);
    json_t *requests = fault == NULL ? json_member(root, "requests", &twice) : NULL;
    if (fault == NULL && (twice || !json_is_array(requests))) {
        fault = twice ? "it has its list of requests twice" : not_batch;
    }
    if (fault == NULL && json_array_size(requests) > READER_ITEMS) {
        fault = too_many;
    }
    if (fault == NULL) {
        json_array_foreach(requests, i, request)
        {
            b->items++;
            fault = take_item(b, request);
            if (fault != NULL) {
                break;
            }
        }
    }
    json_decref(root);
    return fault;
}

/* ---- multipart ---- */

static struct str without_version(struct str line)
{
    struct str rest = line, piece;
    while (str_cut(&rest, ' ', &piece) && rest.ptr != NULL) {
        if (str_istarts(rest, STR("HTTP/")) && str_index(rest, ' ') < 0) {
            return str_of(line.ptr, (size_t)(rest.ptr - line.ptr) - 1);
        }
    }
    return line;
}

/* "METHOD URL HTTP/1.1", fields, body. */
static const char *take_request(struct batch *b, struct str text)
{
    struct filter_field field[ITEM_FIELDS];
    struct reader_item item = {.field = field};
    struct str line = STR_NONE, first;
    struct buf id = {0};
    if (++b->items > READER_ITEMS) {
        return too_many;
    }
    while (str_starts(text, STR("\r\n")) || str_starts(text, STR("\n"))) {
        text = str_skip(text, text.ptr[0] == '\r' ? 2 : 1);
    }
    bool more = str_cut(&text, '\n', &line);
    line.len -= line.len > 0 && line.ptr[line.len - 1] == '\r';
    line = without_version(line);
    if (!more || str_index(line, '\r') >= 0 || !str_cut(&line, ' ', &item.method) ||
        line.ptr == NULL || str_trim(line).len == 0) {
        return "a request in it has no request line";
    }
    item.url = str_trim(line);
    if (text.ptr != NULL && text.len > 0 &&
        !multipart_fields(&text, field, ITEM_FIELDS, &item.fields)) {
        return "a request in it has a header that cannot be read";
    }
    if (text.len > 0) {
        item.body[item.bodies++] = text;
    }
    buf_printf(&id, "#%zu", b->items);
    item.id = buf_view(&id);
    b->sink->item(b->sink->ctx, &item);
    struct str url = item.url;
    if (str_cut(&url, ' ', &first) &&
        url.ptr != NULL) { /* some take what stands before the blank */
        item.url = first;
        b->sink->item(b->sink->ctx, &item);
    }
    buf_free(&id);
    return NULL;
}

static const char *on_part(void *ctx, const struct filter_field *field, size_t fields);

static const char *on_data(void *ctx, struct str piece)
{
    struct batch *b = ctx;
    buf_str(&b->part, piece);
    return NULL;
}

static const char *on_part_end(void *ctx)
{
    struct batch *b = ctx;
    const char *fault = take_request(b, buf_view(&b->part));
    buf_clear(&b->part);
    return fault;
}

static const char *on_outer_data(void *ctx, struct str piece)
{
    struct batch *b = ctx;
    return b->inner != NULL ? multipart_feed(b->inner, piece) : on_data(ctx, piece);
}

static const char *on_outer_end(void *ctx)
{
    struct batch *b = ctx;
    if (b->inner == NULL) {
        return on_part_end(ctx);
    }
    const char *fault = multipart_end(b->inner);
    multipart_free(b->inner);
    b->inner = NULL;
    return fault;
}

static const struct multipart_events inner_events = {on_part, on_data, on_part_end};
static const struct multipart_events outer_events = {on_part, on_outer_data, on_outer_end};

static const char *on_part(void *ctx, const struct filter_field *field, size_t fields)
{
    struct batch *b = ctx;
    struct str type = multipart_field(field, fields, STR("content-type"));
    struct str coding = multipart_field(field, fields, STR("content-transfer-encoding"));
    const char *fault = NULL;
    if (multipart_twice(field, fields, STR("content-type"))) {
        return "a part of it has two Content-Types";
    }
    if (coding.len > 0 && !str_ieq(coding, STR("binary")) && !str_ieq(coding, STR("8bit")) &&
        !str_ieq(coding, STR("7bit"))) {
        return "a part of it has a transfer coding";
    }
    if (str_ieq(text_type(type), STR("application/http"))) {
        return NULL;
    }
    if (!str_ieq(text_type(type), STR("multipart/mixed")) || b->inner != NULL) {
        return "a part of it is no request";
    }
    b->inner = multipart_new(type, &inner_events, b, &fault);
    return fault;
}

/* ---- either ---- */

static void *batch_open(const struct reader_sink *sink, const struct canon *c)
{
    struct batch *b = xnew(struct batch);
    struct str type;
    b->sink = sink;
    b->c = c;
    if (!text_content_type(c->request, &type)) {
        b->fault = "it has more than one Content-Type";
    } else if (str_istarts(type, STR("multipart/"))) {
        b->multipart = multipart_new(type, &outer_events, b, &b->fault);
    }
    return b;
}

static const char *batch_feed(void *reader, struct str piece)
{
    struct batch *b = reader;
    if (b->fault == NULL && b->multipart != NULL) {
        b->fault = multipart_feed(b->multipart, piece);
    } else if (b->fault == NULL) {
        buf_str(&b->body, piece);
    }
    return b->fault;
}

static const char *batch_end(void *reader)
{
    struct batch *b = reader;
    if (b->fault != NULL) {
        return b->fault;
    }
    return b->multipart != NULL ? multipart_end(b->multipart) : take_json(b);
}

static void batch_close(void *reader)
{
    struct batch *b = reader;
    multipart_free(b->inner);
    multipart_free(b->multipart);
    buf_free(&b->part);
    buf_free(&b->body);
    free(b);
}

const struct reader_kind reader_batch = {
    .name = "batch",
    .items = true,
    .open = batch_open,
    .feed = batch_feed,
    .end = batch_end,
    .close = batch_close,
};
