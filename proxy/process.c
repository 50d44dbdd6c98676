/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process.h"

#include "certs/signer.h"
#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "proxy/server.h"
#include "proxy/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MS 20000 /* for a process to say that it serves */
#define FIRST_FD 3     /* descriptors are handed down from here on, in order */

/* Sanitizers make system calls of their own, which the signer's filter would not let through. */
#ifdef PHOTOGATE_SANITIZED
static const bool no_sandbox = true;
#else
static const bool no_sandbox = false;
#endif

/* ---- starting one ---- */

/* In the child: puts `fds` at 3, 4, … and closes everything else, ours and what we were started
 * with. */
static bool arrange(const int *fds, size_t count)
{
    /* First out of the way of 3…, then into place: dup2() also takes close-on-exec off. */
    int *high = xcalloc(count, sizeof(*high));
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FD + (int)count);
        ok = ok && high[i] >= 0;
    }
    for (size_t i = 0; i < count && ok; i++) {
        ok = dup2(high[i], FIRST_FD + (int)i) >= 0;
    }
    free(high);
    return ok && close_range(FIRST_FD + (unsigned)count, ~0u, 0) == 0;
}

static pid_t start(char *const argv[], const int *fds, size_t count)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid < 0 ? -errno : pid;
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (arrange(fds, count)) {
        execv("/proc/self/exe", argv);
    }
    static const char failed[] = "photogate: cannot run itself through /proc/self/exe\n";
    ssize_t ignored = write(STDERR_FILENO, failed, sizeof(failed) - 1);
    (void)ignored;
    _exit(1);
}

static void number_arg(char out[16], unsigned n)
{
    snprintf(out, 16, "%u", n);
}

static void take_faults(struct diag *d, struct str lines)
{
    struct str line;
    while (str_cut(&lines, '\n', &line)) {
        if (line.len > 0 && str_find(line, STR(": warning: ")) < 0) {
            diag_error(d, DIAG_NOWHERE, STR_FMT, STR_ARG(line));
        }
    }
}

pid_t process_start_signer(const struct process_seed *s, struct diag *d)
{
    int ready[2];
    char workers[16];
    if (pipe2(ready, O_CLOEXEC) != 0) {
        return -errno;
    }
    number_arg(workers, s->workers);
    char *argv[] = {(char[]){"photogate-signer"}, (char[]){"--process=signer"},
                    (char *)(uintptr_t)s->config, workers, NULL};
    int *fds = xcalloc(s->workers + 1, sizeof(*fds));
    fds[0] = ready[1];
    for (unsigned i = 0; i < s->workers; i++) {
        fds[i + 1] = s->channel[2 * i + 1];
    }
    pid_t pid = start(argv, fds, s->workers + 1);
    free(fds);
    close(ready[1]);
    if (pid > 0) {
        struct buf why = {0};
        int err = signer_wait_ready(ready[0], READY_MS, &why);
        if (err != 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            pid = err;
            take_faults(d, buf_view(&why));
            if (why.len == 0) {
                diag_error(d, DIAG_NOWHERE, "the signer does not start: %s", err_str(err));
            }
        }
        buf_free(&why);
    }
    close(ready[0]);
    return pid;
}

pid_t process_start_network(const struct process_seed *s, int *control)
{
    int pair[2];
    char workers[16], listeners[16];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return -errno;
    }
    number_arg(workers, s->workers);
    number_arg(listeners, s->listeners);
    char *argv[] = {(char[]){"photogate-network"},
                    (char[]){"--process=network"},
                    (char *)(uintptr_t)s->config,
                    s->user,
                    workers,
                    listeners,
                    NULL};
    size_t count = 1 + s->workers + (size_t)s->workers * s->listeners, at = 0;
    int *fds = xcalloc(count, sizeof(*fds));
    fds[at++] = pair[1];
    for (unsigned i = 0; i < s->workers; i++) {
        fds[at++] = s->channel[2 * i];
    }
    for (unsigned i = 0; i < s->workers * s->listeners; i++) {
        fds[at++] = s->listener[i];
    }
    pid_t pid = start(argv, fds, count);
    free(fds);
    close(pair[1]);
    char byte = 0;
    struct pollfd wait = {.fd = pair[0], .events = POLLIN};
    int answers = pid > 0 ? poll(&wait, 1, READY_MS) : 0;
    if (pid > 0 && !(answers == 1 && read(pair[0], &byte, 1) == 1 && byte == CONTROL_READY)) {
        int status = 0;
        if (answers == 0) {
            kill(pid, SIGKILL);
        } /* else it is ending by itself */
        waitpid(pid, &status, 0);
        pid = WIFEXITED(status) && WEXITSTATUS(status) == 2 ? ERR_CONFIG : ERR_TIMEOUT;
    }
    if (pid < 0) {
        close(pair[0]);
        return pid;
    }
    *control = pair[0];
    return pid;
}

