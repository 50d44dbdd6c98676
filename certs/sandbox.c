/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/sandbox.h"

#include "common/err.h"

#include <cap-ng.h>
#include <seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* A number that may be an id: (uid_t)-1 means "leave it" to setresuid(). */
static bool is_id(const char *text, unsigned *out)
{
    uint64_t n;
    if (!str_u64(str_z(text), &n) || n >= UINT32_MAX) {
        return false;
    }
    *out = (unsigned)n;
    return true;
}

int sandbox_find_user(const char *user, const char *group, struct sandbox_user *out, struct diag *d)
{
    *out = (struct sandbox_user){0};
    if (geteuid() != 0) {
        diag_warn(
            d, DIAG_NOWHERE,
            "not started as root: the signer runs as the user of the proxy (%u), who can read "
            "its key",
            (unsigned)geteuid());
        return 0;
    }
    if (user == NULL) {
        diag_warn(d, DIAG_NOWHERE, "the signer stays root; name a user of its own for it");
        return 0;
    }
    char space[16384];
    struct passwd entry, *found = NULL;
    const bool by_number = is_id(user, &out->uid);
    if (by_number) {
        (void)getpwuid_r(out->uid, &entry, space, sizeof(space), &found);
    } else {
        (void)getpwnam_r(user, &entry, space, sizeof(space), &found);
        if (found == NULL) {
            return diag_error(d, DIAG_NOWHERE, "there is no user \"%s\"; make it, or name another",
                              user);
        }
        out->uid = (unsigned)found->pw_uid;
    }
    if (group == NULL && found == NULL) {
        return diag_error(d, DIAG_NOWHERE, "user %u has no entry; name its group, too", out->uid);
    }
    if (group == NULL) {
        out->gid = (unsigned)found->pw_gid;
    } else if (!is_id(group, &out->gid)) {
        struct group other, *g = NULL;
        (void)getgrnam_r(group, &other, space, sizeof(space), &g);
        if (g == NULL) {
            return diag_error(d, DIAG_NOWHERE, "there is no group \"%s\"; make it, or name another",
                              group);
        }
        out->gid = (unsigned)g->gr_gid;
    }
    if (out->uid == 0 || out->gid == 0) {
        return diag_error(d, DIAG_NOWHERE, "the signer must not stay root; name a user of its own");
    }
    out->change = true;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

int sandbox_close_others(const int *keep, unsigned count)
{
    int sorted[1024];
    unsigned from = 3;
    if (count > sizeof(sorted) / sizeof(*sorted)) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < count; i++) {
        sorted[i] = keep[i];
    }
    qsort(sorted, count, sizeof(*sorted), by_number);
    for (unsigned i = 0; i < count; i++) {
        if (sorted[i] < (int)from) {
            continue;
        }
        if (sorted[i] > (int)from && close_range(from, (unsigned)sorted[i] - 1, 0) < 0) {
            return -errno;
        }
        from = (unsigned)sorted[i] + 1;
    }
    return close_range(from, ~0u, 0) < 0 ? -errno : 0;
}

int sandbox_drop(const struct sandbox_user *user)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0) {
        return -errno;
    }
    /* The bounding set while there is the right to; without it no_new_privs makes the set moot. */
    capng_clear(CAPNG_SELECT_ALL);
    int ignored = capng_apply(CAPNG_SELECT_BOUNDS);
    (void)ignored;
    if (user->change) {
        (void)capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SETUID, CAP_SETGID,
                            -1);
        if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
            return -EPERM;
        }
        if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
            setresuid(user->uid, user->uid, user->uid) < 0) {
            return -errno;
        }
        capng_clear(CAPNG_SELECT_ALL);
    }
    if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
        return -EPERM;
    }
    /* After the change of user, which sets it back to what /proc/sys/fs/suid_dumpable says. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return -errno;
    }
    if (user->change && (setuid(0) == 0 || geteuid() != user->uid || getegid() != user->gid)) {
        return -EPERM;
    }
    return 0;
}

/*
 * Found by running the signer's whole life under strace on Debian 12 and 13 (glibc 2.36 and 2.41),
 * and then what those calls are on other architectures: names that one does not have are left out
 * by libseccomp.
 */
static const int allowed[] = {
    SCMP_SYS(read),          SCMP_SYS(write),
    SCMP_SYS(close),         SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),        SCMP_SYS(poll),
    SCMP_SYS(ppoll),         SCMP_SYS(restart_syscall),
    SCMP_SYS(brk),           SCMP_SYS(munmap),
    SCMP_SYS(mremap),        SCMP_SYS(madvise),
    SCMP_SYS(futex),         SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64),
    SCMP_SYS(gettimeofday),  SCMP_SYS(time),
    SCMP_SYS(getpid),        SCMP_SYS(gettid),
    SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),  SCMP_SYS(sched_yield),
    SCMP_SYS(exit),          SCMP_SYS(exit_group),
};

/* Those whose third argument is the protection. */
static const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)};

static int build(scmp_filter_ctx ctx)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < sizeof(allowed) / sizeof(*allowed); i++) {
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    /* memory: none that can be executed, and none from a file, since no file can be opened */
    for (size_t i = 0; err == 0 && i < sizeof(mapping) / sizeof(*mapping); i++) {
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, mapping[i], 1,
                               SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    /* abort() signals itself; nobody else may be signalled */
    if (err == 0) {
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                               SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    }
    return err;
}

int sandbox_confine(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (ctx == NULL) {
        return -ENOMEM;
    }
    int err = build(ctx);
    if (err == 0) {
        err = seccomp_load(ctx); /* sets no_new_privs, too */
    }
    seccomp_release(ctx);
    return err;
}
