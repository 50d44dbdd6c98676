/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/key.h"

#include "certs/ossl.h"
#include "common/err.h"
#include "common/file.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX 16384

int key_new(EVP_PKEY **out)
{
    *out = EVP_EC_gen("P-256");
    return *out != NULL ? 0 : ERR_TLS;
}

static int id_of_bits(const X509_PUBKEY *pub, struct key_id *out)
{
    const unsigned char *bits = NULL;
    int len = 0;
    unsigned digest_len = 0;
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (pub == NULL || X509_PUBKEY_get0_param(NULL, &bits, &len, NULL, pub) != 1 || len <= 0 ||
        EVP_Digest(bits, (size_t)len, digest, &digest_len, EVP_sha1(), NULL) != 1 ||
        digest_len != KEY_ID_LEN) {
        return ERR_TLS;
    }
    memcpy(out->byte, digest, KEY_ID_LEN);
    for (size_t i = 0; i < KEY_ID_LEN; i++) {
        snprintf(out->hex + 2 * i, 3, "%02x", digest[i]);
    }
    return 0;
}

int key_id_of_cert(const X509 *cert, struct key_id *out)
{
    return id_of_bits(X509_get_X509_PUBKEY(cert), out);
}

int key_id_of(const EVP_PKEY *key, struct key_id *out)
{
    X509_PUBKEY *pub = NULL;
    struct buf spki = {0};
    int err = key_put_spki(&spki, key);
    if (err == 0) {
        const unsigned char *at = (const unsigned char *)spki.ptr;
        pub = d2i_X509_PUBKEY(NULL, &at, (long)spki.len);
        err = id_of_bits(pub, out);
    }
    X509_PUBKEY_free(pub);
    buf_free(&spki);
    return err;
}

const char *key_weakness(const EVP_PKEY *key)
{
    static _Thread_local char text[64];
    const int bits = EVP_PKEY_get_bits(key);
    const char *kind = NULL;
    int least = 0;
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) {
        kind = "RSA";
        least = 2048;
    } else if (EVP_PKEY_is_a(key, "EC")) {
        kind = "ECDSA";
        least = 256;
    } else if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448")) {
        return NULL;
    }
    if (kind == NULL) {
        snprintf(text, sizeof(text), "a key of an unknown kind");
        return text;
    }
    if (bits < least) {
        snprintf(text, sizeof(text), "%s with %d bits", kind, bits);
        return text;
    }
    return NULL;
}

static int check_mode(mode_t mode, const char *shown, enum key_secret secret, struct diag *d)
{
    if ((mode & 07u) != 0 && secret == KEY_PROMPT) {
        diag_warn(d, DIAG_FILE(shown),
                  "everybody on this machine can read the private key there "
                  "(mode %04o)",
                  (unsigned)mode & 07777u);
        return 0;
    }
    if ((mode & 07u) != 0) {
        return diag_error(d, DIAG_FILE(shown),
                          "everybody on this machine can use the private key (mode %04o); "
                          "chmod 600 it and, if others had an account, make a new CA",
                          (unsigned)mode & 07777u);
    }
    if ((mode & 070u) != 0) {
        diag_warn(d, DIAG_FILE(shown),
                  "its group can use the private key (mode %04o); chmod 600 it",
                  (unsigned)mode & 07777u);
    }
    return 0;
}

/* Not file_read(): that grows a buffer and would leave copies of the key behind it in the heap. */
static int read_secret(int dir, const char *name, const char *shown, enum key_secret secret,
                       struct diag *d, char text[KEY_FILE_MAX], size_t *len)
{
    struct stat st = {0};
    int err = 0;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        err = -errno;
    }
    while (err == 0) {
        ssize_t n = read(fd, text + *len, KEY_FILE_MAX - *len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            err = n < 0 ? -errno : 0;
            break;
        }
        *len += (size_t)n;
        err = *len == KEY_FILE_MAX ? ERR_LIMIT : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (err != 0) {
        return diag_error(d, DIAG_FILE(shown), "cannot read the private key: %s", err_str(err));
    }
    return check_mode(st.st_mode, shown, secret, d);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's pem_password_cb */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    *(bool *)arg = true;
    return -1;
}

int key_read(int dir, const char *name, const char *shown, enum key_secret secret, EVP_PKEY **out,
             struct diag *d)
{
    char text[KEY_FILE_MAX];
    size_t len = 0;
    bool encrypted = false;
    *out = NULL;
    int err = read_secret(dir, name, shown, secret, d, text, &len);
    if (err == 0) {
        BIO *bio = BIO_new_mem_buf(text, (int)len);
        if (bio != NULL) {
            *out = secret == KEY_PROMPT
                       ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
                       : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
        }
        BIO_free(bio);
        if (*out == NULL && encrypted) {
            err = diag_error(d, DIAG_FILE(shown),
                             "the private key is encrypted; photogate starts without anybody at "
                             "the keyboard and needs it plain, protected by the file's mode");
        } else if (*out == NULL) {
            const bool locked = str_find(str_of(text, len), STR("ENCRYPTED")) >= 0;
            err = diag_error(d, DIAG_FILE(shown), "%s (%s)",
                             locked ? "that was not its passphrase" : "not a PEM private key",
                             ossl_reason());
        }
        ERR_clear_error();
    }
    OPENSSL_cleanse(text, sizeof(text));
    return err;
}

int key_write(int dir, const char *name, EVP_PKEY *key)
{
    /* The secure memory BIO, so that freeing it wipes the text of the key. */
    BIO *bio = BIO_new(BIO_s_secmem());
    char *at = NULL;
    int err = ERR_TLS;
    if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        const long len = BIO_get_mem_data(bio, &at);
        if (len > 0) {
            err = file_replace(dir, name, str_of(at, (size_t)len), 0600);
            OPENSSL_cleanse(at, (size_t)len);
        }
    }
    BIO_free(bio);
    return err;
}

int key_put_spki(struct buf *out, const EVP_PKEY *key)
{
    const int len = i2d_PUBKEY(key, NULL);
    if (len <= 0) {
        return ERR_TLS;
    }
    unsigned char *at = (unsigned char *)buf_room(out, (size_t)len);
    out->len += (size_t)i2d_PUBKEY(key, &at);
    return 0;
}

int key_from_spki(struct str spki, EVP_PKEY **out)
{
    /* SEQUENCE { SEQUENCE { ecPublicKey, prime256v1 }, BIT STRING, no unused bits, of 04 X Y }
     * (RFC 5480, 2): the one form, so that one comparison refuses all others */
    static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    const unsigned char *at = (const unsigned char *)spki.ptr;
    *out = NULL;
    if (spki.len != sizeof(head) + 64 || memcmp(spki.ptr, head, sizeof(head)) != 0) {
        return ERR_SYNTAX;
    }
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
    EVP_PKEY_CTX *ctx = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    int err = ctx != NULL && EVP_PKEY_public_check(ctx) == 1 ? 0 : ERR_SYNTAX;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    if (err != 0) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    *out = key;
    return err;
}
