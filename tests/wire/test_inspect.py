# SPDX-License-Identifier: Apache-2.0
"""Bodies that the rules read before anything goes to the origin: held, judged, let go or refused."""
import concurrent.futures
import contextlib
import gzip
import json
import re

import pytest

from conftest import GRAPH, OUTLOOK
from harness import SLOW, Reader, answer, chunked, read_response, scripted, unread, wait_for

BATCH = "/v1.0/$batch"
PHOTO = {"id": "2", "method": "PUT", "url": "/me/photo/$value", "headers": {"Content-Type": "image/jpeg"}, "body": "aGVsbG8="}
MAIL = {"id": "1", "method": "GET", "url": "/me/messages?$top=3"}
EWS = "/EWS/Exchange.asmx"


def batch(*items):
    return json.dumps({"requests": items}).encode()


def soap(operation, inside=""):
    return (f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
            f'xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"><s:Body><m:{operation}>{inside}</m:{operation}></s:Body>'
            f'</s:Envelope>').encode()


def post(host, path, body, fields="", kind="application/json", framing="length"):
    length = f"Content-Length: {len(body)}\r\n" if framing == "length" else "Transfer-Encoding: chunked\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{length}{fields}\r\n".encode()
    return head + (body if framing == "length" else chunked(*[body[i:i + 1000] for i in range(0, len(body), 1000)]))


@pytest.fixture(scope="module")
def door(run_shared, shared_origin):
    return run_shared(origins={f"{GRAPH}:443": shared_origin.port, f"{OUTLOOK}:443": shared_origin.port})


@pytest.fixture(scope="module")
def shared_origin(authority, tmp_path_factory):
    from harness import Origin, pem_of, server_context
    o = Origin(server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK)), tmp_path_factory.mktemp("origin")))
    yield o
    o.close()


@pytest.fixture
def seen(shared_origin):
    """The requests that reach the origin, with their bodies."""
    shared_origin.requests.clear()
    shared_origin.serve = shared_origin.echo
    return shared_origin.requests


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("step", [7, 1 << 20])
def test_a_batch_is_judged_before_any_of_it_leaves(door, seen, framing, step):
    with contextlib.closing(door.tls(GRAPH)) as s:
        reader = Reader(s)
        for items, status in (((MAIL,), 200), ((MAIL, PHOTO), 403), ((MAIL, MAIL), 200)):
            raw = post(GRAPH, BATCH, batch(*items), framing=framing)
            for i in range(0, len(raw), step):
                s.sendall(raw[i:i + step])
            r = read_response(reader)
            assert r.status == status, r.body
    assert [r.body for r in seen] == [batch(MAIL), batch(MAIL, MAIL)]
    assert re.match(r"PG-", json.loads(r.body).get("incident", "PG-"))
    assert door.log("block", rule="graph.user-photo")


def test_a_body_that_is_compressed(door, seen):
    good, bad = gzip.compress(batch(MAIL)), gzip.compress(batch(PHOTO))
    assert door.request(GRAPH, post(GRAPH, BATCH, good, "Content-Encoding: gzip\r\n")).status == 200
    assert door.request(GRAPH, post(GRAPH, BATCH, bad, "Content-Encoding: gzip\r\n")).status == 403
    assert [r.body for r in seen] == [good]


def test_a_body_that_cannot_be_read_is_refused_with_the_reason(door, seen):
    r = door.request(GRAPH, post(GRAPH, BATCH, b'{"requests": [{'))
    assert r.status == 403 and not seen
    r = door.request(GRAPH, post(GRAPH, BATCH, batch(MAIL), "Content-Encoding: x-unknown\r\n"))
    assert r.status == 403 and not seen


def test_a_client_that_waits_for_continue_gets_it_from_here(door, seen):
    body = batch(MAIL)
    with contextlib.closing(door.tls(GRAPH)) as s:
        raw = post(GRAPH, BATCH, body, "Expect: 100-continue\r\n")
        s.sendall(raw[:-len(body)])
        reader, interim = Reader(s), []
        assert reader.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        s.sendall(body)
        assert read_response(reader, interim=interim).status == 200 and not interim
    assert seen[0].body == body and seen[0].get("expect") is None


def test_a_large_batch_is_read_beside_the_loop(door, seen):
    """And lets others pass meanwhile; the verdict is the same as for a small one."""
    many = [dict(MAIL, id=str(i)) for i in range(15)]
    pad = {"id": "p", "method": "POST", "url": "/me/messages", "body": {"text": "x" * 1_000_000}, "headers": {"Content-Type": "application/json"}}
    good, bad = batch(*many, pad), batch(*many, pad, PHOTO)
    with contextlib.closing(door.tls(GRAPH)) as s:
        reader = Reader(s)
        s.sendall(post(GRAPH, BATCH, good))
        assert read_response(reader).status == 200
        s.sendall(post(GRAPH, BATCH, bad))
        assert read_response(reader).status == 403
    assert [len(r.body) for r in seen] == [len(good)]


def test_a_client_that_leaves_while_its_body_is_read(door, seen):
    bad = batch(dict(MAIL, body={"text": "x" * 2_000_000}), PHOTO)
    for cut in (0, 100_000):
        for _ in range(5):
            s = door.tls(GRAPH)
            s.sendall(post(GRAPH, BATCH, bad)[:-cut or None])
            s.close()
    assert door.request(GRAPH, post(GRAPH, BATCH, batch(MAIL))).status == 200


def test_a_mail_with_a_large_attachment_streams(door, shared_origin, seen):
    """The operation stands in front: 100 MiB behind it are nobody's to hold."""
    content = b"QUFB" * (25 << 18)
    body = soap("CreateItem", "@").split(b"@")
    size = len(body[0]) + len(body[1]) + 4 * len(content)
    got = []

    def serve(sock, head, reader):
        left = int(head.get("content-length"))
        while left > 0:
            got.append(len(reader.exactly(min(left, 1 << 20))))
            left -= got[-1]
        sock.sendall(answer(b"ok"))
    shared_origin.serve = unread(serve)
    before = door.rss()
    with contextlib.closing(door.tls(OUTLOOK)) as s:
        s.settimeout(60 * SLOW)
        s.sendall(f"POST {EWS} HTTP/1.1\r\nHost: {OUTLOOK}\r\nContent-Type: text/xml\r\nContent-Length: {size}\r\n\r\n".encode() + body[0])
        for _ in range(4):
            s.sendall(content)
        s.sendall(body[1])
        assert read_response(Reader(s)).status == 200
    assert sum(got) == size
    if SLOW == 1:  # sanitizers keep what was freed
        assert door.rss() - before < 16 << 20


def test_a_photo_by_soap_is_refused_as_a_fault(door, seen):
    r = door.request(OUTLOOK, post(OUTLOOK, EWS, soap("SetUserPhoto", "<m:Email>a@b.example</m:Email>"), kind="text/xml"))
    assert r.status in (403, 500) and b"Fault" in r.body and not seen


def test_many_held_bodies_delay_nobody_and_have_a_budget(door, seen):
    """More than one connection may hold is refused; the other connections do not notice."""
    half = post(GRAPH, BATCH, batch(dict(MAIL, body={"text": "x" * 1_500_000})))[:-10]
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            s = stack.enter_context(contextlib.closing(door.tls(GRAPH)))
            s.sendall(half)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asks = [pool.submit(door.request, GRAPH, post(GRAPH, BATCH, batch(MAIL))) for _ in range(8)]
            assert all(a.result(30 * SLOW).status == 200 for a in asks)
    assert len(seen) == 8
