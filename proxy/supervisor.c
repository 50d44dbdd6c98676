/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/supervisor.h"

#include "certs/signer.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "proxy/net/listen.h"
#include "proxy/privilege.h"
#include "proxy/process.h"
#include "proxy/server.h"
#include "proxy/snapshot.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTART_MS    1000 /* a process that dies sooner than this is started again only after it */
#define KILL_AFTER_MS 5000 /* beyond the drain deadline */

/*
 * A reload has three steps: the configuration is read and checked here, then by a new signer, then
 * by the network process, which alone knows what its user may read. Until that one has answered,
 * the old signer is stopped, not ended, so that after a fault anywhere all is as it was.
 */
struct supervisor {
    struct process_seed seed;
    int dir;
    struct snapshot *snapshot; /* the configuration in use */
    int signals;
    pid_t signer, network;
    int control; /* to the network process, -1: none */
    uint64_t signer_since, network_since;
    uint64_t signer_again, network_again; /* when to start it again; 0: not */
    bool reloading;                       /* the network process has been asked */
    bool reload_wanted;                   /* once more, after that */
    pid_t old_signer;                     /* while reloading: stopped; 0: there is none */
    struct snapshot *fresh;               /* while reloading: the new configuration */
    bool ending;
    uint64_t kill_at;
};

/* ---- preparing ---- */

static int open_listeners(struct supervisor *s)
{
    const struct conf_listeners *listen = &s->snapshot->conf->proxy.listen;
    s->seed.listeners = (unsigned)listen->count;
    s->seed.listener = xcalloc((size_t)s->seed.workers * s->seed.listeners, sizeof(int));
    for (unsigned l = 0; l < s->seed.listeners; l++) {
        const struct conf_listener *at = &listen->item[l];
        int probe = listen_open(&at->ip, at->port, false);
        int err = probe < 0 ? probe : 0;
        if (probe >= 0) {
            close(probe);
        }
        for (unsigned w = 0; w < s->seed.workers && err == 0; w++) {
            int fd = listen_open(&at->ip, at->port, true);
            s->seed.listener[w * s->seed.listeners + l] = fd;
            err = fd < 0 ? fd : 0;
        }
        if (err != 0) {
            struct diag d = {0};
            struct diag_at place =
                at->address.at.file != NULL ? at->address.at : DIAG_FILE(s->seed.config);
            diag_error(&d, place, "cannot listen on %s: %s%s", at->address.text.ptr, err_str(err),
                       err == -EADDRINUSE
                           ? "; another program has this port, or photogate runs already"
                       : err == -EACCES ? "; ports below 1024 need root"
                                        : "");
            diag_print(&d, "photogate");
            diag_free(&d);
            return ERR_CONFIG;
        }
    }
    return 0;
}

static int open_channels(struct supervisor *s)
{
    s->seed.channel = xcalloc(2 * (size_t)s->seed.workers, sizeof(int));
    for (unsigned i = 0; i < s->seed.workers; i++) {
        int err = signer_channel(&s->seed.channel[2 * i]);
        if (err != 0) {
            return err;
        }
    }
    return 0;
}

/* A log file's directory is made when it is not there, and is then the network process's own. */
static void make_log_dir(const struct supervisor *s, const struct schema_str *file)
{
    const char *slash = file->text.len > 0 ? strrchr(file->text.ptr, '/') : NULL;
    struct stat st;
    struct diag d = {0};
    uid_t uid;
    gid_t gid;
    if (slash == NULL || slash == file->text.ptr) {
        return;
    }
    char *dir = xstrndup(file->text.ptr, (size_t)(slash - file->text.ptr));
    if (fstatat(s->dir, dir, &st, 0) != 0 && file_mkdir(s->dir, dir, 0750) == 0 && geteuid() == 0 &&
        privilege_find(s->seed.user, DIAG_NOWHERE, &uid, &gid, &d) == 0 &&
        fchownat(s->dir, dir, uid, gid, 0) != 0) {
        log_warn("cannot give the log directory to its user", L_Z("directory", dir),
                 L_Z("reason", err_str(-errno)));
    }
    diag_free(&d);
    free(dir);
}

static struct diag_at place_of(const struct schema_str *value, const struct conf *c)
{
    return value->at.file != NULL ? value->at : DIAG_FILE(c->path);
}

/* What only a start with these rights can find: users that are not there, a key that cannot be
 * read. */
