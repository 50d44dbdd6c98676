# SPDX-License-Identifier: Apache-2.0
"""Names: what is asked, how long an answer is kept, and what becomes of answers that are none."""
import concurrent.futures
import contextlib
import os
import socket
import struct
import time

import pytest

from conftest import OUTLOOK
from dnsd import NXDOMAIN, REFUSED, SERVFAIL, Dns, found_after, record, wire_name
from harness import SLOW, Origin, wait_for
from skew import Skew

LOOSE = 'allow_networks = ["127.0.0.0/8", "::1"]'
ANY_PORT = 'connect_ports = ["1-65535"]'


class Spot(Origin):
    """Says which one it is to whoever connects."""

    def __init__(self, name, **kw):
        self.name = name
        super().__init__(None, lambda sock: (sock.sendall(name), sock.recv(1)), **kw)


@pytest.fixture
def dns():
    d = Dns()
    yield d
    d.close()


@pytest.fixture
def spot():
    """One port, at three addresses, which tells where one has arrived."""
    first = Spot(b"one")
    more = [Spot(b"two", address="127.0.0.2", port=first.port), Spot(b"six", family=socket.AF_INET6, address="::1", port=first.port)]
    yield first.port
    for o in (first, *more):
        o.close()


@pytest.fixture
def door(run_proxy, dns, tmp_path):
    """A proxy that asks `dns`, so patiently that it asks once, with clocks that can be put forward: door.skew."""
    skew = Skew(tmp_path)
    p = run_proxy(proxy=ANY_PORT, origin=f'{LOOSE}\n{dns.config}\ntimeouts = {{ dns = "3s", connect = "3s" }}', env=skew.env)
    p.skew = skew
    return p


@pytest.fixture
def hasty(run_proxy, dns):
    """One that does not wait long for an answer."""
    return run_proxy(proxy=ANY_PORT, origin=f'{LOOSE}\n{dns.config}\ntimeouts = {{ dns = "150ms", connect = "3s" }}')


