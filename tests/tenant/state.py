# SPDX-License-Identifier: Apache-2.0
"""What a tenant holds: policies, plans, mailboxes, roles, groups, settings. No HTTP here.

Sources: the cmdlets' pages in MicrosoftDocs/office-docs-powershell; Graph's reference. What neither says is marked "assumed".
"""
import random
import time
import uuid

DOMAIN = "contoso.com"
TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
GLOBAL_ADMIN = "62e90394-69f5-4237-9190-012177145e10"
USER_ADMIN = "fe930be7-5e62-47db-91af-98c3a49a38b1"
DEFAULT_POLICY = "OwaMailboxPolicy-Default"
DEFAULT_ROLES = "Default Role Assignment Policy"
CONFIG_DN = f"CN=Configuration,CN={DOMAIN},OU=Microsoft Exchange Hosted Organizations,DC=PROD,DC=OUTLOOK,DC=COM"
OWA_DELAY = 60 * 60  # "up to 60 minutes": Set-OwaMailboxPolicy
GRAPH_DELAY = 24 * 60 * 60  # "up to 24 hours": configure profile photo settings
# A few of the ~100 further switches; none of them is ours to compare or to change.
OTHER_FLAGS = {"ActiveSyncIntegrationEnabled": True, "AllAddressListsEnabled": True, "CalendarEnabled": True, "ConditionalAccessPolicy": "Off",
               "DisplayPhotosEnabled": True, "InstantMessagingType": "Ocs", "LogonAndErrorLanguage": 0, "SetPhotoURL": "", "ThemeSelectionEnabled": True}


def guid(seed):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, seed))


class Mailbox:
    __slots__ = ("number", "guid", "oid", "upn", "owa", "role", "plan", "alive")

    def __init__(self, number, upn=None):
        self.number, self.upn, self.alive = number, upn or f"user{number}@{DOMAIN}", True
        self.guid, self.oid = guid("mailbox/" + self.upn), guid("user/" + self.upn)
        self.owa, self.role, self.plan = DEFAULT_POLICY, DEFAULT_ROLES, 0

    @property
    def name(self):
        return self.upn.partition("@")[0]


