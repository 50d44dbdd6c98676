/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/budget.h"

#include "common/cc.h"

void budget_init(struct budget *b, uint32_t burst, uint32_t rate, uint64_t now_ms)
{
    *b = (struct budget){
        .burst = burst, .rate = rate, .left_ms = (uint64_t)burst * 1000, .at_ms = now_ms};
}

bool budget_take(struct budget *b, uint64_t now_ms)
{
    uint64_t full = (uint64_t)b->burst * 1000;
    uint64_t passed = MIN(now_ms - b->at_ms, full); /* a rate of 1 a second fills it by then */
    b->left_ms = MIN(full, b->left_ms + passed * b->rate);
    b->at_ms = now_ms;
    if (b->left_ms < 1000) {
        return false;
    }
    b->left_ms -= 1000;
    return true;
}
