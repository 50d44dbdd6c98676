/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/contact.h"

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* http:// or https:// with a host, in the letters that may stand in a URI (RFC 3986, 2). */
static bool is_web_address(struct str s)
{
    size_t scheme = str_istarts(s, STR("https://")) ? 8 : str_istarts(s, STR("http://")) ? 7 : 0;
    bool good = scheme > 0 && s.len > scheme && is_alnum(s.ptr[scheme]);
    for (size_t i = 0; i < s.len && good; i++) {
        good = is_alnum(s.ptr[i]) || is_one_of(s.ptr[i], "-._~:/?#[]@!$&'()*+,;=%");
    }
    return good;
}

/* name@host.example, in the plain form that people have (RFC 5322, 3.2.3: atoms and dots). */
static bool is_mail_address(struct str s)
{
    ptrdiff_t at = str_index(s, '@');
    if (at <= 0) {
        return false;
    }
    struct str name = str_of(s.ptr, (size_t)at), host = str_skip(s, (size_t)at + 1);
    bool good = str_index(host, '.') > 0 && is_alnum(host.ptr[host.len - 1]);
    for (size_t i = 0; i < name.len && good; i++) {
        good = is_alnum(name.ptr[i]) || is_one_of(name.ptr[i], ".!#$%&'*+/=?^_`{|}~-");
    }
    for (size_t i = 0; i < host.len && good; i++) {
        good = is_alnum(host.ptr[i]) || is_one_of(host.ptr[i], ".-");
    }
    return good;
}

/* RFC 6068, 2: all but a few letters percent-encoded. */
static void put_encoded(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (is_alnum(s.ptr[i]) || is_one_of(s.ptr[i], "-._@")) {
            buf_char(out, s.ptr[i]);
        } else {
            buf_printf(out, "%%%02X", (unsigned char)s.ptr[i]);
        }
    }
}

static void put_word(struct buf *out, struct str word, struct str incident)
{
    struct str address = word;
    if (str_istarts(address, STR("mailto:"))) {
        address = str_skip(address, 7);
    }
    if (is_mail_address(address)) {
        buf_z(out, "<a href=\"mailto:");
        put_encoded(out, address);
        buf_z(out, "?subject=");
        put_encoded(out, incident);
        buf_z(out, "\">");
        buf_html(out, address);
        buf_z(out, "</a>");
    } else if (is_web_address(word)) {
        buf_z(out, "<a rel=\"noreferrer\" href=\"");
        buf_html(out, word);
        buf_z(out, "\">");
        buf_html(out, word);
        buf_z(out, "</a>");
    } else {
        buf_html(out, word);
    }
}

void contact_html(struct buf *out, struct str contact, struct str incident)
{
    while (contact.len > 0) {
        size_t before = 0, word = 0, end;
        while (before < contact.len && is_one_of(contact.ptr[before], " \t\n(<\"'")) {
            before++;
        }
        buf_html(out, str_of(contact.ptr, before));
        contact = str_skip(contact, before);
        while (word < contact.len && !is_one_of(contact.ptr[word], " \t\n<>\"")) {
            word++;
        }
        /* punctuation behind an address belongs to the sentence */
        for (end = word; end > 0 && is_one_of(contact.ptr[end - 1], ".,;:!?)'"); end--) {
        }
        put_word(out, str_of(contact.ptr, end), incident);
        buf_html(out, str_of(contact.ptr + end, word - end));
        contact = str_skip(contact, word);
        if (before + word == 0) { /* a ">" or a quote by itself */
            buf_html(out, str_of(contact.ptr, 1));
            contact = str_skip(contact, 1);
        }
    }
}
