/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sections [tenant] and [lock]: how to reach the tenant, and how its switches shall stand. They
 * may lie in proxy.toml or in a file of their own; sections of the proxy are passed over. No secret
 * is in it: it names the files that hold them.
 */
#ifndef ADMIN_CONF_H
#define ADMIN_CONF_H

#include "common/schema.h"

enum credential {
    CREDENTIAL_SECRET,
    CREDENTIAL_CERTIFICATE,
    CREDENTIAL_DEVICE,
    CREDENTIAL_IDENTITY /* of the machine: IMDS, or App Service where its variables are set */
};

enum roles_option {
    ROLES_OFF,
    ROLES_CUSTOM, /* child roles without the photo entries take the place of the built-in ones */
    ROLES_POLICY, /* the same, in a role assignment policy of our own for all plans and mailboxes */
    ROLES_REMOVE  /* the built-in roles are taken away: users lose Outlook's options; wants --force
                   */
};

enum portal_option {
    PORTAL_OFF,
    PORTAL_REPORT,
    PORTAL_ENFORCE
};

enum watch_action {
    WATCH_ALERT,
    WATCH_LOCK
};

/* Who is to be on which Outlook policy. */
struct conf_assign {
    struct schema_str policy;
    struct schema_strs users;  /* user principal names */
    struct schema_strs groups; /* object ids, mail addresses or display names */
};

struct conf {
    struct {
        struct schema_str id; /* GUID or domain */
        int cloud;
        struct schema_str client_id;
        int credential; /* enum credential */
        struct schema_str secret_file, certificate_file, key_file;
        struct schema_str login_host, graph_host, exchange_host; /* empty: the cloud's */
        struct schema_str ca_file, proxy;
        struct schema_strs connect_to; /* host:port:ip:port, as curl takes it */
        struct schema_str state_dir;
        int64_t concurrency, writes_per_minute;
        uint64_t timeout_ms, retry_ms;
    } tenant;
    struct {
        struct schema_strs open; /* policies that may stay open */
        struct schema_str locked_policy;
        struct {
            struct conf_assign *item;
            size_t count;
        } assign;
        bool photo_settings;
        struct schema_strs photo_roles; /* role template ids that may change photos */
        int roles;                      /* enum roles_option */
        int portal;                     /* enum portal_option */
        struct schema_strs break_glass; /* object ids that no portal policy may hit */
        bool entra_portal, restrict_consent;
        struct {
            uint64_t every_ms, full_ms;
            int action; /* enum watch_action */
            struct schema_str exec;
        } watch;
        struct {
            struct schema_str file;
            struct schema_strs users, groups, roles, apps;
        } admins;
    } lock;
    char *path;
    struct arena arena;
};

/* Reads the file. 0 and *out for conf_free(), or ERR_CONFIG with the faults in `d`. */
int conf_load(const char *path, struct conf **out, struct diag *d) MUSTCHECK;

/* The same for text; `name` stands in faults, and relative names are taken from its directory. */
int conf_parse(struct str text, const char *name, struct conf **out, struct diag *d) MUSTCHECK;

void conf_free(struct conf *c);

/* `name` as seen from the configuration's directory; free() it. */
char *conf_path(const struct conf *c, struct str name);

#endif
