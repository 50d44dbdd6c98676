/* SPDX-License-Identifier: Apache-2.0 */
#include "common/logsink.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH_MS \
    50 /* after a wake-up the thread waits this long, so that many lines share one write */
#define RINGS_MAX 1024

/* One producer moves `head`, the sink's thread moves `tail`; both only grow, their difference is
 * what is queued. */
struct logring {
    _Alignas(64) _Atomic size_t head;
    _Atomic uint64_t dropped;
    _Alignas(64) _Atomic size_t tail;
    uint64_t told; /* of `dropped`, what the log already says; the sink's thread */
    struct logsink *sink;
    unsigned output;
    size_t mask;
    char *data;
};

struct output {
    char *name, *path;
    int dir, fd;
};

struct logsink {
    pthread_t thread;
    int wake; /* eventfd */
    atomic_bool asleep, reopen, stop, stopped;
    atomic_int parting; /* thread and stopper each add one; who comes second frees */
    unsigned output_count;
    struct output *outputs;
    pthread_mutex_t lock; /* for adding rings */
    _Atomic unsigned ring_count;
    struct logring *rings[RINGS_MAX];
};

static int open_output(const struct output *o)
{
    int fd = openat(o->dir, o->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    return fd < 0 ? -errno : fd;
}

/* Writes all of `iov`; what an error leaves unwritten counts as taken. */
static void write_out(const struct output *o, struct iovec *iov, int count)
{
    while (count > 0) {
        ssize_t n = writev(o->fd, iov, count);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return; /* a full disk must not stop the proxy; the gap shows in the file */
        }
        while (count > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
}

static bool drain(struct logsink *sink, struct logring *r)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    const struct output *o = &sink->outputs[r->output];
    if (head != tail) {
        size_t from = tail & r->mask, len = head - tail, first = MIN(len, r->mask + 1 - from);
        struct iovec iov[2] = {{r->data + from, first}, {r->data, len - first}};
        write_out(o, iov, len > first ? 2 : 1);
        atomic_store_explicit(&r->tail, head, memory_order_release);
    }
    uint64_t dropped = atomic_load_explicit(&r->dropped, memory_order_relaxed);
    if (dropped != r->told) {
        struct buf line = {0};
        buf_z(&line, "{\"time\":\"");
        clock_now_rfc3339(&line);
        buf_printf(&line, "\",\"event\":\"log lines dropped\",\"log\":\"%s\",\"count\":%llu}\n",
                   o->name, (unsigned long long)(dropped - r->told));
        struct iovec iov = {line.ptr, line.len};
        write_out(o, &iov, 1);
        buf_free(&line);
        r->told = dropped;
    }
    return head != tail;
}

static void reopen(struct logsink *sink)
{
    for (unsigned i = 0; i < sink->output_count; i++) {
        struct output *o = &sink->outputs[i];
        int fd = o->path != NULL ? open_output(o) : -1;
        if (fd >= 0) { /* else go on with the old file: better than none */
            close(o->fd);
            o->fd = fd;
        }
    }
}

static void sleep_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

static void free_sink(struct logsink *sink)
{
    for (unsigned i = 0; i < atomic_load(&sink->ring_count); i++) {
        free(sink->rings[i]->data);
        free(sink->rings[i]);
    }
    for (unsigned i = 0; i < sink->output_count; i++) {
        if (sink->outputs[i].path != NULL && sink->outputs[i].fd >= 0) {
            close(sink->outputs[i].fd);
        }
        free(sink->outputs[i].name);
        free(sink->outputs[i].path);
    }
    if (sink->wake >= 0) {
        close(sink->wake);
    }
    pthread_mutex_destroy(&sink->lock);
    free(sink->outputs);
    free(sink);
}

static void *run(void *arg)
{
    struct logsink *sink = arg;
    for (;;) {
        bool stop = atomic_load(&sink->stop), any = false;
        if (atomic_exchange(&sink->reopen, false)) {
            reopen(sink);
        }
        unsigned rings = atomic_load_explicit(&sink->ring_count, memory_order_acquire);
        for (unsigned i = 0; i < rings; i++) {
            any |= drain(sink, sink->rings[i]);
        }
        if (stop) {
            atomic_store(&sink->stopped, true);
            if (atomic_fetch_add(&sink->parting, 1) == 1) {
                free_sink(sink);
            }
            return NULL;
        }
        if (any) {
            sleep_ms(BATCH_MS);
            continue;
        }
        /* Say that we sleep, then look once more: a producer sees `asleep` or we see his line. */
        if (!atomic_exchange(&sink->asleep, true)) {
            continue;
        }
        uint64_t count;
        while (read(sink->wake, &count, sizeof(count)) < 0 && errno == EINTR) {
        }
        atomic_store(&sink->asleep, false);
        if (!atomic_load(&sink->stop)) {
            sleep_ms(BATCH_MS);
        }
    }
}

static void wake(struct logsink *sink)
{
    uint64_t one = 1;
    ssize_t ignored = write(sink->wake, &one, sizeof(one));
    (void)ignored;
}

int logsink_start(const struct logsink_output *outputs, unsigned count, struct logsink **out,
                  unsigned *failed)
{
    struct logsink *sink = xnew(struct logsink);
    pthread_mutex_init(&sink->lock, NULL);
    sink->outputs = xcalloc(count, sizeof(*sink->outputs));
    sink->wake = eventfd(0, EFD_CLOEXEC);
    *failed = 0;
    int err = sink->wake < 0 ? -errno : 0;
    for (unsigned i = 0; i < count && err == 0; i++) {
        struct output *o = &sink->outputs[sink->output_count++];
        *o = (struct output){.name = xstrdup(outputs[i].name),
                             .path = outputs[i].path != NULL ? xstrdup(outputs[i].path) : NULL,
                             .dir = outputs[i].dir,
                             .fd = outputs[i].fd};
        if (o->path != NULL) {
            o->fd = open_output(o);
            err = o->fd < 0 ? o->fd : 0;
            *failed = i;
        }
    }
    if (err == 0) {
        err = -pthread_create(&sink->thread, NULL, run, sink);
    }
    if (err != 0) {
        free_sink(sink);
        return err;
    }
    *out = sink;
    return 0;
}

struct logring *logring_new(struct logsink *sink, unsigned output, size_t size)
{
    struct logring *r = NULL;
    pthread_mutex_lock(&sink->lock);
    unsigned at = atomic_load(&sink->ring_count);
    if (at < RINGS_MAX && (size & (size - 1)) == 0) {
        r = aligned_alloc(64, sizeof(*r));
        if (r == NULL) {
            abort();
        }
        memset(r, 0, sizeof(*r));
        r->sink = sink;
        r->output = output;
        r->mask = size - 1;
        r->data = xmalloc(size);
        sink->rings[at] = r;
        atomic_store_explicit(&sink->ring_count, at + 1, memory_order_release);
    }
    pthread_mutex_unlock(&sink->lock);
    return r;
}

bool logring_put(struct logring *r, struct str line)
{
    if (r == NULL) {
        return false;
    }
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    bool fits = line.len <= r->mask + 1 - (head - tail);
    if (fits) {
        size_t from = head & r->mask, first = MIN(line.len, r->mask + 1 - from);
        memcpy(r->data + from, line.ptr, first);
        memcpy(r->data, line.ptr + first, line.len - first);
        atomic_store(&r->head, head + line.len);
    } else {
        atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
    }
    if (atomic_load(&r->sink->asleep) && atomic_exchange(&r->sink->asleep, false)) {
        wake(r->sink);
    }
    return fits;
}

void logsink_reopen(struct logsink *sink)
{
    atomic_store(&sink->reopen, true);
    wake(sink);
}

uint64_t logsink_dropped(const struct logsink *sink)
{
    uint64_t sum = 0;
    unsigned rings = atomic_load_explicit(&sink->ring_count, memory_order_acquire);
    for (unsigned i = 0; i < rings; i++) {
        sum += atomic_load_explicit(&sink->rings[i]->dropped, memory_order_relaxed);
    }
    return sum;
}

bool logsink_stop(struct logsink *sink, unsigned deadline_ms)
{
    uint64_t until = clock_ms() + deadline_ms;
    pthread_t thread = sink->thread;
    atomic_store(&sink->stop, true);
    wake(sink);
    while (!atomic_load(&sink->stopped) && clock_ms() < until) {
        sleep_ms(1);
    }
    bool stopped = atomic_load(&sink->stopped);
    if (atomic_fetch_add(&sink->parting, 1) == 1) {
        pthread_join(thread, NULL);
        free_sink(sink);
    } else if (!stopped) {
        pthread_detach(thread);
    } else {
        pthread_join(thread, NULL);
    }
    return stopped;
}