class Tenant:
    """Its own lock is held by the server around each request; tests change it directly between commands."""

    def __init__(self, mailboxes=10, seed=1):
        self.offset = 0.0  # the virtual clock's lead over the real one
        self.rng = random.Random(seed)
        self.policies, self.cas_plans, self.mailbox_plans = [], [], []
        self.add_policy(DEFAULT_POLICY, default=True)
        for plan in ("ExchangeOnlineEnterprise", "ExchangeOnline", "ExchangeOnlineDeskless"):
            name = f"{plan}-{guid('plan/' + plan)}"
            self.cas_plans.append({"Name": name, "DisplayName": plan, "Guid": guid("cas/" + plan), "OwaMailboxPolicy": DEFAULT_POLICY})
            self.mailbox_plans.append({"Name": name, "DisplayName": plan, "Guid": guid("mbx/" + plan),
                                       "IsDefault": plan == "ExchangeOnlineEnterprise", "RoleAssignmentPolicy": DEFAULT_ROLES})
        self.mailboxes, self.by_id = [], {}
        for number in range(mailboxes):
            self.add_mailbox()
        self.roles, self.assignments, self.role_policies = {}, [], []
        self._make_roles()
        self.groups = {}
        self.photo_settings = {"source": None, "allowedRoles": []}
        self.photo_settings_at = 0.0
        self.photo_shape = "list"  # how allowedRoles looks when empty: list, null, object, absent
        self.ux, self.ux_refused = "false", True
        self.ca_policies = []
        self.authorization = {"id": "authorizationPolicy", "defaultUserRolePermissions": {
            "allowedToCreateApps": True, "permissionGrantPoliciesAssigned": ["ManagePermissionGrantsForSelf.microsoft-user-default-legacy"]}}
        self.service_principals = {guid("sp/" + n): n for n in ("Photo Editor", "Mail Helper")}
        self.grants = []
        self.on_premises_sync = None
        self.directory_roles = {GLOBAL_ADMIN: [], USER_ADMIN: []}

    def now(self):
        return time.time() + self.offset

    # ---- Exchange ----
    def add_policy(self, name, default=False, photo=True):
        policy = {"Name": name, "Identity": name, "Id": name, "Guid": guid(f"policy/{name}/{len(self.policies)}"),
                  "DistinguishedName": f"CN={name},CN=OWA Mailbox Policies,{CONFIG_DN}",
                  "IsDefault": default, "SetPhotoEnabled": photo, "changed": 0.0, "was": photo, **OTHER_FLAGS}
        if default:
            for other in self.policies:
                other["IsDefault"] = False
        self.policies.append(policy)
        return policy

    def policy(self, identity):
        key = identity.lower()
        return next((p for p in self.policies if key in (p["Name"].lower(), p["Guid"], p["DistinguishedName"].lower())), None)

    def set_photo(self, policy, on):
        policy["was"] = self.photo_effective(policy)
        policy["SetPhotoEnabled"], policy["changed"] = on, self.now()

    def photo_effective(self, policy):
        return policy["SetPhotoEnabled"] if self.now() - policy["changed"] >= OWA_DELAY else policy["was"]

    def rename_policy(self, policy, name):
        """A renamed default comes back under its old name, open, and is the default again (the article's finding)."""
        old = policy["Name"]
        for box in self.mailboxes:
            if box.owa == old:
                box.owa = name
        for plan in self.cas_plans:
            if plan["OwaMailboxPolicy"] == old:
                plan["OwaMailboxPolicy"] = name
        policy.update(Name=name, Identity=name, Id=name, DistinguishedName=f"CN={name},CN=OWA Mailbox Policies,{CONFIG_DN}")
        if old == DEFAULT_POLICY:
            self.add_policy(DEFAULT_POLICY, default=True)

    def add_mailbox(self, upn=None):
        box = Mailbox(len(self.mailboxes), upn)
        box.owa = self.cas_plans[0]["OwaMailboxPolicy"]
        box.role = self.mailbox_plans[0]["RoleAssignmentPolicy"]
        self.mailboxes.append(box)
        for key in (box.guid, box.oid, box.upn, box.name):
            self.by_id[key.lower()] = box
        return box

    def mailbox(self, identity):
        box = self.by_id.get(str(identity).lower())
        return box if box is not None and box.alive else None

    def change_licence(self, box, plan):
        """A licence change applies the plan's policies to a mailbox that is there already (mailbox-plans.md)."""
        box.plan, box.owa = plan, self.cas_plans[plan]["OwaMailboxPolicy"]
        box.role = self.mailbox_plans[plan]["RoleAssignmentPolicy"]

    # ---- roles ----
    def _make_roles(self):
        photo = {"Set-UserPhoto", "Remove-UserPhoto", "Get-UserPhoto"}
        builtin = {"MyBaseOptions": photo | {"Get-Mailbox", "Set-Mailbox", "Get-CASMailbox"}, "MyContactInformation": photo | {"Get-User", "Set-User"},
                   "MyVoiceMail": {"Get-UMMailbox"}, "MyDistributionGroups": {"New-DistributionGroup"},
                   "User Options": photo | {"Set-Mailbox"}, "Mail Recipients": photo | {"Set-CASMailbox"}}
        for name, entries in builtin.items():
            self.roles[name] = {"Name": name, "Guid": guid("role/" + name), "Parent": None, "entries": set(entries)}
        self.add_role_policy(DEFAULT_ROLES, ["MyBaseOptions", "MyContactInformation", "MyVoiceMail", "MyDistributionGroups"], default=True)
        for role in ("User Options", "Mail Recipients"):
            self.assignments.append({"Name": f"{role}-Organization Management", "Role": role, "RoleAssigneeName": "Organization Management",
                                     "RoleAssigneeType": "RoleGroup"})

    def add_role_policy(self, name, roles, default=False):
        if default:
            for other in self.role_policies:
                other["IsDefault"] = False
        self.role_policies.append({"Name": name, "Guid": guid("rolepolicy/" + name), "IsDefault": default,
                                   "DistinguishedName": f"CN={name},CN=Policies,CN=RBAC,{CONFIG_DN}"})
        for role in roles:
            self.assign_role(role, name)

    def assign_role(self, role, policy, name=None):
        name = name or f"{role}-{policy}"
        self.assignments.append({"Name": name, "Role": role, "RoleAssigneeName": policy, "RoleAssigneeType": "RoleAssignmentPolicy"})
        return self.assignments[-1]

    # ---- directory ----
    def add_group(self, name, members=(), kind="security"):
        group = {"id": guid("group/" + name), "displayName": name, "mail": f"{name.lower()}@{DOMAIN}", "kind": kind, "members": list(members)}
        self.groups[group["id"]] = group
        return group

    def transitive(self, group, seen=None):
        """Mailboxes of the group and of the groups in it, each once; groups in a circle end."""
        seen = {} if seen is None else seen
        if group["id"] in seen:
            return []
        seen[group["id"]] = True
        found = []
        for member in group["members"]:
            if isinstance(member, dict):
                found += self.transitive(member, seen)
            elif member.oid not in seen:
                seen[member.oid] = True
                found.append(member)
        return found

    def may_change_photo(self, box):
        """What a user would meet now, with the propagation times taken into account."""
        policy = self.policy(box.owa)
        if policy is not None and not self.photo_effective(policy):
            return False
        limited = self.photo_settings["allowedRoles"] or self.photo_settings["source"] == "onPremises"
        return not (limited and self.now() - self.photo_settings_at >= GRAPH_DELAY)

    def owned(self):
        """Everything the tool may change, in one form: to compare a tenant before and after."""
        return {"policies": sorted((p["Name"], p["Guid"], p["IsDefault"], p["SetPhotoEnabled"]) for p in self.policies),
                "others": sorted((p["Name"], sorted((k, str(p[k])) for k in OTHER_FLAGS)) for p in self.policies),
                "cas_plans": [(p["Name"], p["OwaMailboxPolicy"]) for p in self.cas_plans],
                "mailbox_plans": [(p["Name"], p["RoleAssignmentPolicy"]) for p in self.mailbox_plans],
                "mailboxes": [(b.upn, b.owa, b.role) for b in self.mailboxes],
                "roles": {n: (r["Parent"], sorted(r["entries"])) for n, r in self.roles.items()},
                "assignments": sorted((a["Name"], a["Role"], a["RoleAssigneeName"]) for a in self.assignments),
                "role_policies": sorted((p["Name"], p["IsDefault"]) for p in self.role_policies),
                "photo": (self.photo_settings["source"], sorted(self.photo_settings["allowedRoles"] or [])),
                "ux": self.ux, "consent": self.authorization["defaultUserRolePermissions"]["permissionGrantPoliciesAssigned"],
                "ca": sorted((p["displayName"], p["state"]) for p in self.ca_policies)}
