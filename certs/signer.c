/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/signer.h"

#include "certs/leaf.h"
#include "certs/ossl.h"
#include "certs/sandbox.h"
#include "certs/signer_proto.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECURE_HEAP                                                               \
    (64 * 1024) /* locked in memory, kept out of dumps; one P-256 key needs 1 KiB \
                 */
#define SECURE_LEAST 16
#define CRL_REMAKE_S 3600
#define COMPLAIN_MS  1000 /* at most one line of a kind in that time */

/* A complaint that the network process can cause as often as it likes. */
struct complaint {
    uint64_t count, next_ms;
};

struct signer {
    const struct signer_conf *conf;
    EVP_PKEY *key;
    struct leafpress *press;
    unsigned life_s;
    struct buf crl, der;
    time_t crl_made;
    struct pollfd fds[SIGNER_CHANNELS_MAX];
    struct complaint malformed, denied;
};

static volatile sig_atomic_t stop_asked;

static void on_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

int signer_channel(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ? -errno
                                                                                           : 0;
}

static bool may_complain(struct complaint *c)
{
    const uint64_t now = clock_ms();
    c->count++;
    if (now < c->next_ms) {
        return false;
    }
    c->next_ms = now + COMPLAIN_MS;
    return true;
}

/* --- one request --- */

static enum signer_status status_of(int err)
{
    switch (err) {
    case 0:
        return SIGNER_OK;
    case ERR_NAME:
    case ERR_SYNTAX:
    case ERR_DENIED:
        return SIGNER_DENIED;
    case ERR_CERT:
        return SIGNER_NOT_VALID;
    default:
        return SIGNER_FAILED;
    }
}

static enum signer_status sign_leaf(struct signer *s, const struct signer_request *r)
{
    char folded[NAME_MAX_LEN + 1];
    unsigned life_s = r->life_s == 0 ? s->life_s : MIN(r->life_s, s->life_s);
    if (name_fold(r->name, folded) != 0 || !str_eq(str_z(folded), r->name) ||
        !names_match(s->conf->names, r->name) || !ca_covers(s->conf->ca, r->name)) {
        if (may_complain(&s->denied)) {
            log_warn("signer refused a name",
                     L_STR("name", str_of(r->name.ptr, MIN(r->name.len, NAME_MAX_LEN))),
                     L_NUM("refused", s->denied.count));
        }
        return SIGNER_DENIED;
    }
    return status_of(leafpress_mint(s->press, r->name, r->spki, time(NULL),
                                    MAX(life_s, LEAF_LIFE_MIN_S), &s->der));
}

static enum signer_status sign_crl(struct signer *s)
{
    const time_t now = time(NULL);
    if (s->crl.len == 0 || now < s->crl_made || now - s->crl_made >= CRL_REMAKE_S) {
        struct buf next = {0};
        const struct crl_spec spec = {.issuer = s->conf->ca->issuing,
                                      .key = s->key,
                                      .now = now,
                                      .valid_s = SIGNER_CRL_VALID_S,
                                      .before = buf_view(&s->crl)};
        if (crl_make(&spec, &next) != 0) {
            buf_free(&next);
            return SIGNER_FAILED;
        }
        buf_free(&s->crl);
        s->crl = next;
        s->crl_made = now;
    }
    buf_str(&s->der, buf_view(&s->crl));
    return SIGNER_OK;
}

static enum signer_status sign(struct signer *s, const struct signer_request *r)
{
    buf_clear(&s->der);
    if (r->kind == SIGNER_PING) {
        return SIGNER_OK;
    }
    if (memcmp(r->issuer, s->conf->ca->id.byte, KEY_ID_LEN) != 0) {
        return SIGNER_OTHER_CA;
    }
    return r->kind == SIGNER_LEAF ? sign_leaf(s, r) : sign_crl(s);
}

