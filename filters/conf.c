/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/conf.h"

#include "common/err.h"
#include "filters/pack.h"

#include <fcntl.h>

static const char *const profiles[] = {"standard", "light", NULL};

/* A table of host = "class". */
static void read_extra(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct filters_extras *out = member;
    size_t count = 0;
    if (value->kind != TOML_TABLE) {
        diag_error(r->diag, toml_at(r->doc, value),
                   "extra wants a table such as { \"mail.example.com\" = \"exchange\" }, not %s",
                   toml_kind_name(value->kind));
        return;
    }
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        count++;
    }
    *out = (struct filters_extras){arena_zalloc(r->arena, count * sizeof(*out->item)), 0};
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        struct filters_extra *e = &out->item[out->count];
        if (schema_string(r, c, &e->class)) {
            e->host = (struct schema_str){arena_str(r->arena, c->key), e->class.at};
            e->host.at.line = c->key_line;
            e->host.at.column = c->key_column;
            out->count++;
        }
    }
}

static void write_extra(struct buf *out, const void *member)
{
    const struct filters_extras *extras = member;
    buf_char(out, '{');
    for (size_t i = 0; i < extras->count; i++) {
        buf_z(out, i > 0 ? ", " : " ");
        buf_json(out, extras->item[i].host.text);
        buf_z(out, " = ");
        buf_json(out, extras->item[i].class.text);
    }
    buf_z(out, extras->count > 0 ? " }" : "}");
}

#define AT(member) offsetof(struct filters_conf, member)

static const struct schema_field inspect_fields[] = {
    {.key = "packs", .kind = SCHEMA_STRINGS, .offset = AT(inspect.packs)},
    {.key = "profile", .kind = SCHEMA_ENUM, .offset = AT(inspect.profile), .names = profiles},
    {.key = "tenants", .kind = SCHEMA_STRINGS, .offset = AT(inspect.tenants)},
    {.key = "optional", .kind = SCHEMA_STRINGS, .offset = AT(inspect.optional)},
    {.key = "extra",
     .kind = SCHEMA_CUSTOM,
     .offset = AT(inspect.extra),
     .read = read_extra,
     .write = write_extra,
     .what = "table of host = \"class\""},
    {.key = "never", .kind = SCHEMA_STRINGS, .offset = AT(inspect.never)},
    {.key = "never_networks", .kind = SCHEMA_NETS, .offset = AT(inspect.never_networks)},
    {.key = NULL},
};

static const struct schema_field filters_fields[] = {
    {.key = "packs", .kind = SCHEMA_STRINGS, .offset = AT(filters.packs)},
    {.key = "disable", .kind = SCHEMA_STRINGS, .offset = AT(filters.disable)},
    {.key = "group_photos", .kind = SCHEMA_STRINGS, .offset = AT(filters.groups)},
    {.key = "portal", .kind = SCHEMA_ENUM, .offset = AT(filters.portal), .names = portal_settings},
    {.key = NULL},
};

static const struct schema_field admins_fields[] = {
    {.key = "users", .kind = SCHEMA_STRINGS, .offset = AT(admins.users)},
    {.key = "oids", .kind = SCHEMA_STRINGS, .offset = AT(admins.oids)},
    {.key = "apps", .kind = SCHEMA_STRINGS, .offset = AT(admins.apps)},
    {.key = "groups", .kind = SCHEMA_STRINGS, .offset = AT(admins.groups)},
    {.key = "roles", .kind = SCHEMA_STRINGS, .offset = AT(admins.roles)},
    {.key = "networks", .kind = SCHEMA_NETS, .offset = AT(admins.networks)},
    {.key = "tenant_id", .kind = SCHEMA_STRING, .offset = AT(admins.tenant_id)},
    {.key = "file", .kind = SCHEMA_STRING, .offset = AT(admins.file)},
    {.key = NULL},
};

void filters_conf_defaults(struct filters_conf *c)
{
    *c = (struct filters_conf){.dir = AT_FDCWD};
}

static void read_section(struct filters_conf *c, struct schema_reader *r,
                         const struct toml_node *section, const char *name,
                         const struct schema_field *fields)
{
    if (section != NULL && section->kind != TOML_TABLE) {
        diag_error(r->diag, toml_at(r->doc, section), "%s is a section: write [%s]", name, name);
    } else if (section != NULL) {
        int err = schema_read(r, section, name, fields, c);
        (void)err; /* counted in the diag */
    }
}

int filters_conf_read(struct filters_conf *c, struct schema_reader *r,
                      const struct toml_node *inspect, const struct toml_node *filters,
                      const struct toml_node *admins)
{
    const unsigned before = r->diag->errors;
    read_section(c, r, inspect, "inspect", inspect_fields);
    read_section(c, r, filters, "filters", filters_fields);
    read_section(c, r, admins, "admins", admins_fields);
    return r->diag->errors > before ? ERR_CONFIG : 0;
}

void filters_conf_write(const struct filters_conf *c, struct buf *out)
{
    schema_write(out, "inspect", inspect_fields, c);
    buf_char(out, '\n');
    schema_write(out, "filters", filters_fields, c);
    buf_char(out, '\n');
    schema_write(out, "admins", admins_fields, c);
}
