/* SPDX-License-Identifier: Apache-2.0 */
/* SOAP, CSOM and their MTOM form. */
#include "tests/fuzz/body_fuzz.h"

FUZZ_BODY("POST https://outlook.office365.com/EWS/Exchange.asmx",
          "POST https://outlook.office365.com/EWS/Exchange.asmx | Content-Type: text/xml; "
          "charset=utf-16le",
          "POST https://outlook.office365.com/EWS/Exchange.asmx | Content-Type: multipart/related; "
          "boundary=b",
          "POST https://outlook.office365.com/EWS/Exchange.asmx | Content-Type: multipart/related; "
          "boundary=b; start=1",
          "POST https://contoso.sharepoint.com/_vti_bin/client.svc/ProcessQuery",
          "POST https://contoso.sharepoint.com/_vti_bin/UserProfileService.asmx")
