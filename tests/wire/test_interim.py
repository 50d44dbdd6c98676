# SPDX-License-Identifier: Apache-2.0
"""Interim responses and Expect: 100-continue (RFC 9110, 10.1.1 and 15.2)."""
import contextlib
import time

from harness import SLOW, Reader, answer, chunked, get, is_over, read_chunked, read_response, scripted, unread

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: X-Drop\r\nX-Drop: 1\r\n\r\n"
EXPECT = "Expect: 100-continue\r\n"


def test_interim_responses_are_relayed(route):
    route.origin.serve = scripted(b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + answer(b"final"))
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/"))
        interim = []
        r = read_response(Reader(s), interim=interim)
        assert r.body == b"final"
        assert [m.status for m in interim] == [100, 103, 102]
        assert interim[1].get("link") and interim[1].get("x-drop") is None and interim[1].get("connection") is None


def test_early_hints_come_before_the_answer(route):
    go = []

    def serve(sock, request):
        sock.sendall(HINTS)
        while not go:
            time.sleep(0.01)
        sock.sendall(answer(b"late"))
    route.origin.serve = scripted(serve)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/"))
        reader = Reader(s)
        assert b" 103 " in reader.until(b"\r\n\r\n")
        go.append(1)
        assert read_response(reader).body == b"late"


def test_http_1_0_clients_get_no_interim_responses(route):
    route.origin.serve = scripted(HINTS + answer(b"final"))
    interim = []
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/", version="1.0"))
        assert read_response(Reader(s), interim=interim).body == b"final"
    assert interim == []


def test_interim_responses_without_end_are_a_fault(route):
    def flood(sock, request):
        sock.sendall(HINTS * 1000)
    route.origin.serve = scripted(flood)
    interim = []
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/"))
        r = read_response(Reader(s), interim=interim)
        assert r.status == 502 and "http_protocol_error" in r.get("proxy-status")
    assert len(interim) < 100


def test_the_body_follows_the_origins_100(route):
    seen = []

    def serve(sock, head, reader):
        seen.append(head)
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            reader.more()
        assert reader.buffer == b"", "the body came before 100"
        sock.settimeout(30 * SLOW)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        sock.sendall(answer(reader.exactly(5)))
    route.origin.serve = unread(serve)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/", method="POST", fields="Content-Length: 5\r\n" + EXPECT))
        reader = Reader(s)
        assert b" 100 " in reader.until(b"\r\n\r\n")
        s.sendall(b"12345")
        assert read_response(reader).body == b"12345"
    assert seen[0].get("expect") == "100-continue"


def test_a_client_that_does_not_wait_for_100(route):
    route.origin.serve = unread(lambda sock, head, reader: sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(read_chunked(reader)[0])))
    assert route.ask("/", method="PUT", fields=EXPECT + "Transfer-Encoding: chunked\r\n", body=chunked(b"at once")).body == b"at once"


def test_a_final_answer_instead_of_100(route):
    """The client may send the body all the same or give up: both are well."""
    def serve(sock, head, reader):
        sock.sendall(answer(b"too much", "413 Content Too Large"))
        sock.sendall(answer(reader.exactly(4) and b"next", fields="Connection: close\r\n"))
    route.origin.serve = unread(serve)
    with contextlib.closing(route.open()) as s:
        s.sendall(route.raw("/", method="POST", fields="Content-Length: 4\r\n" + EXPECT))
        reader = Reader(s)
        r = read_response(reader)
        assert r.status == 413
        s.sendall(b"body" + route.raw("/2"))
        assert read_response(reader).status == 200, "the connection goes on"
    gone = route.open()
    gone.sendall(route.raw("/", method="POST", fields="Content-Length: 4\r\n" + EXPECT))
    assert read_response(Reader(gone)).status == 413
    gone.close()


def test_a_blocked_request_gets_403_and_no_100(gate, origin):
    with contextlib.closing(gate.tls("graph.microsoft.com")) as s:
        s.sendall(get("/v1.0/me/photo/$value", method="PUT", fields="Content-Length: 100000\r\n" + EXPECT))
        interim = []
        r = read_response(Reader(s), interim=interim)
        assert r.status == 403 and interim == [] and r.get("connection") == "close"
        assert is_over(s) == "eof"
    assert origin.requests == []


def test_curl_uploads_with_expect(gate, origin, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(b"u" * 3_000_000)
    r = gate.curl("-i", "-H", "Expect: 100-continue", "-T", big, "https://graph.microsoft.com/v1.0/me/drive/root:/big:/content").stdout
    assert b" 200 OK" in r and b'"length": 3000000' in r
    r = gate.curl("-i", "-H", "Expect: 100-continue", "-T", big, "https://graph.microsoft.com/v1.0/me/photo/$value").stdout
    assert b" 403 Forbidden" in r and b"100 Continue" not in r
