/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The corpus of request smuggling through the parser and the writer. What is malformed must be
 * refused; what is ambiguous refused or passed on as one request that a strict reader, which shares
 * nothing with the parser, understands; what is valid passed on.
 * usage: h1_corpus [-v] SHARED-DIRECTORY; exits with 77 where the corpus is not there.
 */
#include "common/b64.h"
#include "common/file.h"
#include "tests/h1_run.h"

#include <jansson.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static const struct h1_limits usual = {.line = 8192, .head = 65536, .fields = 100};

/* ---- the strict reader: NULL, or why `wire` is not exactly one request in one form only ---- */

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

#define DIGITS "0123456789"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define TCHARS "!#$%&'*+-.^_`|~" DIGITS UPPER LOWER

static size_t span(struct str s, const char *set)
{
    size_t n = 0;
    while (n < s.len && is_in(s.ptr[n], set)) {
        n++;
    }
    return n;
}

static bool strict_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 ? c != '\t' : c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool strict_line(struct str *rest, struct str *line)
{
    ptrdiff_t at = str_find(*rest, STR("\r\n"));
    if (at < 0) {
        return false;
    }
    *line = str_of(rest->ptr, (size_t)at);
    *rest = str_skip(*rest, (size_t)at + 2);
    return strict_text(*line);
}

struct strict {
    unsigned hosts, lengths, codings, connections;
    uint64_t length;
};

static const char *strict_field(struct strict *s, struct str line)
{
    size_t name = span(line, TCHARS);
    if (name == 0 || line.len < name + 2 || line.ptr[name] != ':' || line.ptr[name + 1] != ' ') {
        return "a field that is not NAME: VALUE";
    }
    struct str value = str_skip(line, name + 2);
    if (value.len > 0 && (is_in(value.ptr[0], " \t") || is_in(value.ptr[value.len - 1], " \t"))) {
        return "space around a value";
    }
    struct str id = str_of(line.ptr, name);
    s->hosts += str_ieq(id, STR("host"));
    s->connections += str_ieq(id, STR("connection"));
    if (str_ieq(id, STR("content-length"))) {
        s->lengths++;
        if (value.len == 0 || span(value, DIGITS) != value.len ||
            (value.ptr[0] == '0' && value.len > 1) || !str_u64(value, &s->length)) {
            return "a length that is not canonical";
        }
    }
    if (str_ieq(id, STR("transfer-encoding"))) {
        s->codings++;
        if (!str_eq(value, STR("chunked"))) {
            return "a coding that is not canonical";
        }
    }
    return NULL;
}

static const char *strict_chunks(struct str rest)
{
    struct str line;
    uint64_t size;
    do {
        if (!strict_line(&rest, &line) || line.len == 0 || line.len > 15 ||
            span(line, DIGITS "abcdef") != line.len || (line.ptr[0] == '0' && line.len > 1)) {
            return "a chunk line that is not canonical";
        }
        char text[16];
        memcpy(text, line.ptr, line.len);
        text[line.len] = '\0';
        size = strtoull(text, NULL, 16);
        if (size > 0) {
            if (rest.len < size + 2 || memcmp(rest.ptr + size, "\r\n", 2) != 0) {
                return "a chunk without its end";
            }
            rest = str_skip(rest, size + 2);
        }
    } while (size > 0);
    struct strict trailers = {0};
    for (;;) {
        if (!strict_line(&rest, &line)) {
            return "trailers without end";
        }
        if (line.len == 0) {
            break;
        }
        const char *fault = strict_field(&trailers, line);
        if (fault != NULL) {
            return fault;
        }
    }
    if (trailers.hosts + trailers.lengths + trailers.codings + trailers.connections > 0) {
        return "framing in trailers";
    }
    return rest.len == 0 ? NULL : "bytes behind the request";
}

static const char *strict_request(struct str wire)
{
    struct strict s = {0};
    struct str rest = wire, line;
    if (!strict_line(&rest, &line)) {
        return "no request line";
    }
    size_t method = span(line, UPPER "-");
    struct str tail = str_skip(line, method);
    if (method == 0 || tail.len < 11 || tail.ptr[0] != ' ' || !str_ends(tail, STR(" HTTP/1.1"))) {
        return "request line";
    }
    struct str target = str_of(tail.ptr + 1, tail.len - 10);
    if (str_index(target, ' ') >= 0 || str_index(target, '\t') >= 0) {
        return "space in the target";
    }
    for (;;) {
        if (!strict_line(&rest, &line)) {
            return "a head without end";
        }
        if (line.len == 0) {
            break;
        }
        const char *fault = strict_field(&s, line);
        if (fault != NULL) {
            return fault;
        }
    }
    if (s.hosts != 1 || s.lengths + s.codings > 1 || s.connections > 1) {
        return "fields that contradict each other";
    }
    if (s.codings == 1) {
        return strict_chunks(rest);
    }
    return rest.len == s.length ? NULL : "bytes behind the request";
}

