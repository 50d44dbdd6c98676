/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys: made, kept in files, named. Every key that photogate makes is ECDSA on P-256, the
 * one curve that all clients of Microsoft 365 take. A key is named by its key identifier, so that a
 * certificate says which file its key is in and two generations can lie side by side.
 */
#ifndef CERTS_KEY_H
#define CERTS_KEY_H

#include "common/diag.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define KEY_ID_LEN 20

/* SHA-1 of the public key's bits (RFC 5280, 4.2.1.2, method 1), as most CAs name keys. A name, no
 * protection: nothing depends on its being hard to collide. */
struct key_id {
    uint8_t byte[KEY_ID_LEN];
    char hex[2 * KEY_ID_LEN + 1]; /* lower case */
};

/* A new key. ERR_TLS when OpenSSL cannot (no entropy, no P-256). The caller frees it. */
int key_new(EVP_PKEY **out) MUSTCHECK;

int key_id_of(const EVP_PKEY *key, struct key_id *out) MUSTCHECK;
int key_id_of_cert(const X509 *cert, struct key_id *out) MUSTCHECK;

/* Why `key` is too weak to sign or be signed ("RSA with 1024 bits"), NULL when it is not. Static
 * storage of the calling thread. */
const char *key_weakness(const EVP_PKEY *key);

enum key_secret {
    KEY_PLAIN,  /* of a service: one that is encrypted is a fault */
    KEY_PROMPT, /* of a person at a terminal, who is asked for the passphrase; perhaps on a FAT
                   stick, which has no modes, so that others may read it is no more than a warning
                 */
};

/*
 * Reads a PEM private key. `shown` is the file's name in faults. A file that others may read is a
 * fault, one that its group may read a warning. The caller frees the key; its memory is OpenSSL's
 * secure heap where the process has one (signer.h).
 */
int key_read(int dir, const char *name, const char *shown, enum key_secret secret, EVP_PKEY **out,
             struct diag *d) MUSTCHECK;

/* Writes `key` unencrypted as PKCS#8 PEM, mode 0600. -errno or ERR_TLS. */
int key_write(int dir, const char *name, EVP_PKEY *key) MUSTCHECK;

/* The SubjectPublicKeyInfo of `key` in DER, appended. */
int key_put_spki(struct buf *out, const EVP_PKEY *key) MUSTCHECK;

/*
 * The public key that `spki` is: only P-256, named curve, uncompressed point on the curve, nothing
 * behind it. Everything else is ERR_SYNTAX: it comes from the process that reads the network.
 */
int key_from_spki(struct str spki, EVP_PKEY **out) MUSTCHECK;

#endif
