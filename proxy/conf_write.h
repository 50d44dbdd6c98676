/* SPDX-License-Identifier: Apache-2.0 */
/* How those values of proxy.toml are written that are no plain ones; for the tables in conf.c. */
#ifndef PROXY_CONF_WRITE_H
#define PROXY_CONF_WRITE_H

#include "common/buf.h"

void conf_put_listen(struct buf *out, const void *listeners);
void conf_put_ports(struct buf *out, const void *ports);
void conf_put_modes(struct buf *out, const void *modes);
void conf_put_connect_to(struct buf *out, const void *overrides);

#endif
