# SPDX-License-Identifier: Apache-2.0
"""Three processes under three users: what each may do, and what becomes of the others when one dies or is told to end."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import GRAPH, OUTLOOK, TUNNELLED, runner
from harness import SLOW, Origin, Reader, get, pem_of, read_request, read_response, server_context, wait_for
from tlskit import hello, is_closed, records

NETWORK_USER, SIGNER_USER = 64901, 64902


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {k: v.split() for k, _, v in (line.partition(":") for line in lines)}


def is_alive(pid):
    try:
        return status(pid)["State"][0] != "Z"
    except OSError:
        return False


def freeze(pid):
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: status(pid)["State"][0] == "T")


def gone(pids, timeout=10):
    wait_for(lambda: not any(is_alive(p) for p in pids), timeout * SLOW)


@pytest.fixture
def site(authority, tmp_path):
    o = Origin(server_context(pem_of(*authority.leaf(GRAPH, OUTLOOK, TUNNELLED, *NEW)), tmp_path))
    yield o
    o.close()


NEW = [f"new{i}.inspected.example" for i in range(40)]


@pytest.fixture
def settings(site):
    hosts = ", ".join(f'"{h}" = "graph"' for h in NEW)
    return {"origins": {f"{h}:443": site.port for h in (GRAPH, OUTLOOK, TUNNELLED, *NEW)}, "sections": f"[inspect]\nextra = {{ {hosts} }}\n"}


@pytest.fixture
def door(run_proxy, settings):
    return run_proxy(proxy='timeouts = { drain = "3s" }', **settings)


def test_users_and_rights(door):
    network, signer = door.children()["network"], door.children()["signer"]
    assert sorted(door.children()) == ["network", "signer"]
    assert status(door.process.pid)["Uid"] == ["0"] * 4
    for pid, user in ((network, NETWORK_USER), (signer, SIGNER_USER)):
        s = status(pid)
        assert s["Uid"] == s["Gid"] == [str(user)] * 4 and s["Groups"] == []
        assert s["NoNewPrivs"] == ["1"]
        assert all(int(s[c][0], 16) == 0 for c in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0  # not dumpable: another process of that user cannot look into it
    assert int(status(signer)["CapBnd"][0], 16) == 0
    if "without a seccomp filter" not in door.stderr:
        assert status(signer)["Seccomp"] == ["2"]


def run_as(user, *cmd):
    return subprocess.run(["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", *cmd], capture_output=True, text=True)


@pytest.fixture
def open_directory():
    """A directory that everybody may enter, unlike pytest's own: only its modes keep anybody out."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="photogate-wire-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_the_network_user_cannot_reach_the_key(authority, open_directory):
    with runner(open_directory, authority) as run:
        door = run()
        keys = list((door.dir / "ca/private").iterdir())
        assert {k.name.split("-")[0] for k in keys} == {"root.key", "issuing"}
        assert run_as(NETWORK_USER, "cat", str(door.dir / "ca/public/chain.pem")).returncode == 0  # it is the mode that matters
        for key in keys:
            for user in (NETWORK_USER, SIGNER_USER):
                r = run_as(user, "cat", str(key))
                assert r.returncode != 0 and "Permission denied" in r.stderr and not r.stdout
            r = run_as(NETWORK_USER, "sh", "-c", f"mv {key} {key}.x || rm -f {key} || : > {key}")
            assert r.returncode != 0 and key.exists()
        signer, network = door.children()["signer"], door.children()["network"]
        for path in (f"/proc/{signer}/mem", f"/proc/{signer}/environ", f"/proc/{signer}/fd/0"):
            assert run_as(NETWORK_USER, "dd", f"if={path}", "of=/dev/null", "count=1").returncode != 0, path
        assert run_as(NETWORK_USER, "kill", "-9", str(signer)).returncode != 0
        assert run_as(NETWORK_USER, "kill", "-9", str(door.process.pid)).returncode != 0
        # nothing that leads there is open in the network process, and only its own in the signer
        for pid in (network, signer):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                assert "/ca" not in target and "key" not in target, target
        assert all(os.readlink(f"/proc/{signer}/fd/{fd}").startswith(("socket:", "/dev/null", str(door.stderr_path)))
                   for fd in os.listdir(f"/proc/{signer}/fd"))


