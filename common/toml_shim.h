/* SPDX-License-Identifier: Apache-2.0 */
/* Between toml.c and toml_shim.cpp only: what the C++ side calls back for each node it walks over.
 */
#ifndef COMMON_TOML_SHIM_H
#define COMMON_TOML_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stddef.h>
#include <stdint.h>

struct toml_event {
    int kind; /* enum toml_kind */
    const char *key;
    size_t key_len;
    unsigned line, column, key_line, key_column;
    const char *string;
    size_t string_len;
    int64_t integer;
    double real;
    int boolean;
    int one_line;
};

struct toml_walker {
    void *ctx;
    /* A node; a table's or array's members follow, until leave() for it. */
    void (*enter)(void *ctx, const struct toml_event *event);
    void (*leave)(void *ctx);
    void (*fail)(void *ctx, unsigned line, unsigned column, const char *what, size_t len);
};

void toml_shim_walk(const char *text, size_t len, const struct toml_walker *walker);

#ifdef __cplusplus
}
#endif

#endif
