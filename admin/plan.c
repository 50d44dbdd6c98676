/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/plan.h"

#include <stdlib.h>

struct step *plan_add(struct plan *p, const char *kind, const char *target, const char *label,
                      json_t *before, json_t *after)
{
    if (p->count == p->cap) {
        p->cap = p->cap > 0 ? p->cap * 2 : 16;
        p->steps = xrealloc(p->steps, p->cap * sizeof(*p->steps));
    }
    struct step *s = &p->steps[p->count++];
    *s = (struct step){.kind = switch_find(kind),
                       .target = xstrdup(target),
                       .label = xstrdup(label),
                       .before = before,
                       .after = after};
    s->phase = s->kind->phase;
    return s;
}

void plan_sort(struct plan *p)
{
    /* few phases, many steps: one pass a phase keeps the order within it */
    struct step *sorted = xcalloc(p->count + 1, sizeof(*sorted));
    size_t n = 0;
    for (unsigned phase = 0; n < p->count; phase++) {
        for (size_t i = 0; i < p->count; i++) {
            if (p->steps[i].phase == phase) {
                sorted[n++] = p->steps[i];
            }
        }
    }
    free(p->steps);
    p->steps = sorted;
    p->cap = p->count + 1;
}

void plan_free(struct plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->steps[i].target);
        free(p->steps[i].label);
        json_decref(p->steps[i].before);
        json_decref(p->steps[i].after);
    }
    free(p->steps);
    *p = (struct plan){0};
}

void plan_reverse(const struct plan *done, struct plan *out)
{
    for (size_t i = done->count; i-- > 0;) {
        const struct step *s = &done->steps[i];
        if (s->state == STEP_BEGUN || s->state == STEP_DONE || s->state == STEP_FAILED) {
            struct step *back = plan_add(out, s->kind->name, s->target, s->label,
                                         json_incref(s->after), json_incref(s->before));
            back->phase = 1000 - s->phase;
        }
    }
    plan_sort(out);
}

void put_value(struct buf *out, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (text == NULL) {
        abort(); /* out of memory: nothing else can make a value that was read unwritable */
    }
    buf_z(out, text);
    free(text);
}

static void put_shown(struct buf *out, json_t *value)
{
    if (json_is_null(value)) {
        buf_z(out, "(none)");
    } else {
        put_value(out, value);
    }
}

void plan_print(const struct plan *p, size_t most, struct buf *out)
{
    const struct switch_kind *kind = NULL;
    size_t shown = 0, hidden = 0, made = 0, changed = 0, gone = 0;
    for (size_t i = 0; i <= p->count; i++) {
        const struct step *s = i < p->count ? &p->steps[i] : NULL;
        if (s == NULL || s->kind != kind) {
            if (hidden > 0) {
                buf_printf(out, "  … and %zu more of these (--all shows them)\n", hidden);
            }
            shown = hidden = 0;
            kind = s != NULL ? s->kind : NULL;
        }
        if (s == NULL) {
            break;
        }
        bool thing = s->kind->add != NULL || strcmp(s->kind->name, "role-entry") == 0 ||
                     strcmp(s->kind->name, "ca-policy") == 0;
        char sign = thing && json_is_null(s->before)  ? '+'
                    : thing && json_is_null(s->after) ? '-'
                                                      : '~';
        made += sign == '+';
        gone += sign == '-';
        changed += sign == '~';
        if (shown++ >= most) {
            hidden++;
            continue;
        }
        buf_printf(out, "  %c %s%s%s%s", sign, s->kind->title, s->label[0] != '\0' ? " \"" : "",
                   s->label, s->label[0] != '\0' ? "\"" : "");
        if (sign == '~') {
            buf_z(out, ": ");
            put_shown(out, s->before);
            buf_z(out, " -> ");
            put_shown(out, s->after);
        } else if (sign == '+' && json_is_object(s->after) && json_object_size(s->after) > 0) {
            buf_char(out, ' ');
            put_value(out, s->after);
        }
        buf_char(out, '\n');
    }
    buf_printf(out, "Plan: %zu to add, %zu to change, %zu to remove.\n", made, changed, gone);
}

void plan_json(const struct plan *p, struct buf *out)
{
    buf_char(out, '[');
    for (size_t i = 0; i < p->count; i++) {
        const struct step *s = &p->steps[i];
        buf_printf(out, "%s{\"kind\":\"%s\",\"target\":", i > 0 ? "," : "", s->kind->name);
        buf_json(out, str_z(s->target));
        buf_z(out, ",\"label\":");
        buf_json(out, str_z(s->label));
        buf_z(out, ",\"before\":");
        put_value(out, s->before);
        buf_z(out, ",\"after\":");
        put_value(out, s->after);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

uint64_t plan_seconds(const struct plan *p, const struct conf *conf)
{
    const uint64_t pace = (uint64_t)conf->tenant.writes_per_minute;
    return p->count == 0 ? 0 : (p->count * 60 + pace - 1) / pace + 2;
}
