/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/text.h"

#include "common/cc.h"
#include "common/utf8.h"
#include "filters/canon.h"

static const char not_text[] = "its character set is not read";

/* The next ";"-separated part, a quoted string (RFC 9110, 5.6.4) kept whole. */
static bool next_part(struct str *rest, struct str *part)
{
    if (rest->ptr == NULL) {
        return false;
    }
    bool quoted = false;
    size_t i = 0;
    while (i < rest->len && (quoted || rest->ptr[i] != ';')) {
        if (quoted && rest->ptr[i] == '\\' && i + 1 < rest->len) {
            i++;
        } else if (rest->ptr[i] == '"') {
            quoted = !quoted;
        }
        i++;
    }
    *part = str_of(rest->ptr, i);
    *rest = i < rest->len ? str_skip(*rest, i + 1) : STR_NONE;
    return true;
}

struct str text_type(struct str value)
{
    struct str part = STR_NONE;
    (void)next_part(&value, &part);
    return str_trim(part);
}

bool text_param(struct str value, struct str name, struct str *out, bool *twice)
{
    struct str part, key;
    bool found = false;
    *twice = false;
    (void)next_part(&value, &part); /* the type */
    while (next_part(&value, &part)) {
        if (!str_cut(&part, '=', &key) || part.ptr == NULL || !str_ieq(str_trim(key), name)) {
            continue;
        }
        if (found) {
            *twice = true;
            continue;
        }
        part = str_trim(part);
        if (part.len >= 2 && part.ptr[0] == '"' && part.ptr[part.len - 1] == '"') {
            part = str_of(part.ptr + 1, part.len - 2);
        }
        *out = part;
        found = true;
    }
    return found;
}

bool text_content_type(const struct filter_request *r, struct str *value)
{
    size_t at = 0;
    const struct filter_field *field = canon_field(r, STR("content-type"), &at);
    *value = field != NULL ? str_trim(field->value) : STR_NONE;
    return canon_field(r, STR("content-type"), &at) == NULL;
}

enum charset text_charset(struct str content_type)
{
    static const struct {
        struct str name;
        enum charset charset;
    } known[] = {
        {STR_INIT("utf-8"), CHARSET_UTF8},          {STR_INIT("utf8"), CHARSET_UTF8},
        {STR_INIT("us-ascii"), CHARSET_LATIN},      {STR_INIT("iso-8859-1"), CHARSET_LATIN},
        {STR_INIT("windows-1252"), CHARSET_LATIN},  {STR_INIT("utf-16"), CHARSET_UTF16},
        {STR_INIT("unicode"), CHARSET_UTF16},       {STR_INIT("utf-16le"), CHARSET_UTF16LE},
        {STR_INIT("unicodefffe"), CHARSET_UTF16BE}, {STR_INIT("utf-16be"), CHARSET_UTF16BE},
    };
    struct str name;
    bool twice;
    if (!text_param(content_type, STR("charset"), &name, &twice)) {
        return CHARSET_UTF8;
    }
    for (size_t i = 0; i < ARRAY_LEN(known) && !twice; i++) {
        if (str_ieq(name, known[i].name)) {
            return known[i].charset;
        }
    }
    return CHARSET_UNKNOWN;
}

static void put_utf8(struct buf *b, uint32_t cp)
{
    if (cp < 0x80) {
        buf_char(b, (char)cp);
    } else if (cp < 0x800) {
        buf_char(b, (char)(0xc0 | cp >> 6));
        buf_char(b, (char)(0x80 | (cp & 0x3f)));
    } else if (cp < 0x10000) {
        buf_char(b, (char)(0xe0 | cp >> 12));
        buf_char(b, (char)(0x80 | (cp >> 6 & 0x3f)));
        buf_char(b, (char)(0x80 | (cp & 0x3f)));
    } else {
        buf_char(b, (char)(0xf0 | cp >> 18));
        buf_char(b, (char)(0x80 | (cp >> 12 & 0x3f)));
        buf_char(b, (char)(0x80 | (cp >> 6 & 0x3f)));
        buf_char(b, (char)(0x80 | (cp & 0x3f)));
    }
}

static uint32_t unit_at(struct str s, size_t i, bool big)
{
    const unsigned char *p = (const unsigned char *)s.ptr + i;
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

/* RFC 2781, 2.2. */
static const char *from_utf16(struct str s, bool big, struct buf *b)
{
    if (s.len % 2 != 0) {
        return not_text;
    }
    for (size_t i = 0; i < s.len; i += 2) {
        uint32_t cp = unit_at(s, i, big);
        if (cp >= 0xd800 && cp < 0xe000) {
            uint32_t low = i + 2 < s.len ? unit_at(s, i + 2, big) : 0;
            if (cp >= 0xdc00 || low < 0xdc00 || low >= 0xe000) {
                return not_text;
            }
            cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        }
        put_utf8(b, cp);
    }
    return NULL;
}

static bool has_mark(struct str s, const char *mark, size_t len)
{
    return s.len >= len && memcmp(s.ptr, mark, len) == 0;
}

const char *text_utf8(struct str raw, enum charset charset, struct buf *b, struct str *out)
{
    bool utf16 =
        charset == CHARSET_UTF16 || charset == CHARSET_UTF16LE || charset == CHARSET_UTF16BE;
    bool little = has_mark(raw, "\xff\xfe", 2), big = has_mark(raw, "\xfe\xff", 2);
    if (charset == CHARSET_UNKNOWN || has_mark(raw, "\xff\xfe\0\0", 4)) {
        return not_text;
    }
    if (has_mark(raw, "\xef\xbb\xbf", 3)) {
        raw = str_skip(raw, 3);
        if (utf16) {
            return not_text;
        }
    } else if (little || big) {
        if ((little && charset == CHARSET_UTF16BE) || (big && charset == CHARSET_UTF16LE)) {
            return not_text;
        }
        raw = str_skip(raw, 2);
        utf16 = true;
    } else if (!utf16 && raw.len >= 2 && (raw.ptr[0] == '\0') != (raw.ptr[1] == '\0')) {
        utf16 = true; /* JSON starts with two ASCII characters (RFC 4627, 3) */
        big = raw.ptr[0] == '\0';
    } else if (utf16) {
        big = charset == CHARSET_UTF16BE ||
              (charset == CHARSET_UTF16 && raw.len > 0 && raw.ptr[0] == '\0');
    }
    if (utf16) {
        const char *fault = from_utf16(raw, big, b);
        *out = buf_view(b);
        return fault;
    }
    if (charset == CHARSET_LATIN) {
        for (size_t i = 0; i < raw.len; i++) {
            put_utf8(b, (unsigned char)raw.ptr[i]);
        }
        *out = buf_view(b);
        return NULL;
    }
    *out = raw;
    return utf8_is_valid(raw) ? NULL : "it is not UTF-8";
}
