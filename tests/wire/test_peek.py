# SPDX-License-Identifier: Apache-2.0
"""The first bytes of a tunnel: inspected hosts do not pass under another name, everything else does, byte for byte."""
import base64
import contextlib
import hashlib
import socket
import time

import pytest

from conftest import GRAPH, OUTLOOK, TUNNELLED
from harness import SLOW, Origin, Reader, get, pem_of, server_context, wait_for
from tlskit import ACCESS_DENIED, ECH, hello, is_closed, read_alert, records, server_name

V4, V6 = "192.0.2.7", "2001:db8::7"


class Raw(Origin):
    """Takes bytes, keeps them per connection, and may speak first."""

    def __init__(self, banner=b""):
        self.banner, self.streams = banner, []
        super().__init__(serve=self.take)

    def take(self, sock):
        got = bytearray()
        self.streams.append(got)
        sock.sendall(self.banner)
        while data := sock.recv(65536):
            got += data
            sock.sendall(b"+" + data[-1:])

    def got(self, n):
        return wait_for(lambda: next((bytes(s) for s in self.streams if len(s) >= n), None))


@pytest.fixture
def raw():
    o = Raw()
    yield o
    o.close()


@pytest.fixture(scope="module")
def door(run_shared, switch):
    names = [f"{TUNNELLED}:443", f"{TUNNELLED}:80", f"{TUNNELLED}:25", f"{V4}:443", f"[{V6}]:443", f"{GRAPH}:443", f"{GRAPH}:8443",
             "never.inspected.example:443"]
    return run_shared(origins={n: switch.port for n in names}, proxy='connect_ports = [443, 80, 25, 8443]',
                      sections='[inspect]\nextra = { "never.inspected.example" = "graph" }\nnever = ["never.inspected.example"]\n')


@pytest.fixture(scope="module")
def switch():
    """A port that hands its connections to the origin of the test at hand."""
    class Switch(Origin):
        behind = None

        def run(self, client):
            self.behind.connections += 1
            self.behind.open.append(client)
            self.behind.run(client)
    o = Switch()
    yield o
    o.close()


@pytest.fixture
def through(door, switch, raw):
    """through(target): a socket behind a 200."""
    switch.behind = raw
    socks = []

    def connect(at=f"{TUNNELLED}:443"):
        before = raw.connections
        s, head = door.tunnel(at)
        assert head.status == 200, (head.start, head.body)
        wait_for(lambda: raw.connections > before)  # else the next test's origin might get it
        s.settimeout(10 * SLOW)
        socks.append(s)
        return s
    yield connect
    for s in socks:
        s.close()


def passes(s, raw, data):
    """What was sent by now arrives as it is."""
    assert raw.got(len(data)) == data


REFUSED = "TLS for an inspected host inside a tunnel to another"


@pytest.mark.parametrize("at", [f"{TUNNELLED}:443", f"{V4}:443", f"[{V6}]:443", f"{TUNNELLED}:25"])
@pytest.mark.parametrize("sni", [GRAPH, GRAPH.upper(), GRAPH + ".", "Outlook.Office.com"])
def test_inspected_name_inside_another_tunnel(door, through, raw, at, sni):
    s = through(at)
    s.sendall(records(hello(sni)))
    assert read_alert(s) == (2, ACCESS_DENIED)
    assert is_closed(s)
    assert all(not stream for stream in raw.streams)
    wait_for(lambda: door.log(event="tunnel", result=REFUSED, sni=sni.lower().rstrip(".")))


@pytest.mark.parametrize("size", [1, 2, 5, 100, 16384])
@pytest.mark.parametrize("step", [1, 3, 70000])
def test_hello_in_any_pieces(through, raw, size, step):
    """Over records of `size` bytes and segments of `step` bytes: refused alike, passed alike."""
    for sni, refused in ((OUTLOOK, True), ("www.example.com", False)):
        s = through()
        data = records(hello(sni), size)
        for i in range(0, len(data), step):
            s.sendall(data[i:i + step])
        if refused:
            assert read_alert(s) == (2, ACCESS_DENIED)
        else:
            passes(s, raw, data)


