# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 connections to origins: few for many streams, and no request is lost when one of them ends, in whatever way."""
import contextlib
import signal
import threading
import time

import pytest

from conftest import GRAPH, OUTLOOK
from h2kit import (ENHANCE_YOUR_CALM, GOAWAY, HTTP_1_1_REQUIRED, NO_ERROR, REFUSED_STREAM, ClientH1, ClientH2, Site, Wire, echo, frame, rst)
from harness import TIMEOUT, pem_of, server_context, wait_for

BOTH, OLD = ("h2", "http/1.1"), ("http/1.1",)


@pytest.fixture
def make_site(authority, tmp_path):
    made = []

    def make(**kw):
        made.append(Site(server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK)), tmp_path, alpn=None), **kw))
        return made[-1]
    yield make
    for s in made:
        s.close()
        assert s.faults == []


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.fixture
def gate(run_proxy, site):
    return run_proxy(origins={f"{GRAPH}:443": site.port, f"{OUTLOOK}:443": site.port})


@pytest.fixture
def browser(gate, site):
    """Its origin is known for HTTP/2, by a connection that was used for "/warm"."""
    answer, site.answer = site.answer, echo
    with contextlib.closing(ClientH1(gate, GRAPH)) as c:
        assert c.get("/warm").json()["version"] == "h2"
    site.answer, site.calls = answer, []
    with contextlib.closing(ClientH2(gate, GRAPH)) as c:
        yield c


class Gathering:
    """A script whose calls all wait until they are let go."""

    def __init__(self):
        self.go, self.lock, self.now, self.most = threading.Event(), threading.Lock(), 0, 0

    def __call__(self, call):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(6 * TIMEOUT)
        with self.lock:
            self.now -= 1
        echo(call)


def test_many_streams_on_few_connections(browser, gate, site):
    """300 requests at once, of three browsers: the origin sees three or four connections, not 300."""
    site.answer = gathering = Gathering()
    others = [ClientH2(gate, GRAPH) for _ in range(2)]
    asked = [c.ask(f"/{i}") for c in (browser, *others) for i in range(100)]
    wait_for(lambda: gathering.now == 300)
    assert site.connections <= 4
    gathering.go.set()
    assert {a.reply().status for a in asked} == {200}
    for c in others:
        c.close()


def test_the_origins_limit_is_obeyed(browser, gate, site):
    """SETTINGS_MAX_CONCURRENT_STREAMS: five at once on a connection; the rest gets others, or waits."""
    site.drop_all()
    site.settings = {3: 5}
    assert browser.get("/told").status == 200
    counts = {}

    def answer(call):
        with lock:
            counts[call.connection] = counts.get(call.connection, 0) + 1
            assert counts[call.connection] <= 5
        time.sleep(0.05)
        with lock:
            counts[call.connection] -= 1
        echo(call)
    lock = threading.Lock()
    site.answer = answer
    asked = [browser.ask(f"/{i}") for i in range(60)]
    assert {a.reply().status for a in asked} == {200}
    assert all(end.error is None for end in site.ends)


def test_a_limit_that_shrinks(browser, site):
    """A connection that takes one stream at a time, said while others are under way."""
    site.answer = gathering = Gathering()
    first = [browser.ask(f"/{i}") for i in range(5)]
    wait_for(lambda: gathering.now == 5)
    site.ends[-1].do("update_settings", {3: 1})
    time.sleep(0.1)
    later = [browser.ask(f"/later{i}") for i in range(5)]
    gathering.go.set()
    assert {a.reply().status for a in first + later} == {200}


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"small"), ("PATCH", b"p" * 30_000)], ids=["none", "small", "some"])
def test_goaway_loses_no_request(browser, site, method, body):
    """RFC 9113, 6.8: streams above the last one named were not looked at, so whatever they carry goes to another connection."""
    first = site.ends[-1]
    done = []

    def answer(call):
        if call.h2 is first:
            call.read()
            with lock:
                if call.s.id not in done:
                    done.append(call.s.id)
                if len(done) == 8 and not gone.is_set():
                    gone.set()
                    call.h2.raw(frame(GOAWAY, 0, 0, sorted(done)[3].to_bytes(4, "big") + NO_ERROR.to_bytes(4, "big")))
            if gone.wait(TIMEOUT) and call.s.id > sorted(done)[3]:
                return
        echo(call)
    lock, gone = threading.Lock(), threading.Event()
    site.answer = answer
    asked = [browser.ask(f"/{i}", method, body=body) for i in range(8)]
    replies = [a.reply() for a in asked]
    assert [r.status for r in replies] == [200] * 8, replies
    assert all(r.json()["length"] == len(body or b"") and r.json()["method"] == method for r in replies)
    assert [r.json()["connection"] for r in replies].count(1) == 4 and site.connections == 2
    assert browser.get("/next").json()["connection"] == 2, "nothing new on the one that leaves"