def arrive(door, name, port):
    """Where CONNECT led."""
    s = door.connect()
    with contextlib.closing(s):
        s.sendall(f"CONNECT {name}:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = b""
        while not data.endswith((b"one", b"two", b"six")) or b"\r\n\r\n" not in data:
            more = s.recv(1000)
            assert more, data
            data += more
            assert data.startswith(b"HTTP/1.1 200"[:len(data)]), data
        return data[-3:].decode()


def failure(door, name, port=443):
    """(status, error of RFC 9209, body) of a CONNECT that fails."""
    s, head = door.tunnel(f"{name}:{port}")
    s.close()
    assert head.status != 200
    return head.status, head.get("proxy-status").split("error=")[1].split(";")[0], head.body.decode()


def test_both_families_are_asked_and_the_newer_one_preferred(door, dns, spot):
    dns.zone |= {"both.example": ["127.0.0.1", "::1"], "four.example": ["127.0.0.1"], "six.example": ["::1"]}
    assert [arrive(door, f"{n}.example", spot) for n in ("both", "four", "six")] == ["six", "one", "six"]
    for name in ("both", "four", "six"):
        assert len(dns.asked(f"{name}.example", "A")) == len(dns.asked(f"{name}.example", "AAAA")) == 1


def test_an_answer_is_kept_for_its_ttl(door, dns, spot):
    dns.zone["a.example"], dns.ttl = ["127.0.0.1"], 30
    assert [arrive(door, "a.example", spot) for _ in range(5)] == ["one"] * 5
    dns.zone["a.example"] = ["127.0.0.2"]
    door.skew.forward(25)
    assert arrive(door, "A.Example.", spot) == "one"
    assert len(dns.asked("a.example", "A")) == 1
    door.skew.forward(10)
    assert arrive(door, "a.example", spot) == "two"


def test_no_ttl_and_an_endless_one(door, dns, spot):
    dns.zone["a.example"], dns.ttl = ["127.0.0.1"], 0
    assert arrive(door, "a.example", spot) == "one"
    dns.zone["a.example"], dns.ttl = ["127.0.0.2"], 100 * 24 * 3600
    assert arrive(door, "a.example", spot) == "two"
    dns.zone["a.example"] = ["127.0.0.1"]
    door.skew.forward(50 * 60)
    assert arrive(door, "a.example", spot) == "two"
    door.skew.forward(11 * 60)  # within the hour it is asked for again
    assert arrive(door, "a.example", spot) == "one"


def test_cnames_lead_on_and_their_ttl_counts(door, dns, spot):
    def chain(q):
        return q.reply([record("a.example", "CNAME", "b.example", 300), record("b.example", "CNAME", "c.example", 20),
                        record("c.example", "A", "127.0.0.2", 300)] if q.type == "A" else [record("a.example", "CNAME", "b.example", 20)])
    dns.zone["a.example"] = chain
    assert arrive(door, "a.example", spot) == "two"
    door.skew.forward(25)
    dns.zone["a.example"] = ["127.0.0.1"]
    assert arrive(door, "a.example", spot) == "one"


def test_many_addresses(door, dns, spot):
    dns.zone["a.example"] = lambda q: q.reply([record("a.example", "A", f"127.0.0.{i % 2 + 1}") for i in range(200)]
                                              if q.type == "A" else [])
    assert arrive(door, "a.example", spot) in ("one", "two")


def test_long_answers_come_by_tcp(door, dns, spot):
    dns.zone["a.example"] = lambda q: q.reply(truncated=True) if q.udp else q.addresses("127.0.0.2")
    assert arrive(door, "a.example", spot) == "two"
    assert any(not q.udp for q in dns.asked("a.example", "A"))


@pytest.mark.parametrize("other", [None, SERVFAIL, REFUSED, NXDOMAIN, []])
@pytest.mark.parametrize("kind, where", [("A", "one"), ("AAAA", "six")])
def test_one_family_is_enough(door, dns, spot, other, kind, where):
    """Whatever becomes of the other question, and without waiting for it."""
    address = "127.0.0.1" if kind == "A" else "::1"
    dns.zone["a.example"] = lambda q: (q.addresses(address) if q.type == kind else None if other is None else
                                       q.reply() if other == [] else q.reply(rcode=other))
    began = time.monotonic()
    assert arrive(door, "a.example", spot) == where
    assert time.monotonic() - began < 2 * SLOW


def test_name_that_does_not_exist(door, dns):
    status, error, body = failure(door, "none.example")
    assert (status, error) == (502, "dns_error") and "none.example" in body and "name" in body
    failure(door, "none.example")
    assert len(dns.asked("none.example", "A")) == 1  # kept for a while
    door.skew.forward(11)
    failure(door, "none.example")
    assert len(dns.asked("none.example", "A")) == 2
    assert door.log(host="none.example")[0]["detail"] in body


def test_name_without_addresses(door, dns):
    dns.zone["mail.example"] = lambda q: q.reply()
    assert failure(door, "mail.example")[:2] == (502, "dns_error")


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED, 4, 1])
def test_faults_of_the_server_are_not_kept(door, dns, spot, rcode):
    dns.zone["a.example"] = lambda q: q.reply(rcode=rcode)
    assert failure(door, "a.example")[:2] == (502, "dns_error")
    dns.zone["a.example"] = ["127.0.0.1"]
    assert arrive(door, "a.example", spot) == "one"


def test_silent_server(hasty, dns, spot):
    dns.zone["a.example"] = None
    began = time.monotonic()
    assert failure(hasty, "a.example")[:2] == (504, "dns_timeout")
    assert time.monotonic() - began < 3.5 * SLOW
    assert len(dns.asked("a.example", "A")) >= 2  # more than one try
    dns.zone["a.example"] = ["127.0.0.1"]
    assert arrive(hasty, "a.example", spot) == "one"


def test_lost_packet_costs_one_try(hasty, dns, spot):
    dns.zone["a.example"] = lambda q: q.addresses("127.0.0.2") if q.count > 0 else None
    assert arrive(hasty, "a.example", spot) == "two"


