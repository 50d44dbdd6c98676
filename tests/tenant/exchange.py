# SPDX-License-Identifier: Apache-2.0
"""InvokeCommand: cmdlets over the state, with the answers and the errors of the Exchange Online REST interface.

Error forms a to e are real answers printed in public repositories (ODP #7970, #11332; Microsoft365DSC #2998); the rest is documented or assumed.
"""
import re

from state import DEFAULT_POLICY, TENANT

GET_DEFAULT = 1000  # ResultSize when it is not given: Get-CASMailbox and others
DC = "SYYP282A05DC002.AUSP282A005.PROD.OUTLOOK.COM"


class CmdletError(Exception):
    def __init__(self, status, body):
        super().__init__(body)
        self.status, self.body = status, body


def _inner(text, kind, message="Invalid Operation"):
    return {"message": message, "type": "Microsoft.Exchange.Admin.OData.Core.ODataServiceException", "stacktrace": "",
            "internalexception": {"message": text, "type": kind, "stacktrace": ""}}


def bad_value(parameter, value):  # form a
    text = f"Cannot process argument transformation on parameter '{parameter}'. Cannot convert value \"{value}\" to type \"System.Boolean\"."
    kind = "Microsoft.Exchange.AdminApi.CommandInvocation.ParameterTransformationException"
    return CmdletError(400, {"error": {"code": "BadRequest", "message": "Invalid Operation", "innererror": _inner(text, kind),
                                       "adminapi.warnings@odata.type": "#Collection(String)", "@adminapi.warnings": []}})


def unknown_parameter(name):  # form b
    kind = "Microsoft.Exchange.AdminApi.CommandInvocation.AmbiguousParameterSetException"
    text = f"Parameter set cannot be resolved using the specified named parameters. Invalid cmdlet parameters specified. {name}"
    return CmdletError(400, {"error": {"code": "BadRequest", "message": "Invalid Operation", "innererror": _inner(text, kind),
                                       "details": [{"code": "Client", "target": "", "message": f"|{kind}|{text}"}]}})


def refused(status, kind, text, code="BadRequest", number="Ex6F9304"):  # form c
    return CmdletError(status, {"error": {"code": code, "message": "Error executing cmdlet",
                                          "details": [{"code": "Context", "target": "", "message": f"{number}|{kind}|{text}"}],
                                          "innererror": _inner(text, kind, "Error executing cmdlet")}})


def not_found(identity):
    return refused(404, "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException",
                   f"The operation couldn't be performed because object '{identity}' couldn't be found on '{DC}'.", "NotFound")


def exists(name):
    return refused(400, "Microsoft.Exchange.Data.Directory.ADObjectAlreadyExistsException", f"Active Directory operation failed on {DC}. "
                   f"The object 'CN={name}' already exists.", number="ExB10E72")


def not_allowed(cmdlet):  # form e
    return CmdletError(401, {"error": {"code": "Unauthorized", "message": f"User is not allowed to call {cmdlet}", "innererror": {}}})


