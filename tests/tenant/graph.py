# SPDX-License-Identifier: Apache-2.0
"""Microsoft Graph over the state: the few paths that the lock needs, with paging, $batch and permissions."""
import re
import uuid
from urllib.parse import parse_qs, quote, unquote, urlsplit


PAGE = 999
# path, method -> application roles of which one is needed (learn.microsoft.com/graph/permissions-reference)
NEEDS = [
    ("/admin/people/photoUpdateSettings", {"GET": "PeopleSettings.Read.All PeopleSettings.ReadWrite.All", "*": "PeopleSettings.ReadWrite.All"}),
    ("/admin/entra/uxSetting", {"*": ""}),
    ("/identity/conditionalAccess/policies", {"GET": "Policy.Read.All", "*": "Policy.ReadWrite.ConditionalAccess"}),
    ("/policies/authorizationPolicy", {"GET": "Policy.Read.All", "*": "Policy.ReadWrite.Authorization"}),
    ("/oauth2PermissionGrants", {"*": "Directory.Read.All"}),
    ("/servicePrincipals", {"*": "Directory.Read.All Application.Read.All"}),
    ("/organization", {"*": "Directory.Read.All Organization.Read.All"}),
    ("/directoryRoles", {"*": "Directory.Read.All RoleManagement.Read.Directory"}),
    ("/groups", {"*": "GroupMember.Read.All Directory.Read.All Group.Read.All"}),
    ("/users", {"*": "User.Read.All Directory.Read.All"}),
]


