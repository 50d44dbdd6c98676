/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/client.h"

#include "admin/jwt.h"
#include "common/clock.h"
#include "common/err.h"

#include <curl/curl.h>
#include <openssl/rand.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define ANSWER_MAX \
    (16u << 20) /* a page of 1,000 objects with all their properties is about 6 MiB */
#define TRIES       8
#define HOPS        8
#define BACKOFF_MAX (60 * 1000)
#define PAUSE_MAX   (10 * 60 * 1000) /* the most that a service may make us wait at once */

static volatile sig_atomic_t stopped;

struct client {
    const struct conf *conf;
    CURLM *multi;
    struct curl_slist *connect_to;
    char *ca_file;
    struct tokens *tokens;
    struct call *waiting; /* in the order of their coming */
    struct call **last;
    unsigned running;
    uint64_t next_write_ms, pause_until_ms[API_COUNT];
    struct client_counts counts;
    struct buf connection_id;
};

void client_stop(void)
{
    stopped = 1;
}

bool client_stopped(void)
{
    return stopped != 0;
}

static void wait_ms(void *arg, uint64_t ms)
{
    (void)arg;
    while (ms > 0 && !stopped) {
        uint64_t slice = MIN(ms, 200u);
        struct timespec ts = {.tv_sec = 0, .tv_nsec = (long)slice * 1000000};
        nanosleep(&ts, NULL);
        ms -= slice;
    }
}

/* ---- one transfer ---- */

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    (void)size;
    if (c->answer.len + count > ANSWER_MAX) {
        c->s.too_large = true;
        return 0;
    }
    buf_put(&c->answer, data, count);
    return count;
}

static bool field_is(struct str line, const char *name, struct str *value)
{
    struct str n = str_z(name);
    if (!str_istarts(line, n) || line.len <= n.len || line.ptr[n.len] != ':') {
        return false;
    }
    *value = str_skip(line, n.len + 1);
    while (value->len > 0 && strchr("\r\n", value->ptr[value->len - 1]) != NULL) {
        value->len--;
    }
    *value = str_trim(*value);
    return true;
}

/* Seconds with an optional fraction: Exchange gives them; dates are not seen here. */
static uint64_t seconds_to_ms(struct str s)
{
    struct str whole;
    uint64_t n = 0, ms = 0, scale = 100;
    if (!str_cut(&s, '.', &whole) || !str_u64(whole, &n) || n > 86400) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < s.len && i < 3; i++, scale /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return UINT64_MAX;
        }
        ms += (uint64_t)(s.ptr[i] - '0') * scale;
    }
    return n * 1000 + ms;
}

/* 2024-05-22T16:52:26.365Z, as Exchange gives it; 0 when it is none. The fraction is rounded up. */
static time_t read_time(struct str s)
{
    char text[32];
    struct tm tm = {0};
    if (s.len >= sizeof(text)) {
        return 0;
    }
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) != NULL ? timegm(&tm) + 1 : 0;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    struct str line = str_of(data, count), value;
    (void)size;
    if (str_istarts(line, STR("HTTP/"))) { /* an interim answer came before */
        c->s.retry_after_ms = UINT64_MAX;
        buf_clear(&c->s.location);
        c->s.budget_empty = false;
        c->s.budget_from = 0;
    } else if (field_is(line, "Rate-Limit-Remaining", &value)) {
        c->s.budget_empty = str_eq(value, STR("0"));
    } else if (field_is(line, "Rate-Limit-Reset", &value)) {
        c->s.budget_from = read_time(value);
    } else if (field_is(line, "Retry-After", &value)) {
        c->s.retry_after_ms = seconds_to_ms(value);
    } else if (field_is(line, "Location", &value) && value.len < 8192) {
        buf_clear(&c->s.location);
        buf_str(&c->s.location, value);
    }
    return count;
}

