/* SPDX-License-Identifier: Apache-2.0 */
/* `photogate ca …`: the command line over certs/camake.h and certs/cashow.h. */
#ifndef PROXY_CMD_CA_H
#define PROXY_CMD_CA_H

#include "certs/name.h"
#include "common/diag.h"

/* What the configuration has for these commands, where the command line does not say. */
struct cmd_ca_defaults {
    char *dir;          /* xstrdup()ed, or NULL: "ca" */
    struct names names; /* the inspected hosts */
    char *public_url;   /* xstrdup()ed, or NULL */
};

struct cmd_ca_env {
    /* Fills `out` (zeroed) from the configuration file `config`, NULL being the usual one.
     * ERR_CONFIG with faults; a file that is not there is none unless it was named. */
    int (*fill)(void *arg, const char *config, struct cmd_ca_defaults *out, struct diag *d);
    void *arg;
};

/* argv[0] is "ca". Writes to stdout and stderr. Exit status: 0 done, 1 failed, 2 wrong usage or
 * configuration. `env` NULL: there is no configuration. */
int cmd_ca(int argc, char **argv, const struct cmd_ca_env *env);

#endif
