# SPDX-License-Identifier: Apache-2.0
"""Flow control of HTTP/2: who does not take his own bytes delays nobody else, costs little, and not for ever."""
import contextlib
import os
import threading
import time

import pytest

from conftest import GRAPH
from h2kit import CANCEL, ClientH1, ClientH2, Site, Wire, echo, frame, window_update
from harness import SLOW, TIMEOUT, pem_of, server_context, wait_for
import hyperframe.frame as hf

SMALL = 65535  # the protocol's own window: nothing hides behind a larger one
MIB = 1 << 20
ROOM = 400 * MIB if SLOW > 1 else 0  # a sanitizer keeps 256 MiB of what was freed
PATIENCE = 2 * SLOW


@pytest.fixture(scope="module")
def site(authority, tmp_path_factory):
    s = Site(server_context(pem_of(*authority.leaf(GRAPH)), tmp_path_factory.mktemp("site"), alpn=None))
    yield s
    s.close()
    assert s.faults == []


@pytest.fixture(scope="module")
def shared(run_shared, site):
    p = run_shared(origins={f"{GRAPH}:443": site.port}, proxy=f'[proxy.timeouts]\nclient_write = "{int(PATIENCE)}s"\n')
    p.rss_at_start = p.rss()
    return p


@pytest.fixture
def gate(shared, site):
    """Its origin is known for HTTP/2, and has small windows; each test begins with fresh connections to it."""
    site.answer, site.hold, site.window, site.alpn = echo, False, SMALL, ("h2", "http/1.1")
    site.drop_all()
    with contextlib.closing(ClientH1(shared, GRAPH)) as c:
        assert c.get("/warm").json()["version"] == "h2"
    yield shared
    site.drop_all()


def upload(client, path, size, results):
    """Sends `size` bytes on a thread of its own."""
    asked = client.ask(path, "POST", [("content-length", str(size))], more=True)

    def send():
        asked.send(bytes(size))
        asked.end()
        results[path] = asked.reply()
    threading.Thread(target=send, daemon=True).start()
    return asked


@pytest.mark.parametrize("origin", ["h2", "h1"])
def test_a_reader_that_takes_nothing_starves_no_sibling(gate, site, origin):
    """Two uploads on one connection; the origin reads only one. If credit for the whole connection were given back as slowly as that for
    the stuck stream, both would stand still at 65,535 bytes."""
    let_go, results = threading.Event(), {}

    def answer(call):
        if call.path == "/stuck":
            let_go.wait(6 * TIMEOUT)
        if call.version == "h2":
            call.h2.release(call.s)
        call.respond(200, [], str(len(call.read())).encode())
    with contextlib.closing(ClientH2(gate, GRAPH)) as c:
        site.hold, site.answer = True, answer
        if origin == "h1":
            site.alpn = ("http/1.1",)
        site.drop_all()
        with contextlib.closing(ClientH1(gate, GRAPH)) as d:
            assert d.get("/new").status == 200
        upload(c, "/stuck", 5 * MIB, results)
        wait_for(lambda: any(call.path == "/stuck" for call in site.calls))
        time.sleep(0.2 * SLOW)
        upload(c, "/flows", 5 * MIB, results)
        wait_for(lambda: "/flows" in results)
        assert results["/flows"].body == str(5 * MIB).encode() and "/stuck" not in results
        let_go.set()
        wait_for(lambda: "/stuck" in results)
        assert results["/stuck"].body == str(5 * MIB).encode()
    site.calls = []


def test_a_download_that_nobody_reads_delays_no_sibling(gate, site):
    """On its client's connection; and on the origin's connection, which clients share."""
    body = os.urandom(3 * MIB)

    def answer(call):
        call.respond(200, [], body)
    site.answer = answer
    with contextlib.closing(ClientH2(gate, GRAPH, window=SMALL)) as c, contextlib.closing(ClientH2(gate, GRAPH, window=SMALL)) as other:
        stuck = [c.ask(f"/stuck{i}", hold=True) for i in range(10)]
        for a in stuck:
            c.end.wait(lambda: len(a.s.body) == SMALL, name="a full window")
        assert c.get("/flows").body == body
        assert other.get("/flows").body == body
        assert len(site.ends) == 1, "on the same connection to the origin"
        c.end.release(stuck[0].s)
        assert stuck[0].reply().body == body


def test_a_client_that_reads_nothing_at_all(gate, site):
    """Its socket is full: others go on, over the same connection to the origin."""
    body = bytes(20 * MIB)
    site.answer = lambda call: call.respond(200, [], body if call.path == "/much" else b"ok")
    with contextlib.closing(Wire(gate, GRAPH, settings={4: 2**31 - 1})) as w, contextlib.closing(ClientH2(gate, GRAPH)) as c:
        w.send(window_update(0, 2**30), *(w.request(i, path="/much") for i in range(1, 21, 2)))
        for i in range(20):
            assert c.get(f"/{i}").body == b"ok"


def memory_of(gate, act):
    """How much larger the network process is after act() than it began, in bytes."""
    act()
    return gate.rss() - gate.rss_at_start