def test_a_name_that_takes_longer_than_others(door, dns, spot):
    """c-ares 1.32 and later waits a quarter of a second for a server that has been quick so far: its tries must last, all the same."""
    for i in range(5):
        dns.zone[f"quick{i}.example"] = ["127.0.0.1"]
        assert arrive(door, f"quick{i}.example", spot) == "one"
    dns.zone["slow.example"] = found_after(2.3, {"A": "127.0.0.2"})
    assert arrive(door, "slow.example", spot) == "two"


def test_server_that_is_not_there(run_proxy):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    door = run_proxy(origin=f'dns_servers = "127.0.0.1:{port}"\ntimeouts = {{ dns = "200ms" }}')
    began = time.monotonic()
    assert failure(door, "a.example")[:2] == (502, "dns_error")
    assert time.monotonic() - began < 3 * SLOW


def loop(q):
    return q.reply([b"\xc0\x0c\x00\x05\x00\x01\0\0\0\x3c\x00\x02\xc0" + bytes([len(q.packet)])])


BROKEN = {
    "noise": lambda q: os.urandom(200),
    "empty": lambda q: b"",
    "head-only": lambda q: q.reply()[:12],
    "cut": lambda q: q.addresses("127.0.0.1")[:-2],
    "other-id": lambda q: q.reply([record(q.name, q.type, bytes(4))], ident=(struct.unpack(">H", q.packet[:2])[0] + 1) % 65536),
    "other-question": lambda q: q.reply([record("evil.example", "A", "127.0.0.1")], question=wire_name("evil.example") + b"\0\1\0\1"),
    "short-address": lambda q: q.reply([record(q.name, q.type, b"\x7f\0")]),
    "long-address": lambda q: q.reply([record(q.name, q.type, bytes(30))]),
    "pointer-loop": loop,
    "pointer-beyond": lambda q: q.reply([b"\xff\xff\x00\x01\x00\x01\0\0\0\x3c\x00\x04\x7f\0\0\1"]),
    "cname-loop": lambda q: q.reply([record(q.name, "CNAME", "b.example"), record("b.example", "CNAME", q.name)]),
    "count-lies": lambda q: q.reply()[:6] + b"\xff\xff" + q.reply()[8:],
    "name-too-long": lambda q: q.reply([b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 6 + b"\0\x00\x01\x00\x01\0\0\0\x3c\x00\x04\x7f\0\0\1"]),
    "a-question": lambda q: q.packet,
    "endless": lambda q: q.reply([record(q.name, 99, os.urandom(1000)) for _ in range(40)]),
    "a-in-aaaa": lambda q: q.reply([record(q.name, "A" if q.type == "AAAA" else "AAAA", bytes(4 if q.type == "AAAA" else 16))]),
}


def test_answers_that_are_none(hasty, dns, spot):
    dns.zone |= {f"{kind}.example": broken for kind, broken in BROKEN.items()} | {"good.example": ["127.0.0.1"]}
    with concurrent.futures.ThreadPoolExecutor(len(BROKEN)) as pool:
        failures = {kind: pool.submit(failure, hasty, f"{kind}.example") for kind in BROKEN}
        for kind, f in failures.items():
            # c-ares 1.34 takes the first bytes of an address that is too long: 0.0.0.0, to which nobody is led
            assert f.result()[:2] in ((502, "dns_error"), (504, "dns_timeout"), *[(403, "destination_ip_prohibited")][kind != "long-address":]), kind
    assert arrive(hasty, "good.example", spot) == "one"


def test_silence_holds_up_nobody_else(run_proxy, dns, spot):
    door = run_proxy(proxy=ANY_PORT, origin=f'{LOOSE}\n{dns.config}\ntimeouts = {{ dns = "{int(SLOW)}s" }}')  # three tries: 7 s
    dns.zone["good.example"] = ["127.0.0.1"]
    for i in range(100):
        dns.zone[f"silent{i}.example"] = None
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        waiting = [pool.submit(failure, door, f"silent{i}.example") for i in range(100)]
        wait_for(lambda: len(dns.queries) >= 200)
        began = time.monotonic()
        assert arrive(door, "good.example", spot) == "one"
        assert time.monotonic() - began < 2 * SLOW and not any(w.done() for w in waiting)
        assert {w.result()[:2] for w in waiting} == {(504, "dns_timeout")}


