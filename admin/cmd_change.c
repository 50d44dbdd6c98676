/* SPDX-License-Identifier: Apache-2.0 */
/* apply, assign, role-entries, portal-access, undo: commands that write. */
#include "admin/apply.h"
#include "admin/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SHOWN 10

static void print_now(struct buf *text)
{
    (void)fwrite(text->ptr != NULL ? text->ptr : "", 1, text->len, stdout);
    (void)fflush(stdout);
    buf_clear(text);
}

static bool agreed(struct session *s, const char *question)
{
    char line[16] = "";
    if (s->opts.yes) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        fputs("photogate-admin: nobody is there to ask; --yes goes on without asking\n", stderr);
        return false;
    }
    fprintf(stderr, "%s Only \"yes\" is taken for yes: ", question);
    return fgets(line, sizeof(line), stdin) != NULL && strcmp(line, "yes\n") == 0;
}

static int say_result(struct session *s, const struct apply_result *r, const char *journal)
{
    buf_str(&s->out, buf_view(&r->text));
    buf_printf(&s->out, "%zu done", r->done);
    const struct {
        size_t n;
        const char *what;
    } more[] = {{r->skipped, "stood right already"},
                {r->manual, "left to a person"},
                {r->conflicts, "changed by somebody else meanwhile"},
                {r->failed, "failed"},
                {r->left, "still to do"}};
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        if (more[i].n > 0) {
            buf_printf(&s->out, ", %zu %s", more[i].n, more[i].what);
        }
    }
    buf_printf(&s->out, ". Journal: %s\n", journal);
    if (r->left > 0) {
        buf_z(&s->out, "The next \"photogate-admin apply\" goes on from here; \"undo\" takes back "
                       "what was done.\n");
    }
    return r->failed + r->conflicts + r->left > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int run(struct session *s, struct plan *plan, struct journal *j, bool check_first)
{
    struct apply_result result;
    const struct apply_opts opts = {
        .max_writes = s->opts.max_writes, .check_first = check_first, .progress = !s->opts.json};
    apply_run(s->cl, plan, j, &opts, &result);
    int status = say_result(s, &result, journal_name(j));
    buf_free(&result.text);
    journal_close(j);
    return status;
}

int session_apply(struct session *s, struct plan *plan, const char *what, const char *undoes,
                  int dir)
{
    struct diag d = {0};
    struct journal *j = journal_new(dir, s->conf, what, undoes, plan, &d);
    int status = j != NULL ? run(s, plan, j, undoes != NULL) : EXIT_FAILED;
    diag_print(&d, "photogate-admin");
    diag_free(&d);
    return status;
}

/* The newest run that was cut off, if any; its name for free(). */
static char *find_unfinished(int dir)
{
    char **names = NULL, *found = NULL;
    size_t count = journal_list(dir, &names);
    for (size_t i = 0; i < count; i++) {
        struct plan p = {0};
        struct journal_info info;
        struct diag d = {0};
        bool last = i + 1 == count;
        if (last && journal_read(dir, names[i], &p, &info, &d) == 0 && info.whole && !info.ended) {
            found = xstrdup(names[i]);
        }
        plan_free(&p);
        diag_free(&d);
        free(names[i]);
    }
    free(names);
    return found;
}

/* Goes on with the run of that name: each switch that may have been written is read first. */
static int resume(struct session *s, int dir, const char *name)
{
    struct plan p = {0};
    struct journal_info info;
    struct diag d = {0};
    int status = EXIT_FAILED;
    if (journal_read(dir, name, &p, &info, &d) == 0) {
        buf_printf(&s->out, "Going on with %s: %zu of %zu steps are done, %zu may be.\n", name,
                   info.done, info.planned, info.begun);
        print_now(&s->out);
        struct journal *j = journal_open(dir, name, &d);
        status = j != NULL ? run(s, &p, j, true) : EXIT_FAILED;
    }
    print_now(&s->out);
    diag_print(&d, "photogate-admin");
    diag_free(&d);
    plan_free(&p);
    return status;
}

static int apply_plan(struct session *s, struct look_opts what, int dir)
{
    struct report r;
    if (session_look(s, what, &r) != 0) {
        return EXIT_FAILED;
    }
    int status = report_number(&r, FINDING_UNKNOWN) > 0 ? EXIT_FAILED : EXIT_DONE;
    plan_print(&r.plan, s->opts.all ? SIZE_MAX : SHOWN, &s->out);
    for (size_t i = 0; i < r.count; i++) {
        if (r.findings[i].state == FINDING_UNKNOWN) {
            buf_printf(&s->out, "unknown: %s: %s\n", r.findings[i].what, r.findings[i].more);
        }
    }
    if (r.plan.count > 0) {
        uint64_t seconds = plan_seconds(&r.plan, s->conf);
        buf_printf(&s->out, "%zu writes, about %llu min %02llu s.\n", r.plan.count,
                   (unsigned long long)seconds / 60, (unsigned long long)seconds % 60);
        print_now(&s->out);
        int done = agreed(s, "Shall this be done?") ? session_apply(s, &r.plan, "apply", NULL, dir)
                                                    : EXIT_FAILED;
        status = done != EXIT_DONE ? done : status;
    }
    report_free(&r);
    return status;
}

