# SPDX-License-Identifier: Apache-2.0
"""Requests one after the other and many at once: framing, order, what belongs to one hop."""
import contextlib

import pytest

from harness import Reader, answer, chunked, read_response, scripted

PHOTO = "/v1.0/me/photo/$value"


def test_one_connection_carries_many_requests(route):
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        for i in range(50):
            s.sendall(route.raw(f"/{i}", method="POST" if i % 2 else "GET", body=b"x" * i if i % 2 else b""))
            r = read_response(reader)
            assert r.json()["target"] == f"/{i}" and r.json()["length"] == (i if i % 2 else 0)
    assert route.origin.connections == 1


def test_pipelined_requests_are_answered_in_order(route):
    requests = [route.raw(f"/{i}", method="POST", body=b"p" * (i * 97)) if i % 3 == 0 else
                route.raw(f"/{i}", method="PUT", fields="Transfer-Encoding: chunked\r\n", body=chunked(b"a" * i, b"b" * 7)) if i % 3 == 1 else
                route.raw(f"/{i}") for i in range(1, 40)]
    with contextlib.closing(route.open()) as s:
        s.sendall(b"".join(requests))
        reader = Reader(s)
        for i in range(1, 40):
            r = read_response(reader).json()
            assert r["target"] == f"/{i}"
            assert r["length"] == (i * 97 if i % 3 == 0 else i + 7 if i % 3 == 1 else 0)


def test_pipelined_requests_cut_anywhere(route):
    stream = b"".join(route.raw(f"/{i}", method="POST", fields="Transfer-Encoding: chunked\r\n", body=chunked(b"12345", b"6"))
                      for i in range(3))
    with contextlib.closing(route.open()) as s:
        for i in range(len(stream)):
            s.sendall(stream[i:i + 1])
        reader = Reader(s)
        assert [read_response(reader).json()["target"] for _ in range(3)] == ["/0", "/1", "/2"]


def test_a_blocked_request_inside_a_pipeline_takes_nothing_with_it(gate, origin):
    def raw(path, method="GET", body=b""):
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        return f"{method} {path} HTTP/1.1\r\nHost: graph.microsoft.com\r\n{length}\r\n".encode() + body
    with contextlib.closing(gate.tls("graph.microsoft.com")) as s:
        s.sendall(raw("/one") + raw(PHOTO, "PUT", b"\xff\xd8photo") + raw("/two", "POST", b"body") + raw(PHOTO, "DELETE") + raw("/three"))
        reader = Reader(s)
        assert [read_response(reader).status for _ in range(5)] == [200, 403, 200, 403, 200]
    assert [r.target for r in origin.requests] == ["/one", "/two", "/three"]


def test_a_client_that_sends_all_and_closes_its_side_gets_all(gate):
    """RFC 9112, 9.6: the end of what the client sends is not the end of what it wants."""
    with contextlib.closing(gate.connect()) as s:
        s.sendall(b"".join(f"GET http://plain.example/{i} HTTP/1.1\r\nHost: plain.example\r\n\r\n".encode() for i in range(4)))
        s.shutdown(1)
        reader = Reader(s)
        answers = [read_response(reader) for _ in range(4)]
        assert [r.json()["target"] for r in answers] == [f"/{i}" for i in range(4)]
        assert [r.get("connection") for r in answers] == [None, None, None, "close"]
        assert reader.rest() == b""


def test_chunked_both_ways_is_framed_anew(route):
    seen = []
    route.origin.serve = scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=\"a;b\"\r\nhello\r\n06\r\n world\r\n000\r\n\r\n",
                                  answer(b"next"), seen=seen)
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/c", method="POST", fields="Transfer-Encoding: Chunked\r\n", body=b"3;x=y\r\nabc\r\n00\r\n\r\n"))
        r = read_response(reader)
        assert r.body == b"hello world" and r.get("content-length") is None
        s.sendall(route.raw("/next"))
        assert read_response(reader).body == b"next"
    assert seen[0].body == b"abc" and seen[0].get("content-length") is None


def test_trailers_pass_both_ways_but_not_those_that_would_mislead(route):
    seen = []
    bad = "Content-Length: 3\r\nHost: evil\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\nSet-Cookie: a=b\r\n" \
          "X-HTTP-Method-Override: PUT\r\nConnection: close\r\nProxy-Authorization: x\r\n"
    route.origin.serve = scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n" +
                                  chunked(b"data", trailers=bad + "X-Sum: 42\r\n"), seen=seen)
    r = route.ask("/t", method="POST", fields="TE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n",
                  body=chunked(b"up", trailers=bad + "X-Up-Sum: 7\r\n"))
    assert r.trailers == [("x-sum", "42")]
    assert seen[0].trailers == [("x-up-sum", "7")]
    assert seen[0].get("te") == "trailers"


