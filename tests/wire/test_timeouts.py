# SPDX-License-Identifier: Apache-2.0
"""Every state has a limit of its own, an answer that fits, and a log line."""
import contextlib
import socket
import time

import pytest

from conftest import GRAPH
from harness import SLOW, TIMEOUT, Origin, Reader, answer, get, is_over, read_request, read_response, scripted, unread, wait_for


@contextlib.contextmanager
def takes(seconds):
    """What happens inside takes at least about `seconds`, and not very much longer. It has to begin before the limit does."""
    before = time.monotonic()
    yield
    spent = time.monotonic() - before
    assert 0.8 * seconds <= spent <= (3 * seconds + 2) * SLOW, f"{spent} s instead of {seconds}"


def client_limit(open_route, **limits):
    return open_route(proxy="timeouts = {" + ", ".join(f'{k} = "{v}"' for k, v in limits.items()) + "}")


def origin_limit(open_route, proxy="", **limits):
    return open_route(proxy=proxy, origin="timeouts = {" + ", ".join(f'{k} = "{v}"' for k, v in limits.items()) + "}")


# ---- what a client owes ----

def test_a_head_that_does_not_end(open_route):
    """However busily its bytes drip in."""
    route = client_limit(open_route, client_head="1s")
    with contextlib.closing(route.open()) as s, takes(1):
        s.sendall(b"GET /")
        s.settimeout(0.1)
        reader = Reader(s)
        while not reader.buffer:
            with contextlib.suppress(TimeoutError):
                reader.more()
            with contextlib.suppress(OSError):
                s.sendall(b"x")
        s.settimeout(TIMEOUT)
        r = read_response(reader)
        assert r.status == 408 and r.get("connection") == "close"
    assert route.proxy.log(status=408)


def test_a_connection_without_a_request(open_route):
    route = client_limit(open_route, client_idle="1s")
    with takes(1), contextlib.closing(route.open()) as s:
        assert is_over(s) == "eof", "nothing was asked, so nothing is answered"
    with contextlib.closing(route.open()) as s, takes(1):
        s.sendall(route.raw("/"))
        assert read_response(Reader(s)).status == 200
        s.sendall(b"\r\n")
        assert is_over(s) == "eof", "an empty line is no request either"


def test_a_body_that_does_not_come(open_route):
    route = client_limit(open_route, client_body="1s")
    with contextlib.closing(route.open()) as s, takes(1):
        s.sendall(route.raw("/", method="POST", fields="Content-Length: 10\r\n") + b"12345")
        r = read_response(Reader(s))
        assert r.status == 408 and r.get("connection") == "close" and is_over(s) == "eof"
    assert route.proxy.log(status=408, method="POST")


def test_a_body_that_drips_in_is_no_fault(open_route):
    route = client_limit(open_route, client_body="1s")
    with contextlib.closing(route.open()) as s, takes(2):
        s.sendall(route.raw("/", method="POST", fields="Content-Length: 10\r\n"))
        for _ in range(10):
            time.sleep(0.2)
            s.sendall(b"x")
        assert read_response(Reader(s)).json()["length"] == 10