def test_descriptors_of_whoever_started_it_are_not_handed_on(run_proxy, settings, tmp_path):
    secret = tmp_path / "somebody-elses"
    secret.write_text("secret")
    with open(secret) as f:
        os.set_inheritable(f.fileno(), True)
        spare = os.dup2(f.fileno(), 57, True)
        door = run_proxy(start=False, **settings)
        door.pass_fds = (spare,)
        door.start()
        os.close(spare)
    for name, pid in door.children().items():
        assert str(secret) not in [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")], name


class Load(threading.Thread):
    """Requests to one host over new connections, as fast as they go; counts what fails."""

    def __init__(self, door, host):
        super().__init__(daemon=True)
        self.door, self.host, self.stop, self.done, self.failures = door, host, False, 0, []
        self.start()

    def run(self):
        while not self.stop:
            try:
                assert self.door.request(self.host, get("/", self.host)).status == 200
                self.done += 1
            except Exception as e:  # noqa: any failure counts
                self.failures.append(e)

    def end(self):
        self.stop = True
        self.join(30 * SLOW)
        assert not self.failures, self.failures[:3]
        return self.done


def test_signer_killed_under_load(door):
    assert door.request(GRAPH, get("/")).status == 200
    loads = [Load(door, GRAPH) for _ in range(2)]
    for i in range(3):
        old = door.children()["signer"]
        os.kill(old, signal.SIGKILL)
        began = time.monotonic()
        assert door.request(NEW[i], get("/", NEW[i])).status == 200  # waits for the next signer, and gets its leaf from that one
        assert time.monotonic() - began < 6 * SLOW
        assert door.children()["signer"] != old
        gone([old])
    assert all(load.end() > 3 for load in loads)
    assert door.stderr.count("the signer has died, starting it again") == 3


def test_signer_killed_with_requests_at_it(door):
    """What it had taken is asked for again."""
    signer = door.children()["signer"]
    freeze(signer)
    results = {}

    def ask(host):
        results[host] = door.request(host, get("/", host)).status
    threads = [threading.Thread(target=ask, args=(h,), daemon=True) for h in NEW[:30]]
    for t in threads:
        t.start()
    time.sleep(0.3)
    os.kill(signer, signal.SIGKILL)
    for t in threads:
        t.join(20 * SLOW)
    assert results == {h: 200 for h in NEW[:30]}


def test_network_process_killed(door):
    """Whoever connects meanwhile queues, and is served by the next one."""
    assert door.request(GRAPH, get("/")).status == 200
    for round in range(2):
        old = door.children()["network"]
        signer = door.children()["signer"]
        with contextlib.closing(door.connect()) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")  # so that it is not in the queue any more
            assert read_response(Reader(idle)).status == 200
            os.kill(old, signal.SIGKILL)
            assert is_closed(idle)
        for _ in range(5):
            with contextlib.closing(door.connect()) as s:
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_response(Reader(s)).body == b"ok\n"
        assert door.request(GRAPH, get("/")).status == 200
        assert door.children()["network"] != old and door.children()["signer"] == signer
    assert door.stderr.count("the network process has died, starting it again") == 2


def test_connections_that_queue_while_nobody_is_there(door):
    old = door.children()["network"]
    freeze(old)  # as good as dead, but its queue fills first
    waiting = [door.connect() for _ in range(20)]
    for s in waiting:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    os.kill(old, signal.SIGKILL)
    for s in waiting:
        with contextlib.closing(s):
            assert read_response(Reader(s)).body == b"ok\n"


@pytest.mark.parametrize("busy", [False, True])
def test_supervisor_killed(run_proxy, settings, busy):
    door = run_proxy(proxy='timeouts = { drain = "1s" }', **settings)
    children = door.children().values()
    s, _ = door.tunnel(f"{TUNNELLED}:443") if busy else (door.connect(), None)
    door.killed = True
    door.process.kill()
    door.process.wait()
    gone(children)
    assert is_closed(s)
    s.close()
    again = run_proxy(start=False, **settings)  # and the port is free
    again.ports[0] = again.port = door.port
    again.write_config()
    again.start()
    assert again.request(GRAPH, get("/")).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end(door, number):
    assert door.request(GRAPH, get("/")).status == 200
    children = door.children().values()
    door.process.send_signal(number)
    assert door.process.wait(5 * SLOW) == 0
    assert not any(is_alive(p) for p in children)
    with pytest.raises(ConnectionRefusedError):
        door.connect()


def ends(door, after):
    door.process.wait(20 * SLOW)
    return time.monotonic() - after


def test_tunnels_have_until_the_deadline(door):
    s, _ = door.tunnel(f"{TUNNELLED}:443")
    with contextlib.closing(s):
        began = time.monotonic()
        door.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        s.sendall(records(hello(TUNNELLED)))
        assert s.recv(5)[:1] == b"\x16"  # still served
        assert 2.5 < ends(door, began) < 6 * SLOW
        assert door.process.returncode == 0


def test_asked_twice_it_ends_at_once(door):
    s, _ = door.tunnel(f"{TUNNELLED}:443")
    with contextlib.closing(s):
        began = time.monotonic()
        door.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        door.process.send_signal(signal.SIGTERM)
        assert ends(door, began) < 2 * SLOW and door.process.returncode == 0


def test_control_c_is_asking_once(door):
    """A terminal sends SIGINT to all three processes: that is one wish, not three."""
    s, _ = door.tunnel(f"{TUNNELLED}:443")
    with contextlib.closing(s):
        began = time.monotonic()
        os.killpg(door.process.pid, signal.SIGINT)
        time.sleep(1)
        s.sendall(records(hello(TUNNELLED)))
        assert s.recv(5)[:1] == b"\x16"
        assert ends(door, began) > 2.5 and door.process.returncode == 0


def test_requests_under_way_are_finished(run_proxy, authority, tmp_path):
    hold = threading.Event()

    def serve(sock):
        reader = Reader(sock)
        while True:
            read_request(reader)
            hold.wait(20 * SLOW)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
    o = Origin(server_context(pem_of(*authority.leaf(GRAPH)), tmp_path), serve)
    door = run_proxy(origins={f"{GRAPH}:443": o.port})
    with contextlib.closing(o), contextlib.closing(door.tls(GRAPH)) as s:
        s.sendall(get("/"))
        time.sleep(0.2)
        door.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in door.stderr)
        hold.set()
        answer = read_response(Reader(s))
        assert answer.body == b"done" and answer.get("connection") == "close"
        assert door.process.wait(10 * SLOW) == 0


