/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/conf.h"

#include "common/err.h"
#include "common/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (4u << 20)
#define MINUTE_MS      (60 * 1000)
#define HOUR_MS        (60 * MINUTE_MS)
#define AT(member)     offsetof(struct conf, member)
#define STRING(k, m)                                     \
    {                                                    \
        .key = (k), .kind = SCHEMA_STRING, .offset = (m) \
    }
#define STRINGS(k, m)                                     \
    {                                                     \
        .key = (k), .kind = SCHEMA_STRINGS, .offset = (m) \
    }
#define BOOL(k, m)                                     \
    {                                                  \
        .key = (k), .kind = SCHEMA_BOOL, .offset = (m) \
    }
#define ENUM(k, m, n)                                                 \
    {                                                                 \
        .key = (k), .kind = SCHEMA_ENUM, .offset = (m), .names = (n), \
    }
#define WITHIN(k, t, m, low, high)                                           \
    {                                                                        \
        .key = (k), .kind = (t), .offset = (m), .min = (low), .max = (high), \
    }

/*
 * learn.microsoft.com: Connect-ExchangeOnline (hosts of Exchange and of the sign-in), Graph's
 * "national cloud deployments".
 */
static const char *const clouds[] = {"world", "gcc-high", "dod", "china", NULL};
static const char *const cloud_hosts[][3] = {
    {"login.microsoftonline.com", "graph.microsoft.com", "outlook.office365.com"},
    {"login.microsoftonline.us", "graph.microsoft.us", "outlook.office365.us"},
    {"login.microsoftonline.us", "dod-graph.microsoft.us", "webmail.apps.mil"},
    {"login.chinacloudapi.cn", "microsoftgraph.chinacloudapi.cn", "partner.outlook.cn"},
};
static const char *const credentials[] = {"secret", "certificate", "device-code",
                                          "managed-identity", NULL};
static const char *const roles_options[] = {"off", "custom", "policy", "remove", NULL};
static const char *const portal_options[] = {"off", "report", "enforce", NULL};
static const char *const watch_actions[] = {"alert", "lock", NULL};

static void read_assign(struct schema_reader *r, const struct toml_node *value, void *member)
{
    static const struct schema_field fields[] = {
        STRING("policy", offsetof(struct conf_assign, policy)),
        STRINGS("users", offsetof(struct conf_assign, users)),
        STRINGS("groups", offsetof(struct conf_assign, groups)),
        {.key = NULL},
    };
    struct conf *c = CONTAINER_OF(member, struct conf, lock.assign);
    size_t count = 0;
    for (const struct toml_node *n = value->child; n != NULL; n = n->next) {
        count++;
    }
    c->lock.assign.item = arena_zalloc(r->arena, count * sizeof(*c->lock.assign.item));
    c->lock.assign.count = 0;
    for (const struct toml_node *n = value->child; n != NULL; n = n->next) {
        struct conf_assign *a = &c->lock.assign.item[c->lock.assign.count];
        if (value->kind != TOML_ARRAY || n->kind != TOML_TABLE) {
            diag_error(r->diag, toml_at(r->doc, n),
                       "assign wants tables: [[lock.assign]] with policy, users and groups");
        } else if (schema_read(r, n, "lock.assign", fields, a) == 0) {
            if (a->policy.text.len == 0 || a->users.count + a->groups.count == 0) {
                diag_error(r->diag, toml_at(r->doc, n),
                           "an assignment needs a policy, and users or groups");
            }
            c->lock.assign.count++;
        }
    }
}

static const struct schema_field tenant_fields[] = {
    STRING("id", AT(tenant.id)),
    ENUM("cloud", AT(tenant.cloud), clouds),
    STRING("client_id", AT(tenant.client_id)),
    ENUM("credential", AT(tenant.credential), credentials),
    STRING("secret_file", AT(tenant.secret_file)),
    STRING("certificate_file", AT(tenant.certificate_file)),
    STRING("key_file", AT(tenant.key_file)),
    STRING("login_host", AT(tenant.login_host)),
    STRING("graph_host", AT(tenant.graph_host)),
    STRING("exchange_host", AT(tenant.exchange_host)),
    STRING("ca_file", AT(tenant.ca_file)),
    STRING("proxy", AT(tenant.proxy)),
    STRINGS("connect_to", AT(tenant.connect_to)),
    STRING("state_dir", AT(tenant.state_dir)),
    WITHIN("concurrency", SCHEMA_INT, AT(tenant.concurrency), 1, 16),
    WITHIN("writes_per_minute", SCHEMA_INT, AT(tenant.writes_per_minute), 1, 600000),
    WITHIN("timeout", SCHEMA_DURATION, AT(tenant.timeout_ms), 100, HOUR_MS),
    WITHIN("retry_wait", SCHEMA_DURATION, AT(tenant.retry_ms), 1, MINUTE_MS),
    {.key = NULL},
};

