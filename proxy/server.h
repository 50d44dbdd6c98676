/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network process: worker threads and the control thread, which reads signals, reloads, rotates
 * logs and drains. It is started by the supervisor, under a user that cannot read the CA's key.
 */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

/* What the supervisor hands down. */
struct server_conf {
    const char *config; /* path of proxy.toml */
    const char *user;   /* to run as, when started by root */
    unsigned workers, listeners;
    const int *listener; /* [worker * listeners + listener]: bound sockets */
    const int *channel;  /* [worker]: ends of the signer's channels */
    int control;         /* to the supervisor; its end means: drain */
};

/*
 * Bytes on the control socket. To the supervisor: all workers accept; a watched file has changed,
 * reload; the new configuration is in use; it is refused and the old one stays. From it: take the
 * new configuration; nothing came of the change, go on as before.
 */
#define CONTROL_READY   'r'
#define CONTROL_CHANGED 'c'
#define CONTROL_TOOK    't'
#define CONTROL_KEPT    'k'
#define CONTROL_RELOAD  'l'
#define CONTROL_SKIP    's'

/* Runs until drained. Exit status: 0, 1 when something failed, 2 when the configuration was at
 * fault. */
int server_run(const struct server_conf *conf);

/*
 * For `run --check`, in a process of its own: becomes `user` and looks at all that a start reads or
 * opens. Exit status, with the faults on stderr.
 */
int server_check(const char *config, const char *user);

#endif
