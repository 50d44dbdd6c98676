/* SPDX-License-Identifier: Apache-2.0 */
/* `photogate rules test|list|bench`: the rules themselves. */
#ifndef PROXY_CMD_RULES_H
#define PROXY_CMD_RULES_H

/* argv[0] is "rules". Returns the exit status: 0 done, 1 failed, 2 wrong usage or configuration. */
int cmd_rules(int argc, char **argv);

#endif
