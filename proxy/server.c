/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/server.h"

#include "common/err.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "proxy/app.h"
#include "proxy/privilege.h"

#include <openssl/rand.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCH_MS     1000 /* how often watched files are looked at */
#define APP_RING     ((size_t)64 << 10)
#define BLOCK_RING   ((size_t)128 << 10)
#define ACCESS_RING  ((size_t)512 << 10)
#define AUTH_THREADS 2

enum {
    OUTPUT_APP,
    OUTPUT_ACCESS,
    OUTPUT_BLOCK,
    OUTPUT_COUNT
};

/* What the control thread asks of a worker; taken under `lock`. */
struct thread {
    struct server *server;
    pthread_t id;
    struct app app;
    struct app_conf conf;
    struct logring *log;
    uv_async_t wake;
    uv_check_t turn;
    struct snapshot *incoming;
    bool drain, close;
    _Atomic int state; /* 0 starting, 1 running, -1 failed, 2 ended */
    int err;
};

struct server {
    const struct server_conf *conf;
    int dir;
    struct snapshot *snapshot;
    struct logsink *sink;
    struct auth *auth;
    struct leafkey leafkey;
    uint8_t tickets[TICKET_KEY_SIZE];
    pthread_mutex_t lock;
    struct thread *threads;

    uv_loop_t loop;
    uv_signal_t term, usr1;
    uv_timer_t watch, drain_timer;
    uv_poll_t control;
    struct stat *seen; /* of snapshot->watched */
    bool draining, changed;
};

/* ---- worker threads ---- */

static void maybe_end(struct thread *t)
{
    if (t->app.draining && t->app.client_count == 0 && list_is_empty(&t->app.worker.lingering)) {
        uv_stop(&t->app.worker.loop);
    }
}

/* While draining, the end is looked for once a turn of the loop. */
static void on_turn(uv_check_t *check)
{
    maybe_end(check->data);
}

static void on_wake(uv_async_t *async)
{
    struct thread *t = async->data;
    struct server *s = t->server;
    pthread_mutex_lock(&s->lock);
    struct snapshot *incoming = t->incoming;
    bool drain = t->drain, close = t->close;
    t->incoming = NULL;
    pthread_mutex_unlock(&s->lock);
    if (incoming != NULL) {
        app_publish(&t->app, incoming);
    }
    if (drain) {
        app_drain(&t->app);
        (void)uv_check_start(&t->turn, on_turn);
    }
    if (close) {
        app_close_clients(&t->app);
    }
    worker_drain(&t->app.worker);
    maybe_end(t);
}

static void *run_thread(void *arg)
{
    struct thread *t = arg;
    log_attach(t->log);
    t->err = app_init(&t->app, &t->conf);
    if (t->err == 0) {
        t->err = uv_async_init(&t->app.worker.loop, &t->wake, on_wake);
    }
    if (t->err == 0) {
        t->wake.data = t;
        t->turn.data = t;
        (void)uv_check_init(&t->app.worker.loop, &t->turn);
    }
    atomic_store(&t->state, t->err == 0 ? 1 : -1);
    if (t->err != 0) {
        return NULL; /* the process ends; nothing to put in order */
    }
    (void)uv_run(&t->app.worker.loop, UV_RUN_DEFAULT);
    pthread_mutex_lock(&t->server->lock);
    atomic_store(&t->state, 2);
    pthread_mutex_unlock(&t->server->lock);
    uv_close((uv_handle_t *)&t->turn, NULL);
    uv_close((uv_handle_t *)&t->wake, NULL);
    app_close(&t->app);
    log_attach(NULL);
    return NULL;
}

/* Call with the lock held: a thread that has ended has no handle any more. */
static void wake(struct thread *t)
{
    if (atomic_load(&t->state) == 1) {
        (void)uv_async_send(&t->wake);
    }
}

/* ---- reload ---- */

static void look_at_files(struct server *s)
{
    free(s->seen);
    s->seen = xcalloc(s->snapshot->watched_count, sizeof(*s->seen));
    for (size_t i = 0; i < s->snapshot->watched_count; i++) {
        (void)fstatat(s->dir, s->snapshot->watched[i].ptr, &s->seen[i],
                      0); /* one that is not there stays zero */
    }
    s->changed = false;
}

static bool has_changed(const struct server *s)
{
    for (size_t i = 0; i < s->snapshot->watched_count; i++) {
        struct stat now = {0};
        const struct stat *seen = &s->seen[i];
        (void)fstatat(s->dir, s->snapshot->watched[i].ptr, &now, 0);
        if (now.st_ino != seen->st_ino || now.st_size != seen->st_size ||
            now.st_mtim.tv_sec != seen->st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec) {
            return true;
        }
    }
    return false;
}

