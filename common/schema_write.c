/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schema.h"

#include <inttypes.h>

struct unit {
    const char *name;
    uint64_t times;
};

/* As schema_duration() and schema_size() read them, largest first. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {
    {"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"B", 1}};

/* In the largest unit that leaves no rest; 0 in a usual one. */
static void put_scaled(struct buf *out, enum schema_kind kind, uint64_t n)
{
    const struct unit *u = kind == SCHEMA_DURATION ? durations : sizes;
    if (n == 0) {
        buf_z(out, kind == SCHEMA_DURATION ? "0s" : "0B");
        return;
    }
    while (n % u->times != 0) { /* the last unit is 1 */
        u++;
    }
    buf_printf(out, "%" PRIu64 "%s", n / u->times, u->name);
}

static void put_strings(struct buf *out, const struct schema_strs *list)
{
    buf_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_z(out, i > 0 ? ", " : "");
        buf_json(out, list->item[i].text); /* also a TOML string */
    }
    buf_char(out, ']');
}

static void put_nets(struct buf *out, const struct ip_nets *nets)
{
    buf_char(out, '[');
    for (size_t i = 0; i < nets->count; i++) {
        buf_z(out, i > 0 ? ", \"" : "\"");
        if (nets->net[i].bits == 128) {
            ip_put(out, &nets->net[i].base);
        } else {
            ip_net_put(out, &nets->net[i]);
        }
        buf_char(out, '"');
    }
    buf_char(out, ']');
}

static void put_value(struct buf *out, const struct schema_field *f, const void *object)
{
    const void *member = (const char *)object + f->offset;
    switch (f->kind) {
    case SCHEMA_STRING:
        buf_json(out, ((const struct schema_str *)member)->text);
        break;
    case SCHEMA_STRINGS:
        put_strings(out, member);
        break;
    case SCHEMA_BOOL:
        buf_z(out, *(const bool *)member ? "true" : "false");
        break;
    case SCHEMA_INT:
        buf_printf(out, "%" PRId64, *(const int64_t *)member);
        break;
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
        buf_char(out, '"');
        put_scaled(out, f->kind, *(const uint64_t *)member);
        buf_char(out, '"');
        break;
    case SCHEMA_ENUM:
        buf_printf(out, "\"%s\"", f->names[*(const int *)member]);
        break;
    case SCHEMA_NETS:
        put_nets(out, member);
        break;
    case SCHEMA_TABLE:
        break; /* written behind the values */
    case SCHEMA_CUSTOM:
        f->write(out, member);
        break;
    }
}

static void put_range(struct buf *out, const struct schema_field *f, const char *what)
{
    buf_printf(out, "%s, ", what);
    put_scaled(out, f->kind, (uint64_t)f->min);
    buf_z(out, " to ");
    put_scaled(out, f->kind, (uint64_t)f->max);
}

/* What may stand there, for people. */
static void put_kind(struct buf *out, const struct schema_field *f)
{
    switch (f->kind) {
    case SCHEMA_STRING:
        buf_z(out, "string");
        break;
    case SCHEMA_STRINGS:
        buf_z(out, "list of strings");
        break;
    case SCHEMA_BOOL:
        buf_z(out, "true or false");
        break;
    case SCHEMA_INT:
        buf_printf(out, "number, %" PRId64 " to %" PRId64, f->min, f->max);
        break;
    case SCHEMA_DURATION:
        put_range(out, f, "time");
        break;
    case SCHEMA_SIZE:
        put_range(out, f, "size");
        break;
    case SCHEMA_ENUM:
        for (int i = 0; f->names[i] != NULL; i++) {
            buf_printf(out, "%s\"%s\"", i > 0 ? " or " : "", f->names[i]);
        }
        break;
    case SCHEMA_NETS:
        buf_z(out, "list of networks");
        break;
    case SCHEMA_TABLE:
        break;
    case SCHEMA_CUSTOM:
        buf_z(out, f->what);
        break;
    }
}

void schema_write(struct buf *out, const char *path, const struct schema_field *fields,
                  const void *object)
{
    buf_printf(out, "[%s]\n", path);
    for (const struct schema_field *f = fields; f->key != NULL; f++) {
        if (f->kind != SCHEMA_TABLE) {
            buf_printf(out, "%s = ", f->key);
            put_value(out, f, object);
            buf_z(out, " # ");
            put_kind(out, f);
            buf_char(out, '\n');
        }
    }
    for (const struct schema_field *f = fields; f->key != NULL; f++) {
        if (f->kind == SCHEMA_TABLE) {
            struct buf inner = {0};
            buf_printf(&inner, "%s.%s", path, f->key);
            buf_char(out, '\n');
            schema_write(out, buf_cstr(&inner), f->fields, (const char *)object + f->offset);
            buf_free(&inner);
        }
    }
}
