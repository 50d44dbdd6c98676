/* SPDX-License-Identifier: Apache-2.0 */
/* `photogate explain`: what would happen to a request, and why. */
#ifndef PROXY_CMD_EXPLAIN_H
#define PROXY_CMD_EXPLAIN_H

/* argv[0] is "explain". Returns the exit status: 0 would pass, 3 would be blocked, 2 wrong usage,
 * configuration or input. */
int cmd_explain(int argc, char **argv);

#endif
