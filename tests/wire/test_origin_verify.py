# SPDX-License-Identifier: Apache-2.0
"""Origins that must not be believed: each gets a 502 to CONNECT that says why, and not a byte of any request."""
import contextlib
import pathlib
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness import Authority, Origin, Reader, get, pem_of, read_response, server_context, wait_for
from pki import Intermediate, p384_key, rsa_key, self_signed

V = ssl.TLSVersion


def usage(**on):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
             "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(*(on.get(n, False) for n in names))


def chained(root, host, **kw):
    mid = Intermediate(root, kw.pop("name", "intermediate"), **kw)
    return pem_of(*mid.leaf(host), mid.cert)


def below_a_leaf(root, host):
    """Signed by somebody who has a certificate, but not a CA's."""
    mid = Intermediate(root, "a customer", ca=False)
    return pem_of(*mid.leaf(host), mid.cert)


def too_deep(root, host):
    first = Intermediate(root, "first", pathlen=0)
    second = Intermediate(first, "second")
    return pem_of(*second.leaf(host), second.cert, first.cert)


def long_chain(root, host):
    chain = [root]
    for i in range(5):
        chain.append(Intermediate(chain[-1], f"level {i}"))
    return pem_of(*chain[-1].leaf(host), *(c.cert for c in reversed(chain[1:])))


def other_root(host):
    other = Authority("another root")
    return pem_of(*other.leaf(host), other.cert)


def same_name_root(host):
    return pem_of(*Authority().leaf(host))  # named as ours is, but another key


