/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/reader.h"

#include "common/buf.h"
#include "common/cc.h"

static const struct reader_kind *const readers[] = {&reader_batch, &reader_cmdlet, &reader_csom,
                                                    &reader_fields, &reader_soap};

const struct reader_kind *reader_named(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        if (str_eq(name, str_z(readers[i]->name))) {
            return readers[i];
        }
    }
    return NULL;
}

void reader_each(void (*each)(void *ctx, const char *name), void *ctx)
{
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        each(ctx, readers[i]->name);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void reader_put(struct buf *act, struct str text)
{
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text = str_skip(text, 1);
    }
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    for (size_t i = 0; i < text.len && i < READER_TEXT; i++) {
        buf_char(act, ascii_lower(text.ptr[i]));
    }
}
