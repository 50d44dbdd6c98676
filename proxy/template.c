/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/template.h"

void template_fill(struct buf *out, struct str page, const struct template_value *values)
{
    ptrdiff_t open, close;
    while ((open = str_find(page, STR("{{"))) >= 0) {
        buf_put(out, page.ptr, (size_t)open);
        page = str_skip(page, (size_t)open + 2);
        close = str_find(page, STR("}}"));
        if (close < 0) {
            return;
        }
        struct str name = str_of(page.ptr, (size_t)close);
        for (const struct template_value *v = values; v->name != NULL; v++) {
            if (str_eq(name, str_z(v->name))) {
                (v->raw ? buf_str : buf_html)(out, v->value);
            }
        }
        page = str_skip(page, (size_t)close + 2);
    }
    buf_str(out, page);
}
