# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 clients that mean harm. Each known class costs the proxy little memory and processor time, itself its connection, others nothing;
and the access log tells."""
import contextlib
import os
import pathlib
import subprocess
import time

import pytest

from conftest import GRAPH
from h2kit import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PADDED, PING, PREFACE, PRIORITY, SETTINGS, ClientH1,
                   ClientH2, Site, Wire, echo, frame, rst, window_update)
from harness import SLOW, free_port, pem_of, server_context, wait_for
import hyperframe.frame as hf

MIB = 1 << 20
ROOM = (400 if SLOW > 1 else 40) * MIB  # that all of an attack may take; a sanitizer keeps 256 MiB of what was freed


@pytest.fixture(scope="module")
def site(authority, tmp_path_factory):
    s = Site(server_context(pem_of(*authority.leaf(GRAPH)), tmp_path_factory.mktemp("site"), alpn=None))
    yield s
    s.close()


@pytest.fixture(scope="module")
def shared(run_shared, site):
    times = "".join(f'{name} = "{int(2 * SLOW)}s"\n' for name in ("client_head", "client_idle", "client_write"))
    p = run_shared(origins={f"{GRAPH}:443": site.port}, proxy="[proxy.timeouts]\n" + times)
    p.rss_at_start = p.rss()
    return p


@pytest.fixture
def gate(shared, site):
    site.answer = echo
    with contextlib.closing(ClientH1(shared, GRAPH)) as c:
        assert c.get("/warm").json()["version"] == "h2"
    return shared


def cpu(gate):
    """Seconds of processor time that the network process has used."""
    fields = pathlib.Path(f"/proc/{gate.children()['network']}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def attack(gate, **kw):
    """A Wire to do harm with; then: the process is the same, has not grown much, used little time, and still serves another one."""
    pid, used = gate.children()["network"], cpu(gate)
    with contextlib.closing(Wire(gate, GRAPH, **kw)) as w:
        yield w
        began = time.monotonic()
        with contextlib.closing(ClientH2(gate, GRAPH)) as other:
            assert other.get("/meanwhile").status == 200
        assert time.monotonic() - began < 2 * SLOW
    assert gate.children()["network"] == pid
    assert gate.rss() - gate.rss_at_start < ROOM
    assert cpu(gate) - used < 1.5 * SLOW


def flood(w, pieces, batch=50):
    """Sends all of `pieces`, or until the proxy takes no more."""
    w.sock.settimeout(3 * SLOW)
    pieces = iter(pieces)
    while now := [p for _, p in zip(range(batch), pieces)]:
        if not w.send(*now):
            return


def told(gate, since, **having):
    """The line of the access log for a connection that was odd."""
    lines = wait_for(lambda: [e for e in gate.log(event="http2") if e["time"] > since and all(v in str(e.get(k)) for k, v in having.items())])
    assert lines[-1]["glitches"] > 0 or lines[-1]["heads_aborted"] > 0
    return lines[-1]


@pytest.fixture
def since(gate):
    """The time of the log's newest line."""
    return max(e["time"] for e in gate.log())


def ended(w, *codes):
    """It was sent away, with one of `codes`."""
    over = w.until(lambda f: isinstance(f, hf.GoAwayFrame), 5 * SLOW)
    assert over is None or over.error_code in codes, over
    assert not w.is_alive(5 * SLOW)


def slow(call):
    """Answers the others, and not the attacker."""
    if call.path == "/meanwhile":
        echo(call)


def odd():
    return range(1, 2**31, 2)


# ---- streams that are begun and ended ----

def test_rapid_reset(gate, since, site):
    """CVE-2023-44487."""
    site.calls = []
    with attack(gate) as w:
        flood(w, (w.request(i) + rst(i) for i, _ in zip(odd(), range(3_000))))
        ended(w, ENHANCE_YOUR_CALM)
    told(gate, since, result="too many streams were reset")
    assert len(site.calls) < 1000


PROVOCATIONS = {  # each draws a reset of a stream that was begun soundly
    "window of nothing": lambda w, i: window_update(i, 0),
    "window too large": lambda w, i: window_update(i, 2**31 - 1),
    "body beyond its length": lambda w, i: frame(DATA, i, 0, b"too long"),
    "end before its length": lambda w, i: frame(DATA, i, END_STREAM, b""),
    "head within the body": lambda w, i: frame(HEADERS, i, END_HEADERS, w.encoder.encode([("a", "b")])),
    "malformed trailers": lambda w, i: frame(HEADERS, i, END_HEADERS | END_STREAM, w.encoder.encode([(":path", "/")])),
    "depends on itself": lambda w, i: frame(PRIORITY, i, 0, i.to_bytes(4, "big") + b"\x10"),
}


