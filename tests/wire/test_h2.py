# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 on either side: every combination of versions must carry the same exchanges, and what is special to HTTP/2 must hold."""
import contextlib
import hashlib
import os
import subprocess
import threading
import time

import pytest

from conftest import GRAPH, OUTLOOK
from h2kit import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INTERNAL_ERROR, NO_ERROR, PADDED, PRIORITIZED, PRIORITY,
                   ClientH1, ClientH2, Site, Wire, echo, frame, values)
from harness import SLOW, TIMEOUT, free_port, pem_of, server_context, wait_for

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


# ---- much ----

HUGE = 100 << 20


@pytest.fixture(scope="module")
def huge(tmp_path_factory):
    """A file and its hash."""
    path = tmp_path_factory.mktemp("htdocs") / "huge"
    path.write_bytes(os.urandom(1 << 20) * (HUGE >> 20))
    return path, hash_of(path)


def hash_of(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@pytest.fixture
def nghttpd(authority, huge, tmp_path):
    """Another HTTP/2 origin than ours: its port. It serves `huge`, and echoes what is posted."""
    (tmp_path / "origin.pem").write_bytes(pem_of(*authority.leaf(GRAPH)))
    port = free_port()
    server = subprocess.Popen(["nghttpd", "--echo-upload", "-d", huge[0].parent, str(port), "origin.pem", "origin.pem"], cwd=tmp_path,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield port
    server.kill()
    server.wait()


@pytest.mark.parametrize("client", ["--http1.1", "--http2"])
def test_huge_to_h2(run_proxy, nghttpd, huge, client, tmp_path):
    """100 MiB both ways at once, and down alone."""
    gate = run_proxy(origins={f"{GRAPH}:443": nghttpd})
    path, expected = huge
    for args in (["-X", "POST", "-T", path], ["-s"]):
        r = gate.curl(client, "-o", tmp_path / "got", "-w", "%{http_code} %{http_version}", *args, f"https://{GRAPH}/huge")
        assert r.stdout == b"200 " + (b"2" if client == "--http2" else b"1.1")
        assert hash_of(tmp_path / "got") == expected


@pytest.mark.parametrize("client", ["--http1.1", "--http2"])
def test_huge_to_h1(door, site, huge, client, tmp_path):
    """The same; before it, the origin forgets HTTP/2, and drops its connection."""
    path, expected = huge
    sums = []

    @script(site)
    def _(call):
        if call.path == "/first":
            site.alpn = OLD
            if call.version == "h2":  # else the upload might still be sent on this connection
                call.h2.raw(frame(GOAWAY, 0, 0, call.s.id.to_bytes(4, "big") + bytes(4)))
            call.respond(200, [], b"")
            call.drop()
            return
        digest = hashlib.sha256()
        for _ in range(0, int(call.get("content-length")), 1 << 16):
            digest.update(call.reader.exactly(1 << 16))
        call.been_read = True
        sums.append((call.version, digest.hexdigest()))
        call.respond(200, [], path.read_bytes())
    with combined(door, site, "h1", "h2"):
        pass  # it is known for HTTP/2 now
    door.curl(client, f"https://{GRAPH}/first")
    time.sleep(0.5 * SLOW)  # the proxy has seen the drop
    r = door.curl(client, "-o", tmp_path / "got", "-w", "%{http_code} %{http_version}", "-X", "POST", "-T", path, f"https://{GRAPH}/huge")
    assert r.stdout == b"200 " + (b"2" if client == "--http2" else b"1.1")
    assert hash_of(tmp_path / "got") == expected and sums == [("http/1.1", expected)]


# ---- heads ----

@pytest.fixture
def known_h2(door, site):
    """The origin is remembered for HTTP/2, with a connection at hand."""
    with combined(door, site, "h1", "h2"):
        pass


@pytest.fixture
def wire(door, known_h2):
    with contextlib.closing(Wire(door, GRAPH)) as w:
        yield w


@pytest.fixture
def browser(door, known_h2):
    with contextlib.closing(ClientH2(door, GRAPH)) as c:
        yield c


GOOD = [(":method", "GET"), (":scheme", "https"), (":authority", GRAPH), (":path", "/")]


def without(name):
    return [f for f in GOOD if f[0] != name]


def instead(name, value):
    return [(k, value if k == name else v) for k, v in GOOD]


MALFORMED = {
    "no method": without(":method"), "no scheme": without(":scheme"), "no path": without(":path"), "empty path": instead(":path", ""),
    "two paths": [*GOOD, (":path", "/")], "two methods": [*GOOD, (":method", "PUT")], "status": [*GOOD, (":status", "200")],
    "unknown pseudo": [*GOOD, (":x", "y")], "pseudo behind fields": [GOOD[0], ("a", "b"), *GOOD[1:]], "upper case": [*GOOD, ("X-Up", "1")],
    "empty name": [*GOOD, ("", "1")], "name with space": [*GOOD, ("a b", "1")], "name with colon": [*GOOD, ("a:b", "1")],
    "line end in value": [*GOOD, ("a", "b\r\nc: d")], "nul in value": [*GOOD, ("a", "b\0c")], "line end in path": instead(":path", "/a\r\nb: c"),
    "connection": [*GOOD, ("connection", "close")], "transfer-encoding": [*GOOD, ("transfer-encoding", "chunked")],
    "upgrade": [*GOOD, ("upgrade", "websocket")], "te": [*GOOD, ("te", "gzip")], "two lengths": [*GOOD, ("content-length", "0"), ("content-length", "1")],
    "bad length": [*GOOD, ("content-length", "1x")], "no authority": without(":authority"), "two hosts": [*GOOD, ("host", GRAPH), ("host", GRAPH)],
    "no slash": instead(":path", "v1.0/me"), "space in path": instead(":path", "/a b"), "absolute path": instead(":path", f"https://{GRAPH}/"),
    "user in authority": instead(":authority", f"x@{GRAPH}"), "space in method": instead(":method", "PUT /v1.0/me/photo/$value"),
    "extended CONNECT": [(":method", "CONNECT"), (":protocol", "websocket"), *GOOD[1:]], "CONNECT": [(":method", "CONNECT"), (":authority", GRAPH)],
    "star": instead(":path", "*"), "empty method": instead(":method", ""),
}


@pytest.mark.parametrize("head", MALFORMED.values(), ids=MALFORMED)
def test_malformed(wire, site, head):
    """RFC 9113, 8.1.1: costs the stream, not the connection, and never reaches the origin."""
    site.calls = []
    wire.send(wire.request(1, pseudo=head))
    verdict = wire.verdict(1)
    assert verdict in (("reset", 1), ("status", 400), ("status", 421)), verdict
    wire.send(wire.request(3, path="/next"))
    assert wire.status(3) == 200 and [c.path for c in site.calls] == ["/next"]


MISDIRECTED = {"authority": instead(":authority", OUTLOOK), "host": [*GOOD, ("host", OUTLOOK)], "host alone": [*without(":authority"), ("host", OUTLOOK)],
               "port": instead(":authority", GRAPH + ":444"), "prefix": instead(":authority", "x" + GRAPH)}


@pytest.mark.parametrize("head", MISDIRECTED.values(), ids=MISDIRECTED)
def test_misdirected(wire, site, head):
    site.calls = []
    wire.send(wire.request(1, pseudo=head))
    assert wire.status(1) == 421
    wire.send(wire.request(3, path="/next"))
    assert wire.status(3) == 200 and len(site.calls) == 1


@pytest.mark.parametrize("head", [instead(":authority", GRAPH + ":443"), instead(":authority", GRAPH.upper()), [*GOOD, ("host", GRAPH)],
                                  [*without(":authority"), ("host", GRAPH)]], ids=["port", "case", "host", "host alone"])
def test_the_same_host_in_other_words(wire, head):
    wire.send(wire.request(1, pseudo=head))
    assert wire.status(1) == 200


def test_another_scheme(wire, site):
    """What is inside TLS is https; a request that says it is not is not passed on as if it were."""
    site.calls = []
    wire.send(wire.request(1, pseudo=instead(":scheme", "http")))
    assert wire.verdict(1) in (("status", 400), ("status", 421), ("reset", 1)) and site.calls == []


@pytest.mark.parametrize("length, body", [(5, b"123"), (5, b"1234567"), (0, b"1")])
def test_a_length_that_is_not_true(wire, site, length, body):
    """RFC 9113, 8.1.1: the origin must not take a piece for the whole."""
    whole = []

    def answer(call):
        with contextlib.suppress(EOFError):
            whole.append(call.read())
        call.respond(200)
    site.answer = answer
    wire.send(wire.request(1, False, method="POST", fields=[("content-length", str(length))]), frame(DATA, 1, END_STREAM, body))
    assert wire.verdict(1) == ("reset", 1)
    assert whole == []


def test_crumbs(pair, site):
    """RFC 9113, 8.2.3: one field for HTTP/1.1, whatever pieces HTTP/2 made of it."""
    crumbs = ["a=1", "b=2", "c=%s" % ("3" * 5000), "d="]
    site.answer = lambda call: call.respond(200, [("x-cookie", str(len(call.all("cookie")))), ("x-sum", hashlib.sha256("; ".join(call.all("cookie")).encode()).hexdigest())])
    r = pair.get(fields=[("cookie", c) for c in crumbs] if pair.version == "h2" else [("Cookie", "; ".join(crumbs))])
    assert r.get("x-sum") == hashlib.sha256("; ".join(crumbs).encode()).hexdigest() and r.get("x-cookie") == "1"


def test_set_cookies_stay_apart(pair, site):
    site.answer = lambda call: call.respond(200, [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")], b"x")
    assert values(pair.get().fields, "set-cookie") == ["a=1; Path=/", "b=2"]


def test_logins_are_never_indexed_towards_the_origin(door, site, known_h2):
    """RFC 7541, 7.1: nobody finds out another one's token by trying what compresses well."""
    seen = []

    def answer(call):
        seen.append({f[0]: type(f).__name__ for f in call.s.heads[0]})
        call.respond()
    site.answer = answer
    with contextlib.closing(ClientH2(door, GRAPH)) as c:
        for _ in range(2):
            c.get(fields=[("authorization", "Bearer abc"), ("cookie", "a=b"), ("x-plain", "1")])
    for head in seen:
        assert head["authorization"] == head["cookie"] == "NeverIndexedHeaderTuple" and head["x-plain"] == "HeaderTuple"


@pytest.mark.parametrize("count, size, expected", [(999 - 4, 10, 200), (1100, 10, 431), (3, 45_000, 431), (20, 4000, 200)])
def test_limits_of_a_head(wire, count, size, expected):
    """As of HTTP/1.1, counted as decoded: above them the request is refused, the connection stays."""
    block = wire.head(fields=[(f"x-{i}", "v" * size) for i in range(count)])
    pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
    wire.send(*(frame(CONTINUATION if i else HEADERS, 1, (0 if i else END_STREAM) | (END_HEADERS if i == len(pieces) - 1 else 0), p)
                for i, p in enumerate(pieces)))
    assert wire.status(1) == expected
    wire.send(wire.request(3))
    assert wire.status(3) == 200


def test_a_path_that_is_too_long(wire):
    wire.send(wire.request(1, path="/" + "p" * 15_000), wire.request(3, path="/next"))
    assert wire.status(1) == 200 and wire.status(3) == 200
    block = wire.head(path="/" + "p" * 40_000)
    wire.send(frame(HEADERS, 5, END_STREAM, block[:16384]), frame(CONTINUATION, 5, 0, block[16384:32768]), frame(CONTINUATION, 5, END_HEADERS, block[32768:]))
    assert wire.status(5) == 414


# ---- each stream is judged by itself ----

def test_a_photo_among_others(browser, site):
    site.calls = []
    asked = [browser.ask(f"/v1.0/me/{i}", "POST", body=b"x" * 100) for i in range(10)]
    photos = [browser.ask("/v1.0/me/photo/$value", "PUT", [("content-type", "image/jpeg")], body=SOME) for _ in range(5)]
    asked += [browser.ask("/v1.0/me/photo/$value") for _ in range(5)]
    assert {a.reply().status for a in photos} == {403} and {a.reply().status for a in asked} == {200}
    assert sorted({c.method for c in site.calls}) == ["GET", "POST"]
    wait_for(lambda: len(browser.proxy.log("block", rule="graph.user-photo", verdict="block")) >= 5)


@pytest.mark.parametrize("size", [1000, 5_000_000])
@pytest.mark.parametrize("client", ["--http1.1", "--http2"])
def test_curl_shows_the_refusal(door, site, known_h2, client, size, tmp_path):
    """Also when it is still sending the picture."""
    (tmp_path / "photo").write_bytes(bytes(size))
    r = door.curl(client, "-i", "-X", "PUT", "--data-binary", f"@{tmp_path}/photo", f"https://{GRAPH}/v1.0/me/photo/$value")
    assert b" 403" in r.stdout and b"photo" in r.stdout


def test_a_head_in_pieces(wire):
    """One byte of the block a frame and of a frame a TLS record."""
    block = wire.head(path="/slowly")
    wire.send(frame(HEADERS, 1, END_STREAM, block[:1]), *(frame(CONTINUATION, 1, 0, block[i:i + 1]) for i in range(1, 6)), frame(CONTINUATION, 1, END_HEADERS, block[6:]))
    assert wire.status(1) == 200
    for byte in wire.request(3, path="/again"):
        wire.send(bytes([byte]))
    assert wire.status(3) == 200


def test_padding_and_priority(wire, site):
    head = wire.head(method="POST")
    wire.send(frame(HEADERS, 1, END_HEADERS | PADDED | PRIORITIZED, b"\x07" + b"\0\0\0\0\x10" + head + bytes(7)),
              frame(PRIORITY, 1, 0, b"\0\0\0\0\xff"), frame(DATA, 1, END_STREAM | PADDED, b"\xff" + b"body" + bytes(255)))
    assert wire.status(1) == 200 and len(site.calls[-1].s.body) == 4


def test_frames_nobody_knows_are_ignored(wire):
    wire.send(frame(0x55, 0, 0xff, b"what"), frame(0x10, 0, 0, b"\0\0\0\1u=1"), wire.request(1), frame(0x77, 1, 1, b""))
    assert wire.status(1) == 200 and wire.is_alive()
