/* SPDX-License-Identifier: Apache-2.0 */
/* JSON batches. */
#include "tests/fuzz/body_fuzz.h"

FUZZ_BODY(
    "POST https://graph.microsoft.com/v1.0/$batch",
    "POST https://outlook.office365.com/adminapi/beta/t/$batch",
    "POST https://contoso.sharepoint.com/_api/$batch | Content-Type: text/plain; charset=utf-16")
