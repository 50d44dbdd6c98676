/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/guard.h"

#include "common/cc.h"

#include <endian.h>

size_t guard_head_end(struct str in, size_t from)
{
    while (from < in.len) {
        const char *lf = memchr(in.ptr + from, '\n', in.len - from);
        if (lf == NULL) {
            break;
        }
        from = (size_t)(lf - in.ptr) + 1;
        size_t next = from + (from < in.len && in.ptr[from] == '\r');
        if (next < in.len && in.ptr[next] == '\n') {
            return next + 1;
        }
    }
    return 0;
}

/*
 * One table look-up a byte: what it may be part of. TOKEN: RFC 9110, 5.6.2; VALUE: field-vchar,
 * obs-text, SP and HTAB (5.5); TARGET: visible ASCII.
 */
enum {
    TOKEN = 1,
    VALUE = 2,
    TARGET = 4
};
static uint8_t class_of[256];

__attribute__((constructor)) static void build_classes(void)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (unsigned c = 0; c < 256; c++) {
        bool alpha = (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80;
        bool token = alpha || (c >= '0' && c <= '9') ||
                     (c != 0 && c < 0x80 && strchr(marks, (int)c) != NULL);
        bool visible = c > 0x20 && c != 0x7f;
        class_of[c] =
            (uint8_t)((token ? TOKEN : 0) | (visible || c == ' ' || c == '\t' ? VALUE : 0) |
                      (visible && c < 0x80 ? TARGET : 0));
    }
}

static bool is_class(char c, uint8_t what)
{
    return (class_of[(unsigned char)c] & what) != 0;
}

bool guard_is_token(char c)
{
    return is_class(c, TOKEN);
}

static bool all_are(struct str s, uint8_t what)
{
    uint8_t all = what;
    for (size_t i = 0; i < s.len; i++) {
        all &= class_of[(unsigned char)s.ptr[i]];
    }
    return all == what;
}

/* Bytes of VALUE at the start of `s`, eight at a time: most are plain, neither control nor DEL. */
static size_t value_len(struct str s)
{
    const uint64_t each = UINT64_MAX / 255;
    size_t n = 0;
    while (s.len - n >= 8) {
        uint64_t word;
        memcpy(&word, s.ptr + n, sizeof(word));
        word = le64toh(word);
        uint64_t del = word ^ (each * 0x7f);
        /* the lowest bit that is set marks the first byte that is not plain */
        uint64_t found = (((word - each * 0x20) & ~word) | ((del - each) & ~del)) & (each * 0x80);
        if (found == 0) {
            n += 8;
            continue;
        }
        n += (size_t)__builtin_ctzll(found) / 8;
        if (s.ptr[n] != '\t') {
            return n;
        }
        n++;
    }
    while (n < s.len && is_class(s.ptr[n], VALUE)) {
        n++;
    }
    return n;
}

static bool is_value(struct str s)
{
    return value_len(s) == s.len;
}

/* Cuts the next line, which must end in CRLF and have no other CR or LF. */
static struct h1_fault cut_line(struct str *rest, struct str *line)
{
    ptrdiff_t lf = str_index(*rest, '\n');
    if (lf < 0) {
        return H1_BAD("a line has no end");
    }
    if (lf == 0 || rest->ptr[lf - 1] != '\r') {
        return H1_BAD("a line ends in LF without CR");
    }
    *line = str_of(rest->ptr, (size_t)lf - 1);
    *rest = str_skip(*rest, (size_t)lf + 1);
    return H1_FINE;
}

/* `line` starts with `token` bytes that could be a name; what follows them is no colon. */
static struct h1_fault no_name(struct str line, size_t token)
{
    char c = token < line.len ? line.ptr[token] : '\n';
    if (c == '\r' || c == '\n') {
        return H1_BAD("a field line has no colon");
    }
    return token == 0 && (c == ' ' || c == '\t')
               ? H1_BAD("a field continues on the next line (obs-fold)")
               : H1_BAD("a field name has a character that is not allowed");
}

