#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stolen issuing key is worth nothing outside the CA's names: in OpenSSL, Chromium and Firefox.

Each forged leaf is shown twice: signed by the constrained CA, where it must be refused, and by a CA without constraints
under the same root, where it must be taken. So a refusal here has no other reason than the constraints.
"""
import json
import shutil
import unittest

import kit

INSIDE = "inside.gate.example"
NAMES = ["--name", INSIDE, "--name", "*.wide.gate.example"]

# name of the case: (host in the URL, subject, subjectAltName, does it stand?)
CASES = {
    "inside": (INSIDE, f"/CN={INSIDE}", f"DNS:{INSIDE}", True),
    "below-exact": (f"x.{INSIDE}", "/CN=x", f"DNS:x.{INSIDE}", True),
    "below-wide": ("a.b.wide.gate.example", "/CN=x", "DNS:a.b.wide.gate.example", True),
    "wildcard-inside": ("q.wide.gate.example", "/CN=x", "DNS:*.wide.gate.example", True),
    "outside": ("login.other.example", "/CN=login.other.example", "DNS:login.other.example", False),
    "ends-alike": (f"x{INSIDE}", "/CN=x", f"DNS:x{INSIDE}", False),
    "parent": ("gate.example", "/CN=x", "DNS:gate.example", False),
    "wildcard-wider": ("q.gate.example", "/CN=x", "DNS:*.gate.example", False),
    "one-of-two": (INSIDE, "/CN=x", f"DNS:{INSIDE},DNS:login.other.example", False),
    "address-only": ("127.0.0.1", "/CN=x", "IP:127.0.0.1", False),
    "with-ipv4": (INSIDE, "/CN=x", f"DNS:{INSIDE},IP:127.0.0.1", False),
    "with-ipv6": (INSIDE, "/CN=x", f"DNS:{INSIDE},IP:::1", False),
    "with-email": (INSIDE, "/CN=x", f"DNS:{INSIDE},email:someone@{INSIDE}", False),
    "with-other-email": (INSIDE, "/CN=x", f"DNS:{INSIDE},email:ceo@other.example", False),
    "with-uri": (INSIDE, "/CN=x", f"DNS:{INSIDE},URI:https://{INSIDE}/", False),
    "with-other-uri": (INSIDE, "/CN=x", f"DNS:{INSIDE},URI:spiffe://other.example/x", False),
}
LEAF = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", "extendedKeyUsage=serverAuth",
        "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
FREE_CA = ["basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign",
           "extendedKeyUsage=serverAuth", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]

PAGE = """<!doctype html><title>probe</title><script>
const probes = %s;
(async () => {
  const result = {};
  for (const [name, url] of Object.entries(probes)) {
    try { await fetch(url, {mode: 'no-cors', cache: 'no-store'}); result[name] = true; }
    catch (e) { result[name] = false; }
  }
  await fetch('/report', {method: 'POST', body: JSON.stringify(result)});
})();
</script>"""


class Constraints(kit.Case):
    def setUp(self):
        super().setUp()
        self.ca = self.dir / "ca"
        kit.ca("init", "--dir", self.ca, *NAMES)
        self.root = self.ca / "public/root.pem"
        issuing = self.dir / "issuing.pem"
        issuing.write_text((self.ca / "public/chain.pem").read_text().split("-----END CERTIFICATE-----")[0]
                           + "-----END CERTIFICATE-----\n")
        free = kit.sign(self.dir, "free", self.root, self.ca / "private/root.key", "/CN=unconstrained", FREE_CA)
        self.issuers = {"forged": (issuing, kit.issuing_key(self.ca)), "control": (free, free.with_suffix(".key"))}
        self.leaves = {}
        for name, (_, subject, san, _) in CASES.items():
            for kind, (issuer, key) in self.issuers.items():
                leaf = kit.sign(self.dir, f"{kind}-{name}", issuer, key, subject, LEAF + [f"subjectAltName={san}"])
                chain = leaf.with_suffix(".chain")
                chain.write_text(leaf.read_text() + issuer.read_text())
                self.leaves[kind, name] = leaf

    def expected(self):
        return {f"{kind}/{name}": kind == "control" or stands
                for kind in self.issuers for name, (_, _, _, stands) in CASES.items()}

    def test_openssl(self):
        got = {}
        for (kind, name), leaf in self.leaves.items():
            host = CASES[name][0]
            check = ["-verify_ip", host] if host[0].isdigit() else ["-verify_hostname", host]
            out, err = kit.run("openssl", "verify", "-x509_strict", "-purpose", "sslserver", *check, "-CAfile", self.root,
                               "-untrusted", self.issuers[kind][0], leaf, status=None)
            got[f"{kind}/{name}"] = ": OK" in out
            if not got[f"{kind}/{name}"]:
                self.assertRegex(err, "permitted subtree violation|excluded subtree violation|unsupported name constraint")
        self.assertEqual(got, self.expected())

    def test_openssl_common_name(self):
        """Without a subjectAltName OpenSSL takes the common name for the host: constrained as well."""
        for kind, status in (("control", 0), ("forged", 2)):
            issuer, key = self.issuers[kind]
            leaf = kit.sign(self.dir, "cn", issuer, key, "/CN=login.other.example", LEAF)
            kit.run("openssl", "verify", "-purpose", "sslserver", "-verify_hostname", "login.other.example", "-CAfile",
                    self.root, "-untrusted", issuer, leaf, status=status)

    def test_no_further_ca(self):
        issuer, key = self.issuers["forged"]
        below = kit.sign(self.dir, "below", issuer, key, "/CN=a CA of my own", FREE_CA)
        leaf = kit.sign(self.dir, "leaf", below, below.with_suffix(".key"), "/CN=x", LEAF + [f"subjectAltName=DNS:{INSIDE}"])
        both = self.dir / "both.pem"
        both.write_text(below.read_text() + issuer.read_text())
        _, err = kit.run("openssl", "verify", "-CAfile", self.root, "-untrusted", both, leaf, status=2)
        self.assertIn("path length constraint exceeded", err)

    def test_for_servers_only(self):
        issuer, key = self.issuers["forged"]
        uses = [e if not e.startswith("extended") else "extendedKeyUsage=clientAuth,emailProtection" for e in LEAF]
        leaf = kit.sign(self.dir, "client", issuer, key, "/CN=x", uses + [f"subjectAltName=DNS:{INSIDE}"])
        for purpose in ("sslclient", "smimesign"):
            _, err = kit.run("openssl", "verify", "-purpose", purpose, "-CAfile", self.root, "-untrusted", issuer, leaf,
                             status=2)
            self.assertIn("unsuitable certificate purpose", err)

    # --- browsers ---

    def browse(self, start):
        """Serves all leaves, lets a browser try them from one page, and compares what it did."""
        seen = []
        servers = {(kind, name): kit.Server(leaf.with_suffix(".chain"), leaf.with_suffix(".key"), seen)
                   for (kind, name), leaf in self.leaves.items()}
        for server in servers.values():
            self.addCleanup(server.close)
        probes = {f"{kind}/{name}": f"https://{CASES[name][0]}:{server.port}/probe/{kind}/{name}"
                  for (kind, name), server in servers.items()}
        home = servers["forged", "inside"]
        home.page = PAGE % json.dumps(probes)
        browser = kit.Browser(start(f"https://{INSIDE}:{home.port}/page"), self.dir)
        self.addCleanup(browser.end)
        report = kit.wait_for(lambda: [json.loads(e[1]) for e in seen if isinstance(e, tuple)], 90)
        self.assertTrue(report, "no report came back\n" + (self.dir / "browser.log").read_text(errors="replace")[-2000:])
        self.assertEqual(report[0], self.expected())
        passed = {e[len("/probe/"):] for e in seen if isinstance(e, str) and e.startswith("/probe/")}
        self.assertEqual(passed, {name for name, stands in self.expected().items() if stands})

    @unittest.skipUnless(shutil.which("chromium") and shutil.which("certutil"), "chromium and certutil are not installed")
    def test_chromium(self):
        kit.nss_database(self.dir / ".pki/nssdb", self.root)
        self.browse(lambda url: [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
            "--host-resolver-rules=MAP *.example 127.0.0.1", f"--user-data-dir={self.dir / 'chromium'}", url])

    @unittest.skipUnless(shutil.which("firefox-esr") and shutil.which("certutil"), "firefox-esr and certutil are not installed")
    def test_firefox(self):
        profile = self.dir / "firefox"
        kit.nss_database(profile, self.root)
        prefs = {"network.dns.localDomains": ",".join(sorted({host for host, *_ in CASES.values() if host[0].isalpha()})),
                 "network.proxy.type": 0, "network.trr.mode": 5, "network.http.http3.enable": False,
                 "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
                 "browser.shell.checkDefaultBrowser": False, "browser.startup.homepage_override.mstone": "ignore",
                 "datareporting.policy.dataSubmissionEnabled": False, "toolkit.telemetry.enabled": False,
                 "app.update.enabled": False, "extensions.update.enabled": False, "app.normandy.enabled": False,
                 "browser.safebrowsing.malware.enabled": False, "browser.safebrowsing.phishing.enabled": False}
        (profile / "user.js").write_text("".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items()))
        self.browse(lambda url: ["firefox-esr", "--headless", "--no-remote", "--profile", profile, url])


if __name__ == "__main__":
    unittest.main(verbosity=2)
