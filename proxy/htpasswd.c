/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/htpasswd.h"

#include "common/err.h"
#include "common/file.h"
#include "common/mem.h"

#include <openssl/crypto.h>

#include <crypt.h>
#include <stdlib.h>

#define FILE_MAX_SIZE ((size_t)16 << 20)
#define USERS_MAX     100000

struct user {
    struct str name, hash;
    unsigned line;
};

struct htpasswd {
    struct buf text;   /* what the views point into */
    struct user *user; /* sorted by name */
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return str_cmp(((const struct user *)a)->name, ((const struct user *)b)->name);
}

/* The letters that crypt(5) makes hashes of, behind the last '$'. */
static size_t count_tail(struct str hash)
{
    size_t n = 0;
    while (n < hash.len) {
        char c = hash.ptr[hash.len - 1 - n];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                      c == '.' || c == '/';
        if (!letter) {
            break;
        }
        n++;
    }
    return n;
}

/* NULL when crypt() can be trusted with it. */
static const char *judge(struct str hash)
{
    /* crypt(5); `tail` is salt and hash for bcrypt, the hash alone for the others */
    static const struct {
        const char *start;
        size_t tail;
    } good[] = {{"$2b$", 53}, {"$2y$", 53}, {"$2a$", 53}, {"$y$", 43},
                {"$gy$", 43}, {"$7$", 43},  {"$5$", 43},  {"$6$", 86}};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (str_starts(hash, str_z(good[i].start))) {
            return count_tail(hash) == good[i].tail && hash.len < CRYPT_OUTPUT_SIZE
                       ? NULL
                       : "the hash is cut off, or something follows it; set the password again "
                         "with "
                         "htpasswd -B";
        }
    }
    if (str_starts(hash, STR("$apr1$"))) {
        return "the hash is $apr1$ (MD5, htpasswd's default), which is too weak; make it with "
               "htpasswd -B";
    }
    if (str_starts(hash, STR("{SHA}"))) {
        return "the hash is unsalted SHA-1; make it with htpasswd -B";
    }
    return "the hash is of no kind that is accepted (bcrypt, yescrypt, SHA-crypt); make it with "
           "htpasswd -B";
}

static void read_line(struct htpasswd *h, struct str line, struct diag_at at, struct diag *d)
{
    struct str hash = line, name;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        hash.len--;
    }
    if (hash.len == 0 || hash.ptr[0] == '#') {
        return;
    }
    if (!str_cut(&hash, ':', &name) || hash.ptr == NULL || name.len == 0) {
        diag_error(d, at, "not a line of a password file; write user:hash, as htpasswd -B does");
        return;
    }
    const char *fault = judge(hash);
    if (fault != NULL) {
        diag_error(d, at, "%s", fault);
        return;
    }
    if (h->count == USERS_MAX) {
        diag_error(d, at, "more than %d users", USERS_MAX);
        return;
    }
    if ((h->count & (h->count - 1)) == 0) {
        h->user = xrealloc(h->user, (h->count > 0 ? h->count * 2 : 1) * sizeof(*h->user));
    }
    h->user[h->count++] = (struct user){.name = name, .hash = hash, .line = at.line};
}

int htpasswd_parse(struct str text, const char *name, struct htpasswd **out, struct diag *d)
{
    struct htpasswd *h = xnew(struct htpasswd);
    const unsigned before = d->errors;
    buf_str(&h->text, text);
    struct diag_at at = {.file = name, .column = 1};
    struct str rest = buf_view(&h->text), line;
    if (str_starts(rest, STR("\xef\xbb\xbf"))) { /* Windows' editors begin a file so */
        rest = str_skip(rest, 3);
    }
    while (str_cut(&rest, '\n', &line)) {
        at.line++;
        read_line(h, line, at, d);
    }
    if (h->count > 0) {
        qsort(h->user, h->count, sizeof(*h->user), compare);
    }
    for (size_t i = 1; i < h->count; i++) {
        if (str_eq(h->user[i].name, h->user[i - 1].name)) {
            at.line = MAX(h->user[i].line, h->user[i - 1].line);
            diag_error(d, at, "user \"" STR_FMT "\" is there twice", STR_ARG(h->user[i].name));
        }
    }
    if (d->errors > before) {
        htpasswd_free(h);
        return ERR_CONFIG;
    }
    *out = h;
    return 0;
}

int htpasswd_load(int dir, const struct schema_str *name, struct htpasswd **out, struct diag *d)
{
    struct buf text = {0};
    int err = file_read(dir, name->text.ptr, FILE_MAX_SIZE, &text);
    err = err != 0 ? diag_error(d, name->at, "password file \"%s\" cannot be read: %s",
                                name->text.ptr, err_str(err))
                   : htpasswd_parse(buf_view(&text), name->text.ptr, out, d);
    buf_free(&text);
    return err;
}

void htpasswd_free(struct htpasswd *h)
{
    if (h != NULL) {
        buf_free(&h->text);
        free(h->user);
        free(h);
    }
}

bool htpasswd_find(const struct htpasswd *h, struct str user, struct str *hash)
{
    struct user key = {.name = user};
    const struct user *found =
        h->count > 0 ? bsearch(&key, h->user, h->count, sizeof(key), compare) : NULL;
    /* Nobody's password: bcrypt at htpasswd's usual cost. */
    static const char nobody[] = "$2y$05$abcdefghijklmnopqrstuuMWGTKPtKCf5qKtNfHTlWhnyRyTMxnLG";
    *hash = found != NULL ? found->hash : h->count > 0 ? h->user[0].hash : str_z(nobody);
    return found != NULL;
}

bool htpasswd_check(struct str hash, struct str password)
{
    char setting[CRYPT_OUTPUT_SIZE];
    if (hash.len >= sizeof(setting) || memchr(password.ptr, '\0', password.len) != NULL) {
        return false;
    }
    struct crypt_data *data = xnew(struct crypt_data);
    memcpy(setting, hash.ptr, hash.len);
    setting[hash.len] = '\0';
    char *z = xstrndup(password.ptr, password.len);
    const char *result = crypt_rn(z, setting, data, (int)sizeof(*data));
    bool same = result != NULL && strlen(result) == hash.len &&
                CRYPTO_memcmp(result, setting, hash.len) == 0;
    OPENSSL_cleanse(z, password.len);
    OPENSSL_cleanse(data, sizeof(*data));
    free(z);
    free(data);
    return same;
}