@pytest.mark.parametrize("message", [
    hello("www.example.com", [(ECH, bytes(200))]),  # encrypted: the outer name is all there is
    hello(None, [(ECH, bytes(200))]),
    hello(None),  # no name at all
    hello(None, extension_block=False),
    hello("www.example.com", pad=15000),
    hello("www.example.com", [(0x2A2A, b""), (0xFAFA, b"\0")]),  # grease
    hello(TUNNELLED),
    hello("never.inspected.example"),
], ids=["ech", "ech-without-name", "no-name", "no-extensions", "15k", "grease", "own-name", "never"])
def test_hellos_that_pass(through, raw, message):
    s = through()
    data = records(message, 4000)
    s.sendall(data)
    passes(s, raw, data)


EARLY = records(b"\1", kind=20, version=b"\3\3") + records(bytes(300), kind=23, version=b"\3\3")


@pytest.mark.parametrize("step", [7, 70000])
def test_early_data_behind_a_hello(through, raw, step):
    """RFC 8446, 2.3: a client that has been there before may send its request in the segment of the hello."""
    for sni, refused in ((GRAPH, True), ("www.example.com", False)):
        s = through()
        data = records(hello(sni), 100) + EARLY
        for i in range(0, len(data), step):
            with contextlib.suppress(ConnectionError):
                s.sendall(data[i:i + step])
        if refused:
            assert read_alert(s) in ((2, ACCESS_DENIED), None)
        else:
            passes(s, raw, data)
    assert len([stream for stream in raw.streams if stream]) == 1


def test_ech_with_an_inspected_outer_name_is_refused(through):
    s = through()
    s.sendall(records(hello(GRAPH, [(ECH, bytes(200))])))
    assert read_alert(s) == (2, ACCESS_DENIED)


