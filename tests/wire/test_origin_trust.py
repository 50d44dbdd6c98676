# SPDX-License-Identifier: Apache-2.0
"""What is believed of an origin beyond one handshake: stapled answers, facts, pooled connections, changes of trust."""
import contextlib
import pathlib
import re
import socket
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from conftest import GRAPH, OUTLOOK
from harness import SLOW, Authority, Origin, Reader, free_port, get, pem_of, read_response, server_context, wait_for
from pki import Intermediate, staple
from skew import Skew

MUST_STAPLE = [(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)]


class Stapling:
    """openssl s_server with a stapled OCSP answer; Python's server cannot staple."""

    def __init__(self, directory, pem, ocsp=None, version="-tls1_3"):
        cert = pathlib.Path(directory) / "stapled.pem"
        cert.write_bytes(pem)
        self.port = free_port()
        cmd = ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", cert, "-key", cert, "-cert_chain", cert, "-www",
               version]
        if ocsp is not None:
            answer = pathlib.Path(directory) / "answer.der"
            answer.write_bytes(ocsp)
            cmd += ["-status_file", answer]
        self.process = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = []
        threading.Thread(target=lambda: self.said.extend(self.process.stdout), daemon=True).start()
        wait_for(lambda: any("ACCEPT" in line for line in self.said))

    def close(self):
        self.process.kill()
        self.process.wait()


def bad(head, reason):
    return head.status == 502 and reason in head.body.decode() and reason in head.get("proxy-status")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("must, make, reason", [
    (False, lambda c, r: None, None),
    (False, lambda c, r: staple(c, r), None),
    (False, lambda c, r: staple(c, r, revoked=True), "certificate revoked, says its stapled OCSP answer"),
    (False, lambda c, r: staple(c, r, revoked=True, age_days=30), None),  # out of date: proves nothing, as in a browser
    (False, lambda c, r: staple(c, r, signer=Authority("somebody"), revoked=True), None),
    (False, lambda c, r: b"\x30\x03\x0a\x01\x03", None),  # tryLater
    (True, lambda c, r: staple(c, r), None),
    (True, lambda c, r: None, "demands a stapled OCSP answer and came without one"),
    (True, lambda c, r: staple(c, r, revoked=True), "certificate revoked"),
    (True, lambda c, r: staple(c, r, age_days=30), "came with one that does not verify"),
    (True, lambda c, r: staple(c, r, signer=Authority("somebody")), "came with one that does not verify"),
    (True, lambda c, r: staple(r.leaf("x.example")[0], r), "came with one that does not verify"),
    (True, lambda c, r: b"\x30\x03\x0a\x01\x03", "came with one that does not verify"),  # tryLater
], ids=["none", "good", "revoked", "revoked-long-ago", "revoked-by-anybody", "try-later", "must-good", "must-none", "must-revoked",
        "must-old", "must-forged", "must-of-another", "must-try-later"])
def test_stapled_answers(run_proxy, authority, tmp_path, version, must, make, reason):
    cert, key = authority.leaf(GRAPH, extensions=MUST_STAPLE if must else ())
    s_server = Stapling(tmp_path, pem_of(cert, key, authority.cert), make(cert, authority), version)
    door = run_proxy(origins={f"{GRAPH}:443": s_server.port})
    with contextlib.closing(s_server):
        if reason is None:
            for _ in range(2):  # the second resumes a session that was judged when it was made
                assert door.request(GRAPH, get("/", fields="Connection: close\r\n")).status == 200
        else:
            s, head = door.tunnel(f"{GRAPH}:443")
            s.close()
            assert bad(head, reason), (head.start, head.body)