def test_a_client_that_does_not_read(open_route):
    route = client_limit(open_route, client_write="1s")
    ended = []

    def stream(sock, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                sock.sendall(b"x" * 65536)
        finally:
            ended.append(time.monotonic())
    route.origin.serve = scripted(stream)
    with contextlib.closing(route.open()) as s:
        with takes(1):
            s.sendall(route.raw("/"))
            wait_for(lambda: ended)
        assert route.proxy.log(status=200, outcome="client gone")


def test_a_client_that_reads_slowly_is_no_fault(open_route):
    """Buffers of megabytes in the kernel hide it: a write of ours may take much longer than the limit, while the client reads all the time."""
    route = client_limit(open_route, client_write="1s")
    size = 16 << 20
    route.origin.serve = scripted(answer(b"s" * size))
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/"))
        reader, got = Reader(s), 0
        reader.until(b"\r\n\r\n")
        got, reader.buffer = len(reader.buffer), b""
        until = time.monotonic() + 4
        while time.monotonic() < until:
            pause = time.monotonic() + 0.2
            goal = got + 120_000
            while got < goal:
                data = s.recv(100_000)
                assert data, f"cut off after {got}"
                got += len(data)
            time.sleep(max(0, pause - time.monotonic()))
        while got < size:
            data = s.recv(1 << 20)
            assert data, f"cut off after {got}"
            got += len(data)


def test_a_handshake_that_does_not_end(run_proxy, origin):
    gate = run_proxy(origins={f"{GRAPH}:443": origin.port}, proxy='timeouts = { client_tls = "1s" }')
    with takes(1):
        s, _ = gate.tunnel(f"{GRAPH}:443")
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert is_over(s) == "eof"
    assert gate.log(event="handshake", result="the client did not finish the TLS handshake in time")
    s.close()


# ---- what an origin owes ----

def test_an_origin_that_does_not_answer(open_route):
    route = origin_limit(open_route, head="1s")
    route.origin.serve = lambda sock: (read_request(Reader(sock)), is_over(sock))
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        for method in ("GET", "POST"):
            with takes(1):
                s.sendall(route.raw("/", method=method))
                r = read_response(reader)
                assert r.status == 504 and "connection_timeout" in r.get("proxy-status") or "http_response_timeout" in r.get("proxy-status")
        route.origin.serve = route.origin.echo
        s.sendall(route.raw("/next"))
        assert read_response(reader).status == 200
    assert route.proxy.log(status=504)


def test_an_origin_that_never_says_100(open_route):
    """The client waits for it, rightly: the fault is the origin's."""
    route = origin_limit(open_route, head="1s", proxy='timeouts = { client_body = "30s" }')
    route.origin.serve = unread(lambda sock, head, reader: is_over(sock))
    with contextlib.closing(route.open()) as s, takes(1):
        s.sendall(route.raw("/", method="PUT", fields="Content-Length: 5\r\nExpect: 100-continue\r\n"))
        assert read_response(Reader(s)).status == 504


def test_a_response_that_comes_to_a_halt(open_route):
    route = origin_limit(open_route, body="1s")
    for half in (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"):
        route.origin.serve = lambda sock, half=half: (read_request(Reader(sock)), sock.sendall(half), is_over(sock))
        with contextlib.closing(route.open()) as s, takes(1):
            s.sendall(route.raw("/"))
            reader = Reader(s)
            reader.until(b"\r\n\r\n")
            assert b"0\r\n\r\n" not in reader.rest()
    wait_for(lambda: len(route.proxy.log(status=200, outcome="timed out")) == 2)


def test_a_response_head_that_comes_to_a_halt(open_route):
    route = origin_limit(open_route, body="1s", head="1s")
    route.origin.serve = lambda sock: (read_request(Reader(sock)), sock.sendall(b"HTTP/1.1 200 OK\r\nX-Half:"), is_over(sock))
    with takes(1):
        assert route.ask("/").status == 504


def test_an_origin_that_does_not_take_the_request(open_route):
    route = origin_limit(open_route, send="1s")
    route.origin.serve = unread(lambda sock, head, reader: time.sleep(20 * SLOW))
    with contextlib.closing(route.open()) as s:
        s.settimeout(0.2 * SLOW)
        with takes(1):
            s.sendall(route.raw("/", method="POST", fields=f"Content-Length: {1 << 30}\r\n"))
            with contextlib.suppress(TimeoutError):
                while True:
                    s.sendall(b"x" * 65536)
            s.settimeout(10 * SLOW)
            assert read_response(Reader(s)).status == 504
    assert route.proxy.log(status=504, detail="the origin does not take the request")


def test_an_origin_that_takes_the_request_slowly_is_no_fault(open_route):
    route = origin_limit(open_route, send=f"{int(2 * SLOW)}s")
    size = 12 << 20
    # little room in the system, else it is that which takes it all at once
    route.origin.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def slowly(sock, head, reader):
        left, until = size - len(reader.buffer), time.monotonic() + 4 * SLOW
        while left > 0:
            left -= len(sock.recv(100_000))
            time.sleep(0.1 if time.monotonic() < until else 0)
        sock.sendall(answer(b"all of it"))
    route.origin.serve = unread(slowly)
    with contextlib.closing(route.open()) as s:
        s.settimeout(30 * SLOW)
        s.sendall(route.raw("/", method="POST", body=b"x" * size))
        assert read_response(Reader(s)).body == b"all of it"


def test_a_handshake_with_the_origin_that_does_not_end(run_proxy):
    mute = Origin(serve=lambda sock: Reader(sock).rest())
    gate = run_proxy(origins={f"{GRAPH}:443": mute.port}, origin='timeouts = { tls = "1s" }')
    with takes(1):
        s, r = gate.tunnel(f"{GRAPH}:443")
    assert r.status == 504 and "connection_timeout" in r.get("proxy-status")
    assert gate.log(status=504, host=GRAPH)
    s.close()
    mute.close()


# ---- tunnels ----

@pytest.fixture
def tunnel(run_proxy):
    far = Origin(serve=lambda sock: (Reader(sock).rest(), time.sleep(5 * SLOW)))
    gate = run_proxy(origins={"far.example:443": far.port}, proxy='timeouts = { tunnel_idle = "2s", tunnel_half = "1s" }')
    yield gate, far
    far.close()


@pytest.mark.parametrize("first", [b"", b"\x01"])
def test_a_silent_tunnel(tunnel, first):
    gate, far = tunnel
    with takes(2):
        s, _ = gate.tunnel("far.example:443")
        s.sendall(first)
        assert is_over(s) == "eof"
    assert gate.log(event="tunnel")[0]["result"] == "timed out"
    s.close()


def test_a_tunnel_that_one_side_has_left(tunnel):
    gate, far = tunnel
    s, _ = gate.tunnel("far.example:443")
    s.sendall(b"\x01")
    with takes(1):
        s.shutdown(socket.SHUT_WR)
        assert is_over(s) == "eof"
    s.close()
    far.serve = lambda sock: sock.shutdown(socket.SHUT_WR) or time.sleep(5)
    with takes(1):
        s, _ = gate.tunnel("far.example:443")
        wait_for(lambda: gate.sockets() == 0)
    s.close()


def test_a_tunnel_that_is_used_goes_on(tunnel):
    gate, far = tunnel
    far.serve = lambda sock: [sock.sendall(sock.recv(1)) for _ in range(8)]
    s, _ = gate.tunnel("far.example:443")
    for _ in range(8):
        time.sleep(0.5)
        s.sendall(b"\x01")
        assert s.recv(1) == b"\x01"
    s.close()


def test_an_upgraded_connection_has_the_limits_of_a_tunnel(open_route):
    route = client_limit(open_route, tunnel_idle="1s", client_idle="30s")
    route.origin.serve = unread(lambda sock, head, reader: (sock.sendall(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"), is_over(sock)))
    with contextlib.closing(route.open()) as s:
        with takes(1):
            s.sendall(route.raw("/", fields="Connection: Upgrade\r\nUpgrade: chat\r\n"))
            assert read_response(Reader(s)).status == 101
            assert is_over(s) in ("eof", "reset")


def test_a_pool_without_room_is_waited_for_with_a_limit(open_route):
    """connect + tls + connect, then 504."""
    route = open_route(origin='connections_max = 1\ntimeouts = { connect = "300ms", tls = "300ms" }')
    route.origin.serve = scripted(lambda sock, request: is_over(sock))
    with contextlib.closing(route.open()) as busy, contextlib.closing(route.open()) as waits:
        busy.sendall(route.raw("/"))
        time.sleep(0.2)
        with takes(0.9):
            waits.sendall(route.raw("/"))
            r = read_response(Reader(waits))
        assert r.status == 504 and b"became free" in r.body


def test_a_get_inside_is_answered_while_another_waits(gate, origin):
    """One client's wait is nobody else's."""
    origin.serve = lambda sock: (read_request(Reader(sock)), is_over(sock))
    with contextlib.closing(gate.tls(GRAPH)) as s:
        s.sendall(get("/"))
        time.sleep(0.1)
        origin.serve = origin.echo
        assert gate.request(GRAPH, get("/other")).status == 200
