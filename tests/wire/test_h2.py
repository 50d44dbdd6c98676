# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 on either side: every combination of versions must carry the same exchanges, and what is special to HTTP/2 must hold."""
import contextlib
import hashlib
import itertools
import os
import threading
import time

import pytest

from conftest import GRAPH, OUTLOOK
from h2kit import CANCEL, HTTP_1_1_REQUIRED, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, ClientH1, ClientH2, Site, Wire, echo, values
from harness import SLOW, TIMEOUT, pem_of, server_context, wait_for

BOTH, OLD = ("h2", "http/1.1"), ("http/1.1",)
COMBINATIONS = [(c, o) for c in ("h1", "h2") for o in ("h1", "h2")]
SOME = os.urandom(70_000)  # more than a frame, a record and a chunk


@pytest.fixture(scope="module")
def site(authority, tmp_path_factory):
    s = Site(server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK)), tmp_path_factory.mktemp("site"), alpn=None))
    yield s
    s.close()
    assert s.faults == []


@pytest.fixture(scope="module")
def door(run_shared, site):
    return run_shared(origins={f"{GRAPH}:443": site.port, f"{OUTLOOK}:443": site.port}, proxy="[proxy.timeouts]\nclient_body = \"3s\"\n")


@pytest.fixture(autouse=True)
def afresh(site):
    """Each test begins with an origin that echoes and speaks both versions."""
    site.answer, site.alpn, site.settings, site.hold = echo, BOTH, (), False
    yield
    site.drop_all()
    site.calls = []


@pytest.fixture(autouse=True)
def known(door, monkeypatch):
    """Clients know their proxy, for its log."""
    monkeypatch.setattr(ClientH1, "proxy", door, raising=False)
    monkeypatch.setattr(ClientH2, "proxy", door, raising=False)


@contextlib.contextmanager
def combined(door, site, client, origin):
    """A client's connection through which requests go out by one version and arrive by another."""
    def speak(alpn, path):
        site.alpn = alpn
        site.drop_all()
        with contextlib.closing(ClientH1(door, GRAPH)) as c:
            got = c.get(path).json()["version"]
            assert got == alpn[0], f"the origin is spoken to by {got}"
    answer, site.answer = site.answer, echo
    speak(BOTH if client == "h2" or origin == "h2" else OLD, "/warm")
    c = (ClientH2 if client == "h2" else ClientH1)(door, GRAPH)
    if client == "h2" and origin == "h1":
        speak(OLD, "/fallen-back")  # what was remembered no longer holds
    site.answer, site.calls = answer, []
    with contextlib.closing(c):
        yield c
    assert {call.version for call in site.calls} <= {"h2" if origin == "h2" else "http/1.1"}


@pytest.fixture(params=COMBINATIONS, ids=lambda p: f"{p[0]}-to-{p[1]}")
def pair(request, door, site):
    with combined(door, site, *request.param) as client:
        client.pair = request.param
        yield client


def script(site):
    """Sets the origin's script."""
    def use(f):
        site.answer = f
        return f
    return use


# ---- every combination ----

def test_no_body(pair, site):
    r = pair.get("/v1.0/me?$select=id", fields=[("x-a", "1"), ("x-a", "2")])
    saw = r.json()
    assert r.status == 200 and (saw["method"], saw["path"], saw["authority"], saw["scheme"]) == ("GET", "/v1.0/me?$select=id", GRAPH, "https")
    assert values(saw["fields"], "x-a") in (["1", "2"], ["1, 2"]) and values(saw["fields"], "content-length") == []
    assert values(saw["fields"], "transfer-encoding") == [] and saw["length"] == 0


@pytest.mark.parametrize("body", [b"", b"x", SOME], ids=["empty", "one", "some"])
def test_sized(pair, site, body):
    @script(site)
    def _(call):
        assert call.all("content-length") == [str(len(body))] and not call.get("transfer-encoding")
        call.respond(201, [("x-b", "c")], call.read())
    r = pair.get("/up", "POST", body=body)
    assert (r.status, r.get("x-b"), r.get("content-length"), r.broken) == (201, "c", str(len(body)), None)
    assert r.body == body and not r.get("transfer-encoding")


