/* SPDX-License-Identifier: Apache-2.0 */
/* The signer as a process: what it signs and what not, what it survives, what it can no longer do.
 */
#include "certs/mint.h"
#include "certs/ossl.h"
#include "certs/signer.h"
#include "certs/signer_proto.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"
#include "tests/unit/certs_kit.h"
#include "tests/unit/sanitized.h"

#include <openssl/x509v3.h>

#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define WORKERS 2

struct house {
    struct kit *k;
    struct ca *ca;
    struct names names;
    int ends[WORKERS][2];
    pid_t signer;
    struct leafkey leaf;
    struct signer_conf conf;
};

/* The CA of the kit begins in KIT_NOW; the signer goes by the real clock, so make one of today. */
static void house_begin(struct house *h, struct kit *k)
{
    *h = (struct house){.k = k};
    struct ca_make make = kit_make(k);
    make.now = time(NULL);
    assert_int_equal(ca_init(&make, &k->d), 0);
    assert_int_equal(ca_load(AT_FDCWD, k->ca, make.now, &h->ca, &k->d), 0);
    assert_int_equal(names_add(&h->names, STR("graph.microsoft.com")), 0);
    assert_int_equal(names_add(&h->names, STR("*.sharepoint.com")), 0);
    assert_int_equal(leafkey_new(&h->leaf), 0);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(signer_channel(h->ends[i]), 0);
    }
    h->conf = (struct signer_conf){.base = AT_FDCWD,
                                   .path = k->ca,
                                   .ca = h->ca,
                                   .names = &h->names,
                                   .public_url = "http://proxy.corp.example:8080",
                                   .no_sandbox = SANITIZED};
}

static int start(struct house *h, struct buf *why)
{
    int ready[2], b[WORKERS] = {h->ends[0][1], h->ends[1][1]};
    assert_int_equal(pipe(ready), 0);
    h->signer = fork();
    assert_true(h->signer >= 0);
    if (h->signer == 0) {
        h->conf.channels = b;
        h->conf.channel_count = WORKERS;
        h->conf.ready_fd = ready[1];
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        _exit(signer_run(&h->conf) == 0 ? 0 : 1);
    }
    close(ready[1]);
    int err = signer_wait_ready(ready[0], 20000, why);
    close(ready[0]);
    return err;
}

static int stop(struct house *h, int number)
{
    int status = 0;
    kill(h->signer, number);
    assert_int_equal(waitpid(h->signer, &status, 0), h->signer);
    h->signer = 0;
    return status;
}

static void house_end(struct house *h)
{
    if (h->signer > 0) {
        stop(h, SIGKILL);
    }
    for (int i = 0; i < WORKERS; i++) {
        close(h->ends[i][0]);
        if (h->ends[i][1] >= 0) {
            close(h->ends[i][1]);
        }
    }
    leafkey_free(&h->leaf);
    names_free(&h->names);
    ca_unref(h->ca);
}

static void ask(struct house *h, int worker, const struct signer_request *r)
{
    uint8_t out[SIGNER_REQUEST_MAX];
    const size_t len = signer_put_request(r, out);
    assert_true(len > 0);
    assert_int_equal(send(h->ends[worker][0], out, len, MSG_NOSIGNAL), len);
}

static struct signer_request for_name(const struct house *h, const char *name, uint64_t id)
{
    struct signer_request r = {
        .kind = SIGNER_LEAF, .id = id, .name = str_z(name), .spki = buf_view(&h->leaf.spki)};
    memcpy(r.issuer, h->ca->id.byte, KEY_ID_LEN);
    return r;
}

struct got {
    struct signer_answer a;
    char bytes[SIGNER_ANSWER_MAX];
};

static bool hear(struct house *h, int worker, struct got *out, int timeout_ms)
{
    struct pollfd p = {.fd = h->ends[worker][0], .events = POLLIN};
    if (poll(&p, 1, timeout_ms) != 1) {
        return false;
    }
    ssize_t n = recv(p.fd, out->bytes, sizeof(out->bytes), MSG_DONTWAIT);
    assert_true(n > 0);
    assert_int_equal(signer_get_answer(str_of(out->bytes, (size_t)n), &out->a), 0);
    return true;
}

