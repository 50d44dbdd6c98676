/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/conn.h"

#include "common/err.h"
#include "common/mem.h"
#include "proxy/net/tls.h"

#include <assert.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define WRITE_IOVS   16 /* chunks of one write */
#define LINGER_MAX   ((uint64_t)64 << 20)
#define BREAK_OFF_MS 2000

static struct conn *conn_of(void *p)
{
    struct conn *c = p;
    assert(c->magic == CONN_MAGIC);
    return c;
}

struct conn *conn_of_dirty(struct list *link)
{
    return conn_of(LIST_OF(link, struct conn, dirty));
}

struct conn *conn_of_dying(struct list *link)
{
    return conn_of(LIST_OF(link, struct conn, dying));
}

static struct conn *make(struct worker *w)
{
    struct conn *c = xnew(struct conn);
    c->magic = CONN_MAGIC;
    c->worker = w;
    c->out.pool = &w->chunks;
    list_init(&c->dirty);
    list_init(&c->dying);
    c->tcp.data = c;
    c->write.data = c;
    w->conns++;
    return c;
}

static void discard(struct conn *c)
{
    c->worker->conns--;
    c->magic = 0;
    free(c);
}

int conn_new(struct worker *w, int family, struct conn **out)
{
    struct conn *c = make(w);
    int err = uv_tcp_init_ex(&w->loop, &c->tcp, (unsigned)family);
    if (err != 0) {
        discard(c);
        return err;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    *out = c;
    return 0;
}

static void on_refused_closed(uv_handle_t *handle)
{
    discard(conn_of(handle->data));
}

/* Notes who is at either end, or gives up the connection. */
static int settle(struct conn *c, int err, struct conn **out)
{
    struct sockaddr_storage peer, local;
    int peer_len = sizeof(peer), local_len = sizeof(local);
    if (err == 0) {
        err = uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &peer_len);
    }
    if (err == 0) {
        err = uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&local, &local_len);
    }
    if (err != 0) {
        uv_close((uv_handle_t *)&c->tcp, on_refused_closed);
        return err;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    c->peer_ip = ip_of_sockaddr((struct sockaddr *)&peer);
    c->peer_port = (uint16_t)port_of_sockaddr((struct sockaddr *)&peer);
    c->local_port = (uint16_t)port_of_sockaddr((struct sockaddr *)&local);
    *out = c;
    return 0;
}

int conn_accept(struct worker *w, uv_stream_t *server, struct conn **out)
{
    struct conn *c = make(w);
    int err = uv_tcp_init(&w->loop, &c->tcp);
    if (err != 0) {
        discard(c);
        return err;
    }
    return settle(c, uv_accept(server, (uv_stream_t *)&c->tcp), out);
}

int conn_adopt(struct worker *w, int fd, struct conn **out)
{
    struct conn *c = make(w);
    int err = uv_tcp_init(&w->loop, &c->tcp);
    if (err != 0) {
        close(fd);
        discard(c);
        return err;
    }
    err = uv_tcp_open(&c->tcp, fd);
    if (err != 0) {
        close(fd);
    }
    return settle(c, err, out);
}

void conn_own(struct conn *c, const struct conn_ops *ops, void *owner)
{
    c->ops = ops;
    c->owner = owner;
}

static void set_error(struct conn *c, int err)
{
    if (c->error == 0) {
        c->error = err;
        conn_mark_dirty(c);
    }
}

/*
 * The peer takes no more. What it sent before may still be there, a server's early answer above
 * all: as long as we read, the end is found there, after that.
 */
static void set_deaf(struct conn *c, int err)
{
    c->deaf = true;
    bytes_free(&c->out);
    for (size_t i = 0; i < 2; i++) {
        if (c->tls[i] != NULL) {
            tls_drop_output(c->tls[i]);
        }
    }
    if (!c->reading) {
        set_error(c, err);
    }
}

/* Reading. */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    (void)hint;
    struct conn *c = conn_of(handle->data);
    *buf = uv_buf_init((char *)c->worker->slab[0], SLAB_SIZE);
}

void conn_deliver(struct conn *c, const uint8_t *p, size_t len)
{
    c->bytes_in += len;
    if (c->linger) {
        if (c->bytes_in > LINGER_MAX) {
            conn_close(c);
        }
        return;
    }
    c->ops->data(c, p, len);
}

void conn_deliver_eof(struct conn *c)
{
    if (c->closed || c->eof) {
        return;
    }
    c->eof = true;
    if (c->linger) {
        conn_close(c);
        return;
    }
    c->ops->eof(c);
}

