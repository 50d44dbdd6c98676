/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/split.h"

#include "common/cc.h"

uint32_t path_hash(struct str text)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < text.len; i++) {
        h = (h ^ (unsigned char)text.ptr[i]) * 16777619u;
    }
    return h;
}

struct cutter {
    struct path *out;
    struct str text;
    unsigned how, found;
    bool full;
    size_t patience; /* bytes that looking for closing parentheses may still cost */
};

#define KEYS_MOST 4 /* in a row behind one name */

/*
 * Index of the parenthesis that closes the one at `open`, or 0. Quotes hide parentheses and, unless
 * they are open to it, slashes (OData 4.01 URL conventions, 4.3: a quote within quotes is doubled,
 * which needs no care here). A slash outside quotes ends the segment, so nothing closes behind it.
 */
static size_t closing(struct cutter *c, size_t open)
{
    unsigned depth = 0;
    bool quoted = false, slash = false;
    for (size_t i = open; i < c->text.len && c->patience > 0; i++, c->patience--) {
        switch (c->text.ptr[i]) {
        case '\'':
            quoted = !quoted;
            break;
        case '/':
            if (!quoted || c->how & SPLIT_QUOTES_OPEN) {
                return 0;
            }
            slash = true;
            break;
        case '(':
            depth += !quoted;
            break;
        case ')':
            if (!quoted && --depth == 0) {
                c->found |= slash ? SPLIT_HAD_QUOTED : 0;
                return i;
            }
            break;
        default:
            break;
        }
    }
    return 0;
}

static void push(struct cutter *c, struct path_seg seg)
{
    seg.hash = path_hash(seg.text);
    seg.odd |= c->how & SPLIT_ESCAPED && str_index(seg.text, '%') >= 0;
    if (c->out->count == PATH_SEGMENTS) {
        c->full = true;
        return;
    }
    c->out->seg[c->out->count++] = seg;
}

static void pop_segment(struct path *p)
{
    bool start = false;
    while (p->count > 0 && !start) {
        start = p->seg[--p->count].start;
    }
}

static struct str trim_spaces(struct str s)
{
    while (s.len > 0 && s.ptr[0] == ' ') {
        s = str_skip(s, 1);
    }
    while (s.len > 0 && s.ptr[s.len - 1] == ' ') {
        s.len--;
    }
    return s;
}

/* Windows takes "photo. " for "photo"; so may what serves it. */
static struct str trim_tail(struct str s)
{
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '.')) {
        s.len--;
    }
    return s;
}

/* "delta()" is delta. */
static struct str without_call(struct str s)
{
    size_t len = s.len;
    if (len == 0 || s.ptr[--len] != ')') {
        return s;
    }
    while (len > 0 && s.ptr[len - 1] == ' ') {
        len--;
    }
    return len > 0 && s.ptr[len - 1] == '(' ? str_of(s.ptr, len - 1) : s;
}

/*
 * Pushes the keys of "name(key)(key)" when `s` is that from `open`, its first parenthesis, on; the
 * name goes first. False, with nothing pushed, when something stands between or behind the
 * parentheses.
 */
static bool push_keyed(struct cutter *c, struct str s, size_t open, bool colon)
{
    const size_t base = (size_t)(s.ptr - c->text.ptr);
    struct str key[KEYS_MOST];
    size_t keys = 0;
    for (size_t at = open; at < s.len;) {
        size_t close = s.ptr[at] == '(' && keys < KEYS_MOST ? closing(c, base + at) : 0;
        if (close == 0 || close - base >= s.len) {
            return false;
        }
        key[keys++] = trim_spaces(str_of(s.ptr + at + 1, close - base - at - 1));
        at = close - base + 1;
    }
    struct path_seg seg = {.text = trim_tail(trim_spaces(str_of(s.ptr, open))), .start = true};
    if (seg.text.len > 0) {
        push(c, seg);
        seg.start = false;
    }
    for (size_t i = 0; i < keys; i++) {
        if (key[i].len > 0) {
            seg = (struct path_seg){.text = key[i], .key = true, .start = seg.start};
            push(c, seg);
            seg.start = false;
        }
    }
    if (!seg.start && !c->full) {
        c->out->seg[c->out->count - 1].colon = colon;
    }
    return true;
}

