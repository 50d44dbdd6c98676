# SPDX-License-Identifier: Apache-2.0
"""Upgrade: a WebSocket becomes a tunnel once the origin has agreed; nothing else does."""
import base64
import contextlib
import hashlib
import os
import time

import pytest

from harness import SLOW, Message, Reader, answer, get, is_over, read_request, read_response, scripted, unread, wait_for

KEY = base64.b64encode(b"0123456789abcdef").decode()
ASK = f"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def switch(key=KEY, fields="", protocol="websocket", accept=None):
    return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept or accept_of(key)}\r\n{fields}\r\n").encode()


def echo_after_switch(sock, head, reader):
    sock.sendall(switch(head.get("sec-websocket-key")) + b"greeting")
    if reader.buffer:
        sock.sendall(reader.buffer)
    while data := sock.recv(65536):
        sock.sendall(data)


def test_a_websocket_echoes_both_ways(route):
    route.origin.serve = unread(echo_after_switch)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/ws", fields=ASK))
        reader = Reader(s)
        r = read_response(reader)
        assert r.status == 101 and r.get("upgrade") == "websocket" and r.get("connection").lower() == "upgrade"
        assert reader.exactly(8) == b"greeting"
        for size in (1, 125, 70000, 300000):
            data = os.urandom(size)
            s.sendall(data)
            assert reader.exactly(size) == data
    line = route.proxy.log(event="tunnel", host=route.host)[0]
    assert line["result"] == "closed" and line["in"] == 370126 and line["out"] == 370134
    assert route.proxy.log(event="request", status=101)


def test_bytes_behind_the_request_wait_for_the_101(route):
    go, early = [], []

    def serve(sock, head, reader):
        while not go:
            time.sleep(0.01)
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            reader.more()
        early.append(reader.buffer)
        sock.settimeout(30 * SLOW)
        echo_after_switch(sock, head, reader)
    route.origin.serve = unread(serve)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/ws", fields=ASK) + b"in the same segment ")
        time.sleep(0.1)
        s.sendall(b"and later")
        go.append(1)
        reader = Reader(s)
        assert read_response(reader).status == 101
        assert reader.exactly(len(b"greeting")) == b"greeting"
        assert reader.exactly(29) == b"in the same segment and later"
    assert early == [b""]


def test_an_upgrade_that_is_refused_leaves_an_ordinary_connection(route):
    """Bytes that the client sent too early are its next request, read only now."""
    route.origin.serve = scripted(answer(b"no", "400 Bad Request"), answer(b"second"), answer(b"third"))
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/ws", fields=ASK) + route.raw("/2"))
        assert read_response(reader).body == b"no"
        assert read_response(reader).body == b"second"
        s.sendall(route.raw("/3"))
        assert read_response(reader).body == b"third"


@pytest.mark.parametrize("bad", [switch(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="), switch(protocol="h2c"), switch(protocol="websocket, foo"),
                                 b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                                 b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"])
def test_a_101_that_is_no_answer_to_this_request_is_refused(route, bad):
    route.origin.serve = scripted(answer(b"before"), bad + b"\x81\x05hello")
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/first"))
        assert read_response(reader).status == 200
        s.sendall(route.raw("/ws", fields=ASK))
        r = read_response(reader)
        assert r.status == 502 and "http_protocol_error" in r.get("proxy-status")
        assert b"hello" not in reader.buffer


def test_a_101_that_nobody_asked_for_is_refused(route):
    route.origin.serve = scripted(answer(b"before"), switch() + b"\x81\x05hello")
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/first") + route.raw("/plain"))
        assert read_response(reader).status == 200
        r = read_response(reader)
        assert r.status == 502 and b"without being asked" in r.body and b"hello" not in reader.buffer


def test_an_upgrade_to_h2c_is_only_an_offer_and_dropped(route):
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/", fields="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"))
        seen = dict(read_response(reader).json()["fields"])
        assert not {"upgrade", "http2-settings", "connection"} & set(seen)
        s.sendall(route.raw("/2"))
        assert read_response(reader).json()["target"] == "/2"


@pytest.mark.parametrize("framing, body", [("Content-Length: 10\r\n", b"0123456789"), ("Transfer-Encoding: chunked\r\n", b"a\r\n0123456789\r\n0\r\n\r\n")])
def test_a_request_with_a_body_may_offer_an_upgrade(route, framing, body):
    """Apache's HttpClient offers "Upgrade: TLS/1.2" with every request; its body comes in segments of its own."""
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        for i in range(2):
            s.sendall(route.raw(f"/{i}", method="POST", fields="Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n" + framing))
            for at in range(0, len(body), 4):
                time.sleep(0.05)
                s.sendall(body[at:at + 4])
            r = read_response(reader)
            assert r.status == 200 and r.json()["length"] == 10


def test_an_upgrade_in_http_1_0_is_ignored(route):
    r = route.ask("/", version="1.0", fields=ASK)
    assert r.status == 200 and "upgrade" not in dict(r.json()["fields"])


def test_rules_see_the_head_of_an_upgrade(gate, origin):
    with contextlib.closing(gate.tls("graph.microsoft.com")) as s:
        s.sendall(get("/v1.0/me/photo/$value", method="PUT", fields=ASK))
        assert read_response(Reader(s)).status == 403
    assert origin.requests == []


def test_either_side_ends_a_websocket(route):
    ended = []

    def serve(sock, head, reader):
        sock.sendall(switch(head.get("sec-websocket-key")))
        if reader.exactly(3) == b"bye":
            return
        ended.append(sock.recv(10))
    route.origin.serve = unread(serve)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/ws", fields=ASK))
        assert Message(Reader(s).until(b"\r\n\r\n")).status == 101
        s.sendall(b"bye")
        assert is_over(s) in ("eof", "reset")
    s = route.open()
    s.sendall(route.raw("/ws", fields=ASK))
    assert Message(Reader(s).until(b"\r\n\r\n")).status == 101
    s.sendall(b"abc")
    s.close()
    wait_for(lambda: ended)
    wait_for(lambda: route.proxy.sockets() == 0)


def test_two_requests_of_one_client_share_nothing_with_its_websocket(route):
    """The origin connection that was upgraded never goes back to the pool."""
    route.origin.serve = unread(echo_after_switch)
    with contextlib.closing(route.open()) as ws:
        ws.sendall(route.raw("/ws", fields=ASK))
        reader = Reader(ws)
        assert read_response(reader).status == 101
        route.origin.serve = lambda sock: sock.sendall(answer(read_request(Reader(sock)).target.encode()))
        assert route.ask("/other").body == b"/other"
        ws.sendall(b"still here")
        assert reader.exactly(18) == b"greetingstill here"