static void check_rights(const struct snapshot *s, struct diag *d)
{
    EVP_PKEY *key = NULL;
    const struct conf *c = s->conf;
    const struct schema_str *user = &c->proxy.user, *signer = &c->proxy.signer_user;
    uid_t uid[2] = {0, 0};
    gid_t gid;
    if (geteuid() == 0) {
        int err = privilege_find(user->text.ptr, place_of(user, c), &uid[0], &gid, d);
        int other = privilege_find(signer->text.ptr, place_of(signer, c), &uid[1], &gid, d);
        if (err == 0 && other == 0 && uid[0] == uid[1]) {
            diag_error(d, place_of(signer, c),
                       "[proxy] user and signer_user are the same; the CA's key would be within "
                       "reach of the process that reads the network");
        }
    }
    if (ca_load_key(c->dir, c->certs.dir.text.ptr, s->ca, &key, d) == 0) {
        EVP_PKEY_free(key);
    }
}

/* Reads the configuration and all that hangs on it, as far as root can judge it. */
static int prepare(const char *config, int *dir, struct snapshot **out, struct diag *d)
{
    int err = snapshot_build(config, dir, out, d);
    if (err == 0) {
        check_rights(*out, d);
        err = d->errors > 0 ? ERR_CONFIG : 0;
    }
    return err;
}

/* ---- reloading ---- */

static void log_lines(const struct diag *d, bool refused)
{
    struct str rest = buf_view(&d->text), line;
    while (str_cut(&rest, '\n', &line)) {
        bool warning = str_find(line, STR(": warning: ")) >= 0;
        if (line.len > 0 && refused && !warning) {
            log_error("reload refused, the old configuration stays", L_STR("fault", line));
        } else if (line.len > 0 && !refused) {
            log_warn("something to look at", L_STR("what", line));
        }
    }
}

static void tell_network(struct supervisor *s, char what)
{
    if (s->control >= 0 && write(s->control, &what, 1) != 1) {
        log_warn("cannot reach the network process", L_Z("reason", err_str(-errno)));
    }
}

/* A signer that knows the new configuration. Faults are logged. */
static pid_t prepare_reload(struct supervisor *s)
{
    struct diag d = {0};
    int dir = -1;
    pid_t signer = 0;
    int err = prepare(s->seed.config, &dir, &s->fresh, &d);
    if (err == 0) {
        err = snapshot_check_reload(s->snapshot, s->fresh, &d);
    }
    if (err == 0) {
        log_lines(&d, false);
        diag_free(&d);
        signer = process_start_signer(&s->seed, &d);
    }
    log_lines(&d, true);
    diag_free(&d);
    if (dir >= 0) {
        close(dir);
    }
    return signer;
}

static void settle(struct supervisor *s, bool taken);

static void reload(struct supervisor *s)
{
    if (s->ending) {
        return;
    }
    if (s->reloading) {
        s->reload_wanted = true;
        return;
    }
    pid_t signer = prepare_reload(s);
    if (signer <= 0) {
        snapshot_unref(s->fresh);
        s->fresh = NULL;
        tell_network(s, CONTROL_SKIP);
        return;
    }
    s->old_signer = s->signer;
    s->signer = signer;
    s->signer_since = clock_ms();
    s->signer_again = 0;
    if (s->old_signer > 0) {
        kill(s->old_signer, SIGSTOP); /* it would refuse names that it does not know */
    }
    s->reloading = true;
    if (s->control >= 0) {
        tell_network(s, CONTROL_RELOAD);
    } else {
        settle(s, true);
    }
}

static void end_signer(pid_t pid)
{
    if (pid > 0) {
        kill(pid, SIGKILL); /* it keeps nothing, and may be stopped */
    }
}

/* The network process has answered, or has died: the next one starts with the new configuration. */
static void settle(struct supervisor *s, bool taken)
{
    if (!s->reloading) {
        return;
    }
    s->reloading = false;
    if (taken || s->old_signer == 0) {
        end_signer(s->old_signer);
    } else {
        end_signer(s->signer);
        s->signer = s->old_signer;
        s->signer_again = 0;
        kill(s->signer, SIGCONT);
    }
    s->old_signer = 0;
    snapshot_unref(taken ? s->snapshot : s->fresh);
    s->snapshot = taken ? s->fresh : s->snapshot;
    s->fresh = NULL;
    if (taken) {
        log_setup((enum log_level)s->snapshot->conf->log.level,
                  (enum log_format)s->snapshot->conf->log.format);
    }
    if (s->reload_wanted) {
        s->reload_wanted = false;
        reload(s);
    }
}

/* ---- the loop ---- */

