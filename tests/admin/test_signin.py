# SPDX-License-Identifier: Apache-2.0
"""Signing in by each credential; permissions; secrets that stay secret."""
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


@pytest.mark.parametrize("credential", ["certificate", "secret", "device-code"])
def test_credentials(bench, credential):
    b = bench(credential=credential)
    out = b.run("whoami")
    assert "application 22222222-2222-2222-2222-222222222222 (photogate)" in out
    assert "Exchange.ManageAsApp" in out and "29232cdf-9323-42fd-ade2-1d097af3e4de" in out
    if credential == "device-code":
        assert "enter the code ABCD-EFGH" in b.last.stderr
        assert len(b.server.lines("devicecode")) == 1, "the second API is served by the refresh token"


def test_certificate_of_a_new_roll_is_tried_again(bench):
    b = bench()
    b.server.tokens.fresh_certificate = 2
    b.run("whoami")
    assert b.server.tokens.asked == 2


def test_older_assertion_form_is_tried(bench, monkeypatch):
    """Where only RS256 with x5t is known, the second assertion has that form."""
    b = bench()
    check, seen = b.server.tokens.assertion, []

    def only_old(tenant, form):
        header = json.loads(__import__("tokens").unb64(form["client_assertion"].split(".")[0]))
        seen.append(header["alg"])
        if header["alg"] != "RS256":
            b.server.tokens.fresh_certificate = 1
        return check(tenant, form)

    monkeypatch.setattr(b.server.tokens, "assertion", only_old)
    b.run("whoami")
    assert seen[:2] == ["PS256", "RS256"]


def test_wrong_secret_says_what_to_do(bench):
    b = bench(credential="secret")
    (b.folder / "secret").write_text("w0rds-nobody-guessed")
    assert "AADSTS7000215" in b.run("doctor", status=1)
    assert "put the secret's value, not its id" in b.last.stdout
    assert "w0rds-nobody-guessed" not in b.last.stdout + b.last.stderr


def test_managed_identity_of_app_service(bench):
    b = bench(credential="managed-identity")

    class Identity(BaseHTTPRequestHandler):
        def do_GET(self):
            good = self.headers["X-IDENTITY-HEADER"] == "the header" and "api-version=2019-08-01" in self.path
            audience = "https://graph.microsoft.com" if "graph" in self.path else "https://outlook.office365.com"
            body = json.dumps({"access_token": b.server.tokens.issue(audience), "expires_on": "1999999999", "expires_in": "86399",
                               "resource": audience, "token_type": "Bearer"}).encode()
            self.send_response(200 if good else 400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Identity)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        b.run("status", status=3, env={"IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}/msi/token", "IDENTITY_HEADER": "the header"})
    finally:
        server.shutdown()
        server.server_close()


def test_token_is_renewed_inside_a_run(bench):
    b = bench(mailboxes=30)
    b.server.tokens.life = 2
    b.server.delay = 0.3
    b.status("--full")
    assert b.server.tokens.asked > 2
    b.server.faults.add("401", "Get-CASMailboxPlan")  # revoked in the middle
    asked = b.server.tokens.asked
    b.status()
    assert b.server.tokens.asked > asked


def test_whoami_and_doctor_name_what_is_missing(bench):
    b = bench()
    b.server.tokens.roles["https://graph.microsoft.com"].remove("PeopleSettings.ReadWrite.All")
    assert "MISS  PeopleSettings.Read.All" in b.run("doctor", status=1)
    b.server.exchange.denied = {"Set-OwaMailboxPolicy"}
    assert "FAIL  Exchange cmdlet Set-OwaMailboxPolicy is not allowed" in b.run("doctor", status=1)


@pytest.mark.parametrize("form, says", [("nul", "lacks a directory role"), ("text", "isn't supported in this scenario")])
def test_missing_directory_role(bench, form, says):
    b = bench()
    b.server.exchange_refused = form
    b.run("status", status=1)
    assert says in b.last.stderr and "\0" not in b.last.stderr


def test_no_token_and_no_secret_in_any_output(bench):
    b = bench(credential="secret")
    b.server.faults.add("429f", "Get-OwaMailboxPolicy")
    text = ""
    for command in (("doctor",), ("status",), ("apply", "--yes"), ("undo", "--yes")):
        text += b.run(*command, status=None) + b.last.stderr
    text += "".join(p.read_text() for p in (b.folder / "lock").glob("*.jsonl"))
    assert b.server.tokens.secret not in text
    assert not any(token in text for token in b.server.tokens.issued)


def test_token_goes_to_no_other_host(bench):
    b = bench(mailboxes=2500)
    b.expects_unknown = True
    b.server.faults.add("evil", "Get-CASMailboxPlan")
    b.server.nextlink_host = "evil.example"
    b.run("status", "--full", status=None)
    assert "sent us to another host" in b.last.stdout and "goes on at another host" in b.last.stdout
    assert b.server.unknown == []


def test_config_faults_have_a_place(bench):
    b = bench()
    text = (b.folder / "admin.toml").read_text()
    (b.folder / "admin.toml").write_text(text.replace("ca_file", "ca_fiel"))
    b.run("status", status=2)
    assert 'admin.toml:7:1: unknown key "ca_fiel"' in b.last.stderr and "ca_file" in b.last.stderr
    (b.folder / "admin.toml").write_text(text + 'portal = "report"\n')
    b.run("status", status=2)
    assert "break_glass" in b.last.stderr
    b.run("frobnicate", status=2)
    b.run("status", "--yes", status=2)