static void answer(struct signer *s, int fd, struct str message)
{
    struct signer_request request;
    struct signer_answer a = {.status = SIGNER_MALFORMED};
    uint8_t out[SIGNER_ANSWER_MAX];
    if (signer_get_request(message, &request) == 0) {
        a.status = sign(s, &request);
        if (a.status == SIGNER_FAILED) {
            log_error("signer could not sign", L_Z("why", ossl_reason()));
        }
    } else if (may_complain(&s->malformed)) {
        log_warn("signer got a message that is none", L_NUM("bytes", message.len),
                 L_NUM("malformed", s->malformed.count));
    }
    a.id = request.id;
    if (a.status == SIGNER_OK) {
        a.der = buf_view(&s->der);
    }
    const size_t len = signer_put_answer(&a, out);
    /* A worker that does not take its answers loses them and asks again: nobody waits for him. */
    ssize_t ignored = send(fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)ignored;
}

/* One message from one worker, so that none can keep the others waiting. False: the channel is of
 * no use any more. */
static bool serve(struct signer *s, const struct pollfd *at)
{
    char in[SIGNER_REQUEST_MAX + 1];
    ssize_t n = recv(at->fd, in, sizeof(in), MSG_DONTWAIT);
    if (n < 0) {
        /* another signer was faster; or the worker went and left answers unread, told only once */
        return errno == EAGAIN || errno == EINTR || errno == ECONNRESET;
    }
    if (n == 0 && (at->revents & (POLLRDHUP | POLLHUP)) != 0) {
        return false; /* an end, where otherwise it is a datagram of no bytes */
    }
    answer(s, at->fd, str_of(in, (size_t)n));
    return true;
}

static void loop(struct signer *s)
{
    const unsigned count = s->conf->channel_count;
    unsigned alive = count;
    sigset_t while_waiting;
    sigemptyset(&while_waiting);
    while (alive > 0 && !stop_asked) {
        if (ppoll(s->fds, count, NULL, &while_waiting) <= 0) {
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            const short events = s->fds[i].revents;
            if (s->fds[i].fd < 0 || events == 0) {
                continue;
            }
            if ((events & POLLIN) != 0 ? !serve(s, &s->fds[i]) : true) {
                s->fds[i].fd = -1;
                alive--;
            }
        }
    }
}

/* --- start --- */

/* The supervisor's handlers are not ours. SIGTERM is let in only while we wait, so that none is
 * missed between a look at the flag and the wait. */
static void set_signals(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL}, ignore = {.sa_handler = SIG_IGN},
                     stop = {.sa_handler = on_stop};
    sigset_t blocked;
    for (int i = 1; i < NSIG; i++) {
        if (i != SIGKILL && i != SIGSTOP) {
            (void)sigaction(i, &plain, NULL);
        }
    }
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGINT, &ignore, NULL);
    (void)sigaction(SIGHUP, &ignore, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    stop_asked = 0;
}

/*
 * Signs one leaf and one CRL that nobody sees: shows that all works before "ready" is said, and
 * makes OpenSSL and libc load and look up all that they will need, since later nothing can be
 * opened.
 */
static int rehearse(struct signer *s, struct diag *d)
{
    struct leafkey trial;
    int err = leafkey_new(&trial);
    if (err == 0) {
        err = leafpress_mint(s->press, STR("photogate.invalid"), buf_view(&trial.spki), time(NULL),
                             s->life_s, &s->der);
        leafkey_free(&trial);
    }
    if (err == 0 && sign_crl(s) != SIGNER_OK) {
        err = ERR_TLS;
    }
    buf_clear(&s->der);
    return err == 0 ? 0
                    : diag_error(d, DIAG_FILE(s->conf->path), "cannot sign: %s (%s)", err_str(err),
                                 ossl_reason());
}

