# SPDX-License-Identifier: Apache-2.0
"""Connections to origins: shared where that is safe, one client's own where a login is bound to them."""
import contextlib
import ssl
import threading
import time

import pytest

from conftest import GRAPH, OUTLOOK
from harness import SLOW, HandTls, Origin, Reader, answer, get, is_over, pem_of, read_request, read_response, reset, scripted, server_context, wait_for

NTLM = "Authorization: NTLM TlRMTVNTUAABAAAA\r\n"


def whoami(sock):
    """A server that logs connections in, as IIS does with NTLM: whoever comes on a connection is the one who logged it in."""
    reader, user = Reader(sock), None
    while True:
        request = read_request(reader)
        login = request.get("authorization", "")
        if login.split(" ")[0].lower() in ("ntlm", "negotiate"):
            user = login.split(" ")[1]
        sock.sendall(answer((user or "nobody").encode()))


def test_connections_are_shared_by_clients_but_not_by_hosts(gate, origin):
    for host in (GRAPH, GRAPH, OUTLOOK, GRAPH, OUTLOOK):
        assert gate.request(host, get("/", host)).status == 200
    assert origin.connections == 2
    assert sorted(set(origin.snis)) == [GRAPH, OUTLOOK]


def test_a_scheme_and_a_port_are_part_of_the_key(run_proxy, origin, plain):
    gate = run_proxy(origins={f"{GRAPH}:443": origin.port, f"{GRAPH}:80": plain.port, "plain.example:8080": plain.port,
                              "plain.example:80": plain.port})
    for target in ("plain.example", "plain.example:8080", GRAPH, "plain.example:80"):
        assert gate.ask(f"GET http://{target}/x HTTP/1.1\r\nHost: x\r\n\r\n".encode()).status == 200
    assert gate.request(GRAPH, get()).status == 200
    assert plain.connections == 3 and origin.connections == 1


def test_as_many_connections_as_requests_at_once(route):
    gathered = threading.Barrier(5)

    def together(sock):
        reader = Reader(sock)
        while True:
            read_request(reader)
            gathered.wait(20 * SLOW)
            sock.sendall(answer(b"ok"))
    route.origin.serve = together
    clients = [route.open() for _ in range(5)]
    for _ in range(3):
        for c in clients:
            c.sendall(route.raw("/"))
        for c in clients:
            assert read_response(Reader(c)).body == b"ok"
    assert route.origin.connections == 5
    for c in clients:
        c.close()


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate", "nTlM"])
def test_nobody_rides_on_another_ones_login(route, scheme):
    route.origin.serve = whoami
    alice, bob = route.open(), route.open()
    a, b = Reader(alice), Reader(bob)
    alice.sendall(route.raw("/", fields=f"Authorization: {scheme} alice\r\n"))
    assert read_response(a).body == b"alice"
    for _ in range(3):
        bob.sendall(route.raw("/"))
        assert read_response(b).body == b"nobody"
        alice.sendall(route.raw("/"))
        assert read_response(a).body == b"alice", "the login holds on her own connection"
    bob.sendall(route.raw("/", fields=f"Authorization: {scheme} bob\r\n"))
    assert read_response(b).body == b"bob"
    alice.sendall(route.raw("/"))
    assert read_response(a).body == b"alice"
    alice.close()
    wait_for(lambda: route.proxy.log())
    assert route.ask("/").body == b"nobody", "her connection went with her"
    bob.close()


def test_pipelined_requests_behind_a_login_stay_with_it(route):
    route.origin.serve = whoami
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/1") + route.raw("/2", fields="Authorization: Negotiate alice\r\n") + route.raw("/3") + route.raw("/4"))
        reader = Reader(s)
        assert [read_response(reader).body for _ in range(4)] == [b"nobody", b"alice", b"alice", b"alice"]
    assert route.ask("/").body == b"nobody"


@pytest.mark.parametrize("challenge", ["WWW-Authenticate: Negotiate oYG2\r\n", "WWW-Authenticate: Basic realm=\"x\", NTLM\r\n",
                                       "WWW-Authenticate: Bearer\r\nWWW-Authenticate: NTLM TlRM\r\n"])
def test_a_challenge_makes_the_connection_the_clients_own(route, challenge):
    route.origin.serve = scripted(answer(b"", "401 Unauthorized", challenge), answer(b"same"))
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/"))
        assert read_response(reader).status == 401
        route.origin.serve = scripted(answer(b"another connection"))
        assert route.ask("/").body == b"another connection"
        s.sendall(route.raw("/", fields=NTLM))
        assert read_response(reader).body == b"same"


