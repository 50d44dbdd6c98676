/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a decoded, folded path into segments and keys: the part of filters/path.h that knows the
 * syntax of OData and OneDrive paths. */
#ifndef FILTERS_SPLIT_H
#define FILTERS_SPLIT_H

#include "filters/path.h"

/* How to cut, as bits. */
enum split_how {
    SPLIT_KEEP_DOTS = 1,   /* "." and ".." are names: for readers that do not remove them */
    SPLIT_QUOTES_OPEN = 2, /* a / in a quoted key separates, too: for readers that split first */
    SPLIT_ESCAPED = 4,     /* the text may still hold escapes */
};

/* What was met, as bits: which other ways of cutting would give something else. */
enum split_found {
    SPLIT_HAD_DOTS = 1,
    SPLIT_HAD_QUOTED = 2,
};

/*
 * Cuts `text`, which must live as long as `out`. Returns PATH_DEEP when there are more than
 * PATH_SEGMENTS, of which `out` has the first; else 0.
 */
unsigned split_path(struct path *out, struct str text, unsigned how, unsigned *found,
                    struct arena *a);

#endif