static void tell_supervisor(const struct server *s, char what)
{
    if (write(s->conf->control, &what, 1) != 1) {
        log_warn("cannot reach the supervisor", L_Z("reason", err_str(-errno)));
    }
}

/* A changed file is told to the supervisor, with whom every reload begins. */
static void on_watch(uv_timer_t *timer)
{
    struct server *s = timer->data;
    if (s->draining || s->changed || !has_changed(s)) {
        return;
    }
    s->changed = true;
    tell_supervisor(s, CONTROL_CHANGED);
}

static void log_faults(const struct diag *d, const char *event)
{
    struct str rest = buf_view(&d->text), line;
    while (str_cut(&rest, '\n', &line)) {
        if (line.len > 0) {
            log_error(event, L_STR("fault", line));
        }
    }
}

static void reload(struct server *s)
{
    struct diag d = {0};
    struct snapshot *fresh = NULL;
    int err = snapshot_build(s->conf->config, &s->dir, &fresh, &d);
    if (err == 0) {
        err = snapshot_check_reload(s->snapshot, fresh, &d);
    }
    if (err != 0) {
        log_faults(&d, "reload refused, the old configuration stays");
        snapshot_unref(fresh);
    } else {
        log_setup((enum log_level)fresh->conf->log.level, (enum log_format)fresh->conf->log.format);
        pthread_mutex_lock(&s->lock);
        for (unsigned i = 0; i < s->conf->workers; i++) {
            struct thread *t = &s->threads[i];
            snapshot_unref(t->incoming);
            t->incoming = snapshot_ref(fresh);
            wake(t);
        }
        pthread_mutex_unlock(&s->lock);
        snapshot_unref(s->snapshot);
        s->snapshot = fresh;
        struct filters_counts n = filters_count(fresh->filters);
        log_info("configuration reloaded", L_NUM("rules", n.rules), L_NUM("hosts", n.hosts),
                 L_NUM("warnings", d.warnings));
    }
    look_at_files(s);
    diag_free(&d);
    tell_supervisor(s, err == 0 ? CONTROL_TOOK : CONTROL_KEPT);
}

/* ---- the end ---- */

static void on_drain_over(uv_timer_t *timer)
{
    struct server *s = timer->data;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->conf->workers; i++) {
        s->threads[i].close = true;
        wake(&s->threads[i]);
    }
    pthread_mutex_unlock(&s->lock);
}

static void on_all_ended(uv_timer_t *timer)
{
    struct server *s = timer->data;
    for (unsigned i = 0; i < s->conf->workers; i++) {
        if (atomic_load(&s->threads[i].state) != 2) {
            return;
        }
    }
    uv_stop(&s->loop);
}

static void drain(struct server *s)
{
    if (s->draining) {
        on_drain_over(&s->drain_timer); /* asked twice: at once */
        return;
    }
    s->draining = true;
    uint64_t deadline = s->snapshot->conf->proxy.timeouts.drain;
    log_info("draining", L_NUM("deadline_s", deadline / 1000));
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->conf->workers; i++) {
        s->threads[i].drain = true;
        wake(&s->threads[i]);
    }
    pthread_mutex_unlock(&s->lock);
    (void)uv_timer_start(&s->drain_timer, on_drain_over, deadline, 0);
    (void)uv_timer_start(&s->watch, on_all_ended, 20, 20);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    if (number == SIGUSR1) {
        logsink_reopen(s->sink);
    } else {
        drain(s);
    }
}

static void on_control(uv_poll_t *poll, int status, int events)
{
    struct server *s = poll->data;
    char byte = 0;
    (void)events;
    if (status < 0 || read(s->conf->control, &byte, 1) == 0) { /* the supervisor is gone */
        (void)uv_poll_stop(poll);
        drain(s);
    } else if (byte == CONTROL_RELOAD && s->draining) {
        tell_supervisor(s, CONTROL_KEPT);
    } else if (byte == CONTROL_RELOAD) {
        logsink_reopen(s->sink);
        reload(s);
    } else if (byte == CONTROL_SKIP) {
        logsink_reopen(s->sink);
        look_at_files(s);
    }
}

/* ---- the start ---- */

static int log_fault(const struct schema_str *file, int err, const char *user, struct diag *d)
{
    return diag_error(d, file->at,
                      "log file \"%s\" cannot be opened: %s; user %s has to be able to write there",
                      file->text.ptr, err_str(err), user);
}