def test_streamed(pair, site):
    """Without a length, and each piece before the next one is made: nothing waits for the end."""
    @script(site)
    def _(call):
        assert not call.get("content-length")
        call.head(200, [("content-type", "text/plain")])
        for n in (5, 10, 15):
            call.send(call.read_some(n)[n - 5:])
        assert call.read() == b"a" * 5 + b"b" * 5 + b"c" * 5
        call.end()
    asked = pair.ask("/up", "POST", more=True)
    if pair.version == "h2":
        for i, piece in enumerate((b"aaaaa", b"bbbbb", b"ccccc")):
            asked.send(piece)
            assert asked.some(5 * i + 5).endswith(piece)
        asked.end()
    else:
        for piece in (b"aaaaa", b"bbbbb", b"ccccc"):
            asked.send(piece)
        asked.end()
    r = asked.reply()
    assert r.status == 200 and r.body == b"aaaaabbbbbccccc" and r.broken is None and not r.get("content-length")


def test_trailers(pair, site):
    @script(site)
    def _(call):
        body = call.read()
        call.respond(200, [("trailer", "x-sum")], body, trailers=[("x-sum", ";".join(f"{k}={v}" for k, v in call.trailers)), ("set-cookie", "a=b")],
                     sized=False)
    r = pair.get("/up", "POST", [("te", "trailers")], body=SOME, trailers=[("x-check", "41"), ("authorization", "Bearer x")], sized=False)
    assert r.body == SOME and r.trailers == [("x-sum", "x-check=41")], "what RFC 9110, 6.5.1 forbids in trailers stays out"


def test_trailers_without_a_body(pair, site):
    @script(site)
    def _(call):
        assert call.read() == b"" and call.trailers == [("x-check", "1")]
        call.head(200, [("x-h", "1")])
        call.end([("grpc-status", "0")])
    r = pair.get("/up", "POST", body=b"", trailers=[("x-check", "1")], sized=False)
    assert (r.status, r.body, r.trailers, r.broken) == (200, b"", [("grpc-status", "0")], None)


@pytest.mark.parametrize("size", [5_000, 600_000])
def test_refused_early(pair, site, size):
    """413 in the middle of an upload that the origin does not read on: the answer arrives, and the client's connection goes on."""
    @script(site)
    def _(call):
        call.read_some(1000)
        call.respond(413, [("connection", "close")] if call.version != "h2" else [], b"too large")
        if call.version == "h2":
            call.reset(NO_ERROR)
        else:
            time.sleep(0.2)
            call.drop()
    asked = pair.ask("/up", "POST", [("content-length", str(size))], more=True)
    asked.send(bytes(size))
    r = asked.reply()
    assert (r.status, r.body, r.broken) == (413, b"too large", None)
    site.answer = echo
    asked.end()
    assert pair.get("/next").status == 200


def test_accepted_early(pair, site):
    """202 before the upload's end, which the origin reads to its end all the same."""
    got = threading.Event()
    size = 3_000_000

    @script(site)
    def _(call):
        call.read_some(1000)
        call.respond(202, [], b"")
        assert len(call.read()) == size
        got.set()
    asked = pair.ask("/up", "POST", [("content-length", str(size))], more=True)
    asked.send(bytes(2000))
    if pair.version == "h2":
        pair.end.wait(lambda: asked.s.ended or asked.s.code is not None)
    assert asked.send(bytes(size - 2000))
    asked.end()
    assert got.wait(TIMEOUT)
    assert asked.reply().status == 202


@pytest.mark.parametrize("when", ["head", "body"])
def test_the_client_gives_up(pair, site, when):
    """The origin hears of it, and nothing of the request stays behind."""
    heard, ready = threading.Event(), threading.Event()

    @script(site)
    def _(call):
        if when == "body":
            call.head(200, [])
            call.send(b"begun")
        ready.set()
        with contextlib.suppress(EOFError, OSError):
            call.read()
            while call.version != "h2":
                call.send(SOME)
        if call.version == "h2":
            call.h2.wait(lambda: call.s.code is not None or call.h2.over)
        heard.set()
    asked = pair.ask("/slow", "POST", more=True)
    asked.send(b"x")
    assert ready.wait(TIMEOUT)
    asked.reset()
    assert heard.wait(TIMEOUT)
    assert pair.proxy.log(path="/slow")[-1]["outcome"] == "client gone"
    if pair.version == "h2":
        site.answer = echo
        assert pair.get("/next").status == 200


def test_the_origin_resets_before_its_answer(pair, site):
    site.answer = lambda call: call.reset(INTERNAL_ERROR)
    r = pair.get("/post", "POST", body=b"x")
    if r.status is None:  # a connection that had been used before: not ours to repeat, nor to explain
        assert pair.pair[1] == "h1" and r.broken
    else:
        assert r.status == 502 and "proxy-status" in dict(r.fields)
    if pair.version == "h2":
        site.answer = echo
        assert pair.get("/next").status == 200


