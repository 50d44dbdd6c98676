# SPDX-License-Identifier: Apache-2.0
"""Bad input: what speaks no HTTP or no TLS, and what keeps a proxy from starting. One clear line each, and nothing is left half done."""
import contextlib
import os
import re
import shutil
import socket

import pytest

from conftest import GRAPH
from harness import SLOW, Origin, get, wait_for
from skew import Skew
from tlskit import hello, records

# ---- what is no HTTP ----

NO_HTTP = {
    "noise": os.urandom(3000).replace(b"\r", b"x").replace(b"\n", b"x") + b"\r\n\r\n",
    "nul": bytes(500),
    "tls": records(hello(GRAPH)),
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http09": b"GET /\r\n",
    "socks5": b"\x05\x01\x00",
    "socks4": b"\x04\x01\x01\xbb\x7f\x00\x00\x01\x00",
    "proxy-protocol": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "response": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "utf-16": "GET http://plain.example/ HTTP/1.1\r\n\r\n".encode("utf-16"),
    "long-word": b"A" * 200_000,
}


@pytest.mark.parametrize("raw", NO_HTTP.values(), ids=NO_HTTP)
def test_no_http(route, raw):
    """On the proxy's port and inside an intercepted connection: 400 or nothing, then the end; nothing for the origin."""
    with contextlib.closing(route.open()) as s:
        with contextlib.suppress(ConnectionError):
            s.sendall(raw)
            if not route.inside:  # Python's TLS sockets cannot end one way only; a half head then waits for its limit
                s.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError, OSError):
            s.settimeout(5 * SLOW)
            while data := s.recv(65536):
                answer += data
                if b"\r\n\r\n" in answer:
                    break
        assert answer == b"" or re.match(rb"HTTP/1\.1 (400|405|414|431|501|505) ", answer), answer[:100]
    assert route.origin.requests == []
    assert route.ask("/").status == 200
    assert not re.search("error|died", route.proxy.stderr)


# ---- what is no TLS: the client's side is in test_client_tls.py ----

@pytest.mark.parametrize("raw, reason", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "wrong version number"),
    (b"220 mail.example ESMTP\r\n", ""),
    (b"\0" * 100, ""),
    (b"\x15\x03\x03\x00\x02\x02\x28", "handshake failure"),
    (b"", "onnection"),
    (b"\x16\x03\x03\x40\x00" + b"\x02\x00\x3f\xfc" + b"\xff" * 20_000, ""),
], ids=["http", "smtp", "nul", "alert", "nothing", "noise-in-tls"])
def test_an_origin_that_speaks_no_tls(run_proxy, raw, reason):
    far = Origin(serve=lambda sock: (sock.recv(1), sock.sendall(raw)))
    gate = run_proxy(origins={f"{GRAPH}:443": far.port})
    with contextlib.closing(far):
        s, head = gate.tunnel(f"{GRAPH}:443")
        s.close()
        assert head.status == 502 and reason in head.body.decode(), head.body
        assert head.get("proxy-status").startswith("photogate; error=")
        assert gate.log(status=502, host=GRAPH)[0]["detail"]
        assert gate.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


# ---- what keeps it from starting ----

def fault(door, *contains, place):
    """`run` ends with one line that says where and what, and does not listen; `run --check` says the same."""
    for args in ["run"], ["run", "--check"]:
        # returns when nobody has its standard error open any more: no process is left
        r = door.command(*args, "--config", str(door.config), check=False)
        said = [line for line in r.stderr.splitlines() if ": warning: " not in line]
        assert r.returncode == 2 and len(said) == 1 and r.stdout == "", (args, r.returncode, r.stderr)
        assert re.match(f"photogate: {place}", said[0]), said
        assert all(c in said[0] for c in contains), said
        with pytest.raises(ConnectionRefusedError):
            door.connect()
    return said[0]


@pytest.fixture
def door(run_proxy, origin):
    return run_proxy(start=False, origins={f"{GRAPH}:443": origin.port})


def starts(door):
    """The remedy helps: nothing of the failed start is in its way."""
    door.start()
    assert door.request(GRAPH, get("/")).status == 200


