/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a pack: it is loaded, or refused with a fault that says why. */
#include "common/err.h"
#include "filters/vectors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char base[] = "pack = 'base'\n"
                           "[[class]]\nname = 'graph'\ndrives = true\n"
                           "[[host]]\nnames = ['graph.example']\nclass = 'graph'\n"
                           "[[owner]]\nname = 'photo'\nproperty = ['photo']\npeople = ['users']\n"
                           "person = ['me']\nothers = ['groups']\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pack_source sources[] = {
        {STR_INIT(base), "base.toml"},
        {{(const char *)data, size}, "fuzz.toml"},
    };
    struct ruleset *rs = NULL;
    struct diag d = {0};
    size_t count = 0;
    int err = ruleset_build(&rs, sources, ARRAY_LEN(sources), &d);
    if (err == 0) {
        err = vectors_run(rs, &count, &d);
        ruleset_free(rs);
    }
    if ((err != 0) != (d.errors > 0)) {
        abort();
    }
    diag_free(&d);
    return 0;
}
