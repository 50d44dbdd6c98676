/* SPDX-License-Identifier: Apache-2.0 */
/* `photogate explain --jsonl`: one request a line in, one verdict a line out. */
#ifndef PROXY_EXPLAIN_JSONL_H
#define PROXY_EXPLAIN_JSONL_H

#include "filters/filters.h"

#include <stdio.h>

#define EXPLAIN_LINE (64u << 20) /* bytes; a longer line is answered with an error */

/*
 * Reads to the end of `in`. Each line gets a line: {"id","verdict","rule","why","evidence"} with
 * "bypass" where an administrator was let through, or {"id","error"}. Memory is bounded by the
 * longest line. Returns the number of lines that were errors; -1 when `out` cannot be written.
 */
long explain_jsonl(const struct filters *f, FILE *in, FILE *out);

#endif
