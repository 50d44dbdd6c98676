/* SPDX-License-Identifier: Apache-2.0 */
/* `photogate run` and `photogate pac`. argv[0] is the command's name; the result is the exit
 * status. */
#ifndef PROXY_CMD_RUN_H
#define PROXY_CMD_RUN_H

int cmd_run(int argc, char **argv);
int cmd_pac(int argc, char **argv);

/* The configuration file when none is named: proxy.toml here if there is one, else
 * /etc/photogate/proxy.toml. */
const char *default_config(void);

#endif
