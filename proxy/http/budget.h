/* SPDX-License-Identifier: Apache-2.0 */
/* A token bucket: so much at once, and so much a second after that. For what a peer may do now and
 * then, but not without end. */
#ifndef PROXY_HTTP_BUDGET_H
#define PROXY_HTTP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    uint32_t burst, rate; /* tokens; tokens a second */
    uint64_t left_ms;     /* thousandths of a token */
    uint64_t at_ms;       /* when that was true */
};

void budget_init(struct budget *b, uint32_t burst, uint32_t rate, uint64_t now_ms);

/* Takes one; false when there is none. `now_ms` never goes back. */
bool budget_take(struct budget *b, uint64_t now_ms);

#endif