# id: (certificate of the origin for `host`, context settings, what the reason contains, the error of RFC 9209)
CERT, PROTOCOL = "tls_certificate_error", "tls_protocol_error"
BAD = {
    "expired": (lambda r, h: pem_of(*r.leaf(h, not_before=-9, not_after=-1)), {}, "certificate has expired", CERT),
    "not-yet": (lambda r, h: pem_of(*r.leaf(h, not_before=1)), {}, "not yet valid", CERT),
    "wrong-host": (lambda r, h: pem_of(*r.leaf("other.example")), {}, "hostname mismatch", CERT),
    "common-name-only": (lambda r, h: pem_of(*r.leaf(cn=h)), {}, "hostname mismatch", CERT),
    "common-name-beside-other-name": (lambda r, h: pem_of(*r.leaf("other.example", cn=h)), {}, "hostname mismatch", CERT),
    "partial-wildcard": (lambda r, h: pem_of(*r.leaf("partial-*.bad.example")), {}, "hostname mismatch", CERT),
    "wildcard-of.two-labels": (lambda r, h: pem_of(*r.leaf("*.bad.example")), {}, "hostname mismatch", CERT),
    "wildcard-in-the-middle": (lambda r, h: pem_of(*r.leaf(h.split(".")[0] + ".*.example")), {}, "hostname mismatch", CERT),
    "address-only": (lambda r, h: pem_of(*r.leaf("127.0.0.1")), {}, "hostname mismatch", CERT),
    "self-signed": (lambda r, h: pem_of(*self_signed(h)), {}, "self-signed certificate", CERT),
    "untrusted-root": (lambda r, h: other_root(h), {}, "self-signed certificate in certificate chain", CERT),
    "root-of-the-same-name": (lambda r, h: same_name_root(h), {}, "certificate signature failure", CERT),
    "incomplete-chain": (lambda r, h: pem_of(*Intermediate(r, "kept back").leaf(h)), {}, "unable to get local issuer", CERT),
    "rsa-1024": (lambda r, h: pem_of(*r.leaf(h, key=rsa_key(1024))), {"seclevel": 0}, "key too weak", CERT),
    "sha-1": (lambda r, h: pem_of(*r.leaf(h, algorithm=hashes.SHA1())), {"seclevel": 0}, "digest algorithm too weak", CERT),
    "sha-1-intermediate": (lambda r, h: chained(r, h, algorithm=hashes.SHA1()), {"seclevel": 0}, "digest algorithm too weak", CERT),
    "client-only": (lambda r, h: pem_of(*r.leaf(h, eku=ExtendedKeyUsageOID.CLIENT_AUTH)), {}, "purpose", CERT),
    "no-signing-key": (lambda r, h: pem_of(*r.leaf(h, key_usage=usage(key_cert_sign=True, crl_sign=True))), {}, "purpose", CERT),
    "below-a-leaf": (below_a_leaf, {}, "invalid CA certificate", CERT),
    "path-too-long": (too_deep, {}, "path length", CERT),
    "outside-constraints": (lambda r, h: chained(r, h, permitted=["other.example"]), {}, "permitted subtree violation", CERT),
    "expired-intermediate": (lambda r, h: chained(r, h, not_after=-1), {}, "certificate has expired", CERT),
    "unknown-critical": (lambda r, h: pem_of(*r.leaf(h, extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"),
                                                                                              b"\x05\x00"), True)])),
                         {}, "unhandled critical extension", CERT),
    "tls-1.0": (lambda r, h: pem_of(*r.leaf(h)), {"max": V.TLSv1, "seclevel": 0}, "version", PROTOCOL),
    "tls-1.1": (lambda r, h: pem_of(*r.leaf(h)), {"max": V.TLSv1_1, "seclevel": 0}, "version", PROTOCOL),
    "cbc-only": (lambda r, h: pem_of(*r.leaf(h)), {"max": V.TLSv1_2, "ciphers": "ECDHE-ECDSA-AES128-SHA256"}, "handshake failure",
                 PROTOCOL),
    "static-rsa": (lambda r, h: pem_of(*r.leaf(h, key=rsa_key(2048))), {"max": V.TLSv1_2, "ciphers": "AES128-GCM-SHA256"},
                   "handshake failure", PROTOCOL),
    "dhe": (lambda r, h: pem_of(*r.leaf(h, key=rsa_key(2048))), {"max": V.TLSv1_2, "ciphers": "DHE-RSA-AES128-GCM-SHA256"},
            "handshake failure", PROTOCOL),
    "null": (lambda r, h: pem_of(*r.leaf(h)), {"max": V.TLSv1_2, "ciphers": "ECDHE-ECDSA-NULL-SHA", "seclevel": 0},
             "handshake failure", PROTOCOL),
    "only-http-2": (lambda r, h: pem_of(*r.leaf(h)), {"alpn": "h2-or-nothing"}, "no application protocol", PROTOCOL),
}

GOOD = {
    "p-256": (lambda r, h: pem_of(*r.leaf(h)), {}),
    "p-384": (lambda r, h: pem_of(*r.leaf(h, key=p384_key(), algorithm=hashes.SHA384())), {}),
    "rsa-2048": (lambda r, h: pem_of(*r.leaf(h, key=rsa_key(2048))), {}),
    "rsa-2048-tls-1.2": (lambda r, h: pem_of(*r.leaf(h, key=rsa_key(2048))), {"max": V.TLSv1_2}),
    "p-256-tls-1.2": (lambda r, h: pem_of(*r.leaf(h)), {"max": V.TLSv1_2}),
    "chacha": (lambda r, h: pem_of(*r.leaf(h)), {"max": V.TLSv1_2, "ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"}),
    "wildcard": (lambda r, h: pem_of(*r.leaf("*.bad.example")), {}),
    "upper-case": (lambda r, h: pem_of(*r.leaf(h.upper())), {}),
    "many-names": (lambda r, h: pem_of(*r.leaf(*(f"n{i}.example" for i in range(500)), h)), {}),
    "no-purpose": (lambda r, h: pem_of(*r.leaf(h, eku=None)), {}),
    "intermediate": (chained, {}),
    "long-chain": (long_chain, {}),
    "within-constraints": (lambda r, h: chained(r, h, permitted=["bad.example"]), {}),
    "no-alpn": (lambda r, h: pem_of(*r.leaf(h)), {"alpn": None}),
}


