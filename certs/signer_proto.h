/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between a worker and the signer: one datagram each, numbers big-endian. Pure: bytes
 * in, struct out. The side that decodes trusts nothing: every length is checked, the whole datagram
 * must be used up, reserved bytes must be zero.
 *
 *   request   u8 version · u8 kind · u16 0 · u64 id · 20 bytes key id of the issuing CA meant ·
 *             u32 life in seconds · u16 n · u16 k · n bytes name · k bytes public key (SPKI, DER)
 *   answer    u8 version · u8 status · u16 n · u64 id · n bytes certificate or CRL (DER)
 */
#ifndef CERTS_SIGNER_PROTO_H
#define CERTS_SIGNER_PROTO_H

#include "certs/key.h"

#define SIGNER_VERSION     1
#define SIGNER_REQUEST_MAX 4096
#define SIGNER_ANSWER_MAX  16384

enum signer_kind {
    SIGNER_PING = 1,
    SIGNER_LEAF = 2,
    SIGNER_CRL = 3,
};

enum signer_status {
    SIGNER_OK = 0,
    SIGNER_DENIED = 1,    /* the name is not one it signs for, or the key not one it signs */
    SIGNER_MALFORMED = 2, /* not a request */
    SIGNER_OTHER_CA = 3,  /* it has another issuing key than was meant: ask again */
    SIGNER_NOT_VALID = 4, /* the issuing CA is not valid at this time */
    SIGNER_FAILED = 5,    /* OpenSSL failed */
};

struct signer_request {
    enum signer_kind kind;
    uint64_t id;
    uint8_t issuer[KEY_ID_LEN];
    uint32_t life_s; /* 0: the signer's own choice; only of a leaf */
    struct str name; /* only of a leaf */
    struct str spki; /* only of a leaf */
};

struct signer_answer {
    uint64_t id; /* 0 when the request's could not be read */
    enum signer_status status;
    struct str der; /* only when SIGNER_OK, and not of a ping */
};

/* Bytes written, or 0 when it does not fit into a message. */
size_t signer_put_request(const struct signer_request *r, uint8_t out[SIGNER_REQUEST_MAX]);
size_t signer_put_answer(const struct signer_answer *a, uint8_t out[SIGNER_ANSWER_MAX]);

/* ERR_PROTOCOL. The strings point into `in`. A bad request's id is still in `out` when it could be
 * read. */
int signer_get_request(struct str in, struct signer_request *out) MUSTCHECK;
int signer_get_answer(struct str in, struct signer_answer *out) MUSTCHECK;

#endif