static enum signer_status ask_one(struct house *h, const struct signer_request *r, struct got *out)
{
    ask(h, 0, r);
    assert_true(hear(h, 0, out, 5000));
    assert_true(out->a.id == r->id);
    return out->a.status;
}

static void test_signs(void **state)
{
    struct house h;
    struct got g;
    struct buf why = {0}, url = {0};
    house_begin(&h, *state);
    assert_int_equal(start(&h, &why), 0);

    struct signer_request r = {.kind = SIGNER_PING, .id = 1};
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    assert_int_equal(g.a.der.len, 0);

    r = for_name(&h, "team.sharepoint.com", 2);
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    X509 *leaf = ossl_read_der(g.a.der);
    assert_non_null(leaf);
    assert_true(ca_issued(h.ca, leaf));
    assert_int_equal(X509_check_host(leaf, "team.sharepoint.com", 0, 0, NULL), 1);
    assert_int_equal(X509_verify(leaf, X509_get0_pubkey(h.ca->issuing)), 1);
    assert_true(llabs((long long)ossl_time(X509_get0_notAfter(leaf)) - (time(NULL) + LEAF_LIFE_S)) <
                60);
    char *leaf_url = ca_crl_url_of(leaf);
    ca_put_crl_url(&url, "http://proxy.corp.example:8080", &h.ca->id);
    assert_string_equal(leaf_url, buf_cstr(&url));
    free(leaf_url);
    X509_free(leaf);

    /* a shorter life may be asked for, a longer one not, and none of minutes */
    static const struct {
        unsigned asked, got;
    } life[] = {{7200, 7200}, {LEAF_LIFE_S * 10, LEAF_LIFE_S}, {60, LEAF_LIFE_MIN_S}};
    for (size_t i = 0; i < ARRAY_LEN(life); i++) {
        r.id++;
        r.life_s = life[i].asked;
        assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
        leaf = ossl_read_der(g.a.der);
        assert_true(llabs((long long)ossl_time(X509_get0_notAfter(leaf)) -
                          (time(NULL) + life[i].got)) < 60);
        X509_free(leaf);
    }

    /* the CRL, the same for all within the hour */
    r = (struct signer_request){.kind = SIGNER_CRL, .id = 10};
    memcpy(r.issuer, h.ca->id.byte, KEY_ID_LEN);
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    struct crl_info info;
    assert_int_equal(crl_read(g.a.der, h.ca->issuing, &info), 0);
    assert_int_equal(info.revoked, 0);
    assert_true(llabs((long long)info.next_update - (time(NULL) + SIGNER_CRL_VALID_S)) < 60);
    struct buf first = {0};
    buf_str(&first, g.a.der);
    r.id++;
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    assert_true(str_eq(g.a.der, buf_view(&first)));

    const int status = stop(&h, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    buf_free(&first);
    buf_free(&url);
    buf_free(&why);
    house_end(&h);
}

static void test_refuses(void **state)
{
    struct house h;
    struct got g;
    struct buf why = {0}, own = {0};
    house_begin(&h, *state);
    assert_int_equal(start(&h, &why), 0);
    /* the second is permitted by the constraints, but not on its list */
    static const char *const bad[] = {"login.microsoftonline.com",
                                      "proxy.corp.example",
                                      "x.graph.microsoft.com",
                                      "sharepoint.com",
                                      "*.sharepoint.com",
                                      "GRAPH.microsoft.com",
                                      "graph.microsoft.com.",
                                      "10.0.0.1",
                                      "a@sharepoint.com",
                                      "a,DNS:b.sharepoint.com",
                                      ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct signer_request r = for_name(&h, bad[i], 100 + i);
        assert_int_equal(ask_one(&h, &r, &g), SIGNER_DENIED);
        assert_int_equal(g.a.der.len, 0);
    }
    struct signer_request r = for_name(&h, "graph.microsoft.com", 200);
    r.issuer[0] ^= 1;
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OTHER_CA);
    r = for_name(&h, "graph.microsoft.com", 201);
    assert_int_equal(key_put_spki(&own, X509_get0_pubkey(h.ca->issuing)), 0);
    r.spki = buf_view(&own);
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_DENIED);
    r.spki = STR("no key");
    r.id++;
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_DENIED);
    r = for_name(&h, "graph.microsoft.com", 210);
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    buf_free(&own);
    buf_free(&why);
    house_end(&h);
}