/* ---- vectors ---- */

/*
 * Vectors whose class is not what is right for this parser, each looked at. The ids are not unique,
 * so the start of the name is there, too.
 */
static const struct {
    const char *id, *name, *why;
} judged[] = {
    {"hg-server-4", "Incoming chunked", "a plain request: the fault was in the server's answer"},
    {"hg-server-25", "", "the vector was stripped of its chunks"},
    {"hg-server-32", "", "010 is 10 (RFC 9110, 8.6) and is passed on as 10"},
    {"hg-server-39", "", "what follows the last chunk is a trailer field by the letter: name X"},
    {"hg-server-45", "", "the valid request passes, only the garbage behind it does not"},
    {"ll-connection-242", "", "the vector is cut wrongly out of its source: Markdown follows"},
    {"ll-connection-244", "", "a plain offer to upgrade, where llhttp stops"},
    {"ll-connection-248", "", "the same"},
    {"ll-connection-249", "", "the same"},
    {"ll-connection-250", "", "the same"},
    {"ll-connection-251", "", "the same"},
    {"ll-content-length-262", "", "a HTAB behind the number: llhttp 8.1 refuses it"},
    {"ll-method-298", "", "a plain CONNECT, where llhttp stops"},
    {"ll-method-299", "", "a plain CONNECT, where llhttp stops"},
    {"ll-method-307", "", "SOURCE is Icecast's"},
    {"ll-method-312", "", "QUERY is no registered method, and llhttp 8 and 9.2 do not know it"},
    {"ll-transfer-encoding-351", "",
     "deflate as a transfer coding: 501 is what RFC 9112, 6.1 says"},
    {"ll-uri-371", "", "a plain CONNECT: an underscore is found in real names"},
};

static const char *why_judged(const char *id, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
        if (strcmp(judged[i].id, id) == 0 && str_starts(str_z(name), str_z(judged[i].name))) {
            return judged[i].why;
        }
    }
    return NULL;
}

enum outcome {
    REFUSED,
    INCOMPLETE, /* fine as far as it goes, but the vector ends inside a message */
    PASSED,
    AMBIGUOUS, /* passed on in a form that the strict reader does not take */
    OUTCOMES
};

static const char *const class_names[] = {"reject", "normalise", "accept", "either"};

struct count {
    unsigned of[ARRAY_LEN(class_names)][OUTCOMES];
    unsigned no_host;
};

static void decode(const char *text, struct buf *out)
{
    struct buf raw = {0};
    if (b64_decode(&raw, str_z(text), B64_STANDARD) != 0) {
        fprintf(stderr, "h1_corpus: not base64\n");
        abort();
    }
    struct str rest = buf_view(&raw);
    ptrdiff_t at;
    while ((at = str_find(rest, STR("@HOST@"))) >= 0) {
        buf_put(out, rest.ptr, (size_t)at);
        buf_z(out, "a"); /* one byte, as the lengths in the vectors want */
        rest = str_skip(rest, (size_t)at + 6);
    }
    buf_str(out, rest);
    buf_free(&raw);
}

/* Every request that was complete, written again, must be one request to the strict reader. */
static const char *check_written(const struct h1_run *run)
{
    const char *fault = NULL;
    for (unsigned i = 0; i < run->count && fault == NULL; i++) {
        if (run->message[i].has_end) {
            struct buf wire = {0};
            h1_run_rewrite(run, i, &wire);
            fault = strict_request(buf_view(&wire));
            buf_free(&wire);
        }
    }
    return fault;
}

/* The body that belongs to a head of which only the head was given. */
static void feed_body(struct h1_run *run)
{
    const struct h1_run_message *m = &run->message[0];
    char zeros[4096] = {0};
    if (run->count > 1 || !m->has_head || m->has_end) {
        return;
    }
    if (m->msg.body == BODY_STREAM) {
        h1_run_feed(run, STR("3\r\nabc\r\n0\r\n\r\n"));
    }
    while (m->msg.body == BODY_LENGTH && !m->has_end && m->body.len < 1 << 24) {
        h1_run_feed(run, str_of(zeros, MIN(sizeof(zeros), m->msg.length - m->body.len)));
    }
}