static const struct schema_field watch_fields[] = {
    WITHIN("every", SCHEMA_DURATION, AT(lock.watch.every_ms), 100, 24 * HOUR_MS),
    WITHIN("full_every", SCHEMA_DURATION, AT(lock.watch.full_ms), 100, 720ll * HOUR_MS),
    ENUM("action", AT(lock.watch.action), watch_actions),
    STRING("exec", AT(lock.watch.exec)),
    {.key = NULL},
};

static const struct schema_field admins_fields[] = {
    STRING("file", AT(lock.admins.file)),      STRINGS("users", AT(lock.admins.users)),
    STRINGS("groups", AT(lock.admins.groups)), STRINGS("roles", AT(lock.admins.roles)),
    STRINGS("apps", AT(lock.admins.apps)),     {.key = NULL},
};

static const struct schema_field lock_fields[] = {
    STRINGS("open_policies", AT(lock.open)),
    STRING("locked_policy", AT(lock.locked_policy)),
    {.key = "assign", .kind = SCHEMA_CUSTOM, .offset = AT(lock.assign), .read = read_assign},
    BOOL("photo_settings", AT(lock.photo_settings)),
    STRINGS("photo_roles", AT(lock.photo_roles)),
    ENUM("roles", AT(lock.roles), roles_options),
    ENUM("portal", AT(lock.portal), portal_options),
    STRINGS("break_glass", AT(lock.break_glass)),
    BOOL("entra_portal", AT(lock.entra_portal)),
    BOOL("restrict_consent", AT(lock.restrict_consent)),
    {.key = "watch", .kind = SCHEMA_TABLE, .offset = 0, .fields = watch_fields},
    {.key = "admins", .kind = SCHEMA_TABLE, .offset = 0, .fields = admins_fields},
    {.key = NULL},
};

/* The sections of both programs; where fields are NULL, the other one reads them. */
static const struct {
    const char *name;
    const struct schema_field *fields;
} sections[] = {
    {"tenant", tenant_fields},
    {"lock", lock_fields},
    {"photos", NULL},
    {"proxy", NULL},
    {"origin", NULL},
    {"access", NULL},
    {"inspect", NULL},
    {"filters", NULL},
    {"certs", NULL},
    {"identity", NULL},
    {"admins", NULL},
    {"pac", NULL},
    {"log", NULL},
    {"audit", NULL},
    {"store", NULL},
    {"metrics", NULL},
    {"ui", NULL},
};

static void set_defaults(struct conf *c)
{
    static struct schema_str default_roles[] = {
        {.text = STR_INIT("62e90394-69f5-4237-9190-012177145e10")}, /* Global Administrator */
        {.text = STR_INIT("fe930be7-5e62-47db-91af-98c3a49a38b1")}, /* User Administrator */
    };
    c->tenant.credential = CREDENTIAL_CERTIFICATE;
    c->tenant.state_dir.text = STR("lock");
    c->tenant.concurrency = 4;
    c->tenant.writes_per_minute = 120; /* 2 a second: what throttled tenants were seen to take */
    c->tenant.timeout_ms = 16 * MINUTE_MS; /* the service ends a cmdlet after 15 */
    c->tenant.retry_ms = 2000;
    c->lock.locked_policy.text = STR("OwaMailboxPolicy-Default");
    c->lock.photo_settings = true;
    c->lock.photo_roles = (struct schema_strs){default_roles, ARRAY_LEN(default_roles)};
    c->lock.watch.every_ms = 15 * MINUTE_MS;
    c->lock.watch.full_ms = 24 * HOUR_MS;
    c->lock.admins.roles = c->lock.photo_roles;
    c->lock.admins.file.text = STR("admins.json");
}

static void read_sections(struct schema_reader *r, struct conf *c)
{
    const char *known[ARRAY_LEN(sections) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        known[i] = sections[i].name;
    }
    for (const struct toml_node *n = toml_root(r->doc)->child; n != NULL; n = n->next) {
        size_t i = 0;
        while (i < ARRAY_LEN(sections) && !str_eq(n->key, str_z(sections[i].name))) {
            i++;
        }
        if (i == ARRAY_LEN(sections)) {
            schema_unknown_key(r, n, "", known);
        } else if (sections[i].fields != NULL &&
                   schema_read(r, n, sections[i].name, sections[i].fields, c) != 0) {
            continue; /* the faults are noted; more sections may have some */
        }
    }
}

