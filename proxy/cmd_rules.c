/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cmd_rules.h"

#include "proxy/filters_load.h"
#include "proxy/rules_bench.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "usage: photogate rules test  [--config FILE]\n"
    "       photogate rules list  [--config FILE] [--json]\n"
    "       photogate rules bench\n"
    "\n"
    "  test   loads all packs and runs the test vectors in them\n"
    "  list   the rules in the order in which they are looked at\n"
    "  bench  what a decision costs with 10, 1,000 and 100,000 rules more\n"
    "\n"
    "  --config FILE  proxy.toml, for the packs that it names; without it those of the program\n"
    "  --json         one JSON object a line\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage or a pack or configuration with a fault.\n";

struct listing {
    struct buf out;
    bool json;
};

static void put_rule(void *ctx, const struct rule_info *rule, bool on)
{
    struct listing *l = ctx;
    if (!l->json) {
        buf_printf(&l->out, "%-34s %-10s %s  %s:%u%s\n", rule->id,
                   rule_confidence_name(rule->confidence), rule->date, rule->file, rule->line,
                   on ? "" : "  (off)");
        return;
    }
    const char *const member[][2] = {
        {"id", rule->id},         {"why", rule->why},
        {"source", rule->source}, {"date", rule->date},
        {"file", rule->file},     {"confidence", rule_confidence_name(rule->confidence)},
    };
    for (size_t i = 0; i < ARRAY_LEN(member); i++) {
        buf_printf(&l->out, "%s\"%s\":", i == 0 ? "{" : ",", member[i][0]);
        buf_json(&l->out, str_z(member[i][1]));
    }
    buf_printf(&l->out, ",\"line\":%u,\"on\":%s}\n", rule->line, on ? "true" : "false");
}

static int list(const struct filters *f, bool json)
{
    struct listing l = {.json = json};
    filters_each_rule(f, put_rule, &l);
    bool written = fwrite(l.out.ptr, 1, l.out.len, stdout) == l.out.len && fflush(stdout) == 0;
    buf_free(&l.out);
    return written ? 0 : 1;
}

static int test(const struct filters *f)
{
    struct filters_counts n = filters_count(f);
    return printf("%zu packs, %zu rules, %zu test vectors: all as they say; %zu hosts inspected\n",
                  n.packs, n.rules, n.vectors, n.hosts) < 0;
}

static int usage(const char *what)
{
    fprintf(stderr, "photogate: rules: %s; see photogate rules --help\n", what);
    return 2;
}

int cmd_rules(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *config = NULL;
    bool json = false;
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            return fputs(help, stdout) < 0;
        default:
            return 2; /* getopt has said what is wrong */
        }
    }
    if (argc - optind != 1) {
        return usage("wants test, list or bench");
    }
    struct str what = str_z(argv[optind]);
    if (str_eq(what, STR("bench"))) {
        return rules_bench();
    }
    if (!str_eq(what, STR("test")) && !str_eq(what, STR("list"))) {
        return usage("wants test, list or bench");
    }
    struct filters *f = NULL;
    struct diag d = {0};
    int status = filters_load(config, &f, &d) != 0 ? 2 : 0;
    diag_print(&d, "photogate");
    if (status == 0) {
        status = str_eq(what, STR("list")) ? list(f, json) : test(f);
    }
    filters_free(f);
    diag_free(&d);
    return status;
}
