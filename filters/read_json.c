/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of JSON bodies. "fields" says each member that has a plain value as "name=value", however
 * deep it lies, and does the same for a form. "cmdlet" says the PowerShell commands of Exchange's
 * InvokeCommand as "set-userphoto", and their parameters as "set-userphoto identity".
 */
#include "common/utf8.h"
#include "filters/json.h"
#include "filters/reader.h"

#include <stdlib.h>

struct json_reader {
    const struct reader_sink *sink;
    const struct canon *c;
    struct buf body, act;
};

static void *json_reader_open(const struct reader_sink *sink, const struct canon *c)
{
    struct json_reader *r = xnew(struct json_reader);
    r->sink = sink;
    r->c = c;
    return r;
}

static const char *json_reader_feed(void *reader, struct str piece)
{
    struct json_reader *r = reader;
    buf_str(&r->body, piece);
    return NULL;
}

static void json_reader_close(void *reader)
{
    struct json_reader *r = reader;
    buf_free(&r->body);
    buf_free(&r->act);
    free(r);
}

static void say(struct json_reader *r)
{
    r->sink->act(r->sink->ctx, buf_view(&r->act));
}

/* ---- fields ---- */

static void say_field(struct json_reader *r, struct str name, struct str value)
{
    buf_clear(&r->act);
    reader_put(&r->act, name);
    buf_char(&r->act, '=');
    reader_put(&r->act, value);
    say(r);
}

/* `name` is that of the nearest member above. */
static void walk_fields(struct json_reader *r, struct str name, json_t *value)
{
    const char *key;
    json_t *one;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach(value, key, one)
        {
            walk_fields(r, str_z(key), one);
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, one)
        {
            walk_fields(r, name, one);
        }
    } else if (!json_is_null(value)) {
        say_field(r, name, json_view(value));
    }
}

static void walk_form(struct json_reader *r)
{
    struct str rest = buf_view(&r->body), pair, name;
    struct arena a = {0};
    while (str_cut(&rest, '&', &pair)) {
        if (str_cut(&pair, '=', &name)) {
            say_field(r, path_decode_loose(name, true, &a), path_decode_loose(pair, true, &a));
        }
    }
    arena_free(&a);
}

static const char *fields_end(void *reader)
{
    struct json_reader *r = reader;
    struct str type;
    json_t *root;
    if (text_content_type(r->c->request, &type) &&
        str_ieq(text_type(type), STR("application/x-www-form-urlencoded"))) {
        walk_form(r);
        return NULL;
    }
    const char *fault = json_read_body(buf_view(&r->body), r->c->request, &root);
    if (fault == NULL) {
        walk_fields(r, STR_NONE, root);
    }
    json_decref(root);
    return fault;
}

const struct reader_kind reader_fields = {
    .name = "fields",
    .open = json_reader_open,
    .feed = json_reader_feed,
    .end = fields_end,
    .close = json_reader_close,
};

/* ---- cmdlet ---- */

/*
 * The name without its module ("Module\Set-X") and with one kind of dash: PowerShell takes the
 * typographic ones for it, too (about_Parsing: en dash, em dash, horizontal bar).
 */
static void put_cmdlet(struct buf *out, struct str name)
{
    struct buf plain = {0};
    while (name.len > 0) {
        uint32_t cp = 0;
        size_t len = utf8_decode(name, &cp);
        bool dash = (cp >= 0x2010 && cp <= 0x2015) || cp == 0x2212;
        len = len > 0 ? len : 1;
        if (name.ptr[0] == '\\' || name.ptr[0] == '/') {
            buf_clear(&plain);
        } else if (dash) {
            buf_char(&plain, '-');
        } else {
            buf_put(&plain, name.ptr, len);
        }
        name = str_skip(name, len);
    }
    reader_put(out, buf_view(&plain));
    buf_free(&plain);
}

static void say_cmdlet(struct json_reader *r, struct str name, json_t *object)
{
    const char *key, *parameter;
    json_t *value, *ignored;
    buf_clear(&r->act);
    put_cmdlet(&r->act, name);
    say(r);
    size_t word = r->act.len;
    json_object_foreach(object, key, value)
    {
        if (!str_ieq(str_z(key), STR("parameters"))) {
            continue;
        }
        json_object_foreach(value, parameter, ignored)
        {
            struct str text = str_z(parameter);
            r->act.len = word;
            buf_char(&r->act, ' ');
            reader_put(&r->act, str_starts(text, STR("-")) ? str_skip(text, 1) : text);
            say(r);
        }
    }
}

static const char *walk_cmdlets(struct json_reader *r, json_t *value)
{
    const char *key, *fault = NULL;
    json_t *one;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach(value, key, one)
        {
            bool name = str_ieq(str_z(key), STR("cmdletname"));
            if (name && !json_is_string(one)) {
                fault = "its CmdletName is no text";
            } else if (name) {
                say_cmdlet(r, json_view(one), value);
            } else if (fault == NULL) {
                fault = walk_cmdlets(r, one);
            }
        }
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, one)
        {
            fault = fault == NULL ? walk_cmdlets(r, one) : fault;
        }
    }
    return fault;
}

static const char *cmdlet_end(void *reader)
{
    struct json_reader *r = reader;
    json_t *root;
    const char *fault = json_read_body(buf_view(&r->body), r->c->request, &root);
    if (fault == NULL) {
        fault = walk_cmdlets(r, root);
    }
    json_decref(root);
    return fault;
}

const struct reader_kind reader_cmdlet = {
    .name = "cmdlet",
    .open = json_reader_open,
    .feed = json_reader_feed,
    .end = cmdlet_end,
    .close = json_reader_close,
};
