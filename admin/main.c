/* SPDX-License-Identifier: Apache-2.0 */
/* The program `photogate-admin`: finds the command, reads the options, keeps secrets out of core
 * dumps. */
#include "admin/cmd.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const char help[] =
    "usage: photogate-admin COMMAND [--config FILE] [options]\n"
    "\n"
    "  whoami         who this program is for the tenant, and what it may do\n"
    "  status         what is locked, what is open, and by which switch\n"
    "  plan           what apply would change, in how many calls and how long\n"
    "  apply          changes it; goes on with a run that was cut off\n"
    "  verify         reads everything back; says when it acts for everybody\n"
    "  undo [RUN]     takes back what a run changed; --list shows the runs\n"
    "  watch          looks again and again; tells, and locks again if so configured\n"
    "  assign         only the policies of people and groups\n"
    "  role-entries   only the roles that hold Set-UserPhoto\n"
    "  portal-access  only the portals\n"
    "  export-admins  writes the list of administrators that the gate lets through\n"
    "  confirm NAME   notes that a switch which no program can see stands as it should\n"
    "  doctor         checks sign-in, permissions, clock and cmdlets\n"
    "\n"
    "  --config FILE   default admin.toml in this directory, else /etc/photogate/admin.toml\n"
    "  --json          for programs (status, plan, verify)\n"
    "  --full          look at each mailbox instead of by property (status, plan, apply, verify, "
    "assign)\n"
    "  --all           show each step of a plan\n"
    "  --yes           do not ask (apply, undo, assign, role-entries, portal-access)\n"
    "  --max-writes N  stop after N writes; the next apply goes on\n"
    "  --force         do what is refused otherwise: roles = \"remove\", an empty list of "
    "administrators\n"
    "  --once          one pass (watch)\n"
    "\n"
    "Exit status: 0 done, nothing open; 1 failed, or something could not be read; 2 wrong usage "
    "or\n"
    "configuration; 3 something is open.\n";

enum option_bit {
    OPT_JSON = 1,
    OPT_FULL = 2,
    OPT_ALL = 4,
    OPT_YES = 8,
    OPT_MAX = 16,
    OPT_FORCE = 32,
    OPT_LIST = 64,
    OPT_ONCE = 128,
    OPT_OPERAND = 256
};
#define OPT_CHANGE (OPT_FULL | OPT_ALL | OPT_YES | OPT_MAX | OPT_FORCE)

static const struct {
    const char *name;
    int (*run)(struct session *s);
    unsigned takes;
} commands[] = {
    {"whoami", cmd_whoami, 0},
    {"status", cmd_status, OPT_JSON | OPT_FULL},
    {"plan", cmd_plan, OPT_JSON | OPT_FULL | OPT_ALL | OPT_FORCE},
    {"apply", cmd_apply, OPT_CHANGE},
    {"verify", cmd_verify, OPT_JSON | OPT_FULL},
    {"undo", cmd_undo, OPT_ALL | OPT_YES | OPT_MAX | OPT_LIST | OPT_OPERAND},
    {"watch", cmd_watch, OPT_ONCE},
    {"assign", cmd_assign, OPT_CHANGE},
    {"role-entries", cmd_role_entries, OPT_CHANGE},
    {"portal-access", cmd_portal_access, OPT_CHANGE},
    {"export-admins", cmd_export_admins, OPT_FORCE},
    {"doctor", cmd_doctor, 0},
    {"confirm", cmd_confirm, OPT_OPERAND},
};

static void on_signal(int number)
{
    (void)number;
    client_stop(); /* calls under way end, nothing new begins, the journal says how far it came */
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "photogate-admin: %s%s; photogate-admin --help lists them\n", what, which);
    return EXIT_USAGE;
}

/* 0, or EXIT_USAGE with the fault printed. */
static int read_options(int argc, char **argv, unsigned takes, struct options *o)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, OPT_JSON},
        {"full", no_argument, NULL, OPT_FULL},    {"all", no_argument, NULL, OPT_ALL},
        {"yes", no_argument, NULL, OPT_YES},      {"max-writes", required_argument, NULL, OPT_MAX},
        {"force", no_argument, NULL, OPT_FORCE},  {"list", no_argument, NULL, OPT_LIST},
        {"once", no_argument, NULL, OPT_ONCE},    {NULL, 0, NULL, 0},
    };
    bool *flags[] = {&o->json, &o->full, &o->all, &o->yes, NULL, &o->force, &o->list, &o->once};
    int option, place = 0;
    while ((option = getopt_long(argc, argv, "", options, &place)) != -1) {
        if (option == '?') {
            return EXIT_USAGE;
        }
        if (option == 'c') {
            o->config = optarg;
            continue;
        }
        if ((takes & (unsigned)option) == 0) {
            return usage("this command does not take --", options[place].name);
        }
        if (option == OPT_MAX) {
            if (!str_u64(str_z(optarg), &o->max_writes) || o->max_writes == 0) {
                return usage("--max-writes wants a number from 1 on, not ", optarg);
            }
            continue;
        }
        for (size_t bit = 0; bit < ARRAY_LEN(flags); bit++) {
            if (option == 1 << bit) {
                *flags[bit] = true;
            }
        }
    }
    if (argc - optind > (takes & OPT_OPERAND ? 1 : 0)) {
        return usage("too many arguments: ", argv[optind]);
    }
    o->operand = optind < argc ? argv[optind] : NULL;
    return 0;
}

static const char *default_config(void)
{
    return access("admin.toml", F_OK) == 0 ? "admin.toml" : "/etc/photogate/admin.toml";
}

static int run(int (*command)(struct session *s), const struct options *opts)
{
    struct session s = {.opts = *opts};
    struct diag d = {0};
    int status = EXIT_USAGE;
    if (conf_load(opts->config != NULL ? opts->config : default_config(), &s.conf, &d) == 0) {
        s.cl = client_new(s.conf, &d);
        status = s.cl != NULL ? command(&s) : EXIT_FAILED;
    }
    if (s.out.len > 0 &&
        (fwrite(s.out.ptr, 1, s.out.len, stdout) != s.out.len || fflush(stdout) != 0)) {
        fputs("photogate-admin: cannot write to standard output\n", stderr);
        status = EXIT_FAILED;
    }
    diag_print(&d, "photogate-admin");
    diag_free(&d);
    client_free(s.cl);
    conf_free(s.conf);
    buf_free(&s.out);
    return status;
}

int main(int argc, char **argv)
{
    const struct rlimit none = {0, 0};
    const struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(help, argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("photogate-admin " PHOTOGATE_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            struct options opts = {0};
            if (argc > 2 && strcmp(argv[2], "--help") == 0) {
                return fputs(help, stdout) < 0;
            }
            int status = read_options(argc - 1, argv + 1, commands[i].takes, &opts);
            return status != 0 ? status : run(commands[i].run, &opts);
        }
    }
    return usage("there is no such command: ", argv[1]);
}
