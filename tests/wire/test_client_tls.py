# SPDX-License-Identifier: Apache-2.0
"""TLS as a client meets it inside CONNECT: versions, names, ALPN, the leaf, and hellos that are none."""
import concurrent.futures
import contextlib
import datetime
import os
import signal
import socket
import ssl
import subprocess
import time

import _ssl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from conftest import GRAPH, OUTLOOK
from harness import SLOW, Origin, Reader, get, pem_of, read_response, server_context, utc_now, wait_for
from tlskit import UNRECOGNIZED_NAME, hello, is_closed, read_alert, records, vector

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of old TLS versions, which are the point here
PUBLIC = "proxy.example.org"
OTHERS = [f"h{i}.inspected.example" for i in range(3)]


@pytest.fixture(scope="module")
def site(authority, tmp_path_factory):
    o = Origin(server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK, *OTHERS)), tmp_path_factory.mktemp("site")))
    yield o
    o.close()


def inspecting(site):
    hosts = ", ".join(f'"{h}" = "graph"' for h in OTHERS)
    return {"origins": {f"{h}:443": site.port for h in (GRAPH, OUTLOOK, *OTHERS)}, "sections": f"[inspect]\nextra = {{ {hosts} }}\n"}


@pytest.fixture(scope="module")
def door(run_shared, site):
    return run_shared(public_url=f"http://{PUBLIC}:3128", **inspecting(site))


def context(door, version=None, ciphers=None, alpn=("http/1.1",), verify=True):
    ctx = door.client_context(alpn=alpn)
    if version is not None:
        if version < ssl.TLSVersion.TLSv1_2:
            ctx.set_ciphers("ALL:@SECLEVEL=0")
        ctx.minimum_version = ctx.maximum_version = version
    if ciphers:
        ctx.set_ciphers(ciphers)
    if not verify:
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    return ctx


def refused(door, host, sni="", **kw):
    """The failure of a handshake that must fail."""
    s, head = door.tunnel(f"{host}:443")
    assert head.status == 200, head.start
    with contextlib.closing(s), pytest.raises(ssl.SSLError) as failure:
        context(door, verify=False, **kw).wrap_socket(s, server_hostname=host if sni == "" else sni)
    return str(failure.value).lower().replace("_", " ")


def failed_with(door, host, text):
    wait_for(lambda: any(text in line["result"] for line in door.log(event="handshake", host=host)), 5 * SLOW)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_serve(door, version):
    with contextlib.closing(door.tls(GRAPH, context=context(door, version))) as s:
        assert s.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
        s.sendall(get("/v1.0/me"))
        assert read_response(Reader(s)).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(door, version):
    assert "protocol version" in refused(door, GRAPH, version=version)
    failed_with(door, GRAPH, "TLS handshake failed: unsupported protocol")


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8",
                                     "AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
def test_weak_ciphers_are_refused(door, ciphers):
    """No forward secrecy, CBC, a short tag: what a browser would not offer either."""
    assert "handshake failure" in refused(door, GRAPH, version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers + ":@SECLEVEL=0")


def test_renegotiation_is_refused(door):
    cmd = ["openssl", "s_client", "-proxy", f"127.0.0.1:{door.port}", "-connect", f"{GRAPH}:443", "-servername", GRAPH, "-tls1_2",
           "-CAfile", str(door.root)]
    p = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in p.stdout:
        lines.append(line)
        if "Verify return code: 0" in line:
            break
    p.stdin.write("R\n")
    p.stdin.flush()
    with contextlib.suppress(subprocess.TimeoutExpired):
        out, _ = p.communicate(timeout=20 * SLOW)
        lines.append(out)
    p.kill()
    said = "".join(lines)
    assert "Verify return code: 0" in said and "RENEGOTIATING" in said and "no renegotiation" in said, said


def test_no_server_name_is_refused(door):
    assert "unrecognized name" in refused(door, OUTLOOK, sni=None)
    assert door.log(event="handshake", host=OUTLOOK, result="the ClientHello names no server (no SNI)")


@pytest.mark.parametrize("sni", [OUTLOOK, "example.com", GRAPH + ".example.com", "x" + GRAPH])
def test_another_server_name_is_refused(door, sni):
    assert "unrecognized name" in refused(door, GRAPH, sni=sni)
    assert door.log(event="handshake", host=GRAPH, result=f"the ClientHello names another server than CONNECT did: {sni}")


