/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/journal.h"

#include "admin/jwt.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_MAX (256u << 20)
#define SUFFIX      ".jsonl"

struct journal {
    int fd;
    char name[80];
};

int journal_lock(const struct conf *conf, int *fd, struct diag *d)
{
    char *path = conf_path(conf, conf->tenant.state_dir.text);
    int err = file_mkdir(AT_FDCWD, path, 0700);
    *fd = -1;
    if (err == 0) {
        *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        err = *fd < 0 ? -errno : 0;
    }
    if (err == 0 && flock(*fd, LOCK_EX | LOCK_NB) < 0) {
        err = errno == EWOULDBLOCK ? -EAGAIN : -errno;
        close(*fd);
        *fd = -1;
    }
    if (err == -EAGAIN) {
        (void)diag_error(d, DIAG_NOWHERE,
                         "another photogate-admin works on this tenant (%s); wait for it", path);
    } else if (err != 0) {
        (void)diag_error(d, DIAG_FILE(path), "cannot be used: %s", err_str(err));
    }
    free(path);
    return err;
}

static int write_all(int fd, struct str data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        data = n > 0 ? str_skip(data, (size_t)n) : data;
    }
    return 0;
}

static void put_head(struct buf *b, const struct conf *conf, const char *run, const char *what,
                     const char *undoes)
{
    buf_printf(b, "{\"journal\":1,\"run\":\"%s\",\"what\":\"%s\",\"tenant\":", run, what);
    buf_json(b, conf->tenant.id.text);
    buf_z(b, ",\"started\":\"");
    clock_now_rfc3339(b);
    buf_printf(b, "\",\"undoes\":\"%s\"}\n", undoes != NULL ? undoes : "");
}

