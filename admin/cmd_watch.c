/* SPDX-License-Identifier: Apache-2.0 */
/* watch: looks again and again, tells, and locks again when it is told to. One process a tenant
 * does it. */
#include "admin/cmd.h"
#include "common/clock.h"
#include "common/err.h"

#include <openssl/rand.h>

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int lead(struct session *s)
{
    char *path = conf_path(s->conf, s->conf->tenant.state_dir.text);
    struct buf name = {0};
    struct diag d = {0};
    int dir = -1, fd = -1;
    if (journal_lock(s->conf, &dir, &d) == 0 || dir >= 0) {
        close(dir);
    }
    buf_printf(&name, "%s/watch.lock", path);
    fd = open(buf_cstr(&name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        fprintf(stderr, "photogate-admin: %s: %s\n", buf_cstr(&name),
                errno == EWOULDBLOCK ? "another watch runs for this tenant" : err_str(-errno));
        if (fd >= 0) {
            close(fd);
        }
        fd = -1;
    }
    diag_free(&d);
    buf_free(&name);
    free(path);
    return fd;
}

/* One event as a JSON line: to stdout, and to the hook's stdin. */
static void put_event(struct session *s, const char *event, const struct report *r, struct buf *out)
{
    buf_z(out, "{\"time\":\"");
    clock_now_rfc3339(out);
    buf_printf(out, "\",\"event\":\"%s\",\"tenant\":", event);
    buf_json(out, s->conf->tenant.id.text);
    buf_printf(out, ",\"open\":%zu,\"unknown\":%zu,\"steps\":%zu,\"findings\":[",
               report_number(r, FINDING_OPEN), report_number(r, FINDING_UNKNOWN), r->plan.count);
    bool first = true;
    for (size_t i = 0; i < r->count; i++) {
        if (r->findings[i].state == FINDING_OPEN || r->findings[i].state == FINDING_UNKNOWN) {
            buf_z(out, first ? "" : ",");
            buf_json(out, str_z(r->findings[i].what));
            first = false;
        }
    }
    buf_z(out, "]}\n");
}

/* The hook gets the event's name as its argument; it cannot hold up the watch for long, for its end
 * is waited for. */
static void run_hook(struct session *s, const char *event, struct str line)
{
    if (s->conf->lock.watch.exec.text.len == 0) {
        return;
    }
    char *path = conf_path(s->conf, s->conf->lock.watch.exec.text), *name = xstrdup(event);
    char *argv[] = {path, name, NULL};
    int ends[2], status = 0;
    pid_t child = 0;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) == 0) {
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
        int err = posix_spawn(&child, path, &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[0]);
        if (err == 0) {
            if (write(ends[1], line.ptr, MIN(line.len, 65536u)) < 0) {
                status = -1; /* it did not want to read */
            }
            close(ends[1]);
            while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
            }
        } else {
            close(ends[1]);
        }
        if (err != 0 || status != 0) {
            fprintf(stderr, "photogate-admin: the hook %s failed: %s\n", path,
                    err != 0 ? err_str(-err) : "its exit status is not 0");
        }
    }
    free(path);
    free(name);
}

static void tell(struct session *s, const char *event, const struct report *r)
{
    struct buf line = {0};
    put_event(s, event, r, &line);
    (void)fwrite(line.ptr, 1, line.len, stdout);
    (void)fflush(stdout);
    run_hook(s, event, buf_view(&line));
    buf_free(&line);
}

static int lock_again(struct session *s, struct report *r)
{
    struct diag d = {0};
    int dir = -1, status = EXIT_FAILED;
    if (journal_lock(s->conf, &dir, &d) == 0) {
        status = session_apply(s, &r->plan, "apply", NULL, dir);
        close(dir);
    }
    diag_print(&d, "photogate-admin");
    diag_free(&d);
    (void)fwrite(s->out.ptr != NULL ? s->out.ptr : "", 1, s->out.len, stderr);
    buf_clear(&s->out);
    return status;
}

static int pass(struct session *s, bool full)
{
    struct report r;
    struct buf why = {0};
    const struct look_opts opts = {.full = full};
    int status;
    if (look(s->cl, &opts, &r, &why) != 0) {
        report_add(&r, "tenant", FINDING_UNKNOWN, buf_view(&why),
                   "the tenant cannot be read: %.400s", buf_cstr(&why));
        tell(s, "unreadable", &r);
        status = EXIT_FAILED;
    } else {
        status = report_status(&r);
        if (status == EXIT_DRIFT) {
            tell(s, "drift", &r);
            if (s->conf->lock.watch.action == WATCH_LOCK && r.plan.count > 0) {
                status = lock_again(s, &r);
                tell(s, status == EXIT_DONE ? "locked" : "lock-failed", &r);
            }
        } else if (status == EXIT_FAILED) {
            tell(s, "unknown", &r);
        }
    }
    report_free(&r);
    buf_free(&why);
    return status;
}

static void rest(uint64_t ms)
{
    uint16_t r = 0;
    if (RAND_bytes((unsigned char *)&r, sizeof(r)) ==
        1) { /* ±10 %: not all tenants' tools at the full hour */
        ms = ms * 9 / 10 + ms / 5 * r / UINT16_MAX;
    }
    for (uint64_t end = clock_ms() + ms; clock_ms() < end && !client_stopped();) {
        struct timespec ts = {.tv_nsec = 50 * 1000000};
        nanosleep(&ts, NULL);
    }
}

int cmd_watch(struct session *s)
{
    uint64_t last_full = 0;
    int status = EXIT_DONE, leader = lead(s);
    if (leader < 0) {
        return EXIT_FAILED;
    }
    do {
        uint64_t now = clock_ms();
        bool full = last_full == 0 || now - last_full >= s->conf->lock.watch.full_ms;
        last_full = full ? now : last_full;
        status = pass(s, full);
        if (!s->opts.once) {
            rest(s->conf->lock.watch.every_ms);
        }
    } while (!s->opts.once && !client_stopped());
    close(leader);
    return s->opts.once ? status : EXIT_DONE;
}
