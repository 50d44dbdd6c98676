/* SPDX-License-Identifier: Apache-2.0 */
/* The log thread: nothing lost while it keeps up, counted drops when it cannot, rotation, a stuck
 * output at the end. */
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/logsink.h"
#include "common/mem.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/photogate-test-XXXXXX", 27);
    return mkdtemp(dir) == NULL;
}

static int drop_dir(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/log", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/log.1", dir);
    unlink(path);
    return rmdir(dir);
}

static struct logsink *start(struct logsink_output *o)
{
    static char path[128];
    unsigned failed;
    struct logsink *sink;
    snprintf(path, sizeof(path), "%s/log", dir);
    if (o->fd == 0) {
        *o = (struct logsink_output){.name = "t", .path = path, .dir = AT_FDCWD};
    }
    assert_int_equal(logsink_start(o, 1, &sink, &failed), 0);
    return sink;
}

static size_t count_lines(const char *name, const char *containing)
{
    char path[128];
    struct buf b = {0};
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(file_read(AT_FDCWD, path, 64u << 20, &b), 0);
    struct str rest = buf_view(&b), line;
    size_t n = 0;
    while (str_cut(&rest, '\n', &line)) {
        n += line.len > 0 && str_find(line, str_z(containing)) >= 0;
    }
    buf_free(&b);
    return n;
}

struct producer {
    struct logring *ring;
    size_t lines, accepted;
    pthread_t thread;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (size_t i = 0; i < p->lines; i++) {
        char line[64];
        int n = snprintf(line, sizeof(line), "line %zu of many, some longer than others%.*s\n", i,
                         (int)(i % 9), "xxxxxxxxx");
        p->accepted += logring_put(p->ring, str_of(line, (size_t)n));
    }
    return NULL;
}

static void test_all_arrive_or_are_counted(void **state)
{
    (void)state;
    struct logsink_output o = {0};
    struct logsink *sink = start(&o);
    struct producer p[4];
    for (size_t i = 0; i < 4; i++) {
        p[i] = (struct producer){.ring = logring_new(sink, 0, i == 0 ? 4096 : 1u << 20),
                                 .lines = 5000};
        pthread_create(&p[i].thread, NULL, produce, &p[i]);
    }
    size_t accepted = 0;
    for (size_t i = 0; i < 4; i++) {
        pthread_join(p[i].thread, NULL);
        accepted += p[i].accepted;
    }
    assert_int_equal(p[1].accepted, 5000);
    assert_int_equal(logsink_dropped(sink), 20000 - accepted);
    assert_true(accepted < 20000); /* the small ring must have overflowed */
    assert_true(logsink_stop(sink, 5000));
    assert_int_equal(count_lines("log", "of many, some longer than others"), accepted);
    assert_true(count_lines("log", "log lines dropped") >= 1);
}

static void test_reopen(void **state)
{
    (void)state;
    struct logsink_output o = {0};
    struct logsink *sink = start(&o);
    struct logring *ring = logring_new(sink, 0, 4096);
    char from[128], to[128];
    assert_true(logring_put(ring, STR("first\n")));
    usleep(200000);
    snprintf(from, sizeof(from), "%s/log", dir);
    snprintf(to, sizeof(to), "%s/log.1", dir);
    assert_int_equal(rename(from, to), 0);
    logsink_reopen(sink);
    usleep(200000);
    assert_true(logring_put(ring, STR("second\n")));
    assert_true(logsink_stop(sink, 5000));
    assert_int_equal(count_lines("log.1", "first"), 1);
    assert_int_equal(count_lines("log", "second"), 1);
}

static void test_stuck_output(void **state)
{
    (void)state;
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    struct logsink_output o = {.name = "stuck", .fd = pipe_fd[1]};
    struct logsink *sink = start(&o);
    struct logring *ring = logring_new(sink, 0, 1u << 17);
    char line[1024];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    uint64_t before = clock_ms();
    for (int i = 0; i < 1000; i++) {
        (void)logring_put(ring, str_of(line, sizeof(line)));
    }
    assert_true(clock_ms() - before < 1000);
    assert_true(logsink_dropped(sink) > 0);
    assert_false(logsink_stop(sink, 200));
    close(pipe_fd[0]); /* frees the thread: EPIPE */
    usleep(100000);
}

static void test_bad_path(void **state)
{
    (void)state;
    struct logsink_output o = {.name = "t", .path = "/nonexistent/dir/log", .dir = AT_FDCWD};
    struct logsink *sink;
    unsigned failed;
    assert_int_equal(logsink_start(&o, 1, &sink, &failed), -ENOENT);
    assert_int_equal(failed, 0);
}

static void test_lines(void **state)
{
    (void)state;
    struct logsink_output o = {0};
    struct logsink *sink = start(&o);
    log_attach(logring_new(sink, 0, 4096));
    log_setup(LOG_INFO, LOG_TEXT);
    log_info("origin connected", L_Z("host", "graph.microsoft.com"), L_NUM("port", 443),
             L_Z("why", "two words"));
    log_debug("never", L_NONE);
    log_setup(LOG_DEBUG, LOG_JSON);
    log_debug("now", L_Z("text", "a\"b\n"));
    log_setup(LOG_INFO, LOG_TEXT);
    log_attach(NULL);
    assert_true(logsink_stop(sink, 5000));
    assert_int_equal(
        count_lines("log",
                    " info  origin connected host=graph.microsoft.com port=443 why=\"two words\""),
        1);
    assert_int_equal(
        count_lines("log", "\"level\":\"debug\",\"event\":\"now\",\"text\":\"a\\\"b\\n\"}"), 1);
    assert_int_equal(count_lines("log", "never"), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_arrive_or_are_counted, make_dir, drop_dir),
        cmocka_unit_test_setup_teardown(test_reopen, make_dir, drop_dir),
        cmocka_unit_test(test_stuck_output),
        cmocka_unit_test(test_bad_path),
        cmocka_unit_test_setup_teardown(test_lines, make_dir, drop_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