def test_an_origin_that_asks_for_a_certificate_is_not_shared(run_proxy, authority, tmp_path):
    context = server_context(pem_of(*authority.leaf(GRAPH)), tmp_path)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=authority.pem.decode())
    o = Origin(context)
    gate = run_proxy(origins={f"{GRAPH}:443": o.port})
    with contextlib.closing(gate.tls(GRAPH)) as a, contextlib.closing(gate.tls(GRAPH)) as b:
        for s in (a, b, a, b):
            s.sendall(get())
            assert read_response(Reader(s)).status == 200
        assert o.connections == 2
    o.close()


def test_unused_connections_are_closed(open_route):
    closed = []

    def serve(sock):
        reader = Reader(sock)
        with contextlib.suppress(EOFError):
            while True:
                read_request(reader)
                sock.sendall(answer(b"ok"))
        closed.append(time.monotonic())
    route = open_route(origin='timeouts = { idle = "1s" }')
    route.origin.serve = serve
    before = time.monotonic()
    assert route.ask("/").body == b"ok"
    wait_for(lambda: closed)
    assert closed[0] - before > 0.9
    assert route.ask("/").body == b"ok"
    assert route.origin.connections == 2


def test_connections_grow_old(open_route):
    route = open_route(origin='timeouts = { age = "1s" }')
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        until = time.monotonic() + 1.6
        while time.monotonic() < until:
            s.sendall(route.raw("/"))
            assert read_response(reader).status == 200
            time.sleep(0.05)
    assert 2 <= route.origin.connections <= 3


def test_connection_close_is_believed(route):
    route.origin.serve = scripted(answer(b"1", fields="Connection: close\r\n"))
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        for _ in range(3):
            s.sendall(route.raw("/"))
            r = read_response(reader)
            assert r.body == b"1" and r.get("connection") is None
    assert route.origin.connections == 3


def test_no_more_connections_than_allowed_others_wait(open_route):
    now, most, lock = [0], [0], threading.Lock()

    def serve(sock):
        reader = Reader(sock)
        while True:
            read_request(reader)
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            sock.sendall(answer(b"ok"))
    route = open_route(origin="connections_max = 2")
    route.origin.serve = serve
    clients = [route.open() for _ in range(20)]
    for c in clients:
        c.sendall(route.raw("/"))
    for c in clients:
        assert read_response(Reader(c)).body == b"ok"
        c.close()
    assert most[0] <= 2 and route.origin.connections <= 2


def test_clients_own_connections_make_room_for_others(open_route):
    """With every allowed connection logged in as someone, others must not wait for their idle limit."""
    route = open_route(origin="connections_max = 2")
    route.origin.serve = whoami
    owners = [route.open() for _ in range(2)]
    for i, s in enumerate(owners):
        s.sendall(route.raw("/", fields=f"Authorization: NTLM user{i}\r\n"))
        assert read_response(Reader(s)).body == f"user{i}".encode()
    before = time.monotonic()
    for _ in range(3):
        assert route.ask("/").body == b"nobody"
    assert time.monotonic() - before < 5 * SLOW
    for s in owners:
        s.close()


def test_who_waits_for_a_connection_may_go(open_route):
    route = open_route(origin="connections_max = 1")
    go = threading.Event()

    def serve(sock):
        reader = Reader(sock)
        while True:
            target = read_request(reader).target
            if target == "/slow":
                go.wait(20 * SLOW)
            sock.sendall(answer(target.encode()))
    route.origin.serve = serve
    first, second, third = (route.open() for _ in range(3))
    first.sendall(route.raw("/slow"))
    time.sleep(0.2)
    second.sendall(route.raw("/gone"))
    third.sendall(route.raw("/stays"))
    time.sleep(0.2)
    second.close()
    time.sleep(0.1)
    go.set()
    assert read_response(Reader(first)).body == b"/slow"
    assert read_response(Reader(third)).body == b"/stays"
    for s in (first, third):
        s.close()


