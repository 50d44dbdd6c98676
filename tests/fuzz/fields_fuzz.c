/* SPDX-License-Identifier: Apache-2.0 */
/* Outlook on the web, profile properties, forms. */
#include "tests/fuzz/body_fuzz.h"

FUZZ_BODY("POST https://outlook.office.com/owa/service.svc",
          "POST "
          "https://contoso.sharepoint.com/_api/SP.UserProfiles.PeopleManager/"
          "SetSingleValueProfileProperty",
          "PUT https://www.yammer.com/api/v1/users/1.json | Content-Type: "
          "application/x-www-form-urlencoded")