static bool set_common(struct client *cl, CURL *easy, bool direct)
{
    const struct conf *conf = cl->conf;
    bool ok =
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, direct ? "http,https" : "https") ==
            CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)conf->tenant.timeout_ms) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 30000L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "photogate-admin") == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    if (cl->ca_file != NULL) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_CAINFO, cl->ca_file) == CURLE_OK;
    }
    if (cl->connect_to != NULL) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_CONNECT_TO, cl->connect_to) == CURLE_OK;
    }
    if (direct) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
    } else if (conf->tenant.proxy.text.len > 0) {
        ok = ok && curl_easy_setopt(easy, CURLOPT_PROXY, conf->tenant.proxy.text.ptr) == CURLE_OK;
    }
    return ok;
}

static int curl_to_err(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ERR_DNS;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return ERR_CERT;
    case CURLE_SSL_CONNECT_ERROR:
        return ERR_TLS;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    default:
        return ERR_EOF;
    }
}

/* For the sign-in: one exchange, now. */
static int send_plain(void *arg, const char *url, const char *header, const struct buf *form,
                      bool direct, struct buf *answer)
{
    struct client *cl = arg;
    struct call c = {.s = {.retry_after_ms = UINT64_MAX}};
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    if (header[0] != '\0') {
        headers = curl_slist_append(headers, header);
    }
    CURL *easy = curl_easy_init();
    int status = -ENOMEM;
    cl->counts.calls++;
    if (easy != NULL && set_common(cl, easy, direct) &&
        curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &c) == CURLE_OK) {
        CURLcode code = CURLE_OK;
        if (form != NULL) {
            code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)form->len);
            code = code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_POSTFIELDS, form->ptr) : code;
        }
        code = code == CURLE_OK ? curl_easy_perform(easy) : code;
        long got = 0;
        if (code == CURLE_OK) {
            code = curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &got);
        }
        status = code == CURLE_OK ? (int)got : curl_to_err(code);
        buf_str(answer, buf_view(&c.answer));
    }
    if (c.answer.ptr != NULL) {
        explicit_bzero(c.answer.ptr, c.answer.cap);
    }
    buf_free(&c.answer);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    return status;
}

/* ---- life ---- */

struct client *client_new(const struct conf *conf, struct diag *d)
{
    struct client *cl = xnew(struct client);
    cl->conf = conf;
    cl->last = &cl->waiting;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    cl->multi = curl_multi_init();
    if (cl->multi == NULL) {
        (void)diag_error(d, DIAG_NOWHERE, "libcurl cannot start");
        client_free(cl);
        return NULL;
    }
    for (size_t i = 0; i < conf->tenant.connect_to.count; i++) {
        cl->connect_to =
            curl_slist_append(cl->connect_to, conf->tenant.connect_to.item[i].text.ptr);
    }
    if (conf->tenant.ca_file.text.len > 0) {
        cl->ca_file = conf_path(conf, conf->tenant.ca_file.text);
    }
    const struct token_http http = {.send = send_plain, .wait = wait_ms, .arg = cl};
    cl->tokens = tokens_new(conf, &http);
    guid_new(&cl->connection_id);
    return cl;
}

static void end_transfer(struct client *cl, struct call *c)
{
    if (c->s.easy != NULL) {
        curl_multi_remove_handle(cl->multi, c->s.easy);
        curl_easy_cleanup(c->s.easy);
        curl_slist_free_all(c->s.headers);
        c->s.easy = NULL;
        c->s.headers = NULL;
        cl->running--;
    }
}

void client_free(struct client *cl)
{
    if (cl != NULL) {
        tokens_free(cl->tokens);
        curl_multi_cleanup(cl->multi);
        curl_slist_free_all(cl->connect_to);
        curl_global_cleanup();
        free(cl->ca_file);
        buf_free(&cl->connection_id);
        free(cl);
    }
}

const struct conf *client_conf(const struct client *cl)
{
    return cl->conf;
}

const struct client_counts *client_counts(struct client *cl)
{
    cl->counts.tokens = tokens_asked(cl->tokens);
    return &cl->counts;
}

struct tokens *client_tokens(struct client *cl)
{
    return cl->tokens;
}

void call_free(struct call *c)
{
    buf_free(&c->path);
    buf_free(&c->body);
    buf_free(&c->answer);
    buf_free(&c->why);
    buf_free(&c->s.location);
    *c = (struct call){0};
}

/* ---- starting ---- */