class Graph:
    def __init__(self, tenant):
        self.t = tenant
        self.unlicensed_ca = False

    def error(self, status, code, message):
        ident = str(uuid.uuid4())
        return status, {"error": {"code": code, "message": message, "innerError": {
            "date": "2026-09-24T10:00:00", "request-id": ident, "client-request-id": ident}}}, {}

    def handle(self, method, target, body, roles):
        """(status, object or None, headers)"""
        parts = urlsplit(target)
        version, path = re.fullmatch(r"/(v1\.0|beta)(/.*)", unquote(parts.path)).groups()
        query = {k.lstrip("$"): v[0] for k, v in parse_qs(parts.query).items()}
        if path == "/$batch":
            return self.batch(version, body, roles)
        for prefix, by_method in NEEDS:
            if path.lower().startswith(prefix.lower()):
                needed = (by_method.get(method) or by_method.get("*", "")).split()
                if needed and not set(needed) & set(roles):
                    return self.error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        for pattern, function in self.ROUTES:
            match = re.fullmatch(pattern, path, re.I)
            if match:
                return function(self, method, query, body, *match.groups())
        return self.error(404, "ResourceNotFound", f"Resource not found for the segment '{path}'.")

    def batch(self, version, body, roles):
        requests = body.get("requests", [])
        if len(requests) > 20:
            return self.error(400, "BadRequest", "Number of batch request steps exceeds the maximum value of 20.")
        answers = []
        for request in requests:
            url = request["url"] if request["url"].startswith("/") else "/" + request["url"]
            status, answer, headers = self.handle(request["method"], f"/{version}{url}", request.get("body"), roles)
            answers.append({"id": request["id"], "status": status, "headers": headers, "body": answer})
        return 200, {"responses": answers}, {}

    def page(self, base, rows, query):
        start, size = int(query.get("skiptoken", 0)), min(int(query.get("top", 100)), PAGE)
        answer = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata", "value": rows[start:start + size]}
        if start + size < len(rows):
            rest = "".join(f"&${k}={quote(v)}" for k, v in query.items() if k != "skiptoken")
            answer["@odata.nextLink"] = f"https://graph.microsoft.com/v1.0{base}?$skiptoken={start + size}{rest}"
        return 200, answer, {}

    # ---- settings ----
    def photo_settings(self, method, query, body):
        now = self.t.photo_settings
        if method in ("PATCH", "POST"):
            if body.get("source", "cloud") not in ("cloud", "onPremises"):
                return self.error(400, "BadRequest", "Invalid source.")
            roles = body.get("allowedRoles") or []
            if not all(re.fullmatch(r"[0-9a-f-]{36}", r.strip()) for r in roles):
                return self.error(400, "BadRequest", "allowedRoles holds an invalid GUID.")
            self.t.photo_settings = {"source": body.get("source", now["source"]), "allowedRoles": roles}
            self.t.photo_settings_at = self.t.now()
        elif method == "DELETE":
            self.t.photo_settings, self.t.photo_settings_at = {"source": None, "allowedRoles": []}, self.t.now()
            return 204, None, {}
        answer = dict(self.t.photo_settings)
        if not answer["allowedRoles"]:  # four forms seen or documented
            shape = self.t.photo_shape
            answer["allowedRoles"] = {"list": [], "null": None, "object": {}}.get(shape)
            if shape == "absent":
                del answer["allowedRoles"]
        return 200, {"@odata.context": "https://graph.microsoft.com/beta/$metadata#admin/people/photoUpdateSettings/$entity", **answer}, {}

    def ux_setting(self, method, query, body):
        if self.t.ux_refused:
            return self.error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        if method == "PATCH":
            if body.get("restrictNonAdminAccess") not in ("true", "false"):
                return self.error(400, "BadRequest", "Invalid value.")
            self.t.ux = body["restrictNonAdminAccess"]
            return 204, None, {}
        return 200, {"restrictNonAdminAccess": self.t.ux}, {}

    def authorization(self, method, query, body):
        if method == "PATCH":
            self.t.authorization["defaultUserRolePermissions"].update(body["defaultUserRolePermissions"])
            return 204, None, {}
        return 200, self.t.authorization, {}

    # ---- Conditional Access ----
    def ca_list(self, method, query, body):
        if self.unlicensed_ca:
            return self.error(403, "AccessDenied", "Your tenant is not licensed for this feature.")
        if method == "POST":
            conditions = body.get("conditions", {})
            if body.get("state") not in ("enabled", "disabled", "enabledForReportingButNotEnforced") or "users" not in conditions:
                return self.error(400, "BadRequest", "1043: Invalid policy.")
            policy = {"id": str(uuid.UUID(int=self.t.rng.getrandbits(128))), **body}
            self.t.ca_policies.append(policy)
            return 201, policy, {}
        return self.page("/identity/conditionalAccess/policies", self.t.ca_policies, query)

    def ca_one(self, method, query, body, ident):
        policy = next((p for p in self.t.ca_policies if p["id"] == ident), None)
        if policy is None:
            return self.error(404, "ResourceNotFound", "Policy not found.")
        if method == "DELETE":
            self.t.ca_policies.remove(policy)
            return 204, None, {}
        if method == "PATCH":
            policy.update(body)
            return 204, None, {}
        return 200, policy, {}

    # ---- directory ----
    def grants(self, method, query, body):
        return self.page("/oauth2PermissionGrants", self.t.grants, query)

    def service_principals(self, method, query, body):
        return self.page("/servicePrincipals", [{"id": i, "appId": i, "displayName": n} for i, n in self.t.service_principals.items()], query)

    def service_principal(self, method, query, body, ident):
        if ident not in self.t.service_principals:
            return self.error(404, "Request_ResourceNotFound", f"Resource '{ident}' does not exist.")
        return 200, {"id": ident, "appId": ident, "displayName": self.t.service_principals[ident]}, {}

    def organization(self, method, query, body):
        return self.page("/organization", [{"id": "org", "displayName": "Contoso", "onPremisesSyncEnabled": self.t.on_premises_sync}], query)

    def role_members(self, method, query, body, template):
        boxes = self.t.directory_roles.get(template)
        if boxes is None:
            return self.error(404, "Request_ResourceNotFound", "The role is not active in this tenant.")
        return self.page(f"/directoryRoles(roleTemplateId='{template}')/members/microsoft.graph.user", [self.user_row(b) for b in boxes], query)

    def user_row(self, box):
        return {"id": box.oid, "userPrincipalName": box.upn, "displayName": box.name, "mail": box.upn}

    def user(self, method, query, body, ident):
        box = self.t.mailbox(ident)
        if box is None:
            return self.error(404, "Request_ResourceNotFound", f"Resource '{ident}' does not exist or one of its queried reference-property "
                              "objects are not present.")
        return 200, self.user_row(box), {}

    def groups(self, method, query, body):
        match = re.fullmatch(r"mail eq '([^']*)' or displayName eq '([^']*)'", query.get("filter", ""))
        if not match:
            return self.error(400, "BadRequest", "Invalid filter clause.")
        rows = [{k: g[k] for k in ("id", "displayName", "mail")} for g in self.t.groups.values()
                if g["kind"] != "dynamic" and (g["mail"] == match[1].lower() or g["displayName"] == match[2])]
        return self.page("/groups", rows, query)

    def group(self, method, query, body, ident):
        if ident not in self.t.groups or self.t.groups[ident]["kind"] == "dynamic":
            return self.error(404, "Request_ResourceNotFound", f"Resource '{ident}' does not exist.")
        return 200, {k: self.t.groups[ident][k] for k in ("id", "displayName", "mail")}, {}

    def members(self, method, query, body, ident):
        if ident not in self.t.groups or self.t.groups[ident]["kind"] == "dynamic":
            return self.error(404, "Request_ResourceNotFound", f"Resource '{ident}' does not exist.")
        rows = [self.user_row(b) for b in self.t.transitive(self.t.groups[ident])]
        return self.page(f"/groups/{ident}/transitiveMembers/microsoft.graph.user", rows, query)

    ROUTES = [
        (r"/admin/people/photoUpdateSettings", photo_settings), (r"/admin/entra/uxSetting", ux_setting),
        (r"/policies/authorizationPolicy(?:/authorizationPolicy)?", authorization), (r"/identity/conditionalAccess/policies", ca_list),
        (r"/identity/conditionalAccess/policies/([^/]+)", ca_one), (r"/oauth2PermissionGrants", grants),
        (r"/servicePrincipals", service_principals), (r"/servicePrincipals/([^/]+)", service_principal), (r"/organization", organization),
        (r"/directoryRoles\(roleTemplateId='([^']+)'\)/members/microsoft\.graph\.user", role_members), (r"/users/([^/]+)", user),
        (r"/groups", groups), (r"/groups/([^/]+)", group), (r"/groups/([^/]+)/transitiveMembers/microsoft\.graph\.user", members)]


