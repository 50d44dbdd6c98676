/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/token.h"

#include "admin/jwt.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET_FILE_MAX 65536
#define RENEW_BEFORE_S  120
#define TRIES           4 /* a new certificate is refused for a while: AADSTS700027 */
#define DEVICE_TRIES    400

struct held {
    struct answer_token token;
    uint64_t until_ms; /* 0: none */
};

struct tokens {
    const struct conf *conf;
    struct token_http http;
    struct held held[API_COUNT];
    struct buf refresh; /* device code: one sign-in serves both APIs */
    unsigned asked;
};

static void forget(struct buf *b)
{
    if (b->ptr != NULL) {
        explicit_bzero(b->ptr, b->cap);
    }
    buf_free(b);
}

struct tokens *tokens_new(const struct conf *conf, const struct token_http *http)
{
    struct tokens *t = xnew(struct tokens);
    t->conf = conf;
    t->http = *http;
    return t;
}

void tokens_free(struct tokens *t)
{
    if (t != NULL) {
        for (size_t i = 0; i < API_COUNT; i++) {
            answer_token_free(&t->held[i].token);
        }
        forget(&t->refresh);
        free(t);
    }
}

void tokens_drop(struct tokens *t, enum api api)
{
    t->held[api].until_ms = 0;
}

unsigned tokens_asked(const struct tokens *t)
{
    return t->asked;
}

/* application/x-www-form-urlencoded: all but the unreserved letters escaped. */
static void put_field(struct buf *form, const char *name, struct str value)
{
    buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i], low = ascii_lower(c);
        if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || strchr("-._~", c) != NULL) {
            buf_char(form, c);
        } else {
            buf_printf(form, "%%%02X", (unsigned char)c);
        }
    }
}

static int read_secret(const struct tokens *t, struct str name, struct buf *out, struct buf *why)
{
    char *path = conf_path(t->conf, name);
    int err = file_read(AT_FDCWD, path, SECRET_FILE_MAX, out);
    if (err != 0) {
        buf_printf(why, "%s cannot be read: %s", path, err_str(err));
    }
    free(path);
    return err;
}

static struct str api_host(const struct tokens *t, enum api api)
{
    return api == API_EXCHANGE ? t->conf->tenant.exchange_host.text
                               : t->conf->tenant.graph_host.text;
}

static void put_scope(const struct tokens *t, enum api api, bool refreshable, struct buf *form)
{
    struct buf scope = {0};
    buf_printf(&scope, "https://%s/.default%s", api_host(t, api).ptr,
               refreshable ? " offline_access" : "");
    put_field(form, "scope", buf_view(&scope));
    buf_free(&scope);
}

static void put_endpoint(const struct tokens *t, const char *what, struct buf *url)
{
    buf_printf(url, "https://%s/%s/oauth2/v2.0/%s", t->conf->tenant.login_host.text.ptr,
               t->conf->tenant.id.text.ptr, what);
}

/* What helps with the codes that people meet
 * (learn.microsoft.com/entra/identity-platform/reference-error-codes). */
static const char *hint(struct str text)
{
    static const struct {
        const char *code, *hint;
    } hints[] = {
        {"AADSTS7000215", "put the secret's value, not its id, into secret_file"},
        {"AADSTS7000222", "the secret has ended; make a new one in the app registration"},
        {"AADSTS700016", "client_id names no application of this tenant"},
        {"AADSTS700027", "upload the certificate to the app registration; a new one takes minutes"},
        {"AADSTS700024", "set this machine's clock"},
        {"AADSTS90002", "tenant.id names no tenant"},
        {"AADSTS500011", "the tenant has no Exchange Online, or the cloud is not the right one"},
        {"AADSTS65001", "an administrator has to consent to the application"},
        {"AADSTS53003", "a Conditional Access policy blocks this sign-in"},
    };
    for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
        if (str_find(text, str_z(hints[i].code)) >= 0) {
            return hints[i].hint;
        }
    }
    return "photogate-admin doctor says more";
}

static int refused(int status, const struct buf *answer, struct buf *why)
{
    size_t start = why->len;
    buf_z(why, "sign-in failed: ");
    size_t text = why->len;
    if (status < 0) {
        buf_z(why, err_str(status));
        return status;
    }
    answer_error_text(buf_view(answer), why);
    if (why->len == text) {
        buf_printf(why, "status %d without a text", status);
    }
    buf_printf(why, "; %s", hint(str_of(why->ptr + start, why->len - start)));
    return status >= 500 || status == 429 ? ERR_TIMEOUT : ERR_DENIED;
}

