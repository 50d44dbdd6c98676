/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/privilege.h"

#include "common/err.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int privilege_find(const char *user, struct diag_at at, uid_t *uid, gid_t *gid, struct diag *d)
{
    struct passwd entry, *found = NULL;
    char text[4096];
    uint64_t number;
    if (str_u64(str_z(user), &number)) {
        if (number == 0 || number > 0x7fffffff) {
            return diag_error(d, at, "user number %s cannot be used", user);
        }
        *uid = (uid_t)number;
        *gid = (gid_t)number;
        return 0;
    }
    if (getpwnam_r(user, &entry, text, sizeof(text), &found) != 0 || found == NULL) {
        return diag_error(d, at,
                          "there is no user \"%s\"; make it with: useradd --system "
                          "--no-create-home --shell /usr/sbin/nologin %s",
                          user, user);
    }
    *uid = entry.pw_uid;
    *gid = entry.pw_gid;
    return 0;
}

int privilege_drop(const char *user, struct diag *d)
{
    uid_t uid;
    gid_t gid;
    if (geteuid() != 0) {
        return 0;
    }
    int err = privilege_find(user, DIAG_NOWHERE, &uid, &gid, d);
    if (err != 0) {
        return err;
    }
    if (uid == 0) {
        return diag_error(d, DIAG_NOWHERE, "[proxy] user must not be root");
    }
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return diag_error(d, DIAG_NOWHERE, "cannot become user \"%s\": %s", user, err_str(-errno));
    }
    return 0;
}

unsigned long privilege_raise_files(unsigned long wanted)
{
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) != 0) {
        return 0;
    }
    struct rlimit more = {.rlim_cur = wanted,
                          .rlim_max = wanted > now.rlim_max ? wanted : now.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &more) != 0) { /* only root may raise the hard limit */
        more = (struct rlimit){.rlim_cur = wanted < now.rlim_max ? wanted : now.rlim_max,
                               .rlim_max = now.rlim_max};
        (void)setrlimit(RLIMIT_NOFILE, &more);
    }
    return getrlimit(RLIMIT_NOFILE, &now) == 0 ? (unsigned long)now.rlim_cur : 0;
}
