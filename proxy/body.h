/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies that the rules want to see before anything of the request goes to the origin. What arrives
 * is held in the exchange and shown to filters_body_feed() as it comes; small bodies on the loop,
 * the rest of large ones on a thread of libuv's, so that nobody waits for their parser. Held bytes
 * have a budget for each client connection and each worker; over it that request is refused (503):
 * what could not be read could have changed a photo.
 */
#ifndef PROXY_BODY_H
#define PROXY_BODY_H

#include "proxy/request.h"

/* Bytes held for one client's connection, and in one worker. */
#define BODY_CLIENT_MAX ((size_t)16 << 20)
#define BODY_WORKER_MAX ((size_t)192 << 20)

/*
 * Starts holding the body of r's request, which `asked` describes. `settled` is called once, from
 * inside a callback of the exchange or the loop, with a verdict that is not NEED_BODY, or with NULL
 * when the budget is spent. The verdict's strings are good during the call only.
 */
void body_begin(struct request *r, const struct filter_request *asked, const struct actor *who,
                void (*settled)(struct request *r, const struct verdict *v));

/* For struct exch_app: more of the body is held, or all of it. */
void body_more(struct exch *ex);

/* Lets go; `settled` is not called. Nothing when nothing is held. */
void body_cancel(struct request *r);

#endif
