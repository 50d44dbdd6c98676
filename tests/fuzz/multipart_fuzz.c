/* SPDX-License-Identifier: Apache-2.0 */
/* multipart/mixed batches. */
#include "tests/fuzz/body_fuzz.h"

FUZZ_BODY(
    "POST https://contoso.sharepoint.com/_api/$batch | Content-Type: multipart/mixed; boundary=b",
    "POST https://graph.microsoft.com/v1.0/$batch | Content-Type: multipart/mixed; boundary=\"-\"")
