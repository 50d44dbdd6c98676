/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/signer_proto.h"

#include "common/err.h"

#define REQUEST_HEAD (4 + 8 + KEY_ID_LEN + 4 + 2 + 2)
#define ANSWER_HEAD  (4 + 8)

/* A place in a message being written; the callers have checked that all of it fits. */
static uint8_t *put(uint8_t *at, uint64_t n, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--) {
        at[i - 1] = (uint8_t)n;
        n >>= 8;
    }
    return at + bytes;
}

static uint8_t *put_bytes(uint8_t *at, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(at, data, len);
    }
    return at + len;
}

/* A place in a message being read. Reading past its end gives zeros and sets `cut`. */
struct reader {
    struct str rest;
    bool cut;
};

static struct str get_bytes(struct reader *r, size_t len)
{
    if (r->rest.len < len) {
        r->cut = true;
        return STR_NONE;
    }
    struct str piece = str_of(r->rest.ptr, len);
    r->rest = str_skip(r->rest, len);
    return piece;
}

static uint64_t get(struct reader *r, unsigned bytes)
{
    struct str piece = get_bytes(r, bytes);
    uint64_t n = 0;
    for (size_t i = 0; i < piece.len; i++) {
        n = n << 8 | (uint8_t)piece.ptr[i];
    }
    return n;
}

size_t signer_put_request(const struct signer_request *r, uint8_t out[SIGNER_REQUEST_MAX])
{
    uint8_t *at = out;
    if (r->name.len > SIGNER_REQUEST_MAX || r->spki.len > SIGNER_REQUEST_MAX ||
        REQUEST_HEAD + r->name.len + r->spki.len > SIGNER_REQUEST_MAX) {
        return 0;
    }
    at = put(at, SIGNER_VERSION, 1);
    at = put(at, (unsigned)r->kind, 1);
    at = put(at, 0, 2);
    at = put(at, r->id, 8);
    at = put_bytes(at, r->issuer, KEY_ID_LEN);
    at = put(at, r->life_s, 4);
    at = put(at, r->name.len, 2);
    at = put(at, r->spki.len, 2);
    at = put_bytes(at, r->name.ptr, r->name.len);
    at = put_bytes(at, r->spki.ptr, r->spki.len);
    return (size_t)(at - out);
}

size_t signer_put_answer(const struct signer_answer *a, uint8_t out[SIGNER_ANSWER_MAX])
{
    uint8_t *at = out;
    if (a->der.len > SIGNER_ANSWER_MAX - ANSWER_HEAD) {
        return 0;
    }
    at = put(at, SIGNER_VERSION, 1);
    at = put(at, (unsigned)a->status, 1);
    at = put(at, a->der.len, 2);
    at = put(at, a->id, 8);
    at = put_bytes(at, a->der.ptr, a->der.len);
    return (size_t)(at - out);
}

int signer_get_request(struct str in, struct signer_request *out)
{
    struct reader r = {.rest = in};
    *out = (struct signer_request){0};
    const uint64_t version = get(&r, 1), kind = get(&r, 1), zero = get(&r, 2);
    out->id = get(&r, 8);
    struct str issuer = get_bytes(&r, KEY_ID_LEN);
    out->life_s = (uint32_t)get(&r, 4);
    const size_t name_len = (size_t)get(&r, 2), spki_len = (size_t)get(&r, 2);
    out->name = get_bytes(&r, name_len);
    out->spki = get_bytes(&r, spki_len);
    if (r.cut || issuer.ptr == NULL || r.rest.len > 0 || in.len > SIGNER_REQUEST_MAX ||
        version != SIGNER_VERSION || zero != 0 || kind < SIGNER_PING || kind > SIGNER_CRL) {
        return ERR_PROTOCOL;
    }
    out->kind = (enum signer_kind)kind;
    memcpy(out->issuer, issuer.ptr, KEY_ID_LEN);
    if (out->kind != SIGNER_LEAF && (name_len > 0 || spki_len > 0 || out->life_s != 0)) {
        return ERR_PROTOCOL;
    }
    return 0;
}

int signer_get_answer(struct str in, struct signer_answer *out)
{
    struct reader r = {.rest = in};
    *out = (struct signer_answer){0};
    const uint64_t version = get(&r, 1), status = get(&r, 1);
    const size_t len = (size_t)get(&r, 2);
    out->id = get(&r, 8);
    out->der = get_bytes(&r, len);
    if (r.cut || r.rest.len > 0 || version != SIGNER_VERSION || status > SIGNER_FAILED ||
        (status != SIGNER_OK && len > 0)) {
        return ERR_PROTOCOL;
    }
    out->status = (enum signer_status)status;
    return 0;
}