static int prepare(struct signer *s, struct sandbox_user *user, struct diag *d)
{
    const struct signer_conf *conf = s->conf;
    struct buf url = {0};
    s->life_s = conf->life_s != 0 ? conf->life_s : LEAF_LIFE_S;
    if (conf->channel_count == 0 || conf->channel_count > SIGNER_CHANNELS_MAX) {
        return diag_error(d, DIAG_NOWHERE, "the signer has %u channels; it takes 1 to %u",
                          conf->channel_count, SIGNER_CHANNELS_MAX);
    }
    if (CRYPTO_secure_malloc_initialized() == 0 &&
        CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_LEAST) != 1) {
        diag_warn(d, DIAG_NOWHERE,
                  "the issuing key cannot be locked in memory and may reach the swap space");
    }
    int err = sandbox_find_user(conf->user, conf->group, user, d);
    if (err == 0) {
        err = ca_load_key(conf->base, conf->path, conf->ca, &s->key, d);
    }
    if (err == 0) {
        err = ca_check_hosts(conf->ca, conf->names, DIAG_FILE(conf->path), d);
    }
    if (err != 0) {
        return err;
    }
    if (conf->public_url != NULL) {
        ca_put_crl_url(&url, conf->public_url, &conf->ca->id);
    }
    s->press = leafpress_new(conf->ca->issuing, s->key, url.len > 0 ? buf_cstr(&url) : NULL);
    buf_free(&url);
    for (unsigned i = 0; i < conf->channel_count; i++) {
        s->fds[i] = (struct pollfd){.fd = conf->channels[i], .events = POLLIN | POLLRDHUP};
    }
    return rehearse(s, d);
}

static int confine(const struct signer *s, const struct sandbox_user *user, struct diag *d)
{
    const struct signer_conf *conf = s->conf;
    int keep[SIGNER_CHANNELS_MAX + 1];
    memcpy(keep, conf->channels, conf->channel_count * sizeof(*keep));
    keep[conf->channel_count] = conf->ready_fd;
    int err = sandbox_close_others(keep, conf->channel_count + 1);
    if (err != 0) {
        return diag_error(d, DIAG_NOWHERE, "the signer cannot close what is not its own: %s",
                          err_str(err));
    }
    err = sandbox_drop(user);
    if (err != 0) {
        return diag_error(d, DIAG_NOWHERE, "the signer cannot become user %u: %s", user->uid,
                          err_str(err));
    }
    log_info("signer ready", L_NUM("pid", getpid()), L_NUM("uid", geteuid()),
             L_NUM("names", conf->names->count), L_Z("issuer", conf->ca->id.hex));
    if (conf->no_sandbox) {
        log_warn("signer runs without a seccomp filter", L_NONE);
        return 0;
    }
    err = sandbox_confine();
    return err == 0 ? 0
                    : diag_error(d, DIAG_NOWHERE, "the signer cannot load its seccomp filter: %s",
                                 err_str(err));
}

static void tell(int fd, char what, struct str text)
{
    ssize_t ignored = fd >= 0 ? write(fd, &what, 1) : 0;
    if (fd >= 0 && text.len > 0) {
        ignored = write(fd, text.ptr, text.len);
    }
    (void)ignored;
}

int signer_run(const struct signer_conf *conf)
{
    static struct signer s;
    struct sandbox_user user = {0};
    struct diag d = {0};
    s = (struct signer){.conf = conf};
    set_signals();
    int err = prepare(&s, &user, &d);
    if (err == 0) {
        err = confine(&s, &user, &d);
    }
    if (err == 0 || conf->ready_fd < 0) {
        diag_print(&d,
                   "photogate"); /* else whoever started it does, with the rest of what it knows */
    }
    tell(conf->ready_fd, err == 0 ? 'R' : 'E', err == 0 ? STR_NONE : buf_view(&d.text));
    diag_free(&d);
    if (conf->ready_fd >= 0) {
        close(conf->ready_fd);
    }
    if (err == 0) {
        loop(&s);
    }
    leafpress_free(s.press);
    EVP_PKEY_free(s.key);
    buf_free(&s.crl);
    buf_free(&s.der);
    return err;
}

int signer_wait_ready(int fd, unsigned timeout_ms, struct buf *why)
{
    const uint64_t until = clock_ms() + timeout_ms;
    char first = '\0', text[1024];
    for (;;) {
        const uint64_t now = clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now >= until || poll(&p, 1, (int)(until - now)) == 0) {
            return ERR_TIMEOUT;
        }
        ssize_t n = read(fd, text, sizeof(text));
        if (n < 0) {
            if (errno == EINTR || errno == EAGAIN) {
                continue;
            }
            return -errno;
        }
        if (n == 0) {
            return first == 'E' ? ERR_CONFIG : ERR_EOF;
        }
        size_t skip = first == '\0' ? 1 : 0;
        first = first == '\0' ? text[0] : first;
        if (first == 'R') {
            return 0;
        }
        buf_put(why, text + skip, (size_t)n - skip);
    }
}