def test_delegated_responder(run_proxy, authority, tmp_path):
    """RFC 6960, 4.2.2.2: signed by somebody whom the issuer has made its responder; a mere server certificate is none."""
    cert, key = authority.leaf(GRAPH, extensions=MUST_STAPLE)
    for eku, good in ((ExtendedKeyUsageOID.OCSP_SIGNING, True), (ExtendedKeyUsageOID.SERVER_AUTH, False)):
        responder = Authority()
        delegate, responder.key = authority.leaf("ocsp.example", eku=eku)
        directory = tmp_path / str(good)
        directory.mkdir()
        s_server = Stapling(directory, pem_of(cert, key, authority.cert), staple(cert, authority, responder, responder_cert=delegate))
        door = run_proxy(origins={f"{GRAPH}:443": s_server.port})
        with contextlib.closing(s_server):
            s, head = door.tunnel(f"{GRAPH}:443")
            s.close()
            assert head.status == (200 if good else 502), head.body


class Changing(Origin):
    """An origin whose certificate a test can change; it closes after each response when told to."""

    def __init__(self, directory, *pems):
        self.contexts, self.live = [server_context(p, directory) for p in pems], []
        super().__init__(self.contexts[0])

    def echo(self, sock):
        self.live.append(sock)
        super().echo(sock)

    def become(self, index, drop=True):
        self.context = self.contexts[index]
        for s in self.live if drop else ():
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def changing(authority, tmp_path):
    expired = pem_of(*authority.leaf(GRAPH, OUTLOOK, not_before=-9, not_after=-1))
    o = Changing(tmp_path, pem_of(*authority.leaf(GRAPH, OUTLOOK)), expired)
    yield o
    o.close()


def refused_inside(door, origin, reason):
    """CONNECT may still be answered by a fact; the request then meets the verification, and gets a 502 inside."""
    seen = len(origin.requests)
    answer = door.request(GRAPH, get("/"))
    assert answer.status == 502 and reason in answer.body.decode(), answer.body
    assert len(origin.requests) == seen


def test_origin_that_turns_bad_gets_no_request(run_proxy, changing):
    door = run_proxy(origins={f"{GRAPH}:443": changing.port})
    assert door.request(GRAPH, get("/")).status == 200
    changing.become(1)
    refused_inside(door, changing, "certificate has expired")
    s, head = door.tunnel(f"{GRAPH}:443")  # and from then on the fact is forgotten, too
    s.close()
    assert bad(head, "certificate has expired")
    changing.become(0)
    assert door.request(GRAPH, get("/")).status == 200


def test_a_fact_is_good_for_five_minutes(run_proxy, changing, tmp_path):
    skew = Skew(tmp_path)
    door = run_proxy(origins={f"{GRAPH}:443": changing.port}, env=skew.env)
    assert door.request(GRAPH, get("/")).status == 200
    changing.become(1)
    skew.forward(4 * 60)
    s, head = door.tunnel(f"{GRAPH}:443")
    s.close()
    assert head.status == 200
    skew.forward(2 * 60)
    s, head = door.tunnel(f"{GRAPH}:443")
    s.close()
    assert bad(head, "certificate has expired")


def test_a_session_is_resumed_for_an_hour_at_most(run_proxy, changing, tmp_path):
    skew = Skew(tmp_path)
    door = run_proxy(origins={f"{GRAPH}:443": changing.port}, env=skew.env)
    for _ in range(2):
        assert door.request(GRAPH, get("/")).status == 200
    before = changing.connections
    skew.forward(65 * 60)
    changing.become(1)
    s, head = door.tunnel(f"{GRAPH}:443")
    s.close()
    assert bad(head, "certificate has expired") and changing.connections > before


def test_a_pooled_connection_has_an_end(run_proxy, changing, tmp_path):
    skew = Skew(tmp_path)
    door = run_proxy(origins={f"{GRAPH}:443": changing.port}, origin='timeouts = { idle = "1d", age = "10m" }', env=skew.env)
    assert door.request(GRAPH, get("/")).status == 200
    changing.become(1, drop=False)
    skew.forward(9 * 60)
    assert door.request(GRAPH, get("/")).status == 200  # the connection of then, verified then
    skew.forward(2 * 60)
    s, head = door.tunnel(f"{GRAPH}:443")
    s.close()
    assert bad(head, "certificate has expired")


