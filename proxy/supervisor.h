/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of `photogate run`. It opens the listeners and the channels to the signer,
 * starts the signer and the network process under different users, starts either again when it
 * dies, and does nothing else: it reads no byte from the network. Listeners and channels stay open
 * here, so what waits in them survives a restart of either process.
 */
#ifndef PROXY_SUPERVISOR_H
#define PROXY_SUPERVISOR_H

/* Runs in the foreground until it is told to end. `config` is the path of proxy.toml. Exit status.
 */
int supervisor_run(const char *config);

/* Validates everything that a start would, and says what it found. Exit status 0 or 2. */
int supervisor_check(const char *config);

#endif
