/* SPDX-License-Identifier: Apache-2.0 */
/* Tables in tests/data: a case a line, columns between tabs, # starts a comment line. */
#ifndef TESTS_UNIT_TABLE_H
#define TESTS_UNIT_TABLE_H

#include "common/file.h"
#include "tests/unit/check.h"

#include <fcntl.h>

#define TABLE_COLUMNS 4

struct table {
    struct buf text;
    struct str rest;
    unsigned line;
    struct str column[TABLE_COLUMNS]; /* of the present case; empty where there is none */
};

static inline void table_open(struct table *t, const char *name)
{
    struct buf path = {0};
    *t = (struct table){0};
    buf_printf(&path, "%s/%s", TEST_DATA, name);
    assert_int_equal(file_read(AT_FDCWD, buf_cstr(&path), 1 << 20, &t->text), 0);
    buf_free(&path);
    t->rest = buf_view(&t->text);
}

/* The next case, or false at the end, when the table is closed. */
static inline bool table_next(struct table *t)
{
    struct str line;
    while (str_cut(&t->rest, '\n', &line)) {
        t->line++;
        if (line.len == 0 || line.ptr[0] == '#') {
            continue;
        }
        for (size_t i = 0; i < TABLE_COLUMNS; i++) {
            t->column[i] = STR_NONE;
            if (line.ptr != NULL) {
                (void)str_cut(&line, '\t', &t->column[i]);
            }
        }
        return true;
    }
    buf_free(&t->text);
    return false;
}

#endif
