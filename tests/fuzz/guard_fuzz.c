/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head guard and the small readers beside it, each against a slow and plain second version: the
 * end of a head, what an accepted head may consist of, normalising, chunk lines, host[:port], field
 * names. The first byte chooses which.
 */
#include "proxy/http/guard.h"
#include "proxy/http/hop.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct h1_limits limits = {.line = 200, .head = 4096, .fields = 20};

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x80 || (!isalnum(c) && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))) {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_target(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= 0x20 || c >= 0x7f) {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* The first line of `head` is `first` and all others are fields; an empty line ends it. */
static bool is_section(struct str head, struct str *first)
{
    unsigned count = 0;
    for (;;) {
        ptrdiff_t at = str_find(head, STR("\r\n"));
        if (at < 0) {
            return false;
        }
        struct str line = str_of(head.ptr, (size_t)at), name;
        head = str_skip(head, (size_t)at + 2);
        if (first != NULL) {
            *first = line;
            first = NULL;
        } else if (line.len == 0) {
            return head.len == 0;
        } else if (!str_cut(&line, ':', &name) || line.ptr == NULL || !is_token(name) ||
                   !is_value(line) || ++count > limits.fields) {
            return false;
        }
    }
}

static bool is_request(struct str head)
{
    struct str line, method, target;
    return is_section(head, &line) && line.len <= limits.line && str_cut(&line, ' ', &method) &&
           str_cut(&line, ' ', &target) && is_token(method) && is_target(target) &&
           (str_eq(line, STR("HTTP/1.0")) || str_eq(line, STR("HTTP/1.1")));
}

static bool is_response(struct str head)
{
    struct str line;
    return is_section(head, &line) && line.len >= 12 && line.len <= limits.line && is_value(line) &&
           (str_starts(line, STR("HTTP/1.0 ")) || str_starts(line, STR("HTTP/1.1 "))) &&
           line.ptr[9] >= '1' && line.ptr[9] <= '5' && isdigit((unsigned char)line.ptr[10]) &&
           isdigit((unsigned char)line.ptr[11]) && (line.len == 12 || line.ptr[12] == ' ');
}

static size_t plain_end(struct str in)
{
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] == '\n') {
            struct str rest = str_skip(in, i + 1);
            if (str_starts(rest, STR("\n"))) {
                return i + 2;
            }
            if (str_starts(rest, STR("\r\n"))) {
                return i + 3;
            }
        }
    }
    return 0;
}

static void check_head_end(struct str in)
{
    size_t end = plain_end(in);
    assert(guard_head_end(in, 0) == end);
    /* as it is collected: the first call that can see the end sees it */
    for (size_t n = 1, seen = 0; n <= in.len; seen = n, n++) {
        size_t found = guard_head_end(str_of(in.ptr, n), seen >= 3 ? seen - 3 : 0);
        assert(found == (end > 0 && n >= end ? end : 0));
        if (found > 0) {
            break;
        }
    }
}

static void check_normalise(struct str in)
{
    in.len = guard_head_end(in, 0); /* it is for heads */
    char *out = malloc(in.len * 2 + 1), *again = malloc(in.len * 4 + 1);
    size_t len = guard_normalise(in, out);
    assert(len <= in.len * 2);
    struct str once = str_of(out, len);
    size_t len2 = guard_normalise(once, again);
    assert(str_eq(once, str_of(again, len2)));
    if (guard_is_strict(in)) {
        assert(str_eq(in, once));
    }
    /* only a fold behind the first line may be left, which no response has */
    if (guard_response(once, &limits).text == NULL) {
        assert(guard_is_strict(once));
    }
    free(out);
    free(again);
}

static void check_chunk_line(struct str in)
{
    uint64_t size = 0;
    if (guard_chunk_line(in, &size).text != NULL) {
        return;
    }
    char text[64];
    size_t at = 0;
    while (isxdigit((unsigned char)in.ptr[at])) {
        at++;
    }
    assert(at > 0 && size <= INT64_MAX && str_ends(in, STR("\r\n")));
    assert(is_value(str_of(in.ptr, in.len - 2)));
    assert(in.ptr[at] == '\r' || in.ptr[at] == ';' || in.ptr[at] == ' ' || in.ptr[at] == '\t');
    if (at < sizeof(text)) {
        memcpy(text, in.ptr, at);
        text[at] = '\0';
        assert(strtoull(text, NULL, 16) == size);
    }
}

static void check_authority(struct str in)
{
    struct str host;
    unsigned port;
    if (!hop_authority(in, &host, &port)) {
        return;
    }
    assert(host.len > 0 && host.len <= 255 && port <= 65535);
    assert(host.ptr >= in.ptr && host.ptr + host.len <= in.ptr + in.len);
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        assert(c < 0x80 && (isalnum(c) || strchr(in.ptr[0] == '[' ? ":." : ".-_", c) != NULL));
    }
}

static void check_field_id(struct str in)
{
    enum field_id plain = FIELD_OTHER;
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        if (str_ieq(in, field_name((enum field_id)id))) {
            plain = (enum field_id)id;
        }
    }
    assert(field_id_of(in) == plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1) {
        return 0;
    }
    char *copy = malloc(len); /* so that a read beyond the end is seen */
    memcpy(copy, data + 1, len - 1);
    struct str in = str_of(copy, len - 1);
    switch (data[0] % 8) {
    case 0:
        check_head_end(in);
        break;
    case 1:
        assert((guard_request(in, &limits).text == NULL) == is_request(in));
        break;
    case 2:
        assert((guard_response(in, &limits).text == NULL) == is_response(in));
        break;
    case 3:
        assert((guard_trailers(in, &limits).text == NULL) == is_section(in, NULL));
        break;
    case 4:
        check_normalise(in);
        break;
    case 5:
        check_chunk_line(in);
        break;
    case 6:
        check_authority(in);
        break;
    case 7:
        check_field_id(in);
        break;
    }
    free(copy);
    return 0;
}
