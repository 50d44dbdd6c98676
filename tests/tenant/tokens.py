# SPDX-License-Identifier: Apache-2.0
"""The token endpoint: client secret, certificate assertion (PS256, RS256), device code; and managed identity.

learn.microsoft.com/entra/identity-platform: v2-oauth2-client-creds-grant-flow, certificate-credentials, v2-oauth2-device-code
"""
import base64
import hashlib
import json
import secrets
import time
import uuid

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from state import CLIENT, TENANT

ROLES = {"https://graph.microsoft.com": ["PeopleSettings.ReadWrite.All", "Policy.Read.All", "Policy.ReadWrite.ConditionalAccess",
                                         "Policy.ReadWrite.Authorization", "Directory.Read.All", "GroupMember.Read.All", "User.Read.All"],
         "https://outlook.office365.com": ["Exchange.ManageAsApp"]}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TokenError(Exception):
    def __init__(self, error, code, text, status=400):
        super().__init__(text)
        self.error, self.code, self.text, self.status = error, code, text, status

    def body(self):
        ident, stamp = str(uuid.uuid4()), time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        return {"error": self.error, "error_description": f"AADSTS{self.code}: {self.text} Trace ID: {ident} Correlation ID: {ident} Timestamp: {stamp}",
                "error_codes": [self.code], "timestamp": stamp, "trace_id": ident, "correlation_id": ident,
                "error_uri": f"https://login.microsoftonline.com/error?code={self.code}"}


class Tokens:
    def __init__(self):
        self.secret = "a secret of the stand-in"
        self.certificates = []  # PEM, registered with the application
        self.life = 3599
        self.wids = ["29232cdf-9323-42fd-ade2-1d097af3e4de"]
        self.roles = {k: list(v) for k, v in ROLES.items()}
        self.issued, self.asked = {}, 0
        self.fresh_certificate = 0  # so many assertions fail after a roll, as seen on the service
        self.device_pending, self.device_codes = 2, set()
        self.identity_header = "identity header of the stand-in"

    def issue(self, audience):
        self.asked += 1
        now = int(time.time())
        claims = {"aud": audience, "tid": TENANT, "appid": CLIENT, "app_displayname": "photogate", "oid": CLIENT, "idtyp": "app",
                  "roles": self.roles.get(audience, []), "wids": self.wids, "iat": now, "nbf": now, "exp": now + self.life}
        token = ".".join([b64(b'{"typ":"JWT","alg":"RS256"}'), b64(json.dumps(claims).encode()), b64(secrets.token_bytes(256))])
        self.issued[token] = (audience, time.monotonic() + self.life)
        return token

    def check(self, header, audience):
        """True when `header` carries a token that is good here."""
        kind, _, token = (header or "").partition(" ")
        aud, end = self.issued.get(token, (None, 0))
        return kind == "Bearer" and aud == audience and time.monotonic() < end

    def revoke(self):
        self.issued.clear()

    def grant(self, tenant, form):
        if tenant != TENANT and tenant != "contoso.com":
            raise TokenError("invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if form.get("client_id") != CLIENT:
            raise TokenError("unauthorized_client", 700016, f"Application with identifier '{form.get('client_id')}' was not found in the directory.")
        kind = form.get("grant_type", "")
        if kind in ("device_code", "urn:ietf:params:oauth:grant-type:device_code"):
            self.device(form)
        elif kind == "refresh_token":
            if form.get("refresh_token") != "refresh of the stand-in":
                raise TokenError("invalid_grant", 700082, "The refresh token has expired due to inactivity.")
        elif kind != "client_credentials":
            raise TokenError("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        elif "client_assertion" in form:
            self.assertion(tenant, form)
        elif "client_secret" not in form:
            raise TokenError("invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", 401)
        elif form["client_secret"] != self.secret:
            raise TokenError("invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client "
                             f"secret value, not the client secret ID, for a secret added to app '{CLIENT}'.", 401)
        audience = form.get("scope", "").split()[0].removesuffix("/.default")
        if audience not in self.roles:
            raise TokenError("invalid_resource", 500011, f"The resource principal named {audience} was not found in the tenant.")
        answer = {"token_type": "Bearer", "expires_in": self.life, "ext_expires_in": self.life, "access_token": self.issue(audience)}
        if kind != "client_credentials":
            answer["refresh_token"] = "refresh of the stand-in"
        return answer

    def device(self, form):
        if form.get("device_code") not in self.device_codes:
            raise TokenError("bad_verification_code", 70019, "The code is wrong.")
        if self.device_pending > 0:
            self.device_pending -= 1
            raise TokenError("authorization_pending", 70016, "The user hasn't finished authenticating.")

    def device_code(self):
        code = secrets.token_urlsafe(12)
        self.device_codes.add(code)
        return {"user_code": "ABCD-EFGH", "device_code": code, "verification_uri": "https://microsoft.com/devicelogin", "expires_in": 900, "interval": 1,
                "message": "To sign in, open https://microsoft.com/devicelogin and enter the code ABCD-EFGH."}

    def assertion(self, tenant, form):
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            raise TokenError("invalid_request", 900144, "client_assertion_type is missing.")
        try:
            head, body, signature = form["client_assertion"].split(".")
            header, claims, signature = json.loads(unb64(head)), json.loads(unb64(body)), unb64(signature)
        except ValueError:
            raise TokenError("invalid_client", 50027, "JWT token is invalid or malformed.") from None
        unknown = TokenError("invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application.", 401)
        if self.fresh_certificate > 0:
            self.fresh_certificate -= 1
            raise unknown
        for pem in self.certificates:
            cert = x509.load_pem_x509_certificate(pem)
            der = cert.public_bytes(serialization.Encoding.DER)
            if header.get("alg") == "PS256" and header.get("x5t#S256") == b64(hashlib.sha256(der).digest()):
                pad = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            elif header.get("alg") == "RS256" and header.get("x5t") == b64(hashlib.sha1(der).digest()):
                pad = padding.PKCS1v15()
            else:
                continue
            try:
                cert.public_key().verify(signature, f"{head}.{body}".encode(), pad, hashes.SHA256())
                break
            except InvalidSignature:
                raise unknown from None
        else:
            raise unknown
        now = time.time()
        if claims.get("aud") != f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token":
            raise TokenError("invalid_client", 700023, "Client assertion audience claim does not match.")
        if claims.get("iss") != CLIENT or claims.get("sub") != CLIENT:
            raise TokenError("invalid_client", 700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
        if not claims.get("nbf", 0) - 300 <= now <= claims.get("exp", 0) + 300 or claims["exp"] - claims["nbf"] > 1200 or not claims.get("jti"):
            raise TokenError("invalid_client", 700024, "Client assertion is not within its valid time range.")
