# SPDX-License-Identifier: Apache-2.0
"""Reloads: all of a new configuration or nothing of it, in every process, with what is under way left alone."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import _ssl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from conftest import GRAPH, OUTLOOK, TUNNELLED
from harness import SLOW, Origin, Reader, get, pem_of, read_response, server_context, wait_for

NEW = [f"new{i}.inspected.example" for i in range(12)]
PUBLIC = "proxy.example.org"
KEPT = "the old configuration stays"


@pytest.fixture(scope="module")
def site(authority, tmp_path_factory):
    o = Origin(server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK, TUNNELLED, *NEW)), tmp_path_factory.mktemp("site")))
    yield o
    o.close()


def extra(hosts):
    return "[inspect]\nextra = { " + ", ".join(f'"{h}" = "graph"' for h in hosts) + " }\n"


@pytest.fixture
def door(run_proxy, site):
    """Its CA is made for all of NEW; it begins with the first four on its list."""
    p = run_proxy(start=False, public_url=f"http://{PUBLIC}:3128", sections=extra(NEW), workers=2,
                  origins={f"{h}:443": site.port for h in (GRAPH, OUTLOOK, TUNNELLED, *NEW)})
    p.write_config(sections=extra(NEW[:4]))
    p.next = iter(NEW)
    return p.start()


def leaf(door, host, **kw):
    with contextlib.closing(door.tls(host, **kw)) as s:
        chain = [x509.load_der_x509_certificate(c.public_bytes(_ssl.ENCODING_DER)) for c in s._sslobj.get_unverified_chain()]
        s.sendall(get("/", host))
        assert read_response(Reader(s)).status == 200
    return chain


def works(door):
    """What it has cached, and a leaf that it has to have made."""
    leaf(door, GRAPH)
    return leaf(door, next(door.next))


def faults(door, since=0):
    """The reasons in the log for reloads that were refused."""
    lines = re.findall(rf'reload refused, {KEPT} fault="?(.*?)"?$', door.stderr[since:], re.M)
    return [line.replace('\\"', '"') for line in lines]


@contextlib.contextmanager
def at_once(door):
    """All changes of files inside are noticed together: the watcher is held meanwhile."""
    network = door.children()["network"]
    os.kill(network, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(network, signal.SIGCONT)


def replace(path, text):
    """As a careful editor does it: there is no moment with half a file."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def refused(door, *contains, wait=0.0):
    """The change is noticed: one clear line, exactly once, and everything goes on with what there was."""
    mark = len(door.stderr)
    children = door.children()
    wait_for(lambda: faults(door, mark))
    wait_for(lambda: door.children() == children)
    works(door)
    time.sleep(wait)
    lines = faults(door, mark)
    assert len(lines) == 1 and all(c in lines[0] for c in contains), lines
    assert "configuration reloaded" not in door.stderr[mark:]
    others = [line for line in door.stderr[mark:].splitlines() if KEPT not in line and "signer ready" not in line
              and "without a seccomp filter" not in line]  # as a sanitizer needs it
    assert not [line for line in others if re.search(r"error|warn|photogate:", line)], others
    assert door.children() == children


def test_new_host(door):
    works(door)
    old = door.children()["signer"]
    door.write_config(sections=extra(NEW))
    wait_for(lambda: "configuration reloaded" in door.stderr)
    assert leaf(door, NEW[8])
    wait_for(lambda: door.children()["signer"] != old and not pathlib.Path(f"/proc/{old}").exists())
    with contextlib.closing(door.tls(NEW[9])):
        pass
    works(door)


def test_many_reloads_under_load(door):
    stop = []

    def load(i):
        n = 0
        while not stop:
            leaf(door, [GRAPH, *NEW[:4]][(n + i) % 5])
            n += 1
        return n
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        done = [pool.submit(load, i) for i in range(3)]
        try:
            for i in range(6):
                door.write_config(sections=extra(NEW[:4 + i % 2]), origin=f"idle_max = {10 + i}")
                door.reload()
        finally:
            stop.append(True)
        assert all(d.result(30 * SLOW) > 0 for d in done)
    assert not faults(door)
    wait_for(lambda: len(door.children()) == 2)  # an old signer may still be on its way out


def rotate(door):
    door.command("ca", "rotate", "--config", str(door.config))