static int post(struct tokens *t, struct buf *url, const struct buf *form, struct buf *answer)
{
    buf_clear(answer);
    t->asked++;
    return t->http.send(t->http.arg, buf_cstr(url), "", form, false, answer);
}

static int keep(struct tokens *t, enum api api, const struct buf *answer, struct buf *why)
{
    struct answer_token got;
    if (answer_token(buf_view(answer), &got) != 0) {
        buf_z(why, "sign-in failed: the answer holds no token");
        return ERR_PROTOCOL;
    }
    answer_token_free(&t->held[api].token);
    t->held[api].token = got;
    /* a token that lives only minutes is used for half its life */
    uint64_t life_s =
        got.life_s > 2 * RENEW_BEFORE_S ? got.life_s - RENEW_BEFORE_S : got.life_s / 2;
    t->held[api].until_ms = clock_ms() + life_s * 1000;
    if (got.refresh.len > 0) {
        buf_clear(&t->refresh);
        buf_str(&t->refresh, buf_view(&got.refresh));
    }
    return 0;
}

static int put_credential(struct tokens *t, struct str audience, bool old_form, struct buf *form,
                          struct buf *why)
{
    struct buf a = {0}, b = {0}, jwt = {0};
    int err;
    if (t->conf->tenant.credential == CREDENTIAL_SECRET) {
        err = read_secret(t, t->conf->tenant.secret_file.text, &a, why);
        if (err == 0) {
            struct str secret = buf_view(&a);
            while (secret.len > 0 && strchr("\r\n", secret.ptr[secret.len - 1]) != NULL) {
                secret.len--;
            }
            put_field(form, "client_secret", secret);
        }
    } else {
        struct str key = t->conf->tenant.key_file.text;
        const char *fault = NULL;
        err = read_secret(t, t->conf->tenant.certificate_file.text, &a, why);
        err = err == 0 && key.len > 0 ? read_secret(t, key, &b, why) : err;
        if (err == 0) {
            err = jwt_assertion(buf_view(&a), buf_view(key.len > 0 ? &b : &a),
                                t->conf->tenant.client_id.text, audience, old_form, &jwt, &fault);
            if (err != 0) {
                buf_printf(why, "the certificate cannot be used: %s", fault);
            }
        }
        put_field(form, "client_assertion_type",
                  STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        put_field(form, "client_assertion", buf_view(&jwt));
    }
    forget(&a);
    forget(&b);
    forget(&jwt);
    return err;
}

static bool is_passing(int status)
{
    return status < 0 || status == 429 || status >= 500;
}

static int by_credential(struct tokens *t, enum api api, struct buf *why)
{
    struct buf url = {0}, answer = {0};
    int err = 0;
    bool old_form = false;
    put_endpoint(t, "token", &url);
    for (unsigned i = 0; i < TRIES; i++) {
        struct buf form = {0};
        buf_clear(why);
        put_field(&form, "client_id", t->conf->tenant.client_id.text);
        put_field(&form, "grant_type", STR("client_credentials"));
        put_scope(t, api, false, &form);
        err = put_credential(t, buf_view(&url), old_form, &form, why);
        if (err != 0) {
            forget(&form);
            break;
        }
        int status = post(t, &url, &form, &answer);
        forget(&form);
        if (status == 200) {
            err = keep(t, api, &answer, why);
            break;
        }
        err = refused(status, &answer, why);
        bool unknown_cert = str_find(buf_view(&answer), STR("700027")) >= 0;
        if (!is_passing(status) && !unknown_cert) {
            break;
        }
        old_form = unknown_cert && !old_form; /* clouds that know only the older form */
        t->http.wait(t->http.arg, t->conf->tenant.retry_ms << i);
    }
    forget(&answer);
    buf_free(&url);
    return err;
}

static int by_refresh(struct tokens *t, enum api api, struct buf *why)
{
    struct buf url = {0}, form = {0}, answer = {0};
    put_endpoint(t, "token", &url);
    put_field(&form, "client_id", t->conf->tenant.client_id.text);
    put_field(&form, "grant_type", STR("refresh_token"));
    put_field(&form, "refresh_token", buf_view(&t->refresh));
    put_scope(t, api, true, &form);
    int status = post(t, &url, &form, &answer);
    int err = status == 200 ? keep(t, api, &answer, why) : refused(status, &answer, why);
    forget(&form);
    forget(&answer);
    buf_free(&url);
    return err;
}

/* Asks for the token until the person has typed the code (RFC 8628, 3.5). */
static int poll_device(struct tokens *t, enum api api, struct str code, uint64_t wait_s,
                       struct buf *why)
{
    struct buf url = {0}, form = {0}, answer = {0};
    int err = ERR_TIMEOUT;
    unsigned lost = 0;
    put_endpoint(t, "token", &url);
    put_field(&form, "client_id", t->conf->tenant.client_id.text);
    put_field(&form, "grant_type", STR("urn:ietf:params:oauth:grant-type:device_code"));
    put_field(&form, "device_code", code);
    put_scope(t, api, true, &form);
    for (unsigned i = 0; i < DEVICE_TRIES; i++) {
        char what[64];
        t->http.wait(t->http.arg, wait_s * 1000);
        buf_clear(why);
        int status = post(t, &url, &form, &answer);
        if (status == 200) {
            err = keep(t, api, &answer, why);
            break;
        }
        err = refused(status, &answer, why);
        answer_error_code(buf_view(&answer), what, sizeof(what));
        if (strcmp(what, "slow_down") == 0) {
            wait_s += 5;
        } else if (strcmp(what, "authorization_pending") != 0 &&
                   (!is_passing(status) || ++lost > TRIES)) {
            break;
        }
    }
    forget(&form);
    forget(&answer);
    buf_free(&url);
    return err;
}

static int by_device(struct tokens *t, enum api api, struct buf *why)
{
    if (t->refresh.len > 0 && by_refresh(t, api, why) == 0) {
        return 0;
    }
    struct buf url = {0}, form = {0}, answer = {0};
    buf_clear(why);
    put_endpoint(t, "devicecode", &url);
    put_field(&form, "client_id", t->conf->tenant.client_id.text);
    put_scope(t, api, true, &form);
    int status = post(t, &url, &form, &answer);
    json_t *root = status == 200 ? answer_json(buf_view(&answer)) : NULL;
    const char *code = json_string_value(json_object_get(root, "device_code"));
    const char *user = json_string_value(json_object_get(root, "user_code"));
    const char *where = json_string_value(json_object_get(root, "verification_uri"));
    json_int_t wait_s = json_integer_value(json_object_get(root, "interval"));
    int err;
    if (code == NULL || user == NULL || where == NULL) {
        err = refused(status, &answer, why);
    } else {
        fprintf(stderr, "To sign in, open %s and enter the code %s\n", where, user);
        err = poll_device(t, api, str_z(code), (uint64_t)MIN(MAX(wait_s, 1), 60), why);
    }
    json_decref(root);
    buf_free(&form);
    buf_free(&answer);
    buf_free(&url);
    return err;
}

/*
 * learn.microsoft.com: "Use managed identities on a virtual machine", "REST endpoint reference" of
 * App Service. Either address is local to the machine: it must not go through a proxy.
 */
static int by_identity(struct tokens *t, enum api api, struct buf *why)
{
    const char *endpoint = getenv("IDENTITY_ENDPOINT"), *key = getenv("IDENTITY_HEADER");
    struct buf url = {0}, header = {0}, answer = {0};
    if (endpoint != NULL && key != NULL) {
        buf_printf(&url, "%s?api-version=2019-08-01&resource=https%%3A%%2F%%2F%s", endpoint,
                   api_host(t, api).ptr);
        buf_printf(&header, "X-IDENTITY-HEADER: %s", key);
    } else {
        buf_printf(&url,
                   "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
                   "&resource=https%%3A%%2F%%2F%s%%2F",
                   api_host(t, api).ptr);
        buf_z(&header, "Metadata: true");
    }
    if (t->conf->tenant.client_id.text.len > 0) {
        buf_printf(&url, "&client_id=%s", t->conf->tenant.client_id.text.ptr);
    }
    t->asked++;
    int status = t->http.send(t->http.arg, buf_cstr(&url), buf_cstr(&header), NULL, true, &answer);
    int err = status == 200 ? keep(t, api, &answer, why) : refused(status, &answer, why);
    forget(&header);
    forget(&answer);
    buf_free(&url);
    return err;
}

const char *tokens_get(struct tokens *t, enum api api, int *out_err, struct buf *why)
{
    struct held *h = &t->held[api];
    int err = 0;
    if (h->until_ms <= clock_ms()) {
        switch ((enum credential)t->conf->tenant.credential) {
        case CREDENTIAL_DEVICE:
            err = by_device(t, api, why);
            break;
        case CREDENTIAL_IDENTITY:
            err = by_identity(t, api, why);
            break;
        case CREDENTIAL_SECRET:
        case CREDENTIAL_CERTIFICATE:
            err = by_credential(t, api, why);
            break;
        }
    }
    *out_err = err;
    return err == 0 ? buf_cstr(&h->token.token) : NULL;
}
