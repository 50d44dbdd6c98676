# SPDX-License-Identifier: Apache-2.0
"""Sessions: resumed for the host they were made for, on both sides of the proxy, and for no other."""
import contextlib
import ssl

import pytest
from cryptography import x509

from conftest import GRAPH, OUTLOOK
from harness import Origin, Reader, get, pem_of, read_response, server_context, wait_for

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def context(door, version):
    ctx = door.client_context()
    ctx.minimum_version = ctx.maximum_version = version
    return ctx


def visit(door, ctx, host, session=None, connect=None):
    """(resumed, the certificate's names, a session for the next visit)"""
    s, head = door.tunnel(f"{connect or host}:443")
    assert head.status == 200
    with contextlib.closing(ctx.wrap_socket(s, server_hostname=host, session=session)) as t:
        t.sendall(get("/", host))
        assert read_response(Reader(t)).status == 200  # a ticket of TLS 1.3 comes before it
        cert = x509.load_der_x509_certificate(t.getpeercert(True))
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        return t.session_reused, names, t.session


@pytest.mark.parametrize("version", [V12, V13])
def test_client_resumes(gate, version):
    ctx = context(gate, version)
    resumed, _, session = visit(gate, ctx, GRAPH)
    assert not resumed and session is not None and session.has_ticket
    for _ in range(3):
        resumed, _, session = visit(gate, ctx, GRAPH, session)
        assert resumed


@pytest.mark.parametrize("version", [V12, V13])
def test_ticket_of_another_host_gives_a_full_handshake(gate, version):
    ctx = context(gate, version)
    _, _, session = visit(gate, ctx, GRAPH)
    resumed, names, own = visit(gate, ctx, OUTLOOK, session)
    assert not resumed and names == [OUTLOOK]
    resumed, _, _ = visit(gate, ctx, OUTLOOK, own)  # and the ticket that it got instead is its own
    assert resumed


def test_tickets_are_good_at_every_worker_and_after_a_reload(run_proxy, origin):
    door = run_proxy(workers=2, origins={f"{GRAPH}:443": origin.port})
    ctx = context(door, V13)
    _, _, session = visit(door, ctx, GRAPH)
    for _ in range(6):
        resumed, _, session = visit(door, ctx, GRAPH, session)
        assert resumed
    door.reload()
    assert visit(door, ctx, GRAPH, session)[0]


def test_tickets_are_not_good_at_another_proxy(run_proxy, origin):
    one = run_proxy(origins={f"{GRAPH}:443": origin.port})
    two = run_proxy(origins={f"{GRAPH}:443": origin.port})
    ctx = context(one, V13)
    ctx.load_verify_locations(two.root)
    _, _, session = visit(one, ctx, GRAPH)
    assert not visit(two, ctx, GRAPH, session)[0]


@pytest.fixture(params=[V12, V13], ids=["1.2", "1.3"])
def short(request, authority, tmp_path):
    """An origin of one TLS version that closes after each response, and counts full and resumed handshakes."""
    ctx = server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK)), tmp_path)
    ctx.minimum_version = ctx.maximum_version = request.param

    def serve(sock):
        o.resumed.append(sock.session_reused)
        Reader(sock).until(b"\r\n\r\n")
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        sock.unwrap()
    o = Origin(ctx, serve)
    o.resumed = []
    yield o
    o.close()


def test_origin_connections_resume(run_proxy, short):
    door = run_proxy(origins={f"{GRAPH}:443": short.port, f"{OUTLOOK}:443": short.port})
    for _ in range(4):
        assert door.request(GRAPH, get("/")).status == 200
    # CONNECT's verification made the first; which connection got which ticket is not fixed, but most resume
    wait_for(lambda: len(short.resumed) >= 4)
    assert short.resumed[0] is False and sum(short.resumed) >= 2
    before = len(short.resumed)
    assert door.request(OUTLOOK, get("/", OUTLOOK)).status == 200
    wait_for(lambda: len(short.resumed) > before)
    assert short.resumed[before] is False  # another name, another session, though it is the same server


def test_origin_sessions_do_not_outlive_the_trust_they_were_made_under(run_proxy, short, authority):
    door = run_proxy(origins={f"{GRAPH}:443": short.port})
    for _ in range(3):
        assert door.request(GRAPH, get("/")).status == 200
    wait_for(lambda: sum(short.resumed) >= 1)
    before = len(short.resumed)
    door.write_config(origin="idle_max = 7")
    wait_for(lambda: "configuration reloaded" in door.stderr)
    assert door.request(GRAPH, get("/")).status == 200
    wait_for(lambda: len(short.resumed) > before)
    assert short.resumed[before] is False