/* ---- where they begin ---- */

static bool read_number(const char *text, unsigned max, unsigned *out)
{
    uint64_t n;
    if (!str_u64(str_z(text), &n) || n == 0 || n > max) {
        return false;
    }
    *out = (unsigned)n;
    return true;
}

/* argv: CONFIG WORKERS; descriptors: 3 ready, 4… channels. */
int process_signer_main(int argc, char **argv)
{
    unsigned workers;
    struct diag d = {0};
    struct snapshot *s = NULL;
    int dir = -1, ready = FIRST_FD;
    if (argc != 2 || !read_number(argv[1], SIGNER_CHANNELS_MAX, &workers)) {
        return 2;
    }
    (void)prctl(PR_SET_NAME, "photogate-signer");
    int err = snapshot_build(argv[0], &dir, &s, &d);
    if (err != 0) {
        struct buf told = {0}; /* as signer_wait_ready() wants it */
        buf_char(&told, 'E');
        buf_str(&told, buf_view(&d.text));
        ssize_t ignored = write(ready, told.ptr, told.len);
        (void)ignored;
        buf_free(&told);
        diag_free(&d);
        return 2;
    }
    log_setup((enum log_level)s->conf->log.level, (enum log_format)s->conf->log.format);
    int *channels = xcalloc(workers, sizeof(*channels));
    for (unsigned i = 0; i < workers; i++) {
        channels[i] = FIRST_FD + 1 + (int)i;
    }
    const char *user = s->conf->proxy.signer_user.text.ptr;
    uint64_t number;
    bool numeric = str_u64(str_z(user), &number); /* such a user is its own group */
    const struct signer_conf conf = {
        .base = dir,
        .path = s->conf->certs.dir.text.ptr,
        .ca = s->ca,
        .names = &s->ca_names,
        .public_url =
            s->conf->proxy.public_url.text.len > 0 ? s->conf->proxy.public_url.text.ptr : NULL,
        .life_s = (unsigned)(s->conf->certs.leaf_life / 1000),
        .user = geteuid() == 0 ? user : NULL,
        .group = numeric ? user : NULL,
        .channels = channels,
        .channel_count = workers,
        .ready_fd = ready,
        .no_sandbox = no_sandbox,
    };
    err = signer_run(&conf);
    diag_free(&d);
    free(channels);
    snapshot_unref(s);
    close(dir);
    return err == 0 ? 0 : 1;
}

/* argv: CONFIG USER WORKERS LISTENERS; descriptors: 3 control, then channels, then listeners. */
int process_network_main(int argc, char **argv)
{
    struct server_conf conf = {.control = FIRST_FD};
    if (argc != 4 || !read_number(argv[2], SIGNER_CHANNELS_MAX, &conf.workers) ||
        !read_number(argv[3], 1024, &conf.listeners)) {
        return 2;
    }
    (void)prctl(PR_SET_NAME, "photogate");
    conf.config = argv[0];
    conf.user = argv[1];
    size_t count = conf.workers + (size_t)conf.workers * conf.listeners;
    int *fds = xcalloc(count, sizeof(*fds));
    for (size_t i = 0; i < count; i++) {
        fds[i] = FIRST_FD + 1 + (int)i;
        (void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
    conf.channel = fds;
    conf.listener = fds + conf.workers;
    int status = server_run(&conf);
    free(fds);
    return status;
}
