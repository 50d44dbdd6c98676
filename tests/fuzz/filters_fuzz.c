/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a request: a line each for method, Host and target, then header fields. The verdict
 * does not depend on the order of the fields or on the case of their names, a host that is not
 * inspected is left alone, and evidence is printable.
 */
#include "filters/filters.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELDS 32

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct filters *build(void)
{
    static struct schema_str users[] = {{.text = STR_INIT("admin@contoso.com")}};
    struct filters_conf conf;
    struct filters *f = NULL;
    struct diag d = {0};
    filters_conf_defaults(&conf);
    conf.admins.users = (struct schema_strs){users, 1};
    conf.admins.tenant_id.text = STR("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
    check(filters_build(&conf, &f, &d) == 0);
    return f;
}

static struct str upper(struct str s, struct arena *a)
{
    char *out = arena_alloc(a, s.len);
    for (size_t i = 0; i < s.len; i++) {
        out[i] = s.ptr[i] >= 'a' && s.ptr[i] <= 'z' ? (char)(s.ptr[i] - 32) : s.ptr[i];
    }
    return str_of(out, s.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct filters *f;
    static const struct actor nobody;
    struct arena a = {0};
    struct str rest = str_of((const char *)data, size), line, name;
    struct filter_field field[FIELDS], turned[FIELDS];
    struct filter_request r = {.field = field, .http = 11, .body_complete = true};
    if (f == NULL) {
        f = build();
    }
    if (str_cut(&rest, '\n', &r.method) && str_cut(&rest, '\n', &r.authority)) {
        (void)str_cut(&rest, '\n', &r.target);
    }
    while (r.fields < FIELDS && str_cut(&rest, '\n', &line)) {
        if (str_cut(&line, ':', &name)) {
            field[r.fields++] = (struct filter_field){name, line};
        }
    }
    struct verdict v = filters_decide(f, &r, &nobody, &a);
    check((v.rule == NULL) == (v.kind == VERDICT_PASS));
    for (size_t i = 0; i < v.evidence.len; i++) {
        check(v.evidence.ptr[i] >= ' ' && v.evidence.ptr[i] < 0x7f);
    }
    for (size_t i = 0; i < r.fields; i++) {
        turned[r.fields - 1 - i] = (struct filter_field){upper(field[i].name, &a), field[i].value};
    }
    r.field = turned;
    struct verdict again = filters_decide(f, &r, &nobody, &a);
    check(again.kind == v.kind && again.rule == v.rule);
    arena_free(&a);
    return 0;
}
