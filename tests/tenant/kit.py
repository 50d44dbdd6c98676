# SPDX-License-Identifier: Apache-2.0
"""For tests: a certificate authority for the stand-in, a configuration that leads to it, and the program."""
import datetime
import ipaddress
import json
import os
import pathlib
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from server import GRAPH, HOSTS, LOGIN, OUTLOOK, Server
from state import CLIENT, TENANT, Tenant

PROGRAM = os.environ.get("PHOTOGATE_ADMIN", "build/dev/admin/photogate-admin")
SLOW = int(os.environ.get("PHOTOGATE_SLOW", "1"))


def _pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate(subject, key, names=(), issuer=None, issuer_key=None, ca=False):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(issuer.subject if issuer else name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30)).add_extension(x509.BasicConstraints(ca, None), critical=True))
    if names:
        sans = [x509.DNSName(n) for n in names] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = made.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    return made.sign(issuer_key or key, hashes.SHA256())


def make_ca(folder):
    """ca.pem, tenant.pem with its key, app.pem: the application's certificate and key in one file."""
    ca_key, key, app_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    ca = certificate("stand-in CA", ca_key, ca=True)
    leaf = certificate("stand-in", key, HOSTS, ca, ca_key)
    app = certificate("photogate-admin", app_key)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "tenant.pem").write_bytes(leaf.public_bytes(pem) + _pem(key))
    (folder / "app.pem").write_bytes(app.public_bytes(pem) + _pem(app_key))
    return app.public_bytes(pem)


class Bench:
    """A tenant with its server, a folder with admin.toml, and the program run in it."""

    def __init__(self, folder, mailboxes=10, lock="", credential="certificate", tenant="", toml=""):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.tenant = Tenant(mailboxes)
        app = make_ca(self.folder)
        self.server = Server(self.tenant, self.folder / "tenant.pem", None)
        self.server.tokens.certificates = [app]
        (self.folder / "secret").write_text(self.server.tokens.secret + "\n")
        self.base, self.expects_unknown = {"tenant": tenant, "credential": credential}, False
        self.configure(lock, toml)

    def configure(self, lock="", toml=""):
        port = self.server.port
        to = ", ".join(f'"{h}:443:127.0.0.1:{port}", "{h}:446:127.0.0.1:{port}"' for h in (LOGIN, GRAPH, OUTLOOK, "evil.example"))
        (self.folder / "admin.toml").write_text(f"""[tenant]
id = "{TENANT}"
client_id = "{CLIENT}"
credential = "{self.base['credential']}"
certificate_file = "app.pem"
secret_file = "secret"
ca_file = "ca.pem"
connect_to = [{to}]
writes_per_minute = 600000
retry_wait = "20ms"
timeout = "20s"
{self.base['tenant']}
[lock]
{lock}
{toml}
""")

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def command(self, *args):
        return [PROGRAM, args[0], "--config", str(self.folder / "admin.toml"), *args[1:]]

    def run(self, *args, status=0, env=None):
        """Standard output; the exit status must be `status` unless that is None."""
        done = subprocess.run(self.command(*args), capture_output=True, text=True, timeout=60 * SLOW, stdin=subprocess.DEVNULL,
                              env={**{k: v for k, v in os.environ.items() if "proxy" not in k.lower()}, **(env or {})}, check=False)
        self.last = done
        assert status is None or done.returncode == status, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self, *args, status=None):
        return json.loads(self.run("status", "--json", *args, status=status))

    def open_rows(self, *args):
        return sorted({f["row"] for f in self.status(*args)["findings"] if f["state"] == "open"})
