/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the body of one of a few requests, which the first byte picks. However it is cut,
 * the verdict is the same; it is final once it is there; evidence is printable.
 */
#ifndef TESTS_FUZZ_BODY_FUZZ_H
#define TESTS_FUZZ_BODY_FUZZ_H

#include "filters/filters.h"
#include "filters/vectors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static inline struct filters *fuzz_filters(void)
{
    static struct schema_str groups[] = {{.text = STR_INIT("engage")}};
    struct filters_conf conf;
    struct filters *f = NULL;
    struct diag d = {0};
    filters_conf_defaults(&conf);
    conf.inspect.optional = (struct schema_strs){groups, 1};
    check(filters_build(&conf, &f, &d) == 0);
    return f;
}

static inline void check_evidence(const struct verdict *v)
{
    for (size_t i = 0; i < v->evidence.len; i++) {
        check(v->evidence.ptr[i] >= ' ' && v->evidence.ptr[i] < 0x7f);
    }
}

static inline struct verdict fuzz_cut(const struct filters *f, const struct filter_request *r,
                                      struct str body, size_t cut, struct arena *a)
{
    static const struct actor nobody;
    struct filters_body *b = filters_body_new(f, r, &nobody, a);
    struct verdict v = filters_body_feed(b, STR_NONE);
    while (v.kind == VERDICT_NEED_BODY && body.len > 0) {
        size_t len = cut < body.len ? cut : body.len;
        check(v.need > 0);
        v = filters_body_feed(b, str_of(body.ptr, len));
        body = str_skip(body, len);
    }
    v = v.kind == VERDICT_NEED_BODY ? filters_body_end(b) : v;
    check(v.kind == VERDICT_PASS || v.kind == VERDICT_BLOCK);
    check((v.rule == NULL) == (v.kind == VERDICT_PASS));
    check_evidence(&v);
    filters_body_free(b);
    return v;
}

static inline void fuzz_body(const char *const *heads, size_t count, const uint8_t *data,
                             size_t size)
{
    static struct filters *f;
    struct arena a = {0};
    struct filter_request r;
    if (f == NULL) {
        f = fuzz_filters();
    }
    if (size == 0) {
        return;
    }
    check(vector_parse(str_z(heads[data[0] % count]), &r, &a));
    struct str body = str_of((const char *)data + 1, size - 1);
    r.body_complete = false;
    struct verdict whole = fuzz_cut(f, &r, body, SIZE_MAX, &a);
    struct verdict bytes = fuzz_cut(f, &r, body, 1, &a);
    struct verdict some = fuzz_cut(f, &r, body, 1 + size % 13, &a);
    check(whole.kind == bytes.kind && whole.kind == some.kind);
    arena_free(&a);
}

#define FUZZ_BODY(...)                                                  \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)        \
    {                                                                   \
        static const char *const heads[] = {__VA_ARGS__};               \
        fuzz_body(heads, sizeof(heads) / sizeof(heads[0]), data, size); \
        return 0;                                                       \
    }

#endif
