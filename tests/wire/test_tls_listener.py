# SPDX-License-Identifier: Apache-2.0
"""A listener that speaks TLS itself (an "https proxy"): CONNECT inside it, and interception inside that."""
import contextlib
import hashlib
import os
import socket
import ssl

import pytest
from cryptography import x509

from conftest import GRAPH, TUNNELLED
from harness import SLOW, Origin, Reader, get, pem_of, read_request, read_response, server_context, wait_for
from tlskit import is_closed

PUBLIC = "proxy.example.org"
SIZE = 6 << 20


@pytest.fixture(scope="module")
def site(authority, tmp_path_factory):
    blob = os.urandom(SIZE)

    def serve(sock):
        reader = Reader(sock)
        while True:
            r = read_request(reader)
            o.requests.append(r)
            body = blob if r.target == "/blob" else hashlib.sha256(r.body).hexdigest().encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    o = Origin(server_context(pem_of(*authority.leaf(GRAPH, TUNNELLED)), tmp_path_factory.mktemp("site")), serve)
    o.blob = blob
    yield o
    o.close()


@pytest.fixture(scope="module")
def door(run_shared, site):
    """Its first port is plain, its second speaks TLS."""
    p = run_shared(ports=2, start=False, public_url=f"http://{PUBLIC}:3128",
                   origins={f"{GRAPH}:443": site.port, f"{TUNNELLED}:443": site.port, "plain.example:80": site.port})
    p.write_config(listen=f'"127.0.0.1:{p.ports[0]}", {{ address = "127.0.0.1:{p.ports[1]}", tls = true }}')
    return p.start()


def curl(door, *args, trust=None, **kw):
    secure = f"https://{PUBLIC}:{door.ports[1]}"
    return door.curl("--resolve", f"{PUBLIC}:{door.ports[1]}:127.0.0.1", "--proxy-cacert", door.root, *args, proxy=secure, trust=trust,
                     **kw)


def outer(door, ctx=None, name=PUBLIC):
    s = socket.create_connection(("127.0.0.1", door.ports[1]), timeout=30 * SLOW)
    return (ctx or door.client_context()).wrap_socket(s, server_hostname=name)


class Inner:
    """TLS inside a TLS connection, which Python's sockets do not do by themselves."""

    def __init__(self, below, ctx, name):
        self.below, self.into, self.out = below, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(self.into, self.out, server_hostname=name)
        self.pump(self.tls.do_handshake)

    def pump(self, call, *args):
        while True:
            try:
                result = call(*args)
                self.below.sendall(self.out.read())
                return result
            except ssl.SSLWantReadError:
                self.below.sendall(self.out.read())
                data = self.below.recv(65536)
                self.into.write(data) if data else self.into.write_eof()

    def sendall(self, data):
        self.pump(self.tls.write, data)

    def recv(self, n):
        try:
            return self.pump(self.tls.read, n)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""


def test_its_certificate_is_for_the_public_name(door):
    with contextlib.closing(outer(door)) as s:
        cert = x509.load_der_x509_certificate(s.getpeercert(True))
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(names) == [x509.DNSName(PUBLIC)]
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_response(Reader(s)).body == b"ok\n"


def test_clients_that_reach_it_by_address_or_another_name(door):
    """A client that does not check, or checks by address, sends no or another name: the listener has only one certificate."""
    ctx = door.client_context()
    ctx.check_hostname = False
    for name in (None, "localhost", GRAPH):
        with contextlib.closing(outer(door, ctx, name)) as s:
            assert s.getpeercert()["subjectAltName"] == (("DNS", PUBLIC),)


def test_interception_inside(door, site):
    r = curl(door, "-i", "-X", "PUT", "-d", "x", f"https://{GRAPH}/v1.0/me/photo/$value")
    assert b" 403 Forbidden" in r.stdout and b"accessDenied" in r.stdout
    assert curl(door, f"https://{GRAPH}/blob").stdout == site.blob