@pytest.mark.parametrize("head, method", [(b"HTTP/1.1 204 No Content\r\n\r\n", "GET"),
                                          (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\nETag: \"a\"\r\n\r\n", "GET"),
                                          (b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", "HEAD"),
                                          (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"),
                                          (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"),
                                          (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "POST")])
def test_responses_without_a_body(route, head, method):
    route.origin.serve = scripted(head, answer(b"second"))
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/1", method=method))
        r = read_response(reader, method)
        assert r.status == int(head.split()[1]) and r.body == b""
        assert r.get("content-length") == (b"Content-Length: " in head and head.split(b"Content-Length: ")[1].split(b"\r\n")[0].decode() or None)
        s.sendall(route.raw("/2"))
        assert read_response(reader).body == b"second"
    assert route.origin.connections == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content\r\nContent-Length: 34\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 34\r\n\r\n",
                                  b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n"])
def test_a_body_behind_204_or_304_is_never_the_next_response(route, head):
    def first(sock, request):
        route.origin.serve = scripted(answer(b"true"))
        sock.sendall(head + b"HTTP/1.1 200 OK\r\nX: smuggled\r\n\r\nABC" + b"\r\n0\r\n\r\n")
    route.origin.serve = scripted(first)
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/1"))
        assert read_response(reader).status in (204, 304)
        s.sendall(route.raw("/2"))
        r = read_response(reader)
        assert r.status == 200 and r.get("x") is None and r.body == b"true"
    assert route.origin.connections == 2


def test_http_1_0_clients(route):
    whole = b"z" * 70000
    route.origin.serve = scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(whole[:100], whole[100:]),
                                  answer(b"a"), answer(b"b"), answer(b"c"))
    r = route.ask("/", version="1.0")
    assert r.body == whole and r.get("transfer-encoding") is None and r.get("connection") == "close"
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        for body in (b"a", b"b"):
            s.sendall(route.raw("/", version="1.0", fields="Connection: keep-alive\r\n"))
            r = read_response(reader)
            assert r.body == body and r.get("connection") == "keep-alive"
        s.sendall(route.raw("/", version="1.0"))
        r = read_response(reader)
        assert r.body == b"c" and r.get("connection") == "close"
        assert reader.rest() == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_response_that_ends_with_the_connection_gets_chunks(route, version):
    def close_delimited(sock, request):
        sock.sendall(b"HTTP/" + version + b" 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst ")
        sock.sendall(b"second")
        if route.inside:
            sock.unwrap()
    route.origin.serve = scripted(close_delimited, hold=False)
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        for _ in range(2):
            s.sendall(route.raw("/"))
            r = read_response(reader)
            assert r.body == b"first second" and r.get("transfer-encoding") == "chunked" and r.get("connection") is None
    assert route.origin.connections == 2


def test_fields_of_one_hop_stay_there(route):
    seen = []
    route.origin.serve = scripted(answer(b"ok", fields="Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nX-Seen: 1\r\n"
                                         "Proxy-Authenticate: Basic\r\nProxy-Connection: x\r\n"), answer(b"2"), seen=seen)
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/", fields="Connection: X-Hop, close, Cookie\r\nX-Hop: 1\r\nx-hop: 2\r\nCookie: a=b\r\nX-Kept: 1\r\nKeep-Alive: 5\r\n"
                            "Proxy-Connection: X-Also\r\nX-Also: 1\r\nProxy-Authorization: Basic eDp5\r\n"))
        r = read_response(reader)
        assert r.get("connection") == "close" and r.get("x-seen") == "1"
        assert not [n for n, _ in r.fields if n in ("x-secret", "keep-alive") or n.startswith("proxy-")]
        assert reader.rest() == b""
    names = [n for n, _ in seen[0].fields]
    assert "x-kept" in names and "connection" not in names
    assert not [n for n in names if n in ("x-hop", "x-also", "keep-alive") or n.startswith("proxy-")]
    assert route.ask("/").body == b"2", "the client's `close` is not the origin connection's"
    assert route.origin.connections == 1


def test_an_empty_line_between_requests_is_no_request(route):
    with contextlib.closing(route.open()) as s:
        reader = Reader(s)
        s.sendall(route.raw("/1", method="POST", body=b"x") + b"\r\n" + route.raw("/2"))
        assert [read_response(reader).json()["target"] for _ in range(2)] == ["/1", "/2"]
