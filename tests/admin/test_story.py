# SPDX-License-Identifier: Apache-2.0
"""The story that administrators tell of photos and policies, from the open default to the quiet tenant."""
import json

OPEN = 'open_policies = ["Photo-Editors"]\n'
ASSIGN = '[[lock.assign]]\npolicy = "Photo-Editors"\ngroups = ["Editors"]\n'


def journal_lines(b):
    return [json.loads(line) for path in sorted((b.folder / "lock").glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_open_default_is_locked_and_undone(bench):
    b = bench()
    before = b.tenant.owned()
    assert b.open_rows() == ["owa-policy", "photo-settings"]
    assert "~ photo change in Outlook policy \"OwaMailboxPolicy-Default\": true -> false" in b.run("plan", status=3)
    assert b.tenant.owned() == before, "plan writes nothing"
    b.run("apply", status=1)
    assert b.tenant.owned() == before and "--yes" in b.last.stderr, "nobody was there to ask"
    b.run("apply", "--yes")
    assert not b.tenant.policies[0]["SetPhotoEnabled"] and len(b.tenant.photo_settings["allowedRoles"]) == 2
    assert b.run("plan") == "Plan: 0 to add, 0 to change, 0 to remove.\n"
    assert "effective for everybody by" in b.run("verify")
    box = b.tenant.mailboxes[0]
    assert b.tenant.may_change_photo(box), "the hour is not over"
    b.tenant.offset = 3601
    assert not b.tenant.may_change_photo(box)
    b.run("undo", "--yes")
    assert b.tenant.owned() == before
    b.run("undo", "--yes", status=1)
    assert "no run is there to take back" in b.last.stderr


def test_renamed_default_comes_back_open(bench):
    b = bench()
    b.run("apply", "--yes")
    b.tenant.rename_policy(b.tenant.policies[0], "Contoso-Locked")
    assert b.open_rows() == ["owa-policy"]
    b.run("apply", "--yes")
    assert all(not p["SetPhotoEnabled"] for p in b.tenant.policies) and len(b.tenant.policies) == 2


def test_licence_change_reapplies_the_open_policy(bench):
    b = bench(mailboxes=50, lock=OPEN, toml=ASSIGN)
    b.tenant.add_group("Editors", b.tenant.mailboxes[:3])
    b.run("apply", "--yes")
    b.tenant.cas_plans[1]["OwaMailboxPolicy"] = "Photo-Editors"  # somebody points a plan at the open policy
    b.tenant.change_licence(b.tenant.mailboxes[20], 1)
    assert b.open_rows() == ["cas-plan", "mailbox"]
    b.run("apply", "--yes")
    assert b.tenant.cas_plans[1]["OwaMailboxPolicy"] == b.tenant.mailboxes[20].owa == "OwaMailboxPolicy-Default"
    b.tenant.mailboxes[30].owa = None
    assert b.open_rows() == ["mailbox"]
    b.run("apply", "--yes")
    assert b.tenant.mailboxes[30].owa == "OwaMailboxPolicy-Default"


def test_group_of_2500_kept_in_sync(bench):
    b = bench(mailboxes=3000, lock=OPEN, toml=ASSIGN)
    boxes = b.tenant.mailboxes
    inner = b.tenant.add_group("Inner", boxes[1000:2500])
    group = b.tenant.add_group("Editors", [*boxes[:1000], inner], kind="m365")
    inner["members"].append(group)  # a circle
    b.run("apply", "--yes")
    assert [x.upn for x in boxes if x.owa == "Photo-Editors"] == [x.upn for x in boxes[:2500]]
    assert b.open_rows() == []
    group["members"].append(boxes[2700])  # a new member
    boxes[5].owa = "OwaMailboxPolicy-Default"  # somebody took one off
    boxes[2900].owa = "Photo-Editors"  # somebody put one on
    b.run("assign", "--yes")
    assert boxes[2700].owa == boxes[5].owa == "Photo-Editors" and boxes[2900].owa == "OwaMailboxPolicy-Default"
    assert len(b.server.writes()) < 2600, "nobody was assigned twice"


def test_group_without_members_takes_nobody_off(bench):
    b = bench(lock=OPEN, toml=ASSIGN)
    group = b.tenant.add_group("Editors", b.tenant.mailboxes[:3])
    b.run("apply", "--yes")
    group["members"] = []  # how an unreadable group looks
    out = b.run("status", status=1)
    assert "shows no member" in out and "nobody is taken off" in out
    b.run("apply", "--yes", status=1)
    assert [x.owa for x in b.tenant.mailboxes[:3]] == ["Photo-Editors"] * 3


def test_dynamic_groups_and_single_users(bench):
    b = bench(lock=OPEN, toml=ASSIGN.replace('"Editors"', '"Everyone-Dynamic"') + 'users = ["user7@contoso.com"]\n')
    b.tenant.add_group("Everyone-Dynamic", b.tenant.mailboxes[:2], kind="dynamic")
    b.run("apply", "--yes")
    assert [x.number for x in b.tenant.mailboxes if x.owa == "Photo-Editors"] == [0, 1, 7]


def test_every_shape_of_empty_photo_settings(bench):
    b = bench()
    for shape in ("list", "null", "object", "absent"):
        b.tenant.photo_shape = shape
        assert "photo-settings" in b.open_rows(), shape
    b.tenant.photo_settings = {"source": "cloud", "allowedRoles": [" FE930BE7-5e62-47db-91af-98c3a49a38b1", "62e90394-69f5-4237-9190-012177145e10"]}
    assert "photo-settings" not in b.open_rows(), "order, case and blanks do not count"
    b.tenant.photo_settings = {"source": "onPremises", "allowedRoles": []}
    assert "photo-settings" not in b.open_rows()


def test_a_form_that_is_not_known_is_never_locked(bench, monkeypatch):
    b = bench()
    b.run("apply", "--yes")
    graph = b.server.graph
    for answer in ({"source": "cloud", "allowedRoles": "all"}, {"elsewhere": True}, {"source": 7, "allowedRoles": []}):
        monkeypatch.setattr(graph, "handle", lambda *a, _x=answer, **k: (200, _x, {}))
        rows = {f["row"]: f["state"] for f in b.status(status=1)["findings"]}
        assert rows["photo-settings"] == "unknown"
    monkeypatch.setattr(graph, "handle", lambda *a, **k: graph.error(404, "ResourceNotFound", "Resource not found for the segment."))
    assert {f["row"]: f["state"] for f in b.status(status=1)["findings"]}["photo-settings"] == "unknown"


def test_custom_roles_take_the_place_of_the_built_in_ones(bench):
    b = bench(lock='roles = "custom"\n')
    before = b.tenant.owned()
    b.run("role-entries", "--yes")
    names = {a["Role"] for a in b.tenant.assignments if a["RoleAssigneeType"] == "RoleAssignmentPolicy"}
    assert names == {"custom-MyBaseOptions", "custom-MyContactInformation", "MyVoiceMail", "MyDistributionGroups"}
    assert not b.tenant.roles["custom-MyBaseOptions"]["entries"] & {"Set-UserPhoto", "Remove-UserPhoto"}
    assert b.tenant.roles["custom-MyBaseOptions"]["entries"] >= {"Get-Mailbox", "Get-UserPhoto"}
    order = [line.split()[-1] for line in b.server.writes() if "ManagementRoleAssignment" in line]
    assert order == sorted(order), "New- comes before Remove-"
    b.tenant.roles["custom-MyBaseOptions"]["entries"].add("Set-UserPhoto")  # a user's own role puts it back
    assert "roles" in b.open_rows()
    b.run("role-entries", "--yes")
    assert "Set-UserPhoto" not in b.tenant.roles["custom-MyBaseOptions"]["entries"]
    b.tenant.roles["custom-MyBaseOptions"]["entries"].add("Set-UserPhoto")
    b.run("undo", "--yes")
    b.run("undo", "--yes")
    assert b.tenant.owned() == before


def test_own_role_policy_for_all_plans_and_mailboxes(bench):
    b = bench(mailboxes=12, lock='roles = "policy"\n')
    before = b.tenant.owned()
    b.run("role-entries", "--yes")
    assert {x.role for x in b.tenant.mailboxes} == {p["RoleAssignmentPolicy"] for p in b.tenant.mailbox_plans} == {"photogate: no photo change"}
    assert "roles" not in b.open_rows()
    assert b.run("role-entries", "--yes").startswith("Plan: 0 to add")
    b.run("undo", "--yes")
    assert b.tenant.owned() == before


def test_removing_roles_wants_force(bench):
    b = bench(lock='roles = "remove"\n')
    assert "wants --force" in b.run("status", status=3)
    assert "Plan: 0 to add, 0 to change, 0 to remove" in b.run("role-entries", "--yes")
    b.run("role-entries", "--yes", "--force")
    assert {a["Role"] for a in b.tenant.assignments} & {"MyBaseOptions", "MyContactInformation"} == set()


def test_roles_without_the_cmdlet_need_nothing(bench):
    b = bench(lock='roles = "custom"\n')
    for role in b.tenant.roles.values():
        role["entries"] -= {"Set-UserPhoto", "Remove-UserPhoto"}
    assert "roles" not in b.open_rows()


def test_portals_and_consent(bench):
    b = bench(lock='portal = "report"\nbreak_glass = ["99999999-0000-4000-8000-000000000000"]\nentra_portal = true\nrestrict_consent = true\n')
    before = b.tenant.owned()
    b.tenant.grants.append({"clientId": next(iter(b.tenant.service_principals)), "scope": "openid User.ReadWrite", "consentType": "Principal"})
    out = b.run("status", status=3)
    assert 'application "Photo Editor" may change photos' in out and "Restrict access" in out
    b.run("apply", "--yes")
    policy = b.tenant.ca_policies[0]
    assert policy["state"] == "enabledForReportingButNotEnforced" and policy["conditions"]["users"]["excludeUsers"] == ["99999999-0000-4000-8000-000000000000"]
    b.configure('portal = "enforce"\nbreak_glass = ["99999999-0000-4000-8000-000000000000"]\nentra_portal = true\nrestrict_consent = true\n')
    b.tenant.ux_refused = False
    b.run("apply", "--yes")
    assert b.tenant.ca_policies[0]["state"] == "enabled" and len(b.tenant.ca_policies) == 1 and b.tenant.ux == "true"
    assert b.tenant.authorization["defaultUserRolePermissions"]["permissionGrantPoliciesAssigned"] == []
    b.run("undo", "--yes")
    b.run("undo", "--yes")
    assert b.tenant.owned() == before


def test_only_owned_fields_are_touched(bench):
    b = bench()
    b.tenant.policies[0]["ThemeSelectionEnabled"] = False
    others = b.tenant.owned()["others"]
    b.run("apply", "--yes")
    b.run("undo", "--yes")
    assert b.tenant.owned()["others"] == others


def test_status_writes_nothing_and_needs_only_reading(bench):
    b = bench()
    b.server.exchange.denied = set(b.server.exchange.WRITES)
    b.server.tokens.roles["https://graph.microsoft.com"] = ["PeopleSettings.Read.All", "Policy.Read.All", "Directory.Read.All", "GroupMember.Read.All"]
    b.run("status", status=3)
    assert b.server.writes() == []


def test_what_no_program_sees_is_asked_of_a_person(bench):
    b = bench()
    b.run("apply", "--yes")
    manual = [f["what"] for f in b.status(status=0)["findings"] if f["state"] == "manual"]
    assert len(manual) == 3 and "confirm sharepoint-picture" in manual[0]
    b.run("confirm", "sharepoint-picture", env={"USER": "anna", "SUDO_USER": "anna"})
    found = b.status(status=0)["findings"]
    assert [f["what"] for f in found if f["state"] == "manual"] == manual[1:]
    assert any("confirmed 0 days ago by anna" in f["what"] for f in found)
    file = b.folder / "lock/manual.json"
    noted = json.loads(file.read_text())
    noted["sharepoint-picture"]["at"] -= 91 * 86400
    file.write_text(json.dumps(noted))
    assert sum(f["state"] == "manual" for f in b.status(status=0)["findings"]) == 3
    b.run("confirm", "everything", status=2)
    assert "sharepoint-picture, power-platform, exchange-powershell" in b.last.stderr


def test_export_admins(bench):
    b = bench(toml='[lock.admins]\nfile = "admins.json"\ngroups = ["Help Desk"]\nusers = ["user9@contoso.com"]\napps = ["44444444-4444-4444-4444-444444444444"]\n')
    t = b.tenant
    t.directory_roles["62e90394-69f5-4237-9190-012177145e10"] = t.mailboxes[:2]
    t.add_group("Help Desk", t.mailboxes[1:4])
    b.run("export-admins")
    file = json.loads((b.folder / "admins.json").read_text())
    assert file["version"] == 1 and file["tenant_id"] and file["apps"] == [{"appid": "44444444-4444-4444-4444-444444444444", "name": ""}]
    assert [(a["upn"], a["source"].split(":")[0]) for a in file["admins"]] == [
        ("user0@contoso.com", "role"), ("user1@contoso.com", "role"), ("user2@contoso.com", "group"), ("user3@contoso.com", "group"),
        ("user9@contoso.com", "user")]
    old = (b.folder / "admins.json").read_text()
    t.groups.clear()
    b.run("export-admins", status=1)
    assert (b.folder / "admins.json").read_text() == old and "stays as it was" in b.last.stderr


def test_watch_tells_and_locks(bench):
    b = bench(mailboxes=20, lock=OPEN, toml=ASSIGN + '[lock.watch]\naction = "lock"\nexec = "hook"\n')
    hook = b.folder / "hook"
    hook.write_text(f'#!/bin/sh\nprintf "%s " "$1" >>"{b.folder}/events"\ncat >/dev/null\n')
    hook.chmod(0o755)
    group = b.tenant.add_group("Editors", b.tenant.mailboxes[:3])
    b.run("apply", "--yes")
    assert b.run("watch", "--once") == ""
    group["members"].append(b.tenant.mailboxes[9])
    b.tenant.set_photo(b.tenant.policies[0], True)
    events = [json.loads(line) for line in b.run("watch", "--once").splitlines()]
    assert [e["event"] for e in events] == ["drift", "locked"] and events[0]["open"] == 2
    assert b.tenant.mailboxes[9].owa == "Photo-Editors" and not b.tenant.policies[0]["SetPhotoEnabled"]
    assert (b.folder / "events").read_text() == "drift locked "
    b.configure(OPEN, ASSIGN)
    b.tenant.set_photo(b.tenant.policies[0], True)
    assert [json.loads(line)["event"] for line in b.run("watch", "--once", status=3).splitlines()] == ["drift"]
    assert b.tenant.policies[0]["SetPhotoEnabled"], "it was told to alert only"
