/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schema.h"

#include "common/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct unit {
    const char *name;
    uint64_t times;
};

static bool read_with_unit(struct str text, const struct unit *units, uint64_t *out)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        digits++;
    }
    struct str unit = str_skip(text, digits);
    if (!str_u64(str_of(text.ptr, digits), out)) {
        return false;
    }
    for (; units->name != NULL; units++) {
        if (str_eq(unit, str_z(units->name))) {
            return !__builtin_mul_overflow(*out, units->times, out);
        }
    }
    return false;
}

bool schema_duration(struct str text, uint64_t *ms)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    return read_with_unit(text, units, ms);
}

bool schema_size(struct str text, uint64_t *bytes)
{
    static const struct unit units[] = {{"", 1},           {"B", 1},          {"KiB", 1u << 10},
                                        {"MiB", 1u << 20}, {"GiB", 1u << 30}, {NULL, 0}};
    return read_with_unit(text, units, bytes);
}

static void wrong_kind(struct schema_reader *r, const struct toml_node *value, const char *wanted)
{
    diag_error(r->diag, toml_at(r->doc, value), "%s%swants %s, not %s",
               value->key.len > 0 ? value->key.ptr : "", value->key.len > 0 ? " " : "", wanted,
               toml_kind_name(value->kind));
}

bool schema_string(struct schema_reader *r, const struct toml_node *value, struct schema_str *out)
{
    if (value->kind != TOML_STRING) {
        wrong_kind(r, value, "a string");
        return false;
    }
    if (str_index(value->string, '\0') >= 0) {
        diag_error(r->diag, toml_at(r->doc, value), "a string may not hold a NUL");
        return false;
    }
    struct diag_at at = toml_at(r->doc, value);
    at.file = arena_strz(r->arena, str_z(at.file));
    *out = (struct schema_str){.text = arena_str(r->arena, value->string), .at = at};
    return true;
}

static size_t count_children(const struct toml_node *node)
{
    size_t n = 0;
    for (const struct toml_node *c = node->child; c != NULL; c = c->next) {
        n++;
    }
    return n;
}

static void read_strings(struct schema_reader *r, const struct toml_node *value,
                         struct schema_strs *out)
{
    if (value->kind != TOML_ARRAY) {
        wrong_kind(r, value, "a list of strings");
        return;
    }
    out->item = arena_zalloc(r->arena, count_children(value) * sizeof(*out->item));
    out->count = 0;
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        if (schema_string(r, c, &out->item[out->count])) {
            out->count++;
        }
    }
}

static void read_nets(struct schema_reader *r, const struct toml_node *value, struct ip_nets *out)
{
    if (value->kind != TOML_ARRAY) {
        wrong_kind(r, value, "a list of networks");
        return;
    }
    out->net = arena_zalloc(r->arena, count_children(value) * sizeof(*out->net));
    out->count = 0;
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        if (c->kind != TOML_STRING) {
            wrong_kind(r, c, "a network as a string");
        } else if (!ip_net_parse(c->string, &out->net[out->count])) {
            diag_error(r->diag, toml_at(r->doc, c),
                       "\"%s\" is no address or network; write 10.0.0.0/8, 192.0.2.7 or "
                       "2001:db8::/32, with no bits set "
                       "behind the prefix",
                       c->string.ptr);
        } else {
            out->count++;
        }
    }
}

static void read_enum(struct schema_reader *r, const struct toml_node *value,
                      const struct schema_field *f, int *out)
{
    struct buf names = {0};
    for (int i = 0; f->names[i] != NULL; i++) {
        if (value->kind == TOML_STRING && str_eq(value->string, str_z(f->names[i]))) {
            *out = i;
            buf_free(&names);
            return;
        }
        buf_printf(&names, "%s\"%s\"", i > 0 ? ", " : "", f->names[i]);
    }
    diag_error(r->diag, toml_at(r->doc, value), "%s is one of %s", f->key, buf_cstr(&names));
    buf_free(&names);
}

static void range_text(const struct schema_field *f, int64_t n, char *out, size_t size)
{
    if (f->kind == SCHEMA_DURATION) {
        bool seconds = n % 1000 == 0;
        snprintf(out, size, "%" PRId64 "%s", seconds ? n / 1000 : n, seconds ? "s" : "ms");
    } else if (f->kind == SCHEMA_SIZE && n % 1024 == 0 && n > 0) {
        bool mega = n % (1 << 20) == 0;
        snprintf(out, size, "%" PRId64 "%s", mega ? n >> 20 : n >> 10, mega ? "MiB" : "KiB");
    } else {
        snprintf(out, size, "%" PRId64, n);
    }
}

