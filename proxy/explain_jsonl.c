/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/explain_jsonl.h"

#include "proxy/explain_case.h"

#include <stdlib.h>
#include <time.h>

struct stream {
    const struct filters *filters;
    FILE *in, *out;
    struct buf line, answer;
    struct arena arena;
    long errors;
    bool broken; /* the output */
};

static void put_member(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, ",\"%s\":", name);
    if (value.ptr == NULL) {
        buf_z(b, "null");
    } else {
        buf_json(b, value);
    }
}

/* The id goes back as it came, whatever kind of value it is. */
static void put_id(struct buf *b, const json_t *line)
{
    const json_t *id = json_object_get(line, "id");
    char *text = id != NULL ? json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    buf_z(b, "{\"id\":");
    buf_z(b, text != NULL ? text : "null");
    free(text);
}

static void put_verdict(struct buf *b, const struct verdict *v)
{
    bool blocked = v->kind == VERDICT_BLOCK || v->kind == VERDICT_NEED_BODY;
    put_member(b, "verdict", blocked ? STR("block") : STR("pass"));
    put_member(b, "rule", v->rule != NULL ? str_z(v->rule->id) : STR_NONE);
    put_member(b, "why", v->rule != NULL ? str_z(v->rule->why) : STR_NONE);
    put_member(b, "evidence", v->rule != NULL ? v->evidence : STR_NONE);
    if (v->kind == VERDICT_BYPASS) {
        put_member(b, "bypass", v->bypass);
    }
    explain_items(b, v);
}

static void answer(struct stream *s, const json_t *line, const char *fault)
{
    struct explain_case c;
    arena_reset(&s->arena);
    explain_case_init(&c, &s->arena);
    buf_clear(&s->answer);
    put_id(&s->answer, line);
    if (fault == NULL && !explain_case_json(&c, line)) {
        fault = c.fault;
    }
    if (fault != NULL) {
        s->errors++;
        put_member(&s->answer, "error", str_z(fault));
    } else {
        explain_case_done(&c);
        c.request.now = (int64_t)time(NULL);
        struct verdict v = filters_decide(s->filters, &c.request, &c.actor, &s->arena);
        put_verdict(&s->answer, &v);
    }
    buf_z(&s->answer, "}\n");
    s->broken |= fwrite(s->answer.ptr, 1, s->answer.len, s->out) != s->answer.len;
}

static void take_line(struct stream *s)
{
    struct str text = buf_view(&s->line);
    while (text.len > 0 && (text.ptr[text.len - 1] == '\r' || text.ptr[text.len - 1] == ' ')) {
        text.len--;
    }
    if (text.len == 0) {
        return;
    }
    if (text.len > EXPLAIN_LINE) {
        answer(s, NULL, "the line is too long");
        return;
    }
    json_error_t fault;
    json_t *line = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
    answer(s, line, line == NULL ? fault.text : NULL);
    json_decref(line);
}

long explain_jsonl(const struct filters *f, FILE *in, FILE *out)
{
    struct stream s = {.filters = f, .in = in, .out = out};
    char chunk[65536];
    size_t n;
    while (!s.broken && (n = fread(chunk, 1, sizeof(chunk), in)) > 0) {
        struct str rest = str_of(chunk, n);
        while (rest.len > 0 && !s.broken) {
            ptrdiff_t end = str_index(rest, '\n');
            size_t part = end >= 0 ? (size_t)end : rest.len;
            if (s.line.len <= EXPLAIN_LINE) { /* of a longer line only the fact is kept */
                buf_put(&s.line, rest.ptr, part);
            }
            if (end >= 0) {
                take_line(&s);
                buf_clear(&s.line);
                part++;
            }
            rest = str_skip(rest, part);
        }
    }
    if (!s.broken) {
        take_line(&s);
    }
    s.broken |= fflush(out) != 0;
    buf_free(&s.line);
    buf_free(&s.answer);
    arena_free(&s.arena);
    return s.broken ? -1 : s.errors;
}
