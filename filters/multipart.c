/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/multipart.h"

#include "common/buf.h"
#include "common/cc.h"
#include "filters/text.h"

#include <stdlib.h>

#define BOUNDARY 70 /* characters at most (RFC 2046, 5.1.1) */

enum multipart_state {
    MULTIPART_BEFORE,  /* the first delimiter */
    MULTIPART_IN_HEAD, /* the fields of a part */
    MULTIPART_IN_DATA,
    MULTIPART_BEHIND, /* the last delimiter */
};

struct multipart {
    const struct multipart_events *events;
    void *ctx;
    char delimiter[BOUNDARY + 2]; /* with its two dashes */
    size_t delimiter_len;
    enum multipart_state state;
    struct buf carry; /* what cannot be given on yet */
    bool line_start;  /* the carry starts at the start of a line */
};

static const char not_strict[] = "its parts are not cut as they should be";

/* Without what some readers cut off or take for something else: blanks at an end, or without
 * quotes; comments, lists, escapes. */
static bool is_boundary(struct str s)
{
    static const char odd[] = "\\\"(),<>";
    bool quoted = s.len > 0 && s.ptr[-1] == '"';
    for (size_t i = 0; i < s.len; i++) {
        bool blank = s.ptr[i] == ' ';
        if (s.ptr[i] < ' ' || s.ptr[i] == 0x7f || strchr(odd, s.ptr[i]) != NULL ||
            (blank && (!quoted || i == 0 || i + 1 == s.len))) {
            return false;
        }
    }
    return s.len > 0 && s.len <= BOUNDARY;
}

struct multipart *multipart_new(struct str content_type, const struct multipart_events *events,
                                void *ctx, const char **fault)
{
    struct str boundary;
    bool twice;
    if (!text_param(content_type, STR("boundary"), &boundary, &twice) || twice ||
        !is_boundary(boundary)) {
        *fault = "its boundary is missing or not as it should be";
        return NULL;
    }
    struct multipart *m = xnew(struct multipart);
    m->events = events;
    m->ctx = ctx;
    memcpy(m->delimiter, "--", 2);
    memcpy(m->delimiter + 2, boundary.ptr, boundary.len);
    m->delimiter_len = boundary.len + 2;
    return m;
}

void multipart_free(struct multipart *m)
{
    if (m != NULL) {
        buf_free(&m->carry);
        free(m);
    }
}

static struct str without_cr(struct str line)
{
    line.len -= line.len > 0 && line.ptr[line.len - 1] == '\r';
    return line;
}

struct str multipart_field(const struct filter_field *field, size_t fields, struct str name)
{
    for (size_t i = 0; i < fields; i++) {
        if (str_ieq(field[i].name, name)) {
            return field[i].value;
        }
    }
    return STR_NONE;
}

bool multipart_twice(const struct filter_field *field, size_t fields, struct str name)
{
    size_t found = 0;
    for (size_t i = 0; i < fields; i++) {
        found += str_ieq(field[i].name, name);
    }
    return found > 1;
}

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return name.len > 0;
}

bool multipart_fields(struct str *rest, struct filter_field *field, size_t room, size_t *fields)
{
    struct str line, name;
    *fields = 0;
    while (str_cut(rest, '\n', &line)) {
        line = without_cr(line);
        if (line.len == 0) {
            return true;
        }
        if (*fields == room || str_index(line, '\r') >= 0 || !str_cut(&line, ':', &name) ||
            line.ptr == NULL || !is_name(name)) {
            return false;
        }
        field[(*fields)++] = (struct filter_field){name, str_trim(line)};
    }
    return false;
}

/* What a line is: 0 none, 1 a delimiter, 2 the last one, -1 something that only starts like it. */
static int delimiter_kind(const struct multipart *m, struct str line)
{
    line = without_cr(line);
    if (!str_starts(line, str_of(m->delimiter, m->delimiter_len))) {
        return 0;
    }
    struct str behind = str_skip(line, m->delimiter_len);
    bool last = str_starts(behind, STR("--"));
    behind = str_trim(str_skip(behind, last ? 2 : 0));
    return behind.len > 0 ? -1 : last ? 2 : 1;
}

/* The end of the first head in the carry: behind its empty line; 0 when it is not there yet. */
static size_t head_end(struct str s)
{
    for (size_t i = 0, start = 0; i < s.len; i++) {
        if (s.ptr[i] == '\n') {
            if (without_cr(str_of(s.ptr + start, i - start)).len == 0) {
                return i + 1;
            }
            start = i + 1;
        }
    }
    return 0;
}

static void drop(struct multipart *m, size_t len)
{
    memmove(m->carry.ptr, m->carry.ptr + len, m->carry.len - len);
    m->carry.len -= len;
}

