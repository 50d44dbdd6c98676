/* SPDX-License-Identifier: Apache-2.0 */
/* The program `photogate`: finds the command. */
#include "common/cc.h"
#include "common/err.h"
#include "proxy/cmd_ca.h"
#include "proxy/cmd_config.h"
#include "proxy/cmd_explain.h"
#include "proxy/cmd_rules.h"
#include "proxy/cmd_run.h"
#include "proxy/process.h"
#include "proxy/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: photogate COMMAND [options]\n"
    "\n"
    "  run       run the proxy; --check validates configuration, rules and certificates\n"
    "  explain   say what would become of a request, and by which rule\n"
    "  rules     test | list | bench: the rules and their test vectors\n"
    "  ca        init | show | export | rotate | csr | import: the certificate authority\n"
    "  pac       print the PAC file that the proxy serves\n"
    "  config    print the configuration as the program reads it, or its defaults\n"
    "\n"
    "photogate COMMAND --help says more. Exit status: 0 done or would pass, 1 failed, 2 wrong "
    "usage or configuration,\n"
    "3 blocked.\n";

/* What `photogate ca` takes from the configuration when it is not told. */
static int fill_ca_defaults(void *arg, const char *config, struct cmd_ca_defaults *out,
                            struct diag *d)
{
    (void)arg;
    struct conf *conf = NULL;
    struct filters *filters = NULL;
    int dir = -1;
    const char *path = config != NULL ? config : default_config();
    if (config == NULL && access(path, F_OK) != 0 && errno == ENOENT) {
        path = NULL; /* the built-in defaults */
    }
    int err = conf_load(path, &dir, &conf, d);
    if (err == 0) {
        err = filters_build(&conf->filters, &filters, d);
    }
    if (err == 0) {
        err = snapshot_ca_names(conf, filters, &out->names, d);
    }
    if (err == 0) {
        out->dir = conf_path(conf, conf->certs.dir.text);
        out->public_url =
            conf->proxy.public_url.text.len > 0 ? xstrdup(conf->proxy.public_url.text.ptr) : NULL;
    }
    filters_free(filters);
    conf_free(conf);
    if (dir >= 0) {
        close(dir);
    }
    return err;
}

static int run_ca(int argc, char **argv)
{
    const struct cmd_ca_env env = {.fill = fill_ca_defaults};
    return cmd_ca(argc, argv, &env);
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", cmd_run}, {"explain", cmd_explain}, {"rules", cmd_rules},
    {"ca", run_ca},   {"pac", cmd_pac},         {"config", cmd_config},
};

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--process=signer") == 0) {
        return process_signer_main(argc - 2, argv + 2);
    }
    if (argc >= 2 && strcmp(argv[1], "--process=network") == 0) {
        return process_network_main(argc - 2, argv + 2);
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(help, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("photogate " PHOTOGATE_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "photogate: there is no command \"%s\"; photogate --help lists them\n",
            argv[1]);
    return 2;
}
