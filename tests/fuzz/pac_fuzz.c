/* SPDX-License-Identifier: Apache-2.0 */
/* PAC files of arbitrary strings: the script always loads, and its answers are those that were
 * meant. */
#include "proxy/pac.h"

#include <pacparser.h>
#include <stdarg.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libpacparser 1.3.6 leaks the URL it was asked for. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpacparser";
}

#define STRINGS 64
#define CANARY  "canary-7c1f0a.invalid"
#define HOME    "home-2d9e44.invalid"

static int print_nothing(const char *format, va_list args)
{
    (void)format;
    (void)args;
    return 0;
}

static void check_route(const char *host, const char *expected)
{
    const char *url = "https://" CANARY "/";
    const char *answer = pacparser_find_proxy(url, host);
    if (answer == NULL || (expected != NULL && strcmp(answer, expected) != 0)) {
        abort();
    }
}

/* Making one takes longer than all else; a file replaces everything that the last one defined. */
static bool renew_evaluator(void)
{
    static unsigned runs;
    if (runs++ % 256 != 0) {
        return true;
    }
    if (runs > 1) {
        pacparser_cleanup();
    }
    pacparser_set_error_printer(print_nothing);
    return pacparser_init() == 1;
}

static void check(const struct pac *p)
{
    struct buf script = {0};
    pac_write(&script, p);
    if (memchr(script.ptr, '\0', script.len) != NULL || !renew_evaluator() ||
        pacparser_parse_pac_string(buf_cstr(&script)) != 1) {
        abort();
    }
    check_route(CANARY,
                p->proxy_count == 1 ? (p->fail_open ? "PROXY a:1; DIRECT" : "PROXY a:1") : NULL);
    check_route(HOME, "DIRECT");
    check_route("other-51aa0b.invalid", NULL);
    buf_free(&script);
}

/* First byte: flags and how many strings go where; then strings, each ended by a newline. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text[STRINGS], rest = str_of((const char *)data, size), one;
    size_t count = 0;
    if (size < 2 || size > 4096) {
        return -1;
    }
    const unsigned flags = data[0], split = data[1];
    rest = str_skip(rest, 2);
    while (count < STRINGS - 2 && str_cut(&rest, '\n', &one)) {
        text[count++] = one;
    }
    const size_t own = count * (split & 15) / 15, direct = (count - own) * (split >> 4) / 15;
    const struct str proxy[2] = {STR("PROXY a:1"), count > 0 ? text[0] : STR("")};
    struct str home[STRINGS], gated[STRINGS];
    memcpy(home, text, own * sizeof(*text));
    home[own] = STR(HOME);
    memcpy(gated, text + own, (count - own) * sizeof(*text));
    gated[count - own] = STR(CANARY);
    const struct pac p = {
        .own = {home, own + 1},
        .inspected = {gated, count - own + 1},
        .all = (flags & 1) != 0,
        .direct = {text + own, direct},
        .proxy = proxy,
        .proxy_count = (flags & 2) != 0 ? 2 : 1,
        .otherwise = count > 0 ? text[count - 1] : STR("DIRECT"),
        .fail_open = (flags & 4) != 0,
    };
    check(&p);
    return 0;
}
