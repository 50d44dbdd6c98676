/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the Exchange admin API. */
#include "tests/fuzz/body_fuzz.h"

FUZZ_BODY("POST https://outlook.office365.com/adminapi/beta/t/InvokeCommand",
          "POST https://outlook.office365.com/adminapi/beta/t/InvokeCommand | Content-Type: "
          "application/json; charset=utf-16be")