static int start_logs(struct server *s, struct diag *d)
{
    const struct conf *c = s->snapshot->conf;
    const struct schema_str *files[OUTPUT_COUNT] = {
        [OUTPUT_ACCESS] = &c->log.access, [OUTPUT_BLOCK] = &c->log.block};
    struct logsink_output outputs[OUTPUT_COUNT] = {{.name = "app", .fd = STDERR_FILENO}};
    unsigned place[OUTPUT_COUNT] = {0}, count = 1, failed;
    for (unsigned i = OUTPUT_ACCESS; i < OUTPUT_COUNT; i++) {
        if (files[i]->text.len > 0) {
            place[i] = count;
            outputs[count++] =
                (struct logsink_output){.name = i == OUTPUT_ACCESS ? "access" : "block",
                                        .path = files[i]->text.ptr,
                                        .dir = s->dir};
        }
    }
    int err = logsink_start(outputs, count, &s->sink, &failed);
    if (err != 0) {
        const struct schema_str *file =
            failed == place[OUTPUT_ACCESS] ? files[OUTPUT_ACCESS] : files[OUTPUT_BLOCK];
        return log_fault(file, err, s->conf->user, d);
    }
    log_setup((enum log_level)c->log.level, (enum log_format)c->log.format);
    log_attach(logring_new(s->sink, OUTPUT_APP, APP_RING));
    for (unsigned i = 0; i < s->conf->workers; i++) {
        struct thread *t = &s->threads[i];
        t->log = logring_new(s->sink, OUTPUT_APP, APP_RING);
        t->conf.access_log = place[OUTPUT_ACCESS] > 0
                                 ? logring_new(s->sink, place[OUTPUT_ACCESS], ACCESS_RING)
                                 : NULL;
        t->conf.block_log =
            place[OUTPUT_BLOCK] > 0 ? logring_new(s->sink, place[OUTPUT_BLOCK], BLOCK_RING) : NULL;
    }
    return 0;
}

static int start_threads(struct server *s)
{
    for (unsigned i = 0; i < s->conf->workers; i++) {
        struct thread *t = &s->threads[i];
        t->conf.index = i;
        t->conf.listeners = s->conf->listeners;
        t->conf.listener = s->conf->listener + (size_t)i * s->conf->listeners;
        t->conf.channel = s->conf->channel[i];
        t->conf.snapshot = s->snapshot;
        t->conf.leafkey = &s->leafkey;
        t->conf.tickets = s->tickets;
        t->conf.auth = s->auth;
        int err = pthread_create(&t->id, NULL, run_thread, t);
        if (err != 0) {
            return -err;
        }
        while (atomic_load(&t->state) == 0) {
            usleep(500);
        }
        if (t->err != 0) {
            return t->err;
        }
    }
    return 0;
}

static int start_control(struct server *s)
{
    int err = uv_loop_init(&s->loop);
    struct {
        uv_signal_t *handle;
        int number;
    } signals[] = {{&s->term, SIGTERM}, {&s->usr1, SIGUSR1}};
    for (size_t i = 0; i < ARRAY_LEN(signals) && err == 0; i++) {
        signals[i].handle->data = s;
        err = uv_signal_init(&s->loop, signals[i].handle);
        if (err == 0) {
            err = uv_signal_start(signals[i].handle, on_signal, signals[i].number);
        }
    }
    s->watch.data = s->drain_timer.data = s->control.data = s;
    if (err == 0) {
        err = uv_timer_init(&s->loop, &s->watch);
    }
    if (err == 0) {
        err = uv_timer_init(&s->loop, &s->drain_timer);
    }
    if (err == 0) {
        err = uv_poll_init(&s->loop, &s->control, s->conf->control);
    }
    if (err == 0) {
        err = uv_timer_start(&s->watch, on_watch, WATCH_MS, WATCH_MS);
    }
    if (err == 0) {
        err = uv_poll_start(&s->control, UV_READABLE | UV_DISCONNECT, on_control);
    }
    return err;
}

static void finish(struct server *s)
{
    for (unsigned i = 0; i < s->conf->workers; i++) {
        pthread_join(s->threads[i].id, NULL);
        snapshot_unref(s->threads[i].incoming);
    }
    auth_stop(s->auth);
    log_info("ended", L_NUM("log_lines_dropped", logsink_dropped(s->sink)));
    log_attach(NULL);
    (void)logsink_stop(s->sink, 2000);
    uv_handle_t *handles[] = {(uv_handle_t *)&s->term, (uv_handle_t *)&s->usr1,
                              (uv_handle_t *)&s->watch, (uv_handle_t *)&s->drain_timer,
                              (uv_handle_t *)&s->control};
    for (size_t i = 0; i < ARRAY_LEN(handles); i++) {
        uv_close(handles[i], NULL);
    }
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&s->loop);
    snapshot_unref(s->snapshot);
    leafkey_free(&s->leafkey);
    free(s->seen);
    free(s->threads);
    if (s->dir >= 0) {
        close(s->dir);
    }
}

