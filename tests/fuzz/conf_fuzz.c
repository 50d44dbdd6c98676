/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as proxy.toml: refused with faults that each say where in the file, one a line; or
 * taken, and then written out and read again without a difference.
 */
#include "proxy/conf.h"

#include <fcntl.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_faults(const struct diag *d)
{
    struct str rest = buf_view(&d->text), line;
    while (str_cut(&rest, '\n', &line)) {
        check(line.len == 0 || str_starts(line, STR("fuzz.toml:")) ||
              str_starts(line, STR("more faults follow;")));
        for (size_t i = 0; i < line.len; i++) {
            check((unsigned char)line.ptr[i] >= ' ' && line.ptr[i] != 0x7f);
        }
    }
}

static void read_and_write(struct str text, bool must, struct buf *out)
{
    struct conf *c = NULL;
    struct diag d = {0};
    int err = conf_parse(text, "fuzz.toml", AT_FDCWD, &c, &d);
    check((err != 0) == (d.errors > 0) && (err == 0) == (c != NULL));
    check(err == 0 || !must);
    check_faults(&d);
    if (err == 0) {
        conf_write(c, out);
    }
    conf_free(c);
    diag_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once = {0}, twice = {0};
    read_and_write(str_of((const char *)data, size), false, &once);
    if (once.len > 0) {
        read_and_write(buf_view(&once), true, &twice);
        check(str_eq(buf_view(&once), buf_view(&twice)));
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