def test_large_bodies_inside_both_layers(door, site, tmp_path):
    (tmp_path / "up").write_bytes(site.blob)
    digest = hashlib.sha256(site.blob).hexdigest().encode()
    assert curl(door, "-H", "Expect:", "--data-binary", f"@{tmp_path / 'up'}", f"https://{GRAPH}/up").stdout == digest
    trust = tmp_path / "roots.pem"
    trust.write_bytes(door.authority.pem)
    assert curl(door, f"https://{TUNNELLED}/blob", trust=trust).stdout == site.blob
    assert curl(door, "-H", "Expect:", "--data-binary", f"@{tmp_path / 'up'}", f"https://{TUNNELLED}/up", trust=trust).stdout == digest
    assert curl(door, "http://plain.example/healthz").returncode == 0


def connect(door, target):
    s = outer(door)
    s.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = Reader(s).until(b"\r\n\r\n")
    assert b" 200 " in head, head
    return s


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_several_requests_in_tls_in_tls(door, version):
    ctx = door.client_context()
    ctx.minimum_version = ctx.maximum_version = version
    with contextlib.closing(connect(door, f"{GRAPH}:443")) as s:
        inner = Inner(s, ctx, GRAPH)
        reader = Reader(inner)
        for body in (b"", b"x" * 100000, b"y"):
            inner.sendall(get("/up", method="POST", body=body))
            assert read_response(reader).body == hashlib.sha256(body).hexdigest().encode()
        inner.sendall(get("/up", fields="Connection: close\r\n"))
        assert read_response(reader).status == 200
        assert inner.recv(1) == b"" and s.recv(1) == b""  # both layers say goodbye


def test_inner_failure_is_told_through_the_outer_layer(door):
    ctx = door.client_context()
    ctx.check_hostname = False
    with contextlib.closing(connect(door, f"{GRAPH}:443")) as s, pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        Inner(s, ctx, "other.example")


def test_outer_end_in_the_middle_of_the_inner_handshake(door):
    for _ in range(5):
        with contextlib.closing(connect(door, f"{GRAPH}:443")) as s:
            s.sendall(b"\x16\x03\x01\x02")
            with contextlib.suppress(OSError):
                s.unwrap()
    assert curl(door, f"https://{GRAPH}/up").returncode == 0


def test_plain_request_to_the_tls_port_and_the_other_way_round(door):
    with contextlib.closing(door.connect(door.ports[1])) as s:
        s.sendall(b"CONNECT x.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        s.settimeout(10 * SLOW)
        assert not s.recv(1000).startswith(b"HTTP/")
    wait_for(lambda: any("http" in line["result"] for line in door.log(event="handshake")))
    with contextlib.closing(door.connect(door.ports[0])) as s, pytest.raises(ssl.SSLError):
        door.client_context().wrap_socket(s, server_hostname=PUBLIC)


def test_silent_client_of_the_tls_port_is_closed(run_proxy):
    p = run_proxy(start=False, public_url=f"http://{PUBLIC}:3128", proxy='timeouts = { client_tls = "1s" }')
    p.write_config(listen=f'{{ address = "127.0.0.1:{p.port}", tls = true }}')
    p.start()
    with contextlib.closing(p.connect()) as s:
        assert is_closed(s, 10 * SLOW)


@pytest.mark.parametrize("url", ["http://192.0.2.1:3128", "http://[2001:db8::1]:3128", "http://proxy:3128"])
def test_public_name_that_no_certificate_can_be_for_is_a_start_error(run_proxy, url):
    p = run_proxy(start=False, public_url=url)
    p.write_config(listen=f'{{ address = "127.0.0.1:{p.port}", tls = true }}')
    r = p.command("run", "--check", "--config", str(p.config), check=False)
    assert r.returncode == 2 and f"{p.config}:2:" in r.stderr and "public_url" in r.stderr, r.stderr
