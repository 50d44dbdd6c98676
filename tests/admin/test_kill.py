# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random points: what the next run makes of it is what one run would have made, and can be taken back whole."""
import os
import random
import signal
import subprocess
import time

from kit import SLOW

OPEN = 'open_policies = ["Photo-Editors"]\n'
ASSIGN = '[[lock.assign]]\npolicy = "Photo-Editors"\ngroups = ["Editors"]\n'


def kill_some(b, rng, kills, most, *command):
    """So many starts, each ended by kill -9 when the service has seen a random number of its requests; how many were cut off."""
    cut = 0
    for _ in range(kills):
        goal = len(b.server.requests) + rng.randint(2, most)
        child = subprocess.Popen(b.command(*command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while child.poll() is None and len(b.server.requests) < goal:
            time.sleep(0.001)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
            cut += 1
        child.wait()
    time.sleep(0.2 * SLOW)  # what was under way at the service comes to its end
    return cut


def test_apply_of_1000_writes_killed_50_times(bench):
    b = bench(mailboxes=1100, lock=OPEN, toml=ASSIGN)
    b.tenant.add_group("Editors", b.tenant.mailboxes[:1000])
    before = b.tenant.owned()
    b.server.delay = 0.002
    cut = kill_some(b, random.Random(7), 50, 60, "apply", "--yes")
    b.server.delay = 0
    for _ in range(3):
        b.run("apply", "--yes", status=None)
    b.run("apply", "--yes")
    assert [x.number for x in b.tenant.mailboxes if x.owa == "Photo-Editors"] == list(range(1000))
    assert b.status()["drift"] is False
    assert cut >= 45
    for _ in range(60):
        b.run("undo", "--yes", status=None)
        if "no run is there to take back" in b.last.stderr:
            break
    assert b.tenant.owned() == before


def test_undo_killed(bench):
    b = bench(mailboxes=400, lock=OPEN, toml=ASSIGN)
    b.tenant.add_group("Editors", b.tenant.mailboxes[:300])
    before = b.tenant.owned()
    b.run("apply", "--yes")
    b.server.delay = 0.002
    assert kill_some(b, random.Random(3), 10, 60, "undo", "--yes") >= 8
    for _ in range(12):
        b.run("undo", "--yes", status=None)
        if "no run is there to take back" in b.last.stderr:
            break
    assert b.tenant.owned() == before


def test_roles_killed(bench):
    b = bench(mailboxes=40, lock='roles = "policy"\n')
    before = b.tenant.owned()
    b.server.delay = 0.004
    kill_some(b, random.Random(5), 15, 60, "role-entries", "--yes")
    for _ in range(3):
        b.run("role-entries", "--yes", status=None)
    b.run("role-entries", "--yes")
    assert {x.role for x in b.tenant.mailboxes} == {"photogate: no photo change"}
    for _ in range(20):
        b.run("undo", "--yes", status=None)
        if "no run is there to take back" in b.last.stderr:
            break
    assert b.tenant.owned() == before


def test_torn_last_line_of_a_journal(bench):
    b = bench(mailboxes=30, lock=OPEN, toml=ASSIGN)
    b.tenant.add_group("Editors", b.tenant.mailboxes[:20])
    before = b.tenant.owned()
    b.run("apply", "--yes", "--max-writes", "6", status=1)
    journal = next((b.folder / "lock").glob("*.jsonl"))
    journal.write_bytes(journal.read_bytes()[:-9])
    b.run("apply", "--yes")
    b.run("undo", "--yes")
    assert b.tenant.owned() == before


def test_ctrl_c_ends_in_good_order(bench):
    b = bench(mailboxes=500, lock=OPEN, toml=ASSIGN)
    b.tenant.add_group("Editors", b.tenant.mailboxes[:400])
    b.server.delay = 0.01
    child = subprocess.Popen(b.command("apply", "--yes"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30 * SLOW
    while len(b.server.lines("Set-CASMailbox")) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30 * SLOW)
    assert child.returncode == 1 and "still to do" in out