bool conn_end_is_certain(const struct conn *c)
{
    return c->top == NULL || c->top->state == TLS_ENDED;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = conn_of(stream->data);
    struct worker *w = c->worker;
    if (n > 0) {
        if (c->tls[0] != NULL && !c->linger) {
            tls_feed(c->tls[0], (const uint8_t *)buf->base, (size_t)n);
        } else {
            conn_deliver(c, (const uint8_t *)buf->base, (size_t)n);
        }
    } else if (n == UV_EOF) {
        (void)uv_read_stop(stream);
        c->reading = false;
        if (c->tls[0] != NULL && !c->linger) {
            tls_feed_eof(c->tls[0]);
        } else {
            conn_deliver_eof(c);
        }
    } else if (n < 0) {
        set_error(c, (int)n);
    }
    worker_drain(w);
}

static void update_reading(struct conn *c)
{
    bool want = c->pause == 0 && !c->closed && !c->eof && (c->ops != NULL || c->linger);
    if (want == c->reading) {
        return;
    }
    c->reading = want;
    if (!want) {
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
        return;
    }
    int err = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    if (err != 0) {
        set_error(c, err);
    }
}

void conn_read(struct conn *c)
{
    update_reading(c);
}

void conn_stop(struct conn *c, enum conn_pause why)
{
    c->pause |= (unsigned)why;
    update_reading(c);
}

void conn_go_on(struct conn *c, enum conn_pause why)
{
    c->pause &= ~(unsigned)why;
    update_reading(c);
}

/* Writing. */

void conn_mark_dirty(struct conn *c)
{
    if (!c->closed && list_is_empty(&c->dirty)) {
        list_append(&c->worker->dirty, &c->dirty);
    }
}

void conn_write(struct conn *c, const void *data, size_t len)
{
    if (c->closed || c->finish || c->deaf || len == 0) {
        return;
    }
    c->bytes_out += len;
    if (c->top != NULL) {
        tls_put(c->top, data, len);
    } else {
        bytes_append(&c->out, data, len);
    }
    conn_mark_dirty(c);
}

void conn_write_now(struct conn *c, const void *data, size_t len)
{
    if (c->top != NULL || c->closed || c->finish || c->writing || c->out.len > 0 || c->error != 0) {
        conn_write(c, data, len);
        return;
    }
    uv_buf_t buf = {.base = (char *)(uintptr_t)data, .len = len};
    int n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (n < 0 && n != UV_EAGAIN) {
        set_deaf(c, n);
        return;
    }
    size_t done = n > 0 ? (size_t)n : 0;
    c->bytes_out += done;
    c->sent += done;
    conn_write(c, (const uint8_t *)data + done, len - done);
}

size_t conn_backlog(const struct conn *c)
{
    size_t sum = c->out.len;
    for (size_t i = 0; i < 2; i++) {
        sum += c->tls[i] != NULL ? tls_backlog(c->tls[i]) : 0;
    }
    return sum;
}

bool conn_is_full(struct conn *c)
{
    c->was_full |= !c->deaf && conn_backlog(c) >= CONN_HIGH;
    return c->was_full;
}

/* Bytes that the kernel has and the peer has not acknowledged. */
static size_t unacknowledged(const struct conn *c)
{
    uv_os_fd_t fd;
    int n = 0;
    bool known = uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 && ioctl(fd, SIOCOUTQ, &n) == 0;
    return known && n > 0 ? (size_t)n : 0;
}

bool conn_has_taken(struct conn *c)
{
    uint64_t sent = c->sent;
    if (c->writing) {
        sent += c->in_flight - uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
    }
    uint64_t acked = sent - unacknowledged(c), before = c->acked;
    c->acked = acked;
    return acked != before;
}

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = conn_of(req->data);
    struct worker *w = c->worker;
    c->writing = false;
    if (c->closed) {
        return; /* canceled; the chunks go with the connection */
    }
    if (status != 0) {
        set_deaf(c, status);
    } else {
        bytes_drop(&c->out, c->in_flight);
        c->sent += c->in_flight;
    }
    conn_mark_dirty(c);
    worker_drain(w);
}

/* Sends as much of the queue as the socket takes, and leaves a write under way when it takes no
 * more. */
static void send_out(struct conn *c)
{
    while (c->out.len > 0 && !c->writing && c->error == 0) {
        struct iovec iov[WRITE_IOVS];
        uv_buf_t bufs[WRITE_IOVS];
        size_t count = bytes_peek(&c->out, iov, WRITE_IOVS), sum = 0;
        for (size_t i = 0; i < count; i++) {
            bufs[i] = uv_buf_init(iov[i].iov_base, (unsigned)iov[i].iov_len);
            sum += iov[i].iov_len;
        }
        int n = uv_try_write((uv_stream_t *)&c->tcp, bufs, (unsigned)count);
        if (n >= 0) {
            bytes_drop(&c->out, (size_t)n);
            c->sent += (size_t)n;
            if ((size_t)n == sum) {
                continue;
            }
        } else if (n != UV_EAGAIN) {
            set_deaf(c, n);
            return;
        }
        count = bytes_peek(&c->out, iov, WRITE_IOVS);
        c->in_flight = 0;
        for (size_t i = 0; i < count; i++) {
            bufs[i] = uv_buf_init(iov[i].iov_base, (unsigned)iov[i].iov_len);
            c->in_flight += iov[i].iov_len;
        }
        int err = uv_write(&c->write, (uv_stream_t *)&c->tcp, bufs, (unsigned)count, on_written);
        if (err != 0) {
            set_deaf(c, err);
            return;
        }
        c->writing = true;
    }
}

