/* SPDX-License-Identifier: Apache-2.0 */
/* A CA described, for people and for scripts: `photogate ca show`. Shows one that has expired or is
 * broken as well, as far as it can be read. */
#ifndef CERTS_CASHOW_H
#define CERTS_CASHOW_H

#include "certs/ca.h"

enum cashow_form {
    CASHOW_TEXT,
    CASHOW_JSON, /* one object; names of members are fixed */
};

/*
 * Appends the description. The faults and warnings of ca_load() are part of it (the text leaves
 * them to `d`, the JSON has them, too). 0; or ERR_CONFIG when the CA is not fit for use, with as
 * much described as there is.
 */
int cashow(const char *dir, time_t now, enum cashow_form form, struct buf *out,
           struct diag *d) MUSTCHECK;

#endif
