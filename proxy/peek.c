/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/peek.h"

#include "proxy/http/guard.h"
#include "proxy/http/hop.h"

static bool is_inspected(const struct filters *f, struct str authority)
{
    struct str host;
    unsigned port;
    return hop_authority(str_trim(authority), &host, &port) && filters_host(f, host) != NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts the next word of a request line, between whatever blanks. */
static struct str next_word(struct str *line)
{
    size_t from = 0, to;
    while (from < line->len && is_space(line->ptr[from])) {
        from++;
    }
    for (to = from; to < line->len && !is_space(line->ptr[to]);) {
        to++;
    }
    struct str word = str_of(line->ptr + from, to - from);
    *line = str_skip(*line, to);
    return word;
}

static struct str next_line(struct str *rest)
{
    struct str line;
    if (!str_cut(rest, '\n', &line)) {
        line = STR_NONE;
    }
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

/* Is the line one that servers take for a request's, in HTTP/1? They differ in what else they
 * forgive. */
static bool is_request_line(struct str line)
{
    struct str word, last = STR_NONE;
    while ((word = next_word(&line)).len > 0) {
        last = word;
    }
    return str_istarts(last, STR("HTTP/"));
}

/* An absolute-form target's host, without user information. */
static bool names_inspected(const struct filters *f, struct str target)
{
    ptrdiff_t slashes = str_find(target, STR("://"));
    if (slashes < 0) {
        return false;
    }
    struct str authority = str_skip(target, (size_t)slashes + 3);
    size_t end = 0;
    while (end < authority.len && strchr("/?#\\", authority.ptr[end]) == NULL) {
        end++;
    }
    authority.len = end;
    ptrdiff_t at = str_index(authority, '@');
    return is_inspected(f, at >= 0 ? str_skip(authority, (size_t)at + 1) : authority);
}

/* The request line's target, if absolute, and every Host of a plain HTTP head. */
static bool head_is_for_inspected(const struct filters *f, struct str head)
{
    struct str line = next_line(&head), word;
    bool in_host = false;
    while ((word = next_word(&line)).len > 0) {
        if (names_inspected(f, word)) {
            return true;
        }
    }
    while (head.len > 0) {
        struct str name;
        line = next_line(&head);
        if (line.len > 0 && is_space(line.ptr[0])) { /* a folded line goes on with the one before */
            if (in_host && is_inspected(f, line)) {
                return true;
            }
            continue;
        }
        in_host = str_cut(&line, ':', &name) && str_ieq(str_trim(name), STR("host"));
        if (in_host && is_inspected(f, line)) {
            return true;
        }
    }
    return false;
}

/* RFC 9112, 2.2: servers skip empty lines before a request. */
static struct str skip_empty_lines(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == '\r' || s.ptr[0] == '\n')) {
        s = str_skip(s, 1);
    }
    return s;
}

/* Could these bytes, the start of a line, become an HTTP/1 request line? */
static bool may_be_request_line(struct str start)
{
    for (size_t i = 0; i < start.len; i++) {
        unsigned char c = (unsigned char)start.ptr[i];
        if ((i == 0 && !guard_is_token((char)c)) || (c < ' ' && c != '\t' && c != '\r')) {
            return false;
        }
    }
    return true;
}

static void judge_plain(const struct filters *f, struct str first, struct peek *out)
{
    struct str head = skip_empty_lines(first), rest = head;
    ptrdiff_t line_end = str_index(head, '\n');
    bool too_long = first.len >= PEEK_HTTP_MAX;
    struct str line = line_end >= 0 ? next_line(&rest) : head;
    out->verdict = PEEK_PASS;
    if (!may_be_request_line(line) || (line_end >= 0 && !is_request_line(line))) {
        return;
    }
    size_t end = line_end >= 0 ? guard_head_end(head, 0) : 0;
    if (end == 0) {
        out->verdict = too_long ? PEEK_REFUSE : PEEK_MORE;
        out->why = "the head of a plain request is too long to be read";
    } else if (head_is_for_inspected(f, str_of(head.ptr, end))) {
        out->verdict = PEEK_REFUSE;
        out->why = "a request for an inspected host inside a tunnel to another";
    }
}

void peek_judge(const struct filters *f, struct str host, unsigned port, struct str first,
                struct peek *out)
{
    out->why = NULL;
    switch (hello_read(first, &out->hello)) {
    case HELLO_MORE:
        out->verdict = PEEK_MORE;
        return;
    case HELLO_BAD:
        out->verdict = PEEK_REFUSE;
        out->why = "a TLS ClientHello that cannot be read";
        return;
    case HELLO_NOT_TLS:
        if (port == 80) {
            judge_plain(f, first, out);
        } else {
            out->verdict = PEEK_PASS; /* not the web's protocol, and none of the hosts we look for
                                           speaks another */
        }
        return;
    case HELLO_READ:
        break;
    }
    struct str sni = str_z(out->hello.sni);
    bool refuse = sni.len > 0 && !str_eq(sni, host) && filters_host(f, sni) != NULL;
    out->verdict = refuse ? PEEK_REFUSE : PEEK_PASS;
    out->why = refuse ? "TLS for an inspected host inside a tunnel to another" : NULL;
}