/* Seals what waits in the TLS layers, top first, as long as the socket's queue is not full. True
 * when some is left. */
static bool seal_all(struct conn *c)
{
    bool left = false;
    for (int layer = 1; layer >= 0; layer--) {
        if (c->tls[layer] != NULL && c->error == 0) {
            int err = tls_seal(c->tls[layer], CONN_HIGH);
            if (err != 0) {
                set_error(c, err);
            }
            left |= tls_backlog(c->tls[layer]) > 0;
        }
    }
    return left;
}

static void finish_now(struct conn *c)
{
    for (int layer = 1; layer >= 0; layer--) {
        if (c->tls[layer] != NULL) {
            tls_close_notify(c->tls[layer]);
            (void)seal_all(c);
        }
    }
    send_out(c);
    if (c->out.len > 0 || c->writing) {
        return; /* close_notify is on its way; the next flush sends the FIN */
    }
    uv_os_fd_t fd;
    c->finished = true;
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
        (void)shutdown(fd,
                       SHUT_WR); /* fails only when the connection is gone, which the read tells */
    }
}

static void on_linger_over(struct timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    bool pending = conn_backlog(c) > 0 || unacknowledged(c) > 0;
    if (pending && conn_has_taken(c)) {
        timer_set(&c->worker->timers, t, c->linger_write_ms, on_linger_over);
    } else {
        conn_close(c);
    }
}

void conn_flush(struct conn *c)
{
    list_drop(&c->dirty);
    if (c->closed) {
        return;
    }
    for (bool more = true; more && !c->writing && c->error == 0 && !c->deaf;) {
        more = seal_all(c) && c->out.len > 0; /* else what is left waits for its handshake */
        send_out(c);
    }
    if (c->finish && !c->finished && c->error == 0 && !c->writing && conn_backlog(c) == 0) {
        if (c->deaf) {
            c->finished = true;
        } else {
            finish_now(c);
        }
        if (c->finished && c->ops != NULL && c->ops->finished != NULL) {
            c->ops->finished(c);
        }
        if (c->closed) {
            return;
        }
    }
    if (c->error != 0) {
        if (c->linger) {
            conn_close(c);
        } else if (c->ops != NULL) {
            c->ops->failed(c, c->error);
        }
        return;
    }
    if (c->linger && c->finished) {
        if (c->eof) {
            conn_close(c);
        } else if (c->linger_ms > 0) { /* once */
            timer_set(&c->worker->timers, &c->timer, c->linger_ms, on_linger_over);
            c->linger_ms = 0;
        }
        return;
    }
    if (c->was_full && (c->deaf || conn_backlog(c) < CONN_LOW)) {
        c->was_full = false;
        if (c->ops != NULL && c->ops->room != NULL && !c->linger) {
            c->ops->room(c);
        }
    }
}

void conn_finish(struct conn *c)
{
    if (!c->finish) {
        c->finish = true;
        conn_mark_dirty(c);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = conn_of(handle->data);
    for (int layer = 1; layer >= 0; layer--) {
        tls_free(c->tls[layer]);
    }
    bytes_free(&c->out);
    discard(c);
}

void conn_close(struct conn *c)
{
    if (c->closed) {
        return;
    }
    c->closed = true;
    timer_clear(&c->timer);
    list_drop(&c->dirty);
    if (c->reading) {
        c->reading = false;
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
    }
    list_drop(&c->dying); /* it may linger */
    list_append(&c->worker->dying, &c->dying);
}

void conn_destroy(struct conn *c)
{
    list_drop(&c->dying);
    if (!c->reset || uv_tcp_close_reset(&c->tcp, on_closed) != 0) {
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}

void conn_reset(struct conn *c)
{
    c->reset = true;
    conn_close(c);
}

void conn_linger(struct conn *c, uint64_t write_ms, uint64_t ms)
{
    if (c->closed || c->linger) {
        return;
    }
    if (c->error != 0) {
        conn_close(c);
        return;
    }
    c->linger = true;
    c->linger_write_ms = write_ms;
    c->linger_ms = ms;
    c->ops = NULL;
    c->owner = NULL;
    c->bytes_in = 0;
    c->pause = 0;
    list_append(&c->worker->lingering, &c->dying);
    timer_set(&c->worker->timers, &c->timer, write_ms, on_linger_over);
    conn_finish(c);
    conn_mark_dirty(c);
    update_reading(c);
}

void conn_break_off(struct conn *c, uint64_t write_ms)
{
    if (conn_backlog(c) > 0 || unacknowledged(c) > 0) {
        conn_linger(c, write_ms, BREAK_OFF_MS);
    } else {
        conn_reset(c);
    }
}
