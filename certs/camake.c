/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/camake.h"

#include "certs/cafiles.h"
#include "certs/ossl.h"
#include "certs/profile.h"
#include "common/err.h"
#include "common/file.h"
#include "common/mem.h"

#include <openssl/err.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int openssl_fault(struct diag *d, const char *dir, const char *what)
{
    return diag_error(d, DIAG_FILE(dir), "cannot %s: OpenSSL: %s", what, ossl_reason());
}

/* --- parts --- */

void ca_put_cn(struct buf *out, const char *what, const char *host, time_t now,
               const struct key_id *id)
{
    char mine[256] = "";
    if (host == NULL) {
        if (gethostname(mine, sizeof(mine) - 1) < 0) {
            mine[0] = '\0';
        }
        host = mine[0] != '\0' ? mine : "unnamed host";
    }
    /* a common name holds 64 characters, and what follows the host must not be cut off */
    buf_printf(out, "%s (%.20s, ", what, host);
    ossl_put_date(out, now);
    buf_char(out, ')');
    if (id != NULL) {
        buf_printf(out, " %.8s", id->hex);
    }
}

void ca_free_scope(struct ca_scope *scope)
{
    names_free(&scope->constraints);
    free(scope->public_url);
    *scope = (struct ca_scope){0};
}

/* The URL that `last`'s CRL address was made from, and its host. */
static char *url_of(const X509 *last, char host[NAME_MAX_LEN + 1])
{
    char *url = ca_crl_url_of(last);
    struct str text = str_z(url);
    const ptrdiff_t crl = str_find(text, STR("/crl/"));
    if (crl < 0) {
        free(url);
        return NULL;
    }
    url[crl] = '\0';
    if (ca_check_url(url, host) != NULL) {
        free(url); /* a corporate CA's own address */
        return NULL;
    }
    return url;
}

int ca_find_scope(const struct ca_make *make, const X509 *last, struct ca_scope *out,
                  struct diag *d)
{
    char host[NAME_MAX_LEN + 1] = "";
    struct names patterns = {0};
    struct constraints limits = {0};
    int err = 0;
    *out = (struct ca_scope){0};
    if (make->public_url != NULL) {
        const char *wrong = ca_check_url(make->public_url, host);
        if (wrong != NULL) {
            return diag_error(d, DIAG_NOWHERE, "public URL \"%s\": %s", make->public_url, wrong);
        }
        out->public_url = xstrdup(make->public_url);
    } else if (last != NULL) {
        out->public_url = url_of(last, host);
    }
    if (make->names->count > 0) {
        for (size_t i = 0; err == 0 && i < make->names->count; i++) {
            err = names_add(&patterns, str_z(make->names->item[i]));
        }
    } else if (last != NULL) {
        err = constraints_read(last, &limits);
        for (size_t i = 0; err == 0 && i < limits.dns.count; i++) {
            err = names_add_constraint(&patterns, str_z(limits.dns.item[i]));
        }
    }
    if (err == 0 && patterns.count == 0) {
        err =
            diag_error(d, DIAG_NOWHERE,
                       "no host names: a CA is made for the hosts it is needed for and no others; "
                       "name them with --name HOST");
    }
    if (err == 0 && host[0] != '\0') {
        err = names_add(&patterns, str_z(host));
    }
    if (err == 0) {
        names_to_constraints(&patterns, &out->constraints);
    } else if (err != ERR_CONFIG) {
        err = diag_error(d, DIAG_NOWHERE, "host names: %s", err_str(err));
    }
    names_free(&patterns);
    constraints_free(&limits);
    if (err != 0) {
        ca_free_scope(out);
    }
    return err;
}

int ca_sign_issuing(const struct ca_root *root, EVP_PKEY *subject, const struct ca_scope *scope,
                    const char *node, time_t now, X509 **out, struct diag *d)
{
    struct buf cn = {0}, url = {0};
    struct key_id id;
    int err = key_id_of(subject, &id);
    if (scope->public_url == NULL) {
        diag_warn(
            d, DIAG_NOWHERE,
            "without a public URL the certificates name no revocation list, and Windows programs "
            "that insist on one refuse them; give --public-url");
    }
    if (err == 0) {
        ca_put_cn(&cn, "photogate issuing CA", node, now, &id);
        if (scope->public_url != NULL) {
            ca_put_crl_url(&url, scope->public_url, &root->id);
        }
        const struct profile_issuing spec = {.cn = buf_cstr(&cn),
                                             .constraints = &scope->constraints,
                                             .crl_url = url.len > 0 ? buf_cstr(&url) : NULL,
                                             .now = now,
                                             .days = CA_ISSUING_DAYS};
        err = profile_issuing(root->cert, root->key, subject, &spec, out);
    }
    buf_free(&cn);
    buf_free(&url);
    return err == 0 ? 0 : openssl_fault(d, NULL, "make the issuing certificate");
}