@pytest.mark.parametrize("sni", [GRAPH.upper(), GRAPH + "."])
def test_case_and_trailing_dot_of_the_server_name_do_not_matter(door, sni):
    s, head = door.tunnel(f"{GRAPH}:443")
    with contextlib.closing(s):
        s.sendall(records(hello(sni)))
        assert s.recv(5)[:1] == b"\x16"  # a handshake record: the server goes on


@pytest.mark.parametrize("target", [f"{GRAPH.upper()}:443", f"{GRAPH}.:443"])
def test_case_and_trailing_dot_of_connect_do_not_matter(door, target):
    s, head = door.tunnel(target)
    assert head.status == 200
    with contextlib.closing(door.client_context().wrap_socket(s, server_hostname=GRAPH)) as t:
        t.sendall(get("/"))
        assert read_response(Reader(t)).status == 200


@pytest.mark.parametrize("name", [b"", b"graph.microsoft.com\0.example.com", b"x" * 300])
def test_malformed_server_name_is_refused(door, name):
    s, _ = door.tunnel(f"{OTHERS[0]}:443")
    with contextlib.closing(s):
        s.sendall(records(hello(name)))
        assert read_alert(s) == (2, UNRECOGNIZED_NAME)
    assert door.log(event="handshake", host=OTHERS[0], result="the ClientHello's server name is malformed")


def test_alpn_is_http11_for_those_who_ask(door):
    with contextlib.closing(door.tls(GRAPH, context=context(door, alpn=("h2", "http/1.1")))) as s:
        assert s.selected_alpn_protocol() == "http/1.1"
    with contextlib.closing(door.tls(GRAPH, context=context(door, alpn=()))) as s:
        assert s.selected_alpn_protocol() is None


def test_only_unknown_protocols_offered(door):
    said = refused(door, GRAPH, alpn=("h3", "spdy/3"))
    assert "no application protocol" in said
    failed_with(door, GRAPH, "no application protocol")


def chain_of(sock):
    return [x509.load_der_x509_certificate(c.public_bytes(_ssl.ENCODING_DER)) for c in sock._sslobj.get_unverified_chain()]


def leaf_of(door, host, **kw):
    with contextlib.closing(door.tls(host, **kw)) as s:
        return chain_of(s)


def test_leaf_is_what_browsers_and_auditors_want(door):
    leaf, issuing, *rest = leaf_of(door, GRAPH)
    root = x509.load_pem_x509_certificate(door.root.read_bytes())
    ext = leaf.extensions
    san = ext.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert list(san) == [x509.DNSName(GRAPH)]
    assert list(ext.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    basic = ext.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS)
    assert not basic.value.ca
    usage = ext.get_extension_for_oid(ExtensionOID.KEY_USAGE)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign
    assert leaf.serial_number.bit_length() > 64 and leaf.serial_number.bit_length() <= 159
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey) and leaf.public_key().curve.name == "secp256r1"
    assert leaf.signature_hash_algorithm.name == "sha256"
    now = utc_now()
    life = leaf.not_valid_after - now
    assert datetime.timedelta(hours=47) < life < datetime.timedelta(hours=49), life
    assert now - leaf.not_valid_before > datetime.timedelta(minutes=1)  # clocks differ; never before the CA's own start
    assert leaf.not_valid_before >= issuing.not_valid_before
    point = ext.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS).value[0].full_name[0].value
    key_id = issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert point.startswith(f"http://{PUBLIC}:3128/crl/") and point.endswith(".crl")
    assert ext.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == key_id
    assert ext.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest != key_id
    # the chain without the root
    assert issuing.issuer == root.subject and leaf.issuer == issuing.subject and rest == []
    limits = issuing.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical and x509.DNSName(GRAPH) in limits.value.permitted_subtrees
    assert issuing.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_serials_differ_and_a_leaf_is_kept(door):
    a, b, again = leaf_of(door, GRAPH)[0], leaf_of(door, OUTLOOK)[0], leaf_of(door, GRAPH)[0]
    assert a.serial_number == again.serial_number != b.serial_number


def test_many_at_once_for_a_new_host_get_one_leaf(run_proxy, site):
    door = run_proxy(**inspecting(site))
    signer = door.children()["signer"]
    os.kill(signer, signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(leaf_of, door, OTHERS[1]) for _ in range(20)]
            time.sleep(0.3)
            assert not any(w.done() for w in waiting)
            # other hosts do not queue behind it, nor do requests to the proxy itself
            assert door.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
            os.kill(signer, signal.SIGCONT)
            assert len({w.result(30 * SLOW)[0].serial_number for w in waiting}) == 1
    finally:
        os.kill(signer, signal.SIGCONT)


