/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/listen.h"

#include "common/err.h"
#include "common/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

int listen_open(const struct ip *ip, unsigned port, bool shared)
{
    struct sockaddr_storage at;
    ip_to_sockaddr(ip, port, &at);
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    if (fd < 0) {
        return -errno;
    }
    socklen_t len =
        at.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    /* An IPv6 listener takes IPv6 only: 0.0.0.0 and :: can then both be listed, and neither
     * surprises. */
    bool ok = (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
              (at.ss_family == AF_INET ||
               setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
              bind(fd, (struct sockaddr *)&at, len) == 0;
    if (!ok) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    struct conn *c;
    if (status == 0 && (status = conn_accept(l->worker, server, &c)) == 0) {
        l->accepted(l, c);
    }
    if (status != 0) {
        log_warn("cannot accept a connection", L_Z("reason", err_str(status)));
    }
    worker_drain(l->worker);
}

int listen_start(struct listener *l, struct worker *w, int fd,
                 void (*accepted)(struct listener *l, struct conn *c), void *owner)
{
    *l = (struct listener){.worker = w, .accepted = accepted, .owner = owner};
    int err = uv_tcp_init(&w->loop, &l->tcp);
    if (err == 0) {
        err = uv_tcp_open(&l->tcp, fd);
    }
    l->tcp.data = l;
    if (err == 0) {
        err = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    }
    l->open = err == 0;
    return err;
}

void listen_drain(struct listener *l)
{
    uv_os_fd_t fd;
    if (!l->open || uv_fileno((uv_handle_t *)&l->tcp, &fd) != 0) {
        return;
    }
    l->open = false;
    for (;;) {
        struct conn *c;
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0) {
            break;
        }
        if (conn_adopt(l->worker, client, &c) == 0) {
            l->accepted(l, c);
        }
    }
    uv_close((uv_handle_t *)&l->tcp, NULL);
}