def test_rotated_ca(door):
    before = works(door)
    with contextlib.closing(door.tls(GRAPH)) as kept, contextlib.closing(door.connect()) as early:
        reader = Reader(kept)
        kept.sendall(get("/"))
        assert read_response(reader).status == 200
        rotate(door)
        wait_for(lambda: "configuration reloaded" in door.stderr)
        # another issuing CA, below the same root
        for host in (GRAPH, NEW[2]):
            chain = leaf(door, host)
            assert chain[1].serial_number != before[1].serial_number and chain[0].issuer == chain[1].subject
            assert key_of(chain[0]) == ski_of(chain[1])
        # what was there before lives on; a connection that was made before and opens a host now gets the new chain
        kept.sendall(get("/again"))
        assert read_response(reader).status == 200
        early.sendall(f"CONNECT {GRAPH}:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b" 200 " in Reader(early).until(b"\r\n\r\n")
        with contextlib.closing(door.client_context().wrap_socket(early, server_hostname=GRAPH)) as s:
            s.sendall(get("/"))
            assert read_response(Reader(s)).status == 200


def key_of(cert):
    return cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier


def ski_of(cert):
    return cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_rotation_while_a_handshake_waits_for_its_leaf(door):
    works(door)
    signer = door.children()["signer"]
    os.kill(signer, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(leaf, door, NEW[3]) for _ in range(4)]
        time.sleep(0.3)
        rotate(door)
        wait_for(lambda: "configuration reloaded" in door.stderr)
        for w in waiting:
            chain = w.result(20 * SLOW)
            assert key_of(chain[0]) == ski_of(chain[1])
    wait_for(lambda: not pathlib.Path(f"/proc/{signer}").exists())


def test_rotation_under_load(door):
    stop = []

    def load():
        while not stop:
            chain = leaf(door, GRAPH)
            assert key_of(chain[0]) == ski_of(chain[1])
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        done = [pool.submit(load) for _ in range(3)]
        for _ in range(3):
            mark = door.stderr.count("configuration reloaded")
            rotate(door)
            wait_for(lambda: door.stderr.count("configuration reloaded") > mark)
        stop.append(True)
        for d in done:
            d.result(30 * SLOW)


def test_another_public_url_is_in_new_leaves(door):
    def url(chain):
        return chain[0].extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0].full_name[0].value
    assert url(leaf(door, GRAPH)).startswith(f"http://{PUBLIC}:3128/")
    door.write_config(public_url=f"http://{PUBLIC}:8080")
    wait_for(lambda: "configuration reloaded" in door.stderr)
    assert url(leaf(door, GRAPH)).startswith(f"http://{PUBLIC}:8080/")


