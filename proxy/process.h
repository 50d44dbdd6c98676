/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two processes that the supervisor starts: how each is started, what is handed down to it, and
 * where it begins. The program runs itself anew (/proc/self/exe), so that nothing of one process's
 * memory is in another, and only the descriptors named here are open in it.
 */
#ifndef PROXY_PROCESS_H
#define PROXY_PROCESS_H

#include "common/diag.h"

#include <sys/types.h>

/* What both are started with; the supervisor's, and the same each time. */
struct process_seed {
    const char *config;          /* path of proxy.toml */
    char *user;                  /* of the network process */
    unsigned workers, listeners; /* per worker */
    int *listener;               /* [worker * listeners + listener] */
    int *channel;                /* [2 * worker]: the worker's end, then the signer's */
};

/*
 * Starts a signer and waits until it serves. Its pid; or a negative code, with the faults in `d`,
 * ERR_CONFIG when they are the configuration's.
 */
pid_t process_start_signer(const struct process_seed *s, struct diag *d) MUSTCHECK;

/*
 * The same for the network process, which names its faults on stderr itself. *control is then this
 * end of the socket between them: server.h says what passes through it.
 */
pid_t process_start_network(const struct process_seed *s, int *control) MUSTCHECK;

/* Where they begin, with what stands in argv behind --process=…. Exit status. */
int process_signer_main(int argc, char **argv);
int process_network_main(int argc, char **argv);

#endif