static void put_last(struct client *cl, struct call *c)
{
    c->s.next = NULL;
    *cl->last = c;
    cl->last = &c->s.next;
}

void client_add(struct client *cl, struct call *c)
{
    c->s.retry_after_ms = UINT64_MAX;
    put_last(cl, c);
}

static struct str host_of(const struct client *cl, enum api api)
{
    return api == API_EXCHANGE ? cl->conf->tenant.exchange_host.text
                               : cl->conf->tenant.graph_host.text;
}

static void add_header(struct call *c, const char *format, ...) PRINTF_LIKE(2, 3);
static void add_header(struct call *c, const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof(line)) {
        c->s.headers = curl_slist_append(c->s.headers, line);
    }
}

/* The header set of Microsoft's own module, as far as it matters, and our own name. */
static void add_headers(struct client *cl, struct call *c, const char *token)
{
    struct buf b = {0};
    buf_printf(&b, "Authorization: Bearer %s", token);
    c->s.headers = curl_slist_append(NULL, buf_cstr(&b));
    explicit_bzero(b.ptr, b.len);
    buf_clear(&b);
    guid_new(&b);
    add_header(c, "client-request-id: %s", buf_cstr(&b));
    buf_free(&b);
    add_header(c, "Accept: application/json");
    if (c->body.len > 0) {
        add_header(c, "Content-Type: application/json; charset=utf-8");
    }
    add_header(c, "Expect:");
    if (c->api == API_EXCHANGE) {
        add_header(c, "X-AnchorMailbox: APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@%s",
                   cl->conf->tenant.id.text.ptr);
        add_header(c, "X-CmdletName: %s", c->cmdlet != NULL ? c->cmdlet : "");
        add_header(c, "X-ResponseFormat: json");
        add_header(c, "X-SerializationLevel: Partial");
        add_header(c, "X-ClientApplication: photogate-admin");
        add_header(c, "Prefer: odata.maxpagesize=1000");
        add_header(c, "connection-id: %s", buf_cstr(&cl->connection_id));
        add_header(c, "WarningAction: ");
    }
}

static void finish(struct client *cl, struct call *c, int err)
{
    end_transfer(cl, c);
    c->err = err;
    if (c->done != NULL) {
        c->done(c);
    }
}

/* Set- and PATCH give absolute values: twice is once. New-, Add-, Remove-, POST and DELETE are not
 * so. */
static bool is_repeatable(const struct call *c)
{
    return !c->write || (c->cmdlet != NULL ? str_starts(str_z(c->cmdlet), STR("Set-"))
                                           : strcmp(c->method, "PATCH") == 0);
}

static void start(struct client *cl, struct call *c)
{
    int err = 0;
    struct buf url = {0};
    buf_clear(&c->why);
    const char *token = tokens_get(cl->tokens, c->api, &err, &c->why);
    if (token == NULL) {
        finish(cl, c, err);
        return;
    }
    buf_clear(&c->answer);
    buf_clear(&c->s.location);
    c->s.retry_after_ms = UINT64_MAX;
    c->status = 0;
    add_headers(cl, c, token);
    buf_printf(&url, "https://%s", host_of(cl, c->api).ptr);
    buf_str(&url, buf_view(&c->path));
    CURL *easy = curl_easy_init();
    c->s.easy = easy;
    bool ok = easy != NULL && set_common(cl, easy, false) &&
              curl_easy_setopt(easy, CURLOPT_URL, buf_cstr(&url)) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->s.headers) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PRIVATE, c) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_WRITEDATA, c) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_HEADERDATA, c) == CURLE_OK;
    if (ok && !is_repeatable(c)) {
        /* libcurl sends a request again by itself when a *reused* connection dies before the
         * answer, whatever the method (lib/multi.c, Curl_retry_request): it must not be a reused
         * one */
        ok = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK;
    }
    if (ok && c->body.len > 0) {
        ok = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)c->body.len) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_POSTFIELDS, c->body.ptr) == CURLE_OK;
    }
    ok = ok && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, c->method) == CURLE_OK &&
         curl_multi_add_handle(cl->multi, easy) == CURLM_OK;
    buf_free(&url);
    cl->running++;
    cl->counts.calls++;
    cl->counts.reads += !c->write;
    cl->counts.writes += c->write;
    if (!ok) {
        finish(cl, c, -ENOMEM);
    }
}