def crls(door, directory):
    """The revocation lists that the chain's certificates name, fetched from there through the proxy."""
    out = []
    for cert in leaf(door, GRAPH)[:2]:
        url = cert.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0].full_name[0].value
        assert url.startswith(f"http://{PUBLIC}:3128/crl/")
        answer = wait_for(lambda: (a := door.ask(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).status == 200 and a)
        assert answer.get("content-type") == "application/pkix-crl"
        own = door.ask(f"GET {url[len(f'http://{PUBLIC}:3128'):]} HTTP/1.1\r\nHost: {PUBLIC}:3128\r\n\r\n".encode())
        assert own.body == answer.body
        path = pathlib.Path(directory) / f"{len(out)}.crl"
        path.write_bytes(answer.body)
        out.append(path)
    return out


def verify_with_crls(door, directory):
    lists = crls(door, directory)
    chain = leaf(door, GRAPH)
    leaf_pem, issuing = (pathlib.Path(directory) / n for n in ("leaf.pem", "issuing.pem"))
    for path, cert in ((leaf_pem, chain[0]), (issuing, chain[1])):
        path.write_bytes(cert.public_bytes(Encoding.PEM))
    cmd = ["openssl", "verify", "-crl_check_all", "-purpose", "sslserver", "-verify_hostname", GRAPH, "-CAfile", str(door.root),
           "-untrusted", str(issuing)]
    for path in lists:
        pem = path.with_suffix(".pem")
        subprocess.run(["openssl", "crl", "-inform", "DER", "-in", path, "-out", pem], check=True)
        cmd += ["-CRLfile", str(pem)]
    r = subprocess.run([*cmd, str(leaf_pem)], capture_output=True, text=True)
    assert r.returncode == 0 and "OK" in r.stdout, r.stderr
    return lists


def test_revocation_lists(door, tmp_path):
    first = verify_with_crls(door, tmp_path)
    lists = [x509.load_der_x509_crl(p.read_bytes()) for p in first]
    assert all(len(c) == 0 and c.next_update > c.last_update for c in lists)
    assert door.ask(f"GET /crl/{'0' * 40}.crl HTTP/1.1\r\nHost: x\r\n\r\n".encode()).status == 404
    rotate(door)
    wait_for(lambda: "configuration reloaded" in door.stderr)
    after = [x509.load_der_x509_crl(p.read_bytes()) for p in verify_with_crls(door, tmp_path)]
    assert after[0].issuer != lists[0].issuer or after[0].signature != lists[0].signature


# ---- reloads that must not happen ----

def test_typo(door):
    door.write_config(proxy="wokers = 3")
    # the file is looked at each second: it is refused once, not again and again
    refused(door, f"{door.config}:7:1: ", 'unknown key "wokers"', 'did you mean "workers"?', wait=2.5)
    mark = len(door.stderr)
    door.process.send_signal(signal.SIGHUP)  # who asks is told again
    wait_for(lambda: faults(door, mark))
    works(door)
    door.write_config(proxy="")
    wait_for(lambda: "configuration reloaded" in door.stderr)


def test_syntax(door):
    text = door.config.read_text()
    replace(door.config, text + "\n[log\n")
    refused(door, f"{door.config}:{text.count(chr(10)) + 2}:")


def test_file_is_gone(door):
    text = door.config.read_text()
    door.config.unlink()
    refused(door, f"{door.config}: cannot be read: No such file")
    replace(door.config, text)
    wait_for(lambda: "configuration reloaded" in door.stderr)


def test_host_outside_the_ca(door):
    """Refused with the remedy, and the remedy helps."""
    door.write_config(sections=extra([*NEW[:4], "foreign.example.net"]))
    refused(door, "foreign.example.net is outside the CA's constraints; run photogate ca rotate")
    rotate(door)
    wait_for(lambda: "configuration reloaded" in door.stderr)
    works(door)


def test_key_of_the_new_ca_is_missing(door):
    """Only the signer can find that; the others must not go ahead without it."""
    before = {p.name for p in (door.dir / "ca/private").iterdir()}
    chain = (door.dir / "ca/public/chain.pem").read_bytes()
    hold = door.dir / "aside"
    with at_once(door):
        rotate(door)
        new = next(p for p in (door.dir / "ca/private").iterdir() if p.name not in before)
        new.rename(hold)
    refused(door, new.name)
    assert (door.dir / "ca/public/chain.pem").read_bytes() != chain
    hold.rename(new)
    door.reload()
    works(door)


def test_what_only_the_network_process_can_find(door):
    """A file that root may read and the service user may not: the new signer goes again, the old one serves."""
    with at_once(door):
        door.write_config(sections=extra(NEW) + '[identity]\nhtpasswd = "users"\n')
        (door.dir / "users").write_text("")
        (door.dir / "users").chmod(0o600)
        rotate(door)  # which makes the signers' generations differ
    refused(door, "users", "Permission denied")
    (door.dir / "users").chmod(0o644)
    door.reload()
    assert leaf(door, NEW[10])


@pytest.mark.parametrize("change, text", [({"workers": 3}, "[proxy] workers"),
                                          ({"listen": '"127.0.0.1:{port}", "127.0.0.1:1"'}, "[proxy] listen")])
def test_what_needs_a_restart(door, change, text):
    """Found by the network process alone, after the new signer has started."""
    with at_once(door):
        door.write_config(**{k: v.format(port=door.port) if isinstance(v, str) else v for k, v in change.items()})
        rotate(door)
    refused(door, text, "restart photogate")


def test_signer_that_cannot_start_for_another_user(door):
    replace(door.config, door.config.read_text().replace('signer_user = "64902"', 'signer_user = "nosuchuser"'))
    refused(door, f"{door.config}:5:", 'there is no user "nosuchuser"')


def test_users_and_log_files_need_a_restart(door):
    text = door.config.read_text()
    for old, new, what in (('user = "64901"', 'user = "64903"', "[proxy] user"),
                           ('access = "logs/access.log"', 'access = "logs/other.log"', "[log] access"),
                           ('block = "logs/block.log"', "", "[log] block")):
        replace(door.config, text.replace(old, new, 1))
        refused(door, what, "restart photogate")


BAD_PACK = """pack = "own"
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
block = ["PUT https://graph.microsoft.com/v1.0/that"]
pass = ["PUT https://graph.microsoft.com/v1.0/other"]
"""


def test_rule_pack_whose_vector_fails(door):
    pack = door.dir / "own.toml"
    pack.write_text(BAD_PACK)
    door.write_config(sections=extra(NEW[:4]) + '[filters]\npacks = ["own.toml"]\n')
    refused(door, f"{pack.name}:")


def test_configuration_in_a_directory_nobody_else_may_enter(run_proxy, site, tmp_path):
    """The service user cannot walk there: the directory is held open. So it is at a reload."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    door = run_proxy(start=False, origins={f"{h}:443": site.port for h in (GRAPH, *NEW)}, sections=extra(NEW))
    inside = closed / "photogate"
    door.dir.rename(inside)
    door.dir = inside
    assert os.stat(closed).st_mode & 0o077 == 0
    door.start()
    door.next = iter(NEW)
    works(door)
    door.write_config(origin="idle_max = 3")
    wait_for(lambda: "configuration reloaded" in door.stderr)
    works(door)
    door.write_config(proxy="wokers = 3")
    refused(door, "wokers")
