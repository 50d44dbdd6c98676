# SPDX-License-Identifier: Apache-2.0
"""CONNECT: what is answered when, what becomes of bytes that follow at once, and what a tunnel is."""
import contextlib
import os
import socket
import ssl
import threading
import time

import pytest

from conftest import GRAPH, TUNNELLED
from harness import SLOW, HandTls, NameServer, Origin, Reader, free_port, get, is_over, read_response, reset, wait_for

OTHER = "other.example.org"


@pytest.mark.parametrize("host", [GRAPH, TUNNELLED])
def test_a_client_hello_in_the_segment_of_connect(gate, origin, authority, tmp_path, host):
    trust = tmp_path / "root.pem"
    trust.write_bytes(authority.pem)
    context = gate.client_context(trust if host == TUNNELLED else None)
    with contextlib.closing(gate.connect()) as s:
        tls = HandTls(s, context, host)
        s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() + tls.begin())
        reader = Reader(s)
        assert reader.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        tls.handshake(reader.buffer)
        tls.sendall(get("/at-once", host))
        assert read_response(Reader(tls)).status == 200
    assert origin.requests[0].target == "/at-once"


def test_any_bytes_in_the_segment_of_connect_reach_a_tunnels_end(run_proxy):
    far = Origin(serve=lambda s: s.sendall(b"got " + Reader(s).exactly(200_004)[-4:]))
    gate = run_proxy(origins={f"{OTHER}:443": far.port})
    with contextlib.closing(gate.connect()) as s:
        s.sendall(f"CONNECT {OTHER}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode() + b"\x00" * 200_000 + b"last")
        reader = Reader(s)
        assert b" 200 " in reader.until(b"\r\n\r\n")
        assert reader.exactly(8) == b"got last"
    far.close()


def test_connect_is_answered_after_the_origin_is_reached(run_proxy, origin, authority):
    """Neither kind of CONNECT says 200 before: the origin does not answer its handshake, then does."""
    go = threading.Event()

    def late(sock):
        go.wait(20 * SLOW)
        with contextlib.suppress(OSError):
            origin.context.wrap_socket(sock, server_side=True).recv(1)
    slow = Origin(serve=late)
    gate = run_proxy(origins={f"{GRAPH}:443": slow.port})
    with contextlib.closing(gate.connect()) as s:
        s.sendall(f"CONNECT {GRAPH}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        s.settimeout(0.5)
        with pytest.raises(TimeoutError):
            s.recv(1)
        go.set()
        s.settimeout(20 * SLOW)
        assert Reader(s).until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    slow.close()


def full_listener():
    """A port that takes no connection: its queue is full and nobody accepts."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(0)
    held = []
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(s.getsockname())
        held.append(c)
    return s, held


@pytest.mark.parametrize("how, status, error", [("refused", 502, "connection_refused"), ("silent", 504, "connection_timeout"),
                                                ("no such name", 502, "dns_error"), ("denied", 403, "destination_ip_prohibited"),
                                                ("port", 403, "http_request_denied")])
@pytest.mark.parametrize("request_form", ["CONNECT", "GET"])
def test_a_tunnel_that_cannot_be_had_says_why(run_proxy, how, status, error, request_form):
    port = free_port()
    silent, held = full_listener() if how == "silent" else (None, None)
    names = NameServer()
    far = 443 if request_form == "CONNECT" else 80
    gate = run_proxy(origins={f"refused.example:{far}": port} if how == "refused" else {f"silent.example:{far}": silent.getsockname()[1]} if silent else {},
                     origin=f'dns_servers = "127.0.0.1:{names.port}"\ntimeouts = {{ connect = "300ms" }}')
    target = {"refused": "refused.example:443", "silent": "silent.example:443", "no such name": "missing.example:443",
              "denied": f"127.0.0.1:{443 if request_form == 'CONNECT' else 8080}", "port": "refused.example:25"}[how]
    if request_form == "GET":
        target = target.replace(":443", ":80")
    with contextlib.closing(gate.connect()) as s:
        s.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode() if request_form == "CONNECT" else
                  f"GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        reader = Reader(s)
        r = read_response(reader)
        assert r.status == status, (r.start, r.body)
        assert error in r.get("proxy-status") and target.rpartition(":")[0].encode() in r.body
        s.sendall(b"GET http://127.0.0.1:%d/healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (gate.port, gate.port))
        assert read_response(reader).body == b"ok\n", "the connection goes on"
    assert gate.log(status=status)[0]["detail"]
    names.close()


@pytest.mark.parametrize("target", ["graph.microsoft.com", ":443", "graph.microsoft.com:", "graph.microsoft.com:x", "http://graph.microsoft.com:443",
                                    "graph.microsoft.com:70000", "a@graph.microsoft.com:443", "[::1:443", "graph.microsoft.com:443/", "gr%61ph.microsoft.com:443"])
def test_connect_to_what_is_no_host_and_port(gate, target):
    s, r = gate.tunnel(target)
    assert r.status == 400
    s.close()


def test_connect_with_a_body_is_refused(gate):
    r = gate.ask(b"CONNECT graph.microsoft.com:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345", method="GET")
    assert r.status == 400


def test_connect_takes_its_target_from_the_request_line(gate, origin):
    with contextlib.closing(gate.connect()) as s:
        s.sendall(f"CONNECT {GRAPH}:443 HTTP/1.0\r\nHost: evil.example:80\r\nProxy-Connection: close\r\nConnection: close\r\n\r\n".encode())
        assert Reader(s).until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        tls = gate.client_context().wrap_socket(s, server_hostname=GRAPH)
        tls.sendall(get("/"))
        assert read_response(Reader(tls)).status == 200
    assert origin.snis[0] == GRAPH


def test_requests_pipelined_behind_a_failed_connect_are_answered(gate):
    with contextlib.closing(gate.connect()) as s:
        s.sendall(b"CONNECT plain.example:25 HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        reader = Reader(s)
        assert read_response(reader).status == 403
        assert read_response(reader).body == b"ok\n"


# ---- tunnels ----

@pytest.fixture
def far(run_proxy):
    """(gate, origin) with a raw origin behind a tunnel to OTHER; set origin.serve."""
    o = Origin()
    gate = run_proxy(origins={f"{OTHER}:443": o.port})
    yield gate, o
    o.close()


def open_tunnel(gate, target=f"{OTHER}:443"):
    s, r = gate.tunnel(target)
    assert r.status == 200
    return s


def open_talkative(gate):
    """(socket, reader behind the 200): for a server that may speak at once."""
    s = gate.connect()
    s.sendall(f"CONNECT {OTHER}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    reader = Reader(s)
    assert b" 200 " in reader.until(b"\r\n\r\n")
    return s, reader


def test_a_server_that_speaks_first_is_heard(far):
    gate, o = far
    o.serve = lambda s: (s.sendall(b"220 hello\r\n"), s.sendall(s.recv(100)))
    s, reader = open_talkative(gate)
    with contextlib.closing(s):
        assert reader.exactly(11) == b"220 hello\r\n"
        s.sendall(b"\x00echo")
        assert reader.exactly(5) == b"\x00echo"


@pytest.mark.parametrize("first", [b"", b"\x01request"])
def test_half_close_through_a_tunnel(far, first):
    """Either side may stop sending on its own; the other goes on."""
    gate, o = far
    got = []

    def serve(s):
        got.append(Reader(s).rest())
        for _ in range(20):
            s.sendall(b"x" * 1000)
            time.sleep(0.01)
    o.serve = serve
    with contextlib.closing(open_tunnel(gate)) as s:
        s.sendall(first)
        s.shutdown(socket.SHUT_WR)
        assert Reader(s).rest() == b"x" * 20000
    assert got == [first]
    o.serve = lambda s: (s.sendall(b"bye"), s.shutdown(socket.SHUT_WR), got.append(Reader(s).rest()))
    s, reader = open_talkative(gate)
    with contextlib.closing(s):
        assert reader.rest() == b"bye"
        s.sendall(b"\x02late")
        time.sleep(0.1)
        s.sendall(b"r")
    wait_for(lambda: len(got) == 2)
    assert got[1] == b"\x02later"
    wait_for(lambda: gate.sockets() == 0)


def test_a_reset_goes_through_a_tunnel(far):
    gate, o = far
    o.serve = lambda s: (s.recv(1), time.sleep(0.2), reset(s))
    s = open_tunnel(gate)
    s.sendall(b"\x01")
    assert is_over(s) == "reset"
    s.close()
    ended = []
    o.serve = lambda s: ended.append((s.recv(1), is_over(s)))
    s = open_tunnel(gate)
    s.sendall(b"\x01")
    time.sleep(0.2)
    reset(s)
    wait_for(lambda: ended)
    assert ended == [(b"\x01", "reset")]
    wait_for(lambda: gate.sockets() == 0)
    assert {line["result"] for line in gate.log(count=2, event="tunnel")} == {"Connection reset by peer"}


def test_what_an_origin_sent_before_its_reset_still_arrives(far):
    gate, o = far
    size = 8 << 20
    o.serve = lambda s: (s.recv(1), s.sendall(b"z" * size), time.sleep(0.5), reset(s))
    with contextlib.closing(open_tunnel(gate)) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(b"\x01")
        time.sleep(1)
        got = 0
        with contextlib.suppress(ConnectionError):
            while data := s.recv(65536):
                got += len(data)
    assert got > 0


def test_a_client_that_goes_before_the_tunnel_stands(run_proxy):
    """Its FIN comes while the origin is being reached; nothing may be left over."""
    silent, held = full_listener()
    far = Origin()
    closed = []
    far.serve = lambda s: closed.append(Reader(s).rest())
    gate = run_proxy(origins={"silent.example:443": silent.getsockname()[1], f"{OTHER}:443": far.port, "graph.microsoft.com:443": far.port},
                     origin='timeouts = { connect = "3s", tls = "1s" }')
    for host in ("silent.example", OTHER, GRAPH):
        for how in (socket.socket.close, reset, lambda s: s.shutdown(socket.SHUT_WR)):
            s = gate.connect()
            s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            how(s)
    wait_for(lambda: gate.sockets() == 0, 15 * SLOW)
    far.close()


@pytest.mark.parametrize("how", ["closes", "closes its side"])
@pytest.mark.parametrize("first", [b"", b"\x01data"])
def test_a_client_that_ends_before_the_tunnel_stands(run_proxy, how, first):
    """Its name server is slow: the FIN is there long before the connection to the origin. The tunnel is then half closed from the start."""
    names = NameServer({"slow.example": "127.0.0.1"}, delay=0.4)
    far, got = Origin(), []
    far.serve = lambda s: (got.append(Reader(s).rest()), s.sendall(b"bye"))
    gate = run_proxy(proxy='connect_ports = ["1-65535"]\ntimeouts = { tunnel_idle = "300s", client_tls = "300s" }',
                     origin=f'dns_servers = "127.0.0.1:{names.port}"\nallow_networks = ["127.0.0.0/8"]')
    s = gate.connect()
    s.sendall(f"CONNECT slow.example:{far.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + first)
    if how == "closes":
        s.close()
    else:
        s.shutdown(socket.SHUT_WR)
        reader = Reader(s)
        assert b" 200 " in reader.until(b"\r\n\r\n") and reader.rest() == b"bye"
    wait_for(lambda: got)
    wait_for(lambda: gate.sockets() == 0)
    assert got == [first] or how == "closes"
    names.close()
    far.close()


def test_a_client_that_ends_before_its_inspection_begins(run_proxy, origin):
    late = threading.Event()
    slow = Origin(serve=lambda s: (late.wait(5), origin.context.wrap_socket(s, server_side=True).recv(1)))
    gate = run_proxy(origins={f"{GRAPH}:443": slow.port}, proxy='timeouts = { client_tls = "300s" }')
    for first in (b"", b"\x16\x03\x01"):
        s = gate.connect()
        s.sendall(f"CONNECT {GRAPH}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode() + first)
        s.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        late.set()
        reader = Reader(s)
        assert b" 200 " in reader.until(b"\r\n\r\n")
        assert is_over(s) in ("eof", "reset")
        s.close()
        late.clear()
        gate.reload()
    slow.close()


def test_an_inspected_host_behind_a_tunnel_to_another_is_refused(gate, authority, tmp_path):
    s, _ = gate.tunnel(f"{TUNNELLED}:443")
    with pytest.raises((ssl.SSLError, ConnectionError)) as e:
        gate.client_context().wrap_socket(s, server_hostname=GRAPH)
    assert "ACCESS_DENIED" in str(e.value).upper()
    assert gate.log(event="tunnel", sni=GRAPH)


def test_many_bytes_both_ways_at_once_through_a_tunnel(far):
    gate, o = far
    data = os.urandom(1 << 20) * 8

    def serve(s):
        reader = Reader(s)
        reader.more()  # else its bytes could come in one piece with the 200
        threading.Thread(target=s.sendall, args=(data,), daemon=True).start()
        assert reader.exactly(len(data)) == data
        s.sendall(b"end")
        s.recv(1)
    o.serve = serve
    s, reader = open_talkative(gate)
    with contextlib.closing(s):
        sender = threading.Thread(target=s.sendall, args=(data,))
        sender.start()
        assert reader.exactly(len(data) + 3) == data + b"end"
        sender.join()


def test_a_message_head_in_pieces_is_put_together(far):
    """The first message is judged whole, however it is cut."""
    gate, o = far
    o.serve = lambda s: s.sendall(Reader(s).exactly(517)[:1])
    context = gate.client_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=GRAPH)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    with contextlib.closing(open_tunnel(gate)) as s:
        for i in range(0, len(hello), 50):
            s.sendall(hello[i:i + 50])
            time.sleep(0.01)
        assert s.recv(7)[5:] == b"\x02\x31"
