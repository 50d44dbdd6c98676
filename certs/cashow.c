/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cashow.h"

#include "certs/ossl.h"
#include "certs/profile.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct view {
    const char *dir;
    time_t now;
    STACK_OF(X509) * certs; /* issuing first, root last */
    X509 *issuing, *root;
    struct constraints limits;
    char crl_file[CA_PATH_MAX];
    struct crl_info crl;
    bool has_crl;
    char *crl_url;
};

/* "here", "not here", or "cannot be looked for": a user who may not enter private/ is not told that
 * the key is gone. */
static const char *key_state(const char *file)
{
    if (access(file, F_OK) == 0) {
        return "here";
    }
    return errno == ENOENT ? "not here" : "cannot be looked for by this user";
}

static const char *key_file(const struct view *v, const X509 *cert, char *out)
{
    struct key_id id = {0};
    if (cert == v->root) {
        return ca_path(out, v->dir, CA_ROOT_KEY);
    }
    return key_id_of_cert(cert, &id) == 0 ? ca_key_path(out, v->dir, &id) : NULL;
}

static int open_view(const char *dir, time_t now, struct view *v)
{
    char file[CA_PATH_MAX];
    struct buf pem = {0}, der = {0};
    struct key_id id;
    *v = (struct view){.dir = dir, .now = now};
    int err = file_read(AT_FDCWD, ca_path(file, dir, CA_CHAIN), 256 * 1024, &pem);
    if (err == 0) {
        err = ossl_read_pem(buf_view(&pem), 10, &v->certs);
    }
    buf_free(&pem);
    if (err != 0) {
        return err;
    }
    const int count = sk_X509_num(v->certs);
    v->issuing = sk_X509_value(v->certs, 0);
    v->root = sk_X509_value(v->certs, count - 1);
    v->crl_url = ca_crl_url_of(v->issuing);
    err = constraints_read(v->issuing, &v->limits);
    X509 *above = sk_X509_value(v->certs, count > 1 ? 1 : 0);
    if (key_id_of_cert(above, &id) == 0 &&
        file_read(AT_FDCWD, ca_crl_path(v->crl_file, dir, &id), CRL_MAX, &der) == 0) {
        v->has_crl = crl_read(buf_view(&der), above, &v->crl) == 0;
    }
    buf_free(&der);
    return err;
}

static void close_view(struct view *v)
{
    sk_X509_pop_free(v->certs, X509_free);
    constraints_free(&v->limits);
    free(v->crl_url);
}

/* Calls `each` for the certificates in public/old. */
static void old_certs(const struct view *v, struct buf *out,
                      void (*each)(struct buf *out, const struct view *v, X509 *cert))
{
    char path[CA_PATH_MAX];
    DIR *old = opendir(ca_path(path, v->dir, CA_OLD));
    const struct dirent *e;
    while (old != NULL && (e = readdir(old)) != NULL) {
        struct buf pem = {0};
        STACK_OF(X509) *certs = NULL;
        if (str_ends(str_z(e->d_name), STR(".pem")) &&
            file_read(dirfd(old), e->d_name, CRL_MAX, &pem) == 0 &&
            ossl_read_pem(buf_view(&pem), 1, &certs) == 0) {
            each(out, v, sk_X509_value(certs, 0));
        }
        sk_X509_pop_free(certs, X509_free);
        buf_free(&pem);
    }
    if (old != NULL) {
        closedir(old);
    }
}

/* --- text --- */

static long days_left(const struct view *v, const X509 *cert)
{
    return (long)((ossl_time(X509_get0_notAfter(cert)) - v->now) / PROFILE_DAY);
}

static void put_cert_text(struct buf *out, const struct view *v, const X509 *cert, const char *what)
{
    char file[CA_PATH_MAX];
    struct key_id id = {0};
    buf_printf(out, "%-9s", what);
    ossl_put_name(out, X509_get_subject_name(cert));
    buf_z(out, "\n         valid ");
    ossl_put_date(out, ossl_time(X509_get0_notBefore(cert)));
    buf_z(out, " to ");
    ossl_put_date(out, ossl_time(X509_get0_notAfter(cert)));
    buf_printf(out, ", %ld days left\n", days_left(v, cert));
    if (key_id_of_cert(cert, &id) == 0) {
        buf_printf(out, "         key id %s\n", id.hex);
    }
    buf_z(out, "         SHA-256 ");
    ossl_put_fingerprint(out, cert);
    buf_char(out, '\n');
    if ((cert == v->root || cert == v->issuing) && key_file(v, cert, file) != NULL) {
        buf_printf(out, "         key %s: %s\n", key_state(file), file);
    }
}

static void put_old_text(struct buf *out, const struct view *v, X509 *cert)
{
    (void)v;
    buf_z(out, "earlier  ");
    ossl_put_name(out, X509_get_subject_name(cert));
    buf_z(out, ", until ");
    ossl_put_date(out, ossl_time(X509_get0_notAfter(cert)));
    buf_char(out, '\n');
}