static enum outcome judge(struct str in, bool head_only, struct buf *why)
{
    struct h1_run run;
    h1_run_init(&run, false, &usual, STR_NONE);
    h1_run_feed(&run, in);
    if (head_only) {
        feed_body(&run);
    }
    const char *fault = check_written(&run);
    enum outcome outcome = PASSED;
    if (fault != NULL) {
        outcome = AMBIGUOUS;
    } else if (run.result == H1_FAULT) {
        outcome = REFUSED;
    } else if (h1_eof(&run.h1) == H1_FAULT) {
        outcome = run.message[0].has_head ? INCOMPLETE : REFUSED;
    }
    if (fault != NULL) {
        buf_printf(why, "%s: ", fault);
    }
    h1_run_full(&run, why);
    h1_run_free(&run);
    return outcome;
}

/* Many a vector has no Host; what it is about shows when it has one. */
static void add_hosts(struct buf *in)
{
    const struct str end = STR(" HTTP/1.1\r\n");
    struct buf with = {0};
    struct str rest = buf_view(in);
    ptrdiff_t at;
    while ((at = str_find(rest, end)) >= 0) {
        buf_put(&with, rest.ptr, (size_t)at + end.len);
        buf_z(&with, "Host: a\r\n");
        rest = str_skip(rest, (size_t)at + end.len);
    }
    buf_str(&with, rest);
    buf_free(in);
    *in = with;
}

/* Is `outcome` what `class` asks for? */
static bool is_right(const char *class_name, enum outcome outcome)
{
    if (strcmp(class_name, "reject") == 0) {
        return outcome == REFUSED;
    }
    return outcome != AMBIGUOUS && (strcmp(class_name, "accept") != 0 || outcome != REFUSED);
}

static unsigned class_of(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(class_names); i++) {
        if (name != NULL && strcmp(class_names[i], name) == 0) {
            return i;
        }
    }
    fprintf(stderr, "h1_corpus: no such class\n");
    abort();
}

/* True when the outcome is right, or known and judged. */
static bool judge_vector(const json_t *v, bool verbose, struct count *count)
{
    const char *id = json_string_value(json_object_get(v, "id"));
    const char *name = json_string_value(json_object_get(v, "name"));
    unsigned class = class_of(json_string_value(json_object_get(v, "class")));
    bool head_only = json_is_true(json_object_get(v, "headers_only"));
    static const char *const outcomes[] = {"refused", "incomplete", "passed", "ambiguous"};
    struct buf in = {0}, why = {0};
    decode(json_string_value(json_object_get(v, "raw_b64")), &in);
    enum outcome outcome = judge(buf_view(&in), head_only, &why);
    const char *host = "";
    if (str_eq(buf_view(&why), STR("!400 no Host"))) {
        host = " once it has a Host";
        count->no_host++;
        buf_clear(&why);
        add_hosts(&in);
        outcome = judge(buf_view(&in), head_only, &why);
    }
    count->of[class][outcome]++;
    bool right = is_right(class_names[class], outcome);
    const char *judgement = right ? NULL : why_judged(id, name);
    if (!right || verbose) {
        printf("%s %s is %s%s: %s\n", class_names[class], id, outcomes[outcome], host, name);
        printf("    %s\n", judgement != NULL ? judgement : buf_cstr(&why));
    }
    buf_free(&in);
    buf_free(&why);
    return right || judgement != NULL;
}

int main(int argc, char **argv)
{
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    const char *shared = getenv("PHOTOGATE_SHARED"); /* NOLINT(concurrency-mt-unsafe): one thread */
    shared = shared != NULL ? shared : argv[argc - 1];
    struct buf path = {0}, text = {0};
    buf_printf(&path, "%s/corpus/smuggling/vectors.jsonl", shared);
    if (file_read(AT_FDCWD, buf_cstr(&path), 1 << 24, &text) != 0) {
        printf("no corpus at %s\n", buf_cstr(&path));
        buf_free(&path);
        return 77;
    }
    bool fine = true;
    struct count count = {0};
    struct str rest = buf_view(&text), line;
    for (unsigned number = 1; str_cut(&rest, '\n', &line) && line.len > 0; number++) {
        json_error_t error;
        json_t *v = json_loadb(line.ptr, line.len, 0, &error);
        if (v == NULL) {
            fprintf(stderr, "h1_corpus: line %u: %s\n", number, error.text);
            return 2;
        }
        fine &= judge_vector(v, verbose, &count);
        json_decref(v);
    }
    printf("%-10s %8s %10s %8s %10s\n", "class", "refused", "incomplete", "passed", "ambiguous");
    for (unsigned i = 0; i < ARRAY_LEN(class_names); i++) {
        const unsigned *of = count.of[i];
        printf("%-10s %8u %10u %8u %10u\n", class_names[i], of[REFUSED], of[INCOMPLETE], of[PASSED],
               of[AMBIGUOUS]);
    }
    printf("%u vectors were judged with a Host added\n", count.no_host);
    buf_free(&path);
    buf_free(&text);
    return fine ? 0 : 1;
}
