/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an answer of each kind. */
#include "admin/answer.h"
#include "admin/exo.h"
#include "admin/switches.h"
#include "common/err.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One line, bounded, nothing that a terminal would obey. */
static void check_text(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++) {
        if ((unsigned char)b->ptr[i] < ' ' || b->ptr[i] == 0x7f) {
            abort();
        }
    }
    if (b->len > 700) {
        abort();
    }
}

static void try_errors(struct str text)
{
    struct buf out = {0};
    char code[16];
    answer_error_text(text, &out);
    answer_error_code(text, code, sizeof(code));
    check_text(&out);
    buf_free(&out);
}

static void try_page(struct str text)
{
    struct answer_page p;
    struct str path;
    if (answer_page(text, &p) == 0) {
        if (!json_is_array(p.rows)) {
            abort();
        }
        if (answer_link_path(buf_view(&p.next), STR("outlook.office365.com"), &path) &&
            (path.len == 0 || path.ptr[0] != '/')) {
            abort();
        }
        check_text(&p.warning);
        check_text(&p.error);
        answer_page_free(&p);
    }
}

static void try_token(struct str text)
{
    struct answer_token t;
    if (answer_token(text, &t) == 0) {
        if (t.token.len == 0 || str_index(buf_view(&t.token), '\n') >= 0) {
            abort();
        }
        answer_token_free(&t);
    }
    json_decref(answer_claims(text));
}

/* Each switch reads it; a value that it found is equal to itself. */
static void try_switches(struct str text)
{
    static const char *const names[] = {"owa-policy",     "owa-policy.photo", "owa-default",
                                        "photo-settings", "consent",          "ca-policy",
                                        "entra-portal",   "role-assignment",  "role-entry"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct switch_kind *k = switch_find(names[i]);
        struct call c = {.api = k->get != NULL ? API_EXCHANGE : API_GRAPH, .status = 200};
        struct buf why = {0};
        json_t *value = NULL;
        buf_str(&c.answer, text);
        if (switch_value(k, &c, "target", &value, &why) == 0 && !switch_equal(k, value, value)) {
            abort();
        }
        json_decref(value);
        call_free(&c);
        buf_free(&why);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size), path;
    try_errors(text);
    try_page(text);
    try_token(text);
    try_switches(text);
    (void)answer_link_path(text, STR("graph.microsoft.com"), &path);
    return 0;
}
