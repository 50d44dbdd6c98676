/* SPDX-License-Identifier: Apache-2.0 */
#include "common/err.h"

#include <string.h>

const char *err_str(int err)
{
    switch (err) {
    case 0:
        return "ok";
#define ERR_CASE(name, text) \
    case name:               \
        return text;
        ERR_LIST(ERR_CASE)
#undef ERR_CASE
    default:
        break;
    }
    if (err == -4095) { /* UV_EOF, which is no errno */
        return "end of stream";
    }
    const char *text = err < 0 && err > ERR_FIRST ? strerrordesc_np(-err) : NULL;
    return text != NULL ? text : "unknown error";
}
