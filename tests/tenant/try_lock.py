# SPDX-License-Identifier: Apache-2.0
"""The lock from open to closed and back, against the stand-in tenant; what tools/try-lock runs."""
import subprocess
import sys
import tempfile

import kit

LOCK = 'open_policies = ["Photo-Editors"]\n'
TOML = '[[lock.assign]]\npolicy = "Photo-Editors"\ngroups = ["Editors"]\n[lock.watch]\naction = "lock"\n'


def show(bench, *args, expect=0):
    print(f"\n$ photogate-admin {' '.join(args)}", flush=True)
    status = subprocess.run(bench.command(*args), stdin=subprocess.DEVNULL, check=False).returncode
    if status != expect:
        sys.exit(f"exit status {status}, not {expect}")


def main():
    with tempfile.TemporaryDirectory() as folder, kit.Bench(folder, mailboxes=1000, lock=LOCK, toml=TOML) as bench:
        tenant = bench.tenant
        group = tenant.add_group("Editors", tenant.mailboxes[:20])
        before = tenant.owned()
        print("A tenant of 1,000 mailboxes on this machine: everybody may change photos. Twenty people shall be able to.")
        show(bench, "doctor")
        show(bench, "status", expect=3)
        show(bench, "plan", expect=3)
        show(bench, "apply", "--yes")
        show(bench, "verify")
        print("\nNow somebody renames the default policy (Exchange makes a new, open one), and the group gets a new member.")
        tenant.rename_policy(tenant.policies[0], "Contoso-Locked")
        group["members"].append(tenant.mailboxes[500])
        show(bench, "status", expect=3)
        print("\nThe watch finds it, and locks again.")
        show(bench, "watch", "--once")
        print("\nAnd all of it is taken back.")
        show(bench, "undo", "--list")
        show(bench, "undo", "--yes")
        show(bench, "undo", "--yes")
        renamed = tenant.owned()
        left = [k for k in before if k not in ("policies", "others", "cas_plans", "mailboxes") and before[k] != renamed[k]]
        photo = {p["Name"]: p["SetPhotoEnabled"] for p in tenant.policies}
        print(f"\nThe policies let photos be changed as they did at first: {photo}")
        return 1 if left or not all(photo.values()) or any(b.owa == "Photo-Editors" for b in tenant.mailboxes) else 0


if __name__ == "__main__":
    sys.exit(main())
