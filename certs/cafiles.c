/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cafiles.h"

#include "certs/ossl.h"
#include "common/err.h"
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fault(struct diag *d, const char *file, const char *what, int err)
{
    return diag_error(d, DIAG_FILE(file), "cannot %s: %s%s", what, err_str(err),
                      err == -EACCES || err == -EPERM
                          ? "; run this as the user whom the CA belongs to, usually root"
                          : "");
}

/* A directory with exactly this mode, whatever the umask, if it is not there yet. */
static int make_dir(const char *dir, mode_t mode, struct diag *d)
{
    struct stat st;
    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) {
        return 0;
    }
    int err = file_mkdir(AT_FDCWD, dir, mode);
    if (err == 0 && chmod(dir, mode) < 0) {
        err = -errno;
    }
    return err == 0 ? 0 : fault(d, dir, "make the directory", err);
}

int cafiles_make(const char *dir, struct diag *d)
{
    char sub[CA_PATH_MAX];
    int err = make_dir(dir, 0755, d);
    if (err == 0) {
        err = make_dir(ca_path(sub, dir, "public"), 0755, d);
    }
    if (err == 0) {
        err = make_dir(ca_path(sub, dir, "private"), 0700, d);
    }
    return err;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void cafiles_abandon(const char *unfinished)
{
    (void)nftw(unfinished, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int lock_dir(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0) {
        return -errno;
    }
    if (flock(*fd, LOCK_EX | LOCK_NB) < 0) {
        int err = -errno;
        close(*fd);
        *fd = -1;
        return err;
    }
    return 0;
}

/* 1 when the directory is missing or has nothing in it, 0 when it has, -errno. */
static int is_free(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return errno == ENOENT ? 1 : -errno;
    }
    int empty = 1;
    const struct dirent *e;
    while (empty == 1 && (e = readdir(dir)) != NULL) {
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ? 1 : 0;
    }
    closedir(dir);
    return empty;
}

static int check_free(const char *dir, struct diag *d)
{
    char file[CA_PATH_MAX];
    if (access(ca_path(file, dir, CA_CHAIN), F_OK) == 0) {
        return diag_error(d, DIAG_FILE(dir),
                          "there is a CA already, and it is never overwritten; photogate ca show "
                          "describes it, photogate ca rotate renews its issuing CA, and another "
                          "directory takes a new one");
    }
    const int free_or_err = is_free(dir);
    if (free_or_err < 0) {
        return fault(d, dir, "put a CA there", free_or_err);
    }
    if (free_or_err == 0) {
        return diag_error(d, DIAG_FILE(dir),
                          "it is not empty (is a request of photogate ca csr waiting for its "
                          "certificate?); name a directory that is new or empty");
    }
    return 0;
}

int cafiles_begin(const char *dir, char *out, int *fd, struct diag *d)
{
    size_t len = strlen(dir);
    *fd = -1;
    while (len > 1 && dir[len - 1] == '/') {
        len--;
    }
    int n = snprintf(out, CA_PATH_MAX, "%.*s.unfinished", (int)len, dir);
    if (len == 0 || n < 0 || n >= CA_PATH_MAX - 128) {
        return diag_error(d, DIAG_FILE(dir), "the name is empty or too long");
    }
    int err = check_free(dir, d);
    if (err != 0) {
        return err;
    }
    /* what is missing above it; and if it is there, no harm in knowing it only below */
    err = file_mkdir(AT_FDCWD, out, 0700);
    if (err == 0) {
        err = lock_dir(out, fd);
    }
    if (err == -EWOULDBLOCK) {
        return diag_error(d, DIAG_FILE(dir), "another photogate ca init is making it right now");
    }
    if (err == 0 && is_free(out) != 1) {
        close(*fd);
        cafiles_abandon(out); /* nothing ever used what is in there */
        err = file_mkdir(AT_FDCWD, out, 0700);
        if (err == 0) {
            err = lock_dir(out, fd);
        }
    }
    if (err == 0 && chmod(out, 0700) < 0) {
        err = -errno;
    }
    return err == 0 ? cafiles_make(out, d) : fault(d, out, "make the directory", err);
}

int cafiles_commit(const char *dir, const char *unfinished, struct diag *d)
{
    char parent[CA_PATH_MAX];
    snprintf(parent, sizeof(parent), "%s/..", unfinished);
    int above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = chmod(unfinished, 0755) < 0 ? -errno : 0;
    /* takes the place of an empty directory, too; never of one with something in it */
    if (err == 0 && rename(unfinished, dir) < 0) {
        err = -errno;
    }
    if (err == 0 && above >= 0 && fsync(above) < 0 && errno != EINVAL) {
        err = -errno;
    }
    if (above >= 0) {
        close(above);
    }
    if (err == -EBUSY || err == -EXDEV) {
        return diag_error(d, DIAG_FILE(dir),
                          "it is a mount point, which cannot be replaced in one step; name a "
                          "directory inside it");
    }
    return err == 0 ? 0 : fault(d, dir, "put the finished CA there", err);
}

int cafiles_lock(const char *dir, int *fd, struct diag *d)
{
    char file[CA_PATH_MAX];
    int err = lock_dir(ca_path(file, dir, "private"), fd);
    if (err == -EWOULDBLOCK) {
        return diag_error(d, DIAG_FILE(dir),
                          "another photogate ca command is changing it right now");
    }
    if (err == -ENOENT) {
        return diag_error(d, DIAG_FILE(file), "there is no CA here; run photogate ca init --dir %s",
                          dir);
    }
    return err == 0 ? 0 : fault(d, file, "open the directory", err);
}

int cafiles_write(const char *file, struct str data, mode_t mode, struct diag *d)
{
    int err = file_replace(AT_FDCWD, file, data, mode);
    return err == 0 ? 0 : fault(d, file, "write", err);
}

int cafiles_write_key(const char *file, EVP_PKEY *key, struct diag *d)
{
    int err = key_write(AT_FDCWD, file, key);
    return err == 0 ? 0 : fault(d, file, "write", err);
}

/* Removes the keys of CAs that were in use once, but for those in `keep`. */
static void drop_keys(const char *dir, const struct key_id *keep, size_t count)
{
    char path[CA_PATH_MAX];
    DIR *old = opendir(ca_path(path, dir, CA_OLD));
    const struct dirent *e;
    while (old != NULL && (e = readdir(old)) != NULL) {
        struct str name = str_z(e->d_name);
        struct key_id id = {0};
        bool kept = false;
        if (name.len != 2 * KEY_ID_LEN + 4 || !str_ends(name, STR(".pem"))) {
            continue;
        }
        memcpy(id.hex, name.ptr, 2 * KEY_ID_LEN);
        for (size_t i = 0; i < count; i++) {
            kept = kept || strcmp(keep[i].hex, id.hex) == 0;
        }
        if (!kept) {
            (void)unlink(ca_key_path(path, dir, &id));
        }
    }
    if (old != NULL) {
        closedir(old);
    }
}

int cafiles_switch(const char *dir, struct str pem, X509 *root, X509 *last, bool drop_last,
                   struct diag *d)
{
    char file[CA_PATH_MAX];
    struct key_id keep[2] = {0}; /* the new one has no certificate in old/ yet, or is back in use */
    struct buf text = {0};
    STACK_OF(X509) *now = NULL;
    int err = 0;
    if (last != NULL && key_id_of_cert(last, &keep[0]) == 0) {
        err = make_dir(ca_path(file, dir, CA_OLD), 0755, d);
        if (err == 0) {
            ossl_put_pem(&text, last);
            err = cafiles_write(ca_old_path(file, dir, &keep[0]), buf_view(&text), 0644, d);
        }
    }
    if (err == 0) {
        err = cafiles_write(ca_path(file, dir, CA_CHAIN), pem, 0644, d);
    }
    if (err == 0) {
        buf_clear(&text);
        ossl_put_pem(&text, root);
        err = cafiles_write(ca_path(file, dir, CA_ROOT), buf_view(&text), 0644, d);
    }
    if (err == 0 && ossl_read_pem(pem, 100, &now) == 0 &&
        key_id_of_cert(sk_X509_value(now, 0), &keep[1]) == 0) {
        if (drop_last && strcmp(keep[0].hex, keep[1].hex) != 0) {
            keep[0] = (struct key_id){0};
        }
        drop_keys(dir, keep, 2);
    }
    sk_X509_pop_free(now, X509_free);
    buf_free(&text);
    return err;
}
