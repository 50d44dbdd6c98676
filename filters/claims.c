/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/claims.h"

#include "common/b64.h"
#include "common/err.h"

#include <jansson.h>

/* Fields by which some Microsoft services also take a credential; a form may hold one, too
 * (RFC 6750, 2.2). */
static bool is_credential(const struct filter_field *f)
{
    static const char *const names[] = {"x-skypetoken",
                                        "authentication",
                                        "x-ms-token-aad-access-token",
                                        "x-authorization",
                                        "x-ms-authorization-auxiliary",
                                        "msauthtoken"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_ieq(f->name, str_z(names[i]))) {
            return true;
        }
    }
    return str_ieq(f->name, STR("content-type")) &&
           str_istarts(str_trim(f->value), STR("application/x-www-form-urlencoded"));
}

/* Parameters that carry a token (RFC 6750, 2.3, and what Loki and SharePoint take), or the header
 * fields in the body. */
static bool is_credential_parameter(struct str name)
{
    static const char *const names[] = {
        "access_token", "authtoken", "token",          "authorization",
        "tempauth",     "id_token",  "convertgetpost", "convertsimplerequest"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_ieq(str_trim(name), str_z(names[i]))) {
            return true;
        }
    }
    return false;
}

bool claims_token(const struct canon *c, enum class_bearer host, struct str *token)
{
    const struct filter_request *r = c->request;
    size_t seen = 0;
    if (host == BEARER_NO) {
        return false;
    }
    for (size_t i = 0; i < r->fields; i++) {
        const struct filter_field *f = &r->field[i];
        if (str_ieq(f->name, STR("authorization"))) {
            seen++;
            *token = str_trim(f->value);
        } else if (is_credential(f) || (host != BEARER_ONLY && str_ieq(f->name, STR("cookie")))) {
            return false;
        }
    }
    for (size_t i = 0; i < c->pairs; i++) {
        if (is_credential_parameter(c->query[i].name)) {
            return false;
        }
    }
    if (seen != 1 || c->path.faults & PATH_QUERY || !str_istarts(*token, STR("bearer "))) {
        return false;
    }
    *token = str_trim(str_skip(*token, 7));
    return token->len > 0;
}

static struct str text_of(const json_t *object, const char *name, struct arena *a)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value)
               ? arena_str(a, str_of(json_string_value(value), json_string_length(value)))
               : STR_NONE;
}

static struct claims_list list_of(const json_t *object, const char *name, struct arena *a)
{
    const json_t *array = json_object_get(object, name);
    struct claims_list list = {0};
    size_t count = json_array_size(array); /* 0 when it is none */
    if (count > CLAIMS_VALUES) {
        return list;
    }
    list.item = arena_alloc(a, (count + 1) * sizeof(*list.item));
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        if (json_is_string(value)) {
            list.item[list.count++] =
                arena_str(a, str_of(json_string_value(value), json_string_length(value)));
        }
    }
    return list;
}

static int read_payload(struct str json, struct claims *out, struct arena *a)
{
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return ERR_SYNTAX;
    }
    struct str idtyp = text_of(root, "idtyp", a);
    struct str app = text_of(root, "appid", a);
    const json_t *exp = json_object_get(root, "exp");
    *out = (struct claims){
        .tid = text_of(root, "tid", a),
        .oid = text_of(root, "oid", a),
        .upn = text_of(root, "upn", a),
        .app = app.len > 0 ? app : text_of(root, "azp", a),
        .wids = list_of(root, "wids", a),
        .exp = json_is_integer(exp) ? (int64_t)json_integer_value(exp) : 0,
        .app_only =
            str_eq(idtyp, STR("app")) || (idtyp.len == 0 && json_object_get(root, "scp") == NULL),
    };
    json_decref(root);
    return 0;
}

int claims_read(struct str token, struct claims *out, struct arena *a)
{
    struct str rest = token, part[3];
    size_t parts = 0;
    if (token.len > CLAIMS_TOKEN) {
        return ERR_LIMIT;
    }
    while (parts < 3 && str_cut(&rest, '.', &part[parts])) {
        parts++;
    }
    if (parts != 3 || rest.ptr != NULL || part[0].len == 0) {
        return ERR_SYNTAX;
    }
    struct buf json = {0};
    int err = b64_decode(&json, part[1], B64_URL);
    if (err == 0) {
        err = read_payload(buf_view(&json), out, a);
    }
    buf_free(&json);
    return err;
}