/* Cuts a field line with its CRLF. */
static struct h1_fault cut_field(struct str *rest)
{
    size_t name = 0;
    while (name < rest->len && is_class(rest->ptr[name], TOKEN)) {
        name++;
    }
    if (name == rest->len || rest->ptr[name] != ':') {
        return no_name(*rest, name);
    }
    if (name == 0) {
        return H1_BAD("a field has no name");
    }
    struct str value = str_skip(*rest, name + 1);
    size_t end = value_len(value);
    if (value.len - end < 2 || value.ptr[end] != '\r' || value.ptr[end + 1] != '\n') {
        return H1_BAD("a field value has a control character, or a line no CRLF");
    }
    *rest = str_skip(value, end + 2);
    return H1_FINE;
}

static struct h1_fault check_fields(struct str rest, const struct h1_limits *limits)
{
    for (unsigned count = 0; rest.len > 0; count++) {
        if (rest.ptr[0] == '\r') {
            return str_eq(rest, STR("\r\n")) ? H1_FINE
                                             : H1_BAD("what should be the last line is not empty");
        }
        if (count == limits->fields) {
            return H1_TOO(431, "too many fields");
        }
        struct h1_fault fault = cut_field(&rest);
        if (fault.text != NULL) {
            return fault;
        }
    }
    return H1_BAD("no empty line ends the fields");
}

/* HTTP-version (RFC 9112, 2.3) */
static bool is_version(struct str s)
{
    return s.len == 8 && str_starts(s, STR("HTTP/")) && s.ptr[5] >= '0' && s.ptr[5] <= '9' &&
           s.ptr[6] == '.' && s.ptr[7] >= '0' && s.ptr[7] <= '9';
}

static struct h1_fault check_request_line(struct str line)
{
    struct str method, target, rest = line;
    if (!str_cut(&rest, ' ', &method) || !str_cut(&rest, ' ', &target) || rest.ptr == NULL) {
        return H1_BAD("the request line is not: method, space, target, space, version");
    }
    if (!str_eq(rest, STR("HTTP/1.1")) && !str_eq(rest, STR("HTTP/1.0"))) {
        return is_version(rest) ? H1_TOO(505, "the version is not HTTP/1.1 or HTTP/1.0")
                                : H1_BAD("the request line does not end in a version");
    }
    if (method.len == 0 || target.len == 0) {
        return H1_BAD("the request line has an empty part");
    }
    if (!all_are(method, TOKEN)) {
        return H1_BAD("the method is no token");
    }
    return all_are(target, TARGET) ? H1_FINE : H1_BAD("the target has a control character");
}

struct h1_fault guard_request(struct str head, const struct h1_limits *limits)
{
    struct str line, rest = head;
    struct h1_fault fault = cut_line(&rest, &line);
    if (fault.text == NULL && line.len > limits->line) {
        fault = H1_TOO(414, "the request line is too long");
    }
    if (fault.text == NULL) {
        fault = check_request_line(line);
    }
    return fault.text != NULL ? fault : check_fields(rest, limits);
}

bool guard_is_strict(struct str head)
{
    struct str rest = head;
    ptrdiff_t lf;
    while ((lf = str_index(rest, '\n')) >= 0) {
        if (lf == 0 || rest.ptr[lf - 1] != '\r') {
            return false;
        }
        rest = str_skip(rest, (size_t)lf + 1);
        if (rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t')) {
            return false;
        }
    }
    return true;
}

size_t guard_normalise(struct str head, char *out)
{
    size_t to = 0;
    bool in_fields = false;
    for (size_t i = 0; i < head.len; i++) {
        char next = i + 1 < head.len ? head.ptr[i + 1] : '\0';
        if (head.ptr[i] == '\r' && next == '\n') {
            continue;
        }
        if (head.ptr[i] != '\n') {
            out[to++] = head.ptr[i];
        } else if (in_fields && (next == ' ' || next == '\t')) {
            out[to++] = ' ';
        } else {
            out[to++] = '\r';
            out[to++] = '\n';
            in_fields = true;
        }
    }
    return to;
}

