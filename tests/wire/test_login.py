# SPDX-License-Identifier: Apache-2.0
"""Logins and what they open: listeners that challenge, password files, administrators, the logs."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import threading
import time

import pytest
from conftest import GRAPH, OUTLOOK, TUNNELLED
from harness import SLOW, Reader, free_port, get, read_response, wait_for
from logins import HASHES, OTHER, PASSWORD, basic, htpasswd

PHOTO = "/v1.0/me/photo/$value"
PUT = get(PHOTO, method="PUT", body=b"jpeg")
SECTIONS = '[identity]\nhtpasswd = "users"\n[admins]\nusers = ["boss", "alice@contoso.com"]\n'
USERS = htpasswd(boss="bcrypt", worker="sha512", **{"alice@contoso.com": "yescrypt"})
NAME = "gate.corp.example"


@pytest.fixture
def doors(run_proxy, origin, plain):
    """A proxy whose listeners ask for no login, offer one, require one, and require one by TLS: .open .optional .login .secure"""
    def run(users=USERS, sections=SECTIONS, start=True, **kw):
        ports = [free_port() for _ in range(4)]
        listen = (f'"127.0.0.1:{ports[0]}", {{ address = "127.0.0.1:{ports[1]}", auth = "optional" }}, '
                  f'{{ address = "127.0.0.1:{ports[2]}", auth = "require" }}, '
                  f'{{ address = "127.0.0.1:{ports[3]}", auth = "require", tls = true }}')
        gate = run_proxy(start=False, listen=listen, public_url=f"http://{NAME}:{ports[0]}", sections=sections, origins={
            f"{GRAPH}:443": origin.port, f"{OUTLOOK}:443": origin.port, f"{TUNNELLED}:443": origin.port,
            "plain.example:80": plain.port, f"{GRAPH}:80": plain.port}, **kw)
        (gate.dir / "users").write_text(users)
        gate.port = gate.open = ports[0]
        gate.optional, gate.login, gate.secure = ports[1:]
        return gate.start() if start else gate
    return run


def put(gate, port, login=""):
    return gate.request(GRAPH, PUT, fields=login, at=port)


def lines(gate, name):
    path = gate.dir / "logs" / f"{name}.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_challenge_at_connect_then_bypass(doors, origin):
    gate = doors()
    s, head = gate.tunnel(f"{GRAPH}:443", port=gate.login)
    with contextlib.closing(s):
        assert head.status == 407
        assert head.get("proxy-authenticate") == 'Basic realm="photogate", charset="UTF-8"'
        assert head.get("connection") != "close"
        # the answer comes on the same connection, as browsers send it
        s.sendall(f"CONNECT {GRAPH}:443 HTTP/1.1\r\nHost: {GRAPH}:443\r\n{basic('boss')}\r\n".encode())
        assert Reader(s).until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        with gate.client_context().wrap_socket(s, server_hostname=GRAPH) as tls:
            tls.sendall(PUT)
            assert read_response(Reader(tls)).json()["length"] == 4
    line = gate.log("block")[0]
    assert (line["event"], line["user"], line["bypass"], line["rule"]) == ("bypass", "boss", "users: boss", "graph.user-photo")
    assert line["incident"].startswith("PG-") and line["status"] == 200
    assert gate.log("access", event="request", verdict="bypass")
    assert not [f for r in origin.requests for f in r.fields if f[0] == "proxy-authorization"]


@pytest.mark.parametrize("user, status", [("boss", 200), ("worker", 403), ("alice@contoso.com", 200)])
def test_who_bypasses(doors, origin, user, status):
    gate = doors()
    for port in gate.login, gate.optional:
        assert put(gate, port, basic(user)).status == status
    assert put(gate, gate.optional).status == 403
    assert put(gate, gate.open, basic(user)).status == 403  # no login is taken there
    blocked = gate.log("block", 4 if status == 403 else 2, event="block")
    assert [x.get("user") for x in blocked] == ([user, user, None, None] if status == 403 else [None, None])
    assert "boss" not in (gate.dir / "logs/access.log").read_text()
    assert len(origin.requests) == (2 if status == 200 else 0)


def test_a_name_must_be_as_in_the_list(doors):
    """alice@contoso.com is on the list: the login "alice" is somebody else."""
    gate = doors(users=htpasswd(alice="bcrypt", BOSS="bcrypt"))
    assert put(gate, gate.login, basic("alice")).status == 403
    assert put(gate, gate.login, basic("BOSS")).status == 200  # [admins] takes no notice of case, as Entra does
    assert gate.tunnel(f"{GRAPH}:443", basic("boss"), gate.login)[1].status == 407  # the password file does


def test_wrong_logins(doors, origin):
    gate = doors()
    wrong = [basic("boss", "guess"), basic("boss", ""), basic("nobody"), basic("Boss"), "Proxy-Authorization: Basic !!\r\n",
             "Proxy-Authorization: Bearer abc\r\n", "Proxy-Authorization: NTLM TlRMTVNTUAAB\r\n",
             basic("boss") + basic("boss"), "Proxy-Authorization:\r\n"]
    for login in wrong:
        for port in gate.login, gate.optional:
            s, head = gate.tunnel(f"{GRAPH}:443", login, port)
            s.close()
            assert head.status == 407, login
    assert not lines(gate, "block")
    refused = gate.log("access", 2 * len(wrong), status=407, host=GRAPH)
    assert all("user" not in x for x in refused) and PASSWORD not in json.dumps(refused)


def test_a_wrong_login_does_not_leave_the_name_behind(doors, plain):
    """One connection, several requests: each stands for itself."""
    gate = doors()
    def ask(reader, s, login="", method="PUT"):
        s.sendall(f"{method} http://{GRAPH}{PHOTO} HTTP/1.1\r\nHost: {GRAPH}\r\nContent-Length: 0\r\n{login}\r\n".encode())
        return read_response(reader).status
    with contextlib.closing(gate.connect(gate.optional)) as s:
        reader = Reader(s)
        assert ask(reader, s) == 403
        assert ask(reader, s, basic("boss", "guess")) == 407
        assert ask(reader, s) == 403
        assert ask(reader, s, basic("boss")) == 200
        assert ask(reader, s) == 403
        assert ask(reader, s, basic("worker")) == 403
    assert [x.get("user") for x in gate.log("block", 4, event="block")] == [None, None, None, "worker"]
    assert len(plain.requests) == 1 and plain.requests[0].get("proxy-authorization") is None


def test_an_overloaded_check_lets_nobody_in(doors, plain):
    """503 while too many passwords wait: the name that was given counts for nothing."""
    gate = doors(users=htpasswd(boss="slow"), proxy='timeouts = { drain = "1s" }')
    request = f"PUT http://{GRAPH}{PHOTO} HTTP/1.1\r\nHost: {GRAPH}\r\nContent-Length: 0\r\n"
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(contextlib.closing(gate.connect(gate.optional))) for _ in range(700)]
        for i, s in enumerate(crowd):
            s.sendall(f"{request}{basic('boss', str(i))}\r\n".encode())
        seen = set()
        for s in reversed(crowd):  # the last ones found the queue full
            s.settimeout(0.5)
            reader = Reader(s)
            try:
                status = read_response(reader).status
            except OSError:
                continue
            seen.add(status)
            if status == 503:
                s.settimeout(30 * SLOW)
                s.sendall(f"{request}\r\n".encode())
                assert read_response(reader).status == 403
                break
        assert 503 in seen
    assert plain.requests == [] and not [x for x in lines(gate, "block") if x["event"] == "bypass"]


@pytest.mark.parametrize("kind", sorted(HASHES))
def test_kinds_of_hashes(doors, kind):
    gate = doors(users=htpasswd(boss=kind))
    assert put(gate, gate.login, basic("boss")).status == 200
    assert gate.tunnel(f"{GRAPH}:443", basic("boss", PASSWORD + "!"), gate.login)[1].status == 407


def test_weak_hashes_are_refused_at_the_start(doors):
    for line, fault in {"boss:$apr1$GR9UAmnb$FnbMzYnvPA3BFgdNciaVI0": "$apr1$", "boss:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=": "SHA-1",
                        "boss:plain": "no kind"}.items():
        gate = doors(users=f"# people\n{line}\n", start=False)
        for args in ["run", "--check"], ["run"]:
            r = gate.command(*args, "--config", "proxy.toml", check=False)
            assert r.returncode == 2 and "users:2:1: " in r.stderr and fault in r.stderr and "htpasswd -B" in r.stderr, r.stderr
    gate = doors(start=False)
    (gate.dir / "users").unlink()
    r = gate.command("run", "--check", "--config", "proxy.toml", check=False)
    assert r.returncode == 2 and 'password file "users" cannot be read' in r.stderr


def test_faulty_listeners(doors):
    gate = doors(start=False)
    gate.write_config(sections="")
    r = gate.command("run", "--check", "--config", "proxy.toml", check=False)
    assert r.returncode == 2 and "auth needs a password file" in r.stderr
    gate.write_config(sections=SECTIONS, listen='{ address = "0.0.0.0:3129", auth = "require" }', proxy='clients = ["10.0.0.0/8"]')
    r = gate.command("run", "--check", "--config", "proxy.toml", check=False)
    assert r.returncode == 2 and "in the clear" in r.stderr


def rewrite(gate, text):
    """As an editor or htpasswd does; the running proxy notices by itself."""
    before = gate.stderr.count("configuration reloaded")
    new = gate.dir / "users.new"
    new.write_text(text)
    new.replace(gate.dir / "users")
    wait_for(lambda: gate.stderr.count("configuration reloaded") > before)


def test_a_changed_file_ends_logins(doors):
    gate = doors()
    tls = gate.tls(GRAPH, fields=basic("boss"), at=gate.login)
    tunnel = gate.tunnel(f"{TUNNELLED}:443", basic("boss"), gate.login)[0]
    other = gate.tls(GRAPH, fields=basic("worker"), at=gate.login)
    free = gate.tls(GRAPH, at=gate.open)
    with contextlib.closing(tls), contextlib.closing(tunnel), contextlib.closing(other), contextlib.closing(free):
        reader = Reader(tls)
        tls.sendall(PUT)
        assert read_response(reader).status == 200
        rewrite(gate, htpasswd(boss=OTHER, worker="sha512"))
        # what was opened with the old password is closed, remembered or not; the browser comes again
        assert reader.rest() == b"" and tunnel.recv(1) == b""
        assert gate.tunnel(f"{GRAPH}:443", basic("boss"), gate.login)[1].status == 407
        assert put(gate, gate.login, basic("boss", "x")).status == 200
        for s in other, free:  # nobody else notices
            s.sendall(get(PHOTO))
            assert read_response(Reader(s)).status == 200
    rewrite(gate, htpasswd(worker="sha512"))
    assert gate.tunnel(f"{GRAPH}:443", basic("boss", "x"), gate.login)[1].status == 407
    # a file with a fault changes nothing
    (gate.dir / "users").write_text("worker:$apr1$GR9UAmnb$FnbMzYnvPA3BFgdNciaVI0\n")
    wait_for(lambda: "reload refused" in gate.stderr)
    assert put(gate, gate.login, basic("worker")).status == 403


def test_an_answer_under_way_is_finished_after_a_password_change(doors, origin):
    gate = doors()
    go = threading.Event()

    def slow(sock):
        Reader(sock).until(b"jpeg")
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        go.wait(30 * SLOW)
        sock.sendall(b"67890")
        Reader(sock).rest()
    origin.serve = slow
    with contextlib.closing(gate.tls(GRAPH, fields=basic("boss"), at=gate.login)) as tls:
        tls.sendall(PUT)
        reader = Reader(tls)
        reader.until(b"12345")
        rewrite(gate, htpasswd(boss=OTHER))
        go.set()
        assert reader.rest() == b"67890"
    assert gate.log("block", event="bypass")[0]["user"] == "boss"


def test_removing_an_administrator_counts_at_once(doors):
    gate = doors()
    with contextlib.closing(gate.tls(GRAPH, fields=basic("boss"), at=gate.login)) as tls:
        reader = Reader(tls)
        tls.sendall(PUT)
        assert read_response(reader).status == 200
        gate.write_config(sections='[identity]\nhtpasswd = "users"\n')
        gate.reload()
        tls.sendall(PUT)
        assert read_response(reader).status == 403
    assert gate.log("block", event="block")[0]["user"] == "boss"


def test_networks(run_proxy, origin):
    gate = run_proxy(origins={f"{GRAPH}:443": origin.port}, proxy='clients = ["127.0.0.0/8"]',
                     sections='[admins]\nnetworks = ["127.0.0.1"]')
    assert gate.request(GRAPH, PUT).status == 200
    line = gate.log("block")[0]
    assert line["event"] == "bypass" and line["bypass"] == "networks: 127.0.0.1/32" and "user" not in line
    gate.write_config(sections='[admins]\nnetworks = ["127.0.0.2/31"]')
    gate.reload()
    assert gate.request(GRAPH, PUT).status == 403


def test_login_fields_reach_no_origin(doors, origin, plain):
    gate = doors()
    for port, login in (gate.open, basic("boss")), (gate.optional, basic("boss")), (gate.login, basic("boss")):
        with contextlib.closing(gate.tls(GRAPH, fields=login, at=port)) as tls:  # and once more inside, as some clients do
            tls.sendall(get(PHOTO, fields=basic("boss") + "Proxy-Connection: keep-alive\r\nProxy-Authenticate: x\r\n"))
            assert read_response(Reader(tls)).status == 200
        with contextlib.closing(gate.connect(port)) as s:
            s.sendall(f"GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n{login}\r\n".encode())
            assert read_response(Reader(s)).status == 200
    for request in origin.requests + plain.requests:
        assert not [name for name, _ in request.fields if name.startswith("proxy-")], request.fields
    assert len(origin.requests) == 3 and len(plain.requests) == 3
    # an inspected connection is no second proxy: a login inside it counts for nothing
    with contextlib.closing(gate.tls(GRAPH, at=gate.open)) as tls:
        tls.sendall(get(PHOTO, method="PUT", body=b"jpeg", fields=basic("boss")))
        assert read_response(Reader(tls)).status == 403


def test_secure_listener_with_curl(doors, origin):
    gate = doors()
    r = gate.curl("--proxy-cacert", gate.root, "--resolve", f"{NAME}:{gate.secure}:127.0.0.1", "-U", f"boss:{PASSWORD}", "-X", "PUT", "-d", "x",
                  "-o", "/dev/null", "-w", "%{http_connect} %{http_code}", f"https://{GRAPH}{PHOTO}", proxy=f"https://{NAME}:{gate.secure}")
    assert r.stdout == b"200 200"
    r = gate.curl("--proxy-cacert", gate.root, "--resolve", f"{NAME}:{gate.secure}:127.0.0.1", "-U", "boss:wrong", "-w", "%{http_connect}",
                  f"https://{GRAPH}{PHOTO}", proxy=f"https://{NAME}:{gate.secure}", check=False)
    assert r.stdout.endswith(b"407")
    assert gate.log("block")[0]["user"] == "boss" and len(origin.requests) == 1


def test_curl_with_a_login(doors):
    gate = doors()
    for options in [], ["--proxy-anyauth"]:
        r = gate.curl("-U", f"boss:{PASSWORD}", *options, "-X", "PUT", "-d", "x", "-o", "/dev/null", "-w", "%{http_code}",
                      f"https://{GRAPH}{PHOTO}", proxy=f"http://127.0.0.1:{gate.login}")
        assert r.stdout == b"200"


def test_many_logins_leave_the_loop_alone(doors):
    """50 wrong passwords at a cost of tens of milliseconds each; other requests do not wait for them."""
    gate = doors(users=htpasswd(boss="slow", worker="bcrypt"))
    assert put(gate, gate.open).status == 403  # connections and leaves are warm
    started, worst, count = time.monotonic(), 0, 0
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        guesses = [pool.submit(gate.tunnel, f"{GRAPH}:443", basic("boss", f"guess {i}"), gate.login) for i in range(50)]
        with contextlib.closing(gate.tls(GRAPH, at=gate.open)) as tls:
            reader = Reader(tls)
            while not all(g.done() for g in guesses):
                before = time.monotonic()
                tls.sendall(get(PHOTO))
                assert read_response(reader).status == 200
                worst, count = max(worst, time.monotonic() - before), count + 1
        took = time.monotonic() - started
        for g in guesses:
            s, head = g.result()
            s.close()
            assert head.status == 407
    print(f"50 logins in {took:.2f} s; meanwhile {count} requests, the slowest {worst * 1000:.1f} ms")
    assert took > 0.3, "hashing took no time: nothing was measured"
    assert worst < took / 3 and worst < 1 * SLOW


def cpu(gate):
    """Seconds that the network process has computed, however busy the machine is otherwise."""
    fields = pathlib.Path(f"/proc/{gate.children()['network']}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_same_login_many_times_is_hashed_once(doors):
    """A browser that starts opens dozens of connections at once."""
    gate = doors(users=htpasswd(boss="slow"))
    def one(_):
        s, head = gate.tunnel(f"{TUNNELLED}:443", basic("boss"), gate.login)
        s.close()
        return head.status
    idle = cpu(gate)
    gate.tunnel(f"{GRAPH}:443", basic("boss", "guess"), gate.login)[0].close()
    once = cpu(gate) - idle
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        assert set(pool.map(one, range(50))) == {200}
    fifty = cpu(gate) - idle - once
    print(f"one login {once * 1000:.0f} ms of CPU time, fifty at once {fifty * 1000:.0f} ms")
    assert fifty < 15 * max(once, 0.03)


def test_clients_that_leave_while_their_password_is_checked(doors):
    gate = doors(users=htpasswd(boss="slow"))
    for _ in range(3):
        for i in range(20):
            s = gate.connect(gate.login)
            s.sendall(f"CONNECT {GRAPH}:443 HTTP/1.1\r\nHost: x\r\n{basic('boss', str(i % 3))}\r\n".encode())
            s.close()
    assert put(gate, gate.login, basic("boss")).status == 200
    assert gate.stop() == 0


def test_stops_while_passwords_are_checked(doors):
    gate = doors(users=htpasswd(boss="slow"), proxy="timeouts = { drain = \"1s\" }")
    open_ = []
    for i in range(60):
        open_.append(gate.connect(gate.login))
        open_[-1].sendall(f"CONNECT {GRAPH}:443 HTTP/1.1\r\nHost: x\r\n{basic('boss', str(i % 40))}\r\n".encode())
    time.sleep(0.05)
    assert gate.stop() == 0
    for s in open_:
        s.close()
