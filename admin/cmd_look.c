/* SPDX-License-Identifier: Apache-2.0 */
/* status, plan, verify: commands that only read. */
#include "admin/cmd.h"
#include "common/clock.h"
#include "common/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SHOWN 10 /* steps of one kind */

int session_look(struct session *s, struct look_opts opts, struct report *out)
{
    struct buf why = {0};
    opts.full = s->opts.full;
    opts.force = s->opts.force;
    int err = look(s->cl, &opts, out, &why);
    if (err != 0) {
        fprintf(stderr, "photogate-admin: the tenant cannot be read (%s): %s\n", err_str(err),
                buf_cstr(&why));
        report_free(out);
    }
    buf_free(&why);
    return err;
}

int report_status(const struct report *r)
{
    return report_number(r, FINDING_OPEN) > 0      ? EXIT_DRIFT
           : report_number(r, FINDING_UNKNOWN) > 0 ? EXIT_FAILED
                                                   : EXIT_DONE;
}

static void put_counts(struct session *s, struct buf *out)
{
    const struct client_counts *n = client_counts(s->cl);
    buf_printf(out,
               "{\"calls\":%llu,\"reads\":%llu,\"writes\":%llu,\"retries\":%llu,\"throttled\":%llu,"
               "\"waited_ms\":%llu,\"tokens\":%u}",
               (unsigned long long)n->calls, (unsigned long long)n->reads,
               (unsigned long long)n->writes, (unsigned long long)n->retries,
               (unsigned long long)n->throttled, (unsigned long long)n->waited_ms, n->tokens);
}

static void status_json(struct session *s, const struct report *r, struct buf *out)
{
    buf_printf(out, "{\"drift\":%s,\"findings\":[",
               report_number(r, FINDING_OPEN) > 0 ? "true" : "false");
    for (size_t i = 0; i < r->count; i++) {
        const struct finding *f = &r->findings[i];
        buf_printf(out, "%s{\"row\":\"%s\",\"state\":\"%s\",\"what\":", i > 0 ? "," : "", f->row,
                   finding_state_name(f->state));
        buf_json(out, str_z(f->what));
        if (f->more[0] != '\0') {
            buf_z(out, ",\"reason\":");
            buf_json(out, str_z(f->more));
        }
        buf_char(out, '}');
    }
    buf_printf(out, "],\"mailboxes_read\":%llu,\"counts\":", (unsigned long long)r->mailboxes);
    put_counts(s, out);
    buf_z(out, "}\n");
}

/* What is open first: the rest is there for whoever reads on. */
static void status_table(const struct report *r, struct buf *out)
{
    static const enum finding_state order[] = {FINDING_OPEN,   FINDING_UNKNOWN, FINDING_MANUAL,
                                               FINDING_EXEMPT, FINDING_NOTE,    FINDING_LOCKED};
    for (size_t o = 0; o < ARRAY_LEN(order); o++) {
        for (size_t i = 0; i < r->count; i++) {
            const struct finding *f = &r->findings[i];
            if (f->state == order[o]) {
                buf_printf(out, "%-8s %-15s %s\n", finding_state_name(f->state), f->row, f->what);
                if (f->more[0] != '\0') {
                    buf_printf(out, "%-24s because: %s\n", "", f->more);
                }
            }
        }
    }
    size_t open = report_number(r, FINDING_OPEN), unknown = report_number(r, FINDING_UNKNOWN);
    if (open > 0) {
        buf_printf(out, "%zu open. \"photogate-admin plan\" shows what would close them.\n", open);
    } else if (unknown == 0) {
        buf_z(out, "Everything is locked as configured.\n");
    }
    if (unknown > 0) {
        buf_printf(out,
                   "%zu could not be read and may be open; \"photogate-admin doctor\" says what is "
                   "missing.\n",
                   unknown);
    }
}