static void schedule(uint64_t *again, uint64_t since)
{
    uint64_t now = clock_ms();
    *again = now - since < RESTART_MS ? since + RESTART_MS : now;
}

static void lose_control(struct supervisor *s)
{
    if (s->control >= 0) {
        close(s->control);
        s->control = -1;
    }
}

static void on_child(struct supervisor *s)
{
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        int64_t code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
        if (pid == s->signer) {
            s->signer = 0;
            if (!s->ending) {
                log_error("the signer has died, starting it again", L_NUM("status", code));
                schedule(&s->signer_again, s->signer_since);
            }
        } else if (pid == s->network) {
            s->network = 0;
            lose_control(s);
            settle(s, true);
            if (!s->ending) {
                log_error("the network process has died, starting it again", L_NUM("status", code));
                schedule(&s->network_again, s->network_since);
            }
        } else if (pid == s->old_signer) {
            s->old_signer = 0;
        }
    }
}

static void restart_due(struct supervisor *s)
{
    uint64_t now = clock_ms();
    if (s->ending) {
        return;
    }
    if (s->signer_again != 0 && now >= s->signer_again) {
        struct diag d = {0};
        s->signer_since = now;
        pid_t pid = process_start_signer(&s->seed, &d);
        s->signer = pid > 0 ? pid : 0;
        s->signer_again = pid > 0 ? 0 : clock_ms() + 5 * RESTART_MS;
        struct str rest = buf_view(&d.text), line;
        while (str_cut(&rest, '\n', &line)) {
            if (line.len > 0) {
                log_error("the signer cannot be started", L_STR("fault", line));
            }
        }
        diag_free(&d);
    }
    if (s->network_again != 0 && now >= s->network_again) {
        s->network_since = now;
        pid_t pid = process_start_network(&s->seed, &s->control);
        s->network = pid > 0 ? pid : 0;
        s->network_again = pid > 0 ? 0 : clock_ms() + 5 * RESTART_MS;
    }
}

static void begin_end(struct supervisor *s)
{
    if (s->ending) {
        if (s->network > 0) {
            kill(s->network, SIGTERM); /* asked twice: it closes what is left */
        }
        return;
    }
    s->ending = true;
    s->kill_at = clock_ms() + s->snapshot->conf->proxy.timeouts.drain + KILL_AFTER_MS;
    end_signer(s->old_signer); /* a reload is not waited for any more */
    s->old_signer = 0;
    s->reloading = false;
    for (unsigned i = 0; i < s->seed.workers * s->seed.listeners; i++) {
        close(
            s->seed
                .listener[i]); /* ours; or connections would queue where nobody accepts any more */
    }
    if (s->network > 0) {
        kill(s->network, SIGTERM);
    }
}

static void on_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            on_child(s);
            break;
        case SIGHUP:
            reload(s);
            break;
        case SIGUSR1:
            if (s->network > 0) {
                kill(s->network, SIGUSR1);
            }
            break;
        default:
            begin_end(s);
        }
    }
}

static void on_control(struct supervisor *s)
{
    char byte = 0;
    ssize_t n = read(s->control, &byte, 1);
    if (n <= 0) {
        lose_control(s); /* it has died; SIGCHLD says so too */
    } else if (byte == CONTROL_CHANGED) {
        reload(s);
    } else if (byte == CONTROL_TOOK || byte == CONTROL_KEPT) {
        settle(s, byte == CONTROL_TOOK);
    }
}

static int next_wait_ms(const struct supervisor *s)
{
    uint64_t next = UINT64_MAX, now = clock_ms();
    const uint64_t times[] = {s->signer_again, s->network_again, s->ending ? s->kill_at : 0};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        if (times[i] != 0 && times[i] < next) {
            next = times[i];
        }
    }
    return next == UINT64_MAX ? -1 : next <= now ? 0 : (int)(next - now);
}

static void loop(struct supervisor *s)
{
    while (!(s->ending && s->network == 0)) {
        struct pollfd fds[2] = {{.fd = s->signals, .events = POLLIN},
                                {.fd = s->control, .events = POLLIN}};
        if (poll(fds, 2, next_wait_ms(s)) > 0) {
            if (fds[0].revents != 0) {
                on_signals(s);
            }
            if (fds[1].revents != 0 && s->control >= 0) {
                on_control(s);
            }
        }
        restart_due(s);
        if (s->ending && clock_ms() >= s->kill_at && s->network > 0) {
            log_error("the network process does not end, killing it", L_NUM("pid", s->network));
            kill(s->network, SIGKILL);
            s->kill_at = clock_ms() + KILL_AFTER_MS;
        }
    }
    if (s->signer > 0) {
        kill(s->signer, SIGTERM);
        waitpid(s->signer, NULL, 0);
    }
}

