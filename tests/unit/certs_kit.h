/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the certs floor share: a temporary directory and a CA in it. */
#ifndef TESTS_UNIT_CERTS_KIT_H
#define TESTS_UNIT_CERTS_KIT_H

#include "certs/camake.h"
#include "common/mem.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KIT_NOW 1800000000 /* 2027-01-15 08:00 UTC: no test depends on today */

struct kit {
    char dir[64];   /* of the test */
    char ca[80];    /* "DIR/ca", not made yet */
    char file[512]; /* kit_file() */
    struct names names;
    struct diag d;
};

static inline struct kit *kit_new(void)
{
    struct kit *k = xnew(struct kit);
    snprintf(k->dir, sizeof(k->dir), "/tmp/photogate-certs-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    snprintf(k->ca, sizeof(k->ca), "%s/ca", k->dir);
    assert_int_equal(names_add(&k->names, STR("graph.microsoft.com")), 0);
    assert_int_equal(names_add(&k->names, STR("*.sharepoint.com")), 0);
    return k;
}

static inline int kit_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void kit_free(struct kit *k)
{
    nftw(k->dir, kit_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    names_free(&k->names);
    diag_free(&k->d);
    free(k);
}

static inline const char *kit_file(struct kit *k, const char *name)
{
    snprintf(k->file, sizeof(k->file), "%s/%s", k->ca, name);
    return k->file;
}

static inline struct ca_make kit_make(struct kit *k)
{
    return (struct ca_make){.dir = k->ca,
                            .names = &k->names,
                            .public_url = "http://proxy.corp.example:8080",
                            .now = KIT_NOW};
}

/* The faults so far, with the test's directory taken out; empties them. */
static inline void kit_check_faults(struct kit *k, const char *expected)
{
    struct str rest = buf_view(&k->d.text), dir = str_z(k->dir);
    struct buf plain = {0};
    ptrdiff_t at;
    while ((at = str_find(rest, dir)) >= 0) {
        buf_put(&plain, rest.ptr, (size_t)at);
        rest = str_skip(rest, (size_t)at + dir.len + 1);
    }
    buf_str(&plain, rest);
    assert_string_equal(buf_cstr(&plain), expected);
    buf_free(&plain);
    diag_free(&k->d);
}

static inline void kit_init_ca(struct kit *k)
{
    const struct ca_make make = kit_make(k);
    int err = ca_init(&make, &k->d);
    kit_check_faults(k, "");
    assert_int_equal(err, 0);
}

static inline struct ca *kit_load(struct kit *k)
{
    struct ca *ca = NULL;
    int err = ca_load(AT_FDCWD, k->ca, KIT_NOW, &ca, &k->d);
    kit_check_faults(k, "");
    assert_int_equal(err, 0);
    return ca;
}

static inline void kit_check_mode(struct kit *k, const char *name, unsigned mode)
{
    struct stat st;
    assert_int_equal(stat(kit_file(k, name), &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_uid, geteuid());
}

/* Files and directories below the test's whose names match a pattern of find(1). */
static inline size_t kit_count_files(struct kit *k, const char *pattern)
{
    struct buf command = {0};
    char line[16] = "0";
    buf_printf(&command, "find '%s' -name '%s' | wc -l", k->dir, pattern);
    FILE *f = popen(buf_cstr(&command), "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    pclose(f);
    buf_free(&command);
    return (size_t)strtoul(line, NULL, 10);
}

static inline void kit_load_fails(struct kit *k, time_t now, const char *why)
{
    struct ca *ca = NULL;
    assert_int_equal(ca_load(AT_FDCWD, k->ca, now, &ca, &k->d), ERR_CONFIG);
    assert_null(ca);
    kit_check_faults(k, why);
}

static inline int kit_setup(void **state)
{
    *state = kit_new();
    return 0;
}

static inline int kit_teardown(void **state)
{
    kit_free(*state);
    return 0;
}

#endif
