# SPDX-License-Identifier: Apache-2.0
"""Everything that a service and the way to it do to a client: nothing is done twice, nothing half-done is called done."""
import pytest

LOCK = 'open_policies = ["Photo-Editors"]\nroles = "custom"\nportal = "report"\nbreak_glass = ["99999999-0000-4000-8000-000000000000"]\nrestrict_consent = true\n'
ASSIGN = '[[lock.assign]]\npolicy = "Photo-Editors"\ngroups = ["Editors"]\n'


def start(bench, people=25):
    b = bench(mailboxes=60, lock=LOCK, toml=ASSIGN)
    b.tenant.add_group("Editors", b.tenant.mailboxes[:people])
    return b


def until_done(b, *command, tries=12):
    for _ in range(tries):
        b.run(*command, status=None)
        assert b.last.returncode in (0, 1), b.last.stdout + b.last.stderr
        if b.last.returncode == 0:
            return
    raise AssertionError(f"{command} does not come to an end:\n{b.last.stdout}\n{b.last.stderr}")


def no_duplicates(b):
    t = b.tenant
    for rows in (t.policies, t.assignments, t.role_policies):
        names = [r["Name"] for r in rows]
        assert len(names) == len(set(names))
    assert len({p["displayName"] for p in t.ca_policies}) == len(t.ca_policies)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """The state that a run without faults leaves."""
    from kit import Bench
    with Bench(tmp_path_factory.mktemp("wanted") / "0", mailboxes=60, lock=LOCK, toml=ASSIGN) as b:
        b.tenant.add_group("Editors", b.tenant.mailboxes[:25])
        b.run("apply", "--yes")
        return b.tenant.owned()


@pytest.mark.parametrize("seed", range(8))
def test_seeded_plan_over_apply_and_undo(bench, wanted, seed):
    b = start(bench)
    before = b.tenant.owned()
    b.server.faults.seed(seed, 0.2)
    until_done(b, "apply", "--yes")
    no_duplicates(b)
    assert b.tenant.owned() == wanted
    assert len(b.server.faults.done) > 10
    for _ in range(30):
        b.run("undo", "--yes", status=None)
        if "no run is there to take back" in b.last.stderr:
            break
    assert b.tenant.owned() == before


@pytest.mark.parametrize("seed", range(3))
def test_seeded_plan_over_reading_commands(bench, seed):
    b = start(bench)
    b.tenant.directory_roles["62e90394-69f5-4237-9190-012177145e10"] = b.tenant.mailboxes[:2]
    state = b.tenant.owned()
    b.server.faults.seed(seed, 0.25)
    for command in (("whoami",), ("doctor",), ("status",), ("status", "--full"), ("plan",), ("verify",), ("watch", "--once"), ("export-admins",)):
        b.run(*command, status=None)
        assert b.last.returncode in (0, 1, 3), (command, b.last.stderr)
    assert b.tenant.owned() == state


WRITES = ["Set-OwaMailboxPolicy", "New-OwaMailboxPolicy", "Set-CASMailbox", "New-ManagementRole", "Remove-ManagementRoleEntry",
          "New-ManagementRoleAssignment", "Remove-ManagementRoleAssignment", "PATCH /beta/admin", "POST /v1.0/identity"]


@pytest.mark.parametrize("write, kind", [*((w, "lost") for w in WRITES), *((w, k) for k in ("half", "503after") for w in WRITES[1::7])])
def test_write_of_unknown_outcome_is_read_back(bench, wanted, write, kind):
    """One write is done, and its answer is lost: in one run all comes right, and nothing is sent twice."""
    b = start(bench)
    b.server.faults.add(kind, write)
    b.run("apply", "--yes")
    assert b.tenant.owned() == wanted and [k for k, _ in b.server.faults.done] == [kind]
    if write in ("New-OwaMailboxPolicy", "POST /v1.0/identity"):  # libcurl repeats these by itself on a reused connection
        assert len(b.server.lines(write)) == 1


@pytest.mark.parametrize("kind", ["429", "429f", "429n", "concurrency", "503", "504", "401", "reset", "gzip", "redirect", "slow"])
def test_each_fault_before_a_write(bench, wanted, kind):
    b = start(bench)
    for cmdlet in ("Set-CASMailbox", "Get-OwaMailboxPolicy", "PATCH /beta/admin"):
        b.server.faults.add(kind, cmdlet, times=2 if kind != "401" else 1)
    b.run("apply", "--yes")
    assert b.tenant.owned() == wanted