/* One segment without its slashes; `open` is its first parenthesis that closes, or its length. */
static void take_segment(struct cutter *c, struct str s, size_t open)
{
    const char *before = s.ptr;
    s = trim_spaces(s);
    open -= MIN(open, (size_t)(s.ptr - before));
    if (s.len > 0 && s.ptr[0] == '.' && (s.len == 1 || (s.len == 2 && s.ptr[1] == '.'))) {
        c->found |= SPLIT_HAD_DOTS;
        if (!(c->how & SPLIT_KEEP_DOTS)) {
            if (s.len == 2) {
                pop_segment(c->out);
            }
            return;
        }
        push(c, (struct path_seg){.text = s, .start = true, .odd = true});
        return;
    }
    bool colon = false;
    for (size_t before_len = s.len + 1; s.len < before_len;) {
        before_len = s.len;
        s = without_call(trim_tail(s));
        if (s.len > 0 && s.ptr[s.len - 1] == ':') {
            colon = true;
            s.len--;
        }
    }
    if (open < s.len && push_keyed(c, s, open, colon)) {
        return;
    }
    if (s.len > 0 || colon) {
        bool half =
            c->how & SPLIT_QUOTES_OPEN && (str_index(s, '(') >= 0 || str_index(s, ')') >= 0);
        push(c, (struct path_seg){.text = s, .start = true, .colon = colon, .odd = half});
    }
}

unsigned split_path(struct path *out, struct str text, unsigned how, unsigned *found,
                    struct arena *a)
{
    size_t most = 2;
    for (size_t i = 0; i < text.len; i++) {
        most += text.ptr[i] == '/' || text.ptr[i] == '(';
    }
    *out = (struct path){
        .seg = arena_alloc(a, MIN(most, (size_t)PATH_SEGMENTS) * sizeof(struct path_seg))};
    struct cutter c = {.out = out, .text = text, .how = how, .patience = 8 * text.len + 1};
    for (size_t i = 0; i < text.len && !c.full;) {
        size_t start = i, open = 0, params = 0;
        bool look = true;
        for (; i < text.len && text.ptr[i] != '/'; i++) {
            if (text.ptr[i] == ';' && params == 0) {
                params = i - start + 1;
            } else if (text.ptr[i] == '(' && params == 0 && look) {
                size_t close = closing(&c, i);
                look = close != 0; /* what did not close will not close from further in */
                if (close != 0) {
                    open = open == 0 ? i - start + 1 : open;
                    i = close;
                }
            }
        }
        size_t len = params != 0 ? params - 1 : i - start;
        take_segment(&c, str_of(text.ptr + start, len), open != 0 ? open - 1 : len);
        i++;
    }
    *found |= c.found;
    return c.full || c.patience == 0 ? PATH_DEEP : 0;
}

/* Segments below which an item can be addressed by path (Microsoft Graph: "Addressing resources in
 * a drive on OneDrive"; sites by path). */
static bool is_drive_word(struct str name)
{
    static const struct str words[] = {
        STR_INIT("drive"),     STR_INIT("drives"),     STR_INIT("root"),    STR_INIT("items"),
        STR_INIT("special"),   STR_INIT("children"),   STR_INIT("sites"),   STR_INIT("shares"),
        STR_INIT("driveitem"), STR_INIT("containers"), STR_INIT("bundles"), STR_INIT("following")};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq(name, words[i])) {
            return true;
        }
    }
    return false;
}

void path_mark_files(struct path *p)
{
    bool drive = false, inside = false, any = false;
    for (size_t i = 0; i < p->count; i++) {
        any |= p->seg[i].colon;
    }
    for (size_t i = 0; any && i < p->count; i++) {
        struct path_seg *seg = &p->seg[i];
        if (inside) {
            seg->file = true;
            inside = !seg->colon;
        } else {
            /* "root:" anchors itself; an id needs the collection before it. */
            inside = seg->colon && (drive || (!seg->key && is_drive_word(seg->text)));
            drive = drive || (!seg->key && is_drive_word(seg->text));
        }
    }
}
