/* SPDX-License-Identifier: Apache-2.0 */
#include "common/diag.h"

#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>

static void add(struct diag *d, struct diag_at at, const char *kind, const char *format,
                va_list args)
{
    char text[1024];
    if (d->errors + d->warnings > DIAG_MAX) {
        return;
    }
    if (at.file != NULL) {
        buf_z(&d->text, at.file);
        if (at.line > 0) {
            buf_printf(&d->text, ":%u:%u", at.line, at.column);
        }
        buf_z(&d->text, ": ");
    }
    buf_z(&d->text, kind);
    int n = vsnprintf(text, sizeof(text), format, args);
    if (n > 0) {
        for (const char *c = text; *c != '\0'; c++) {
            /* One fault is one line, whatever it quotes, and does nothing to a terminal. */
            bool control = (unsigned char)*c < ' ' || *c == 0x7f;
            buf_char(&d->text, !control ? *c : *c == '\n' || *c == '\r' || *c == '\t' ? ' ' : '?');
        }
    }
    buf_char(&d->text, '\n');
    if (d->errors + d->warnings == DIAG_MAX) {
        buf_z(&d->text, "more faults follow; mend these first\n");
    }
}

int diag_error(struct diag *d, struct diag_at at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    d->errors++;
    add(d, at, "", format, args);
    va_end(args);
    return ERR_CONFIG;
}

void diag_warn(struct diag *d, struct diag_at at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    d->warnings++;
    add(d, at, "warning: ", format, args);
    va_end(args);
}

void diag_print(const struct diag *d, const char *program)
{
    struct str rest = buf_view(&d->text), line;
    while (str_cut(&rest, '\n', &line)) {
        if (line.len > 0) {
            fprintf(stderr, "%s: " STR_FMT "\n", program, STR_ARG(line));
        }
    }
}

void diag_free(struct diag *d)
{
    buf_free(&d->text);
    *d = (struct diag){0};
}
