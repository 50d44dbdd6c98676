/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Password files and Basic logins. What is taken from a file is found under its name and is what
 * the file says; what is read from a header gives that header again.
 */
#include "common/b64.h"
#include "common/err.h"
#include "proxy/auth.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void try_basic(struct str value)
{
    struct buf text = {0}, again = {0}, coded = {0};
    struct str user, password;
    if (auth_parse_basic(value, &text, &user, &password)) {
        check(user.len > 0 && str_index(user, ':') < 0);
        check(user.len + password.len + 1 == text.len && text.len <= 1024);
        buf_str(&again, user);
        buf_char(&again, ':');
        buf_str(&again, password);
        b64_encode(&coded, again.ptr, again.len, B64_STANDARD);
        check(str_eq(str_trim(str_skip(value, 6)), buf_view(&coded)));
        buf_free(&again);
        buf_free(&coded);
    }
    buf_free(&text);
}

static void try_file(struct str text)
{
    struct htpasswd *h = NULL;
    struct diag d = {0};
    if (htpasswd_parse(text, "users", &h, &d) != 0) {
        check(h == NULL && d.errors > 0);
        diag_free(&d);
        return;
    }
    struct str rest = text, line;
    if (str_starts(rest, STR("\xef\xbb\xbf"))) {
        rest = str_skip(rest, 3);
    }
    while (str_cut(&rest, '\n', &line)) {
        struct str name, hash = line, found = STR_NONE;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            hash.len--;
        }
        if (hash.len == 0 || hash.ptr[0] == '#') {
            continue;
        }
        check(str_cut(&hash, ':', &name) && name.len > 0 && htpasswd_find(h, name, &found));
        check(str_eq(found, hash) && hash.len > 40 && hash.ptr[0] == '$');
    }
    htpasswd_free(h);
    diag_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str in = str_of((const char *)data, size);
    try_basic(in);
    try_file(in);
    return 0;
}
