# SPDX-License-Identifier: Apache-2.0
"""Where clients may be taken: with the guard on, in a network of its own that has public, private and special addresses."""
import contextlib
import socket

import pytest

from conftest import GRAPH, OUTLOOK
from dnsd import Dns, record
from harness import Origin, Reader, get, pem_of, read_response, server_context, wait_for
from netns import Net

PUBLIC, PUBLIC6, OWN, PRIVATE, PRIVATE6 = "203.0.113.10", "2001:db8::10", "203.0.113.1", "10.1.2.3", "fd12:3456::3"
METADATA, LINK_LOCAL, SHARED = "169.254.169.254", "169.254.7.7", "100.64.1.1"
EVERYWHERE = (PUBLIC, PUBLIC6, PRIVATE, PRIVATE6, METADATA, LINK_LOCAL, SHARED, "127.0.0.1", "::1")


@pytest.fixture(scope="module")
def net():
    n = Net(PUBLIC, PUBLIC6, OWN, PRIVATE, PRIVATE6, METADATA, LINK_LOCAL, SHARED)
    yield n
    n.close()


@pytest.fixture(scope="module")
def sites(net, authority, tmp_path_factory):
    """A plain and a TLS server on the real ports of every address: whoever gets through the guard reaches something."""
    ctx = server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK)), tmp_path_factory.mktemp("sites"))
    with net:
        all_of = {(a, port): Origin(ctx if port == 443 else None, address=a, port=port,
                                    family=socket.AF_INET6 if ":" in a else socket.AF_INET)
                  for a in EVERYWHERE for port in (80, 443)}
    yield all_of
    for o in all_of.values():
        o.close()


@pytest.fixture(scope="module")
def dns(net):
    with net:
        d = Dns(ttl=0)
    yield d
    d.close()


