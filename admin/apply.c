/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/apply.h"

#include "common/clock.h"
#include "common/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TRIES        6  /* writes of one step that were of no effect */
#define FAILURES_MIN 10 /* from so many on, a run stops in which more fail than succeed */

struct apply {
    struct client *cl;
    struct plan *plan;
    struct journal *journal;
    const struct apply_opts *opts;
    struct apply_result *result;
    size_t next;    /* step not yet started */
    unsigned phase; /* of the active steps */
    unsigned active;
    bool broken; /* a chained step did not come off: those that build on it are not begun */
    uint64_t writes, started_ms, told_ms;
};

/* One step under way. Made by start_step(), freed by end_step(). */
struct job {
    struct apply *a;
    struct step *step;
    struct call call;
    json_t *now; /* last value read; NULL before the first read */
    struct buf refusal;
    unsigned tries;
};

static void on_read(struct call *c);
static void on_written(struct call *c);
static void fill(struct apply *a);

static size_t index_of(const struct job *job)
{
    return (size_t)(job->step - job->a->plan->steps);
}

static void tell(struct apply *a)
{
    const struct apply_result *r = a->result;
    size_t ended = r->done + r->skipped + r->conflicts + r->failed + r->manual;
    uint64_t now = clock_ms(), ms = now - a->started_ms;
    if (a->opts->progress && now - a->told_ms >= 5000 && ended > 0) {
        a->told_ms = now;
        fprintf(stderr, "%zu of %zu steps, %.1f a second, about %llu s left\n", ended,
                a->plan->count, (double)ended * 1000 / (double)MAX(ms, 1u),
                (unsigned long long)(ms * (a->plan->count - ended) / ended / 1000));
    }
}

static void end_step(struct job *job, enum step_state state, struct str why)
{
    static const char *const notes[] = {[STEP_DONE] = "done",
                                        [STEP_SKIPPED] = "skip",
                                        [STEP_CONFLICT] = "conflict",
                                        [STEP_FAILED] = "fail",
                                        [STEP_MANUAL] = "manual"};
    struct apply *a = job->a;
    struct apply_result *r = a->result;
    struct step *s = job->step;
    s->state = state;
    if (state != STEP_PENDING && state != STEP_BEGUN) {
        journal_note(a->journal, notes[state], index_of(job), why);
    }
    r->done += state == STEP_DONE;
    r->skipped += state == STEP_SKIPPED;
    r->conflicts += state == STEP_CONFLICT;
    r->failed += state == STEP_FAILED;
    r->manual += state == STEP_MANUAL;
    a->broken = a->broken || (s->kind->chained && (state == STEP_FAILED || state == STEP_CONFLICT));
    if (why.len > 0 && r->text.len < (64u << 10)) {
        buf_printf(&r->text, "%s \"%s\": " STR_FMT "\n", s->kind->title, s->label, STR_ARG(why));
    }
    if (r->failed >= FAILURES_MIN && r->failed > r->done + r->skipped) {
        r->stopped = true;
    }
    call_free(&job->call);
    json_decref(job->now);
    buf_free(&job->refusal);
    free(job);
    a->active--;
    tell(a);
    fill(a);
}

static void read_now(struct job *job, uint64_t wait_ms)
{
    call_free(&job->call);
    switch_read(job->step->kind, job->a->cl, &job->call, job->step->target);
    job->call.done = on_read;
    job->call.arg = job;
    job->call.s.not_before_ms = wait_ms > 0 ? clock_ms() + wait_ms : 0;
    client_add(job->a->cl, &job->call);
}

static void write_now(struct job *job)
{
    struct apply *a = job->a;
    struct step *s = job->step;
    if (s->state != STEP_BEGUN) {
        int err = journal_begin(a->journal, index_of(job));
        if (err != 0) {
            a->result->stopped = true;
            struct buf why = {0};
            buf_printf(&why, "the journal cannot be written (%s); nothing was sent", err_str(err));
            buf_printf(&a->result->text, "%s\n", buf_cstr(&why));
            buf_free(&why);
            end_step(job, STEP_PENDING, STR_NONE);
            return;
        }
        s->state = STEP_BEGUN;
    }
    a->writes++;
    job->tries++;
    call_free(&job->call);
    switch_write(s->kind, a->cl, &job->call, s->target, job->now != NULL ? job->now : s->before,
                 s->after);
    job->call.done = on_written;
    job->call.arg = job;
    client_add(a->cl, &job->call);
}

/* The service lets no application do it, whatever it was given: reference of uxSetting, "Not
 * supported". */