/* ---- what an answer means ---- */

/* Half of it at least: calls that failed together do not come back together. */
static uint64_t jitter(uint64_t ms)
{
    uint16_t r = 0;
    if (RAND_bytes((unsigned char *)&r, sizeof(r)) != 1) {
        return ms;
    }
    return ms / 2 + ms / 2 * r / UINT16_MAX;
}

static void again(struct client *cl, struct call *c, uint64_t wait)
{
    end_transfer(cl, c);
    cl->counts.retries++;
    c->s.not_before_ms = clock_ms() + wait;
    put_last(cl, c);
}

static uint64_t backoff(const struct client *cl, const struct call *c)
{
    unsigned shift = MIN(c->s.tries, 5u);
    return jitter(MIN(cl->conf->tenant.retry_ms << shift, (uint64_t)BACKOFF_MAX));
}

/* Tries again, or gives up with the code. */
static void retry(struct client *cl, struct call *c, int err)
{
    c->s.tries++;
    if (c->s.tries >= TRIES || stopped) {
        finish(cl, c, err);
        return;
    }
    again(cl, c, backoff(cl, c));
}

/* Nothing is sent to the API for so long. */
static void pause_api(struct client *cl, enum api api, uint64_t ms)
{
    const uint64_t now = clock_ms(), until = now + MIN(ms, (uint64_t)PAUSE_MAX);
    if (until > cl->pause_until_ms[api]) {
        cl->counts.waited_ms += until - MAX(cl->pause_until_ms[api], now);
        cl->pause_until_ms[api] = until;
    }
}

/* Exchange says with each answer how much of the budget is left; an empty one is waited for. */
static void obey_budget(struct client *cl, const struct call *c)
{
    const time_t now = time(NULL);
    if (c->s.budget_empty && c->s.budget_from > now) {
        pause_api(cl, c->api, (uint64_t)(c->s.budget_from - now) * 1000);
    }
}

static void throttled(struct client *cl, struct call *c)
{
    uint64_t wait = c->s.retry_after_ms;
    cl->counts.throttled++;
    c->s.tries++;
    if (wait == UINT64_MAX) {
        wait = backoff(cl, c);
    }
    wait = MIN(wait, (uint64_t)PAUSE_MAX);
    pause_api(cl, c->api, wait);
    if (c->s.tries >= TRIES * 4 || stopped) { /* it is told when to come back: more patience */
        finish(cl, c, stopped ? ERR_CANCELED : ERR_TIMEOUT);
        return;
    }
    again(cl, c, wait);
}

static void redirected(struct client *cl, struct call *c)
{
    struct str path;
    if (++c->s.hops > HOPS ||
        !answer_link_path(buf_view(&c->s.location), host_of(cl, c->api), &path)) {
        buf_z(&c->why, "the service sent us to another host; nothing was sent there");
        finish(cl, c, ERR_PROTOCOL);
        return;
    }
    buf_clear(&c->path);
    buf_str(&c->path, path);
    again(cl, c, 0);
}

/* Only what the service itself says may be shown; a body of NUL bytes means a missing role. */
static void say_why(struct call *c)
{
    buf_clear(&c->why);
    answer_error_text(buf_view(&c->answer), &c->why);
    if (c->status == 403 && c->why.len == 0) {
        buf_z(&c->why, "refused without a reason: the application lacks a directory role such as "
                       "Exchange Administrator, or was given it minutes ago");
    } else if (c->why.len == 0) {
        buf_printf(&c->why, "status %d without a text", c->status);
    }
}

static bool says_concurrency(const struct call *c)
{
    return c->status >= 400 && str_find(str_of(c->answer.ptr, MIN(c->answer.len, 4096u)),
                                        STR("maximum number of concurrent requests")) >= 0;
}

