/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cmd_run.h"

#include "common/b64.h"
#include "common/err.h"
#include "common/hash.h"
#include "proxy/gate.h"
#include "proxy/supervisor.h"

#include <getopt.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define HERE   "proxy.toml"
#define SYSTEM "/etc/photogate/proxy.toml"

const char *default_config(void)
{
    return access(HERE, F_OK) == 0 ? HERE : SYSTEM;
}

static const char run_help[] =
    "usage: photogate run [--config FILE] [--check]\n"
    "\n"
    "Runs the proxy in the foreground until SIGTERM, which drains it.\n"
    "\n"
    "  --config FILE   the configuration; default proxy.toml in this directory, else " SYSTEM "\n"
    "  --check         validate configuration, rules and certificates, and end\n"
    "\n"
    "SIGHUP, or a change of one of its files, reloads; after a fault all stays as it was.\n"
    "SIGUSR1 opens the log files anew. Exit status: 0 ended as told, 1 failed, 2 wrong usage or "
    "configuration.\n";

int cmd_run(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *config = NULL;
    bool check = false;
    int c;
    optind = 1;
    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            config = optarg;
            break;
        case 'k':
            check = true;
            break;
        case 'h':
            fputs(run_help, stdout);
            return 0;
        default:
            fputs("photogate: run --help shows the options\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "photogate: run takes no \"%s\"; run --help shows the options\n",
                argv[optind]);
        return 2;
    }
    config = config != NULL ? config : default_config();
    hash_init();
    return check ? supervisor_check(config) : supervisor_run(config);
}

static const char pac_help[] =
    "usage: photogate pac [--config FILE] [--listener IP:PORT] [--for CLIENT-IP] [--data-url]\n"
    "\n"
    "Prints the PAC file that the proxy serves as /proxy.pac.\n"
    "\n"
    "  --config FILE        the configuration; default proxy.toml in this directory, else " SYSTEM
    "\n"
    "  --listener IP:PORT   as it is served there; default the first of [proxy] listen\n"
    "  --for CLIENT-IP      as a client at this address gets it, when [proxy] listen is for all\n"
    "                       addresses of this machine and [proxy] public_url is not set\n"
    "  --data-url           as one data: URL, to be put into a browser's policy instead of an\n"
    "                       address: there is nothing to fetch then, so nothing that can fail\n";

/* The address of this machine that a client at `ip` reaches: the kernel's choice of route; nothing
 * is sent. */
static bool address_towards(const struct ip *ip, struct ip *out)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    int fd = socket(ip_is_v4(ip) ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ip_to_sockaddr(ip, 9, &at);
    bool known =
        fd >= 0 &&
        connect(fd, (struct sockaddr *)&at,
                ip_is_v4(ip) ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) == 0 &&
        getsockname(fd, (struct sockaddr *)&at, &len) == 0;
    if (known) {
        *out = ip_of_sockaddr((struct sockaddr *)&at);
    }
    if (fd >= 0) {
        close(fd);
    }
    return known;
}

struct pac_options {
    const char *config, *listener;
    struct ip client;
    bool client_known, data_url;
};

static int print_pac(const struct pac_options *o, const struct conf *conf,
                     const struct filters *filters)
{
    const struct conf_listeners *listen = &conf->proxy.listen;
    const struct snapshot s = {.conf = (struct conf *)(uintptr_t)conf,
                               .filters = (struct filters *)(uintptr_t)filters};
    unsigned door = 0;
    while (o->listener != NULL && door < listen->count &&
           !str_eq(listen->item[door].address.text, str_z(o->listener))) {
        door++;
    }
    if (door == listen->count) {
        fprintf(stderr, "photogate: \"%s\" is not in [proxy] listen\n", o->listener);
        return 2;
    }
    const char *special = ip_special(&listen->item[door].ip);
    bool any = special != NULL && strcmp(special, "unspecified") == 0;
    struct ip towards;
    bool known = o->client_known && address_towards(&o->client, &towards);
    if (any && !known && conf->public_host.len == 0) {
        fprintf(stderr,
                "photogate: which of this machine's addresses the file names depends on the "
                "client; say --for CLIENT-IP or set [proxy] public_url\n");
        return 2;
    }
    struct buf text = {0};
    local_pac(&text, &s, door, known ? &towards : NULL);
    if (o->data_url) {
        struct buf url = {0};
        buf_z(&url, "data:application/x-ns-proxy-autoconfig;base64,");
        b64_encode(&url, text.ptr, text.len, B64_STANDARD);
        puts(buf_cstr(&url));
        buf_free(&url);
    } else {
        fwrite(text.ptr, 1, text.len, stdout);
    }
    buf_free(&text);
    return 0;
}

/* 0, 1 when help was asked for, or 2. */
static int read_pac_options(int argc, char **argv, struct pac_options *o)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"listener", required_argument, NULL, 'l'},
        {"for", required_argument, NULL, 'f'},    {"data-url", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int c;
    optind = 1;
    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case 'l':
            o->listener = optarg;
            break;
        case 'd':
            o->data_url = true;
            break;
        case 'f':
            o->client_known = ip_parse(str_z(optarg), &o->client);
            if (!o->client_known) {
                fprintf(stderr, "photogate: \"%s\" is no IP address\n", optarg);
                return 2;
            }
            break;
        case 'h':
            fputs(pac_help, stdout);
            return 1;
        default:
            fputs("photogate: pac --help shows the options\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "photogate: pac takes no \"%s\"; pac --help shows the options\n",
                argv[optind]);
        return 2;
    }
    return 0;
}

int cmd_pac(int argc, char **argv)
{
    struct pac_options o = {.config = default_config()};
    int status = read_pac_options(argc, argv, &o);
    if (status != 0) {
        return status == 1 ? 0 : status;
    }
    struct diag d = {0};
    struct conf *conf = NULL;
    struct filters *filters = NULL;
    int dir = -1;
    int err = conf_load(o.config, &dir, &conf, &d);
    if (err == 0) {
        err = filters_build(&conf->filters, &filters, &d);
    }
    diag_print(&d, "photogate");
    status = err == 0 ? print_pac(&o, conf, filters) : 2;
    filters_free(filters);
    conf_free(conf);
    diag_free(&d);
    if (dir >= 0) {
        close(dir);
    }
    return status;
}