struct journal *journal_new(int dir, const struct conf *conf, const char *what, const char *undoes,
                            const struct plan *plan, struct diag *d)
{
    struct journal *j = xnew(struct journal);
    struct buf b = {0}, stamp = {0}, id = {0};
    clock_now_rfc3339(&stamp);
    guid_new(&id);
    (void)snprintf(j->name, sizeof(j->name), "run-%.26s-%.8s" SUFFIX, buf_cstr(&stamp),
                   buf_cstr(&id));
    put_head(&b, conf, j->name, what, undoes);
    for (size_t i = 0; i < plan->count; i++) {
        const struct step *s = &plan->steps[i];
        buf_printf(&b, "{\"step\":%zu,\"kind\":\"%s\",\"phase\":%u,\"target\":", i, s->kind->name,
                   s->phase);
        buf_json(&b, str_z(s->target));
        buf_z(&b, ",\"label\":");
        buf_json(&b, str_z(s->label));
        buf_z(&b, ",\"before\":");
        put_value(&b, s->before);
        buf_z(&b, ",\"after\":");
        put_value(&b, s->after);
        buf_z(&b, "}\n");
    }
    buf_printf(&b, "{\"planned\":%zu}\n", plan->count);
    j->fd = openat(dir, j->name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    int err = j->fd < 0 ? -errno : write_all(j->fd, buf_view(&b));
    if (err == 0 && (fsync(j->fd) < 0 || fsync(dir) < 0)) {
        err = -errno;
    }
    buf_free(&b);
    buf_free(&stamp);
    buf_free(&id);
    if (err != 0) {
        (void)diag_error(d, DIAG_NOWHERE, "the journal cannot be written (%s); nothing was changed",
                         err_str(err));
        journal_close(j);
        return NULL;
    }
    return j;
}

struct journal *journal_open(int dir, const char *name, struct diag *d)
{
    struct journal *j = xnew(struct journal);
    (void)snprintf(j->name, sizeof(j->name), "%s", name);
    j->fd = openat(dir, name, O_RDWR | O_APPEND | O_CLOEXEC);
    char last = '\n';
    off_t end = j->fd >= 0 ? lseek(j->fd, 0, SEEK_END) : 0;
    if (end > 0 && pread(j->fd, &last, 1, end - 1) == 1 && last != '\n' &&
        write_all(j->fd, STR("\n")) != 0) {
        end = -1; /* a torn line would swallow the next one */
    }
    if (j->fd < 0 || end < 0) {
        (void)diag_error(d, DIAG_FILE(name), "cannot be opened: %s", err_str(-errno));
        journal_close(j);
        return NULL;
    }
    return j;
}

static int put(struct journal *j, const char *what, size_t step, struct str why)
{
    struct buf b = {0};
    buf_printf(&b, "{\"%s\":%zu,\"at\":\"", what, step);
    clock_now_rfc3339(&b);
    buf_char(&b, '"');
    if (why.len > 0) {
        buf_z(&b, ",\"why\":");
        buf_json(&b, why);
    }
    buf_z(&b, "}\n");
    int err = write_all(j->fd, buf_view(&b));
    buf_free(&b);
    return err;
}

int journal_begin(struct journal *j, size_t step)
{
    int err = put(j, "begin", step, STR_NONE);
    return err == 0 && fdatasync(j->fd) < 0 ? -errno : err;
}

void journal_note(struct journal *j, const char *what, size_t step, struct str why)
{
    (void)put(j, what, step, why);
}

void journal_end(struct journal *j)
{
    (void)write_all(j->fd, STR("{\"end\":\"done\"}\n"));
    (void)fsync(j->fd);
}

const char *journal_name(const struct journal *j)
{
    return j->name;
}

void journal_close(struct journal *j)
{
    if (j != NULL) {
        if (j->fd >= 0) {
            close(j->fd);
        }
        free(j);
    }
}

/* ---- reading ---- */

static void copy_text(char *out, size_t size, json_t *object, const char *name)
{
    (void)snprintf(out, size, "%s", row_text(object, name));
}

static bool read_step(json_t *line, struct plan *plan)
{
    const char *kind = row_text(line, "kind");
    json_t *before = json_object_get(line, "before"), *after = json_object_get(line, "after");
    json_t *phase = json_object_get(line, "phase");
    if (json_integer_value(json_object_get(line, "step")) != (json_int_t)plan->count ||
        switch_find(kind) == NULL || before == NULL || after == NULL || !json_is_integer(phase)) {
        return false;
    }
    struct step *s = plan_add(plan, kind, row_text(line, "target"), row_text(line, "label"),
                              json_incref(before), json_incref(after));
    s->phase = (unsigned)json_integer_value(phase);
    return true;
}

static bool read_mark(json_t *line, struct plan *plan)
{
    static const struct {
        const char *name;
        enum step_state state;
    } marks[] = {
        {"begin", STEP_BEGUN},       {"done", STEP_DONE},   {"skip", STEP_SKIPPED},
        {"conflict", STEP_CONFLICT}, {"fail", STEP_FAILED}, {"manual", STEP_MANUAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        json_t *step = json_object_get(line, marks[i].name);
        if (json_is_integer(step)) {
            json_int_t n = json_integer_value(step);
            if (n < 0 || (size_t)n >= plan->count) {
                return false;
            }
            plan->steps[n].state = marks[i].state;
            return true;
        }
    }
    return false;
}

static bool read_line(struct str text, unsigned number, struct plan *plan,
                      struct journal_info *info)
{
    json_t *line = answer_json(text);
    bool good = json_is_object(line);
    if (number == 1) {
        good = good && json_integer_value(json_object_get(line, "journal")) == 1;
        copy_text(info->run, sizeof(info->run), line, "run");
        copy_text(info->what, sizeof(info->what), line, "what");
        copy_text(info->undoes, sizeof(info->undoes), line, "undoes");
        copy_text(info->started, sizeof(info->started), line, "started");
    } else if (json_object_get(line, "step") != NULL) {
        good = good && !info->whole && read_step(line, plan);
    } else if (json_object_get(line, "planned") != NULL) {
        info->whole =
            json_integer_value(json_object_get(line, "planned")) == (json_int_t)plan->count;
        good = good && info->whole;
    } else if (json_object_get(line, "end") != NULL) {
        info->ended = true;
    } else {
        good = good && read_mark(line, plan);
    }
    json_decref(line);
    return good;
}

int journal_parse(struct str rest, struct plan *plan, struct journal_info *info)
{
    struct str line;
    unsigned number = 0;
    *info = (struct journal_info){0};
    while (str_index(rest, '\n') >= 0 && str_cut(&rest, '\n', &line)) {
        /* a line that the power cut tore was closed by the next run; it says nothing */
        if (!read_line(line, ++number, plan, info) && number == 1) {
            return ERR_SYNTAX;
        }
    }
    info->planned = plan->count;
    for (size_t i = 0; i < plan->count; i++) {
        enum step_state s = plan->steps[i].state;
        info->begun += s == STEP_BEGUN;
        info->done += s == STEP_DONE || s == STEP_SKIPPED || s == STEP_MANUAL;
        info->failed += s == STEP_FAILED || s == STEP_CONFLICT;
    }
    return number > 0 ? 0 : ERR_SYNTAX;
}

int journal_read(int dir, const char *name, struct plan *plan, struct journal_info *info,
                 struct diag *d)
{
    struct buf text = {0};
    *info = (struct journal_info){0};
    int err = file_read(dir, name, JOURNAL_MAX, &text);
    err = err == 0 ? journal_parse(buf_view(&text), plan, info) : err;
    if (err != 0) {
        (void)diag_error(d, DIAG_FILE(name), "is no journal that can be read: %s", err_str(err));
    }
    buf_free(&text);
    return err;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t journal_list(int dir, char ***names)
{
    size_t count = 0, cap = 0;
    *names = NULL;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        struct str name = str_z(e->d_name);
        if (!str_starts(name, STR("run-")) || !str_ends(name, STR(SUFFIX))) {
            continue;
        }
        if (count == cap) {
            cap = cap > 0 ? cap * 2 : 16;
            *names = xrealloc(*names, cap * sizeof(**names));
        }
        (*names)[count++] = xstrdup(e->d_name);
    }
    if (d != NULL) {
        closedir(d);
    } else if (fd >= 0) {
        close(fd);
    }
    if (count > 1) {
        qsort(*names, count, sizeof(**names), by_name);
    }
    return count;
}