def test_throttled_writes_obey_and_all_come_through(bench, wanted):
    b = start(bench)
    b.server.throttle.limit, b.server.throttle.window = 8, 0.5
    b.run("apply", "--yes")
    assert b.tenant.owned() == wanted
    assert 0 < b.server.throttle.refused < 200  # who ignored Retry-After would ask thousands of times


def test_empty_budget_is_waited_for(bench):
    b = start(bench)
    b.server.budget, b.server.budget_s = 3, 1
    counts = b.status()["counts"]
    assert counts["waited_ms"] > 0 and counts["throttled"] == 0


def test_part_of_a_list_is_not_taken_for_all_of_it(bench, monkeypatch):
    b = start(bench)
    real = b.server.exchange.run
    monkeypatch.setattr(b.server.exchange, "run", lambda cmdlet, p: real(cmdlet, {k: v for k, v in p.items() if k != "ResultSize"}))
    for number in range(60, 1200):
        b.tenant.add_mailbox().owa = "Photo-Editors"
    b.tenant.add_policy("Photo-Editors")
    assert "gave a part of the list only" in b.run("status", status=3)


def test_pace_and_concurrency_are_kept(bench):
    b = start(bench, people=20)
    b.base["tenant"] = "concurrency = 3"
    b.configure(LOCK, ASSIGN)
    text = (b.folder / "admin.toml").read_text().replace("writes_per_minute = 600000", "writes_per_minute = 1200")
    (b.folder / "admin.toml").write_text(text)
    b.server.delay = 0.1
    import time
    begun = time.monotonic()
    b.run("assign", "--yes")
    assert time.monotonic() - begun > 20 * 0.05, "20 writes at 20 a second"
    assert b.server.most_busy == 3


def test_max_writes_stops_and_the_next_run_goes_on(bench, wanted):
    b = start(bench)
    b.run("apply", "--yes", "--max-writes", "5", status=1)
    assert len(b.server.writes()) == 5 and "still to do" in b.last.stdout
    b.run("apply", "--yes")
    assert "Going on with run-" in b.last.stdout and b.tenant.owned() == wanted


def test_what_somebody_else_changed_is_left_alone(bench):
    b = start(bench)
    b.run("apply", "--yes")
    box = b.tenant.mailboxes[3]
    b.tenant.add_policy("Third", photo=False)
    box.owa = "Third"
    b.run("undo", "--yes", status=1)
    assert box.owa == "Third" and "somebody else has set it" in b.last.stdout
    assert b.tenant.mailboxes[4].owa == "OwaMailboxPolicy-Default"


def test_refused_role_change_leaves_users_their_options(bench):
    b = start(bench)
    b.server.exchange.denied = {"New-ManagementRoleAssignment"}
    before = [a["Name"] for a in b.tenant.assignments]
    b.run("role-entries", "--yes", status=1)
    assert [a["Name"] for a in b.tenant.assignments] == before
    assert "not allowed to call New-ManagementRoleAssignment" in b.last.stdout


def test_error_beside_a_200_is_an_error(bench, monkeypatch):
    b = start(bench)
    from server import Handler
    real = Handler.invoke

    def with_errors(self, command):
        answer = real(self, command)
        if command["CmdletName"] == "Set-OwaMailboxPolicy":
            b.tenant.set_photo(b.tenant.policies[0], True)
            answer["@adminapi.errors"] = [{"code": "Client", "message": "Ex123|Some.Type|The policy could not be written."}]
        return answer

    monkeypatch.setattr(Handler, "invoke", with_errors)
    b.run("apply", "--yes", status=1)
    assert "The policy could not be written." in b.last.stdout


def test_second_run_at_once_is_refused(bench):
    import fcntl
    import os
    b = start(bench)
    (b.folder / "lock").mkdir()
    held = os.open(b.folder / "lock", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    b.run("apply", "--yes", status=1)
    assert "another photogate-admin works on this tenant" in b.last.stderr and b.server.writes() == []
    os.close(held)