@pytest.mark.parametrize("provoke", PROVOCATIONS.values(), ids=PROVOCATIONS)
def test_made_you_reset(gate, since, site, provoke):
    """CVE-2025-8671: the peer does not reset, it makes us do it."""
    with attack(gate) as w:
        flood(w, (w.request(i, False, method="POST", fields=[("content-length", "5")]) + provoke(w, i) for i, _ in zip(odd(), range(3_000))))
        ended(w, ENHANCE_YOUR_CALM, 1, 3, 5)  # or at once, as a fault of the connection
    told(gate, since)


def test_streams_beyond_the_limit(gate, since, site):
    """The 101st is refused and may be repeated; thousands of them are no oversight."""
    site.answer = slow
    with attack(gate) as w:
        w.send(*(w.request(i) for i in range(1, 203, 2)))
        f = w.until(lambda f: isinstance(f, hf.RstStreamFrame))
        assert (f.stream_id, f.error_code) == (201, 7)
        flood(w, (w.request(i) for i in range(203, 3003, 2)))
        ended(w, ENHANCE_YOUR_CALM, 1)
    told(gate, since)


# ---- heads ----

@pytest.mark.parametrize("size", [0, 1, 1000])
def test_continuation_flood(gate, since, size):
    """CVE-2024-27316, CVE-2024-28182. Such a request is in no other line of the log."""
    with attack(gate) as w:
        w.send(frame(HEADERS, 1, END_STREAM, w.head()))
        flood(w, (frame(CONTINUATION, 1, 0, w.encoder.encode([("x", "v" * size)]) if size else b"") for _ in range(10_000)))
        ended(w, ENHANCE_YOUR_CALM, 1, 2)
    assert told(gate, since)["heads_aborted"] >= 1


def test_hpack_bomb(gate, since):
    """CVE-2016-6581: a byte that stands for four thousand."""
    with attack(gate) as w:
        block = w.encoder.encode([(":method", "GET"), (":scheme", "https"), (":authority", GRAPH), (":path", "/"), ("x", "v" * 3900)], huffman=False)
        flood(w, (frame(HEADERS, i, END_STREAM | END_HEADERS, block + b"\xbe" * 10_000) for i in range(1, 401, 2)), 1)
        ended(w, ENHANCE_YOUR_CALM)
    told(gate, since, result="far beyond the limits")


def test_many_fields_and_a_stall(gate, site):
    """CVE-2026-49975: as many fields as go by, a byte each, on as many streams as there may be, and then the windows stay shut."""
    site.answer = lambda call: call.respond(200, [], b"x")
    with attack(gate, settings={4: 0}) as w:
        block = w.encoder.encode([(":method", "GET"), (":scheme", "https"), (":authority", GRAPH), (":path", "/"), ("a", "")], huffman=False)
        w.send(frame(HEADERS, 1, END_STREAM | END_HEADERS, block), *(frame(HEADERS, i, END_STREAM | END_HEADERS, w.head() + b"\xbe" * 900)
                                                                      for i in range(3, 200, 2)))
        for _ in range(100):
            assert w.until(lambda f: isinstance(f, hf.HeadersFrame)) is not None
        assert gate.rss() - gate.rss_at_start < ROOM


def test_cookie_crumbs_count(gate, since):
    """CVE-2026-47774: a crumb is a field."""
    with attack(gate) as w:
        block = w.encoder.encode([(":method", "GET"), (":scheme", "https"), (":authority", GRAPH), (":path", "/"), ("cookie", "")], huffman=False)
        w.send(frame(HEADERS, 1, END_STREAM | END_HEADERS, block + b"\xbe" * 1100))
        assert w.status(1) == 431
        flood(w, [frame(HEADERS, 3, END_STREAM | END_HEADERS, w.head() + b"\xbe" * 15_000)])
        ended(w, ENHANCE_YOUR_CALM)
    told(gate, since, result="far beyond the limits")


def test_a_head_that_never_ends(gate, since):
    with attack(gate) as w:
        began = time.monotonic()
        w.send(frame(HEADERS, 1, 0, w.head()))
        over = w.until(lambda f: isinstance(f, hf.GoAwayFrame), 10 * SLOW)
        assert over is not None and over.error_code == ENHANCE_YOUR_CALM and time.monotonic() - began > SLOW
    assert told(gate, since)["heads_aborted"] == 1


# ---- frames that carry nothing ----

