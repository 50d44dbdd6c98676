/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cmd_ca.h"

#include "certs/camake.h"
#include "certs/cashow.h"
#include "certs/ossl.h"
#include "common/err.h"
#include "common/file.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX (1024 * 1024)
#define CN_MAX   64

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
};

/* A command line taken apart. */
struct args {
    struct ca_make make;
    struct names names;
    struct cmd_ca_defaults defaults;
    const char *dir, *public_url, *config;
    const char *csr, *node;
    bool json, der, help;
    char **rest; /* what is no option */
    int rest_count;
};

/* getopt_long() values; letters only where there is a short form */
enum {
    OPT_DIR = 256,
    OPT_NAME,
    OPT_URL,
    OPT_CN,
    OPT_ROOT_KEY,
    OPT_CONFIG,
    OPT_CSR,
    OPT_NODE,
    OPT_JSON,
    OPT_DER,
    OPT_PEM,
    OPT_REVOKE,
    OPT_FORCE,
};

static const struct option all_options[] = {{"dir", required_argument, NULL, OPT_DIR},
                                            {"name", required_argument, NULL, OPT_NAME},
                                            {"public-url", required_argument, NULL, OPT_URL},
                                            {"cn", required_argument, NULL, OPT_CN},
                                            {"root-key", required_argument, NULL, OPT_ROOT_KEY},
                                            {"config", required_argument, NULL, OPT_CONFIG},
                                            {"csr", required_argument, NULL, OPT_CSR},
                                            {"node", required_argument, NULL, OPT_NODE},
                                            {"json", no_argument, NULL, OPT_JSON},
                                            {"der", no_argument, NULL, OPT_DER},
                                            {"pem", no_argument, NULL, OPT_PEM},
                                            {"revoke", no_argument, NULL, OPT_REVOKE},
                                            {"force", no_argument, NULL, OPT_FORCE},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};

struct command {
    const char *name, *summary, *options, *about;
    const int *takes; /* besides --dir, --config and --help; 0 ends it */
    int (*run)(struct args *a, struct diag *d);
};

/* --- what the commands share --- */

static void say(const struct buf *text)
{
    if (text->len > 0) {
        fwrite(text->ptr, 1, text->len, stdout);
    }
}

static int describe(const struct args *a, struct diag *d)
{
    struct buf text = {0};
    int err = cashow(a->make.dir, a->make.now, CASHOW_TEXT, &text, d);
    say(&text);
    buf_free(&text);
    return err;
}

/* Not by file_read(), which does not wait for whoever writes into the pipe. */
static int read_stdin(struct buf *out)
{
    for (;;) {
        ssize_t n = read(STDIN_FILENO, buf_room(out, 65536), 65536);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        out->len += (size_t)n;
        if (out->len > FILE_MAX) {
            return ERR_LIMIT;
        }
    }
}

static int read_input(const char *file, struct buf *out, struct diag *d)
{
    const bool piped = strcmp(file, "-") == 0;
    int err = piped ? read_stdin(out) : file_read(AT_FDCWD, file, FILE_MAX, out);
    return err == 0 ? 0
                    : diag_error(d, DIAG_FILE(piped ? "standard input" : file),
                                 "cannot read it: %s", err_str(err));
}

/* --- commands --- */

static int run_init(struct args *a, struct diag *d)
{
    int err = ca_init(&a->make, d);
    if (err == 0) {
        err = describe(a, d);
    }
    if (err == 0) {
        printf("\nNext: give %s/" CA_ROOT " to the clients (docs/ca.md), and move\n"
               "%s/" CA_ROOT_KEY " to a place that is not this machine.\n",
               a->make.dir, a->make.dir);
    }
    return err;
}

static int run_show(struct args *a, struct diag *d)
{
    struct buf text = {0};
    int err = cashow(a->make.dir, a->make.now, a->json ? CASHOW_JSON : CASHOW_TEXT, &text, d);
    say(&text);
    buf_free(&text);
    return err;
}

