/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with something a person wrote (a config, a rule pack, a certificate file), one line
 * a fault: "FILE:LINE:COLUMN: what is wrong; what to do". Loaders go on after a fault where they
 * can, so that one run shows all of them, up to DIAG_MAX.
 */
#ifndef COMMON_DIAG_H
#define COMMON_DIAG_H

#include "common/buf.h"

#define DIAG_MAX 20 /* faults kept */

/* A zeroed diag has no fault. */
struct diag {
    struct buf text; /* lines, each with its newline */
    unsigned errors, warnings;
};

/* Where in a file; line 0 means the file as a whole. `file` NULL means no file. */
struct diag_at {
    const char *file;
    unsigned line, column; /* from 1 */
};

#define DIAG_FILE(f) ((struct diag_at){.file = (f)})
#define DIAG_NOWHERE ((struct diag_at){.file = NULL})

/* Adds a fault and returns ERR_CONFIG, so that `return diag_error(…)` reads well. */
int diag_error(struct diag *d, struct diag_at at, const char *format, ...) PRINTF_LIKE(3, 4);
void diag_warn(struct diag *d, struct diag_at at, const char *format, ...) PRINTF_LIKE(3, 4);

/* Writes each line to stderr behind "PROGRAM: ". */
void diag_print(const struct diag *d, const char *program);

void diag_free(struct diag *d);

#endif
