/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as admin.toml: taken, or refused with a fault. */
#include "admin/conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag d = {0};
    struct conf *c = NULL;
    int err = conf_parse(str_of((const char *)data, size), "dir/admin.toml", &c, &d);
    if ((err != 0) != (d.errors > 0) || (err == 0) != (c != NULL)) {
        abort();
    }
    conf_free(c);
    diag_free(&d);
    return 0;
}