@pytest.mark.parametrize("end", ["close", "goodbye", "more"])
def test_a_connection_that_ends_as_it_is_handed_on(run_proxy, authority, tmp_path, end):
    """The end comes in the segment of the response, and another client waits for the connection."""
    context = server_context(pem_of(*authority.leaf(GRAPH)), tmp_path)
    waiting = threading.Event()

    def serve(sock):
        tls = HandTls(sock, context).handshake()
        reader = Reader(tls)
        while True:
            target = read_request(reader).target
            if target != "/0":
                tls.sendall(answer(target.encode()))
                continue
            waiting.wait(20 * SLOW)
            tls.write(answer(b"x" * 49200))
            if end == "goodbye":
                tls.goodbye()
            elif end == "more":
                tls.write(b"HTTP/1.1 200 OK\r\n")
            tls.flush()
            return
    o = Origin(serve=serve)
    gate = run_proxy(origins={f"{GRAPH}:443": o.port}, origin="connections_max = 1")
    clients = [gate.tls(GRAPH) for _ in range(3)]
    clients[0].sendall(get("/0"))
    time.sleep(0.2)
    for i in (1, 2):
        clients[i].sendall(get(f"/{i}"))
    time.sleep(0.2)
    waiting.set()
    assert len(read_response(Reader(clients[0])).body) == 49200
    for i in (1, 2):
        assert read_response(Reader(clients[i])).body == f"/{i}".encode()
        clients[i].close()
    assert gate.process.poll() is None and "restart" not in gate.stderr
    o.close()


# ---- connections that died while nobody looked ----

def deadly(deaths, how, then):
    """The first `deaths` connections end at the first byte of their last request, without an answer; `then` serves the others."""
    lock = threading.Lock()

    def serve(sock):
        with lock:
            deaths[0] -= 1
            dies = deaths[0] >= 0
        if not dies:
            then(sock)
            return
        reader = Reader(sock)
        read_request(reader)
        sock.sendall(answer(b"first"))
        sock.recv(1)
        reset(sock) if how == "reset" else sock.close()
    return serve


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("deaths", [1, 4])
def test_a_get_on_a_dead_connection_is_sent_again(route, how, deaths):
    """Invisibly, and on a fresh connection: when an origin restarts, all that are in the pool are dead."""
    left = [deaths]
    route.origin.serve = deadly(left, how, route.origin.echo)
    clients = [route.open() for _ in range(deaths)]
    gathered = [c.sendall(route.raw("/")) for c in clients]
    assert len(gathered) == deaths
    for c in clients:
        r = read_response(Reader(c))
        assert r.status == 200, r.body
    wait_for(lambda: left[0] <= 0)
    for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PUT"):
        with contextlib.closing(route.open()) as s:
            s.sendall(route.raw("/again", method=method))
            assert read_response(Reader(s), method).status == 200
    for c in clients:
        c.close()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method, fields, body", [("POST", "", b"body"), ("POST", "", b""), ("PATCH", "", b"body"), ("PUT", "", b"given away"),
                                                  ("POST", "Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n0\r\n\r\n")])
def test_a_post_on_a_dead_connection_is_the_clients_to_repeat(route, how, method, fields, body):
    route.origin.serve = deadly([1], how, route.origin.echo)
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/"))
        assert read_response(reader).body == b"first"
        s.sendall(route.raw("/again", method=method, fields=fields, body=body))
        assert is_over(s) in ("eof", "reset"), "an invented 502 would be taken for the origin's answer"
    assert route.proxy.log(method=method, status=0, outcome="origin broke off")
    assert route.origin.requests == []


def test_a_connection_that_was_only_verified_may_be_dead_too(gate, origin):
    """CONNECT makes a connection, and the first request comes much later."""
    left = [1]

    def serve(sock):
        left[0] -= 1
        if left[0] >= 0:
            sock.recv(1)
            return
        origin.echo(sock)
    origin.serve = serve
    with contextlib.closing(gate.tls(GRAPH)) as s:
        time.sleep(0.2)
        s.sendall(get("/"))
        assert read_response(Reader(s)).status == 200
    assert origin.connections == 2


@pytest.mark.parametrize("part", [b"HTTP/1.1 200 OK\r\nContent-", b"garbage\r\n\r\n", b"H"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_origin_that_began_to_answer_was_not_dead(route, part, method):
    """Then the request has been at work: it is never sent twice, and the client is told."""
    route.origin.serve = scripted(answer(b"first"), part, hold=False)
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/"))
        assert read_response(reader).body == b"first"
        s.sendall(route.raw("/again", method=method))
        assert read_response(reader).status == 502
    assert route.origin.connections == 1


def test_a_fresh_connection_that_dies_is_a_502(plain, gate):
    plain.serve = lambda sock: sock.recv(1)
    r = gate.ask(b"GET http://plain.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert r.status == 502 and plain.connections == 1
