/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interception CA as the running proxy sees it: certificates and CRL, no key. What is on disk
 * (camake.h makes it; both directories are the invoking user's, root's on a server):
 *
 *   DIR/public/            0755  what everybody may read, the network process included
 *     chain.pem                  the issuing certificate, what is above it, the root last. This
 * file alone says which CA is in use; it is replaced in one step root.pem                   a copy
 * of the root, to be given to clients KEYID.crl                  DER, of the CA with that key
 * identifier, as served old/KEYID.pem              issuing certificates of earlier days, for audits
 *   DIR/private/           0700
 *     root.key                   0600; may be moved away once the CA is made
 *     issuing-KEYID.key          0600; only the signer opens it, before it gives up root
 *
 * Public and private are apart as directories and not only by the files' modes, so that a copy, a
 * backup or an editor's leftover of a key does not lie where others may look. A key is found by the
 * identifier in the certificate: certificate and key cannot get out of step, and a proxy that still
 * runs on the last generation can start its signer again.
 */
#ifndef CERTS_CA_H
#define CERTS_CA_H

#include "certs/constraints.h"
#include "certs/crl.h"
#include "certs/key.h"

#define CA_CHAIN    "public/chain.pem"
#define CA_ROOT     "public/root.pem"
#define CA_OLD      "public/old"
#define CA_ROOT_KEY "private/root.key"
#define CA_PATH_MAX 4096

/* Days before an end that are worth a warning. */
#define CA_WARN_DAYS     30
#define CA_WARN_CRL_DAYS 14

/*
 * Immutable once loaded, shared by reference between threads (snapshots of the configuration hold
 * one each).
 */
struct ca {
    X509 *issuing;
    X509 *root;
    STACK_OF(X509) * chain; /* what a server sends behind a leaf: issuing, up to but without root */
    struct key_id id;       /* of the issuing key; names its file and its CRL */
    struct key_id above;    /* of the key that signed the issuing certificate; names that CRL */
    struct constraints limits;
    time_t not_before, not_after; /* when all certificates of the chain are good */
    char *crl_url;                /* where the issuing certificate says its CRL is; NULL: nowhere */
    struct buf crl;               /* public/ABOVE.crl in DER; empty when there is none */
    struct crl_info crl_info;
    _Atomic unsigned refs;
};

/*
 * Loads and checks DIR/public. `base` is a directory's descriptor or AT_FDCWD, `path` DIR, as it
 * also stands in faults. Faults: missing, unreadable, not PEM, expired, not yet valid, not a CA,
 * usages, weak keys or hashes, a chain that does not verify up to its root. Warnings: nearly
 * expired, not constrained or only in part, CRL missing or stale. 0 or ERR_CONFIG; the caller owns
 * one reference.
 */
int ca_load(int base, const char *path, time_t now, struct ca **out, struct diag *d) MUSTCHECK;

/* The same for certificates at hand, of which `issuing` is the issuing one and the self-signed ones
 * are trusted; no CRL. `shown` names them in faults. Takes references of its own. */
int ca_from_certs(STACK_OF(X509) * certs, X509 *issuing, const char *shown, time_t now,
                  struct ca **out, struct diag *d) MUSTCHECK;

/*
 * The issuing key, checked against the certificate. For the signer and for `run --check` as root.
 * ERR_CONFIG; the caller frees the key.
 */
int ca_load_key(int base, const char *path, const struct ca *ca, EVP_PKEY **out,
                struct diag *d) MUSTCHECK;

/* "PATH/FILE" into `out`, CA_PATH_MAX bytes. */
const char *ca_path(char *out, const char *path, const char *file);

/* "private/issuing-KEYID.key", "public/KEYID.crl" and "public/old/KEYID.pem" likewise. */
const char *ca_key_path(char *out, const char *path, const struct key_id *id);
const char *ca_crl_path(char *out, const char *path, const struct key_id *id);
const char *ca_old_path(char *out, const char *path, const struct key_id *id);

/* Appends PUBLIC_URL/crl/KEYID.crl. */
void ca_put_crl_url(struct buf *out, const char *public_url, const struct key_id *id);

/* The first address in the certificate's CRL distribution points, or NULL. The caller frees it. */
char *ca_crl_url_of(const X509 *cert);

/*
 * Checks a public URL: http:// (a CRL that is fetched by TLS could need itself), a host, at most a
 * port and a path without "/crl/…". NULL when it is good, else what is wrong. The host's folded
 * name goes to `host`, empty when it is an address or a lone label, for which no certificate is
 * ever made.
 */
const char *ca_check_url(const char *public_url, char host[NAME_MAX_LEN + 1]);

/* Does the CA permit a leaf for `name`, or for all that the pattern "*.x" matches? Folded. */
bool ca_covers(const struct ca *ca, struct str name);

/* Adds a fault for each of `hosts` that ca_covers() denies, at `at`. 0 or ERR_CONFIG. */
int ca_check_hosts(const struct ca *ca, const struct names *hosts, struct diag_at at,
                   struct diag *d) MUSTCHECK;

/* Does `leaf` name this CA as its issuer? Compares names and identifiers only: it tells generations
 * apart, it does not verify. */
bool ca_issued(const struct ca *ca, X509 *leaf);

struct ca *ca_ref(struct ca *ca);
void ca_unref(struct ca *ca); /* NULL is fine */

#endif