static int run_export(struct args *a, struct diag *d)
{
    struct ca *ca = NULL;
    struct buf text = {0};
    if (a->der && isatty(STDOUT_FILENO) == 1) {
        return diag_error(d, DIAG_NOWHERE,
                          "DER is nothing for a terminal; write > root.cer behind it");
    }
    int err = ca_load(AT_FDCWD, a->make.dir, a->make.now, &ca, d);
    if (err == 0) {
        if (a->der) {
            ossl_put_der(&text, ca->root);
        } else {
            ossl_put_pem(&text, ca->root);
        }
        say(&text);
    }
    buf_free(&text);
    ca_unref(ca);
    return err;
}

static int run_rotate(struct args *a, struct diag *d)
{
    int err = ca_rotate(&a->make, d);
    if (err == 0) {
        err = describe(a, d);
    }
    if (err == 0) {
        printf("\nNext: reload the proxy (SIGHUP, or systemctl reload photogate). Clients need "
               "nothing new.\n");
    }
    return err;
}

static int run_csr(struct args *a, struct diag *d)
{
    struct buf pem = {0};
    a->make.cn = a->node;
    int err = ca_request(&a->make, &pem, d);
    if (err == 0) {
        say(&pem);
        fprintf(stderr,
                "photogate: have it signed as a subordinate CA with, besides keyUsage keyCertSign "
                "and cRLSign:\n"
                "photogate:   basicConstraints  critical, CA:TRUE, pathlen:0\n"
                "photogate:   extendedKeyUsage  serverAuth\n"
                "photogate:   nameConstraints   critical, as in the request (openssl req -noout "
                "-text shows them)\n"
                "photogate: then run: photogate ca import --dir %s FILE, with the new certificate "
                "and all above it\n",
                a->make.dir);
    }
    buf_free(&pem);
    return err;
}

static int run_import(struct args *a, struct diag *d)
{
    struct buf bytes = {0};
    int err = 0;
    for (int i = 0; err == 0 && i < a->rest_count; i++) {
        err = read_input(a->rest[i], &bytes, d);
    }
    if (err == 0) {
        err = ca_import(&a->make, buf_view(&bytes), a->rest[0], d);
    }
    if (err == 0) {
        err = describe(a, d);
    }
    if (err == 0) {
        printf("\nNext: reload the proxy (SIGHUP, or systemctl reload photogate).\n");
    }
    buf_free(&bytes);
    return err;
}

static int run_issue(struct args *a, struct diag *d)
{
    struct buf csr = {0}, pem = {0};
    int err = read_input(a->csr, &csr, d);
    if (err == 0) {
        err = ca_issue(&a->make, a->node, buf_view(&csr), a->csr, &pem, d);
    }
    if (err == 0) {
        say(&pem);
        fprintf(stderr, "photogate: on %s run: photogate ca import --dir DIR FILE\n", a->node);
    }
    buf_free(&csr);
    buf_free(&pem);
    return err;
}

static int run_crl(struct args *a, struct diag *d)
{
    int err = ca_renew_crl(&a->make, d);
    return err == 0 ? describe(a, d) : err;
}

#define ABOUT_NAMES                                                                               \
    "  --name HOST        a host it is for, \"*.HOST\" for all below it; repeat it\n"             \
    "  --public-url URL   http://HOST[:PORT] under which clients reach this proxy's own pages;\n" \
    "                     Windows needs it to fetch revocation lists\n"