/* Outside of parts only empty lines may stand. */
static const char *take_outside(struct multipart *m, bool *progress)
{
    struct str s = buf_view(&m->carry);
    ptrdiff_t end = str_index(s, '\n');
    if (end < 0 || end > MULTIPART_HEAD) {
        return s.len > MULTIPART_HEAD ? not_strict : NULL;
    }
    struct str line = str_of(s.ptr, (size_t)end);
    int kind = delimiter_kind(m, line);
    if (kind < 0 || (kind == 0 && str_trim(without_cr(line)).len > 0) ||
        (kind > 0 && m->state == MULTIPART_BEHIND)) {
        return not_strict;
    }
    if (kind > 0) {
        m->state = kind == 1 ? MULTIPART_IN_HEAD : MULTIPART_BEHIND;
    }
    drop(m, (size_t)end + 1);
    *progress = true;
    return NULL;
}

static const char *take_head(struct multipart *m, bool *progress)
{
    struct filter_field field[MULTIPART_FIELDS];
    size_t fields, len = head_end(buf_view(&m->carry));
    if (len == 0) {
        return m->carry.len > MULTIPART_HEAD ? "a part's header is too long" : NULL;
    }
    struct str rest = str_of(m->carry.ptr, len);
    if (len > MULTIPART_HEAD || !multipart_fields(&rest, field, MULTIPART_FIELDS, &fields)) {
        return "a part's header cannot be read";
    }
    const char *fault = m->events->part(m->ctx, field, fields);
    drop(m, len);
    m->state = MULTIPART_IN_DATA;
    m->line_start = true;
    *progress = true;
    return fault;
}

/* Where the line break before the line at `start` begins: it belongs to the delimiter. */
static size_t break_before(struct str s, size_t start)
{
    start -= start > 0;
    return start > 0 && s.ptr[start - 1] == '\r' ? start - 1 : start;
}

/* The next CR or LF from `at` on, or the end. */
static size_t line_end(struct str s, size_t at)
{
    while (at < s.len && s.ptr[at] != '\n' && s.ptr[at] != '\r') {
        at++;
    }
    return at;
}

/* The delimiter line that starts at `start`, of which all is there. */
static const char *take_delimiter(struct multipart *m, size_t start, size_t end)
{
    struct str s = buf_view(&m->carry), line = str_of(s.ptr + start, end - start);
    /* OData's reader ends lines at a bare CR, too: what it would take for a delimiter is one */
    bool bare = start > 0 && s.ptr[start - 1] == '\r';
    int kind = bare || line.len > m->delimiter_len + MULTIPART_HEAD ? -1 : delimiter_kind(m, line);
    size_t len = break_before(s, start);
    const char *fault = len > 0 ? m->events->data(m->ctx, str_of(s.ptr, len)) : NULL;
    if (fault != NULL || kind < 0) {
        return fault != NULL ? fault : not_strict;
    }
    fault = m->events->part_end(m->ctx);
    drop(m, end + 1);
    m->state = kind == 1 ? MULTIPART_IN_HEAD : MULTIPART_BEHIND;
    return fault;
}

/*
 * Gives on what cannot be part of a delimiter. The carry keeps the last line break and what stands
 * behind it while that may still become one.
 */
static const char *take_data(struct multipart *m, bool *progress)
{
    struct str s = buf_view(&m->carry), mark = str_of(m->delimiter, m->delimiter_len);
    size_t start = 0; /* of a line */
    bool at_line = m->line_start;
    for (;;) {
        struct str rest = str_skip(s, start);
        size_t same = MIN(rest.len, mark.len);
        bool maybe = at_line && memcmp(rest.ptr, mark.ptr, same) == 0;
        ptrdiff_t feed = maybe && same == mark.len ? str_index(rest, '\n') : -1;
        if (feed >= 0) {
            *progress = true;
            return take_delimiter(m, start, start + (size_t)feed);
        }
        size_t end = line_end(s, start);
        if (maybe) {
            break;
        }
        if (end == s.len) {
            start = s.len;
            at_line = false;
            break;
        }
        start = end + 1;
        at_line = true;
    }
    size_t keep = !at_line ? s.len : start == 0 ? 0 : break_before(s, start);
    bool too_long = at_line && s.len - start > mark.len + MULTIPART_HEAD;
    m->line_start = m->line_start && keep == 0;
    const char *fault = keep > 0 ? m->events->data(m->ctx, str_of(s.ptr, keep)) : NULL;
    drop(m, keep);
    return fault == NULL && too_long ? not_strict : fault;
}

const char *multipart_feed(struct multipart *m, struct str piece)
{
    const char *fault = NULL;
    bool progress = true;
    buf_str(&m->carry, piece);
    while (fault == NULL && progress && m->carry.len > 0) {
        progress = false;
        fault = m->state == MULTIPART_IN_HEAD   ? take_head(m, &progress)
                : m->state == MULTIPART_IN_DATA ? take_data(m, &progress)
                                                : take_outside(m, &progress);
    }
    return fault;
}

const char *multipart_end(struct multipart *m)
{
    /* the last delimiter needs no line break behind it */
    const char *fault = multipart_feed(m, STR("\n"));
    if (fault == NULL && m->state != MULTIPART_BEHIND) {
        fault = "its last part has no end";
    }
    return fault;
}