static bool in_range(struct schema_reader *r, const struct toml_node *value,
                     const struct schema_field *f, uint64_t n)
{
    if (n <= INT64_MAX && (int64_t)n >= f->min && (int64_t)n <= f->max) {
        return true;
    }
    char low[32], high[32];
    range_text(f, f->min, low, sizeof(low));
    range_text(f, f->max, high, sizeof(high));
    diag_error(r->diag, toml_at(r->doc, value), "%s lies between %s and %s", f->key, low, high);
    return false;
}

static void read_scaled(struct schema_reader *r, const struct toml_node *value,
                        const struct schema_field *f, uint64_t *out)
{
    bool duration = f->kind == SCHEMA_DURATION;
    uint64_t n = 0;
    bool ok = value->kind == TOML_STRING
                  ? (duration ? schema_duration : schema_size)(value->string, &n)
                  : !duration && value->kind == TOML_INTEGER && value->integer >= 0;
    if (!ok) {
        diag_error(r->diag, toml_at(r->doc, value), "%s wants %s", f->key,
                   duration ? "a time such as \"250ms\", \"30s\", \"5m\", \"48h\""
                            : "a size such as 4096, \"64KiB\", \"4MiB\"");
        return;
    }
    if (value->kind == TOML_INTEGER) {
        n = (uint64_t)value->integer;
    }
    if (in_range(r, value, f, n)) {
        *out = n;
    }
}

static void read_field(struct schema_reader *r, const struct toml_node *value, const char *path,
                       const struct schema_field *f, void *object)
{
    void *member = (char *)object + f->offset;
    switch (f->kind) {
    case SCHEMA_STRING:
        (void)schema_string(r, value, member);
        break;
    case SCHEMA_STRINGS:
        read_strings(r, value, member);
        break;
    case SCHEMA_BOOL:
        if (value->kind != TOML_BOOLEAN) {
            wrong_kind(r, value, "true or false");
        } else {
            *(bool *)member = value->boolean;
        }
        break;
    case SCHEMA_INT:
        if (value->kind != TOML_INTEGER) {
            wrong_kind(r, value, "a number");
        } else if (value->integer >= f->min && value->integer <= f->max) {
            *(int64_t *)member = value->integer;
        } else {
            (void)in_range(r, value, f, (uint64_t)INT64_MAX + 1);
        }
        break;
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
        read_scaled(r, value, f, member);
        break;
    case SCHEMA_ENUM:
        read_enum(r, value, f, member);
        break;
    case SCHEMA_NETS:
        read_nets(r, value, member);
        break;
    case SCHEMA_TABLE: {
        struct buf inner = {0};
        buf_printf(&inner, "%s.%s", path, f->key);
        if (value->kind != TOML_TABLE) {
            wrong_kind(r, value, "a table");
        } else {
            int ignored = schema_read(r, value, buf_cstr(&inner), f->fields, member);
            (void)ignored; /* counted in r->diag */
        }
        buf_free(&inner);
        break;
    }
    case SCHEMA_CUSTOM:
        f->read(r, value, member);
        break;
    }
}

void schema_unknown_key(struct schema_reader *r, const struct toml_node *key, const char *path,
                        const char *const *known)
{
    const char *nearest = NULL;
    unsigned best = 3;
    for (; *known != NULL; known++) {
        unsigned distance = str_distance(key->key, str_z(*known), best);
        if (distance < best) {
            best = distance;
            nearest = *known;
        }
    }
    struct diag_at at = toml_at_key(r->doc, key);
    const char *open = path[0] != '\0' ? " in [" : "", *close = path[0] != '\0' ? "]" : "";
    if (nearest != NULL) {
        diag_error(r->diag, at, "unknown key \"%s\"%s%s%s; did you mean \"%s\"?", key->key.ptr,
                   open, path, close, nearest);
    } else {
        diag_error(r->diag, at, "unknown key \"%s\"%s%s%s; remove it", key->key.ptr, open, path,
                   close);
    }
}

int schema_read(struct schema_reader *r, const struct toml_node *table, const char *path,
                const struct schema_field *fields, void *object)
{
    const unsigned before = r->diag->errors;
    size_t count = 0;
    while (fields[count].key != NULL) {
        count++;
    }
    for (const struct toml_node *value = table->child; value != NULL; value = value->next) {
        const struct schema_field *f = fields;
        while (f->key != NULL && !str_eq(value->key, str_z(f->key))) {
            f++;
        }
        if (f->key != NULL) {
            read_field(r, value, path, f, object);
            continue;
        }
        const char **known = xcalloc(count + 1, sizeof(*known));
        for (size_t i = 0; i < count; i++) {
            known[i] = fields[i].key;
        }
        schema_unknown_key(r, value, path, known);
        free(known);
    }
    return r->diag->errors > before ? ERR_CONFIG : 0;
}
