/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that one reading of the configuration gives, opened and checked: rules, trust, the
 * CA's public side, passwords, the PAC file. Immutable and counted. A reload builds a new one
 * beside it and puts it in place only when nothing was wrong with it.
 */
#ifndef PROXY_SNAPSHOT_H
#define PROXY_SNAPSHOT_H

#include "certs/ca.h"
#include "filters/filters.h"
#include "proxy/conf.h"
#include "proxy/exch/client_h1.h"
#include "proxy/exch/pool.h"
#include "proxy/htpasswd.h"

struct snapshot {
    struct conf *conf;
    struct filters *filters;
    struct egress *egress;
    struct ca *ca;
    struct names ca_names;     /* what the signer may sign for */
    struct htpasswd *htpasswd; /* NULL: none */
    struct client_conf client;
    struct buf ca_pem, ca_der; /* of the root, to be handed out */
    struct str *watched;       /* files whose change calls for a reload; relative to conf->dir */
    size_t watched_count;
    _Atomic unsigned refs;
};

/*
 * Reads the configuration `path` (NULL: the defaults) and all it names. `dir_fd` as for
 * conf_load(). Warnings are added to `d` also on success. ERR_CONFIG with the faults in `d`.
 */
int snapshot_build(const char *path, int *dir_fd, struct snapshot **out, struct diag *d) MUSTCHECK;

/*
 * May `fresh` take the place of `now` in a running proxy? A fault in `d` for each thing that only a
 * start can change.
 */
int snapshot_check_reload(const struct snapshot *now, const struct snapshot *fresh,
                          struct diag *d) MUSTCHECK;

struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

/*
 * The names the CA is made for: all inspected hosts, and the proxy's own. Needs no CA to be there.
 * 0, or ERR_CONFIG when one is no name.
 */
int snapshot_ca_names(const struct conf *conf, const struct filters *filters, struct names *out,
                      struct diag *d) MUSTCHECK;

#endif
