/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/filters_load.h"

#include "common/err.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define CONFIG_BYTES (16u << 20)

static int read_sections(struct filters_conf *conf, struct str text, const char *config,
                         struct arena *a, struct diag *d)
{
    struct toml_doc *doc;
    int err = toml_parse(text, config, &doc, d);
    if (err == 0) {
        struct schema_reader r = {.doc = doc, .arena = a, .diag = d};
        const struct toml_node *root = toml_root(doc);
        err = filters_conf_read(conf, &r, toml_get(root, "inspect"), toml_get(root, "filters"),
                                toml_get(root, "admins"));
        toml_free(doc);
    }
    return err;
}

/* The directory of `config`, held open: relative names in it start there. -errno on failure. */
static int open_directory(const char *config)
{
    const char *slash = strrchr(config, '/');
    char *name = slash == NULL ? xstrdup(".") : xstrndup(config, (size_t)(slash - config) + 1);
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 ? -errno : 0;
    free(name);
    return fd < 0 ? err : fd;
}

int filters_load(const char *config, struct filters **out, struct diag *d)
{
    struct filters_conf conf;
    struct arena arena = {0};
    struct buf text = {0};
    int err = 0, dir = AT_FDCWD;
    filters_conf_defaults(&conf);
    if (config != NULL) {
        err = file_read(AT_FDCWD, config, CONFIG_BYTES, &text);
        if (err == 0) {
            dir = open_directory(config);
            err = dir < 0 ? dir : 0;
        }
        if (err != 0) {
            diag_error(d, DIAG_FILE(config), "cannot be read: %s", err_str(err));
        } else {
            conf.dir = dir;
            err = read_sections(&conf, buf_view(&text), config, &arena, d);
        }
    }
    if (err == 0) {
        err = filters_build(&conf, out, d);
    }
    if (dir >= 0) {
        close(dir);
    }
    buf_free(&text);
    arena_free(&arena);
    return err;
}