static int start(struct server *s, struct diag *d)
{
    const uid_t uid = geteuid();
    hash_init();
    if (RAND_bytes(s->tickets, sizeof(s->tickets)) != 1) {
        return ERR_TLS;
    }
    s->dir = conf_open_dir(s->conf->config, d);
    if (s->dir < 0) {
        return ERR_CONFIG;
    }
    /* Before anything is read: what this user may not read shows now, not at the first reload. */
    int err = privilege_drop(s->conf->user, d);
    if (err == 0) {
        err = snapshot_build(s->conf->config, &s->dir, &s->snapshot, d);
        if (err != 0 && uid == 0) { /* root has read all of it without a fault just before */
            (void)diag_error(d, DIAG_NOWHERE,
                             "this is what the user \"%s\" meets, who reads the network; let it "
                             "read the configuration's directory and the files that it names",
                             s->conf->user);
        }
    }
    if (err == 0) {
        err = leafkey_new(&s->leafkey);
    }
    s->threads = xcalloc(s->conf->workers, sizeof(*s->threads));
    for (unsigned i = 0; i < s->conf->workers; i++) {
        s->threads[i].server = s;
    }
    if (err == 0) {
        err = start_logs(s, d);
    }
    if (err == 0) {
        s->auth = auth_start(AUTH_THREADS);
        err = start_threads(s);
    }
    return err == 0 ? start_control(s) : err;
}

int server_run(const struct server_conf *conf)
{
    struct server s = {.conf = conf, .dir = -1};
    struct diag d = {0};
    pthread_mutex_init(&s.lock, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    /* A terminal's Ctrl-C and a `pkill -HUP photogate` reach all processes; they are the
     * supervisor's to act on, who then tells this one. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    int err = start(&s, &d);
    if (err != 0) {
        diag_print(&d, "photogate");
        if (d.errors == 0) {
            fprintf(stderr, "photogate: the network process cannot start: %s\n", err_str(err));
        }
        diag_free(&d);
        if (s.sink == NULL) { /* no thread has been started yet */
            leafkey_free(&s.leafkey);
            snapshot_unref(s.snapshot);
            free(s.threads);
        }
        return err == ERR_CONFIG ? 2 : 1;
    }
    diag_free(&d);
    look_at_files(&s);
    if (write(conf->control, (const char[]){CONTROL_READY}, 1) != 1) {
        return 1;
    }
    (void)uv_run(&s.loop, UV_RUN_DEFAULT);
    finish(&s);
    pthread_mutex_destroy(&s.lock);
    return 0;
}

/* Could the log file be opened, or made? */
static int check_log(int dir, const struct schema_str *file, const char *user, struct diag *d)
{
    if (file->text.len == 0) {
        return 0;
    }
    int fd = openat(dir, file->text.ptr, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno != ENOENT) {
        return log_fault(file, -errno, user, d);
    }
    const char *slash = strrchr(file->text.ptr, '/');
    char *above = slash == NULL ? xstrdup(".")
                                : xstrndup(file->text.ptr, (size_t)(slash - file->text.ptr) + 1);
    int err = faccessat(dir, above, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : -errno;
    free(above);
    /* a directory that is not there is made by the supervisor */
    return err == 0 || err == -ENOENT ? 0 : log_fault(file, err, user, d);
}

int server_check(const char *config, const char *user)
{
    struct diag d = {0};
    struct snapshot *s = NULL;
    int dir = conf_open_dir(config, &d);
    int err = dir < 0 ? ERR_CONFIG : privilege_drop(user, &d);
    if (err == 0) {
        err = snapshot_build(config, &dir, &s, &d);
    }
    if (err == 0) {
        err = check_log(dir, &s->conf->log.access, user, &d);
        int other = check_log(dir, &s->conf->log.block, user, &d);
        err = err != 0 ? err : other;
    }
    if (err != 0) {
        diag_print(&d, "photogate");
    }
    diag_free(&d);
    snapshot_unref(s);
    if (dir >= 0) {
        close(dir);
    }
    return err == 0 ? 0 : 2;
}