/* status-line (RFC 9112, 4); the reason and the space before it may be absent */
static struct h1_fault check_status_line(struct str line)
{
    if (!str_starts(line, STR("HTTP/1.1 ")) && !str_starts(line, STR("HTTP/1.0 "))) {
        return H1_BAD("the status line does not start with HTTP/1.1 or HTTP/1.0");
    }
    struct str rest = str_skip(line, 9), status;
    uint64_t n;
    if (!str_cut(&rest, ' ', &status) || status.len != 3 || !str_u64(status, &n) || n < 100 ||
        n > 599) {
        return H1_BAD("the status is no number from 100 to 599");
    }
    return is_value(line) ? H1_FINE : H1_BAD("the status line has a control character");
}

struct h1_fault guard_response(struct str head, const struct h1_limits *limits)
{
    struct str line, rest = head;
    struct h1_fault fault = cut_line(&rest, &line);
    if (fault.text == NULL && line.len > limits->line) {
        fault = H1_TOO(414, "the status line is too long");
    }
    if (fault.text == NULL) {
        fault = check_status_line(line);
    }
    return fault.text != NULL ? fault : check_fields(rest, limits);
}

struct h1_fault guard_trailers(struct str section, const struct h1_limits *limits)
{
    return check_fields(section, limits);
}

static struct str skip_space(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = str_skip(s, 1);
    }
    return s;
}

/* Cuts a token off the front; false when there is none. */
static bool cut_token(struct str *rest)
{
    size_t n = 0;
    while (n < rest->len && is_class(rest->ptr[n], TOKEN)) {
        n++;
    }
    *rest = str_skip(*rest, n);
    return n > 0;
}

/* The same for a quoted-string (RFC 9110, 5.6.4), in which a backslash quotes one character. */
static bool cut_quoted(struct str *rest)
{
    for (size_t i = 1; i < rest->len; i++) {
        if (rest->ptr[i] == '"') {
            *rest = str_skip(*rest, i + 1);
            return true;
        }
        i += rest->ptr[i] == '\\';
        if (i >= rest->len || !is_class(rest->ptr[i], VALUE)) {
            return false;
        }
    }
    return false;
}

/* chunk-ext (RFC 9112, 7.1.1): *( BWS ";" BWS name [ BWS "=" BWS value ] ) */
static bool are_extensions(struct str rest)
{
    while (rest.len > 0) {
        rest = skip_space(rest);
        if (rest.len == 0 || rest.ptr[0] != ';') {
            return false;
        }
        rest = skip_space(str_skip(rest, 1));
        if (!cut_token(&rest)) {
            return false;
        }
        struct str value = skip_space(rest);
        if (value.len == 0 || value.ptr[0] != '=') {
            continue;
        }
        rest = skip_space(str_skip(value, 1));
        bool quoted = rest.len > 0 && rest.ptr[0] == '"';
        if (quoted ? !cut_quoted(&rest) : !cut_token(&rest)) {
            return false;
        }
    }
    return true;
}

/* The value of a hexadecimal digit, or 16. */
static unsigned hex_digit(char c)
{
    char lower = ascii_lower(c);
    if (lower >= '0' && lower <= '9') {
        return (unsigned)(lower - '0');
    }
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : 16;
}

struct h1_fault guard_chunk_line(struct str line, uint64_t *size)
{
    struct str rest = line;
    struct h1_fault fault = cut_line(&rest, &line);
    if (fault.text != NULL || rest.len > 0) {
        return fault.text != NULL ? fault : H1_BAD("bytes follow the line of a chunk");
    }
    uint64_t n = 0;
    size_t at = 0;
    for (; at < line.len && hex_digit(line.ptr[at]) < 16; at++) {
        if (n > (uint64_t)INT64_MAX >> 4) {
            return H1_BAD("a chunk is larger than can be counted");
        }
        n = n << 4 | hex_digit(line.ptr[at]);
    }
    if (at == 0) {
        return H1_BAD("a chunk has no size");
    }
    if (!are_extensions(str_skip(line, at))) {
        return H1_BAD("something other than extensions follows the size of a chunk");
    }
    *size = n;
    return H1_FINE;
}