def test_new_leaves_while_draining(door):
    """A handshake that began before the end still gets its certificate."""
    signer = door.children()["signer"]
    freeze(signer)
    result = []
    t = threading.Thread(target=lambda: result.append(door.request(NEW[5], get("/", NEW[5], "Connection: close\r\n")).status))
    t.start()
    time.sleep(0.3)
    door.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "draining" in door.stderr)
    os.kill(signer, signal.SIGCONT)
    t.join(10 * SLOW)
    assert result == [200]
    assert door.process.wait(10 * SLOW) == 0


def test_connections_in_the_queue_are_answered_at_the_end(door):
    network = door.children()["network"]
    freeze(network)
    waiting = [door.connect() for _ in range(10)]
    for s in waiting:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    door.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    os.kill(network, signal.SIGCONT)
    for s in waiting:
        with contextlib.closing(s):
            answer = read_response(Reader(s))
            assert answer.status in (200, 503)  # whether it was accepted just before or just after
    assert door.process.wait(10 * SLOW) == 0


def test_a_silent_connection_does_not_hold_up_the_end(door):
    with contextlib.closing(door.connect()) as s:
        time.sleep(0.1)
        began = time.monotonic()
        door.process.send_signal(signal.SIGTERM)
        assert ends(door, began) < 4 * SLOW  # a second for a first request, two for the peer to close
        assert is_closed(s)


def test_nothing_is_left_open(door):
    """Descriptors of the network process return to what they were."""
    network = door.children()["network"]

    def count():
        return len(os.listdir(f"/proc/{network}/fd"))
    for host in (GRAPH, OUTLOOK, NEW[0]):
        door.request(host, get("/", host))
    time.sleep(0.2)
    before = count()
    for _ in range(15):
        door.request(GRAPH, get("/"))
        s, _ = door.tunnel(f"{TUNNELLED}:443")
        s.close()
        s, _ = door.tunnel(f"{GRAPH}:443")
        s.close()
        s, _ = door.tunnel("nosuch.invalid:443")
        s.close()
        s = door.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        s.close()
    door.reload()
    door.reload()
    wait_for(lambda: count() <= before + 2, 10 * SLOW)
