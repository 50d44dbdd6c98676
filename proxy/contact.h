/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [ui] contact on a page: free text such as "the service desk, help@corp.example or
 * https://help.corp.example", whose addresses become links. Nothing else of it becomes markup, and
 * a link is never anything but http, https or mailto.
 */
#ifndef PROXY_CONTACT_H
#define PROXY_CONTACT_H

#include "common/buf.h"

/* Appends `contact` as HTML; mails begin with `incident` as their subject. */
void contact_html(struct buf *out, struct str contact, struct str incident);

#endif
