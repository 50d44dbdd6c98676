/* SPDX-License-Identifier: Apache-2.0 */
/* Content codings around a command. */
#include "tests/fuzz/body_fuzz.h"

FUZZ_BODY(
    "POST https://outlook.office365.com/adminapi/beta/t/InvokeCommand | Content-Encoding: gzip",
    "POST https://outlook.office365.com/adminapi/beta/t/InvokeCommand | Content-Encoding: deflate",
    "POST https://outlook.office365.com/adminapi/beta/t/InvokeCommand | Content-Encoding: br",
    "POST https://outlook.office365.com/EWS/Exchange.asmx | Content-Encoding: zstd")
