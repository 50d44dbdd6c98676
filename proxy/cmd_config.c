/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cmd_config.h"

#include "common/err.h"
#include "proxy/cmd_run.h"
#include "proxy/conf.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "usage: photogate config [--config FILE | --defaults] [KEY]...\n"
    "\n"
    "Prints the configuration as the program reads it: every key with its value, as TOML.\n"
    "\n"
    "  KEY             only the value of this key, such as certs.dir; a string without its quotes\n"
    "  --config FILE   the configuration; default proxy.toml in this directory, else\n"
    "                  /etc/photogate/proxy.toml\n"
    "  --defaults      what holds for keys that no file sets\n"
    "\n"
    "Exit status: 0 done, 1 there is no such key, 2 wrong usage or configuration.\n";

/* The line "KEY = VALUE # what" of `section` in what conf_write() wrote. */
static bool find_value(struct str text, struct str section, struct str key, struct str *value)
{
    struct str line;
    bool here = false;
    while (str_cut(&text, '\n', &line)) {
        if (line.len > 2 && line.ptr[0] == '[') {
            here = str_eq(str_of(line.ptr + 1, line.len - 2), section);
        } else if (here && str_starts(line, key) &&
                   str_starts(str_skip(line, key.len), STR(" = "))) {
            *value = str_skip(line, key.len + 3);
            for (size_t i = value->len; i >= 3;
                 i--) { /* the last one; strings may hold some, too */
                if (memcmp(value->ptr + i - 3, " # ", 3) == 0) {
                    value->len = i - 3;
                    break;
                }
            }
            return true;
        }
    }
    return false;
}

static int put_string(struct buf *out, struct str value, struct diag *d)
{
    struct buf line = {0};
    struct toml_doc *doc = NULL;
    buf_z(&line, "value = ");
    buf_str(&line, value);
    int err = toml_parse(buf_view(&line), "configuration", &doc, d);
    if (err == 0) {
        buf_str(out, toml_get(toml_root(doc), "value")->string);
    }
    toml_free(doc);
    buf_free(&line);
    return err;
}

static int put_value(struct buf *out, struct str text, const char *name, struct diag *d)
{
    struct str value, path = str_z(name);
    size_t dot = path.len;
    while (dot > 0 && path.ptr[dot - 1] != '.') {
        dot--;
    }
    if (dot < 2 || !find_value(text, str_of(path.ptr, dot - 1), str_skip(path, dot), &value)) {
        return diag_error(d, DIAG_NOWHERE, "there is no key \"%s\"; photogate config lists all",
                          name);
    }
    if (value.ptr[0] == '"') {
        int err = put_string(out, value, d);
        if (err != 0) {
            return err;
        }
    } else {
        buf_str(out, value);
    }
    buf_char(out, '\n');
    return 0;
}

static int print(const char *config, char *const *keys, int count)
{
    struct diag d = {0};
    struct conf *conf = NULL;
    struct buf text = {0}, values = {0};
    int dir = -1, status = 0;
    if (conf_load(config, &dir, &conf, &d) != 0) {
        status = 2;
    } else {
        conf_write(conf, &text);
        for (int i = 0; i < count; i++) {
            status = put_value(&values, buf_view(&text), keys[i], &d) != 0 ? 1 : status;
        }
        const struct buf *out = count > 0 ? &values : &text;
        if (out->len > 0) {
            fwrite(out->ptr, 1, out->len, stdout);
        }
    }
    if (fflush(stdout) != 0) {
        (void)diag_error(&d, DIAG_NOWHERE, "cannot write to standard output");
        status = 1;
    }
    diag_print(&d, "photogate");
    diag_free(&d);
    buf_free(&text);
    buf_free(&values);
    conf_free(conf);
    if (dir >= 0) {
        close(dir);
    }
    return status;
}

int cmd_config(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"defaults", no_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *config = NULL;
    bool defaults = false;
    int c;
    optind = 1;
    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            config = optarg;
            break;
        case 'd':
            defaults = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            fputs("photogate: config --help shows the options\n", stderr);
            return 2;
        }
    }
    if (defaults && config != NULL) {
        fputs("photogate: config takes --config or --defaults, not both\n", stderr);
        return 2;
    }
    if (!defaults && config == NULL) {
        config = default_config();
    }
    return print(config, argv + optind, argc - optind);
}