def test_memory_of_stalled_downloads(gate, site):
    """100 streams of 3 MiB each, whose reader takes nothing: what waits for them is bounded by the marks, not by what they carry."""
    body = bytes(3 * MIB)
    site.answer = lambda call: call.respond(200, [], body)
    with contextlib.closing(Wire(gate, GRAPH, settings={4: 0})) as w:
        def act():
            w.send(*(w.request(i) for i in range(1, 200, 2)))
            for _ in range(100):
                assert w.until(lambda f: isinstance(f, hf.HeadersFrame)) is not None
            time.sleep(0.5 * SLOW)
        grown = memory_of(gate, act)
    assert grown < (ROOM or 30 * MIB), f"{grown >> 20} MiB"


def test_memory_of_stalled_uploads(gate, site):
    """100 uploads at once that the origin does not read: what the proxy holds of them is bounded for the connection."""
    site.hold, go = True, threading.Event()
    site.drop_all()
    site.answer = lambda call: go.wait(TIMEOUT * 6)
    with contextlib.closing(Wire(gate, GRAPH)) as w:
        def act():
            w.send(*(w.request(i, False, method="POST") for i in range(1, 200, 2)))
            credit, room = SMALL, dict.fromkeys(range(1, 200, 2), SMALL)
            w.sock.settimeout(SLOW)
            sent = 0
            while True:
                i = max(room, key=room.get)
                n = min(credit, room[i], 16384)
                if n <= 0:
                    f = w.next(SLOW)
                    if f is None:
                        break
                    if isinstance(f, hf.WindowUpdateFrame) and f.stream_id:
                        room[f.stream_id] += f.window_increment
                    elif isinstance(f, hf.WindowUpdateFrame):
                        credit += f.window_increment
                    continue
                w.send(frame(0, i, 0, bytes(n)))
                credit, room[i], sent = credit - n, room[i] - n, sent + n
            assert sent > MIB
        grown = memory_of(gate, act)
    go.set()
    print(f"{grown >> 10} KiB")
    assert grown < (ROOM or 40 * MIB), f"{grown >> 20} MiB"


@pytest.mark.parametrize("dribble", [0, 1, 40])
def test_a_stream_that_does_not_move_is_ended(gate, site, dribble):
    """However busily credit drips in: a byte at a time is not progress. Its siblings stay."""
    body = bytes(MIB)
    site.answer = lambda call: call.respond(200, [], body if call.path == "/much" else b"ok")
    with contextlib.closing(Wire(gate, GRAPH, settings={4: 100})) as w:
        began = time.monotonic()
        w.send(w.request(1, path="/much"), w.request(3, path="/little"))
        over = None
        while over is None and time.monotonic() - began < 6 * PATIENCE:
            if dribble:
                w.send(window_update(1, dribble))
            over = w.until(lambda f: isinstance(f, hf.RstStreamFrame), 0.05 * SLOW)
        assert over is not None and over.error_code == CANCEL
        assert time.monotonic() - began > 0.5 * PATIENCE
        w.send(w.request(5, path="/next"))
        assert w.status(5) == 200
    assert gate.log(path="/much", outcome="client gone")


def test_a_slow_reader_that_moves_is_left_alone(gate, site):
    """8 KiB in each half of the time that it has."""
    body = bytes(60_000)
    site.answer = lambda call: call.respond(200, [], body)
    with contextlib.closing(ClientH2(gate, GRAPH, window=20_000)) as c:
        asked = c.ask("/slow", hold=True)
        for n in range(5):
            c.end.wait(lambda: len(asked.s.body) >= min(20_000 + 8192 * n, 60_000))
            time.sleep(PATIENCE / 2)
            c.end.release(asked.s, 8192)
        c.end.release(asked.s)
        assert asked.reply().body == body


def test_a_connection_that_nobody_reads_is_ended(gate, site):
    """Its socket is full and stays so."""
    site.answer = lambda call: call.respond(200, [], bytes(20 * MIB))
    sockets = gate.sockets()
    with contextlib.closing(Wire(gate, GRAPH, settings={4: 2**31 - 1})) as w:
        w.send(window_update(0, 2**30), w.request(1, path="/unread"))
        wait_for(lambda: gate.sockets() <= sockets, 8 * PATIENCE)
    assert gate.log(path="/unread", outcome="client gone")


def test_windows_that_shrink(gate, site):
    """SETTINGS_INITIAL_WINDOW_SIZE may make a window negative (RFC 9113, 6.9.2)."""
    body = os.urandom(300_000)
    site.answer = lambda call: call.respond(200, [], body)
    with contextlib.closing(Wire(gate, GRAPH, settings={4: 50_000})) as w:
        w.send(w.request(1))
        got = b""
        while len(got) < 50_000:
            f = w.until(lambda f: isinstance(f, hf.DataFrame))
            got += f.data
        w.send(hf.SettingsFrame(0, settings={4: 10}), window_update(1, 30_000))
        assert w.is_alive(), "and nothing more may come"
        w.send(hf.SettingsFrame(0, settings={4: 1_000_000}), window_update(0, 1_000_000))
        while len(got) < len(body):
            f = w.until(lambda f: isinstance(f, hf.DataFrame))
            assert f is not None
            got += f.data
        assert got == body
