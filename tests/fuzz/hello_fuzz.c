/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first bytes of a tunnel. What is decided early stays so when more comes; how records are cut
 * does not matter; and no server that is built on OpenSSL sees a name that was not seen here.
 */
#include "proxy/net/hello.h"

#include <openssl/ssl.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool is_same(const struct hello *a, const struct hello *b)
{
    return strcmp(a->sni, b->sni) == 0 && a->has_ech == b->has_ech;
}

static void check_name(const char *name)
{
    size_t len = strlen(name);
    check(len <= 253 && (len == 0 || name[len - 1] != '.'));
    for (size_t i = 0; i < len; i++) {
        check(name[i] < 'A' || name[i] > 'Z');
    }
}

static void check_prefixes(struct str in, enum hello_result whole, const struct hello *expected)
{
    bool decided = false;
    size_t step = 1 + in.len / 200;
    for (size_t len = 1; len < in.len; len += step) {
        struct hello got;
        enum hello_result r = hello_read(str_of(in.ptr, len), &got);
        check(!decided || r == whole);
        decided |= r != HELLO_MORE;
        check(!decided || r == whole);
        check(r != HELLO_READ || is_same(&got, expected));
    }
}

/* `message` in records of `piece` bytes each gives the same. */
static void check_cuts(struct str message, size_t piece, const struct hello *expected)
{
    static char cut[HELLO_MAX];
    size_t len = 0;
    for (size_t at = 0; at < message.len; at += piece) {
        size_t n = message.len - at < piece ? message.len - at : piece;
        if (len + 5 + n > sizeof(cut)) {
            return;
        }
        const char head[5] = {22, 3, 1, (char)(n >> 8), (char)n};
        memcpy(cut + len, head, 5);
        memcpy(cut + len + 5, message.ptr + at, n);
        len += 5 + n;
    }
    struct hello got;
    check(hello_read(str_of(cut, len), &got) == HELLO_READ && is_same(&got, expected));
}

/* What OpenSSL hands to a server of its server_name extension. */
struct seen {
    bool called, named;
    char name[256];
};

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct seen *seen = SSL_get_app_data(ssl);
    const unsigned char *extension;
    size_t len;
    (void)alert;
    (void)arg;
    seen->called = true;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &len) == 1) {
        seen->named = hello_server_name(str_of((const char *)extension, len), seen->name);
    }
    return SSL_CLIENT_HELLO_ERROR;
}

static struct seen ask_openssl(struct str in)
{
    static SSL_CTX *ctx;
    struct seen seen = {.name = ""};
    if (ctx == NULL) {
        ctx = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
    }
    SSL *ssl = SSL_new(ctx);
    SSL_set_app_data(ssl, &seen);
    SSL_set_bio(ssl, BIO_new_mem_buf(in.ptr, (int)in.len), BIO_new(BIO_s_null()));
    check(SSL_accept(ssl) <= 0);
    SSL_free(ssl);
    ERR_clear_error();
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str in = str_of((const char *)data, size);
    struct hello got;
    enum hello_result r = hello_read(in, &got);
    check_prefixes(in, r, &got);
    if (r == HELLO_READ) {
        check_name(got.sni);
        /* in one record the message is what the record holds */
        size_t held = (size_t)data[3] << 8 | data[4];
        size_t len = size >= 9 ? 4 + ((size_t)data[6] << 16 | (size_t)data[7] << 8 | data[8]) : 0;
        if (len <= held && len >= 4 && 5 + len <= size) {
            check_cuts(str_of(in.ptr + 5, len), 1, &got);
            check_cuts(str_of(in.ptr + 5, len), 7, &got);
        }
    }
    struct seen seen = ask_openssl(in);
    if (seen.called && seen.named && seen.name[0] != '\0') {
        check(r == HELLO_BAD || (r == HELLO_READ && strcmp(got.sni, seen.name) == 0));
    }
    return 0;
}
