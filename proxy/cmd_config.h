/* SPDX-License-Identifier: Apache-2.0 */
/* `photogate config`: the configuration as the program reads it. argv[0] is the command's name; the
 * result is the exit status. */
#ifndef PROXY_CMD_CONFIG_H
#define PROXY_CMD_CONFIG_H

int cmd_config(int argc, char **argv);

#endif