def test_one_question_for_many_who_want_to_know(door, dns, spot):
    dns.zone["slow.example"] = lambda q: (0.1, q.addresses("127.0.0.1"))
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert {w.result() for w in [pool.submit(arrive, door, "slow.example", spot) for _ in range(20)]} == {"one"}
    assert len(dns.asked("slow.example", "A")) == 1


def test_clients_that_go_while_a_name_is_looked_up(door, dns, spot):
    dns.zone |= {"slow.example": lambda q: (0.1, q.addresses("127.0.0.1"))}
    for _ in range(20):
        s = door.connect()
        s.sendall(b"CONNECT slow.example:%d HTTP/1.1\r\nHost: x\r\n\r\n" % spot)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        time.sleep(0.005)
        s.close()
    assert arrive(door, "slow.example", spot) == "one"


def test_names_are_asked_for_as_they_are(run_proxy, dns):
    """No search list: "graph" is not graph.SOMEWHERE, and what does not exist is not tried elsewhere."""
    door = run_proxy(origin=dns.config, env={"LOCALDOMAIN": "corp.example other.example", "RES_OPTIONS": "ndots:3"})
    for name in ("intranet", "none.example", "a.b.c.d.e"):
        failure(door, name)
    assert {q.name for q in dns.queries} == {"intranet", "none.example", "a.b.c.d.e"}


def test_reload_takes_other_servers_and_forgets(run_proxy, dns, spot):
    other = Dns({"a.example": ["127.0.0.2"], "slow.example": ["127.0.0.2"]})
    dns.zone |= {"a.example": ["127.0.0.1"], "slow.example": None}
    door = run_proxy(proxy=ANY_PORT, origin=f"{LOOSE}\n{dns.config}")
    with contextlib.closing(other), concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert arrive(door, "a.example", spot) == "one"
        waiting = pool.submit(arrive, door, "slow.example", spot)
        wait_for(lambda: dns.asked("slow.example"))
        door.write_config(origin=f"{LOOSE}\n{other.config}")
        wait_for(lambda: "configuration reloaded" in door.stderr)
        assert arrive(door, "a.example", spot) == "two"
        assert waiting.result(5 * SLOW) == "two"  # who was waiting is not told of it


@pytest.mark.parametrize("servers", ["somewhere", "127.0.0.1:99999", "127.0.0.1:x", "127.0.0.1,,127.0.0.2", "[::1", "127.0.0.1 "])
def test_servers_that_are_none_are_a_fault_in_the_file(run_proxy, servers):
    p = run_proxy(start=False)
    p.write_config(origin=f'dns_servers = "{servers}"')
    r = p.command("run", "--check", "--config", str(p.config), check=False)
    assert r.returncode == 2 and "dns_servers" in r.stderr and f"{p.config}:" in r.stderr, r.stderr


@pytest.mark.parametrize("servers", ["192.0.2.1", "192.0.2.1,192.0.2.2:5353", "2001:db8::1", "[2001:db8::1]:53,127.0.0.1", ""])
def test_servers_in_all_forms(run_proxy, servers):
    p = run_proxy(start=False, origin=f'dns_servers = "{servers}"')
    assert p.command("run", "--check", "--config", str(p.config)).returncode == 0


def test_tunnel_that_a_reload_overtakes(run_proxy, dns):
    """Its name was looked up while a reload put it on the list: no tunnel to it is made any more."""
    dns.zone[OUTLOOK] = lambda q: (2 * SLOW, q.addresses("127.0.0.1"))
    site = Spot(b"one")
    door = run_proxy(start=False, origin=f"{LOOSE}\n{dns.config}")
    text = door.config.read_text().replace("connect_to = []", f'connect_to = ["{OUTLOOK}:443::{site.port}"]')
    door.config.write_text(text + '[inspect]\nprofile = "light"\n')
    door.start()
    with contextlib.closing(site), concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(failure, door, OUTLOOK)
        wait_for(lambda: dns.asked(OUTLOOK, "A"))
        door.config.write_text(text)
        door.reload()
        status, error, body = waiting.result(10 * SLOW)
        assert status == 503 and "try again" in body
        wait_for(lambda: site.connections == 1)