def host_of(name):
    return f"{name}.bad.example"


class Listening(Origin):
    """Counts what arrives after the handshake."""

    def __init__(self, context):
        self.plaintext = []
        super().__init__(context, self.take)

    def take(self, sock):
        self.plaintext.append(sock.recv(1))
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def origin_for(authority, name, directory):
    make, settings = (BAD.get(name) or GOOD[name])[:2]
    path = pathlib.Path(directory) / f"{name}.pem"
    path.write_bytes(make(authority, host_of(name)))
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if "seclevel" in settings or "ciphers" in settings:
        ctx.set_ciphers(f"{settings.get('ciphers', 'ALL')}:@SECLEVEL={settings.get('seclevel', 1)}")
    ctx.load_cert_chain(path)
    alpn = settings.get("alpn", "http/1.1")
    if alpn == "http/1.1":
        ctx.set_alpn_protocols(["http/1.1"])
    ctx.minimum_version = V.TLSv1
    if "max" in settings:
        ctx.maximum_version = settings["max"]
    return Listening(ctx)


class OnlyHttp2(Origin):
    """Answers every hello with the alert of RFC 7301, 3.2: Python's own server never sends it."""

    def __init__(self):
        self.plaintext = []
        super().__init__(None, self.alert)

    def alert(self, sock):
        sock.recv(65536)
        sock.sendall(b"\x15\x03\x03\x00\x02\x02\x78")
        sock.shutdown(socket.SHUT_WR)
        sock.recv(65536)


@pytest.fixture(scope="module")
def origins(authority, tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    all_of = {name: OnlyHttp2() if name == "only-http-2" else origin_for(authority, name, directory) for name in (*BAD, *GOOD)}
    yield all_of
    for o in all_of.values():
        o.close()


@pytest.fixture(scope="module")
def door(run_shared, origins):
    hosts = ", ".join(f'"{host_of(n)}" = "graph"' for n in origins)
    return run_shared(origins={f"{host_of(n)}:443": o.port for n, o in origins.items()}, sections=f"[inspect]\nextra = {{ {hosts} }}\n")


def wakeups(pid):
    """How often a process has gone to sleep: the signer does so after each thing that it was asked."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("voluntary_ctxt_switches:")[1].split()[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_origin(door, origins, name):
    reason, error = BAD[name][2:]
    signer = door.children()["signer"]
    before = wait_for(lambda: (n := wakeups(signer), time.sleep(0.05))[0] == wakeups(signer) and n)  # it may just have started
    s, head = door.tunnel(f"{host_of(name)}:443")
    s.close()
    assert head.status == 502, head.start
    assert reason.lower() in head.body.decode().lower(), head.body
    status = head.get("proxy-status")
    assert status.startswith(f"photogate; error={error}; details=") and reason.lower() in status.lower(), status
    line = door.log(event="request", host=host_of(name))[0]
    assert line["status"] == 502 and reason.lower() in line["detail"].lower()
    assert origins[name].plaintext in ([], [b""]) and origins[name].connections == 1
    assert wakeups(signer) == before, "the signer was asked for something"


@pytest.mark.parametrize("name", GOOD)
def test_good_origin(door, origins, name):
    with contextlib.closing(door.tls(host_of(name))) as s:
        s.sendall(get("/", host_of(name)))
        assert read_response(Reader(s)).status == 200
    assert b"G" in origins[name].plaintext


def test_a_bad_origin_stays_bad(door, origins):
    """Nothing is learnt from a failure: neither a fact nor a session makes the next try succeed."""
    for _ in range(3):
        s, head = door.tunnel(f"{host_of('expired')}:443")
        s.close()
        assert head.status == 502
    assert origins["expired"].plaintext in ([], [b""])


def test_browsers_get_a_page_with_the_reason(door):
    s, head = door.tunnel(f"{host_of('expired')}:443", "Accept: text/html\r\nUser-Agent: Mozilla/5.0\r\n")
    s.close()
    assert head.status == 502 and b"certificate has expired" in head.body
