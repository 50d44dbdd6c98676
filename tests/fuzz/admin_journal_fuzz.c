/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a journal: what can be taken back is never more than what was planned. */
#include "admin/journal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan p = {0}, back = {0};
    struct journal_info info;
    if (journal_parse(str_of((const char *)data, size), &p, &info) == 0) {
        plan_reverse(&p, &back);
        if (back.count > p.count || info.begun + info.done + info.failed > info.planned) {
            abort();
        }
    }
    plan_free(&back);
    plan_free(&p);
    return 0;
}
