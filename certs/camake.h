/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and renewing CAs: what stands behind `photogate ca`. Everything here runs as the user whom
 * the CA belongs to, for a moment, and talks through faults in a diag. What the files are: ca.h.
 */
#ifndef CERTS_CAMAKE_H
#define CERTS_CAMAKE_H

#include "certs/ca.h"

#define CA_ROOT_DAYS    3650
#define CA_ISSUING_DAYS 730
/* Of the root's list. Its key is meant to be away, so this is how often it must be fetched; CAs of
 * the public web are held to the same year (CA/Browser Forum Baseline Requirements, 4.9.7). */
#define CA_CRL_DAYS 365

struct ca_make {
    const char *dir;
    const struct names *names; /* hosts, exact or "*.x"; may be empty where it says so */
    const char *public_url;    /* http://…, or NULL */
    const char *cn;            /* of the new root, or of the node's CA; NULL: a default */
    const char *root_key;      /* its file; NULL: DIR/private/root.key */
    time_t now;
    bool revoke; /* rotate: put the replaced issuing CA on the root's CRL, drop its key */
    bool force;  /* import: take a CA that is not limited as it should be */
};

/* A root and an issuing CA in a directory that is new or empty. Needs names. */
int ca_init(const struct ca_make *make, struct diag *d) MUSTCHECK;

/* A new issuing CA under the same root, for the same names and URL where none are given. The
 * replaced one may have expired. */
int ca_rotate(const struct ca_make *make, struct diag *d) MUSTCHECK;

/* A new CRL of the root, with what was on the last one. */
int ca_renew_crl(const struct ca_make *make, struct diag *d) MUSTCHECK;

/* A new key for an issuing CA, and a request for it (PEM) to be signed by somebody else. Makes DIR
 * if it is not there. Names as for ca_rotate(), but needed when there is no CA yet. */
int ca_request(const struct ca_make *make, struct buf *pem, struct diag *d) MUSTCHECK;

/*
 * Takes what came back: `bytes` from the file `shown` hold the issuing certificate and all above it
 * up to a self-signed root, in any order (PEM, DER or PKCS#7), and perhaps that CA's CRL (PEM).
 * Refused: no key here fits, it does not verify, or it is not limited to the names; the last but
 * warned of with `force`.
 */
int ca_import(const struct ca_make *make, struct str bytes, const char *shown,
              struct diag *d) MUSTCHECK;

/* Signs the request `csr` of another node with our root, for the names and the URL given here:
 * appends issuing certificate, root and CRL as PEM, to be taken there with ca_import(). */
int ca_issue(const struct ca_make *make, const char *node, struct str csr, const char *shown,
             struct buf *pem, struct diag *d) MUSTCHECK;

/* --- shared by the files that implement the above --- */

/* The root certificate and its key, checked against each other, and the issuing certificate in use,
 * which may have expired. */
struct ca_root {
    X509 *cert, *issuing;
    EVP_PKEY *key;
    struct key_id id;
};

int ca_open_root(const struct ca_make *make, struct ca_root *out, struct diag *d) MUSTCHECK;
void ca_close_root(struct ca_root *root);

/*
 * What an issuing CA is to be limited to: constraints for make->names and the host in the public
 * URL, or those of `last` (may be NULL) where no names are given; likewise the URL.
 */
struct ca_scope {
    struct names constraints;
    char *public_url; /* NULL: none */
};

int ca_find_scope(const struct ca_make *make, const X509 *last, struct ca_scope *out,
                  struct diag *d) MUSTCHECK;
void ca_free_scope(struct ca_scope *scope);

/* Appends "WHAT (HOST, DATE)" and, with an id, its first 8 digits. NULL host: this machine's. */
void ca_put_cn(struct buf *out, const char *what, const char *host, time_t now,
               const struct key_id *id);

/* An issuing CA signed by `root` for the public key `subject`. */
int ca_sign_issuing(const struct ca_root *root, EVP_PKEY *subject, const struct ca_scope *scope,
                    const char *node, time_t now, X509 **out, struct diag *d) MUSTCHECK;

/* A new CRL of the root in DER; `dir` has the last one, if any. */
int ca_sign_crl(const struct ca_root *root, const char *dir, X509 *revoke, time_t now,
                struct buf *der, struct diag *d) MUSTCHECK;

#endif