def test_goaway_in_two_steps(browser, site):
    """The warning of RFC 9113, 6.8 (the highest id there is), then the real end: what is under way is answered there."""
    site.answer = gathering = Gathering()
    slow = browser.ask("/slow")
    wait_for(lambda: gathering.now == 1)
    site.ends[-1].raw(frame(GOAWAY, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4)))
    time.sleep(0.1)
    site.answer = echo
    assert browser.get("/next").json()["connection"] == 2
    gathering.go.set()
    assert slow.reply().json()["connection"] == 1


def test_goaway_with_an_error(browser, site):
    """What was looked at fails, the rest goes elsewhere, and the client's connection lives."""
    def answer(call):
        if call.connection == 1:
            call.h2.raw(frame(GOAWAY, 0, 0, (0).to_bytes(4, "big") + ENHANCE_YOUR_CALM.to_bytes(4, "big")))
            call.drop()
        else:
            echo(call)
    site.answer = answer
    replies = [a.reply() for a in [browser.ask(f"/{i}", "POST", body=b"x") for i in range(5)]]
    assert [r.status for r in replies] == [200] * 5, replies


def test_a_refused_stream_is_tried_once_more(browser, site):
    tries = []

    def answer(call):
        tries.append((call.path, call.connection, call.read()))
        if len(tries) == 1:
            call.reset(REFUSED_STREAM)
        else:
            echo(call)
    site.answer = answer
    assert browser.get("/again", "POST", body=b"body").json()["length"] == 4
    assert [t[2] for t in tries] == [b"body"] * 2 and tries[0][1] != tries[1][1]


def test_a_stream_refused_twice_is_the_clients_to_repeat(browser, site):
    site.answer = lambda call: (call.read(), call.reset(REFUSED_STREAM))
    assert browser.get("/again", "POST", body=b"body").broken == f"reset {REFUSED_STREAM}"
    assert len(site.calls) == 2
    site.answer = echo
    assert browser.get("/next").status == 200


def test_a_large_body_cannot_be_sent_twice(browser, site):
    """What was not kept is the client's to repeat, and it is told that it may."""
    def answer(call):
        call.read_some(200_000)
        call.reset(REFUSED_STREAM)
    site.answer = answer
    assert browser.get("/up", "POST", body=bytes(300_000)).broken == f"reset {REFUSED_STREAM}"
    assert len(site.calls) == 1


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"body")])
def test_http_1_1_required(browser, site, method, body):
    site.answer = lambda call: call.reset(HTTP_1_1_REQUIRED) if call.version == "h2" else echo(call)
    for i in range(3):
        r = browser.get(f"/{i}", method, body=body)
        assert r.status == 200 and r.json()["version"] == "http/1.1" and r.json()["length"] == len(body or b"")
    assert [c.version for c in site.calls] == ["h2"] + ["http/1.1"] * 3, "it is remembered"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("client", ["h1", "h2"])
def test_a_connection_that_dies(browser, gate, site, client, how):
    """Safe requests go to another one, once; the others fail as the client's own connection would."""
    def answer(call):
        if call.connection > 1:
            echo(call)
            return
        call.read()
        arrived.wait(TIMEOUT)
        call.h2.abort() if how == "reset" else call.drop()
    asked, arrived, clients = [], threading.Barrier(4), []
    site.answer = answer
    for method, body in (("GET", None), ("POST", b"x"), ("PUT", None), ("POST", b"y")):
        clients.append(browser if client == "h2" else ClientH1(gate, GRAPH))
        asked.append((method, clients[-1].ask("/a", method, body=body)))
    for method, a in asked:
        r = a.reply()
        assert r.status == 200 and r.json()["connection"] == 2 if method != "POST" else r.broken or r.status == 502, (method, r)
    for c in clients:
        c.close()


def test_a_connection_that_dies_within_responses(browser, site):
    def answer(call):
        if call.path == "/drop":
            call.drop()
            return
        call.head(200, [])
        call.send(b"half")
        if call.path == "/1":
            time.sleep(0.1)
            call.drop()
    site.answer = answer
    asked = [browser.ask(f"/{i}") for i in (0, 2, 1)]
    for a in asked:
        r = a.reply()
        assert r.status == 200 and r.broken and r.broken.startswith("reset")
    site.answer = echo
    assert browser.get("/next").status == 200


@pytest.mark.parametrize("what", ["preface", "settings", "garbage", "odd stream", "push", "big frame", "hpack", "continuation"])
def test_an_origin_that_breaks_the_protocol(browser, site, what):
    """It costs that connection: the client gets 502 or a reset in time, and its own connection goes on."""
    bad = {"preface": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "settings": frame(4, 0, 0, b"12345"), "garbage": bytes(range(256)) * 4,
           "odd stream": frame(1, 2, 4, b"\x88"), "push": frame(5, 1, 4, b"\0\0\0\2\x82"), "big frame": frame(0, 1, 0, bytes(20_000)),
           "hpack": frame(1, 3, 5, b"\xff\xff\xff\xff\xff\xff"), "continuation": frame(9, 3, 4, b"\x88")}[what]
    site.answer = lambda call: call.h2.raw(bad)
    r = browser.get("/x", "POST", body=b"x")
    assert r.status == 502 or r.broken, r
    site.answer = echo
    assert browser.get("/next").status == 200


