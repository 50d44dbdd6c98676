# SPDX-License-Identifier: Apache-2.0
"""The proxy's own pages: PAC files, certificates, health, what a refusal looks like."""
import base64
import contextlib
import re
import ssl

import pytest
from conftest import GRAPH
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from harness import Reader, free_port, read_response

PAC_TYPE = "application/x-ns-proxy-autoconfig"


def local(gate, path, method="GET", fields="", port=None):
    with contextlib.closing(gate.connect(port)) as s:
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port or gate.port}\r\n{fields}\r\n".encode())
        return read_response(Reader(s), method)


def routes(pac):
    return re.search(r'^var gate = "(.*)";$', pac, re.M).group(1)


def names(pac, variable):
    """(exact names, suffixes) of a list in a PAC file."""
    exact, suffixes = re.search(rf"^var {variable} = \[(\{{.*?\}}), (\{{.*?\}})\];$", pac, re.M | re.S).groups()
    return set(re.findall(r'"(.*?)"', exact)), set(re.findall(r'"(.*?)"', suffixes))


@pytest.mark.parametrize("path, kind", [
    ("/proxy.pac", PAC_TYPE), ("/wpad.dat", PAC_TYPE), ("/ca.pem", "application/x-pem-file"), ("/ca.der", "application/pkix-cert"),
    ("/healthz", "text/plain; charset=utf-8"), ("/block-page", "text/html; charset=utf-8"), ("/", "text/html; charset=utf-8"),
    ("/proxy.pac?from=wpad", PAC_TYPE)])
def test_pages(gate, path, kind):
    got, head = local(gate, path), local(gate, path, "HEAD")
    for r in got, head:
        assert (r.status, r.get("content-type")) == (200, kind)
        assert r.get("cache-control") == "no-store"
    assert got.body and int(head.get("content-length")) == len(got.body)


def test_what_is_not_there(gate):
    assert local(gate, "/nothing").status == 404
    assert local(gate, "/proxy.pac/").status == 404
    assert local(gate, "/PROXY.PAC").status == 404
    assert local(gate, "/ca/private/root.key").status == 404
    assert local(gate, "/../ca/private/root.key").status == 404
    for method in "POST", "PUT", "DELETE", "OPTIONS":
        r = local(gate, "/proxy.pac", method)
        assert r.status == 405 and r.get("allow") == "GET, HEAD"