static uint64_t cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &t), 0);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void test_weird_input(void **state)
{
    struct house h;
    struct got g;
    struct buf why = {0};
    static char big[64 * 1024];
    house_begin(&h, *state);
    assert_int_equal(start(&h, &why), 0);
    const int fd = h.ends[0][0];
    const size_t sizes[] = {
        0, 1, 11, 12, 39, 40, 100, SIGNER_REQUEST_MAX, SIGNER_REQUEST_MAX + 1, sizeof(big)};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(send(fd, big, sizes[i], 0), sizes[i]);
        assert_true(hear(&h, 0, &g, 5000));
        assert_int_equal(g.a.status, SIGNER_MALFORMED);
    }
    srand(1);
    struct signer_request r = for_name(&h, "graph.microsoft.com", 5);
    uint8_t out[SIGNER_REQUEST_MAX];
    const size_t len = signer_put_request(&r, out);
    for (int i = 0; i < 300; i++) {
        uint8_t changed[SIGNER_REQUEST_MAX];
        memcpy(changed, out, len);
        changed[(size_t)rand() % len] ^= (uint8_t)(1 << (rand() % 8));
        assert_int_equal(send(fd, changed, len, 0), len);
        assert_true(hear(&h, 0, &g, 5000));
    }
    /* a descriptor passed along is not taken */
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {big, 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof(control.room)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    assert_int_equal(sendmsg(fd, &m, 0), 1);
    assert_true(hear(&h, 0, &g, 5000));
    assert_int_equal(g.a.status, SIGNER_MALFORMED);
    /* a worker that floods and does not take his answers, and one that stops sending: the others
     * are served */
    for (int i = 0; i < 2000; i++) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        poll(&p, 1, 100);
        (void)!send(fd, out, len, MSG_DONTWAIT);
    }
    ask(&h, 1, &r);
    assert_true(hear(&h, 1, &g, 5000));
    assert_int_equal(g.a.status, SIGNER_OK);
    shutdown(fd, SHUT_WR);
    ask(&h, 1, &r);
    assert_true(hear(&h, 1, &g, 5000));
    /* and it does not spin on the half-closed channel */
    usleep(100000);
    const uint64_t before = cpu_ns(h.signer);
    usleep(400000);
    assert_true(cpu_ns(h.signer) - before < 100000000);
    const int status = stop(&h, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    buf_free(&why);
    house_end(&h);
}

/* Killed with requests waiting: the next one answers them; two at once share the work. */
static void test_killed(void **state)
{
    struct house h;
    struct got g;
    struct buf why = {0};
    house_begin(&h, *state);
    assert_int_equal(start(&h, &why), 0);
    struct signer_request r = for_name(&h, "graph.microsoft.com", 1);
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    kill(h.signer, SIGSTOP);
    for (uint64_t id = 10; id < 15; id++) {
        r = for_name(&h, "graph.microsoft.com", id);
        ask(&h, (int)(id % 2), &r);
    }
    stop(&h, SIGKILL);
    assert_false(hear(&h, 0, &g, 100));
    assert_int_equal(start(&h, &why), 0);
    for (uint64_t id = 10; id < 15; id++) {
        assert_true(hear(&h, (int)(id % 2), &g, 5000));
        assert_true(g.a.id == id && g.a.status == SIGNER_OK);
    }
    const pid_t first = h.signer;
    assert_int_equal(start(&h, &why), 0);
    for (uint64_t id = 20; id < 40; id++) {
        r = for_name(&h, "graph.microsoft.com", id);
        assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    }
    const pid_t second = h.signer;
    h.signer = first;
    stop(&h, SIGTERM);
    h.signer = second;
    r.id++;
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    buf_free(&why);
    house_end(&h);
}

static void on_leaf(void *arg, const struct mint_done *done)
{
    int *leaves = arg;
    *leaves += done->leaf != NULL ? 1 : 0;
}