def test_the_origin_resets_within_its_answer(pair, site):
    @script(site)
    def _(call):
        call.head(200, [("content-length", "100000")])
        call.send(b"begun")
        time.sleep(0.1)
        call.reset(INTERNAL_ERROR)
    r = pair.get("/half")
    assert r.status == 200 and r.broken, "a response that breaks off must not look complete"
    assert pair.proxy.log(path="/half")[-1]["outcome"] == "origin broke off"
    if pair.version == "h2":
        assert r.broken == f"reset {INTERNAL_ERROR}" and r.body == b"begun"
        site.answer = echo
        assert pair.get("/next").status == 200


def test_interim(pair, site):
    @script(site)
    def _(call):
        call.head(103, [("link", "</a.css>; rel=preload")])
        call.head(103, [("link", "</b.css>; rel=preload")])
        call.respond(200, [], b"final")
    r = pair.get("/hints")
    assert [(s, values(f, "link")) for s, f in r.interim] == [(103, ["</a.css>; rel=preload"]), (103, ["</b.css>; rel=preload"])]
    assert (r.status, r.body) == (200, b"final")


def test_expect(pair, site):
    """The body stays with the client until the origin has said 100."""
    @script(site)
    def _(call):
        assert call.get("expect") == "100-continue"
        if call.version == "h2":
            time.sleep(0.2)
            assert call.s.body == b""
        call.head(100)
        call.respond(200, [], call.read())
    asked = pair.ask("/up", "PUT", [("expect", "100-continue"), ("content-length", "5")], more=True)
    assert asked.interim()[0] == 100
    asked.send(b"hello")
    asked.end()
    assert asked.reply().body == b"hello"


def test_expect_refused(pair, site):
    site.answer = lambda call: call.respond(417, [], b"no")
    asked = pair.ask("/up", "PUT", [("expect", "100-continue"), ("content-length", "5")], more=True)
    r = asked.reply()
    assert (r.status, r.interim, r.body) == (417, [], b"no")


@pytest.mark.parametrize("method, status, fields", [("HEAD", 200, [("content-length", "12345"), ("x-a", "b")]), ("GET", 204, [("x-a", "b")]),
                                                    ("GET", 304, [("etag", '"1"'), ("x-a", "b")])])
def test_no_content(pair, site, method, status, fields):
    site.answer = lambda call: call.head(status, fields, ends=True)
    r = pair.get("/", method)
    assert (r.status, r.body, r.get("x-a"), r.broken) == (status, b"", "b", None)
    assert r.get("content-length") == ("12345" if method == "HEAD" else None)
    site.answer = echo
    assert pair.get("/next").status == 200, "nothing was left over"


def test_large_heads(pair, site):
    fields = [(f"x-{i}", "v" * 900) for i in range(100)]

    @script(site)
    def _(call):
        assert [(k, v) for k, v in call.fields if k.startswith("x-")] == fields
        call.respond(200, fields, b"ok")
    r = pair.get("/", fields=fields)
    assert r.status == 200 and [(k, v) for k, v in r.fields if k.startswith("x-")] == fields


def test_hop_by_hop_fields_stay_on_their_hop(pair, site):
    @script(site)
    def _(call):
        assert not {"connection", "keep-alive", "proxy-connection", "x-hop", "te", "proxy-authorization"} & {k for k, _ in call.fields}
        call.respond(200, [("alt-svc", 'h3=":443"')] + ([("connection", "x-drop"), ("x-drop", "1"), ("keep-alive", "timeout=5")]
                                                        if call.version != "h2" else []), b"ok")
    hop = [] if pair.version == "h2" else [("Connection", "X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "5"), ("Proxy-Connection", "keep-alive")]
    r = pair.get("/", fields=[("proxy-authorization", "Basic eDp5"), *hop])
    assert r.status == 200 and not {"alt-svc", "x-drop", "keep-alive"} & {k.lower() for k, _ in r.fields}


def test_a_photo_is_refused(pair, site):
    r = pair.get("/v1.0/me/photo/$value", "PUT", [("content-type", "image/jpeg")], body=SOME)
    assert r.status == 403 and r.broken is None and b"photo" in r.body
    assert pair.get("/next").status == 200
    assert [c.path for c in site.calls] == ["/next"]


def test_many_after_each_other(pair, site):
    for i in range(100):
        assert pair.get(f"/{i}", "POST", body=b"%d" % i).json()["path"] == f"/{i}"
    assert len({c.connection for c in site.calls}) == 1