static const struct command commands[] = {
    {"init", "make a root and an issuing CA limited to the inspected hosts",
     "[--name HOST]... [--public-url URL] [--cn TEXT]",
     ABOUT_NAMES "  --cn TEXT          the root's common name\n",
     (const int[]){OPT_NAME, OPT_URL, OPT_CN, 0}, run_init},
    {"show", "describe the CA, with what is wrong or will soon be", "[--json]",
     "  --json             one object for scripts\n", (const int[]){OPT_JSON, 0}, run_show},
    {"export", "print the root certificate, to be given to clients", "[--pem | --der]",
     "  --pem, --der       the form; PEM if not given\n", (const int[]){OPT_PEM, OPT_DER, 0},
     run_export},
    {"rotate", "make a new issuing CA under the same root",
     "[--name HOST]... [--public-url URL] [--root-key FILE] [--revoke]",
     ABOUT_NAMES
     "                     without these, as the CA in use has them\n"
     "  --root-key FILE    where the root's key is, if it was moved away\n"
     "  --revoke           revoke the replaced issuing CA and delete its key: it was stolen\n",
     (const int[]){OPT_NAME, OPT_URL, OPT_ROOT_KEY, OPT_REVOKE, 0}, run_rotate},
    {"crl", "renew the root's revocation list", "[--root-key FILE]",
     "  --root-key FILE    where the root's key is, if it was moved away\n",
     (const int[]){OPT_ROOT_KEY, 0}, run_crl},
    {"csr", "make a key and print a request, for a PKI of yours to sign",
     "[--name HOST]... [--node NAME]",
     ABOUT_NAMES "  --node NAME        this machine's name in the request\n",
     (const int[]){OPT_NAME, OPT_URL, OPT_NODE, 0}, run_csr},
    {"import", "take the issuing certificate that came back", "FILE... [--name HOST]... [--force]",
     "  FILE               the certificate and all above it (PEM, DER, PKCS#7); - is stdin\n"
     "  --name HOST        a host that it must be good for; repeat it\n"
     "  --force            take it though it is not limited as it should be\n",
     (const int[]){OPT_NAME, OPT_FORCE, 0}, run_import},
    {"issue", "sign another node's request with the root here",
     "--node NAME --csr FILE [--name HOST]... [--public-url URL] [--root-key FILE]",
     "  --node NAME        the node\n"
     "  --csr FILE         what photogate ca csr printed there; - is stdin\n" ABOUT_NAMES
     "  --root-key FILE    where the root's key is, if it was moved away\n",
     (const int[]){OPT_NODE, OPT_CSR, OPT_NAME, OPT_URL, OPT_ROOT_KEY, 0}, run_issue},
};

/* --- the command line --- */