int cmd_status(struct session *s)
{
    struct report r;
    if (session_look(s, (struct look_opts){0}, &r) != 0) {
        return EXIT_FAILED;
    }
    if (s->opts.json) {
        status_json(s, &r, &s->out);
    } else {
        status_table(&r, &s->out);
    }
    int status = report_status(&r);
    report_free(&r);
    return status;
}

int cmd_plan(struct session *s)
{
    struct report r;
    if (session_look(s, (struct look_opts){0}, &r) != 0) {
        return EXIT_FAILED;
    }
    uint64_t seconds = plan_seconds(&r.plan, s->conf);
    if (s->opts.json) {
        buf_printf(&s->out, "{\"steps\":");
        plan_json(&r.plan, &s->out);
        buf_printf(&s->out, ",\"writes\":%zu,\"seconds\":%llu,\"counts\":", r.plan.count,
                   (unsigned long long)seconds);
        put_counts(s, &s->out);
        buf_z(&s->out, "}\n");
    } else {
        plan_print(&r.plan, s->opts.all ? SIZE_MAX : SHOWN, &s->out);
        if (r.plan.count > 0) {
            buf_printf(&s->out, "%zu calls that write, about %llu min %02llu s at %lld a minute.\n",
                       r.plan.count, (unsigned long long)seconds / 60,
                       (unsigned long long)seconds % 60,
                       (long long)s->conf->tenant.writes_per_minute);
        }
    }
    int status = r.plan.count > 0 ? EXIT_DRIFT : report_status(&r);
    report_free(&r);
    return status;
}

/* ---- verify ---- */

/* When the last run that changed the kind of switch ended its steps, by the journals' own times. */
static time_t last_change(int dir, const struct switch_kind *kind)
{
    char **names = NULL;
    size_t count = journal_list(dir, &names);
    time_t latest = 0;
    for (size_t i = 0; i < count; i++) {
        struct plan p = {0};
        struct journal_info info;
        struct diag d = {0};
        struct tm tm = {0};
        if (journal_read(dir, names[i], &p, &info, &d) == 0 &&
            strptime(info.started, "%Y-%m-%dT%H:%M:%S", &tm) != NULL) {
            for (size_t n = 0; n < p.count; n++) {
                if (p.steps[n].kind == kind && p.steps[n].state == STEP_DONE) {
                    latest = MAX(latest, timegm(&tm));
                }
            }
        }
        plan_free(&p);
        diag_free(&d);
        free(names[i]);
    }
    free(names);
    return latest;
}

static void say_when(struct session *s, int dir, time_t now)
{
    static const char *const kinds[] = {"owa-policy.photo", "cas-mailbox.policy", "photo-settings"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct switch_kind *k = switch_find(kinds[i]);
        time_t changed = dir >= 0 ? last_change(dir, k) : 0, from = changed + (time_t)k->effect_s;
        if (changed > 0 && from > now) {
            struct buf at = {0};
            clock_rfc3339(&at, from, 0);
            buf_printf(&s->out,
                       "%s: set, and effective for everybody by %.16sZ (%s); a change that still "
                       "succeeds before is no drift.\n",
                       k->title, buf_cstr(&at), k->effect_of);
            buf_free(&at);
        }
    }
}

int cmd_verify(struct session *s)
{
    struct report r;
    if (session_look(s, (struct look_opts){0}, &r) != 0) {
        return EXIT_FAILED;
    }
    if (s->opts.json) {
        status_json(s, &r, &s->out);
    } else {
        char *path = conf_path(s->conf, s->conf->tenant.state_dir.text);
        int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        plan_print(&r.plan, SHOWN, &s->out);
        if (r.plan.count == 0 && report_number(&r, FINDING_UNKNOWN) == 0) {
            buf_z(&s->out, "Read back: everything stands as configured.\n");
        }
        say_when(s, dir, time(NULL));
        if (dir >= 0) {
            close(dir);
        }
        free(path);
    }
    int status = report_status(&r);
    report_free(&r);
    return status;
}