def test_a_refused_body_does_not_become_the_next_request(gate):
    with contextlib.closing(gate.connect()) as s:
        body = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        s.sendall(b"POST /proxy.pac HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) +
                  b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        reader = Reader(s)
        assert read_response(reader).status == 405
        with contextlib.suppress(EOFError):
            assert read_response(reader).status == 404


def test_certificates(gate):
    pem, der = local(gate, "/ca.pem").body, local(gate, "/ca.der").body
    root = x509.load_pem_x509_certificate(pem)
    assert root.public_bytes(serialization.Encoding.DER) == der
    assert pem == gate.root.read_bytes()
    assert b"PRIVATE" not in pem


def test_health_and_pages_need_no_host_of_ours(gate):
    r = gate.ask(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (r.status, r.body) == (200, b"ok\n")
    r = gate.ask(b"GET /wpad.dat HTTP/1.1\r\nHost: wpad.corp.example\r\n\r\n")
    assert r.status == 200 and b"FindProxyForURL" in r.body
    r = gate.ask(b"GET / HTTP/1.0\r\n\r\n")
    assert f"http://127.0.0.1:{gate.port}/proxy.pac".encode() in r.body


def test_pac_names_the_inspected_hosts(gate):
    pac = local(gate, "/proxy.pac").body.decode()
    assert routes(pac) == f"PROXY 127.0.0.1:{gate.port}"
    exact, suffixes = names(pac, "inspected")
    assert GRAPH in exact and "sharepoint.com" in suffixes
    assert 'var otherwise = "DIRECT";' in pac


def test_command_prints_the_same(run_proxy):
    gate = run_proxy(ports=2, public_url="http://gate.corp.example:8080",
                     sections='[pac]\nproxies = ["PROXY one.corp.example:3128", "HTTPS two.corp.example:3129"]\nfail = "open"\n'
                              'hosts = "all"\ndirect = ["*.Intra.example"]')
    served = local(gate, "/proxy.pac").body.decode()
    assert gate.command("pac", "--config", "proxy.toml").stdout == served
    assert gate.command("pac", "--config", "proxy.toml", "--listener", f"127.0.0.1:{gate.ports[1]}").stdout == \
        local(gate, "/proxy.pac", port=gate.ports[1]).body.decode()
    assert routes(served) == "PROXY one.corp.example:3128; HTTPS two.corp.example:3129; DIRECT"
    assert names(served, "own")[0] == {"gate.corp.example", "one.corp.example", "two.corp.example"}
    assert names(served, "direct") == (set(), {"intra.example"})
    url = gate.command("pac", "--config", "proxy.toml", "--data-url").stdout
    start = "data:application/x-ns-proxy-autoconfig;base64,"
    assert url.startswith(start) and base64.b64decode(url[len(start):-1]).decode() == served
    for wrong in ["--listener", "127.0.0.1:1"], ["--for", "localhost"], ["extra"]:
        assert gate.command("pac", "--config", "proxy.toml", *wrong, check=False).returncode == 2


def test_listen_on_all_addresses(run_proxy):
    """The file names the address by which the client came, never 0.0.0.0."""
    port = free_port()
    gate = run_proxy(listen=f'"0.0.0.0:{port}"', proxy='clients = ["127.0.0.0/8"]')
    gate.port = port
    assert routes(local(gate, "/proxy.pac").body.decode()) == f"PROXY 127.0.0.1:{port}"
    assert f"http://127.0.0.1:{port}/proxy.pac".encode() in gate.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").body
    assert routes(gate.command("pac", "--config", "proxy.toml", "--for", "127.0.0.9").stdout) == f"PROXY 127.0.0.1:{port}"
    r = gate.command("pac", "--config", "proxy.toml", check=False)
    assert r.returncode == 2 and "--for" in r.stderr and r.stdout == ""
    own = gate.ask(f"GET http://127.0.0.1:{port}/healthz HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (own.status, own.body) == (200, b"ok\n")


def test_listeners_of_a_kind_share_the_listed_proxies(run_proxy):
    gate = run_proxy(ports=2, sections='[pac]\nproxies = ["PROXY a.example:1", "PROXY b.example:2"]')
    for port in gate.ports:
        assert routes(local(gate, "/proxy.pac", port=port).body.decode()) == "PROXY a.example:1; PROXY b.example:2"


def test_another_kind_of_listener_is_its_own_way_in(run_proxy):
    plain, login, secure = (free_port() for _ in range(3))
    gate = run_proxy(start=False, listen=f'"127.0.0.1:{plain}", {{ address = "127.0.0.1:{login}", auth = "require" }}, '
                            f'{{ address = "127.0.0.1:{secure}", auth = "require", tls = true }}',
                     public_url=f"http://gate.corp.example:{plain}",
                     sections=f'[pac]\nproxies = ["PROXY a.example:1"]\n[identity]\nhtpasswd = "users"')
    (gate.dir / "users").write_text("")
    gate.start()
    gate.port = plain
    assert routes(local(gate, "/proxy.pac").body.decode()) == "PROXY a.example:1"
    assert f"http://gate.corp.example:{plain}/proxy.pac".encode() in local(gate, "/").body
    # no login is asked for on the way to the file that says where to log in
    assert routes(local(gate, "/proxy.pac", port=login).body.decode()) == f"PROXY gate.corp.example:{login}"
    assert f"http://gate.corp.example:{login}/proxy.pac".encode() in local(gate, "/", port=login).body
    tls = gate.client_context().wrap_socket(gate.connect(secure), server_hostname="gate.corp.example")
    with contextlib.closing(tls) as s:
        reader = Reader(s)
        s.sendall(b"GET /proxy.pac HTTP/1.1\r\nHost: gate.corp.example\r\n\r\n")
        assert routes(read_response(reader).body.decode()) == f"HTTPS gate.corp.example:{secure}"
        s.sendall(b"GET / HTTP/1.1\r\nHost: gate.corp.example\r\n\r\n")
        assert f"https://gate.corp.example:{secure}/proxy.pac".encode() in read_response(reader).body


def test_tls_listener_without_a_name_for_its_certificate(run_proxy):
    for url in None, "http://192.0.2.1:8080", "http://proxy:8080":
        gate = run_proxy(start=False)
        gate.write_config(listen=f'{{ address = "127.0.0.1:{gate.port}", tls = true }}', public_url=url)
        r = gate.command("run", "--check", "--config", "proxy.toml", check=False)
        assert r.returncode == 2 and "public_url" in r.stderr, (url, r.stderr)


def test_requests_for_our_own_name_are_answered_here(run_proxy):
    port = free_port()
    gate = run_proxy(listen=f'"127.0.0.1:{port}"', public_url="http://Gate.Corp.Example:8080")
    gate.port = port
    for authority in "gate.corp.example:8080", f"GATE.corp.example.:{port}", f"127.0.0.1:{port}":
        r = gate.ask(f"GET http://{authority}/healthz HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n".encode())
        assert (r.status, r.body) == (200, b"ok\n"), authority
    # nor can CONNECT be used to come in again from behind
    for authority in "gate.corp.example:443", f"gate.corp.example:{port}":
        s, head = gate.tunnel(authority)
        s.close()
        assert head.status == 403
    pac = gate.ask(b"GET http://gate.corp.example:8080/proxy.pac HTTP/1.1\r\nHost: x\r\n\r\n").body.decode()
    assert "gate.corp.example" in names(pac, "own")[0]


def test_public_url_by_address(run_proxy):
    gate = run_proxy(public_url="http://[2001:db8::7]:8080")
    assert routes(local(gate, "/proxy.pac").body.decode()) == f"PROXY [2001:db8::7]:{gate.port}"
    assert b"http://[2001:db8::7]:8080/proxy.pac" in local(gate, "/").body
    assert gate.ask(b"GET http://[2001:db8::7]:8080/healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


def test_faulty_pac_sections(run_proxy):
    cases = {'proxies = ["gate:3128"]': "is no proxy", 'proxies = ["SOCKS a:1"]': "is no proxy", 'proxies = ["PROXY a"]': "is no proxy",
             'proxies = ["PROXY a:1; DIRECT"]': "is no proxy", 'otherwise = "PROXY a:1\\"; x"': "otherwise is",
             'hosts = "some"': "hosts", 'fail = "maybe"': "fail", 'hosts = "all"\ndirect = ["*"]': "is no host pattern",
             'direct = ["a.example"]': "direct is for hosts"}
    gate = run_proxy(start=False)
    for text, fault in cases.items():
        gate.write_config(sections=f"[pac]\n{text}")
        r = gate.command("run", "--check", "--config", "proxy.toml", check=False)
        assert r.returncode == 2 and fault in r.stderr and re.search(r"proxy\.toml:\d+:\d+: ", r.stderr), (text, r.stderr)


def test_secure_pages_have_a_certificate_that_ends(run_proxy):
    """The listener's own certificate is a leaf like the others: for its name only, and renewed."""
    port = free_port()
    gate = run_proxy(listen=f'{{ address = "127.0.0.1:{port}", tls = true }}', public_url="http://gate.corp.example:8080")
    with contextlib.closing(gate.client_context().wrap_socket(gate.connect(port), server_hostname="gate.corp.example")) as s:
        assert [v for k, v in s.getpeercert()["subjectAltName"]] == ["gate.corp.example"]
    with pytest.raises(ssl.SSLCertVerificationError):
        gate.client_context().wrap_socket(gate.connect(port), server_hostname="other.corp.example")