static void judge(struct client *cl, struct call *c)
{
    if (c->status >= 200 && c->status < 300) {
        finish(cl, c, 0);
        return;
    }
    if (c->status == 301 || c->status == 302 || c->status == 307 || c->status == 308) {
        redirected(cl, c);
        return;
    }
    say_why(c);
    if (c->status == 429 || says_concurrency(c)) {
        throttled(cl, c);
    } else if (c->status == 401 && c->s.renewals == 0) {
        c->s.renewals++;
        tokens_drop(cl->tokens, c->api);
        again(cl, c, 0);
    } else if (c->status == 401 || c->status == 403) {
        finish(cl, c, ERR_DENIED);
    } else if (c->status == 404) {
        finish(cl, c, -ENOENT);
    } else if (c->status >= 500) {
        if (c->write) {
            finish(cl, c, ERR_UNSURE);
        } else {
            retry(cl, c, ERR_TIMEOUT);
        }
    } else {
        finish(cl, c, ERR_PROTOCOL);
    }
}

static bool was_not_sent(CURLcode code)
{
    return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
           code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_SSL_CONNECT_ERROR ||
           code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
}

static void ended(struct client *cl, struct call *c, CURLcode code)
{
    long status = 0;
    if (curl_easy_getinfo(c->s.easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) {
        status = 0;
    }
    c->status = (int)status;
    if (code == CURLE_OK) {
        obey_budget(cl, c);
        judge(cl, c);
        return;
    }
    buf_clear(&c->why);
    buf_z(&c->why, c->s.too_large ? "the answer is larger than 16 MiB" : curl_easy_strerror(code));
    if (c->s.too_large) {
        finish(cl, c, c->write ? ERR_UNSURE : ERR_PROTOCOL);
    } else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        finish(cl, c, ERR_CERT);
    } else if (c->write && !was_not_sent(code)) {
        finish(cl, c, ERR_UNSURE);
    } else {
        retry(cl, c, curl_to_err(code));
    }
}

/* ---- the loop ---- */

/* When the call may go: writes keep their pace, and an API that asked for a pause gets it. */
static uint64_t due(const struct client *cl, const struct call *c)
{
    uint64_t at = MAX(c->s.not_before_ms, cl->pause_until_ms[c->api]);
    return c->write ? MAX(at, cl->next_write_ms) : at;
}

/* Starts what may go; returns how long the next one has to wait. */
static uint64_t start_due(struct client *cl)
{
    uint64_t now = clock_ms(), soonest = UINT64_MAX;
    struct call **at = &cl->waiting;
    while (*at != NULL && cl->running < (unsigned)cl->conf->tenant.concurrency) {
        struct call *c = *at;
        uint64_t when = due(cl, c);
        if (when > now && !stopped) {
            soonest = MIN(soonest, when - now);
            at = &c->s.next;
            continue;
        }
        *at = c->s.next;
        if (cl->last == &c->s.next) {
            cl->last = at;
        }
        if (stopped) {
            finish(cl, c, ERR_CANCELED);
        } else {
            if (c->write) {
                cl->next_write_ms = MAX(now, cl->next_write_ms) +
                                    60000 / (uint64_t)cl->conf->tenant.writes_per_minute;
            }
            start(cl, c);
        }
        at = &cl->waiting; /* `done` may have added some */
        now = clock_ms();
        soonest = UINT64_MAX;
    }
    return soonest;
}

void client_run(struct client *cl)
{
    while (cl->waiting != NULL || cl->running > 0) {
        uint64_t wait = start_due(cl);
        int left = 0, active = 0;
        curl_multi_perform(cl->multi, &active);
        CURLMsg *msg;
        bool some = false;
        while ((msg = curl_multi_info_read(cl->multi, &left)) != NULL) {
            struct call *c = NULL;
            CURLcode code = msg->data.result;
            if (msg->msg == CURLMSG_DONE &&
                curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &c) == CURLE_OK) {
                ended(cl, c, code);
                some = true;
            }
        }
        if (!some && (cl->waiting != NULL || cl->running > 0)) {
            curl_multi_poll(cl->multi, NULL, 0, (int)MIN(wait, 500u), NULL);
        }
    }
}

int client_do(struct client *cl, struct call *c)
{
    client_add(cl, c);
    client_run(cl);
    return c->err;
}