class Exchange:
    READS = {"Get-OwaMailboxPolicy": "Identity", "Get-CASMailbox": "Identity Filter ResultSize", "Get-CASMailboxPlan": "Identity",
             "Get-MailboxPlan": "Identity", "Get-Mailbox": "Identity Filter ResultSize",
             "Get-ManagementRole": "Identity Cmdlet", "Get-ManagementRoleEntry": "Identity ResultSize", "Get-ManagementRoleAssignment": "Identity Role RoleAssignee",
             "Get-RoleAssignmentPolicy": "Identity", "Get-DynamicDistributionGroupMember": "Identity ResultSize",
             "Get-DistributionGroupMember": "Identity ResultSize", "Get-UnifiedGroupLinks": "Identity LinkType ResultSize", "Get-OrganizationConfig": ""}
    WRITES = {"Set-OwaMailboxPolicy": "Identity SetPhotoEnabled IsDefault Name", "New-OwaMailboxPolicy": "Name IsDefault",
              "Remove-OwaMailboxPolicy": "Identity Confirm Force", "Set-CASMailbox": "Identity OwaMailboxPolicy",
              "Set-CASMailboxPlan": "Identity OwaMailboxPolicy", "Set-MailboxPlan": "Identity RoleAssignmentPolicy",
              "Set-Mailbox": "Identity RoleAssignmentPolicy", "New-ManagementRole": "Name Parent Description",
              "Remove-ManagementRole": "Identity Confirm Force", "Add-ManagementRoleEntry": "Identity",
              "Remove-ManagementRoleEntry": "Identity Confirm Force", "New-ManagementRoleAssignment": "Name Role Policy",
              "Remove-ManagementRoleAssignment": "Identity Confirm Force", "New-RoleAssignmentPolicy": "Name Description Roles IsDefault",
              "Set-RoleAssignmentPolicy": "Identity IsDefault", "Remove-RoleAssignmentPolicy": "Identity Confirm"}

    def __init__(self, tenant):
        self.t = tenant
        self.denied = set()  # cmdlets that this application's role lacks
        self.warn_no_op = True
        self.names = {n.lower(): n for n in [*self.READS, *self.WRITES]}

    def is_write(self, cmdlet):
        return self.names.get(cmdlet.lower()) in self.WRITES

    def run(self, cmdlet, parameters):
        """(list of objects, list of warnings); raises CmdletError."""
        name = self.names.get(cmdlet.lower())
        if name is None:
            raise refused(404, "System.Management.Automation.CommandNotFoundException",
                          f"The term '{cmdlet}' is not recognized as the name of a cmdlet, function, script file, or operable program.", "NotFound")
        if name in self.denied:
            raise not_allowed(name)
        known = {p.lower(): p for p in (self.READS.get(name) or self.WRITES.get(name) or "").split()}
        args = {}
        for key, value in parameters.items():
            if key.lower() not in known:
                raise unknown_parameter(key)
            proper = known[key.lower()]
            if proper in ("SetPhotoEnabled", "IsDefault", "Confirm", "Force") and not isinstance(value, bool):
                raise bad_value(proper, value)
            args[proper] = value
        self.warnings = []
        rows = getattr(self, "_" + name.lower().replace("-", "_"))(**args) or []
        return rows, self.warnings

    def _no_op(self, what):
        if self.warn_no_op:
            self.warnings.append(f"The command completed successfully but no settings of '{what}' have been modified.")

    def _sized(self, rows, size):
        limit = None if str(size).lower() == "unlimited" else int(size or GET_DEFAULT)
        if limit is not None and len(rows) > limit:
            self.warnings.append(f"There are more results available than are currently displayed. To view them, increase the value for the "
                                 f"ResultSize parameter. (ResultSize {limit})")
            return rows[:limit]
        return rows

    def _one(self, rows, identity, keys=("Name", "Guid", "DistinguishedName", "DisplayName")):
        if identity is None:
            return rows
        found = [r for r in rows if str(identity).lower() in [str(r.get(k, "")).lower() for k in keys]]
        if not found:
            raise not_found(identity)
        return found

    # ---- Outlook policies ----
    def _get_owamailboxpolicy(self, Identity=None):
        return [{k: v for k, v in p.items() if k not in ("changed", "was")} for p in self._one(self.t.policies, Identity)]

    def _set_owamailboxpolicy(self, Identity, SetPhotoEnabled=None, IsDefault=None, Name=None):
        policy = self._one(self.t.policies, Identity)[0]
        if SetPhotoEnabled is not None:
            if policy["SetPhotoEnabled"] == SetPhotoEnabled:
                self._no_op(policy["Name"])
            else:
                self.t.set_photo(policy, SetPhotoEnabled)
        if IsDefault:
            for other in self.t.policies:
                other["IsDefault"] = other is policy
        if Name:
            self.t.rename_policy(policy, Name)

    def _new_owamailboxpolicy(self, Name, IsDefault=False):
        if self.t.policy(Name):
            raise exists(Name)
        return [{k: v for k, v in self.t.add_policy(Name, IsDefault).items() if k not in ("changed", "was")}]

    def _remove_owamailboxpolicy(self, Identity, Confirm=True, Force=False):
        policy = self._one(self.t.policies, Identity)[0]
        if policy["Name"] == DEFAULT_POLICY or any(b.owa == policy["Name"] for b in self.t.mailboxes):
            raise refused(400, "System.InvalidOperationException", f"The policy '{policy['Name']}' is in use and cannot be removed.")
        self.t.policies.remove(policy)

    # ---- mailboxes ----
    def _boxes(self, identity, expression, attribute, policies):
        if identity is not None:
            box = self.t.mailbox(identity)
            if box is None:
                raise not_found(identity)
            return [box]
        boxes = [b for b in self.t.mailboxes if b.alive]
        if not expression:
            return boxes
        match = re.fullmatch(r"\s*(\w+)\s+-(eq|ne)\s+(?:'((?:[^']|'')*)'|(\$null))\s*", expression)
        if not match or match[1].lower() != attribute.lower():
            raise bad_value("Filter", expression)
        wanted = None
        if match[4] is None:  # a DN; a name matches nothing (filter-properties.md)
            dn = match[3].replace("''", "'").lower()
            wanted = next((p["Name"] for p in policies if p["DistinguishedName"].lower() == dn), "\0")
        field = "owa" if attribute == "OWAMailboxPolicy" else "role"
        return [b for b in boxes if (getattr(b, field) == wanted) == (match[2] == "eq")]

    def _get_casmailbox(self, Identity=None, Filter=None, ResultSize=None):
        rows = [(b, "cas") for b in self._boxes(Identity, Filter, "OWAMailboxPolicy", self.t.policies)]
        return self._sized(rows, ResultSize)

    def _get_mailbox(self, Identity=None, Filter=None, ResultSize=None):
        rows = [(b, "mailbox") for b in self._boxes(Identity, Filter, "RoleAssignmentPolicy", self.t.role_policies)]
        return self._sized(rows, ResultSize)

    def _set_casmailbox(self, Identity, OwaMailboxPolicy=None):
        box = self._boxes(Identity, None, "", [])[0]
        policy = None if OwaMailboxPolicy is None else self._one(self.t.policies, OwaMailboxPolicy)[0]["Name"]
        if box.owa == policy:
            self._no_op(box.name)
        box.owa = policy

    def _set_mailbox(self, Identity, RoleAssignmentPolicy):
        box = self._boxes(Identity, None, "", [])[0]
        box.role = self._one(self.t.role_policies, RoleAssignmentPolicy)[0]["Name"]

    # ---- plans ----
    def _get_casmailboxplan(self, Identity=None):
        return self._one(self.t.cas_plans, Identity)

    def _set_casmailboxplan(self, Identity, OwaMailboxPolicy):
        plan, policy = self._one(self.t.cas_plans, Identity)[0], self._one(self.t.policies, OwaMailboxPolicy)[0]
        plan["OwaMailboxPolicy"] = policy["Name"]

    def _get_mailboxplan(self, Identity=None):
        return self._one(self.t.mailbox_plans, Identity)

    def _set_mailboxplan(self, Identity, RoleAssignmentPolicy):
        plan, policy = self._one(self.t.mailbox_plans, Identity)[0], self._one(self.t.role_policies, RoleAssignmentPolicy)[0]
        plan["RoleAssignmentPolicy"] = policy["Name"]

    # ---- roles ----
    def _role(self, identity):
        role = next((r for n, r in self.t.roles.items() if str(identity).lower() in (n.lower(), r["Guid"])), None)
        if role is None:
            raise not_found(identity)
        return role

    def _get_managementrole(self, Identity=None, Cmdlet=None):
        roles = [self._role(Identity)] if Identity else list(self.t.roles.values())
        roles = [r for r in roles if Cmdlet is None or Cmdlet.lower() in (e.lower() for e in r["entries"])]
        return [{"Name": r["Name"], "Guid": r["Guid"], "Parent": r["Parent"], "IsRootRole": r["Parent"] is None} for r in roles]

    def _get_managementroleentry(self, Identity, ResultSize=None):
        role, _, entry = Identity.partition("\\")
        pattern = re.compile(re.escape(entry).replace(r"\*", ".*"), re.I)
        if role != "*":
            self._role(role)
        return [{"Name": e, "Role": n, "Type": "Cmdlet"} for n, r in self.t.roles.items() if role == "*" or n.lower() == role.lower()
                for e in sorted(r["entries"]) if pattern.fullmatch(e)]

    def _new_managementrole(self, Name, Parent, Description=""):
        if Name in self.t.roles:
            raise exists(Name)
        if len(Name) > 64:
            raise bad_value("Name", Name)
        parent = self._role(Parent)
        self.t.roles[Name] = {"Name": Name, "Guid": self._fresh(), "Parent": parent["Name"], "entries": set(parent["entries"])}
        return [{"Name": Name, "Parent": parent["Name"]}]

    def _fresh(self):
        return f"{self.t.rng.getrandbits(32):08x}-0000-4000-8000-{self.t.rng.getrandbits(48):012x}"

    def _remove_managementrole(self, Identity, Confirm=True, Force=False):
        role = self._role(Identity)
        if role["Parent"] is None or any(a["Role"] == role["Name"] for a in self.t.assignments):
            raise refused(400, "System.InvalidOperationException", f"The role '{role['Name']}' is built in or assigned and cannot be removed.")
        del self.t.roles[role["Name"]]

    def _entry(self, identity):
        role, _, entry = identity.partition("\\")
        role = self._role(role)
        if role["Parent"] is None:
            raise refused(400, "System.InvalidOperationException", f"The management role entry '{identity}' can't be changed because the role is built in.")
        return role, entry

    def _remove_managementroleentry(self, Identity, Confirm=True, Force=False):
        role, entry = self._entry(Identity)
        if entry not in role["entries"]:
            raise not_found(Identity)
        role["entries"].remove(entry)

    def _add_managementroleentry(self, Identity):
        role, entry = self._entry(Identity)
        if entry not in self.t.roles[role["Parent"]]["entries"]:
            raise not_found(Identity)
        role["entries"].add(entry)

    def _get_managementroleassignment(self, Identity=None, Role=None, RoleAssignee=None):
        rows = self._one(self.t.assignments, Identity, ("Name",))
        return [a for a in rows if (Role is None or a["Role"].lower() == Role.lower()) and
                (RoleAssignee is None or a["RoleAssigneeName"].lower() == RoleAssignee.lower())]

    def _new_managementroleassignment(self, Role, Policy, Name=None):
        role, policy = self._role(Role), self._one(self.t.role_policies, Policy)[0]
        if any(a["Name"] == (Name or f"{role['Name']}-{policy['Name']}") for a in self.t.assignments):
            raise exists(Name)
        return [self.t.assign_role(role["Name"], policy["Name"], Name)]

    def _remove_managementroleassignment(self, Identity, Confirm=True, Force=False):
        self.t.assignments.remove(self._one(self.t.assignments, Identity, ("Name",))[0])

    def _get_roleassignmentpolicy(self, Identity=None):
        return [dict(p, AssignedRoles=[a["Role"] for a in self.t.assignments if a["RoleAssigneeName"] == p["Name"]])
                for p in self._one(self.t.role_policies, Identity)]

    def _new_roleassignmentpolicy(self, Name, Description="", Roles=(), IsDefault=False):
        if any(p["Name"] == Name for p in self.t.role_policies):
            raise exists(Name)
        for role in Roles:
            self._role(role)
        self.t.add_role_policy(Name, Roles, IsDefault)
        return self._get_roleassignmentpolicy(Name)

    def _set_roleassignmentpolicy(self, Identity, IsDefault=False):
        policy = self._one(self.t.role_policies, Identity)[0]
        for other in self.t.role_policies:
            other["IsDefault"] = other is policy if IsDefault else other["IsDefault"]

    def _remove_roleassignmentpolicy(self, Identity, Confirm=True):
        policy = self._one(self.t.role_policies, Identity)[0]
        if policy["IsDefault"] or any(b.role == policy["Name"] for b in self.t.mailboxes):
            raise refused(400, "System.InvalidOperationException", f"The policy '{policy['Name']}' is in use.")
        self.t.role_policies.remove(policy)
        self.t.assignments = [a for a in self.t.assignments if a["RoleAssigneeName"] != policy["Name"]]

    # ---- groups ----
    def _group(self, identity, kinds):
        key = identity.lower()
        group = next((g for g in self.t.groups.values() if key in (g["id"], g["mail"], g["displayName"].lower()) and g["kind"] in kinds), None)
        if group is None:
            raise not_found(identity)
        return group

    def _get_dynamicdistributiongroupmember(self, Identity, ResultSize=None):
        return self._sized([(b, "mailbox") for b in self._group(Identity, ("dynamic",))["members"]], ResultSize)

    def _get_distributiongroupmember(self, Identity, ResultSize=None):
        group = self._group(Identity, ("distribution", "security", "m365"))
        members = [] if group["kind"] == "m365" else [m for m in group["members"] if not isinstance(m, dict)]
        return self._sized([(b, "mailbox") for b in members], ResultSize)

    def _get_unifiedgrouplinks(self, Identity, LinkType, ResultSize=None):
        return self._sized([(b, "mailbox") for b in self._group(Identity, ("m365",))["members"]], ResultSize)

    def _get_organizationconfig(self):
        return [{"Name": "contoso.onmicrosoft.com", "Guid": TENANT, "IsDehydrated": False}]


def mailbox_row(box, kind):
    row = {"Guid@data.type": "System.Guid", "Guid@odata.type": "#Guid", "Guid": box.guid, "Name": box.name, "PrimarySmtpAddress": box.upn,
           "EmailAddresses@odata.type": "#Collection(String)", "EmailAddresses": [f"SMTP:{box.upn}"], "ExternalDirectoryObjectId": box.oid,
           "DistinguishedName": f"CN={box.name},OU=contoso.com,DC=PROD"}
    if kind == "cas":
        return {**row, "OwaMailboxPolicy": box.owa, "OWAEnabled": True, "ImapEnabled": True}
    return {**row, "UserPrincipalName": box.upn, "RoleAssignmentPolicy": box.role, "SKUAssigned": True}