static void put_text(struct buf *out, const struct view *v)
{
    put_cert_text(out, v, v->root, "root");
    for (int i = sk_X509_num(v->certs) - 2; i > 0; i--) {
        put_cert_text(out, v, sk_X509_value(v->certs, i), "between");
    }
    if (v->issuing != v->root) {
        put_cert_text(out, v, v->issuing, "issuing");
    }
    buf_z(out, "permits  ");
    if (!v->limits.dns_limited) {
        buf_z(out, "ANY NAME\n");
    }
    for (size_t i = 0; i < v->limits.dns.count; i++) {
        buf_printf(out, "%s%s\n", i > 0 ? "         " : "", v->limits.dns.item[i]);
    }
    buf_printf(out, "         addresses: %s; e-mail: %s; URIs: %s\n",
               v->limits.ip_limited ? "no" : "ANY", v->limits.email_limited ? "no" : "ANY",
               v->limits.uri_limited ? "no" : "ANY");
    buf_printf(out, "CRL      %s\n",
               v->crl_url != NULL ? v->crl_url : "no address (no public URL)");
    if (v->has_crl) {
        buf_printf(out, "         %s: of ", v->crl_file);
        ossl_put_date(out, v->crl.this_update);
        buf_z(out, " until ");
        ossl_put_date(out, v->crl.next_update);
        buf_printf(out, ", %zu revoked\n", v->crl.revoked);
    }
    old_certs(v, out, put_old_text);
}

/* --- JSON --- */

static void put_member(struct buf *out, const char *key, struct buf *value)
{
    buf_printf(out, "\"%s\":", key);
    buf_json(out, buf_view(value));
    buf_clear(value);
}

static void put_time_json(struct buf *out, const char *key, time_t t)
{
    buf_printf(out, "\"%s\":\"", key);
    clock_rfc3339(out, t, 0);
    buf_char(out, '"');
}

static void put_cert_json(struct buf *out, const struct view *v, X509 *cert)
{
    char file[CA_PATH_MAX];
    struct key_id id = {0};
    struct buf text = {0};
    buf_char(out, '{');
    ossl_put_name(&text, X509_get_subject_name(cert));
    put_member(out, "subject", &text);
    buf_char(out, ',');
    put_time_json(out, "not_before", ossl_time(X509_get0_notBefore(cert)));
    buf_char(out, ',');
    put_time_json(out, "not_after", ossl_time(X509_get0_notAfter(cert)));
    buf_printf(out, ",\"days_left\":%ld,", days_left(v, cert));
    if (key_id_of_cert(cert, &id) == 0) {
        buf_printf(out, "\"key_id\":\"%s\",", id.hex);
    }
    ossl_put_fingerprint(&text, cert);
    put_member(out, "sha256", &text);
    if ((cert == v->root || cert == v->issuing) && key_file(v, cert, file) != NULL) {
        buf_printf(out, ",\"key\":\"%s\"", key_state(file));
    }
    buf_char(out, '}');
    buf_free(&text);
}

static void put_old_json(struct buf *out, const struct view *v, X509 *cert)
{
    if (out->ptr[out->len - 1] != '[') {
        buf_char(out, ',');
    }
    put_cert_json(out, v, cert);
}

static void put_lines_json(struct buf *out, const struct diag *d)
{
    struct str rest = buf_view(&d->text), line;
    bool first = true;
    buf_char(out, '[');
    while (str_cut(&rest, '\n', &line)) {
        if (line.len > 0) {
            buf_z(out, first ? "" : ",");
            buf_json(out, line);
            first = false;
        }
    }
    buf_char(out, ']');
}

static void put_json(struct buf *out, const struct view *v, const struct diag *d)
{
    buf_z(out, "{\"dir\":");
    buf_json(out, str_z(v->dir));
    buf_z(out, ",\"root\":");
    put_cert_json(out, v, v->root);
    buf_z(out, ",\"issuing\":");
    put_cert_json(out, v, v->issuing);
    buf_z(out, ",\"between\":[");
    for (int i = 1; i + 1 < sk_X509_num(v->certs); i++) {
        put_old_json(out, v, sk_X509_value(v->certs, i));
    }
    buf_printf(out, "],\"constrained\":%s,\"permitted\":[",
               v->limits.dns_limited && v->limits.critical ? "true" : "false");
    for (size_t i = 0; i < v->limits.dns.count; i++) {
        buf_z(out, i > 0 ? "," : "");
        buf_json(out, str_z(v->limits.dns.item[i]));
    }
    buf_printf(out, "],\"excluded\":{\"addresses\":%s,\"email\":%s,\"uri\":%s},\"crl\":{\"url\":",
               v->limits.ip_limited ? "true" : "false", v->limits.email_limited ? "true" : "false",
               v->limits.uri_limited ? "true" : "false");
    if (v->crl_url != NULL) {
        buf_json(out, str_z(v->crl_url));
    } else {
        buf_z(out, "null");
    }
    if (v->has_crl) {
        buf_z(out, ",\"file\":");
        buf_json(out, str_z(v->crl_file));
        buf_char(out, ',');
        put_time_json(out, "this_update", v->crl.this_update);
        buf_char(out, ',');
        put_time_json(out, "next_update", v->crl.next_update);
        buf_printf(out, ",\"revoked\":%zu", v->crl.revoked);
    }
    buf_z(out, "},\"earlier\":[");
    old_certs(v, out, put_old_json);
    buf_printf(out, "],\"usable\":%s,\"faults\":", d->errors == 0 ? "true" : "false");
    put_lines_json(out, d);
    buf_z(out, "}\n");
}

int cashow(const char *dir, time_t now, enum cashow_form form, struct buf *out, struct diag *d)
{
    struct view v = {0};
    struct ca *ca = NULL;
    int err = ca_load(AT_FDCWD, dir, now, &ca, d);
    if (open_view(dir, now, &v) == 0) {
        if (form == CASHOW_JSON) {
            put_json(out, &v, d);
        } else {
            put_text(out, &v);
        }
    }
    close_view(&v);
    ca_unref(ca);
    return err;
}