static bool is_open(const struct conf *c, struct str policy)
{
    for (size_t i = 0; i < c->lock.open.count; i++) {
        if (str_ieq(c->lock.open.item[i].text, policy)) {
            return true;
        }
    }
    return false;
}

/* True for what can stand in a URL's path and in a host field without being escaped. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char ch = ascii_lower(s.ptr[i]);
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.')) {
            return false;
        }
    }
    return s.len > 0 && s.len < 254;
}

static void check(const struct conf *c, struct diag *d)
{
    const struct schema_str *host[] = {&c->tenant.login_host, &c->tenant.graph_host,
                                       &c->tenant.exchange_host};
    const struct diag_at whole = DIAG_FILE(c->path);
    if (!is_plain(c->tenant.id.text)) {
        diag_error(d, c->tenant.id.text.len > 0 ? c->tenant.id.at : whole,
                   "tenant.id wants the tenant's id or one of its domains");
    }
    if (!is_plain(c->tenant.client_id.text) && c->tenant.credential != CREDENTIAL_IDENTITY) {
        diag_error(d, c->tenant.client_id.text.len > 0 ? c->tenant.client_id.at : whole,
                   "tenant.client_id wants the id of the application that is registered for this");
    }
    for (size_t i = 0; i < ARRAY_LEN(host); i++) {
        if (!is_plain(host[i]->text)) {
            diag_error(d, host[i]->at, "\"%s\" is no host name", host[i]->text.ptr);
        }
    }
    if (c->tenant.credential == CREDENTIAL_SECRET && c->tenant.secret_file.text.len == 0) {
        diag_error(d, whole, "credential = \"secret\" wants tenant.secret_file");
    }
    if (c->tenant.credential == CREDENTIAL_CERTIFICATE &&
        c->tenant.certificate_file.text.len == 0) {
        diag_error(d, whole,
                   "credential = \"certificate\" wants tenant.certificate_file (and key_file when "
                   "the key lies apart)");
    }
    if (is_open(c, c->lock.locked_policy.text)) {
        diag_error(d, c->lock.locked_policy.at,
                   "locked_policy \"%s\" is also in open_policies; name another one",
                   c->lock.locked_policy.text.ptr);
    }
    if (c->lock.portal != PORTAL_OFF && c->lock.break_glass.count == 0) {
        diag_error(d, whole,
                   "a portal policy without lock.break_glass can lock everybody out; name the "
                   "object ids of your emergency accounts");
    }
}

int conf_parse(struct str text, const char *name, struct conf **out, struct diag *d)
{
    struct toml_doc *doc = NULL;
    if (toml_parse(text, name, &doc, d) != 0) {
        return ERR_CONFIG;
    }
    struct conf *c = xnew(struct conf);
    struct schema_reader r = {.doc = doc, .arena = &c->arena, .diag = d};
    c->path = xstrdup(name);
    set_defaults(c);
    read_sections(&r, c);
    const char *const *hosts = cloud_hosts[c->tenant.cloud];
    struct schema_str *host[] = {&c->tenant.login_host, &c->tenant.graph_host,
                                 &c->tenant.exchange_host};
    for (size_t i = 0; i < ARRAY_LEN(host); i++) {
        if (host[i]->text.len == 0) {
            host[i]->text = str_z(hosts[i]);
        }
    }
    check(c, d);
    toml_free(doc);
    if (d->errors > 0) {
        conf_free(c);
        return ERR_CONFIG;
    }
    *out = c;
    return 0;
}

int conf_load(const char *path, struct conf **out, struct diag *d)
{
    struct buf text = {0};
    int err = file_read(AT_FDCWD, path, FILE_MAX_BYTES, &text);
    if (err != 0) {
        err = diag_error(d, DIAG_FILE(path), "cannot be read: %s", err_str(err));
    } else {
        err = conf_parse(buf_view(&text), path, out, d);
    }
    buf_free(&text);
    return err;
}

void conf_free(struct conf *c)
{
    if (c != NULL) {
        arena_free(&c->arena);
        free(c->path);
        free(c);
    }
}

char *conf_path(const struct conf *c, struct str name)
{
    const char *slash = strrchr(c->path, '/');
    struct buf b = {0};
    if (slash != NULL && name.len > 0 && name.ptr[0] != '/') {
        buf_put(&b, c->path, (size_t)(slash - c->path) + 1);
    }
    buf_str(&b, name);
    char *path = xstrndup(b.ptr, b.len);
    buf_free(&b);
    return path;
}
