/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/exo.h"

#include "common/err.h"

#include <errno.h>
#include <stdlib.h>

#define PAGES_MAX 20000

static void put_json(struct buf *out, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);
    if (text == NULL) {
        abort(); /* our own value: out of memory, or not UTF-8, which nothing here can make */
    }
    buf_z(out, text);
    free(text);
}

void exo_call(const struct client *cl, struct call *c, const char *cmdlet, json_t *parameters,
              const char *select)
{
    c->api = API_EXCHANGE;
    c->method = "POST";
    c->cmdlet = cmdlet;
    c->write = !str_starts(str_z(cmdlet), STR("Get-"));
    buf_printf(&c->path, "/adminapi/beta/%s/InvokeCommand", client_conf(cl)->tenant.id.text.ptr);
    if (select != NULL) {
        buf_printf(&c->path, "?$select=%s", select);
    }
    json_t *body = json_pack("{s:{s:s, s:o}}", "CmdletInput", "CmdletName", cmdlet, "Parameters",
                             parameters != NULL ? parameters : json_object());
    put_json(&c->body, body);
    json_decref(body);
}

void graph_call(struct call *c, const char *method, const char *path, json_t *body)
{
    c->api = API_GRAPH;
    c->method = method;
    c->write = strcmp(method, "GET") != 0;
    for (; *path != '\0';
         path++) { /* names in filters may hold spaces and what else people write */
        unsigned char ch = (unsigned char)*path;
        if (ch > ' ' && ch < 0x7f && strchr("\"<>\\^`{|}#", ch) == NULL) {
            buf_char(&c->path, (char)ch);
        } else {
            buf_printf(&c->path, "%%%02X", ch);
        }
    }
    if (body != NULL) {
        put_json(&c->body, body);
        json_decref(body);
    }
}

static void next_page(struct call *c, struct str path)
{
    buf_clear(&c->path);
    buf_str(&c->path, path);
    c->s.tries = c->s.hops = c->s.renewals = 0;
    c->s.not_before_ms = 0;
}

/* Goes on to the next page. ERR_EOF at the end of the list. */
static int follow(struct client *cl, struct call *c, const struct answer_page *page,
                  struct buf *why)
{
    struct str path;
    struct str host = c->api == API_EXCHANGE ? client_conf(cl)->tenant.exchange_host.text
                                             : client_conf(cl)->tenant.graph_host.text;
    if (page->next.len == 0) {
        return ERR_EOF;
    }
    if (!answer_link_path(buf_view(&page->next), host, &path)) {
        buf_z(why, "a list goes on at another host; nothing was asked there");
        return ERR_PROTOCOL;
    }
    next_page(c, path);
    return 0;
}

int list_each(struct client *cl, struct call *c, list_row *row, void *arg, struct buf *why)
{
    int err = 0;
    for (unsigned i = 0; err == 0; i++) {
        struct answer_page page;
        err = client_do(cl, c);
        if (err != 0) {
            buf_clear(why);
            buf_str(why, buf_view(&c->why));
            break;
        }
        if (answer_page(buf_view(&c->answer), &page) != 0 || i == PAGES_MAX) {
            buf_z(why, "the answer has a form that is not known");
            err = ERR_PROTOCOL;
            break;
        }
        if (page.error.len > 0) {
            buf_str(why, buf_view(&page.error));
            err = ERR_PROTOCOL;
        }
        if (str_find(buf_view(&page.warning), STR("more results available")) >= 0) {
            buf_z(why, "the service gave a part of the list only");
            err = ERR_LIMIT;
        }
        bool on = err == 0;
        size_t n;
        json_t *item;
        json_array_foreach(page.rows, n, item)
        {
            on = on && row(arg, item);
        }
        if (err == 0) {
            err = on ? follow(cl, c, &page, why) : ERR_EOF;
        }
        answer_page_free(&page);
    }
    call_free(c);
    return err == ERR_EOF ? 0 : err;
}

struct collect {
    json_t *rows;
    size_t max;
    bool full;
};

static bool collect_row(void *arg, json_t *row)
{
    struct collect *c = arg;
    if (json_array_size(c->rows) == c->max) {
        c->full = true;
        return false;
    }
    json_array_append(c->rows, row);
    return true;
}

int list_all(struct client *cl, struct call *c, size_t max, json_t **rows, struct buf *why)
{
    struct collect all = {.rows = json_array(), .max = max};
    int err = list_each(cl, c, collect_row, &all, why);
    if (err == 0 && all.full) {
        buf_printf(why, "the list has more than %zu entries", max);
        err = ERR_LIMIT;
    }
    if (err != 0) {
        json_decref(all.rows);
        all.rows = NULL;
    }
    *rows = all.rows;
    return err;
}

int graph_get(struct client *cl, const char *path, json_t **object, struct buf *why)
{
    struct call c = {0};
    graph_call(&c, "GET", path, NULL);
    int err = client_do(cl, &c);
    *object = err == 0 ? answer_json(buf_view(&c.answer)) : NULL;
    if (err != 0) {
        buf_clear(why);
        buf_str(why, buf_view(&c.why));
    } else if (!json_is_object(*object)) {
        json_decref(*object);
        *object = NULL;
        buf_z(why, "the answer has a form that is not known");
        err = ERR_PROTOCOL;
    }
    call_free(&c);
    return err;
}

const char *row_text(json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text != NULL ? text : "";
}