def test_a_typo_in_the_configuration(door):
    door.write_config(proxy="wokers = 3")
    fault(door, 'unknown key "wokers"', 'did you mean "workers"?', place=re.escape(f"{door.config}:7:1: "))
    door.write_config(proxy="")
    door.config.write_text(door.config.read_text() + "[log\n")
    fault(door, place=rf"{re.escape(str(door.config))}:\d+:\d+: ")
    door.write_config(proxy='workers = "two"')
    fault(door, "workers", place=rf"{re.escape(str(door.config))}:\d+:\d+: ")
    door.write_config(proxy="")
    starts(door)


def test_a_configuration_that_is_not_there(door):
    text = door.config.read_text()
    door.config.unlink()
    fault(door, "cannot be read: No such file", place=re.escape(f"{door.config}: "))
    door.config.mkdir()
    fault(door, place=re.escape(f"{door.config}"))
    door.config.rmdir()
    door.config.write_bytes(b"\xff\xfe\0" + os.urandom(1000))
    fault(door, place=re.escape(f"{door.config}"))
    door.config.write_text(text)
    starts(door)


def test_a_port_in_use(door):
    """Whether another program's or another photogate's; the other one goes on."""
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", door.port))
        other.listen(1)
        r = door.command("run", "--config", str(door.config), check=False)
        assert r.returncode == 2 and re.fullmatch(
            rf"photogate: {re.escape(str(door.config))}:2:\d+: cannot listen on 127\.0\.0\.1:{door.port}: Address already in use; .*\n", r.stderr), r.stderr
    starts(door)
    r = door.command("run", "--config", str(door.config), check=False)
    assert r.returncode == 2 and "Address already in use" in r.stderr and r.stderr.count("\n") == 1
    assert door.request(GRAPH, get("/")).status == 200 and len(door.children()) == 2


def test_a_key_that_is_no_use(door):
    """Missing, no key, another CA's, open to everybody."""
    key = next((door.dir / "ca/private").glob("issuing-*"))
    kept = door.dir / "kept"
    shutil.copy2(key, kept)
    place = re.escape(f"{key.relative_to(door.dir)}: ").replace("ca/", r"(?:\S*/)?ca/")
    key.unlink()
    fault(door, "cannot read the private key: No such file", place=place)
    key.write_text("-----BEGIN PRIVATE KEY-----\nbm9uZQ==\n-----END PRIVATE KEY-----\n")
    key.chmod(0o600)
    fault(door, "not a PEM private key", place=place)
    shutil.copy2(door.dir / "ca/private/root.key", key)
    fault(door, "does not match the issuing certificate", place=place)
    shutil.copy2(kept, key)
    key.chmod(0o644)
    fault(door, "chmod 600", place=place)
    key.chmod(0o600)
    starts(door)


def test_a_ca_that_has_expired(door, tmp_path):
    """At the start; and a running proxy does not take one up, but goes on with its own."""
    skew = Skew(tmp_path)
    skew.forward(-20 * 365 * 86400)
    usual = door.config.read_text()
    door.config.write_text(usual + '[certs]\ndir = "old-ca"\n')
    env = dict(door.env)
    door.env = {**env, **skew.env}
    door.command("ca", "init", "--config", str(door.config))
    door.env = env
    fault(door, "expired on", "photogate ca ", place=r"(?:\S*/)?old-ca/\S+: ")
    door.config.write_text(usual)
    starts(door)
    new = door.dir / "proxy.toml.new"
    new.write_text(usual + '[certs]\ndir = "old-ca"\n')
    new.replace(door.config)
    wait_for(lambda: "reload refused, the old configuration stays" in door.stderr)
    assert re.search(r'reload refused.*old-ca/.*expired on', door.stderr)
    assert door.request(GRAPH, get("/")).status == 200 and "configuration reloaded" not in door.stderr


PACK = """pack = "own"
[[rule]]
id = "own.rule"
why = "Because."
source = "nobody"
date = 2026-11-23
confidence = "documented"
answer = "graph"
hosts = ["@graph"]
methods = "write"
path = ["v1.0/this"]
block = ["PUT https://graph.microsoft.com/v1.0/{}"]
pass = ["PUT https://graph.microsoft.com/v1.0/other"]
"""


def test_a_rule_pack_whose_vector_fails(door):
    (door.dir / "own.toml").write_text(PACK.format("that"))
    door.write_config(sections='[filters]\npacks = ["own.toml"]\n')
    fault(door, "PUT https://graph.microsoft.com/v1.0/that", place=r"(?:\S*/)?own\.toml:12:\d+: ")
    (door.dir / "own.toml").write_text(PACK.format("this"))
    starts(door)
