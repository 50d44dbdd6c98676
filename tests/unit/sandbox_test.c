/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up power: which descriptors stay, and what a confined process can no longer do. */
#include "certs/sandbox.h"
#include "tests/unit/check.h"
#include "tests/unit/sanitized.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Runs `f` in a child behind the filter; its result is the child's exit status. */
static int confined(int (*f)(void))
{
    int status = 0;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct sandbox_user stay = {0};
        if (sandbox_drop(&stay) != 0 || sandbox_confine() != 0) {
            _exit(100);
        }
        _exit(f());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static int denied(long result)
{
    return result == -1 && errno == EPERM ? 0 : 1;
}

static int try_open(void)
{
    return denied(open("/etc/passwd", O_RDONLY)) |
           denied(open("/tmp/x", O_WRONLY | O_CREAT, 0600)) |
           denied(openat(AT_FDCWD, "/etc", O_RDONLY)) | denied(unlink("/tmp/photogate-none"));
}

static int try_exec(void)
{
    char *const argv[] = {(char[]){"/bin/true"}, NULL};
    return denied(execv("/bin/true", argv)) | denied(fork()) | denied(prctl(PR_SET_DUMPABLE, 1));
}

static int try_socket(void)
{
    int pair[2];
    return denied(socket(AF_INET, SOCK_STREAM, 0)) | denied(socket(AF_UNIX, SOCK_STREAM, 0)) |
           denied(connect(0, NULL, 0)) | denied(socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) |
           denied(pipe(pair)) | denied(dup(0));
}

static int try_others(void)
{
    return denied(kill(1, SIGKILL)) | denied(kill(getpid(), SIGTERM)) |
           denied(ptrace(PTRACE_ATTACH, 1, NULL, NULL)) | denied(setuid(0)) |
           denied(unshare(CLONE_NEWUSER)) | denied(chdir("/"));
}

static int try_exec_memory(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        return 2;
    }
    return (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                    MAP_FAILED
                ? 0
                : 1) |
           denied(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_usual(void)
{
    void *p = malloc(64 * 1024 * 1024); /* comes by mmap and goes by munmap */
    char byte = 0;
    memset(p, 1, 64 * 1024 * 1024);
    free(p);
    p = malloc(1000);
    free(p);
    return time(NULL) > 0 && read(-1, &byte, 1) < 0 && errno == EBADF ? 0 : 1;
}

static int try_abort(void)
{
    abort();
}

static void test_sandbox(void **state)
{
    (void)state;
    if (SANITIZED) {
        skip();
    }
    assert_int_equal(confined(try_usual), 0);
    assert_int_equal(confined(try_open), 0);
    assert_int_equal(confined(try_exec), 0);
    assert_int_equal(confined(try_socket), 0);
    assert_int_equal(confined(try_others), 0);
    assert_int_equal(confined(try_exec_memory), 0);
    assert_int_equal(confined(try_abort), 200);
}

static void test_close_others(void **state)
{
    (void)state;
    int status = 0;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int keep[3] = {900, -1, 500};
        int ok = dup2(0, 500) == 500 && dup2(0, 900) == 900 && dup2(0, 501) == 501 &&
                 dup2(0, 3) == 3 && dup2(0, 1000) == 1000;
        ok = ok && sandbox_close_others(keep, 3) == 0;
        for (int fd = 0; ok && fd < 1024; fd++) {
            ok = (fcntl(fd, F_GETFD) >= 0) == (fd < 3 || fd == 500 || fd == 900);
        }
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox),
        cmocka_unit_test(test_close_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