/* The worker's side against a signer that is killed all the time: every name is answered. */
static void test_mint_and_kills(void **state)
{
    struct house h;
    struct buf why = {0};
    int leaves = 0, asked = 0;
    char name[64];
    house_begin(&h, *state);
    assert_int_equal(start(&h, &why), 0);
    const struct mint_conf conf = {
        .fd = h.ends[0][0], .ca = h.ca, .key = &h.leaf, .on_done = on_leaf, .arg = &leaves};
    struct mint *m = mint_new(&conf);
    const uint64_t from = clock_ms();
    int kills = 0;
    while (leaves < 200 && clock_ms() < from + 30000) {
        while (asked < 200 && mint_waiting(m) < 20) {
            snprintf(name, sizeof(name), "h%d.sharepoint.com", asked++);
            assert_int_equal(mint_request(m, str_z(name), NULL, clock_ms()), 0);
        }
        struct pollfd p = {.fd = h.ends[0][0], .events = POLLIN};
        poll(&p, 1, 20);
        assert_int_equal(mint_on_readable(m, clock_ms()), 0);
        mint_tick(m, clock_ms());
        if (leaves > 50 * (kills + 1)) {
            stop(&h, SIGKILL);
            kills++;
            assert_int_equal(start(&h, &why), 0);
        }
    }
    assert_int_equal(leaves, 200);
    assert_true(kills >= 2);
    mint_free(m);
    buf_free(&why);
    house_end(&h);
}

/* When the supervisor and all workers are gone there is nobody to sign for. */
static void test_hang_up(void **state)
{
    struct house h;
    struct buf why = {0};
    int status = 0;
    house_begin(&h, *state);
    assert_int_equal(start(&h, &why), 0);
    for (int i = 0; i < WORKERS; i++) {
        close(h.ends[i][0]);
        close(h.ends[i][1]);
        h.ends[i][0] = open("/dev/null", O_RDONLY);
        h.ends[i][1] = -1;
        if (i == 0) {
            usleep(50000);
            assert_int_equal(waitpid(h.signer, &status, WNOHANG), 0);
        }
    }
    assert_int_equal(waitpid(h.signer, &status, 0), h.signer);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    h.signer = 0;
    buf_free(&why);
    house_end(&h);
}

static void test_cannot_start(void **state)
{
    struct house h;
    struct buf why = {0};
    char file[CA_PATH_MAX];
    house_begin(&h, *state);
    assert_int_equal(names_add(&h.names, STR("outlook.office.com")), 0);
    assert_int_equal(start(&h, &why), ERR_CONFIG);
    assert_true(
        str_find(buf_view(&why), STR("outlook.office.com is outside the CA's constraints")) > 0);
    assert_int_equal(WEXITSTATUS(stop(&h, 0)), 1);
    names_free(&h.names);
    assert_int_equal(names_add(&h.names, STR("graph.microsoft.com")), 0);
    assert_int_equal(unlink(ca_key_path(file, h.k->ca, &h.ca->id)), 0);
    buf_clear(&why);
    assert_int_equal(start(&h, &why), ERR_CONFIG);
    assert_true(str_find(buf_view(&why),
                         STR("cannot read the private key: No such file or directory")) > 0);
    assert_int_equal(WEXITSTATUS(stop(&h, 0)), 1);
    h.conf.user = "nobody-of-that-name";
    if (geteuid() == 0) {
        buf_clear(&why);
        assert_int_equal(start(&h, &why), ERR_CONFIG);
        check_text(&why, "there is no user \"nobody-of-that-name\"; make it, or name another\n");
        stop(&h, 0);
        h.conf.user = "root";
        assert_int_equal(start(&h, &why), ERR_CONFIG);
        check_text(&why, "the signer must not stay root; name a user of its own\n");
        stop(&h, 0);
        h.conf.user = "54321";
        assert_int_equal(start(&h, &why), ERR_CONFIG);
        check_text(&why, "user 54321 has no entry; name its group, too\n");
        stop(&h, 0);
    }
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(signer_wait_ready(fd[0], 20, &why), ERR_TIMEOUT);
    close(fd[1]);
    assert_int_equal(signer_wait_ready(fd[0], 1000, &why), ERR_EOF);
    close(fd[0]);
    buf_free(&why);
    house_end(&h);
}

