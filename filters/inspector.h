/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inspectors: what decides where the head alone cannot, because the request's meaning is in its
 * body. A rule names one by `inspect`; the proxy then holds the body, nothing of it is forwarded
 * before the verdict.
 */
#ifndef FILTERS_INSPECTOR_H
#define FILTERS_INSPECTOR_H

#include "filters/canon.h"

enum inspect_result {
    INSPECT_PASS,
    INSPECT_BLOCK, /* evidence says where in the body */
    INSPECT_MORE,  /* undecided; only while the body is not complete */
};

struct inspector {
    const char *name; /* NULL ends a list */
    /* Judges what there is of the body: c->request->body. Pure; `evidence` lies in `a`. */
    enum inspect_result (*judge)(const struct canon *c, struct str *evidence, struct arena *a);
};

#endif
