/* SPDX-License-Identifier: Apache-2.0 */
/* `photogate rules bench`: what a decision costs as rules and hosts grow. */
#ifndef PROXY_RULES_BENCH_H
#define PROXY_RULES_BENCH_H

/* Prints one line for 10, 1,000 and 100,000 rules beside the embedded ones. 0, or 1 when it cannot.
 */
int rules_bench(void);

#endif
