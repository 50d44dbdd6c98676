/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/answer.h"

#include "common/b64.h"
#include "common/err.h"
#include "common/mem.h"

#include <stdlib.h>

#define TEXT_MAX  600
#define LINK_MAX  8192
#define TOKEN_MAX 65536
#define LIFE_MAX  (48 * 3600) /* managed identities get 24 h */

json_t *answer_json(struct str text)
{
    return json_loadb(text.len > 0 ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, NULL);
}

static struct str text_of(json_t *value)
{
    return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
                                 : STR_NONE;
}

/* A number, or a string of digits, as managed identities give it. */
static bool number_of(json_t *value, uint64_t *out)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return true;
    }
    return json_is_string(value) && str_u64(text_of(value), out);
}

int answer_token(struct str text, struct answer_token *out)
{
    json_t *root = answer_json(text);
    struct str token = text_of(json_object_get(root, "access_token"));
    struct str refresh = text_of(json_object_get(root, "refresh_token"));
    uint64_t life = 0;
    int err = ERR_PROTOCOL;
    if (token.len > 0 && token.len <= TOKEN_MAX && refresh.len <= TOKEN_MAX &&
        number_of(json_object_get(root, "expires_in"), &life)) {
        err = 0;
        for (size_t i = 0; i < token.len; i++) { /* it goes into a header field */
            if (token.ptr[i] <= ' ' || token.ptr[i] > '~') {
                err = ERR_PROTOCOL;
            }
        }
    }
    if (err == 0) {
        *out = (struct answer_token){.life_s = MIN(life, LIFE_MAX)};
        buf_str(&out->token, token);
        buf_str(&out->refresh, refresh);
    }
    json_decref(root);
    return err;
}

static void forget(struct buf *b)
{
    if (b->ptr != NULL) {
        explicit_bzero(b->ptr, b->cap);
    }
    buf_free(b);
}

void answer_token_free(struct answer_token *t)
{
    forget(&t->token);
    forget(&t->refresh);
}

/* ---- errors ---- */

/* The member whose name is `name` but for case: both innererror and innerError are seen. */
static json_t *get_any_case(json_t *object, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (str_ieq(str_z(key), str_z(name))) {
            return value;
        }
    }
    return NULL;
}

static void put_line(struct buf *out, struct str s)
{
    size_t start = out->len;
    for (size_t i = 0; i < s.len && out->len - start < TEXT_MAX; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if (ch == '\n' || ch == '\t') {
            buf_char(out, ' ');
        } else if (ch >= ' ' && ch != 0x7f) {
            buf_char(out, (char)ch);
        }
    }
}

/* "Ex6F9304|Type.Of.Exception|text": the text, and the type's last part. */
static struct str split_detail(struct str message, struct str *type)
{
    struct str number, rest = message;
    *type = STR_NONE;
    if (str_index(message, '|') < 0 || !str_cut(&rest, '|', &number) || number.len > 16 ||
        !str_cut(&rest, '|', type) || rest.len == 0) {
        *type = STR_NONE;
        return message;
    }
    for (ptrdiff_t dot; (dot = str_index(*type, '.')) >= 0;) {
        *type = str_skip(*type, (size_t)dot + 1);
    }
    return rest;
}

/* The best text that an error object has, and the exception's type when it names one. */
static struct str error_of(json_t *root, struct str *type)
{
    json_t *error = json_object_get(root, "error");
    *type = STR_NONE;
    if (json_is_string(error)) { /* the sign-in's form */
        struct str text = text_of(json_object_get(root, "error_description"));
        *type = text_of(error);
        return text.len > 0 ? text : *type;
    }
    json_t *detail = json_array_get(get_any_case(error, "details"), 0);
    struct str text = split_detail(text_of(json_object_get(detail, "message")), type);
    if (text.len > 0) {
        return text;
    }
    json_t *inner = get_any_case(get_any_case(error, "innererror"), "internalexception");
    text = text_of(get_any_case(inner, "message"));
    return text.len > 0 ? text : text_of(get_any_case(error, "message"));
}

void answer_error_text(struct str text, struct buf *out)
{
    json_t *root = answer_json(text);
    struct str type, said = root != NULL ? error_of(root, &type) : text;
    put_line(out, said);
    json_decref(root);
}

void answer_error_code(struct str text, char *out, size_t size)
{
    json_t *root = answer_json(text);
    struct str type = STR_NONE;
    (void)error_of(root, &type);
    if (type.len == 0) {
        type = text_of(json_object_get(json_object_get(root, "error"), "code"));
    }
    size_t n = MIN(type.len, size - 1);
    memcpy(out, type.ptr != NULL ? type.ptr : "", n);
    out[n] = '\0';
    json_decref(root);
}

/* ---- pages ---- */

