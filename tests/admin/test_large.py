# SPDX-License-Identifier: Apache-2.0
"""100,000 mailboxes: memory that does not grow with them, and few calls."""
import json
import subprocess
import time

from kit import SLOW

OPEN = 'open_policies = ["Photo-Editors"]\n'
ASSIGN = '[[lock.assign]]\npolicy = "Photo-Editors"\ngroups = ["Editors"]\n'


def high_water(pid):
    """MiB. Not ru_maxrss: what the parent had before exec counts into that."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return next((int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def measured(b, *args):
    """(exit status, output, MiB at most, seconds)"""
    begun, most = time.monotonic(), 0
    with open(b.folder / "out", "w+", encoding="utf-8") as out:
        child = subprocess.Popen(b.command(*args), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
        while child.poll() is None:
            most = max(most, high_water(child.pid))
            time.sleep(0.01)
        out.seek(0)
        result = child.returncode, out.read(), most, time.monotonic() - begun
    print(f"{' '.join(args)}: {most:.0f} MiB, {result[3]:.1f} s")
    return result


def test_100000_mailboxes(bench):
    b = bench(mailboxes=100_000, lock=OPEN, toml=ASSIGN)
    b.tenant.add_group("Editors", b.tenant.mailboxes[:5000])
    status, out, small, _ = measured(b, "status", "--json")
    assert status == 3 and json.loads(out)["mailboxes_read"] == 100_000, "5,000 to find, so one pass costs less"
    status, _, _, _ = measured(b, "apply", "--yes")
    assert status == 0 and sum(x.owa == "Photo-Editors" for x in b.tenant.mailboxes) == 5000
    before = len(b.server.requests)
    status, out, by_property, _ = measured(b, "status", "--json")
    calls = len(b.server.requests) - before
    assert status == 0 and json.loads(out)["mailboxes_read"] == 5000 and calls < 40
    status, out, full, seconds = measured(b, "status", "--json", "--full")
    assert status == 0 and json.loads(out)["mailboxes_read"] == 100_000
    if SLOW == 1:  # sanitizers keep freed memory
        assert max(small, by_property, full) < 64
    assert seconds < 120 * SLOW
