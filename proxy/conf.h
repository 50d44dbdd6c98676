/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy.toml as read and checked: values only, nothing opened or started. Every key has a default;
 * docs/config.md lists them. Sections that belong to photogate-admin are passed over.
 */
#ifndef PROXY_CONF_H
#define PROXY_CONF_H

#include "common/log.h"
#include "common/schema.h"
#include "filters/conf.h"

enum conf_mode {
    MODE_ENFORCE,
    MODE_MONITOR
};
enum conf_auth {
    AUTH_NONE,
    AUTH_OPTIONAL,
    AUTH_REQUIRE
};
enum conf_pac_hosts {
    PAC_INSPECTED,
    PAC_ALL
};
enum conf_pac_fail {
    PAC_CLOSED,
    PAC_OPEN
};

struct conf_listener {
    struct schema_str address; /* as written */
    struct ip ip;
    unsigned port;
    bool tls;
    int auth; /* enum conf_auth */
};

struct conf_listeners {
    struct conf_listener *item;
    size_t count;
};

struct conf_ports {
    struct {
        unsigned from, to;
    } * range;
    size_t count;
};

struct conf_modes {
    struct {
        struct ip_net net;
        int mode;
    } * item; /* the longest prefix first */
    size_t count;
};

struct conf_override {
    struct str host, to;
    unsigned port, to_port;
};

struct conf_overrides {
    struct conf_override *item;
    size_t count;
};

struct conf {
    struct arena arena; /* all strings and lists */
    char *path;         /* of the file, as given */
    int dir;            /* its directory: relative names start there. Not owned */

    struct {
        struct conf_listeners listen;
        int64_t workers;
        bool http2; /* spoken with origins that speak it, and their clients */
        struct ip_nets clients;
        struct conf_ports connect_ports, http_ports;
        struct schema_str public_url;
        int mode;
        struct conf_modes mode_by_network;
        struct schema_str user, signer_user;
        struct {
            uint64_t client_idle, client_head, client_body, client_write, client_tls;
            uint64_t tunnel_idle, tunnel_half, drain;
        } timeouts; /* ms */
        struct {
            int64_t connections; /* of one worker */
            uint64_t head, line;
            int64_t fields;
        } limits;
    } proxy;

    struct {
        struct schema_str ca_file;
        struct conf_overrides connect_to;
        struct ip_nets allow_networks, deny_networks;
        struct schema_str dns_servers;
        struct {
            uint64_t dial, secure, head, body, send, idle, age, dns;
        } timeouts; /* ms */
        int64_t idle_max, conns_max;
    } origin;

    struct {
        struct schema_strs allow, deny;
    } access;

    struct filters_conf filters; /* [inspect], [filters], [admins] */

    struct {
        struct schema_str dir;
        uint64_t leaf_life;
    } certs;

    struct {
        struct schema_str htpasswd;
    } identity;

    struct {
        int hosts, fail;
        struct schema_strs proxies, direct; /* `direct` in lower case */
        struct schema_str otherwise;
    } pac;

    struct {
        int level, format;
        struct schema_str access, block;
    } log;

    struct {
        struct schema_str organisation, contact;
    } ui;

    /* Taken apart from proxy.public_url; empty when it is not set. */
    struct str public_host;
    unsigned public_port;

    /* The hosts of pac.proxies, as many and in the same order. */
    struct str *pac_hosts;
};

/*
 * Reads `text` (of the file `path`, in the directory `dir`). 0 and *out for conf_free(); ERR_CONFIG
 * with all faults in `d`.
 */
int conf_parse(struct str text, const char *path, int dir, struct conf **out,
               struct diag *d) MUSTCHECK;

/*
 * The same from the file; `path` NULL gives the defaults. Opens the file's directory into *dir_fd,
 * which is the caller's to close and has to stay open as long as the conf is in use; a descriptor
 * that is there already is used.
 */
int conf_load(const char *path, int *dir_fd, struct conf **out, struct diag *d) MUSTCHECK;
void conf_free(struct conf *c);

/* Appends the configuration as TOML: every key with its value, and what it may be as a comment. */
void conf_write(const struct conf *c, struct buf *out);

/* The directory of the file `path`, for conf_load(): a descriptor, or negative with a fault in `d`.
 */
int conf_open_dir(const char *path, struct diag *d);

/* `name` from the configuration as a path from the working directory; the caller frees it. */
char *conf_path(const struct conf *c, struct str name);

/* Is the host of public_url a name that a certificate can be for: a DNS name of several labels? */
bool conf_has_public_name(const struct conf *c);

/* The mode for a client at `ip`. */
enum conf_mode conf_mode_for(const struct conf *c, const struct ip *ip);

bool conf_port_allowed(const struct conf_ports *ports, unsigned port);

/* Does the list of host patterns ("name", "*.suffix") have `host` (lower case)? */
bool conf_host_listed(const struct schema_strs *list, struct str host);

#define CONF_FILE_MAX ((size_t)4 << 20)

#endif