UNREADABLE = {
    "over-16k": records(hello("www.example.com", pad=17000)),
    "says-it-is-huge": b"\x16\x03\x01\x00\x04\x01\x01\x00\x00",
    "not-a-hello": records(b"\x02\x00\x00\x02ab"),
    "hello-request-first": records(b"\x00\x00\x00\x00" + hello(GRAPH)),
    "empty-record": b"\x16\x03\x01\x00\x00" + records(hello(GRAPH)),
    "huge-record": b"\x16\x03\x01\xff\xff" + hello(GRAPH),
    "other-record-inside": records(hello(GRAPH)[:50]) + b"\x15\x03\x01\x00\x02\x01\x00" + records(hello(GRAPH)[50:]),
    "alert-first": b"\x15\x03\x01\x00\x02\x01\x5a" + records(hello(GRAPH)),
    "change-cipher-spec-first": b"\x14\x03\x01\x00\x01\x01" + records(hello(GRAPH)),
    "application-data-first": b"\x17\x03\x03\x00\x01\x00" + records(hello(GRAPH)),
    "other-version-inside": records(hello(GRAPH)[:50]) + records(hello(GRAPH)[50:], version=b"\x02\x00"),
    "two-names": records(hello(None, [(0, server_name("a.example")), (0, server_name(GRAPH))])),
    "name-of-another-kind": records(hello(None, [(0, server_name(GRAPH, kind=1))])),
    "nul-in-name": records(hello(None, [(0, server_name(GRAPH.encode() + b"\0.example"))])),
    "extension-cut-off": records(b"\x01\x00\x00\x2b" + b"\x03\x03" + bytes(32) + b"\0\0\2\x13\x01\1\0" + b"\x00\x09\0"),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_tls_that_cannot_be_read_is_closed(through, raw, data):
    s = through()
    with contextlib.suppress(OSError):
        s.sendall(data)
    assert read_alert(s) in ((2, ACCESS_DENIED), None)
    assert all(not stream for stream in raw.streams)


@pytest.mark.parametrize("data", [b"\x00\x01\x02\x03", b"SSH-2.0-x\r\n", b"\x16\x02\x00\x00\x01", b"\x80\x2e\x01\x03\x01", b"\x14\x01",
                                  b"GET / HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n"])
@pytest.mark.parametrize("port", [443, 25])
def test_other_protocols_pass(through, raw, data, port):
    s = through(f"{TUNNELLED}:{port}")
    s.sendall(data)
    passes(s, raw, data)
    assert s.recv(2) == b"+" + data[-1:]


def open_tunnel(door, at):
    """(socket, Reader): the origin's first bytes may come right behind the 200."""
    s = door.connect()
    s.settimeout(10 * SLOW)
    s.sendall(f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n".encode())
    reader = Reader(s)
    assert b" 200 " in reader.until(b"\r\n\r\n")
    return s, reader


@pytest.mark.parametrize("port", [25, 443, 80])
def test_server_that_speaks_first(door, switch, port):
    switch.behind = mail = Raw(b"220 mail.example ESMTP\r\n")
    s, reader = open_tunnel(door, f"{TUNNELLED}:{port}")
    with contextlib.closing(mail), contextlib.closing(s):
        assert reader.until(b"\n") == b"220 mail.example ESMTP\r\n"
        s.sendall(b"EHLO me\r\n")
        assert mail.got(9) == b"EHLO me\r\n"
        assert reader.exactly(2) == b"+\n"


def test_client_that_only_listens(door, switch):
    switch.behind = talk = Raw(b"the end")
    s, reader = open_tunnel(door, f"{TUNNELLED}:443")
    with contextlib.closing(talk), contextlib.closing(s):
        s.shutdown(socket.SHUT_WR)
        assert reader.rest() == b"the end"


HOST_REFUSED = b"a request for an inspected host inside a tunnel to another"
BAD_HEADS = [
    f"GET / HTTP/1.1\r\nHost: {GRAPH}\r\n\r\n",
    f"PUT / HTTP/1.1\r\nhost:{GRAPH.upper()}.\r\n\r\n",
    f"GET / HTTP/1.1\r\nA: b\r\nHost: {GRAPH}:80\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost: a.example\r\nHost: {GRAPH}\r\n\r\n",
    f"GET / HTTP/1.1\nHost: {GRAPH}\n\n",
    f"GET http://{GRAPH}/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    f"GET HTTP://{GRAPH} HTTP/1.1\r\nHost: a.example\r\n\r\n",
    f"GET http://u@{GRAPH}:80/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    f"\r\n\r\nGET / HTTP/1.1\r\nHost: {GRAPH}\r\n\r\n",  # RFC 9112, 2.2: servers skip empty lines in front
    f"\nGET / HTTP/1.1\r\nHost: {GRAPH}\r\n\r\n",
    f"get / HTTP/1.1\r\nHost: {GRAPH}\r\n\r\n",
    f"x-verb / HTTP/1.1\r\nHost: {GRAPH}\r\n\r\n",
    f"9 / HTTP/1.1\r\nHost: {GRAPH}\r\n\r\n",
    f"GET  / HTTP/1.1\r\nHost: {GRAPH}\r\n\r\n",
    f"GET\t/ HTTP/1.1\r\nHost : {GRAPH}\r\n\r\n",
    f"GET / HTTP/1.1\r\nHost:\r\n {GRAPH}\r\n\r\n",
]


@pytest.mark.parametrize("head", BAD_HEADS)
@pytest.mark.parametrize("step", [1, 100000])
def test_plain_requests_for_an_inspected_host_on_port_80(through, raw, head, step):
    s = through(f"{TUNNELLED}:80")
    for i in range(0, len(head), step):
        s.sendall(head[i:i + step].encode())
    answer = s.recv(4096)
    assert answer.startswith(b"HTTP/1.1 403 ") and HOST_REFUSED in answer
    assert is_closed(s)
    assert all(not stream for stream in raw.streams)


@pytest.mark.parametrize("head", ["GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "QUIT\r\n", "GET /\r\n",
                                  "\x05\x01\x00", "RTSP/1.0 200 OK\r\n", "GET / HTTP/1.1\r\nHost: x\r\nReferer: http://"
                                  f"{GRAPH}/\r\n\r\n"])
def test_other_plain_requests_on_port_80(through, raw, head):
    s = through(f"{TUNNELLED}:80")
    s.sendall(head.encode())
    passes(s, raw, head.encode())


def test_plain_head_without_end(through, raw):
    s = through(f"{TUNNELLED}:80")
    with contextlib.suppress(OSError):
        s.sendall(b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 70000)
    with contextlib.suppress(ConnectionResetError):
        assert b"too long" in s.recv(4096)
    assert all(not stream for stream in raw.streams)


def test_inspected_host_on_another_port(door, switch, raw):
    switch.behind = raw
    for at in (f"{GRAPH}:8443", f"{GRAPH.upper()}.:8443", f"{GRAPH}:80", f"{GRAPH}:25"):
        s, head = door.tunnel(at)
        s.close()
        assert head.status == 403 and b"port 443 only" in head.body, at
        assert "http_request_denied" in head.get("proxy-status")
    assert raw.connections == 0


def test_port_that_is_not_open_to_anybody(door):
    s, head = door.tunnel(f"{TUNNELLED}:22")
    s.close()
    assert head.status == 403 and b"connect_ports" in head.body


@pytest.mark.parametrize("at", [f"{GRAPH}..:443", f".{GRAPH}:443", "graph..microsoft.com:443", f"{GRAPH}\u00a0:443", f"{GRAPH}%2e:443",
                                f"u@{GRAPH}:443", f"{GRAPH}:443:443", f"{GRAPH}:0443x", f"{GRAPH}:65979", f"[{GRAPH}]:443",
                                "[::ffff:192.0.2.7%25lo]:443", f"{GRAPH}", f"{GRAPH}:", ":443"])
def test_connect_targets_that_are_none(door, switch, raw, at):
    """Whatever a resolver might make of these, they are never a way past the list."""
    switch.behind = raw
    s, head = door.tunnel(at)
    s.close()
    assert head.status in (400, 502), head.start
    assert raw.connections == 0


def test_never_hosts_are_tunnelled(door, through, raw):
    s = through("never.inspected.example:443")
    data = records(hello("never.inspected.example"))
    s.sendall(data)
    passes(s, raw, data)


def test_never_networks_and_monitored_networks_are_tunnelled(run_proxy, raw):
    for setting, where in (("never_networks = ['127.0.0.0/8']", "sections"), ("mode = 'monitor'", "proxy")):
        kw = {where: f"[inspect]\n{setting}\n" if where == "sections" else setting}
        door = run_proxy(origins={f"{GRAPH}:8443": raw.port, f"{TUNNELLED}:443": raw.port},
                         **{**kw, "proxy": kw.get("proxy", "") + "\nconnect_ports = [443, 8443]"})
        for at in (f"{TUNNELLED}:443", f"{GRAPH}:8443"):
            raw.streams.clear()
            s, head = door.tunnel(at)
            assert head.status == 200
            with contextlib.closing(s):
                s.sendall(records(hello(GRAPH)))
                assert raw.got(100)
                # and a reload does not close what would be tunnelled again
                door.reload()
                s.settimeout(10 * SLOW)
                assert s.recv(1) == b"+"
                s.sendall(b"x")
                assert s.recv(1) and wait_for(lambda: raw.streams[0].endswith(b"x"))


def test_hello_that_never_ends_is_closed_in_time(run_proxy, raw):
    door = run_proxy(origins={f"{TUNNELLED}:443": raw.port}, proxy='timeouts = { tunnel_idle = "1s" }')
    s, _ = door.tunnel(f"{TUNNELLED}:443")
    with contextlib.closing(s):
        s.sendall(records(hello(GRAPH))[:50])
        began = time.monotonic()
        assert is_closed(s, 10 * SLOW) and time.monotonic() - began > 0.9


def test_reload_ends_the_tunnels_that_would_be_opened_now(run_proxy, raw):
    door = run_proxy(start=False, origins={f"{OUTLOOK}:443": raw.port, f"{TUNNELLED}:443": raw.port, f"{V4}:443": raw.port})
    door.write_config(sections='[inspect]\nprofile = "light"\n')  # Graph, but not Outlook
    door.start()
    socks = {}
    for at, sni in ((OUTLOOK, OUTLOOK), (V4, OUTLOOK), (TUNNELLED, TUNNELLED)):
        socks[at], _ = door.tunnel(f"{at}:443")
        socks[at].settimeout(10 * SLOW)
        socks[at].sendall(records(hello(sni)))
        assert socks[at].recv(2)
    door.write_config(sections="")
    wait_for(lambda: "configuration reloaded" in door.stderr)
    assert is_closed(socks[OUTLOOK]) and is_closed(socks[V4])
    socks[TUNNELLED].sendall(b"z")
    assert socks[TUNNELLED].recv(2)
    for s in socks.values():
        s.close()


def test_reload_leaves_upgraded_connections_alone(run_proxy, authority, tmp_path):
    """A WebSocket's request was judged when it was made; a reload would otherwise cut every Teams and Outlook session."""
    def serve(sock):
        request = Reader(sock).until(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept +
                     b"\r\n\r\n")
        while data := sock.recv(1000):
            sock.sendall(data)
    o = Origin(server_context(pem_of(*authority.leaf(OUTLOOK)), tmp_path), serve)
    door = run_proxy(origins={f"{OUTLOOK}:443": o.port})
    with contextlib.closing(o), contextlib.closing(door.tls(OUTLOOK)) as s:
        s.sendall(get("/ws", OUTLOOK, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
        assert b" 101 " in Reader(s).until(b"\r\n\r\n")
        for _ in range(2):
            door.reload()
            s.sendall(b"ping")
            assert s.recv(10) == b"ping"