@pytest.mark.parametrize("head", [[], [(":status", "abc")], [(":status", "200"), (":status", "200")], [(":status", "200"), ("connection", "close")],
                                  [(":status", "101")], [(":status", "051")], [(":status", "600")], [(":status", "200"), ("content-length", "1"), ("content-length", "2")], [(":path", "/")]],
                         ids=["none", "no number", "two", "connection", "101", "051", "600", "two lengths", "request"])
def test_an_origins_malformed_head(browser, site, head):
    """RFC 9113, 8.1.1 and 8.3.2."""
    def answer(call):
        with call.h2.changed:
            block = call.h2.h2.encoder.encode(head)
        call.h2.raw(frame(1, call.s.id, 5, block))
    site.answer = answer
    r = browser.get("/x", "POST", body=b"x")
    assert r.status == 502 or r.broken or what_is_dropped(head, r), r
    site.answer = echo
    assert browser.get("/next").status == 200


def what_is_dropped(head, r):
    """A connection field may also be left out, as if it had come by HTTP/1.1."""
    return ("connection", "close") in head and r.status == 200 and r.get("connection") is None


def test_one_clients_resets_do_not_end_the_others(browser, gate, site):
    """A connection's budget for resets is spent by whoever resets: the origin never gets to send GOAWAY for the sake of one."""
    site.answer = gathering = Gathering()
    sound = browser.ask("/sound")
    with contextlib.closing(Wire(gate, GRAPH)) as w:
        for i in range(1500):
            if not w.send(w.request(2 * i + 1), rst(2 * i + 1)):
                break
    gathering.go.set()
    assert sound.reply().status == 200 and browser.get("/next").status == 200
    resets = [sum(s.resets for s in end.streams.values()) for end in site.ends]
    assert max(resets) < 1000, "the budget that nghttp2 and others grant"


# ---- the end ----

def test_drain(browser, gate, site):
    """SIGTERM: GOAWAY, no request is lost, what is under way finishes, then the connection and the proxy end."""
    site.answer = gathering = Gathering()
    slow = browser.ask("/slow")
    up = browser.ask("/up", "POST", more=True)
    up.send(b"first")
    wait_for(lambda: gathering.now == 2)
    gate.process.send_signal(signal.SIGTERM)
    browser.end.wait(lambda: browser.end.goaway is not None)
    assert browser.end.goaway[0] == NO_ERROR
    up.send(b"second")
    up.end()
    gathering.go.set()
    assert slow.reply().status == 200 and up.reply().json()["length"] == 11
    browser.end.wait(lambda: browser.end.over)
    assert gate.stop() == 0


def test_drain_of_an_idle_connection(browser, gate):
    assert browser.get("/").status == 200
    gate.process.send_signal(signal.SIGTERM)
    browser.end.wait(lambda: browser.end.over)
    assert browser.end.goaway == (NO_ERROR, 1) and browser.end.over == "eof"
    assert gate.stop() == 0


def test_reload(browser, gate, site):
    """Streams go on; requests after it use connections that were made under the new configuration."""
    site.answer = gathering = Gathering()
    slow = browser.ask("/slow")
    wait_for(lambda: gathering.now == 1)
    gate.reload()
    with contextlib.closing(ClientH1(gate, GRAPH)) as c:
        site.answer = echo
        assert c.get("/new").json()["connection"] == 2
    gathering.go.set()
    assert slow.reply().json()["connection"] == 1
    assert browser.get("/next").status == 200


def test_without_http2(run_proxy, site):
    """[proxy] http2 = false: HTTP/1.1 on both sides."""
    gate = run_proxy(origins={f"{GRAPH}:443": site.port}, proxy="http2 = false")
    r = gate.curl("--http2", "-i", f"https://{GRAPH}/")
    assert b"HTTP/1.1 200" in r.stdout and b'"version": "http/1.1"' in r.stdout


def test_what_cannot_go_by_http2(browser, gate, site):
    """Upgrades and logins that are bound to a connection get HTTP/1.1 connections, beside the shared one."""
    with contextlib.closing(ClientH1(gate, GRAPH)) as c:
        assert c.get("/plain").json()["version"] == "h2"
        assert c.get("/login", fields=[("Authorization", "NTLM TlRMTVNTUAABAAAA")]).json()["version"] == "http/1.1"
        assert c.get("/upgrade", fields=[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                                         ("Sec-WebSocket-Version", "13")]).json()["version"] == "http/1.1"
