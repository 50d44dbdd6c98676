/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/json.h"

#include "filters/reader.h"

/* Numbers are of no interest, but too long a one is no fault. */
#define JSON_FLAGS (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

/* Depth and number of values, before a parser allocates for them: outside of strings only brackets,
 * braces and commas count. */
static const char *check_size(struct str s)
{
    size_t depth = 0, values = 1;
    bool string = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (string) {
            i += c == '\\';
            string = c != '"';
        } else if (c == '"') {
            string = true;
        } else if (c == '[' || c == '{') {
            values++;
            if (++depth > READER_DEPTH) {
                return "its JSON is nested too deeply";
            }
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',' && ++values > READER_VALUES) {
            return "its JSON has too many values";
        }
    }
    return values > READER_VALUES ? "its JSON has too many values" : NULL;
}

const char *json_read(struct str text, json_t **out)
{
    json_error_t error;
    const char *fault = check_size(text);
    *out = NULL;
    if (fault != NULL) {
        return fault;
    }
    *out = json_loadb(text.ptr, text.len, JSON_FLAGS, &error);
    if (*out != NULL) {
        return NULL;
    }
    switch (json_error_code(&error)) {
    case json_error_duplicate_key:
        return "its JSON has a name twice in one object";
    case json_error_end_of_input_expected:
        return "there is something behind its JSON";
    case json_error_premature_end_of_input:
        return "its JSON is cut off";
    default:
        return "it is not JSON";
    }
}

const char *json_read_body(struct str raw, const struct filter_request *r, json_t **out)
{
    struct buf b = {0};
    struct str type, text;
    const char *fault;
    *out = NULL;
    if (!text_content_type(r, &type)) {
        return "it has more than one Content-Type";
    }
    fault = text_utf8(raw, text_charset(type), &b, &text);
    if (fault == NULL) {
        fault = json_read(text, out);
    }
    buf_free(&b);
    return fault;
}

json_t *json_member(json_t *object, const char *name, bool *twice)
{
    const char *key;
    json_t *value, *found = NULL;
    json_object_foreach(object, key, value)
    {
        if (str_ieq(str_z(key), str_z(name))) {
            *twice |= found != NULL;
            found = value;
        }
    }
    return found;
}

struct str json_view(const json_t *value)
{
    return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
                                 : STR_NONE;
}