int ca_sign_crl(const struct ca_root *root, const char *dir, X509 *revoke, time_t now,
                struct buf *der, struct diag *d)
{
    char file[CA_PATH_MAX];
    struct buf before = {0};
    struct crl_info info;
    int err = file_read(AT_FDCWD, ca_crl_path(file, dir, &root->id), CRL_MAX, &before);
    if (err == 0) {
        err = crl_read(buf_view(&before), root->cert, &info);
    }
    if (err != 0 && err != -ENOENT) {
        /* to begin anew would take back what was revoked */
        buf_free(&before);
        return diag_error(
            d, DIAG_FILE(file),
            "cannot go on from the last revocation list: %s; restore it, or remove it "
            "if nothing was ever revoked",
            err_str(err));
    }
    const struct crl_spec spec = {.issuer = root->cert,
                                  .key = root->key,
                                  .now = now,
                                  .valid_s = CA_CRL_DAYS * PROFILE_DAY,
                                  .before = buf_view(&before),
                                  .revoke = revoke,
                                  .reason = CRL_KEY_COMPROMISE};
    err = crl_make(&spec, der);
    buf_free(&before);
    return err == 0 ? 0 : openssl_fault(d, file, "make the revocation list");
}

void ca_close_root(struct ca_root *root)
{
    X509_free(root->cert);
    X509_free(root->issuing);
    EVP_PKEY_free(root->key);
    *root = (struct ca_root){0};
}

static int open_root_key(const struct ca_make *make, struct ca_root *root, struct diag *d)
{
    char file[CA_PATH_MAX];
    const char *name =
        make->root_key != NULL ? make->root_key : ca_path(file, make->dir, CA_ROOT_KEY);
    if (access(name, F_OK) < 0 && errno == ENOENT) {
        return diag_error(d, DIAG_FILE(name),
                          "the root key is not there; bring it back for this, or say where it is "
                          "with --root-key FILE (a CA that another PKI signed has none: use "
                          "photogate ca csr and ca import)");
    }
    int err = key_read(AT_FDCWD, name, name, KEY_PROMPT, &root->key, d);
    if (err == 0 && EVP_PKEY_eq(X509_get0_pubkey(root->cert), root->key) != 1) {
        err = diag_error(d, DIAG_FILE(name), "it is not the key of the root in %s/" CA_CHAIN,
                         make->dir);
    }
    return err;
}

int ca_open_root(const struct ca_make *make, struct ca_root *out, struct diag *d)
{
    char file[CA_PATH_MAX];
    STACK_OF(X509) *certs = NULL;
    struct buf pem = {0};
    *out = (struct ca_root){0};
    ca_path(file, make->dir, CA_CHAIN);
    int err = file_read(AT_FDCWD, file, 256 * 1024, &pem);
    if (err == 0) {
        err = ossl_read_pem(buf_view(&pem), 10, &certs);
    }
    if (err != 0) {
        err = diag_error(d, DIAG_FILE(file), "cannot read the CA: %s; run photogate ca init",
                         err_str(err));
    } else {
        out->issuing = sk_X509_shift(certs);
        out->cert = sk_X509_pop(certs);
        if (out->cert == NULL || X509_self_signed(out->cert, 1) != 1 ||
            key_id_of_cert(out->cert, &out->id) != 0) {
            err = diag_error(d, DIAG_FILE(file), "its last certificate is no root");
        } else if (ossl_time(X509_get0_notAfter(out->cert)) < make->now) {
            err =
                diag_error(d, DIAG_FILE(file),
                           "the root has expired; make a new CA in another directory and give its "
                           "root to all clients");
        }
    }
    if (err == 0) {
        err = open_root_key(make, out, d);
    }
    sk_X509_pop_free(certs, X509_free);
    buf_free(&pem);
    if (err != 0) {
        ca_close_root(out);
    }
    return err;
}

/* Makes a new issuing key and certificate under `root` and writes the key to `file`, CA_PATH_MAX
 * bytes; `pem` is the chain. */
static int new_issuing(const struct ca_make *make, const char *dir, const struct ca_root *root,
                       const struct ca_scope *scope, struct buf *pem, char *file, struct diag *d)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    struct key_id id;
    int err = key_new(&key);
    if (err == 0) {
        err = key_id_of(key, &id);
    }
    if (err != 0) {
        EVP_PKEY_free(key);
        return openssl_fault(d, dir, "make the issuing key");
    }
    err = ca_sign_issuing(root, key, scope, NULL, make->now, &cert, d);
    if (err == 0) {
        err = cafiles_write_key(ca_key_path(file, dir, &id), key, d);
    }
    if (err == 0) {
        ossl_put_pem(pem, cert);
        ossl_put_pem(pem, root->cert);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}