FLOODS = {
    "ping": lambda w: frame(PING, 0, 0, b"12345678"),
    "settings": lambda w: frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff"),
    "empty settings": lambda w: frame(SETTINGS),
    "priority": lambda w: frame(PRIORITY, 1, 0, b"\0\0\0\0\x10"),
    "empty data": lambda w: frame(DATA, 1),
    "padding alone": lambda w: frame(DATA, 1, PADDED, b"\0"),
    "crumbs of credit": lambda w: window_update(0, 1),
    "crumbs for a stream": lambda w: window_update(1, 1),
    "resets of one": lambda w: rst(1),
    "priority of idle streams": lambda w: frame(PRIORITY, 1001, 0, b"\0\0\0\0\x10"),
}


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "deaf"])
@pytest.mark.parametrize("one", FLOODS.values(), ids=FLOODS)
def test_floods(gate, since, site, one, reads):
    """CVE-2019-9512, 9513, 9515, 9518. A deaf one takes none of what it draws, either."""
    site.answer = slow
    with attack(gate) as w:
        w.send(w.request(1, False, method="POST"))
        piece = one(w)
        flood(w, (piece for _ in range(20_000)), 500)
        if reads:
            ended(w, ENHANCE_YOUR_CALM, 1, 5)
    told(gate, since)


def test_frames_nobody_knows_cost_little(gate):
    """They draw nothing; RFC 9113, 5.5 wants them ignored."""
    with attack(gate) as w:
        flood(w, (frame(0x55, 0, 0, b"") for _ in range(50_000)), 1000)
        assert w.is_alive()


def test_many_settings_in_a_frame(gate, since):
    with attack(gate) as w:
        w.send(frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff" * 2000))
        ended(w, ENHANCE_YOUR_CALM, 6)


def test_a_sound_client_is_no_flood(gate):
    """What browsers do in a busy minute costs them nothing: pings, settings, priorities, some cancelled images."""
    with attack(gate) as w:
        for i in range(1, 161, 2):
            w.send(w.request(i), frame(PING, 0, 0, b"12345678"), frame(PRIORITY, i, 0, b"\0\0\0\0\x10"), window_update(0, 30_000), rst(i) if i % 8 == 1 else b"")
        assert w.is_alive()
        w.send(w.request(161))
        assert w.status(161) == 200


# ---- nothing at all ----

@pytest.mark.parametrize("first", [b"", PREFACE[:10], PREFACE, PREFACE + bytes(4)], ids=["silence", "half a preface", "a preface", "half a frame"])
def test_who_says_nothing(gate, first):
    """Is waited for as long as any idle connection."""
    with attack(gate, preface=False) as w:
        w.send(first)
        assert w.until(lambda f: False, 12 * SLOW) is None and not w.send(frame(PING, 0, 0, bytes(8)))or not w.is_alive(SLOW)


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n", b"\x16\x03\x01" * 20, PREFACE[:-1] + b"x"])
def test_who_says_something_else(gate, since, first):
    with attack(gate, preface=False) as w:
        w.send(first)
        ended(w, 1)
    told(gate, since, result="preface")


# ---- for the sake of one ----

def test_one_clients_resets_draw_no_goaway_from_nghttpd(run_proxy, authority, tmp_path):
    """nghttp2's servers send a connection away that resets more than 1,000 streams and 33 a second; ours are shared by all clients."""
    (tmp_path / "origin.pem").write_bytes(pem_of(*authority.leaf(GRAPH)))
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a").write_bytes(bytes(30 * MIB))
    port = free_port()
    log = open(tmp_path / "log", "wb")
    server = subprocess.Popen(["nghttpd", "-v", "-d", "www", str(port), "origin.pem", "origin.pem"], cwd=tmp_path, stdout=log, stderr=log)
    try:
        gate = run_proxy(origins={f"{GRAPH}:443": port})
        with contextlib.closing(ClientH1(gate, GRAPH)) as c:
            assert c.get("/", "HEAD").status == 404
        with contextlib.closing(ClientH2(gate, GRAPH)) as sound:
            under_way = sound.ask("/a", hold=True)
            sound.end.wait(lambda: under_way.s.heads)
            for _ in range(12):
                with contextlib.closing(Wire(gate, GRAPH)) as w:
                    for first in (1, 101, 201):
                        w.send(*(w.request(i, path="/a") for i in range(first, first + 100, 2)))
                        for _ in range(50):
                            assert w.until(lambda f: isinstance(f, hf.HeadersFrame)) is not None
                        w.send(*(rst(i) for i in range(first, first + 100, 2)))
                    assert sound.get("/none").status == 404
            sound.end.release(under_way.s)
            assert len(under_way.reply().body) == 30 * MIB
    finally:
        server.kill()
        server.wait()
        log.close()
    text = (tmp_path / "log").read_bytes()
    assert text.count(b"recv RST_STREAM") > 1200, "they reached the origin"
    assert text.count(b"send GOAWAY") == text.count(b"error_code=NO_ERROR"), text[-2000:]
