/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signer: a process of its own that holds the issuing key and does nothing but sign leaves and
 * CRLs for the workers of the network process. It opens the key as root, then drops to a user of
 * its own, cannot be traced or dumped, and runs under a seccomp filter that leaves it no system
 * call to open, connect or execute anything. It signs only for names on a list that it was given
 * from the root-owned configuration, whatever the workers ask for.
 *
 * Sockets: one SOCK_SEQPACKET pair a worker, made once by the supervisor, which keeps both ends
 * open as long as it runs. Workers have the A ends; every signer process, one after the other or
 * two at once during a reload, has all B ends. So requests survive a signer: they wait in the
 * socket, or the worker sends them again (mint.h).
 *
 * A reload: start the new one, signer_wait_ready(), then SIGTERM to the old one, then give the
 * workers the new configuration. A worker that still runs on another issuing CA than the signer
 * that got its request is told so and asks again.
 */
#ifndef CERTS_SIGNER_H
#define CERTS_SIGNER_H

#include "certs/ca.h"

#define SIGNER_CHANNELS_MAX 256
#define SIGNER_CRL_VALID_S  (7 * 24 * 3600)

struct signer_conf {
    int base;         /* directory that `path` is taken from, or AT_FDCWD */
    const char *path; /* the CA's directory */
    /* Its public part, loaded by the caller: the signer takes the key of this very CA, also when
     * the directory has a newer one by now. */
    const struct ca *ca;
    const struct names
        *names;               /* hosts it may sign for, exact or "*.x"; the proxy's own with them */
    const char *public_url;   /* for the CRL address in leaves; NULL: none */
    unsigned life_s;          /* the longest a leaf may be asked for; 0: LEAF_LIFE_S */
    const char *user, *group; /* name or number; NULL: the user's own group. No user: stays */
    const int *channels;      /* the B ends */
    unsigned channel_count;
    int ready_fd;    /* the writing end of a pipe, or -1; see signer_wait_ready() */
    bool no_sandbox; /* no seccomp filter: under sanitizers, and where the kernel has none */
};

/* A pair for one worker: ends[0] is A, the worker's; ends[1] is B. Both non-blocking,
 * close-on-exec. -errno. */
int signer_channel(int ends[2]) MUSTCHECK;

/*
 * Runs the signer in this process, which must be a fresh one with a single thread: descriptors
 * other than 0-2, the channels and ready_fd are closed. Returns when SIGTERM came or all channels
 * are hung up: 0; or ERR_CONFIG and others when it could not start, with the faults through
 * ready_fd, or on stderr when there is none. SIGINT and SIGHUP are ignored: those are for the
 * supervisor.
 */
int signer_run(const struct signer_conf *conf) MUSTCHECK;

/*
 * For the supervisor: waits until the signer that has the other end of the pipe `fd` serves. 0, or
 * ERR_CONFIG with its faults appended to `why` a line each, ERR_EOF when it died without a word,
 * ERR_TIMEOUT. Does not close `fd`.
 */
int signer_wait_ready(int fd, unsigned timeout_ms, struct buf *why) MUSTCHECK;

#endif