static void print_usage(FILE *to)
{
    fprintf(to, "usage: photogate ca COMMAND [--dir DIR] [OPTION]...\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(to, "\nphotogate ca COMMAND --help says more.\n");
}

static void print_help(const struct command *c)
{
    printf(
        "usage: photogate ca %s %s [--dir DIR] [--config FILE]\n\n%c%s.\n\n%s"
        "  --dir DIR          where the CA is; \"ca\" if neither this nor the configuration says\n"
        "  --config FILE      the configuration that names, URL and directory come from\n",
        c->name, c->options, (char)(c->summary[0] - 32), c->summary + 1, c->about);
}

static int usage_error(struct diag *d, const struct command *c, const char *what, const char *which)
{
    (void)diag_error(d, DIAG_NOWHERE, "%s%s; photogate ca %s --help says what it takes", what,
                     which, c->name);
    return EXIT_USAGE;
}

static bool takes(const struct command *c, int option)
{
    if (option == OPT_DIR || option == OPT_CONFIG || option == 'h') {
        return true;
    }
    for (const int *at = c->takes; *at != 0; at++) {
        if (*at == option) {
            return true;
        }
    }
    return false;
}

static int take_name(struct args *a, const char *text, struct diag *d)
{
    int err = names_add(&a->names, str_z(text));
    if (err != 0) {
        (void)diag_error(d, DIAG_NOWHERE,
                         "--name %s: %s; it takes a full host name, or \"*.\" and one", text,
                         err_str(err));
        return EXIT_USAGE;
    }
    return 0;
}

static int take_option(struct args *a, int option, char *value, struct diag *d)
{
    switch (option) {
    case OPT_DIR:
        a->dir = value;
        return 0;
    case OPT_NAME:
        return take_name(a, value, d);
    case OPT_URL:
        a->public_url = value;
        return 0;
    case OPT_CN:
        a->make.cn = value;
        return 0;
    case OPT_ROOT_KEY:
        a->make.root_key = value;
        return 0;
    case OPT_CONFIG:
        a->config = value;
        return 0;
    case OPT_CSR:
        a->csr = value;
        return 0;
    case OPT_NODE:
        a->node = value;
        return 0;
    case OPT_JSON:
        a->json = true;
        return 0;
    case OPT_DER:
        a->der = true;
        return 0;
    case OPT_REVOKE:
        a->make.revoke = true;
        return 0;
    case OPT_FORCE:
        a->make.force = true;
        return 0;
    case 'h':
        a->help = true;
        return 0;
    default: /* OPT_PEM, which is the default */
        return 0;
    }
}

static const char *option_name(int value)
{
    for (const struct option *o = all_options; o->name != NULL; o++) {
        if (o->val == value) {
            return o->name;
        }
    }
    return "?";
}

static int parse(struct args *a, const struct command *c, int argc, char **argv, struct diag *d)
{
    int option, status = 0;
    optind = 0; /* GNU: begin anew */
    opterr = 0;
    while (status == 0 && (option = getopt_long(argc, argv, ":h", all_options, NULL)) != -1) {
        if (option == ':') {
            status = usage_error(d, c, "there is nothing behind ", argv[optind - 1]);
        } else if (option == '?') {
            status = usage_error(d, c, "unknown option ", argv[optind - 1]);
        } else if (!takes(c, option)) {
            status = usage_error(d, c, "it does not take --", option_name(option));
        } else {
            status = take_option(a, option, optarg, d);
        }
    }
    a->rest = argv + optind;
    a->rest_count = argc - optind;
    if (status != 0 || a->help) {
        return status;
    }
    if (c->run == run_import ? a->rest_count == 0 : a->rest_count > 0) {
        return c->run == run_import ? usage_error(d, c, "no FILE given", "")
                                    : usage_error(d, c, "unexpected argument ", a->rest[0]);
    }
    if (c->run == run_issue && (a->node == NULL || a->csr == NULL)) {
        return usage_error(d, c, "--node and --csr are needed", "");
    }
    char folded[NAME_MAX_LEN + 1];
    if (a->node != NULL && name_fold(str_z(a->node), folded) != 0) {
        return usage_error(d, c, "--node takes a host's name, not ", a->node);
    }
    if (a->make.cn != NULL && (strlen(a->make.cn) == 0 || strlen(a->make.cn) > CN_MAX)) {
        return usage_error(d, c, "--cn takes 1 to 64 characters", "");
    }
    return 0;
}

/* What the command line does not say comes from the configuration. */
static int complete(struct args *a, const struct cmd_ca_env *env, struct diag *d)
{
    static const char *const otherwise = "ca";
    if (env != NULL && env->fill(env->arg, a->config, &a->defaults, d) != 0) {
        return EXIT_USAGE;
    }
    a->make.now = time(NULL);
    a->make.dir = a->dir != NULL ? a->dir : a->defaults.dir != NULL ? a->defaults.dir : otherwise;
    a->make.names = a->names.count > 0 ? &a->names : &a->defaults.names;
    a->make.public_url = a->public_url != NULL ? a->public_url : a->defaults.public_url;
    return 0;
}

static int run(const struct command *c, int argc, char **argv, const struct cmd_ca_env *env)
{
    struct args a = {0};
    struct diag d = {0};
    int status = parse(&a, c, argc, argv, &d);
    if (status == 0 && a.help) {
        print_help(c);
    } else if (status == 0) {
        status = complete(&a, env, &d);
        if (status == 0 && c->run(&a, &d) != 0) {
            status = EXIT_FAILED;
        }
    }
    if (fflush(stdout) != 0 && status == 0) {
        (void)diag_error(&d, DIAG_NOWHERE, "cannot write to standard output");
        status = EXIT_FAILED;
    }
    diag_print(&d, "photogate");
    diag_free(&d);
    names_free(&a.names);
    names_free(&a.defaults.names);
    free(a.defaults.dir);
    free(a.defaults.public_url);
    return status;
}

int cmd_ca(int argc, char **argv, const struct cmd_ca_env *env)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return run(&commands[i], argc - 1, argv + 1, env);
        }
    }
    if (argc >= 2) {
        fprintf(stderr, "photogate: ca: unknown command %s\n", argv[1]);
    }
    print_usage(stderr);
    return EXIT_USAGE;
}
