# SPDX-License-Identifier: Apache-2.0
"""Connections that end at any moment, from either side: who is told what, and nothing stays behind."""
import contextlib
import socket
import subprocess
import threading
import time

import pytest

from harness import SLOW, Message, Origin, Reader, answer, is_over, read_request, read_response, reset, scripted, unread, wait_for

BIG = b"b" * 300_000


def settled(route):
    """Nothing of the client is left: what remains are connections in the pool, at most."""
    wait_for(lambda: route.proxy.sockets() <= route.origin.connections, 5 * SLOW)


# ---- the origin ends ----

@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
def test_an_origin_that_ends_before_its_head_is_a_502(route, how, sent):
    def serve(sock, request):
        sock.sendall(sent)
        time.sleep(0.05)
        if how == "reset":
            reset(sock)
    route.origin.serve = scripted(answer(b"warm"), serve, hold=False)
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/warm") + route.raw("/", method="POST", body=b"x"))
        assert read_response(reader).body == b"warm"
        if sent == b"":
            assert is_over(s) in ("eof", "reset")
            return
        r = read_response(reader)
        assert r.status == 502 and ("http_response_incomplete" in r.get("proxy-status") or "connection_terminated" in r.get("proxy-status"))
        route.origin.serve = route.origin.echo
        s.sendall(route.raw("/next"))
        assert read_response(reader).status == 200


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("head, body", [(b"Content-Length: 1000", b"x" * 999), (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n5\r\nwor"),
                                        (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n"), (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n"),
                                        (b"Content-Length: 1000", b"")])
def test_a_response_that_breaks_off_breaks_off_for_the_client(route, how, head, body):
    def serve(sock, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)
        time.sleep(0.05)
        if how == "reset":
            reset(sock)
    route.origin.serve = scripted(serve, hold=False)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/"))
        reader = Reader(s)
        assert b" 200 " in reader.until(b"\r\n\r\n")
        got = b""
        with contextlib.suppress(ConnectionError):
            got = reader.rest()
        assert not got.endswith(b"0\r\n\r\n") and len(got) < 1000
    assert route.proxy.log(outcome="origin broke off", status=200)


def test_a_close_delimited_response_without_goodbye_is_cut(gate, origin):
    """RFC 9112, 9.8: over TLS only close_notify says that such a response is complete."""
    def cut(sock, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        socket.socket(fileno=sock.detach()).close()
    origin.serve = scripted(cut, hold=False)
    with contextlib.closing(gate.tls("graph.microsoft.com")) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n")
        reader = Reader(s)
        reader.until(b"\r\n\r\n")
        assert reader.until(b"half of it") and b"0\r\n" not in reader.rest()
    with contextlib.closing(gate.tls("graph.microsoft.com", ragged=False)) as s:
        s.sendall(b"GET / HTTP/1.0\r\nHost: graph.microsoft.com\r\n\r\n")
        reader = Reader(s)
        reader.until(b"\r\n\r\n")
        with pytest.raises((ConnectionError, OSError)):
            reader.rest()


def test_http_1_0_clients_see_a_reset_where_a_response_breaks_off(route):
    def serve(sock, request):
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        time.sleep(0.2)
    route.origin.serve = scripted(serve, hold=False)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/", version="1.0"))
        reader = Reader(s)
        reader.until(b"hello")
        assert is_over(s) == "reset"


# ---- answers before the upload's end ----

@pytest.mark.parametrize("ends", ["keeps", "announces", "closes", "resets"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_early_answer_to_an_upload(route, ends, framing):
    """The origin answers before it has read the body, and reads no more: the client gets the answer, and its connection goes on."""
    def serve(sock, head, reader):
        sock.sendall(answer(b"too large", "413 Content Too Large", "Connection: close\r\n" if ends == "announces" else ""))
        if ends in ("keeps", "announces"):
            time.sleep(3)
        elif ends == "resets":
            time.sleep(0.1)
            reset(sock)
    route.origin.serve = unread(serve)
    size = 12 << 20
    with contextlib.closing(route.open_both_ways()) as s:
        reader = Reader(s)
        if framing == "length":
            s.sendall(route.raw("/up", method="POST", fields=f"Content-Length: {size}\r\n"))
        else:
            s.sendall(route.raw("/up", method="POST", fields="Transfer-Encoding: chunked\r\n") + b"%x\r\n" % size)
        sender = threading.Thread(target=s.sendall, args=(b"u" * size + (b"\r\n0\r\n\r\n" if framing == "chunked" else b""),))
        sender.start()
        r = read_response(reader)
        assert r.status == 413 and r.body == b"too large"
        sender.join(20 * SLOW)
        assert not sender.is_alive()
        route.origin.serve = route.origin.echo
        s.sendall(route.raw("/next"))
        assert read_response(reader).json()["target"] == "/next"


def test_an_early_answer_while_the_upload_goes_on(route):
    """A server may answer at once and read on: then all of the body arrives."""
    got = []

    def serve(sock, head, reader):
        sock.sendall(answer(b"noted", "202 Accepted"))
        got.append(len(reader.exactly(5 << 20)))
        sock.sendall(answer(read_request(reader).target.encode()))
    route.origin.serve = unread(serve)
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/up", method="POST", fields=f"Content-Length: {5 << 20}\r\n") + b"1")
        assert read_response(reader).status == 202
        s.sendall(b"u" * ((5 << 20) - 1) + route.raw("/next"))
        assert read_response(reader).body == b"/next"
    assert got == [5 << 20] and route.origin.connections == 1


def test_a_502_in_the_middle_of_an_upload(route):
    route.origin.serve = unread(lambda sock, head, reader: (reader.exactly(1000), reset(sock)))
    with contextlib.closing(route.open_both_ways()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/warm", method="POST", fields="Content-Length: 3000000\r\n"))
        sender = threading.Thread(target=s.sendall, args=(b"u" * 3000000,))
        sender.start()
        if route.inside:  # the verified connection had been idle: it may have been dead, and only the client may try again
            assert is_over(s) in ("eof", "reset")
            sender.join(20 * SLOW)
            return
        assert read_response(reader).status == 502
        sender.join(20 * SLOW)
        route.origin.serve = route.origin.echo
        s.sendall(route.raw("/next"))
        assert read_response(reader).status == 200


# ---- the client ends ----

def stream(sock):
    while True:
        sock.sendall(BIG)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stage", ["nothing", "half a head", "half a body", "waiting", "half a response", "after"])
def test_a_client_that_ends_leaves_nothing_behind(route, how, stage):
    begun, closed = [], []

    def serve(sock):
        reader = Reader(sock)
        head = Message(reader.until(b"\r\n\r\n"))
        begun.append(stage)
        try:
            if head.method == "POST":
                reader.rest()
            elif head.target == "/waiting":
                is_over(sock, 1)
            elif head.target == "/response":
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                stream(sock)
            else:
                sock.sendall(answer(b"ok"))
                is_over(sock)
        finally:
            closed.append(stage)
    route.origin.serve = serve
    s = route.open()
    if stage == "half a head":
        s.sendall(b"GET /x HTTP/1.1\r\nHo")
    elif stage == "half a body":
        s.sendall(route.raw("/body", method="POST", fields="Content-Length: 100\r\n") + b"half")
    elif stage == "waiting":
        s.sendall(route.raw("/waiting"))
    elif stage == "half a response":
        s.sendall(route.raw("/response"))
        Reader(s).exactly(100)
    elif stage == "after":
        s.sendall(route.raw("/after"))
        read_response(Reader(s))
    if stage in ("half a body", "waiting"):
        wait_for(lambda: begun)
    time.sleep(0.15)
    reset(s) if how == "reset" else s.close()
    if stage in ("half a body", "waiting", "half a response"):
        wait_for(lambda: closed)
        # A FIN alone may be a half-close (RFC 9112, 9.6): a request that waits then gets its answer.
        assert stage == "waiting" or route.proxy.log(outcome="client gone")
    settled(route)


def test_a_client_that_goes_while_its_origin_is_reached(run_proxy):
    """During the connection, and during the handshake with the origin."""
    silent = Origin(serve=lambda sock: is_over(sock, 20 * SLOW))
    gate = run_proxy(origins={"graph.microsoft.com:443": silent.port, "plain.example:80": silent.port}, origin='timeouts = { connect = "2s", tls = "2s", head = "60s" }')
    for raw in (b"CONNECT graph.microsoft.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n"):
        for end in (reset, socket.socket.close):
            s = gate.connect()
            s.sendall(raw)
            time.sleep(0.1)
            end(s)
    s = gate.connect()
    s.sendall(raw)
    reset(s)
    # A FIN alone may be a half-close (RFC 9112, 9.6): that one request waits for its answer.
    wait_for(lambda: gate.sockets() <= 1)
    silent.close()


def test_half_closed_clients_still_get_their_answer(gate, plain):
    def slow(sock, request):
        time.sleep(0.3)
        sock.sendall(answer(BIG))
    plain.serve = scripted(slow)
    with contextlib.closing(gate.connect()) as s:
        s.sendall(b"GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        reader = Reader(s)
        r = read_response(reader)
        assert r.body == BIG and r.get("connection") == "close" and reader.rest() == b""


def test_a_fin_inside_a_request_ends_it(gate, plain):
    for half in (b"GET http://plain.example/ HTTP/1.1\r\nHo", b"POST http://plain.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"):
        with contextlib.closing(gate.connect()) as s:
            s.sendall(half)
            time.sleep(0.1)
            s.shutdown(socket.SHUT_WR)
            assert is_over(s) in ("eof", "reset")
    assert plain.requests == []
    wait_for(lambda: gate.sockets() == 0)


def test_broken_chunks_behind_a_login(run_proxy, plain, tmp_path):
    """The login is remembered, so its answer and the fault come in one turn."""
    gate = run_proxy(start=False, origins={"plain.example:80": plain.port}, sections='[identity]\nhtpasswd = "htpasswd"\n')
    password = subprocess.run(["openssl", "passwd", "-5", "p"], check=True, capture_output=True, text=True).stdout
    (gate.dir / "htpasswd").write_text(f"u:{password}")
    (gate.dir / "htpasswd").chmod(0o644)
    gate.write_config(listen=f'{{ address = "127.0.0.1:{gate.port}", auth = "optional" }}')
    gate.start()
    head = b"http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nProxy-Authorization: Basic dTpw\r\n"
    assert gate.ask(b"GET " + head + b"\r\n").status == 200
    for _ in range(3):
        assert gate.ask(b"POST " + head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n").status == 400
        assert gate.ask(b"GET " + head + b"\r\n").status == 200
    assert "died" not in gate.stderr