def test_another_trust_applies_at_once(run_proxy, changing):
    """After a reload neither pooled connections nor facts nor sessions of the old trust are used, also by clients who stay."""
    door = run_proxy(origins={f"{GRAPH}:443": changing.port})
    with contextlib.closing(door.tls(GRAPH)) as s:
        reader = Reader(s)
        s.sendall(get("/"))
        assert read_response(reader).status == 200
        seen = len(changing.requests)
        (door.dir / "roots2.pem").write_bytes(Authority("nobody's root").pem)
        (door.dir / "proxy.toml").write_text(door.config.read_text().replace("roots.pem", "roots2.pem"))
        door.reload()
        s.sendall(get("/"))
        answer = read_response(reader)
        assert answer.status == 502 and b"unable to get local issuer certificate" in answer.body
    s, head = door.tunnel(f"{GRAPH}:443")
    s.close()
    assert bad(head, "unable to get local issuer certificate")
    assert len(changing.requests) == seen


def test_replaced_ca_file_is_noticed(run_proxy, changing, authority):
    door = run_proxy(origins={f"{GRAPH}:443": changing.port})
    assert door.request(GRAPH, get("/")).status == 200
    (door.dir / "roots.pem").write_bytes(Authority("nobody's root").pem)
    wait_for(lambda: "configuration reloaded" in door.stderr)
    refused = door.tunnel(f"{GRAPH}:443")
    refused[0].close()
    assert refused[1].status == 502
    (door.dir / "roots.pem").write_bytes(authority.pem + Authority("one more").pem)
    wait_for(lambda: door.stderr.count("configuration reloaded") == 2)
    assert door.request(GRAPH, get("/")).status == 200


def test_request_bytes_wait_for_the_verification(run_proxy, authority, tmp_path):
    """CONNECT, hello and request in one go at an origin whose handshake hangs: nothing goes ahead of it."""
    hold, got = threading.Event(), []

    def serve(sock):
        hold.wait(30 * SLOW)
        with server_context(pem_of(*authority.leaf("other.example")), tmp_path).wrap_socket(sock, server_side=True) as t:
            got.append(t.recv(1))
    o = Origin(None, serve)
    door = run_proxy(origins={f"{GRAPH}:443": o.port})
    with contextlib.closing(o), contextlib.closing(door.connect()) as s:
        s.sendall(f"CONNECT {GRAPH}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode() + b"\x16\x03\x01\x02\x00" + b"x" * 512)
        s.settimeout(0.5)
        with pytest.raises(TimeoutError):
            s.recv(1)
        hold.set()
        s.settimeout(10 * SLOW)
        answer = read_response(Reader(s))
        assert answer.status == 502 and b"hostname mismatch" in answer.body.lower()
        assert got in ([], [b""])


def test_intermediate_is_not_remembered_from_another_origin(run_proxy, authority, tmp_path):
    """Some clients complete a chain with what they saw elsewhere; who relies on that would sometimes fail."""
    mid = Intermediate(authority, "shared")
    whole = Origin(server_context(pem_of(*mid.leaf(GRAPH), mid.cert), tmp_path))
    half = Origin(server_context(pem_of(*mid.leaf(OUTLOOK)), tmp_path))
    door = run_proxy(origins={f"{GRAPH}:443": whole.port, f"{OUTLOOK}:443": half.port})
    with contextlib.closing(whole), contextlib.closing(half):
        assert door.request(GRAPH, get("/")).status == 200
        s, head = door.tunnel(f"{OUTLOOK}:443")
        s.close()
        assert bad(head, "unable to get local issuer certificate")
        assert re.search(r"outlook\.office\.com", head.body.decode())