/* Done is what the tenant says is done: it is looked at once more. */
static int check_after(struct session *s, struct look_opts what, int status)
{
    struct report r;
    if (status != EXIT_DONE) {
        return status;
    }
    if (session_look(s, what, &r) != 0) {
        return EXIT_FAILED;
    }
    if (r.plan.count > 0) {
        buf_printf(&s->out, "Read back: %zu switches do not stand as planned; run apply again.\n",
                   r.plan.count);
        status = EXIT_FAILED;
    } else {
        buf_z(&s->out, "Read back: everything stands as planned. Outlook policies act within 60 "
                       "minutes, Graph's setting within 24 hours.\n");
    }
    report_free(&r);
    return status;
}

static int change(struct session *s, struct look_opts what)
{
    struct diag d = {0};
    int dir = -1, status = EXIT_DONE;
    if (journal_lock(s->conf, &dir, &d) != 0) {
        diag_print(&d, "photogate-admin");
        diag_free(&d);
        return EXIT_FAILED;
    }
    char *unfinished = find_unfinished(dir);
    if (unfinished != NULL) {
        buf_printf(&s->out, "An earlier run was cut off: %s.\n", unfinished);
        print_now(&s->out);
        status = agreed(s, "Shall it go on?") ? resume(s, dir, unfinished) : EXIT_FAILED;
    }
    free(unfinished);
    if (status == EXIT_DONE) {
        status = apply_plan(s, what, dir);
    }
    status = check_after(s, what, status);
    close(dir);
    diag_free(&d);
    return status;
}

int cmd_apply(struct session *s)
{
    return change(s, (struct look_opts){0});
}

int cmd_assign(struct session *s)
{
    return change(s, (struct look_opts){.only_assign = true});
}

int cmd_role_entries(struct session *s)
{
    return change(s, (struct look_opts){.only_roles = true});
}

int cmd_portal_access(struct session *s)
{
    return change(s, (struct look_opts){.only_portal = true});
}

/* ---- undo ---- */

static int list_runs(struct session *s, int dir)
{
    char **names = NULL;
    size_t count = journal_list(dir, &names);
    for (size_t i = 0; i < count; i++) {
        struct plan p = {0};
        struct journal_info info;
        struct diag d = {0};
        if (journal_read(dir, names[i], &p, &info, &d) == 0) {
            buf_printf(&s->out, "%s  %-5s  %zu steps, %zu done%s\n", names[i], info.what,
                       info.planned, info.done, info.ended ? "" : ", cut off");
        }
        plan_free(&p);
        diag_free(&d);
        free(names[i]);
    }
    free(names);
    return EXIT_DONE;
}

/* The newest run that changed something and was not taken back; its name for free(). */
static char *find_undoable(int dir)
{
    char **names = NULL, *found = NULL;
    json_t *undone = json_object();
    size_t count = journal_list(dir, &names);
    for (size_t i = count; i-- > 0;) {
        struct plan p = {0};
        struct journal_info info;
        struct diag d = {0};
        bool good = journal_read(dir, names[i], &p, &info, &d) == 0 && info.whole &&
                    info.begun + info.done + info.failed > 0;
        if (good && strcmp(info.what, "undo") == 0) {
            json_object_set_new(undone, info.undoes, json_true());
        } else if (good && found == NULL && json_object_get(undone, names[i]) == NULL) {
            found = xstrdup(names[i]);
        }
        plan_free(&p);
        diag_free(&d);
        free(names[i]);
    }
    json_decref(undone);
    free(names);
    return found;
}

static int undo_run(struct session *s, int dir, const char *name)
{
    struct plan done = {0}, back = {0};
    struct journal_info info;
    struct diag d = {0};
    int status = EXIT_FAILED;
    if (journal_read(dir, name, &done, &info, &d) == 0) {
        plan_reverse(&done, &back);
        buf_printf(&s->out, "Taking back %s of %.19s:\n", name, info.started);
        plan_print(&back, s->opts.all ? SIZE_MAX : SHOWN, &s->out);
        print_now(&s->out);
        status = agreed(s, "Shall this be taken back?") ? session_apply(s, &back, "undo", name, dir)
                                                        : EXIT_FAILED;
    }
    diag_print(&d, "photogate-admin");
    diag_free(&d);
    plan_free(&done);
    plan_free(&back);
    return status;
}

int cmd_undo(struct session *s)
{
    struct diag d = {0};
    int dir = -1, status = EXIT_FAILED;
    if (journal_lock(s->conf, &dir, &d) != 0) {
        diag_print(&d, "photogate-admin");
        diag_free(&d);
        return EXIT_FAILED;
    }
    char *unfinished = find_unfinished(dir), *name = NULL;
    struct plan p = {0};
    struct journal_info info = {0};
    bool cut_undo = unfinished != NULL && journal_read(dir, unfinished, &p, &info, &d) == 0 &&
                    strcmp(info.what, "undo") == 0;
    if (s->opts.list) {
        status = list_runs(s, dir);
    } else if (cut_undo) {
        status = resume(s, dir, unfinished);
    } else if ((name = s->opts.operand != NULL ? xstrdup(s->opts.operand) : find_undoable(dir)) ==
               NULL) {
        fputs("photogate-admin: no run is there to take back\n", stderr);
    } else if (strchr(name, '/') != NULL) {
        fputs("photogate-admin: undo wants the name of a run; undo --list shows them\n", stderr);
        status = EXIT_USAGE;
    } else {
        status = undo_run(s, dir, name);
    }
    plan_free(&p);
    diag_free(&d);
    free(unfinished);
    free(name);
    close(dir);
    return status;
}