class Door:
    """A proxy inside the namespace, and its clients' calls."""

    def __init__(self, net, run, dns, **kw):
        self.net = net
        kw["origin"] = f"{dns.config}\n" + kw.get("origin", "")
        with net:
            self.proxy = run(**kw)

    def connect(self, target):
        """(status, error, body) of a CONNECT."""
        with self.net:
            s, head = self.proxy.tunnel(target)
            s.close()
        error = (head.get("proxy-status") or "error=;").split("error=")[1].split(";")[0]
        return head.status, error, head.body.decode()

    def get(self, url):
        with self.net:
            r = self.proxy.ask(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return r.status, (r.get("proxy-status") or "error=;").split("error=")[1].split(";")[0], r.body.decode()


@pytest.fixture(scope="module")
def door(net, sites, dns, run_shared):
    return Door(net, run_shared, dns)


@pytest.fixture(scope="module")
def make(net, sites, dns, run_shared):
    return lambda **kw: Door(net, run_shared, dns, **kw)


def reached(sites, address, port=443):
    return sites[address, port].connections


def bracketed(address):
    return f"[{address}]" if ":" in address else address


PROHIBITED = {
    "127.0.0.1": "loopback", "127.255.255.254": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback",
    "::ffff:7f00:1": "loopback", "64:ff9b::127.0.0.1": "loopback", "64:ff9b::7f00:1": "loopback", "2002:7f00:1::": "loopback",
    "::127.0.0.1": "unspecified", "0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
    METADATA: "link-local", f"::ffff:{METADATA}": "link-local", f"64:ff9b::{METADATA}": "link-local", "2002:a9fe:a9fe::1": "link-local",
    LINK_LOCAL: "link-local", "fe80::1": "link-local", "168.63.129.16": "metadata", "100.100.100.200": "metadata",
    "fd00:ec2::254": "metadata", "64:ff9b:1::1": "private", "64:ff9b:1:a9fe:a9:fe00::": "private", PRIVATE: "private",
    f"::ffff:{PRIVATE}": "private", f"64:ff9b::{PRIVATE}": "private", "2002:a01:203::1": "private", "172.16.0.1": "private",
    "172.31.255.255": "private", "192.168.1.1": "private", SHARED: "private", PRIVATE6: "private", "fec0::1": "private",
    "192.0.0.1": "special-purpose", "198.18.0.1": "special-purpose", "224.0.0.1": "multicast", "ff02::1": "multicast",
    "255.255.255.255": "reserved", "240.0.0.1": "reserved", "::ffff:0:127.0.0.1": "special-purpose", "100::1": "special-purpose",
}


@pytest.mark.parametrize("address", PROHIBITED)
def test_special_addresses_by_number(door, sites, address):
    what = PROHIBITED[address]
    before = {k: o.connections for k, o in sites.items()}
    status, error, body = door.connect(f"{bracketed(address)}:443")
    assert (status, error) == (403, "destination_ip_prohibited") and f"is {what}" in body, body
    status, error, body = door.get(f"http://{bracketed(address)}/latest/meta-data/")
    assert (status, error) == (403, "destination_ip_prohibited") and f"is {what}" in body, body
    assert {k: o.connections for k, o in sites.items()} == before


@pytest.mark.parametrize("address", PROHIBITED)
def test_names_that_lead_there(door, sites, dns, address):
    name = f"trap-{list(PROHIBITED).index(address)}.example"
    dns.zone[name] = [address] if not address.startswith("::ffff:") else []
    before = {k: o.connections for k, o in sites.items()}
    status, error, body = door.connect(f"{name}:443")
    assert status in (403, 502) and error in ("destination_ip_prohibited", "dns_error")
    assert dns.zone[name] == [] or f"is {PROHIBITED[address]}" in body
    assert {k: o.connections for k, o in sites.items()} == before
    assert error == "dns_error" or any(PROHIBITED[address] in line["detail"] for line in door.proxy.log(host=name))


@pytest.mark.parametrize("name", ["2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "127.1", "0177.0.0.1", "127.0.0.1.", "0",
                                  "127.0.0.01", "1.1.1.1.1", "127.0.0.256", "localhost", "localhost."])
def test_other_ways_to_write_numbers_are_no_addresses(door, sites, name):
    """inet_aton() would take most of them; here they are names, and lead nowhere."""
    before = reached(sites, "127.0.0.1")
    status, error, _ = door.connect(f"{name}:443")
    assert status in (400, 403, 502), (status, error)
    assert reached(sites, "127.0.0.1") == before


def test_public_addresses_pass(door, sites, dns):
    dns.zone |= {"four.example": [PUBLIC], "six.example": [PUBLIC6], "both.example": [PUBLIC, PUBLIC6]}
    for target in (f"{PUBLIC}:443", f"[{PUBLIC6}]:443", "four.example:443", "six.example:443", "both.example:443",
                   f"[::ffff:{PUBLIC}]:443"):
        assert door.connect(target)[0] == 200, target
    assert door.get(f"http://{PUBLIC}/")[0] == door.get("http://six.example/")[0] == 200


def test_name_that_rebinds(door, sites, dns):
    """Public when it was asked for first, loopback the next time; and both at once."""
    dns.zone["rebind.example"] = lambda q: q.addresses(PUBLIC if q.count == 0 else "127.0.0.1", ttl=0)
    before = reached(sites, "127.0.0.1", 80)
    assert door.get("http://rebind.example/")[0] == 200
    # the pooled connection is to the first address; a new one meets the second
    assert door.connect("rebind.example:80")[:2] == (403, "destination_ip_prohibited")
    dns.zone["mixed.example"] = ["127.0.0.1", "::1", PRIVATE, PUBLIC, METADATA]
    assert door.connect("mixed.example:443")[0] == 200
    assert reached(sites, "127.0.0.1", 80) == before and reached(sites, PRIVATE) == 0 and reached(sites, METADATA) == 0


def test_cname_to_a_special_address(door, dns):
    dns.zone["alias.example"] = lambda q: q.reply([record("alias.example", "CNAME", "inner.example"),
                                                   record("inner.example", "A", "127.0.0.1")] if q.type == "A" else [])
    assert door.connect("alias.example:443")[:2] == (403, "destination_ip_prohibited")


def test_inspected_hosts_may_be_private_and_nothing_worse(make, dns, sites):
    """On-premises Exchange is on the list by its administrator's will; a poisoned name for it is not."""
    door = make()
    dns.zone |= {GRAPH: [PRIVATE], OUTLOOK: [PRIVATE6]}
    for host in (GRAPH, OUTLOOK):
        assert door.connect(f"{host}:443")[0] == 200
        with door.net, contextlib.closing(door.proxy.tls(host)) as s:
            s.sendall(get("/", host))
            assert read_response(Reader(s)).status == 200
    for address in ("127.0.0.1", "::1", METADATA, LINK_LOCAL, "0.0.0.0", f"64:ff9b::{METADATA}", "224.0.0.1"):
        fresh = make()  # nothing pooled, nothing known
        dns.zone[GRAPH] = [address]
        assert fresh.connect(f"{GRAPH}:443")[:2] == (403, "destination_ip_prohibited"), address
    dns.zone["not-listed.example"] = [PRIVATE]
    assert door.connect("not-listed.example:443")[:2] == (403, "destination_ip_prohibited")


def test_allow_networks_opens_and_deny_networks_closes(make, sites, dns):
    door = make(origin=f'allow_networks = ["10.1.0.0/16", "127.0.0.1", "fd12::/16"]\ndeny_networks = ["{PUBLIC}", "10.1.2.4"]')
    dns.zone |= {"inner.example": [PRIVATE], "outer.example": [PUBLIC]}
    assert door.connect(f"{PRIVATE}:443")[0] == door.connect("inner.example:443")[0] == door.connect("127.0.0.1:443")[0] == 200
    assert door.connect(f"[{PRIVATE6}]:443")[0] == 200
    for target in (f"{PUBLIC}:443", "outer.example:443", "10.1.2.4:443", f"[::ffff:{PUBLIC}]:443", f"[64:ff9b::{PUBLIC}]:443"):
        status, error, body = door.connect(target)
        assert (status, error) == (403, "destination_ip_prohibited") and "deny_networks" in body, target
    assert door.connect("127.0.0.2:443")[0] == 403 and door.connect("10.2.0.1:443")[0] == 403


def test_this_proxy_itself_is_no_target(make, sites):
    """Not by any of the machine's addresses, also where everything is allowed: a loop would eat all connections."""
    everything = 'allow_networks = ["0.0.0.0/0", "::/0"]'
    door = make(start=False, origin=everything, proxy='clients = ["0.0.0.0/0", "::/0"]\nconnect_ports = ["1-65535"]', ports=3)
    p = door.proxy
    ports = p.ports
    p.write_config(listen=f'"0.0.0.0:{ports[0]}", "[::]:{ports[1]}", "{OWN}:{ports[2]}"')
    with door.net:
        p.start()
    for at in ("127.0.0.1", OWN, PUBLIC, "0.0.0.0", "127.1.1.1", f"[::ffff:{OWN}]"):
        status, error, body = door.connect(f"{at}:{ports[0]}")
        assert (status, error) == (403, "destination_ip_prohibited"), (at, body)
        assert door.get(f"http://{at}:{ports[0]}/healthz")[0] in (200, 403)  # 200: answered as its own page, not forwarded
    for at in ("[::1]", f"[{PUBLIC6}]", "[::]"):
        assert door.connect(f"{at}:{ports[1]}")[:2] == (403, "destination_ip_prohibited"), at
    assert door.connect(f"{OWN}:{ports[2]}")[:2] == (403, "destination_ip_prohibited")
    assert door.connect(f"{PUBLIC}:443")[0] == 200


def test_its_public_name_is_no_target(make):
    door = make(public_url="http://proxy.example.org:3128")
    assert door.connect("proxy.example.org:443")[:2] == (403, "proxy_loop_detected")
    assert door.get("http://proxy.example.org:3128/healthz")[0] == 200


def test_connect_to_leads_where_the_administrator_says(make, sites, dns):
    dns.zone["behind.example"] = [PRIVATE]
    door = make(origins={"inside.example:443": 443, "other.example:80": 80}, start=False)
    p = door.proxy
    p.config.write_text(p.config.read_text().replace("connect_to = [", f'connect_to = ["v6.example::[{PRIVATE6}]:443", '
                                                     '"named.example:443:behind.example:443", "same.example:8080::80", '))
    with door.net:
        p.start()
    before = reached(sites, "127.0.0.1")
    assert door.connect("inside.example:443")[0] == 200
    wait_for(lambda: reached(sites, "127.0.0.1") == before + 1)
    assert door.connect("v6.example:80")[0] == 200 and door.connect("named.example:443")[0] == 200
    assert door.connect("inside.example:80")[0] in (403, 502)  # another port: no override
    # an override of the port alone says nothing about the address
    dns.zone["same.example"] = ["127.0.0.1"]
    assert door.get("http://same.example:8080/")[:2] == (403, "destination_ip_prohibited")