static void greet(const struct supervisor *s)
{
    const struct conf *c = s->snapshot->conf;
    struct filters_counts n = filters_count(s->snapshot->filters);
    for (size_t i = 0; i < c->proxy.listen.count; i++) {
        const struct conf_listener *l = &c->proxy.listen.item[i];
        log_info("listening", L_STR("address", l->address.text), L_Z("tls", l->tls ? "yes" : "no"),
                 L_NUM("workers", s->seed.workers));
    }
    log_info("ready", L_NUM("hosts", n.hosts), L_NUM("rules", n.rules),
             L_NUM("vectors_passed", n.vectors),
             L_Z("mode", c->proxy.mode == MODE_MONITOR ? "monitor" : "enforce"));
    if (geteuid() != 0) {
        log_warn("not started by root: the signer runs as the same user as the network process, "
                 "which could read the CA's key",
                 L_NONE);
    }
}

static int start_all(struct supervisor *s)
{
    const struct conf *c = s->snapshot->conf;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t workers = c->proxy.workers > 0 ? c->proxy.workers : cores > 0 ? cores : 1;
    s->seed.workers = (unsigned)MIN(workers, SIGNER_CHANNELS_MAX);
    s->seed.user = xstrdup(c->proxy.user.text.ptr);
    /* Two descriptors for a client and its origin, with some to spare. */
    (void)privilege_raise_files((unsigned long)c->proxy.limits.connections * 2 * s->seed.workers +
                                1024);
    int err = open_listeners(s);
    if (err != 0) {
        return err;
    }
    err = open_channels(s);
    if (err != 0) {
        return err;
    }
    make_log_dir(s, &c->log.access);
    make_log_dir(s, &c->log.block);
    s->signer_since = s->network_since = clock_ms();
    struct diag d = {0};
    s->signer = process_start_signer(&s->seed, &d);
    diag_print(&d, "photogate");
    diag_free(&d);
    if (s->signer <= 0) {
        return (int)s->signer;
    }
    s->network = process_start_network(&s->seed, &s->control);
    return s->network > 0 ? 0 : (int)s->network;
}

int supervisor_run(const char *config)
{
    struct supervisor s = {.seed = {.config = config}, .dir = -1, .control = -1};
    struct diag d = {0};
    int err = prepare(config, &s.dir, &s.snapshot, &d);
    diag_print(&d, "photogate");
    diag_free(&d);
    if (err != 0) {
        snapshot_unref(s.snapshot);
        return 2;
    }
    log_setup((enum log_level)s.snapshot->conf->log.level,
              (enum log_format)s.snapshot->conf->log.format);
    sigset_t set;
    sigemptyset(&set);
    const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        sigaddset(&set, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    err = s.signals < 0 ? -errno : start_all(&s);
    if (err == 0) {
        greet(&s);
        loop(&s);
    } else if (s.signer > 0) {
        kill(s.signer, SIGTERM);
        waitpid(s.signer, NULL, 0);
    }
    snapshot_unref(s.fresh);
    snapshot_unref(s.snapshot);
    free(s.seed.listener);
    free(s.seed.channel);
    free(s.seed.user);
    return err == 0 ? 0 : err == ERR_CONFIG ? 2 : 1;
}

/* Looks at it once more as the user whom the network process becomes. True when that finds a
 * fault, which it has named. */
static bool is_faulty_for_user(const char *config, const struct conf *c)
{
    int status = 0;
    if (geteuid() != 0) {
        return false;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        fflush(stderr);
        _exit(server_check(config, c->proxy.user.text.ptr));
    }
    return pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
           WEXITSTATUS(status) != 0;
}

int supervisor_check(const char *config)
{
    int dir = -1;
    struct snapshot *snapshot = NULL;
    struct diag d = {0};
    int err = prepare(config, &dir, &snapshot, &d);
    diag_print(&d, "photogate");
    diag_free(&d);
    if (err != 0 || is_faulty_for_user(config, snapshot->conf)) {
        snapshot_unref(snapshot);
        return 2;
    }
    struct filters_counts n = filters_count(snapshot->filters);
    printf("%s: good: %zu rules on %zu hosts, %zu test vectors passed\n", config, n.rules, n.hosts,
           n.vectors);
    snapshot_unref(snapshot);
    close(dir);
    return 0;
}
