# SPDX-License-Identifier: Apache-2.0
"""Bodies: a gibibyte each way, byte for byte, in bounded memory, however slowly one side takes it; and as they come, unbuffered."""
import contextlib
import gzip
import hashlib
import os
import socket
import threading
import time

import pytest

from conftest import GRAPH
from harness import SLOW, Message, Reader, answer, chunked, get, is_over, read_chunked, read_response, scripted, unread, wait_for

SANITIZED = SLOW > 1  # its allocator holds on to freed memory, and its pace is another
MIB = 1 << 20
SIZE = 64 * MIB if SANITIZED else 1024 * MIB
BLOCK = os.urandom(MIB - 8)


def blocks(size):
    """Pseudo-random bytes, no two blocks alike: nothing can be lost, doubled or swapped unnoticed."""
    return (BLOCK + i.to_bytes(8, "big") for i in range(size // MIB))


@contextlib.contextmanager
def memory(proxy, limit):
    """The network process grows by less than `limit` bytes at any moment inside."""
    over, start, peak = threading.Event(), proxy.rss(), [0]

    def watch():
        while not over.wait(0.02):
            peak[0] = max(peak[0], proxy.rss() - start)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    print(f"resident memory grew by {peak[0] >> 10} KiB at most")
    assert SANITIZED or peak[0] < limit


def send_all(sock, size, sums):
    digest = hashlib.sha256()
    for block in blocks(size):
        sock.sendall(block)
        digest.update(block)
    sums.append(digest.digest())


def take_all(sock, reader, size):
    digest = hashlib.sha256(reader.buffer)
    left, reader.buffer, view = size - len(reader.buffer), b"", memoryview(bytearray(MIB))
    while left > 0:
        n = sock.recv_into(view[:min(left, MIB)])
        assert n > 0, f"{left} bytes early"
        digest.update(view[:n])
        left -= n
    return digest.digest()


@pytest.fixture
def warm(route):
    """A route whose proxy has served a megabyte: what it allocates once is there."""
    route.origin.serve = scripted(answer(bytes(MIB), fields="Connection: close\r\n"))
    assert len(route.ask("/warm").body) == MIB
    return route


def test_a_gibibyte_down(warm):
    sums = []
    warm.origin.serve = unread(lambda sock, head, reader: (
        sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode()), send_all(sock, SIZE, sums), is_over(sock)))
    with contextlib.closing(warm.open()) as s, memory(warm.proxy, 64 * MIB):
        s.settimeout(60 * SLOW)
        s.sendall(warm.raw("/big"))
        reader = Reader(s)
        assert Message(reader.until(b"\r\n\r\n")).get("content-length") == str(SIZE)
        began = time.monotonic()
        got = take_all(s, reader, SIZE)
        print(f"{SIZE / MIB / (time.monotonic() - began):.0f} MiB/s")
    assert [got] == wait_for(lambda: sums)


def test_a_gibibyte_up(warm):
    sums = []

    def serve(sock, head, reader):
        assert head.get("content-length") == str(SIZE)
        sums.append(take_all(sock, reader, SIZE))
        sock.sendall(answer(b"all of it"))
    warm.origin.serve = unread(serve)
    with contextlib.closing(warm.open()) as s, memory(warm.proxy, 64 * MIB):
        s.settimeout(60 * SLOW)
        s.sendall(warm.raw("/big", method="PUT", fields=f"Content-Length: {SIZE}\r\n"))
        sent, began = [], time.monotonic()
        send_all(s, SIZE, sent)
        assert read_response(Reader(s)).body == b"all of it"
        print(f"{SIZE / MIB / (time.monotonic() - began):.0f} MiB/s")
    assert sent == sums


# ---- slow readers ----

CROWD, EACH = 8, 40 * MIB


def stands_still(count):
    """Waits until `count()` has not grown for a while."""
    last = [-1, 0.0]

    def still():
        if count() != last[0]:
            last[:] = [count(), time.monotonic()]
        return time.monotonic() - last[1] > 0.7 * SLOW
    wait_for(still, 60 * SLOW, 0.05)


def test_clients_that_do_not_read_for_a_while(warm):
    sent, sums = [0] * CROWD, {}

    def serve(sock, head, reader):
        i, digest = int(head.target.rpartition("/")[2]), hashlib.sha256()
        sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {EACH}\r\n\r\n".encode())
        for block in blocks(EACH):
            sock.sendall(block)
            sent[i] += MIB
            digest.update(block)
        sums[i] = digest.digest()
        is_over(sock)
    warm.origin.serve = unread(serve)
    with contextlib.ExitStack() as stack, memory(warm.proxy, CROWD * 2 * MIB):
        clients = [stack.enter_context(contextlib.closing(warm.open())) for _ in range(CROWD)]
        for i, s in enumerate(clients):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # else the kernel takes in all of it
            s.sendall(warm.raw(f"/{i}"))
        wait_for(lambda: all(sent))
        stands_still(lambda: sum(sent))
        assert sum(sent) < CROWD * EACH - CROWD * 2 * MIB, "too few were held up: there was nothing to see"
        for i, s in enumerate(clients):
            reader = Reader(s)
            reader.until(b"\r\n\r\n")
            assert take_all(s, reader, EACH) == wait_for(lambda: sums.get(i))


def test_origins_that_do_not_read_for_a_while(warm):
    go, sent, sums = threading.Event(), [0] * CROWD, {}

    def serve(sock, head, reader):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        go.wait(60 * SLOW)
        sums[head.target.rpartition("/")[2]] = take_all(sock, reader, EACH)
        sock.sendall(answer(b"all of it"))
    warm.origin.serve = unread(serve)
    digests = [None] * CROWD

    def upload(i, s):
        s.sendall(warm.raw(f"/{i}", method="PUT", fields=f"Content-Length: {EACH}\r\n"))
        digest = hashlib.sha256()
        for block in blocks(EACH):
            s.sendall(block)
            sent[i] += MIB
            digest.update(block)
        digests[i] = digest.digest()
    with contextlib.ExitStack() as stack, memory(warm.proxy, CROWD * 2 * MIB):
        clients = [stack.enter_context(contextlib.closing(warm.open())) for _ in range(CROWD)]
        for s in clients:
            s.settimeout(60 * SLOW)
        threads = [threading.Thread(target=upload, args=(i, s)) for i, s in enumerate(clients)]
        for t in threads:
            t.start()
        wait_for(lambda: all(sent))
        stands_still(lambda: sum(sent))
        assert sum(sent) < CROWD * EACH - CROWD * 2 * MIB, "too few were held up: there was nothing to see"
        go.set()
        for i, t in enumerate(threads):
            t.join(60 * SLOW)
            assert read_response(Reader(clients[i])).body == b"all of it"
            assert sums[str(i)] == digests[i]


# ---- what must pass, passes unchanged ----

JPEG = b"\xff\xd8\xff\xe0" + os.urandom(90_000) + b"\xff\xd9"
MAIL = b'{"message":{"subject":"\xc3\xa9","attachments":[{"contentBytes":"' + b"QUJD" * 60_000 + b'"}]}}\r\n\0 '
ZIPPED = gzip.compress(b'{"value":[]}')


@pytest.mark.parametrize("method, path, kind, body, status, reply, fields", [
    ("POST", "/v1.0/me/sendMail", "application/json", MAIL, "202 Accepted", b"", ""),
    ("GET", "/v1.0/me/photo/$value", "", b"", "200 OK", JPEG, 'Content-Type: image/jpeg\r\nETag: W/"A1"\r\nSet-Cookie: a=b; path=/\r\n'),
    ("GET", "/v1.0/users/x%40y.example/photos/48x48/$value?a=%2F%2f&b", "", b"", "200 OK", JPEG, ""),
    ("PUT", "/v1.0/groups/1-2/photo/$value", "image/jpeg", JPEG, "200 OK", b"", ""),
    ("GET", "/v1.0/me/messages?$top=3", "", b"", "200 OK", ZIPPED, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"),
], ids=["mail", "photo", "other-photo", "group-photo", "gzip"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_mail_and_harmless_photo_requests_are_untouched(gate, origin, method, path, kind, body, status, reply, fields, framing):
    seen = []

    def serve(sock, head, reader):
        is_chunked = (head.get("transfer-encoding") or "").lower() == "chunked"
        seen.append((head, read_chunked(reader)[0] if is_chunked else reader.exactly(int(head.get("content-length") or 0))))
        if framing == "length":
            sock.sendall(answer(reply, status, fields))
        else:
            sock.sendall(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n{fields}\r\n".encode() + chunked(*filter(None, (reply[:7], reply[7:]))))
    origin.serve = unread(serve)
    own = f"Authorization: Bearer x.y.z\r\nCookie: a=1; b=2\r\nAccept-Encoding: gzip, br\r\n{f'Content-Type: {kind}' + chr(13) + chr(10) if kind else ''}X-Odd:  two  spaces \r\n"
    if framing == "chunked" and body:
        raw = get(path, method=method, fields=own + "Transfer-Encoding: chunked\r\n") + chunked(body[:1], body[1:50_000], body[50_000:])
    else:
        raw = get(path, method=method, fields=own, body=body)
    r = gate.request(GRAPH, raw, method)
    (head, got), = seen
    assert (head.start, got) == (f"{method} {path} HTTP/1.1", body)
    sent = [line.partition(": ") for line in own.split("\r\n") if line]
    assert [f for f in head.fields if f[0] not in ("host", "content-length", "transfer-encoding")] == [(k.lower(), v.strip()) for k, _, v in sent]
    assert (r.start, r.body) == (f"HTTP/1.1 {status}", reply)
    for name, _, value in (line.partition(": ") for line in fields.split("\r\n") if line):
        assert r.all(name) == [value]


# ---- as they come ----

@pytest.mark.parametrize("framing", ["chunked", "until the end"])
def test_server_sent_events_flow_one_by_one(route, framing):
    """The next event is sent when the one before has arrived: a proxy that gathers them would wait for ever."""
    arrived = threading.Semaphore(0)
    events = [f"id: {i}\ndata: {'x' * (i * 400)}\n\n".encode() for i in range(20)]

    def serve(sock, head, reader):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + (b"Transfer-Encoding: chunked\r\n" if framing == "chunked" else b"") + b"\r\n")
        for event in events:
            sock.sendall(b"%x\r\n%s\r\n" % (len(event), event) if framing == "chunked" else event)
            assert arrived.acquire(timeout=20 * SLOW)
    route.origin.serve = unread(serve)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/events"))
        reader = Reader(s)
        assert Message(reader.until(b"\r\n\r\n")).get("content-type") == "text/event-stream"
        for event in events:
            size = int(reader.until(b"\r\n"), 16)
            assert reader.exactly(size) == event
            assert reader.exactly(2) == b"\r\n"
            arrived.release()


def test_an_upload_flows_piece_by_piece(route):
    """So does what a client sends: a call that talks both ways at once, or a recording that goes on for hours."""
    arrived = threading.Semaphore(0)

    def serve(sock, head, reader):
        for i in range(20):
            size = int(reader.until(b"\r\n"), 16)
            assert reader.exactly(size + 2) == b"p" * (i + 1) + b"\r\n"
            arrived.release()
        assert reader.until(b"\r\n\r\n") == b"0\r\n\r\n"
        sock.sendall(answer(b"done"))
    route.origin.serve = unread(serve)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/live", method="POST", fields="Transfer-Encoding: chunked\r\n"))
        for i in range(20):
            s.sendall(b"%x\r\n%s\r\n" % (i + 1, b"p" * (i + 1)))
            assert arrived.acquire(timeout=20 * SLOW)
        s.sendall(b"0\r\n\r\n")
        assert read_response(Reader(s)).body == b"done"


# ---- without end ----

ENDLESS = {
    "field": (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 4096, 502),
    "fields": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 700, 502),
    "reason": (b"HTTP/1.1 200 ", b"O" * 4096, 502),
    "field-name": (b"HTTP/1.1 200 OK\r\n", b"n" * 4096, 502),
    "chunk-extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=", b"a" * 4096, 200),
    "chunk-size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 4096, 200),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 700, 200),
    "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"a" * 4096, 200),
}


@pytest.mark.parametrize("start, more, status", ENDLESS.values(), ids=ENDLESS)
def test_framing_without_end_ends_in_a_bound(warm, start, more, status):
    """A body may go on for ever; what frames it may not."""
    ended = threading.Event()

    def serve(sock, head, reader):
        try:
            sock.sendall(start)
            while True:
                sock.sendall(more)
        finally:
            ended.set()
    warm.origin.serve = unread(serve)
    with contextlib.closing(warm.open()) as s, memory(warm.proxy, 8 * MIB):
        s.sendall(warm.raw("/"))
        reader = Reader(s)
        r = Message(reader.until(b"\r\n\r\n"))
        assert r.status == status
        if status == 502:
            assert "http_protocol_error" in r.get("proxy-status") or "header_section_size" in r.get("proxy-status"), r.get("proxy-status")
        else:
            with contextlib.suppress(ConnectionError):
                assert not reader.rest().endswith(b"0\r\n\r\n"), "it must not look complete"
        assert ended.wait(10 * SLOW), "the origin goes on sending"


ENDLESS_UP = {
    "target": (b"GET http://plain.example/", b"a" * 4096),
    "field": (b"GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nX: ", b"a" * 4096),
    "fields": (b"GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n", b"X: y\r\n" * 700),
    "method": (b"G", b"G" * 4096),
    "chunk-extension": (b"POST http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nTransfer-Encoding: chunked\r\n\r\n5;x=", b"a" * 4096),
    "trailers": (b"POST http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 700),
}


@pytest.mark.parametrize("start, more", ENDLESS_UP.values(), ids=ENDLESS_UP)
def test_requests_without_end_end_in_a_bound(gate, plain, start, more):
    with contextlib.closing(gate.connect()) as s, memory(gate, 16 * MIB):
        s.sendall(start)
        until = time.monotonic() + 15 * SLOW  # for a moment it goes on reading, so that the answer is not lost to a reset
        with pytest.raises(ConnectionError):
            while time.monotonic() < until:
                s.sendall(more)
    assert plain.requests == []
    assert wait_for(lambda: [line for line in gate.log(event="request") if line["status"] in (400, 414, 431)])