/* What another user can do to a running signer, and what he can see. Non-zero: something he should
 * not. */
static int try_as_other(const struct house *h, pid_t signer)
{
    char file[CA_PATH_MAX], proc[64], byte;
    int wrong = 0;
    if (open(ca_path(file, h->k->ca, CA_CHAIN), O_RDONLY) < 0) {
        return 1; /* this one he must */
    }
    wrong |=
        open(ca_key_path(file, h->k->ca, &h->ca->id), O_RDONLY) >= 0 || errno != EACCES ? 2 : 0;
    wrong |= open(ca_path(file, h->k->ca, CA_ROOT_KEY), O_RDONLY) >= 0 ? 4 : 0;
    wrong |= ptrace(PTRACE_ATTACH, signer, NULL, NULL) == 0 || errno != EPERM ? 8 : 0;
    snprintf(proc, sizeof(proc), "/proc/%d/mem", (int)signer);
    wrong |= open(proc, O_RDONLY) >= 0 ? 16 : 0;
    snprintf(proc, sizeof(proc), "/proc/%d/maps", (int)signer);
    const int maps = open(proc, O_RDONLY);
    wrong |= maps >= 0 && read(maps, &byte, 1) > 0 ? 32 : 0;
    struct iovec iov = {&byte, 1}, theirs = {&byte, 1};
    wrong |= process_vm_readv(signer, &iov, 1, &theirs, 1, 0) == 1 || errno != EPERM ? 64 : 0;
    return wrong;
}

static int as_user(const struct house *h, unsigned uid)
{
    int status = 0;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) {
            _exit(255);
        }
        _exit(try_as_other(h, h->signer));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Started as root: another user, no capabilities, out of reach of the network process's user and
 * of its own. */
static void test_other_user(void **state)
{
    struct house h;
    struct got g;
    struct buf why = {0}, text = {0};
    char proc[64];
    enum {
        SIGNER_UID = 54321,
        NETWORK_UID = 54322
    };
    if (geteuid() != 0) {
        skip();
    }
    house_begin(&h, *state);
    assert_int_equal(chmod(h.k->dir, 0755), 0);
    h.conf.user = "54321";
    h.conf.group = "54321";
    assert_int_equal(start(&h, &why), 0);
    const struct signer_request r = for_name(&h, "graph.microsoft.com", 1);
    assert_int_equal(ask_one(&h, &r, &g), SIGNER_OK);
    snprintf(proc, sizeof(proc), "/proc/%d/status", (int)h.signer);
    assert_int_equal(file_read(AT_FDCWD, proc, 65536, &text), 0);
    static const char *const lines[] = {"\nUid:\t54321\t54321\t54321\t54321\n",
                                        "\nGid:\t54321\t54321\t54321\t54321\n",
                                        "\nGroups:\t \n",
                                        "\nCapInh:\t0000000000000000\n",
                                        "\nCapPrm:\t0000000000000000\n",
                                        "\nCapEff:\t0000000000000000\n",
                                        "\nCapBnd:\t0000000000000000\n",
                                        "\nCapAmb:\t0000000000000000\n",
                                        "\nNoNewPrivs:\t1\n"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_non_null(strstr(buf_cstr(&text), lines[i]));
    }
    if (!SANITIZED) {
        assert_non_null(strstr(buf_cstr(&text), "\nSeccomp:\t2\n"));
        assert_non_null(strstr(buf_cstr(&text), "\nThreads:\t1\n"));
    }
    assert_int_equal(as_user(&h, NETWORK_UID), 0);
    assert_int_equal(as_user(&h, SIGNER_UID), 0);
    buf_free(&text);
    buf_free(&why);
    house_end(&h);
}

int main(void)
{
#define WITH_KIT(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        WITH_KIT(test_signs),        WITH_KIT(test_refuses),        WITH_KIT(test_weird_input),
        WITH_KIT(test_killed),       WITH_KIT(test_mint_and_kills), WITH_KIT(test_hang_up),
        WITH_KIT(test_cannot_start), WITH_KIT(test_other_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