static int write_crl(const struct ca_root *root, const char *from, const char *dir, X509 *revoke,
                     time_t now, struct diag *d)
{
    char file[CA_PATH_MAX];
    struct buf der = {0};
    int err = ca_sign_crl(root, from, revoke, now, &der, d);
    if (err == 0) {
        err = cafiles_write(ca_crl_path(file, dir, &root->id), buf_view(&der), 0644, d);
    }
    buf_free(&der);
    return err;
}

/* --- commands --- */

static int new_root(const struct ca_make *make, const char *dir, struct ca_root *out,
                    struct diag *d)
{
    char file[CA_PATH_MAX];
    struct buf cn = {0};
    *out = (struct ca_root){0};
    if (make->cn != NULL) {
        buf_z(&cn, make->cn);
    } else {
        ca_put_cn(&cn, "photogate root", NULL, make->now, NULL);
    }
    int err = key_new(&out->key);
    if (err == 0) {
        err = profile_root(out->key, buf_cstr(&cn), make->now, CA_ROOT_DAYS, &out->cert);
    }
    if (err == 0) {
        err = key_id_of(out->key, &out->id);
    }
    buf_free(&cn);
    if (err != 0) {
        return openssl_fault(d, dir, "make the root");
    }
    return cafiles_write_key(ca_path(file, dir, CA_ROOT_KEY), out->key, d);
}

int ca_init(const struct ca_make *make, struct diag *d)
{
    char unfinished[CA_PATH_MAX], file[CA_PATH_MAX];
    struct ca_scope scope;
    struct ca_root root = {0};
    struct buf pem = {0};
    int lock = -1;
    int err = ca_find_scope(make, NULL, &scope, d);
    if (err != 0) {
        return err;
    }
    err = cafiles_begin(make->dir, unfinished, &lock, d);
    if (err == 0) {
        err = new_root(make, unfinished, &root, d);
        if (err == 0) {
            err = new_issuing(make, unfinished, &root, &scope, &pem, file, d);
        }
        if (err == 0) {
            err = write_crl(&root, unfinished, unfinished, NULL, make->now, d);
        }
        if (err == 0) {
            err = cafiles_switch(unfinished, buf_view(&pem), root.cert, NULL, false, d);
        }
        if (err == 0) {
            err = cafiles_commit(make->dir, unfinished, d);
        }
        if (err != 0) {
            cafiles_abandon(unfinished);
        }
    }
    if (lock >= 0) {
        close(lock);
    }
    ca_close_root(&root);
    ca_free_scope(&scope);
    buf_free(&pem);
    return err;
}

static int open_locked(const struct ca_make *make, int *lock, struct ca_root *root, struct diag *d)
{
    int err = cafiles_lock(make->dir, lock, d);
    return err == 0 ? ca_open_root(make, root, d) : err;
}

static void close_locked(int lock, struct ca_root *root)
{
    if (lock >= 0) {
        close(lock);
    }
    ca_close_root(root);
}

int ca_rotate(const struct ca_make *make, struct diag *d)
{
    char file[CA_PATH_MAX] = "";
    struct ca_root root = {0};
    struct ca_scope scope = {0};
    struct buf pem = {0};
    int lock = -1;
    int err = open_locked(make, &lock, &root, d);
    if (err == 0) {
        err = ca_find_scope(make, root.issuing, &scope, d);
    }
    if (err == 0) {
        err = new_issuing(make, make->dir, &root, &scope, &pem, file, d);
    }
    if (err == 0) {
        err = write_crl(&root, make->dir, make->dir, make->revoke ? root.issuing : NULL, make->now,
                        d);
    }
    if (err == 0) {
        err = cafiles_switch(make->dir, buf_view(&pem), root.cert, root.issuing, make->revoke, d);
    } else if (file[0] != '\0') {
        (void)unlink(file);
    }
    close_locked(lock, &root);
    ca_free_scope(&scope);
    buf_free(&pem);
    return err;
}

int ca_renew_crl(const struct ca_make *make, struct diag *d)
{
    struct ca_root root = {0};
    int lock = -1;
    int err = open_locked(make, &lock, &root, d);
    if (err == 0) {
        err = write_crl(&root, make->dir, make->dir, NULL, make->now, d);
    }
    close_locked(lock, &root);
    return err;
}