def test_client_that_goes_while_its_leaf_is_made(run_proxy, site):
    door = run_proxy(**inspecting(site))
    signer = door.children()["signer"]
    os.kill(signer, signal.SIGSTOP)
    for _ in range(5):
        s, _ = door.tunnel(f"{OTHERS[2]}:443")
        s.sendall(records(hello(OTHERS[2])))
        time.sleep(0.02)
        s.close()
    os.kill(signer, signal.SIGCONT)
    assert leaf_of(door, OTHERS[2])


def test_garbage_instead_of_a_hello(door):
    for raw in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(64), b"\xff" * 500, b"\x16\x03\x01\x00\x00", b"\x17\x03\x03\x00\x05hello"):
        s, _ = door.tunnel(f"{OTHERS[0]}:443")
        with contextlib.closing(s):
            s.sendall(raw)
            s.shutdown(socket.SHUT_WR)
            answer = read_alert(s)
            assert answer is None or answer[0] == 2, raw
    failed_with(door, OTHERS[0], "http request")
    failed_with(door, OTHERS[0], "TLS handshake failed")


def test_hello_cut_off(door):
    message = records(hello(OTHERS[1]))
    for cut in (0, 1, 4, 5, 60, len(message) - 1):
        s, _ = door.tunnel(f"{OTHERS[1]}:443")
        with contextlib.closing(s):
            s.sendall(message[:cut])
            s.shutdown(socket.SHUT_WR)
            assert is_closed(s)
    failed_with(door, OTHERS[1], "the connection was closed during the TLS handshake")


def test_hello_byte_by_byte(door):
    s, _ = door.tunnel(f"{GRAPH}:443")
    with contextlib.closing(s):
        for b in records(hello(GRAPH), size=1):
            s.sendall(bytes([b]))
        assert s.recv(5)[:1] == b"\x16"


def test_large_hello_passes_and_an_endless_one_does_not(door):
    ctx = context(door, alpn=[f"{i:0>250}" for i in range(200)] + ["http/1.1"])
    with contextlib.closing(door.tls(GRAPH, context=ctx)) as s:
        assert s.selected_alpn_protocol() == "http/1.1"
    s, _ = door.tunnel(f"{OTHERS[1]}:443")
    with contextlib.closing(s):
        with contextlib.suppress(OSError):
            s.sendall(records(b"\x01" + vector(3, bytes(1 << 20))))
        assert read_alert(s) in ((2, 47), None)  # None: the alert was lost to a reset
    failed_with(door, OTHERS[1], "excessive message size")


def test_slow_hello_times_out(run_proxy, site):
    door = run_proxy(proxy='timeouts = { client_tls = "1s" }', **inspecting(site))
    began = time.monotonic()
    s, _ = door.tunnel(f"{GRAPH}:443")
    quiet, _ = door.tunnel(f"{OUTLOOK}:443")
    with contextlib.closing(s), contextlib.closing(quiet):
        with contextlib.suppress(OSError):
            for b in records(hello(GRAPH)):
                s.sendall(bytes([b]))
                time.sleep(0.05)
                if time.monotonic() - began > 8 * SLOW:
                    break
        assert 0.9 < time.monotonic() - began < 5 * SLOW  # bytes now and then do not lengthen it
        assert is_closed(quiet)
    failed_with(door, GRAPH, "the client did not finish the TLS handshake in time")
    failed_with(door, OUTLOOK, "the client did not finish the TLS handshake in time")


def test_client_that_refuses_our_certificate_is_logged(door):
    s, _ = door.tunnel(f"{OTHERS[2]}:443")
    with contextlib.closing(s), pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(s, server_hostname=OTHERS[2])
    failed_with(door, OTHERS[2], "unknown ca")


def test_abrupt_ends_are_no_harm(door):
    for _ in range(20):
        s = door.tls(GRAPH)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        s.sendall(get("/"))
        socket.socket.close(s)
    assert door.request(GRAPH, get("/")).status == 200


def test_weak_key_exchange_has_its_own_reason(door):
    refused(door, OTHERS[1], version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-SHA")
    failed_with(door, OTHERS[1], "no shared cipher")
