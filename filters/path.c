/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/path.h"

#include "common/cc.h"
#include "common/utf8.h"
#include "filters/split.h"

static const char *const fault_text[] = {
#define PATH_TEXT(name, text) text,
    PATH_FAULTS(PATH_TEXT)
#undef PATH_TEXT
};

const char *path_fault_text(unsigned faults)
{
    for (size_t i = 0; i < ARRAY_LEN(fault_text); i++) {
        if (faults & 1u << i) {
            return fault_text[i];
        }
    }
    return "nothing";
}

/* What a byte asks for. Bytes without a mark are copied as they are. */
enum mark {
    MARK_ESCAPE = 1,
    MARK_BACKSLASH = 2,
    MARK_CONTROL = 4,
    MARK_HIGH = 8,   /* not ASCII */
    MARK_ENDS = 16,  /* ? and #, which a second reader may take as the path's end */
    MARK_UPPER = 32, /* folded */
};

static const unsigned char mark_of[256] = {
    [0x00 ... 0x1f] = MARK_CONTROL,
    ['%'] = MARK_ESCAPE,
    ['\\'] = MARK_BACKSLASH,
    [0x7f] = MARK_CONTROL,
    [0x80 ... 0xff] = MARK_HIGH,
    ['?'] = MARK_ENDS,
    ['#'] = MARK_ENDS,
    ['A' ... 'Z'] = MARK_UPPER,
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int escape_at(struct str s, size_t i)
{
    if (i + 2 >= s.len) {
        return -1;
    }
    int high = hex_digit(s.ptr[i + 1]), low = hex_digit(s.ptr[i + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool u_escape_at(struct str s, size_t i)
{
    if (i + 5 >= s.len || (s.ptr[i + 1] | 0x20) != 'u') {
        return false;
    }
    for (size_t k = i + 2; k < i + 6; k++) {
        if (hex_digit(s.ptr[k]) < 0) {
            return false;
        }
    }
    return true;
}

/* A text on the way and what was found in it. */
struct round {
    struct str text;
    unsigned marks;  /* enum mark, of the decoded bytes */
    unsigned faults; /* enum path_fault */
    bool changed;    /* an escape was decoded */
};

/*
 * Decodes once into `out` (room for in.len bytes), folding. A stray % is a fault only in what came
 * off the wire: "100%25.txt" is the proper spelling of the file "100%.txt", whose % is one letter.
 */
static struct round decode_round(struct str in, char *out, bool from_wire)
{
    struct round r = {.text = {out, 0}};
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        if (c == '%') {
            int byte = escape_at(in, i);
            if (byte >= 0) {
                c = (unsigned char)byte;
                i += 2;
                r.changed = true;
            } else if (u_escape_at(in, i)) {
                r.faults |= PATH_U_ESCAPE;
            } else if (from_wire) {
                r.faults |= PATH_BAD_ESCAPE;
            }
        }
        if (c == '\0') {
            r.faults |= PATH_NUL;
        }
        r.marks |= mark_of[c];
        out[n++] = c == '\\' ? '/' : ascii_lower((char)c);
    }
    if (r.marks & MARK_CONTROL) {
        r.faults |= PATH_CONTROL;
    }
    r.text.len = n;
    return r;
}

/* True for a byte pair that starts an overlong form of an ASCII character (RFC 3629, 3). */
static bool is_overlong(unsigned char first, unsigned char second)
{
    return (second & 0xc0) == 0x80 &&
           (first == 0xc0 || first == 0xc1 || (first == 0xe0 && second < 0xa0) ||
            (first == 0xf0 && second < 0x90));
}

static bool has_overlong(struct str s)
{
    for (size_t i = 0; i + 1 < s.len; i++) {
        if (is_overlong((unsigned char)s.ptr[i], (unsigned char)s.ptr[i + 1])) {
            return true;
        }
    }
    return false;
}

/*
 * Characters that some readers map to ASCII: the full-width forms U+FF01–FF5E (best-fit mapping of
 * Windows code pages), U+017F and U+212A (which fold to s and k in Unicode). True when there were
 * any; `out` has room for s.len bytes.
 */
static bool fold_wide(struct str s, char *out, struct str *folded)
{
    size_t n = 0;
    bool any = false;
    for (size_t i = 0; i < s.len;) {
        uint32_t cp;
        size_t len = utf8_decode(str_skip(s, i), &cp);
        char ascii = len < 2                        ? s.ptr[i]
                     : cp >= 0xff01 && cp <= 0xff5e ? (char)(cp - 0xff01 + '!')
                     : cp == 0x17f                  ? 's'
                     : cp == 0x212a                 ? 'k'
                                                    : '\0';
        len = MAX(len, (size_t)1);
        if (ascii != '\0' || len == 1) {
            any |= len > 1;
            out[n++] = ascii == '\\' ? '/' : ascii_lower(ascii);
        } else {
            memcpy(out + n, s.ptr + i, len);
            n += len;
        }
        i += len;
    }
    *folded = str_of(out, n);
    return any;
}

static void add(struct paths *out, struct str text, unsigned how, unsigned *found, struct arena *a)
{
    if (out->count < PATH_READINGS) {
        out->faults |= split_path(&out->reading[out->count++], text, how, found, a);
    }
}

/* The readings of one text: at most five. */
static void add_readings(struct paths *out, struct str text, unsigned marks, unsigned how,
                         struct arena *a)
{
    unsigned found = 0, ignored = 0;
    add(out, text, how, &found, a);
    if (found & SPLIT_HAD_DOTS) {
        add(out, text, how | SPLIT_KEEP_DOTS, &ignored, a);
    }
    if (found & SPLIT_HAD_QUOTED) {
        add(out, text, how | SPLIT_QUOTES_OPEN, &ignored, a);
        if (found & SPLIT_HAD_DOTS) {
            add(out, text, how | SPLIT_QUOTES_OPEN | SPLIT_KEEP_DOTS, &ignored, a);
        }
    }
    if (marks & MARK_ENDS) {
        size_t end = 0;
        while (!(mark_of[(unsigned char)text.ptr[end]] & MARK_ENDS)) {
            end++;
        }
        add(out, str_of(text.ptr, end), how, &ignored, a);
    }
}

static void read_escaped(struct paths *out, struct str raw, struct arena *a)
{
    struct round round[PATH_ROUNDS];
    unsigned rounds = 1;
    round[0] = decode_round(raw, arena_alloc(a, raw.len), true);
    while (round[rounds - 1].changed) {
        struct round next = decode_round(round[rounds - 1].text, arena_alloc(a, raw.len), false);
        out->faults |= next.faults & PATH_U_ESCAPE;
        if (!next.changed) {
            break;
        }
        if (rounds == PATH_ROUNDS) {
            out->faults |= PATH_UNSTABLE;
            break;
        }
        round[rounds++] = next;
    }
    for (unsigned i = 0; i < rounds; i++) {
        out->faults |= round[i].faults;
        /* Deeper down only what hides an ASCII letter counts: "caf%25E9.pdf" names a file whose
         * own name holds the escape of an old code page. */
        if (round[i].marks & MARK_HIGH &&
            (i == 0 ? !utf8_is_valid(round[i].text) : has_overlong(round[i].text))) {
            out->faults |= PATH_UTF8;
        }
    }
    for (unsigned i = rounds; i-- > 0;) {
        bool last = i + 1 == rounds && !(out->faults & PATH_UNSTABLE);
        add_readings(out, round[i].text, round[i].marks, last ? 0 : SPLIT_ESCAPED, a);
    }
    struct str wide = round[rounds - 1].text;
    if (round[rounds - 1].marks & MARK_HIGH && fold_wide(wide, arena_alloc(a, wide.len), &wide)) {
        add_readings(out, wide, round[rounds - 1].marks, 0, a);
    }
}

void path_read(struct paths *out, struct str raw, struct arena *a)
{
    out->count = 0;
    if (raw.len > PATH_BYTES) {
        out->faults |= PATH_LONG;
        raw.len = PATH_BYTES;
    }
    unsigned marks = 0;
    char *text = arena_alloc(a, raw.len);
    for (size_t i = 0; i < raw.len; i++) {
        marks |= mark_of[(unsigned char)raw.ptr[i]];
        text[i] = ascii_lower(raw.ptr[i]);
    }
    if (marks & ~(unsigned)MARK_UPPER) {
        read_escaped(out, raw, a);
    } else {
        add_readings(out, str_of(text, raw.len), 0, 0, a);
    }
}

struct str path_decode_loose(struct str text, bool plus, struct arena *a)
{
    bool any = false;
    for (size_t i = 0; i < text.len && !any; i++) {
        any = text.ptr[i] == '%' || (plus && text.ptr[i] == '+');
    }
    if (!any) {
        return text;
    }
    char *out = arena_alloc(a, text.len);
    memcpy(out, text.ptr, text.len);
    for (size_t i = 0; plus && i < text.len; i++) {
        out[i] = out[i] == '+' ? ' ' : out[i];
    }
    text.ptr = out;
    for (unsigned round = 0; round < PATH_ROUNDS; round++) {
        size_t n = 0;
        for (size_t i = 0; i < text.len; i++) {
            int byte = text.ptr[i] == '%' ? escape_at(text, i) : -1;
            out[n++] = byte >= 0 ? (char)byte : text.ptr[i];
            i += byte >= 0 ? 2 : 0;
        }
        if (n == text.len) {
            break;
        }
        text.len = n;
    }
    return text;
}

/* Bytes that path_read() would take for something else, or that do not stand in a URL. */
static bool must_escape(unsigned char c)
{
    return c <= ' ' || c >= 0x7f || c == '%' || c == '?' || c == '#';
}

static void put_text(struct buf *out, struct str text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (must_escape(c)) {
            buf_char(out, '%');
            buf_char(out, digits[c >> 4]);
            buf_char(out, digits[c & 15]);
        } else {
            buf_char(out, (char)c);
        }
    }
}

void path_put(struct buf *out, const struct path *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct path_seg *seg = &p->seg[i];
        if (seg->start) {
            buf_char(out, '/');
        }
        if (seg->key) {
            buf_char(out, '(');
            put_text(out, seg->text);
            buf_char(out, ')');
        } else {
            put_text(out, seg->text);
        }
        if (seg->colon) {
            buf_char(out, ':');
        }
    }
    if (p->count == 0) {
        buf_char(out, '/');
    }
}
