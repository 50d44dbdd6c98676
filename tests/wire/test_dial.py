# SPDX-License-Identifier: Apache-2.0
"""From a name with several addresses to one connection: the next is tried beside one that does not answer (RFC 8305)."""
import concurrent.futures
import contextlib
import os
import socket
import time

import pytest

from conftest import GRAPH
from dnsd import Dns, found_after
from harness import SLOW, Origin, Reader, get, pem_of, read_response, server_context, wait_for
from netns import Net

GOOD, GOOD2, GOOD6, SHUT = "203.0.113.10", "203.0.113.11", "2001:db8::10", "203.0.113.12"
HOLES = [f"198.51.100.{i}" for i in range(10, 40)]
HOLES6 = [f"2001:db8:dead::{i:x}" for i in range(16, 40)]
NOWHERE = "203.0.113.99"


@pytest.fixture(scope="module")
def net():
    n = Net(GOOD, GOOD2, GOOD6, SHUT)
    yield n
    n.close()


@pytest.fixture(scope="module")
def dns(net):
    with net:
        d = Dns()
    yield d
    d.close()


@pytest.fixture(scope="module")
def sites(net, authority, tmp_path_factory):
    ctx = server_context(pem_of(*authority.leaf(GRAPH)), tmp_path_factory.mktemp("sites"))
    with net:
        all_of = {a: Origin(ctx, address=a, port=443, family=socket.AF_INET6 if ":" in a else socket.AF_INET)
                  for a in (GOOD, GOOD2, GOOD6)}
    yield all_of
    for o in all_of.values():
        o.close()


@pytest.fixture(scope="module")
def door(net, sites, dns, run_shared):
    with net:
        return run_shared(origin=f'{dns.config}\ntimeouts = {{ connect = "2500ms" }}')


names = iter(range(1000))


@pytest.fixture
def reach(net, dns, door):
    """reach(addresses): (status, error, seconds, body) of a CONNECT to a name that has them, IPv4 and IPv6 as the server sorts them."""
    def connect(addresses):
        name = f"n{next(names)}.example"
        dns.zone[name] = addresses
        began = time.monotonic()
        with net:
            s, head = door.tunnel(f"{name}:443")
        s.close()
        error = (head.get("proxy-status") or "error=;").split("error=")[1].split(";")[0]
        return head.status, error, time.monotonic() - began, head.body.decode()
    return connect


@pytest.mark.parametrize("addresses, low, high", [
    ([GOOD], 0, 0.2),
    ([GOOD6], 0, 0.2),
    ([GOOD, GOOD6], 0, 0.2),
    ([HOLES[0], GOOD], 0.24, 0.5),
    ([HOLES6[0], GOOD6], 0.24, 0.5),
    ([HOLES6[0], GOOD], 0.24, 0.5),  # IPv6 that leads nowhere, the usual case
    ([HOLES[0], GOOD6], 0, 0.2),
    ([HOLES6[0], HOLES[0], HOLES6[1], GOOD], 0.74, 1.1),
    ([SHUT, GOOD], 0, 0.2),  # refused: no reason to wait
    ([SHUT, NOWHERE, SHUT, NOWHERE, GOOD], 0, 0.2),
    ([NOWHERE, GOOD6], 0, 0.2),
    (["127.0.0.1", GOOD], 0, 0.2),  # forbidden: the next, at once
    ([*HOLES[:7], GOOD], 1.7, 2.3),
    ([*HOLES6[:3], *HOLES[:3], SHUT, GOOD], 1.4, 2.1),
])
def test_time_until_a_connection_stands(reach, addresses, low, high):
    quickest = 1e9
    for _ in range(6):  # a busy machine makes some of them late, but none early
        status, _, took, body = reach(addresses)
        assert status == 200, body
        assert took >= low, took
        quickest = min(quickest, took)
        if quickest <= high:
            return
    assert quickest <= high + 0.4 * (SLOW - 1), quickest


def test_black_holes_only(reach):
    status, error, took, body = reach(HOLES[:2])
    assert (status, error) == (504, "connection_timeout") and "no answer within 2.5 s" in body
    assert 2.4 <= took <= 4 * SLOW


@pytest.mark.parametrize("addresses, status, error, text", [
    ([SHUT], 502, "connection_refused", f"{SHUT} port 443: Connection refused"),
    ([NOWHERE], 502, "destination_ip_unroutable", f"{NOWHERE} port 443: Network is unreachable"),
    ([NOWHERE, SHUT], 502, "connection_refused", SHUT),
    (["127.0.0.1"], 403, "destination_ip_prohibited", "127.0.0.1 is loopback"),
])
def test_what_went_wrong(reach, addresses, status, error, text):
    got = reach(addresses)
    assert got[:2] == (status, error) and text in got[3] and got[2] < 2 * SLOW, got  # the limit is 2.5 s


def test_late_answer_of_the_other_family_still_helps(net, dns, door):
    """IPv4 comes at once and leads nowhere, IPv6 comes a second later."""
    dns.zone["late.example"] = found_after(1, {"A": HOLES[0], "AAAA": GOOD6}, late="AAAA")
    dns.zone["late2.example"] = lambda q: q.addresses(SHUT) if q.type == "A" else (0.3, q.addresses(GOOD6))
    dns.zone["late3.example"] = lambda q: q.addresses("127.0.0.1") if q.type == "AAAA" else (0.3, q.addresses(GOOD))
    for name, limit in (("late", 2.2), ("late2", 2), ("late3", 2)):
        began = time.monotonic()
        with net:
            s, head = door.tunnel(f"{name}.example:443")
        s.close()
        assert head.status == 200 and time.monotonic() - began < limit * SLOW, name


def test_black_holes_hold_up_nobody_else(net, dns, door, reach):
    dns.zone["hole.example"] = HOLES[:3]
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        def one():
            with net:
                s, head = door.tunnel("hole.example:443")
                s.close()
                return head.status
        waiting = [pool.submit(one) for _ in range(100)]
        time.sleep(0.3)
        for _ in range(5):
            assert reach([GOOD])[2] < 1 * SLOW
        assert {w.result() for w in waiting} == {504}


def sockets_of(pid):
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
    return count


def test_attempts_are_bounded_and_leave_nothing_behind(net, dns, door):
    dns.zone["holes.example"] = HOLES[:16] + HOLES6[:16]
    network = door.children()["network"]
    time.sleep(0.1)
    before = wait_for(lambda: (n := sockets_of(network), time.sleep(0.2))[0] == sockets_of(network) and n)
    with net:
        s = door.connect()
        s.sendall(b"CONNECT holes.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        most = 0
        for _ in range(22):
            time.sleep(0.1)
            most = max(most, sockets_of(network) - before)
        assert 5 <= most <= 8  # six attempts and the client
        s.close()
    # a client who has gone does not keep them
    wait_for(lambda: sockets_of(network) <= before, 10 * SLOW)


def test_inspected_host_over_a_black_hole(net, dns, door, sites):
    dns.zone[GRAPH] = [HOLES6[0], GOOD]
    with net, contextlib.closing(door.tls(GRAPH)) as s:
        s.sendall(get("/"))
        assert read_response(Reader(s)).status == 200
    assert sites[GOOD].requests


def test_client_that_gives_up_while_we_dial(net, dns, door, reach):
    dns.zone["hole2.example"] = HOLES[:2]
    for _ in range(20):
        with net, contextlib.closing(door.connect()) as s:
            s.sendall(b"CONNECT hole2.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.01)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert reach([GOOD])[0] == 200
