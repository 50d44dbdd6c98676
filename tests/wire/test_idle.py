# SPDX-License-Identifier: Apache-2.0
"""Connections that do nothing: many are held, each is answered afterwards, and none costs much meanwhile.

PHOTOGATE_IDLE="10000 2000" says how many tunnels and intercepted connections; the suite makes do with fewer.
"""
import contextlib
import os
import pathlib
import re
import resource
import selectors
import socket
import threading

from conftest import GRAPH, TUNNELLED
from harness import SLOW, Origin, Reader, get, pem_of, read_response, server_context, wait_for

TUNNELS, INTERCEPTED = map(int, os.environ.get("PHOTOGATE_IDLE", "2000 400").split())
# Well above what was measured (tests/bench/README.md); a sanitizer's figures would be about itself.
TUNNEL_MAX, INTERCEPTED_MAX = 6 << 10, 48 << 10


class Echo:
    """A server for thousands of connections on one thread: what comes goes back."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.over = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over:
            for key, _ in self.selector.select(0.2):
                if key.fileobj is self.listener:
                    self.selector.register(self.listener.accept()[0], selectors.EVENT_READ)
                    continue
                data = b""
                with contextlib.suppress(OSError):
                    data = key.fileobj.recv(4096)
                    key.fileobj.sendall(data)
                if not data:
                    self.selector.unregister(key.fileobj)
                    key.fileobj.close()

    def close(self):
        self.over = True
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()


def pss(proxy):
    """The network process's share of memory, in bytes."""
    text = pathlib.Path(f"/proc/{proxy.children()['network']}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1)) << 10


def cost(what, count, before, after, limit):
    each = (after - before) / max(count, 1)
    print(f"{count} idle {what}: {each:.0f} bytes each in the proxy")
    assert SLOW > 1 or each < limit


def files_allowed(need):
    """Raises the limit of open files, here and so in the proxy, and says what it is then; not everybody may raise it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for ceiling in (max(hard, need), hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(need, ceiling)), ceiling))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_idle_connections_are_held_and_answered(run_proxy, authority, tmp_path):
    spare = 200 + INTERCEPTED
    count = min(TUNNELS, (files_allowed(2 * TUNNELS + spare) - spare) // 2)  # a tunnel is two files, there and here
    site = Origin(server_context(pem_of(*authority.leaf(GRAPH)), tmp_path))
    limits = 'timeouts = { client_idle = "30m", tunnel_idle = "30m" }'
    with contextlib.ExitStack() as stack:
        far = stack.enter_context(contextlib.closing(Echo()))
        stack.callback(site.close)
        gate = run_proxy(origins={f"{GRAPH}:443": site.port, f"{TUNNELLED}:443": far.port}, proxy=limits)

        def tunnel():
            s, head = gate.tunnel(f"{TUNNELLED}:443")
            assert head.status == 200
            stack.enter_context(contextlib.closing(s))
            s.sendall(b"\0one")
            assert Reader(s).exactly(4) == b"\0one"
            return s

        context = gate.client_context()

        def intercepted():
            s = stack.enter_context(contextlib.closing(gate.tls(GRAPH, context=context)))
            s.sendall(get("/one"))
            assert read_response(Reader(s)).status == 200
            return s

        for _ in range(20):  # what is allocated once
            tunnel(), intercepted()
        before = pss(gate)
        tunnels = [tunnel() for _ in range(count)]
        cost("tunnels", count, before, between := pss(gate), TUNNEL_MAX)
        others = [intercepted() for _ in range(INTERCEPTED)]
        cost("intercepted connections", INTERCEPTED, between, pss(gate), INTERCEPTED_MAX)
        assert gate.sockets() >= 2 * count + INTERCEPTED
        for s in tunnels:
            s.sendall(b"two")
        for s in tunnels:
            assert Reader(s).exactly(3) == b"two"
        for s in others:
            s.sendall(get("/two"))
            assert read_response(Reader(s)).json()["target"] == "/two"
    wait_for(lambda: gate.sockets() <= site.connections, 30 * SLOW)
