# SPDX-License-Identifier: Apache-2.0
"""The firewall lines of docs/deploy.md on a router between clients, the proxy and the world: what they close, and what they leave."""
import contextlib
import os
import socket
import subprocess
import threading

import pytest
from deploy import sample
from harness import TIMEOUT
from netns import Net

CLIENT, PROXY, INTRANET, WORLD = "10.0.0.7", "10.0.0.5", "10.9.0.9", "203.0.113.9"
PORTS = [("tcp", 443), ("udp", 443), ("tcp", 80), ("udp", 80), ("tcp", 8443)]


@pytest.fixture
def router():
    """A router in the middle; .office has CLIENT and PROXY, .world has INTRANET and WORLD."""
    with contextlib.ExitStack() as open_nets:
        router, office, world = [open_nets.enter_context(contextlib.closing(Net())) for _ in range(3)]
        for net, name, address, rest in (office, "office", "10.0.0.1/16", [CLIENT, PROXY]), (world, "world", "203.0.113.1/24", [INTRANET, WORLD]):
            with router:
                router.ip(f"link add {name} type veth peer name eth netns /proc/{os.getpid()}/fd/{net.fd}")
                router.ip(f"addr add {address} dev {name}")
                router.ip(f"link set {name} up")
            with net:
                net.ip("link set eth up")
                for own in rest:
                    net.ip(f"addr add {own}/32 dev eth")
                net.ip(f"route add {address.split('/')[0]} dev eth")
                net.ip(f"route add default via {address.split('/')[0]}")
        with router:
            router.ip(f"route add {INTRANET} dev world")
            with open("/proc/sys/net/ipv4/ip_forward", "w") as f:
                f.write("1")
        router.office, router.world = office, world
        yield router


def serve(address, kind, port):
    """UDP is answered, TCP connections wait in the queue."""
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.bind((address, port))
    if kind == "tcp":
        s.listen(16)
    else:
        def answer():
            with contextlib.suppress(OSError):
                while True:
                    s.sendto(*s.recvfrom(99))
        threading.Thread(target=answer, daemon=True).start()
    return s


def reaches(source, target, kind, port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as s:
        s.settimeout(TIMEOUT)
        s.bind((source, 0))
        try:
            s.connect((target, port))
            if kind == "udp":
                s.send(b"?")
                s.recv(1)
        except ConnectionRefusedError:
            return False  # told so, at once
        return True


def test_only_the_proxy_gets_out(router):
    with router.world:
        servers = [serve(address, *where) for address in (INTRANET, WORLD) for where in PORTS]
    with router.office:
        ways = [(source, target, *where) for source in (CLIENT, PROXY) for target in (INTRANET, WORLD) for where in PORTS]
        assert all(reaches(*way) for way in ways)
        with router:
            subprocess.run(["nft", "-f", "-"], input=sample("nft", "chain forward").encode(), check=True)
        closed = [way for way in ways if not reaches(*way)]
    assert closed == [(CLIENT, WORLD, *where) for where in PORTS if where[1] in (80, 443)]
    for server in servers:
        server.close()