static void put_first(struct buf *out, json_t *list)
{
    json_t *first = json_array_get(list, 0);
    if (json_is_string(first)) {
        put_line(out, text_of(first));
    } else if (json_is_object(first)) {
        struct str type, said = split_detail(text_of(json_object_get(first, "message")), &type);
        put_line(out, said.len > 0 ? said : STR("an error without text"));
    }
}

int answer_page(struct str text, struct answer_page *out)
{
    *out = (struct answer_page){0};
    if (text.len == 0) {
        out->rows = json_array();
        return 0;
    }
    json_t *root = answer_json(text);
    json_t *rows = json_object_get(root, "value");
    json_t *errors = json_object_get(root, "@adminapi.errors");
    struct str next = text_of(json_object_get(root, "@odata.nextLink"));
    size_t i;
    json_t *row;
    bool good =
        json_is_array(rows) && next.len <= LINK_MAX && (errors == NULL || json_is_array(errors));
    json_array_foreach(rows, i, row)
    {
        good = good && json_is_object(row);
    }
    if (!good) {
        json_decref(root);
        return ERR_PROTOCOL;
    }
    out->rows = json_incref(rows);
    buf_str(&out->next, next);
    put_first(&out->warning, json_object_get(root, "@adminapi.warnings"));
    put_first(&out->error, errors);
    if (json_array_size(errors) > 0 && out->error.len == 0) {
        buf_z(&out->error, "an error without text");
    }
    json_decref(root);
    return 0;
}

void answer_page_free(struct answer_page *p)
{
    json_decref(p->rows);
    buf_free(&p->next);
    buf_free(&p->warning);
    buf_free(&p->error);
}

bool answer_link_path(struct str link, struct str host, struct str *path)
{
    if (!str_istarts(link, STR("https://")) || link.len > LINK_MAX) {
        return false;
    }
    struct str rest = str_skip(link, 8);
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/') {
        unsigned char ch = (unsigned char)ascii_lower(rest.ptr[end]);
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.' ||
              ch == ':')) {
            return false; /* user information, a query, escapes: not a host that we know */
        }
        end++;
    }
    struct str authority = str_of(rest.ptr, end), name;
    *path = str_skip(rest, end);
    for (size_t i = 0; i < path->len; i++) {
        if (path->ptr[i] <= ' ' || path->ptr[i] > '~') {
            return false;
        }
    }
    if (path->len == 0 || !str_cut(&authority, ':', &name)) {
        return false;
    }
    return str_ieq(name, host) ||
           (str_istarts(host, STR("outlook.")) &&
            (str_ieq(name, STR("outlook.office.com")) ||
             (name.len > 12 && str_ieq(str_skip(name, name.len - 12), STR(".outlook.com")))));
}

/* ---- settings and claims ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static json_t *sorted_texts(json_t *list)
{
    size_t count = json_array_size(list), i;
    json_t *value, *out = json_array();
    char **text = xcalloc(count + 1, sizeof(*text));
    bool good = true;
    json_array_foreach(list, i, value)
    {
        struct str s = str_trim(text_of(value));
        good = good && s.len > 0 && str_index(s, '\0') < 0;
        text[i] = xstrndup(s.len > 0 ? s.ptr : "", s.len);
        for (char *c = text[i]; *c != '\0'; c++) {
            *c = ascii_lower(*c);
        }
    }
    qsort(text, count, sizeof(*text), by_text);
    for (i = 0; i < count; i++) {
        json_array_append_new(out, json_string(text[i]));
        free(text[i]);
    }
    free(text);
    if (!good) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *answer_photo_settings(json_t *object)
{
    json_t *source = json_object_get(object, "source");
    json_t *roles = json_object_get(object, "allowedRoles");
    bool empty = roles == NULL || json_is_null(roles) ||
                 (json_is_object(roles) && json_object_size(roles) == 0);
    bool known = json_is_object(object) && (empty || json_is_array(roles)) &&
                 (source == NULL || json_is_null(source) || json_is_string(source)) &&
                 (source != NULL || roles != NULL);
    if (!known) {
        return NULL;
    }
    json_t *list = empty ? json_array() : sorted_texts(roles);
    if (list == NULL) {
        return NULL;
    }
    bool none = !json_is_string(source) || json_string_length(source) == 0;
    return json_pack("{s:o, s:o}", "source", none ? json_null() : json_incref(source),
                     "allowedRoles", list);
}

json_t *answer_claims(struct str token)
{
    struct str head, claims;
    struct buf text = {0};
    json_t *out = NULL;
    if (str_cut(&token, '.', &head) && str_cut(&token, '.', &claims) &&
        b64_decode(&text, claims, B64_URL) == 0) {
        out = answer_json(buf_view(&text));
    }
    forget(&text);
    if (out != NULL && !json_is_object(out)) {
        json_decref(out);
        out = NULL;
    }
    return out;
}