static bool is_for_people(const struct job *job)
{
    return job->call.err == ERR_DENIED && strcmp(job->step->kind->name, "entra-portal") == 0;
}

static void on_written(struct call *c)
{
    struct job *job = c->arg;
    const struct switch_kind *k = job->step->kind;
    struct buf why = {0};
    int err = c->err == 0 ? switch_taken(c, &why) : c->err;
    if (c->err != 0) {
        buf_str(&why, buf_view(&c->why));
    }
    if (err == 0) {
        end_step(job, STEP_DONE, STR_NONE);
    } else if (err == ERR_UNSURE) {
        read_now(job, client_conf(job->a->cl)->tenant.retry_ms);
    } else if (err == ERR_CANCELED) {
        end_step(job, STEP_BEGUN, STR_NONE);
    } else if (is_for_people(job)) {
        end_step(job, STEP_MANUAL,
                 STR("no program may set this; do it in Entra admin center > Users > User settings "
                     "> Restrict access"));
    } else if (k->property == NULL && (err == -ENOENT || err == ERR_PROTOCOL) &&
               job->refusal.len == 0) {
        buf_str(&job->refusal,
                buf_view(&why)); /* "exists already", "is not there": perhaps by our own hand */
        read_now(job, 0);
    } else {
        end_step(job, STEP_FAILED, buf_view(&why));
    }
    buf_free(&why);
}

static void on_read(struct call *c)
{
    struct job *job = c->arg;
    struct step *s = job->step;
    struct buf why = {0};
    json_t *now = NULL;
    if (c->err == ERR_CANCELED) {
        end_step(job, s->state, STR_NONE);
        return;
    }
    int err = switch_value(s->kind, c, s->target, &now, &why);
    json_decref(job->now);
    job->now = now;
    if (err != 0) {
        bool people = is_for_people(job);
        end_step(job, people ? STEP_MANUAL : STEP_FAILED, buf_view(&why));
    } else if (switch_equal(s->kind, now, s->after)) {
        end_step(job, s->state == STEP_BEGUN ? STEP_DONE : STEP_SKIPPED, STR_NONE);
    } else if (job->refusal.len > 0) {
        end_step(job, STEP_FAILED, buf_view(&job->refusal));
    } else if (!switch_equal(s->kind, now, s->before)) {
        buf_z(&why, "somebody else has set it to ");
        put_value(&why, now);
        buf_z(&why, "; left as it is");
        end_step(job, STEP_CONFLICT, buf_view(&why));
    } else if (job->tries >= TRIES) {
        end_step(job, STEP_FAILED, STR("it was written several times and stands as it was"));
    } else {
        write_now(job);
    }
    buf_free(&why);
}

static void start_step(struct apply *a, struct step *s)
{
    struct job *job = xnew(struct job);
    job->a = a;
    job->step = s;
    a->active++;
    if (a->opts->check_first || s->state == STEP_BEGUN) {
        read_now(job, 0);
    } else {
        write_now(job);
    }
}

static bool is_open(const struct step *s)
{
    return s->state == STEP_PENDING || s->state == STEP_BEGUN;
}

/* Starts steps up to the concurrency; a phase begins when the one before it has ended. */
static void fill(struct apply *a)
{
    while (a->next < a->plan->count && !a->result->stopped && !client_stopped()) {
        struct step *s = &a->plan->steps[a->next];
        bool same = a->active == 0 || a->phase == s->phase;
        bool sound = !(a->broken && s->kind->chained);
        bool room = a->active < (unsigned)client_conf(a->cl)->tenant.concurrency;
        bool budget = a->opts->max_writes == 0 || a->writes + a->active < a->opts->max_writes;
        if (is_open(s) && (!same || !room || !budget)) {
            return;
        }
        a->next++;
        if (is_open(s) && sound) {
            a->phase = s->phase;
            start_step(a, s);
        }
    }
}

void apply_run(struct client *cl, struct plan *plan, struct journal *j,
               const struct apply_opts *opts, struct apply_result *result)
{
    struct apply a = {.cl = cl, .plan = plan, .journal = j, .opts = opts, .result = result};
    *result = (struct apply_result){0};
    a.started_ms = a.told_ms = clock_ms();
    fill(&a);
    client_run(cl);
    result->stopped = result->stopped || client_stopped();
    for (size_t i = 0; i < plan->count; i++) {
        result->left += is_open(&plan->steps[i]);
    }
    if (result->left == 0) {
        journal_end(j);
    }
}
